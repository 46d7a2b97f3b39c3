//! Runs a program on one block after the other.

use super::code::{Code, Op, Step};
#[cfg(doc)]
use super::plan::Purpose;
use super::plan::{Piece, Plan};
use crate::axes::{Block, Grid};
use crate::native::Table;
use crate::number::Number;
use crate::strided::{cast, read};
use cotangent_core::host::{Line, allocate};
use cotangent_core::{DType, Strides, bf16, f16, with_element};
use half::slice::HalfFloatSliceExt;
use smallvec::SmallVec;
use std::cell::RefCell;
use std::sync::Arc;

/// An argument in memory.
pub struct Input<'a> {
    /// Its whole storage.
    pub bytes: &'a [u8],
    /// Type of its elements.
    pub dtype: DType,
    /// Position of its first element.
    pub offset: usize,
    /// Distances along the merged axes.
    pub strides: Strides,
    /// How blocks get at it.
    pub access: Access,
}

/// How blocks get at the elements of an argument.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Access {
    /// The program does not read it.
    Unread,
    /// In place.
    Direct,
    /// Copied, once: it is the same in all blocks.
    Same,
    /// Copied for each block.
    Copied,
    /// Its memory is that of an output, from which each block is copied before it is overwritten.
    Donated(usize),
}

impl Access {
    /// The cheapest access to an argument of the given type and strides.
    pub fn of<T: Number>(grid: &Grid, dtype: DType, strides: &[isize]) -> Access {
        let mut step = 1;
        let mut direct = T::DTYPE == dtype;
        for axis in (grid.cut..grid.extents.len()).rev() {
            direct &= strides[axis] == step || grid.extents[axis] == 1;
            step *= grid.extents[axis] as isize;
        }
        // The cut axis counts as varying unless each block has all of it.
        let varies = |axis: usize| strides[axis] != 0 && grid.extents[axis] != 1;
        let same = !(0..grid.cut).any(varies) && (!varies(grid.cut) || grid.whole());
        match (direct, same) {
            (true, _) => Access::Direct,
            (_, true) => Access::Same,
            _ => Access::Copied,
        }
    }
}

/// Everything that is the same for all blocks of a call.
pub struct Job<'a> {
    /// The program.
    pub code: &'a Code,
    /// Its run-time constants.
    pub uniforms: &'a [f64],
    /// The iteration space.
    pub grid: Grid,
    /// The arguments.
    pub inputs: SmallVec<[Input<'a>; 4]>,
    /// How the program runs.
    pub plan: Arc<Plan>,
    /// Elements of memory for each place that has none of its own: a block, or one if none needs more.
    pub width: usize,
}

/// A place that values are read from and perhaps written to.
pub enum Place<'a, T> {
    /// An argument that is read where it lies.
    Read(&'a [T]),
    /// Anything else.
    Write(&'a mut [T]),
    /// An argument that lies where the result of the given place goes. Only a program in one piece can read it.
    Overwritten(u16),
}

impl<T> Place<'_, T> {
    /// The values.
    pub fn get(&self) -> &[T] {
        match self {
            Place::Read(values) => values,
            Place::Write(values) => values,
            Place::Overwritten(_) => unreachable!("several pieces of a program read what one of them overwrites"),
        }
    }
}

