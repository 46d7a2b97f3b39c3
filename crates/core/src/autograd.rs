//! Gradients: [`Tensor::backward`] for training, [`Tensor::grad`] for gradients that are differentiated again, and
//! the usual derivatives built on them.

use crate::dtype::DType;
use crate::shape::Shape;
use crate::tape::{Seen, Sweep, boundary, is_recording, next_id, no_grad, replay, tracks, with_grad};
use crate::tensor::{Tensor, checked_count};
use smallvec::SmallVec;
use std::collections::BTreeMap;
use std::ops::{AddAssign, Index};
use std::panic::Location;

/// Gradients found by a backward sweep: of every leaf that was reached, and of results that
/// [retain](Tensor::retain_grad) theirs.
///
/// `grads[&w]` is an error if `w` was not reached; [`get`](Grads::get) returns `None` then. Summing `Grads` with `+=`
/// accumulates over batches; in half precision the sum is kept in `f32` and rounded to be read.
#[derive(Clone, Default)]
pub struct Grads {
    /// By node, youngest first.
    found: Vec<(u64, Tensor)>,
    /// Sums of half-precision gradients before they were rounded, so that many small ones add up.
    sums: BTreeMap<u64, Tensor>,
    site: Option<&'static Location<'static>>,
}

impl Grads {
    /// The gradient by `x`; `None` if `x` is untracked or the loss does not depend on it.
    pub fn get(&self, x: &Tensor) -> Option<&Tensor> {
        self.by_id(x.node.as_ref()?.id)
    }

    fn by_id(&self, id: u64) -> Option<&Tensor> {
        let at = self.found.binary_search_by(|(other, _)| id.cmp(other)).ok()?;
        Some(&self.found[at].1)
    }

    /// The gradient by `x`, or zeros if there is none.
    pub fn get_or_zeros(&self, x: &Tensor) -> Tensor {
        self.get(x).cloned().unwrap_or_else(|| x.zeros_like())
    }

    /// Replaces the gradient by `x`, as clipping does. Nothing happens if there is none.
    pub fn replace(&mut self, x: &Tensor, grad: Tensor) {
        let id = x.node.as_ref().map(|node| node.id);
        if let Some(slot) = self.found.iter_mut().find(|(other, _)| Some(*other) == id) {
            self.sums.remove(&slot.0);
            slot.1 = grad;
        }
    }

    /// How many gradients there are.
    pub fn len(&self) -> usize {
        self.found.len()
    }

    /// Whether nothing was reached.
    pub fn is_empty(&self) -> bool {
        self.found.is_empty()
    }

    /// All gradients.
    pub fn iter(&self) -> impl Iterator<Item = &Tensor> {
        self.found.iter().map(|(_, g)| g)
    }
}

impl Index<&Tensor> for Grads {
    type Output = Tensor;
    #[track_caller]
    fn index(&self, x: &Tensor) -> &Tensor {
        match (self.get(x), &x.node) {
            (Some(g), _) => g,
            (None, None) => {
                panic!("grads: the tensor of shape {} is untracked; call .tracked() before it is used", x.shape())
            }
            (None, Some(node)) => {
                let swept = self.site.map_or(String::new(), |site| format!(" swept at {site}"));
                panic!(
                    "grads: the loss{swept} does not depend on `{}` of shape {} made at {}; if that is intended, use \
                     .get(..) or .get_or_zeros(..)",
                    node.op,
                    x.shape(),
                    node.site
                )
            }
        }
    }
}

impl AddAssign for Grads {
    fn add_assign(&mut self, mut other: Grads) {
        let wide = |sum: Option<Tensor>, g: &Tensor| sum.unwrap_or_else(|| g.to(DType::F32));
        for (id, g) in other.found {
            match self.found.binary_search_by(|(known, _)| id.cmp(known)) {
                Ok(at) if g.dtype().is_half() => {
                    let own = &mut self.found[at].1;
                    let sum = wide(self.sums.remove(&id), own) + wide(other.sums.remove(&id), &g);
                    *own = sum.to(g.dtype());
                    self.sums.insert(id, sum);
                }
                Ok(at) => self.found[at].1 = &self.found[at].1 + g,
                Err(at) => self.found.insert(at, (id, g)),
            }
        }
        self.sums.extend(other.sums);
    }
}

