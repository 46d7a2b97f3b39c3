//! Several programs over the same rows, some rows at a time.

use crate::strided::take_front;
use crate::{Cpu, stream};
use cotangent_core::backend::{Arg, Backend, Call, RowSteps, Storage, View};
use cotangent_core::host::HostBuffer;
use cotangent_core::{DType, Layout, Shape};
use smallvec::SmallVec;
use std::ops::Range;

/// Elements of the rows that a thread takes at a time. They are about what fits the second-level cache; with fewer, what
/// comes before each program weighs more.
const ITEM: usize = 64 * 1024;
/// Fewer elements than so many times those from which on operations are put off stay in the cache anyway.
const LARGE: usize = 16;

/// Memory of each value that is wanted.
type Chunks<'a> = SmallVec<[&'a mut [u8]; 4]>;

/// See [`Backend::rows`].
pub fn rows(cpu: &Cpu, call: RowSteps) -> Option<SmallVec<[Storage; 4]>> {
    let shape = call.steps.iter().map(|step| &step.shape).max_by_key(|shape| shape.count())?;
    let (count, n) = (shape.count(), shape[0]);
    if count < LARGE.saturating_mul(cpu.defers_from()) || count == 0 {
        return None;
    }
    let shapes = call.shapes();
    if call.wanted.iter().any(|&k| shapes[k][0] != n) {
        return None;
    }
    let mut buffers: SmallVec<[HostBuffer; 4]> = SmallVec::new();
    call.wanted.iter().for_each(|&k| buffers.push(cpu.buffer(call.dtype, shapes[k].count())));
    fill(cpu, &call, shape, buffers.iter_mut().map(HostBuffer::bytes_mut).collect());
    let mut storages = SmallVec::new();
    buffers.into_iter().for_each(|buffer| storages.push(Storage::new(buffer)));
    Some(storages)
}

/// Computes what is wanted, of which no value extends further than `shape`.
fn fill(cpu: &Cpu, call: &RowSteps, shape: &Shape, mut wanted: Chunks) {
    let (count, n) = (shape.count(), shape[0]);
    let per_item = (ITEM / (count / n)).max(1);
    let items = (0..n).step_by(per_item).map(|first| {
        let range = first..n.min(first + per_item);
        let mut outputs = Chunks::new();
        for rest in &mut wanted {
            let len = rest.len() / (n - first) * range.len();
            outputs.push(take_front(rest, len));
        }
        (range, outputs)
    });
    cpu.threads.each(n.div_ceil(per_item), items, |(range, outputs)| some(cpu, call, n, range, outputs));
}

/// Some of the `n` rows.
fn some(cpu: &Cpu, call: &RowSteps, n: usize, range: Range<usize>, outputs: Chunks) {
    let dtype = call.dtype;
    let mut values: SmallVec<[(Storage, Layout); 12]> = SmallVec::new();
    for input in &call.inputs {
        let mut layout = input.layout.clone();
        if layout.shape[0] == n {
            layout.shape[0] = range.len();
            layout.offset = (layout.offset as isize + range.start as isize * layout.strides[0]) as usize;
        }
        values.push((input.storage.clone(), layout));
    }
    for step in &call.steps {
        let mut shape = step.shape.clone();
        shape[0] = if shape[0] == n { range.len() } else { 1 };
        let stretch = |&k: &usize| values[k].1.broadcast_to(&shape);
        let layouts: SmallVec<[Layout; 6]> = step.args.iter().map(stretch).collect();
        let read = step.args.iter().zip(&layouts);
        let args = read.map(|(&k, layout)| Arg::Shared(View { storage: &values[k].0, layout, dtype })).collect();
        let results: SmallVec<[DType; 2]> = SmallVec::from_elem(dtype, step.program.outputs().len());
        let inner = Call { program: step.program, uniforms: step.uniforms, args, shape: &shape, outputs: &results };
        let (storages, shape) = match step.fold {
            None => (cpu.map(inner), shape.clone()),
            Some(fold) => (cpu.fold(inner, fold, call.reduced), shape.reduced(call.reduced, true)),
        };
        values.extend(storages.into_iter().map(|storage| (storage, Layout::contiguous(&shape))));
    }
    for (&k, to) in call.wanted.iter().zip(outputs) {
        stream::copy(to, values[k].0.get::<HostBuffer>().bytes());
    }
}
