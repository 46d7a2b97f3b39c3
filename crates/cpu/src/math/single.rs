//! The functions whose algorithm is specific to `f32`.
//!
//! Where an argument reduction needs more than 24 bits it is done in `f64`, and so is then the
//! short polynomial: the width of a loop's vectors is that of its widest type anyway.

use super::double;
use super::exp::{exp, exp_scaled};
use super::fma::{Fma, poly};
use super::log::log;
use super::repr::Steps;

/// π/2 as a sum; the first part has 33 bits.
const HALF_PI: (f64, f64) = (1.5707963267341256, 6.077100506506192e-11);
const ROUNDER: f64 = 6_755_399_441_055_744.0;

/// `(sin r - r) / r³` in `r²`, for `|r| <= π/4`, to the precision of `f32`.
const SIN: [f64; 3] = [-0.1666665493665683, 0.008332177684004306, -0.00019517234372989692];

/// `(cos r - 1 + r²/2) / r⁴` in `r²`, for `|r| <= π/4`, to the precision of `f32`.
const COS: [f64; 3] = [0.041666650590065336, -0.0013887519114050809, 2.4453421335984366e-05];

/// `(sin r, cos r, quadrant)` with `x = quadrant π/2 + r`, for `|x| <= 2²⁰`.
#[inline(always)]
pub(super) fn sin_cos<F: Fma>(x: f32) -> (f64, f64, u64) {
    let x = f64::from(x);
    let rounded = x.fma::<F>(std::f64::consts::FRAC_2_PI, ROUNDER);
    let n = rounded - ROUNDER;
    let r = (x - n * HALF_PI.0) - n * HALF_PI.1;
    let z = r * r;
    let sin = (r * z).fma::<F>(poly::<F, f64>(z, &SIN), r);
    let cos = (z * z).fma::<F>(poly::<F, f64>(z, &COS), (-0.5_f64).fma::<F>(z, 1.0));
    (sin, cos, rounded.to_bits())
}

/// `(erf x - x) / x` in `x²`, for `|x| <= 0.93`.
const ERF: [f32; 7] =
    [1.2837917e-01, -3.7612632e-01, 1.1283687e-01, -2.6858937e-02, 5.1998943e-03, -8.129861e-04, 8.316112e-05];

/// `-ln erfc a`, for `0.93 <= a <= 4`.
const LN_ERFC: [f32; 9] = [
    -2.764828e-04,
    1.1300437e+00,
    6.321745e-01,
    1.0972694e-01,
    -2.6205411e-02,
    4.6782526e-03,
    -5.783006e-04,
    4.3732285e-05,
    -1.5132606e-06,
];

#[inline(always)]
pub(super) fn erf<F: Fma>(x: f32) -> f32 {
    let a = x.abs();
    let inner = x.fma::<F>(poly::<F, f32>(x * x, &ERF), x);
    // From 4 on, erf rounds to 1.
    let capped = if a > 4.0 { 4.0 } else { a };
    let power = poly::<F, f32>(capped, &LN_ERFC);
    let outer = (1.0 - exp_scaled::<F, f32>(-power, 0.0, 1.0)).copysign(x);
    if a < 0.93 { inner } else { outer }
}

/// `erfc` in `f64`: where it is small its relative error is that of the exponent, which `f32`
/// cannot represent well enough.
#[inline(always)]
pub(super) fn erfc<F: Fma>(x: f32) -> f32 {
    double::erfc::<F>(f64::from(x)) as f32
}

/// `x^y` for `x >= 0`, except that `0^0`, `∞^0` and `1^±∞` are NaN.
#[inline(always)]
pub(super) fn pow_positive<F: Fma>(x: f32, y: f32) -> f32 {
    exp::<F, f64>(f64::from(y) * log::<F, f64>(f64::from(x))) as f32
}
