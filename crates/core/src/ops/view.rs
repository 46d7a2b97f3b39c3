//! Views and reshaping.

use crate::pointwise::stretched_axes;
use crate::profile;
use crate::shape::{Axes, Layout, Shape, keep_marked, resolve_axis, resolve_new_axis};
use crate::tensor::{Tensor, checked_count};
use smallvec::{SmallVec, smallvec};
use std::ops::{Bound, RangeBounds};

impl Tensor {
    /// The same elements under a new shape of equal count; a view where the layout allows, else a copy. One extent may
    /// be [`INFER`](crate::INFER): it follows from the others.
    ///
    /// # Panics
    /// If the counts differ, or [`INFER`](crate::INFER) is not exactly one number.
    ///
    /// ```
    /// # use cotangent_core::*;
    /// let x = Tensor::zeros([2, 3, 4]);
    /// assert_eq!(x.reshape([4, 6]).shape(), &[4, 6]);
    /// assert_eq!(x.reshape([INFER, 8]).shape(), &[3, 8]);
    /// ```
    #[track_caller]
    pub fn reshape(&self, shape: impl Into<Shape>) -> Tensor {
        self.reshaped("reshape", &shape.into())
    }

    /// As [`reshape`](Tensor::reshape), but never a copy.
    ///
    /// # Panics
    /// If the layout does not allow a view: then use `reshape`.
    #[track_caller]
    pub fn view_as(&self, shape: impl Into<Shape>) -> Tensor {
        let shape = shape.into();
        let inferred = shape.inferred(self.count());
        if let Some(shape) = &inferred {
            checked_count("view_as", shape);
        }
        if inferred.is_some_and(|shape| self.layout.reshape(&shape).is_none()) {
            panic!(
                "view_as: shape {} with strides {:?} has no view of shape {shape}; use reshape, which copies",
                self.shape(),
                self.layout.strides
            );
        }
        self.reshaped("view_as", &shape)
    }

    /// A reshape under the name of the operation that asks for it.
    #[track_caller]
    pub(crate) fn reshaped(&self, op: &'static str, shape: &Shape) -> Tensor {
        let Some(shape) = shape.inferred(self.count()) else {
            panic!(
                "{op}: the {} elements of shape {} do not fill shape {shape}; its extents must multiply to {}, one of them \
                 may be INFER",
                self.count(),
                self.shape(),
                self.count()
            );
        };
        if &shape == self.shape() {
            return self.clone();
        }
        checked_count(op, &shape);
        let source = match self.layout.reshape(&shape) {
            Some(layout) => self.with_layout(layout),
            None => self.copied().with_layout(Layout::contiguous(&shape)),
        };
        let back = self.shape().clone();
        source.record(op).wrt(self, [], move |g, []| g.reshaped(op, &back)).done()
    }

    /// A run of neighbouring axes made one: `x.flatten(1..)` keeps the first axis, `x.flatten(..)` none. Negative axes
    /// count from the back. An empty run makes a new axis of extent 1.
    ///
    /// # Panics
    /// If there are no such axes.
    ///
    /// ```
    /// # use cotangent_core::*;
    /// let x = Tensor::zeros([2, 3, 4]);
    /// assert_eq!(x.flatten(1..).shape(), &[2, 12]);
    /// assert_eq!(x.flatten(..=-2).shape(), &[6, 4]);
    /// ```
    #[track_caller]
    pub fn flatten(&self, axes: impl RangeBounds<isize>) -> Tensor {
        let shape = self.shape();
        // A place between axes, counted from the end, is one more than that of the axis before it.
        let place = |axis: isize| if axis < 0 { axis.saturating_sub(1) } else { axis };
        let first = match axes.start_bound() {
            Bound::Unbounded => 0,
            Bound::Included(&axis) => resolve_new_axis("flatten", place(axis), shape),
            Bound::Excluded(&axis) => resolve_axis("flatten", axis, shape) + 1,
        };
        let end = match axes.end_bound() {
            Bound::Unbounded => shape.len(),
            Bound::Included(&axis) => resolve_axis("flatten", axis, shape) + 1,
            Bound::Excluded(&axis) => resolve_new_axis("flatten", place(axis), shape),
        };
        if first > end {
            panic!("flatten: axis {first} lies behind axis {end} of shape {shape}; give the first one first");
        }
        let merged = shape[first..end].iter().product();
        let flat = shape[..first].iter().copied().chain([merged]).chain(shape[end..].iter().copied()).collect();
        self.reshaped("flatten", &flat)
    }

