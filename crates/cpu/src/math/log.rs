//! Logarithms and the inverse hyperbolic functions built on them.

use super::fma::{Fma, poly, two_sum};
use super::repr::Steps;

/// `ln(1 + f) + k ln 2` for `√½ - 1 <= f <= √2 - 1`.
///
/// With `s = f / (2 + f)`: `ln(1 + f) = 2s + s³ P(s²)`, and `2s = f - f²/2 + s f²/2` keeps the
/// leading term exact.
#[inline(always)]
fn ln_1p_reduced<F: Fma, T: Steps>(f: T, k: T) -> T {
    let s = f / (T::of(2.0) + f);
    let z = s * s;
    let tail = z * poly::<F, T>(z, T::LN);
    let half_square = T::of(0.5) * f * f;
    let small = s.fma::<F>(half_square + tail, k * T::LN_2.1);
    k.fma::<F>(T::LN_2.0, f - (half_square - small))
}

/// Replaces `y = log x` where the argument is zero, negative, infinite or NaN.
#[inline(always)]
fn with_limits<T: Steps>(x: T, y: T) -> T {
    let y = T::pick(T::INFINITY.above(x), y, x);
    let y = T::pick(T::of(0.0).above(x), T::NAN, y);
    T::pick(x.same(T::of(0.0)), -T::INFINITY, y)
}

/// The natural logarithm.
#[inline(always)]
pub fn log<F: Fma, T: Steps>(x: T) -> T {
    let (k, m, _) = x.split();
    with_limits(x, ln_1p_reduced::<F, T>(m - T::of(1.0), k))
}

/// `ln(1 + x)`, precise also near zero.
#[inline(always)]
pub fn log1p<F: Fma, T: Steps>(x: T) -> T {
    let (u, lost) = two_sum(T::of(1.0), x);
    let (k, m, inverse) = u.split();
    let f = (m - T::of(1.0)) + lost * inverse;
    let y = with_limits(u, ln_1p_reduced::<F, T>(f, k));
    // Also keeps the sign of zero.
    T::pick(T::TINY.above(x.abs()), x, y)
}

/// The logarithm to base 2.
#[inline(always)]
pub fn log2<F: Fma, T: Steps>(x: T) -> T {
    let (k, m, _) = x.split();
    let ln_m = ln_1p_reduced::<F, T>(m - T::of(1.0), T::of(0.0));
    with_limits(x, ln_m.fma::<F>(T::of(std::f64::consts::LOG2_E), k))
}

/// The logarithm to base 10.
#[inline(always)]
pub fn log10<F: Fma, T: Steps>(x: T) -> T {
    let (k, m, _) = x.split();
    let ln_m = ln_1p_reduced::<F, T>(m - T::of(1.0), T::of(0.0));
    let small = ln_m.fma::<F>(T::of(std::f64::consts::LOG10_E), k * T::LOG10_2.1);
    with_limits(x, k.fma::<F>(T::LOG10_2.0, small))
}

/// `ln(1 + t)`, or `ln 2a` where the caller found `a` so large.
#[inline(always)]
fn log1p_or_doubled<F: Fma, T: Steps>(t: T, a: T, large: T::Mask) -> T {
    // 2a may overflow.
    let y = log1p::<F, T>(T::pick(large, a - T::of(1.0), t));
    T::pick(large, y + T::of(std::f64::consts::LN_2), y)
}

/// The inverse hyperbolic sine.
#[inline(always)]
pub fn asinh<F: Fma, T: Steps>(x: T) -> T {
    let a = x.abs();
    let square = a * a;
    let t = a + square / (T::of(1.0) + (square + T::of(1.0)).sqrt());
    log1p_or_doubled::<F, T>(t, a, a.above(T::LARGE)).copysign(x)
}

/// The inverse hyperbolic cosine; NaN below 1.
#[inline(always)]
pub fn acosh<F: Fma, T: Steps>(x: T) -> T {
    let t = x - T::of(1.0);
    let root = (t * (x + T::of(1.0))).sqrt();
    let y = log1p_or_doubled::<F, T>(t + root, x, x.above(T::LARGE));
    T::pick(T::of(1.0).above(x), T::NAN, y)
}

/// The inverse hyperbolic tangent; NaN outside of `[-1, 1]`.
#[inline(always)]
pub fn atanh<F: Fma, T: Steps>(x: T) -> T {
    let a = x.abs();
    let y = T::of(0.5) * log1p::<F, T>((a + a) / (T::of(1.0) - a));
    // Below TINY the doubling and halving would only lose bits of a subnormal number.
    T::pick(T::TINY.above(a), x, y.copysign(x))
}
