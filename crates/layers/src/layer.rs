//! What a layer is, and layers in sequence.

use cotangent_core::module::{Path, Slot, SlotMut};
use cotangent_core::{Module, Rng, Tensor, for_tuples, module};

/// A function with parameters.
///
/// Tuples, vectors and arrays of layers are layers: one after the other. An absent one (`Option`) is the identity.
///
/// ```
/// use cotangent_core::*;
/// use cotangent_layers::*;
/// struct Residual {
///     a: Dense,
///     b: Dense,
/// }
/// module!(Residual { a, b });
/// impl Layer for Residual {
///     fn forward(&self, x: &Tensor, mode: &Mode) -> Tensor {
///         x + self.b.forward(&self.a.forward(x, mode).relu(), mode)
///     }
/// }
/// let rng = Rng::new(1);
/// let model = Residual { a: Dense::new(3, 5, &rng), b: Dense::new(5, 3, &rng) };
/// assert_eq!(model.forward(&Tensor::ones([2, 3]), &Mode::Eval).shape(), [2, 3]);
/// ```
pub trait Layer: Module {
    /// The layer's value at `x`.
    fn forward(&self, x: &Tensor, mode: &Mode) -> Tensor;
}

/// What a forward pass is for. Gradients do not depend on it: they can be had in every mode.
#[derive(Clone, Copy, Debug, Default)]
pub enum Mode<'a> {
    /// Training: dropout draws from the source, normalizations use the batch's statistics and remember them.
    Train(&'a Rng),
    /// Use of the trained model: no dropout, and normalizations use what they remember.
    #[default]
    Eval,
    /// Any other combination, such as dropout with remembered statistics (Monte Carlo dropout).
    Custom {
        /// Where dropout draws from; without it there is none.
        noise: Option<&'a Rng>,
        /// Which statistics normalizations use.
        norm: Norm,
    },
}

/// Which statistics batch normalization uses.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Norm {
    /// The batch's, and the running ones move towards them.
    Update,
    /// The batch's; the running ones stay.
    Batch,
    /// The running ones.
    #[default]
    Running,
}

impl<'a> Mode<'a> {
    /// Where dropout draws from, if there is to be any.
    pub fn noise(&self) -> Option<&'a Rng> {
        match *self {
            Mode::Train(rng) => Some(rng),
            Mode::Eval => None,
            Mode::Custom { noise, .. } => noise,
        }
    }

    /// Which statistics normalizations use.
    pub fn norm(&self) -> Norm {
        match *self {
            Mode::Train(_) => Norm::Update,
            Mode::Eval => Norm::Running,
            Mode::Custom { norm, .. } => norm,
        }
    }
}

/// A function without parameters as a layer: `Lambda(|x: &Tensor| x.square())`.
#[derive(Clone, Copy, Debug)]
pub struct Lambda<F>(pub F);
impl<F> Module for Lambda<F> {
    fn visit<'a>(&'a self, _: &Path, _: &mut dyn FnMut(&Path, Slot<'a>)) {}
    fn visit_mut<'a>(&'a mut self, _: &Path, _: &mut dyn FnMut(&Path, SlotMut<'a>)) {}
}
impl<F: Fn(&Tensor) -> Tensor> Layer for Lambda<F> {
    fn forward(&self, x: &Tensor, _: &Mode) -> Tensor {
        (self.0)(x)
    }
}

/// All axes but the first in one: `[batch, ..]` becomes `[batch, features]`.
#[derive(Clone, Copy, Debug)]
pub struct Flatten;
module!(Flatten);
impl Layer for Flatten {
    #[track_caller]
    fn forward(&self, x: &Tensor, _: &Mode) -> Tensor {
        let shape = x.shape();
        assert!(!shape.is_empty(), "Flatten: a scalar has no batch axis; the shape is {shape}");
        x.reshape([shape[0], shape[1..].iter().product()])
    }
}

macro_rules! tuples {
    ($A:ident 0 $(, $T:ident $at:tt)*) => {
        impl<$A: Layer $(, $T: Layer)*> Layer for ($A, $($T,)*) {
            #[track_caller]
            fn forward(&self, x: &Tensor, mode: &Mode) -> Tensor {
                let x = self.0.forward(x, mode);
                $( let x = self.$at.forward(&x, mode); )*
                x
            }
        }
    };
}
for_tuples!(tuples);

macro_rules! sequences {
    ($([$($generic:tt)*] $T:ty;)*) => {$(
        impl<$($generic)*> Layer for $T {
            #[track_caller]
            fn forward(&self, x: &Tensor, mode: &Mode) -> Tensor {
                self.iter().fold(x.clone(), |x, layer| layer.forward(&x, mode))
            }
        }
    )*};
}
sequences! {
    [L: Layer] Vec<L>;
    [L: Layer, const N: usize] [L; N];
    [L: Layer] Option<L>;
}

impl<L: Layer + ?Sized> Layer for Box<L> {
    #[track_caller]
    fn forward(&self, x: &Tensor, mode: &Mode) -> Tensor {
        (**self).forward(x, mode)
    }
}
