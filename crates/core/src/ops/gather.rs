//! Reading and writing at places that a tensor of indices names.
//!
//! The gradient of reading adds, in the order of the indices; the gradient of adding reads. Where writing replaces,
//! the base's gradient is 0 at every place written to, and the source's is 0 for values that a later one overwrote.

use crate::backend::{Arg, OutOfRange, Scatter};
use crate::dtype::DType;
use crate::profile;
use crate::shape::{Layout, Shape, resolve_axis};
use crate::tape::at_caller;
use crate::tensor::{Tensor, same_device, same_dtype};

impl Tensor {
    /// `out[.., i, ..] = self[.., index[.., i, ..], ..]` along `axis`. On the other axes the index may be smaller than
    /// the tensor.
    ///
    /// # Panics
    /// If the ranks differ, the index is larger on another axis or not of integers, or an index is not in `0..extent`.
    ///
    /// ```
    /// # use cotangent_core::*;
    /// let x = Tensor::new([1.0, 2.0, 3.0, 4.0], [2, 2]);
    /// let index = Tensor::from_slice(&[1i64, 0], [2, 1]);
    /// assert_eq!(x.gather(1, &index).to_vec::<f32>(), [2.0, 3.0]);
    /// ```
    #[track_caller]
    pub fn gather(&self, axis: isize, index: &Tensor) -> Tensor {
        self.gather_for("gather", axis, index)
    }

    /// [`gather`](Tensor::gather) as a part of the operation `op`.
    #[track_caller]
    pub(crate) fn gather_for(&self, op: &'static str, axis: isize, index: &Tensor) -> Tensor {
        let at = resolve_axis(op, axis, self.shape());
        let places = index.as_index(op, self);
        match self.fitted(op, at, &places).along(op, at, &places) {
            Ok(out) => out,
            Err(_) => out_of_range(op, index, self.shape(), at, false),
        }
    }

    /// A copy with `source` written at `self[.., index[.., i, ..], ..]`; where an index repeats, the last value wins, and
    /// the gradient goes to it alone. On the other axes the index may be smaller than the tensor.
    ///
    /// # Panics
    /// If index and source differ in shape, or as [`gather`](Tensor::gather) does.
    ///
    /// ```
    /// # use cotangent_core::*;
    /// let index = Tensor::from_slice(&[2i64, 0], [2]);
    /// let y = Tensor::zeros([3]).scatter(0, &index, &Tensor::new([5.0, 6.0], [2]));
    /// assert_eq!(y.to_vec::<f32>(), [6.0, 0.0, 5.0]);
    /// ```
    #[track_caller]
    pub fn scatter(&self, axis: isize, index: &Tensor, source: &Tensor) -> Tensor {
        self.scattered("scatter", axis, index, source, Scatter::Set)
    }

    /// A copy with `source` added at `self[.., index[.., i, ..], ..]`, in order where an index repeats. On the other
    /// axes the index may be smaller than the tensor.
    ///
    /// # Panics
    /// As [`scatter`](Tensor::scatter) does.
    #[track_caller]
    pub fn scatter_add(&self, axis: isize, index: &Tensor, source: &Tensor) -> Tensor {
        self.scattered("scatter_add", axis, index, source, Scatter::Add)
    }

    #[track_caller]
    fn scattered(&self, op: &'static str, axis: isize, index: &Tensor, source: &Tensor, mode: Scatter) -> Tensor {
        same_device(op, self, source);
        same_dtype(op, self, source);
        let at = resolve_axis(op, axis, self.shape());
        let places = index.as_index(op, self);
        if index.shape() != source.shape() {
            panic!("{op}: the index has shape {}, the source {}; they must be equal", index.shape(), source.shape());
        }
        let part = self.fitted(op, at, &places);
        let Ok(written) = part.write_along(op, at, &places, source, mode) else {
            out_of_range(op, index, self.shape(), at, false)
        };
        if part.shape() == self.shape() {
            return written;
        }
        let region = front(&Layout::contiguous(self.shape()), part.shape());
        self.assign_region(op, &region, &written)
    }

