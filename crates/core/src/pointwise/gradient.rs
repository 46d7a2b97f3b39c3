//! The gradient of a program: its derivative, evaluated and summed to the shapes of the arguments.

use super::call::{Given, apply, reduce};
use crate::backend::Fold;
use crate::dtype::DType;
use crate::expr::{Inst, Program, Traced, VjpKey};
use crate::shape::{Shape, keep_marked};
use crate::tape::{Gradients, History, Node, Pull, Seen, tracked};
use crate::tensor::Tensor;
use smallvec::SmallVec;
use std::borrow::Cow;
use std::sync::Arc;

/// What a reduction did, for its gradient.
#[derive(Clone)]
pub(super) struct Folding {
    pub fold: Fold,
    pub reduced: SmallVec<[bool; 6]>,
    /// The output's shape with reduced axes of extent 1.
    pub kept: Shape,
}

/// The gradient of one output of a program: what it needs from the forward pass.
pub(super) struct Pullback {
    program: Arc<Program>,
    output: usize,
    /// The arguments that gradients are computed for, as bits.
    wanted: u64,
    /// The derivative by all of those.
    derivative: Traced,
    /// The shape iterated over.
    shape: Shape,
    /// The arguments that the derivative reads, by position.
    saved: SmallVec<[(usize, Tensor); 1]>,
    folding: Option<Box<Folding>>,
}

/// The positions of bits.
fn positions(mut bits: u64) -> impl Iterator<Item = usize> {
    std::iter::from_fn(move || {
        let lowest = (bits != 0).then(|| bits.trailing_zeros() as usize);
        bits &= bits.wrapping_sub(1);
        lowest
    })
}

/// A gradient and the places on the tape that it is for.
type Recorded = (Box<Pullback>, SmallVec<[Arc<Node>; 2]>);

impl Pullback {
    /// That of an output; `None` if no tracked argument matters.
    pub fn new(traced: &Traced, output: usize, dtype: DType, args: &[Given], shape: &Shape) -> Option<Recorded> {
        if !dtype.is_float() {
            return None;
        }
        let program = &traced.program;
        let mut nodes = SmallVec::new();
        let mut wanted = 0;
        for (k, x) in args.iter().enumerate() {
            if let Some(node) = tracked(x).filter(|_| program.reads(k)) {
                nodes.push(node.clone());
                wanted |= 1 << k;
            }
        }
        if wanted == 0 {
            return None;
        }
        let derivative = traced.with(program.vjp(VjpKey { output, wanted }));
        let mut saved = SmallVec::new();
        for (k, x) in args.iter().enumerate().filter(|(k, _)| derivative.program.reads(*k)) {
            saved.push((k, Tensor::clone(x)));
        }
        let (program, shape) = (program.clone(), shape.clone());
        Some((Box::new(Pullback { program, output, wanted, derivative, shape, saved, folding: None }), nodes))
    }

    /// Makes it the gradient of a fold. Folds other than sums need every argument again.
    pub fn folded(&mut self, folding: Folding, args: &[Given]) {
        if folding.fold != Fold::Sum {
            self.saved = args.iter().map(|x| Tensor::clone(x)).enumerate().collect();
        }
        self.folding = Some(Box::new(folding));
    }

    /// The result of the operation, on the tape if it has a gradient.
    #[track_caller]
    pub fn record(pull: Option<Recorded>, out: Tensor, op: &'static str, seen: Option<Box<Seen>>) -> Tensor {
        let Some((pull, nodes)) = pull else { return out.recorded(op, History::new(seen)) };
        let reads_output = pull.folding.as_ref().is_some_and(|f| matches!(f.fold, Fold::Max | Fold::Min));
        let mut history = History::new(seen);
        history.add_rule(nodes, pull);
        if reads_output {
            history.keep(&out);
        }
        out.recorded(op, history)
    }

