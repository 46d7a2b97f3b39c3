//! Cross-entropy of classes.

use super::loss::Reduction;
use crate::backend::Fold;
use crate::check::{index, real};
use crate::dtype::DType;
use crate::expr::Expr;
use crate::pointwise::{pointwise, pointwise_with};
use crate::shape::{Shape, keep, resolve_axis};
use crate::tensor::{Tensor, same_dtype};

impl Tensor {
    /// Cross-entropy of logits with the classes along `axis`, the mean over all samples: see [`CrossEntropy`], which has
    /// options.
    ///
    /// ```
    /// # use cotangent_core::*;
    /// let logits = Tensor::new([2.0, 1.0, 0.0], [1, 3]);
    /// let loss = logits.cross_entropy(&Tensor::from_slice(&[0i64], [1]), 1);
    /// assert!((loss.item() - 0.4076059644).abs() < 1e-6);
    /// ```
    #[track_caller]
    pub fn cross_entropy(&self, target: &Tensor, axis: isize) -> Tensor {
        CrossEntropy::new(axis).call(self, target)
    }

    /// The mean of −x at the label, over all samples, for logarithms of probabilities x with the classes along `axis`:
    /// [`cross_entropy`](Tensor::cross_entropy) without its softmax.
    #[track_caller]
    pub fn nll_loss(&self, labels: &Tensor, axis: isize) -> Tensor {
        CrossEntropy::new(axis).nll(self, labels)
    }
}

/// Cross-entropy −Σ q·ln softmax(logits) over the classes, with options; the target is either the number of the class
/// (`I64`, without the axis of classes) or a probability q for each class (of the logits' shape).
///
/// - [`label_smoothing`](CrossEntropy::label_smoothing) ε replaces q by (1 − ε)q + ε/classes.
/// - [`class_weights`](CrossEntropy::class_weights) multiply the term of each class. The mean over numbered classes
///   divides by the sum of their weights, as PyTorch does.
/// - [`ignore_index`](CrossEntropy::ignore_index) is a number that marks samples which count in neither.
///
/// Computed from the logits, so that nothing overflows: two folds forward and one map backward.
///
/// ```
/// # use cotangent_core::*;
/// let logits = Tensor::new([2.0, 1.0, 0.0, 0.0, 1.0, 2.0], [2, 3]);
/// let loss = CrossEntropy::new(1).class_weights(&Tensor::new([1.0, 3.0, 1.0], [3]));
/// assert!((loss.call(&logits, &Tensor::from_slice(&[0i64, 1], [2])).item() - 1.15760596).abs() < 1e-6);
/// ```
#[derive(Clone, Debug)]
pub struct CrossEntropy {
    axis: isize,
    smoothing: f64,
    ignored: Option<i64>,
    weights: Option<Tensor>,
    reduction: Reduction,
}

impl CrossEntropy {
    /// With the classes along `axis`: 1 by PyTorch's convention, −1 by Keras's and JAX's.
    pub fn new(axis: isize) -> CrossEntropy {
        CrossEntropy { axis, smoothing: 0.0, ignored: None, weights: None, reduction: Reduction::Mean }
    }

    /// Mixes the target with the uniform distribution (Szegedy et al. 2016).
    ///
    /// # Panics
    /// If `epsilon` is outside of 0..=1.
    #[track_caller]
    pub fn label_smoothing(self, epsilon: f64) -> CrossEntropy {
        assert!((0.0..=1.0).contains(&epsilon), "label_smoothing: {epsilon} is outside of 0 to 1");
        CrossEntropy { smoothing: epsilon, ..self }
    }

    /// Samples with this label do not count. PyTorch's is −100.
    pub fn ignore_index(self, label: i64) -> CrossEntropy {
        CrossEntropy { ignored: Some(label), ..self }
    }

    /// A weight for each class: a vector, constant for gradients.
    pub fn class_weights(self, weights: &Tensor) -> CrossEntropy {
        CrossEntropy { weights: Some(weights.detach()), ..self }
    }

    /// Another reduction than the mean.
    pub fn reduction(self, reduction: Reduction) -> CrossEntropy {
        CrossEntropy { reduction, ..self }
    }

    /// The loss.
    ///
    /// # Panics
    /// If shapes do not fit, or a label is not a class.
    #[track_caller]
    pub fn call(&self, logits: &Tensor, target: &Tensor) -> Tensor {
        logits.check_float("cross_entropy");
        if target.dtype().is_float() {
            return self.of_probabilities(logits, target);
        }
        let labels = Labels::new("cross_entropy", self, logits, target);
        self.reduced(&self.of_labels(&logits.widened(), &labels), &labels).to(logits.dtype())
    }

