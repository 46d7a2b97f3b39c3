//! New tensors.

use crate::device::Device;
use crate::dtype::{DType, Element};
use crate::expr::{Draw, draw};
use crate::pointwise::pointwise;
use crate::rng::Rng;
use crate::shape::Shape;
use crate::tensor::{Tensor, checked_count};
use crate::with_element;

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

impl Rng {
    /// Uniform in [0, 1), single precision, on the default device.
    #[track_caller]
    pub fn uniform(&self, shape: impl Into<Shape>) -> Tensor {
        self.uniform_like(&Tensor::zeros(shape))
    }

    /// Standard normal, single precision, on the default device.
    #[track_caller]
    pub fn normal(&self, shape: impl Into<Shape>) -> Tensor {
        self.normal_like(&Tensor::zeros(shape))
    }

    /// Uniform in [0, 1) with the shape, element type and device of `x`: 24 random bits, 53 for `f64`.
    #[track_caller]
    pub fn uniform_like(&self, x: &Tensor) -> Tensor {
        let kind = if x.dtype() == DType::F64 { Draw::Uniform53 } else { Draw::Uniform };
        self.fill(x, kind)
    }

    /// Standard normal with the shape, element type and device of `x`.
    #[track_caller]
    pub fn normal_like(&self, x: &Tensor) -> Tensor {
        self.fill(x, Draw::Normal)
    }

    #[track_caller]
    fn fill(&self, x: &Tensor, kind: Draw) -> Tensor {
        let ticket = self.ticket();
        // The argument only gives the shape: 0 · x would not be 0 for infinite x, so it is selected away.
        pointwise(move |[x]: [_; 1]| draw(kind, ticket) + 0.0 * x.is_nan()).named("random").call([&x.zeros_like()])
    }
}
