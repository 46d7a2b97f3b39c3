//! Indexing by a list of places, ranges, new axes and tensors, for reading and for writing.

use super::gather::{first_outside, out_of_range};
use crate::backend::Scatter;
use crate::dtype::{Bool, DType};
use crate::pointwise::{Operand, pointwise};
use crate::shape::{Layout, Shape, resolve_axis};
use crate::tensor::{Tensor, same_device, same_dtype};
use smallvec::{SmallVec, smallvec};
use std::ops::{Range, RangeFrom, RangeFull, RangeTo};

/// One entry of an index; see [`Tensor::i`].
#[derive(Clone)]
pub enum Ix {
    /// One place; its axis disappears. Negative counts from the back.
    At(isize),
    /// The places from `start` on, `step` apart, to before `end`; negative bounds count from the back.
    Slice {
        /// The first place; the first of all, or for a negative step the last, if it is not given.
        start: Option<isize>,
        /// Where to stop; behind the last place, or for a negative step before the first, if it is not given.
        end: Option<isize>,
        /// Distance; negative runs backwards.
        step: isize,
    },
    /// As many whole axes as the other entries leave.
    Ellipsis,
    /// A new axis of extent 1.
    NewAxis,
    /// Places named by a tensor of integers, or by one of truth values.
    Tensor(Tensor),
}

/// In an index: as many whole axes as the other entries leave, `x.i((Ellipsis, 0))`.
#[derive(Clone, Copy, Debug)]
pub struct Ellipsis;

/// In an index: a new axis of extent 1, `x.i((.., NewAxis))`.
#[derive(Clone, Copy, Debug)]
pub struct NewAxis;

/// A range with a step: `step(1..7, 2)`; backwards with a negative one: `step(.., -1)`, `step(5..1, -2)`.
#[track_caller]
pub fn step(range: impl Into<Ix>, step: isize) -> Ix {
    match range.into() {
        Ix::Slice { start, end, step: 1 } if step != 0 => Ix::Slice { start, end, step },
        Ix::Slice { .. } => panic!("step: a step is not 0, and a range has one step only, but got {step}"),
        _ => panic!("step: only a range has a step, such as step(1..7, 2)"),
    }
}

/// The entries of an index: one entry, a tuple of up to eight, or a list of [`Ix`].
pub trait Indices {
    /// The entries in order.
    fn entries(self) -> SmallVec<[Ix; 6]>;
}

macro_rules! entry {
    ($($T:ty: $x:ident => $ix:expr;)*) => {$(
        impl From<$T> for Ix {
            fn from($x: $T) -> Ix { $ix }
        }
        impl Indices for $T {
            fn entries(self) -> SmallVec<[Ix; 6]> { smallvec![self.into()] }
        }
    )*};
}
macro_rules! integers {
    ($($I:ty),*) => {$( entry! {
        $I: k => Ix::At(k as isize);
        Range<$I>: r => slice(Some(r.start as isize), Some(r.end as isize));
        RangeFrom<$I>: r => slice(Some(r.start as isize), None);
        RangeTo<$I>: r => slice(None, Some(r.end as isize));
    } )*};
}
// `i32` is what a bare literal becomes.
integers!(i32, isize, usize);
entry! {
    RangeFull: _r => slice(None, None);
    Ellipsis: _e => Ix::Ellipsis;
    NewAxis: _n => Ix::NewAxis;
    Tensor: x => Ix::Tensor(x);
    &Tensor: x => Ix::Tensor(x.clone());
}
impl Indices for Ix {
    fn entries(self) -> SmallVec<[Ix; 6]> {
        smallvec![self]
    }
}
impl Indices for &[Ix] {
    fn entries(self) -> SmallVec<[Ix; 6]> {
        self.iter().cloned().collect()
    }
}
macro_rules! tuples {
    ($($($T:ident $k:tt),*;)*) => {$(
        impl<$($T: Into<Ix>),*> Indices for ($($T,)*) {
            fn entries(self) -> SmallVec<[Ix; 6]> { smallvec![$(self.$k.into()),*] }
        }
    )*};
}
tuples! {
    A 0; A 0, B 1; A 0, B 1, C 2; A 0, B 1, C 2, D 3; A 0, B 1, C 2, D 3, E 4; A 0, B 1, C 2, D 3, E 4, F 5;
    A 0, B 1, C 2, D 3, E 4, F 5, G 6; A 0, B 1, C 2, D 3, E 4, F 5, G 6, H 7;
}

fn slice(start: Option<isize>, end: Option<isize>) -> Ix {
    Ix::Slice { start, end, step: 1 }
}

/// What becomes of an axis.
enum Place {
    /// Some of its places; it stays unless it is `single`.
    Old { start: usize, len: usize, step: isize, single: bool },
    /// It is new.
    New,
}

/// An index resolved for a shape: a view first, then tensors that index axes of that view.
struct Plan {
    places: SmallVec<[Place; 6]>,
    tensors: SmallVec<[(usize, Tensor); 2]>,
}

