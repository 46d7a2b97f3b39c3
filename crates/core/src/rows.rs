//! Several programs over the same rows: statistics of each row, and what is made of the row by them.
//!
//! One after the other, each would read its arguments from memory again. [`Backend::rows`](crate::backend::Backend::rows)
//! takes them together, so that a row is still in the cache when the next program reads it.

use crate::backend::{Fold, RowStep, RowSteps, View};
use crate::expr::{Expr, Traced, trace, trace_with};
use crate::pointwise::{Given, apply, reduce};
use crate::profile;
use crate::shape::{Axes, Layout, Shape};
use crate::tape::tracks;
use crate::tensor::Tensor;
use smallvec::SmallVec;

/// Steps over the same rows, in the making. Each is a program over inputs and results of steps before it, which broadcast;
/// a fold leaves the reduced axes with extent 1.
pub(crate) struct Rows {
    op: &'static str,
    reduced: SmallVec<[bool; 6]>,
    inputs: SmallVec<[Tensor; 6]>,
    steps: SmallVec<[Step; 6]>,
    /// Results so far.
    results: usize,
}

/// An input, or a result of a step.
#[derive(Clone, Copy)]
pub(crate) enum Row {
    Input(usize),
    Result(usize),
}

struct Step {
    traced: Traced,
    args: SmallVec<[Row; 6]>,
    fold: Option<Fold>,
}

impl Rows {
    /// With folds over the marked axes.
    pub fn new(op: &'static str, reduced: &[bool]) -> Rows {
        let reduced = SmallVec::from_slice(reduced);
        Rows { op, reduced, inputs: SmallVec::new(), steps: SmallVec::new(), results: 0 }
    }

    /// With folds along one axis of `x`.
    #[track_caller]
    pub fn along(op: &'static str, axis: isize, x: &Tensor) -> Rows {
        Rows::new(op, &Axes::from(axis).resolve(op, x.shape()).0)
    }

    /// Values from outside; the first of all has the full shape.
    pub fn inputs<const N: usize>(&mut self, inputs: [&Tensor; N]) -> [Row; N] {
        let first = self.inputs.len();
        self.inputs.extend(inputs.into_iter().cloned());
        std::array::from_fn(|k| Row::Input(first + k))
    }

    /// A function at every element, of values and numbers.
    pub fn map<const N: usize, const U: usize, const M: usize>(
        &mut self,
        args: [Row; N],
        numbers: [f64; U],
        f: impl Fn([Expr; N], [Expr; U]) -> [Expr; M] + 'static,
    ) -> [Row; M] {
        self.step(None, &args, trace_with(numbers, f))
    }

    /// A function at every element, folded over each row.
    pub fn fold<const N: usize, const M: usize>(
        &mut self,
        fold: Fold,
        args: [Row; N],
        f: impl Fn([Expr; N]) -> [Expr; M] + 'static,
    ) -> [Row; M] {
        self.step(Some(fold), &args, trace(f))
    }

    fn step<const M: usize>(&mut self, fold: Option<Fold>, args: &[Row], traced: Traced) -> [Row; M] {
        self.steps.push(Step { traced, args: SmallVec::from_slice(args), fold });
        self.results += M;
        std::array::from_fn(|k| Row::Result(self.results - M + k))
    }

    /// The number of a value among all: inputs come first.
    fn number(&self, row: Row) -> usize {
        match row {
            Row::Input(k) => k,
            Row::Result(k) => self.inputs.len() + k,
        }
    }

    /// The values that are wanted. Tracked inputs are differentiated through all steps.
    #[track_caller]
    pub fn run<const M: usize>(self, wanted: [Row; M]) -> [Tensor; M] {
        let _op = profile::operation(self.op);
        let wanted = wanted.map(|row| self.number(row));
        let mut values = self.together(&wanted).unwrap_or_else(|| {
            let all = self.in_turn();
            wanted.iter().map(|&k| all[k].clone()).collect()
        });
        values.reverse();
        wanted.map(|_| values.pop().expect("as many as wanted"))
    }

    /// One value: see [`run`](Rows::run).
    #[track_caller]
    pub fn value(self, row: Row) -> Tensor {
        let [value] = self.run([row]);
        value
    }