    /// The loss of logarithms of probabilities, for labels.
    ///
    /// # Panics
    /// If shapes do not fit, a label is not a class, or labels are smoothed.
    #[track_caller]
    pub fn nll(&self, log_probabilities: &Tensor, labels: &Tensor) -> Tensor {
        log_probabilities.check_float("nll_loss");
        assert!(self.smoothing == 0.0, "nll_loss: has no label smoothing; use cross_entropy");
        let labels = Labels::new("nll_loss", self, log_probabilities, labels);
        let x = log_probabilities.widened();
        let chosen = x.gather_for("nll_loss", labels.axis as isize, &labels.index);
        let term = |[x, w]: [Expr; 2]| w.eq(0.0).select(0.0, -(w * x));
        let losses = pointwise(term).named("nll_loss").call([&chosen, &labels.weight]);
        self.reduced(&losses, &labels).to(log_probabilities.dtype())
    }

    /// Losses of the samples, with the axis of classes kept. The gradient by the logits x is
    /// g·(a·softmax(x) − b·[class = label] − u), where b = (1 − ε)·w[label], u = w·ε/classes and a = b + Σ u.
    #[track_caller]
    fn of_labels(&self, x: &Tensor, labels: &Labels) -> Tensor {
        let (axis, plain) = (labels.axis as isize, x.detach());
        // On the tape only for the derivatives of the gradient.
        let total = x.logsumexp(keep(axis));
        let certain = 1.0 - self.smoothing;
        let chosen = plain.gather_for("cross_entropy", axis, &labels.index);
        let own = |[x, z, w]: [Expr; 3], [certain]: [Expr; 1]| w.eq(0.0).select(0.0, certain * w * (z - x));
        let mut losses = pointwise_with([certain], own).call([&chosen, &total.detach(), &labels.weight]);
        let uniform = (self.smoothing > 0.0).then(|| self.uniform(x, labels.axis));
        if let Some(uniform) = &uniform {
            let terms = pointwise(|[x, z, u]| u * (z - x));
            let others = terms.fold(Fold::Sum, keep(axis), [&plain, &total.detach(), uniform]);
            losses = pointwise(|[l, o, v]| v.select(l + o, l)).call([&losses, &others, &labels.valid]);
        }
        let classes = x.shape()[labels.axis];
        let places = x.device().arange(0.0, classes as f64, 1.0, x.dtype()).reshape(vector_shape(x, labels.axis));
        // Few arguments make a fast map: what is per sample is computed before, and an ignored label is −1.
        let marked = match self.ignored {
            Some(_) => &pointwise(|[t, v]| v.select(t, -1.0)).call([&labels.index, &labels.valid]),
            None => &labels.index,
        };
        let (marked, weight) = (marked.to(x.dtype()), labels.weight.clone());
        let factors = |[g, w, s]: [Expr; 3], [certain]: [Expr; 1]| [g * (certain * w + s), g * (certain * w)];
        let hard = |[x, z, p, t, k]: [Expr; 5]| t.lt(0.0).select(0.0, p * ((x - z).exp() - t.eq(k)));
        let soft = |[x, z, p, t, k, q, g, u]: [Expr; 8]| {
            t.lt(0.0).select(0.0, p * (x - z).exp() - t.eq(k).select(q, 0.0) - g * u)
        };
        losses
            .record("cross_entropy")
            .wrt(x, [x, &total], move |g, [x, total]| {
                let Some(uniform) = &uniform else {
                    let p = pointwise(|[g, w]| g * w).named("cross_entropy").call([g, &weight]);
                    return pointwise(hard).named("cross_entropy").call([x, total, &p, &marked, &places]);
                };
                let factors = pointwise_with([certain], factors).named("cross_entropy");
                let [p, q] = factors.call([g, &weight, &uniform.sum(..)]);
                pointwise(soft).named("cross_entropy").call([x, total, &p, &marked, &places, &q, g, uniform])
            })
            .done()
    }

    /// ε/classes times the weights of the classes, along the axis.
    fn uniform(&self, x: &Tensor, axis: usize) -> Tensor {
        let share = self.smoothing / x.shape()[axis] as f64;
        match &self.weights {
            Some(w) => w.to(x.dtype()).reshape(vector_shape(x, axis)) * share,
            None => x.device().full(vector_shape(x, axis), share, x.dtype()),
        }
    }

    #[track_caller]
    fn reduced(&self, losses: &Tensor, labels: &Labels) -> Tensor {
        match self.reduction {
            Reduction::None => losses.squeeze(labels.axis as isize),
            Reduction::Sum => losses.sum(..),
            Reduction::Mean if self.counts_all() => losses.sum(..) / losses.count() as f64,
            Reduction::Mean => losses.sum(..) / labels.weight.sum(..),
            Reduction::BatchMean => losses.sum(..) / losses.shape()[0] as f64,
        }
    }

    /// Whether each sample counts once.
    fn counts_all(&self) -> bool {
        self.ignored.is_none() && self.weights.is_none()
    }

