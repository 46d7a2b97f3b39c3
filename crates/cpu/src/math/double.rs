//! The functions whose algorithm is specific to `f64`.

use super::exp::exp_scaled;
use super::fma::{Fma, poly, quick_two_sum, two_prod, two_sum};
use super::repr::Steps;

/// Rounds a number below 2⁵¹ to an integer, which then also is in the low bits of the sum.
const ROUNDER: f64 = 6_755_399_441_055_744.0;

/// π/2 as a sum whose first three parts have 33 bits, so that their products with a quadrant
/// number below 2²⁰ are exact.
const HALF_PI: [f64; 4] = [1.5707963267341256, 6.077100506303966e-11, 2.0222662487111665e-21, 8.4784276603689e-32];

/// `(sin r - r) / r³` in `r²`, for `|r| <= π/4`.
const SIN: [f64; 6] = [
    -0.16666666666666638,
    0.00833333333332335,
    -0.00019841269830401734,
    2.75573138644094e-06,
    -2.5050781518599942e-08,
    1.589799950845026e-10,
];

/// `(cos r - 1 + r²/2) / r⁴` in `r²`, for `|r| <= π/4`.
const COS: [f64; 6] = [
    0.04166666666666666,
    -0.0013888888888882616,
    2.4801587294189323e-05,
    -2.755731558246356e-07,
    2.0875876656408988e-09,
    -1.1367010279206684e-11,
];

/// `(sin r, cos r, quadrant)` with `x = quadrant π/2 + r`, for `|x| <= 2²⁰`.
#[inline(always)]
pub(super) fn sin_cos<F: Fma>(x: f64) -> (f64, f64, u64) {
    let rounded = x.fma::<F>(std::f64::consts::FRAC_2_PI, ROUNDER);
    let n = rounded - ROUNDER;

    // x - n π/2 as the double word r + low (Cody and Waite).
    let (first, e1) = two_sum(x - n * HALF_PI[0], -n * HALF_PI[1]);
    let (second, e2) = two_sum(first, -n * HALF_PI[2]);
    let (r, low) = quick_two_sum(second, (e1 + e2) - n * HALF_PI[3]);

    let z = r * r;
    let half = 0.5 * z;
    let sin = r + (r * z).fma::<F>(poly::<F, f64>(z, &SIN), low - low * half);
    let head = 1.0 - half;
    let cos = head + (((1.0 - head) - half) + (z * z).fma::<F>(poly::<F, f64>(z, &COS), -(r * low)));
    (sin, cos, rounded.to_bits())
}

/// `(erf x - x) / x` in `x²`, for `|x| <= 1`.
const ERF: [f64; 13] = [
    0.1283791670955126,
    -0.3761263890318375,
    0.11283791670954858,
    -0.026866170645072903,
    0.0052239776247807995,
    -0.0008548326978731067,
    0.00012055331036263046,
    -1.4925593486749649e-05,
    1.6460972425539068e-06,
    -1.6350020430624902e-07,
    1.4657843773063121e-08,
    -1.1365513300379408e-09,
    5.944983433749182e-11,
];

/// `(1 + 2a) exp(a²) erfc(a)` in `(a - 4) / (a + 4)`, for `0.8 <= a <= 28`
/// (after M. M. Shepherd and J. G. Laframboise, Math. Comp. 36 (1981) 249–253).
const ERFCX: [f64; 23] = [
    1.2329951186255526,
    -0.1396211168405625,
    0.015379652102620081,
    0.06809705425469127,
    -0.1010390660363287,
    0.09373283499841144,
    -0.06633036581152318,
    0.037167515536245234,
    -0.016197734068113655,
    0.005031969991657481,
    -0.0007577731980300444,
    -0.0001992567874781786,
    0.0001506211755132629,
    -2.439879831036117e-05,
    -1.1220241827068062e-05,
    5.70844900819141e-06,
    2.8967067555386324e-07,
    -8.226817001590121e-07,
    8.065353619345978e-08,
    1.0615297613025183e-07,
    -2.2938277000130144e-08,
    -1.0790374658459499e-08,
    3.6741278066362274e-09,
];