    /// The corner of this tensor that has the index's extents on the axes other than `axis`.
    #[track_caller]
    fn fitted(&self, op: &'static str, axis: usize, index: &Tensor) -> Tensor {
        let (shape, wanted) = (self.shape(), index.shape());
        let fits = wanted.len() == shape.len() && (0..shape.len()).all(|k| k == axis || wanted[k] <= shape[k]);
        if !fits {
            panic!(
                "{op}: an index of shape {wanted} does not fit shape {shape}; on axes other than {axis} it may not be larger"
            );
        }
        let mut part = wanted.clone();
        part[axis] = shape[axis];
        if &part == shape { self.clone() } else { self.window(op, |layout| front(layout, &part)) }
    }

    /// The elements at places counted through the whole tensor in row-major order; the result has the index's shape.
    ///
    /// # Panics
    /// If an index is not in `0..count`, or not of integers.
    #[track_caller]
    pub fn take(&self, index: &Tensor) -> Tensor {
        let count = self.count();
        self.reshaped("take", &count.into()).pick("take", 0, index)
    }

    /// As [`gather`](Tensor::gather), where tensor and index broadcast on the axes other than `axis`: what `argmax(keep)`
    /// or `argsort` found.
    ///
    /// # Panics
    /// If the ranks differ, the other axes do not broadcast, or an index is not in `0..extent`.
    #[track_caller]
    pub fn take_along(&self, axis: isize, index: &Tensor) -> Tensor {
        let op = "take_along";
        let at = resolve_axis(op, axis, self.shape());
        let places = index.as_index(op, self);
        let without = |x: &Tensor| {
            let mut shape = x.shape().clone();
            shape[at] = 1;
            shape
        };
        let same_rank = index.rank() == self.rank();
        let Some(common) = same_rank.then(|| without(self).broadcast(&without(index))).flatten() else {
            panic!("{op}: shapes {} and {} do not broadcast on axes other than {axis}", self.shape(), index.shape());
        };
        let stretched = |x: &Tensor| {
            let mut shape = common.clone();
            shape[at] = x.shape()[at];
            x.expand(shape)
        };
        let (x, places) = at_caller(|| (stretched(self), stretched(&places)));
        match x.along(op, at, &places) {
            Ok(out) => out,
            Err(_) => out_of_range(op, index, self.shape(), at, false),
        }
    }

    /// The places along `axis` that `index` names; its axes, any number of them, stand in place of `axis`.
    ///
    /// # Panics
    /// If an index is not in `0..extent`, or not of integers.
    ///
    /// ```
    /// # use cotangent_core::*;
    /// let x = Tensor::new([1.0, 2.0, 3.0], [3]);
    /// let index = Tensor::from_slice(&[2i64, 0, 2], [3]);
    /// assert_eq!(x.index_select(0, &index).to_vec::<f32>(), [3.0, 1.0, 3.0]);
    /// ```
    #[track_caller]
    pub fn index_select(&self, axis: isize, index: &Tensor) -> Tensor {
        let at = resolve_axis("index_select", axis, self.shape());
        self.pick("index_select", at, index)
    }

    /// A copy to whose places along `axis`, named by the vector `index`, `source` is added, in order where one repeats.
    ///
    /// # Panics
    /// If `source` has not this tensor's shape with the index's length on `axis`, or an index is not in `0..extent`.
    #[track_caller]
    pub fn index_add(&self, axis: isize, index: &Tensor, source: &Tensor) -> Tensor {
        let op = "index_add";
        same_device(op, self, source);
        same_dtype(op, self, source);
        let at = resolve_axis(op, axis, self.shape());
        let mut expected = self.shape().clone();
        expected[at] = index.count();
        if index.rank() != 1 || source.shape() != &expected {
            panic!(
                "{op}: an index of shape {} and a source of shape {} do not fit axis {axis} of shape {}; the index is a \
                 vector, the source has its length there",
                index.shape(),
                source.shape(),
                self.shape()
            );
        }
        match self.write_at(at, &index.as_index(op, self), source, Scatter::Add, op) {
            Ok(out) => out,
            Err(_) => out_of_range(op, index, self.shape(), at, false),
        }
    }

