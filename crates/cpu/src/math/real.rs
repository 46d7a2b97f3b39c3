//! The numbers of the library: the arithmetic, and what each format does in its own way.

use super::fma::Fma;
use super::repr::{Repr, Steps};
use super::{double, single};

/// `f32` or `f64`.
///
/// The methods are the steps the functions of this module are made of; call the functions.
pub trait Real: Repr {
    /// Up to this magnitude [`sin_near`](Real::sin_near) and its like hold.
    const NEAR: Self;

    /// Whether `self` is not a number.
    #[inline(always)]
    #[allow(clippy::eq_op)]
    fn is_nan(self) -> bool {
        self != self
    }

    /// `sin` up to [`NEAR`](Real::NEAR).
    fn sin_near<F: Fma>(self) -> Self;

    /// `cos` up to [`NEAR`](Real::NEAR).
    fn cos_near<F: Fma>(self) -> Self;

    /// `tan` up to [`NEAR`](Real::NEAR).
    fn tan_near<F: Fma>(self) -> Self;

    /// `sin` of any argument, by a call of the standard library.
    fn sin_far(self) -> Self;

    /// `cos` of any argument, by a call of the standard library.
    fn cos_far(self) -> Self;

    /// `tan` of any argument, by a call of the standard library.
    fn tan_far(self) -> Self;

    /// The error function.
    fn erf<F: Fma>(self) -> Self;

    /// The complementary error function.
    fn erfc<F: Fma>(self) -> Self;

    /// `self^y` for `self >= 0`, except that `0^0`, `∞^0` and `1^±∞` are NaN.
    fn pow_positive<F: Fma>(self, y: Self) -> Self;
}

macro_rules! real {
    ($T:ident, $format:ident) => {
        impl Real for $T {
            const NEAR: $T = 1_048_576.0;

            // A tiny x is returned as it is because the arithmetic loses the sign of zero.
            #[inline(always)]
            fn sin_near<F: Fma>(self) -> $T {
                let (sin, cos, quadrant) = $format::sin_cos::<F>(self);
                let y = if quadrant & 1 == 0 { sin } else { cos };
                let y = if quadrant & 2 == 0 { y } else { -y };
                if self.abs() < $T::TINY { self } else { y as $T }
            }

            #[inline(always)]
            fn cos_near<F: Fma>(self) -> $T {
                let (sin, cos, quadrant) = $format::sin_cos::<F>(self);
                let y = if quadrant & 1 == 0 { cos } else { sin };
                let y = if (quadrant + 1) & 2 == 0 { y } else { -y };
                y as $T
            }

            #[inline(always)]
            fn tan_near<F: Fma>(self) -> $T {
                let (sin, cos, quadrant) = $format::sin_cos::<F>(self);
                let even = quadrant & 1 == 0;
                let y = (if even { sin } else { -cos }) / (if even { cos } else { sin });
                if self.abs() < $T::TINY { self } else { y as $T }
            }

            #[inline(always)]
            fn sin_far(self) -> $T {
                self.sin()
            }

            #[inline(always)]
            fn cos_far(self) -> $T {
                self.cos()
            }

            #[inline(always)]
            fn tan_far(self) -> $T {
                self.tan()
            }

            #[inline(always)]
            fn erf<F: Fma>(self) -> $T {
                $format::erf::<F>(self)
            }

            #[inline(always)]
            fn erfc<F: Fma>(self) -> $T {
                $format::erfc::<F>(self)
            }

            #[inline(always)]
            fn pow_positive<F: Fma>(self, y: $T) -> $T {
                $format::pow_positive::<F>(self, y)
            }
        }
    };
}

real!(f32, single);
real!(f64, double);
