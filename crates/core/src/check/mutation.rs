//! A test of the tests: gradients are falsified on purpose, and the checks must notice.

use super::conformance::operations;
use super::gradcheck::Gradcheck;
use super::graph::Graph;
use super::inputs::Stream;
use super::registry::Sample;
use super::report::Report;
use super::suite::Suite;
use crate::device::Device;
use crate::dtype::DType;
use crate::error::attempt;
use crate::fault::{Contribution, Injection, with_fault};
use crate::shape::Shape;
use crate::tensor::Tensor;
use std::collections::BTreeMap;
use std::fmt;
use std::rc::Rc;

/// A mistake in the gradient by one input of an operation, as people make them.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Fault {
    /// The sign is wrong.
    Negated,
    /// A factor of 2 too much.
    Doubled,
    /// A factor of 2 is missing.
    Halved,
    /// There is no gradient.
    Lost,
    /// It is not added if the input has received a gradient from another use already.
    Dropped,
    /// It is moved by one place along the last axis that has several.
    Shifted,
    /// Two axes of equal extent are exchanged.
    Transposed,
    /// It is that of another cotangent.
    Stale,
    /// Its value is right, but it cannot be differentiated again.
    Frozen,
}

impl Fault {
    /// Every fault.
    pub const ALL: [Fault; 9] = [
        Fault::Negated,
        Fault::Doubled,
        Fault::Halved,
        Fault::Lost,
        Fault::Dropped,
        Fault::Shifted,
        Fault::Transposed,
        Fault::Stale,
        Fault::Frozen,
    ];

    fn apply(self, found: Contribution) -> Option<Tensor> {
        let g = found.grad;
        match self {
            Fault::Negated => Some(-g),
            Fault::Doubled => Some(g * 2.0),
            Fault::Halved => Some(g * 0.5),
            Fault::Lost => None,
            Fault::Dropped => (!found.adds).then_some(g),
            Fault::Shifted => Some(shifted(g)),
            Fault::Transposed => Some(transposed(g)),
            Fault::Stale => (found.again)(&found.cotangent.ones_like()),
            Fault::Frozen => Some(g.detach()),
        }
    }
}

/// Every element in its neighbour's place.
fn shifted(g: Tensor) -> Tensor {
    match g.shape().iter().rposition(|&n| n > 1) {
        Some(axis) if g.count() > 0 => {
            let (n, axis) = (g.shape()[axis], axis as isize);
            Tensor::cat(&[&g.narrow(axis, 1, n - 1), &g.narrow(axis, 0, 1)], axis)
        }
        _ => g,
    }
}

/// The first two axes of equal extent exchanged.
fn transposed(g: Tensor) -> Tensor {
    let shape = g.shape();
    let pairs = (0..shape.len()).flat_map(|b| (0..b).map(move |a| (a, b)));
    match pairs.into_iter().find(|&(a, b)| shape[a] == shape[b] && shape[a] > 1) {
        Some((a, b)) => g.transpose(a as isize, b as isize),
        None => g,
    }
}

/// What became of a mutant.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Outcome {
    /// The checks failed, as they must.
    Killed,
    /// The checks passed.
    Survived,
    /// It changes no sample's gradient, for the reason given: there is nothing to notice.
    Equivalent(&'static str),
}

/// A falsified gradient.
#[derive(Clone, Debug, PartialEq)]
pub struct Mutant {
    /// The operation whose samples were run.
    pub operation: &'static str,
    /// The step on the tape whose gradient was falsified: the operation's own, or one that it is composed of.
    pub step: &'static str,
    /// Which of the step's tracked inputs.
    pub input: usize,
    /// The mistake.
    pub fault: Fault,
    /// What became of it.
    pub outcome: Outcome,
}

/// The mutants of a run.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Score {
    /// All of them.
    pub mutants: Vec<Mutant>,
}

impl Score {
    /// How many were killed.
    pub fn killed(&self) -> usize {
        self.mutants.iter().filter(|mutant| mutant.outcome == Outcome::Killed).count()
    }

    /// Those that the checks did not notice.
    pub fn survivors(&self) -> impl Iterator<Item = &Mutant> {
        self.mutants.iter().filter(|mutant| mutant.outcome == Outcome::Survived)
    }

    /// How many change nothing.
    pub fn equivalent(&self) -> usize {
        self.mutants.len() - self.killed() - self.survivors().count()
    }

    /// The share killed of those that change something; 0 if there are none.
    pub fn share(&self) -> f64 {
        self.killed() as f64 / (self.killed() + self.survivors().count()).max(1) as f64
    }
}

impl fmt::Display for Score {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let survivors = self.survivors().count();
        write!(
            f,
            "{} of {} mutants killed ({:.2} %), {} more change nothing",
            self.killed(),
            self.killed() + survivors,
            100.0 * self.share(),
            self.equivalent()
        )?;
        for Mutant { operation, step, input, fault, .. } in self.survivors() {
            write!(f, "\n  survived: {operation}, gradient of `{step}` by its input {input}: {fault:?}")?;
        }
        Ok(())
    }
}

/// Falsifies the gradient of every registered operation and scalar primitive in every way of [`Fault`], one at a time,
/// and sees whether the gradient checks of the conformance suite notice. The share of those that do is a measure of
/// the samples: a low one says that an operation's samples cannot tell a wrong gradient from a right one.
///
/// ```
/// use cotangent_core::{check::*, *};
/// let score = Mutation::new(&Device::reference()).only("matmul").run();
/// assert!(score.killed() >= 12 && score.survivors().next().is_none(), "{score}");
/// ```
pub fn mutation(device: &Device) -> Score {
    Mutation::new(device).run()
}