    /// One axis made several, of the extents `sizes`, one of which may be [`INFER`](crate::INFER). A view.
    ///
    /// # Panics
    /// If the product of `sizes` is not the axis' extent.
    #[track_caller]
    pub fn unflatten(&self, axis: isize, sizes: impl Into<Shape>) -> Tensor {
        let at = resolve_axis("unflatten", axis, self.shape());
        let (shape, sizes) = (self.shape(), sizes.into());
        let Some(sizes) = sizes.inferred(shape[at]) else {
            panic!(
                "unflatten: the extent {} of axis {axis} of shape {shape} is not split by {sizes}; they must multiply to it",
                shape[at]
            );
        };
        let new = shape[..at].iter().chain(sizes.iter()).chain(&shape[at + 1..]).copied().collect();
        self.reshaped("unflatten", &new)
    }

    /// Without axes of extent 1: those named, or all with `..`. A view.
    ///
    /// # Panics
    /// If a named axis has another extent.
    ///
    /// ```
    /// # use cotangent_core::*;
    /// let x = Tensor::zeros([1, 3, 1]);
    /// assert_eq!(x.squeeze(..).shape(), &[3]);
    /// assert_eq!(x.squeeze(-1).shape(), &[1, 3]);
    /// ```
    #[track_caller]
    pub fn squeeze(&self, axes: impl Into<Axes>) -> Tensor {
        let axes = axes.into();
        let shape = self.shape();
        let (named, _) = axes.resolve("squeeze", shape);
        if let Some(at) = (0..shape.len()).find(|&k| named[k] && shape[k] != 1 && !axes.is_all()) {
            panic!("squeeze: axis {at} of shape {shape} has extent {}, not 1; `..` drops only those of 1", shape[at]);
        }
        let kept = (0..shape.len()).filter(|&k| !named[k] || shape[k] != 1);
        self.reshaped("squeeze", &kept.map(|k| shape[k]).collect())
    }

    /// With a new axis of extent 1 at `axis` of the result. A view.
    ///
    /// ```
    /// # use cotangent_core::*;
    /// let x = Tensor::zeros([2, 3]);
    /// assert_eq!(x.unsqueeze(1).shape(), &[2, 1, 3]);
    /// assert_eq!(x.unsqueeze(-1).shape(), &[2, 3, 1]);
    /// ```
    #[track_caller]
    pub fn unsqueeze(&self, axis: isize) -> Tensor {
        let at = resolve_new_axis("unsqueeze", axis, self.shape());
        let mut shape = self.shape().clone();
        shape.insert(at, 1);
        self.reshaped("unsqueeze", &shape)
    }

    /// Axes in another order: `x.permute([2, 0, 1])`. A view.
    ///
    /// # Panics
    /// If `order` is not a permutation of the axes.
    #[track_caller]
    pub fn permute(&self, order: impl AsRef<[isize]>) -> Tensor {
        self.permute_axes(order.as_ref())
    }

    #[track_caller]
    pub(crate) fn permute_axes(&self, order: &[isize]) -> Tensor {
        let mut axes: SmallVec<[usize; 6]> = SmallVec::new();
        for &axis in order {
            axes.push(resolve_axis("permute", axis, self.shape()));
        }
        let mut back: SmallVec<[isize; 6]> = smallvec![-1; self.rank()];
        axes.iter().enumerate().for_each(|(to, &from)| back[from] = to as isize);
        if axes.len() != self.rank() || back.contains(&-1) {
            panic!(
                "permute: {order:?} does not name every axis of shape {} once; name all {}",
                self.shape(),
                self.rank()
            );
        }
        if axes.iter().enumerate().all(|(to, &from)| to == from) {
            return self.clone();
        }
        let view = self.with_layout(self.layout.permute(&axes));
        view.record("permute").wrt(self, [], move |g, []| g.permute_axes(&back)).done()
    }

