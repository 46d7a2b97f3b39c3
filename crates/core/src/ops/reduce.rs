//! Reductions.

use crate::backend::Fold;
use crate::check::{distinct, given, real};
use crate::dtype::DType;
use crate::expr::{Expr, trace};
use crate::pointwise::{Given, pointwise, reduce};
use crate::profile;
use crate::shape::{Axes, Shape, keep};
use crate::tensor::Tensor;
use smallvec::SmallVec;

impl Tensor {
    #[track_caller]
    fn fold(&self, op: &'static str, fold: Fold, axes: impl Into<Axes>) -> Tensor {
        let (reduced, keep) = axes.into().resolve(op, self.shape());
        if !reduced.contains(&true) && self.dtype().is_float() {
            return self.clone();
        }
        reduce(op, &trace(|[x]| x), &[Given::Shared(self)], fold, &reduced, keep).pop().expect("one output")
    }

    /// A fold that is `empty` over nothing.
    #[track_caller]
    pub(crate) fn fold_or(&self, op: &'static str, fold: Fold, axes: Axes, empty: f64) -> Tensor {
        let (reduced, keep) = axes.resolve(op, self.shape());
        if over(self.shape(), &reduced) == 0 {
            return self.device().full(self.shape().reduced(&reduced, keep), empty, self.dtype());
        }
        self.fold(op, fold, axes)
    }

    /// Sum over `axes`: `x.sum(..)`, `x.sum(-1)`, `x.sum(keep([0, 2]))`. Integers and booleans sum to `I64`. 0 over
    /// nothing.
    #[track_caller]
    pub fn sum(&self, axes: impl Into<Axes>) -> Tensor {
        self.fold("sum", Fold::Sum, axes)
    }

    /// Product over `axes`, 1 over nothing. The gradient is exact also where elements are 0.
    #[track_caller]
    pub fn prod(&self, axes: impl Into<Axes>) -> Tensor {
        self.fold("prod", Fold::Prod, axes)
    }

    /// Largest element over `axes`, NaN if any is. Equal largest elements share the gradient; see
    /// [`max_with_index`](Tensor::max_with_index) for one that goes to the first.
    ///
    /// # Panics
    /// If there is nothing to choose from.
    #[track_caller]
    pub fn max(&self, axes: impl Into<Axes>) -> Tensor {
        self.fold("max", Fold::Max, axes)
    }

    /// Smallest element over `axes`, NaN if any is. Equal smallest elements share the gradient.
    ///
    /// # Panics
    /// If there is nothing to choose from.
    #[track_caller]
    pub fn min(&self, axes: impl Into<Axes>) -> Tensor {
        self.fold("min", Fold::Min, axes)
    }

    /// Smallest and largest element over `axes`; see [`min`](Tensor::min) and [`max`](Tensor::max).
    ///
    /// # Panics
    /// If there is nothing to choose from.
    #[track_caller]
    pub fn aminmax(&self, axes: impl Into<Axes>) -> (Tensor, Tensor) {
        let axes = axes.into();
        (self.fold("aminmax", Fold::Min, axes.clone()), self.fold("aminmax", Fold::Max, axes))
    }

    /// Arithmetic mean over `axes`; NaN over nothing.
    #[track_caller]
    pub fn mean(&self, axes: impl Into<Axes>) -> Tensor {
        let (axes, count) = self.counted("mean", axes.into());
        (self.widened().fold("mean", Fold::Sum, axes) / count).to(self.dtype())
    }

    /// Variance over `axes`: Σ(x − mean)²/(n − correction). `correction` is 1 for the unbiased estimate, 0 for the
    /// population's. Two passes, so that it does not cancel. NaN for one element
    /// with correction 1.
    #[track_caller]
    pub fn var(&self, axes: impl Into<Axes>, correction: f64) -> Tensor {
        let (axes, count) = self.counted("var", axes.into());
        let x = &self.widened();
        let mean = x.mean(keep(axes.clone()));
        let squares = pointwise(|[x, m]| (x - m).square()).named("var").fold(Fold::Sum, axes, [x, &mean]);
        (squares / (count - correction).max(0.0)).to(self.dtype())
    }

