//! Tensors, reverse-mode differentiation and the operations of the Cotangent framework.
//!
//! The crate depends on no backend: devices implement [`Backend`](backend::Backend), and the naive
//! [`reference`] backend, which is part of it, is their specification. Applications use the facade crate `cotangent`,
//! which brings the CPU backend.
//!
//! | module | what is in it |
//! |---|---|
//! | [`expr`] | scalar formulas, their derivatives, their CUDA text: the table of primitives |
//! | [`backend`] | what a device must be able to do |
//! | [`check`] | gradient checks and the conformance suite |
//! | [`autograd`](mod@autograd) | gradients, Jacobians, Hessians, checkpoints |
//! | [`mod@module`] | models as plain structs: parameters, freezing, saved states |
//! | [`rng`] | random numbers by counter |
//!
//! ```
//! use cotangent_core::*;
//! let w = Tensor::new([0.5, -1.0], [2]).tracked();
//! let loss = (&w * 2.0).tanh().square().sum(..);
//! let grads = loss.backward();
//! assert_eq!(grads[&w].shape(), w.shape());
//! ```

mod approx;
pub mod autograd;
pub mod backend;
pub mod check;
mod device;
mod dtype;
mod error;
pub mod expr;
mod fault;
pub mod host;
mod kernel;
pub mod module;
mod ops;
mod pointwise;
mod print;
pub mod reference;
pub mod rng;
mod shape;
mod tape;
mod tensor;

pub use autograd::{
    Grads, checkpoint, custom_vjp, hessian, hvp, jacobian, jvp, value_and_grad, vjp,
};
pub use backend::{Fold, Memory};
pub use device::{DefaultDevice, Device};
pub use dtype::{Bool, Compute, DType, Element};
pub use error::{Error, attempt};
pub use expr::{Expr, IntoExpr};
pub use half::{bf16, f16};
pub use inventory;
pub use module::{Buffer, LoadError, Module, Param, StateMap};
pub use kernel::{HostOutput, HostView, Kernel};
pub use ops::{CrossEntropy, Reduction, Ellipsis, Indexing, Indices, Ix, NewAxis, Pad, step};
pub use pointwise::{Operand, Pointwise, pointwise};
pub use rng::Rng;
pub use shape::{Axes, INFER, Layout, Shape, Strides, keep, resolve_axis};
pub use tape::{HookHandle, Record, anomaly, live_nodes, no_grad};
pub use tensor::Tensor;
