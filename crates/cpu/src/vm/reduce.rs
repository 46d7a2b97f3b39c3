//! Folds of programs that are machine code. They combine the same elements in the same order as blocks do.

use super::code::Code;
use super::fold::FEW;
use super::machine::{Input, Job, Place, with_scratch};
use super::plan::{Key, Piece, Plan, Purpose};
use super::{far, flat_in_rows};
use crate::axes::Grid;
use crate::native::{LEFT, Native, STORED};
use crate::number::{Number, Wide};
use crate::strided::{cast, take_front};
use cotangent_core::backend::Fold;
use smallvec::SmallVec;
use std::ops::Range;
use std::sync::Arc;

/// Rows that are combined in the type of computation before they are added to the wide result.
pub const ROWS: usize = 32;
/// Rows whose lanes are stored before they are combined.
const AT_ONCE: usize = 64;
/// Shorter rows are combined in another order.
const SHORTEST: usize = 64;

/// A piece of the partial results of each output.
pub type Pieces<'a, T> = SmallVec<[&'a mut [<T as Number>::Wide]; 2]>;

/// How a fold over rows, along the last axis, or over columns, along the one before, is machine code; `None` if the program
/// or where its arguments lie is not simple enough.
pub fn plan<T: Number>(code: &Code, grid: &Grid, inputs: &[Input], fold: Fold, columns: bool) -> Option<Arc<Plan>> {
    let last = grid.extents.len() - 1;
    let long = grid.extents[last] >= SHORTEST && grid.extents.iter().product::<usize>() >= super::NATIVE;
    if !T::DTYPE.is_float() || !long || fold == Fold::Prod || grid.cut + 1 < last || columns && last == 0 {
        return None;
    }
    let args = inputs.iter().zip(&code.reads);
    let flat = flat_in_rows::<T>(args.map(|(input, &read)| (read, input.dtype, &input.strides)))?;
    let purpose = if columns { Purpose::Accumulate(fold) } else { Purpose::Combine(fold) };
    let key = Key { size: size_of::<T>(), flat, purpose, native: true, far: far(inputs.iter().map(|x| x.bytes.len())) };
    Some(code.plan(key)).filter(|plan| plan.is_native())
}

/// Rows, or parts of rows, at equal distances.
struct Group {
    rows: usize,
    /// Blocks that each row is cut into; its parts of one length are combined together.
    parts: usize,
    /// One row lies so many steps along an axis behind the one before.
    axis: usize,
    step: usize,
}

/// A fold in machine code: a job whose plan is that of [`plan`].
pub struct Reduction<'a, 'j> {
    /// What is folded.
    pub job: &'a Job<'j>,
    /// How.
    pub fold: Fold,
}

impl Reduction<'_, '_> {
    fn native(&self) -> &Native {
        let [Piece::Native(native)] = &self.job.plan.pieces[..] else { unreachable!("checked by `plan`") };
        native
    }

    /// Points the arguments' places to some elements.
    fn aim<'b, T: Number>(&'b self, places: &mut [Place<'b, T>], at: impl Fn(&Input) -> isize) {
        for (k, input) in self.job.inputs.iter().enumerate().filter(|&(k, _)| self.job.code.reads[k]) {
            let at = input.offset as isize + at(input);
            places[k] = Place::Read(&cast::<T>(input.bytes)[at as usize..]);
        }
    }

