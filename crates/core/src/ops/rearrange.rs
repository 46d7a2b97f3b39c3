//! Repeating, rolling, turning, diagonals, triangles and windows.

use crate::device::Device;
use crate::dtype::DType;
use crate::pointwise::pointwise;
use crate::shape::{Axes, Layout, Shape, resolve_axis};
use crate::tensor::{Tensor, checked_count};

impl Layout {
    /// The diagonal through two axes, as the last axis: `offset` places above the main one, or below if negative.
    pub fn diagonal(&self, offset: isize, row: usize, column: usize) -> Layout {
        let start = [offset.min(0).unsigned_abs(), offset.max(0).unsigned_abs()];
        let len = self.shape[row].saturating_sub(start[0]).min(self.shape[column].saturating_sub(start[1]));
        let mut window = self.slice(row, start[0], len, 1).slice(column, start[1], len, 1);
        let step = self.strides[row] + self.strides[column];
        for axis in [row.max(column), row.min(column)] {
            window.shape.remove(axis);
            window.strides.remove(axis);
        }
        window.shape.push(len);
        window.strides.push(step);
        window
    }
}

impl Tensor {
    /// The whole tensor repeated along each axis; new axes come in front.
    ///
    /// # Panics
    /// If there are fewer counts than axes; [`tile`](Tensor::tile) counts from the last axis then.
    ///
    /// ```
    /// # use cotangent_core::*;
    /// let x = Tensor::new([1.0, 2.0], [2]);
    /// assert_eq!(x.repeat([2]).to_vec::<f32>(), [1.0, 2.0, 1.0, 2.0]);
    /// assert_eq!(x.repeat([3, 1]).shape(), &[3, 2]);
    /// ```
    #[track_caller]
    pub fn repeat(&self, counts: impl AsRef<[usize]>) -> Tensor {
        let counts = counts.as_ref();
        if counts.len() < self.rank() {
            panic!(
                "repeat: {counts:?} has fewer counts than shape {} has axes; give one for each, or use tile",
                self.shape()
            );
        }
        self.tiled("repeat", counts)
    }

    /// The whole tensor repeated along its last axes, or along new ones in front where there are more counts.
    #[track_caller]
    pub fn tile(&self, counts: impl AsRef<[usize]>) -> Tensor {
        self.tiled("tile", counts.as_ref())
    }

    #[track_caller]
    fn tiled(&self, op: &'static str, counts: &[usize]) -> Tensor {
        let rank = self.rank().max(counts.len());
        let extent = |k: usize| (k + self.rank()).checked_sub(rank).map_or(1, |at| self.shape()[at]);
        let count = |k: usize| (k + counts.len()).checked_sub(rank).map_or(1, |at| counts[at]);
        let shape: Shape = (0..rank).map(|k| count(k).saturating_mul(extent(k))).collect();
        // Each axis as (repeats, extent): the repeats are stretched, and the copy merges the pairs.
        let single: Shape = (0..rank).flat_map(|k| [1, extent(k)]).collect();
        let pairs: Shape = (0..rank).flat_map(|k| [count(k), extent(k)]).collect();
        checked_count(op, &shape);
        checked_count(op, &pairs);
        self.reshaped(op, &single).expand(pairs).reshaped(op, &shape)
    }

    /// Every place along `axis` repeated `count` times in a row.
    ///
    /// ```
    /// # use cotangent_core::*;
    /// let x = Tensor::new([1.0, 2.0], [2]);
    /// assert_eq!(x.repeat_interleave(2, 0).to_vec::<f32>(), [1.0, 1.0, 2.0, 2.0]);
    /// ```
    #[track_caller]
    pub fn repeat_interleave(&self, count: usize, axis: isize) -> Tensor {
        let op = "repeat_interleave";
        let at = resolve_axis(op, axis, self.shape());
        let mut single = self.shape().clone();
        single.insert(at + 1, 1);
        let (mut pairs, mut shape) = (single.clone(), self.shape().clone());
        pairs[at + 1] = count;
        shape[at] = shape[at].saturating_mul(count);
        checked_count(op, &shape);
        checked_count(op, &pairs);
        self.reshaped(op, &single).expand(pairs).reshaped(op, &shape)
    }

    /// Moved by `shift` places along `axis`, towards the end if positive; what leaves on one side enters on the other.
    ///
    /// ```
    /// # use cotangent_core::*;
    /// let x = Tensor::new([1.0, 2.0, 3.0], [3]);
    /// assert_eq!(x.roll(1, 0).to_vec::<f32>(), [3.0, 1.0, 2.0]);
    /// ```
    #[track_caller]
    pub fn roll(&self, shift: isize, axis: isize) -> Tensor {
        let n = self.shape()[resolve_axis("roll", axis, self.shape())];
        let shift = if n == 0 { 0 } else { shift.rem_euclid(n as isize) as usize };
        if shift == 0 {
            return self.clone();
        }
        Tensor::cat(&[&self.narrow(axis, n - shift, shift), &self.narrow(axis, 0, n - shift)], axis)
    }

