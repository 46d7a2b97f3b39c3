//! One pass over everything that is behind some values.

use super::{LEAVES, PASSES, Size, Step, Value, behind};
use crate::backend::Call;
use crate::dtype::DType;
use crate::expr::{Inst, Part, Traced, Uniforms, Wire, compose};
use crate::pointwise::{Stretched, shared};
use crate::profile::{Attribution, together};
use crate::shape::Shape;
use crate::tensor::Tensor;
use smallvec::SmallVec;
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// Steps of a pass that is not short.
const TYPICAL: usize = 8;

/// Steps that are evaluated together.
pub(super) struct Pass {
    shape: Shape,
    dtype: DType,
    /// In order: arguments precede what reads them.
    steps: Vec<Arc<Step>>,
    parts: Vec<Part>,
    pub(super) leaves: Vec<Tensor>,
    uniforms: Uniforms,
    /// Results of steps that other steps read, and how often.
    inner: Vec<(Out, usize)>,
}

/// A value, and the step of a pass that computes it.
pub(super) struct Out {
    pub(super) step: u16,
    pub(super) output: u16,
    pub(super) value: Arc<Value>,
}

impl Out {
    fn is_in(&self, all: &[Out]) -> bool {
        all.iter().any(|other| Arc::ptr_eq(&other.value, &self.value))
    }
}

impl Pass {
    pub(super) fn new(shape: &Shape, dtype: DType) -> Pass {
        Pass {
            shape: shape.clone(),
            dtype,
            steps: Vec::with_capacity(TYPICAL),
            parts: Vec::with_capacity(TYPICAL),
            leaves: Vec::with_capacity(LEAVES),
            uniforms: Uniforms::new(),
            inner: Vec::with_capacity(TYPICAL),
        }
    }

    pub(super) fn insts(&self) -> usize {
        self.parts.iter().map(|part| part.program.insts().len()).sum()
    }

    fn position(&self, step: &Arc<Step>) -> Option<u16> {
        self.steps.iter().position(|known| Arc::ptr_eq(known, step)).map(|at| at as u16)
    }

    /// Adds a step and those behind it. The depth of the recursion is bounded by the size of a pass.
    pub(super) fn visit(&mut self, step: &Arc<Step>) -> u16 {
        if let Some(at) = self.position(step) {
            return at;
        }
        let mut wires = SmallVec::new();
        for x in &step.args {
            wires.push(x.as_ref().map_or(Wire::Unread, |x| self.wire(x)));
        }
        let uniforms = self.slots(&step.traced);
        self.parts.push(Part { program: step.traced.program.clone(), wires, uniforms });
        self.steps.push(step.clone());
        self.steps.len() as u16 - 1
    }

    /// Where an argument comes from.
    pub(super) fn wire(&mut self, x: &Tensor) -> Wire {
        if let Some((step, output)) = behind(x, &self.shape, self.dtype) {
            let at = self.visit(&step);
            match self.inner.iter_mut().find(|(out, _)| Arc::ptr_eq(&out.value, &x.value)) {
                Some((_, times)) => *times += 1,
                None => self.inner.push((Out { step: at, output, value: x.value.clone() }, 1)),
            }
            return Wire::Part(at, output);
        }
        let same = |leaf: &Tensor| Arc::ptr_eq(&leaf.value, &x.value) && leaf.layout == x.layout;
        let at = self.leaves.iter().position(same).unwrap_or_else(|| {
            self.leaves.push(x.clone());
            self.leaves.len() - 1
        });
        Wire::Leaf(at as u16)
    }

    /// Places of a step's uniforms among those of the pass; equal numbers share one, so that equal instructions do, too.
    fn slots(&mut self, Traced { program, uniforms }: &Traced) -> SmallVec<[u16; 4]> {
        let mut slots: SmallVec<[u16; 4]> = SmallVec::new();
        uniforms.chunks(1).for_each(|one| slots.push(self.slot(one)));
        if program.draws() {
            // Random numbers read four in a row.
            for inst in program.insts() {
                if let Inst::Random(_, k) = *inst {
                    slots[k as usize] = self.slot(&uniforms[k as usize..][..4]);
                }
            }
        }
        slots
    }

