//! The fully connected layer.

use crate::init::{Fans, Init};
use crate::layer::{Layer, Mode};
use cotangent_core::{Param, Rng, Tensor, module};

/// y = x Wᵀ + b over the last axis, any axes before it.
///
/// The weight has shape `[outputs, inputs]`. It starts as Glorot and Bengio (2010) propose, uniform in
/// ±√(6/(inputs + outputs)), the bias as 0.
///
/// ```
/// use cotangent_core::*;
/// use cotangent_layers::*;
/// let rng = Rng::new(1);
/// let layer = Dense::with_init(784, 200, &Init::he_normal(), &rng).without_bias();
/// assert_eq!(layer.forward(&Tensor::ones([3, 5, 784]), &Mode::Eval).shape(), [3, 5, 200]);
/// ```
#[derive(Clone, Debug)]
pub struct Dense {
    /// W, of shape `[outputs, inputs]`.
    pub weight: Param,
    /// b, of shape `[outputs]`.
    pub bias: Option<Param>,
}
module!(Dense { weight, bias });

impl Dense {
    /// With Xavier's uniform weights and a bias of 0.
    #[track_caller]
    pub fn new(inputs: usize, outputs: usize, rng: &Rng) -> Dense {
        Dense::with_init(inputs, outputs, &Init::xavier_uniform(), rng)
    }

    /// With other weights.
    #[track_caller]
    pub fn with_init(inputs: usize, outputs: usize, init: &Init, rng: &Rng) -> Dense {
        let fans = Fans { inputs, outputs };
        let weight = Param::new(init.tensor([outputs, inputs], fans, rng));
        let bias = Param::new(Tensor::zeros([outputs]).contiguous()).without_decay();
        Dense { weight, bias: Some(bias) }
    }

    /// With another bias.
    #[track_caller]
    pub fn with_bias(self, init: &Init, rng: &Rng) -> Dense {
        let [outputs, inputs] = self.weight.dims();
        let bias = init.tensor([outputs], Fans { inputs, outputs }, rng);
        Dense { bias: Some(Param::new(bias).without_decay()), ..self }
    }

    /// y = x Wᵀ, for a layer whose output is normalized.
    pub fn without_bias(self) -> Dense {
        Dense { bias: None, ..self }
    }
}

impl Layer for Dense {
    /// # Panics
    /// If the last axis of `x` has not as many features as the layer has inputs.
    #[track_caller]
    fn forward(&self, x: &Tensor, _: &Mode) -> Tensor {
        let y = linear(x, &self.weight);
        match &self.bias {
            Some(bias) => y + &**bias,
            None => y,
        }
    }
}

/// x Wᵀ over the last axis of `x`, for a weight of shape `[outputs, inputs]`. As `x.matmul(&w.t())`, but with a gradient
/// by the weight that is laid out like the weight and, for any number of leading axes, one matrix product.
///
/// # Panics
/// If the weight is not a matrix, or the last axis of `x` has not its number of inputs.
#[track_caller]
pub fn linear(x: &Tensor, w: &Tensor) -> Tensor {
    let (shape, weight) = (x.shape(), w.shape());
    if weight.len() != 2 || shape.last() != Some(&weight[1]) {
        panic!(
            "linear: input of shape {shape} and weight of shape {weight}; the last axis of the input must be the last \
             of the weight [outputs, inputs]"
        );
    }
    let y = rows(&x.detach()).matmul(&w.detach().t());
    let mut out = shape.clone();
    *out.last_mut().expect("checked above") = weight[0];
    y.reshape(out)
        .record("linear")
        .wrt(x, [w], |g, [w]| linear(g, &w.t()))
        .wrt(w, [x], |g, [x]| rows(g).t().matmul(&rows(x)))
        .done()
}

/// The leading axes in one.
fn rows(x: &Tensor) -> Tensor {
    let features = x.shape()[x.rank() - 1];
    let count = x.shape()[..x.rank() - 1].iter().product();
    x.reshape([count, features])
}

cotangent_core::samples!("linear", |s| {
    use cotangent_core::check::real;
    let x = |shape: &[usize]| real(shape, -2.0..2.0);
    s.case("matrix", [x(&[3, 4]), x(&[2, 4])], |[x, w]| linear(x, w)).with_integers();
    s.case("vector", [x(&[4]), x(&[2, 4])], |[x, w]| linear(x, w));
    s.case("leading axes", [x(&[2, 3, 4]), x(&[5, 4])], |[x, w]| linear(x, w));
    s.case("no rows", [x(&[0, 4]), x(&[2, 4])], |[x, w]| linear(x, w));
});
