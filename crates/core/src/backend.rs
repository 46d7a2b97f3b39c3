//! What a device must be able to do: about a dozen methods, none of which knows about gradients.
//!
//! A backend receives checked calls: shapes agree, element types are those the method documents, axes exist. It
//! returns fresh row-major storage. [`reference`](crate::reference) is the specification in plain loops, and
//! [`check::conformance`](crate::check::conformance) compares a backend with it.

use crate::dtype::DType;
use crate::error::Error;
use crate::expr::Program;
use crate::kernel::Kernel;
use crate::shape::{Layout, Shape};
use smallvec::SmallVec;
use std::any::Any;
use std::fmt::Debug;
use std::sync::Arc;

/// Memory of a device, shared by the tensors that view it. What is inside is the backend's affair.
#[derive(Clone)]
pub struct Storage(Arc<dyn Any + Send + Sync>);

impl Storage {
    /// Wraps a backend's buffer.
    pub fn new<T: Any + Send + Sync>(buffer: T) -> Storage {
        Storage(Arc::new(buffer))
    }

    /// The backend's buffer.
    pub fn get<T: Any + Send + Sync>(&self) -> &T {
        self.0.downcast_ref().expect("a storage belongs to the backend that made it")
    }

    /// The backend's buffer for writing, if nothing else shares it.
    pub fn get_mut<T: Any + Send + Sync>(&mut self) -> Option<&mut T> {
        Arc::get_mut(&mut self.0).map(|any| any.downcast_mut().expect("a storage belongs to the backend that made it"))
    }
}

/// The elements of a tensor, as a backend sees them.
#[derive(Clone, Copy)]
pub struct View<'a> {
    /// Memory.
    pub storage: &'a Storage,
    /// Where the elements lie.
    pub layout: &'a Layout,
    /// Their type.
    pub dtype: DType,
}

/// An argument of a call: read, or given up so that the result may be written over it.
pub enum Arg<'a> {
    /// Only to be read.
    Shared(View<'a>),
    /// The caller does not need the storage any more; the backend may overwrite it if nothing else shares it.
    Owned(Storage, &'a Layout, DType),
}

impl Arg<'_> {
    /// The elements.
    pub fn view(&self) -> View<'_> {
        match self {
            Arg::Shared(view) => *view,
            Arg::Owned(storage, layout, dtype) => View { storage, layout, dtype: *dtype },
        }
    }
}

/// A program over tensors: one call of [`Backend::map`] or [`Backend::fold`].
pub struct Call<'a> {
    /// The scalar function.
    pub program: &'a Program,
    /// Its run-time constants.
    pub uniforms: &'a [f64],
    /// One argument for each of the program's; all layouts have the shape `shape` (broadcast by strides of 0).
    pub args: SmallVec<[Arg<'a>; 4]>,
    /// The shape iterated over.
    pub shape: &'a Shape,
    /// Element types of the outputs.
    pub outputs: &'a [DType],
}

/// Results of a call, one for each output.
pub type Outputs = SmallVec<[Storage; 2]>;

/// How a reduction combines elements.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Fold {
    /// Sum, 0 over nothing. Blocked, so that the rounding error grows with the logarithm of the count.
    Sum,
    /// Product, 1 over nothing.
    Prod,
    /// Largest, NaN if any is; −∞ (or the smallest integer) over nothing.
    Max,
    /// Smallest, NaN if any is; +∞ (or the largest integer) over nothing.
    Min,
}

/// Several programs over the same rows: one call of [`Backend::rows`]. Inputs, and results of the steps in order, are
/// numbered as values.
pub struct RowSteps<'a> {
    /// Values from outside, of one floating-point type. All have the same number of axes; extents of 1 are stretched.
    pub inputs: SmallVec<[View<'a>; 6]>,
    /// What is computed of them.
    pub steps: SmallVec<[RowStep<'a>; 6]>,
    /// The axes that folds reduce, to extents of 1. The first one is not among them: the rows lie along it.
    pub reduced: &'a [bool],
    /// The element type of all values.
    pub dtype: DType,
    /// The values to return.
    pub wanted: SmallVec<[usize; 4]>,
}

impl RowSteps<'_> {
    /// Extents of all values.
    pub fn shapes(&self) -> Vec<Shape> {
        let mut shapes: Vec<Shape> = self.inputs.iter().map(|input| input.layout.shape.clone()).collect();
        for step in &self.steps {
            let shape = if step.fold.is_some() { step.shape.reduced(self.reduced, true) } else { step.shape.clone() };
            shapes.extend(std::iter::repeat_n(shape, step.program.outputs().len()));
        }
        shapes
    }
}

/// A step of [`RowSteps`].
pub struct RowStep<'a> {
    /// The scalar function.
    pub program: &'a Program,
    /// Its run-time constants.
    pub uniforms: &'a [f64],
    /// The values that are its arguments.
    pub args: SmallVec<[usize; 6]>,
    /// The shape iterated over, to which the arguments are stretched.
    pub shape: Shape,
    /// How its outputs are folded over the reduced axes; `None` if they are stored.
    pub fold: Option<Fold>,
}

