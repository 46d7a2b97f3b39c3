//! Values that are computed late, so that a chain of elementwise operations is one program and one pass.
//!
//! An elementwise operation on a [large](crate::backend::Backend::defers_from) tensor only notes its program and
//! arguments: a [`Step`]. Something that reads the result's memory, such as a matrix product, has the steps behind it
//! composed and evaluated; a reduction takes them as a prologue and stores nothing. The bits are those of one operation
//! after the other.
//!
//! Within a pass, a step is computed once, however often its result is read. What a pass computes on the way it does
//! not store, for the tape and variables hold many results that are never looked at again, or only in the pass of the
//! gradient, which computes them faster than it would read them. The third pass that comes across a result which is still
//! in use stores it, so that nothing is computed more than three times.

mod pass;

use crate::backend::Storage;
use crate::device::Device;
use crate::dtype::DType;
use crate::expr::{Program, Traced};
use crate::pointwise::Given;
use crate::profile::{Attribution, current};
use crate::shape::Shape;
use crate::tape::{Scope, is_anomaly_mode, lock};
use crate::tensor::Tensor;
use pass::{Out, Pass};
use smallvec::SmallVec;
use std::cell::Cell;
use std::sync::atomic::AtomicU8;
use std::sync::{Arc, Mutex, OnceLock, Weak};

/// Instructions of a pass: longer chains are evaluated in pieces.
const INSTS: usize = 128;
/// Passes that compute a result which is still in use without storing it.
const PASSES: u8 = 2;
/// Tensors that a pass reads, and that unevaluated values keep alive.
const LEAVES: usize = 8;

/// What tensors share: memory of one element type on one device, or the operation that will fill it.
pub(crate) struct Value {
    memory: Memory,
    pub(crate) dtype: DType,
    pub(crate) device: Device,
}

enum Memory {
    /// It was there from the beginning.
    Ready(Storage),
    Late(Box<Late>),
    /// It was given to an operation that may write over it.
    Gone,
}

struct Late {
    storage: OnceLock<Storage>,
    /// The step, and which of its outputs. It stays until the memory is there, so that a failure loses nothing, and is not
    /// locked meanwhile: a thread that waits for others may be given work that reads this very value.
    pending: Mutex<Option<(Arc<Step>, u16)>>,
}

impl Value {
    pub(crate) fn new(storage: Storage, dtype: DType, device: Device) -> Value {
        Value { memory: Memory::Ready(storage), dtype, device }
    }

    fn late(step: &Arc<Step>, output: u16, dtype: DType, device: Device) -> Value {
        let pending = Mutex::new(Some((step.clone(), output)));
        Value { memory: Memory::Late(Box::new(Late { storage: OnceLock::new(), pending })), dtype, device }
    }

    /// The memory, which is computed now if it was not before.
    #[track_caller]
    pub(crate) fn storage(self: &Arc<Value>) -> &Storage {
        let late = match &self.memory {
            Memory::Ready(storage) => return storage,
            Memory::Late(late) => late,
            Memory::Gone => unreachable!("a value that was given up is not read again"),
        };
        if late.storage.get().is_none() {
            evaluate([self]);
        }
        late.storage.get().expect("it was evaluated")
    }

    /// The memory, if it is there; the value is not to be read afterwards.
    pub(crate) fn take(&mut self) -> Option<Storage> {
        match std::mem::replace(&mut self.memory, Memory::Gone) {
            Memory::Ready(storage) => Some(storage),
            Memory::Late(late) => late.storage.into_inner(),
            Memory::Gone => None,
        }
    }

    /// The step that will compute it.
    fn step(&self) -> Option<(Arc<Step>, u16)> {
        match &self.memory {
            Memory::Late(late) if late.storage.get().is_none() => lock(&late.pending).clone(),
            _ => None,
        }
    }

    /// Keeps what was computed. Another thread may have been faster, with the same bits.
    fn fill(&self, storage: Storage) {
        if let Memory::Late(late) = &self.memory {
            let _ = late.storage.set(storage);
            drop(lock(&late.pending).take());
        }
    }
}

/// An elementwise operation that was not evaluated yet.
pub(crate) struct Step {
    traced: Traced,
    /// Those that the program reads, without history.
    args: SmallVec<[Option<Tensor>; 4]>,
    shape: Shape,
    /// In which numbers it computes.
    dtype: DType,
    results: OnceLock<SmallVec<[Weak<Value>; 2]>>,
    /// The operation's name in profiles.
    op: Option<&'static str>,
    /// How many passes computed it without storing the result, though it was still in use.
    passes: AtomicU8,
    /// About how many instructions and tensors its pass has, or a few more.
    size: Size,
}

#[derive(Clone, Copy)]
struct Size {
    insts: usize,
    leaves: usize,
}

impl Size {
    fn fits(self) -> bool {
        self.insts <= INSTS && self.leaves <= LEAVES
    }
}

thread_local! {
    static EAGER: Cell<bool> = const { Cell::new(false) };
}

/// Runs `f` with every operation of this thread evaluated at once. The results are the same, bit by bit; it helps to see
/// in a profile or a debugger what takes the time.
///
/// ```
/// # use cotangent_core::*;
/// let y = eager(|| Tensor::ones([2]) + 1.0);
/// assert_eq!(y.to_vec::<f32>(), [2.0, 2.0]);
/// ```
pub fn eager<R>(f: impl FnOnce() -> R) -> R {
    let _scope = Scope::new(&EAGER, true);
    f()
}

