//! A backend whose calls are timed, and what they read, write and compute.

use super::{Row, add, current, intern};
use crate::backend::*;
use crate::dtype::DType;
use crate::error::Error;
use crate::expr::{Inst, Program};
use crate::kernel::Kernel;
use crate::shape::{Layout, Shape};
use smallvec::SmallVec;
use std::time::{Duration, Instant};

/// A backend, with its calls timed.
#[derive(Debug)]
pub(crate) struct Timed(pub(crate) Box<dyn Backend>);

/// Of a call.
#[derive(Clone, Copy, Default)]
struct Cost {
    bytes: usize,
    flops: usize,
}

impl Timed {
    /// Times a call; `method` is its name if no operation is known to make it.
    fn time<R>(&self, method: &'static str, cost: Cost, call: impl FnOnce(&dyn Backend) -> R) -> R {
        let (result, time) = self.measure(call);
        note(method, cost, time);
        result
    }

    fn measure<R>(&self, call: impl FnOnce(&dyn Backend) -> R) -> (R, Duration) {
        self.wait();
        let start = Instant::now();
        let result = call(&*self.0);
        self.wait();
        (result, start.elapsed())
    }

    fn wait(&self) {
        self.0.synchronize().unwrap_or_else(|error| error.throw());
    }
}

fn note(method: &'static str, Cost { bytes, flops }: Cost, time: Duration) {
    let name = current().unwrap_or(method);
    add(Row { name, calls: 1, time, bytes: bytes as u64, flops: flops as u64 });
}

impl Backend for Timed {
    fn name(&self) -> String {
        self.0.name()
    }
    fn defers_from(&self) -> usize {
        self.0.defers_from()
    }
    fn upload(&self, dtype: DType, bytes: &[u8]) -> Result<Storage, Error> {
        self.time("upload", moved([2 * bytes.len()]), |backend| backend.upload(dtype, bytes))
    }
    fn download(&self, view: View, bytes: &mut [u8]) -> Result<(), Error> {
        let cost = moved([distinct(view), bytes.len()]);
        self.time("download", cost, |backend| backend.download(view, bytes))
    }
    fn map(&self, call: Call) -> Outputs {
        self.time("map", mapped(&call), |backend| backend.map(call))
    }
    fn map_all(&self, calls: Vec<Call>) -> Vec<Outputs> {
        let costs = calls.iter().map(mapped);
        let cost = costs.fold(Cost::default(), |a, b| Cost { bytes: a.bytes + b.bytes, flops: a.flops + b.flops });
        self.time("map_all", cost, |backend| backend.map_all(calls))
    }
    fn fold(&self, call: Call, fold: Fold, reduced: &[bool]) -> Outputs {
        let results = call.shape.reduced(reduced, true).count();
        let cost = Cost {
            bytes: read(&call) + stored(call.outputs, results),
            flops: call.shape.count() * (arithmetic(call.program) + call.outputs.len()),
        };
        self.time("fold", cost, |backend| backend.fold(call, fold, reduced))
    }
    fn rows(&self, steps: RowSteps) -> Option<SmallVec<[Storage; 4]>> {
        let cost = stepped(&steps);
        let (results, time) = self.measure(|backend| backend.rows(steps));
        if results.is_some() {
            note("rows", cost, time);
        }
        results
    }
    fn arg_fold(&self, x: View, axis: usize, largest: bool) -> Storage {
        let results = without(&x.layout.shape, axis) * DType::I64.size();
        self.time("arg_fold", moved([distinct(x), results]), |backend| backend.arg_fold(x, axis, largest))
    }
    fn scan(&self, scan: Scan, args: &[View], axis: usize, reverse: bool) -> Storage {
        let cost = moved(args.iter().map(|x| distinct(*x)).chain([whole(args[0])]));
        self.time("scan", cost, |backend| backend.scan(scan, args, axis, reverse))
    }
    fn argsort(&self, x: View, axis: usize, descending: bool) -> Storage {
        let results = x.layout.shape.count() * DType::I64.size();
        self.time("argsort", moved([distinct(x), results]), |backend| backend.argsort(x, axis, descending))
    }
    fn matmul(&self, a: View, b: View) -> Storage {
        let (sa, sb) = (&a.layout.shape, &b.layout.shape);
        let results = without(sa, sa.len() - 1) * sb[sb.len() - 1];
        let bytes = distinct(a) + distinct(b) + results * a.dtype.size();
        let cost = Cost { bytes, flops: 2 * results * sa[sa.len() - 1] };
        self.time("matmul", cost, |backend| backend.matmul(a, b))
    }
    fn gather(&self, x: View, index: View, axis: usize) -> Result<Storage, OutOfRange> {
        let results = index.layout.shape.count() * x.dtype.size();
        let cost = moved([distinct(x).min(results), distinct(index), results]);
        self.time("gather", cost, |backend| backend.gather(x, index, axis))
    }
    fn scatter(&self, base: Arg, index: View, source: View, axis: usize, mode: Scatter) -> Result<Storage, OutOfRange> {
        let cost = moved([copied(&base), distinct(index), distinct(source)]);
        self.time("scatter", cost, |backend| backend.scatter(base, index, source, axis, mode))
    }
    fn assign(&self, base: Arg, region: &Layout, source: View) -> Storage {
        let cost = moved([copied(&base), distinct(source)]);
        self.time("assign", cost, |backend| backend.assign(base, region, source))
    }
    fn launch(&self, kernel: &Kernel, inputs: &[View], outputs: &[(Shape, DType)], params: &[f64]) -> Outputs {
        let results = outputs.iter().map(|(shape, dtype)| shape.count() * dtype.size());
        let cost = moved(inputs.iter().map(|x| distinct(*x)).chain(results));
        self.time(intern(kernel.name.into()), cost, |backend| backend.launch(kernel, inputs, outputs, params))
    }
    fn memory(&self) -> Memory {
        self.0.memory()
    }
    fn synchronize(&self) -> Result<(), Error> {
        self.0.synchronize()
    }
}

