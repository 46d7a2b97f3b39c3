//! New tensors.

use crate::device::Device;
use crate::dtype::{DType, Element};
use crate::shape::Shape;
use crate::tensor::{Tensor, checked_count};
use crate::with_element;
use std::cmp::Ordering;

impl Device {
    /// A tensor of one repeated value; it takes the memory of one element.
    #[track_caller]
    pub fn full(&self, shape: impl Into<Shape>, value: f64, dtype: DType) -> Tensor {
        let shape = shape.into();
        checked_count("full", &shape);
        let one = with_element!(dtype, T => self.tensor(&[T::from_f64(value)], ()));
        let layout = one.layout().broadcast_to(&shape);
        one.with_layout(layout)
    }

    /// Zeros; they take the memory of one element.
    #[track_caller]
    pub fn zeros(&self, shape: impl Into<Shape>, dtype: DType) -> Tensor {
        self.full(shape, 0.0, dtype)
    }

    /// Ones; they take the memory of one element.
    #[track_caller]
    pub fn ones(&self, shape: impl Into<Shape>, dtype: DType) -> Tensor {
        self.full(shape, 1.0, dtype)
    }

    /// `start`, `start + step`, … up to but without `end`: ⌈(end − start) / step⌉ elements, computed in `f64`.
    ///
    /// # Panics
    /// If `step` is 0, or a number is not finite.
    #[track_caller]
    pub fn arange(&self, start: f64, end: f64, step: f64, dtype: DType) -> Tensor {
        let count = ((end - start) / step).ceil().max(0.0);
        if !(count.is_finite() && start.is_finite() && step.is_finite()) {
            panic!(
                "arange: no range from {start} to {end} in steps of {step}; give finite numbers and a step other than 0"
            );
        }
        checked_count("arange", &(count as usize).into());
        self.numbers(count as usize, dtype, |k| start + step * k as f64)
    }

    /// `count` numbers at equal distances from `start` to `end`, both included exactly.
    ///
    /// # Panics
    /// If `start` or `end` is not finite.
    #[track_caller]
    pub fn linspace(&self, start: f64, end: f64, count: usize, dtype: DType) -> Tensor {
        if !(start.is_finite() && end.is_finite()) {
            panic!("linspace: no numbers at equal distances from {start} to {end}; give finite ones");
        }
        checked_count("linspace", &count.into());
        let last = count.saturating_sub(1).max(1) as f64;
        // Counted from the nearer end, so that both are exact and the sequence is symmetric.
        self.numbers(count, dtype, |k| {
            let (up, down) = (k as f64 / last, (last - k as f64) / last);
            match up.total_cmp(&down) {
                Ordering::Less => start + (end - start) * up,
                Ordering::Equal => 0.5 * start + 0.5 * end,
                Ordering::Greater => end - (end - start) * down,
            }
        })
    }

    fn numbers(&self, count: usize, dtype: DType, f: impl Fn(usize) -> f64) -> Tensor {
        with_element!(dtype, T => self.tensor(&(0..count).map(|k| T::from_f64(f(k))).collect::<Vec<_>>(), [count]))
    }

    /// The matrix of `rows` × `columns` with ones on its diagonal and zeros elsewhere.
    #[track_caller]
    pub fn eye(&self, rows: usize, columns: usize, dtype: DType) -> Tensor {
        let zeros = self.zeros([rows, columns], dtype);
        let diagonal = zeros.layout().shape.clone();
        let region = crate::Layout::contiguous(diagonal).diagonal(0, 0, 1);
        zeros.assign_region("eye", &region, &self.ones(&region.shape, dtype))
    }
}

impl Tensor {
    /// One repeated value in single precision on the default device; it takes the memory of one element.
    #[track_caller]
    pub fn full(shape: impl Into<Shape>, value: f64) -> Tensor {
        Device::default().full(shape, value, DType::F32)
    }

    /// Zeros in single precision on the default device.
    #[track_caller]
    pub fn zeros(shape: impl Into<Shape>) -> Tensor {
        Tensor::full(shape, 0.0)
    }

    /// Ones in single precision on the default device.
    #[track_caller]
    pub fn ones(shape: impl Into<Shape>) -> Tensor {
        Tensor::full(shape, 1.0)
    }

    /// `start`, `start + 1`, … up to but without `end`, in single precision on the default device; see
    /// [`Device::arange`] for steps and other element types.
    ///
    /// ```
    /// # use cotangent_core::*;
    /// assert_eq!(Tensor::arange(1.0, 4.0).to_vec::<f32>(), [1.0, 2.0, 3.0]);
    /// ```
    #[track_caller]
    pub fn arange(start: f64, end: f64) -> Tensor {
        Device::default().arange(start, end, 1.0, DType::F32)
    }

    /// `count` numbers at equal distances from `start` to `end`, both included exactly, in single precision on the
    /// default device.
    ///
    /// ```
    /// # use cotangent_core::*;
    /// assert_eq!(Tensor::linspace(0.0, 1.0, 3).to_vec::<f32>(), [0.0, 0.5, 1.0]);
    /// ```
    #[track_caller]
    pub fn linspace(start: f64, end: f64, count: usize) -> Tensor {
        Device::default().linspace(start, end, count, DType::F32)
    }

    /// The identity matrix of `n` rows in single precision on the default device.
    #[track_caller]
    pub fn eye(n: usize) -> Tensor {
        Device::default().eye(n, n, DType::F32)
    }

    /// The elements of `data`, row by row, on the default device.
    ///
    /// # Panics
    /// If the count of `data` is not that of `shape`.
    #[track_caller]
    pub fn from_vec<T: Element>(data: Vec<T>, shape: impl Into<Shape>) -> Tensor {
        Device::default().tensor(&data, shape)
    }

    /// One repeated value with this tensor's shape, element type and device.
    pub fn full_like(&self, value: f64) -> Tensor {
        self.device().full(self.shape(), value, self.dtype())
    }

    /// Zeros with this tensor's shape, element type and device.
    pub fn zeros_like(&self) -> Tensor {
        self.full_like(0.0)
    }

    /// Ones with this tensor's shape, element type and device.
    pub fn ones_like(&self) -> Tensor {
        self.full_like(1.0)
    }
}
