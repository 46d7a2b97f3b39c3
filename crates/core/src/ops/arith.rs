//! Operators, conversions, selection.

use crate::check::{given, real, truth};
use crate::dtype::DType;
use crate::expr::{Binary, Expr, trace};
use crate::pointwise::{Given, Operand, Primitive, apply_one, pointwise, primitive, with_number};
use crate::tensor::Tensor;
use smallvec::smallvec;
use std::borrow::Cow;
use std::ops::{Add, Div, Mul, Neg, Sub};

macro_rules! operators {
    ($($Op:ident $f:ident $B:ident),*) => {$(
        operators!(@tensors $Op $f $B, &Tensor, &Tensor);
        operators!(@tensors $Op $f $B, &Tensor, Tensor);
        operators!(@tensors $Op $f $B, Tensor, &Tensor);
        operators!(@tensors $Op $f $B, Tensor, Tensor);
        operators!(@number $Op $f $B, &Tensor);
        operators!(@number $Op $f $B, Tensor);
    )*};
    (@tensors $Op:ident $f:ident $B:ident, $L:ty, $R:ty) => {
        impl $Op<$R> for $L {
            type Output = Tensor;
            #[track_caller]
            fn $f(self, rhs: $R) -> Tensor {
                let (mut x, mut y) = (Cow::from(self), Cow::from(rhs));
                apply_one(stringify!($f), primitive(Primitive::Tensors(Binary::$B)), [Given::of(&mut x), Given::of(&mut y)])
            }
        }
    };
    (@number $Op:ident $f:ident $B:ident, $T:ty) => {
        impl $Op<f64> for $T {
            type Output = Tensor;
            #[track_caller]
            fn $f(self, rhs: f64) -> Tensor { with_number(Primitive::Right(Binary::$B), rhs, self.into()) }
        }
        impl $Op<$T> for f64 {
            type Output = Tensor;
            #[track_caller]
            fn $f(self, rhs: $T) -> Tensor { with_number(Primitive::Left(Binary::$B), self, rhs.into()) }
        }
    };
}
operators!(Add add Add, Sub sub Sub, Mul mul Mul, Div div Div);

impl Neg for &Tensor {
    type Output = Tensor;
    #[track_caller]
    fn neg(self) -> Tensor {
        Tensor::neg(self)
    }
}
impl Neg for Tensor {
    type Output = Tensor;
    #[track_caller]
    fn neg(self) -> Tensor {
        Tensor::neg(&self)
    }
}

impl Tensor {
    /// The elements converted to `dtype`: rounded to nearest even, integers cut and saturated from floats (NaN
    /// becomes 0), wrapped from wider integers, `Bool` where not zero. The gradient converts back.
    #[track_caller]
    pub fn to(&self, dtype: DType) -> Tensor {
        if dtype == self.dtype() {
            return self.clone();
        }
        let _op = crate::profile::operation("to");
        let program = trace(|[x]| x);
        let shape = self.shape();
        let call = crate::backend::Call {
            program: &program.program,
            uniforms: &[],
            args: smallvec![crate::backend::Arg::Shared(self.view())],
            shape,
            outputs: &[dtype],
        };
        let storage = self.device().backend().map(call).remove(0);
        let source = self.dtype();
        let out =
            Tensor::from_storage(storage, crate::Layout::contiguous(shape), dtype, self.device().clone()).record("to");
        if dtype.is_float() { out.wrt(self, [], move |g, []| g.to(source)).done() } else { out.done() }
    }

    /// x³.
    #[track_caller]
    pub fn cube(&self) -> Tensor {
        pointwise(|[x]| x * x * x).named("cube").call([self])
    }

    /// self / rhs in floating point: integers and booleans are converted to `F32` first.
    #[track_caller]
    pub fn true_div(&self, rhs: &Tensor) -> Tensor {
        let real = |x: &Tensor| if x.dtype().is_float() { x.clone() } else { x.to(DType::F32) };
        real(self) / real(rhs)
    }

    /// The fractional part, x − trunc(x), with the sign of x. The gradient is 1.
    #[track_caller]
    pub fn frac(&self) -> Tensor {
        pointwise(|[x]| x - x.trunc()).named("frac").call([self])
    }