impl Plan {
    #[track_caller]
    fn new(op: &str, x: &Tensor, entries: &[Ix]) -> Plan {
        let shape = x.shape();
        let used = |ix: &Ix| match ix {
            Ix::Tensor(mask) if mask.dtype() == DType::Bool => mask.rank(),
            Ix::At(_) | Ix::Slice { .. } | Ix::Tensor(_) => 1,
            Ix::Ellipsis | Ix::NewAxis => 0,
        };
        let named: usize = entries.iter().map(used).sum();
        let ellipses = entries.iter().filter(|ix| matches!(ix, Ix::Ellipsis)).count();
        if named > shape.len() || ellipses > 1 {
            panic!(
                "{op}: an index for {named} axes with {ellipses} `Ellipsis` does not fit shape {shape}; name at most its {} \
                 axes, and leave out the rest by one `Ellipsis`",
                shape.len()
            );
        }
        let rest = shape.len() - named;
        let mut plan = Plan { places: SmallVec::new(), tensors: SmallVec::new() };
        let (mut axis, mut out) = (0, 0);
        let implied = (ellipses == 0).then_some(Ix::Ellipsis);
        for ix in entries.iter().chain(&implied) {
            match ix {
                Ix::At(k) => plan.places.push(single(op, *k, shape, axis)),
                Ix::Slice { start, end, step } => plan.places.push(run(op, (*start, *end, *step), shape, axis)),
                Ix::NewAxis => plan.places.push(Place::New),
                Ix::Ellipsis => plan.places.extend(shape[axis..axis + rest].iter().map(|&n| whole(n))),
                Ix::Tensor(index) => {
                    let axes = axis..axis + used(ix);
                    if index.dtype() == DType::Bool && (index.rank() == 0 || index.shape()[..] != shape[axes.clone()]) {
                        panic!(
                            "{op}: a mask of shape {} does not cover axes {axes:?} of shape {shape}; the extents must be equal",
                            index.shape()
                        );
                    }
                    same_device(op, x, index);
                    plan.tensors.push((out, index.clone()));
                    plan.places.extend(shape[axes].iter().map(|&n| whole(n)));
                }
            }
            let (old, new) = match ix {
                Ix::Ellipsis => (rest, rest),
                Ix::NewAxis => (0, 1),
                Ix::At(_) => (1, 0),
                _ => (used(ix), used(ix)),
            };
            (axis, out) = (axis + old, out + new);
        }
        plan
    }

    /// The view of a layout, without the tensors.
    fn window(&self, layout: &Layout) -> Layout {
        let mut window = layout.clone();
        let old = self.places.iter().filter(|place| !matches!(place, Place::New)).enumerate();
        for (axis, place) in old {
            if let &Place::Old { start, len, step, .. } = place {
                window = window.slice(axis, start, len, step);
            }
        }
        let (mut shape, mut strides) = (Shape::default(), SmallVec::new());
        let mut axis = 0;
        for place in &self.places {
            let (n, stride) = match place {
                Place::New => (1, 0),
                Place::Old { .. } => (window.shape[axis], window.strides[axis]),
            };
            axis += !matches!(place, Place::New) as usize;
            if !matches!(place, Place::Old { single: true, .. }) {
                shape.push(n);
                strides.push(stride);
            }
        }
        Layout { shape, strides, offset: window.offset }
    }
}

fn whole(n: usize) -> Place {
    Place::Old { start: 0, len: n, step: 1, single: false }
}

#[track_caller]
fn single(op: &str, k: isize, shape: &Shape, axis: usize) -> Place {
    let n = shape[axis] as isize;
    let at = if k < 0 { k + n } else { k };
    if at < 0 || at >= n {
        let hint = if n == 0 { "the axis has no places".into() } else { format!("use {} to {}", -n, n - 1) };
        panic!("{op}: index {k} is out of range for axis {axis} of shape {shape}; {hint}");
    }
    Place::Old { start: at as usize, len: 1, step: 1, single: true }
}

#[track_caller]
fn run(op: &str, (start, end, step): (Option<isize>, Option<isize>, isize), shape: &Shape, axis: usize) -> Place {
    let n = shape[axis] as isize;
    let wrap = |k: isize| if k < 0 { k + n } else { k };
    // Both bounds lie between places: from 0 to n forwards, from n − 1 to −1 backwards.
    let (low, high) = if step > 0 { (0, n) } else { (-1, n - 1) };
    let first = start.map_or(if step > 0 { low } else { high }, wrap);
    let last = end.map_or(if step > 0 { high } else { low }, wrap);
    let valid = |given: Option<isize>, at: isize| given.is_none() || (at >= 0 && at <= high);
    let ordered = if step > 0 { first <= last } else { first >= last };
    if step == 0 || !valid(start, first) || !valid(end, last) || !ordered {
        let show = |bound: Option<isize>| bound.map_or(String::new(), |k| k.to_string());
        panic!(
            "{op}: the range {}..{} with step {step} does not lie in axis {axis} of shape {shape}; bounds go from {} to {n}, \
             and the start comes first in the direction of the step",
            show(start),
            show(end),
            -n
        );
    }
    let len = ((last - first) / step + ((last - first) % step != 0) as isize) as usize;
    Place::Old { start: first.max(0) as usize, len, step, single: false }
}

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
    /// | [`step(.., -1)`](step) | a range with a step, here backwards |
    /// | [`Ellipsis`] | as many whole axes as are left |
    /// | [`NewAxis`] | a new axis of extent 1 |
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
        if region == Layout::contiguous(self.shape()) {
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
            panic!("{op}: a source of shape {} does not broadcast to the part of shape {shape}", self.shape());
        }
        self.expand(shape)
    }
}

crate::samples!("i", |s| {
    use crate::check::{index, real};
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
    s.case("every second", [real([2, 7], -2.0..2.0)], |[x]| x.slice(-1, step(1..6, 2))).with_integers();
    s.case("empty", [real([2, 3], -2.0..2.0)], |[x]| x.slice(1, 2..2));
});
crate::samples!("slice_scatter", |s| {
    use crate::check::real;
    let inputs = [real([2, 5], -2.0..2.0), real([2, 3], -2.0..2.0)];
    s.case("every second", inputs, |[x, v]| x.slice_scatter(1, step(.., 2), v)).with_integers();
});
