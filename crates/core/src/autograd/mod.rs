//! Gradients: [`Tensor::backward`] for training, [`Tensor::grad`] for gradients that are differentiated again, and
//! the usual derivatives built on them.

mod checkpoint;
mod custom;
mod derivatives;
mod inspect;

pub use checkpoint::{checkpoint, checkpoint_sequential};
pub use custom::custom_vjp;
pub use derivatives::{grad_and_aux, hessian, hvp, jacobian, jvp, value_and_grad, vjp};
pub use inspect::Step;

use crate::dtype::DType;
use crate::tape::Sweep;
use crate::tensor::Tensor;
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
}