    /// Standard deviation: the root of [`var`](Tensor::var). The gradient is 0 where the deviation is 0.
    #[track_caller]
    pub fn std(&self, axes: impl Into<Axes>, correction: f64) -> Tensor {
        let (axes, _) = self.counted("std", axes.into());
        root(&self.widened().var(axes, correction), "std").to(self.dtype())
    }

    /// The p-norm over `axes`, (Σ|x|ᵖ)^(1/p): 2 is the Euclidean length, 1 the sum of absolute values, 0 the number of
    /// elements that are not 0, ±∞ the largest or smallest absolute value. The gradient is 0 where the norm is 0.
    ///
    /// ```
    /// # use cotangent_core::*;
    /// assert_eq!(Tensor::new([3.0, -4.0], [2]).norm(2.0, ..).item(), 5.0);
    /// ```
    #[track_caller]
    pub fn norm(&self, p: f64, axes: impl Into<Axes>) -> Tensor {
        let (axes, _) = self.counted("norm", axes.into());
        let x = &self.widened();
        let norm = if p == f64::INFINITY {
            pointwise(|[x]| x.abs()).named("norm").fold(Fold::Max, axes, [x])
        } else if p == f64::NEG_INFINITY {
            pointwise(|[x]| x.abs()).named("norm").fold(Fold::Min, axes, [x])
        } else if p == 0.0 {
            pointwise(|[x]| x.ne(0.0).select(1.0, 0.0)).named("norm").fold(Fold::Sum, axes, [x])
        } else if p == 1.0 {
            pointwise(|[x]| x.abs()).named("norm").fold(Fold::Sum, axes, [x])
        } else if p == 2.0 {
            root(&pointwise(|[x]| x.square()).named("norm").fold(Fold::Sum, axes, [x]), "norm")
        } else {
            // The power of 0 is known, but not its derivatives for every p.
            let zero = if p > 0.0 { 0.0 } else { f64::INFINITY };
            let power = move |[x]: [Expr; 1]| x.eq(0.0).select(zero, x.abs().pow(p));
            let sum = pointwise(power).named("norm").fold(Fold::Sum, axes, [x]);
            pointwise(move |[s]| s.eq(0.0).select(0.0, s.pow(1.0 / p))).named("norm").call([&sum])
        };
        norm.to(self.dtype())
    }

    /// Sum over `axes` of the elements that are numbers; NaN counts as 0 and gets no gradient.
    #[track_caller]
    pub fn nansum(&self, axes: impl Into<Axes>) -> Tensor {
        pointwise(|[x]| x.is_nan().select(0.0, x)).named("nansum").fold(Fold::Sum, axes, [self])
    }

    /// Mean over `axes` of the elements that are numbers; NaN if none is.
    #[track_caller]
    pub fn nanmean(&self, axes: impl Into<Axes>) -> Tensor {
        let (axes, _) = self.counted("nanmean", axes.into());
        let x = &self.widened();
        let known = |[x]: [Expr; 1]| [x.is_nan().select(0.0, x), x.is_nan().select(0.0, 1.0)];
        let [sum, count] = pointwise(known).named("nanmean").fold(Fold::Sum, axes, [x]);
        (sum / count.detach()).to(self.dtype())
    }

    /// Position (`I64`) of the first largest element over `axes`, row-major over them; the first NaN wins.
    ///
    /// # Panics
    /// If there is nothing to choose from.
    ///
    /// ```
    /// # use cotangent_core::*;
    /// let x = Tensor::new([1.0, 3.0, 2.0, 0.0], [2, 2]);
    /// assert_eq!(x.argmax(-1).to_vec::<i64>(), [1, 0]);
    /// assert_eq!(x.argmax(..).item(), 1.0);
    /// ```
    #[track_caller]
    pub fn argmax(&self, axes: impl Into<Axes>) -> Tensor {
        self.lanes("argmax", axes.into()).best(true)
    }

