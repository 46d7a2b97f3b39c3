//! Tensors for checks: drawn from a seed, rounded to an element type, laid out in memory in every way.

use super::registry::{Input, Values};
use crate::device::Device;
use crate::dtype::{DType, Element};
use crate::rng::{philox, uniform53};
use crate::shape::{Layout, Shape, Strides};
use crate::tensor::Tensor;
use crate::with_element;

/// Reproducible random numbers, one independent stream for each name.
pub(super) struct Stream {
    key: [u32; 2],
    at: u32,
}

impl Stream {
    pub(super) fn new(seed: u64, name: &str) -> Stream {
        // FNV-1a (Fowler, Noll, Vo), so that the stream does not depend on the compiler's hasher.
        let mix = |h: u64, byte: u8| (h ^ byte as u64).wrapping_mul(0x100_0000_01b3);
        let key = name.bytes().chain(seed.to_le_bytes()).fold(0xcbf2_9ce4_8422_2325, mix);
        Stream { key: [key as u32, (key >> 32) as u32], at: 0 }
    }

    /// Uniform in [0, 1).
    pub(super) fn uniform(&mut self) -> f64 {
        self.at += 1;
        let words = philox(self.key, [self.at, 0, 0, 0xC0DE]);
        uniform53(words[0], words[1])
    }

    fn below(&mut self, bound: usize) -> usize {
        (self.uniform() * bound as f64) as usize
    }

    /// Weights for a cotangent or a direction: of both signs, none near 0, never all equal, exact in single precision.
    pub(super) fn weights(&mut self, count: usize) -> Vec<f64> {
        let one = |_| (0.5 + self.uniform()) * if self.uniform() < 0.5 { -1.0 } else { 1.0 };
        (0..count).map(one).map(|w| w as f32 as f64).collect()
    }
}

impl Input {
    /// The elements of a sample's input.
    pub(super) fn draw(&self, stream: &mut Stream) -> Vec<f64> {
        let n = self.shape.count();
        match &self.values {
            Values::Real(domain) => {
                (0..n).map(|_| domain.start + stream.uniform() * (domain.end - domain.start)).collect()
            }
            Values::Distinct(domain) => {
                let mut order: Vec<usize> = (0..n).collect();
                (1..n).rev().for_each(|k| order.swap(k, stream.below(k + 1)));
                let step = (domain.end - domain.start) / n.max(1) as f64;
                // Neighbours stay at least 0.6 steps apart.
                order.iter().map(|&k| domain.start + step * (k as f64 + 0.3 + 0.4 * stream.uniform())).collect()
            }
            Values::Index(bound) => (0..n).map(|_| stream.below(*bound) as f64).collect(),
            Values::Truth => (0..n).map(|_| (stream.uniform() < 0.5) as u8 as f64).collect(),
            Values::Given(data) => data.clone(),
        }
    }

    /// The element type in a run on numbers of type `dtype`.
    pub(super) fn dtype(&self, dtype: DType) -> DType {
        match self.values {
            Values::Index(_) => DType::I64,
            Values::Truth => DType::Bool,
            _ => dtype,
        }
    }
}

/// Where the elements of a tensor lie in its memory if not row by row. A result must not depend on it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Arrangement {
    /// Column by column.
    Transposed,
    /// A window into the middle of a larger buffer.
    Offset,
    /// From the end to the front along every axis.
    Flipped,
    /// One axis repeats a single element by a stride of 0.
    Repeated,
}

impl Arrangement {
    pub(super) const ALL: [Arrangement; 4] =
        [Arrangement::Transposed, Arrangement::Offset, Arrangement::Flipped, Arrangement::Repeated];

    /// The layout of a tensor of this shape; `None` if the arrangement needs more axes or elements.
    pub(super) fn layout(self, shape: &Shape) -> Option<Layout> {
        let plain = Layout::contiguous(shape);
        let long = repeated_axis(shape);
        match self {
            Arrangement::Transposed if shape.len() < 2 => None,
            Arrangement::Transposed => {
                let backwards: Vec<usize> = (0..shape.len()).rev().collect();
                let reversed: Shape = shape.iter().rev().copied().collect();
                Some(Layout::contiguous(reversed).permute(&backwards))
            }
            Arrangement::Offset => {
                let buffer: Shape = shape.iter().map(|n| n + 2).collect();
                let strides = buffer.row_major();
                let offset = strides.iter().sum::<isize>() as usize + 3;
                Some(Layout { shape: shape.clone(), strides, offset })
            }
            Arrangement::Flipped => {
                long?;
                let strides: Strides = plain.strides.iter().map(|stride| -stride).collect();
                Some(Layout { offset: shape.count() - 1, strides, ..plain })
            }
            Arrangement::Repeated => {
                let axis = long?;
                let mut one = shape.clone();
                one[axis] = 1;
                Some(Layout::contiguous(one).broadcast_to(shape))
            }
        }
    }

