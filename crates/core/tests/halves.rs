//! Half precision, every pattern of it: values by the formats' definition, conversions by the rule "to nearest, ties to
//! even", none of it through the implementation.

use cotangent_core::{DType, Element, Tensor, bf16, f16};

/// What a 16-bit pattern means: a sign, an exponent of `exponent_bits`, and a fraction.
fn meaning(bits: u16, exponent_bits: u32) -> f64 {
    let fraction_bits = 15 - exponent_bits;
    let sign = if bits >> 15 == 1 { -1.0 } else { 1.0 };
    let exponent = (bits >> fraction_bits & ((1 << exponent_bits) - 1)) as i32;
    let fraction = (bits & ((1 << fraction_bits) - 1)) as f64 / (1u32 << fraction_bits) as f64;
    let bias = (1 << (exponent_bits - 1)) - 1;
    match exponent {
        0 => sign * fraction * 2f64.powi(1 - bias),
        e if e == (1 << exponent_bits) - 1 && fraction == 0.0 => sign * f64::INFINITY,
        e if e == (1 << exponent_bits) - 1 => f64::NAN,
        e => sign * (1.0 + fraction) * 2f64.powi(e - bias),
    }
}

/// The formats, as far as the test needs them.
trait Half: Element {
    const EXPONENT_BITS: u32;
    fn pattern(self) -> u16;
    fn of_pattern(bits: u16) -> Self;
}
impl Half for f16 {
    const EXPONENT_BITS: u32 = 5;
    fn pattern(self) -> u16 {
        self.to_bits()
    }
    fn of_pattern(bits: u16) -> f16 {
        f16::from_bits(bits)
    }
}
impl Half for bf16 {
    const EXPONENT_BITS: u32 = 8;
    fn pattern(self) -> u16 {
        self.to_bits()
    }
    fn of_pattern(bits: u16) -> bf16 {
        bf16::from_bits(bits)
    }
}

fn every_pattern_reads_as_its_meaning<T: Half>() {
    let all: Vec<T> = (0..=u16::MAX).map(T::of_pattern).collect();
    let x = Tensor::from_slice(&all, [1 << 16]);
    let (wide, single) = (x.to(DType::F64).to_vec::<f64>(), x.to(DType::F32).to_vec::<f32>());
    for (bits, half) in all.iter().enumerate() {
        let expected = meaning(bits as u16, T::EXPONENT_BITS);
        for found in [half.to_f64(), half.to_f32() as f64, wide[bits], single[bits] as f64] {
            let same = found.to_bits() == expected.to_bits() || found.is_nan() && expected.is_nan();
            assert!(same, "pattern {bits:#06x} reads as {found}, not {expected}");
        }
        if !expected.is_nan() {
            assert_eq!(T::from_f64(expected).pattern(), bits as u16, "{expected}");
            assert_eq!(T::from_f32(expected as f32).pattern(), bits as u16, "{expected}");
        }
    }
    // And back, over whole tensors.
    for dtype in [DType::F64, DType::F32] {
        let again = x.to(dtype).to(T::DTYPE).to_vec::<T>();
        assert!(
            again
                .iter()
                .zip(&all)
                .all(|(a, b)| a.pattern() == b.pattern() || a.to_f64().is_nan() && b.to_f64().is_nan())
        );
    }
}

/// Between every two neighbours: the middle goes to the even one, a hair to either side of it to that side.
fn every_gap_rounds_to_nearest_even<T: Half>() {
    let infinity = ((1u16 << T::EXPONENT_BITS) - 1) << (15 - T::EXPONENT_BITS);
    for low in 0..infinity {
        let high = low + 1;
        let below = meaning(low, T::EXPONENT_BITS);
        // Beyond the largest number, rounding goes on as if there were more of them: from half a gap on, to infinity.
        let above = if high == infinity {
            2.0 * below - meaning(low - 1, T::EXPONENT_BITS)
        } else {
            meaning(high, T::EXPONENT_BITS)
        };
        let middle = (below + above) / 2.0;
        let even = if low % 2 == 0 { low } else { high };
        for (x, expected) in [(middle, even), (middle.next_down(), low), (middle.next_up(), high)] {
            assert_eq!(T::from_f64(x).pattern(), expected, "{x:e}");
            assert_eq!(T::from_f64(-x).pattern(), expected | 0x8000, "{:e}", -x);
        }
        let single = middle as f32;
        if single as f64 == middle {
            for (x, expected) in [(single, even), (single.next_down(), low), (single.next_up(), high)] {
                assert_eq!(T::from_f32(x).pattern(), expected, "{x:e}");
                assert_eq!(T::from_f32(-x).pattern(), expected | 0x8000, "{:e}", -x);
            }
        }
    }
    assert!(T::from_f64(f64::NAN).to_f64().is_nan() && T::from_f32(f32::NAN).to_f32().is_nan());
    assert_eq!(T::from_f64(f64::MAX).pattern(), infinity);
    assert_eq!(T::from_f64(f64::from_bits(1)).pattern(), 0);
}

#[test]
fn f16_patterns() {
    every_pattern_reads_as_its_meaning::<f16>();
    every_gap_rounds_to_nearest_even::<f16>();
}

#[test]
fn bf16_patterns() {
    every_pattern_reads_as_its_meaning::<bf16>();
    every_gap_rounds_to_nearest_even::<bf16>();
}

#[test]
fn well_known_values() {
    let f = |bits| f16::from_bits(bits).to_f64();
    assert_eq!(
        [f(0x3c00), f(0xc000), f(0x7bff), f(0x0001), f(0x0400)],
        [1.0, -2.0, 65504.0, 2f64.powi(-24), 2f64.powi(-14)]
    );
    let b = |bits| bf16::from_bits(bits).to_f64();
    assert_eq!([b(0x3f80), b(0x4049), b(0x7f7f)], [1.0, 3.140625, 3.3895313892515355e38]);
}

#[test]
fn integers_convert_as_the_types_say() {
    let x = |data: &[f64], dtype| Tensor::from_slice(data, [data.len()]).to(dtype);
    let data = [1.9, -1.9, 300.0, f64::NAN, f64::INFINITY, -f64::INFINITY];
    assert_eq!(x(&data, DType::I32).to_vec::<i32>(), [1, -1, 300, 0, i32::MAX, i32::MIN]);
    assert_eq!(x(&data, DType::I64).to_vec::<i64>(), [1, -1, 300, 0, i64::MAX, i64::MIN]);
    assert_eq!(x(&data, DType::U8).to_vec::<u8>(), [1, 0, 255, 0, 255, 0]);
    let wide = Tensor::from_slice(&[-1i64, 256 + 7, 1 << 40], [3]);
    assert_eq!(wide.to(DType::U8).to_vec::<u8>(), [255, 7, 0]);
    assert_eq!(wide.to(DType::I32).to_vec::<i32>(), [-1, 263, 0]);
    assert_eq!(wide.to(DType::Bool).to(DType::I64).to_vec::<i64>(), [1, 1, 1]);
}