    /// Rows of a table: `index_select` along its first axis. Row `padding` gets no gradient.
    ///
    /// # Panics
    /// If the table is no matrix, or an index or the padding is not in `0..rows`.
    ///
    /// ```
    /// # use cotangent_core::*;
    /// let table = Tensor::new([1.0, 2.0, 3.0, 4.0], [2, 2]);
    /// let words = Tensor::from_slice(&[1i64, 0, 1], [3]);
    /// assert_eq!(table.embedding(&words, None).shape(), &[3, 2]);
    /// ```
    #[track_caller]
    pub fn embedding(&self, index: &Tensor, padding: Option<usize>) -> Tensor {
        let op = "embedding";
        let &[rows, _] = &self.shape()[..] else {
            panic!("{op}: the table has shape {}; it must be a matrix of one row for each index", self.shape());
        };
        let Some(padding) = padding else { return self.pick(op, 0, index) };
        if padding >= rows {
            panic!(
                "{op}: padding {padding} is no row of a table of shape {}; use 0 to {}",
                self.shape(),
                rows.saturating_sub(1)
            );
        }
        let (shape, places) = (self.shape().clone(), index.as_index(op, self));
        let picked = self.detach().pick(op, 0, &places);
        let adjoint = move |g: &Tensor, [places]: [&Tensor; 1]| {
            let real = places.ne(padding as f64).unsqueeze(-1);
            let g = real.select(g, &g.device().full((), 0.0, g.dtype()));
            let g = g.reshape([places.count(), shape[1]]);
            g.device().full(&shape, 0.0, g.dtype()).index_add(0, &places.reshape([places.count()]), &g)
        };
        picked.record(op).wrt(self, [&places], adjoint).done()
    }

    /// 1 at each index along a new last axis of `classes` places, 0 elsewhere.
    ///
    /// # Panics
    /// If an index is not in `0..classes`, or not of integers.
    ///
    /// ```
    /// # use cotangent_core::*;
    /// let labels = Tensor::from_slice(&[1i64, 0], [2]);
    /// assert_eq!(labels.one_hot(2, DType::F32).to_vec::<f32>(), [0.0, 1.0, 1.0, 0.0]);
    /// ```
    #[track_caller]
    pub fn one_hot(&self, classes: usize, dtype: DType) -> Tensor {
        let places = self.as_index("one_hot", self).unsqueeze(-1);
        let mut shape = self.shape().clone();
        shape.push(classes);
        crate::tensor::checked_count("one_hot", &shape);
        let zeros = self.device().full(&shape, 0.0, dtype);
        let ones = self.device().full(places.shape(), 1.0, dtype);
        match zeros.write_along("one_hot", self.rank(), &places, &ones, Scatter::Set) {
            Ok(out) => out,
            Err(_) => out_of_range("one_hot", self, &shape, self.rank(), false),
        }
    }

    /// Places along `axis`; the index's axes stand in its place.
    #[track_caller]
    pub(crate) fn pick(&self, op: &'static str, axis: usize, index: &Tensor) -> Tensor {
        match self.read_at(axis, &index.as_index(op, self).flatten(..), op) {
            Ok(out) => {
                let shape = self.shape();
                let whole =
                    shape[..axis].iter().chain(index.shape().iter()).chain(&shape[axis + 1..]).copied().collect();
                out.reshaped(op, &whole)
            }
            Err(_) => out_of_range(op, index, self.shape(), axis, false),
        }
    }

    /// The places along `axis` that a vector names.
    #[track_caller]
    pub(crate) fn read_at(&self, axis: usize, index: &Tensor, op: &'static str) -> Result<Tensor, OutOfRange> {
        self.along(op, axis, &spread(index, axis, self.shape()))
    }

    /// `source` set at, or added to, the places along `axis` that a vector names.
    #[track_caller]
    pub(crate) fn write_at(
        &self,
        axis: usize,
        index: &Tensor,
        source: &Tensor,
        mode: Scatter,
        op: &'static str,
    ) -> Result<Tensor, OutOfRange> {
        self.write_along(op, axis, &spread(index, axis, self.shape()), source, mode)
    }

