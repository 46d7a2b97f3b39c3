//! The binary representation of `f32` and `f64` and the constants that depend on it.

// The coefficients resemble constants, but are not.
#![allow(clippy::approx_constant)]

use super::fma::Fma;
use std::ops::{Add, Div, Mul, Neg, Sub};

/// What functions are made of that branch nowhere. Besides numbers, a symbol for a number can be that: what a function does
/// with it is a record of the function's instructions.
pub trait Steps:
    Copy + 'static + Add<Output = Self> + Sub<Output = Self> + Mul<Output = Self> + Div<Output = Self> + Neg<Output = Self>
{
    /// The result of a comparison.
    type Mask: Copy;

    /// Adding this to a small number rounds it to an integer `k` and leaves
    /// `k + 2 * bias` in the low bits of the sum.
    const ROUNDER: Self;
    /// The same, but it leaves `k` itself.
    const PLAIN_ROUNDER: Self;
    /// `exp` and `sinh` leave the finite range, subnormals included, outside of these bounds.
    const EXP_RANGE: (Self, Self);
    /// The same for `exp2`.
    const EXP2_RANGE: (Self, Self);
    /// The distance from 1 to the next number.
    const EPSILON: Self;
    /// Positive infinity.
    const INFINITY: Self;
    /// Not a number.
    const NAN: Self;
    /// Below this the functions with `f(x) = x + O(x²)` round to `x`.
    const TINY: Self;
    /// Above this `tanh` rounds to 1.
    const TANH_ONE: Self;
    /// Above this `1 + x²` rounds to `x²`.
    const LARGE: Self;
    /// ln 2 as a sum; the first part has so few bits that its product with an exponent is exact.
    const LN_2: (Self, Self);
    /// log₁₀ 2 in the same way.
    const LOG10_2: (Self, Self);
    /// `(e^r - 1 - r) / r²` for `|r| <= ln 2 / 2`.
    const EXP: &'static [Self];
    /// `(2^r - 1) / r` for `|r| <= 1/2`.
    const EXP2: &'static [Self];
    /// `(tanh x - x) / x³` in `x²`, for `|x| <= 0.6`.
    const TANH: &'static [Self];
    /// `(ln((1+s)/(1-s)) - 2s) / s³` in `s²`, for `1 ± s` quotients between `√½` and `√2`.
    const LN: &'static [Self];

    /// Rounds a literal to the format.
    fn of(x: f64) -> Self;

    /// Whether `self > other`.
    fn above(self, other: Self) -> Self::Mask;

    /// Whether `self == other`.
    fn same(self, other: Self) -> Self::Mask;

    /// `yes` where the mask is set, else `no`.
    fn pick(mask: Self::Mask, yes: Self, no: Self) -> Self;

    /// The magnitude.
    fn abs(self) -> Self;

    /// The square root, correctly rounded.
    fn sqrt(self) -> Self;

    /// The magnitude of `self` with the sign of `sign`.
    fn copysign(self, sign: Self) -> Self;

    /// `self * b + c`, with as many roundings as `F` says.
    fn fma<F: Fma>(self, b: Self, c: Self) -> Self;

    /// Two powers of two whose product is `2^k`, from `k + ROUNDER`.
    /// Scaling by one after the other rounds once, also into the subnormal numbers.
    fn power_of_two(rounded: Self) -> (Self, Self);

    /// `self * 2^k`, which must be a normal number as `self` is, from `k + PLAIN_ROUNDER`.
    fn times_power_of_two(self, rounded: Self) -> Self;

    /// `(k, m, 2^-k)` with `self = 2^k m` and `√½ <= m < √2`; meaningless unless `self` is
    /// positive and finite. A subnormal `2^-k` is flushed to zero.
    fn split(self) -> (Self, Self, Self);

    /// The nearest number within the bounds; NaN stays NaN.
    #[inline(always)]
    fn clamped(self, (low, high): (Self, Self)) -> Self {
        let x = Self::pick(low.above(self), low, self);
        Self::pick(x.above(high), high, x)
    }
}

/// What the generic algorithms need of a format. Integers are kept below the sign bit and all
/// conversions go through bit patterns, because those vectorize on every instruction set.
pub trait Repr: Steps<Mask = bool> + PartialOrd + Default + Send + Sync + std::fmt::Debug + 'static {
    /// π/2 as an unevaluated sum.
    const HALF_PI: (Self, Self);
    /// `(atan t - t) / t³` in `t²`, for `t <= tan(π/8)`.
    const ATAN: &'static [Self];
    /// `(asin t - t) / t³` in `t²`, for `t <= 1/2`.
    const ASIN: &'static [Self];

    /// The leading half of the digits, so few that its square is exact.
    fn head(self) -> Self;

    /// A power of two `s` (and `1 / s`) that brings the non-negative `self` near 1.
    fn normalizer(self) -> (Self, Self);
}

