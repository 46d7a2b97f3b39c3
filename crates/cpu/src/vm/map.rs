//! A program at every element.

use super::code::Code;
use super::machine::{Access, Input, Job, Worker, store, with_scratch};
use super::plan::{Key, Plan, Purpose};
use super::small::Small;
use super::{NATIVE, NATIVE_BLOCK, NATIVE_ROW, axes, compute_dtype, far, flat_in_rows, straightened, with_copies};
use crate::Cpu;
use crate::axes::Grid;
use crate::number::{Number, with_number};
use crate::strided::{cast_mut, pack, take_front, with_bits};
use cotangent_core::backend::{Arg, Call, Outputs, Storage};
use cotangent_core::host::HostBuffer;
use cotangent_core::{DType, Strides};
use smallvec::SmallVec;
use std::ops::Range;
use std::sync::Arc;

/// Work that one thread takes at a time, in additions, at least.
const ITEM: usize = 32 * 1024;
/// Elements that one thread takes at a time, at most.
const LARGEST_ITEM: usize = 128 * 1024;

/// Elements of a block where not all of the program is machine code: enough that what is done before each does not matter,
/// and a few of them stay in the first-level cache.
const WIDE: usize = 2048;

/// Tasks for each thread from which on none is divided.
const MANY: usize = 8;

/// See [`Backend::map`](cotangent_core::backend::Backend::map).
pub fn map(cpu: &Cpu, call: Call) -> Outputs {
    let code = call.program.compiled(Code::new);
    if let Some(copy) = copied(cpu, &call, code) {
        return SmallVec::from_iter([copy]);
    }
    with_number!(compute_dtype(&call.args), T => {
        let done = small::<T>(cpu, &call, code);
        done.unwrap_or_else(|| {
            let copies = straightened(cpu, &call);
            let mut task = Task::new(cpu, with_copies(call, &copies));
            run::<T>(cpu, std::slice::from_mut(&mut task));
            task.outputs()
        })
    })
}

/// See [`Backend::map_all`](cotangent_core::backend::Backend::map_all).
pub fn map_all(cpu: &Cpu, calls: Vec<Call>) -> Vec<Outputs> {
    let mut dtypes = calls.iter().map(|call| compute_dtype(&call.args));
    let Some(dtype) = dtypes.next().filter(|first| dtypes.all(|dtype| dtype == *first)) else {
        return calls.into_iter().map(|call| map(cpu, call)).collect();
    };
    with_number!(dtype, T => {
        // Small ones are done at once.
        let at_once = |call: &Call| small::<T>(cpu, call, call.program.compiled(Code::new));
        let done: Vec<Option<Outputs>> = calls.iter().map(at_once).collect();
        let left: Vec<Call> =
            calls.into_iter().zip(&done).filter(|(_, done)| done.is_none()).map(|(call, _)| call).collect();
        let copies: Vec<_> = left.iter().map(|call| straightened(cpu, call)).collect();
        let task = |(call, copies)| Task::new(cpu, with_copies(call, copies));
        let mut tasks: Vec<Task> = left.into_iter().zip(copies.iter().map(Vec::as_slice)).map(task).collect();
        run::<T>(cpu, &mut tasks);
        let mut tasks = tasks.into_iter();
        let outputs = |done: Option<Outputs>| done.unwrap_or_else(|| tasks.next().expect("not done yet").outputs());
        done.into_iter().map(outputs).collect()
    })
}

/// The result of a program that only copies its argument.
fn copied(cpu: &Cpu, call: &Call, code: &Code) -> Option<Storage> {
    if !code.identity || call.outputs[0] != call.args[0].view().dtype {
        return None;
    }
    let x = call.args[0].view();
    let mut out = cpu.buffer(x.dtype, call.shape.count());
    with_bits!(x.dtype.size(), T => pack(cpu, out.slice_mut::<T>(), x.storage.get::<HostBuffer>().slice(), x.layout));
    Some(Storage::new(out))
}

/// The results of a small call, if it is one.
fn small<T: Number>(cpu: &Cpu, call: &Call, code: &Code) -> Option<Outputs> {
    let small = Small::of(call, code)?;
    let count = small.count;
    let mut buffers: SmallVec<[HostBuffer; 2]> = SmallVec::new();
    call.outputs.iter().for_each(|&dtype| buffers.push(cpu.buffer(dtype, count)));
    let (mut direct, mut converted) = (SmallVec::new(), SmallVec::<[_; 2]>::new());
    for (k, buffer) in buffers.iter_mut().enumerate() {
        if call.outputs[k] == T::DTYPE {
            direct.push(Some(buffer.slice_mut::<T>()));
        } else {
            direct.push(None);
            converted.push((k, buffer));
        }
    }
    small.run(direct, |machine| {
        for (k, buffer) in converted {
            store(call.outputs[k], &machine.result(k)[..count], buffer.bytes_mut());
        }
    });
    let mut outputs = Outputs::new();
    buffers.into_iter().for_each(|buffer| outputs.push(Storage::new(buffer)));
    Some(outputs)
}

