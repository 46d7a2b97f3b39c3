//! Faults injected into backward sweeps, to test that tests of gradients find them. A sweep looks once whether there
//! is one.

use crate::tensor::Tensor;
use std::cell::RefCell;
use std::rc::Rc;

/// A gradient that a rule has found, on its way to an input.
pub(crate) struct Contribution<'a> {
    pub(crate) op: &'static str,
    /// Position among the operation's tracked inputs.
    pub(crate) target: usize,
    pub(crate) grad: Tensor,
    pub(crate) cotangent: &'a Tensor,
    /// Whether the input waits with a gradient already, to which this one is added.
    pub(crate) adds: bool,
    /// The rule with another cotangent.
    pub(crate) again: &'a dyn Fn(&Tensor) -> Option<Tensor>,
}

/// What becomes of a contribution.
pub(crate) type Injection = Rc<dyn Fn(Contribution) -> Option<Tensor>>;

thread_local! {
    static CURRENT: RefCell<Option<Injection>> = const { RefCell::new(None) };
}

/// What sweeps of this thread do to contributions, if anything.
pub(crate) fn current() -> Option<Injection> {
    CURRENT.with_borrow(Clone::clone)
}

/// Runs `f` with every contribution of this thread's sweeps passed through `fault`.
pub(crate) fn with_fault<R>(fault: &Injection, f: impl FnOnce() -> R) -> R {
    struct Restore(Option<Injection>);
    impl Drop for Restore {
        fn drop(&mut self) {
            CURRENT.set(self.0.take());
        }
    }
    let _restore = Restore(CURRENT.replace(Some(fault.clone())));
    f()
}