macro_rules! repr {
    ($T:ident, $U:ident, bits: $bits:literal, ones: $ones:literal,
     $(const $name:ident: $Type:ty = $value:expr;)*
     angles: $(const $angle:ident: $Angle:ty = $degrees:expr;)*) => {
        impl Steps for $T {
            type Mask = bool;

            const ROUNDER: $T = (3_u64 << ($bits - 1)) as $T + (2 * ($T::MAX_EXP - 1)) as $T;
            const PLAIN_ROUNDER: $T = (3_u64 << ($bits - 1)) as $T;
            const EPSILON: $T = $T::EPSILON;
            const INFINITY: $T = $T::INFINITY;
            const NAN: $T = $T::NAN;
            const TINY: $T = $T::EPSILON / 4.0;
            $(const $name: $Type = $value;)*

            #[inline(always)]
            #[allow(clippy::cast_possible_truncation)]
            fn of(x: f64) -> $T {
                x as $T
            }

            #[inline(always)]
            fn above(self, other: $T) -> bool {
                self > other
            }

            #[inline(always)]
            fn same(self, other: $T) -> bool {
                self == other
            }

            #[inline(always)]
            fn pick(mask: bool, yes: $T, no: $T) -> $T {
                if mask { yes } else { no }
            }

            #[inline(always)]
            fn abs(self) -> $T {
                self.abs()
            }

            #[inline(always)]
            fn sqrt(self) -> $T {
                self.sqrt()
            }

            #[inline(always)]
            fn copysign(self, sign: $T) -> $T {
                self.copysign(sign)
            }

            #[inline(always)]
            fn fma<F: Fma>(self, b: $T, c: $T) -> $T {
                if F::FUSED { self.mul_add(b, c) } else { self * b + c }
            }

            #[inline(always)]
            fn power_of_two(rounded: $T) -> ($T, $T) {
                let biased = rounded.to_bits() & $ones;
                let half = biased >> 1;
                ($T::from_bits(half << $bits), $T::from_bits((biased - half) << $bits))
            }

            #[inline(always)]
            fn times_power_of_two(self, rounded: $T) -> $T {
                $T::from_bits(self.to_bits().wrapping_add(rounded.to_bits() << $bits))
            }

            #[inline(always)]
            fn split(self) -> ($T, $T, $T) {
                const BIAS: $U = $T::MAX_EXP as $U - 1;
                const SQRT_HALF: $U = (std::f64::consts::FRAC_1_SQRT_2 as $T).to_bits();
                const OFFSET: $U = (1.0 as $T).to_bits() - SQRT_HALF;
                // 2^bits, whose low bits count units.
                const UNIT: $T = (1_u64 << $bits) as $T;

                let subnormal = self < $T::MIN_POSITIVE;
                let normal = if subnormal { self * UNIT * 4.0 } else { self };
                let bias = if subnormal { BIAS + $bits + 2 } else { BIAS };
                let bits = normal.to_bits().wrapping_add(OFFSET);
                let exponent = bits >> $bits;
                let k = $T::from_bits(UNIT.to_bits() | exponent) - (UNIT + bias as $T);
                let m = $T::from_bits((bits & ((1 << $bits) - 1)) + SQRT_HALF);
                let capped = if exponent > 2 * BIAS { 2 * BIAS } else { exponent };
                let inverse = $T::from_bits((2 * BIAS - capped) << $bits);
                (k, m, inverse)
            }

        }

        impl Repr for $T {
            $(const $angle: $Angle = $degrees;)*

            #[inline(always)]
            fn head(self) -> $T {
                $T::from_bits(self.to_bits() & ($U::MAX << ($bits / 2 + 1)))
            }

            #[inline(always)]
            fn normalizer(self) -> ($T, $T) {
                const BIAS: $U = $T::MAX_EXP as $U - 1;
                let exponent = self.to_bits() >> $bits;
                let exponent = if exponent < 1 { 1 } else { exponent };
                let exponent = if exponent > 2 * BIAS - 1 { 2 * BIAS - 1 } else { exponent };
                ($T::from_bits((2 * BIAS - exponent) << $bits), $T::from_bits(exponent << $bits))
            }
        }
    };
}