    fn numbers(&self, step: &Step) -> SmallVec<[usize; 6]> {
        step.args.iter().map(|&row| self.number(row)).collect()
    }

    /// All values, each step an operation of its own.
    #[track_caller]
    fn in_turn(&self) -> Vec<Tensor> {
        let mut values = self.inputs.to_vec();
        for step in &self.steps {
            let args = step.args.iter().map(|&row| Given::Shared(&values[self.number(row)]));
            let mut args: SmallVec<[Given; 4]> = args.collect();
            let results = match step.fold {
                None => apply(self.op, &step.traced, &mut args),
                Some(fold) => reduce(self.op, &step.traced, &args, fold, &self.reduced, true),
            };
            drop(args);
            values.extend(results);
        }
        values
    }

    /// The wanted values, by a backend that takes all steps together; `None` if it does not, or derivatives are recorded.
    fn together(&self, wanted: &[usize]) -> Option<SmallVec<[Tensor; 4]>> {
        let first = &self.inputs[0];
        let dtype = first.dtype();
        let like_it = |x: &Tensor| x.dtype() == dtype && x.device() == first.device() && !tracks(x);
        if self.reduced.first() != Some(&false) || !dtype.is_float() || !self.inputs.iter().all(like_it) {
            return None;
        }
        let shapes = self.shapes()?;
        // Leading axes become one if all values extend along all of them or along none.
        let lead = self.reduced.iter().take_while(|r| !**r).count();
        let whole = &shapes[0][..lead];
        let merges = shapes.iter().all(|s| s[..lead] == *whole || s[..lead].iter().all(|&n| n == 1));
        let laid = |shape: &Shape| match merges {
            true => std::iter::once(shape[..lead].iter().product()).chain(shape[lead..].iter().copied()).collect(),
            false => shape.clone(),
        };
        let layouts: Option<SmallVec<[Layout; 6]>> =
            self.inputs.iter().zip(&shapes).map(|(x, shape)| x.layout().reshape(&laid(shape))).collect();
        let layouts = layouts?;
        let inputs = self.inputs.iter().zip(&layouts).map(|(x, layout)| View { layout, ..x.view() }).collect();
        let steps = self.steps.iter().map(|step| {
            let args = self.numbers(step);
            let shape = laid(&common(&shapes, &args).expect("seen before"));
            RowStep { program: &step.traced.program, uniforms: &step.traced.uniforms, args, shape, fold: step.fold }
        });
        let results = first.device().backend().rows(RowSteps {
            inputs,
            steps: steps.collect(),
            reduced: &self.reduced[if merges { lead - 1 } else { 0 }..],
            dtype,
            wanted: SmallVec::from_slice(wanted),
        })?;
        let tensor = |(storage, &k): (_, &usize)| {
            Tensor::from_storage(storage, Layout::contiguous(&shapes[k]), dtype, first.device().clone())
        };
        Some(results.into_iter().zip(wanted).map(tensor).collect())
    }

    /// Extents of all values, with as many axes as the first has; `None` if one has more.
    fn shapes(&self) -> Option<Vec<Shape>> {
        let rank = self.reduced.len();
        let padded = |x: &Tensor| {
            let ones = rank.checked_sub(x.rank())?;
            Some(std::iter::repeat_n(1, ones).chain(x.shape().iter().copied()).collect())
        };
        let mut shapes: Vec<Shape> = self.inputs.iter().map(padded).collect::<Option<_>>()?;
        for step in &self.steps {
            let mut shape = common(&shapes, &self.numbers(step))?;
            if step.fold.is_some() {
                shape = shape.reduced(&self.reduced, true);
            }
            shapes.extend(std::iter::repeat_n(shape, step.traced.program.outputs().len()));
        }
        Some(shapes)
    }
}

/// What some of the shapes broadcast to.
fn common(shapes: &[Shape], which: &[usize]) -> Option<Shape> {
    let mut all = which.iter().map(|&k| &shapes[k]);
    let first = all.next()?.clone();
    all.try_fold(first, |shape, next| shape.broadcast(next))
}
