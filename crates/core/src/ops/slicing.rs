//! Indexing by a list of places, ranges, new axes and tensors, for reading and for writing.

use super::gather::{first_outside, out_of_range};
use super::ix::{Indices, Ix, Plan, slice};
use crate::backend::Scatter;
use crate::dtype::{Bool, DType};
use crate::pointwise::{Operand, pointwise};
use crate::shape::{Layout, Shape, resolve_axis};
use crate::tensor::{Tensor, same_device, same_dtype};
use smallvec::SmallVec;

/// A view prepared for tensors that index it: the axes they cover are one, and what they name there is one vector.
struct Prepared {
    /// The view with the covered axes as neighbours.
    permuted: Tensor,
    /// The order of axes that made it.
    order: SmallVec<[isize; 6]>,
    /// Its covered axes merged into one, which is this.
    merged: Tensor,
    axis: usize,
    /// Where to read or write on that axis.
    places: Tensor,
    /// The shape of what is read or written.
    shape: Shape,
}

impl Prepared {
    #[track_caller]
    fn new(op: &'static str, view: &Tensor, tensors: &[(usize, Tensor)]) -> Prepared {
        let span = |index: &Tensor| if index.dtype() == DType::Bool { index.rank() } else { 1 };
        let covered: SmallVec<[usize; 6]> =
            tensors.iter().flat_map(|(first, index)| *first..first + span(index)).collect();
        let neighbours = covered.windows(2).all(|pair| pair[1] == pair[0] + 1);
        let axis = if neighbours { covered[0] } else { 0 };
        let others = (0..view.rank()).filter(|k| !covered.contains(k));
        let mut order: SmallVec<[isize; 6]> = others.map(|k| k as isize).collect();
        order.insert_many(axis, covered.iter().map(|&k| k as isize));
        let permuted = view.permute_axes(&order);
        let after = axis + covered.len();
        let inside = &permuted.shape()[axis..after];
        let around = |middle: &[usize]| -> Shape {
            [&permuted.shape()[..axis], middle, &permuted.shape()[after..]].concat().into()
        };
        let merged = permuted.reshaped(op, &around(&[inside.iter().product()]));
        let mut extents = inside;
        let mut joined: Option<Tensor> = None;
        for (_, index) in tensors {
            let (own, rest) = extents.split_at(span(index));
            extents = rest;
            let index = if index.dtype() == DType::Bool { index.true_places() } else { index.as_index(op, view) };
            joined = Some(join(op, joined, &index, own.iter().product()));
        }
        let joined = joined.expect("prepared for one tensor at least");
        let shape = around(&joined.shape()[..]);
        Prepared { order, merged, axis, places: joined.reshape(joined.count()), shape, permuted }
    }

    /// The view again, from its merged form.
    #[track_caller]
    fn undo(&self, op: &'static str, merged: &Tensor) -> Tensor {
        let mut back: SmallVec<[isize; 6]> = self.order.clone();
        self.order.iter().enumerate().for_each(|(to, &from)| back[from as usize] = to as isize);
        merged.reshaped(op, self.permuted.shape()).permute_axes(&back)
    }
}

/// Places on merged axes: those so far, on the axes before, with `index` on the next axis, of extent `n`. Negative ones
/// count from the back; where one does not exist the result does not, either.
#[track_caller]
fn join(op: &str, before: Option<Tensor>, index: &Tensor, n: usize) -> Tensor {
    let n = n as f64;
    let index = pointwise(move |[k]| k.lt(0.0).select(k + n, k)).named("i").call([index]);
    let Some(before) = before else { return index };
    if before.shape().broadcast(index.shape()).is_none() {
        panic!("{op}: the indices, of shapes {} and {}, do not broadcast together", before.shape(), index.shape());
    }
    let inside = pointwise(move |[b, k]| {
        let outside = b.lt(0.0).logical_or(k.lt(0.0)).logical_or(k.ge(n));
        outside.select(-1.0, b * n + k)
    });
    inside.named("i").call([&before, &index])
}

