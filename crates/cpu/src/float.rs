//! Primitives, folds and random numbers in `f32` and `f64`: loops that are compiled for several instruction sets.

use crate::lanes::{fold_into, fold_rows};
use crate::math::{self, Fma, Kernel, Real, dispatch};
use crate::number::{Number, Wide};
use crate::random;
use cotangent_core::Element;
use cotangent_core::backend::Fold;
use cotangent_core::expr::{Binary, Draw, Unary};

/// What the primitives need besides [`Real`].
pub trait Float: Number + Real + std::ops::Rem<Output = Self> {
    /// Largest integer not above.
    fn floor(self) -> Self;
    /// Smallest integer not below.
    fn ceil(self) -> Self;
    /// Nearest integer, halves to the even one.
    fn round(self) -> Self;
    /// The integer part.
    fn trunc(self) -> Self;
    /// The larger one; a NaN loses.
    fn fmax(self, other: Self) -> Self;
    /// The smaller one; a NaN loses.
    fn fmin(self, other: Self) -> Self;
}

macro_rules! float {
    ($($T:ident $read:ident $write:ident),*) => {$(
        impl Float for $T {
            #[inline(always)]
            fn floor(self) -> $T { self.floor() }
            #[inline(always)]
            fn ceil(self) -> $T { self.ceil() }
            #[inline(always)]
            fn round(self) -> $T { self.round_ties_even() }
            #[inline(always)]
            fn trunc(self) -> $T { self.trunc() }
            #[inline(always)]
            fn fmax(self, other: $T) -> $T { self.max(other) }
            #[inline(always)]
            fn fmin(self, other: $T) -> $T { self.min(other) }
        }

        impl Number for $T {
            type Wide = f64;
            #[inline(always)]
            fn of(x: f64) -> $T { x as $T }
            #[inline(always)]
            fn read<E: Element>(x: E) -> $T { x.$read() }
            #[inline(always)]
            fn write<E: Element>(self) -> E { E::$write(self) }
            #[inline(always)]
            fn widen(self) -> f64 { self as f64 }
            #[inline(always)]
            fn is_nan(self) -> bool { self.is_nan() }
            fn unary(op: Unary, to: &mut [$T], a: &[$T]) { dispatch(UnaryLoop(op, to, a)) }
            fn binary(op: Binary, to: &mut [$T], a: &[$T], b: &[$T]) { dispatch(BinaryLoop(op, to, a, b)) }
            fn select(to: &mut [$T], condition: &[$T], a: &[$T], b: &[$T]) {
                dispatch(SelectLoop(to, condition, a, b))
            }
            fn random(draw: Draw, ticket: [u32; 4], start: u64, to: &mut [$T]) {
                random::fill(draw, ticket, start, to)
            }
            fn fold_rows(fold: Fold, rows: &[$T], len: usize, to: &mut [f64]) {
                dispatch(RowsFold(fold, rows, len, to))
            }
            fn fold_into(fold: Fold, acc: &mut [$T], row: &[$T]) { dispatch(IntoFold(fold, acc, row)) }
            fn flush(fold: Fold, to: &mut [f64], row: &[$T]) { dispatch(Flush(fold, to, row)) }
            #[inline(always)]
            fn plus(self, other: $T) -> $T { self + other }
            fn start(fold: Fold) -> $T {
                match fold {
                    Fold::Sum => 0.0,
                    Fold::Prod => 1.0,
                    Fold::Max => $T::NEG_INFINITY,
                    Fold::Min => $T::INFINITY,
                }
            }
        }
    )*};
}
float!(f32 to_f32 from_f32, f64 to_f64 from_f64);

// Loops are written out by macros because a closure that is not inlined would be compiled for the baseline
// instruction set.
macro_rules! each {
    ($to:ident, $a:ident, |$x:ident| $e:expr) => {
        for (to, &$x) in $to.iter_mut().zip($a) {
            *to = $e;
        }
    };
}
macro_rules! pairs {
    ($to:ident, $a:ident, $b:ident, |$x:ident, $y:ident| $e:expr) => {
        for ((to, &$x), &$y) in $to.iter_mut().zip($a).zip($b) {
            *to = $e;
        }
    };
}

/// Truth as a number.
#[inline(always)]
fn truth<T: Float>(x: bool) -> T {
    let (zero, one) = (<T as Number>::of(0.0), <T as Number>::of(1.0));
    if x { one } else { zero }
}

struct UnaryLoop<'a, T>(Unary, &'a mut [T], &'a [T]);

