//! The CPU backend of the Cotangent framework.

#[doc(hidden)]
pub mod math;
