//! Cotangent: a reverse-mode automatic differentiation tensor framework.
//!
//! This crate brings the parts together: tensors, the tape and the operations (`cotangent-core`, whose items are
//! re-exported here), the CPU backend, and [`layers`], [`optim`] and [`data`]. `use cotangent::prelude::*;` is enough
//! for most programs.
//!
//! | to | see |
//! |---|---|
//! | make and transform tensors | [`Tensor`], [`Device`], [`DType`], [`Rng`] |
//! | differentiate | [`Tensor::backward`], [`Tensor::grad`], [`autograd`](mod@autograd) |
//! | write an operation of your own | [`pointwise`], [`Tensor::record`], [`Kernel`] |
//! | check gradients | [`check`] |
//! | see where the time goes | [`profile`] |
//! | build a network | [`layers`] |
//! | train it | [`optim`], [`data`] |
//! | write a device | [`backend`], [`reference`](mod@reference) |
//!
//! # Features
//!
//! - `cpu` (default): the CPU is the default device. Without it, the naive [`reference`](mod@reference) device is.
//! - `cuda`: reserved. There is no CUDA backend yet, and enabling the feature is a compile error that says so.

pub use cotangent_core::*;
pub use cotangent_data as data;
pub use cotangent_layers as layers;
pub use cotangent_optim as optim;

// Linking the crate registers the CPU as the default device.
#[cfg(feature = "cpu")]
pub use cotangent_cpu as cpu;

#[cfg(feature = "cuda")]
compile_error!("feature `cuda`: there is no CUDA backend yet; build without the feature to run on the CPU");

/// What most programs use.
pub mod prelude {
    pub use crate::layers::{
        BatchNorm, Dense, Dropout, Flatten, Init, Lambda, Layer, LayerNorm, Mode, PRelu, Relu, Sigmoid, Softplus, Tanh,
        cross_entropy,
    };
    pub use crate::optim::{Adam, AdamW, Optimizer, Schedule, Sgd};
    pub use crate::{
        Buffer, DType, Device, Ellipsis, Fold, Grads, INFER, Module, NewAxis, Param, Rng, Tensor, keep, module,
        no_grad, pointwise, step,
    };
}

/// The README's examples, compiled and run with the tests.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
