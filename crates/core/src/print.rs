//! Tensors as text, laid out as NumPy does: aligned columns, the shortest digits that tell a number from its
//! neighbours (at most 8 of them), exponents where magnitudes differ widely, and only the edges of large tensors.

use crate::dtype::{DType, Element};
use crate::tape::no_grad;
use crate::tensor::Tensor;
use crate::with_element;
use std::fmt;

/// Tensors with more elements show only their edges.
const THRESHOLD: usize = 1000;
/// Elements shown at each end of an axis.
const EDGE: usize = 3;
/// Characters in a line.
const WIDTH: usize = 75;
/// Digits after the point, unless the format string asks for another number.
const PRECISION: usize = 8;

impl fmt::Display for Tensor {
    /// The elements as NumPy's `str` shows them; `{:.3}` shows at most three digits after the point.
    ///
    /// ```
    /// # use cotangent_core::*;
    /// let x = Tensor::new([1.0, -0.5, 100.0, 2.25], [2, 2]);
    /// assert_eq!(x.to_string(), "[[  1.    -0.5 ]\n [100.     2.25]]");
    /// ```
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str(&elements(self, " ", 0, f.precision().unwrap_or(PRECISION)))
    }
}

impl fmt::Debug for Tensor {
    /// The elements, and what else there is to know.
    ///
    /// ```
    /// # use cotangent_core::*;
    /// let x = Device::reference().tensor(&[1.0f32, 2.5], [2]).tracked();
    /// assert_eq!(format!("{x:?}"), "tensor([1. , 2.5], shape=[2], dtype=f32, device=reference, tracked)");
    /// ```
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let head = "tensor(";
        let body = elements(self, ", ", head.len(), f.precision().unwrap_or(PRECISION));
        write!(f, "{head}{body}, shape={}, dtype={}, device={}", self.shape(), self.dtype(), self.device())?;
        match &self.node {
            None => f.write_str(")"),
            Some(node) if node.op == "leaf" => f.write_str(", tracked)"),
            Some(node) => write!(f, ", tracked, by={})", node.op),
        }
    }
}

/// The elements within brackets; `indent` is the number of characters before the first one.
fn elements(x: &Tensor, separator: &str, indent: usize, precision: usize) -> String {
    if x.count() == 0 {
        return "[]".into();
    }
    let summarized = x.count() > THRESHOLD;
    let shown = no_grad(|| if summarized { edges(&x.detach(), 0) } else { x.detach() });
    let words = if x.dtype().is_float() { floats(&shown, precision) } else { integers(&shown) };
    let page = Page { shape: x.shape(), shown: shown.shape(), words: &words, separator };
    page.text(0, 0, indent + 1, WIDTH)
}

/// The first and last elements along `axis` and those after it, wherever an axis is long.
fn edges(x: &Tensor, axis: isize) -> Tensor {
    if axis == x.rank() as isize {
        return x.clone();
    }
    match x.shape()[axis as usize] {
        n if n > 2 * EDGE => {
            // Narrow first: what is copied must not grow with the tensor.
            let part = |start| edges(&x.narrow(axis, start, EDGE), axis + 1);
            Tensor::cat(&[&part(0), &part(n - EDGE)], axis)
        }
        _ => edges(x, axis + 1),
    }
}

/// Integers and truth values, aligned to the right.
fn integers(x: &Tensor) -> Vec<String> {
    let values = x.to(DType::I64).to_vec::<i64>();
    let text = |v: &i64| match x.dtype() {
        DType::Bool => if *v == 0 { "false" } else { "true" }.to_string(),
        _ => v.to_string(),
    };
    let words: Vec<String> = values.iter().map(text).collect();
    // Truth values take the width of `false` even where all are true.
    let least = if x.dtype() == DType::Bool && x.rank() > 0 { 5 } else { 0 };
    let width = words.iter().map(String::len).max().unwrap_or(0).max(least);
    words.iter().map(|word| format!("{word:>width$}")).collect()
}

/// Floating-point numbers, aligned at the point.
fn floats(x: &Tensor, precision: usize) -> Vec<String> {
    let values: Vec<Digits> = with_element!(x.dtype(), T => x.to_vec::<T>().into_iter().map(Digits::of).collect());
    let sizes = || values.iter().map(|d| d.value.abs()).filter(|v| v.is_finite() && *v != 0.0);
    let (low, high) = (sizes().fold(f64::INFINITY, f64::min), sizes().fold(0.0, f64::max));
    let scientific = high >= 1e8 || low < 1e-4 || (high > 0.0 && high / low > 1000.0);
    let parts: Vec<Option<[String; 3]>> = values.iter().map(|d| d.parts(precision, scientific)).collect();
    let widest = |k: usize| parts.iter().flatten().map(|part| part[k].len()).max().unwrap_or(0);
    let (whole, fraction, exponent) = (widest(0), widest(1), widest(2));
    // What is not a number is aligned to the end of the numbers.
    let names = |d: &Digits| {
        if d.value.is_nan() {
            "nan"
        } else if d.value > 0.0 {
            "inf"
        } else {
            "-inf"
        }
    };
    let tail = 1 + fraction + exponent;
    let odd = values.iter().zip(&parts).filter(|(_, part)| part.is_none()).map(|(d, _)| names(d).len()).max();
    let width = odd.map_or(whole + tail, |odd| odd.max(whole + tail));
    let fill = if scientific { '0' } else { ' ' };
    let word = |(d, part): (&Digits, &Option<[String; 3]>)| match part {
        None => format!("{:>width$}", names(d)),
        Some([w, f, e]) => {
            let mut f = f.clone();
            f.extend(std::iter::repeat_n(fill, fraction - f.len()));
            let e = if e.is_empty() { String::new() } else { format!("e{}{:0>2$}", &e[1..2], &e[2..], exponent - 2) };
            format!("{:>width$}", format!("{w}.{f}{e}"))
        }
    };
    values.iter().zip(&parts).map(word).collect()
}