    /// The derivative by some of the arguments.
    fn derivative(&self, wanted: u64) -> Cow<'_, Traced> {
        if wanted == self.wanted {
            return Cow::Borrowed(&self.derivative);
        }
        Cow::Owned(self.derivative.with(self.program.vjp(VjpKey { output: self.output, wanted })))
    }

    /// Whether the gradient by an argument is the cotangent itself.
    fn passes(&self, arg: usize) -> bool {
        let derivative = self.derivative(1 << arg);
        let program = &derivative.program;
        program.insts()[program.outputs()[0] as usize] == Inst::Arg(self.program.args() as u16)
    }

    /// The derivative's arguments; those that it does not read are stood in for by the cotangent.
    fn args<'a>(&'a self, g: &'a Tensor) -> SmallVec<[Given<'a>; 4]> {
        let mut args = SmallVec::new();
        (0..=self.program.args()).for_each(|_| args.push(Given::Shared(g)));
        self.saved.iter().for_each(|(k, x)| args[*k] = Given::Shared(x));
        args
    }

    /// The cotangent of the folded values: the sum's own, a share of it where the largest was taken, times the
    /// other factors in a product.
    fn unfold(&self, folding: &Folding, g: &Tensor, output: Option<&Tensor>) -> Tensor {
        if folding.fold == Fold::Sum {
            return g.clone();
        }
        let original = self.derivative.with(self.program.clone());
        let mut args: SmallVec<[Given; 4]> = self.saved.iter().map(|(_, x)| Given::Shared(x)).collect();
        let value = apply("gradient", &original, &mut args).swap_remove(self.output);
        if folding.fold == Fold::Prod {
            return g * value.product_of_others(&folding.reduced);
        }
        let best = output.expect("kept for this rule").reshape(&folding.kept).detach();
        let hit = value.detach().eq(&best).to(value.dtype());
        let ties = hit.sum(keep_marked(&folding.reduced));
        g * (hit / ties)
    }
}

impl Pull for Pullback {
    fn pull(&self, g: &Tensor, output: Option<&Tensor>, targets: &[Arc<Node>], needed: &[bool]) -> Gradients {
        let unfolded;
        let g = match &self.folding {
            None => g,
            Some(folding) => {
                unfolded = self.unfold(folding, &g.reshape(&folding.kept), output).expand(&self.shape);
                &unfolded
            }
        };
        let mut grads = Gradients::new();
        targets.iter().for_each(|_| grads.push(None));
        let target = |arg: usize| (self.wanted & ((1 << arg) - 1)).count_ones() as usize;
        let shape = |arg: usize| &targets[target(arg)].shape;
        // Arguments of the full shape, and those that were stretched to it.
        let (mut full, mut summed) = (0, 0);
        for arg in positions(self.wanted).filter(|&arg| needed[target(arg)]) {
            if shape(arg) != &self.shape {
                summed |= 1 << arg;
            } else if self.passes(arg) {
                // A cotangent that passes unchanged, as through a sum, is not copied.
                grads[target(arg)] = Some(g.clone());
            } else {
                full |= 1 << arg;
            }
        }
        if full != 0 {
            let results = apply("gradient", &self.derivative(full), &mut self.args(g));
            positions(full).zip(results).for_each(|(arg, grad)| grads[target(arg)] = Some(grad));
        }
        // Where arguments were stretched alike, their gradients are computed and summed in one pass.
        while let Some(first) = positions(summed).next() {
            let from = shape(first);
            let alike = positions(summed).filter(|&arg| shape(arg) == from).fold(0, |bits, arg| bits | 1 << arg);
            summed &= !alike;
            let reduced = stretched_axes(from, &self.shape);
            let sums = reduce("gradient", &self.derivative(alike), &self.args(g), Fold::Sum, &reduced, true);
            positions(alike).zip(sums).for_each(|(arg, sum)| grads[target(arg)] = Some(sum.reshape(from)));
        }
        grads
    }
}

/// The axes of `to` along which a tensor of shape `from` was stretched.
pub(crate) fn stretched_axes(from: &Shape, to: &Shape) -> SmallVec<[bool; 6]> {
    let lead = to.len() - from.len();
    (0..to.len()).map(|axis| axis < lead || (from[axis - lead] == 1 && to[axis] != 1)).collect()
}