/// The places of a program and what runs on them.
pub struct Machine<'a, T> {
    code: &'a Code,
    uniforms: &'a [f64],
    /// In the order that [`Code`] says.
    pub places: SmallVec<[Place<'a, T>; 12]>,
    /// The pieces that the program runs in, and the tables of those of machine code; single steps if there is none.
    plan: Option<(&'a Plan, Vec<Table>)>,
    /// Elements of a row, if a block is more than one.
    row: usize,
    /// Distances of the places from one row to the next.
    strides: SmallVec<[usize; 16]>,
}

/// Elements of a flat step that are computed; the others are copies.
const FLAT: usize = 16;

impl<'a, T: Number> Machine<'a, T> {
    /// A machine without places.
    #[inline]
    pub fn new(code: &'a Code, uniforms: &'a [f64]) -> Machine<'a, T> {
        let (places, strides) = (SmallVec::new(), SmallVec::new());
        Machine { code, uniforms, places, plan: None, row: usize::MAX, strides }
    }

    /// Adds the places of the splats, for blocks of up to `len` elements.
    #[inline]
    pub fn push_splats(&mut self, len: usize, mut fresh: impl FnMut() -> &'a mut [T]) {
        for splat in &self.code.splats {
            let place = fresh();
            place[..len].fill(T::of(splat.value(self.uniforms)));
            self.places.push(Place::Write(place));
        }
    }

    /// Runs the program on `len` elements, which are those from `start` on in row-major order.
    #[inline]
    pub fn run(&mut self, start: usize, len: usize) {
        let Some((plan, mut tables)) = self.plan.take() else {
            return (0..self.code.steps.len()).for_each(|at| self.step(at, start, len, len));
        };
        let mut table = tables.iter_mut();
        for piece in &plan.pieces {
            match piece {
                Piece::Native(native) => {
                    let table = table.next().expect("each piece of machine code has a table");
                    let row = self.row.min(len);
                    native.run(table, &mut self.places, [len / row, row], &self.strides);
                }
                Piece::Step(at) => {
                    let computed = if plan.flat[*at] { len.min(FLAT) } else { len };
                    self.step(*at, start, len, computed);
                }
            }
        }
        self.plan = Some((plan, tables));
    }

    /// Runs one step on `computed` of `len` elements; the others are copies.
    #[inline]
    fn step(&mut self, at: usize, start: usize, len: usize, computed: usize) {
        let step = &self.code.steps[at];
        let place = std::mem::replace(&mut self.places[step.to as usize], Place::Read(&[]));
        let Place::Write(whole) = place else { unreachable!("results go to places that can be written") };
        self.compute(step, start, &mut whole[..computed]);
        if computed < len {
            let value = whole[0];
            whole[computed..len].fill(value);
        }
        self.places[step.to as usize] = Place::Write(whole);
    }

    #[inline]
    fn compute(&self, step: &Step, start: usize, to: &mut [T]) {
        let at = |k: usize| &self.places[step.from[k] as usize].get()[..to.len()];
        match step.op {
            Op::Unary(op) => T::unary(op, to, at(0)),
            Op::Binary(op) => T::binary(op, to, at(0), at(1)),
            Op::Select => T::select(to, at(0), at(1), at(2)),
            Op::Copy => to.copy_from_slice(at(0)),
            Op::Random(draw, k) => {
                let words = &self.uniforms[k..][..4];
                let ticket = [words[0] as u32, words[1] as u32, words[2] as u32, words[3] as u32];
                T::random(draw, ticket, start as u64, to);
            }
        }
    }

    /// The place of an output.
    #[inline]
    fn output(&self, output: usize) -> usize {
        self.code.first_output() + output
    }

    /// Makes the next results of an output go to `memory`.
    #[inline]
    pub fn direct(&mut self, output: usize, memory: &'a mut [T]) {
        let place = self.output(output);
        self.places[place] = Place::Write(memory);
    }

    /// The results of an output that were computed last, where they come from: see [`Purpose::Inspect`].
    #[inline]
    pub fn inspect(&self, output: usize) -> &[T] {
        self.places[self.code.origins[output] as usize].get()
    }

    /// The results of an output that were computed last.
    #[inline]
    pub fn result(&self, output: usize) -> &[T] {
        self.places[self.output(output)].get()
    }
}

thread_local! {
    /// Memory of the machines of this thread.
    static SCRATCH: RefCell<Vec<Line>> = const { RefCell::new(Vec::new()) };
}

/// Runs `f` with memory for `len` elements, of any content.
pub fn with_scratch<T: Number, R>(len: usize, f: impl FnOnce(&mut [T]) -> R) -> R {
    let lines = (len * size_of::<T>()).div_ceil(size_of::<Line>());
    // A thread that waits for others may run another piece of work meanwhile, so the memory is taken out.
    let mut scratch = SCRATCH.take();
    if scratch.len() < lines {
        scratch = allocate("cpu", lines).unwrap_or_else(|error| error.throw());
    }
    let result = f(&mut bytemuck::cast_slice_mut(&mut scratch[..lines])[..len]);
    SCRATCH.set(scratch);
    result
}

impl Job<'_> {
    /// Elements of memory that a machine needs.
    pub fn scratch(&self) -> usize {
        let copied = self.inputs.iter().filter(|x| !matches!(x.access, Access::Unread | Access::Direct)).count();
        (copied + self.code.splats.len() + self.code.outputs + self.code.temporaries) * self.width
    }

    /// Whether it is one piece of machine code on rows, whose values stay in registers.
    pub fn is_native(&self) -> bool {
        self.width == 1
    }

    /// Number of elements.
    pub fn count(&self) -> usize {
        self.grid.extents.iter().product()
    }
}

/// A machine that runs blocks of a job, for one thread.
pub struct Worker<'a, 'j, T> {
    job: &'a Job<'j>,
    /// The places.
    pub machine: Machine<'a, T>,
    /// Whether the arguments that are the same in all blocks have been copied.
    loaded: bool,
}

impl<'a, 'j, T: Number> Worker<'a, 'j, T> {
    /// A worker in `scratch`, which holds as many elements as [`Job::scratch`] says.
    pub fn new(job: &'a Job<'j>, scratch: &'a mut [T]) -> Worker<'a, 'j, T> {
        let mut blocks = scratch.chunks_exact_mut(job.width);
        let mut fresh = || blocks.next().expect("enough scratch memory");
        let mut machine = Machine::new(job.code, job.uniforms);
        for input in &job.inputs {
            machine.places.push(match input.access {
                Access::Unread | Access::Direct => Place::Read(&[]),
                Access::Donated(output) if job.is_native() => {
                    Place::Overwritten((job.code.first_output() + output) as u16)
                }
                Access::Same | Access::Copied | Access::Donated(_) => Place::Write(fresh()),
            });
        }
        machine.push_splats(job.width.min(job.grid.block_len()), &mut fresh);
        (0..job.code.outputs + job.code.temporaries).for_each(|_| machine.places.push(Place::Write(fresh())));
        let native = |piece: &Piece| if let Piece::Native(native) = piece { Some(native.table()) } else { None };
        machine.plan = Some((&job.plan, job.plan.pieces.iter().filter_map(native).collect()));
        if job.is_native()
            && let Some(row) = job.grid.row()
        {
            machine.row = row;
            let stride = |input: &Input| input.strides[job.grid.cut] as usize;
            machine.strides.extend(job.inputs.iter().map(stride));
            machine.strides.resize(job.code.first_output(), 0);
            machine.strides.resize(job.code.first_output() + job.code.outputs, row);
        }
        Worker { job, machine, loaded: false }
    }

