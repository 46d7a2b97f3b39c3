//! Shapes, strides, axes and broadcasting.

use smallvec::SmallVec;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::ops::{Deref, DerefMut, RangeFull};

/// The extent of each axis; `[]` is a scalar. Up to four axes are stored inline.
#[derive(Eq, Default)]
pub struct Shape(SmallVec<[usize; INLINE]>);

/// Axes whose extents and strides need no memory of their own.
const INLINE: usize = 4;

/// A copy of a few numbers: without a loop or a call, which the clone of a `SmallVec` takes, if they are stored inline.
#[inline]
pub(crate) fn few<T: Copy + Default>(numbers: &[T]) -> SmallVec<[T; INLINE]> {
    if numbers.len() > INLINE {
        return SmallVec::from_slice(numbers);
    }
    let inline = std::array::from_fn(|k| numbers.get(k).copied().unwrap_or_default());
    SmallVec::from_buf_and_len(inline, numbers.len())
}

impl Clone for Shape {
    #[inline]
    fn clone(&self) -> Shape {
        Shape(few(&self.0))
    }
}

impl PartialEq for Shape {
    #[inline]
    fn eq(&self, other: &Shape) -> bool {
        // A few numbers are compared faster than the function for comparing memory is called.
        self.len() == other.len() && self.iter().zip(other.iter()).all(|(a, b)| a == b)
    }
}

impl Hash for Shape {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.hash(state);
    }
}

impl Shape {
    /// Number of elements. Shapes of tensors are checked to have one that fits `isize`.
    pub fn count(&self) -> usize {
        self.iter().product()
    }

    /// The shape that `self` and `other` broadcast to (NumPy's rule: align the last axes; an extent of 1 stretches).
    pub fn broadcast(&self, other: &Shape) -> Option<Shape> {
        if self == other {
            return Some(self.clone());
        }
        let rank = self.len().max(other.len());
        (0..rank)
            .map(|axis| {
                let extent = |s: &Shape| (axis + s.len()).checked_sub(rank).map_or(1, |i| s[i]);
                match (extent(self), extent(other)) {
                    (a, b) if a == b => Some(a),
                    (1, b) => Some(b),
                    (a, 1) => Some(a),
                    _ => None,
                }
            })
            .collect()
    }

    /// The shape with [`INFER`] replaced so that there are `count` elements; `None` if that is impossible or ambiguous.
    pub fn inferred(&self, count: usize) -> Option<Shape> {
        let known = self.iter().filter(|&&n| n != INFER).try_fold(1usize, |n, &extent| n.checked_mul(extent))?;
        let mut shape = self.clone();
        let mut open = shape.iter_mut().filter(|n| **n == INFER);
        match (open.next(), open.next()) {
            (None, _) => (known == count).then_some(shape),
            (Some(extent), None) => {
                *extent = count.checked_div(known)?;
                (known * *extent == count).then_some(shape)
            }
            (Some(_), Some(_)) => None,
        }
    }

    /// The shape after a reduction of some axes: without them, or with extents of 1 if they are kept.
    pub fn reduced(&self, reduced: &[bool], keep: bool) -> Shape {
        let axes = self.iter().zip(reduced).filter(|&(_, &r)| keep || !r);
        axes.map(|(&n, &r)| if r { 1 } else { n }).collect()
    }

    /// Extents before an axis (their product), along it, and after it.
    pub fn around(&self, axis: usize) -> (usize, usize, usize) {
        (self[..axis].iter().product(), self[axis], self[axis + 1..].iter().product())
    }

    /// Strides of the row-major layout, in elements.
    pub fn row_major(&self) -> Strides {
        let extents = &self[..];
        let mut strides = match extents.len() {
            rank @ ..=INLINE => Strides::from_buf_and_len([0; INLINE], rank),
            rank => SmallVec::from_elem(0, rank),
        };
        let mut step = 1isize;
        for (stride, &extent) in strides.iter_mut().zip(extents).rev() {
            *stride = step;
            step *= extent.max(1) as isize;
        }
        strides
    }
}

/// Stands for the one extent that follows from the number of elements: `x.reshape([INFER, 10])`.
pub const INFER: usize = usize::MAX;

/// The distance between neighbours along each axis, in elements; 0 repeats, negative runs backwards.
pub type Strides = SmallVec<[isize; INLINE]>;

