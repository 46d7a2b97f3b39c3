//! The smallest inputs on which a gradient check fails.

use super::gradcheck::Gradcheck;
use super::graph::Function;
use super::inputs::{elements, plain};
use super::report::{Report, Smallest};
use crate::device::Device;
use crate::dtype::DType;
use crate::tensor::Tensor;
use std::collections::BTreeMap;
use std::mem::discriminant;
use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};

impl Gradcheck {
    /// The report on the smallest parts of `inputs` found for which the first failure is of the same kind as in
    /// `report`. Parts are copied row by row; a failure that needs the inputs' own layout is not shrunk.
    pub(super) fn shrunk(&self, f: &Function, inputs: &[Tensor], report: Report) -> Report {
        let kind = |report: &Report| report.failures().next().map(|found| discriminant(&found.verdict));
        let check = |inputs: Vec<Tensor>| {
            let found = catch_unwind(AssertUnwindSafe(|| self.check_these(f, &inputs))).ok()?;
            (kind(&found) == kind(&report)).then_some((inputs, found))
        };
        let Some(mut smallest) = check(inputs.iter().map(copied).collect()) else { return report };
        loop {
            let smaller = cuts(&smallest.0).into_iter().find_map(|(axes, range)| check(cut(&smallest.0, &axes, range)));
            let Some(smaller) = smaller else { break };
            smallest = smaller;
        }
        let (inputs, mut report) = smallest;
        report.smallest = inputs.iter().map(described).collect();
        if report.smallest.iter().all(Smallest::is_short) {
            let code: Vec<String> = inputs.iter().zip(&report.smallest).map(|(x, s)| s.code(x.device())).collect();
            report.replay = match self.call {
                "run_all" => format!("{}.run_all(f, &[{}])", self.code(), code.join(", ")),
                _ => format!("{}.run(f, [&{}])", self.code(), code.join(", &")),
            };
        }
        report
    }
}

/// Inputs and their axes.
type Axes = Vec<(usize, usize)>;

/// What may be left of the inputs: of all axes of one length, then of single axes; half of them, then all but one place.
fn cuts(inputs: &[Tensor]) -> Vec<(Axes, Range<usize>)> {
    let mut by_length: BTreeMap<usize, Axes> = BTreeMap::new();
    for (k, x) in inputs.iter().enumerate() {
        for (axis, &length) in x.shape().iter().enumerate().filter(|(_, length)| **length > 1) {
            by_length.entry(length).or_default().push((k, axis));
        }
    }
    let together = || by_length.iter().rev().map(|(&n, axes)| (n, axes.clone()));
    let single = together().filter(|(_, axes)| axes.len() > 1);
    let single = single.flat_map(|(n, axes)| axes.into_iter().map(move |axis| (n, vec![axis])));
    let groups: Vec<(usize, Axes)> = together().chain(single).collect();
    let left = |ranges: fn(usize) -> [Range<usize>; 2]| {
        groups.iter().flat_map(move |(n, axes)| ranges(*n).map(|range| (axes.clone(), range)))
    };
    let halves = left(|n| [0..n.div_ceil(2), n / 2..n]);
    halves.chain(left(|n| [0..n - 1, 1..n])).collect()
}

/// The inputs with these axes cut to a range.
fn cut(inputs: &[Tensor], axes: &Axes, range: Range<usize>) -> Vec<Tensor> {
    let mut smaller = inputs.to_vec();
    for &(k, axis) in axes {
        smaller[k] = smaller[k].narrow(axis as isize, range.start, range.len());
    }
    smaller.iter().map(copied).collect()
}

fn copied(x: &Tensor) -> Tensor {
    plain(x.device(), &elements(x), x.shape(), x.dtype())
}

fn described(x: &Tensor) -> Smallest {
    Smallest { dtype: x.dtype(), shape: x.shape().to_vec(), elements: elements(x) }
}

impl Smallest {
    /// An expression that makes the tensor.
    fn code(&self, device: &Device) -> String {
        let number = |x: &f64| match x {
            x if x.is_nan() => "f64::NAN".into(),
            x if x.is_infinite() => format!("{}f64::INFINITY", if *x < 0.0 { "-" } else { "" }),
            x => format!("{x:?}"),
        };
        let data: Vec<String> = self.elements.iter().map(number).collect();
        let make = if *device == Device::default() { "Tensor::from_slice" } else { "device.tensor" };
        let shape = if self.shape.is_empty() { "()".into() } else { format!("{:?}", self.shape) };
        let cast = if self.dtype == DType::F64 { String::new() } else { format!(".to(DType::{:?})", self.dtype) };
        format!("{make}::<f64>(&[{}], {shape}){cast}", data.join(", "))
    }
}