impl<T: Float> Kernel for UnaryLoop<'_, T> {
    type Output = ();
    #[inline(always)]
    fn run<F: Fma>(self) {
        let UnaryLoop(op, to, a) = self;
        let (zero, one) = (<T as Number>::of(0.0), <T as Number>::of(1.0));
        match op {
            Unary::Neg => each!(to, a, |x| -x),
            Unary::Abs => each!(to, a, |x| x.abs()),
            Unary::Sign => each!(to, a, |x| {
                let other = if x < zero { -one } else { x + zero };
                if x > zero { one } else { other }
            }),
            Unary::Sqrt => each!(to, a, |x| x.sqrt()),
            Unary::Rsqrt => each!(to, a, |x| one / x.sqrt()),
            Unary::Recip => each!(to, a, |x| one / x),
            Unary::Square => each!(to, a, |x| x * x),
            Unary::Exp => each!(to, a, |x| math::exp::<F, T>(x)),
            Unary::Exp2 => each!(to, a, |x| math::exp2::<F, T>(x)),
            Unary::Expm1 => each!(to, a, |x| math::expm1::<F, T>(x)),
            Unary::Log => each!(to, a, |x| math::log::<F, T>(x)),
            Unary::Log1p => each!(to, a, |x| math::log1p::<F, T>(x)),
            Unary::Log2 => each!(to, a, |x| math::log2::<F, T>(x)),
            Unary::Log10 => each!(to, a, |x| math::log10::<F, T>(x)),
            Unary::Sin => math::sin_slice::<F, T>(a, to),
            Unary::Cos => math::cos_slice::<F, T>(a, to),
            Unary::Tan => math::tan_slice::<F, T>(a, to),
            Unary::Asin => each!(to, a, |x| math::asin::<F, T>(x)),
            Unary::Acos => each!(to, a, |x| math::acos::<F, T>(x)),
            Unary::Atan => each!(to, a, |x| math::atan::<F, T>(x)),
            Unary::Sinh => each!(to, a, |x| math::sinh::<F, T>(x)),
            Unary::Cosh => each!(to, a, |x| math::cosh::<F, T>(x)),
            Unary::Tanh => each!(to, a, |x| math::tanh::<F, T>(x)),
            Unary::Asinh => each!(to, a, |x| math::asinh::<F, T>(x)),
            Unary::Acosh => each!(to, a, |x| math::acosh::<F, T>(x)),
            Unary::Atanh => each!(to, a, |x| math::atanh::<F, T>(x)),
            Unary::Erf => each!(to, a, |x| math::erf::<F, T>(x)),
            Unary::Erfc => each!(to, a, |x| math::erfc::<F, T>(x)),
            Unary::Sigmoid => each!(to, a, |x| math::sigmoid::<F, T>(x)),
            Unary::Softplus => each!(to, a, |x| math::softplus::<F, T>(x)),
            Unary::Relu => each!(to, a, |x| if x <= zero { zero } else { x }),
            Unary::Floor => each!(to, a, |x| x.floor()),
            Unary::Ceil => each!(to, a, |x| x.ceil()),
            Unary::Round => each!(to, a, |x| x.round()),
            Unary::Trunc => each!(to, a, |x| x.trunc()),
            Unary::IsNan => each!(to, a, |x| truth(Number::is_nan(x))),
            Unary::IsInf => each!(to, a, |x| truth(x.abs() == T::INFINITY)),
            Unary::IsFinite => each!(to, a, |x| truth(x.abs() < T::INFINITY)),
            Unary::Not => each!(to, a, |x| truth(x == zero)),
            // No loop of its own: the table's function.
            other => {
                let f = other.f64();
                each!(to, a, |x| <T as Number>::of(f(x.to_f64())))
            }
        }
    }
}

struct BinaryLoop<'a, T>(Binary, &'a mut [T], &'a [T], &'a [T]);