impl Deref for Shape {
    type Target = SmallVec<[usize; INLINE]>;
    fn deref(&self) -> &Self::Target {
        &self.0
    }
}
impl DerefMut for Shape {
    fn deref_mut(&mut self) -> &mut Self::Target {
        &mut self.0
    }
}
impl FromIterator<usize> for Shape {
    fn from_iter<I: IntoIterator<Item = usize>>(iter: I) -> Shape {
        Shape(iter.into_iter().collect())
    }
}
impl fmt::Debug for Shape {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let name = |&n: &usize| if n == INFER { "INFER".into() } else { n.to_string() };
        write!(f, "[{}]", self.iter().map(name).collect::<Vec<String>>().join(", "))
    }
}
impl fmt::Display for Shape {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}
impl From<usize> for Shape {
    fn from(extent: usize) -> Shape {
        Shape::from_iter([extent])
    }
}
impl<const N: usize> From<[usize; N]> for Shape {
    fn from(extents: [usize; N]) -> Shape {
        Shape::from_iter(extents)
    }
}
impl From<()> for Shape {
    fn from(_: ()) -> Shape {
        Shape::default()
    }
}
macro_rules! shape_from {
    ($($T:ty),*) => {$( impl From<$T> for Shape { fn from(s: $T) -> Shape { Shape(SmallVec::from_slice(&s[..])) } } )*};
}
shape_from!(&[usize], &Vec<usize>, Vec<usize>, &Shape);
impl<const N: usize> From<&[usize; N]> for Shape {
    fn from(extents: &[usize; N]) -> Shape {
        Shape::from_iter(*extents)
    }
}
impl<const N: usize> PartialEq<[usize; N]> for Shape {
    fn eq(&self, other: &[usize; N]) -> bool {
        self[..] == other[..]
    }
}
impl<const N: usize> PartialEq<[usize; N]> for &Shape {
    fn eq(&self, other: &[usize; N]) -> bool {
        self[..] == other[..]
    }
}

/// Where the elements of a tensor lie in its storage.
#[derive(PartialEq, Eq, Debug, Hash)]
pub struct Layout {
    /// Extents.
    pub shape: Shape,
    /// Distance between neighbours along each axis, in elements.
    pub strides: Strides,
    /// Position of the first element.
    pub offset: usize,
}

impl Clone for Layout {
    #[inline]
    fn clone(&self) -> Layout {
        Layout { shape: self.shape.clone(), strides: few(&self.strides), offset: self.offset }
    }
}

impl Layout {
    /// Row-major from the start of the storage.
    pub fn contiguous(shape: impl Into<Shape>) -> Layout {
        let shape = shape.into();
        Layout { strides: shape.row_major(), shape, offset: 0 }
    }

    /// Whether the elements lie row by row without gaps (from any offset). No elements always do.
    pub fn is_contiguous(&self) -> bool {
        let (mut gaps, mut step) = (false, 1isize);
        for (&n, &stride) in self.shape.iter().zip(&self.strides).rev() {
            gaps |= n != 1 && stride != step;
            step *= n as isize;
        }
        !gaps || step == 0
    }

    /// The layout stretched to `shape` by strides of 0. The shapes must be compatible.
    pub fn broadcast_to(&self, shape: &Shape) -> Layout {
        let lead = shape.len() - self.shape.len();
        let strides = (0..shape.len())
            .map(|axis| match axis.checked_sub(lead) {
                Some(own) if self.shape[own] == shape[axis] => self.strides[own],
                _ => 0,
            })
            .collect();
        Layout { shape: shape.clone(), strides, offset: self.offset }
    }

    /// The layout with its axes in another order.
    pub fn permute(&self, order: &[usize]) -> Layout {
        Layout {
            shape: order.iter().map(|&a| self.shape[a]).collect(),
            strides: order.iter().map(|&a| self.strides[a]).collect(),
            offset: self.offset,
        }
    }

    /// The layout of the same elements under a new shape of equal count, if one exists without copying.
    pub fn reshape(&self, shape: &Shape) -> Option<Layout> {
        if self.is_contiguous() {
            return Some(Layout { strides: shape.row_major(), shape: shape.clone(), offset: self.offset });
        }
        // Walk both shapes from the back, matching groups of axes of equal product.
        let old: Vec<(usize, isize)> =
            self.shape.iter().copied().zip(self.strides.iter().copied()).filter(|&(n, _)| n != 1).collect();
        let mut strides: Strides = SmallVec::from_elem(0, shape.len());
        let mut source = old.len();
        let mut axis = shape.len();
        while axis > 0 {
            if shape[axis - 1] == 1 {
                axis -= 1;
                strides[axis] = 1;
                continue;
            }
            source = source.checked_sub(1)?;
            let (mut have, step) = old[source];
            let mut span = step * have as isize;
            let (mut want, mut stride) = (1, step);
            loop {
                while want < have && axis > 0 {
                    axis -= 1;
                    strides[axis] = stride;
                    want *= shape[axis];
                    stride = step * want as isize;
                }
                if want == have {
                    break;
                }
                // The new group is larger: the next old axis must continue this one.
                source = source.checked_sub(1)?;
                if old[source].1 != span {
                    return None;
                }
                have *= old[source].0;
                span = old[source].1 * old[source].0 as isize;
            }
        }
        Some(Layout { shape: shape.clone(), strides, offset: self.offset })
    }

