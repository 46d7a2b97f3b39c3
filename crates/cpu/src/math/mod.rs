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
//!
//! # Precision
//!
//! Bounds on the error in units in the last place, with either kind of [`Fma`]. They hold for every 401st
//! bit pattern of `f32` (for a million random pairs, if there are two arguments), and for 60 000 arguments
//! of `f64` compared with 160-bit arithmetic. `erfc` of `f64` has 2.3 without a fused multiply-add, 1.9 with
//! it. For `logaddexp` the unit is that of the greater of the two terms, should they cancel. Where
//! a function is flatter than its error it may decrease by one unit though it should increase.
//!
//! | function | `f32` | `f64` | | function | `f32` | `f64` | | function | `f32` | `f64` |
//! |---|---|---|---|---|---|---|---|---|---|---|
//! | `exp` | 0.95 | 0.95 | | `tan` | 1.4 | 2.0 | | `atanh` | 2.1 | 1.9 |
//! | `exp2` | 1.1 | 1.1 | | `asin` | 0.7 | 0.7 | | `erf` | 1.3 | 1.2 |
//! | `expm1` | 1.5 | 1.5 | | `acos` | 1.1 | 0.6 | | `erfc` | 0.6 | 2.3 |
//! | `log` | 0.8 | 0.8 | | `atan` | 1.9 | 1.7 | | `sigmoid` | 1.9 | 1.9 |
//! | `log1p` | 1.4 | 0.9 | | `sinh` | 2.1 | 1.9 | | `softplus` | 1.7 | 1.6 |
//! | `log2` | 1.7 | 1.7 | | `cosh` | 1.3 | 1.3 | | `pow` | 0.6 | 0.9 |
//! | `log10` | 1.9 | 1.8 | | `tanh` | 1.3 | 1.4 | | `atan2` | 1.9 | 1.7 |
//! | `sin` | 0.6 | 0.8 | | `asinh` | 1.8 | 1.7 | | `hypot` | 1.2 | 1.2 |
//! | `cos` | 0.6 | 0.8 | | `acosh` | 2.0 | 2.1 | | `logaddexp` | 2.1 | 1.9 |
//!
//! # Vectorization
//!
//! `sin`, `cos` and `tan` of arguments beyond 2²⁰ are calls of the standard library, which
//! keep a loop from being vectorized; use [`sin_slice`] and its like instead. All others
//! are vectorized as they are.

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

#[cfg(target_arch = "x86_64")]
pub(crate) use dispatch::fused_bytes;
pub use dispatch::{Kernel, dispatch};
pub use exp::{cosh, exp, exp2, expm1, logaddexp, sigmoid, sinh, softplus, tanh};
pub use fma::{Fma, Fused, Separate, Wide};
pub use inverse::{acos, asin, atan, atan2};
pub use log::{acosh, asinh, atanh, log, log1p, log2, log10};
pub use power::{erf, erfc, hypot, pow};
pub use real::Real;
pub use repr::{Repr, Steps};
pub use trig::{cos, cos_slice, sin, sin_slice, tan, tan_slice};
