//! Errors that a program can expect: devices, files, formats and user data. Misuse (shapes, element types,
//! devices that do not match) panics at the user's line instead; [`attempt`] turns such a panic into a value.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::{Mutex, PoisonError};

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

/// Errors on their way from [`Error::throw`] to [`attempt`]. A panic's payload must be text to be printed, so the error
/// itself travels beside it; also from thread to thread, as the panic does.
static THROWN: Mutex<Vec<Error>> = Mutex::new(vec![]);

/// Errors kept for an [`attempt`]; beyond that they belong to threads that ended by their panic.
const KEPT: usize = 64;

impl Error {
    /// Panics with the text of this error; an [`attempt`] around it returns the error.
    ///
    /// This is how a device fails in an operation that returns no `Result`.
    ///
    /// ```
    /// # use cotangent_core::*;
    /// let full = || -> Tensor { Error::OutOfMemory { device: "gpu 0".into(), bytes: 1 << 40 }.throw() };
    /// assert!(matches!(attempt(full), Err(Error::OutOfMemory { bytes, .. }) if bytes == 1 << 40));
    /// ```
    #[track_caller]
    pub fn throw(self) -> ! {
        let text = self.to_string();
        let mut thrown = THROWN.lock().unwrap_or_else(PoisonError::into_inner);
        if thrown.len() == KEPT {
            thrown.remove(0);
        }
        thrown.push(self);
        drop(thrown);
        panic!("{text}")
    }
}

/// Runs `step` and returns what a panic in it says as an [`Error`], so that a service can go on: the error that was
/// [thrown](Error::throw), as [`Error::OutOfMemory`], or [`Error::Misuse`] with the message.
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
        Some(text) => thrown(&text).unwrap_or(Error::Misuse(text)),
        None => match panic.downcast::<Error>() {
            Ok(error) => *error,
            Err(other) => resume_unwind(other),
        },
    })
}

/// The error that was thrown with this text.
fn thrown(text: &str) -> Option<Error> {
    let mut all = THROWN.lock().unwrap_or_else(PoisonError::into_inner);
    let at = all.iter().rposition(|error| error.to_string() == text)?;
    Some(all.remove(at))
}

/// The text of a panic, if it has one.
fn message(panic: &(dyn Any + Send)) -> Option<String> {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| panic.downcast_ref::<&'static str>().copied()).map(str::to_owned)
}