/// The first argument whose memory may become that of an output, if any.
fn donor(args: &mut [Arg], taken: &[Option<usize>], dtype: DType, count: usize) -> Option<usize> {
    args.iter_mut().enumerate().find_map(|(k, arg)| {
        let Arg::Owned(storage, layout, own) = arg else { return None };
        let fits = *own == dtype && layout.offset == 0 && layout.is_contiguous() && !taken.contains(&Some(k));
        let alone = fits && storage.get_mut::<HostBuffer>().is_some_and(|b| b.bytes().len() == count * dtype.size());
        alone.then_some(k)
    })
}

/// A call, and where its results go: to the memory of arguments that nobody else needs, or to buffers.
struct Task<'a> {
    call: Call<'a>,
    donors: SmallVec<[Option<usize>; 2]>,
    buffers: SmallVec<[Option<HostBuffer>; 2]>,
}

impl<'a> Task<'a> {
    fn new(cpu: &Cpu, mut call: Call<'a>) -> Task<'a> {
        let count = call.shape.count();
        let mut donors: SmallVec<[Option<usize>; 2]> = SmallVec::new();
        for &dtype in call.outputs {
            let next = donor(&mut call.args, &donors, dtype, count);
            donors.push(next);
        }
        let fresh = |(&dtype, donor): (&DType, &Option<usize>)| match donor {
            Some(_) => None,
            None => Some(cpu.buffer(dtype, count)),
        };
        let buffers = call.outputs.iter().zip(&donors).map(fresh).collect();
        Task { call, donors, buffers }
    }

    /// About how long it takes.
    fn cost(&self) -> usize {
        self.call.shape.count().saturating_mul(self.call.program.compiled(Code::new).cost + 1)
    }

    /// What is to be computed, and the memory of its results.
    fn job<T: Number>(&mut self) -> (Job<'_>, Chunks<'_>) {
        let Task { call, donors, buffers } = self;
        let code = call.program.compiled(Code::new);
        let (extents, strides, _) = axes(call, |_, _| true);
        let native = native_plan::<T>(call, code, &extents, &strides);
        let grid = match native {
            Some(_) => Grid::new(extents.clone(), extents.len().saturating_sub(2), NATIVE_BLOCK),
            None => Grid::new(extents, 0, WIDE),
        };
        let mut outputs: Chunks = donors.iter().map(|_| Default::default()).collect();
        for (output, buffer) in outputs.iter_mut().zip(buffers) {
            if let Some(buffer) = buffer {
                *output = buffer.bytes_mut();
            }
        }
        let mut inputs: SmallVec<[Input; 4]> = SmallVec::new();
        for ((k, arg), strides) in call.args.iter_mut().enumerate().zip(strides) {
            let output = donors.iter().position(|&donor| donor == Some(k));
            let read = code.reads[k];
            inputs.push(match (output, arg) {
                (Some(output), Arg::Owned(storage, layout, dtype)) => {
                    outputs[output] = storage.get_mut::<HostBuffer>().expect("a donor is not shared").bytes_mut();
                    let access = if read { Access::Donated(output) } else { Access::Unread };
                    Input { bytes: &[], dtype: *dtype, offset: layout.offset, strides, access }
                }
                (_, arg) if native.is_some() && read => Input::with(arg.view(), strides, Access::Direct),
                (_, arg) => Input::new::<T>(arg.view(), strides, &grid, read),
            });
        }
        let job = match native {
            Some(plan) => Job { code, uniforms: call.uniforms, grid, inputs, plan, width: 1 },
            None => Job::new::<T>(code, call.uniforms, grid, inputs, Purpose::Store, WIDE),
        };
        (job, outputs)
    }

    fn outputs(self) -> Outputs {
        let mut args: SmallVec<[Option<Arg>; 4]> = self.call.args.into_iter().map(Some).collect();
        let storage =
            |(buffer, donor): (Option<HostBuffer>, Option<usize>)| match (buffer, donor.map(|k| args[k].take())) {
                (Some(buffer), _) => Storage::new(buffer),
                (None, Some(Some(Arg::Owned(storage, ..)))) => storage,
                _ => unreachable!("a donor is an owned argument of one output"),
            };
        self.buffers.into_iter().zip(self.donors).map(storage).collect()
    }
}

/// Runs all tasks; threads share them.
fn run<T: Number>(cpu: &Cpu, tasks: &mut [Task]) {
    let largest = tasks.iter().map(|task| task.call.shape.count()).max();
    let many = tasks.len() >= MANY * cpu.threads.count() && largest <= Some(LARGEST_ITEM);
    if many && cpu.worth_threads(tasks.iter().map(Task::cost).sum()) {
        // Enough for all threads without dividing any.
        return cpu.threads.each(tasks.len(), tasks.iter_mut(), |task| {
            if task.call.shape.count() > 0 {
                let dtypes = task.call.outputs;
                let (job, outputs) = task.job::<T>();
                blocks::<T>(&job, dtypes, 0..job.grid.blocks, outputs);
            }
        });
    }
    let (mut jobs, mut memory): (SmallVec<[_; 1]>, SmallVec<[_; 1]>) = Default::default();
    for task in tasks.iter_mut().filter(|task| task.call.shape.count() > 0) {
        let dtypes = task.call.outputs;
        let (job, outputs) = task.job::<T>();
        jobs.push((job, dtypes));
        memory.push(outputs);
    }
    if !cpu.worth_threads(jobs.iter().map(|(job, _)| count_cost(job)).sum()) {
        let pairs = jobs.iter().zip(memory);
        return pairs.for_each(|((job, dtypes), outputs)| blocks::<T>(job, dtypes, 0..job.grid.blocks, outputs));
    }
    let total: usize = jobs.iter().map(|(job, _)| job.count()).sum();
    let elements = (total / (8 * cpu.threads.count())).min(LARGEST_ITEM);
    let per_item = |job: &Job| elements.max(ITEM / (job.code.cost + 1)).div_ceil(job.grid.block_len());
    let pieces = |job: &Job| job.grid.blocks.div_ceil(per_item(job));
    let items = jobs.iter().zip(memory).flat_map(|((job, dtypes), mut rest)| {
        let per_item = per_item(job);
        (0..pieces(job)).map(move |item| {
            let range = item * per_item..job.grid.blocks.min((item + 1) * per_item);
            let len = job.grid.start(range.end) - job.grid.start(range.start);
            (job, dtypes, range, split(&mut rest, dtypes, len))
        })
    });
    let count = jobs.iter().map(|(job, _)| pieces(job)).sum();
    cpu.threads.each(count, items, |(job, dtypes, range, outputs)| blocks::<T>(job, dtypes, range, outputs));
}

/// How the program runs on whole rows of the merged axes, if it is simple enough that values stay in registers.
fn native_plan<T: Number>(call: &Call, code: &Code, extents: &[usize], strides: &[Strides]) -> Option<Arc<Plan>> {
    let long = extents[extents.len() - 1] >= NATIVE_ROW && call.shape.count() >= NATIVE;
    let stored = call.outputs.iter().all(|&dtype| dtype == T::DTYPE);
    if !long || !stored || !T::DTYPE.is_float() {
        return None;
    }
    let args = call.args.iter().zip(strides).zip(&code.reads);
    let flat = flat_in_rows::<T>(args.map(|((arg, strides), &read)| (read, arg.view().dtype, strides)))?;
    let far = far(call.args.iter().map(|arg| arg.view().storage.get::<HostBuffer>().bytes().len()));
    let plan = code.plan(Key { size: size_of::<T>(), flat, purpose: Purpose::Store, native: true, far });
    plan.is_native().then_some(plan)
}

/// About how long the whole job takes.
pub fn count_cost(job: &Job) -> usize {
    job.count().saturating_mul(job.code.cost + 1)
}

/// Memory of one slice for each output.
type Chunks<'a> = SmallVec<[&'a mut [u8]; 2]>;