    /// Backwards along `axes`: `x.flip(0)`, `x.flip([0, -1])`, `x.flip(..)`. A view.
    #[track_caller]
    pub fn flip(&self, axes: impl Into<Axes>) -> Tensor {
        let (turned, _) = axes.into().resolve("flip", self.shape());
        self.window("flip", |layout| {
            let axes = (0..turned.len()).filter(|&axis| turned[axis]);
            axes.fold(layout.clone(), |layout, axis| {
                let n = layout.shape[axis];
                layout.slice(axis, n.saturating_sub(1), n, -1)
            })
        })
    }

    /// Turned by `quarters` of a full turn in the plane of two axes, from the first towards the second. A view.
    ///
    /// # Panics
    /// If the axes are one and the same.
    #[track_caller]
    pub fn rot90(&self, quarters: isize, [a, b]: [isize; 2]) -> Tensor {
        Axes::from([a, b]).resolve("rot90", self.shape());
        match quarters.rem_euclid(4) {
            0 => self.clone(),
            1 => self.flip(b).transpose(a, b),
            2 => self.flip([a, b]),
            _ => self.transpose(a, b).flip(b),
        }
    }

    /// The diagonal through the axes `row` and `column`, as a new last axis: `offset` places above the main one, or
    /// below if negative. A view.
    ///
    /// # Panics
    /// If the axes are one and the same.
    ///
    /// ```
    /// # use cotangent_core::*;
    /// let x = Tensor::new([1.0, 2.0, 3.0, 4.0], [2, 2]);
    /// assert_eq!(x.diagonal(0, 0, 1).to_vec::<f32>(), [1.0, 4.0]);
    /// assert_eq!(x.diagonal(1, 0, 1).to_vec::<f32>(), [2.0]);
    /// ```
    #[track_caller]
    pub fn diagonal(&self, offset: isize, row: isize, column: isize) -> Tensor {
        Axes::from([row, column]).resolve("diagonal", self.shape());
        let [row, column] = [row, column].map(|axis| resolve_axis("diagonal", axis, self.shape()));
        self.window("diagonal", |layout| layout.diagonal(offset, row, column))
    }

    /// A vector as the diagonal of a matrix of zeros, or the diagonal of a matrix as a vector; `offset` places above the
    /// main one, or below if negative.
    ///
    /// # Panics
    /// If there are not one or two axes.
    #[track_caller]
    pub fn diag(&self, offset: isize) -> Tensor {
        match self.rank() {
            1 => {
                let Some(n) = self.count().checked_add(offset.unsigned_abs()) else {
                    panic!("diag: a matrix with {} elements on diagonal {offset} is too large", self.count())
                };
                let zeros = self.device().full([n, n], 0.0, self.dtype());
                let region = Layout::contiguous([n, n]).diagonal(offset, 0, 1);
                zeros.assign_region("diag", &region, self)
            }
            2 => self.diagonal(offset, 0, 1),
            _ => {
                panic!("diag: takes a vector or a matrix, but the shape is {}; see diagonal for batches", self.shape())
            }
        }
    }

    /// The lower triangle of the last two axes, up to `offset` places above the main diagonal; 0 elsewhere.
    ///
    /// # Panics
    /// If there are fewer than two axes.
    #[track_caller]
    pub fn tril(&self, offset: isize) -> Tensor {
        let inside = self.triangle("tril", pointwise(move |[r, c]| (c - r).le(offset as f64)));
        pointwise(|[inside, x, zero]| inside.select(x, zero)).named("tril").call([&inside, self, &self.zeros_like()])
    }

    /// The upper triangle of the last two axes, from `offset` places above the main diagonal on; 0 elsewhere.
    ///
    /// # Panics
    /// If there are fewer than two axes.
    #[track_caller]
    pub fn triu(&self, offset: isize) -> Tensor {
        let inside = self.triangle("triu", pointwise(move |[r, c]| (c - r).ge(offset as f64)));
        pointwise(|[inside, x, zero]| inside.select(x, zero)).named("triu").call([&inside, self, &self.zeros_like()])
    }

    /// Where a condition on row and column holds in the last two axes.
    #[track_caller]
    fn triangle(&self, op: &str, inside: crate::Pointwise<2, crate::Expr>) -> Tensor {
        let &[.., rows, columns] = &self.shape()[..] else {
            panic!("{op}: a triangle needs two axes, but the shape is {}", self.shape());
        };
        let count = |n: usize, shape: [usize; 2]| self.device().count_up(n).reshape(shape);
        inside.call([&count(rows, [rows, 1]), &count(columns, [1, columns])])
    }

