//! Proof that operations and devices are right: the registry of samples, gradient checks, and the conformance suite.

mod registry;

pub use registry::{Input, SampleFn, Operation, Sample, SampleOutput, Samples, Values, distinct, given, index, real, truth};
