//! Losses. A prediction and its target have one shape, so that nothing broadcasts by accident.

use crate::backend::Fold;
use crate::check::{given, real};
use crate::expr::Expr;
use crate::pointwise::{Pointwise, pointwise};
use crate::tensor::{Tensor, same_dtype};

/// How the losses of single elements, or of single samples, become one.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Reduction {
    /// The mean over all.
    #[default]
    Mean,
    /// The sum.
    Sum,
    /// The sum divided by the extent of the first axis: the mean over the batch of each sample's sum.
    BatchMean,
    /// They stay as they are.
    None,
}

impl Reduction {
    /// The reduced values of a formula.
    #[track_caller]
    fn apply<const N: usize>(self, formula: Pointwise<N, Expr>, args: [&Tensor; N]) -> Tensor {
        let shape = args[0].shape();
        let share = match self {
            Reduction::None => return formula.call(args),
            Reduction::Sum => return formula.fold(Fold::Sum, .., args),
            Reduction::Mean => shape.count(),
            Reduction::BatchMean => shape.first().copied().unwrap_or(1),
        };
        formula.fold(Fold::Sum, .., args) / share as f64
    }
}

impl Tensor {
    /// A loss of single elements, of tensors of one shape and type; computed in `F32` for half precision.
    #[track_caller]
    fn loss(&self, op: &'static str, target: &Tensor, reduction: Reduction, formula: Pointwise<2, Expr>) -> Tensor {
        self.check_float(op);
        same_dtype(op, self, target);
        if self.shape() != target.shape() {
            panic!(
                "{op}: the prediction has shape {}, the target {}; they must be equal",
                self.shape(),
                target.shape()
            );
        }
        reduction.apply(formula.named(op), [&self.widened(), &target.widened()]).to(self.dtype())
    }

    /// Squared error, (x − t)².
    ///
    /// ```
    /// # use cotangent_core::*;
    /// let (x, t) = (Tensor::new([1.0, 2.0], [2]), Tensor::new([0.0, 4.0], [2]));
    /// assert_eq!(x.mse_loss(&t, Reduction::Mean).item(), 2.5);
    /// ```
    #[track_caller]
    pub fn mse_loss(&self, target: &Tensor, reduction: Reduction) -> Tensor {
        self.loss("mse_loss", target, reduction, pointwise(|[x, t]| (x - t).square()))
    }

    /// Absolute error, |x − t|; the gradient at 0 is 0.
    #[track_caller]
    pub fn l1_loss(&self, target: &Tensor, reduction: Reduction) -> Tensor {
        self.loss("l1_loss", target, reduction, pointwise(|[x, t]| (x - t).abs()))
    }

    /// Half the squared error up to an error of δ, linear from there on (Huber 1964): ½d² where |d| ≤ δ, else δ(|d| − ½δ).
    #[track_caller]
    pub fn huber_loss(&self, target: &Tensor, delta: f64, reduction: Reduction) -> Tensor {
        assert!(delta > 0.0, "huber_loss: δ is {delta}; it must be positive");
        self.loss("huber_loss", target, reduction, pointwise(move |[x, t]| huber(x - t, delta)))
    }

    /// [`huber_loss`](Tensor::huber_loss) divided by β = δ (Girshick 2015): slope 1 for large errors.
    #[track_caller]
    pub fn smooth_l1_loss(&self, target: &Tensor, beta: f64, reduction: Reduction) -> Tensor {
        assert!(beta > 0.0, "smooth_l1_loss: β is {beta}; it must be positive");
        self.loss("smooth_l1_loss", target, reduction, pointwise(move |[x, t]| huber(x - t, beta) / beta))
    }