impl std::fmt::Debug for Grads {
    fn fmt(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result {
        f.debug_list().entries(self.found.iter().map(|(_, g)| g.shape())).finish()
    }
}

/// How [`grads`] goes about it.
#[derive(Clone, Copy, Debug, Default)]
pub struct Options {
    /// Keep the graph for another sweep.
    pub retain: bool,
    /// Record the gradients, so that they can be differentiated; keeps the graph, too.
    pub record: bool,
}

/// Gradients of Σ⟨output, cotangent⟩ by each of `wrt`; `None` where nothing depends on it.
///
/// # Panics
/// If an output is untracked, a cotangent's shape or element type is not its output's, or the graph was consumed.
#[track_caller]
pub fn grads(outputs: &[(&Tensor, &Tensor)], wrt: &[&Tensor], options: Options) -> Vec<Option<Tensor>> {
    let nodes: Vec<u64> = wrt.iter().filter_map(|x| x.node.as_ref()).map(|node| node.id).collect();
    let Options { retain, record } = options;
    let sweep = Sweep { site: Location::caller(), retain: retain || record, record, wanted: Some(&nodes), floor: 0 };
    let mut roots = Vec::with_capacity(outputs.len());
    for (y, g) in outputs {
        roots.push(root("grads", y, g));
    }
    let found = Grads { found: sweep.run(roots), ..Grads::default() };
    wrt.iter().map(|x| found.get(x).cloned()).collect()
}

/// Panics unless a cotangent or tangent is like what it belongs to.
#[track_caller]
fn check_direction(op: &str, what: &str, direction: &Tensor, of: &str, x: &Tensor) {
    crate::tensor::same_device(op, direction, x);
    if direction.shape() != x.shape() || direction.dtype() != x.dtype() {
        panic!(
            "{op}: the {what} has shape {} and type {}, the {of} {} and {}; they must be equal",
            direction.shape(),
            direction.dtype(),
            x.shape(),
            x.dtype()
        );
    }
}

/// A root of a sweep, checked.
#[track_caller]
fn root(op: &str, y: &Tensor, g: &Tensor) -> (std::sync::Arc<crate::tape::Node>, Tensor) {
    check_direction(op, "cotangent", g, "output", y);
    let Some(node) = y.node.clone() else {
        panic!("{op}: the output of shape {} depends on no tracked tensor; call .tracked() on a parameter", y.shape())
    };
    (node, g.clone())
}

impl Tensor {
    /// Gradients of this scalar by every leaf that it depends on. Frees what the graph saved: a second sweep is an
    /// error (see [`backward_retained`](Tensor::backward_retained)).
    ///
    /// # Panics
    /// If there is more than one element, nothing tracked is reached, or the graph was consumed before.
    ///
    /// ```
    /// # use cotangent_core::*;
    /// let w = Tensor::new([1.0, -2.0], [2]).tracked();
    /// let grads = w.square().sum(..).backward();
    /// assert_eq!(grads[&w].to_vec::<f32>(), [2.0, -4.0]);
    /// ```
    #[track_caller]
    pub fn backward(&self) -> Grads {
        self.sweep("backward", None, false)
    }

    /// As [`backward`](Tensor::backward), but keeps the graph, so that it can be swept again.
    #[track_caller]
    pub fn backward_retained(&self) -> Grads {
        self.sweep("backward", None, true)
    }

    /// Gradients of ⟨self, cotangent⟩ by every leaf, for results of any shape.
    ///
    /// # Panics
    /// If the cotangent's shape or element type is not this tensor's; see also [`backward`](Tensor::backward).
    #[track_caller]
    pub fn backward_with(&self, cotangent: &Tensor) -> Grads {
        self.sweep("backward_with", Some(cotangent), false)
    }

    #[track_caller]
    fn sweep(&self, op: &str, cotangent: Option<&Tensor>, retain: bool) -> Grads {
        let site = Location::caller();
        let one;
        let cotangent = match cotangent {
            Some(g) => g,
            None => {
                self.check_scalar(op);
                one = self.ones_like();
                &one
            }
        };
        let sweep = Sweep { site, retain, record: false, wanted: None, floor: 0 };
        Grads { found: sweep.run(vec![root(op, self, cotangent)]), site: Some(site), ..Grads::default() }
    }

    #[track_caller]
    fn check_scalar(&self, op: &str) {
        if self.count() != 1 {
            panic!(
                "{op}: a gradient is of one number, but the shape is {}; reduce it with .sum(..) or .mean(..), or give \
                 a cotangent to .backward_with(..)",
                self.shape()
            );
        }
    }

