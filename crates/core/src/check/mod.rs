//! Proof that operations and devices are right: gradient checks, samples of operations, the conformance suite, and a
//! test of these tests.
//!
//! # Is this gradient right?
//!
//! [`fn@gradcheck`] compares the gradient of any function with finite differences. An operation of one's own:
//!
//! ```
//! use cotangent_core::{check::*, *};
//! fn cube(x: &Tensor) -> Tensor {
//!     custom_vjp("cube", [x], |[x]| x * x * x, |g, _, [x]| [g * x.square() * 3.0])
//! }
//! let x = Tensor::new([-1.5, 0.0, 2.0], [3]);
//! Gradcheck::new().orders(2).run(|[x]| cube(x), [&x]).assert_ok();
//! ```
//!
//! The result is data. A wrong gradient is a [`Verdict`] that names the input, the element, both values and the error;
//! a kink, where the slopes on both sides differ, is reported and passes if the gradient lies between them:
//!
//! ```
//! # use cotangent_core::{check::*, *};
//! let slope = |x: &Tensor| custom_vjp("relu", [x], |[x]| x.relu(), |g, _, _| [g * 1.5]);
//! let report = gradcheck(|[x]| slope(x), [&Tensor::new([0.0, 1.0], [2])]);
//! for found in report.failures() {
//!     let Verdict::Gradient { input, index, analytic, numeric, .. } = &found.verdict else { continue };
//!     assert!(*input == 0 && index.len() == 1 && *analytic == 1.5 && (numeric - 1.0).abs() < 1e-6);
//! }
//! assert_eq!(report.counts().failures, 2);
//! assert!(report.to_json().contains("\"failures\":2"));
//! ```
//!
//! The attribute [`macro@gradcheck`] makes a test of a function where it is defined:
//!
//! ```
//! # use cotangent_core as cotangent;
//! use cotangent::{check::gradcheck, *};
//! #[gradcheck(real([2, 3], -2.0..2.0), crate = cotangent)]
//! fn swish(x: &Tensor) -> Tensor {
//!     x * x.sigmoid()
//! }
//! ```
//!
//! # Is this operation right?
//!
//! An operation registers samples beside its definition with [`samples!`](crate::samples), and everything else follows:
//! values in every element type, gradients of both orders, layouts, shapes, accumulation.
//!
//! ```
//! use cotangent_core::{check::*, *};
//! fn swish(x: &Tensor) -> Tensor {
//!     pointwise(|[x]| x * x.sigmoid()).named("swish").call([x])
//! }
//! samples!("swish", |s| {
//!     s.case("matrix", [real([2, 3], -2.0..2.0)], |[x]| swish(x)).any_shape();
//! });
//! Conformance::new(&Device::reference()).only("swish").run().assert_ok();
//! ```
//!
//! [`unregistered`] finds operations without samples in a source file, for a test that refuses them; and
//! [`mutation()`] falsifies gradients one at a time and measures how many of the wrong ones the samples expose.
//!
//! # Is this device right?
//!
//! A backend proves itself in three lines, which run every registered operation on it:
//!
//! ```no_run
//! use cotangent_core::{Device, check::conformance};
//! let device = Device::reference(); // Device::new(MyBackend::new())
//! conformance(&device).assert_ok();
//! ```

mod conformance;
mod coverage;
mod gradcheck;
mod graph;
mod inputs;
mod json;
mod junit;
mod large;
mod mutation;
mod registry;
mod report;
mod ridders;
mod shrink;
mod slopes;
mod suite;
mod table;

/// Makes a test of a function of tensors: `#[gradcheck(real([2, 3], -2.0..2.0))]` on `fn swish(x: &Tensor) -> Tensor` adds
/// the test `gradcheck_swish`, which draws a matrix from that interval, compares the gradients of both orders with finite
/// differences, and [shrinks](Gradcheck::shrink) what fails.
///
/// There is one input for each parameter: [`real`], [`distinct`], [`given`], [`index`] or [`truth`]. Options follow as
/// `name = value`: `orders`, `seed`, `rtol` and `atol` are those of [`Gradcheck`]; `crate` is the path of the framework
/// if it is not `::cotangent`.
///
/// ```
/// use cotangent_core::{check::gradcheck, *};
/// #[gradcheck(real([4, 3], -2.0..2.0), index([2], 4), orders = 1, seed = 3, crate = cotangent_core)]
/// fn rows(x: &Tensor, k: &Tensor) -> Tensor {
///     x.index_select(0, k)
/// }
/// ```
///
/// An input for each parameter, no `self`, no generics:
///
/// ```compile_fail
/// use cotangent_core::{check::gradcheck, *};
/// #[gradcheck(crate = cotangent_core)]
/// fn swish(x: &Tensor) -> Tensor {
///     x * x.sigmoid()
/// }
/// ```
pub use cotangent_macros::gradcheck;

pub use conformance::{Conformance, conformance};
pub use coverage::unregistered;
pub use gradcheck::{Gradcheck, gradcheck};
pub use mutation::{Fault, Mutant, Mutation, Outcome, Score, mutation};
pub use registry::{
    Input, Operation, Sample, SampleFn, SampleOutput, Samples, Values, distinct, given, index, real, truth,
};
pub use report::{Counts, Finding, Place, Report, Smallest, Verdict};
