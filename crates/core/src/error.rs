//! Errors that a program can expect: devices, files, formats and user data. Misuse (shapes, element types,
//! devices that do not match) panics at the user's line instead; [`attempt`] turns such a panic into a value.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

/// What can go wrong outside of the program's own logic.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A device cannot be used.
    #[error("device {device}: {reason}")]
    Device {
        /// Name of the device.
        device: String,
        /// Why it cannot be used.
        reason: String,
    },
    /// Memory ran out.
    #[error("device {device}: out of memory allocating {bytes} bytes")]
    OutOfMemory {
        /// Name of the device.
        device: String,
        /// Size of the request.
        bytes: usize,
    },
    /// An operation was misused; the message is the panic's.
    #[error("{0}")]
    Misuse(String),
}

/// Runs `step` and returns the message of a panic in it as an [`Error`], so that a service can go on.
///
/// The default panic hook still prints the message and the line.
///
/// ```
/// # use cotangent_core::*;
/// let x = Tensor::zeros([2, 3]);
/// let error = attempt(|| x.matmul(&x)).err().unwrap();
/// assert!(error.to_string().contains("matmul"));
/// ```
pub fn attempt<T>(step: impl FnOnce() -> T) -> Result<T, Error> {
    catch_unwind(AssertUnwindSafe(step)).map_err(|panic| match message(&*panic) {
        Some(text) => Error::Misuse(text),
        None => match panic.downcast::<Error>() {
            Ok(error) => *error,
            Err(other) => resume_unwind(other),
        },
    })
}

/// The text of a panic, if it has one.
fn message(panic: &(dyn Any + Send)) -> Option<String> {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| panic.downcast_ref::<&'static str>().copied()).map(str::to_owned)
}
