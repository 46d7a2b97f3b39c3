//! Inverse trigonometric functions.

use super::fma::{Fma, poly};
use super::real::Real;

/// `atan` of a non-negative number.
#[inline(always)]
fn atan_positive<F: Fma, T: Real>(a: T) -> T {
    // atan a = π/2 + atan(-1/a) = π/4 + atan((a - 1)/(a + 1)), so that |t| <= tan(π/8).
    let one = T::of(1.0);
    let beyond = a > T::of(2.414_213_562_373_095);
    let middle = a > T::of(0.414_213_562_373_095_03);
    let numerator = if middle { a - one } else { a };
    let numerator = if beyond { -one } else { numerator };
    let denominator = if middle { a + one } else { one };
    let denominator = if beyond { a } else { denominator };
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
    atan_positive::<F, T>(x.abs()).copysign(x)
}

/// The angle of the point `(x, y)`, in `[-π, π]`; the ordinate comes first.
#[inline(always)]
pub fn atan2<F: Fma, T: Real>(y: T, x: T) -> T {
    let (a, b) = (y.abs(), x.abs());
    let steep = a > b;
    let (small, large) = if steep { (b, a) } else { (a, b) };
    let quotient = small / large;
    let quotient = if small == large { T::of(1.0) } else { quotient };
    let quotient = if large == T::of(0.0) { large } else { quotient };
    let angle = atan_positive::<F, T>(quotient);
    let angle = if steep { T::HALF_PI.0 - (angle - T::HALF_PI.1) } else { angle };
    let left = T::of(1.0).copysign(x) < T::of(0.0);
    let two = T::of(2.0);
    let angle = if left { two * T::HALF_PI.0 - (angle - two * T::HALF_PI.1) } else { angle };
    let angle = angle.copysign(y);
    let angle = if x.is_nan() { x } else { angle };
    if y.is_nan() { y } else { angle }
}

/// `asin` for `|x| <= ½`, otherwise `asin √((1 - |x|)/2)`, from which
/// `asin |x| = π/2 - 2y` and `acos |x| = 2y`.
#[inline(always)]
fn asin_folded<F: Fma, T: Real>(x: T) -> (T, bool) {
    let a = x.abs();
    let folded = a > T::of(0.5);
    let square = if folded { (T::of(1.0) - a) * T::of(0.5) } else { a * a };
    let s = if folded { square.sqrt() } else { a };
    ((s * square).fma::<F>(poly::<F, T>(square, T::ASIN), s), folded)
}

/// The inverse sine; NaN outside of `[-1, 1]`.
#[inline(always)]
pub fn asin<F: Fma, T: Real>(x: T) -> T {
    let (y, folded) = asin_folded::<F, T>(x);
    let y = if folded { T::HALF_PI.0 - (T::of(2.0) * y - T::HALF_PI.1) } else { y };
    y.copysign(x)
}

/// The inverse cosine; NaN outside of `[-1, 1]`.
#[inline(always)]
pub fn acos<F: Fma, T: Real>(x: T) -> T {
    let (y, folded) = asin_folded::<F, T>(x);
    let negative = x < T::of(0.0);
    let twice = y + y;
    let mirrored = T::of(2.0) * T::HALF_PI.0 - (twice - T::of(2.0) * T::HALF_PI.1);
    let outer = if negative { mirrored } else { twice };
    let inner = T::HALF_PI.0 - (y.copysign(x) - T::HALF_PI.1);
    if folded { outer } else { inner }
}
