//! Sums of products by Einstein's notation.
//!
//! An equation is reduced to what exists: a repeated index is a diagonal, one that only one operand has is a sum, and
//! two operands are a batch of matrix products or a broadcast product. So the gradients of all orders are theirs.

use crate::backend::Fold;
use crate::dtype::DType;
use crate::pointwise::pointwise;
use crate::shape::{Shape, resolve_axis};
use crate::tape::at_caller;
use crate::tensor::{Tensor, same_device, same_dtype};
use std::collections::BTreeMap;

/// An index of an equation: a letter, or the n-th axis from the back of an ellipsis.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
enum Label {
    /// Ordered so that the front axis comes first.
    Dots(std::cmp::Reverse<usize>),
    Letter(char),
}

/// A tensor with a label for each axis, all different.
struct Term {
    x: Tensor,
    labels: Vec<Label>,
}

impl Tensor {
    /// A sum of products in Einstein's notation, with NumPy's grammar: `"ij,jk->ik"` is the product of two matrices.
    ///
    /// Each operand has a letter for each axis; letters that the result does not name are summed over, one that an
    /// operand has twice is its diagonal, and `...` stands for any axes, which broadcast. Without `->` the result has the
    /// axes of `...` and the letters that occur once, in alphabetical order. Extents of 1 broadcast. Spaces do not matter.
    ///
    /// Operands are multiplied in pairs, each time the pair that shrinks the intermediate results most.
    ///
    /// # Panics
    /// If the equation is malformed, does not fit the operands, or they differ in element type or device.
    ///
    /// ```
    /// # use cotangent_core::*;
    /// let x = Tensor::arange(0.0, 6.0).reshape([2, 3]);
    /// assert_eq!(Tensor::einsum("ij,kj->ik", &[&x, &x]).to_vec::<f32>(), [5.0, 14.0, 14.0, 50.0]);
    /// assert_eq!(Tensor::einsum("...j->...", &[&x]).to_vec::<f32>(), [3.0, 12.0]);
    /// ```
    #[track_caller]
    pub fn einsum(equation: &str, operands: &[&Tensor]) -> Tensor {
        for x in operands {
            same_device("einsum", operands[0], x);
            same_dtype("einsum", operands[0], x);
            if operands.len() > 1 {
                not_bool("einsum", x);
            }
        }
        match at_caller(|| Equation::parse(equation, operands)) {
            Ok(Equation { terms, output }) => at_caller(|| contract(terms, &output)),
            Err(reason) => {
                let shapes: Vec<String> = operands.iter().map(|x| x.shape().to_string()).collect();
                panic!("einsum: \"{equation}\" with shapes {}: {reason}", shapes.join(" and "))
            }
        }
    }

    /// The sum of products over `axes` of this tensor and `rhs_axes` of the other, in pairs; the result has the other
    /// axes of both.
    ///
    /// # Panics
    /// If extents in a pair differ, or an axis is named twice.
    ///
    /// ```
    /// # use cotangent_core::*;
    /// let (a, b) = (Tensor::ones([2, 3, 4]), Tensor::ones([4, 3, 5]));
    /// assert_eq!(a.tensordot(&b, [1, 2], [1, 0]).shape(), &[2, 5]);
    /// ```
    #[track_caller]
    pub fn tensordot<const N: usize>(&self, rhs: &Tensor, axes: [isize; N], rhs_axes: [isize; N]) -> Tensor {
        let op = "tensordot";
        same_device(op, self, rhs);
        same_dtype(op, self, rhs);
        not_bool(op, self);
        crate::Axes::from(axes).resolve(op, self.shape());
        crate::Axes::from(rhs_axes).resolve(op, rhs.shape());
        // Axes are numbered through both operands; a pair has the number of its left one.
        let mut labels: Vec<u32> = (0..(self.rank() + rhs.rank()) as u32).collect();
        for (a, b) in axes.into_iter().zip(rhs_axes) {
            let (a, b) = (resolve_axis(op, a, self.shape()), resolve_axis(op, b, rhs.shape()));
            if self.shape()[a] != rhs.shape()[b] {
                panic!(
                    "{op}: axis {a} of shape {} and axis {b} of shape {} are summed over together; they must be equal",
                    self.shape(),
                    rhs.shape()
                );
            }
            labels[self.rank() + b] = a as u32;
        }
        let labels: Vec<Label> =
            labels.into_iter().map(|k| Label::Letter(char::from_u32(k).expect("few axes"))).collect();
        let (left, right) = labels.split_at(self.rank());
        let alone = |l: &&Label| labels.iter().filter(|m| m == l).count() == 1;
        let output: Vec<Label> = labels.iter().filter(alone).copied().collect();
        let term = |x: &Tensor, labels: &[Label]| Term { x: x.clone(), labels: labels.to_vec() };
        at_caller(|| contract(vec![term(self, left), term(rhs, right)], &output))
    }
}

