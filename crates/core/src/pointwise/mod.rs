//! Elementwise operations and reductions from a scalar closure: traced, broadcast, recorded, differentiated.

mod call;
mod gradient;

pub(crate) use call::{Given, Plan, Stretched, apply, apply_one, reduce, shared};
pub(crate) use gradient::stretched_axes;

use crate::backend::Fold;
use crate::expr::{Binary, Expr, IntoExpr, Outputs, Traced, Unary, trace, trace_with};
use crate::prepared::Prepared;
use crate::shape::Axes;
use crate::tensor::Tensor;
use call::common_shape;
use std::borrow::Cow;
use std::marker::PhantomData;
use std::sync::OnceLock;

/// A scalar function ready to run over tensors; see [`pointwise`].
#[derive(Clone, Debug)]
pub struct Pointwise<const N: usize, O> {
    name: &'static str,
    traced: Traced,
    output: PhantomData<fn() -> O>,
}

/// An elementwise operation from a closure over scalars: it broadcasts, runs on every device in one pass, and has
/// gradients of every order. Numbers that the closure captures are run-time constants.
///
/// A closure that returns an array computes several outputs in one pass.
///
/// ```
/// # use cotangent_core::*;
/// fn mish(x: &Tensor) -> Tensor {
///     pointwise(|[x]| x * x.softplus().tanh()).call([x])
/// }
/// let x = Tensor::new([0.0, 1.0], [2]).tracked();
/// let slope = &mish(&x).sum(..).backward()[&x];
/// assert!((slope.to_vec::<f32>()[0] - 0.6).abs() < 1e-6);
/// ```
pub fn pointwise<const N: usize, O: Outputs, F: Fn([Expr; N]) -> O + 'static>(f: F) -> Pointwise<N, O> {
    pointwise_with([], move |args, []| f(args))
}

/// [`pointwise`] with numbers given beside a closure that captures nothing. It is traced once, where a closure that captures
/// the numbers is traced at each call, which takes about a microsecond.
///
/// ```
/// # use cotangent_core::*;
/// fn leaky(x: &Tensor, slope: f64) -> Tensor {
///     pointwise_with([slope], |[x]: [Expr; 1], [slope]| x.gt(0.0).select(x, x * slope)).call([x])
/// }
/// assert_eq!(leaky(&Tensor::new([-2.0, 2.0], [2]), 0.5).to_vec::<f32>(), [-1.0, 2.0]);
/// ```
pub fn pointwise_with<const N: usize, const U: usize, O: Outputs>(
    numbers: [f64; U],
    f: impl Fn([Expr; N], [Expr; U]) -> O + 'static,
) -> Pointwise<N, O> {
    Pointwise { name: "pointwise", traced: trace_with(numbers, f), output: PhantomData }
}

impl<const N: usize, O: Outputs> Pointwise<N, O> {
    /// The name in messages and in the tape.
    pub fn named(mut self, name: &'static str) -> Self {
        self.name = name;
        self
    }

    /// The traced program and the numbers that the closure captured.
    pub fn traced(&self) -> &Traced {
        &self.traced
    }

    /// Evaluates the function at every element of the broadcast arguments. An argument given by value may be
    /// overwritten by the result.
    #[track_caller]
    pub fn call<'a>(&self, args: [impl Into<Cow<'a, Tensor>>; N]) -> O::Tensors {
        let mut args = args.map(Into::into);
        O::pack(apply(self.name, &self.traced, &mut args.each_mut().map(Given::of)))
    }

    /// The function with its arguments, to be evaluated along with others: see [`evaluate_all`](crate::evaluate_all).
    pub fn prepare(self, args: [Tensor; N]) -> Prepared {
        Prepared { name: self.name, traced: self.traced, args: args.into_iter().collect() }
    }

    /// Evaluates the function at every element and folds over `axes`, without storing what is folded.
    ///
    /// ```
    /// # use cotangent_core::*;
    /// let x = Tensor::new([3.0, 4.0], [2]);
    /// let norm2 = pointwise(|[x]| x * x).fold(Fold::Sum, .., [&x]);
    /// assert_eq!(norm2.item(), 25.0);
    /// ```
    #[track_caller]
    pub fn fold<'a>(&self, fold: Fold, axes: impl Into<Axes>, args: [impl Into<Cow<'a, Tensor>>; N]) -> O::Tensors {
        let mut args = args.map(Into::into);
        let args = args.each_mut().map(Given::of);
        let (reduced, keep) = axes.into().resolve(self.name, &common_shape(self.name, &args));
        O::pack(reduce(self.name, &self.traced, &args, fold, &reduced, keep))
    }
}