/// Takes the memory of the next elements off each output.
fn split<'a>(rest: &mut Chunks<'a>, dtypes: &[DType], len: usize) -> Chunks<'a> {
    rest.iter_mut().zip(dtypes).map(|(rest, dtype)| take_front(rest, len * dtype.size())).collect()
}

/// Runs some blocks, whose results go to `outputs`.
fn blocks<T: Number>(job: &Job, dtypes: &[DType], range: Range<usize>, mut outputs: Chunks) {
    with_scratch(job.scratch(), |scratch: &mut [T]| {
        let mut worker = Worker::new(job, scratch);
        let mut chunks = Chunks::new();
        for number in range {
            let block = job.grid.block(number);
            chunks.clear();
            for (rest, dtype) in outputs.iter_mut().zip(dtypes) {
                chunks.push(take_front(rest, block.len * dtype.size()));
            }
            worker.load(&block, &chunks);
            for (k, chunk) in chunks.iter_mut().enumerate().filter(|&(k, _)| dtypes[k] == T::DTYPE) {
                worker.machine.direct(k, cast_mut(std::mem::take(chunk)));
            }
            worker.machine.run(block.start, block.len);
            for (k, chunk) in chunks.iter_mut().enumerate().filter(|&(k, _)| dtypes[k] != T::DTYPE) {
                store(dtypes[k], &worker.machine.result(k)[..block.len], chunk);
            }
        }
    });
}
