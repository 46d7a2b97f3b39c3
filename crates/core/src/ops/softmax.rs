//! Softmax and its kin: shifted by the largest element, so that nothing overflows.
//!
//! Forward passes over the data: the largest element, the sum of exponentials, the result. Backward: one fold, one map.

use super::reduce::over;
use crate::backend::Fold;
use crate::check::{given, real};
use crate::expr::Expr;
use crate::pointwise::pointwise;
use crate::rows::Rows;
use crate::shape::{Axes, keep, resolve_axis};
use crate::tensor::Tensor;

impl Tensor {
    /// ln Σ eˣ over `axes`, without overflow; −∞ where all elements are −∞ (their gradient is 0), and over nothing.
    ///
    /// ```
    /// # use cotangent_core::*;
    /// let x = Tensor::new([1000.0, 1000.0], [2]);
    /// assert!((x.logsumexp(..).item() - 1000.6931).abs() < 1e-3);
    /// ```
    #[track_caller]
    pub fn logsumexp(&self, axes: impl Into<Axes>) -> Tensor {
        let (axes, _) = self.counted("logsumexp", axes.into());
        self.widened().log_sum_exp(axes).to(self.dtype())
    }

    #[track_caller]
    fn log_sum_exp(&self, axes: Axes) -> Tensor {
        let (reduced, keeps) = axes.resolve("logsumexp", self.shape());
        let kept = if over(self.shape(), &reduced) == 0 {
            self.device().full(self.shape().reduced(&reduced, true), f64::NEG_INFINITY, self.dtype())
        } else {
            let mut rows = Rows::new("logsumexp", &reduced);
            let [x] = rows.inputs([&self.detach()]);
            let [largest] = rows.fold(Fold::Max, [x], |[x]| [x]);
            // No shift where the largest is infinite, so that ∞ − ∞ does not arise.
            let [shift] = rows.map([largest], [], |[m], []| [m.is_inf().select(0.0, m)]);
            let [sum] = rows.fold(Fold::Sum, [x, shift], |[x, m]| [(x - m).exp()]);
            let [total] = rows.map([sum, shift], [], |[s, m], []| [s.log() + m]);
            rows.value(total)
        };
        let out = kept.reshape(self.shape().reduced(&reduced, keeps));
        let wide = kept.shape().clone();
        // A row whose elements are all −∞ gets no gradient instead of −∞ − (−∞).
        let share = |[g, y, x]: [Expr; 3]| y.eq(f64::NEG_INFINITY).select(0.0, g * (x - y).exp());
        out.record("logsumexp")
            .wrt_output(self, [self], move |g, y, [x]| {
                pointwise(share).named("logsumexp").call([&g.reshape(&wide), &y.reshape(&wide), x])
            })
            .done()
    }

    /// eˣ/Σ eˣ along `axis`. A row of −∞ alone gives NaN; see [`safe_softmax`](Tensor::safe_softmax).
    ///
    /// ```
    /// # use cotangent_core::*;
    /// let p = Tensor::new([0.0, 0.0, f32::NEG_INFINITY], [3]).softmax(-1);
    /// assert_eq!(p.to_vec::<f32>(), [0.5, 0.5, 0.0]);
    /// ```
    #[track_caller]
    pub fn softmax(&self, axis: isize) -> Tensor {
        self.soft("softmax", axis, |[x, m]| (x - m).exp())
    }

    /// As [`softmax`](Tensor::softmax), but 0 in rows of −∞ alone, as a mask that hides everything makes them; their
    /// gradient is 0.
    #[track_caller]
    pub fn safe_softmax(&self, axis: isize) -> Tensor {
        self.soft("safe_softmax", axis, |[x, m]| x.eq(f64::NEG_INFINITY).select(0.0, (x - m).exp()))
    }

    /// e⁻ˣ/Σ e⁻ˣ along `axis`.
    #[track_caller]
    pub fn softmin(&self, axis: isize) -> Tensor {
        self.neg().softmax(axis)
    }

    /// `power(x, largest)` in shares of its sum.
    #[track_caller]
    fn soft(&self, op: &'static str, axis: isize, power: fn([Expr; 2]) -> Expr) -> Tensor {
        self.check_float(op);
        resolve_axis(op, axis, self.shape());
        let x = &self.widened();
        let out = x.shares(op, axis, power);
        out.record(op)
            .wrt_output(x, [], move |g, y, []| {
                let mut rows = Rows::along(op, axis, y);
                let [y, g] = rows.inputs([y, g]);
                let [dot] = rows.fold(Fold::Sum, [g, y], |[g, y]| [g * y]);
                let [by_x] = rows.map([g, y, dot], [], |[g, y, dot], []| [y * (g - dot)]);
                rows.value(by_x)
            })
            .done()
            .to(self.dtype())
    }

