//! Comparison of tensors, exactly and within tolerances.

use approx::{abs_diff_eq, relative_eq, ulps_eq};
use cotangent_core::{DType, Tensor, bf16, f16};

fn x(data: &[f32]) -> Tensor {
    Tensor::new(data, [data.len()])
}

#[test]
fn equality_is_of_shape_type_and_elements() {
    assert!(x(&[1.0, 2.0]) == x(&[1.0, 2.0]));
    assert!(x(&[1.0, 2.0]) != x(&[1.0, 3.0]));
    assert!(x(&[1.0, 2.0]) != x(&[1.0, 2.0]).reshape([2, 1]));
    assert!(x(&[1.0, 2.0]) != x(&[1.0, 2.0]).to(DType::F64));
    assert!(x(&[f32::NAN]) != x(&[f32::NAN]));
    assert!(x(&[0.0]) == x(&[-0.0]));
    // Layout and history do not matter.
    let a = Tensor::new([1.0, 2.0, 3.0, 4.0], [2, 2]).tracked();
    assert!(a.t().t() == a.detach() && a.t() == Tensor::new([1.0, 3.0, 2.0, 4.0], [2, 2]));
    // 2⁵³ and 2⁵³ + 1 are one f64, but two integers.
    let big = |n: i64| Tensor::from_slice(&[n], [1]);
    assert!(big(1 << 53) != big((1 << 53) + 1) && big(i64::MIN) == big(i64::MIN));
}

#[test]
fn tolerances() {
    let (a, b) = (x(&[1.0, 1000.0]), x(&[1.0, 1000.5]));
    assert!(abs_diff_eq!(a, b, epsilon = 0.5) && !abs_diff_eq!(a, b, epsilon = 0.4));
    assert!(relative_eq!(a, b, max_relative = 6e-4) && !relative_eq!(a, b, max_relative = 4e-4));
    assert!(!abs_diff_eq!(a, b.reshape([2, 1]), epsilon = 1.0));
    assert!(!abs_diff_eq!(a, b.to(DType::F64), epsilon = 1.0));
    assert!(!abs_diff_eq!(x(&[f32::NAN]), x(&[f32::NAN]), epsilon = f64::INFINITY));
    assert!(relative_eq!(x(&[f32::INFINITY]), x(&[f32::INFINITY])));
    assert!(!relative_eq!(x(&[f32::INFINITY]), x(&[f32::MAX]), max_relative = 0.5));
}

#[test]
fn ulps_are_those_of_the_element_type() {
    let next = |n: u32| f32::from_bits(1f32.to_bits() + n);
    assert!(ulps_eq!(x(&[1.0]), x(&[next(4)])) && !ulps_eq!(x(&[1.0]), x(&[next(5)])));
    let half = |bits: u16| Tensor::from_slice(&[f16::from_bits(bits)], [1]);
    assert!(ulps_eq!(half(0x3c00), half(0x3c02), epsilon = 0.0, max_ulps = 2));
    assert!(!ulps_eq!(half(0x3c00), half(0x3c03), epsilon = 0.0, max_ulps = 2));
    let brain = |bits: u16| Tensor::from_slice(&[bf16::from_bits(bits)], [1]);
    assert!(ulps_eq!(brain(0x3f80), brain(0x3f81), epsilon = 0.0, max_ulps = 1));
    assert!(!ulps_eq!(brain(0x3f80), brain(0x3f82), epsilon = 0.0, max_ulps = 1));
    // Across zero the distance is the sum of both.
    assert!(ulps_eq!(half(0x0001), half(0x8001), epsilon = 0.0, max_ulps = 2));
    assert!(!ulps_eq!(half(0x0001), half(0x8001), epsilon = 0.0, max_ulps = 1));
    assert!(!ulps_eq!(x(&[f32::NAN]), x(&[f32::NAN])));
}
