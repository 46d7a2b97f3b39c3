//! Elementwise operations and reductions from a scalar closure: traced, broadcast, recorded, differentiated.

use crate::backend::{Arg, Call, Fold};
use crate::dtype::{Compute, DType};
use crate::expr::{Binary, Expr, IntoExpr, Kind, Outputs, Traced, Unary, VjpKey, trace};
use crate::shape::{Axes, Layout, Shape};
use crate::tape::tracks;
use crate::tensor::{Tensor, same_device};
use smallvec::{SmallVec, smallvec};
use std::borrow::Cow;
use std::marker::PhantomData;

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
    Pointwise { name: "pointwise", traced: trace(f), output: PhantomData }
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
        O::pack(apply(self.name, &self.traced, args.into_iter().map(Into::into).collect()))
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
        let args: Args = args.into_iter().map(Into::into).collect();
        let plan = Plan::new(self.name, &self.traced, &args);
        let (reduced, keep) = axes.into().resolve(self.name, &plan.shape);
        O::pack(reduce(self.name, &self.traced, args, fold, &reduced, keep))
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

/// Arguments of a call; owned ones may be overwritten.
pub(crate) type Args<'a> = SmallVec<[Cow<'a, Tensor>; 4]>;

/// Tensors of a call with several outputs.
pub(crate) type Results = SmallVec<[Tensor; 2]>;

/// What a call of a program on given arguments amounts to.
struct Plan {
    shape: Shape,
    outputs: SmallVec<[DType; 2]>,
}

impl Plan {
    /// Checks the arguments; panics at the user's line.
    #[track_caller]
    fn new(op: &str, traced: &Traced, args: &[Cow<Tensor>]) -> Plan {
        let program = &traced.program;
        let Some(first) = args.first() else { panic!("{op}: needs at least one tensor, for its device") };
        let mut shape = first.shape().clone();
        let mut value: Option<&Tensor> = None;
        for x in args {
            same_device(op, first, x);
            shape = shape.broadcast(x.shape()).unwrap_or_else(|| {
                let shapes: Vec<String> = args.iter().map(|x| x.shape().to_string()).collect();
                panic!(
                    "{op}: shapes {} do not broadcast; aligned from the right, extents must be equal or 1",
                    shapes.join(" and ")
                )
            });
            if x.dtype() != DType::Bool {
                match value {
                    Some(other) => crate::tensor::same_dtype(op, other, x),
                    None => value = Some(x),
                }
            }
        }
        let kinds: SmallVec<[Kind; 4]> =
            args.iter().map(|x| if x.dtype() == DType::Bool { Kind::Truth } else { Kind::Value }).collect();
        let dtype = value.map_or(DType::Bool, |x| x.dtype());
        if let Some(primitive) = program.unsupported(dtype.compute()) {
            let hint = if primitive == "div" { "use floor_div, or convert with .to(DType::F32)" } else { "convert with .to(DType::F32)" };
            panic!("{op}: `{primitive}` needs floating-point elements, got {dtype} of shape {shape}; {hint}");
        }
        let output = |k| match program.kind(k, &kinds) {
            Kind::Truth => DType::Bool,
            Kind::Value if dtype == DType::Bool => {
                panic!("{op}: arithmetic on bool of shape {shape}; convert with .to(DType::I64) or .to(DType::F32)")
            }
            Kind::Value => dtype,
        };
        Plan { outputs: (0..program.outputs().len()).map(output).collect(), shape }
    }
}

/// Evaluates a program at every element, and records it.
#[track_caller]
pub(crate) fn apply(op: &'static str, traced: &Traced, args: Args) -> Results {
    let Plan { shape, outputs } = Plan::new(op, traced, &args);
    let device = args[0].device().clone();
    let pulls: SmallVec<[_; 2]> = (0..outputs.len()).map(|k| Pullback::new(traced, k, outputs[k], &args, &shape)).collect();
    let layouts: SmallVec<[Layout; 4]> = args.iter().map(|x| x.layout().broadcast_to(&shape)).collect();
    let arg = |(x, layout)| match x {
        Cow::Owned(x) => Tensor::into_arg(x, &shape),
        Cow::Borrowed(x) => Arg::Shared(crate::backend::View { layout, ..Tensor::view(x) }),
    };
    let args = args.into_iter().zip(&layouts).map(arg).collect();
    let call = Call { program: &traced.program, uniforms: &traced.uniforms, args, shape: &shape, outputs: outputs.clone() };
    let results = device.backend().map(call);
    let finish = |((storage, dtype), pull)| {
        let out = Tensor::from_storage(storage, Layout::contiguous(&shape), dtype, device.clone());
        Pullback::record(pull, out, op)
    };
    results.into_iter().zip(outputs).zip(pulls).map(finish).collect()
}