    #[track_caller]
    fn of_probabilities(&self, logits: &Tensor, target: &Tensor) -> Tensor {
        same_dtype("cross_entropy", logits, target);
        if logits.shape() != target.shape() {
            panic!(
                "cross_entropy: probabilities of shape {} for logits of shape {}; they must be equal",
                target.shape(),
                logits.shape()
            );
        }
        assert!(self.ignored.is_none(), "cross_entropy: ignore_index is a label, but the target holds probabilities");
        let axis = resolve_axis("cross_entropy", self.axis, logits.shape());
        let (x, target) = (&logits.widened(), &target.widened());
        let (smoothing, share) = (self.smoothing, self.smoothing / logits.shape()[axis] as f64);
        let weight = class_weights(self.weights.as_ref(), x, axis);
        let total = x.logsumexp(keep(axis as isize));
        let term = move |[x, z, q, w]: [Expr; 4]| {
            let q = q * (1.0 - smoothing) + share;
            q.eq(0.0).select(0.0, w * q * (z - x))
        };
        let term = pointwise(term).named("cross_entropy");
        let losses = term.fold(Fold::Sum, axis as isize, [x, &total, target, &weight]);
        let loss = match self.reduction {
            Reduction::None => losses,
            Reduction::Sum => losses.sum(..),
            Reduction::Mean => losses.mean(..),
            Reduction::BatchMean => losses.sum(..) / x.shape()[0] as f64,
        };
        loss.to(logits.dtype())
    }
}

/// Checked labels, with the axis of classes kept.
struct Labels {
    axis: usize,
    /// The label, or 0 where it is ignored.
    index: Tensor,
    /// Whether the sample counts.
    valid: Tensor,
    /// The weight of the label's class, 0 where it is ignored; in the type that is computed in.
    weight: Tensor,
}

impl Labels {
    #[track_caller]
    fn new(op: &'static str, options: &CrossEntropy, x: &Tensor, labels: &Tensor) -> Labels {
        let axis = resolve_axis(op, options.axis, x.shape());
        let mut one = x.shape().clone();
        one[axis] = 1;
        if labels.dtype() == DType::Bool || labels.count() != one.count() || labels.rank() + 1 != x.rank() {
            panic!(
                "{op}: labels of shape {} ({}) for shape {} with the classes along axis {axis}; expected integers without \
                 that axis",
                labels.shape(),
                labels.dtype(),
                x.shape()
            );
        }
        let (labels, dtype) = (labels.to(DType::I64).reshape(&one), x.dtype().widened());
        if options.counts_all() {
            let [valid, weight] = [DType::Bool, dtype].map(|dtype| x.device().ones(&one, dtype));
            return Labels { axis, index: labels, valid, weight };
        }
        let ignored = options.ignored.unwrap_or(i64::MIN) as f64;
        let valid = pointwise(move |[t]| t.ne(ignored)).call([&labels]);
        let index = pointwise(|[t, v]| v.select(t, 0.0)).call([&labels, &valid]);
        let weight = match &options.weights {
            None => valid.to(dtype),
            Some(_) => {
                let all = class_weights(options.weights.as_ref(), &x.device().full(x.shape(), 0.0, dtype), axis);
                let own = all.expand(x.shape()).gather_for(op, axis as isize, &index);
                pointwise(|[w, v]| v.select(w, 0.0)).call([&own, &valid])
            }
        };
        Labels { axis, index, valid, weight }
    }
}

/// The weights of the classes along the axis of x, in its type; 1 if there are none.
#[track_caller]
fn class_weights(weights: Option<&Tensor>, x: &Tensor, axis: usize) -> Tensor {
    let Some(weights) = weights else { return x.device().full((), 1.0, x.dtype()) };
    if weights.shape()[..] != [x.shape()[axis]] {
        panic!(
            "cross_entropy: class weights of shape {} for {} classes; expected a vector of them",
            weights.shape(),
            x.shape()[axis]
        );
    }
    weights.to(x.dtype()).reshape(vector_shape(x, axis))
}

/// The shape of a vector that lies along an axis of x.
fn vector_shape(x: &Tensor, axis: usize) -> Shape {
    let mut shape = Shape::from_iter(std::iter::repeat_n(1, x.rank() - axis));
    shape[0] = x.shape()[axis];
    shape
}

crate::samples!("cross_entropy", |s| {
    let x = |shape: &[usize]| real(shape, -2.0..2.0);
    s.case("labels", [x(&[4, 3]), index([4], 3)], |[x, t]| x.cross_entropy(t, 1));
    s.case("classes in the middle", [x(&[2, 3, 2]), index([2, 2], 3)], |[x, t]| x.cross_entropy(t, 1));
    s.case("probabilities", [x(&[2, 3]), real([2, 3], 0.1..0.9)], |[x, t]| x.cross_entropy(t, -1));
    s.case("options", [x(&[4, 3]), index([4], 3)], |[x, t]| {
        let weights = x.device().tensor(&[0.5, 1.0, 2.0], [3]);
        let options = CrossEntropy::new(1).label_smoothing(0.1).ignore_index(1).class_weights(&weights);
        [Reduction::Sum, Reduction::None].map(|r| options.clone().reduction(r).call(x, t))
    });
    s.case("smoothed probabilities", [x(&[2, 3]), real([2, 3], 0.1..0.9)], |[x, t]| {
        CrossEntropy::new(1).label_smoothing(0.2).reduction(Reduction::BatchMean).call(x, t)
    });
});
crate::samples!("nll_loss", |s| {
    s.case("labels", [real([4, 3], -2.0..-0.1), index([4], 3)], |[x, t]| x.nll_loss(t, 1));
});
