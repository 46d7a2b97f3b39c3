//! A program at every element, folded over axes.
//!
//! Blocks are folded to partial results, which are then combined by halves. Blocks and their order depend on shapes
//! only, so the result does not depend on the number of threads.

use super::code::Code;
use super::machine::{Input, Job, Worker, with_scratch};
use super::map::count_cost;
use super::plan::Purpose;
use super::reduce::{self, Pieces, ROWS, Reduction};
use super::small::Small;
use super::{axes, compute_dtype, straightened, with_copies};
use crate::Cpu;
use crate::axes::{BLOCK, Block, Grid};
use crate::number::{Number, Wide, with_number};
use crate::strided::take_front;
use cotangent_core::backend::{Call, Fold, Outputs, Storage};
use cotangent_core::host::HostBuffer;
use cotangent_core::{DType, Element, with_element};
use smallvec::SmallVec;
use std::ops::Range;

/// Elements that one thread takes at a time.
const ITEM: usize = 32 * 1024;
/// Blocks of a row that one thread takes together.
pub const FEW: usize = 8;
/// See [`Backend::fold`](cotangent_core::backend::Backend::fold).
pub fn fold(cpu: &Cpu, call: Call, fold: Fold, reduced: &[bool]) -> Outputs {
    with_number!(compute_dtype(&call.args), T => run::<T>(cpu, call, fold, reduced))
}

fn run<T: Number>(cpu: &Cpu, call: Call, fold: Fold, reduced: &[bool]) -> Outputs {
    if let Some(results) = small::<T>(cpu, &call, fold, reduced) {
        return results;
    }
    let copies = straightened(cpu, &call);
    let call = with_copies(call, &copies);
    let kept: usize = call.shape.iter().zip(reduced).filter(|(_, r)| !**r).map(|(n, _)| n).product();
    let (outputs, shape) = (call.outputs, call.shape);
    if shape.count() == 0 {
        let empty = vec![T::start(fold).widen(); kept];
        return outputs.iter().map(|&dtype| stored(cpu, dtype, &empty)).collect();
    }
    let code = call.program.compiled(Code::new);
    let (extents, strides, from) = axes(&call, |a, b| reduced[a] == reduced[b]);
    let mut mask: SmallVec<[bool; 6]> = from.iter().map(|&axis| reduced.get(axis).copied().unwrap_or(true)).collect();
    let mut shape: SmallVec<[usize; 8]> = SmallVec::from_slice(&extents);

    // The trailing axes of one kind, and the reduced ones before them if they are kept.
    let last = mask[mask.len() - 1];
    let tail = mask.iter().rposition(|&r| r != last).map_or(0, |axis| axis + 1);
    let group = if last { tail } else { mask[..tail].iter().rposition(|&r| !r).map_or(0, |axis| axis + 1) };
    let whole = !last && tail == 0;
    let grid = Grid::new(extents, if last || whole { 0 } else { group }, BLOCK);
    let inputs = call.args.iter().zip(strides).zip(&code.reads);
    let inputs: SmallVec<[Input; 4]> =
        inputs.map(|((arg, strides), &read)| Input::new::<T>(arg.view(), strides, &grid, read)).collect();

    let inner: usize = if whole { 1 } else { shape[tail..].iter().product() };
    let columns = !(last || whole);
    let plan = if columns { Plan::columns(&grid, &shape, group, tail) } else { Plan::rows(&grid, inner) };
    // Machine code knows only rows and columns, with one axis that is folded.
    let simple = if columns { tail - group == 1 && tail + 1 == shape.len() } else { last };
    let native = if simple { reduce::plan::<T>(code, &grid, &inputs, fold, columns) } else { None };
    let is_native = native.is_some();
    let uniforms = call.uniforms;
    let job = match native {
        Some(plan) => Job { code, uniforms, grid, inputs, plan, width: BLOCK },
        None => Job::new::<T>(code, uniforms, grid, inputs, Purpose::Inspect, BLOCK),
    };
    let native = is_native.then_some(Reduction { job: &job, fold });
    let mut partials = plan.run::<T>(cpu, &job, fold, native.as_ref());
    // The first stage has turned the innermost reduced axes into one of `plan.left` partial results.
    if !whole {
        shape.drain(group..if last { shape.len() } else { tail });
        mask.drain(group..if last { mask.len() } else { tail });
    }
    shape.insert(group, plan.left);
    mask.insert(group, true);
    let finish = |(&dtype, partial): (&DType, &mut HostBuffer)| {
        let partial = partial.slice_mut::<T::Wide>();
        let count = combine(partial, fold, &shape, &mask);
        stored(cpu, dtype, &partial[..count])
    };
    outputs.iter().zip(&mut partials).map(finish).collect()
}

