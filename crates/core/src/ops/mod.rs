//! Operations on tensors. Each stands with its shape rule, gradient, documentation and samples in one place.

mod activation;
mod arith;
mod compare;
mod create;
mod gather;
mod index;
mod join;
mod matmul;
mod rearrange;
mod reduce;
mod scan;
mod select;
mod slicing;
mod sort;
mod view;

pub use slicing::{Ellipsis, Indices, Ix, NewAxis, step};
