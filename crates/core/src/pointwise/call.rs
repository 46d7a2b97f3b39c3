//! Calls of a program on tensors: checked, broadcast, evaluated or put off, recorded.

use super::gradient::{Folding, Pullback};
use crate::backend::{Arg, Call, Fold, View};
use crate::deferred::{defer, with_prologue};
use crate::dtype::{Compute, DType};
use crate::expr::{Kind, Traced};
use crate::profile;
use crate::shape::{Layout, Shape};
use crate::tape::Seen;
use crate::tensor::{Tensor, checked_count, same_device, same_dtype};
use smallvec::SmallVec;
use std::borrow::Cow;
use std::ops::Deref;

/// An argument of a call.
pub(crate) enum Given<'a> {
    /// Only to be read.
    Shared(&'a Tensor),
    /// Nobody needs it afterwards: the result may be written over it.
    Owned(&'a mut Tensor),
}

impl<'a> Given<'a> {
    /// An argument that a user gave by value or by reference.
    pub fn of(x: &'a mut Cow<Tensor>) -> Given<'a> {
        match x {
            Cow::Borrowed(x) => Given::Shared(x),
            Cow::Owned(x) => Given::Owned(x),
        }
    }

    /// The argument as a backend sees it.
    fn arg<'b>(&'b mut self, stretched: Option<&'b Layout>) -> Arg<'b> {
        match self {
            Given::Shared(x) => shared(x, stretched),
            Given::Owned(x) => x.give_up(stretched),
        }
    }
}

impl Deref for Given<'_> {
    type Target = Tensor;
    fn deref(&self) -> &Tensor {
        match self {
            Given::Shared(x) => x,
            Given::Owned(x) => x,
        }
    }
}

/// Tensors of a call: most have one output.
pub(crate) type Results = SmallVec<[Tensor; 1]>;

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
    pub fn new(op: &str, traced: &Traced, args: &[Given]) -> Plan {
        let shape = common_shape(op, args);
        let (dtype, truths) = common_dtype(op, args);
        let program = &traced.program;
        if let Some(primitive) = program.unsupported(dtype.compute()) {
            let other = if primitive == "div" { "use floor_div, or " } else { "" };
            panic!(
                "{op}: `{primitive}` needs floating-point elements, got {dtype} of shape {shape}; {other}convert with \
                 .to(DType::F32)"
            );
        }
        let mut outputs = SmallVec::new();
        for k in 0..program.outputs().len() {
            outputs.push(match program.kind(k, truths) {
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

/// The shape that all arguments broadcast to.
#[track_caller]
pub(super) fn common_shape(op: &str, args: &[Given]) -> Shape {
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

/// The element type of all arguments that are not truth values, `Bool` if all are; and which are, as bits.
#[track_caller]
fn common_dtype(op: &str, args: &[Given]) -> (DType, u64) {
    let mut value: Option<&Tensor> = None;
    let mut truths = 0;
    for (k, x) in args.iter().enumerate() {
        match value {
            _ if x.dtype() == DType::Bool => truths |= 1 << k,
            Some(other) => same_dtype(op, other, x),
            None => value = Some(x),
        }
    }
    (value.map_or(DType::Bool, Tensor::dtype), truths)
}

/// Layouts that stretch arguments to a shape; none for those that have it.
pub(crate) struct Stretched(Vec<Option<Layout>>);

impl Stretched {
    pub fn new<'a>(args: impl Iterator<Item = &'a Tensor> + Clone, shape: &Shape) -> Stretched {
        if args.clone().all(|x| x.shape() == shape) {
            return Stretched(vec![]);
        }
        let layout = |x: &Tensor| (x.shape() != shape).then(|| x.layout().broadcast_to(shape));
        Stretched(args.map(layout).collect())
    }

    /// That of one argument.
    pub fn get(&self, arg: usize) -> Option<&Layout> {
        self.0.get(arg)?.as_ref()
    }
}

/// An argument that is only read.
pub(crate) fn shared<'a>(x: &'a Tensor, stretched: Option<&'a Layout>) -> Arg<'a> {
    let view = x.view();
    Arg::Shared(View { layout: stretched.unwrap_or(view.layout), ..view })
}

/// Evaluates a program at every element, and records it. Owned arguments are of no use afterwards.
#[track_caller]
pub(crate) fn apply(op: &'static str, traced: &Traced, args: &mut [Given]) -> Results {
    let _op = profile::operation(op);
    let Plan { shape, outputs } = Plan::new(op, traced, args);
    let mut pulls: SmallVec<[_; 1]> = SmallVec::new();
    for (k, &dtype) in outputs.iter().enumerate() {
        pulls.push(Pullback::new(traced, k, dtype, args, &shape));
    }
    let mut results = Results::new();
    if let Some(values) = defer(traced, args, &shape, &outputs) {
        for (value, pull) in values.into_iter().zip(pulls) {
            results.push(Pullback::record(pull, Tensor::from_value(value, &shape), op, None));
        }
        return results;
    }
    let device = args[0].device().clone();
    let seen = Seen::of(args.iter().map(|x| &**x));
    let stretched = Stretched::new(args.iter().map(|x| &**x), &shape);
    let mut given = SmallVec::new();
    for (k, x) in args.iter_mut().enumerate() {
        given.push(x.arg(stretched.get(k)));
    }
    let (program, uniforms) = (&*traced.program, &*traced.uniforms);
    let storages = device.backend().map(Call { program, uniforms, args: given, shape: &shape, outputs: &outputs });
    for ((storage, &dtype), pull) in storages.into_iter().zip(&outputs).zip(pulls) {
        let out = Tensor::from_storage(storage, Layout::contiguous(&shape), dtype, device.clone());
        results.push(Pullback::record(pull, out, op, seen.clone()));
    }
    results
}

/// [`apply`] for a program of one output.
#[track_caller]
pub(crate) fn apply_one<const N: usize>(op: &'static str, traced: &Traced, mut args: [Given; N]) -> Tensor {
    apply(op, traced, &mut args).pop().expect("a program has an output")
}

/// Folds a program over axes, and records it.
#[track_caller]
pub(crate) fn reduce(
    op: &'static str,
    traced: &Traced,
    args: &[Given],
    fold: Fold,
    reduced: &[bool],
    keep: bool,
) -> Results {
    let _op = profile::operation(op);
    let Plan { shape, mut outputs } = Plan::new(op, traced, args);
    let device = args[0].device();
    if matches!(fold, Fold::Max | Fold::Min) && shape.iter().zip(reduced).any(|(&n, &r)| r && n == 0) {
        panic!("{op}: nothing to choose from: shape {shape} has no elements along the reduced axes");
    }
    for dtype in &mut outputs {
        if matches!(fold, Fold::Sum | Fold::Prod) && dtype.compute() == Compute::I64 {
            *dtype = DType::I64;
        }
    }
    let whole = with_prologue(traced, args, &shape, &outputs);
    let (Traced { program, uniforms }, read): (_, SmallVec<[&Tensor; 4]>) = match &whole {
        Some((traced, leaves, _)) => (traced, leaves.iter().collect()),
        None => (traced, args.iter().map(|x| &**x).collect()),
    };
    let stretched = Stretched::new(read.iter().copied(), &shape);
    let given = read.iter().enumerate().map(|(k, x)| shared(x, stretched.get(k))).collect();
    let call = Call { program, uniforms, args: given, shape: &shape, outputs: &outputs };
    let storages = device.backend().fold(call, fold, reduced);
    let folding = Folding { fold, reduced: SmallVec::from_slice(reduced), kept: shape.reduced(reduced, true) };
    let out_shape = shape.reduced(reduced, keep);
    let mut results = Results::new();
    for (k, (storage, dtype)) in storages.into_iter().zip(outputs).enumerate() {
        let out = Tensor::from_storage(storage, Layout::contiguous(&out_shape), dtype, device.clone());
        let mut pull = Pullback::new(traced, k, dtype, args, &shape);
        if let Some((pull, _)) = &mut pull {
            pull.folded(folding.clone(), args);
        }
        results.push(Pullback::record(pull, out, op, Seen::of(args.iter().map(|x| &**x))));
    }
    results
}