/// Folds a program over axes, and records it.
#[track_caller]
pub(crate) fn reduce(
    op: &'static str, traced: &Traced, args: Args, fold: Fold, reduced: &[bool], keep: bool,
) -> Results {
    let Plan { shape, mut outputs } = Plan::new(op, traced, &args);
    let device = args[0].device().clone();
    if matches!(fold, Fold::Max | Fold::Min) && shape.iter().zip(reduced).any(|(&n, &r)| r && n == 0) {
        panic!("{op}: nothing to choose from: shape {shape} has no elements along the reduced axes");
    }
    for dtype in &mut outputs {
        if matches!(fold, Fold::Sum | Fold::Prod) && dtype.compute() == Compute::I64 {
            *dtype = DType::I64;
        }
    }
    let layouts: SmallVec<[Layout; 4]> = args.iter().map(|x| x.layout().broadcast_to(&shape)).collect();
    let view = |(x, layout): (_, _)| Arg::Shared(crate::backend::View { layout, ..Tensor::view(x) });
    let call = Call {
        program: &traced.program,
        uniforms: &traced.uniforms,
        args: args.iter().map(|x| &**x).zip(&layouts).map(view).collect(),
        shape: &shape,
        outputs: outputs.clone(),
    };
    let results = device.backend().fold(call, fold, reduced);
    let kept = |one: bool| -> Shape {
        let axes = shape.iter().zip(reduced);
        axes.filter(|&(_, &r)| one || !r).map(|(&n, &r)| if r { 1 } else { n }).collect()
    };
    let out_shape = kept(keep);
    let folding = Folding { fold, reduced: SmallVec::from_slice(reduced), kept: kept(true) };
    let finish = |(k, (storage, dtype)): (usize, (_, DType))| {
        let out = Tensor::from_storage(storage, Layout::contiguous(&out_shape), dtype, device.clone());
        let mut pull = Pullback::new(traced, k, dtype, &args, &shape);
        if let Some(pull) = &mut pull {
            pull.folded(folding.clone(), &args);
        }
        Pullback::record(pull, out, op)
    };
    results.into_iter().zip(outputs).enumerate().map(finish).collect()
}

/// What a reduction did, for its gradient.
#[derive(Clone)]
struct Folding {
    fold: Fold,
    reduced: SmallVec<[bool; 6]>,
    /// The output's shape with reduced axes of extent 1.
    kept: Shape,
}

/// The gradient of one output of a program: what it needs from the forward pass.
struct Pullback {
    traced: Traced,
    output: usize,
    /// The shape iterated over.
    shape: Shape,
    /// The arguments, where the derivative reads them.
    saved: SmallVec<[Option<Tensor>; 4]>,
    /// Arguments that are tracked: position, place on the tape, shape.
    targets: SmallVec<[(usize, std::sync::Arc<crate::tape::Node>); 2]>,
    folding: Option<Folding>,
}

impl Pullback {
    /// `None` if no tracked argument matters.
    fn new(traced: &Traced, output: usize, dtype: DType, args: &[Cow<Tensor>], shape: &Shape) -> Option<Pullback> {
        if !dtype.is_float() {
            return None;
        }
        let tracked = args.iter().enumerate().filter(|(k, x)| tracks(x) && traced.program.reads(*k));
        let targets: SmallVec<[_; 2]> = tracked.filter_map(|(k, x)| Some((k, x.node.clone()?))).collect();
        if targets.is_empty() {
            return None;
        }
        let wanted = targets.iter().fold(0, |bits, (k, _)| bits | 1 << k);
        let derivative = traced.program.vjp(VjpKey { output, wanted });
        let saved = args.iter().enumerate().map(|(k, x)| derivative.reads(k).then(|| Tensor::clone(x))).collect();
        Some(Pullback { traced: traced.clone(), output, shape: shape.clone(), saved, targets, folding: None })
    }

    /// Makes it the gradient of a fold. Folds other than sums need every argument again.
    fn folded(&mut self, folding: Folding, args: &[Cow<Tensor>]) {
        if folding.fold != Fold::Sum {
            self.saved = args.iter().map(|x| Some(Tensor::clone(x))).collect();
        }
        self.folding = Some(folding);
    }

    #[track_caller]
    fn record(pull: Option<Pullback>, out: Tensor, op: &'static str) -> Tensor {
        let record = out.record(op);
        let Some(pull) = pull else { return record.done() };
        let nodes = pull.targets.iter().map(|(_, node)| node.clone()).collect();
        let reads_output = pull.folding.as_ref().is_some_and(|f| matches!(f.fold, Fold::Max | Fold::Min));
        let record = if reads_output { record.keep_output() } else { record };
        record.rule_for(nodes, move |g, output, needed| pull.pull(g, output, needed)).done()
    }

