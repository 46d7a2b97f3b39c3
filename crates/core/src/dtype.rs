//! Element types.

use half::{bf16, f16};
use std::fmt;

/// The type of a tensor's elements.
///
/// `F16` and `BF16` are storage formats: every operation reads them into `f32`, computes there and rounds the
/// result to nearest even. Integers wrap on overflow. A `Bool` is one byte, 0 or 1.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, PartialOrd, Ord)]
#[non_exhaustive]
pub enum DType {
    /// One byte, 0 or 1; what comparisons return.
    Bool,
    /// Unsigned byte, for images.
    U8,
    /// 32-bit integer.
    I32,
    /// 64-bit integer, for indices.
    I64,
    /// IEEE half precision.
    F16,
    /// Brain float: the upper half of an `f32`.
    BF16,
    /// Single precision, the default.
    F32,
    /// Double precision, for gradient checks.
    F64,
}

/// The type in which a kernel computes on elements of some [`DType`]s.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, PartialOrd, Ord)]
pub enum Compute {
    /// Integers and booleans: wrapping 64-bit arithmetic.
    I64,
    /// `F16`, `BF16` and `F32`.
    F32,
    /// `F64`.
    F64,
}

impl DType {
    /// Every element type.
    pub const ALL: [DType; 8] =
        [DType::Bool, DType::U8, DType::I32, DType::I64, DType::F16, DType::BF16, DType::F32, DType::F64];

    /// Bytes per element.
    pub const fn size(self) -> usize {
        match self {
            DType::Bool | DType::U8 => 1,
            DType::F16 | DType::BF16 => 2,
            DType::I32 | DType::F32 => 4,
            DType::I64 | DType::F64 => 8,
        }
    }

    /// Whether elements are floating-point numbers: only those carry gradients.
    pub const fn is_float(self) -> bool {
        matches!(self, DType::F16 | DType::BF16 | DType::F32 | DType::F64)
    }

    /// Whether it is a half-precision format: stored only, computed in `f32`.
    pub const fn is_half(self) -> bool {
        matches!(self, DType::F16 | DType::BF16)
    }

    /// At least single precision: `F32` for half precision, else the type itself.
    pub const fn widened(self) -> DType {
        if self.is_half() { DType::F32 } else { self }
    }

    /// The type in which kernels compute on these elements.
    pub const fn compute(self) -> Compute {
        match self {
            DType::F64 => Compute::F64,
            DType::F16 | DType::BF16 | DType::F32 => Compute::F32,
            _ => Compute::I64,
        }
    }

    /// Unit roundoff-sized spacing of the format at 1 (`f32`: 2⁻²³); 0 for integers.
    pub const fn epsilon(self) -> f64 {
        match self {
            DType::F16 => 9.765625e-4,
            DType::BF16 => 7.8125e-3,
            DType::F32 => f32::EPSILON as f64,
            DType::F64 => f64::EPSILON,
            _ => 0.0,
        }
    }
}

impl fmt::Display for DType {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.pad(match self {
            DType::Bool => "bool",
            DType::U8 => "u8",
            DType::I32 => "i32",
            DType::I64 => "i64",
            DType::F16 => "f16",
            DType::BF16 => "bf16",
            DType::F32 => "f32",
            DType::F64 => "f64",
        })
    }
}

/// A Rust type that tensors can hold. The conversions are those of Rust's `as`: integers wrap, floats saturate
/// towards integers, NaN becomes 0, and a value becomes the boolean "is not zero".
pub trait Element: bytemuck::Pod + Send + Sync + PartialEq + fmt::Debug {
    /// The matching run-time type.
    const DTYPE: DType;
    /// From single precision, rounding to nearest even.
    fn from_f32(x: f32) -> Self;
    /// From double precision, rounding once to nearest even.
    fn from_f64(x: f64) -> Self;
    /// From an integer, wrapping.
    fn from_i64(x: i64) -> Self;
    /// To single precision.
    fn to_f32(self) -> f32;
    /// To double precision.
    fn to_f64(self) -> f64;
    /// To an integer; fractions are cut, NaN is 0.
    fn to_i64(self) -> i64;
}