/// The results of a small call that folds whole rows, if it is one.
fn small<T: Number>(cpu: &Cpu, call: &Call, fold: Fold, reduced: &[bool]) -> Option<Outputs> {
    let tail = reduced.iter().rposition(|&r| !r).map_or(0, |axis| axis + 1);
    if reduced[..tail].contains(&true) {
        return None;
    }
    let small = Small::of(call, call.program.compiled(Code::new))?;
    let [rows, len]: [usize; 2] = [call.shape[..tail].iter().product(), call.shape[tail..].iter().product()];
    let scratch = (0..call.outputs.len()).map(|_| None).collect();
    let mut outputs = Outputs::new();
    small.run::<T>(scratch, |machine| {
        for (k, &dtype) in call.outputs.iter().enumerate() {
            let mut wide: SmallVec<[T::Wide; 8]> = SmallVec::from_elem(T::Wide::default(), rows);
            T::fold_rows(fold, &machine.result(k)[..rows * len], len, &mut wide);
            outputs.push(stored(cpu, dtype, &wide));
        }
    });
    Some(outputs)
}

/// Results rounded to the type that they are stored as.
fn stored<W: Wide>(cpu: &Cpu, dtype: DType, wide: &[W]) -> Storage {
    let mut out = cpu.buffer(dtype, wide.len());
    with_element!(dtype, E => out.slice_mut::<E>().iter_mut().zip(wide).for_each(|(to, x)| *to = x.store()));
    Storage::new(out)
}

/// Folds the marked axes of row-major partial results, to as many of them as it returns.
fn combine<W: Wide>(values: &mut [W], fold: Fold, shape: &[usize], mask: &[bool]) -> usize {
    let mut shape: SmallVec<[usize; 8]> = SmallVec::from_slice(shape);
    let mut count = values.len();
    for axis in (0..shape.len()).rev().filter(|&axis| mask[axis]) {
        let inner: usize = shape[axis + 1..].iter().product();
        let size = shape[axis] * inner;
        for (outer, at) in (0..count).step_by(size.max(1)).enumerate() {
            halve(&mut values[at..at + size], inner, fold);
            values.copy_within(at..at + inner, outer * inner);
        }
        count /= shape[axis];
        shape[axis] = 1;
    }
    count
}

/// Combines rows of `inner` values into the first: the second half into the first half, and again.
fn halve<W: Wide>(values: &mut [W], inner: usize, fold: Fold) {
    let mut rows = values.len() / inner;
    while rows > 1 {
        let half = rows.div_ceil(2);
        let (low, high) = values[..rows * inner].split_at_mut(half * inner);
        let pairs = low.iter_mut().zip(high);
        match fold {
            Fold::Sum => pairs.for_each(|(a, b)| *a = a.plus(*b)),
            _ => pairs.for_each(|(a, b)| *a = a.join(*b, fold)),
        }
        rows = half;
    }
}

/// How blocks become partial results. A unit of work yields a contiguous piece of them.
struct Plan {
    /// Number of units.
    units: usize,
    /// Partial results of each kept place after the first stage.
    left: usize,
    kind: Kind,
}

enum Kind {
    /// A block is some rows, each of which becomes one result, or a part of one row. A unit is a block.
    Rows { row: usize },
    /// A block is some rows of `width` columns that are combined row by row. A unit is up to `chunk` of the `blocks`
    /// blocks that are combined into the same columns.
    Columns { width: usize, blocks: usize, chunk: usize },
    /// A block is a part of one row of columns. A unit is the part of up to `chunk` of `rows` rows, in each of which
    /// there are `parts`.
    Wide { rows: usize, parts: usize, chunk: usize },
}

