//! Looking into a graph: its steps, and why a gradient is missing or zero.

use crate::shape::Shape;
use crate::tape::{Node, Sweep, between, observe, statistics, values};
use crate::tensor::Tensor;
use std::collections::BTreeMap;
use std::panic::Location;
use std::sync::Arc;

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

    /// Says why the gradient of this result, or of its sum, by `x` is zero everywhere: on each way from the result to `x`
    /// the first operation that makes a zero of what came to it, with its place in the program. `None` if some element of
    /// the gradient is not zero. Where there is no gradient at all, it says what [`why_no_grad`](Tensor::why_no_grad)
    /// does.
    ///
    /// The graph is kept. If the operation was recorded in [anomaly mode](crate::anomaly), its inputs are described, too.
    ///
    /// ```
    /// # use cotangent_core::*;
    /// let w = Tensor::new([-1.0, -2.0], [2]).tracked();
    /// let dead = (w.relu() * 3.0).sum(..);
    /// assert!(dead.why_zero(&w).unwrap().starts_with("`relu` (recorded at "));
    /// assert_eq!(w.square().sum(..).why_zero(&w), None);
    /// ```
    #[track_caller]
    pub fn why_zero(&self, x: &Tensor) -> Option<String> {
        if let Some(reason) = self.why_no_grad(x) {
            return Some(reason);
        }
        let (root, target) = (self.node.as_ref()?, x.node.as_ref()?.id);
        if x.count() == 0 {
            return Some(format!("the tensor of shape {} has no elements", x.shape()));
        }
        let on_the_way = between(root, target);
        let mut cuts = vec![];
        // What has come to each node, none of it zero; the youngest node has all that will come.
        let mut waiting = BTreeMap::from([(root.id, (root.clone(), self.detach().ones_like()))]);
        while let Some((id, (node, g))) = waiting.pop_last() {
            if is_zero(&g) {
                cuts.push(format!("what comes to {} from several sides adds up to zero", place(&node)));
                continue;
            }
            if id == target {
                if !is_zero(&observe(&node, g)) {
                    return None;
                }
                cuts.push(format!("a hook of {} made its gradient zero", place(&node)));
                continue;
            }
            let inputs: BTreeMap<u64, Arc<Node>> =
                node.inputs().into_iter().filter(|n| on_the_way.contains(&n.id)).map(|n| (n.id, n)).collect();
            let parts: BTreeMap<u64, Tensor> = one_step(&node, g.clone()).into_iter().collect();
            for (id, input) in inputs.into_iter().rev() {
                match parts.get(&id) {
                    Some(part) if !is_zero(part) => {
                        let sum = waiting.remove(&id).map_or(part.clone(), |(_, other)| other + part);
                        waiting.insert(id, (input, sum));
                    }
                    _ => cuts.push(cut(&node, &g, &input)),
                }
            }
        }
        let more = cuts.len().saturating_sub(MOST_CUTS);
        cuts.truncate(MOST_CUTS);
        if more > 0 {
            cuts.push(format!("and {more} more"));
        }
        Some(cuts.join("\n"))
    }
}

/// How many places [`Tensor::why_zero`] names.
const MOST_CUTS: usize = 4;

fn is_zero(g: &Tensor) -> bool {
    values(g).iter().all(|v| *v == 0.0)
}

/// The gradients by the inputs of one operation.
#[track_caller]
fn one_step(node: &Arc<Node>, cotangent: Tensor) -> Vec<(u64, Tensor)> {
    let sweep = Sweep { site: Location::caller(), retain: true, record: false, wanted: None, floor: node.id };
    sweep.run(vec![(node.clone(), cotangent)])
}

fn place(node: &Node) -> String {
    format!("`{}` (recorded at {})", node.op, node.site)
}

/// An operation that passes nothing on to an input.
fn cut(node: &Node, g: &Tensor, input: &Node) -> String {
    let hooked = if node.has_hooks() { "; it has a hook, which may have made it zero" } else { "" };
    format!(
        "{}: the cotangent {}, but the gradient by its input, the result of {}, is zero everywhere{hooked}{}",
        place(node),
        statistics(g),
        place(input),
        node.seen()
    )
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
