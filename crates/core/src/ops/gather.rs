//! Reading and writing at indices along an axis.

use crate::backend::{Arg, OutOfRange, Scatter, Storage};
use crate::dtype::DType;
use crate::shape::{Layout, resolve_axis};
use crate::tensor::{Tensor, same_device, same_dtype};

impl Tensor {
    /// Elements at indices along `axis`: `out[.., i, ..] = self[.., index[.., i, ..], ..]`. The index (`I64`) may be
    /// shorter than `self` on the other axes. The gradient is added at the index.
    ///
    /// # Panics
    /// If the index has another rank or is longer on another axis, or an element of it does not exist.
    ///
    /// ```
    /// # use cotangent_core::*;
    /// let x = Tensor::new([1.0, 2.0, 3.0, 4.0], [2, 2]);
    /// let index = Tensor::from_slice(&[1i64, 0], [2, 1]);
    /// assert_eq!(x.gather(1, &index).to_vec::<f32>(), [2.0, 3.0]);
    /// ```
    #[track_caller]
    pub fn gather(&self, axis: isize, index: &Tensor) -> Tensor {
        let at = resolve_axis("gather", axis, self.shape());
        check_index("gather", self, index);
        let mut x = self.clone();
        for other in (0..self.rank()).filter(|&k| k != at) {
            let (n, wanted) = (self.shape()[other], index.shape()[other]);
            if wanted > n {
                panic!(
                    "gather: an index of shape {} is longer than shape {} on axis {other}; only axis {at} may be longer",
                    index.shape(),
                    self.shape()
                );
            }
            if wanted < n {
                x = x.narrow(other as isize, 0, wanted);
            }
        }
        let storage = checked("gather", &x, at, self.device().backend().gather(x.view(), index.view(), at));
        let out = Tensor::from_storage(storage, Layout::contiguous(index.shape()), self.dtype(), self.device().clone());
        let shape = x.shape().clone();
        out.record("gather")
            .wrt(&x, [index], move |g, [index]| {
                g.device().full(&shape, 0.0, g.dtype()).scatter_add(at as isize, index, g)
            })
            .done()
    }

    /// A copy in which the elements at indices along `axis` are those of `source`, which has the index's shape. Where
    /// one is written more than once, the last one in row-major order stays; only that one gets the gradient.
    ///
    /// # Panics
    /// If shapes do not agree on the other axes, or an index does not exist.
    ///
    /// ```
    /// # use cotangent_core::*;
    /// let index = Tensor::from_slice(&[2i64, 0], [2]);
    /// let x = Tensor::zeros([3]).scatter(0, &index, &Tensor::new([1.0, 2.0], [2]));
    /// assert_eq!(x.to_vec::<f32>(), [2.0, 0.0, 1.0]);
    /// ```
    #[track_caller]
    pub fn scatter(&self, axis: isize, index: &Tensor, source: &Tensor) -> Tensor {
        let at = resolve_axis("scatter", axis, self.shape()) as isize;
        self.scattered("scatter", at, index, source, Scatter::Set)
            .record("scatter")
            .wrt(self, [index], move |g, [index]| g.scatter(at, index, &g.device().full(index.shape(), 0.0, g.dtype())))
            .wrt(source, [index, &self.detach()], move |g, [index, base]| {
                let written = base.survives(at, index);
                written.select(&g.gather(at, index), &g.device().full((), 0.0, g.dtype()))
            })
            .done()
    }

    /// Whether each write of a [`scatter`](Tensor::scatter) into `self` is the one that stays.
    fn survives(&self, axis: isize, index: &Tensor) -> Tensor {
        let device = self.device();
        let number: Vec<i64> = (0..index.count() as i64).collect();
        let number = device.tensor(&number, index.shape());
        let last = device.full(self.shape(), 0.0, DType::I64).scattered("scatter", axis, index, &number, Scatter::Set);
        last.gather(axis, index).eq(&number)
    }