/// Panics at products of truth values.
#[track_caller]
fn not_bool(op: &str, x: &Tensor) {
    if x.dtype() == DType::Bool {
        panic!("{op}: arithmetic on bool of shape {}; convert with .to(DType::I64) or .to(DType::F32)", x.shape());
    }
}

/// An equation that fits its operands.
struct Equation {
    terms: Vec<Term>,
    output: Vec<Label>,
}

impl Equation {
    fn parse(equation: &str, operands: &[&Tensor]) -> Result<Equation, String> {
        let compact: String = equation.chars().filter(|c| *c != ' ').collect();
        let (inputs, output) = match compact.split_once("->") {
            Some((inputs, output)) => (inputs, Some(output)),
            None => (&compact[..], None),
        };
        let subscripts: Vec<&str> = inputs.split(',').collect();
        if subscripts.len() != operands.len() {
            return Err(format!("it has {} operands, but {} are given", subscripts.len(), operands.len()));
        }
        let mut terms = vec![];
        let mut all: Vec<Label> = vec![];
        for (&subscript, &x) in subscripts.iter().zip(operands) {
            if x.dtype() == DType::Bool {
                return Err("bool has no sums of products; convert with .to(DType::I64) or .to(DType::F32)".into());
            }
            let named = labels(subscript, |letters| x.rank().checked_sub(letters))?;
            if named.len() != x.rank() {
                return Err(format!("`{subscript}` does not name the {} axes of shape {}", x.rank(), x.shape()));
            }
            all.extend(&named);
            terms.push(diagonals(x, named).map_err(|reason| format!("`{subscript}`: {reason}"))?);
        }
        extents(&terms)?;
        let dots: Vec<Label> = sorted(all.iter().copied().filter(|l| matches!(l, Label::Dots(_))));
        let output = match output {
            Some(text) => labels(text, |_| Some(dots.len()))?,
            None => {
                let once = |l: &Label| matches!(l, Label::Letter(_)) && all.iter().filter(|m| *m == l).count() == 1;
                dots.iter().copied().chain(sorted(all.iter().copied().filter(once))).collect()
            }
        };
        if let Some(l) = output.iter().find(|l| output.iter().filter(|m| m == l).count() > 1) {
            return Err(format!("the result names {} twice", name(*l)));
        }
        if let Some(l) = output.iter().find(|l| !all.contains(l)) {
            return Err(format!("the result names {}, which no operand has", name(*l)));
        }
        if dots.iter().any(|l| !output.contains(l)) {
            return Err("the result leaves out `...`, which stands for axes of an operand; name it there".into());
        }
        Ok(Equation { terms, output })
    }
}

fn name(label: Label) -> String {
    match label {
        Label::Letter(c) => format!("`{c}`"),
        Label::Dots(_) => "`...`".into(),
    }
}

fn sorted(labels: impl Iterator<Item = Label>) -> Vec<Label> {
    let mut all: Vec<Label> = labels.collect();
    all.sort();
    all.dedup();
    all
}

/// The labels of one subscript; `dots` says how many axes `...` stands for, given the number of letters.
fn labels(subscript: &str, dots: impl Fn(usize) -> Option<usize>) -> Result<Vec<Label>, String> {
    let (front, back) = match subscript.split_once("...") {
        Some((front, back)) => (front, Some(back)),
        None => (subscript, None),
    };
    let letters = |text: &str| -> Result<Vec<Label>, String> {
        let letter = |c: char| if c.is_ascii_alphabetic() { Ok(Label::Letter(c)) } else { Err(c) };
        let bad = |c| format!("`{c}` in `{subscript}` is no letter; the grammar is letters, one `...`, `,` and `->`");
        text.chars().map(letter).collect::<Result<_, _>>().map_err(bad)
    };
    let mut all = letters(front)?;
    if let Some(back) = back {
        let back = letters(back)?;
        let Some(count) = dots(all.len() + back.len()) else {
            return Err(format!("`{subscript}` has more letters than the operand has axes"));
        };
        all.extend((0..count).rev().map(|k| Label::Dots(std::cmp::Reverse(k))));
        all.extend(back);
    }
    Ok(all)
}

