//! Optimizers: update rules, learning-rate schedules, penalties.
//!
//! A training step is two lines:
//!
//! ```
//! use cotangent_core::*;
//! use cotangent_optim::*;
//! let mut w = Param::new(Tensor::new([1.0, -1.0], [2]));
//! let mut opt = Adam::new(0.1);
//! for _ in 0..200 {
//!     let loss = (&*w - 3.0).square().sum(..);
//!     opt.step(&mut w, &loss.backward());
//! }
//! assert!((w.to_vec::<f32>()[1] - 3.0).abs() < 1e-2);
//! ```

mod adam;
mod optimizer;
mod rule;
mod schedule;
mod sgd;

pub use adam::{Adam, AdamW};
pub use optimizer::{Group, Optimizer, Stepped};
pub use rule::{Penalty, Rule, Update, Updated};
pub use schedule::{InverseTime, Schedule};
pub use sgd::{Momentum, Sgd};
