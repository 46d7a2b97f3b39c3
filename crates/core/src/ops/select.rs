//! Choosing between elements: by a condition, within bounds, by a mask.

use crate::check::{distinct, given, real, truth};
use crate::dtype::DType;
use crate::expr::Expr;
use crate::pointwise::{Operand, pointwise};
use crate::tensor::Tensor;

impl Tensor {
    /// `yes` where `self` is true, else `no`; all broadcast. The gradient of the branch that is not taken is 0, but
    /// a NaN computed on the way there stays one: see [`select_safe`](Tensor::select_safe).
    #[track_caller]
    pub fn select(&self, yes: &Tensor, no: &Tensor) -> Tensor {
        pointwise(|[c, a, b]| c.select(a, b)).named("select").call([self, yes, no])
    }

    /// `f(x)` where `self` is true, else 0, with `f` evaluated at `safe` where it is not, so that neither the value
    /// nor the gradient sees a singularity there.
    ///
    /// ```
    /// # use cotangent_core::*;
    /// let x = Tensor::new([0.0, 4.0], [2]).tracked();
    /// let y = x.gt(0.0).select_safe(&x, 1.0, |x| x.sqrt());
    /// assert_eq!(y.sum(..).backward()[&x].to_vec::<f32>(), [0.0, 0.25]);
    /// ```
    #[track_caller]
    pub fn select_safe(&self, x: &Tensor, safe: f64, f: impl FnOnce(&Tensor) -> Tensor) -> Tensor {
        let inside = self.select(x, &x.full_like(safe));
        let y = f(&inside);
        self.select(&y, &y.full_like(0.0))
    }

    /// The elements cut to `min..=max`; bounds are numbers or tensors that broadcast, and the upper one wins where they
    /// contradict. NaN stays NaN, also from a bound. The gradient goes through where the element lies within the bounds
    /// or on one, else to the bound.
    ///
    /// ```
    /// # use cotangent_core::*;
    /// let x = Tensor::new([-2.0, 0.0, 2.0], [3]);
    /// assert_eq!(x.clamp(-1.0, 1.0).to_vec::<f32>(), [-1.0, 0.0, 1.0]);
    /// ```
    #[track_caller]
    pub fn clamp(&self, min: impl Operand, max: impl Operand) -> Tensor {
        match (min.number(), max.number()) {
            (Some(min), Some(max)) => {
                let formula = move |[x]: [Expr; 1]| below(above(x, min), max);
                pointwise(formula).named("clamp").call([self])
            }
            _ => {
                let bounds = [self.operand(min), self.operand(max)];
                pointwise(|[x, min, max]| below(above(x, min), max)).named("clamp").call([self, &bounds[0], &bounds[1]])
            }
        }
    }

    /// The elements, at least `min`; see [`clamp`](Tensor::clamp).
    #[track_caller]
    pub fn clamp_min(&self, min: impl Operand) -> Tensor {
        match min.number() {
            Some(min) => pointwise(move |[x]| above(x, min)).named("clamp_min").call([self]),
            None => pointwise(|[x, min]| above(x, min)).named("clamp_min").call([self, &self.operand(min)]),
        }
    }

    /// The elements, at most `max`; see [`clamp`](Tensor::clamp).
    #[track_caller]
    pub fn clamp_max(&self, max: impl Operand) -> Tensor {
        match max.number() {
            Some(max) => pointwise(move |[x]| below(x, max)).named("clamp_max").call([self]),
            None => pointwise(|[x, max]| below(x, max)).named("clamp_max").call([self, &self.operand(max)]),
        }
    }

    /// `value` where the mask is true: a number, or a tensor that broadcasts.
    ///
    /// # Panics
    /// If the mask does not broadcast to this shape.
    #[track_caller]
    pub fn masked_fill(&self, mask: &Tensor, value: impl Operand) -> Tensor {
        check_mask("masked_fill", self, mask);
        match value.number() {
            Some(value) => pointwise(move |[m, x]| m.select(value, x)).named("masked_fill").call([mask, self]),
            None => pointwise(|[m, x, v]| m.select(v, x)).named("masked_fill").call([mask, self, &self.operand(value)]),
        }
    }

    /// The elements where the mask is true, in row-major order, as a vector; both broadcast. Its length depends on the
    /// mask's elements, so the device is waited for.
    ///
    /// ```
    /// # use cotangent_core::*;
    /// let x = Tensor::new([1.0, -2.0, 3.0], [3]);
    /// assert_eq!(x.masked_select(&x.gt(0.0)).to_vec::<f32>(), [1.0, 3.0]);
    /// ```
    #[track_caller]
    pub fn masked_select(&self, mask: &Tensor) -> Tensor {
        let Some(shape) = self.shape().broadcast(mask.shape()) else {
            panic!(
                "masked_select: a mask of shape {} does not broadcast with shape {}; extents must be equal or 1",
                mask.shape(),
                self.shape()
            )
        };
        let whole = self.expand(&shape);
        whole.reshape([shape.count()]).gather(0, &mask.expand(&shape).positions("masked_select"))
    }

