//! The tape: reverse-mode differentiation by order of creation.
//!
//! Every recorded result takes the next number of a global counter, so inputs are always older than outputs. The
//! sweep pops the youngest node, calls its rules, and adds into older ones: no sort, no visited set, no recursion,
//! neither here nor when a graph is dropped. Rules are tensor operations and can themselves be recorded: that is
//! how derivatives of any order come about.

mod anomaly;
mod record;
mod sweep;

pub use anomaly::anomaly;
pub(crate) use anomaly::{Seen, is_anomaly_mode, statistics, values};
pub use record::Record;
pub(crate) use sweep::{Sweep, between, observe};

use crate::deferred::Value;
use crate::dtype::DType;
use crate::shape::{Layout, Shape};
use crate::tensor::Tensor;
use smallvec::SmallVec;
use std::cell::{Cell, RefCell};
use std::collections::btree_map::{BTreeMap, Entry};
use std::collections::{BinaryHeap, HashMap, HashSet};
use std::hash::{BuildHasherDefault, Hasher};
use std::mem::ManuallyDrop;
use std::ops::Range;
use std::panic::Location;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::thread::LocalKey;

/// A place on the tape.
pub struct Node {
    pub(crate) id: u64,
    pub(crate) op: &'static str,
    pub(crate) site: &'static Location<'static>,
    pub(crate) shape: Shape,
    pub(crate) dtype: DType,
    /// Whether a sweep reports this node's gradient though it is no leaf.
    pub(crate) retain: AtomicBool,
    pub(crate) hooks: Mutex<Vec<(u64, Arc<Hook>)>>,
    links: Mutex<Links>,
}

/// Observes a gradient, and replaces it if it returns one.
pub(crate) type Hook = dyn Fn(&Tensor) -> Option<Tensor> + Send + Sync;

/// What a node knows of its past.
enum Links {
    Leaf,
    Live(History),
    /// A sweep passed here and kept what it may need again; another may be at work on it.
    Retained(Arc<History>),
    /// A sweep passed here and freed the saved tensors.
    Consumed(&'static Location<'static>),
}

impl Links {
    fn history(&self) -> Option<&History> {
        match self {
            Links::Live(history) => Some(history),
            Links::Retained(history) => Some(history),
            Links::Leaf | Links::Consumed(_) => None,
        }
    }
}

/// Inputs of an operation and the rules for their gradients.
pub(crate) struct History {
    pub(crate) inputs: SmallVec<[Arc<Node>; 2]>,
    rules: SmallVec<[Rule; 1]>,
    /// The operation's result, for rules that read it.
    output: Option<Box<(Arc<Value>, Layout)>>,
    /// Values of all inputs, tracked or not, if it was recorded in anomaly mode.
    seen: Option<Box<Seen>>,
}

/// Gradients of some of the inputs; they may share work.
struct Rule {
    /// Positions in [`History::inputs`].
    targets: Range<usize>,
    pull: Box<dyn Pull>,
    /// The places of the row-major gradient that the cotangent goes to, if it is 0 elsewhere.
    part: Option<Box<Layout>>,
}

/// What a rule computes: the gradient of each target that is needed.
pub(crate) trait Pull: Send + Sync {
    /// From the cotangent and, if the history keeps it, the operation's output.
    fn pull(&self, g: &Tensor, output: Option<&Tensor>, targets: &[Arc<Node>], needed: &[bool]) -> Gradients;
}

/// One for each target.
pub(crate) type Gradients = SmallVec<[Option<Tensor>; 2]>;

impl<F: Fn(&Tensor, Option<&Tensor>, &[bool]) -> Gradients + Send + Sync> Pull for F {
    fn pull(&self, g: &Tensor, output: Option<&Tensor>, _: &[Arc<Node>], needed: &[bool]) -> Gradients {
        self(g, output, needed)
    }
}

impl History {
    /// Without rules; of an operation whose inputs were [seen](Seen::of).
    pub(crate) fn new(seen: Option<Box<Seen>>) -> History {
        History { inputs: SmallVec::new(), rules: SmallVec::new(), output: None, seen }
    }

    /// Adds a rule for the given places on the tape.
    pub(crate) fn add_rule(&mut self, inputs: SmallVec<[Arc<Node>; 2]>, pull: Box<dyn Pull>) {
        let first = self.inputs.len();
        if first == 0 {
            self.inputs = inputs;
        } else {
            self.inputs.extend(inputs);
        }
        self.rules.push(Rule { targets: first..self.inputs.len(), pull, part: None });
    }

