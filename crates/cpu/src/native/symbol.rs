//! Elementary functions as vector instructions: the functions of [`math`](crate::math) are called with a symbol, and what
//! they do with it is recorded.

use super::assembler::Opcode;
use super::lower::comparison::{EQ, GT};
use super::lower::{Formula, Id, Value};
use crate::math::{Fma, Steps};
use std::cell::RefCell;
use std::ops::{Add, Div, Mul, Neg, Sub};

/// A number of the format `F`, or a value of the formula in the making.
#[derive(Clone, Copy)]
pub enum Symbol<F> {
    /// A number.
    Number(F),
    /// A value.
    Value(Id),
}

thread_local! {
    /// The formula that is recorded.
    static FORMULA: RefCell<Option<Formula>> = const { RefCell::new(None) };
}

fn with<R>(f: impl FnOnce(&mut Formula) -> R) -> R {
    FORMULA.with_borrow_mut(|formula| f(formula.as_mut().expect("symbols are used while a formula is recorded")))
}

/// Adds to a formula what a function does.
pub fn record<F: Format>(formula: &mut Formula, f: impl FnOnce() -> Symbol<F>) -> Id {
    FORMULA.set(Some(std::mem::take(formula)));
    let result = f().id();
    *formula = FORMULA.take().expect("it was there before");
    result
}

/// `f32` or `f64`.
pub trait Format: Steps<Mask = bool> {
    /// Bits of the significand that are stored.
    const FRACTION: u8;
    /// Distance of the exponent's code from it.
    const BIAS: u64;
    /// Smallest positive normal number.
    const MIN_NORMAL: Self;
    /// Bits that an exponent with [`Steps::ROUNDER`] takes.
    const ONES: u64;
    /// The bits of a number.
    fn code(self) -> u64;
    /// The number of some bits.
    fn decode(bits: u64) -> Self;
}

macro_rules! format {
    ($($F:ident $U:ident $ones:literal),*) => {$(
        impl Format for $F {
            const FRACTION: u8 = $F::MANTISSA_DIGITS as u8 - 1;
            const BIAS: u64 = $F::MAX_EXP as u64 - 1;
            const MIN_NORMAL: $F = $F::MIN_POSITIVE;
            const ONES: u64 = $ones;
            fn code(self) -> u64 { self.to_bits().into() }
            fn decode(bits: u64) -> $F { $F::from_bits(bits as $U) }
        }
    )*};
}
format!(f32 u32 0x1ff, f64 u64 0xfff);

impl<F: Format> Symbol<F> {
    fn id(self) -> Id {
        match self {
            Symbol::Value(id) => id,
            Symbol::Number(x) => with(|formula| formula.constant(x.code())),
        }
    }

    fn known(self) -> Option<F> {
        if let Symbol::Number(x) = self { Some(x) } else { None }
    }

    /// Given bits.
    fn bits(bits: u64) -> Symbol<F> {
        Symbol::Number(F::decode(bits))
    }

    fn two(self, op: Opcode, other: Self) -> Self {
        let (a, b) = (self.id(), other.id());
        Symbol::Value(with(|formula| formula.two(op, a, b)))
    }

    fn shifted(self, op: Opcode, places: u8) -> Self {
        let a = self.id();
        Symbol::Value(with(|formula| formula.one(op, a, Some(places))))
    }

    fn compared(self, how: u8, other: Self) -> Id {
        let (a, b) = (self.id(), other.id());
        with(|formula| formula.compare(a, how, b))
    }
}

macro_rules! operators {
    ($($Op:ident $f:ident $code:ident),*) => {$(
        impl<F: Format> $Op for Symbol<F> {
            type Output = Self;
            fn $f(self, other: Self) -> Self {
                match (self.known(), other.known()) {
                    (Some(a), Some(b)) => Symbol::Number(a.$f(b)),
                    _ => self.two(Opcode::$code, other),
                }
            }
        }
    )*};
}
operators!(Add add ADD, Sub sub SUB, Mul mul MUL, Div div DIV);

impl<F: Format> Neg for Symbol<F> {
    type Output = Self;
    fn neg(self) -> Self {
        match self {
            Symbol::Number(x) => Symbol::Number(-x),
            Symbol::Value(_) => self.two(Opcode::XOR, Symbol::Number(-F::of(0.0))),
        }
    }
}

const fn numbers<F: Copy, const N: usize>(from: &[F]) -> [Symbol<F>; N] {
    let mut all = [Symbol::Number(from[0]); N];
    let mut k = 1;
    while k < N {
        all[k] = Symbol::Number(from[k]);
        k += 1;
    }
    all
}

const fn pair<F: Copy>((a, b): (F, F)) -> (Symbol<F>, Symbol<F>) {
    (Symbol::Number(a), Symbol::Number(b))
}

