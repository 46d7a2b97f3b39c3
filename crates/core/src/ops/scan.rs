//! Scans along an axis.

use crate::backend::Scan;
use crate::check::{distinct, given, real};
use crate::dtype::DType;
use crate::pointwise::pointwise;
use crate::profile;
use crate::shape::resolve_axis;
use crate::tensor::Tensor;
use smallvec::SmallVec;

impl Tensor {
    /// The recurrence hₖ = aₖ·hₖ₋₁ + bₖ along `axis`, h₋₁ = 0; `self` is a. From the end if `reverse`.
    ///
    /// Its gradient is the same recurrence backwards, so running products have exact gradients at zeros.
    #[track_caller]
    pub fn linear_scan(&self, b: &Tensor, axis: isize, reverse: bool) -> Tensor {
        crate::tensor::same_device("linear_scan", self, b);
        crate::tensor::same_dtype("linear_scan", self, b);
        if self.shape() != b.shape() {
            panic!("linear_scan: the factors have shape {}, the terms {}; they must be equal", self.shape(), b.shape());
        }
        let at = resolve_axis("linear_scan", axis, self.shape());
        let _op = profile::operation("linear_scan");
        let storage = self.device().backend().scan(Scan::Linear, &[self.view(), b.view()], at, reverse);
        let out =
            Tensor::from_storage(storage, crate::Layout::contiguous(self.shape()), self.dtype(), self.device().clone());
        // ḡₖ = gₖ + aₖ₊₁ ḡₖ₊₁; ∂b = ḡ, ∂aₖ = ḡₖ hₖ₋₁.
        let adjoint = move |g: &Tensor, a: &Tensor| a.shifted(axis, !reverse).linear_scan(g, axis, !reverse);
        out.record("linear_scan")
            .wrt(b, [self], move |g, [a]| adjoint(g, a))
            .wrt_output(self, [self], move |g, h, [a]| adjoint(g, a) * h.shifted(axis, reverse))
            .done()
    }

    /// A scan of one tensor, untracked.
    #[track_caller]
    fn scanned(&self, op: &'static str, scan: Scan, axis: isize, reverse: bool) -> Tensor {
        let at = resolve_axis(op, axis, self.shape());
        let _op = profile::operation(op);
        let storage = self.device().backend().scan(scan, &[self.view()], at, reverse);
        Tensor::from_storage(storage, crate::Layout::contiguous(self.shape()), self.dtype(), self.device().clone())
    }

    /// Integers and booleans as `I64`, in which they accumulate.
    fn counting(&self) -> Tensor {
        if self.dtype().is_float() { self.clone() } else { self.to(DType::I64) }
    }

    /// Running sum along `axis`. Integers and booleans sum to `I64`.
    ///
    /// ```
    /// # use cotangent_core::*;
    /// assert_eq!(Tensor::new([1.0, 2.0, 3.0], [3]).cumsum(0).to_vec::<f32>(), [1.0, 3.0, 6.0]);
    /// ```
    #[track_caller]
    pub fn cumsum(&self, axis: isize) -> Tensor {
        self.counting().running_sum(axis, false)
    }

    #[track_caller]
    fn running_sum(&self, axis: isize, reverse: bool) -> Tensor {
        let out = self.scanned("cumsum", Scan::Sum, axis, reverse);
        out.record("cumsum").wrt(self, [], move |g, []| g.running_sum(axis, !reverse)).done()
    }

    /// Running product along `axis`; the gradient is exact also where elements are 0. Integers and booleans multiply in
    /// `I64`.
    #[track_caller]
    pub fn cumprod(&self, axis: isize) -> Tensor {
        let at = resolve_axis("cumprod", axis, self.shape());
        let x = self.counting();
        if self.shape()[at] == 0 {
            return x;
        }
        // hₖ = xₖ·hₖ₋₁, started by h₀ = x₀.
        let first = x.zeros_like().slice_assign(axis, 0, &x.narrow(axis, 0, 1));
        x.linear_scan(&first, axis, false)
    }

    /// Largest element so far along `axis`, and the position (`I64`) of its first occurrence. The gradient goes to that
    /// one. NaN stays from where it occurs.
    #[track_caller]
    pub fn cummax(&self, axis: isize) -> (Tensor, Tensor) {
        self.running_best("cummax", Scan::Max, axis)
    }

    /// Smallest element so far along `axis`, and the position of its first occurrence; see [`cummax`](Tensor::cummax).
    #[track_caller]
    pub fn cummin(&self, axis: isize) -> (Tensor, Tensor) {
        self.running_best("cummin", Scan::Min, axis)
    }

    #[track_caller]
    fn running_best(&self, op: &'static str, scan: Scan, axis: isize) -> (Tensor, Tensor) {
        let at = resolve_axis(op, axis, self.shape());
        let best = self.scanned(op, scan, axis, false);
        // A place takes over where the best changes; NaN differs from itself, but stays.
        let changed = |[before, here]: [crate::Expr; 2]| before.is_nan().logical_not().logical_and(here.ne(before));
        let n = self.shape()[at];
        let mut along = crate::Shape::from_iter(std::iter::repeat_n(1, self.rank()));
        along[at] = n;
        let places = self.device().tensor(&(0..n as i64).collect::<Vec<_>>(), along);
        let changed = pointwise(changed).named(op).call([&best.shifted(axis, false), &best]);
        // The first place is 0 whether it counts as changed or not.
        let took_over = changed.select(&places, &places.zeros_like());
        let index = took_over.scanned(op, Scan::Max, axis, false);
        (self.gather(axis, &index), index)
    }