    /// The places before those of the outputs.
    fn places<'b, T: Number>(&self, splats: &'b [T]) -> SmallVec<[Place<'b, T>; 16]> {
        let mut places: SmallVec<[Place<T>; 16]> = SmallVec::new();
        self.job.inputs.iter().for_each(|_| places.push(Place::Read(&[])));
        places.extend(splats.chunks(1).map(Place::Read));
        places
    }

    fn splats<T: Number>(&self) -> SmallVec<[T; 8]> {
        self.job.code.splats.iter().map(|splat| T::of(splat.value(self.job.uniforms))).collect()
    }

    /// Combines rows, or parts of them: each block of the grid is a part of a row or some whole ones.
    pub fn rows<T: Number>(&self, mut blocks: Range<usize>, mut sink: Pieces<T>) {
        let grid = &self.job.grid;
        let last = grid.extents.len() - 1;
        let (native, splats) = (self.native(), self.splats::<T>());
        let mut table = native.table();
        with_scratch(self.job.code.outputs * AT_ONCE * STORED, |scratch: &mut [T]| {
            let mut places = self.places(&splats);
            places.extend(scratch.chunks_exact_mut(AT_ONCE * STORED).map(Place::Write));
            while !blocks.is_empty() {
                let Group { rows, parts, axis, step } = self.group(blocks.clone());
                // Only those that are read are known to go forward.
                let stride = |input: &Input| (input.strides[axis] * step as isize) as usize;
                let mut strides: SmallVec<[usize; 16]> = self.job.inputs.iter().map(stride).collect();
                strides.resize(self.job.code.first_output(), 0);
                let mut results: Pieces<T> = sink.iter_mut().map(|sink| take_front(sink, rows * parts)).collect();
                for part in 0..parts {
                    let first = grid.block(blocks.start + part);
                    let len = if grid.cut == last { first.len } else { grid.extents[last] };
                    self.aim(&mut places, |input| grid.offset(&first, &input.strides));
                    native.run(&mut table, &mut places, [rows, len], &strides);
                    for (lanes, results) in places[self.job.code.first_output()..].iter().zip(&mut results) {
                        let lanes = lanes.get()[..rows * STORED].chunks_exact(STORED);
                        for (lanes, to) in lanes.zip(results.iter_mut().skip(part).step_by(parts)) {
                            let [first, others] = [&lanes[..1], &lanes[1..LEFT]];
                            *to = others.iter().fold(first[0].widen(), |all, x| all.join(x.widen(), self.fold));
                        }
                    }
                }
                blocks.start += if grid.cut == last { rows * parts } else { rows.div_ceil(grid.block_places()) };
            }
        });
    }

    /// As many rows as can be combined together from the first of some blocks on.
    fn group(&self, blocks: Range<usize>) -> Group {
        let grid = &self.job.grid;
        let last = grid.extents.len() - 1;
        let first = grid.block(blocks.start);
        let alike = |number: &usize| grid.block(*number).follows(&first);
        if grid.cut < last {
            let most = blocks.take((AT_ONCE / grid.block_places()).max(1)).take_while(alike);
            let rows = most.map(|number| grid.block(number).places).sum::<usize>();
            return Group { rows, parts: 1, axis: grid.cut, step: 1 };
        }
        let parts = grid.parts();
        if last > 0 && parts <= FEW && blocks.start.is_multiple_of(parts) && blocks.len() >= parts {
            let (row, n) = (blocks.start / parts, grid.extents[last - 1]);
            let rows = (blocks.len() / parts).min(n - row % n).min(AT_ONCE);
            return Group { rows, parts, axis: last - 1, step: 1 };
        }
        let same = |number: &usize| alike(number) && grid.block(*number).len == first.len;
        Group { rows: blocks.take(AT_ONCE).take_while(same).count(), parts: 1, axis: last, step: grid.block_places() }
    }

    /// Combines the given number of rows of `sink.len()` columns, from a block on.
    pub fn columns<T: Number>(&self, first: usize, rows: usize, mut sink: Pieces<T>) {
        let (grid, width) = (&self.job.grid, sink[0].len());
        let first = grid.block(first);
        let axis = grid.extents.len() - 2;
        let (native, splats) = (self.native(), self.splats::<T>());
        let mut table = native.table();
        let strides: SmallVec<[usize; 16]> = self.job.inputs.iter().map(|input| input.strides[axis] as usize).collect();
        let start = T::start(self.fold);
        with_scratch(self.job.code.outputs * width, |scratch: &mut [T]| {
            scratch.fill(start);
            let mut places = self.places(&splats);
            places.resize_with(self.job.code.accumulator(0), || Place::Read(&[]));
            places.extend(scratch.chunks_exact_mut(width).map(Place::Write));
            for row in (0..rows).step_by(ROWS) {
                self.aim(&mut places, |input| grid.offset(&first, &input.strides) + row as isize * input.strides[axis]);
                native.run(&mut table, &mut places, [ROWS.min(rows - row), width], &strides);
                for (place, sink) in places[self.job.code.accumulator(0)..].iter_mut().zip(&mut sink) {
                    let Place::Write(running) = place else { unreachable!("accumulators can be written") };
                    T::flush(self.fold, sink, running);
                    running.fill(start);
                }
            }
        });
    }
}