    /// ln softmax(x) along `axis`: x − ln Σ eˣ. A row of −∞ alone gives NaN.
    #[track_caller]
    pub fn log_softmax(&self, axis: isize) -> Tensor {
        self.check_float("log_softmax");
        resolve_axis("log_softmax", axis, self.shape());
        let x = &self.widened();
        let out = x.log_shares(axis);
        out.record("log_softmax")
            .wrt_output(x, [], move |g, y, []| {
                let mut rows = Rows::along("log_softmax", axis, y);
                let [y, g] = rows.inputs([y, g]);
                let [total] = rows.fold(Fold::Sum, [g], |[g]| [g]);
                let [by_x] = rows.map([g, y, total], [], |[g, y, total], []| [g - y.exp() * total]);
                rows.value(by_x)
            })
            .done()
            .to(self.dtype())
    }

    /// `power(x, largest)` in shares of its sum along `axis`, untracked.
    #[track_caller]
    fn shares(&self, op: &'static str, axis: isize, power: fn([Expr; 2]) -> Expr) -> Tensor {
        if self.count() == 0 {
            return self.detach();
        }
        let mut rows = Rows::along(op, axis, self);
        let [x] = rows.inputs([&self.detach()]);
        let [largest] = rows.fold(Fold::Max, [x], |[x]| [x]);
        let [powers] = rows.map([x, largest], [], move |args, []| [power(args)]);
        let [sum] = rows.fold(Fold::Sum, [powers], |[p]| [p]);
        // Only where all powers are 0 is their sum.
        let [out] = rows.map([powers, sum], [], |[p, s], []| [s.eq(0.0).select(0.0, p / s)]);
        rows.value(out)
    }

    /// x − largest − ln Σ e^(x − largest) along `axis`, untracked.
    #[track_caller]
    fn log_shares(&self, axis: isize) -> Tensor {
        if self.count() == 0 {
            return self.detach();
        }
        let mut rows = Rows::along("log_softmax", axis, self);
        let [x] = rows.inputs([&self.detach()]);
        let [largest] = rows.fold(Fold::Max, [x], |[x]| [x]);
        let [sum] = rows.fold(Fold::Sum, [x, largest], |[x, m]| [(x - m).exp()]);
        let [out] = rows.map([x, largest, sum], [], |[x, m, s], []| [x - m - s.log()]);
        rows.value(out)
    }
}

crate::samples!("logsumexp", |s| {
    s.case("last axis", [real([2, 3], -2.0..2.0)], |[x]| x.logsumexp(-1));
    s.case("two axes, kept", [real([2, 3, 2], -2.0..2.0)], |[x]| x.logsumexp(keep([0, 2])));
    let odd = [f64::NEG_INFINITY, f64::NEG_INFINITY, f64::INFINITY, 1.0, 1000.0, 999.0];
    s.case("infinite", [given([3, 2], &odd)], |[x]| x.logsumexp(-1)).orders(0);
});
crate::samples!("softmax", |s| {
    s.case("last axis", [real([2, 3], -2.0..2.0)], |[x]| x.softmax(-1));
    s.case("first axis", [real([3, 2], -2.0..2.0)], |[x]| x.softmax(0));
    s.case("middle axis", [real([2, 3, 2], -2.0..2.0)], |[x]| x.softmax(1));
    s.case("nothing", [real([2, 0], -2.0..2.0)], |[x]| x.softmax(1));
});
crate::samples!("safe_softmax", |s| {
    s.case("last axis", [real([2, 3], -2.0..2.0)], |[x]| x.safe_softmax(-1));
    let masked = [f64::NEG_INFINITY, f64::NEG_INFINITY, 1.0, f64::NEG_INFINITY];
    s.case("masked", [given([2, 2], &masked)], |[x]| x.safe_softmax(-1)).orders(0);
});
crate::samples!("softmin", |s| {
    s.case("last axis", [real([2, 3], -2.0..2.0)], |[x]| x.softmin(-1));
});
crate::samples!("log_softmax", |s| {
    s.case("last axis", [real([2, 3], -2.0..2.0)], |[x]| x.log_softmax(-1));
    s.case("middle axis", [real([2, 3, 2], -2.0..2.0)], |[x]| x.log_softmax(1));
});