    /// The elements that the arrangement can hold: the same, but along a repeated axis only the first.
    pub(super) fn elements(self, shape: &Shape, data: &[f64]) -> Vec<f64> {
        let Some(axis) = repeated_axis(shape).filter(|_| self == Arrangement::Repeated) else { return data.to_vec() };
        let inner: usize = shape[axis + 1..].iter().product();
        let first = |at: usize| at - at / inner % shape[axis] * inner;
        (0..data.len()).map(|at| data[first(at)]).collect()
    }
}

/// The last axis with several places, in a shape that has elements.
fn repeated_axis(shape: &Shape) -> Option<usize> {
    shape.iter().rposition(|&n| n > 1).filter(|_| shape.count() > 0)
}

/// A tensor of these elements, rounded to `dtype`, in memory that holds other numbers around them.
pub(super) fn place(device: &Device, data: &[f64], layout: &Layout, dtype: DType) -> Tensor {
    const AROUND: f64 = 113.0;
    with_element!(dtype, T => {
        let end = layout.positions().max().map_or(0, |last| last + 1).max(layout.offset);
        let mut cells = vec![T::from_f64(AROUND); end];
        data.iter().zip(layout.positions()).for_each(|(&x, at)| cells[at] = T::from_f64(x));
        device.tensor(&cells, [end]).with_layout(layout.clone())
    })
}

/// A row-major tensor of these elements, rounded to `dtype`.
pub(super) fn plain(device: &Device, data: &[f64], shape: &Shape, dtype: DType) -> Tensor {
    place(device, data, &Layout::contiguous(shape), dtype)
}

/// The elements as they are after rounding to `dtype`.
pub(super) fn rounded(data: &[f64], dtype: DType) -> Vec<f64> {
    with_element!(dtype, T => data.iter().map(|&x| T::from_f64(x).to_f64()).collect())
}

/// The elements of a tensor in row-major order.
pub(super) fn elements(x: &Tensor) -> Vec<f64> {
    with_element!(x.dtype(), T => x.to_vec::<T>().into_iter().map(Element::to_f64).collect())
}

/// The index along each axis of the element at a row-major position.
pub(super) fn index_of(shape: &Shape, position: usize) -> Vec<usize> {
    let along = |axis: usize| position / shape[axis + 1..].iter().product::<usize>() % shape[axis];
    (0..shape.len()).map(along).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::{distinct, real};

    #[test]
    fn arrangements_hold_the_elements_in_other_places() {
        for shape in [&[2, 3][..], &[4], &[2, 1, 3], &[3, 2, 2], &[1, 5]].map(Shape::from) {
            let data: Vec<f64> = (0..shape.count()).map(|k| k as f64).collect();
            for arrangement in Arrangement::ALL {
                let Some(layout) = arrangement.layout(&shape) else { continue };
                let held = arrangement.elements(&shape, &data);
                let x = place(&Device::reference(), &held, &layout, DType::F32);
                assert_eq!((x.shape(), elements(&x)), (&shape, held), "{arrangement:?}");
                let one_row = shape.iter().filter(|&&n| n > 1).count() == 1;
                let moved = arrangement == Arrangement::Offset || !(arrangement == Arrangement::Transposed && one_row);
                assert_eq!(!layout.is_contiguous() || layout.offset > 0, moved, "{arrangement:?} {shape}");
            }
        }
        assert_eq!(
            Arrangement::Repeated.elements(&Shape::from([2, 3]), &[1., 2., 3., 4., 5., 6.]),
            [1., 1., 1., 4., 4., 4.]
        );
        for arrangement in Arrangement::ALL {
            let empty = Shape::from([0, 3]);
            let layout = arrangement.layout(&empty);
            assert!(layout.is_none_or(|layout| place(&Device::reference(), &[], &layout, DType::I64).count() == 0));
        }
    }

    #[test]
    fn draws_repeat_and_keep_apart() {
        let draw = |name: &str| distinct([50], -2.0..3.0).draw(&mut Stream::new(1, name));
        let mut values = draw("a");
        assert_eq!(values, draw("a"));
        assert_ne!(values, draw("b"));
        assert!(!values.is_sorted());
        values.sort_by(f64::total_cmp);
        assert!(values.windows(2).all(|pair| pair[1] - pair[0] > 0.05) && values[0] > -2.0 && values[49] < 3.0);
        let reals = real([1000], 1.0..3.0).draw(&mut Stream::new(1, "a"));
        assert!((reals.iter().sum::<f64>() / 1000.0 - 2.0).abs() < 0.1);
        let weights = Stream::new(2, "w").weights(100);
        assert!(weights.iter().all(|w| (0.5..=1.5).contains(&w.abs())) && weights.iter().any(|w| *w < 0.0));
    }

    #[test]
    fn indices_of_positions() {
        let shape = Shape::from([2, 3, 4]);
        assert_eq!(index_of(&shape, 0), [0, 0, 0]);
        assert_eq!(index_of(&shape, 23), [1, 2, 3]);
        assert_eq!(index_of(&shape, 6), [0, 1, 2]);
        assert_eq!(index_of(&Shape::default(), 0), [0usize; 0]);
    }
}
