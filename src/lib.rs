//! Cotangent: a reverse-mode automatic differentiation tensor framework.
//!
//! This crate brings the parts together: tensors and the tape ([`core`](cotangent_core)), the CPU backend, and
//! [`layers`], [`optim`] and [`data`]. `use cotangent::prelude::*;` is enough for most programs.

pub use cotangent_core::*;
pub use cotangent_data as data;
pub use cotangent_layers as layers;
pub use cotangent_optim as optim;

// Linking the crate registers the CPU as the default device.
#[cfg(feature = "cpu")]
pub use cotangent_cpu as cpu;

/// What most programs use.
pub mod prelude {
    pub use crate::{DType, Device, Fold, Grads, Rng, Tensor, keep, no_grad, pointwise};
}
