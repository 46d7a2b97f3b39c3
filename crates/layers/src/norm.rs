//! Normalizations.

use crate::activation::along_channels;
use crate::layer::{Layer, Mode, Norm};
use cotangent_core::{Buffer, DType, Param, Shape, Tensor, keep, module, pointwise};

/// What a [`BatchNorm`] makes of the [`Mode`].
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Statistics {
    /// What the mode says.
    #[default]
    ByMode,
    /// Always these.
    Always(Norm),
}

/// Batch normalization (Ioffe and Szegedy 2015): y = γ(x − μ)/√(σ² + ε) + β for each channel.
///
/// While training, μ and σ² are the mean and the (biased) variance over the batch and all axes but the channels',
/// and running statistics move towards them: r ← (1 − u)r + u·batch with the update rate u = 0.1, where the variance
/// counts with its unbiased estimate. Else μ and σ² are the running statistics. They stand still while frozen and
/// while [`checkpoint`](cotangent_core::checkpoint) computes again.
///
/// | default | value |
/// |---|---|
/// | channel axis | 1 |
/// | ε | 10⁻⁵ |
/// | update rate | 0.1, PyTorch's "momentum" 0.1, Keras's 0.9 |
/// | γ, β, running mean and variance | 1, 0, 0, 1 |
#[derive(Clone, Debug)]
pub struct BatchNorm {
    /// γ, of shape `[channels]`.
    pub scale: Option<Param>,
    /// β, of shape `[channels]`.
    pub shift: Option<Param>,
    /// Running mean, of shape `[channels]`.
    pub mean: Buffer,
    /// Running variance, of shape `[channels]`.
    pub var: Buffer,
    channels: usize,
    axis: isize,
    epsilon: f64,
    rate: f64,
    biased: bool,
    statistics: Statistics,
}
module!(BatchNorm { scale, shift, mean, var; channels, axis, epsilon, rate, biased, statistics });

impl BatchNorm {
    /// For `channels` channels on axis 1.
    pub fn new(channels: usize) -> BatchNorm {
        let fill = |value| Tensor::full([channels], value).contiguous();
        BatchNorm {
            scale: Some(Param::new(fill(1.0)).without_decay()),
            shift: Some(Param::new(fill(0.0)).without_decay()),
            mean: Buffer::new(fill(0.0)),
            var: Buffer::new(fill(1.0)),
            channels,
            axis: 1,
            epsilon: 1e-5,
            rate: 0.1,
            biased: false,
            statistics: Statistics::ByMode,
        }
    }

    /// Another axis for the channels; negative counts from the back.
    pub fn axis(self, axis: isize) -> BatchNorm {
        BatchNorm { axis, ..self }
    }

    /// Another ε. Keras has 10⁻³.
    pub fn epsilon(self, epsilon: f64) -> BatchNorm {
        BatchNorm { epsilon, ..self }
    }

    /// Another update rate u of the running statistics: r ← (1 − u)r + u·batch.
    ///
    /// # Panics
    /// If it is not from 0 to 1.
    #[track_caller]
    pub fn update_rate(self, rate: f64) -> BatchNorm {
        assert!((0.0..=1.0).contains(&rate), "BatchNorm: an update rate of {rate}; expected one from 0 to 1");
        BatchNorm { rate, ..self }
    }

    /// The update rate by PyTorch's name: u = momentum.
    #[track_caller]
    pub fn from_torch_momentum(self, momentum: f64) -> BatchNorm {
        self.update_rate(momentum)
    }

    /// The update rate by Keras's name: u = 1 − momentum.
    #[track_caller]
    pub fn from_keras_momentum(self, momentum: f64) -> BatchNorm {
        self.update_rate(1.0 - momentum)
    }

    /// Lets the biased variance of the batch move the running one, as Keras and ONNX do.
    pub fn biased(self) -> BatchNorm {
        BatchNorm { biased: true, ..self }
    }

    /// Without γ.
    pub fn without_scale(self) -> BatchNorm {
        BatchNorm { scale: None, ..self }
    }

    /// Without β.
    pub fn without_shift(self) -> BatchNorm {
        BatchNorm { shift: None, ..self }
    }

    /// Which statistics are used whatever the mode: a pretrained layer may keep its running ones while others train.
    pub fn statistics(self, statistics: Statistics) -> BatchNorm {
        BatchNorm { statistics, ..self }
    }

    /// Moves the running statistics towards a batch's; `count` numbers are behind each.
    fn remember(&self, mean: &Tensor, var: &Tensor, count: usize) {
        let (rate, count) = (self.rate, count as f64);
        let unbiased = if self.biased { 1.0 } else { count / (count - 1.0) };
        let towards = |factor: f64| {
            move |running: &Tensor, batch: &Tensor| {
                let batch = batch.detach().reshape([batch.count()]).to(running.dtype());
                pointwise(move |[r, b]| r + (b * factor - r) * rate).call([running.clone(), batch])
            }
        };
        self.mean.update(|running| towards(1.0)(running, mean));
        self.var.update(|running| towards(unbiased)(running, var));
    }
}

