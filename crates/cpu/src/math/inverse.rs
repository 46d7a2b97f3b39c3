//! Inverse trigonometric functions.

use super::fma::{Fma, poly};
use super::real::Real;

/// `atan (n / d)` of non-negative numbers, without rounding the quotient.
#[inline(always)]
fn atan_quotient<F: Fma, T: Real>(n: T, d: T) -> T {
    // atan a = π/2 + atan(-1/a) = π/4 + atan((a - 1)/(a + 1)), so that |t| <= tan(π/8).
    let one = T::of(1.0);
    let beyond = n > d * T::of(2.414_213_562_373_095);
    let middle = n > d * T::of(0.414_213_562_373_095_03);
    let numerator = if middle { n - d } else { n };
    let numerator = if beyond { -d } else { numerator };
    let denominator = if middle { n + d } else { d };
    let denominator = if beyond { n } else { denominator };
    let parts = if middle { T::of(0.5) } else { T::of(0.0) };
    let parts = if beyond { one } else { parts };

    let t = numerator / denominator;
    let z = t * t;
    let low = (t * z).fma::<F>(poly::<F, T>(z, T::ATAN), parts * T::HALF_PI.1);
    parts * T::HALF_PI.0 + (t + low)
}

/// The inverse tangent.
#[inline(always)]
pub fn atan<F: Fma, T: Real>(x: T) -> T {
    atan_quotient::<F, T>(x.abs(), T::of(1.0)).copysign(x)
}

/// The angle of the point `(x, y)`, in `[-π, π]`; the ordinate comes first.
#[inline(always)]
pub fn atan2<F: Fma, T: Real>(y: T, x: T) -> T {
    let (one, two) = (T::of(1.0), T::of(2.0));
    let (a, b) = (y.abs(), x.abs());
    let (scale, _) = (if a > b { a } else { b }).normalizer();
    let (n, d) = (a * scale, b * scale);
    // The quotient of equal numbers is 1 if they are infinite, and 0 if they are zero.
    let equal = n == d;
    let n = if equal & (n > T::of(0.0)) { one } else { n };
    let d = if equal { one } else { d };
    let angle = atan_quotient::<F, T>(n, d);
    let left = one.copysign(x) < T::of(0.0);
    let angle = if left { two * T::HALF_PI.0 - (angle - two * T::HALF_PI.1) } else { angle };
    let angle = angle.copysign(y);
    let angle = if x.is_nan() { x } else { angle };
    if y.is_nan() { y } else { angle }
}

/// `asin` of `|x|` where that is up to ½, otherwise of `√((1 - |x|)/2)`, from which
/// `asin |x| = π/2 - 2y` and `acos |x| = 2y`.
///
/// The sum of the first two numbers; the first is short and no rounded square root.
#[inline(always)]
fn asin_folded<F: Fma, T: Real>(x: T) -> (T, T, bool) {
    let a = x.abs();
    let folded = a > T::of(0.5);
    let square = if folded { (T::of(1.0) - a) * T::of(0.5) } else { a * a };
    let s = if folded { square.sqrt() } else { a };
    let head = s.head();
    // s² = square, hence s - head = (square - head²) / (s + head); the last term is for s = 0.
    let rest = (square - head * head) / (s + head + T::of(1e-30));
    let rest = if folded { rest } else { a - head };
    (head, (s * square).fma::<F>(poly::<F, T>(square, T::ASIN), rest), folded)
}

/// The inverse sine; NaN outside of `[-1, 1]`.
#[inline(always)]
pub fn asin<F: Fma, T: Real>(x: T) -> T {
    let (head, rest, folded) = asin_folded::<F, T>(x);
    let two = T::of(2.0);
    let outer = (T::HALF_PI.0 - two * head) - (two * rest - T::HALF_PI.1);
    (if folded { outer } else { head + rest }).copysign(x)
}

/// The inverse cosine; NaN outside of `[-1, 1]`.
#[inline(always)]
pub fn acos<F: Fma, T: Real>(x: T) -> T {
    let (head, rest, folded) = asin_folded::<F, T>(x);
    let two = T::of(2.0);
    let negative = x < T::of(0.0);
    let mirrored = two * ((T::HALF_PI.0 - head) - (rest - T::HALF_PI.1));
    let outer = if negative { mirrored } else { two * (head + rest) };
    let (head, rest) = if negative { (-head, -rest) } else { (head, rest) };
    let inner = (T::HALF_PI.0 - head) - (rest - T::HALF_PI.1);
    if folded { outer } else { inner }
}