    /// Windows of `size` places along `axis`, `step` apart, as a new last axis; a rest that fills no window is left out.
    /// A view; where windows overlap, the gradient is the sum.
    ///
    /// # Panics
    /// If a window is longer than the axis, or `step` is 0.
    ///
    /// ```
    /// # use cotangent_core::*;
    /// let x = Tensor::new([1.0, 2.0, 3.0], [3]).tracked();
    /// let pairs = x.unfold(0, 2, 1);
    /// assert_eq!(pairs.to_vec::<f32>(), [1.0, 2.0, 2.0, 3.0]);
    /// assert_eq!(pairs.sum(..).backward()[&x].to_vec::<f32>(), [1.0, 2.0, 1.0]);
    /// ```
    #[track_caller]
    pub fn unfold(&self, axis: isize, size: usize, step: usize) -> Tensor {
        let at = resolve_axis("unfold", axis, self.shape());
        let n = self.shape()[at];
        if size > n || step == 0 {
            panic!(
                "unfold: no windows of {size} places, {step} apart, on axis {axis} of shape {}; they must fit, and be at \
                 least 1 apart",
                self.shape()
            );
        }
        let count = (n - size) / step + 1;
        let windows = |layout: &Layout| {
            let mut view = layout.slice(at, 0, count, step as isize);
            view.shape.push(size);
            view.strides.push(layout.strides[at]);
            view
        };
        if step >= size {
            return self.window("unfold", windows);
        }
        let places: Vec<i64> = (0..count).flat_map(|w| (0..size).map(move |k| (w * step + k) as i64)).collect();
        let shape = self.shape().clone();
        self.with_layout(windows(self.layout()))
            .record("unfold")
            .wrt(self, [], move |g, []| {
                let rows = g.movedim(-1, at as isize + 1).flatten(at as isize..=at as isize + 1);
                let places = g.device().tensor(&places, [places.len()]);
                g.device().full(&shape, 0.0, g.dtype()).index_add(at as isize, &places, &rows)
            })
            .done()
    }
}

impl Device {
    /// 0, 1, 2, … as `I64`.
    #[track_caller]
    pub(crate) fn count_up(&self, n: usize) -> Tensor {
        self.arange(0.0, n as f64, 1.0, DType::I64)
    }
}

crate::samples!("repeat", |s| {
    use crate::check::real;
    s.case("every axis", [real([2, 2], -2.0..2.0)], |[x]| x.repeat([2, 3])).with_integers();
    s.case("a new axis", [real([2, 2], -2.0..2.0)], |[x]| x.repeat([2, 1, 3]));
});
crate::samples!("tile", |s| {
    use crate::check::real;
    s.case("the last axis", [real([2, 2], -2.0..2.0)], |[x]| x.tile([3]));
    s.case("no time", [real([2, 2], -2.0..2.0)], |[x]| x.tile([0, 1]));
});
crate::samples!("repeat_interleave", |s| {
    use crate::check::real;
    s.case("middle axis", [real([2, 3, 2], -2.0..2.0)], |[x]| x.repeat_interleave(2, 1));
});
crate::samples!("roll", |s| {
    use crate::check::real;
    s.case("forwards", [real([2, 4], -2.0..2.0)], |[x]| x.roll(1, 1)).with_integers();
    s.case("backwards past the end", [real([3, 2], -2.0..2.0)], |[x]| x.roll(-5, 0));
});
crate::samples!("flip", |s| {
    use crate::check::real;
    s.case("two axes", [real([2, 3, 4], -2.0..2.0)], |[x]| x.flip([0, -1])).with_integers();
    s.case("no elements", [real([0, 3], -2.0..2.0)], |[x]| x.flip(..));
});
crate::samples!("rot90", |s| {
    use crate::check::real;
    s.case("a quarter", [real([2, 3], -2.0..2.0)], |[x]| x.rot90(1, [0, 1]));
    s.case("back", [real([2, 3, 2], -2.0..2.0)], |[x]| x.rot90(-1, [2, 0]));
});
crate::samples!("diagonal", |s| {
    use crate::check::real;
    s.case("main", [real([3, 2, 3], -2.0..2.0)], |[x]| x.diagonal(0, 2, 0)).with_integers();
    s.case("above", [real([3, 4], -2.0..2.0)], |[x]| x.diagonal(1, 0, 1));
    s.case("outside", [real([2, 2], -2.0..2.0)], |[x]| x.diagonal(-5, 0, 1));
});
crate::samples!("diag", |s| {
    use crate::check::real;
    s.case("of a vector", [real([3], -2.0..2.0)], |[x]| x.diag(-1)).with_integers();
    s.case("of a matrix", [real([4, 3], -2.0..2.0)], |[x]| x.diag(-1));
});
crate::samples!("tril", |s| {
    use crate::check::real;
    s.case("below", [real([2, 3, 4], -2.0..2.0)], |[x]| x.tril(-1)).with_integers();
});
crate::samples!("triu", |s| {
    use crate::check::real;
    s.case("above", [real([2, 3, 4], -2.0..2.0)], |[x]| x.triu(1)).with_integers();
});
crate::samples!("unfold", |s| {
    use crate::check::real;
    s.case("overlapping", [real([5, 2], -2.0..2.0)], |[x]| x.unfold(0, 3, 1)).with_integers();
    s.case("with gaps", [real([2, 7], -2.0..2.0)], |[x]| x.unfold(-1, 2, 3));
});
