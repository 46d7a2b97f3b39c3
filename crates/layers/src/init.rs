//! How parameters start.

use cotangent_core::{Rng, Shape, Tensor, pointwise};

/// Numbers of inputs and outputs of a unit, for initializations that keep the variance of signals or gradients.
///
/// For a convolution with k taps, they are (input channels / groups) · k and (output channels / groups) · k.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Fans {
    /// How many numbers an output is a sum of.
    pub inputs: usize,
    /// How many outputs an input goes into.
    pub outputs: usize,
}

/// The distribution of random starts.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Law {
    /// Uniform in ±√3 σ.
    Uniform,
    /// Normal with deviation σ.
    Normal,
    /// Normal cut at two deviations and stretched by 1/0.8796 to have deviation σ, as in Keras and JAX.
    Truncated,
}

/// An initialization.
///
/// | constructor | σ² | source |
/// |---|---|---|
/// | `xavier_uniform`, `xavier_normal` (Glorot) | 2/(inputs + outputs) | Glorot and Bengio 2010 |
/// | `he_uniform`, `he_normal` (Kaiming) | 2/inputs | He et al. 2015 |
/// | `lecun_uniform`, `lecun_normal` | 1/inputs | LeCun et al. 1998 |
///
/// ```
/// use cotangent_core::Rng;
/// use cotangent_layers::{Fans, Init};
/// let w = Init::he_normal().slope(0.25).tensor([200, 784], Fans { inputs: 784, outputs: 200 }, &Rng::new(1));
/// assert_eq!(w.shape(), [200, 784]);
/// ```
#[derive(Clone, Debug, PartialEq)]
pub enum Init {
    /// Everywhere the same number.
    Constant(f64),
    /// Uniform from the first number to below the second.
    Uniform(f64, f64),
    /// Normal with a mean and a deviation.
    Normal(f64, f64),
    /// Mean 0 and σ² = scale / fan.
    Scaled {
        /// What is divided by the fan.
        scale: f64,
        /// The divisor: share · outputs + (1 − share) · inputs, so 0 for the inputs and ½ for the mean.
        share: f64,
        /// The distribution.
        law: Law,
    },
}

/// Gain of tanh, a rule of thumb.
pub const TANH_GAIN: f64 = 5.0 / 3.0;
/// Gain of the scaled exponential linear unit.
pub const SELU_GAIN: f64 = 0.75;

/// √(variance of a standard normal cut at ±2).
const TRUNCATED: f64 = 0.879_625_661_034_239_8;

macro_rules! constructors {
    ($($(#[doc = $doc:literal])+ $name:ident, $alias:literal, $scale:literal, $share:literal, $law:ident;)*) => {$(
        $(#[doc = $doc])+
        #[doc(alias = $alias)]
        pub const fn $name() -> Init {
            Init::Scaled { scale: $scale, share: $share, law: Law::$law }
        }
    )*};
}

impl Init {
    /// Everywhere 0.
    pub const ZEROS: Init = Init::Constant(0.0);
    /// Everywhere 1.
    pub const ONES: Init = Init::Constant(1.0);

    constructors! {
        /// Uniform in ±√(6/(inputs + outputs)).
        xavier_uniform, "glorot_uniform", 1.0, 0.5, Uniform;
        /// Normal with σ² = 2/(inputs + outputs).
        xavier_normal, "glorot_normal", 1.0, 0.5, Normal;
        /// Uniform in ±√(6/inputs).
        he_uniform, "kaiming_uniform", 2.0, 0.0, Uniform;
        /// Normal with σ² = 2/inputs.
        he_normal, "kaiming_normal", 2.0, 0.0, Normal;
        /// Uniform in ±√(3/inputs).
        lecun_uniform, "lecun", 1.0, 0.0, Uniform;
        /// Normal with σ² = 1/inputs.
        lecun_normal, "lecun", 1.0, 0.0, Normal;
    }

    /// A deviation `gain` times as large.
    pub fn gain(self, gain: f64) -> Init {
        match self {
            Init::Constant(value) => Init::Constant(gain * value),
            Init::Uniform(low, high) => Init::Uniform(gain * low, gain * high),
            Init::Normal(mean, deviation) => Init::Normal(mean, gain * deviation),
            Init::Scaled { scale, share, law } => Init::Scaled { scale: gain * gain * scale, share, law },
        }
    }

    /// For rectifiers with slope `alpha` on the negative side: σ² is divided by 1 + α². He's initialization is for a
    /// slope of 0.
    pub fn slope(self, alpha: f64) -> Init {
        self.gain((1.0 / (1.0 + alpha * alpha)).sqrt())
    }

    /// Keeps the variance of gradients: the fan is the number of outputs.
    pub fn fan_out(self) -> Init {
        match self {
            Init::Scaled { scale, law, .. } => Init::Scaled { scale, share: 1.0, law },
            other => other,
        }
    }

    /// Normal numbers cut at two deviations; see [`Law::Truncated`].
    pub fn truncated(self) -> Init {
        match self {
            Init::Scaled { scale, share, .. } => Init::Scaled { scale, share, law: Law::Truncated },
            other => other,
        }
    }

    /// A new tensor, single precision on the default device.
    ///
    /// # Panics
    /// If the initialization divides by a fan that is 0.
    #[track_caller]
    pub fn tensor(&self, shape: impl Into<Shape>, fans: Fans, rng: &Rng) -> Tensor {
        let shape = shape.into();
        let affine = |x: Tensor, scale: f64, shift: f64| pointwise(move |[x]| x * scale + shift).call([x]);
        match *self {
            Init::Constant(value) => Tensor::full(shape, value).contiguous(),
            Init::Uniform(low, high) => affine(rng.uniform(shape), high - low, low),
            Init::Normal(mean, deviation) => affine(rng.normal(shape), deviation, mean),
            Init::Scaled { scale, share, law } => {
                let fan = share * fans.outputs as f64 + (1.0 - share) * fans.inputs as f64;
                assert!(fan > 0.0, "Init: {self:?} divides by the fan, which is 0 of {fans:?}");
                let deviation = (scale / fan).sqrt();
                match law {
                    Law::Uniform => affine(rng.uniform(shape), 2.0 * 3f64.sqrt() * deviation, -3f64.sqrt() * deviation),
                    Law::Normal => rng.normal(shape) * deviation,
                    Law::Truncated => truncated(&shape, rng) * (deviation / TRUNCATED),
                }
            }
        }
    }
}

/// Standard normal numbers of magnitude up to 2: those above are drawn again. The source moves on by one draw, however
/// many rounds it takes.
fn truncated(shape: &Shape, rng: &Rng) -> Tensor {
    let [low, high, number, _] = rng.ticket().words();
    let rounds = Rng::new(low as u64 | (high as u64) << 32).split(number as u64);
    let mut z = rounds.normal(shape);
    while z.abs().max(..).item() > 2.0 {
        let again = rounds.normal(shape);
        z = z.abs().gt(2.0).select(&again, &z);
    }
    z
}
