//! A table of a model's parameters.

use cotangent_core::module::{Path, Slot};
use cotangent_core::{DType, Module, Shape};
use std::collections::HashSet;
use std::fmt;

/// A model's parameters and buffers; see [`summary`].
#[derive(Clone, Debug)]
pub struct Summary {
    /// One for each path.
    pub rows: Vec<Row>,
}

/// A parameter or buffer.
#[derive(Clone, Debug)]
pub struct Row {
    /// Where it is.
    pub path: String,
    /// Element type.
    pub dtype: DType,
    /// Extents.
    pub shape: Shape,
    /// What it is.
    pub kind: Kind,
}

/// What a row of a [`Summary`] is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// Learned.
    Trainable,
    /// A parameter that is not learned now.
    Frozen,
    /// Running statistics.
    Buffer,
    /// A parameter that was listed before under another path; it does not count again.
    Tied,
}

/// The parameters and buffers of a model. Displayed, it is a table.
///
/// ```
/// use cotangent_core::Rng;
/// use cotangent_layers::*;
/// let model = (Dense::new(3, 2, &Rng::new(1)), BatchNorm::new(2), Relu);
/// let summary = summary(&model);
/// assert_eq!((summary.total(), summary.trainable()), (16, 12));
/// println!("{summary}");
/// ```
pub fn summary(model: &(impl Module + ?Sized)) -> Summary {
    let mut rows = vec![];
    let mut seen = HashSet::new();
    model.visit(&Path::ROOT, &mut |path, slot| {
        let (dtype, shape, kind) = match slot {
            Slot::Param(param) => {
                let kind = match (seen.insert(param.id()), param.is_trainable()) {
                    (false, _) => Kind::Tied,
                    (true, true) => Kind::Trainable,
                    (true, false) => Kind::Frozen,
                };
                (param.dtype(), param.shape().clone(), kind)
            }
            Slot::Buffer(buffer) => {
                let value = buffer.get();
                (value.dtype(), value.shape().clone(), Kind::Buffer)
            }
        };
        rows.push(Row { path: path.to_string(), dtype, shape, kind });
    });
    Summary { rows }
}

impl Summary {
    fn count(&self, of: impl Fn(Kind) -> bool) -> usize {
        self.rows.iter().filter(|row| of(row.kind)).map(|row| row.shape.count()).sum()
    }

    /// Numbers that are learned.
    pub fn trainable(&self) -> usize {
        self.count(|kind| kind == Kind::Trainable)
    }

    /// Numbers that are not: frozen parameters and buffers.
    pub fn fixed(&self) -> usize {
        self.count(|kind| matches!(kind, Kind::Frozen | Kind::Buffer))
    }

    /// All numbers.
    pub fn total(&self) -> usize {
        self.trainable() + self.fixed()
    }

    /// Memory of all numbers.
    pub fn bytes(&self) -> usize {
        let own = self.rows.iter().filter(|row| row.kind != Kind::Tied);
        own.map(|row| row.shape.count() * row.dtype.size()).sum()
    }
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let width = self.rows.iter().map(|row| row.path.len()).max().unwrap_or(0).max(4);
        let shapes = self.rows.iter().map(|row| row.shape.to_string().len()).max().unwrap_or(0).max(5);
        writeln!(f, "{:width$}  {:shapes$}  {:4}  {:>11}  kind", "path", "shape", "type", "count")?;
        for Row { path, dtype, shape, kind } in &self.rows {
            let (shape, count) = (shape.to_string(), grouped(shape.count()));
            let kind = match kind {
                Kind::Trainable => "trainable",
                Kind::Frozen => "frozen",
                Kind::Buffer => "buffer",
                Kind::Tied => "tied",
            };
            writeln!(f, "{path:width$}  {shape:shapes$}  {dtype:4}  {count:>11}  {kind}")?;
        }
        let [total, trainable, fixed] = [self.total(), self.trainable(), self.fixed()].map(grouped);
        write!(f, "total {total}: trainable {trainable}, not trainable {fixed}; {} bytes", grouped(self.bytes()))
    }
}

/// Digits in groups of three.
fn grouped(n: usize) -> String {
    let digits = n.to_string();
    let mut out = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}
