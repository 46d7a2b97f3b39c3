//! Data for training: the [MNIST](mnist) database built in, a reader of the [IDX](idx) format, normalization fitted on
//! the training data, and a [`Loader`] of shuffled batches.
//!
//! Images stay bytes in memory until a batch is made of them.
//!
//! ```
//! use cotangent_data::{Loader, Normalize, Per, mnist};
//!
//! let (validation, train) = mnist::train().split_at(10_000);
//! let normalize = Normalize::fit(&train, Per::Global);
//! let loader = Loader::new(train, 128).normalize(normalize).shuffle(7);
//! for (x, y) in loader.epoch(0).take(2) {
//!     assert_eq!(x.shape(), [128, 784]);
//!     assert_eq!(y.shape(), [128]);
//! }
//! ```

mod error;
pub mod idx;
mod images;
mod loader;
pub mod mnist;
mod normalize;
mod shuffle;

pub use error::{DataError, Problem};
pub use images::Images;
pub use loader::{Epoch, Loader};
pub use normalize::{Moments, Normalize, Per};
pub use shuffle::{permutation, shuffle};