/// `erf x` for `|x| <= 1`.
#[inline(always)]
fn erf_inner<F: Fma>(x: f64) -> f64 {
    x.fma::<F>(poly::<F, f64>(x * x, &ERF), x)
}

/// `erfc a` for `a >= 0.8`.
#[inline(always)]
fn erfc_outer<F: Fma>(a: f64) -> f64 {
    let a = if a > 28.0 { 28.0 } else { a };
    let t = (a - 4.0) / (a + 4.0);
    let numerator = poly::<F, f64>(t, &ERFCX);
    let (denominator, lost) = two_sum(1.0, 2.0 * a);
    let scale = numerator / denominator;
    // What the quotient lost, relative to the numerator, which is near 1.2.
    let (product, error) = two_prod::<F>(scale, denominator);
    let scale_low = (((numerator - product) - error) - scale * lost) * 0.83;
    // The rounding error of a² would be amplified by a².
    let (square, low) = two_prod::<F>(a, a);
    exp_scaled::<F, f64>(-square, scale_low - low, scale)
}

#[inline(always)]
pub(super) fn erf<F: Fma>(x: f64) -> f64 {
    let a = x.abs();
    let outer = (1.0 - erfc_outer::<F>(a)).copysign(x);
    if a < 1.0 { erf_inner::<F>(x) } else { outer }
}

#[inline(always)]
pub(super) fn erfc<F: Fma>(x: f64) -> f64 {
    let a = x.abs();
    let tail = erfc_outer::<F>(a);
    let outer = if x < 0.0 { 2.0 - tail } else { tail };
    // 1 - erf x cancels from x = ½ on; the tail is as good from 0.8 on only.
    let inner = 1.0 - erf_inner::<F>(x);
    if x.abs() < 0.8 { inner } else { outer }
}

/// `(ln((1+s)/(1-s)) - 2s - ⅔ s³) / s⁵` in `s²`.
const LN_TAIL: [f64; 8] = [
    0.39999999999999997,
    0.2857142857143284,
    0.22222222220240137,
    0.1818181856883864,
    0.1538457566676244,
    0.13335652607988494,
    0.11687296960900949,
    0.1189241095117253,
];

/// `ln x` of a positive finite number as a double word, good to about 2⁻⁶⁵.
#[inline(always)]
fn ln_double<F: Fma>(x: f64) -> (f64, f64) {
    let (k, m, _) = x.split();
    let f = m - 1.0;

    // s = f / (2 + f)
    let (d, d_low) = quick_two_sum(2.0, f);
    let inverse = 1.0 / d;
    let s = f * inverse;
    let (p, p_low) = two_prod::<F>(s, d);
    let s_low = (((f - p) - p_low) - s * d_low) * inverse;

    // ln m = 2s + s³ (⅔ + s² tail)
    let (z, e) = two_prod::<F>(s, s);
    let z_low = e + 2.0 * s * s_low;
    let (c, e) = quick_two_sum(2.0 / 3.0, z * poly::<F, f64>(z, &LN_TAIL));
    let c_low = e + 3.700_743_415_417_188e-17;
    let (cube, e) = two_prod::<F>(s, z);
    let cube_low = e + s * z_low + s_low * z;
    let (t, e) = two_prod::<F>(cube, c);
    let t_low = e + cube * c_low + cube_low * c;

    let (sum, e1) = two_sum(k * f64::LN_2.0, 2.0 * s);
    let (sum, e2) = two_sum(sum, t);
    quick_two_sum(sum, (e1 + e2) + (2.0 * s_low + t_low) + k * f64::LN_2.1)
}

/// `x^y` for `x >= 0`, except that `0^0`, `∞^0` and `1^±∞` are NaN.
#[inline(always)]
pub(super) fn pow_positive<F: Fma>(x: f64, y: f64) -> f64 {
    let (ln, ln_low) = ln_double::<F>(x);
    let ln = if x == 0.0 { -f64::INFINITY } else { ln };
    let ln = if x < f64::INFINITY { ln } else { x };
    let (power, e) = two_prod::<F>(y, ln);
    let low = e + y * ln_low;
    // Out of range, and for x = 1, the low word may be meaningless or not a number.
    let low = if (power.abs() < 800.0) & (power != 0.0) { low } else { 0.0 };
    exp_scaled::<F, f64>(power, low, 1.0)
}