    /// Two axes exchanged. A view.
    #[track_caller]
    pub fn transpose(&self, a: isize, b: isize) -> Tensor {
        let (a, b) = (resolve_axis("transpose", a, self.shape()), resolve_axis("transpose", b, self.shape()));
        let mut order: SmallVec<[isize; 6]> = (0..self.rank() as isize).collect();
        order.swap(a, b);
        self.permute_axes(&order)
    }

    /// Axes moved to other places, the rest in their order: `x.movedim(0, -1)`, `x.movedim([0, 1], [2, 0])`. A view.
    ///
    /// # Panics
    /// If an axis is named twice, or not as many places as axes are given.
    #[track_caller]
    pub fn movedim(&self, from: impl Into<Axes>, to: impl Into<Axes>) -> Tensor {
        let from = from.into().in_order("movedim", self.shape());
        let to = to.into().in_order("movedim", self.shape());
        if from.len() != to.len() {
            panic!("movedim: axes {from:?} of shape {} cannot go to places {to:?}: their counts differ", self.shape());
        }
        let mut rest = (0..self.rank()).filter(|axis| !from.contains(axis));
        let source = |place| match to.iter().position(|&t| t == place) {
            Some(k) => from[k],
            None => rest.next().expect("as many axes as places are left"),
        };
        let order: SmallVec<[isize; 6]> = (0..self.rank()).map(source).map(|axis| axis as isize).collect();
        self.permute_axes(&order)
    }

    /// The last two axes exchanged: the transposed matrix, or a batch of them. A view.
    ///
    /// # Panics
    /// If there are fewer than two axes.
    #[track_caller]
    pub fn t(&self) -> Tensor {
        if self.rank() < 2 {
            panic!("t: a transposed matrix needs two axes, but the shape is {}", self.shape());
        }
        self.transpose(-2, -1)
    }

    /// Stretched to `shape` by repeating axes of extent 1 (and new leading axes), without copying.
    ///
    /// # Panics
    /// If the shapes do not allow it.
    #[track_caller]
    pub fn expand(&self, shape: impl Into<Shape>) -> Tensor {
        let shape = shape.into();
        if &shape == self.shape() {
            return self.clone();
        }
        if self.shape().broadcast(&shape).as_ref() != Some(&shape) {
            panic!("expand: shape {} does not stretch to {shape}; only extents of 1 can grow", self.shape());
        }
        checked_count("expand", &shape);
        // The engine sums the cotangent back to this shape.
        self.with_layout(self.layout.broadcast_to(&shape)).record("expand").wrt(self, [], |g, []| g.clone()).done()
    }

    /// Summed over the axes along which `shape` would be stretched to this shape: the adjoint of
    /// [`expand`](Tensor::expand).
    ///
    /// # Panics
    /// If `shape` does not broadcast to this shape.
    #[track_caller]
    pub fn sum_to(&self, shape: impl Into<Shape>) -> Tensor {
        let shape = shape.into();
        if &shape == self.shape() {
            return self.clone();
        }
        if shape.broadcast(self.shape()).as_ref() != Some(self.shape()) {
            panic!("sum_to: shape {shape} does not broadcast to {}; extents must be equal or 1", self.shape());
        }
        self.sum(keep_marked(&stretched_axes(&shape, self.shape()))).reshape(&shape)
    }

    /// The same elements laid out row by row; a copy unless they are already.
    #[track_caller]
    pub fn contiguous(&self) -> Tensor {
        if self.layout.is_contiguous() && self.layout.offset == 0 {
            return self.clone();
        }
        self.copied().record("contiguous").wrt(self, [], |g, []| g.clone()).done()
    }

    /// The same value as a step of its own on the tape, so that a gradient by it is a partial one.
    #[track_caller]
    pub(crate) fn alias(&self) -> Tensor {
        self.detach().record("alias").wrt(self, [], |g, []| g.clone()).done()
    }

    /// A row-major copy, untracked.
    pub(crate) fn copied(&self) -> Tensor {
        let _op = profile::operation("contiguous");
        let identity = crate::expr::trace(|[x]| x);
        let call = crate::backend::Call {
            program: &identity.program,
            uniforms: &[],
            args: smallvec![crate::backend::Arg::Shared(self.view())],
            shape: self.shape(),
            outputs: &[self.dtype()],
        };
        let storage = self.device().backend().map(call).remove(0);
        Tensor::from_storage(storage, Layout::contiguous(self.shape()), self.dtype(), self.device().clone())
    }
}

