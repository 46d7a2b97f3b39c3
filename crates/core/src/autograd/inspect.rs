//! Looking into a graph: its steps, and why a gradient is missing.

use crate::shape::Shape;
use crate::tensor::Tensor;
use std::panic::Location;

impl Tensor {
    /// The path from this result to its leaves, youngest first: what each recorded step was, its shape and place in
    /// the program. For inspection; steps that a sweep consumed end the path.
    pub fn history(&self) -> Vec<Step> {
        crate::tape::steps(self.node.as_ref())
    }

    /// Says why `x` gets no gradient from this result; `None` if it does get one.
    ///
    /// ```
    /// # use cotangent_core::*;
    /// let w = Tensor::ones([2]).tracked();
    /// let loss = w.detach().sum(..) + w.sum(..).detach();
    /// assert!(loss.why_no_grad(&w).unwrap().contains("no tracked"));
    /// ```
    pub fn why_no_grad(&self, x: &Tensor) -> Option<String> {
        let Some(node) = &x.node else {
            return Some(format!("the tensor of shape {} is untracked; call .tracked() before it is used", x.shape()));
        };
        if self.node.is_none() {
            return Some(
                "the result depends on no tracked tensor: everything before it was detached, computed inside no_grad, \
                 or converted to integers"
                    .into(),
            );
        }
        let steps = self.history();
        if steps.iter().any(|step| step.id == node.id) {
            return None;
        }
        let consumed = steps.iter().find(|step| step.consumed);
        Some(match consumed {
            Some(step) => format!("the graph was consumed at `{}`, recorded at {}", step.op, step.site),
            None => format!(
                "none of the {} recorded steps behind the result reads it; the tensor was made at {}, and may have been \
                 replaced, detached or converted on the way",
                steps.len(),
                node.site
            ),
        })
    }
}

/// A recorded step; see [`Tensor::history`].
#[derive(Clone, Debug)]
pub struct Step {
    /// Number on the tape; inputs have smaller ones.
    pub id: u64,
    /// Operation, or `leaf`.
    pub op: &'static str,
    /// Shape of the result.
    pub shape: Shape,
    /// Where it was recorded.
    pub site: &'static Location<'static>,
    /// Numbers of the inputs.
    pub inputs: Vec<u64>,
    /// Whether a sweep has freed it.
    pub consumed: bool,
}
