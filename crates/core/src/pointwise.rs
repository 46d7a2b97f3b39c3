//! Elementwise operations and reductions from a scalar closure: traced, broadcast, recorded, differentiated.

use crate::backend::{Arg, Call, Fold, View};
use crate::deferred::{defer, with_prologue};
use crate::dtype::{Compute, DType};
use crate::expr::{Binary, Expr, Inst, IntoExpr, Kind, Outputs, Program, Traced, Unary, VjpKey, trace, trace_with};
use crate::prepared::Prepared;
use crate::profile;
use crate::shape::{Axes, Layout, Shape};
use crate::tape::{Node, Seen, tracked};
use crate::tensor::{Tensor, checked_count, same_device, same_dtype};
use smallvec::{SmallVec, smallvec};
use std::borrow::{Borrow, Cow};
use std::marker::PhantomData;
use std::sync::{Arc, OnceLock};

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
        O::pack(apply(self.name, &self.traced, args.into_iter().map(Into::into).collect()))
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
        let args: Args = args.into_iter().map(Into::into).collect();
        let (reduced, keep) = axes.into().resolve(self.name, &common_shape(self.name, &args));
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
pub(crate) type Args<'a> = SmallVec<[Cow<'a, Tensor>; 2]>;

/// Tensors of a call with several outputs.
pub(crate) type Results = SmallVec<[Tensor; 2]>;

/// What a call of a program on given arguments amounts to.
pub(crate) struct Plan {
    /// The shape iterated over.
    pub shape: Shape,
    /// Element types of the outputs.
    pub outputs: SmallVec<[DType; 2]>,
}

impl Plan {
    /// Checks the arguments; panics at the user's line.
    #[track_caller]
    pub fn new(op: &str, traced: &Traced, args: &[Cow<Tensor>]) -> Plan {
        let shape = common_shape(op, args);
        let dtype = common_dtype(op, args);
        let program = &traced.program;
        if let Some(primitive) = program.unsupported(dtype.compute()) {
            let other = if primitive == "div" { "use floor_div, or " } else { "" };
            panic!(
                "{op}: `{primitive}` needs floating-point elements, got {dtype} of shape {shape}; {other}convert with \
                 .to(DType::F32)"
            );
        }
        let kinds: SmallVec<[Kind; 4]> = args.iter().map(|x| kind(x.dtype())).collect();
        let mut outputs = SmallVec::new();
        for k in 0..program.outputs().len() {
            outputs.push(match program.kind(k, &kinds) {
                Kind::Truth => DType::Bool,
                Kind::Value if dtype == DType::Bool => {
                    panic!("{op}: arithmetic on bool of shape {shape}; convert with .to(DType::I64) or .to(DType::F32)")
                }
                Kind::Value => dtype,
            });
        }
        Plan { shape, outputs }
    }
}

fn kind(dtype: DType) -> Kind {
    if dtype == DType::Bool { Kind::Truth } else { Kind::Value }
}

/// The shape that all arguments broadcast to.
#[track_caller]
fn common_shape(op: &str, args: &[Cow<Tensor>]) -> Shape {
    let Some(first) = args.first() else { panic!("{op}: needs at least one tensor, for its device and shape") };
    let mut shape = first.shape().clone();
    for x in &args[1..] {
        same_device(op, first, x);
        if x.shape() == &shape {
            continue;
        }
        let Some(wider) = shape.broadcast(x.shape()) else {
            let shapes: Vec<String> = args.iter().map(|x| x.shape().to_string()).collect();
            panic!(
                "{op}: shapes {} do not broadcast; aligned from the right, extents must be equal or 1",
                shapes.join(" and ")
            )
        };
        checked_count(op, &wider);
        shape = wider;
    }
    shape
}

/// The element type of all arguments that are not truth values; `Bool` if all are.
#[track_caller]
fn common_dtype(op: &str, args: &[Cow<Tensor>]) -> DType {
    let mut value: Option<&Tensor> = None;
    for x in args.iter().filter(|x| x.dtype() != DType::Bool) {
        match value {
            Some(other) => same_dtype(op, other, x),
            None => value = Some(x),
        }
    }
    value.map_or(DType::Bool, Tensor::dtype)
}

/// Layouts that stretch arguments to `shape`; `None` for those that have it.
pub(crate) fn stretched(args: &[impl Borrow<Tensor>], shape: &Shape) -> SmallVec<[Option<Layout>; 2]> {
    args.iter()
        .map(Borrow::borrow)
        .map(|x: &Tensor| (x.shape() != shape).then(|| x.layout().broadcast_to(shape)))
        .collect()
}

/// An argument that is only read.
pub(crate) fn shared<'a>(x: &'a Tensor, layout: &'a Option<Layout>) -> Arg<'a> {
    let view = x.view();
    Arg::Shared(View { layout: layout.as_ref().unwrap_or(view.layout), ..view })
}