crate::samples!("reshape", |s| {
    use crate::check::real;
    use crate::shape::INFER;
    s.case("merged and split", [real([2, 3, 4], -2.0..2.0)], |[x]| x.reshape([4, 6])).with_integers();
    s.case("inferred", [real([2, 3, 4], -2.0..2.0)], |[x]| x.reshape([3, INFER, 2]));
    s.case("to a scalar", [real([1, 1], -2.0..2.0)], |[x]| x.reshape(()));
    s.case("no elements", [real([2, 0], -2.0..2.0)], |[x]| x.reshape([0, 3]));
});
crate::samples!("view_as", |s| {
    use crate::check::real;
    s.case("axes of 1", [real([2, 3], -2.0..2.0)], |[x]| x.view_as([1, 2, 1, 3]));
});
crate::samples!("flatten", |s| {
    use crate::check::real;
    s.case("all", [real([2, 3, 4], -2.0..2.0)], |[x]| x.flatten(..));
    s.case("the last two", [real([2, 3, 4], -2.0..2.0)], |[x]| x.flatten(1..));
    s.case("a scalar", [real((), -2.0..2.0)], |[x]| x.flatten(..));
});
crate::samples!("unflatten", |s| {
    use crate::check::real;
    s.case("last axis", [real([2, 6], -2.0..2.0)], |[x]| x.unflatten(-1, [2, crate::INFER]));
});
crate::samples!("squeeze", |s| {
    use crate::check::real;
    s.case("two axes", [real([1, 3, 1, 2], -2.0..2.0)], |[x]| x.squeeze([0, 2]));
    s.case("all", [real([1, 3, 1, 2], -2.0..2.0)], |[x]| x.squeeze(..));
});
crate::samples!("unsqueeze", |s| {
    use crate::check::real;
    s.case("in the middle", [real([2, 3], -2.0..2.0)], |[x]| x.unsqueeze(1));
    s.case("a scalar", [real((), -2.0..2.0)], |[x]| x.unsqueeze(0));
});
crate::samples!("permute", |s| {
    use crate::check::real;
    s.case("three axes", [real([2, 3, 4], -2.0..2.0)], |[x]| x.permute([1, -1, 0])).with_integers();
    s.case("no elements", [real([2, 0, 4], -2.0..2.0)], |[x]| x.permute([2, 0, 1]));
});
crate::samples!("transpose", |s| {
    use crate::check::real;
    s.case("first and last", [real([2, 3, 4], -2.0..2.0)], |[x]| x.transpose(0, -1));
});
crate::samples!("t", |s| {
    use crate::check::real;
    s.case("matrix", [real([2, 3], -2.0..2.0)], |[x]| x.t());
    s.case("batch", [real([2, 3, 1], -2.0..2.0)], |[x]| x.t());
});
crate::samples!("movedim", |s| {
    use crate::check::real;
    s.case("one", [real([2, 3, 4], -2.0..2.0)], |[x]| x.movedim(0, -1));
    s.case("two", [real([2, 3, 4], -2.0..2.0)], |[x]| x.movedim([0, 1], [2, 0]));
});
crate::samples!("expand", |s| {
    use crate::check::real;
    s.case("an axis of 1 and a new one", [real([2, 1], -2.0..2.0)], |[x]| x.expand([4, 2, 3])).with_integers();
    s.case("a scalar", [real((), -2.0..2.0)], |[x]| x.expand([2, 3]));
    s.case("to no elements", [real([1, 2], -2.0..2.0)], |[x]| x.expand([0, 2]));
});
crate::samples!("sum_to", |s| {
    use crate::check::real;
    s.case("leading axis and axis of 1", [real([4, 2, 3], -2.0..2.0)], |[x]| x.sum_to([2, 1]));
});
crate::samples!("contiguous", |s| {
    use crate::check::real;
    s.case("transposed", [real([2, 3], -2.0..2.0)], |[x]| x.t().contiguous());
});
