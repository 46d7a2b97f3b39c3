//! What an index is made of, and what it means for a shape.

use crate::dtype::DType;
use crate::shape::{Layout, Shape};
use crate::tensor::{Tensor, same_device};
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

/// A range in steps of one.
pub(super) fn slice(start: Option<isize>, end: Option<isize>) -> Ix {
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
pub(super) struct Plan {
    places: SmallVec<[Place; 6]>,
    /// An axis of the view and what indexes it, or it and the next ones.
    pub(super) tensors: SmallVec<[(usize, Tensor); 2]>,
}

impl Plan {
    /// Checks an index; panics at the user's line.
    #[track_caller]
    pub(super) fn new(op: &str, x: &Tensor, entries: &[Ix]) -> Plan {
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
    pub(super) fn window(&self, layout: &Layout) -> Layout {
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