    /// [`Backend::gather`](crate::backend::Backend::gather), recorded.
    #[track_caller]
    fn along(&self, op: &'static str, axis: usize, index: &Tensor) -> Result<Tensor, OutOfRange> {
        let _op = profile::operation(op);
        let storage = self.device().backend().gather(self.view(), index.view(), axis)?;
        let shape = self.shape().clone();
        let adjoint = move |g: &Tensor, [index]: [&Tensor; 1]| {
            let zeros = g.device().full(&shape, 0.0, g.dtype());
            zeros.write_along("scatter_add", axis, index, g, Scatter::Add).expect("the indices were read once")
        };
        let out = Tensor::from_storage(storage, Layout::contiguous(index.shape()), self.dtype(), self.device().clone());
        Ok(out.record(op).wrt(self, [index], adjoint).done())
    }

    /// [`Backend::scatter`](crate::backend::Backend::scatter), recorded.
    #[track_caller]
    fn write_along(
        &self,
        op: &'static str,
        axis: usize,
        index: &Tensor,
        source: &Tensor,
        mode: Scatter,
    ) -> Result<Tensor, OutOfRange> {
        let read =
            move |g: &Tensor, index: &Tensor| g.along("gather", axis, index).expect("the indices were written once");
        let _op = profile::operation(op);
        let storage =
            self.device().backend().scatter(Arg::Shared(self.view()), index.view(), source.view(), axis, mode)?;
        let out = Tensor::from_storage(storage, Layout::contiguous(self.shape()), self.dtype(), self.device().clone());
        let record = out.record(op);
        let record = match mode {
            Scatter::Add => {
                record.wrt(self, [], |g, []| g.clone()).wrt(source, [index], move |g, [index]| read(g, index))
            }
            Scatter::Set => record
                .wrt(self, [index], move |g, [index]| {
                    let hole = g.device().full(index.shape(), 0.0, g.dtype());
                    g.write_along("scatter", axis, index, &hole, Scatter::Set).expect("the indices were written once")
                })
                .wrt(source, [index], move |g, [index]| {
                    winners(g.shape(), axis, index).select(&read(g, index), &g.device().full((), 0.0, g.dtype()))
                }),
        };
        Ok(record.done())
    }

    /// This tensor as an index into `x`: on its device, of `I64`.
    #[track_caller]
    pub(crate) fn as_index(&self, op: &str, x: &Tensor) -> Tensor {
        same_device(op, x, self);
        match self.dtype() {
            DType::I64 => self.clone(),
            DType::I32 | DType::U8 => self.to(DType::I64),
            other => panic!("{op}: the index of shape {} holds {other}; convert it with .to(DType::I64)", self.shape()),
        }
    }
}

/// A vector of indices along `axis`, stretched over the other axes of `shape`.
fn spread(index: &Tensor, axis: usize, shape: &Shape) -> Tensor {
    let mut whole = shape.clone();
    whole[axis] = index.count();
    let column: Shape = (axis..shape.len()).map(|k| if k == axis { index.count() } else { 1 }).collect();
    index.reshape(column).expand(whole)
}

/// The corner at the front of every axis.
fn front(layout: &Layout, shape: &Shape) -> Layout {
    shape.iter().enumerate().fold(layout.clone(), |layout, (axis, &n)| layout.slice(axis, 0, n, 1))
}

/// Which values of a source survive when they are written into a tensor of `shape`: the last at each place.
fn winners(shape: &Shape, axis: usize, index: &Tensor) -> Tensor {
    let device = index.device();
    let numbers = device.count_up(index.count()).reshape(index.shape());
    let last = device.full(shape, -1.0, DType::I64).write_along("scatter", axis, index, &numbers, Scatter::Set);
    let last = last.and_then(|last| last.along("gather", axis, index)).expect("the indices were written once");
    last.eq(&numbers)
}

/// The first index outside of an axis of extent `n`, and its position; `wraps` says that negative ones count from the
/// back.
pub(crate) fn first_outside(index: &Tensor, n: usize, wraps: bool) -> Option<(i64, Vec<usize>)> {
    let lowest = if wraps { -(n as i64) } else { 0 };
    let values = index.detach().to(DType::I64).to_vec::<i64>();
    let mut at = values.iter().position(|k| !(lowest..n as i64).contains(k))?;
    let bad = values[at];
    let mut position: Vec<usize> = index.shape().iter().rev().map(|&n| (at % n, at /= n).0).collect();
    position.reverse();
    Some((bad, position))
}

