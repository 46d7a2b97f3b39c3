//! Exponential functions and those built on them.

use super::fma::{Fma, poly, quick_two_sum, two_sum};
use super::log::log1p;
use super::repr::Steps;

/// `x = k ln 2 + r`: the sum `k + ROUNDER`, `r`, and what the rounding of `r` lost.
#[inline(always)]
fn reduce<F: Fma, T: Steps>(x: T) -> (T, T, T) {
    let rounded = x.fma::<F>(T::of(std::f64::consts::LOG2_E), T::ROUNDER);
    let k = rounded - T::ROUNDER;
    let hi = (-k).fma::<F>(T::LN_2.0, x);
    let r = hi - k * T::LN_2.1;
    (rounded, r, (hi - r) - k * T::LN_2.1)
}

/// `e^(r + low) - 1` of reduced arguments.
#[inline(always)]
fn expm1_reduced<F: Fma, T: Steps>(r: T, low: T) -> T {
    r + (r * r).fma::<F>(poly::<F, T>(r, T::EXP), low)
}

/// `scale * e^(x + low)` for `0 <= scale` of moderate size and a `low` whose square is negligible.
#[inline(always)]
pub(super) fn exp_scaled<F: Fma, T: Steps>(x: T, low: T, scale: T) -> T {
    let (rounded, r, r_low) = reduce::<F, T>(x.clamped(T::EXP_RANGE));
    let (s, t) = T::power_of_two(rounded);
    // e^(x + low) = e^x + low e^x, added up from the small end.
    let one = T::of(1.0);
    let tail = r * r * poly::<F, T>(r, T::EXP);
    let tail = (r_low + low).fma::<F>(one + (r + tail), tail);
    scale.fma::<F>(r + tail, scale) * s * t
}

/// `e^x`.
#[inline(always)]
pub fn exp<F: Fma, T: Steps>(x: T) -> T {
    let (rounded, r, _) = reduce::<F, T>(x.clamped(T::EXP_RANGE));
    let (s, t) = T::power_of_two(rounded);
    (T::of(1.0) + expm1_reduced::<F, T>(r, T::of(0.0))) * s * t
}

/// `2^x`.
#[inline(always)]
pub fn exp2<F: Fma, T: Steps>(x: T) -> T {
    let x = x.clamped(T::EXP2_RANGE);
    let rounded = x + T::ROUNDER;
    let r = x - (rounded - T::ROUNDER);
    let (s, t) = T::power_of_two(rounded);
    r.fma::<F>(poly::<F, T>(r, T::EXP2), T::of(1.0)) * s * t
}

/// `(e^x - 1) / 4`, which is finite wherever `sinh x` is.
#[inline(always)]
fn quarter_expm1<F: Fma, T: Steps>(x: T) -> T {
    let (rounded, r, low) = reduce::<F, T>(x.clamped(T::EXP_RANGE));
    let (s, t) = T::power_of_two(rounded - T::of(2.0));
    let scale = s * t;
    scale.fma::<F>(expm1_reduced::<F, T>(r, low), scale - T::of(0.25))
}

/// `e^x - 1`, precise also near zero.
#[inline(always)]
pub fn expm1<F: Fma, T: Steps>(x: T) -> T {
    // A tiny x is its own result; scaling by ¼ would round a subnormal one.
    let y = T::of(4.0) * quarter_expm1::<F, T>(x);
    T::pick(T::TINY.above(x.abs()), x, y)
}

/// The hyperbolic sine.
#[inline(always)]
pub fn sinh<F: Fma, T: Steps>(x: T) -> T {
    // With t = e^a - 1: sinh a = (t + t / (t + 1)) / 2.
    let q = quarter_expm1::<F, T>(x.abs());
    let half = T::of(2.0) * q;
    let y = half + half / T::of(4.0).fma::<F>(q, T::of(1.0));
    // The fraction is about ½, but NaN once t overflows.
    let y = T::pick(half.above(T::of(4.0) / T::EPSILON), half, y);
    T::pick(T::TINY.above(x.abs()), x, y.copysign(x))
}

/// The hyperbolic cosine.
#[inline(always)]
pub fn cosh<F: Fma, T: Steps>(x: T) -> T {
    // Halving the exponential before it is scaled up keeps it from overflowing early.
    let half = exp_scaled::<F, T>(x.abs(), T::of(0.0), T::of(0.5));
    half + T::of(0.25) / half
}

/// The hyperbolic tangent.
#[inline(always)]
pub fn tanh<F: Fma, T: Steps>(x: T) -> T {
    let (a, one) = (x.abs(), T::of(1.0));
    let near = (a * (a * a)).fma::<F>(poly::<F, T>(a * a, T::TANH), a);
    // 1 - 2 / (e^2a + 1), where errors of the power count less, the greater it is. Of a NaN it makes nonsense.
    let capped = T::pick(a.above(T::TANH_ONE), T::TANH_ONE, a);
    let twice = capped + capped;
    let rounded = twice.fma::<F>(T::of(std::f64::consts::LOG2_E), T::PLAIN_ROUNDER);
    let k = rounded - T::PLAIN_ROUNDER;
    let r = (-k).fma::<F>(T::LN_2.1, (-k).fma::<F>(T::LN_2.0, twice));
    let power = (one + expm1_reduced::<F, T>(r, T::of(0.0))).times_power_of_two(rounded);
    let far = one - T::of(2.0) / (power + one);
    T::pick(a.above(T::of(0.6)), far, near).copysign(x)
}

/// The logistic function `1 / (1 + e^-x)`.
#[inline(always)]
pub fn sigmoid<F: Fma, T: Steps>(x: T) -> T {
    let one = T::of(1.0);
    let z = exp::<F, T>(-x.abs());
    let negative = T::of(0.0).above(x);
    let (denominator, lost) = quick_two_sum(one, z);
    let y = T::pick(negative, z, one) / denominator;
    // What the denominator lost, times y / denominator.
    let reciprocal = T::pick(negative, one - y, y);
    y - lost * (y * reciprocal)
}

/// `ln(1 + e^x)`.
#[inline(always)]
pub fn softplus<F: Fma, T: Steps>(x: T) -> T {
    let ramp = T::pick(x.above(T::of(0.0)), x, T::of(0.0));
    ramp + log1p::<F, T>(exp::<F, T>(-x.abs()))
}

/// `ln(e^a + e^b)`.
///
/// Where the two terms of the result cancel, the error is small next to `max(a, b)` only.
#[inline(always)]
pub fn logaddexp<F: Fma, T: Steps>(a: T, b: T) -> T {
    let first = a.above(b);
    let (larger, smaller) = (T::pick(first, a, b), T::pick(first, b, a));
    let (exponent, low) = two_sum(smaller, -larger);
    // Where the exponential vanishes the low word may not be a number.
    let low = T::pick(exponent.above(T::of(-1000.0)), low, T::of(0.0));
    let y = larger + log1p::<F, T>(exp_scaled::<F, T>(exponent, low, T::of(1.0)));
    // Equal infinities have no difference.
    T::pick(a.same(b), a + T::of(std::f64::consts::LN_2), y)
}