// The polynomials are minimax approximations found by Remez' algorithm in 220-bit arithmetic.

repr! {
    f32, u32, bits: 23, ones: 0x1ff,
    const EXP_RANGE: (f32, f32) = (-105.0, 89.5);
    const EXP2_RANGE: (f32, f32) = (-151.0, 129.0);
    const TANH_ONE: f32 = 10.0;
    const LARGE: f32 = 8192.0;
    const LN_2: (f32, f32) = (0.693_145_75, 1.428_606_8e-6);
    const LOG10_2: (f32, f32) = (0.301_025_4, 4.605_039e-6);
    const EXP: &'static [f32] = &[5.0e-01, 1.6666667e-01, 4.1666463e-02, 8.333286e-03, 1.3933654e-03, 1.9907585e-04];
    const EXP2: &'static [f32] = &[6.931472e-01, 2.402265e-01, 5.550411e-02, 9.618036e-03, 1.3333431e-03, 1.546712e-04, 1.5314943e-05];
    const TANH: &'static [f32] = &[-3.333333e-01, 1.3332915e-01, -5.387395e-02, 2.111096e-02, -6.26912e-03];
    const LN: &'static [f32] = &[6.666666e-01, 4.0000334e-01, 2.85373e-01, 2.3582299e-01];
    angles:
    const HALF_PI: (f32, f32) = (std::f32::consts::FRAC_PI_2, -4.371_139e-8);
    const ATAN: &'static [f32] = &[-3.3333316e-01, 1.9998483e-01, -1.4243738e-01, 1.0595133e-01, -6.081133e-02];
    const ASIN: &'static [f32] = &[1.6666661e-01, 7.500473e-02, 4.4521622e-02, 3.1776115e-02, 1.4539108e-02, 3.7394803e-02];
}

repr! {
    f64, u64, bits: 52, ones: 0xfff,
    const EXP_RANGE: (f64, f64) = (-747.0, 710.5);
    const EXP2_RANGE: (f64, f64) = (-1077.0, 1025.0);
    const TANH_ONE: f64 = 20.0;
    const LARGE: f64 = 268_435_456.0;
    const LN_2: (f64, f64) = (0.693_147_180_369_123_8, 1.908_214_929_270_587_7e-10);
    const LOG10_2: (f64, f64) = (0.301_029_995_549_470_2, 1.145_110_089_802_183_8e-10);
    const EXP: &'static [f64] = &[0.5, 0.1666666666666667, 0.041666666666666685, 0.008333333333326134, 0.0013888888888874398, 0.0001984126987482399, 2.480158734733946e-05, 2.7557255396471e-06, 2.7557252912472866e-07, 2.510521838664829e-08, 2.0921589370829142e-09];
    const EXP2: &'static [f64] = &[0.6931471805599453, 0.24022650695910072, 0.0555041086648217, 0.009618129107628496, 0.0013333558146390422, 0.00015403530393341233, 1.525273385625452e-05, 1.3215486832920274e-06, 1.017805120139914e-07, 7.0548883087608974e-09, 4.456674950284558e-10, 2.5741721372180712e-11];
    const TANH: &'static [f64] = &[-0.33333333333333326, 0.13333333333330197, -0.05396825396475762, 0.02186948838378093, -0.008863232113541474, 0.0035920831663434575, -0.001455464802800745, 0.0005880541548418729, -0.0002322510406793851, 8.154737806525365e-05, -1.833596211003942e-05];
    const LN: &'static [f64] = &[0.6666666666666666, 0.4000000000000454, 0.28571428569506874, 0.22222222595176322, 0.18181779153178457, 0.15386958637889403, 0.13252749021172955, 0.13229887713693758];
    angles:
    const HALF_PI: (f64, f64) = (std::f64::consts::FRAC_PI_2, 6.123_233_995_736_766e-17);
    const ATAN: &'static [f64] = &[-0.3333333333333333, 0.19999999999998772, -0.14285714285495973, 0.11111111093700114, -0.09090908313604346, 0.0769228608084715, -0.06666270155717428, 0.05877402989037702, -0.05220630026856685, 0.04511833092144352, -0.033652330365375765, 0.015362852651252425];
    const ASIN: &'static [f64] = &[0.16666666666666688, 0.0749999999998537, 0.04464285716335071, 0.030381943166107626, 0.022372203706446065, 0.017351792705262745, 0.013978859710383406, 0.01141360572568744, 0.010704121790500086, 0.003974271059617596, 0.021096497741734648, -0.020184216332897055, 0.032146154626714114];
}