    /// A copy in which the elements where the mask is true are those of `source`, in row-major order. The source may have
    /// more elements than are needed. The device is waited for.
    ///
    /// # Panics
    /// If the mask does not broadcast to this shape or the source has too few elements.
    #[track_caller]
    pub fn masked_scatter(&self, mask: &Tensor, source: &Tensor) -> Tensor {
        check_mask("masked_scatter", self, mask);
        let at = mask.expand(self.shape()).positions("masked_scatter");
        let count = at.count();
        if source.count() < count {
            panic!(
                "masked_scatter: the mask is true at {count} elements, but a source of shape {} has only {}",
                source.shape(),
                source.count()
            );
        }
        let source = source.reshape([source.count()]).narrow(0, 0, count);
        self.reshape([self.count()]).scatter(0, &at, &source).reshape(self.shape())
    }

    /// The row-major positions of the elements of a mask that are true.
    #[track_caller]
    fn positions(&self, op: &str) -> Tensor {
        check_truth(op, self);
        let mask = self.to_vec::<crate::dtype::Bool>();
        let at: Vec<i64> = (0..).zip(mask).filter(|(_, m)| m.0 != 0).map(|(at, _)| at).collect();
        self.device().tensor(&at, [at.len()])
    }
}

/// x, at least `min`.
fn above(x: Expr, min: impl crate::expr::IntoExpr) -> Expr {
    let min = min.into_expr();
    x.lt(min).logical_or(min.is_nan()).select(min, x)
}

/// x, at most `max`.
fn below(x: Expr, max: impl crate::expr::IntoExpr) -> Expr {
    let max = max.into_expr();
    x.gt(max).logical_or(max.is_nan()).select(max, x)
}

#[track_caller]
fn check_truth(op: &str, mask: &Tensor) {
    if mask.dtype() != DType::Bool {
        panic!("{op}: a mask holds bool, not {}; compare first, as in x.gt(0.0)", mask.dtype());
    }
}

#[track_caller]
fn check_mask(op: &str, x: &Tensor, mask: &Tensor) {
    check_truth(op, mask);
    if x.shape().broadcast(mask.shape()).as_ref() != Some(x.shape()) {
        panic!(
            "{op}: a mask of shape {} does not broadcast to shape {}; its extents must be equal or 1",
            mask.shape(),
            x.shape()
        );
    }
}

crate::samples!("select", |s| {
    let inputs = [truth([3, 1]), real([2, 1, 2], -2.0..2.0), real([3, 2], -2.0..2.0)];
    s.case("all broadcast", inputs, |[c, a, b]| c.select(a, b)).with_integers();
});
crate::samples!("select_safe", |s| {
    let x = given([5], &[-1.0, 0.25, -0.5, 2.0, 1.5]);
    s.case("logarithm", [x], |[x]| x.gt(0.0).select_safe(x, 1.0, |x| x.log()));
});
crate::samples!("clamp", |s| {
    let x = || given([2, 3], &[-1.9, -1.1, -0.3, 0.2, 1.05, 1.8]);
    s.case("numbers", [x()], |[x]| x.clamp(-1.0, 1.5));
    s.case("tensors", [x(), given([3], &[-1.0, -1.5, 0.5]), given([2, 1], &[1.0, 1.5])], |[x, a, b]| x.clamp(a, b));
    s.case("a number and a tensor", [x(), given([2, 1], &[1.0, 1.5])], |[x, b]| x.clamp(-1.0, b));
});
crate::samples!("clamp_min", |s| {
    s.case("number", [distinct([2, 3], -2.0..2.0)], |[x]| x.clamp_min(0.123));
    s.case("tensor", [given([3], &[-1.0, 2.0, 0.5]), given([2, 1], &[0.0, 1.0])], |[x, a]| x.clamp_min(a));
});
crate::samples!("clamp_max", |s| {
    s.case("number", [distinct([2, 3], -2.0..2.0)], |[x]| x.clamp_max(0.123));
    s.case("tensor", [given([3], &[-1.0, 2.0, 0.5]), given([2, 1], &[0.0, 1.0])], |[x, a]| x.clamp_max(a));
});
crate::samples!("masked_fill", |s| {
    s.case("by a number", [real([2, 3], -2.0..2.0), truth([3])], |[x, m]| x.masked_fill(m, -7.5));
    s.case("by a tensor", [real([2, 3], -2.0..2.0), truth([3]), real([2, 1], -1.0..1.0)], |[x, m, v]| {
        x.masked_fill(m, v)
    });
});
crate::samples!("masked_select", |s| {
    s.case("same shape", [real([2, 3], -2.0..2.0), truth([2, 3])], |[x, m]| x.masked_select(m));
    s.case("broadcast", [real([2, 1], -2.0..2.0), truth([3])], |[x, m]| x.masked_select(m));
});
crate::samples!("masked_scatter", |s| {
    let inputs = [real([2, 3], -2.0..2.0), truth([3]), real([7], -2.0..2.0)];
    s.case("broadcast", inputs, |[x, m, y]| x.masked_scatter(m, y));
});
