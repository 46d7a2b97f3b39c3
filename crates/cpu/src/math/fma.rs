//! Fused or separate multiply-add, polynomials and double-word arithmetic.

use super::repr::Steps;

/// How `a * b + c` is evaluated; a type parameter of every function of this module.
///
/// A target feature enabled around a call is invisible to `cfg!`, and without the feature
/// `f64::mul_add` is a slow library call. So the one who selects the instruction set also
/// selects this marker; see [`dispatch`](super::dispatch).
pub trait Fma: Copy + Send + Sync + 'static {
    /// Whether the multiply-add rounds once, in hardware.
    const FUSED: bool;
    /// Whether there are 32 vectors of 64 bytes.
    const WIDE: bool = false;
}

/// One rounding, for targets with a fused multiply-add instruction.
#[derive(Clone, Copy, Debug)]
pub struct Fused;

/// [`Fused`], where vectors have 64 bytes (AVX-512).
#[derive(Clone, Copy, Debug)]
pub struct Wide;

/// Two roundings, for targets without that instruction.
#[derive(Clone, Copy, Debug)]
pub struct Separate;

impl Fma for Fused {
    const FUSED: bool = true;
}

impl Fma for Wide {
    const FUSED: bool = true;
    const WIDE: bool = true;
}

impl Fma for Separate {
    const FUSED: bool = false;
}

/// `c[0] + c[1] x + c[2] x² + …` by Horner's rule.
#[inline(always)]
pub(super) fn poly<F: Fma, T: Steps>(x: T, c: &[T]) -> T {
    // In this form the compiler unrolls the loop, without which the caller's is not vectorized.
    let mut i = c.len() - 1;
    let mut sum = c[i];
    while i > 0 {
        i -= 1;
        sum = sum.fma::<F>(x, c[i]);
    }
    sum
}

/// `a + b` as the rounded sum and its exact error (Knuth).
#[inline(always)]
pub(super) fn two_sum<T: Steps>(a: T, b: T) -> (T, T) {
    let sum = a + b;
    let b_part = sum - a;
    (sum, (a - (sum - b_part)) + (b - b_part))
}

/// [`two_sum`] where `|a| >= |b|` is known (Dekker).
#[inline(always)]
pub(super) fn quick_two_sum<T: Steps>(a: T, b: T) -> (T, T) {
    let sum = a + b;
    (sum, b - (sum - a))
}

/// `a * b` as the rounded product and its exact error, barring overflow and underflow.
#[inline(always)]
pub(super) fn two_prod<F: Fma>(a: f64, b: f64) -> (f64, f64) {
    let product = a * b;
    if F::FUSED {
        return (product, a.mul_add(b, -product));
    }
    let (a_hi, a_lo) = halves(a);
    let (b_hi, b_lo) = halves(b);
    let error = ((a_hi * b_hi - product) + a_hi * b_lo + a_lo * b_hi) + a_lo * b_lo;
    (product, error)
}

/// Veltkamp's splitting into two numbers of at most 26 bits.
#[inline(always)]
fn halves(a: f64) -> (f64, f64) {
    let t = 134_217_729.0 * a;
    let hi = t - (t - a);
    (hi, a - hi)
}
