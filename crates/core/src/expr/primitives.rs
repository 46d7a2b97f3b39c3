//! The table of scalar primitives: one row each, and nothing else to touch when one is added.
//!
//! Nothing else, really: the enumerations are not exhaustive, so a backend has a general loop that calls the row's
//! function for what it has no faster one for (on the CPU, `cbrt` is such a one). CUDA prints the row's text. The tests of
//! derivatives, of CUDA text and of backends go through [`Unary::ALL`] and [`Binary::ALL`].
//!
//! A row is the name, the meaning in Rust, the meaning in CUDA C (for `T` = `float` or `double`), the derivative, and
//! the domain from which tests draw. From it come the method of [`Expr`], the method of [`Tensor`], the derivative of
//! every order, the samples for gradient checks and the conformance suite, and what the CPU and CUDA backends run.

use super::trace::{Expr, IntoExpr};
use crate::pointwise::Operand;
use crate::tensor::Tensor;
use std::f64::consts::{FRAC_2_SQRT_PI, LN_2, LN_10};
use std::ops::Range;

/// Where tests draw the operands of a primitive: an interval on which it is smooth.
pub type Domain = Range<f64>;

/// The parts of a row that are plain data.
#[derive(Clone, Debug)]
pub struct Row {
    /// Name of the method.
    pub name: &'static str,
    /// Domain of each operand.
    pub domains: &'static [Domain],
    /// Whether the result is a truth value (a tensor of `Bool`).
    pub truth: bool,
    /// Its meaning in CUDA C, with `{x}`, or `{a}` and `{b}`, for the operands.
    pub cuda: &'static str,
}

macro_rules! optional {
    () => {
        None
    };
    ($f:expr) => {
        Some($f)
    };
}

