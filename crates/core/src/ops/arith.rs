//! Operators, conversions, selection.

use crate::dtype::DType;
use crate::expr::{Binary, trace};
use crate::pointwise::{Primitive, apply, pointwise, primitive, with_number};
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
                apply(stringify!($f), primitive(Primitive::Tensors(Binary::$B)), smallvec![Cow::from(self), Cow::from(rhs)]).remove(0)
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
        let program = trace(|[x]| x);
        let shape = self.shape();
        let call = crate::backend::Call {
            program: &program.program,
            uniforms: &[],
            args: smallvec![crate::backend::Arg::Shared(self.view())],
            shape,
            outputs: smallvec![dtype],
        };
        let storage = self.device().backend().map(call).remove(0);
        let source = self.dtype();
        let out = Tensor::from_storage(storage, crate::Layout::contiguous(shape), dtype, self.device().clone()).record("to");
        if dtype.is_float() { out.wrt(self, [], move |g, []| g.to(source)).done() } else { out.done() }
    }

    /// `yes` where `self` is true, else `no`; all broadcast. The gradient of the branch that is not taken is 0, but
    /// a NaN computed on the way there stays one: see [`select_safe`](Tensor::select_safe).
    #[track_caller]
    pub fn select(&self, yes: &Tensor, no: &Tensor) -> Tensor {
        pointwise(|[c, a, b]| c.select(a, b)).named("select").call([self, yes, no])
    }

    /// `f(x)` where `self` is true, else 0, with `f` evaluated at `safe` where it is not, so that neither the value
    /// nor the gradient sees a singularity there.
    ///
    /// ```
    /// # use cotangent_core::*;
    /// let x = Tensor::new([0.0, 4.0], [2]).tracked();
    /// let y = x.gt(0.0).select_safe(&x, 1.0, |x| x.sqrt());
    /// assert_eq!(y.sum(..).backward()[&x].to_vec::<f32>(), [0.0, 0.25]);
    /// ```
    #[track_caller]
    pub fn select_safe(&self, x: &Tensor, safe: f64, f: impl FnOnce(&Tensor) -> Tensor) -> Tensor {
        let inside = self.select(x, &x.full_like(safe));
        let y = f(&inside);
        self.select(&y, &y.full_like(0.0))
    }
}