/// The results of an operation whose evaluation is put off; `None` if it is to be evaluated at once.
pub(crate) fn defer(
    traced: &Traced,
    args: &[Given],
    shape: &Shape,
    outputs: &[DType],
) -> Option<SmallVec<[Arc<Value>; 2]>> {
    let step = Arc::new(Step::new(traced, args, shape, outputs)?);
    let mut values: SmallVec<[Arc<Value>; 2]> = SmallVec::new();
    for (&dtype, output) in outputs.iter().zip(0..) {
        values.push(Arc::new(Value::late(&step, output, dtype, args[0].device().clone())));
    }
    let _ = step.results.set(values.iter().map(Arc::downgrade).collect());
    Some(values)
}

/// A reduction's program and arguments, with what was put off before it as a prologue, and the names of it all; `None` if
/// nothing was.
pub(crate) fn with_prologue(
    traced: &Traced,
    args: &[Given],
    shape: &Shape,
    outputs: &[DType],
) -> Option<(Traced, Vec<Tensor>, Attribution)> {
    if args.iter().all(|x| x.value.step().is_none()) {
        return None;
    }
    let step = Arc::new(Step::new(traced, args, shape, outputs)?);
    let mut pass = Pass::new(&step.shape, step.dtype);
    let mut last = pass.visit(&step);
    // A reduction does not store its prologue, so what is needed for the second time is computed before.
    let again = pass.met_again(&[]);
    if !again.is_empty() {
        evaluate(again.iter().map(|out| &out.value));
        pass = Pass::new(&step.shape, step.dtype);
        last = pass.visit(&step);
    }
    let outputs: Vec<(u16, u16)> = (0..outputs.len() as u16).map(|output| (last, output)).collect();
    let names = pass.attribution();
    Some((pass.traced(&outputs), pass.leaves, names))
}

impl Step {
    fn new(traced: &Traced, given: &[Given], shape: &Shape, outputs: &[DType]) -> Option<Step> {
        if shape.count() < given[0].device().backend().defers_from() || EAGER.get() || is_anomaly_mode() {
            return None;
        }
        let mut args: SmallVec<[Option<Tensor>; 4]> = SmallVec::new();
        for (k, x) in given.iter().enumerate() {
            args.push(traced.program.reads(k).then(|| x.detach()));
        }
        // Half precision rounds after every operation, and integers are computed as such.
        let dtype = args.iter().flatten().map(Tensor::dtype).find(|dtype| *dtype != DType::Bool)?;
        let computes = |output: &DType| *output == dtype || *output == DType::Bool;
        if !matches!(dtype, DType::F32 | DType::F64) || !outputs.iter().all(computes) {
            return None;
        }
        let size = bounded(&traced.program, &args, shape, dtype);
        // Random numbers are dear: they are stored in the first pass.
        let (results, passes) = (OnceLock::new(), AtomicU8::new(if traced.program.draws() { PASSES } else { 0 }));
        Some(Step { traced: traced.clone(), args, shape: shape.clone(), dtype, results, op: current(), passes, size })
    }
}

/// The size of a step's pass. Arguments that cannot be a part of it are evaluated, and all are if it would be too large.
fn bounded(program: &Program, args: &[Option<Tensor>], shape: &Shape, dtype: DType) -> Size {
    let own = program.insts().len();
    let mut size = Size { insts: own, leaves: 0 };
    for x in args.iter().flatten() {
        match behind(x, shape, dtype) {
            Some((step, _)) => {
                size.insts += step.size.insts;
                size.leaves += step.size.leaves;
            }
            None => {
                x.value.storage();
                size.leaves += 1;
            }
        }
    }
    if size.fits() {
        return size;
    }
    // What several arguments share was counted several times.
    let mut pass = Pass::new(shape, dtype);
    args.iter().flatten().for_each(|x| _ = pass.wire(x));
    let exact = Size { insts: own + pass.insts(), leaves: pass.leaves.len() };
    drop(pass);
    if exact.fits() {
        return exact;
    }
    evaluate(args.iter().flatten().map(|x| &x.value));
    Size { insts: own, leaves: args.iter().flatten().count() }
}

/// The step behind an argument, if it can be a part of a pass over this shape.
fn behind(x: &Tensor, shape: &Shape, dtype: DType) -> Option<(Arc<Step>, u16)> {
    let (step, output) = x.value.step()?;
    let in_order = x.shape() == shape && x.layout().offset == 0 && x.layout().is_contiguous();
    (in_order && step.shape == *shape && step.dtype == dtype).then_some((step, output))
}

/// Evaluates values, those that have steps in common in one pass.
pub(crate) fn evaluate<'a>(values: impl IntoIterator<Item = &'a Arc<Value>>) {
    let mut waiting: Vec<&Arc<Value>> = values.into_iter().filter(|value| value.step().is_some()).collect();
    while !waiting.is_empty() {
        let first = waiting.remove(0);
        let Some((step, output)) = first.step() else { continue };
        let mut pass = Pass::new(&step.shape, step.dtype);
        let mut outputs = vec![Out { step: pass.visit(&step), output, value: first.clone() }];
        waiting.retain(|value| {
            let Some((step, output)) = value.step() else { return false };
            let joins = pass.joins(&step);
            if joins {
                outputs.push(Out { step: pass.visit(&step), output, value: (*value).clone() });
            }
            !joins
        });
        pass.run(outputs);
    }
}
