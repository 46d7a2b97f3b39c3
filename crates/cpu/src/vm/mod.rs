//! Programs over tensors: a virtual machine whose instructions work on blocks.

pub mod code;
mod fold;
pub mod machine;
mod map;
mod plan;
mod reduce;
mod small;

pub use fold::fold;

pub use map::{map, map_all};

use crate::Cpu;
use crate::axes::{Extents, Grid};
use crate::number::Number;
use crate::strided::{pack, with_bits};
use code::Code;
use cotangent_core::backend::{Arg, Call, Storage, View};
use cotangent_core::host::HostBuffer;
use cotangent_core::{DType, Layout, Strides};
use machine::{Access, Input, Job};
use plan::{Key, Purpose};
use smallvec::SmallVec;

/// The element type that decides what a program computes in: that of the arguments that are not truth values.
pub fn compute_dtype(args: &[Arg]) -> DType {
    let value = args.iter().map(|arg| arg.view().dtype).find(|&dtype| dtype != DType::Bool);
    value.unwrap_or(DType::Bool)
}

/// The call's axes, merged where `mergeable` allows, with the strides of each argument along them.
fn axes(call: &Call, mergeable: impl Fn(usize, usize) -> bool) -> (Extents, SmallVec<[Strides; 4]>, Extents) {
    let strides: SmallVec<[&[isize]; 4]> = call.args.iter().map(|arg| &arg.view().layout.strides[..]).collect();
    crate::axes::merged(call.shape, &strides, mergeable)
}

/// Rows from this length on are read badly if their elements lie apart: the lines of memory that a row touches have left
/// the cache when the next row needs them.
const LONG: usize = 4096;

/// Copies of large arguments with long rows of scattered elements; see [`with_copies`].
fn straightened(cpu: &Cpu, call: &Call) -> Vec<Option<(Storage, Layout)>> {
    let count = call.shape.count();
    if count < 16 * LONG {
        return vec![];
    }
    let copy = |arg: &Arg| {
        let View { storage, layout, dtype } = arg.view();
        let repeats = layout.strides.iter().zip(call.shape.iter()).any(|(&stride, &n)| stride == 0 && n > 1);
        let scattered = call.shape.last().zip(layout.strides.last()).is_some_and(|(&n, &s)| n >= LONG && s.abs() > 1);
        (scattered && !repeats).then(|| {
            let mut copy = cpu.buffer(dtype, count);
            with_bits!(dtype.size(), B => pack(cpu, copy.slice_mut::<B>(), storage.get::<HostBuffer>().slice(), layout));
            (Storage::new(copy), Layout::contiguous(call.shape))
        })
    };
    call.args.iter().map(copy).collect()
}

/// The call with copies in the place of its arguments, where there are any.
fn with_copies<'b, 'a: 'b>(call: Call<'a>, copies: &'b [Option<(Storage, Layout)>]) -> Call<'b> {
    let Call { program, uniforms, args, shape, outputs } = call;
    let copied = |(k, arg): (usize, Arg<'a>)| match copies.get(k) {
        Some(Some((storage, layout))) => Arg::Shared(View { storage, layout, dtype: arg.view().dtype }),
        _ => arg,
    };
    Call { program, uniforms, args: args.into_iter().enumerate().map(copied).collect(), shape, outputs }
}

/// Elements from which on a program becomes machine code.
const NATIVE: usize = 2048;
/// Elements of a block whose values stay in registers: few enough that threads share a small tensor.
const NATIVE_BLOCK: usize = 16 * 1024;
/// Bytes of a tensor from which on its elements are fetched ahead.
const FAR: usize = 2 << 20;
/// Shorter rows are not worth what machine code does before each.
const NATIVE_ROW: usize = 48;

/// The arguments, of those that are read, that are one number in each row, as bits. `None` if not all lie in rows that
/// machine code can read in place. Of each argument: whether it is read, its element type, its strides.
fn flat_in_rows<'a, T: Number>(args: impl Iterator<Item = (bool, DType, &'a Strides)>) -> Option<u64> {
    let mut flat = 0;
    for (k, (_, dtype, strides)) in args.enumerate().filter(|(_, (read, ..))| *read) {
        let (&inner, outer) = strides.split_last()?;
        let forward = outer.last().is_none_or(|&stride| stride >= 0);
        if dtype != T::DTYPE || !forward || !matches!(inner, 0 | 1) {
            return None;
        }
        flat |= u64::from(inner == 0) << k;
    }
    Some(flat)
}

/// Whether some of these numbers of bytes are more than the caches close to a core hold.
fn far(mut bytes: impl Iterator<Item = usize>) -> bool {
    bytes.any(|bytes| bytes >= FAR)
}

impl<'a> Job<'a> {
    /// A job on blocks of up to `width` elements.
    fn new<T: Number>(
        code: &'a Code,
        uniforms: &'a [f64],
        grid: Grid,
        inputs: SmallVec<[Input<'a>; 4]>,
        purpose: Purpose,
        width: usize,
    ) -> Job<'a> {
        let first = grid.cut + (grid.block_places() == 1) as usize;
        let flat = inputs.iter().enumerate().fold(0, |flat, (k, input)| {
            let still = input.strides[first..].iter().all(|&stride| stride == 0);
            flat | u64::from(still && !matches!(input.access, Access::Donated(_))) << k
        });
        let many = grid.extents.iter().product::<usize>() >= NATIVE;
        let far = far(inputs.iter().map(|x| x.bytes.len()));
        let plan = code.plan(Key { size: size_of::<T>(), flat, purpose, native: many && T::DTYPE.is_float(), far });
        Job { code, uniforms, grid, inputs, plan, width }
    }
}

impl<'a> Input<'a> {
    fn new<T: Number>(view: View<'a>, strides: Strides, grid: &Grid, read: bool) -> Input<'a> {
        let access = if read { Access::of::<T>(grid, view.dtype, &strides) } else { Access::Unread };
        Input::with(view, strides, access)
    }

    fn with(view: View<'a>, strides: Strides, access: Access) -> Input<'a> {
        let bytes = view.storage.get::<HostBuffer>().bytes();
        Input { bytes, dtype: view.dtype, offset: view.layout.offset, strides, access }
    }
}
