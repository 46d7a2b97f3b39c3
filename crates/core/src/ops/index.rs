//! Windows into a tensor and writing into them.

use crate::backend::Arg;
use crate::profile;
use crate::shape::{Layout, Shape, resolve_axis};
use crate::tensor::{Tensor, same_device, same_dtype};

impl Layout {
    /// `len` places along an axis from `start`, `step` apart; a negative step runs backwards.
    pub fn slice(&self, axis: usize, start: usize, len: usize, step: isize) -> Layout {
        let mut window = self.clone();
        // Without elements there is no first one, and the offset must stay inside of the storage.
        if len > 0 && !self.shape.contains(&0) {
            window.offset = (self.offset as isize + self.strides[axis] * start as isize) as usize;
        }
        window.shape[axis] = len;
        // A single place has no neighbour, and a step beyond the axis could overflow.
        if len > 1 {
            window.strides[axis] *= step;
        }
        window
    }
}

impl Tensor {
    /// A view of some of the elements, each at most once. `window` is applied to this tensor's layout, and for the
    /// gradient to the row-major one.
    #[track_caller]
    pub(crate) fn window(&self, op: &'static str, window: impl Fn(&Layout) -> Layout) -> Tensor {
        let region = window(&Layout::contiguous(self.shape()));
        let (shape, part) = (self.shape().clone(), region.clone());
        self.with_layout(window(&self.layout))
            .record(op)
            .wrt(self, [], move |g, []| g.device().full(&shape, 0.0, g.dtype()).assign_region(op, &region, g))
            .part(part)
            .done()
    }

    /// A copy in which the elements at `region` (of the row-major copy, each at most once) are those of `source`.
    #[track_caller]
    pub(crate) fn assign_region(&self, op: &'static str, region: &Layout, source: &Tensor) -> Tensor {
        let _op = profile::operation(op);
        let base = Arg::Shared(self.view());
        let storage = self.device().backend().assign(base, region, source.view());
        let (at, within) = (region.clone(), region.clone());
        Tensor::from_storage(storage, Layout::contiguous(self.shape()), self.dtype(), self.device().clone())
            .record(op)
            .wrt(self, [], move |g, []| {
                let hole = g.device().full(&at.shape, 0.0, g.dtype());
                g.assign_region("slice_assign", &at, &hole)
            })
            .wrt(source, [], move |g, []| g.contiguous().window("slice", |_| within.clone()))
            .done()
    }

    /// `len` places along `axis` from `start`. A view.
    ///
    /// # Panics
    /// If they are not all there.
    ///
    /// ```
    /// # use cotangent_core::*;
    /// let x = Tensor::new([1.0, 2.0, 3.0], [3]);
    /// assert_eq!(x.narrow(0, 1, 2).to_vec::<f32>(), [2.0, 3.0]);
    /// ```
    #[track_caller]
    pub fn narrow(&self, axis: isize, start: usize, len: usize) -> Tensor {
        let at = resolve_axis("narrow", axis, self.shape());
        check_range("narrow", self.shape(), at, start, len);
        self.window("narrow", |layout| layout.slice(at, start, len, 1))
    }

    /// A copy in which the places along `axis` from `start` on hold `source`, as many as it has.
    ///
    /// # Panics
    /// If `source` differs in another axis, does not fit, or has another element type or device.
    ///
    /// ```
    /// # use cotangent_core::*;
    /// let x = Tensor::zeros([3]).slice_assign(0, 1, &Tensor::ones([2]));
    /// assert_eq!(x.to_vec::<f32>(), [0.0, 1.0, 1.0]);
    /// ```
    #[track_caller]
    pub fn slice_assign(&self, axis: isize, start: usize, source: &Tensor) -> Tensor {
        same_device("slice_assign", self, source);
        same_dtype("slice_assign", self, source);
        let at = resolve_axis("slice_assign", axis, self.shape());
        let others = |s: &Shape| s.iter().enumerate().filter(|&(k, _)| k != at).map(|(_, &n)| n).collect::<Shape>();
        if source.rank() != self.rank() || others(source.shape()) != others(self.shape()) {
            panic!(
                "slice_assign: a source of shape {} does not fit into shape {}; only axis {at} may differ",
                source.shape(),
                self.shape()
            );
        }
        let len = source.shape()[at];
        check_range("slice_assign", self.shape(), at, start, len);
        let region = Layout::contiguous(self.shape()).slice(at, start, len, 1);
        self.assign_region("slice_assign", &region, source)
    }
}

/// Panics unless `start..start + len` lies within the axis.
#[track_caller]
pub(crate) fn check_range(op: &str, shape: &Shape, axis: usize, start: usize, len: usize) {
    if start.checked_add(len).is_none_or(|end| end > shape[axis]) {
        panic!(
            "{op}: places {start} to {} of axis {axis} do not exist in shape {shape}, which has {} there",
            start.saturating_add(len),
            shape[axis]
        );
    }
}

crate::samples!("narrow", |s| {
    use crate::check::real;
    s.case("middle", [real([2, 5], -2.0..2.0)], |[x]| x.narrow(-1, 1, 3)).with_integers();
    s.case("nothing", [real([2, 5], -2.0..2.0)], |[x]| x.narrow(1, 5, 0));
});
crate::samples!("slice_assign", |s| {
    use crate::check::real;
    let inputs = [real([2, 5], -2.0..2.0), real([2, 2], -2.0..2.0)];
    s.case("columns", inputs, |[x, y]| x.slice_assign(1, 2, y)).with_integers();
});