/// Evaluates a program at every element, and records it.
#[track_caller]
pub(crate) fn apply(op: &'static str, traced: &Traced, args: Args) -> Results {
    let _op = profile::operation(op);
    let Plan { shape, outputs } = Plan::new(op, traced, &args);
    let device = args[0].device().clone();
    let mut pulls: SmallVec<[_; 1]> = SmallVec::new();
    for (k, &dtype) in outputs.iter().enumerate() {
        pulls.push(Pullback::new(traced, k, dtype, &args, &shape));
    }
    if let Some(values) = defer(traced, &args, &shape, &outputs) {
        let record = |(value, pull)| Pullback::record(pull, Tensor::from_value(value, &shape), op, None);
        return values.into_iter().zip(pulls).map(record).collect();
    }
    let seen = Seen::of(args.iter().map(|x| &**x));
    let layouts = stretched(&args, &shape);
    let mut given = SmallVec::new();
    for (x, layout) in args.into_iter().zip(&layouts) {
        given.push(match x {
            Cow::Owned(x) => x.into_arg(&shape),
            Cow::Borrowed(x) => shared(x, layout),
        });
    }
    let (program, uniforms) = (&*traced.program, &*traced.uniforms);
    let storages =
        device.backend().map(Call { program, uniforms, args: given, shape: &shape, outputs: outputs.clone() });
    let mut results = Results::new();
    for ((storage, dtype), pull) in storages.into_iter().zip(outputs).zip(pulls) {
        let out = Tensor::from_storage(storage, Layout::contiguous(&shape), dtype, device.clone());
        results.push(Pullback::record(pull, out, op, seen.clone()));
    }
    results
}

/// Folds a program over axes, and records it.
#[track_caller]
pub(crate) fn reduce(
    op: &'static str,
    traced: &Traced,
    args: Args,
    fold: Fold,
    reduced: &[bool],
    keep: bool,
) -> Results {
    let _op = profile::operation(op);
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
    let whole = with_prologue(traced, &args, &shape, &outputs);
    let (Traced { program, uniforms }, read): (_, SmallVec<[&Tensor; 4]>) = match &whole {
        Some((traced, leaves, _)) => (traced, leaves.iter().collect()),
        None => (traced, args.iter().map(|x| &**x).collect()),
    };
    let layouts = stretched(&read, &shape);
    let given = read.iter().zip(&layouts).map(|(x, layout)| shared(x, layout)).collect();
    let call = Call { program, uniforms, args: given, shape: &shape, outputs: outputs.clone() };
    let storages = device.backend().fold(call, fold, reduced);
    let folding = Folding { fold, reduced: SmallVec::from_slice(reduced), kept: shape.reduced(reduced, true) };
    let out_shape = shape.reduced(reduced, keep);
    let mut results = Results::new();
    for (k, (storage, dtype)) in storages.into_iter().zip(outputs).enumerate() {
        let out = Tensor::from_storage(storage, Layout::contiguous(&out_shape), dtype, device.clone());
        let mut pull = Pullback::new(traced, k, dtype, &args, &shape);
        if let Some(pull) = &mut pull {
            pull.folded(folding.clone(), &args);
        }
        results.push(Pullback::record(pull, out, op, Seen::of(args.iter().map(|x| &**x))));
    }
    results
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
    /// The derivative by all targets, and which arguments those are, as bits.
    derivative: Arc<Program>,
    wanted: u64,
    /// The shape iterated over.
    shape: Shape,
    /// The arguments that the derivative reads, by position.
    saved: Vec<(usize, Tensor)>,
    /// Arguments that are tracked: position, place on the tape.
    targets: SmallVec<[(usize, Arc<Node>); 2]>,
    folding: Option<Box<Folding>>,
}

impl Pullback {
    /// `None` if no tracked argument matters.
    fn new(traced: &Traced, output: usize, dtype: DType, args: &[Cow<Tensor>], shape: &Shape) -> Option<Pullback> {
        if !dtype.is_float() {
            return None;
        }
        let mut targets: SmallVec<[_; 2]> = SmallVec::new();
        let mut wanted = 0;
        for (k, x) in args.iter().enumerate() {
            if let Some(node) = tracked(x).filter(|_| traced.program.reads(k)) {
                targets.push((k, node.clone()));
                wanted |= 1 << k;
            }
        }
        if targets.is_empty() {
            return None;
        }
        let derivative = traced.program.vjp(VjpKey { output, wanted });
        let read = args.iter().enumerate().filter(|(k, _)| derivative.reads(*k));
        let saved = read.map(|(k, x)| (k, Tensor::clone(x))).collect();
        let (traced, shape) = (traced.clone(), shape.clone());
        Some(Pullback { traced, output, derivative, wanted, shape, saved, targets, folding: None })
    }

    /// Makes it the gradient of a fold. Folds other than sums need every argument again.
    fn folded(&mut self, folding: Folding, args: &[Cow<Tensor>]) {
        if folding.fold != Fold::Sum {
            self.saved = args.iter().map(|x| Tensor::clone(x)).enumerate().collect();
        }
        self.folding = Some(Box::new(folding));
    }

