//! Elementary functions that the compiler vectorizes.
//!
//! Each function is straight-line code of additions, multiplications, divisions, square roots, selections
//! and integer operations on the bits. So a loop over it becomes SIMD code, of any width, when it is
//! inlined into a function for which the instructions are enabled. [`dispatch`] provides those functions,
//! and the marker [`Fma`] that goes with them:
//!
//! ```ignore
//! struct Exp<'a>(&'a [f32], &'a mut [f32]);
//!
//! impl Kernel for Exp<'_> {
//!     type Output = ();
//!
//!     #[inline(always)]
//!     fn run<F: Fma>(self) {
//!         for (y, &x) in self.1.iter_mut().zip(self.0) {
//!             *y = exp::<F, f32>(x);
//!         }
//!     }
//! }
//!
//! dispatch(Exp(&x, &mut y));
//! ```
//!
//! Zeros, infinities, NaN, subnormal numbers and arguments outside of the domain give what IEEE 754 and
//! Annex F of the C standard say.

mod dispatch;
mod double;
mod exp;
mod fma;
mod inverse;
mod log;
mod power;
mod real;
mod repr;
mod single;
mod trig;

pub use dispatch::{Kernel, dispatch};
pub use exp::{cosh, exp, exp2, expm1, logaddexp, sigmoid, sinh, softplus, tanh};
pub use fma::{Fma, Fused, Separate};
pub use inverse::{acos, asin, atan, atan2};
pub use log::{acosh, asinh, atanh, log, log1p, log2, log10};
pub use power::{erf, erfc, hypot, pow};
pub use real::Real;
pub use repr::Repr;
pub use trig::{cos, cos_slice, sin, sin_slice, tan, tan_slice};
