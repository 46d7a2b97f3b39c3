//! The CPU backend of the Cotangent framework.
