//! The three types that kernels compute in.

use cotangent_core::Element;
use cotangent_core::backend::Fold;
use cotangent_core::expr::{Binary, Draw, Unary};

/// `f32`, `f64` or `i64`: what a kernel computes in, and what it does with slices of them.
pub trait Number: Element + Default + PartialOrd {
    /// What partial results of folds and the states of scans are kept in.
    type Wide: Wide;
    /// A constant.
    fn of(x: f64) -> Self;
    /// From a stored element.
    fn read<E: Element>(x: E) -> Self;
    /// To a stored element, rounded once.
    fn write<E: Element>(self) -> E;
    /// Without loss.
    fn widen(self) -> Self::Wide;
    /// Whether it is not a number.
    fn is_nan(self) -> bool;
    /// A primitive of one operand.
    fn unary(op: Unary, to: &mut [Self], a: &[Self]);
    /// A primitive of two operands.
    fn binary(op: Binary, to: &mut [Self], a: &[Self], b: &[Self]);
    /// `a` where the condition is not 0, else `b`.
    fn select(to: &mut [Self], condition: &[Self], a: &[Self], b: &[Self]);
    /// Random numbers of the positions from `start` on.
    fn random(draw: Draw, ticket: [u32; 4], start: u64, to: &mut [Self]);
    /// The elements of each row of length `len` combined; the last row may be shorter.
    fn fold_rows(fold: Fold, rows: &[Self], len: usize, to: &mut [Self::Wide]);
    /// Each element of `row` combined into `acc`.
    fn fold_into(fold: Fold, acc: &mut [Self], row: &[Self]);
    /// Each element of `row` combined into wide results.
    fn flush(fold: Fold, to: &mut [Self::Wide], row: &[Self]);
    /// The sum, wrapping.
    fn plus(self, other: Self) -> Self;
    /// What a fold over nothing gives.
    fn start(fold: Fold) -> Self;
}

/// What partial results are kept in: `f64`, or `i64` for integers.
pub trait Wide: Element + PartialOrd + Default {
    /// From a stored element.
    fn load<E: Element>(x: E) -> Self;
    /// To a stored element, rounded once.
    fn store<E: Element>(self) -> E;
    /// Whether it is not a number.
    fn is_nan(self) -> bool;
    /// The sum.
    fn plus(self, other: Self) -> Self;
    /// The product.
    fn times(self, other: Self) -> Self;
    /// ln(eᵃ + eᵇ).
    fn logaddexp(self, other: Self) -> Self;
    /// Two partial results combined.
    #[inline(always)]
    fn join(self, other: Self, fold: Fold) -> Self {
        match fold {
            Fold::Sum => self.plus(other),
            Fold::Prod => self.times(other),
            Fold::Max => self.larger(other),
            Fold::Min => self.smaller(other),
        }
    }
    /// The larger one, NaN if either is.
    #[inline(always)]
    fn larger(self, other: Self) -> Self {
        if (other > self) | other.is_nan() { other } else { self }
    }
    /// The smaller one, NaN if either is.
    #[inline(always)]
    fn smaller(self, other: Self) -> Self {
        if (other < self) | other.is_nan() { other } else { self }
    }
}

impl Wide for f64 {
    #[inline(always)]
    fn load<E: Element>(x: E) -> f64 {
        x.to_f64()
    }
    #[inline(always)]
    fn store<E: Element>(self) -> E {
        E::from_f64(self)
    }
    #[inline(always)]
    fn is_nan(self) -> bool {
        self.is_nan()
    }
    #[inline(always)]
    fn plus(self, other: f64) -> f64 {
        self + other
    }
    #[inline(always)]
    fn times(self, other: f64) -> f64 {
        self * other
    }
    fn logaddexp(self, other: f64) -> f64 {
        Binary::Logaddexp.f64()(self, other)
    }
}

impl Wide for i64 {
    #[inline(always)]
    fn load<E: Element>(x: E) -> i64 {
        x.to_i64()
    }
    #[inline(always)]
    fn store<E: Element>(self) -> E {
        E::from_i64(self)
    }
    #[inline(always)]
    fn is_nan(self) -> bool {
        false
    }
    #[inline(always)]
    fn plus(self, other: i64) -> i64 {
        self.wrapping_add(other)
    }
    #[inline(always)]
    fn times(self, other: i64) -> i64 {
        self.wrapping_mul(other)
    }
    fn logaddexp(self, _: i64) -> i64 {
        unreachable!("checked: logcumsumexp takes floating-point elements")
    }
}

/// Runs `$body` with `$T` as the type to compute in for elements of `$dtype`.
macro_rules! with_number {
    ($dtype:expr, $T:ident => $body:expr) => {
        match cotangent_core::DType::compute($dtype) {
            cotangent_core::Compute::I64 => {
                type $T = i64;
                $body
            }
            cotangent_core::Compute::F32 => {
                type $T = f32;
                $body
            }
            cotangent_core::Compute::F64 => {
                type $T = f64;
                $body
            }
        }
    };
}
pub(crate) use with_number;