/// Repeated labels of one operand made one, by its diagonal.
fn diagonals(x: &Tensor, mut labels: Vec<Label>) -> Result<Term, String> {
    let mut x = x.clone();
    while let Some((a, b)) =
        (0..labels.len()).flat_map(|b| (0..b).map(move |a| (a, b))).find(|&(a, b)| labels[a] == labels[b])
    {
        let [m, n] = [x.shape()[a], x.shape()[b]];
        if m != n {
            return Err(format!("{} stands for extents {m} and {n}; they must be equal", name(labels[a])));
        }
        x = x.diagonal(0, a as isize, b as isize);
        let label = labels.remove(b);
        labels.remove(a);
        labels.push(label);
    }
    Ok(Term { x, labels })
}

/// Checks that a label has one extent, apart from 1, everywhere.
fn extents(terms: &[Term]) -> Result<(), String> {
    let mut known: BTreeMap<Label, usize> = BTreeMap::new();
    for (label, &n) in terms.iter().flat_map(|t| t.labels.iter().zip(t.x.shape().iter())) {
        let seen = known.entry(*label).or_insert(n);
        match (*seen, n) {
            (m, n) if m == n => {}
            (1, n) => *seen = n,
            (_, 1) => {}
            (m, n) => return Err(format!("{} stands for extents {m} and {n}; they must be equal", name(*label))),
        }
    }
    Ok(())
}

/// The product of all terms, summed over the labels that are not in `output`, with its axes in that order.
#[track_caller]
fn contract(mut terms: Vec<Term>, output: &[Label]) -> Tensor {
    while terms.len() > 1 {
        let (i, j) = best_pair(&terms, output);
        let b = terms.remove(j);
        let a = terms.remove(i);
        let kept = |l: &Label| output.contains(l) || terms.iter().any(|t| t.labels.contains(l));
        let product = a.times(b, &kept);
        terms.push(product);
    }
    let last = terms.pop().expect("an equation has an operand").summed(&|l| output.contains(l));
    last.ordered(output).x
}

/// The pair whose product has the fewest elements more than its factors; the first of those.
fn best_pair(terms: &[Term], output: &[Label]) -> (usize, usize) {
    let pairs = (0..terms.len()).flat_map(|j| (0..j).map(move |i| (i, j)));
    let growth = |&(i, j): &(usize, usize)| {
        let others = || terms.iter().enumerate().filter(|&(k, _)| k != i && k != j);
        let kept = |l: &Label| output.contains(l) || others().any(|(_, t)| t.labels.contains(l));
        let mut extents: BTreeMap<Label, f64> = BTreeMap::new();
        for t in [&terms[i], &terms[j]] {
            for (l, &n) in t.labels.iter().zip(t.x.shape().iter()).filter(|(l, _)| kept(l)) {
                let extent = extents.entry(*l).or_insert(1.0);
                *extent = if *extent == 1.0 { n as f64 } else { *extent };
            }
        }
        extents.values().product::<f64>() - terms[i].x.count() as f64 - terms[j].x.count() as f64
    };
    let costs = pairs.map(|pair| (growth(&pair), pair));
    costs.min_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1))).expect("there are two terms").1
}

impl Term {
    fn extent(&self, label: &Label) -> Option<usize> {
        self.labels.iter().position(|l| l == label).map(|axis| self.x.shape()[axis])
    }

    /// Summed over the labels that are not kept.
    #[track_caller]
    fn summed(self, kept: &dyn Fn(&Label) -> bool) -> Term {
        let gone: Vec<isize> = (0..).zip(&self.labels).filter(|(_, l)| !kept(l)).map(|(axis, _)| axis).collect();
        if gone.is_empty() {
            return self;
        }
        // Sums of integers are wider than their terms.
        let x = self.x.sum(&gone[..]).to(self.x.dtype());
        Term { x, labels: self.labels.into_iter().filter(|l| kept(l)).collect() }
    }

    /// With its axes in the order of `labels`, which are its own.
    #[track_caller]
    fn ordered(self, labels: &[Label]) -> Term {
        let place = |l: &Label| self.labels.iter().position(|m| m == l).expect("the labels are the term's");
        let order: Vec<isize> = labels.iter().map(|l| place(l) as isize).collect();
        Term { x: self.x.permute_axes(&order), labels: labels.to_vec() }
    }

