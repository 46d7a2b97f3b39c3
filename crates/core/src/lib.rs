//! Tensors, reverse-mode differentiation and the operations of the Cotangent framework.
//!
//! The crate depends on no backend: devices implement [`Backend`](backend::Backend), and the naive
//! [`mod@reference`] backend, which is part of it, is their specification. Applications use the facade crate `cotangent`,
//! which brings the CPU backend.
//!
//! | module | what is in it |
//! |---|---|
//! | [`expr`] | scalar formulas, their derivatives, their CUDA text: the table of primitives |
//! | [`backend`] | what a device must be able to do |
//! | [`check`] | gradient checks and the conformance suite |
//! | [`autograd`](mod@autograd) | gradients, Jacobians, Hessians, checkpoints |
//! | [`mod@module`] | models as plain structs: parameters, freezing, saved states |
//! | [`profile`] | where the time goes |
//! | [`rng`] | random numbers by counter |
//!
//! ```
//! use cotangent_core::*;
//! let w = Tensor::new([0.5, -1.0], [2]).tracked();
//! let loss = (&w * 2.0).tanh().square().sum(..);
//! let grads = loss.backward();
//! assert_eq!(grads[&w].shape(), w.shape());
//! ```
//!
//! # An operation of your own
//!
//! There are four ways, from the least work to the most. All have gradients of every order, on every device.
//!
//! 1. **A composite** is a function of tensors:
//!    ```
//!    # use cotangent_core::*;
//!    fn cosine(a: &Tensor, b: &Tensor) -> Tensor {
//!        (a * b).sum(-1) / (a.square().sum(-1) * b.square().sum(-1)).sqrt()
//!    }
//!    ```
//! 2. **A scalar function**, with [`pointwise`], is one pass over memory; its derivatives are found by themselves. It can
//!    have several outputs, and [`fold`](Pointwise::fold) what it computes. A primitive that the table of
//!    [`expr`] lacks is one row in `expr/primitives.rs` and nothing else.
//!    ```
//!    # use cotangent_core::*;
//!    fn mish(x: &Tensor) -> Tensor {
//!        pointwise(|[x]| x * x.softplus().tanh()).named("mish").call([x])
//!    }
//!    ```
//! 3. **A structural operation** computes its result by any means and [records](Tensor::record) the gradient by each
//!    input, written with tensor operations. [`custom_vjp`] replaces the gradient of something that exists.
//!    ```
//!    # use cotangent_core::*;
//!    fn product(a: &Tensor, b: &Tensor) -> Tensor {
//!        no_grad(|| a.matmul(b))
//!            .record("product")
//!            .wrt(a, [b], |g, [b]| g.matmul(&b.t()))
//!            .wrt(b, [a], |g, [a]| a.t().matmul(g))
//!            .done()
//!    }
//!    ```
//! 4. **A kernel of your own** is a function for host memory and its twin in CUDA C: see [`Kernel`].
//!
//! [`check::gradcheck`](fn@check::gradcheck) checks each of them, and [`samples!`] makes it part of the conformance suite.

mod approx;
pub mod autograd;
pub mod backend;
pub mod check;
mod deferred;
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
mod prepared;
mod print;
pub mod profile;
pub mod reference;
pub mod rng;
mod rows;
mod shape;
mod tape;
mod tensor;

pub use autograd::{
    Grads, checkpoint, checkpoint_sequential, custom_vjp, grad_and_aux, hessian, hvp, jacobian, jvp, value_and_grad,
    vjp,
};
pub use backend::{Fold, Memory};
pub use deferred::eager;
pub use device::{DefaultDevice, Device};
pub use dtype::{Bool, Compute, DType, Element};
pub use error::{Error, attempt};
pub use expr::{Expr, IntoExpr};
pub use half::{bf16, f16};
pub use inventory;
pub use kernel::{HostOutput, HostView, Kernel};
pub use module::{Buffer, LoadError, Module, Param, StateMap};
pub use ops::{CrossEntropy, Ellipsis, Indexing, Indices, Ix, NewAxis, Pad, Reduction, step};
pub use pointwise::{Operand, Pointwise, pointwise, pointwise_with};
pub use prepared::{Prepared, evaluate_all};
pub use rng::Rng;
pub use shape::{Axes, INFER, Layout, Shape, Strides, keep, resolve_axis};
pub use tape::{HookHandle, Record, anomaly, live_nodes, no_grad};
pub use tensor::Tensor;