    /// Makes the arguments of a block available. Those that were donated come from `outputs`, the memory of the
    /// block's results.
    pub fn load(&mut self, block: &Block, outputs: &[&mut [u8]]) {
        let job = self.job;
        for (input, place) in job.inputs.iter().zip(&mut self.machine.places) {
            match (input.access, place) {
                (Access::Direct, place) => {
                    let at = input.offset as isize + job.grid.offset(block, &input.strides);
                    let values = &cast::<T>(input.bytes)[at as usize..];
                    // Machine code checks how far rows reach.
                    if !job.is_native() {
                        prefetch_after(&values[..block.len]);
                    }
                    *place = Place::Read(values);
                }
                (Access::Copied, Place::Write(to)) => input.copy(&job.grid, block, &mut to[..block.len]),
                (Access::Same, Place::Write(to)) if !self.loaded => {
                    let first = job.grid.block(0);
                    input.copy(&job.grid, &first, &mut to[..first.len]);
                }
                (Access::Donated(output), Place::Write(to)) => {
                    prefetch_after(outputs[output]);
                    load(input.dtype, outputs[output], 0, &[block.len], &[1], &mut to[..block.len]);
                }
                _ => {}
            }
        }
        self.loaded = true;
    }

    /// Loads a block and runs the program on it.
    pub fn evaluate(&mut self, block: &Block) {
        self.load(block, &[]);
        self.machine.run(block.start, block.len);
    }
}

impl Input<'_> {
    /// Copies a block.
    fn copy<T: Number>(&self, grid: &Grid, block: &Block, to: &mut [T]) {
        let at = self.offset as isize + grid.offset(block, &self.strides);
        let mut extents: SmallVec<[usize; 6]> = SmallVec::from_slice(&grid.extents[grid.cut..]);
        extents[0] = block.places;
        load(self.dtype, self.bytes, at, &extents, &self.strides[grid.cut..], to);
    }
}

/// Reads elements of any type into those that are computed with.
pub fn load<T: Number>(dtype: DType, bytes: &[u8], at: isize, extents: &[usize], strides: &[isize], to: &mut [T]) {
    if extents.len() == 1
        && strides[0] == 1
        && dtype.is_half()
        && let Ok(to) = bytemuck::try_cast_slice_mut::<T, f32>(to)
        && T::DTYPE == DType::F32
    {
        let n = to.len();
        return match dtype {
            DType::F16 => cast::<f16>(bytes)[at as usize..][..n].convert_to_f32_slice(to),
            _ => cast::<bf16>(bytes)[at as usize..][..n].convert_to_f32_slice(to),
        };
    }
    with_element!(dtype, E => read(to, cast::<E>(bytes), at, extents, strides, |x| T::read(x)));
}

/// Rounds results to the type that they are stored as.
pub fn store<T: Number>(dtype: DType, results: &[T], bytes: &mut [u8]) {
    if dtype.is_half() && T::DTYPE == DType::F32 {
        let results: &[f32] = bytemuck::cast_slice(results);
        return match dtype {
            DType::F16 => crate::strided::cast_mut::<f16>(bytes).convert_from_f32_slice(results),
            _ => crate::strided::cast_mut::<bf16>(bytes).convert_from_f32_slice(results),
        };
    }
    with_element!(dtype, E => {
        let to = crate::strided::cast_mut::<E>(bytes);
        to.iter_mut().zip(results).for_each(|(to, &x)| *to = x.write());
    });
}

/// Asks the processor for the memory one slice's length behind a slice, as much as the slice has: most likely the block
/// after the next. A block is too short for the processor to see by itself that several arguments are read from end to
/// end.
#[inline]
#[cfg_attr(not(all(target_arch = "x86_64", not(miri))), allow(unused_variables))]
#[allow(unsafe_code)]
fn prefetch_after<T>(slice: &[T]) {
    #[cfg(all(target_arch = "x86_64", not(miri)))]
    {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        let (start, bytes) = (slice.as_ptr_range().end.cast::<i8>(), size_of_val(slice));
        for line in (bytes..2 * bytes).step_by(size_of::<Line>()) {
            // SAFETY: a prefetch is a hint. It reads nothing that the program could see, and an address without memory
            // behind it is ignored.
            unsafe { _mm_prefetch::<_MM_HINT_T0>(start.wrapping_add(line)) };
        }
    }
}