    /// Keeps the operation's output for rules that read it.
    pub(crate) fn keep(&mut self, out: &Tensor) {
        self.output = Some(Box::new((out.value.clone(), out.layout.clone())));
    }
}

static SERIAL: AtomicU64 = AtomicU64::new(0);
static LIVE: AtomicUsize = AtomicUsize::new(0);

/// The content of a mutex. Nothing here leaves it half-changed, so a panic elsewhere on a holder's thread is no reason
/// to refuse it.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Nodes that exist now, over all threads. For tests of leaks.
pub fn live_nodes() -> usize {
    LIVE.load(Ordering::Relaxed)
}

impl Node {
    fn new(op: &'static str, site: &'static Location, shape: Shape, dtype: DType, links: Links) -> Arc<Node> {
        LIVE.fetch_add(1, Ordering::Relaxed);
        Arc::new(Node {
            id: SERIAL.fetch_add(1, Ordering::Relaxed),
            op,
            site,
            shape,
            dtype,
            retain: AtomicBool::new(false),
            hooks: Mutex::default(),
            links: Mutex::new(links),
        })
    }

    /// A leaf: where gradients end up.
    #[track_caller]
    pub(crate) fn leaf(shape: Shape, dtype: DType) -> Arc<Node> {
        Node::new("leaf", SITE.get().unwrap_or(Location::caller()), shape, dtype, Links::Leaf)
    }

    pub(crate) fn is_leaf(&self) -> bool {
        matches!(*lock(&self.links), Links::Leaf)
    }

    pub(crate) fn has_hooks(&self) -> bool {
        !lock(&self.hooks).is_empty()
    }

    /// What anomaly mode saw of the operation's inputs, a line each; nothing if it was off, or a sweep has passed.
    pub(crate) fn seen(&self) -> String {
        let links = lock(&self.links);
        links.history().and_then(|history| history.seen.as_ref()).map(|seen| seen.lines()).unwrap_or_default()
    }

    /// Inputs of the operation; none for a leaf or where a sweep has passed.
    pub(crate) fn inputs(&self) -> SmallVec<[Arc<Node>; 2]> {
        lock(&self.links).history().map(|history| history.inputs.clone()).unwrap_or_default()
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        LIVE.fetch_sub(1, Ordering::Relaxed);
        let links = std::mem::replace(self.links.get_mut().unwrap_or_else(PoisonError::into_inner), Links::Leaf);
        let history = match links {
            Links::Live(history) => Some(history),
            Links::Retained(history) => Arc::into_inner(history),
            Links::Leaf | Links::Consumed(_) => None,
        };
        if let Some(history) = history {
            discard(history);
        }
    }
}

/// Histories that wait for the outermost [`discard`] of their thread. Without a destructor, so that it is there until
/// the thread's very end: tensors may be kept in thread-local variables, too.
type Discarded = RefCell<Option<ManuallyDrop<Vec<History>>>>;

thread_local! {
    static DISCARDED: Discarded = const { RefCell::new(None) };
}

/// Drops a history without recursion: dropping it drops nodes, whose histories queue up here.
fn discard(history: History) {
    let outermost = DISCARDED.with_borrow_mut(|queue| match queue {
        Some(waiting) => {
            waiting.push(history);
            false
        }
        empty => {
            *empty = Some(ManuallyDrop::new(vec![history]));
            true
        }
    });
    if !outermost {
        return;
    }
    /// Ends the queue also where dropping what a rule captured panics.
    struct End;
    impl Drop for End {
        fn drop(&mut self) {
            let rest = DISCARDED.take();
            rest.map(ManuallyDrop::into_inner);
        }
    }
    let _end = End;
    while let Some(next) = DISCARDED.with_borrow_mut(|queue| queue.as_mut().and_then(|waiting| waiting.pop())) {
        drop(next);
    }
}

/// Whether an operation on `x` is recorded now.
pub(crate) fn tracks(x: &Tensor) -> bool {
    tracked(x).is_some()
}

/// The place on the tape of `x`, if an operation on it is recorded now.
pub(crate) fn tracked(x: &Tensor) -> Option<&Arc<Node>> {
    x.node.as_ref().filter(|_| RECORDING.get())
}