    /// Position (`I64`) of the first smallest element over `axes`; see [`argmax`](Tensor::argmax).
    ///
    /// # Panics
    /// If there is nothing to choose from.
    #[track_caller]
    pub fn argmin(&self, axes: impl Into<Axes>) -> Tensor {
        self.lanes("argmin", axes.into()).best(false)
    }

    /// Largest element over `axes` and its position as by [`argmax`](Tensor::argmax). The gradient goes to that one.
    ///
    /// # Panics
    /// If there is nothing to choose from.
    #[track_caller]
    pub fn max_with_index(&self, axes: impl Into<Axes>) -> (Tensor, Tensor) {
        let lanes = self.lanes("max_with_index", axes.into());
        lanes.pick(lanes.best(true))
    }

    /// Smallest element over `axes` and its position as by [`argmin`](Tensor::argmin). The gradient goes to that one.
    ///
    /// # Panics
    /// If there is nothing to choose from.
    #[track_caller]
    pub fn min_with_index(&self, axes: impl Into<Axes>) -> (Tensor, Tensor) {
        let lanes = self.lanes("min_with_index", axes.into());
        lanes.pick(lanes.best(false))
    }

    /// The axes, and how many elements each result is made of. Panics unless elements are floating-point.
    #[track_caller]
    pub(crate) fn counted(&self, op: &str, axes: Axes) -> (Axes, f64) {
        self.check_float(op);
        let (reduced, _) = axes.resolve(op, self.shape());
        (axes, over(self.shape(), &reduced) as f64)
    }

    /// Panics unless elements are floating-point.
    #[track_caller]
    pub(crate) fn check_float(&self, op: &str) {
        if !self.dtype().is_float() {
            panic!(
                "{op}: needs floating-point elements, got {} of shape {}; convert with .to(DType::F32)",
                self.dtype(),
                self.shape()
            );
        }
    }

    /// Half precision as `F32`, in which it is computed with: sums on the way would overflow or lose digits in it.
    #[track_caller]
    pub(crate) fn widened(&self) -> Tensor {
        self.to(self.dtype().widened())
    }

    /// This tensor with the reduced axes as one last axis, for operations that work along an axis.
    #[track_caller]
    pub(crate) fn lanes(&self, op: &'static str, axes: Axes) -> Lanes {
        let (reduced, keep) = axes.resolve(op, self.shape());
        let length = over(self.shape(), &reduced);
        if length == 0 {
            panic!("{op}: nothing to choose from: shape {} has no elements along the reduced axes", self.shape());
        }
        let (gone, kept): (Vec<isize>, Vec<isize>) = (0..self.rank() as isize).partition(|&a| reduced[a as usize]);
        let order: SmallVec<[isize; 6]> = kept.iter().chain(&gone).copied().collect();
        let mut shape = self.shape().reduced(&reduced, false);
        shape.push(length);
        let x = self.permute_axes(&order).reshape(shape);
        Lanes { x, op, shape: self.shape().reduced(&reduced, keep) }
    }
}

/// A tensor whose last axis holds what is reduced.
pub(crate) struct Lanes {
    pub(crate) x: Tensor,
    op: &'static str,
    /// The shape of a reduction.
    pub(crate) shape: Shape,
}

impl Lanes {
    /// Positions of the first largest or smallest elements.
    fn best(&self, largest: bool) -> Tensor {
        let axis = self.x.rank() - 1;
        let _op = profile::operation(self.op);
        let storage = self.x.device().backend().arg_fold(self.x.view(), axis, largest);
        let device = self.x.device().clone();
        Tensor::from_storage(storage, crate::Layout::contiguous(&self.shape), DType::I64, device)
    }

    /// The elements at positions of the reduction's shape, and the positions.
    #[track_caller]
    pub(crate) fn pick(&self, at: Tensor) -> (Tensor, Tensor) {
        let mut one = self.x.shape().clone();
        *one.last_mut().expect("lanes have an axis") = 1;
        let values = self.x.gather(-1, &at.reshape(&one)).reshape(&self.shape);
        (values, at)
    }

