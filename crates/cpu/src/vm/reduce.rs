//! Folds of programs that are machine code. They combine the same elements in the same order as blocks do.

use super::code::Code;
use super::flat_in_rows;
use super::machine::{Input, Job, Place, with_scratch};
use super::plan::{Piece, Plan, Purpose};
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
    Some(code.plan(size_of::<T>(), flat, purpose, true)).filter(|plan| plan.is_native())
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
    pub fn rows<T: Number>(&self, blocks: Range<usize>, mut sink: Pieces<T>) {
        let grid = &self.job.grid;
        let last = grid.extents.len() - 1;
        let parts = grid.cut == last;
        let full = grid.block_places();
        let stride = |input: &Input| match (parts, input.strides[last]) {
            (true, 0) => 0,
            (true, _) => full,
            (false, _) => input.strides[grid.cut] as usize,
        };
        let (native, splats) = (self.native(), self.splats::<T>());
        let mut table = native.table();
        let mut strides: SmallVec<[usize; 16]> = self.job.inputs.iter().map(stride).collect();
        strides.resize(self.job.code.first_output(), 0);
        with_scratch(self.job.code.outputs * AT_ONCE * STORED, |scratch: &mut [T]| {
            let mut places = self.places(&splats);
            places.extend(scratch.chunks_exact_mut(AT_ONCE * STORED).map(Place::Write));
            let mut next = blocks.start;
            while next < blocks.end {
                let first = grid.block(next);
                let len = if parts { first.len } else { grid.extents[last] };
                let mut rows = 0;
                // Blocks that go on where the last one ended.
                while next < blocks.end {
                    let block = grid.block(next);
                    let more = block.len / len;
                    if !block.follows(&first) || !block.len.is_multiple_of(len) || rows + more > AT_ONCE {
                        break;
                    }
                    rows += more;
                    next += 1;
                }
                self.aim(&mut places, |input| grid.offset(&first, &input.strides));
                native.run(&mut table, &mut places, [rows, len], &strides);
                for (lanes, sink) in places[self.job.code.first_output()..].iter().zip(&mut sink) {
                    let rows = lanes.get()[..rows * STORED].chunks_exact(STORED).zip(take_front(sink, rows));
                    for (lanes, to) in rows {
                        let [first, others] = [&lanes[..1], &lanes[1..LEFT]];
                        *to = others.iter().fold(first[0].widen(), |all, x| all.join(x.widen(), self.fold));
                    }
                }
            }
        });
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
