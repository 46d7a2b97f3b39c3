//! Operations on tensors. Each stands with its shape rule, gradient, documentation and samples in one place.

mod arith;
mod create;
mod gather;
mod index;
mod join;
mod matmul;
mod rearrange;
mod reduce;
mod scan;
mod view;