    fn pull(&self, g: &Tensor, output: Option<&Tensor>, needed: &[bool]) -> SmallVec<[Option<Tensor>; 2]> {
        let g = match &self.folding {
            None => g.clone(),
            Some(folding) => self.unfold(folding, &g.reshape(&folding.kept), output),
        };
        let g = g.expand(&self.shape);
        let mut grads: SmallVec<[Option<Tensor>; 2]> = SmallVec::from_elem(None, self.targets.len());
        let wanted = |k: &usize| needed[*k];
        let (full, stretched): (SmallVec<[usize; 4]>, SmallVec<[usize; 4]>) =
            (0..self.targets.len()).filter(wanted).partition(|&k| self.targets[k].1.shape == self.shape);
        if !full.is_empty() {
            let results = apply("gradient", &self.derivative(&full), self.args(&g));
            full.iter().zip(results).for_each(|(&k, grad)| grads[k] = Some(grad));
        }
        for k in stretched {
            let target = &self.targets[k].1.shape;
            let reduced = stretched_axes(target, &self.shape);
            let mut sums = reduce("gradient", &self.derivative(&[k]), self.args(&g), Fold::Sum, &reduced, true);
            grads[k] = sums.pop().map(|sum| sum.reshape(target));
        }
        grads
    }

    /// The derivative's program for some of the targets.
    fn derivative(&self, targets: &[usize]) -> Traced {
        let wanted = targets.iter().fold(0, |bits, &k| bits | 1 << self.targets[k].0);
        let program = self.traced.program.vjp(VjpKey { output: self.output, wanted });
        Traced { program, uniforms: self.traced.uniforms.clone() }
    }

    /// The derivative's arguments; those it does not read are stood in for by the cotangent.
    fn args<'a>(&'a self, g: &'a Tensor) -> Args<'a> {
        let saved = self.saved.iter().map(|x| Cow::Borrowed(x.as_ref().unwrap_or(g)));
        saved.chain([Cow::Borrowed(g)]).collect()
    }

    /// The cotangent of the folded values: the sum's own, a share of it where the largest was taken, times the
    /// other factors in a product.
    fn unfold(&self, folding: &Folding, g: &Tensor, output: Option<&Tensor>) -> Tensor {
        if folding.fold == Fold::Sum {
            return g.clone();
        }
        let args = self.saved.iter().flatten().map(Cow::Borrowed).collect();
        let value = apply("gradient", &self.traced, args).swap_remove(self.output);
        if folding.fold == Fold::Prod {
            return g * value.product_of_others(&folding.reduced);
        }
        let best = output.expect("kept for this rule").reshape(&folding.kept).detach();
        let hit = value.detach().eq(&best).to(value.dtype());
        let axes: SmallVec<[isize; 6]> = (0..).zip(&folding.reduced).filter(|(_, r)| **r).map(|(axis, _)| axis).collect();
        let ties = hit.sum(crate::shape::keep(&axes[..]));
        g * (hit / ties)
    }
}

/// The axes of `to` along which a tensor of shape `from` was stretched.
pub(crate) fn stretched_axes(from: &Shape, to: &Shape) -> SmallVec<[bool; 6]> {
    let lead = to.len() - from.len();
    (0..to.len()).map(|axis| axis < lead || (from[axis - lead] == 1 && to[axis] != 1)).collect()
}

impl Tensor {
    /// A primitive at every element.
    #[track_caller]
    pub(crate) fn unary(&self, u: Unary) -> Tensor {
        apply(u.row().name, &primitive(Primitive::Unary(u)), smallvec![Cow::Borrowed(self)]).remove(0)
    }

    /// A primitive at every pair of elements, or with a number.
    #[track_caller]
    pub(crate) fn binary(&self, b: Binary, rhs: impl Operand) -> Tensor {
        match (rhs.tensor(), rhs.number()) {
            (Some(rhs), _) => {
                let args = smallvec![Cow::Borrowed(self), Cow::Borrowed(rhs)];
                apply(b.row().name, &primitive(Primitive::Tensors(b)), args).remove(0)
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
pub(crate) fn with_number(primitive_of: Primitive, number: f64, x: Cow<Tensor>) -> Tensor {
    let mut traced = primitive(primitive_of);
    traced.uniforms[0] = number;
    let (Primitive::Right(b) | Primitive::Left(b)) = primitive_of else { unreachable!("takes a number") };
    apply(b.row().name, &traced, smallvec![x]).remove(0)
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

/// The traced program, made once per thread.
pub(crate) fn primitive(kind: Primitive) -> Traced {
    use std::{cell::RefCell, collections::HashMap};
    thread_local! {
        static KNOWN: RefCell<HashMap<Primitive, Traced>> = RefCell::default();
    }
    KNOWN.with_borrow_mut(|known| {
        let make = || match kind {
            Primitive::Unary(u) => trace(move |[x]| x.unary(u)),
            Primitive::Tensors(b) => trace(move |[x, y]| x.binary(b, y)),
            Primitive::Right(b) => trace(move |[x]| x.binary(b, 0.0.into_expr())),
            Primitive::Left(b) => trace(move |[x]| 0.0.into_expr().binary(b, x)),
        };
        known.entry(kind).or_insert_with(make).clone()
    })
}
