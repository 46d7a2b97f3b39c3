//! Padding.

use crate::shape::Layout;
use crate::tape::at_caller;
use crate::tensor::{Tensor, checked_count};

/// What stands around a padded tensor.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Pad {
    /// One number.
    Constant(f64),
    /// The elements mirrored at the first and the last one, which are not repeated.
    Reflect,
    /// The first and the last element.
    Replicate,
    /// The elements from the other end.
    Circular,
}

impl Tensor {
    /// With places added before and after, `(before, after)` for each of the last axes. Negative numbers cut places off,
    /// before anything is added.
    ///
    /// # Panics
    /// If there are more pairs than axes, more is cut off than there is, or what is left of an axis is too short: a mirror
    /// needs one place more than it adds, `Circular` as many, `Replicate` one.
    ///
    /// ```
    /// # use cotangent_core::*;
    /// let x = Tensor::new([1.0, 2.0, 3.0], [3]);
    /// assert_eq!(x.pad([(1, 1)], Pad::Constant(0.0)).to_vec::<f32>(), [0.0, 1.0, 2.0, 3.0, 0.0]);
    /// assert_eq!(x.pad([(2, 0)], Pad::Reflect).to_vec::<f32>(), [3.0, 2.0, 1.0, 2.0, 3.0]);
    /// assert_eq!(x.pad([(-1, 1)], Pad::Circular).to_vec::<f32>(), [2.0, 3.0, 2.0]);
    /// ```
    #[track_caller]
    pub fn pad(&self, amounts: impl AsRef<[(isize, isize)]>, pad: Pad) -> Tensor {
        let (shape, amounts) = (self.shape(), amounts.as_ref());
        let Some(lead) = shape.len().checked_sub(amounts.len()) else {
            panic!(
                "pad: {} pairs for the {} axes of shape {shape}; give at most one for each",
                amounts.len(),
                shape.len()
            );
        };
        let mut inner = self.clone();
        let mut padded = shape.clone();
        for (axis, &(before, after)) in (lead..).zip(amounts) {
            let cut = |amount: isize| if amount < 0 { amount.unsigned_abs() } else { 0 };
            let added = |amount: isize| amount.max(0) as usize;
            let left = shape[axis].checked_sub(cut(before)).and_then(|n| n.checked_sub(cut(after)));
            let longest = |n: usize| match pad {
                Pad::Reflect => n.saturating_sub(1),
                Pad::Replicate if n == 0 => 0,
                Pad::Circular => n,
                Pad::Constant(_) | Pad::Replicate => usize::MAX,
            };
            let Some(n) = left.filter(|&n| added(before).max(added(after)) <= longest(n)) else {
                panic!("pad: axis {axis} of shape {shape} is too short for ({before}, {after}) places of {pad:?}");
            };
            padded[axis] = n.saturating_add(added(before)).saturating_add(added(after));
            if n < shape[axis] {
                inner = inner.narrow(axis as isize, cut(before), n);
            }
        }
        checked_count("pad", &padded);
        let starts = amounts.iter().map(|&(before, _)| before.max(0) as usize);
        let axes = (lead..).zip(starts).filter(|&(axis, _)| padded[axis] != inner.shape()[axis]);
        match pad {
            Pad::Constant(value) => {
                let within = |layout: Layout, (axis, start)| layout.slice(axis, start, inner.shape()[axis], 1);
                let frame = self.device().full(&padded, value, self.dtype());
                frame.assign_region("pad", &axes.fold(Layout::contiguous(&padded), within), &inner)
            }
            _ => at_caller(|| {
                axes.fold(inner.clone(), |x, (axis, start)| {
                    let places = source_places(pad, inner.shape()[axis], start, padded[axis]);
                    x.pick("pad", axis, &self.device().tensor(&places, [places.len()]))
                })
            }),
        }
    }
}

/// Where the places of an axis come from that has `n` places of its own, the first of them at `start`.
fn source_places(pad: Pad, n: usize, start: usize, padded: usize) -> Vec<i64> {
    let n = n as i64;
    let source = |place: i64| match pad {
        Pad::Circular => place.rem_euclid(n),
        Pad::Reflect if place < 0 => -place,
        Pad::Reflect if place >= n => 2 * (n - 1) - place,
        _ => place.clamp(0, n - 1),
    };
    (0..padded as i64).map(|k| source(k - start as i64)).collect()
}

crate::samples!("pad", |s| {
    use crate::check::real;
    let x = || real([2, 3, 4], -2.0..2.0);
    s.case("constant", [x()], |[x]| x.pad([(1, 0), (0, 2)], Pad::Constant(-0.5))).with_integers();
    s.case("constant, cut off", [x()], |[x]| x.pad([(0, 0), (-1, 1), (1, -2)], Pad::Constant(3.0)));
    s.case("reflect", [x()], |[x]| x.pad([(1, 2), (3, 1)], Pad::Reflect)).with_integers();
    s.case("reflect, cut off", [x()], |[x]| x.pad([(-2, 1)], Pad::Reflect));
    s.case("replicate", [x()], |[x]| x.pad([(5, 2)], Pad::Replicate));
    s.case("circular", [x()], |[x]| x.pad([(3, 2), (0, 4)], Pad::Circular));
    s.case("no elements", [real([2, 0], -2.0..2.0)], |[x]| x.pad([(1, 1)], Pad::Constant(1.0)));
});