/// The mutation test and its options.
#[derive(Clone, Debug)]
pub struct Mutation {
    device: Device,
    only: Option<String>,
    seed: u64,
}

impl Mutation {
    /// Of every operation.
    pub fn new(device: &Device) -> Mutation {
        Mutation { device: device.clone(), only: None, seed: 1 }
    }

    /// One operation only.
    pub fn only(self, operation: &str) -> Mutation {
        Mutation { only: Some(operation.into()), ..self }
    }

    /// The seed of inputs and cotangents.
    pub fn seed(self, seed: u64) -> Mutation {
        Mutation { seed, ..self }
    }

    /// Runs the test.
    pub fn run(&self) -> Score {
        let mut score = Score::default();
        for (operation, samples) in operations() {
            if self.only.as_deref().is_none_or(|only| only == operation) {
                self.mutate(operation, &samples, &mut score);
            }
        }
        score
    }

    fn mutate(&self, operation: &'static str, samples: &[Sample], score: &mut Score) {
        let differentiable = samples.iter().filter(|sample| sample.differentiable() && !sample.is_large());
        let subjects: Vec<Subject> =
            differentiable.map(|sample| Subject::new(&self.device, self.seed, operation, sample)).collect();
        let mut steps: BTreeMap<&'static str, usize> = BTreeMap::new();
        for (&step, &inputs) in subjects.iter().flat_map(|subject| &subject.steps) {
            let most = steps.entry(step).or_default();
            *most = inputs.max(*most);
        }
        if steps.contains_key(operation) {
            steps.retain(|step, _| *step == operation);
        }
        for (step, inputs) in steps {
            for (input, fault) in (0..inputs).flat_map(|input| Fault::ALL.map(|fault| (input, fault))) {
                let alter = move |found: Contribution| {
                    if found.op == step && found.target == input { fault.apply(found) } else { Some(found.grad) }
                };
                let alter: Injection = Rc::new(alter);
                let outcome = match subjects.iter().find(|subject| subject.changes(fault, &alter)) {
                    None => Outcome::Equivalent("every sample's gradient stays what it is"),
                    Some(subject) if subject.notices(&alter) => Outcome::Killed,
                    Some(_) => Outcome::Survived,
                };
                score.mutants.push(Mutant { operation, step, input, fault, outcome });
            }
        }
    }
}

/// A sample on which mutants are tried.
struct Subject<'a> {
    device: &'a Device,
    seed: u64,
    operation: &'static str,
    sample: &'a Sample,
    inputs: Vec<Tensor>,
    shapes: Vec<Shape>,
    /// What its graph consists of: steps, and how many inputs each has.
    steps: BTreeMap<&'static str, usize>,
    /// What the right gradients are, and how they depend on the cotangent.
    truth: [Vec<f64>; 2],
}

impl<'a> Subject<'a> {
    fn new(device: &'a Device, seed: u64, operation: &'static str, sample: &'a Sample) -> Subject<'a> {
        let mut subject = Subject {
            device,
            seed,
            operation,
            sample,
            shapes: sample.shapes(),
            inputs: vec![],
            steps: BTreeMap::new(),
            truth: [vec![], vec![]],
        };
        let mut report = Report::new("", seed, String::new());
        let suite = subject.suite(&mut report);
        subject.inputs = suite.inputs(device, &suite.draw(), &subject.shapes, DType::F64);
        let graph = Graph::new(&sample.f, &subject.inputs);
        for step in graph.outputs.iter().flat_map(Tensor::history).filter(|step| !step.inputs.is_empty()) {
            let inputs = subject.steps.entry(step.op).or_default();
            *inputs = step.inputs.len().max(*inputs);
        }
        subject.truth = [false, true].map(|again| subject.derivatives(again));
        subject
    }

    fn suite<'b>(&'b self, report: &'b mut Report) -> Suite<'b> {
        Suite { device: self.device, seed: self.seed, name: self.operation, sample: self.sample, report }
    }

    /// Gradients where every input is used twice; or how these depend on the cotangent, which only a frozen one changes.
    fn derivatives(&self, again: bool) -> Vec<f64> {
        let twice = |x: &[Tensor]| {
            let f = &self.sample.f;
            f(x).into_iter().chain(f(x)).collect()
        };
        let graph = Graph::new(&twice, &self.inputs);
        let mut stream = Stream::new(self.seed, "mutation");
        let weights = stream.weights(graph.outputs.iter().map(Tensor::count).sum());
        if again { graph.transposed(&weights, &mut stream).0 } else { graph.gradients(&weights).concat() }
    }

    /// Whether there is something to notice.
    fn changes(&self, fault: Fault, injection: &Injection) -> bool {
        let again = fault == Fault::Frozen;
        let Ok(found) = attempt(|| with_fault(injection, || self.derivatives(again))) else { return true };
        let truth = &self.truth[again as usize];
        found.len() != truth.len() || found.iter().zip(truth).any(|(a, b)| (a - b).abs() > 1e-6 * b.abs().max(1.0))
    }

    /// Whether the gradient checks fail: those that cost least come first.
    fn notices(&self, fault: &Injection) -> bool {
        let mut report = Report::new("", self.seed, String::new());
        let checked = attempt(|| {
            with_fault(fault, || {
                let mut suite = self.suite(&mut report);
                suite.accumulates("", &self.inputs, &self.shapes);
                let options = suite.options();
                let passes = |options: Gradcheck| options.check(&self.sample.f, &self.inputs).is_ok();
                report.is_ok() && passes(options.clone().fast(1).until_first()) && passes(options)
            })
        });
        checked.ok() != Some(true)
    }
}