    /// A copy to which `source` is added at indices along `axis`; it has the index's shape. Indices may repeat.
    ///
    /// # Panics
    /// If shapes do not agree on the other axes, or an index does not exist.
    ///
    /// ```
    /// # use cotangent_core::*;
    /// let index = Tensor::from_slice(&[1i64, 1], [2]);
    /// let x = Tensor::zeros([2]).scatter_add(0, &index, &Tensor::new([1.0, 2.0], [2]));
    /// assert_eq!(x.to_vec::<f32>(), [0.0, 3.0]);
    /// ```
    #[track_caller]
    pub fn scatter_add(&self, axis: isize, index: &Tensor, source: &Tensor) -> Tensor {
        let at = resolve_axis("scatter_add", axis, self.shape()) as isize;
        self.scattered("scatter_add", at, index, source, Scatter::Add)
            .record("scatter_add")
            .wrt(self, [], |g, []| g.clone())
            .wrt(source, [index], move |g, [index]| g.gather(at, index))
            .done()
    }

    /// The result of a scatter, untracked.
    #[track_caller]
    fn scattered(&self, op: &'static str, axis: isize, index: &Tensor, source: &Tensor, mode: Scatter) -> Tensor {
        let at = axis as usize;
        check_index(op, self, index);
        same_device(op, self, source);
        same_dtype(op, self, source);
        let (shape, wanted) = (self.shape(), index.shape());
        if source.shape() != wanted || (0..self.rank()).any(|k| k != at && shape[k] != wanted[k]) {
            panic!(
                "{op}: index {wanted}, source {} and target {shape} do not agree; the source needs the index's shape, and \
                 the target may differ on axis {at} only",
                source.shape()
            );
        }
        let base = Arg::Shared(self.view());
        let result = self.device().backend().scatter(base, index.view(), source.view(), at, mode);
        let storage = checked(op, self, at, result);
        Tensor::from_storage(storage, Layout::contiguous(shape), self.dtype(), self.device().clone())
    }
}

/// Panics unless `index` is an index on x's device and of its rank.
#[track_caller]
fn check_index(op: &str, x: &Tensor, index: &Tensor) {
    same_device(op, x, index);
    if index.dtype() != DType::I64 {
        panic!("{op}: an index holds i64, not {}; convert it with .to(DType::I64)", index.dtype());
    }
    if index.rank() != x.rank() {
        panic!("{op}: an index of shape {} needs as many axes as shape {}", index.shape(), x.shape());
    }
}

/// The storage, unless an index was out of range.
#[track_caller]
fn checked(op: &str, x: &Tensor, axis: usize, result: Result<Storage, OutOfRange>) -> Storage {
    result.unwrap_or_else(|OutOfRange { index, position }| {
        panic!(
            "{op}: index {index} (element {position} of the index) does not exist on axis {axis} of shape {}, which has {} \
             places",
            x.shape(), x.shape()[axis]
        )
    })
}

crate::samples!("gather", |s| {
    use crate::check::{index, real};
    s.case("last axis", [real([3, 4], -2.0..2.0), index([3, 2], 4)], |[x, i]| x.gather(1, i)).with_integers();
    s.case("longer than the axis", [real([3, 2], -2.0..2.0), index([5, 2], 3)], |[x, i]| x.gather(0, i));
    s.case("shorter on the other axis", [real([3, 4], -2.0..2.0), index([5, 2], 3)], |[x, i]| x.gather(0, i));
    s.case("middle of three", [real([2, 3, 2], -2.0..2.0), index([2, 4, 2], 3)], |[x, i]| x.gather(-2, i));
    s.case("no index", [real([2, 3], -2.0..2.0), index([2, 0], 3)], |[x, i]| x.gather(1, i));
});
crate::samples!("scatter", |s| {
    use crate::check::{index, real};
    let inputs = [real([2, 3], -2.0..2.0), index([2, 4], 3), real([2, 4], -2.0..2.0)];
    s.case("with repeats", inputs, |[x, i, y]| x.scatter(1, i, y)).with_integers();
    let inputs = [real([4, 2], -2.0..2.0), index([2, 2], 4), real([2, 2], -2.0..2.0)];
    s.case("first axis", inputs, |[x, i, y]| x.scatter(0, i, y));
});
crate::samples!("scatter_add", |s| {
    use crate::check::{index, real};
    let inputs = [real([2, 3], -2.0..2.0), index([2, 4], 3), real([2, 4], -2.0..2.0)];
    s.case("with repeats", inputs, |[x, i, y]| x.scatter_add(1, i, y)).with_integers();
    let inputs = [real([4, 2], -2.0..2.0), index([2, 2], 4), real([2, 2], -2.0..2.0)];
    s.case("first axis", inputs, |[x, i, y]| x.scatter_add(0, i, y));
});