/// Panics with the first place that does not exist.
#[track_caller]
fn blame(op: &str, view: &Tensor, tensors: &[(usize, Tensor)]) -> ! {
    let integers = tensors.iter().filter(|(_, index)| index.dtype() != DType::Bool);
    for (axis, index) in integers {
        if first_outside(index, view.shape()[*axis], true).is_some() {
            out_of_range(op, index, view.shape(), *axis, true);
        }
    }
    unreachable!("{op}: the device refuses indices that are in range")
}

/// The index that takes a range along one axis, and all of the axes before.
#[track_caller]
fn along(op: &str, axis: isize, shape: &Shape, range: Ix) -> SmallVec<[Ix; 6]> {
    if !matches!(range, Ix::Slice { .. }) {
        panic!("{op}: takes a range along an axis, such as 1..3 or step(.., -1); see `i` for other indices");
    }
    let before = resolve_axis(op, axis, shape);
    std::iter::repeat_n(slice(None, None), before).chain([range]).collect()
}

impl Tensor {
    /// Part of the tensor, as in NumPy: a tuple of one entry for each axis, of which the last ones may be left out.
    ///
    /// | entry | meaning |
    /// |---|---|
    /// | `2`, `-1` | one place, the last one; the axis disappears |
    /// | `1..3`, `..-1`, `..` | a range; bounds count from the back if negative; all |
    /// | [`step(.., -1)`](crate::step) | a range with a step, here backwards |
    /// | [`Ellipsis`](crate::Ellipsis) | as many whole axes as are left |
    /// | [`NewAxis`](crate::NewAxis) | a new axis of extent 1 |
    /// | `&tensor` of integers | these places, in any order, also repeated; its axes stand in place of the axis |
    /// | `&tensor` of `Bool` | where it is true; it covers as many axes as it has, which become one |
    ///
    /// Without tensors among the entries the result is a view. Several tensors broadcast together and name places
    /// jointly; their axes stand where theirs were if those are neighbours, else in front.
    ///
    /// # Panics
    /// If there are too many entries, or a place does not exist.
    ///
    /// ```
    /// # use cotangent_core::*;
    /// let x = Tensor::arange(0.0, 12.0).reshape([3, 4]);
    /// assert_eq!(x.i((1, ..2)).to_vec::<f32>(), [4.0, 5.0]);
    /// assert_eq!(x.i((.., -1)).to_vec::<f32>(), [3.0, 7.0, 11.0]);
    /// assert_eq!(x.i((step(.., -2), NewAxis, 0)).shape(), &[2, 1]);
    /// assert_eq!(x.i(&x.gt(9.0)).to_vec::<f32>(), [10.0, 11.0]);
    /// let rows = Tensor::from_slice(&[2i64, -3], [2]);
    /// assert_eq!(x.i((&rows, 1)).to_vec::<f32>(), [9.0, 1.0]);
    /// ```
    #[track_caller]
    pub fn i(&self, index: impl Indices) -> Tensor {
        let plan = Plan::new("i", self, &index.entries());
        let view = self.windowed("i", &plan);
        if plan.tensors.is_empty() {
            return view;
        }
        let prepared = Prepared::new("i", &view, &plan.tensors);
        match prepared.merged.read_at(prepared.axis, &prepared.places, "i") {
            Ok(out) => out.reshaped("i", &prepared.shape),
            Err(_) => blame("i", &view, &plan.tensors),
        }
    }

    /// A copy in which the part that [`i`](Tensor::i) reads with this index is `source`, a tensor that broadcasts to it
    /// or a number. Where tensors name a place twice, the last value wins and the gradient goes to it alone.
    ///
    /// # Panics
    /// If `source` does not broadcast to the part, or as [`i`](Tensor::i) does.
    ///
    /// ```
    /// # use cotangent_core::*;
    /// let x = Tensor::zeros([2, 3]);
    /// let y = x.set((1, step(.., -1)), &Tensor::arange(1.0, 4.0));
    /// assert_eq!(y.to_vec::<f32>(), [0.0, 0.0, 0.0, 3.0, 2.0, 1.0]);
    /// ```
    #[track_caller]
    pub fn set(&self, index: impl Indices, source: impl Operand) -> Tensor {
        self.put("set", &index.entries(), source, Scatter::Set)
    }