/// Panics with the first index that is outside of its axis; see [`first_outside`].
#[track_caller]
pub(crate) fn out_of_range(op: &str, index: &Tensor, shape: &Shape, axis: usize, wraps: bool) -> ! {
    let n = shape[axis];
    let Some((bad, position)) = first_outside(index, n, wraps) else {
        unreachable!("{op}: the device refuses indices that are in range")
    };
    let lowest = if wraps { -(n as isize) } else { 0 };
    let hint = if n == 0 { "the axis has no places".into() } else { format!("use {lowest} to {}", n - 1) };
    panic!(
        "{op}: index {bad} at position {position:?} of the indices is out of range for axis {axis} of shape {shape}; {hint}"
    );
}

crate::samples!("gather", |s| {
    use crate::check::{index, real};
    s.case("last axis", [real([3, 4], -2.0..2.0), index([3, 2], 4)], |[x, i]| x.gather(1, i)).with_integers();
    s.case("smaller index", [real([3, 4], -2.0..2.0), index([5, 2], 3)], |[x, i]| x.gather(0, i));
    s.case("middle of three", [real([2, 3, 2], -2.0..2.0), index([2, 4, 2], 3)], |[x, i]| x.gather(-2, i));
    s.case("no index", [real([2, 3], -2.0..2.0), index([2, 0], 3)], |[x, i]| x.gather(1, i));
});
crate::samples!("scatter", |s| {
    use crate::check::{index, real};
    let x = || real([3, 4], -2.0..2.0);
    s.case("repeated", [x(), index([3, 5], 4), real([3, 5], -2.0..2.0)], |[x, i, v]| x.scatter(1, i, v))
        .with_integers();
    s.case("smaller index", [x(), index([2, 3], 3), real([2, 3], -2.0..2.0)], |[x, i, v]| x.scatter(0, i, v));
});
crate::samples!("scatter_add", |s| {
    use crate::check::{index, real};
    let x = || real([3, 4], -2.0..2.0);
    s.case("repeated", [x(), index([3, 5], 4), real([3, 5], -2.0..2.0)], |[x, i, v]| x.scatter_add(1, i, v))
        .with_integers();
    s.case("smaller index", [x(), index([2, 3], 3), real([2, 3], -2.0..2.0)], |[x, i, v]| x.scatter_add(0, i, v));
});
crate::samples!("take", |s| {
    use crate::check::{index, real};
    s.case("matrix", [real([2, 3], -2.0..2.0), index([2, 2], 6)], |[x, i]| x.take(i));
});
crate::samples!("take_along", |s| {
    use crate::check::{index, real};
    s.case("both broadcast", [real([3, 1, 4], -2.0..2.0), index([1, 2, 2], 4)], |[x, i]| x.take_along(-1, i));
});
crate::samples!("index_select", |s| {
    use crate::check::{index, real};
    s.case("rows", [real([4, 3], -2.0..2.0), index([5], 4)], |[x, i]| x.index_select(0, i)).with_integers();
    s.case("matrix of indices", [real([2, 3, 2], -2.0..2.0), index([2, 2], 3)], |[x, i]| x.index_select(1, i));
    s.case("none", [real([4, 3], -2.0..2.0), index([0], 4)], |[x, i]| x.index_select(0, i));
});
crate::samples!("index_add", |s| {
    use crate::check::{index, real};
    let x = || real([2, 4], -2.0..2.0);
    s.case("repeated", [x(), index([3], 4), real([2, 3], -2.0..2.0)], |[x, i, v]| x.index_add(-1, i, v))
        .with_integers();
});
crate::samples!("embedding", |s| {
    use crate::check::{index, real};
    s.case("plain", [real([5, 3], -2.0..2.0), index([2, 3], 5)], |[x, i]| x.embedding(i, None));
});
crate::samples!("one_hot", |s| {
    s.case("labels", [crate::check::index([2, 3], 4)], |[i]| i.one_hot(4, DType::F32)).orders(0);
});
