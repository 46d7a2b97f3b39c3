//! Where the time goes: calls of backends, timed and attributed to the operations that made them.
//!
//! [`scope`] switches it on for a function, on the thread that runs it. Without it, a call of a backend costs the look at
//! a flag more.

mod report;
mod timed;

pub use report::{Report, Row};
pub(crate) use timed::Timed;

use crate::tape::{Scope, is_in_rule, lock};
use rustc_hash::FxHashMap;
use std::cell::{Cell, RefCell};
use std::cmp::Reverse;
use std::collections::BTreeSet;
use std::sync::Mutex;
use std::time::Instant;

/// The rows of a report by name, in the making.
type Rows = FxHashMap<&'static str, Row>;

thread_local! {
    static ON: Cell<bool> = const { Cell::new(false) };
    /// What runs now.
    static CURRENT: Cell<Option<&'static str>> = const { Cell::new(None) };
    static ROWS: RefCell<Rows> = RefCell::default();
}

/// Runs `f`, and reports what each operation's calls of backends took meanwhile on this thread.
///
/// - **Names** are those on the tape. What a gradient rule does is attributed to the operation whose rule it is, as in
///   `matmul (backward)`; so are the sums of gradients that flow together in its result, which for leaves are `leaf
///   (backward)`. Calls that belong to no operation of the tape have the name of the [method](crate::backend::Backend).
/// - **Elementwise operations** on large tensors are put off and evaluated together by what reads them. One row has the
///   names of all, as in `mul + tanh`, or `mul + sum` where a reduction evaluates them; those that were written before the
///   scope are called `elementwise`. What nobody reads within the scope is not in the report.
///   [`eager`](crate::eager()) evaluates, and reports, each by itself.
/// - **Scopes within scopes** report what ran in them; the outer one's report contains it.
///
/// Each call is waited for, so that the time of asynchronous devices is that of the work.
///
/// ```
/// # use cotangent_core::*;
/// let w = Tensor::ones([3, 4]).tracked();
/// let (grads, report) = profile::scope(|| Tensor::ones([2, 3]).matmul(&w).tanh().sum(..).backward());
/// assert!(grads.get(&w).is_some());
/// let product = report.row("matmul").unwrap();
/// assert_eq!((product.calls, product.flops), (1, 2 * 2 * 3 * 4));
/// assert!(report.row("matmul (backward)").is_some());
/// println!("{report}");
/// ```
pub fn scope<R>(f: impl FnOnce() -> R) -> (R, Report) {
    let _running = Running::new();
    let start = Instant::now();
    let result = f();
    let wall = start.elapsed();
    let mut rows: Vec<Row> = ROWS.with_borrow(|rows| rows.values().cloned().collect());
    rows.sort_by_key(|row| (Reverse(row.time), row.name));
    (result, Report { rows, wall })
}

/// A scope, which ends when this is dropped, also by a panic.
struct Running {
    was_on: bool,
    /// What the scope around it has seen before.
    outer: Rows,
}

impl Running {
    fn new() -> Running {
        Running { was_on: ON.replace(true), outer: ROWS.take() }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        ON.set(self.was_on);
        let inner = ROWS.replace(std::mem::take(&mut self.outer));
        if self.was_on {
            inner.into_values().for_each(add);
        }
    }
}

fn add(row: Row) {
    ROWS.with_borrow_mut(|rows| rows.entry(row.name).or_insert_with(|| Row::empty(row.name)).add(&row));
}

/// Whether this thread is in a scope.
pub(crate) fn is_on() -> bool {
    ON.get()
}

/// Calls are attributed to a name until it is dropped.
pub(crate) type Attribution = Option<Scope<Option<&'static str>>>;

fn attribute(name: &'static str) -> Attribution {
    Some(Scope::new(&CURRENT, Some(name)))
}

/// What runs now, if it is known; never out of a scope.
pub(crate) fn current() -> Option<&'static str> {
    CURRENT.get()
}

/// An operation runs. As a part of a gradient rule it is not told apart.
pub(crate) fn operation(name: &'static str) -> Attribution {
    if !is_on() || (is_in_rule() && current().is_some()) {
        return None;
    }
    attribute(name)
}

const BACKWARD: &str = " (backward)";

/// The gradient rule of an operation runs.
pub(crate) fn rule(op: &str) -> Attribution {
    if is_on() { attribute(intern(format!("{op}{BACKWARD}"))) } else { None }
}

/// Operations run together; those without a name were written out of a scope.
pub(crate) fn together(ops: impl IntoIterator<Item = Option<&'static str>>) -> Attribution {
    if is_on() { attribute(joined(ops)) } else { None }
}

/// Different names in order, the first few.
fn joined(ops: impl IntoIterator<Item = Option<&'static str>>) -> &'static str {
    const SHOWN: usize = 4;
    let mut names: Vec<&str> = vec![];
    for name in ops.into_iter().map(|op| op.unwrap_or("elementwise")) {
        if !names.contains(&name) {
            names.push(name);
        }
    }
    // The suffix once, if it is that of all.
    let stripped: Option<Vec<&str>> = names.iter().map(|name| name.strip_suffix(BACKWARD)).collect();
    let suffix = if stripped.is_some() { BACKWARD } else { "" };
    let mut names = stripped.unwrap_or(names);
    if names.len() > SHOWN {
        names.splice(SHOWN.., ["…"]);
    }
    intern(format!("{}{suffix}", names.join(" + ")))
}

/// The one copy of a name. It is never freed: there are as many as kinds of work in a program.
fn intern(name: String) -> &'static str {
    static ALL: Mutex<BTreeSet<&'static str>> = Mutex::new(BTreeSet::new());
    let mut all = lock(&ALL);
    if let Some(known) = all.get(name.as_str()) {
        return known;
    }
    let name = name.leak();
    all.insert(name);
    name
}