thread_local! {
    static RECORDING: Cell<bool> = const { Cell::new(true) };
    /// Whether a gradient rule runs; anomaly mode then looks at what it returns, and not at its steps.
    static IN_RULE: Cell<bool> = const { Cell::new(false) };
    /// Where operations are recorded, if not at their caller: at the line of the composite operation that they are a
    /// part of, or of the operation whose gradient they compute, so that messages point to the user's program.
    static SITE: Cell<Option<&'static Location<'static>>> = const { Cell::new(None) };
}

/// Sets a thread's variable until dropped, also by a panic.
pub(crate) struct Scope<T: Copy + 'static>(&'static LocalKey<Cell<T>>, T);
impl<T: Copy> Scope<T> {
    pub(crate) fn new(variable: &'static LocalKey<Cell<T>>, value: T) -> Scope<T> {
        Scope(variable, variable.replace(value))
    }
}
impl<T: Copy> Drop for Scope<T> {
    fn drop(&mut self) {
        self.0.set(self.1);
    }
}

/// Runs `f` without recording on this thread: results are untracked and nothing is saved.
///
/// ```
/// # use cotangent_core::*;
/// let w = Tensor::ones([2]).tracked();
/// assert!(!no_grad(|| &w * 2.0).is_tracked());
/// assert!((&w * 2.0).is_tracked());
/// ```
pub fn no_grad<R>(f: impl FnOnce() -> R) -> R {
    let _scope = Scope::new(&RECORDING, false);
    f()
}

/// Runs `f` with recording on, inside of [`no_grad`], too.
pub(crate) fn with_grad<R>(f: impl FnOnce() -> R) -> R {
    let _scope = Scope::new(&RECORDING, true);
    f()
}

/// Runs a user's function inside of a gradient rule: its operations are recorded at their own lines.
pub(crate) fn replay<R>(f: impl FnOnce() -> R) -> R {
    let _outside = (Scope::new(&IN_RULE, false), Scope::new(&SITE, None));
    with_grad(f)
}

/// Runs a composite operation whose steps cannot see the user's line, as those in a closure: they are recorded at the
/// line of the caller.
#[track_caller]
pub(crate) fn at_caller<R>(f: impl FnOnce() -> R) -> R {
    let _site = Scope::new(&SITE, SITE.get().or(Some(Location::caller())));
    f()
}

/// The number that the next node will take.
pub(crate) fn next_id() -> u64 {
    SERIAL.load(Ordering::Relaxed)
}

/// Whether a gradient rule runs.
pub(crate) fn is_in_rule() -> bool {
    IN_RULE.get()
}

/// Whether operations on tracked tensors are recorded now.
pub(crate) fn is_recording() -> bool {
    RECORDING.get()
}

/// The nodes older than `floor` that `root` reaches through younger ones.
pub(crate) fn boundary(root: &Arc<Node>, floor: u64) -> SmallVec<[Arc<Node>; 2]> {
    let all = reachable(std::slice::from_ref(root), |node| node.id >= floor);
    all.into_values().filter(|node| node.id < floor).collect()
}

/// The nodes that `roots` reach, by number; inputs of a node are visited if `follow` says so.
fn reachable(roots: &[Arc<Node>], follow: impl Fn(&Node) -> bool) -> BTreeMap<u64, Arc<Node>> {
    let mut seen = BTreeMap::new();
    let mut stack = roots.to_vec();
    while let Some(node) = stack.pop() {
        if let Entry::Vacant(unseen) = seen.entry(node.id) {
            if follow(&node) {
                stack.extend(node.inputs());
            }
            unseen.insert(node);
        }
    }
    seen
}

/// Everything that is recorded behind a result, youngest first.
pub(crate) fn steps(root: Option<&Arc<Node>>) -> Vec<crate::autograd::Step> {
    let roots: Vec<Arc<Node>> = root.cloned().into_iter().collect();
    let step = |node: &Arc<Node>| crate::autograd::Step {
        id: node.id,
        op: node.op,
        shape: node.shape.clone(),
        site: node.site,
        inputs: node.inputs().iter().map(|input| input.id).collect(),
        consumed: matches!(*lock(&node.links), Links::Consumed(_)),
    };
    reachable(&roots, |_| true).values().rev().map(step).collect()
}

/// Removes a hook when dropped.
#[must_use = "the hook is removed when this is dropped"]
pub struct HookHandle {
    pub(crate) node: Weak<Node>,
    pub(crate) key: u64,
}

impl Drop for HookHandle {
    fn drop(&mut self) {
        if let Some(node) = self.node.upgrade() {
            lock(&node.hooks).retain(|(key, _)| *key != self.key);
        }
    }
}
