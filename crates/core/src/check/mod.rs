//! Proof that operations and devices are right: the registry of samples, gradient checks, and the conformance suite.

mod conformance;
mod coverage;
mod gradcheck;
mod inputs;
mod mutation;
mod registry;
mod report;
mod slopes;
mod table;

pub use conformance::{Conformance, conformance};
pub use coverage::unregistered;
pub use gradcheck::{Gradcheck, gradcheck};
pub use inputs::Arrangement;
pub use mutation::{Fault, Mutant, Mutation, Outcome, Score, mutation};
pub use registry::{
    Input, Operation, Sample, SampleFn, SampleOutput, Samples, Values, distinct, given, index, real, truth,
};
pub use report::{Counts, Finding, Place, Report, Verdict};
