//! Losses as functions.

use cotangent_core::Tensor;

/// The mean over the batch of −ln softmax(logits)\[label\], for logits of shape `[.., classes]` and labels (`I64`) of
/// shape `[..]`. See [`Tensor::cross_entropy`] for another axis, and [`CrossEntropy`](cotangent_core::CrossEntropy) for
/// class weights, label smoothing and padding.
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
    logits.cross_entropy(labels, -1)
}