    /// The product with another term, summed over the labels that are not kept.
    #[track_caller]
    fn times(self, other: Term, kept: &dyn Fn(&Label) -> bool) -> Term {
        // A label that is summed over and stretched, or in one term only, is summed there first.
        let both = |a: &Term, b: &Term, l: &Label| match (a.extent(l), b.extent(l)) {
            (Some(m), Some(n)) => m == n,
            _ => false,
        };
        let left_stays = |l: &Label| kept(l) || both(&self, &other, l);
        let right_stays = |l: &Label| kept(l) || both(&other, &self, l);
        let (left_labels, right_labels): (Vec<Label>, Vec<Label>) = (
            self.labels.iter().filter(|l| left_stays(l)).copied().collect(),
            other.labels.iter().filter(|l| right_stays(l)).copied().collect(),
        );
        let a = self.summed(&|l| left_labels.contains(l));
        let b = other.summed(&|l| right_labels.contains(l));
        let in_both = |l: &&Label| b.labels.contains(l);
        let (shared, rows): (Vec<Label>, Vec<Label>) = a.labels.iter().partition(in_both);
        let (batch, inner): (Vec<Label>, Vec<Label>) = shared.iter().partition(|l| kept(l));
        let columns: Vec<Label> = b.labels.iter().filter(|l| !a.labels.contains(l)).copied().collect();
        let labels = [&batch[..], &rows, &columns].concat();
        let a = a.ordered(&[&batch[..], &rows, &inner].concat()).x;
        let b = b.ordered(&[&batch[..], &inner, &columns].concat()).x;
        Term { x: batched(&a, &b, batch.len(), rows.len(), inner.len()), labels }
    }
}

/// `[batch.., rows.., inner..] · [batch.., inner.., columns..] = [batch.., rows.., columns..]`.
#[track_caller]
fn batched(a: &Tensor, b: &Tensor, batch: usize, rows: usize, inner: usize) -> Tensor {
    let (lead, n) = (batch as isize, b.rank() - batch - inner);
    let spaced = |x: &Tensor, at: isize, count: usize| (0..count).fold(x.clone(), |x, _| x.unsqueeze(at));
    if inner == 0 {
        return spaced(a, -1, n) * spaced(b, lead, rows);
    }
    if rows == 0 && n == 0 {
        let axes: Vec<isize> = (lead..a.rank() as isize).collect();
        return pointwise(|[x, y]| x * y).fold(Fold::Sum, &axes[..], [a, b]).to(a.dtype());
    }
    let tail = |x: &Tensor, from: usize, to: usize| x.shape()[from..to].iter().copied().collect::<Shape>();
    let (row_shape, column_shape) = (tail(a, batch, batch + rows), tail(b, batch + inner, b.rank()));
    let matrix = |x: &Tensor, split: usize| x.flatten(split as isize..).flatten(lead..split as isize);
    let product = matrix(a, batch + rows).matmul(&matrix(b, batch + inner));
    let shape: Shape =
        product.shape()[..batch].iter().chain(row_shape.iter()).chain(column_shape.iter()).copied().collect();
    product.reshape(shape)
}

crate::samples!("einsum", |s| {
    use crate::check::{Input, real};
    let x = |shape: &[usize]| real(shape, -2.0..2.0);
    let one = |s: &mut crate::check::Samples, equation: &'static str, a: Input| {
        s.case(equation, [a], move |[a]| Tensor::einsum(equation, &[a])).with_integers();
    };
    let two = |s: &mut crate::check::Samples, equation: &'static str, a: Input, b: Input| {
        s.case(equation, [a, b], move |[a, b]| Tensor::einsum(equation, &[a, b])).with_integers();
    };
    one(s, "ijj->ji", x(&[2, 3, 3]));
    one(s, "...i->", x(&[3]));
    two(s, "ij,jk", x(&[2, 3]), x(&[3, 4]));
    two(s, "...ij,...jk->...ik", x(&[2, 1, 2, 3]), x(&[3, 3, 2]));
    two(s, "bij,bij->b", x(&[2, 3, 2]), x(&[2, 3, 2]));
    two(s, "ij,kj->ik", x(&[2, 3]), x(&[2, 1]));
    two(s, "i,j->ji", x(&[2]), x(&[3]));
    s.case("bi,ij,bj->b", [x(&[2, 3]), x(&[3, 2]), x(&[2, 2])], |[a, b, c]| Tensor::einsum("bi,ij,bj->b", &[a, b, c]));
});
crate::samples!("tensordot", |s| {
    use crate::check::real;
    let x = |shape: &[usize]| real(shape, -2.0..2.0);
    s.case("two axes", [x(&[2, 3, 4]), x(&[4, 3, 2])], |[a, b]| a.tensordot(b, [1, 2], [1, 0])).with_integers();
    s.case("no axis", [x(&[2]), x(&[3])], |[a, b]| a.tensordot(b, [], []));
});