macro_rules! primitives {
    (unary { $( $(#[doc = $udoc:literal])+
        $un:ident $U:ident: $uf:expr, $uc:literal, |$x:ident, $y:ident| $ud:expr, $udom:expr
        $(, int $ui:expr)? $(, truth $ut:literal)?; )* }
     binary { $( $(#[doc = $bdoc:literal])+
        $bn:ident $B:ident: $bf:expr, $bc:literal, |$a:ident, $b:ident, $z:ident| $db:expr, $adom:expr, $bdom:expr
        $(, int $bi:expr)? $(, truth $bt:literal)?; )* }) => {
        /// A scalar primitive of one operand. Not exhaustive: what a backend has no loop for, it computes with
        /// [`Unary::f64`] and [`Unary::int`].
        #[non_exhaustive]
        #[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
        pub enum Unary { $( $(#[doc = $udoc])+ $U ),* }

        /// A scalar primitive of two operands. Not exhaustive: what a backend has no loop for, it computes with
        /// [`Binary::f64`] and [`Binary::int`].
        #[non_exhaustive]
        #[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
        pub enum Binary { $( $(#[doc = $bdoc])+ $B ),* }

        impl Unary {
            /// Every primitive of one operand.
            pub const ALL: &'static [Unary] = &[$(Unary::$U),*];
            /// The row of the table.
            pub fn row(self) -> &'static Row {
                const ROWS: &[Row] = &[$(Row {
                    name: stringify!($un), domains: &[$udom], truth: false $(|| $ut)?, cuda: $uc,
                }),*];
                &ROWS[self as usize]
            }
            /// Its meaning for double precision.
            pub fn f64(self) -> fn(f64) -> f64 { match self { $(Unary::$U => $uf),* } }
            /// Its meaning for integers, if it has one.
            pub fn int(self) -> Option<fn(i64) -> i64> { match self { $(Unary::$U => optional!($($ui)?)),* } }
            #[allow(unused_variables)]
            pub(super) fn derivative(self, x: Expr, y: Expr) -> Expr {
                match self { $(Unary::$U => { let ($x, $y) = (x, y); IntoExpr::into_expr($ud) }),* }
            }
        }

        impl Binary {
            /// Every primitive of two operands.
            pub const ALL: &'static [Binary] = &[$(Binary::$B),*];
            /// The row of the table.
            pub fn row(self) -> &'static Row {
                const ROWS: &[Row] = &[$(Row {
                    name: stringify!($bn), domains: &[$adom, $bdom], truth: false $(|| $bt)?, cuda: $bc,
                }),*];
                &ROWS[self as usize]
            }
            /// Its meaning for double precision.
            pub fn f64(self) -> fn(f64, f64) -> f64 { match self { $(Binary::$B => $bf),* } }
            /// Its meaning for integers, if it has one.
            pub fn int(self) -> Option<fn(i64, i64) -> i64> { match self { $(Binary::$B => optional!($($bi)?)),* } }
            #[allow(unused_variables)]
            pub(super) fn derivatives(self, a: Expr, b: Expr, z: Expr) -> [Expr; 2] {
                match self { $(Binary::$B => {
                    let ($a, $b, $z) = (a, b, z);
                    let (da, db) = $db;
                    [IntoExpr::into_expr(da), IntoExpr::into_expr(db)]
                }),* }
            }
        }

        #[allow(clippy::should_implement_trait)]
        impl Expr {
            $( $(#[doc = $udoc])+ pub fn $un(self) -> Expr { self.unary(Unary::$U) } )*
            $( $(#[doc = $bdoc])+ pub fn $bn(self, rhs: impl IntoExpr) -> Expr {
                self.binary(Binary::$B, rhs.into_expr())
            } )*
        }

        #[allow(clippy::should_implement_trait)]
        impl Tensor {
            $( $(#[doc = $udoc])+ #[track_caller] pub fn $un(&self) -> Tensor { self.unary(Unary::$U) } )*
            $( $(#[doc = $bdoc])+ #[track_caller] pub fn $bn(&self, rhs: impl Operand) -> Tensor {
                self.binary(Binary::$B, rhs)
            } )*
        }
    };
}

primitives! {
    unary {
        /// −x.
        neg Neg: |x| -x, "(-{x})", |x, y| -1.0, -2.0..2.0, int i64::wrapping_neg;
        /// |x|; the gradient at 0 is 0.
        abs Abs: f64::abs, "fabs({x})", |x, y| x.sign(), 0.2..3.0, int i64::wrapping_abs;
        /// −1, 0 or 1; NaN stays NaN. The gradient is 0.
        sign Sign: |x| if x > 0.0 { 1.0 } else if x < 0.0 { -1.0 } else { x + 0.0 },
            "({x} > T(0) ? T(1) : {x} < T(0) ? T(-1) : {x} + T(0))", |x, y| 0.0, 0.2..3.0, int i64::signum;
        /// √x; the gradient at 0 is +∞.
        sqrt Sqrt: f64::sqrt, "sqrt({x})", |x, y| 0.5 / y, 0.2..3.0;
        /// 1/√x.
        rsqrt Rsqrt: |x| 1.0 / x.sqrt(), "(T(1) / sqrt({x}))", |x, y| -0.5 * y * y * y, 0.3..3.0;
        /// ∛x, also of negative numbers.
        cbrt Cbrt: f64::cbrt, "cbrt({x})", |x, y| 1.0 / (3.0 * y * y), 0.3..3.0;
        /// 1/x.
        recip Recip: f64::recip, "(T(1) / {x})", |x, y| -y * y, 0.3..3.0;
        /// x².
        square Square: |x| x * x, "({x} * {x})", |x, y| 2.0 * x, -2.0..2.0, int |x| x.wrapping_mul(x);
        /// eˣ.
        exp Exp: f64::exp, "exp({x})", |x, y| y, -2.0..2.0;
        /// 2ˣ.
        exp2 Exp2: f64::exp2, "exp2({x})", |x, y| LN_2 * y, -2.0..2.0;
        /// eˣ − 1, accurate near 0.
        expm1 Expm1: f64::exp_m1, "expm1({x})", |x, y| x.exp(), -2.0..2.0;
        /// Natural logarithm.
        log Log: f64::ln, "log({x})", |x, y| 1.0 / x, 0.2..3.0;
        /// ln(1 + x), accurate near 0.
        log1p Log1p: f64::ln_1p, "log1p({x})", |x, y| 1.0 / (x + 1.0), -0.5..3.0;
        /// Logarithm of base 2.
        log2 Log2: f64::log2, "log2({x})", |x, y| 1.0 / (x * LN_2), 0.2..3.0;
        /// Logarithm of base 10.
        log10 Log10: f64::log10, "log10({x})", |x, y| 1.0 / (x * LN_10), 0.2..3.0;
        /// Sine of an angle in radians.
        sin Sin: f64::sin, "sin({x})", |x, y| x.cos(), -2.0..2.0;
        /// Cosine of an angle in radians.
        cos Cos: f64::cos, "cos({x})", |x, y| -x.sin(), -2.0..2.0;
        /// Tangent of an angle in radians.
        tan Tan: f64::tan, "tan({x})", |x, y| 1.0 + y * y, -1.0..1.0;
        /// Inverse sine.
        asin Asin: f64::asin, "asin({x})", |x, y| ((1.0 - x) * (1.0 + x)).rsqrt(), -0.8..0.8;
        /// Inverse cosine.
        acos Acos: f64::acos, "acos({x})", |x, y| -((1.0 - x) * (1.0 + x)).rsqrt(), -0.8..0.8;
        /// Inverse tangent.
        atan Atan: f64::atan, "atan({x})", |x, y| 1.0 / (1.0 + x * x), -2.0..2.0;
        /// Hyperbolic sine.
        sinh Sinh: f64::sinh, "sinh({x})", |x, y| x.cosh(), -2.0..2.0;
        /// Hyperbolic cosine.
        cosh Cosh: f64::cosh, "cosh({x})", |x, y| x.sinh(), -2.0..2.0;
        /// Hyperbolic tangent.
        tanh Tanh: f64::tanh, "tanh({x})", |x, y| 1.0 - y * y, -2.0..2.0;
        /// Inverse hyperbolic sine.
        asinh Asinh: libm::asinh, "asinh({x})", |x, y| 1.0 / x.hypot(1.0), -2.0..2.0;
        /// Inverse hyperbolic cosine.
        acosh Acosh: libm::acosh, "acosh({x})", |x, y| 1.0 / ((x - 1.0).sqrt() * (x + 1.0).sqrt()), 1.3..3.0;
        /// Inverse hyperbolic tangent.
        atanh Atanh: libm::atanh, "atanh({x})", |x, y| 1.0 / ((1.0 - x) * (1.0 + x)), -0.8..0.8;
        /// Error function, 2/√π ∫₀ˣ e^(−t²) dt.
        erf Erf: libm::erf, "erf({x})", |x, y| FRAC_2_SQRT_PI * (-(x * x)).exp(), -2.0..2.0;
        /// 1 − erf(x), accurate for large x.
        erfc Erfc: libm::erfc, "erfc({x})", |x, y| -FRAC_2_SQRT_PI * (-(x * x)).exp(), -2.0..2.0;
        /// Logistic function, 1/(1 + e⁻ˣ).
        sigmoid Sigmoid: |x| 1.0 / (1.0 + (-x).exp()), "(T(1) / (T(1) + exp(-{x})))", |x, y| y * (-x).sigmoid(), -2.0..2.0;
        /// ln(1 + eˣ), without overflow.
        softplus Softplus: |x| f64::max(x, 0.0) + (-x.abs()).exp().ln_1p(),
            "(({x} > T(0) ? {x} : T(0)) + log1p(exp(-fabs({x}))))", |x, y| x.sigmoid(), -2.0..2.0;
        /// max(x, 0); NaN stays NaN, the gradient at 0 is 0.
        relu Relu: |x| if x <= 0.0 { 0.0 } else { x }, "({x} <= T(0) ? T(0) : {x})", |x, y| x.gt(0.0), 0.2..3.0,
            int |x| x.max(0);
        /// Largest integer not above x. The gradient is 0.
        floor Floor: f64::floor, "floor({x})", |x, y| 0.0, 0.2..0.8, int |x| x;
        /// Smallest integer not below x. The gradient is 0.
        ceil Ceil: f64::ceil, "ceil({x})", |x, y| 0.0, 0.2..0.8, int |x| x;
        /// Nearest integer, halves to the even one. The gradient is 0.
        round Round: f64::round_ties_even, "rint({x})", |x, y| 0.0, 0.6..1.4, int |x| x;
        /// The integer part, towards 0. The gradient is 0.
        trunc Trunc: f64::trunc, "trunc({x})", |x, y| 0.0, 0.2..0.8, int |x| x;
        /// Whether x is not a number.
        is_nan IsNan: |x| x.is_nan() as u8 as f64, "T({x} != {x})", |x, y| 0.0, -2.0..2.0, int |_| 0, truth true;
        /// Whether x is +∞ or −∞.
        is_inf IsInf: |x| x.is_infinite() as u8 as f64, "T({x} == {x} && {x} - {x} != T(0))", |x, y| 0.0, -2.0..2.0,
            int |_| 0, truth true;
        /// Whether x is neither infinite nor NaN.
        is_finite IsFinite: |x| x.is_finite() as u8 as f64, "T({x} - {x} == T(0))", |x, y| 0.0, -2.0..2.0,
            int |_| 1, truth true;
        /// Whether x is 0: logical not.
        logical_not Not: |x| (x == 0.0) as u8 as f64, "T({x} == T(0))", |x, y| 0.0, 0.5..2.0,
            int |x| (x == 0) as i64, truth true;
    }
    binary {
        /// a + b.
        add Add: |a, b| a + b, "({a} + {b})", |a, b, z| (1.0, 1.0), -2.0..2.0, -2.0..2.0, int i64::wrapping_add;
        /// a − b.
        sub Sub: |a, b| a - b, "({a} - {b})", |a, b, z| (1.0, -1.0), -2.0..2.0, -2.0..2.0, int i64::wrapping_sub;
        /// a · b.
        mul Mul: |a, b| a * b, "({a} * {b})", |a, b, z| (b, a), -2.0..2.0, -2.0..2.0, int i64::wrapping_mul;
        /// a / b, for floating-point numbers; integers have [`floor_div`](Tensor::floor_div).
        div Div: |a, b| a / b, "({a} / {b})", |a, b, z| (1.0 / b, -z / b), -2.0..2.0, 0.3..2.0;
        /// aᵇ. At b = 0 the gradient by a is 0, at a = 0 and b ≥ 0 the gradient by b is 0.
        pow Pow: f64::powf, "pow({a}, {b})", |a, b, z| (
                b.eq(0.0).select(Expr::constant(0.0), b * a.pow(b - 1.0)),
                a.eq(0.0).logical_and(b.ge(0.0)).select(Expr::constant(0.0), z * a.log()),
            ), 0.3..2.0, -2.0..2.0;
        /// The larger one; NaN if either is. Equal operands share the gradient.
        maximum Max: |a, b| if a > b || a.is_nan() { a } else { b }, "({a} > {b} || {a} != {a} ? {a} : {b})",
            |a, b, z| (0.5 * (a.gt(b) + a.ge(b)), 0.5 * (b.gt(a) + b.ge(a))), -2.0..0.0, 0.1..2.0, int i64::max;
        /// The smaller one; NaN if either is. Equal operands share the gradient.
        minimum Min: |a, b| if a < b || a.is_nan() { a } else { b }, "({a} < {b} || {a} != {a} ? {a} : {b})",
            |a, b, z| (0.5 * (a.lt(b) + a.le(b)), 0.5 * (b.lt(a) + b.le(a))), -2.0..0.0, 0.1..2.0, int i64::min;
        /// The larger one; a NaN loses against a number.
        fmax Fmax: f64::max, "fmax({a}, {b})", |a, b, z| (
                0.5 * (a.gt(b) + a.ge(b)) + b.is_nan(), 0.5 * (b.gt(a) + b.ge(a)) + a.is_nan(),
            ), -2.0..0.0, 0.1..2.0, int i64::max;
        /// The smaller one; a NaN loses against a number.
        fmin Fmin: f64::min, "fmin({a}, {b})", |a, b, z| (
                0.5 * (a.lt(b) + a.le(b)) + b.is_nan(), 0.5 * (b.lt(a) + b.le(a)) + a.is_nan(),
            ), -2.0..0.0, 0.1..2.0, int i64::min;
        /// Angle of the point (b, a), in radians from −π to π.
        atan2 Atan2: f64::atan2, "atan2({a}, {b})", |a, b, z| {
                let r = a.hypot(b);
                (b / r / r, -(a / r) / r)
            },
            0.3..2.0, -2.0..2.0;
        /// √(a² + b²) without overflow; the gradient at (0, 0) is 0.
        hypot Hypot: f64::hypot, "hypot({a}, {b})", |a, b, z| (
                z.eq(0.0).select(Expr::constant(0.0), a / z), z.eq(0.0).select(Expr::constant(0.0), b / z),
            ), 0.3..2.0, -2.0..2.0;
        /// a − b·floor(a/b): the sign is the divisor's. Integers: 0 where the divisor is 0.
        remainder Rem: floor_mod, "ct_floor_mod({a}, {b})", |a, b, z| (1.0, ((z - a) / b).round()), 2.1..2.9, 1.0..1.04,
            int |a, b| if b == 0 { 0 } else { floor_mod_int(a, b) };
        /// a − b·trunc(a/b): the sign is the dividend's. Integers: 0 where the divisor is 0.
        fmod Fmod: |a, b| a % b, "fmod({a}, {b})", |a, b, z| (1.0, ((z - a) / b).round()), 2.1..2.9, 1.0..1.04,
            int |a, b| if b == 0 { 0 } else { a.wrapping_rem(b) };
        /// floor(a/b). Integers: 0 where the divisor is 0. The gradient is 0.
        floor_div FloorDiv: |a, b| (a / b).floor(), "floor({a} / {b})", |a, b, z| (0.0, 0.0), 2.1..2.9, 1.0..1.04,
            int |a, b| if b == 0 { 0 } else { a.wrapping_div(b) - (a.wrapping_rem(b) != 0 && (a < 0) != (b < 0)) as i64 };
        /// The magnitude of a with the sign of b. The gradient by b is 0, and by a at 0.
        copysign Copysign: f64::copysign, "copysign({a}, {b})", |a, b, z| (z.sign() * a.sign(), 0.0),
            0.3..2.0, -2.0..-0.3;
        /// a·ln b, and 0 where a = 0 (unless b is NaN): the gradient by a is 0 where both are 0.
        xlogy Xlogy: |a, b| if a == 0.0 && !b.is_nan() { 0.0 } else { a * b.ln() },
            "({a} == T(0) && {b} == {b} ? T(0) : {a} * log({b}))", |a, b, z| (
                a.eq(0.0).logical_and(b.eq(0.0)).select(Expr::constant(0.0), b.log()),
                a.eq(0.0).select(Expr::constant(0.0), a / b),
            ), -2.0..2.0, 0.3..2.0;
        /// ln(eᵃ + eᵇ) without overflow.
        logaddexp Logaddexp: |a, b| if a == b { a + LN_2 } else { a.max(b) + (-(a - b).abs()).exp().ln_1p() },
            "ct_logaddexp({a}, {b})", |a, b, z| ((a - b).sigmoid(), (b - a).sigmoid()), -2.0..2.0, -2.0..2.0;
        /// Whether a = b; NaN equals nothing.
        eq Eq: |a, b| (a == b) as u8 as f64, "T({a} == {b})", |a, b, z| (0.0, 0.0), 0.0..2.0, -2.0..-0.1,
            int |a, b| (a == b) as i64, truth true;
        /// Whether a ≠ b; NaN differs from everything.
        ne Ne: |a, b| (a != b) as u8 as f64, "T({a} != {b})", |a, b, z| (0.0, 0.0), 0.0..2.0, -2.0..-0.1,
            int |a, b| (a != b) as i64, truth true;
        /// Whether a < b.
        lt Lt: |a, b| (a < b) as u8 as f64, "T({a} < {b})", |a, b, z| (0.0, 0.0), 0.0..2.0, -2.0..-0.1,
            int |a, b| (a < b) as i64, truth true;
        /// Whether a ≤ b.
        le Le: |a, b| (a <= b) as u8 as f64, "T({a} <= {b})", |a, b, z| (0.0, 0.0), 0.0..2.0, -2.0..-0.1,
            int |a, b| (a <= b) as i64, truth true;
        /// Whether a > b.
        gt Gt: |a, b| (a > b) as u8 as f64, "T({a} > {b})", |a, b, z| (0.0, 0.0), 0.0..2.0, -2.0..-0.1,
            int |a, b| (a > b) as i64, truth true;
        /// Whether a ≥ b.
        ge Ge: |a, b| (a >= b) as u8 as f64, "T({a} >= {b})", |a, b, z| (0.0, 0.0), 0.0..2.0, -2.0..-0.1,
            int |a, b| (a >= b) as i64, truth true;
        /// Whether both differ from 0.
        logical_and And: |a, b| (a != 0.0 && b != 0.0) as u8 as f64, "T({a} != T(0) && {b} != T(0))",
            |a, b, z| (0.0, 0.0), 0.1..2.0, -2.0..-0.1, int |a, b| (a != 0 && b != 0) as i64, truth true;
        /// Whether one differs from 0, or both.
        logical_or Or: |a, b| (a != 0.0 || b != 0.0) as u8 as f64, "T({a} != T(0) || {b} != T(0))",
            |a, b, z| (0.0, 0.0), 0.1..2.0, -2.0..-0.1, int |a, b| (a != 0 || b != 0) as i64, truth true;
        /// Whether exactly one differs from 0.
        logical_xor Xor: |a, b| ((a != 0.0) != (b != 0.0)) as u8 as f64, "T(({a} != T(0)) != ({b} != T(0)))",
            |a, b, z| (0.0, 0.0), 0.1..2.0, -2.0..-0.1, int |a, b| ((a != 0) != (b != 0)) as i64, truth true;
    }
}

/// The remainder with the divisor's sign, exact where `fmod` is.
fn floor_mod(a: f64, b: f64) -> f64 {
    let r = a % b;
    if r != 0.0 && (r < 0.0) != (b < 0.0) { r + b } else { r }
}

/// The same for integers, also where a + b would overflow.
fn floor_mod_int(a: i64, b: i64) -> i64 {
    let r = a.wrapping_rem(b);
    if r != 0 && (r < 0) != (b < 0) { r + b } else { r }
}