    fn slot(&mut self, numbers: &[f64]) -> u16 {
        let same = |window: &[f64]| window.iter().zip(numbers).all(|(a, b)| a.to_bits() == b.to_bits());
        let at = self.uniforms.windows(numbers.len()).position(same).unwrap_or_else(|| {
            self.uniforms.extend_from_slice(numbers);
            self.uniforms.len() - numbers.len()
        });
        at as u16
    }

    /// Attributes calls to the steps until it is dropped.
    pub(super) fn attribution(&self) -> Attribution {
        together(self.steps.iter().map(|step| step.op))
    }

    /// Whether a step can be evaluated along: its pass has steps in common with this one, and both together are not too
    /// large.
    pub(super) fn joins(&self, step: &Arc<Step>) -> bool {
        if step.shape != self.shape || step.dtype != self.dtype {
            return false;
        }
        let mut other = Pass::new(&step.shape, step.dtype);
        other.visit(step);
        let leaves = other.leaves.iter().filter(|x| !self.leaves.iter().any(|y| Arc::ptr_eq(&x.value, &y.value)));
        let size = Size { insts: self.insts() + other.insts(), leaves: self.leaves.len() + leaves.count() };
        size.fits() && other.steps.iter().any(|step| self.position(step).is_some())
    }

    /// The program of these outputs (step, output).
    pub(super) fn traced(&self, outputs: &[(u16, u16)]) -> Traced {
        let program = compose(&self.parts, outputs, self.leaves.len(), self.uniforms.len());
        Traced { program, uniforms: self.uniforms.clone() }
    }

    /// What is computed on the way for the second time, and will be needed again: something else than the steps here
    /// holds it, or what it is a part of.
    pub(super) fn met_again(&mut self, wanted: &[Out]) -> Vec<Out> {
        let mut again = vec![];
        let mut needed: Vec<Wire> = vec![];
        for step in (0..self.steps.len() as u16).rev() {
            let passes = &self.steps[step as usize].passes;
            let before = passes.load(Ordering::Relaxed);
            for (out, times) in self.inner.extract_if(.., |(out, _)| out.step == step) {
                // Its own count, that of this list, and those of the steps.
                let held = Arc::strong_count(&out.value) > times + 1;
                if out.is_in(wanted) || !(held || needed.contains(&Wire::Part(step, out.output))) {
                    continue;
                }
                if before == PASSES {
                    again.push(out);
                } else {
                    passes.store(before + 1, Ordering::Relaxed);
                    needed.extend_from_slice(&self.parts[step as usize].wires);
                }
            }
        }
        again
    }

    /// Evaluates the steps and stores the outputs, and what else is worth it.
    pub(super) fn run(mut self, mut outputs: Vec<Out>) {
        // Other results of the same operations.
        for at in 0..outputs.len() {
            let step = outputs[at].step;
            for (weak, output) in self.steps[step as usize].results.get().into_iter().flatten().zip(0..) {
                let alive = weak.upgrade().map(|value| Out { step, output, value });
                outputs.extend(alive.filter(|out| !out.is_in(&outputs)));
            }
        }
        outputs.extend(self.met_again(&outputs));
        let places: Vec<(u16, u16)> = outputs.iter().map(|out| (out.step, out.output)).collect();
        let Traced { program, uniforms } = self.traced(&places);
        let stretched = Stretched::new(self.leaves.iter(), &self.shape);
        let dtypes: SmallVec<[DType; 4]> = outputs.iter().map(|out| out.value.dtype).collect();
        let call = Call {
            program: &program,
            uniforms: &uniforms,
            args: self.leaves.iter().enumerate().map(|(k, x)| shared(x, stretched.get(k))).collect(),
            shape: &self.shape,
            outputs: &dtypes,
        };
        let _steps = self.attribution();
        let storages = self.leaves[0].device().backend().map(call);
        for (out, storage) in outputs.iter().zip(storages) {
            out.value.fill(storage);
        }
    }
}
