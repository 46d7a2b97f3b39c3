//! Comparison of whole tensors: `==`, and within a tolerance through the traits of the crate `approx`.

use crate::dtype::DType;
use crate::tensor::Tensor;
use approx::{AbsDiffEq, RelativeEq, UlpsEq};

/// Whether shape, element type and every element agree (so a NaN makes tensors differ). Element by element, it is
/// `a.eq(&b)`.
impl PartialEq for Tensor {
    fn eq(&self, other: &Tensor) -> bool {
        all(self, other, |a, b| a == b)
    }
}

/// Shape and element type must agree; the default tolerance is single precision's ε.
///
/// ```
/// # use cotangent_core::*;
/// let x = Tensor::new([1.0, 2.0], [2]);
/// approx::assert_abs_diff_eq!(x.sqrt().square(), x, epsilon = 1e-6);
/// ```
impl AbsDiffEq for Tensor {
    type Epsilon = f64;
    fn default_epsilon() -> f64 {
        f32::EPSILON as f64
    }
    fn abs_diff_eq(&self, other: &Tensor, epsilon: f64) -> bool {
        all(self, other, |a, b| a.abs_diff_eq(&b, epsilon))
    }
}

/// Shape and element type must agree; the default tolerance is single precision's ε.
///
/// ```
/// # use cotangent_core::*;
/// let x = Tensor::new([1e3, 2e-3], [2]);
/// approx::assert_relative_eq!(x.sqrt().square(), x, max_relative = 1e-6);
/// ```
impl RelativeEq for Tensor {
    fn default_max_relative() -> f64 {
        f32::EPSILON as f64
    }
    fn relative_eq(&self, other: &Tensor, epsilon: f64, max_relative: f64) -> bool {
        all(self, other, |a, b| a.relative_eq(&b, epsilon, max_relative))
    }
}

/// Shape and element type must agree; the unit is the spacing of the element type's own numbers (1 for integers).
///
/// ```
/// # use cotangent_core::*;
/// let x = Tensor::new([0.1, 0.2], [2]);
/// approx::assert_ulps_eq!(&x * 3.0 / 3.0, x, max_ulps = 1);
/// ```
impl UlpsEq for Tensor {
    fn default_max_ulps() -> u32 {
        4
    }
    fn ulps_eq(&self, other: &Tensor, epsilon: f64, max_ulps: u32) -> bool {
        let dtype = self.dtype();
        let near = |a, b| place(dtype, a).abs_diff(place(dtype, b)) <= max_ulps as u64;
        all(self, other, |a, b| a.abs_diff_eq(&b, epsilon) || a.is_finite() && b.is_finite() && near(a, b))
    }
}

/// The rank of a number among those of its type, 0 at 0.
fn place(dtype: DType, x: f64) -> i64 {
    let bits = match dtype {
        DType::F64 => x.abs().to_bits() as i64,
        DType::F32 => (x.abs() as f32).to_bits() as i64,
        DType::F16 => half::f16::from_f64(x.abs()).to_bits() as i64,
        DType::BF16 => half::bf16::from_f64(x.abs()).to_bits() as i64,
        _ => x.abs() as i64,
    };
    if x.is_sign_negative() { -bits } else { bits }
}

/// Whether two tensors agree in shape and element type, and `near` holds for every pair of elements.
fn all(a: &Tensor, b: &Tensor, near: impl Fn(f64, f64) -> bool) -> bool {
    if a.shape() != b.shape() || a.dtype() != b.dtype() {
        return false;
    }
    if a.dtype() == DType::I64 {
        // Not every i64 is an f64: equal ones must not be told apart, nor different ones confused.
        let pairs = a.to_vec::<i64>().into_iter().zip(b.to_vec::<i64>());
        return pairs.into_iter().all(|(a, b)| a == b || near(0.0, a.abs_diff(b) as f64));
    }
    let values = |x: &Tensor| crate::tape::no_grad(|| x.to(DType::F64)).to_vec::<f64>();
    values(a).into_iter().zip(values(b)).all(|(a, b)| near(a, b))
}