    #[track_caller]
    fn record(pull: Option<Pullback>, out: Tensor, op: &'static str, seen: Option<Box<Seen>>) -> Tensor {
        let record = out.record_seen(op, seen);
        let Some(pull) = pull else { return record.done() };
        let nodes = pull.targets.iter().map(|(_, node)| node.clone()).collect();
        let reads_output = pull.folding.as_ref().is_some_and(|f| matches!(f.fold, Fold::Max | Fold::Min));
        let record = if reads_output { record.keep_output() } else { record };
        record.rule_for(nodes, move |g, output, needed| pull.pull(g, output, needed)).done()
    }

    fn pull(&self, g: &Tensor, output: Option<&Tensor>, needed: &[bool]) -> SmallVec<[Option<Tensor>; 2]> {
        let unfolded;
        let g = match &self.folding {
            None => g,
            Some(folding) => {
                unfolded = self.unfold(folding, &g.reshape(&folding.kept), output).expand(&self.shape);
                &unfolded
            }
        };
        let mut grads: SmallVec<[Option<Tensor>; 2]> = SmallVec::from_elem(None, self.targets.len());
        let shape = |k: usize| &self.targets[k].1.shape;
        let (mut full, mut summed): (SmallVec<[usize; 4]>, SmallVec<[usize; 4]>) =
            (0..self.targets.len()).filter(|&k| needed[k]).partition(|&k| shape(k) == &self.shape);
        // A cotangent that passes unchanged, as through a sum, is not copied.
        full.retain(|k| {
            let passes = self.passes(*k);
            grads[*k] = passes.then(|| g.clone());
            !passes
        });
        if !full.is_empty() {
            let results = apply("gradient", &self.derivative(&full), self.args(g));
            full.iter().zip(results).for_each(|(&k, grad)| grads[k] = Some(grad));
        }
        // Where arguments were stretched alike, their gradients are computed and summed in one pass.
        while let Some(&first) = summed.first() {
            let target = shape(first);
            let alike: SmallVec<[usize; 4]> = summed.iter().copied().filter(|&k| shape(k) == target).collect();
            summed.retain(|k| shape(*k) != target);
            let reduced = stretched_axes(target, &self.shape);
            let sums = reduce("gradient", &self.derivative(&alike), self.args(g), Fold::Sum, &reduced, true);
            alike.iter().zip(sums).for_each(|(&k, sum)| grads[k] = Some(sum.reshape(target)));
        }
        grads
    }

    /// Whether the gradient by a target is the cotangent itself.
    fn passes(&self, target: usize) -> bool {
        let program = self.derivative(&[target]).program;
        program.insts()[program.outputs()[0] as usize] == Inst::Arg(self.traced.program.args() as u16)
    }

    /// The derivative's program for some of the targets.
    fn derivative(&self, targets: &[usize]) -> Traced {
        let wanted = targets.iter().fold(0, |bits, &k| bits | 1 << self.targets[k].0);
        let program = match wanted == self.wanted {
            true => self.derivative.clone(),
            false => self.traced.program.vjp(VjpKey { output: self.output, wanted }),
        };
        Traced { program, uniforms: self.traced.uniforms.clone() }
    }

    /// The derivative's arguments; those it does not read are stood in for by the cotangent.
    fn args<'a>(&'a self, g: &'a Tensor) -> Args<'a> {
        let mut args: Args = SmallVec::from_elem(Cow::Borrowed(g), self.traced.program.args() + 1);
        self.saved.iter().for_each(|(k, x)| args[*k] = Cow::Borrowed(x));
        args
    }

    /// The cotangent of the folded values: the sum's own, a share of it where the largest was taken, times the
    /// other factors in a product.
    fn unfold(&self, folding: &Folding, g: &Tensor, output: Option<&Tensor>) -> Tensor {
        if folding.fold == Fold::Sum {
            return g.clone();
        }
        let args = self.saved.iter().map(|(_, x)| Cow::Borrowed(x)).collect();
        let value = apply("gradient", &self.traced, args).swap_remove(self.output);
        if folding.fold == Fold::Prod {
            return g * value.product_of_others(&folding.reduced);
        }
        let best = output.expect("kept for this rule").reshape(&folding.kept).detach();
        let hit = value.detach().eq(&best).to(value.dtype());
        let axes: SmallVec<[isize; 6]> =
            (0..).zip(&folding.reduced).filter(|(_, r)| **r).map(|(axis, _)| axis).collect();
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
        apply(u.row().name, primitive(Primitive::Unary(u)), smallvec![Cow::Borrowed(self)]).remove(0)
    }

    /// A primitive at every pair of elements, or with a number.
    #[track_caller]
    pub(crate) fn binary(&self, b: Binary, rhs: impl Operand) -> Tensor {
        match (rhs.tensor(), rhs.number()) {
            (Some(rhs), _) => {
                let args = smallvec![Cow::Borrowed(self), Cow::Borrowed(rhs)];
                apply(b.row().name, primitive(Primitive::Tensors(b)), args).remove(0)
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
    let mut traced = primitive(primitive_of).clone();
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
