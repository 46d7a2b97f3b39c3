//! Scans along an axis.

use crate::backend::Scan;
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
        let storage = self.device().backend().scan(Scan::Linear, &[self.view(), b.view()], at, reverse);
        let out = Tensor::from_storage(storage, crate::Layout::contiguous(self.shape()), self.dtype(), self.device().clone());
        // ḡₖ = gₖ + aₖ₊₁ ḡₖ₊₁; ∂b = ḡ, ∂aₖ = ḡₖ hₖ₋₁.
        let adjoint = move |g: &Tensor, a: &Tensor| a.shifted(axis, !reverse).linear_scan(g, axis, !reverse);
        out.record("linear_scan")
            .wrt(b, [self], move |g, [a]| adjoint(g, a))
            .wrt_output(self, [self], move |g, h, [a]| adjoint(g, a) * h.shifted(axis, reverse))
            .done()
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
