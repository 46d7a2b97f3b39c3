//! Losses.

use cotangent_core::{Expr, Fold, Tensor, keep, pointwise};

/// The mean over the batch of −ln softmax(logits)[label], for logits of shape `[batch, classes]` and labels (`I64`) of
/// shape `[batch]`. Computed from the logits, so that it neither overflows nor loses small probabilities.
///
/// ```
/// use cotangent_core::*;
/// use cotangent_layers::*;
/// let logits = Tensor::new([2.0, 1.0, 0.0], [1, 3]);
/// let loss = cross_entropy(&logits, &Tensor::from_slice(&[0i64], [1]));
/// assert!((loss.item() - 0.4076059644).abs() < 1e-6);
/// ```
///
/// # Panics
/// If the shapes do not fit, or a label is not a class.
#[track_caller]
pub fn cross_entropy(logits: &Tensor, labels: &Tensor) -> Tensor {
    let (shape, of) = (logits.shape(), labels.shape());
    if shape.len() != 2 || of.len() != 1 || shape[0] != of[0] {
        panic!(
            "cross_entropy: logits of shape {shape} and labels of shape {of}; expected [batch, classes] and [batch]"
        );
    }
    let classes = shape[1];
    if let Some(label) = labels.to_vec::<i64>().into_iter().find(|&label| label < 0 || label >= classes as i64) {
        panic!("cross_entropy: label {label} for logits of shape {shape}; a label lies from 0 to {}", classes - 1);
    }
    let numbers: Vec<f64> = (0..classes).map(|k| k as f64).collect();
    let numbers = logits.device().tensor(&numbers, [classes]).to(logits.dtype());
    let labels = labels.reshape([of[0], 1]).to(logits.dtype());
    let shifted = logits - logits.max(keep(-1)).detach();
    let pick = pointwise(|[z, label, k]| label.eq(k).select(z, Expr::constant(0.0)));
    let chosen = pick.fold(Fold::Sum, -1, [&shifted, &labels, &numbers]);
    (shifted.exp().sum(-1).log() - chosen).mean(..)
}