impl Layer for BatchNorm {
    /// # Panics
    /// If `x` has fewer than two axes or another number of channels, or if the statistics of a batch are asked for and
    /// there is only one number per channel.
    #[track_caller]
    fn forward(&self, x: &Tensor, mode: &Mode) -> Tensor {
        let shape = x.shape();
        assert!(shape.len() >= 2, "BatchNorm: needs a batch axis and a channel axis, but the shape is {shape}");
        let axis = cotangent_core::resolve_axis("BatchNorm", self.axis, shape);
        let channels = self.channels;
        assert!(shape[axis] == channels, "BatchNorm: shape {shape} has not {channels} channels on axis {axis}");
        let spread = |v: &Tensor| along_channels(v, x, axis, "BatchNorm");
        let norm = match self.statistics {
            Statistics::ByMode => mode.norm(),
            Statistics::Always(norm) => norm,
        };
        let (mean, var) = if norm == Norm::Running {
            (spread(&self.mean.get()), spread(&self.var.get()))
        } else {
            let count = shape.count() / shape[axis].max(1);
            if count == 1 {
                panic!(
                    "BatchNorm: one number per channel in shape {shape} has no variance; use a larger batch (drop_last \
                     in the loader), or Mode::Eval"
                );
            }
            let axes: Vec<isize> = (0..shape.len() as isize).filter(|&a| a != axis as isize).collect();
            let wide = widened(x);
            let (mean, var) = (wide.mean(keep(&axes[..])), wide.var(keep(&axes[..]), 0.0));
            if norm == Norm::Update {
                self.remember(&mean, &var, count);
            }
            (mean, var)
        };
        let [scale, shift] = [&self.scale, &self.shift].map(|p| p.as_ref().map(|p| spread(p)));
        standardize(x, &mean, &var, self.epsilon, scale.as_ref(), shift.as_ref())
    }
}

/// Layer normalization (Ba, Kiros and Hinton 2016): y = γ(x − μ)/√(σ² + ε) + β with the mean and the biased variance
/// over the last axes. ε is 10⁻⁵, γ starts as 1 and β as 0.
#[derive(Clone, Debug)]
pub struct LayerNorm {
    /// γ, of the normalized shape.
    pub scale: Option<Param>,
    /// β, of the normalized shape.
    pub shift: Option<Param>,
    shape: Shape,
    epsilon: f64,
}
module!(LayerNorm { scale, shift; shape, epsilon });

impl LayerNorm {
    /// Over the last axes, which have the extents `shape`.
    pub fn new(shape: impl Into<Shape>) -> LayerNorm {
        let shape = shape.into();
        let fill = |value| Some(Param::new(Tensor::full(&shape, value).contiguous()).without_decay());
        LayerNorm { scale: fill(1.0), shift: fill(0.0), shape, epsilon: 1e-5 }
    }

    /// Another ε. Keras has 10⁻³.
    pub fn epsilon(self, epsilon: f64) -> LayerNorm {
        LayerNorm { epsilon, ..self }
    }

    /// Without γ.
    pub fn without_scale(self) -> LayerNorm {
        LayerNorm { scale: None, ..self }
    }

    /// Without β.
    pub fn without_shift(self) -> LayerNorm {
        LayerNorm { shift: None, ..self }
    }
}

impl Layer for LayerNorm {
    /// # Panics
    /// If the last axes of `x` have not the layer's extents.
    #[track_caller]
    fn forward(&self, x: &Tensor, _: &Mode) -> Tensor {
        if !x.shape().ends_with(&self.shape) {
            panic!("LayerNorm: shape {} does not end with {}, the shape that is normalized", x.shape(), self.shape);
        }
        let axes: Vec<isize> = (1..=self.shape.len() as isize).map(|back| -back).collect();
        let wide = widened(x);
        let (mean, var) = (wide.mean(keep(&axes[..])), wide.var(keep(&axes[..]), 0.0));
        standardize(x, &mean, &var, self.epsilon, self.scale.as_deref(), self.shift.as_deref())
    }
}

/// In `f32` if it is half precision.
fn widened(x: &Tensor) -> Tensor {
    if matches!(x.dtype(), DType::F16 | DType::BF16) { x.to(DType::F32) } else { x.clone() }
}

/// γ(x − μ)/√(σ² + ε) + β, computed in `f32` for half precision.
#[track_caller]
fn standardize(
    x: &Tensor,
    mean: &Tensor,
    var: &Tensor,
    epsilon: f64,
    scale: Option<&Tensor>,
    shift: Option<&Tensor>,
) -> Tensor {
    let wide = widened(x);
    let [mean, var] = [mean, var].map(|s| s.to(wide.dtype()));
    let [scale, shift] = [scale, shift].map(|s| s.map(|s| s.to(wide.dtype())));
    let y = match (&scale, &shift) {
        (None, None) => pointwise(move |[x, m, v]| (x - m) * (v + epsilon).rsqrt()).call([&wide, &mean, &var]),
        (Some(scale), None) => {
            pointwise(move |[x, m, v, a]| (x - m) * ((v + epsilon).rsqrt() * a)).call([&wide, &mean, &var, scale])
        }
        (None, Some(shift)) => {
            pointwise(move |[x, m, v, b]| (x - m) * (v + epsilon).rsqrt() + b).call([&wide, &mean, &var, shift])
        }
        (Some(scale), Some(shift)) => pointwise(move |[x, m, v, a, b]| (x - m) * ((v + epsilon).rsqrt() * a) + b)
            .call([&wide, &mean, &var, scale, shift]),
    };
    y.to(x.dtype())
}
