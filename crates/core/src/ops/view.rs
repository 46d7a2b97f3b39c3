//! Views and reshaping.

use crate::pointwise::stretched_axes;
use crate::shape::{Layout, Shape, keep, resolve_axis};
use crate::tensor::Tensor;
use smallvec::{SmallVec, smallvec};

impl Tensor {
    /// The same elements under a new shape of equal count; a view where the layout allows, else a copy.
    ///
    /// # Panics
    /// If the counts differ.
    #[track_caller]
    pub fn reshape(&self, shape: impl Into<Shape>) -> Tensor {
        let shape = shape.into();
        if &shape == self.shape() {
            return self.clone();
        }
        if shape.count() != self.count() {
            panic!(
                "reshape: shape {} has {} elements, {shape} has {}", self.shape(), self.count(), shape.count()
            );
        }
        let source = match self.layout.reshape(&shape) {
            Some(layout) => self.with_layout(layout),
            None => self.detach().copied().with_layout(Layout::contiguous(&shape)),
        };
        let back = self.shape().clone();
        source.record("reshape").wrt(self, [], move |g, []| g.reshape(&back)).done()
    }

    /// Axes in another order: `x.permute([2, 0, 1])`. A view.
    ///
    /// # Panics
    /// If `order` is not a permutation of the axes.
    #[track_caller]
    pub fn permute<const N: usize>(&self, order: [isize; N]) -> Tensor {
        self.permute_axes(&order)
    }

    #[track_caller]
    pub(crate) fn permute_axes(&self, order: &[isize]) -> Tensor {
        let axes: SmallVec<[usize; 6]> = order.iter().map(|&a| resolve_axis("permute", a, self.shape())).collect();
        let mut back: SmallVec<[isize; 6]> = smallvec![-1; self.rank()];
        axes.iter().enumerate().for_each(|(to, &from)| back[from] = to as isize);
        if axes.len() != self.rank() || back.contains(&-1) {
            panic!("permute: {order:?} does not name every axis of shape {} once", self.shape());
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
            panic!("sum_to: shape {shape} does not broadcast to {}", self.shape());
        }
        let reduced = stretched_axes(&shape, self.shape());
        let axes: SmallVec<[isize; 6]> = (0..).zip(&reduced).filter(|(_, r)| **r).map(|(axis, _)| axis).collect();
        self.sum(keep(&axes[..])).reshape(&shape)
    }

    /// The same elements laid out row by row; a copy unless they are already.
    pub fn contiguous(&self) -> Tensor {
        if self.layout.is_contiguous() && self.layout.offset == 0 {
            return self.clone();
        }
        self.detach().copied().record("contiguous").wrt(self, [], |g, []| g.clone()).done()
    }

    /// The same value as a step of its own on the tape, so that a gradient by it is a partial one.
    pub(crate) fn alias(&self) -> Tensor {
        self.detach().record("alias").wrt(self, [], |g, []| g.clone()).done()
    }

    /// A row-major copy, untracked.
    pub(crate) fn copied(&self) -> Tensor {
        let identity = crate::expr::trace(|[x]| x);
        let call = crate::backend::Call {
            program: &identity.program,
            uniforms: &[],
            args: smallvec![crate::backend::Arg::Shared(self.view())],
            shape: self.shape(),
            outputs: smallvec![self.dtype()],
        };
        let storage = self.device().backend().map(call).remove(0);
        Tensor::from_storage(storage, Layout::contiguous(self.shape()), self.dtype(), self.device().clone())
    }
}