impl Plan {
    fn rows(grid: &Grid, inner: usize) -> Plan {
        let whole_rows = grid.block_len().is_multiple_of(inner);
        let row = if whole_rows { inner } else { usize::MAX };
        let total: usize = grid.extents.iter().product();
        let left = if whole_rows { 1 } else { grid.blocks / (total / inner) };
        Plan { units: grid.blocks, left, kind: Kind::Rows { row } }
    }

    fn columns(grid: &Grid, shape: &[usize], group: usize, tail: usize) -> Plan {
        let outer: usize = shape[..group].iter().product();
        let rows: usize = shape[group..tail].iter().product();
        let width: usize = shape[tail..].iter().product();
        if grid.cut < tail {
            let blocks = grid.blocks / outer;
            let chunk = ITEM.div_ceil(grid.block_len());
            let left = blocks.div_ceil(chunk);
            Plan { units: outer * left, left, kind: Kind::Columns { width, blocks, chunk } }
        } else {
            let parts = grid.blocks / (outer * rows);
            let chunk = 4 * ROWS;
            let left = rows.div_ceil(chunk);
            Plan { units: outer * left * parts, left, kind: Kind::Wide { rows, parts, chunk } }
        }
    }

    /// The blocks of a unit.
    fn blocks(&self, unit: usize) -> std::iter::StepBy<Range<usize>> {
        match self.kind {
            Kind::Rows { .. } => (unit..unit + 1).step_by(1),
            Kind::Columns { blocks, chunk, .. } => {
                let (outer, part) = (unit / self.left, unit % self.left);
                let first = outer * blocks + part * chunk;
                (first..((outer + 1) * blocks).min(first + chunk)).step_by(1)
            }
            Kind::Wide { rows, parts, chunk } => {
                let (above, part) = (unit / parts, unit % parts);
                let (outer, piece) = (above / self.left, above % self.left);
                let first = outer * rows + piece * chunk;
                let end = ((outer + 1) * rows).min(first + chunk);
                (first * parts + part..end * parts).step_by(parts)
            }
        }
    }

    /// The partial results that a unit yields.
    fn yields(&self, grid: &Grid, unit: usize) -> usize {
        match self.kind {
            Kind::Rows { row } => grid.block(unit).len.div_ceil(row),
            Kind::Columns { width, .. } => width,
            Kind::Wide { parts, .. } => grid.block(unit % parts).len,
        }
    }

    fn run<T: Number>(&self, cpu: &Cpu, job: &Job, fold: Fold, native: Option<&Reduction>) -> Vec<HostBuffer> {
        let grid = &job.grid;
        let total = match self.kind {
            Kind::Rows { row } if row != usize::MAX => job.count() / row,
            Kind::Rows { .. } => self.units,
            Kind::Columns { width, .. } => self.units * width,
            Kind::Wide { parts, .. } => {
                let width: usize = (0..parts).map(|part| grid.block(part).len).sum();
                self.units / parts * width
            }
        };
        let start = T::start(fold).widen();
        let buffers = (0..job.code.outputs).map(|_| cpu.buffer(<T::Wide as Element>::DTYPE, total));
        let mut partials: Vec<HostBuffer> = buffers.collect();
        let mut pieces = Pieces::<T>::new();
        for partial in &mut partials {
            let piece = partial.slice_mut();
            piece.fill(start);
            pieces.push(piece);
        }
        self.fill::<T>(cpu, job, fold, native, pieces);
        partials
    }

    /// Runs all units.
    fn fill<T: Number>(&self, cpu: &Cpu, job: &Job, fold: Fold, native: Option<&Reduction>, mut rest: Pieces<T>) {
        let run = |units, sink: Pieces<T>| match native {
            Some(native) => self.native_units::<T>(native, &job.grid, units, sink),
            None => self.units::<T>(job, fold, units, sink),
        };
        let grid = &job.grid;
        if !cpu.worth_threads(count_cost(job)) {
            return run(0..self.units, rest);
        }
        let (blocks, parts) = match self.kind {
            Kind::Rows { .. } => (1, self.left),
            Kind::Columns { chunk, .. } => (chunk, 1),
            Kind::Wide { parts, chunk, .. } => (chunk, parts),
        };
        let mut per_item = ITEM.div_ceil(blocks * grid.block_len());
        if parts <= FEW {
            per_item = per_item.next_multiple_of(parts);
        }
        let count = self.units.div_ceil(per_item);
        let items = (0..count).map(|item| {
            let units = item * per_item..self.units.min((item + 1) * per_item);
            let len = units.clone().map(|unit| self.yields(grid, unit)).sum::<usize>();
            (units, rest.iter_mut().map(|rest| take_front(rest, len)).collect::<Pieces<T>>())
        });
        cpu.threads.each(count, items, |(units, mine)| run(units, mine));
    }