/// One byte that is 0 or 1: the storage of [`DType::Bool`]. A `bool` itself has invalid bit patterns, which bytes
/// from a file or a kernel could contain.
#[derive(Clone, Copy, PartialEq, Eq, Debug, bytemuck::Pod, bytemuck::Zeroable)]
#[repr(transparent)]
pub struct Bool(pub u8);

/// The nearest `f32`, or where there are two around `x`, the one with an odd last bit: it remembers that digits were
/// cut, so that rounding it again, to fewer digits, is as good as rounding `x` once (Boldo and Melquiond 2008).
fn round_to_odd(x: f64) -> f32 {
    let nearest = x as f32;
    if nearest as f64 == x || x.is_nan() {
        return nearest;
    }
    let away = (nearest as f64).abs() > x.abs();
    f32::from_bits((nearest.to_bits() - away as u32) | 1)
}

macro_rules! elements {
    ($($T:ty, $dtype:ident, $from32:expr, $from64:expr, $fromi:expr, $to32:expr, $to64:expr, $toi:expr;)*) => {$(
        impl Element for $T {
            const DTYPE: DType = DType::$dtype;
            #[inline(always)] fn from_f32(x: f32) -> $T { ($from32)(x) }
            #[inline(always)] fn from_f64(x: f64) -> $T { ($from64)(x) }
            #[inline(always)] fn from_i64(x: i64) -> $T { ($fromi)(x) }
            #[inline(always)] fn to_f32(self) -> f32 { ($to32)(self) }
            #[inline(always)] fn to_f64(self) -> f64 { ($to64)(self) }
            #[inline(always)] fn to_i64(self) -> i64 { ($toi)(self) }
        }
    )*};
}
elements! {
    f32, F32, |x| x, |x| x as f32, |x| x as f32, |x| x, |x| x as f64, |x| x as i64;
    f64, F64, |x| x as f64, |x| x, |x| x as f64, |x| x as f32, |x| x, |x| x as i64;
    f16, F16, f16::from_f32, |x| f16::from_f32(round_to_odd(x)), |x| f16::from_f32(round_to_odd(x as f64)), f16::to_f32, f16::to_f64, |x: f16| x.to_f32() as i64;
    bf16, BF16, bf16::from_f32, |x| bf16::from_f32(round_to_odd(x)), |x| bf16::from_f32(round_to_odd(x as f64)), bf16::to_f32, bf16::to_f64, |x: bf16| x.to_f32() as i64;
    i32, I32, |x| x as i32, |x| x as i32, |x| x as i32, |x| x as f32, |x| x as f64, |x| x as i64;
    i64, I64, |x| x as i64, |x| x as i64, |x| x, |x| x as f32, |x| x as f64, |x| x;
    u8, U8, |x| x as u8, |x| x as u8, |x| x as u8, |x| x as f32, |x| x as f64, |x| x as i64;
    Bool, Bool, |x| Bool((x != 0.0) as u8), |x| Bool((x != 0.0) as u8), |x| Bool((x != 0) as u8),
        |x: Bool| (x.0 != 0) as u8 as f32, |x: Bool| (x.0 != 0) as u8 as f64, |x: Bool| (x.0 != 0) as i64;
}

/// Runs generic code for the element type of a [`DType`]: `with_element!(dtype, T => body)`.
#[macro_export]
macro_rules! with_element {
    ($dtype:expr, $T:ident => $body:expr) => {{
        use $crate::DType as D;
        match $dtype {
            D::Bool => {
                type $T = $crate::Bool;
                $body
            }
            D::U8 => {
                type $T = u8;
                $body
            }
            D::I32 => {
                type $T = i32;
                $body
            }
            D::I64 => {
                type $T = i64;
                $body
            }
            D::F16 => {
                type $T = $crate::f16;
                $body
            }
            D::BF16 => {
                type $T = $crate::bf16;
                $body
            }
            D::F32 => {
                type $T = f32;
                $body
            }
            D::F64 => {
                type $T = f64;
                $body
            }
            #[allow(unreachable_patterns)] // `DType` is non-exhaustive outside of its crate
            other => unreachable!("element type {other} has no storage"),
        }
    }};
}