    /// Running ln Σ eˣ along `axis`, without overflow.
    #[track_caller]
    pub fn logcumsumexp(&self, axis: isize) -> Tensor {
        self.check_float("logcumsumexp");
        let out = self.scanned("logcumsumexp", Scan::LogSumExp, axis, false);
        // ∂xⱼ = Σₖ gₖ e^(xⱼ − yₖ), k ≥ j, is e^(xⱼ − yⱼ)·sⱼ with sⱼ = gⱼ + e^(yⱼ − yⱼ₊₁)·sⱼ₊₁. Exponents are at most 0.
        let gradient = move |g: &Tensor, y: &Tensor, x: &Tensor| {
            let n = y.shape()[resolve_axis("logcumsumexp", axis, y.shape())];
            if n == 0 {
                return g.clone();
            }
            // Nothing before it counts where a sum is 0, that is, where its logarithm is −∞.
            let share = pointwise(|[part, sum]| part.eq(f64::NEG_INFINITY).select(0.0, (part - sum).exp()));
            let share = share.named("logcumsumexp");
            let next = share.call([&y.narrow(axis, 0, n - 1), &y.narrow(axis, 1, n - 1)]);
            let next = y.zeros_like().slice_assign(axis, 0, &next);
            share.call([x, y]) * next.linear_scan(g, axis, true)
        };
        out.record("logcumsumexp").wrt_output(self, [self], move |g, y, [x]| gradient(g, y, x)).done()
    }

    /// Moved by one place along `axis` with a 0 moving in: towards the end, or towards the front if `back`.
    #[track_caller]
    pub(crate) fn shifted(&self, axis: isize, back: bool) -> Tensor {
        let n = self.shape()[resolve_axis("shift", axis, self.shape())];
        if n == 0 {
            return self.clone();
        }
        let kept = if back { self.narrow(axis, 1, n - 1) } else { self.narrow(axis, 0, n - 1) };
        self.zeros_like().slice_assign(axis, if back { 0 } else { 1 }, &kept)
    }

    /// For each element, the product of all others over the reduced axes; exact where elements are 0.
    pub(crate) fn product_of_others(&self, reduced: &[bool]) -> Tensor {
        let (kept, gone): (Vec<isize>, Vec<isize>) = (0..self.rank() as isize).partition(|&a| !reduced[a as usize]);
        let order: SmallVec<[isize; 6]> = kept.iter().chain(&gone).copied().collect();
        let mut back: SmallVec<[isize; 6]> = order.clone();
        order.iter().enumerate().for_each(|(to, &from)| back[from as usize] = to as isize);
        let moved = self.permute_axes(&order);
        let outer: usize = kept.iter().map(|&a| self.shape()[a as usize]).product();
        let inner: usize = gone.iter().map(|&a| self.shape()[a as usize]).product();
        if outer * inner == 0 {
            return self.clone();
        }
        let rows = moved.reshape([outer, inner]);
        // Σ over one side: hₖ = xₖ₋₁ hₖ₋₁ with h₀ = 1.
        let first = |reverse: bool| {
            let one = rows.ones_like().narrow(1, 0, 1);
            rows.zeros_like().slice_assign(1, if reverse { inner - 1 } else { 0 }, &one)
        };
        let side = |reverse: bool| rows.shifted(1, reverse).linear_scan(&first(reverse), 1, reverse);
        (side(false) * side(true)).reshape(moved.shape()).permute_axes(&back)
    }
}

crate::samples!("linear_scan", |s| {
    let pair = || [real([2, 4], -2.0..2.0), real([2, 4], -2.0..2.0)];
    s.case("forwards", pair(), |[a, b]| a.linear_scan(b, -1, false));
    s.case("backwards, first axis", pair(), |[a, b]| a.linear_scan(b, 0, true));
});
crate::samples!("cumsum", |s| {
    s.case("last axis", [real([2, 4], -2.0..2.0)], |[x]| x.cumsum(-1)).with_integers();
    s.case("middle axis", [real([2, 3, 2], -2.0..2.0)], |[x]| x.cumsum(1));
});
crate::samples!("cumprod", |s| {
    s.case("middle axis", [real([2, 3, 2], -2.0..2.0)], |[x]| x.cumprod(1)).with_integers();
    s.case("with zeros", [given([2, 3], &[0.0, 2.0, 3.0, 1.5, 0.0, 0.0])], |[x]| x.cumprod(-1));
});
crate::samples!("cummax", |s| {
    s.case("middle axis", [distinct([2, 3, 2], -2.0..2.0)], |[x]| x.cummax(1)).with_integers();
});
crate::samples!("cummin", |s| {
    s.case("middle axis", [distinct([2, 3, 2], -2.0..2.0)], |[x]| x.cummin(1)).with_integers();
});
crate::samples!("logcumsumexp", |s| {
    s.case("middle axis", [real([2, 3, 2], -2.0..2.0)], |[x]| x.logcumsumexp(1));
    s.case("last axis", [real([2, 4], -2.0..2.0)], |[x]| x.logcumsumexp(-1));
});