    /// Runs some units as machine code.
    fn native_units<T: Number>(&self, native: &Reduction, grid: &Grid, units: Range<usize>, mut partials: Pieces<T>) {
        if let Kind::Rows { .. } = self.kind {
            return native.rows::<T>(units, partials);
        }
        let mut unit = units.start;
        while unit < units.end {
            // Parts of the same rows are taken together: memory is read from end to end.
            let more = match self.kind {
                Kind::Wide { parts, .. } if unit.is_multiple_of(parts) && unit + parts <= units.end => parts,
                _ => 1,
            };
            let len = (unit..unit + more).map(|unit| self.yields(grid, unit)).sum();
            let sink = partials.iter_mut().map(|rest| take_front(rest, len)).collect();
            let mut blocks = self.blocks(unit);
            let rows = match self.kind {
                Kind::Wide { .. } => blocks.len(),
                _ => blocks.clone().map(|number| grid.block(number).len / len).sum(),
            };
            native.columns::<T>(blocks.next().expect("a unit has blocks"), rows, sink);
            unit += more;
        }
    }

    /// Runs some units, whose partial results are `partials` (filled with the fold's start).
    fn units<T: Number>(&self, job: &Job, fold: Fold, units: Range<usize>, mut partials: Pieces<T>) {
        let outputs = job.code.outputs;
        with_scratch(job.scratch() + outputs * BLOCK, |scratch: &mut [T]| {
            let (scratch, running) = scratch.split_at_mut(job.scratch());
            let mut worker = Worker::new(job, scratch);
            for unit in units {
                let len = self.yields(&job.grid, unit);
                let sink: Pieces<T> = partials.iter_mut().map(|rest| take_front(rest, len)).collect();
                match self.kind {
                    Kind::Rows { row } => {
                        let block = job.grid.block(unit);
                        worker.evaluate(&block);
                        for (k, sink) in sink.into_iter().enumerate() {
                            T::fold_rows(fold, &worker.machine.inspect(k)[..block.len], row, sink);
                        }
                    }
                    Kind::Columns { .. } | Kind::Wide { .. } => {
                        self.combine_rows(&mut worker, job, fold, unit, running, sink);
                    }
                }
            }
        });
    }

    /// Combines rows into columns.
    fn combine_rows<T: Number>(
        &self,
        worker: &mut Worker<T>,
        job: &Job,
        fold: Fold,
        unit: usize,
        running: &mut [T],
        mut sink: Pieces<T>,
    ) {
        let width = sink[0].len();
        // Narrow rows are combined several at a time, so that loops are long enough.
        let side_by_side = if width < 64 { 64 / width * width } else { width };
        // Products may leave the range of f32 on the way.
        let flush = if fold == Fold::Prod { 1 } else { ROWS };
        let start = T::start(fold);
        let mut rows = 0;
        running.fill(start);
        let flushed = |running: &mut [T], sink: &mut Pieces<T>| {
            for (running, sink) in running.chunks_exact_mut(BLOCK).zip(sink) {
                for row in running[..side_by_side].chunks_exact_mut(width) {
                    T::flush(fold, sink, row);
                    row.fill(start);
                }
            }
        };
        for number in self.blocks(unit) {
            let block: Block = job.grid.block(number);
            worker.evaluate(&block);
            for at in (0..block.len).step_by(side_by_side) {
                for (k, running) in running.chunks_exact_mut(BLOCK).enumerate() {
                    let row = &worker.machine.inspect(k)[at..block.len.min(at + side_by_side)];
                    T::fold_into(fold, &mut running[..row.len()], row);
                }
                rows += 1;
                if rows == flush {
                    flushed(running, &mut sink);
                    rows = 0;
                }
            }
        }
        flushed(running, &mut sink);
    }
}