/// How a scan combines elements along an axis.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Scan {
    /// Running sum.
    Sum,
    /// Running largest.
    Max,
    /// Running smallest.
    Min,
    /// Running ln Σ eˣ.
    LogSumExp,
    /// The recurrence hₖ = aₖ·hₖ₋₁ + bₖ with h₋₁ = 0; the arguments are `a` and `b`.
    Linear,
}

/// What a scatter does where an element is hit.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Scatter {
    /// Replaces it; the last one in order of the source wins.
    Set,
    /// Adds to it, in order of the source.
    Add,
}

/// A device.
///
/// Every method computes in [`DType::compute`] of the element type (integers in `i64`, wrapping) and rounds once when
/// it stores. Results must not depend on the number of threads.
pub trait Backend: Debug + Send + Sync + 'static {
    /// Name for messages, such as `cpu` or `cuda:0`.
    fn name(&self) -> String;

    /// The number of elements from which on chains of elementwise operations on `f32` and `f64` are put off, and given
    /// to [`map`](Backend::map) and [`fold`](Backend::fold) as one program. The results must have the bits of one
    /// operation after the other, which holds if every step of a program is rounded to the element type. By default,
    /// nothing is put off.
    fn defers_from(&self) -> usize {
        usize::MAX
    }

    /// Storage holding `bytes` (elements in native byte order).
    fn upload(&self, dtype: DType, bytes: &[u8]) -> Result<Storage, Error>;

    /// Writes the elements of `view` in row-major order into `bytes`.
    fn download(&self, view: View, bytes: &mut [u8]) -> Result<(), Error>;

    /// Evaluates a program at every element.
    fn map(&self, call: Call) -> Outputs;

    /// Evaluates several programs that do not depend on each other, each as [`map`](Backend::map) does. A backend can do
    /// better than one after the other, which many small ones gain from.
    fn map_all(&self, calls: Vec<Call>) -> Vec<Outputs> {
        calls.into_iter().map(|call| self.map(call)).collect()
    }

    /// Evaluates a program at every element and folds its outputs over the axes marked in `reduced`. The result is
    /// row-major over the other axes.
    fn fold(&self, call: Call, fold: Fold, reduced: &[bool]) -> Outputs;

    /// Evaluates steps that work on each row by itself: its statistics, then what is made of it by them. The results are
    /// those of [`map`](Backend::map) and [`fold`](Backend::fold), one step after the other, but for the rounding of sums.
    /// `None`, which is the default, if the backend does not gain from having them together.
    fn rows(&self, _: RowSteps) -> Option<SmallVec<[Storage; 4]>> {
        None
    }

    /// Position (`I64`) along `axis` of the first largest element, or smallest; the first NaN wins.
    fn arg_fold(&self, x: View, axis: usize, largest: bool) -> Storage;

    /// Scans along `axis`, from the end if `reverse`. The arguments have one shape and element type.
    fn scan(&self, scan: Scan, args: &[View], axis: usize, reverse: bool) -> Storage;

    /// Positions (`I64`) that sort along `axis`, stably; NaN sorts last in both directions.
    fn argsort(&self, x: View, axis: usize, descending: bool) -> Storage;

    /// Matrix products `[batch.., m, k] · [batch.., k, n]`; the batch axes agree (stretched by strides of 0).
    /// `f16`, `bf16` and `f32` accumulate in `f32`.
    fn matmul(&self, a: View, b: View) -> Storage;

    /// `out[.., i, ..] = x[.., index[.., i, ..], ..]` along `axis`. The index (`I64`) has x's extents on the other
    /// axes. `Err` names the first index outside of `0..extent`.
    fn gather(&self, x: View, index: View, axis: usize) -> Result<Storage, OutOfRange>;

    /// A copy of `base` into which `source` goes at `index` along `axis`; see [`Backend::gather`].
    fn scatter(&self, base: Arg, index: View, source: View, axis: usize, mode: Scatter) -> Result<Storage, OutOfRange>;

    /// A copy of `base` in which the elements at `region` (positions in the row-major copy, each at most once) are
    /// those of `source`.
    fn assign(&self, base: Arg, region: &Layout, source: View) -> Storage;

    /// Runs a hand-written kernel; see [`Kernel`].
    fn launch(&self, kernel: &Kernel, inputs: &[View], outputs: &[(Shape, DType)], params: &[f64]) -> Outputs;

    /// Bytes that live tensors hold now, and the most they held. For tests and reports.
    fn memory(&self) -> Memory;

    /// Waits until all work is done.
    fn synchronize(&self) -> Result<(), Error> {
        Ok(())
    }
}

/// An index outside of its axis.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct OutOfRange {
    /// The index.
    pub index: i64,
    /// Its row-major position in the tensor of indices.
    pub position: usize,
}

/// Memory in use, in bytes.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Memory {
    /// Held by live tensors.
    pub live: usize,
    /// The most that was held at one time.
    pub peak: usize,
}
