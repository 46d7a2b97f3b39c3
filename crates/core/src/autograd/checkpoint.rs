//! Less memory for more time: parts of a graph that are computed again.

use super::{Grads, root};
use crate::tape::{Sweep, boundary, is_recording, next_id, replay};
use crate::tensor::Tensor;
use std::panic::Location;

/// `f(inputs)` without keeping what its steps save: the backward sweep computes `f` again. Random draws repeat, and
/// tracked tensors that `f` captures (a layer's parameters) get their gradients, too.
///
/// ```
/// # use cotangent_core::*;
/// let (x, w) = (Tensor::ones([2]), Tensor::new([0.5, 1.0], [2]).tracked());
/// let captured = w.clone();
/// let y = checkpoint(move |[x]| (x * &captured).tanh().exp(), [&x]);
/// let plain = (&x * &w).tanh().exp();
/// assert_eq!(y.sum(..).backward()[&w].to_vec::<f32>(), plain.sum(..).backward()[&w].to_vec::<f32>());
/// ```
#[track_caller]
pub fn checkpoint<const N: usize>(
    f: impl Fn([&Tensor; N]) -> Tensor + Send + Sync + 'static,
    inputs: [&Tensor; N],
) -> Tensor {
    let floor = next_id();
    let (y, tickets) = crate::rng::recording(|| f(inputs));
    let Some(node) = y.node.as_ref().filter(|_| is_recording()) else { return y };
    let reached = boundary(node, floor);
    let ids: Vec<u64> = reached.iter().map(|node| node.id).collect();
    let site = Location::caller();
    let saved = inputs.map(Tensor::clone);
    let mut record = y.detach().record("checkpoint");
    record.see(&inputs);
    record
        .rule_for(reached, move |g, _, _| {
            let floor = next_id();
            let again = || replay(|| f(saved.each_ref()));
            let y = crate::rng::replaying(tickets.clone(), again);
            let recording = is_recording();
            let sweep = Sweep { site, retain: recording, record: recording, wanted: None, floor };
            let found = Grads { found: sweep.run(vec![root("checkpoint", &y, g)]), ..Grads::default() };
            ids.iter().map(|&id| found.by_id(id).cloned()).collect()
        })
        .done()
}

/// `layers` one after the other, in `segments` of about equal length of which only the inputs are kept: each is computed
/// again in the backward sweep, as by [`checkpoint`]. The last one keeps what it saves, because the sweep begins there. About
/// √n segments for n layers need the least memory (Chen et al. 2016).
///
/// ```
/// # use cotangent_core::*;
/// let x = Tensor::new([0.5, 1.0], [2]).tracked();
/// let layers = || (1..=5).map(|k| move |x: &Tensor| (x * k as f64).tanh());
/// let plain = layers().fold(x.clone(), |x, layer| layer(&x)).sum(..).backward();
/// let kept = checkpoint_sequential(layers(), 2, &x).sum(..).backward();
/// assert_eq!(kept[&x].to_vec::<f32>(), plain[&x].to_vec::<f32>());
/// ```
///
/// # Panics
/// If `segments` is 0.
#[track_caller]
pub fn checkpoint_sequential<F: Fn(&Tensor) -> Tensor + Send + Sync + 'static>(
    layers: impl IntoIterator<Item = F>,
    segments: usize,
    x: &Tensor,
) -> Tensor {
    assert!(segments > 0, "checkpoint_sequential: 0 segments; give at least 1");
    let mut layers: Vec<F> = layers.into_iter().collect();
    let length = layers.len().div_ceil(segments).max(1);
    let run = |layers: &[F], x: &Tensor| layers.iter().fold(x.clone(), |x, layer| layer(&x));
    let mut x = x.clone();
    while layers.len() > length {
        let rest = layers.split_off(length);
        let segment = std::mem::replace(&mut layers, rest);
        x = checkpoint(move |[x]| run(&segment, x), [&x]);
    }
    run(&layers, &x)
}
