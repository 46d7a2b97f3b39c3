//! Taking apart, and joins built on `cat` and `stack`.

use super::pad::Pad;
use crate::shape::{Shape, resolve_axis};
use crate::tape::at_caller;
use crate::tensor::{Tensor, same_device, same_dtype};

/// Which argument of [`Tensor::meshgrid`] runs along the first axis.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Indexing {
    /// The first: matrix order, `[i, j]`.
    Ij,
    /// The second: picture order, x along the columns and y along the rows.
    Xy,
}

impl Tensor {
    /// Parts of the given lengths along `axis`. Views.
    ///
    /// # Panics
    /// If the lengths do not add up to the extent.
    ///
    /// ```
    /// # use cotangent_core::*;
    /// let parts = Tensor::zeros([5, 2]).split([2, 3], 0);
    /// assert_eq!(parts[1].shape(), &[3, 2]);
    /// ```
    #[track_caller]
    pub fn split(&self, lengths: impl AsRef<[usize]>, axis: isize) -> Vec<Tensor> {
        let lengths = lengths.as_ref();
        let n = self.shape()[resolve_axis("split", axis, self.shape())];
        if lengths.iter().try_fold(0usize, |sum, &len| sum.checked_add(len)) != Some(n) {
            panic!(
                "split: lengths {lengths:?} do not add up to the {n} places of axis {axis} of shape {}; chunk makes equal parts",
                self.shape()
            );
        }
        let mut parts = Vec::with_capacity(lengths.len());
        let mut start = 0;
        for &len in lengths {
            parts.push(self.narrow(axis, start, len));
            start += len;
        }
        parts
    }

    /// Parts of equal length along `axis`, at most `count`; the last one may be shorter. Views.
    ///
    /// # Panics
    /// If `count` is 0.
    ///
    /// ```
    /// # use cotangent_core::*;
    /// let lengths: Vec<usize> = Tensor::zeros([7]).chunk(3, 0).iter().map(Tensor::count).collect();
    /// assert_eq!(lengths, [3, 3, 1]);
    /// ```
    #[track_caller]
    pub fn chunk(&self, count: usize, axis: isize) -> Vec<Tensor> {
        let n = self.shape()[resolve_axis("chunk", axis, self.shape())];
        if count == 0 {
            panic!("chunk: no way to make 0 parts of shape {}; ask for one at least", self.shape());
        }
        let len = n.div_ceil(count).max(1);
        let parts = n.div_ceil(len).max(1);
        let lengths: Vec<usize> = (0..parts).map(|k| len.min(n - k * len)).collect();
        self.split(lengths, axis)
    }

    /// The places along `axis`, without it. Views.
    #[track_caller]
    pub fn unbind(&self, axis: isize) -> Vec<Tensor> {
        let at = resolve_axis("unbind", axis, self.shape());
        let mut shape = self.shape().clone();
        shape.remove(at);
        at_caller(|| (0..self.shape()[at]).map(|k| self.narrow(axis, k, 1).reshaped("unbind", &shape)).collect())
    }

    /// Side by side: joined along the second axis, vectors along their only one.
    ///
    /// # Panics
    /// As [`cat`](Tensor::cat) does.
    #[track_caller]
    pub fn hstack(parts: &[&Tensor]) -> Tensor {
        let wide: Vec<Tensor> = at_caller(|| parts.iter().map(|x| x.at_least("hstack", 1)).collect());
        let axis = wide.first().map_or(0, |x| (x.rank() > 1) as isize);
        Tensor::cat(&wide.iter().collect::<Vec<_>>(), axis)
    }

    /// One above the other: joined along the first axis, where vectors are rows.
    ///
    /// # Panics
    /// As [`cat`](Tensor::cat) does.
    #[track_caller]
    pub fn vstack(parts: &[&Tensor]) -> Tensor {
        let rows: Vec<Tensor> = at_caller(|| parts.iter().map(|x| x.at_least("vstack", 2)).collect());
        Tensor::cat(&rows.iter().collect::<Vec<_>>(), 0)
    }

    /// With axes of extent 1 in front until there are `rank`.
    #[track_caller]
    fn at_least(&self, op: &'static str, rank: usize) -> Tensor {
        let missing = rank.saturating_sub(self.rank());
        let shape: Shape = std::iter::repeat_n(1, missing).chain(self.shape().iter().copied()).collect();
        self.reshaped(op, &shape)
    }