/// A number and the shortest decimal that reads back as it in its own type: `[-]d.ddde[-]x`.
struct Digits {
    value: f64,
    shortest: String,
}

impl Digits {
    fn of<T: Element>(x: T) -> Digits {
        let value = x.to_f64();
        let shortest = match T::DTYPE {
            DType::F64 => format!("{value:e}"),
            DType::F32 => format!("{:e}", x.to_f32()),
            _ => {
                let reads_back = |text: &String| text.parse().map(T::from_f64) == Ok(x);
                (0..17).map(|n| format!("{value:.n$e}")).find(reads_back).unwrap_or_else(|| format!("{value:e}"))
            }
        };
        Digits { value, shortest }
    }

    /// Whole part with sign, fraction without trailing zeros, and `e`, sign and digits of the exponent (empty in
    /// positional notation); `None` if the number is not finite.
    fn parts(&self, precision: usize, scientific: bool) -> Option<[String; 3]> {
        if !self.value.is_finite() {
            return None;
        }
        let (mantissa, exponent) = self.shortest.split_once('e')?;
        let power: i32 = exponent.parse().ok()?;
        let digits = mantissa.split_once('.').map_or(0, |(_, fraction)| fraction.len());
        let text = if scientific {
            if digits <= precision { self.shortest.clone() } else { format!("{:.precision$e}", self.value) }
        } else {
            self.positional(digits as i32 - power, precision)
        };
        let (number, exponent) = text.split_once('e').unwrap_or((&text, ""));
        let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
        let exponent = match exponent.strip_prefix('-') {
            _ if exponent.is_empty() => String::new(),
            Some(size) => format!("e-{size:0>2}"),
            None => format!("e+{exponent:0>2}"),
        };
        Some([whole.into(), fraction.trim_end_matches('0').into(), exponent])
    }

    /// The shortest decimal without exponent, rounded where it has more than `precision` of its `places` after the
    /// point.
    fn positional(&self, places: i32, precision: usize) -> String {
        if places > precision as i32 {
            return format!("{:.precision$}", self.value);
        }
        // The shortest digits, parsed as f64, print as themselves.
        let shortest: f64 = self.shortest.parse().unwrap_or(self.value);
        format!("{shortest}")
    }
}

/// Words laid out in lines and brackets.
struct Page<'a> {
    /// Extents of the tensor.
    shape: &'a [usize],
    /// Extents of what is shown.
    shown: &'a [usize],
    /// Its elements, row by row.
    words: &'a [String],
    separator: &'a str,
}

impl Page<'_> {
    /// The text of the block that starts at word `start`, along `axis` and the axes after it.
    fn text(&self, axis: usize, start: usize, indent: usize, width: usize) -> String {
        if axis == self.shape.len() {
            return self.words[start].clone();
        }
        let block: usize = self.shown[axis + 1..].iter().product();
        let cut = self.shown[axis] < self.shape[axis];
        let mut items: Vec<String> =
            (0..self.shown[axis]).map(|k| self.text(axis + 1, start + k * block, indent + 1, width - 1)).collect();
        if cut {
            items.insert(EDGE, "...".into());
        }
        let inside = match self.shape.len() - axis {
            1 => self.row(&items, indent, width),
            left => {
                let end = format!("{}{}{}", self.separator.trim_end(), "\n".repeat(left - 1), " ".repeat(indent));
                items.join(&end)
            }
        };
        format!("[{inside}]")
    }

    /// Words side by side, in as many lines as it takes.
    fn row(&self, words: &[String], indent: usize, width: usize) -> String {
        let limit = width - self.separator.trim_end().len().max(1);
        let mut text = String::new();
        let mut column = indent;
        for (k, word) in words.iter().enumerate() {
            if column + word.len() > limit && column > indent {
                text.truncate(text.trim_end().len());
                text.push('\n');
                text.push_str(&" ".repeat(indent));
                column = indent;
            }
            text.push_str(word);
            column += word.len();
            if k + 1 < words.len() {
                text.push_str(self.separator);
                column += self.separator.len();
            }
        }
        text
    }
}
