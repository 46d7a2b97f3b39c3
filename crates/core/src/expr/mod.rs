//! Scalar expressions: the single definition of every elementwise operation.
//!
//! A closure over [`Expr`] is traced once into a [`Program`], a small list of instructions in single-assignment
//! form. A backend runs it over whole tensors (the CPU in cache-sized blocks, CUDA as generated C); its derivative
//! is another `Program`. A formula is therefore written once, for every device and every order of derivative.

mod compose;
mod derivative;
mod primitives;
mod print;
mod program;
mod trace;

pub(crate) use compose::{Part, Wire, compose};
pub use primitives::{Binary, Domain, Row, Unary};
pub use print::PRELUDE;
pub use program::{Draw, Inst, Kind, Program, Uniforms, VjpKey};
pub use trace::{Expr, IntoExpr, Outputs, Traced, draw, trace, trace_with};