    /// Coordinates of a grid: each vector stretched over the lengths of all of them. Views.
    ///
    /// # Panics
    /// If one is no vector, or they live on different devices.
    ///
    /// ```
    /// # use cotangent_core::*;
    /// let (x, y) = (Tensor::arange(0.0, 3.0), Tensor::arange(0.0, 2.0));
    /// assert_eq!(Tensor::meshgrid(&[&x, &y], Indexing::Ij)[0].shape(), &[3, 2]);
    /// assert_eq!(Tensor::meshgrid(&[&x, &y], Indexing::Xy)[0].shape(), &[2, 3]);
    /// ```
    #[track_caller]
    pub fn meshgrid(vectors: &[&Tensor], indexing: Indexing) -> Vec<Tensor> {
        for x in vectors {
            same_device("meshgrid", vectors[0], x);
            if x.rank() != 1 {
                panic!("meshgrid: takes vectors, but a shape is {}; flatten it", x.shape());
            }
        }
        let swap = indexing == Indexing::Xy && vectors.len() > 1;
        let axis = |k: usize| if swap && k < 2 { 1 - k } else { k };
        let shape: Shape = (0..vectors.len()).map(|k| vectors[axis(k)].count()).collect();
        let column =
            |k: usize| (0..shape.len() - axis(k)).map(|k2| if k2 == 0 { vectors[k].count() } else { 1 }).collect();
        at_caller(|| (0..vectors.len()).map(|k| vectors[k].reshaped("meshgrid", &column(k)).expand(&shape)).collect())
    }

    /// Matrices along the diagonal of a matrix of zeros; a vector is a row.
    ///
    /// # Panics
    /// If there are none, they have more than two axes, or they differ in element type or device.
    ///
    /// ```
    /// # use cotangent_core::*;
    /// let x = Tensor::block_diag(&[&Tensor::ones([1, 2]), &Tensor::ones([1, 1])]);
    /// assert_eq!(x.to_vec::<f32>(), [1.0, 1.0, 0.0, 0.0, 0.0, 1.0]);
    /// ```
    #[track_caller]
    pub fn block_diag(blocks: &[&Tensor]) -> Tensor {
        let op = "block_diag";
        let Some(first) = blocks.first() else { panic!("{op}: no matrices to join; give at least one") };
        let mut matrices = Vec::with_capacity(blocks.len());
        for block in blocks {
            same_device(op, first, block);
            same_dtype(op, first, block);
            if block.rank() > 2 {
                panic!("{op}: takes matrices and vectors, but a shape is {}", block.shape());
            }
            matrices.push(block.at_least(op, 2));
        }
        let width = matrices.iter().map(|block| block.shape()[1] as isize).sum::<isize>();
        let mut before = 0;
        let mut wide = vec![];
        for block in &matrices {
            let columns = block.shape()[1] as isize;
            before += columns;
            wide.push(block.pad([(before - columns, width - before)], Pad::Constant(0.0)));
        }
        Tensor::cat(&wide.iter().collect::<Vec<_>>(), 0)
    }
}

crate::samples!("split", |s| {
    use crate::check::real;
    s.case("two", [real([2, 4], -2.0..2.0)], |[x]| x.split([1, 3], -1)).with_integers();
});
crate::samples!("chunk", |s| {
    use crate::check::real;
    s.case("a shorter last one", [real([2, 7], -2.0..2.0)], |[x]| x.chunk(3, 1));
});
crate::samples!("unbind", |s| {
    use crate::check::real;
    s.case("middle axis", [real([2, 3, 2], -2.0..2.0)], |[x]| x.unbind(1));
});
crate::samples!("hstack", |s| {
    use crate::check::real;
    s.case("matrices", [real([2, 3], -2.0..2.0), real([2, 1], -2.0..2.0)], |[x, y]| Tensor::hstack(&[x, y]));
    s.case("vectors", [real([3], -2.0..2.0), real([1], -2.0..2.0)], |[x, y]| Tensor::hstack(&[x, y]));
});
crate::samples!("vstack", |s| {
    use crate::check::real;
    s.case("row and matrix", [real([3], -2.0..2.0), real([2, 3], -2.0..2.0)], |[x, y]| Tensor::vstack(&[x, y]));
});
crate::samples!("meshgrid", |s| {
    use crate::check::real;
    let inputs = || [real([2], -2.0..2.0), real([3], -2.0..2.0), real([2], -2.0..2.0)];
    s.case("three, xy", inputs(), |[x, y, z]| Tensor::meshgrid(&[x, y, z], Indexing::Xy));
    s.case("three, ij", inputs(), |[x, y, z]| Tensor::meshgrid(&[x, y, z], Indexing::Ij));
});
crate::samples!("block_diag", |s| {
    use crate::check::real;
    let inputs = [real([2, 3], -2.0..2.0), real([0, 1], -2.0..2.0), real([2], -2.0..2.0)];
    s.case("three", inputs, |[x, y, z]| Tensor::block_diag(&[x, y, z])).with_integers();
});
