//! Reductions.

use crate::backend::Fold;
use crate::expr::trace;
use crate::pointwise::reduce;
use crate::shape::{Axes, keep};
use crate::tensor::Tensor;
use smallvec::smallvec;
use std::borrow::Cow;

impl Tensor {
    #[track_caller]
    fn fold(&self, op: &'static str, fold: Fold, axes: impl Into<Axes>) -> Tensor {
        let (reduced, keep) = axes.into().resolve(op, self.shape());
        if !reduced.contains(&true) && self.dtype().is_float() {
            return self.clone();
        }
        reduce(op, &trace(|[x]| x), smallvec![Cow::Borrowed(self)], fold, &reduced, keep).remove(0)
    }

    /// Sum over `axes`: `x.sum(..)`, `x.sum(-1)`, `x.sum(keep([0, 2]))`. Integers and booleans sum to `I64`.
    #[track_caller]
    pub fn sum(&self, axes: impl Into<Axes>) -> Tensor {
        self.fold("sum", Fold::Sum, axes)
    }

    /// Product over `axes`. The gradient is exact also where elements are 0.
    #[track_caller]
    pub fn prod(&self, axes: impl Into<Axes>) -> Tensor {
        self.fold("prod", Fold::Prod, axes)
    }

    /// Largest element over `axes`, NaN if any is. Equal largest elements share the gradient.
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

    /// Arithmetic mean over `axes`; NaN over nothing.
    #[track_caller]
    pub fn mean(&self, axes: impl Into<Axes>) -> Tensor {
        let axes = axes.into();
        if !self.dtype().is_float() {
            panic!("mean: needs floating-point elements, got {} of shape {}; convert with .to(DType::F32)", self.dtype(), self.shape());
        }
        let (reduced, _) = axes.resolve("mean", self.shape());
        let count: usize = self.shape().iter().zip(&reduced).filter(|(_, r)| **r).map(|(n, _)| n).product();
        self.fold("mean", Fold::Sum, axes) / count as f64
    }

    /// Variance over `axes`: Σ(x − mean)² / (n − correction). `correction` is 1 for the unbiased estimate, 0 for the
    /// population's. Two passes, so that it does not cancel.
    #[track_caller]
    pub fn var(&self, axes: impl Into<Axes>, correction: f64) -> Tensor {
        let axes = axes.into();
        let (reduced, _) = axes.resolve("var", self.shape());
        let count: usize = self.shape().iter().zip(&reduced).filter(|(_, r)| **r).map(|(n, _)| n).product();
        let mean = self.mean(keep(axes.clone()));
        let squares = crate::pointwise(|[x, m]| (x - m).square()).named("var").fold(Fold::Sum, axes, [self, &mean]);
        squares / (count as f64 - correction).max(0.0)
    }
}