    /// A copy in which `source` is added to the part that [`i`](Tensor::i) reads with this index, as often as a place
    /// is named.
    ///
    /// # Panics
    /// As [`set`](Tensor::set) does.
    #[track_caller]
    pub fn add_at(&self, index: impl Indices, source: impl Operand) -> Tensor {
        self.put("add_at", &index.entries(), source, Scatter::Add)
    }

    /// A copy with `source` at the places that tensors of integers name together, one for each of the first axes, or
    /// added there if `accumulate`: [`set`](Tensor::set) or [`add_at`](Tensor::add_at) with only tensors.
    ///
    /// # Panics
    /// As [`set`](Tensor::set) does.
    #[track_caller]
    pub fn index_put(&self, indices: &[&Tensor], source: impl Operand, accumulate: bool) -> Tensor {
        let entries: SmallVec<[Ix; 6]> = indices.iter().map(|&index| Ix::from(index)).collect();
        self.put("index_put", &entries, source, if accumulate { Scatter::Add } else { Scatter::Set })
    }

    /// The range along one axis, as [`i`](Tensor::i) reads it: `x.slice(-1, step(.., 2))`. A view.
    ///
    /// # Panics
    /// If a bound does not exist, or `range` is no range.
    #[track_caller]
    pub fn slice(&self, axis: isize, range: impl Into<Ix>) -> Tensor {
        let plan = Plan::new("slice", self, &along("slice", axis, self.shape(), range.into()));
        self.windowed("slice", &plan)
    }

    /// A copy in which the range along one axis is `source`, a tensor that broadcasts to it or a number.
    ///
    /// # Panics
    /// If `source` does not broadcast to the range, or as [`slice`](Tensor::slice) does.
    #[track_caller]
    pub fn slice_scatter(&self, axis: isize, range: impl Into<Ix>, source: impl Operand) -> Tensor {
        let entries = along("slice_scatter", axis, self.shape(), range.into());
        self.put("slice_scatter", &entries, source, Scatter::Set)
    }

    #[track_caller]
    fn windowed(&self, op: &'static str, plan: &Plan) -> Tensor {
        if &plan.window(self.layout()) == self.layout() {
            return self.clone();
        }
        self.window(op, |layout| plan.window(layout))
    }

    #[track_caller]
    fn put(&self, op: &'static str, entries: &[Ix], source: impl Operand, mode: Scatter) -> Tensor {
        let filled = source.number().map(|number| self.device().full((), number, self.dtype()));
        let Some(source) = source.tensor().or(filled.as_ref()) else {
            unreachable!("an operand is a tensor or a number")
        };
        same_device(op, self, source);
        same_dtype(op, self, source);
        let plan = Plan::new(op, self, entries);
        let region = plan.window(&Layout::contiguous(self.shape()));
        let part = match (plan.tensors.is_empty(), mode) {
            (true, Scatter::Set) => source.fitting(op, &region.shape),
            (true, Scatter::Add) => self.windowed(op, &plan) + source.fitting(op, &region.shape),
            (false, _) => self.windowed(op, &plan).written(op, &plan.tensors, source, mode),
        };
        // A part that is the whole still has the base behind it, unless it replaces it.
        let replaced = plan.tensors.is_empty() && mode == Scatter::Set;
        if region == Layout::contiguous(self.shape()) && !replaced {
            return part;
        }
        self.assign_region(op, &region, &part)
    }

    /// This view with `source` where tensors say.
    #[track_caller]
    fn written(&self, op: &'static str, tensors: &[(usize, Tensor)], source: &Tensor, mode: Scatter) -> Tensor {
        let prepared = Prepared::new(op, self, tensors);
        let Prepared { merged, axis, places, shape, .. } = &prepared;
        let mut rows = merged.shape().clone();
        rows[*axis] = places.count();
        let source = source.fitting(op, shape).reshaped(op, &rows);
        match merged.write_at(*axis, places, &source, mode, op) {
            Ok(written) => prepared.undo(op, &written),
            Err(_) => blame(op, self, tensors),
        }
    }