impl<'a> From<&'a Tensor> for Cow<'a, Tensor> {
    fn from(x: &'a Tensor) -> Self {
        Cow::Borrowed(x)
    }
}
impl From<Tensor> for Cow<'_, Tensor> {
    fn from(x: Tensor) -> Self {
        Cow::Owned(x)
    }
}

/// The right-hand side of a binary operation: a tensor, or a number in the tensor's element type.
pub trait Operand: Sized {
    /// The tensor, if it is one.
    fn tensor(&self) -> Option<&Tensor>;
    /// The number, if it is one.
    fn number(&self) -> Option<f64>;
}
impl Operand for &Tensor {
    fn tensor(&self) -> Option<&Tensor> {
        Some(self)
    }
    fn number(&self) -> Option<f64> {
        None
    }
}
impl Operand for Tensor {
    fn tensor(&self) -> Option<&Tensor> {
        Some(self)
    }
    fn number(&self) -> Option<f64> {
        None
    }
}
impl Operand for f64 {
    fn tensor(&self) -> Option<&Tensor> {
        None
    }
    fn number(&self) -> Option<f64> {
        Some(*self)
    }
}

impl Tensor {
    /// A primitive at every element.
    #[track_caller]
    pub(crate) fn unary(&self, u: Unary) -> Tensor {
        apply_one(u.row().name, primitive(Primitive::Unary(u)), [Given::Shared(self)])
    }

    /// A primitive at every pair of elements, or with a number.
    #[track_caller]
    pub(crate) fn binary(&self, b: Binary, rhs: impl Operand) -> Tensor {
        match (rhs.tensor(), rhs.number()) {
            (Some(rhs), _) => {
                apply_one(b.row().name, primitive(Primitive::Tensors(b)), [Given::Shared(self), Given::Shared(rhs)])
            }
            (None, number) => {
                let number = number.expect("an operand is a tensor or a number");
                with_number(Primitive::Right(b), number, Cow::Borrowed(self))
            }
        }
    }
}

/// A primitive with an owned or borrowed tensor and a number.
#[track_caller]
pub(crate) fn with_number(primitive_of: Primitive, number: f64, mut x: Cow<Tensor>) -> Tensor {
    let mut traced = primitive(primitive_of).clone();
    traced.uniforms[0] = number;
    let (Primitive::Right(b) | Primitive::Left(b)) = primitive_of else { unreachable!("takes a number") };
    apply_one(b.row().name, &traced, [Given::of(&mut x)])
}

/// A program of one primitive.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Primitive {
    /// Of one tensor.
    Unary(Unary),
    /// Of two tensors.
    Tensors(Binary),
    /// Of a tensor and a number.
    Right(Binary),
    /// Of a number and a tensor.
    Left(Binary),
}

/// The traced program, made once.
pub(crate) fn primitive(kind: Primitive) -> &'static Traced {
    const ROWS: usize = if Unary::ALL.len() > Binary::ALL.len() { Unary::ALL.len() } else { Binary::ALL.len() };
    static KNOWN: [[OnceLock<Traced>; ROWS]; 4] = [const { [const { OnceLock::new() }; ROWS] }; 4];
    match kind {
        Primitive::Unary(u) => KNOWN[0][u as usize].get_or_init(|| trace(move |[x]| x.unary(u))),
        Primitive::Tensors(b) => KNOWN[1][b as usize].get_or_init(|| trace(move |[x, y]| x.binary(b, y))),
        Primitive::Right(b) => KNOWN[2][b as usize].get_or_init(|| trace(move |[x]| x.binary(b, 0.0.into_expr()))),
        Primitive::Left(b) => KNOWN[3][b as usize].get_or_init(|| trace(move |[x]| 0.0.into_expr().binary(b, x))),
    }
}