    /// Where a lane holds a NaN, the position of the first; else that of `at`.
    pub(crate) fn nan_or(&self, at: Tensor) -> Tensor {
        if !self.x.dtype().is_float() {
            return at;
        }
        let has = pointwise(|[x]| x.is_nan()).named(self.op).call([&self.x.detach()]).any(-1).reshape(&self.shape);
        has.select(&self.best(true), &at)
    }
}

/// √x with gradient 0 at 0.
#[track_caller]
fn root(x: &Tensor, op: &'static str) -> Tensor {
    pointwise(|[x]| x.eq(0.0).select(0.0, x.sqrt())).named(op).call([x])
}

/// How many elements lie along the reduced axes.
pub(crate) fn over(shape: &Shape, reduced: &[bool]) -> usize {
    shape.iter().zip(reduced).filter(|(_, r)| **r).map(|(n, _)| n).product()
}

/// Cases over several sets of axes.
macro_rules! axes_samples {
    ($($name:literal, $input:expr, |$x:ident, $axes:ident| $f:expr;)*) => {$(
        crate::samples!($name, |s| {
            s.case("all", [$input], |[$x]| { let $axes = Axes::from(..); $f });
            s.case("last, kept", [$input], |[$x]| { let $axes = keep(-1); $f });
            s.case("first and last", [$input], |[$x]| { let $axes = Axes::from([0, 2]); $f });
        });
    )*};
}
axes_samples! {
    "sum", real([2, 3, 2], -2.0..2.0), |x, axes| x.sum(axes);
    "prod", real([2, 3, 2], -2.0..2.0), |x, axes| x.prod(axes);
    "max", distinct([2, 3, 2], -2.0..2.0), |x, axes| x.max(axes);
    "min", distinct([2, 3, 2], -2.0..2.0), |x, axes| x.min(axes);
    "aminmax", distinct([2, 3, 2], -2.0..2.0), |x, axes| x.aminmax(axes);
    "mean", real([2, 3, 2], -2.0..2.0), |x, axes| x.mean(axes);
    "var", real([2, 3, 2], -2.0..2.0), |x, axes| x.var(axes, 1.0);
    "std", real([2, 3, 2], -2.0..2.0), |x, axes| x.std(axes, 0.0);
    "nansum", real([2, 3, 2], -2.0..2.0), |x, axes| x.nansum(axes);
    "nanmean", real([2, 3, 2], -2.0..2.0), |x, axes| x.nanmean(axes);
    "max_with_index", distinct([2, 3, 2], -2.0..2.0), |x, axes| x.max_with_index(axes);
    "min_with_index", distinct([2, 3, 2], -2.0..2.0), |x, axes| x.min_with_index(axes);
}
crate::samples!("norm", |s| {
    let x = || given([2, 3], &[-1.9, -1.1, -0.3, 0.2, 1.05, 1.8]);
    s.case("2", [x()], |[x]| x.norm(2.0, ..));
    s.case("1", [x()], |[x]| x.norm(1.0, keep(-1)));
    s.case("0", [x()], |[x]| x.norm(0.0, -1));
    s.case("3", [x()], |[x]| x.norm(3.0, 0));
    s.case("a half", [x()], |[x]| x.norm(0.5, -1));
    s.case("largest", [x()], |[x]| x.norm(f64::INFINITY, ..));
    s.case("smallest", [x()], |[x]| x.norm(f64::NEG_INFINITY, -1));
});
crate::samples!("argmax", |s| {
    s.case("all", [distinct([2, 3, 2], -2.0..2.0)], |[x]| x.argmax(..)).orders(0).with_integers();
    s.case("middle, kept", [distinct([2, 3, 2], -2.0..2.0)], |[x]| x.argmax(keep(1))).orders(0);
});
crate::samples!("argmin", |s| {
    s.case("all", [distinct([2, 3, 2], -2.0..2.0)], |[x]| x.argmin(..)).orders(0).with_integers();
    s.case("middle, kept", [distinct([2, 3, 2], -2.0..2.0)], |[x]| x.argmin(keep(1))).orders(0);
});