    /// Where a mask is true, counted in row-major order.
    fn true_places(&self) -> Tensor {
        let mask = self.to_vec::<Bool>();
        let places: Vec<i64> = (0..).zip(&mask).filter(|(_, inside)| inside.0 != 0).map(|(k, _)| k).collect();
        self.device().tensor(&places, [places.len()])
    }

    /// Stretched to `shape`, which is the part to be written.
    #[track_caller]
    fn fitting(&self, op: &'static str, shape: &Shape) -> Tensor {
        if self.shape().broadcast(shape).as_ref() != Some(shape) {
            panic!(
                "{op}: a source of shape {} does not broadcast to the part of shape {shape}; extents must be equal or 1",
                self.shape()
            );
        }
        self.expand(shape)
    }
}

crate::samples!("i", |s| {
    use crate::check::{index, real};
    use crate::{Ellipsis, NewAxis, step};
    let x = || real([3, 4, 2], -2.0..2.0);
    s.case("place, range, new axis", [x()], |[x]| x.i((-1, 1..3, NewAxis))).with_integers();
    s.case("backwards behind an ellipsis", [x()], |[x]| x.i((Ellipsis, step(.., -1), 0)));
    s.case("repeated places", [x(), index([2, 3], 4)], |[x, k]| x.i((.., k)));
    s.case("two tensors apart", [x(), index([5], 3), index([2, 1], 2)], |[x, j, k]| x.i((j, 1.., k)));
    s.case("mask", [x()], |[x]| {
        x.i((0, &Tensor::from_slice(&[Bool(1), Bool(0), Bool(1), Bool(1)], [4]).to_device(x.device())))
    });
});
crate::samples!("set", |s| {
    use crate::check::{index, real};
    use crate::{Ellipsis, step};
    let x = || real([3, 4], -2.0..2.0);
    s.case("columns backwards", [x(), real([3, 2], -2.0..2.0)], |[x, v]| x.set((.., step(.., -2)), v)).with_integers();
    s.case("a broadcast row", [x(), real([4], -2.0..2.0)], |[x, v]| x.set(1.., v));
    s.case("a number", [x()], |[x]| x.set((Ellipsis, 1), 2.0));
    s.case("repeated places", [x(), index([5], 4), real([3, 5], -2.0..2.0)], |[x, k, v]| x.set((.., k), v));
    s.case("two tensors", [x(), index([5], 3), index([5], 4), real([5], -2.0..2.0)], |[x, j, k, v]| x.set((j, k), v));
});
crate::samples!("add_at", |s| {
    use crate::check::{index, real};
    let x = || real([3, 4], -2.0..2.0);
    s.case("a range", [x(), real([2], -2.0..2.0)], |[x, v]| x.add_at((.., 1..3), v)).with_integers();
    s.case("repeated places", [x(), index([5], 4), real([3, 5], -2.0..2.0)], |[x, k, v]| x.add_at((.., k), v));
});
crate::samples!("index_put", |s| {
    use crate::check::{index, real};
    let x = || real([3, 2], -2.0..2.0);
    let rows = |s: &mut crate::check::Samples, label: &str, add: bool| {
        s.case(label, [x(), real([4, 2], -2.0..2.0), index([4], 3)], move |[x, v, k]| x.index_put(&[k], v, add));
    };
    rows(s, "set", false);
    rows(s, "add", true);
});
crate::samples!("slice", |s| {
    use crate::check::real;
    use crate::step;
    s.case("every second", [real([2, 7], -2.0..2.0)], |[x]| x.slice(-1, step(1..6, 2))).with_integers();
    s.case("empty", [real([2, 3], -2.0..2.0)], |[x]| x.slice(1, 2..2));
});
crate::samples!("slice_scatter", |s| {
    use crate::check::real;
    use crate::step;
    let inputs = [real([2, 5], -2.0..2.0), real([2, 3], -2.0..2.0)];
    s.case("every second", inputs, |[x, v]| x.slice_scatter(1, step(.., 2), v)).with_integers();
});