    /// Gradients of this scalar by each of `wrt`, recorded: they can be differentiated again. Keeps the graph.
    ///
    /// # Panics
    /// If one of `wrt` is untracked or not reached; see [`grads`] for gradients that may be missing.
    ///
    /// ```
    /// # use cotangent_core::*;
    /// let x = Tensor::new([2.0], [1]).tracked();
    /// let [slope] = (&x * &x * &x).sum(..).grad([&x]);
    /// let [curvature] = slope.sum(..).grad([&x]);
    /// assert_eq!((slope.item(), curvature.item()), (12.0, 12.0));
    /// ```
    #[track_caller]
    pub fn grad<const N: usize>(&self, wrt: [&Tensor; N]) -> [Tensor; N] {
        self.check_scalar("grad");
        let found = grads(&[(self, &self.ones_like())], &wrt, Options { retain: true, record: true });
        for (k, (x, g)) in wrt.iter().zip(&found).enumerate() {
            if g.is_none() {
                panic!(
                    "grad: input {k} of shape {} is {}; use autograd::grads for gradients that may be missing",
                    x.shape(),
                    if x.is_tracked() { "not reached: the result does not depend on it" } else { "untracked" }
                );
            }
        }
        let mut found = found.into_iter().flatten();
        wrt.map(|_| found.next().expect("one for each, checked above"))
    }

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

/// Runs `f` on leaves made of `inputs`, recording.
fn on_leaves<const N: usize, R>(inputs: [&Tensor; N], f: impl FnOnce([&Tensor; N]) -> R) -> (R, [Tensor; N]) {
    // A copy that is tied to the original, so that results can be differentiated by what the caller tracks.
    let leaves = inputs.map(|x| if tracks(x) { x.alias() } else { x.tracked() });
    (with_grad(|| f(leaves.each_ref())), leaves)
}

/// Whether results for these inputs are to be recorded.
fn recorded(inputs: &[&Tensor]) -> bool {
    inputs.iter().any(|x| tracks(x))
}

/// The value of a scalar function and its gradients by every input, 0 where it does not depend on one.
///
/// ```
/// # use cotangent_core::*;
/// let x = Tensor::new([1.0, 2.0], [2]);
/// let (y, [g]) = value_and_grad(|[x]| x.square().sum(..), [&x]);
/// assert_eq!((y.item(), g.to_vec::<f32>()), (5.0, vec![2.0, 4.0]));
/// ```
#[track_caller]
pub fn value_and_grad<const N: usize>(
    f: impl FnOnce([&Tensor; N]) -> Tensor,
    inputs: [&Tensor; N],
) -> (Tensor, [Tensor; N]) {
    let (y, leaves) = on_leaves(inputs, f);
    y.check_scalar("value_and_grad");
    let g = pull("value_and_grad", &y, &y.ones_like(), leaves.each_ref(), recorded(&inputs));
    (if recorded(&inputs) { y } else { y.detach() }, g)
}

/// Gradients of ⟨y, g⟩ by `leaves`, zeros where there are none.
#[track_caller]
fn pull<const N: usize>(op: &str, y: &Tensor, g: &Tensor, leaves: [&Tensor; N], record: bool) -> [Tensor; N] {
    check_direction(op, "cotangent", g, "output", y);
    if y.node.is_none() {
        return leaves.map(Tensor::zeros_like);
    }
    let found = grads(&[(y, g)], &leaves, Options { retain: true, record });
    let mut found = found.into_iter();
    leaves.map(|x| found.next().expect("one for each").unwrap_or_else(|| x.zeros_like()))
}

/// The value of `f` and its vector-Jacobian product uᵀ·∂f/∂x for every input.
///
/// ```
/// # use cotangent_core::*;
/// let x = Tensor::new([1.0, 2.0], [2]);
/// let (_, [g]) = vjp(|[x]| x.square(), [&x], &Tensor::new([1.0, 10.0], [2]));
/// assert_eq!(g.to_vec::<f32>(), [2.0, 40.0]);
/// ```
#[track_caller]
pub fn vjp<const N: usize>(
    f: impl FnOnce([&Tensor; N]) -> Tensor,
    inputs: [&Tensor; N],
    u: &Tensor,
) -> (Tensor, [Tensor; N]) {
    let (y, leaves) = on_leaves(inputs, f);
    let record = recorded(&inputs) || tracks(u);
    let g = pull("vjp", &y, u, leaves.each_ref(), record);
    (if record { y } else { y.detach() }, g)
}

/// The value of `f` and its Jacobian-vector product Σ ∂f/∂x·v, by differentiating uᵀ·∂f/∂x, which is linear in u.
///
/// ```
/// # use cotangent_core::*;
/// let x = Tensor::new([1.0, 2.0], [2]);
/// let (_, dy) = jvp(|[x]| x.prod(..), [&x], [&Tensor::new([0.1, 0.0], [2])]);
/// assert!((dy.item() - 0.2).abs() < 1e-6);
/// ```
#[track_caller]
pub fn jvp<const N: usize>(
    f: impl FnOnce([&Tensor; N]) -> Tensor,
    inputs: [&Tensor; N],
    v: [&Tensor; N],
) -> (Tensor, Tensor) {
    let record = recorded(&inputs) || recorded(&v);
    let (y, leaves) = on_leaves(inputs, f);
    for (k, (v, x)) in v.iter().zip(&inputs).enumerate() {
        check_direction("jvp", &format!("tangent {k}"), v, "input", x);
    }
    let u = y.zeros_like().tracked();
    let dual = with_grad(|| {
        let g = pull("jvp", &y, &u, leaves.each_ref(), true);
        g.iter().zip(v).map(|(g, v)| (g * v).sum(..)).reduce(|a, b| a + b)
    });
    let dy = match dual {
        Some(dual) if dual.is_tracked() => pull("jvp", &dual, &dual.ones_like(), [&u], record)[0].clone(),
        _ => y.zeros_like(),
    };
    if record { (y, dy) } else { (y.detach(), dy.detach()) }
}

/// The Jacobian of `f` at `x`, of shape `[f(x)'s shape.., x's shape..]`, row by row.
///
/// ```
/// # use cotangent_core::*;
/// let x = Tensor::new([1.0, 2.0], [2]);
/// let j = jacobian(|x| x.square(), &x);
/// assert_eq!(j.to_vec::<f32>(), [2.0, 0.0, 0.0, 4.0]);
/// ```
#[track_caller]
pub fn jacobian(f: impl FnOnce(&Tensor) -> Tensor, x: &Tensor) -> Tensor {
    let (y, [leaf]) = on_leaves([x], |[x]| f(x));
    rows("jacobian", &y, &leaf, recorded(&[x]))
}

/// The Jacobian of a recorded result by a leaf, row by row.
#[track_caller]
fn rows(op: &str, y: &Tensor, leaf: &Tensor, record: bool) -> Tensor {
    let shape: Shape = y.shape().iter().chain(leaf.shape().iter()).copied().collect();
    checked_count(op, &shape);
    let mut rows = vec![];
    for k in 0..y.count() {
        let one = y.detach().ones_like().reshape([y.count()]).narrow(0, 0, 1);
        let u = y.zeros_like().reshape([y.count()]).slice_assign(0, k, &one).reshape(y.shape());
        let [row] = pull(op, y, &u, [leaf], record);
        rows.push(row);
    }
    if rows.is_empty() {
        return leaf.device().full(shape, 0.0, y.dtype());
    }
    Tensor::stack(&rows.iter().collect::<Vec<_>>(), 0).reshape(shape)
}

/// The gradient of a scalar function, recorded, and the leaf that stands for `x`.
#[track_caller]
fn slope(op: &str, f: impl FnOnce(&Tensor) -> Tensor, x: &Tensor) -> (Tensor, Tensor) {
    let (y, [leaf]) = on_leaves([x], |[x]| f(x));
    y.check_scalar(op);
    let [g] = pull(op, &y, &y.ones_like(), [&leaf], true);
    (g, leaf)
}

/// The Hessian of a scalar function at `x`, of shape `[x's shape.., x's shape..]`.
///
/// ```
/// # use cotangent_core::*;
/// let h = hessian(|x| (x.square() * x).sum(..), &Tensor::new([1.0, 2.0], [2]));
/// assert_eq!(h.to_vec::<f32>(), [6.0, 0.0, 0.0, 12.0]);
/// ```
#[track_caller]
pub fn hessian(f: impl FnOnce(&Tensor) -> Tensor, x: &Tensor) -> Tensor {
    let (g, leaf) = slope("hessian", f, x);
    rows("hessian", &g, &leaf, recorded(&[x]))
}

/// The Hessian of a scalar function times a vector, in one pass of each order.
///
/// ```
/// # use cotangent_core::*;
/// let x = Tensor::new([1.0, 2.0], [2]);
/// let hv = hvp(|x| (x.square() * x).sum(..), &x, &Tensor::ones([2]));
/// assert_eq!(hv.to_vec::<f32>(), [6.0, 12.0]);
/// ```
#[track_caller]
pub fn hvp(f: impl FnOnce(&Tensor) -> Tensor, x: &Tensor, v: &Tensor) -> Tensor {
    check_direction("hvp", "vector", v, "input", x);
    let (g, leaf) = slope("hvp", f, x);
    let [hv] = pull("hvp", &g, v, [&leaf], recorded(&[x]) || tracks(v));
    hv
}

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
    if tracked.is_empty() {
        return y.record_seen(name, Seen::of(inputs)).done();
    }
    let nodes = tracked.iter().map(|(_, node)| node.clone()).collect();
    let positions: SmallVec<[usize; 4]> = tracked.iter().map(|(k, _)| *k).collect();
    y.record_seen(name, Seen::of(inputs))
        .keep_output()
        .rule_for(nodes, move |g, output, _| {
            let output = output.expect("the node keeps its output for this rule");
            let all = backward(g, output, saved.each_ref());
            positions.iter().map(|&k| Some(all[k].clone())).collect()
        })
        .done()
}
