//! Comparing within tolerances, and truth values over axes.

use crate::backend::Fold;
use crate::check::{given, truth};
use crate::dtype::DType;
use crate::expr::Expr;
use crate::pointwise::pointwise;
use crate::shape::Axes;
use crate::tensor::Tensor;

impl Tensor {
    /// Whether each element is near that of `other`: |a − b| ≤ atol + rtol·|b|. Infinities are near themselves only, NaN
    /// is near NaN if `equal_nan`. NumPy's tolerances are 1e-5 and 1e-8.
    #[track_caller]
    pub fn isclose(&self, other: &Tensor, rtol: f64, atol: f64, equal_nan: bool) -> Tensor {
        let formula = move |[a, b]: [Expr; 2]| {
            let near = b.is_finite().logical_and((a - b).abs().le(b.abs() * rtol + atol));
            let same = a.eq(b).logical_or(near);
            if equal_nan { same.logical_or(a.is_nan().logical_and(b.is_nan())) } else { same }
        };
        // The difference of integers is exact in f64 where it matters to a tolerance.
        let real = |x: &Tensor| if x.dtype().is_float() { x.detach() } else { x.to(DType::F64) };
        pointwise(formula).named("isclose").call([real(self), real(other)])
    }

    /// Whether all elements are near those of `other`; see [`isclose`](Tensor::isclose). The device is waited for.
    ///
    /// ```
    /// # use cotangent_core::*;
    /// let x = Tensor::new([1.0, 2.0], [2]);
    /// assert!(x.allclose(&(&x * 1.000001), 1e-5, 1e-8, false));
    /// ```
    #[track_caller]
    pub fn allclose(&self, other: &Tensor, rtol: f64, atol: f64, equal_nan: bool) -> bool {
        self.isclose(other, rtol, atol, equal_nan).all(..).item() != 0.0
    }

    /// Whether any element over `axes` differs from 0 (NaN does); false over nothing.
    #[track_caller]
    pub fn any(&self, axes: impl Into<Axes>) -> Tensor {
        self.truths().fold_or("any", Fold::Max, axes.into(), 0.0)
    }

    /// Whether all elements over `axes` differ from 0 (NaN does); true over nothing.
    #[track_caller]
    pub fn all(&self, axes: impl Into<Axes>) -> Tensor {
        self.truths().fold_or("all", Fold::Min, axes.into(), 1.0)
    }

    /// How many elements over `axes` differ from 0 (NaN does), as `I64`.
    #[track_caller]
    pub fn count_nonzero(&self, axes: impl Into<Axes>) -> Tensor {
        self.truths().sum(axes)
    }

    /// Whether each element differs from 0.
    pub(crate) fn truths(&self) -> Tensor {
        if self.dtype() == DType::Bool { self.clone() } else { self.ne(0.0) }
    }
}

crate::samples!("isclose", |s| {
    let (a, b) = (given([4], &[1.0, 2.0, 3.0, 4.0]), given([4], &[1.001, 2.5, 3.0, f64::INFINITY]));
    s.case("mixed", [a, b], |[a, b]| a.isclose(b, 0.01, 0.0, true)).orders(0).with_integers();
});
crate::samples!("any", |s| {
    s.case("last axis", [truth([3, 2])], |[x]| x.any(-1)).orders(0);
    s.case("numbers", [given([2, 2], &[0.0, 0.0, 0.0, 2.0])], |[x]| x.any(0)).orders(0).with_integers();
    s.case("nothing", [truth([2, 0])], |[x]| x.any(1)).orders(0);
});
crate::samples!("all", |s| {
    s.case("last axis", [truth([3, 2])], |[x]| x.all(-1)).orders(0);
    s.case("numbers", [given([2, 2], &[0.0, 1.0, 0.0, 2.0])], |[x]| x.all(0)).orders(0).with_integers();
    s.case("nothing", [truth([2, 0])], |[x]| x.all(1)).orders(0);
});
crate::samples!("count_nonzero", |s| {
    s.case("numbers", [given([2, 2], &[0.0, 1.0, -3.0, 2.0])], |[x]| x.count_nonzero(0)).orders(0).with_integers();
});
