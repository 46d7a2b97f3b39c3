//! Operations on tensors. Each stands with its shape rule, gradient, documentation and samples in one place.

mod activation;
mod arith;
mod compare;
mod create;
mod cross_entropy;
mod einsum;
mod gather;
mod index;
mod ix;
mod join;
mod loss;
mod matmul;
mod norm;
mod pad;
mod random;
mod rearrange;
mod reduce;
mod scan;
mod select;
mod slicing;
mod softmax;
mod sort;
mod split;
mod view;

pub use cross_entropy::CrossEntropy;
pub use ix::{Ellipsis, Indices, Ix, NewAxis, step};
pub use loss::Reduction;
pub use pad::Pad;
pub use split::Indexing;
