//! Layers of neural networks, and how their parameters start.
//!
//! A model is a plain struct or a tuple of layers. Whether it is being trained, and with which random numbers, is an
//! argument of [`forward`](Layer::forward):
//!
//! ```
//! use cotangent_core::*;
//! use cotangent_layers::*;
//! let rng = Rng::new(1);
//! let model = (Dense::new(8, 4, &rng), BatchNorm::new(4), Relu, Dropout(0.5), Dense::new(4, 2, &rng));
//! let x = rng.normal([16, 8]);
//! assert_eq!(model.forward(&x, &Mode::Train(&rng)).shape(), [16, 2]);
//! assert_eq!(model.forward(&x, &Mode::Eval).shape(), [16, 2]);
//! ```

mod activation;
mod dense;
mod dropout;
mod init;
mod layer;
mod loss;
mod norm;
mod summary;

pub use activation::{
    Celu, Elu, Gelu, GeluTanh, HardSigmoid, HardSwish, LeakyRelu, LogSigmoid, Mish, PRelu, Relu, Relu6, Selu, Sigmoid,
    Silu, Softplus, Softsign, Tanh,
};
pub use dense::{Dense, linear};
pub use dropout::{
    AlphaDropout, ChannelDropout, Dropout, GaussianDropout, alpha_dropout, channel_dropout, dropout, gaussian_dropout,
};
pub use init::{Fans, Init, Law, SELU_GAIN, TANH_GAIN};
pub use layer::{Flatten, Lambda, Layer, Mode, Norm};
pub use loss::cross_entropy;
pub use norm::{BatchNorm, GroupNorm, LayerNorm, RmsNorm, Statistics};
pub use summary::{Kind, Row, Summary, summary};
