//! Powers, the hypotenuse and the error functions.

use super::fma::Fma;
use super::real::Real;

/// Whether a non-negative number is an integer; infinity counts as one.
#[inline(always)]
fn is_integer<T: Real>(a: T) -> bool {
    // From 1 / ε on every number is an integer, and below it adding 1 / ε rounds to one.
    let unit = T::of(1.0) / T::EPSILON;
    a >= unit || (a + unit) - unit == a
}

/// `x^y` with the special cases of C and IEEE 754.
#[inline(always)]
pub fn pow<F: Fma, T: Real>(x: T, y: T) -> T {
    let (zero, one) = (T::of(0.0), T::of(1.0));
    let (a, b) = (x.abs(), y.abs());
    let integer = is_integer(b);
    let odd = integer & !is_integer(b * T::of(0.5));

    let power = a.pow_positive::<F>(y);
    let power = if (a == one) & (b == T::INFINITY) { one } else { power };
    // A negative zero is less than no number, but its odd powers are negative.
    let negative = one.copysign(x) < zero;
    let power = if negative & odd { -power } else { power };
    // Negative infinity is treated as a number without a fraction, so its powers all exist.
    let undefined = (x < zero) & (a < T::INFINITY) & !integer;
    let power = if undefined { T::NAN } else { power };
    if (x == one) | (y == zero) { one } else { power }
}

/// `√(x² + y²)` without intermediate overflow or underflow.
#[inline(always)]
pub fn hypot<F: Fma, T: Real>(x: T, y: T) -> T {
    let (a, b) = (x.abs(), y.abs());
    let (large, small) = if a > b { (a, b) } else { (b, a) };
    let (scale, inverse) = large.normalizer();
    let (u, v) = (large * scale, small * scale);
    let length = u.fma::<F>(u, v * v).sqrt() * inverse;
    // Infinite whatever the other is, even if it is not a number.
    let infinite = (a == T::INFINITY) | (b == T::INFINITY);
    if infinite { T::INFINITY } else { length }
}

/// The error function.
#[inline(always)]
pub fn erf<F: Fma, T: Real>(x: T) -> T {
    x.erf::<F>()
}

/// The complementary error function `1 - erf x`, precise also where it is small.
#[inline(always)]
pub fn erfc<F: Fma, T: Real>(x: T) -> T {
    x.erfc::<F>()
}