    /// Binary cross-entropy −t·ln σ(z) − (1 − t)·ln(1 − σ(z)) from logits z and probabilities t, without overflow.
    /// `pos_weight` multiplies the first term; it broadcasts, one weight for each class, say.
    ///
    /// ```
    /// # use cotangent_core::*;
    /// let (z, t) = (Tensor::new([200.0, -200.0], [2]), Tensor::new([1.0, 1.0], [2]));
    /// assert_eq!(z.bce_with_logits(&t, None, Reduction::None).to_vec::<f32>(), [0.0, 200.0]);
    /// ```
    #[track_caller]
    pub fn bce_with_logits(&self, target: &Tensor, pos_weight: Option<&Tensor>, reduction: Reduction) -> Tensor {
        let Some(weight) = pos_weight else {
            return self.loss(
                "bce_with_logits",
                target,
                reduction,
                pointwise(|[z, t]| bce_terms(z, t, Expr::constant(1.0))),
            );
        };
        // Weighted by element first, so that the weight may broadcast.
        let formula = pointwise(|[z, t, w]| bce_terms(z, t, w)).named("bce_with_logits");
        self.check_float("bce_with_logits");
        if self.shape() != target.shape() || self.shape().broadcast(weight.shape()).as_ref() != Some(self.shape()) {
            panic!(
                "bce_with_logits: logits of shape {}, a target of {} and a weight of {}; the first two must be equal, and the \
                 weight broadcast to them",
                self.shape(),
                target.shape(),
                weight.shape()
            );
        }
        reduction.apply(formula, [&self.widened(), &target.widened(), &weight.widened()]).to(self.dtype())
    }

    /// Binary cross-entropy −t·ln p − (1 − t)·ln(1 − p) from probabilities p, with logarithms of at least −100. Prefer
    /// [`bce_with_logits`](Tensor::bce_with_logits), which is exact.
    #[track_caller]
    pub fn bce_loss(&self, target: &Tensor, reduction: Reduction) -> Tensor {
        let formula = |[p, t]: [Expr; 2]| {
            let log = |x: Expr| x.gt((-100.0f64).exp()).select(x.log(), -100.0);
            (t - 1.0) * log(1.0 - p) - t * log(p)
        };
        self.loss("bce_loss", target, reduction, pointwise(formula))
    }

    /// Kullback and Leibler's divergence t·(ln t − x) of probabilities t from a prediction given as x, the logarithms of
    /// probabilities; 0 where t is 0. The divergence per sample is [`Reduction::BatchMean`].
    #[track_caller]
    pub fn kl_div(&self, target: &Tensor, reduction: Reduction) -> Tensor {
        self.loss("kl_div", target, reduction, pointwise(|[x, t]| t.eq(0.0).select(0.0, t.xlogy(t) - t * x)))
    }
}

/// ½d² up to δ, linear from there on.
fn huber(d: Expr, delta: f64) -> Expr {
    d.abs().le(delta).select(0.5 * d * d, delta * (d.abs() - 0.5 * delta))
}

/// w·t·softplus(−z) + (1 − t)·softplus(z): exact also where one of them is tiny.
fn bce_terms(z: Expr, t: Expr, w: Expr) -> Expr {
    w * t * (-z).softplus() + (1.0 - t) * z.softplus()
}

/// Samples of the losses of single elements, in every reduction.
macro_rules! loss_samples {
    ($($name:literal, $x:expr, $t:expr, |$a:ident, $b:ident, $r:ident| $f:expr;)*) => {$(
        crate::samples!($name, |s| {
            for (label, $r) in [("mean", Reduction::Mean), ("sum", Reduction::Sum), ("none", Reduction::None)] {
                s.case(label, [$x, $t], move |[$a, $b]| $f);
            }
        });
    )*};
}
loss_samples! {
    "mse_loss", real([2, 3], -2.0..2.0), real([2, 3], -2.0..2.0), |x, t, r| x.mse_loss(t, r);
    "l1_loss", real([2, 3], -2.0..-0.1), real([2, 3], 0.1..2.0), |x, t, r| x.l1_loss(t, r);
    "huber_loss", given([3], &[0.5, 2.0, -3.0]), given([3], &[0.25, -1.0, 1.0]), |x, t, r| x.huber_loss(t, 0.75, r);
    "smooth_l1_loss", given([3], &[0.5, 2.0, -3.0]), given([3], &[0.25, -1.0, 1.0]), |x, t, r| x.smooth_l1_loss(t, 2.0, r);
    "bce_loss", real([2, 3], 0.1..0.9), real([2, 3], 0.0..1.0), |x, t, r| x.bce_loss(t, r);
    "bce_with_logits", real([2, 3], -2.0..2.0), real([2, 3], 0.0..1.0), |x, t, r| x.bce_with_logits(t, None, r);
    "kl_div", real([2, 3], -2.0..-0.1), real([2, 3], 0.1..0.9), |x, t, r| x.kl_div(t, r);
}
