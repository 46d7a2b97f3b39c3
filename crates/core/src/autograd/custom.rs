//! Gradients of one's own for functions that exist.

use crate::tape::{no_grad, tracks};
use crate::tensor::Tensor;
use smallvec::SmallVec;

/// `forward(inputs)` with a gradient of your own: `backward(cotangent, output, inputs)` returns the gradient by each
/// input. The pair is checked by `check::gradcheck` like any other function.
///
/// ```
/// # use cotangent_core::*;
/// // The identity with a reversed gradient.
/// let x = Tensor::ones([2]).tracked();
/// let y = custom_vjp("reverse_gradient", [&x], |[x]| x.clone(), |g, _, _| [-g]);
/// assert_eq!(y.sum(..).backward()[&x].to_vec::<f32>(), [-1.0, -1.0]);
/// ```
#[track_caller]
pub fn custom_vjp<const N: usize>(
    name: &'static str,
    inputs: [&Tensor; N],
    forward: impl FnOnce([&Tensor; N]) -> Tensor,
    backward: impl Fn(&Tensor, &Tensor, [&Tensor; N]) -> [Tensor; N] + Send + Sync + 'static,
) -> Tensor {
    let y = no_grad(|| forward(inputs)).detach();
    let saved = inputs.map(Tensor::clone);
    let tracked: SmallVec<[(usize, _); 2]> =
        (0..N).filter(|&k| tracks(inputs[k])).filter_map(|k| Some((k, inputs[k].node.clone()?))).collect();
    let mut record = y.record(name);
    record.see(&inputs);
    if tracked.is_empty() {
        return record.done();
    }
    let nodes = tracked.iter().map(|(_, node)| node.clone()).collect();
    let positions: SmallVec<[usize; 4]> = tracked.iter().map(|(k, _)| *k).collect();
    record
        .keep_output()
        .rule_for(nodes, move |g, output, _| {
            let output = output.expect("the node keeps its output for this rule");
            let all = backward(g, output, saved.each_ref());
            positions.iter().map(|&k| Some(all[k].clone())).collect()
        })
        .done()
}