macro_rules! steps {
    ($($F:ident),*) => {$(
        impl Steps for Symbol<$F> {
            type Mask = Id;

            const ROUNDER: Self = Symbol::Number($F::ROUNDER);
            const PLAIN_ROUNDER: Self = Symbol::Number($F::PLAIN_ROUNDER);
            const EXP_RANGE: (Self, Self) = pair($F::EXP_RANGE);
            const EXP2_RANGE: (Self, Self) = pair($F::EXP2_RANGE);
            const EPSILON: Self = Symbol::Number(<$F as Steps>::EPSILON);
            const INFINITY: Self = Symbol::Number(<$F as Steps>::INFINITY);
            const NAN: Self = Symbol::Number(<$F as Steps>::NAN);
            const TINY: Self = Symbol::Number($F::TINY);
            const TANH_ONE: Self = Symbol::Number($F::TANH_ONE);
            const LARGE: Self = Symbol::Number($F::LARGE);
            const LN_2: (Self, Self) = pair($F::LN_2);
            const LOG10_2: (Self, Self) = pair($F::LOG10_2);
            const EXP: &'static [Self] = &numbers::<$F, { $F::EXP.len() }>($F::EXP);
            const EXP2: &'static [Self] = &numbers::<$F, { $F::EXP2.len() }>($F::EXP2);
            const TANH: &'static [Self] = &numbers::<$F, { $F::TANH.len() }>($F::TANH);
            const LN: &'static [Self] = &numbers::<$F, { $F::LN.len() }>($F::LN);

            fn of(x: f64) -> Self {
                Symbol::Number(<$F as Steps>::of(x))
            }
            fn above(self, other: Self) -> Id {
                self.compared(GT, other)
            }
            fn same(self, other: Self) -> Id {
                self.compared(EQ, other)
            }
            fn pick(mask: Id, yes: Self, no: Self) -> Self {
                let (yes, no) = (yes.id(), no.id());
                Symbol::Value(with(|formula| formula.pick(mask, yes, no)))
            }
            fn abs(self) -> Self {
                self.two(Opcode::AND, Self::bits(!0 >> 1 >> (64 - 8 * size_of::<$F>())))
            }
            fn sqrt(self) -> Self {
                let a = self.id();
                Symbol::Value(with(|formula| formula.one(Opcode::SQRT, a, None)))
            }
            fn copysign(self, sign: Self) -> Self {
                self.abs().two(Opcode::OR, sign.two(Opcode::AND, Self::of(-0.0)))
            }
            fn fma<M: Fma>(self, b: Self, c: Self) -> Self {
                let [a, b, c] = [self, b, c].map(Self::id);
                Symbol::Value(with(|formula| formula.add(Value::Fma(a, b, c))))
            }
            fn power_of_two(rounded: Self) -> (Self, Self) {
                let biased = rounded.two(Opcode::AND, Self::bits($F::ONES));
                let half = biased.shifted(Opcode::SHIFT_RIGHT, 1);
                let other = biased.two(Opcode::SUB_INTEGERS, half);
                (half.shifted(Opcode::SHIFT_LEFT, $F::FRACTION), other.shifted(Opcode::SHIFT_LEFT, $F::FRACTION))
            }
            fn times_power_of_two(self, rounded: Self) -> Self {
                self.two(Opcode::ADD_INTEGERS, rounded.shifted(Opcode::SHIFT_LEFT, $F::FRACTION))
            }
            fn split(self) -> (Self, Self, Self) {
                let digits = $F::FRACTION;
                let sqrt_half = (std::f64::consts::FRAC_1_SQRT_2 as $F).code();
                let unit = (1_u64 << digits) as $F;
                let number = Symbol::Number;

                let subnormal = number($F::MIN_NORMAL).above(self);
                let normal = Self::pick(subnormal, self * number(unit) * number(4.0), self);
                let bias = |bias: u64| number(unit + bias as $F);
                let bias = Self::pick(subnormal, bias($F::BIAS + u64::from(digits) + 2), bias($F::BIAS));
                let bits = normal.two(Opcode::ADD_INTEGERS, Self::bits((1.0 as $F).code() - sqrt_half));
                let exponent = bits.shifted(Opcode::SHIFT_RIGHT, digits);
                let k = exponent.two(Opcode::OR, number(unit)) - bias;
                let fraction = bits.two(Opcode::AND, Self::bits((1 << digits) - 1));
                let m = fraction.two(Opcode::ADD_INTEGERS, Self::bits(sqrt_half));
                let most = Self::bits(2 * $F::BIAS);
                let beyond = exponent.two(Opcode::ABOVE_INTEGERS, most).id();
                let capped = Self::pick(beyond, most, exponent);
                let inverse = most.two(Opcode::SUB_INTEGERS, capped).shifted(Opcode::SHIFT_LEFT, digits);
                (k, m, inverse)
            }
        }
    )*};
}
steps!(f32, f64);
