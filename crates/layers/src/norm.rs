//! Normalizations.

use crate::layer::{Layer, Mode, Norm};
use cotangent_core::{Buffer, Expr, Param, Shape, Tensor, module, pointwise_with, resolve_axis};

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
        let towards = |running: &Tensor, batch: &Tensor, factor: f64| {
            pointwise_with([factor, rate], |[r, b]: [Expr; 2], [factor, rate]: [Expr; 2]| r + (b * factor - r) * rate)
                .call([running, &batch.to(running.dtype())])
        };
        self.mean.update(|running| towards(running, mean, 1.0));
        self.var.update(|running| towards(running, var, unbiased));
    }
}

impl Layer for BatchNorm {
    /// # Panics
    /// If `x` has fewer than two axes or another number of channels, or if the statistics of a batch are asked for and
    /// there is only one number per channel.
    #[track_caller]
    fn forward(&self, x: &Tensor, mode: &Mode) -> Tensor {
        let (shape, channels) = (x.shape(), self.channels);
        assert!(shape.len() >= 2, "BatchNorm: needs a batch axis and a channel axis, but the shape is {shape}");
        let axis = resolve_axis("BatchNorm", self.axis, shape);
        assert!(shape[axis] == channels, "BatchNorm: shape {shape} has not {channels} channels on axis {axis}");
        let norm = match self.statistics {
            Statistics::ByMode => mode.norm(),
            Statistics::Always(norm) => norm,
        };
        let (scale, shift) = (self.scale.as_deref(), self.shift.as_deref());
        if norm == Norm::Running {
            let [mean, var] = [&self.mean, &self.var].map(|running| running.get().to(x.dtype().widened()));
            return x.normalize(self.axis, &mean, &var, scale, shift, self.epsilon);
        }
        let count = shape.count() / channels.max(1);
        if count == 1 {
            panic!(
                "BatchNorm: one number per channel in shape {shape} has no variance; use a larger batch (drop_last in the \
                 loader), or Mode::Eval"
            );
        }
        let (y, mean, var) = x.batch_norm(self.axis, scale, shift, self.epsilon);
        if norm == Norm::Update {
            self.remember(&mean, &var, count);
        }
        y
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
        x.layer_norm(&self.shape, self.scale.as_deref(), self.shift.as_deref(), self.epsilon)
    }
}

/// Normalization by the root of the mean square over the last axes (Zhang and Sennrich 2019): γ·x/√(mean x² + ε). ε is
/// 10⁻⁵, γ starts as 1.
#[derive(Clone, Debug)]
pub struct RmsNorm {
    /// γ, of the normalized shape.
    pub scale: Param,
    epsilon: f64,
}
module!(RmsNorm { scale; epsilon });

impl RmsNorm {
    /// Over the last axes, which have the extents `shape`.
    pub fn new(shape: impl Into<Shape>) -> RmsNorm {
        RmsNorm { scale: Param::new(Tensor::ones(shape).contiguous()).without_decay(), epsilon: 1e-5 }
    }

    /// Another ε.
    pub fn epsilon(self, epsilon: f64) -> RmsNorm {
        RmsNorm { epsilon, ..self }
    }
}

impl Layer for RmsNorm {
    /// # Panics
    /// If the last axes of `x` have not the layer's extents.
    #[track_caller]
    fn forward(&self, x: &Tensor, _: &Mode) -> Tensor {
        x.rms_norm(self.scale.shape(), Some(&self.scale), self.epsilon)
    }
}

/// Group normalization (Wu and He 2018): the channels (axis 1) of each element of the batch in groups, each standardized
/// over its channels and all further axes, then γ· + β for each channel. ε is 10⁻⁵, γ starts as 1 and β as 0. With as
/// many groups as channels it is instance normalization (Ulyanov et al. 2016).
#[doc(alias = "InstanceNorm")]
#[derive(Clone, Debug)]
pub struct GroupNorm {
    /// γ, of shape `[channels]`.
    pub scale: Param,
    /// β, of shape `[channels]`.
    pub shift: Param,
    groups: usize,
    epsilon: f64,
}
module!(GroupNorm { scale, shift; groups, epsilon });

impl GroupNorm {
    /// For `channels` channels in `groups` groups.
    ///
    /// # Panics
    /// If they do not divide evenly.
    #[track_caller]
    pub fn new(groups: usize, channels: usize) -> GroupNorm {
        assert!(
            groups > 0 && channels.is_multiple_of(groups),
            "GroupNorm: {channels} channels do not divide into {groups} groups"
        );
        let fill = |value| Param::new(Tensor::full([channels], value).contiguous()).without_decay();
        GroupNorm { scale: fill(1.0), shift: fill(0.0), groups, epsilon: 1e-5 }
    }

    /// Another ε. Keras has 10⁻³.
    pub fn epsilon(self, epsilon: f64) -> GroupNorm {
        GroupNorm { epsilon, ..self }
    }
}

impl Layer for GroupNorm {
    /// # Panics
    /// If `x` has not the layer's channels on axis 1.
    #[track_caller]
    fn forward(&self, x: &Tensor, _: &Mode) -> Tensor {
        x.group_norm(self.groups, Some(&self.scale), Some(&self.shift), self.epsilon)
    }
}