    /// Positions of all elements in row-major order.
    pub fn positions(&self) -> Positions<'_> {
        Positions {
            layout: self,
            index: SmallVec::from_elem(0, self.shape.len()),
            at: self.offset as isize,
            left: self.shape.count(),
        }
    }
}

/// Iterator over the storage positions of a [`Layout`], in row-major order.
pub struct Positions<'a> {
    layout: &'a Layout,
    index: SmallVec<[usize; 6]>,
    at: isize,
    left: usize,
}

impl Iterator for Positions<'_> {
    type Item = usize;
    fn next(&mut self) -> Option<usize> {
        self.left = self.left.checked_sub(1)?;
        let here = self.at as usize;
        for axis in (0..self.index.len()).rev() {
            self.index[axis] += 1;
            self.at += self.layout.strides[axis];
            if self.index[axis] < self.layout.shape[axis] {
                break;
            }
            self.at -= self.layout.strides[axis] * self.layout.shape[axis] as isize;
            self.index[axis] = 0;
        }
        Some(here)
    }
    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.left, Some(self.left))
    }
}
impl ExactSizeIterator for Positions<'_> {}

/// The axes of a reduction: `..` (all), `-1`, `[0, 2]`, and [`keep`] around one of them to leave extents of 1.
#[derive(Clone, Debug)]
pub struct Axes {
    axes: Option<SmallVec<[isize; 6]>>,
    keep: bool,
}

/// Reduced axes stay, with extent 1: `x.mean(keep(-1))` broadcasts against `x`.
pub fn keep(axes: impl Into<Axes>) -> Axes {
    Axes { keep: true, ..axes.into() }
}

impl From<RangeFull> for Axes {
    fn from(_: RangeFull) -> Axes {
        Axes { axes: None, keep: false }
    }
}
impl From<isize> for Axes {
    fn from(axis: isize) -> Axes {
        Axes::from([axis])
    }
}
impl<const N: usize> From<[isize; N]> for Axes {
    fn from(axes: [isize; N]) -> Axes {
        Axes::from(&axes[..])
    }
}
impl From<&[isize]> for Axes {
    fn from(axes: &[isize]) -> Axes {
        Axes { axes: Some(SmallVec::from_slice(axes)), keep: false }
    }
}

impl Axes {
    /// Which of `rank` axes are reduced, and whether they stay with extent 1. Panics at the user's line.
    #[track_caller]
    pub fn resolve(&self, op: &str, shape: &Shape) -> (SmallVec<[bool; 6]>, bool) {
        let mut mask: SmallVec<[bool; 6]> = SmallVec::from_elem(self.axes.is_none(), shape.len());
        for &axis in self.axes.iter().flatten() {
            let at = resolve_axis(op, axis, shape);
            if mask[at] {
                panic!("{op}: axis {axis} of shape {shape} is named twice; name each axis once");
            }
            mask[at] = true;
        }
        (mask, self.keep)
    }

    /// Whether they are `..`.
    pub(crate) fn is_all(&self) -> bool {
        self.axes.is_none()
    }

    /// The axes in the order in which they were named. Panics at the user's line.
    #[track_caller]
    pub(crate) fn in_order(&self, op: &str, shape: &Shape) -> SmallVec<[usize; 6]> {
        self.resolve(op, shape);
        match &self.axes {
            None => (0..shape.len()).collect(),
            Some(axes) => axes.iter().map(|&axis| resolve_axis(op, axis, shape)).collect(),
        }
    }
}

/// The marked axes, kept.
pub(crate) fn keep_marked(mask: &[bool]) -> Axes {
    Axes { axes: Some((0..).zip(mask).filter(|(_, m)| **m).map(|(axis, _)| axis).collect()), keep: true }
}

/// Where a new axis goes, counted from the front; negative counts from the back of the result.
#[track_caller]
pub(crate) fn resolve_new_axis(op: &str, axis: isize, shape: &Shape) -> usize {
    let rank = shape.len() as isize;
    let at = if axis < 0 { axis + rank + 1 } else { axis };
    if at < 0 || at > rank {
        panic!("{op}: shape {shape} takes no new axis at {axis}; use {} to {rank}", -rank - 1);
    }
    at as usize
}

/// The axis counted from the front; negative counts from the back. Panics at the user's line if there is none.
#[track_caller]
pub fn resolve_axis(op: &str, axis: isize, shape: &Shape) -> usize {
    let rank = shape.len() as isize;
    let at = if axis < 0 { axis + rank } else { axis };
    if at < 0 || at >= rank {
        let range = if rank == 0 { "a scalar has no axes".into() } else { format!("use {} to {}", -rank, rank - 1) };
        panic!("{op}: axis {axis} is out of range for shape {shape}; {range}");
    }
    at as usize
}
