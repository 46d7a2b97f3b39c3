//! Programs over tensors: a virtual machine whose instructions work on blocks.

mod code;
mod fold;
mod machine;
mod map;

pub use fold::fold;

pub use map::map;

use crate::axes::{Extents, Grid};
use crate::number::Number;
use cotangent_core::backend::{Arg, Call, View};
use cotangent_core::host::HostBuffer;
use cotangent_core::{DType, Strides};
use machine::{Access, Input};
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

impl<'a> Input<'a> {
    fn new<T: Number>(view: View<'a>, strides: Strides, grid: &Grid, read: bool) -> Input<'a> {
        let access = if read { Access::of::<T>(grid, view.dtype, &strides) } else { Access::Unread };
        let bytes = view.storage.get::<HostBuffer>().bytes();
        Input { bytes, dtype: view.dtype, offset: view.layout.offset, strides, access }
    }
}