    /// NaN, +∞ and −∞ replaced. The gradient is 0 there. NumPy replaces NaN by 0 and infinities by the largest numbers.
    #[track_caller]
    pub fn nan_to_num(&self, nan: f64, posinf: f64, neginf: f64) -> Tensor {
        let formula = move |[x]: [Expr; 1]| {
            let infinite = x.gt(0.0).select(posinf, neginf);
            x.is_finite().select(x, x.is_nan().select(nan, infinite))
        };
        pointwise(formula).named("nan_to_num").call([self])
    }

    /// From `self` to `end` by `weight`: self + weight·(end − self), exact at weights 0 and 1. The weight is a number or
    /// a tensor that broadcasts.
    #[track_caller]
    pub fn lerp(&self, end: &Tensor, weight: impl Operand) -> Tensor {
        let formula = |[a, b, w]: [Expr; 3]| w.lt(0.5).select(a + w * (b - a), b - (1.0 - w) * (b - a));
        pointwise(formula).named("lerp").call([self, end, &self.operand(weight)])
    }

    /// self + value·a·b.
    #[track_caller]
    pub fn addcmul(&self, a: &Tensor, b: &Tensor, value: f64) -> Tensor {
        pointwise(move |[x, a, b]| x + value * a * b).named("addcmul").call([self, a, b])
    }

    /// self + value·a/b.
    #[track_caller]
    pub fn addcdiv(&self, a: &Tensor, b: &Tensor, value: f64) -> Tensor {
        pointwise(move |[x, a, b]| x + value * a / b).named("addcdiv").call([self, a, b])
    }

    /// An operand as a tensor: a number becomes a scalar of this element type and device.
    pub(crate) fn operand(&self, x: impl Operand) -> Tensor {
        match (x.tensor(), x.number()) {
            (Some(x), _) => x.clone(),
            (None, number) => self.device().full((), number.expect("an operand is a tensor or a number"), self.dtype()),
        }
    }
}

crate::samples!("cube", |s| {
    s.case("", [real([2, 3], -2.0..2.0)], |[x]| x.cube()).with_integers();
});
crate::samples!("true_div", |s| {
    s.case("broadcast", [real([2, 3], -2.0..2.0), real([3], 0.5..2.0)], |[a, b]| a.true_div(b));
});
crate::samples!("to", |s| {
    s.case("wider", [real([2, 3], -2.0..2.0)], |[x]| x.to(DType::F64));
    s.case("to integers", [real([2, 3], -2.0..2.0)], |[x]| x.to(DType::I32)).orders(0).with_integers();
    s.case("to truth values", [truth([2, 3])], |[x]| x.to(DType::F32)).orders(0);
});
crate::samples!("frac", |s| {
    s.case("", [given([4], &[-1.75, -0.25, 0.5, 2.25])], |[x]| x.frac());
});
crate::samples!("nan_to_num", |s| {
    s.case("finite", [real([2, 3], -2.0..2.0)], |[x]| x.nan_to_num(0.5, 1.0, -1.0));
    let odd = [f64::NAN, f64::INFINITY, 1.0, f64::NEG_INFINITY];
    s.case("not finite", [given([4], &odd)], |[x]| x.nan_to_num(0.5, 1.0, -1.0)).orders(0);
});
crate::samples!("lerp", |s| {
    let ends = || (real([2, 3], -2.0..2.0), real([3], -2.0..2.0));
    s.case("by a number", [ends().0, ends().1], |[a, b]| a.lerp(b, 0.3));
    s.case("by a tensor", [ends().0, ends().1, given([2, 1], &[0.25, 0.75])], |[a, b, w]| a.lerp(b, w));
});
crate::samples!("addcmul", |s| {
    let inputs = [real([2, 3], -2.0..2.0), real([3], -2.0..2.0), real([2, 1], -2.0..2.0)];
    s.case("broadcast", inputs, |[x, a, b]| x.addcmul(a, b, 0.7));
});
crate::samples!("addcdiv", |s| {
    let inputs = [real([2, 3], -2.0..2.0), real([3], -2.0..2.0), real([2, 1], 0.5..2.0)];
    s.case("broadcast", inputs, |[x, a, b]| x.addcdiv(a, b, -1.3));
});
