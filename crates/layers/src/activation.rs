//! Activations as layers.

use crate::layer::{Layer, Mode};
use cotangent_core::{Param, Tensor, module};

macro_rules! activations {
    ($($(#[doc = $doc:literal])+ $T:ident $f:ident;)*) => {$(
        $(#[doc = $doc])+
        #[derive(Clone, Copy, Debug, Default, PartialEq)]
        pub struct $T;
        module!($T);
        impl Layer for $T {
            #[track_caller]
            fn forward(&self, x: &Tensor, _: &Mode) -> Tensor {
                x.$f()
            }
        }
    )*};
}
activations! {
    /// max(x, 0), with slope 0 at 0; see [`Tensor::relu`].
    Relu relu;
    /// min(max(x, 0), 6); see [`Tensor::relu6`].
    Relu6 relu6;
    /// 1/(1 + e⁻ˣ); see [`Tensor::sigmoid`].
    Sigmoid sigmoid;
    /// ln σ(x); see [`Tensor::log_sigmoid`].
    LogSigmoid log_sigmoid;
    /// The hyperbolic tangent; see [`Tensor::tanh`].
    Tanh tanh;
    /// ln(1 + eˣ); see [`Tensor::softplus`].
    Softplus softplus;
    /// x/(1 + |x|); see [`Tensor::softsign`].
    Softsign softsign;
    /// The self-normalizing unit; see [`Tensor::selu`].
    Selu selu;
    /// x·Φ(x), the exact form; see [`Tensor::gelu`].
    Gelu gelu;
    /// The approximation of [`Gelu`] by tanh; see [`Tensor::gelu_tanh`].
    GeluTanh gelu_tanh;
    /// x·σ(x); see [`Tensor::silu`].
    Silu silu;
    /// x·tanh(softplus(x)); see [`Tensor::mish`].
    Mish mish;
    /// σ(x) in three straight pieces; see [`Tensor::hardsigmoid`].
    HardSigmoid hardsigmoid;
    /// x·hardsigmoid(x); see [`Tensor::hardswish`].
    HardSwish hardswish;
}

macro_rules! activations_with_a_number {
    ($($(#[doc = $doc:literal])+ $T:ident $f:ident $default:literal;)*) => {$(
        $(#[doc = $doc])+
        #[derive(Clone, Copy, Debug, PartialEq)]
        pub struct $T(pub f64);
        module!($T { ; 0 });
        impl Default for $T {
            fn default() -> $T {
                $T($default)
            }
        }
        impl Layer for $T {
            #[track_caller]
            fn forward(&self, x: &Tensor, _: &Mode) -> Tensor {
                x.$f(self.0)
            }
        }
    )*};
}
activations_with_a_number! {
    /// x where x > 0, else slope·x; by default 0.01 (Keras: 0.3). See [`Tensor::leaky_relu`].
    LeakyRelu leaky_relu 0.01;
    /// x where x > 0, else α(eˣ − 1); by default α = 1. See [`Tensor::elu`].
    Elu elu 1.0;
    /// x where x > 0, else α(e^(x/α) − 1); by default α = 1. See [`Tensor::celu`].
    Celu celu 1.0;
}

/// x where x > 0, else αx with a learned α, which starts at ¼ and is exempt from weight decay (He et al. 2015,
/// "Delving deep into rectifiers"). The slope at 0 is α.
///
/// ```
/// use cotangent_core::*;
/// use cotangent_layers::*;
/// let y = PRelu::new().forward(&Tensor::new([-2.0, 3.0], [2]), &Mode::Eval);
/// assert_eq!(y.to_vec::<f32>(), [-0.5, 3.0]);
/// ```
#[derive(Clone, Debug)]
pub struct PRelu {
    /// α, of shape `[]` or `[channels]`.
    pub alpha: Param,
}
module!(PRelu { alpha });

impl PRelu {
    /// One α for all elements.
    #[allow(clippy::new_without_default)] // a default would hide that it has a parameter
    pub fn new() -> PRelu {
        PRelu { alpha: Param::new(Tensor::full((), 0.25)).without_decay() }
    }

    /// An α for each index of axis 1.
    pub fn channels(channels: usize) -> PRelu {
        PRelu { alpha: Param::new(Tensor::full([channels], 0.25).contiguous()).without_decay() }
    }

    /// Another start of α.
    #[track_caller]
    pub fn with_alpha(mut self, alpha: f64) -> PRelu {
        let start = self.alpha.full_like(alpha).contiguous();
        self.alpha.set(start);
        self
    }
}

impl Layer for PRelu {
    /// # Panics
    /// If there is an α for each channel and axis 1 of `x` has another extent.
    #[track_caller]
    fn forward(&self, x: &Tensor, _: &Mode) -> Tensor {
        x.prelu(&along_channels(&self.alpha, x, 1, "PRelu"))
    }
}

/// A vector of one number per channel, shaped to broadcast along `axis` of `x`; a scalar stays.
#[track_caller]
pub(crate) fn along_channels(vector: &Tensor, x: &Tensor, axis: usize, name: &str) -> Tensor {
    if vector.rank() == 0 {
        return vector.clone();
    }
    let (channels, shape) = (vector.count(), x.shape());
    if shape.get(axis) != Some(&channels) {
        panic!("{name}: shape {shape} has not the {channels} channels of this layer on axis {axis}");
    }
    let mut along = vec![1; x.rank() - axis];
    along[0] = channels;
    vector.reshape(along)
}
