//! Part of the Cotangent framework.