/// Bytes without arithmetic.
fn moved(bytes: impl IntoIterator<Item = usize>) -> Cost {
    Cost { bytes: bytes.into_iter().sum(), flops: 0 }
}

/// Bytes of the elements, those of a stretched axis once.
fn distinct(x: View) -> usize {
    let Layout { shape, strides, .. } = x.layout;
    let extents = shape.iter().zip(strides).map(|(&n, &stride)| if stride == 0 { n.min(1) } else { n });
    extents.product::<usize>() * x.dtype.size()
}

/// Bytes of all elements.
fn whole(x: View) -> usize {
    x.layout.shape.count() * x.dtype.size()
}

/// Bytes to read an argument and to write its copy.
fn copied(base: &Arg) -> usize {
    distinct(base.view()) + whole(base.view())
}

/// The number of elements without those along an axis.
fn without(shape: &Shape, axis: usize) -> usize {
    shape[..axis].iter().chain(&shape[axis + 1..]).product()
}

/// Instructions that compute something.
fn arithmetic(program: &Program) -> usize {
    program.insts().iter().filter(|inst| !matches!(inst, Inst::Arg(_) | Inst::Uniform(_) | Inst::Const(_))).count()
}

/// Bytes of the arguments that the program reads.
fn read(call: &Call) -> usize {
    let args = call.args.iter().enumerate().filter(|(k, _)| call.program.reads(*k));
    args.map(|(_, arg)| distinct(arg.view())).sum()
}

/// Bytes of that many elements of each output.
fn stored(outputs: &[DType], count: usize) -> usize {
    outputs.iter().map(|dtype| count * dtype.size()).sum()
}

fn mapped(call: &Call) -> Cost {
    let count = call.shape.count();
    Cost { bytes: read(call) + stored(call.outputs, count), flops: count * arithmetic(call.program) }
}

fn stepped(rows: &RowSteps) -> Cost {
    let folds = |step: &RowStep| if step.fold.is_some() { step.program.outputs().len() } else { 0 };
    let flops = rows.steps.iter().map(|step| step.shape.count() * (arithmetic(step.program) + folds(step)));
    let shapes = rows.shapes();
    let results = rows.wanted.iter().map(|&k| shapes[k].count() * rows.dtype.size());
    let bytes = rows.inputs.iter().map(|x| distinct(*x)).chain(results).sum();
    Cost { bytes, flops: flops.sum() }
}
