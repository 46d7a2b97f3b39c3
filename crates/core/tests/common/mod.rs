//! What several tests need.
#![allow(dead_code)] // each test uses a part

use cotangent_core::{DType, Tensor};
use std::cell::RefCell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Once;

/// A panic: its message, and the place that it is attributed to.
#[derive(Clone, Debug, Default)]
pub struct Panic {
    pub message: String,
    pub file: String,
    pub line: u32,
}

thread_local! {
    static SEEN: RefCell<Option<Panic>> = const { RefCell::new(None) };
    static CATCHING: std::cell::Cell<bool> = const { std::cell::Cell::new(false) };
}

/// The panic of `f`; `None` if it returns.
pub fn panic_in(f: impl FnOnce()) -> Option<Panic> {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let usual = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            if !CATCHING.get() {
                return usual(info);
            }
            let payload = info.payload();
            let text = payload.downcast_ref::<String>().map(String::as_str).or(payload.downcast_ref::<&str>().copied());
            let error = payload.downcast_ref::<cotangent_core::Error>().map(|e| e.to_string());
            let at = info.location().expect("panics have a place");
            let message = error.or(text.map(str::to_owned)).unwrap_or_else(|| "neither text nor Error".into());
            SEEN.set(Some(Panic { message, file: at.file().into(), line: at.line() }));
        }));
    });
    CATCHING.set(true);
    let result = catch_unwind(AssertUnwindSafe(f));
    CATCHING.set(false);
    let seen = SEEN.take();
    result.err().map(|_| seen.expect("the hook saw the panic"))
}

/// The panic of `f`, which must panic.
pub fn panic_of(f: impl FnOnce()) -> Panic {
    panic_in(f).expect("a panic")
}

/// A leaf of the tape in single precision, made at the caller's line.
#[track_caller]
pub fn x(data: &[f32]) -> Tensor {
    Tensor::new(data, [data.len()]).tracked()
}

/// A leaf in double precision.
#[track_caller]
pub fn f64s(data: &[f64]) -> Tensor {
    Tensor::from_slice(data, [data.len()]).tracked()
}

/// The elements.
pub fn values(x: &Tensor) -> Vec<f64> {
    x.detach().to(DType::F64).to_vec()
}