impl<T: Float> Kernel for BinaryLoop<'_, T> {
    type Output = ();
    #[inline(always)]
    fn run<F: Fma>(self) {
        let BinaryLoop(op, to, a, b) = self;
        let zero = <T as Number>::of(0.0);
        match op {
            Binary::Add => pairs!(to, a, b, |x, y| x + y),
            Binary::Sub => pairs!(to, a, b, |x, y| x - y),
            Binary::Mul => pairs!(to, a, b, |x, y| x * y),
            Binary::Div => pairs!(to, a, b, |x, y| x / y),
            Binary::Pow => pairs!(to, a, b, |x, y| math::pow::<F, T>(x, y)),
            Binary::Max => pairs!(to, a, b, |x, y| if (x > y) | Number::is_nan(x) { x } else { y }),
            Binary::Min => pairs!(to, a, b, |x, y| if (x < y) | Number::is_nan(x) { x } else { y }),
            Binary::Fmax => pairs!(to, a, b, |x, y| x.fmax(y)),
            Binary::Fmin => pairs!(to, a, b, |x, y| x.fmin(y)),
            Binary::Atan2 => pairs!(to, a, b, |x, y| math::atan2::<F, T>(x, y)),
            Binary::Hypot => pairs!(to, a, b, |x, y| math::hypot::<F, T>(x, y)),
            Binary::Rem => pairs!(to, a, b, |x, y| {
                let r = x % y;
                if (r != zero) & ((r < zero) != (y < zero)) { r + y } else { r }
            }),
            Binary::Fmod => pairs!(to, a, b, |x, y| x % y),
            Binary::FloorDiv => pairs!(to, a, b, |x, y| (x / y).floor()),
            Binary::Copysign => pairs!(to, a, b, |x, y| x.copysign(y)),
            Binary::Xlogy => pairs!(to, a, b, |x, y| {
                let product = x * math::log::<F, T>(y);
                if (x == zero) & !Number::is_nan(y) { zero } else { product }
            }),
            Binary::Logaddexp => pairs!(to, a, b, |x, y| math::logaddexp::<F, T>(x, y)),
            Binary::Eq => pairs!(to, a, b, |x, y| truth(x == y)),
            Binary::Ne => pairs!(to, a, b, |x, y| truth(x != y)),
            Binary::Lt => pairs!(to, a, b, |x, y| truth(x < y)),
            Binary::Le => pairs!(to, a, b, |x, y| truth(x <= y)),
            Binary::Gt => pairs!(to, a, b, |x, y| truth(x > y)),
            Binary::Ge => pairs!(to, a, b, |x, y| truth(x >= y)),
            Binary::And => pairs!(to, a, b, |x, y| truth((x != zero) & (y != zero))),
            Binary::Or => pairs!(to, a, b, |x, y| truth((x != zero) | (y != zero))),
            Binary::Xor => pairs!(to, a, b, |x, y| truth((x != zero) != (y != zero))),
            other => {
                let f = other.f64();
                pairs!(to, a, b, |x, y| <T as Number>::of(f(x.to_f64(), y.to_f64())))
            }
        }
    }
}

struct SelectLoop<'a, T>(&'a mut [T], &'a [T], &'a [T], &'a [T]);

impl<T: Float> Kernel for SelectLoop<'_, T> {
    type Output = ();
    #[inline(always)]
    fn run<F: Fma>(self) {
        let SelectLoop(to, condition, a, b) = self;
        let zero = <T as Number>::of(0.0);
        for (((to, &c), &x), &y) in to.iter_mut().zip(condition).zip(a).zip(b) {
            *to = if c != zero { x } else { y };
        }
    }
}

struct RowsFold<'a, T: Float>(Fold, &'a [T], usize, &'a mut [T::Wide]);

impl<T: Float> Kernel for RowsFold<'_, T> {
    type Output = ();
    #[inline(always)]
    fn run<F: Fma>(self) {
        let RowsFold(fold, rows, len, to) = self;
        let rows = rows.chunks(len).zip(to);
        match fold {
            Fold::Sum => fold_rows!(rows, len, T::default(), |x, y| x + y, fold),
            Fold::Max => {
                fold_rows!(rows, len, T::start(fold), |x, y| if (y > x) | Number::is_nan(y) { y } else { x }, fold)
            }
            Fold::Min => {
                fold_rows!(rows, len, T::start(fold), |x, y| if (y < x) | Number::is_nan(y) { y } else { x }, fold)
            }
            // The product of many moderate numbers can leave the range of f32 on the way.
            Fold::Prod => {
                for (row, to) in rows {
                    *to = row.iter().fold(T::start(fold).widen(), |product, x| product.times(x.widen()));
                }
            }
        }
    }
}

struct IntoFold<'a, T>(Fold, &'a mut [T], &'a [T]);

impl<T: Float> Kernel for IntoFold<'_, T> {
    type Output = ();
    #[inline(always)]
    fn run<F: Fma>(self) {
        let IntoFold(fold, acc, row) = self;
        match fold {
            Fold::Sum => fold_into!(acc, row, |x, y| x + y),
            Fold::Prod => fold_into!(acc, row, |x, y| x * y),
            Fold::Max => fold_into!(acc, row, |x, y| if (y > x) | Number::is_nan(y) { y } else { x }),
            Fold::Min => fold_into!(acc, row, |x, y| if (y < x) | Number::is_nan(y) { y } else { x }),
        }
    }
}

struct Flush<'a, T>(Fold, &'a mut [f64], &'a [T]);

impl<T: Float<Wide = f64>> Kernel for Flush<'_, T> {
    type Output = ();
    #[inline(always)]
    fn run<F: Fma>(self) {
        let Flush(fold, to, row) = self;
        let pairs = to.iter_mut().zip(row);
        match fold {
            Fold::Sum => pairs.for_each(|(to, x)| *to += x.widen()),
            fold => pairs.for_each(|(to, x)| *to = to.join(x.widen(), fold)),
        }
    }
}
