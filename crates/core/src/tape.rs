//! The tape: reverse-mode differentiation by order of creation.
//!
//! Every recorded result takes the next number of a global counter, so inputs are always older than outputs. The
//! sweep pops the youngest node, calls its rules, and adds into older ones: no sort, no visited set, no recursion,
//! neither here nor when a graph is dropped. Rules are tensor operations and can themselves be recorded: that is
//! how derivatives of any order come about.

use crate::dtype::DType;
use crate::shape::{Layout, Shape};
use crate::tensor::{Tensor, Value};
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
#[derive(Clone)]
enum Links {
    Leaf,
    Live(Arc<History>),
    /// A sweep passed here and freed the saved tensors.
    Consumed(&'static Location<'static>),
}

/// Inputs of an operation and the rules for their gradients.
#[derive(Default)]
pub(crate) struct History {
    pub(crate) inputs: SmallVec<[Arc<Node>; 2]>,
    rules: SmallVec<[Rule; 2]>,
    /// The operation's result, for rules that read it.
    output: Option<(Arc<Value>, Layout)>,
}

/// Gradients of some of the inputs; they may share work.
struct Rule {
    /// Positions in [`History::inputs`].
    targets: Range<usize>,
    pull: Box<Pull>,
    /// The places of the row-major gradient that the cotangent goes to, if it is 0 elsewhere.
    part: Option<Layout>,
}

/// `(cotangent, output, which targets are needed) -> gradient of each target`.
type Pull = dyn Fn(&Tensor, Option<&Tensor>, &[bool]) -> SmallVec<[Option<Tensor>; 2]> + Send + Sync;

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
        Node::new("leaf", Location::caller(), shape, dtype, Links::Leaf)
    }

    pub(crate) fn is_leaf(&self) -> bool {
        matches!(*lock(&self.links), Links::Leaf)
    }

    /// Inputs of the operation; none for a leaf or where a sweep has passed.
    pub(crate) fn inputs(&self) -> SmallVec<[Arc<Node>; 2]> {
        match &*lock(&self.links) {
            Links::Live(history) => history.inputs.clone(),
            _ => SmallVec::new(),
        }
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        LIVE.fetch_sub(1, Ordering::Relaxed);
        let links = std::mem::replace(self.links.get_mut().unwrap_or_else(PoisonError::into_inner), Links::Leaf);
        if let Links::Live(history) = links {
            discard(history);
        }
    }
}

/// Histories that wait for the outermost [`discard`] of their thread. Without a destructor, so that it is there until
/// the thread's very end: tensors may be kept in thread-local variables, too.
type Discarded = RefCell<Option<ManuallyDrop<Vec<Arc<History>>>>>;

thread_local! {
    static DISCARDED: Discarded = const { RefCell::new(None) };
}

/// Drops a history without recursion: dropping it drops nodes, whose histories queue up here.
fn discard(history: Arc<History>) {
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

/// Collects the rules of an operation; see [`Tensor::record`].
#[must_use = "call `done` to get the recorded tensor"]
pub struct Record {
    out: Tensor,
    op: &'static str,
    site: &'static Location<'static>,
    history: History,
    reads_output: bool,
}

impl Tensor {
    /// Starts the record of the operation `op` that computed `self` (untracked).
    ///
    /// ```
    /// # use cotangent_core::*;
    /// fn double(x: &Tensor) -> Tensor {
    ///     (x.detach() * 2.0).record("double").wrt(x, [], |g, []| g * 2.0).done()
    /// }
    /// let x = Tensor::new([3.0], [1]).tracked();
    /// let y = double(&x);
    /// assert_eq!(y.sum(..).backward()[&x].item(), 2.0);
    /// ```
    #[track_caller]
    pub fn record(self, op: &'static str) -> Record {
        if self.node.is_some() {
            panic!(
                "{op}: record takes an untracked result, but that of shape {} has a history; call .detach()",
                self.shape()
            );
        }
        let site = SITE.get().unwrap_or(Location::caller());
        if !IN_RULE.get() && is_anomaly(&self) {
            let found = anomaly_report(&self);
            panic!("{op}: anomaly: the output {found} (recorded at {site})");
        }
        Record { out: self, op, site, history: History::default(), reads_output: false }
    }
}

impl Record {
    /// The gradient by `input`, given the cotangent and the tensors it saved. It may have the output's shape where
    /// the input was broadcast: the engine sums. It is never called, and nothing is saved, if `input` is untracked.
    pub fn wrt<const N: usize>(
        self,
        input: &Tensor,
        saved: [&Tensor; N],
        vjp: impl Fn(&Tensor, [&Tensor; N]) -> Tensor + Send + Sync + 'static,
    ) -> Record {
        self.wrt_all([input], saved, move |g, saved, _| [Some(vjp(g, saved))])
    }

    /// As [`wrt`](Record::wrt), for a gradient written in terms of the output.
    pub fn wrt_output<const N: usize>(
        mut self,
        input: &Tensor,
        saved: [&Tensor; N],
        vjp: impl Fn(&Tensor, &Tensor, [&Tensor; N]) -> Tensor + Send + Sync + 'static,
    ) -> Record {
        if !tracks(input) {
            return self;
        }
        self.reads_output = true;
        let saved = saved.map(Tensor::clone);
        self.rule(&[input], move |g, output, _| {
            let output = output.expect("the node keeps its output for this rule");
            SmallVec::from_elem(Some(vjp(g, output, saved.each_ref())), 1)
        })
    }

    /// Gradients by several inputs that share work; the last argument says which are needed.
    pub fn wrt_all<const K: usize, const N: usize>(
        self,
        inputs: [&Tensor; K],
        saved: [&Tensor; N],
        vjp: impl Fn(&Tensor, [&Tensor; N], [bool; K]) -> [Option<Tensor>; K] + Send + Sync + 'static,
    ) -> Record {
        if !inputs.iter().any(|x| tracks(x)) {
            return self;
        }
        let saved = saved.map(Tensor::clone);
        let tracked = inputs.map(tracks);
        self.rule(&inputs, move |g, _, needed| {
            let mut flags = needed.iter();
            let all = tracked.map(|t| t && *flags.next().expect("one flag for each tracked input"));
            let grads = vjp(g, saved.each_ref(), all);
            grads.into_iter().zip(tracked).filter(|&(_, tracked)| tracked).map(|(grad, _)| grad).collect()
        })
    }

    /// A rule for the tracked ones among `inputs`.
    fn rule(
        self,
        inputs: &[&Tensor],
        pull: impl Fn(&Tensor, Option<&Tensor>, &[bool]) -> SmallVec<[Option<Tensor>; 2]> + Send + Sync + 'static,
    ) -> Record {
        let tracked = inputs.iter().filter(|x| tracks(x));
        self.rule_for(tracked.filter_map(|x| x.node.clone()).collect(), pull)
    }

    /// A rule for inputs given by their places on the tape.
    pub(crate) fn rule_for(
        mut self,
        inputs: SmallVec<[Arc<Node>; 2]>,
        pull: impl Fn(&Tensor, Option<&Tensor>, &[bool]) -> SmallVec<[Option<Tensor>; 2]> + Send + Sync + 'static,
    ) -> Record {
        let first = self.history.inputs.len();
        let targets = first..first + inputs.len();
        self.history.inputs.extend(inputs);
        self.history.rules.push(Rule { targets, pull: Box::new(pull), part: None });
        self
    }

    /// Says that the last rule's gradient is the cotangent at `region` of the row-major gradient, and 0 elsewhere: a
    /// sweep that is not recorded then adds it there, so that many small parts do not cost as many whole gradients.
    pub(crate) fn part(mut self, region: Layout) -> Record {
        if let Some(rule) = self.history.rules.last_mut() {
            rule.part = Some(region);
        }
        self
    }

    /// Keeps the output for rules that read it.
    pub(crate) fn keep_output(mut self) -> Record {
        self.reads_output = true;
        self
    }

    /// The recorded tensor.
    ///
    /// # Panics
    /// If it has gradient rules and its element type is not floating-point.
    #[track_caller]
    pub fn done(self) -> Tensor {
        let Record { mut out, op, site, mut history, reads_output } = self;
        if history.rules.is_empty() {
            return out;
        }
        assert!(out.dtype().is_float(), "{op}: a result of type {} cannot carry a gradient", out.dtype());
        if reads_output {
            history.output = Some((out.value.clone(), out.layout.clone()));
        }
        let links = Links::Live(Arc::new(history));
        out.node = Some(Node::new(op, site, out.shape().clone(), out.dtype(), links));
        out
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
    static ANOMALY: Cell<bool> = const { Cell::new(false) };
    /// Whether a gradient rule runs; anomaly mode then looks at what it returns, and not at its steps.
    static IN_RULE: Cell<bool> = const { Cell::new(false) };
    /// Where operations are recorded, if not at their caller: at the line of the composite operation that they are a
    /// part of, or of the operation whose gradient they compute, so that messages point to the user's program.
    static SITE: Cell<Option<&'static Location<'static>>> = const { Cell::new(None) };
}

/// Sets a thread's variable until dropped, also by a panic.
struct Scope<T: Copy + 'static>(&'static LocalKey<Cell<T>>, T);
impl<T: Copy> Scope<T> {
    fn new(variable: &'static LocalKey<Cell<T>>, value: T) -> Scope<T> {
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

/// Runs `f` in anomaly mode on this thread: the first operation whose output is not finite panics, and in a backward
/// sweep the first whose gradient is not; the message names the operation, its place in the program and what was
/// found. Slow.
///
/// ```should_panic
/// # use cotangent_core::*;
/// anomaly(|| Tensor::new([0.0], [1]).log());
/// ```
pub fn anomaly<R>(f: impl FnOnce() -> R) -> R {
    let _scope = Scope::new(&ANOMALY, true);
    f()
}

/// Whether anomaly mode is on and `x` is not finite everywhere.
fn is_anomaly(x: &Tensor) -> bool {
    ANOMALY.get() && x.dtype().is_float() && values(x).iter().any(|v| !v.is_finite())
}

fn values(x: &Tensor) -> Vec<f64> {
    let _quiet = Scope::new(&ANOMALY, false);
    x.detach().to(DType::F64).to_vec::<f64>()
}

/// What is wrong with a tensor that is not finite.
fn anomaly_report(x: &Tensor) -> String {
    let values = values(x);
    let count = |what: fn(f64) -> bool| values.iter().filter(|v| what(**v)).count();
    let mut finite: Vec<f64> = values.iter().copied().filter(|v| v.is_finite()).collect();
    finite.sort_by(f64::total_cmp);
    let range = match (finite.first(), finite.last()) {
        (Some(low), Some(high)) => format!("the finite ones lie from {low:e} to {high:e}"),
        _ => "none is finite".into(),
    };
    let (nan, infinite) = (count(f64::is_nan), count(f64::is_infinite));
    format!("of shape {} has {nan} NaN and {infinite} infinite of {} elements; {range}", x.shape(), values.len())
}

/// One backward sweep; see [`crate::autograd`] for its public faces.
pub(crate) struct Sweep<'a> {
    /// Where the sweep was asked for, for messages.
    pub(crate) site: &'static Location<'static>,
    /// Keep the saved tensors for another sweep.
    pub(crate) retain: bool,
    /// Record the rules, to differentiate the gradients again.
    pub(crate) record: bool,
    /// Only the paths to these nodes; all leaves if none is given.
    pub(crate) wanted: Option<&'a [u64]>,
    /// Nodes older than this are reported and not followed.
    pub(crate) floor: u64,
}

impl Sweep<'_> {
    /// Gradients by node, youngest first, from roots with their cotangents.
    #[track_caller]
    pub(crate) fn run(&self, roots: Vec<(Arc<Node>, Tensor)>) -> Vec<(u64, Tensor)> {
        let _recording = Scope::new(&RECORDING, self.record);
        let needed = self.wanted.map(|wanted| leading_to(wanted, &roots));
        let fault = crate::fault::current();
        let mut pending = Pending::default();
        roots.into_iter().for_each(|(node, g)| pending.add(&node, g));
        let mut found = vec![];
        while let Some((node, g)) = pending.pop() {
            let g = self.observe(&node, g);
            if self.reports(&node) {
                found.push((node.id, g.clone()));
            }
            if node.id < self.floor {
                continue;
            }
            let Some(history) = self.history(&node) else { continue };
            let output = history.output.as_ref().map(|(value, layout)| Tensor {
                value: value.clone(),
                layout: layout.clone(),
                node: Some(node.clone()),
            });
            for rule in &history.rules {
                let inputs = &history.inputs[rule.targets.clone()];
                let is_needed = |input: &Arc<Node>| needed.as_ref().is_none_or(|set| set.contains(&input.id));
                let flags: SmallVec<[bool; 4]> = inputs.iter().map(is_needed).collect();
                if !flags.contains(&true) {
                    continue;
                }
                if let (Some(region), None, false) = (&rule.part, &fault, self.record)
                    && pending.add_part(&inputs[0], region, &g)
                {
                    continue;
                }
                let pull = |g: &Tensor| {
                    let _rule = (Scope::new(&IN_RULE, true), Scope::new(&SITE, Some(node.site)));
                    (rule.pull)(g, output.as_ref(), &flags)
                };
                for (at, grad) in pull(&g).into_iter().enumerate().filter(|&(at, _)| flags[at]) {
                    let input = &inputs[at];
                    let grad = match &fault {
                        None => grad,
                        Some(fault) => grad.and_then(|grad| {
                            let (op, target, adds) =
                                (node.op, rule.targets.start + at, pending.waiting.contains_key(&input.id));
                            let again = &|g: &Tensor| pull(g).swap_remove(at);
                            fault(crate::fault::Contribution { op, target, grad, cotangent: &g, adds, again })
                        }),
                    };
                    if let Some(grad) = grad {
                        pending.add(input, fitted(grad, &node, input));
                    }
                }
            }
        }
        found
    }

    /// Whether the gradient of a node is part of the result.
    fn reports(&self, node: &Node) -> bool {
        match self.wanted {
            Some(wanted) => wanted.contains(&node.id),
            None => node.id < self.floor || node.retain.load(Ordering::Relaxed) || node.is_leaf(),
        }
    }

    /// Lets hooks see and replace a complete gradient.
    #[track_caller]
    fn observe(&self, node: &Node, mut g: Tensor) -> Tensor {
        if is_anomaly(&g) {
            let found = anomaly_report(&g);
            panic!(
                "backward: anomaly: the gradient of the result of `{}` (recorded at {}) {found}",
                node.op, node.site
            );
        }
        let hooks: Vec<_> = lock(&node.hooks).iter().map(|(_, hook)| hook.clone()).collect();
        for hook in hooks {
            let Some(other) = hook(&g) else { continue };
            if other.shape() != &node.shape || other.dtype() != node.dtype {
                panic!(
                    "hook: it returned a gradient of shape {} and type {} for the result of `{}` (recorded at {}) of \
                     shape {} and type {}; they must be equal",
                    other.shape(),
                    other.dtype(),
                    node.op,
                    node.site,
                    node.shape,
                    node.dtype
                );
            }
            g = other;
        }
        g
    }

    /// The node's history; it is freed behind the sweep unless retained.
    #[track_caller]
    fn history(&self, node: &Node) -> Option<Arc<History>> {
        let mut links = lock(&node.links);
        match &*links {
            Links::Leaf => None,
            Links::Live(history) => {
                let history = history.clone();
                if !self.retain {
                    *links = Links::Consumed(self.site);
                }
                Some(history)
            }
            &Links::Consumed(at) => {
                drop(links);
                panic!(
                    "backward: the graph of `{}` (recorded at {}) was already consumed by the backward sweep at {at}; \
                     use `.backward_retained()` there, or compute the result again (second sweep at {})",
                    node.op, node.site, self.site
                )
            }
        }
    }
}

/// A rule's gradient, checked, and summed to the input's shape where that was broadcast.
#[track_caller]
fn fitted(grad: Tensor, node: &Node, input: &Node) -> Tensor {
    if is_anomaly(&grad) {
        let found = anomaly_report(&grad);
        panic!("backward: anomaly: the gradient by an input of `{}` (recorded at {}) {found}", node.op, node.site);
    }
    let fits = grad.shape() == &input.shape;
    let sums = fits || input.shape.broadcast(grad.shape()).as_ref() == Some(grad.shape());
    if !sums || grad.dtype() != input.dtype {
        panic!(
            "backward: the gradient rule of `{}` (recorded at {}) returned shape {} and type {} for an input of shape {} \
             and type {}; it must have the input's type and shape, or a shape that the input's broadcasts to",
            node.op,
            node.site,
            grad.shape(),
            grad.dtype(),
            input.shape,
            input.dtype
        );
    }
    if fits { grad } else { grad.sum_to(&input.shape) }
}

/// The number that the next node will take.
pub(crate) fn next_id() -> u64 {
    SERIAL.load(Ordering::Relaxed)
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

/// Cotangents that wait for their node's turn: the youngest node first.
#[derive(Default)]
struct Pending {
    order: BinaryHeap<u64>,
    waiting: HashMap<u64, (Arc<Node>, Tensor), BuildHasherDefault<Serial>>,
}

/// Numbers of nodes need no hash that resists an adversary, only a spread.
#[derive(Default)]
struct Serial(u64);
impl Hasher for Serial {
    fn write_u64(&mut self, id: u64) {
        self.0 = id.wrapping_mul(0x9E37_79B9_7F4A_7C15);
    }
    fn write(&mut self, _: &[u8]) {
        unreachable!("only numbers of nodes are hashed")
    }
    fn finish(&self) -> u64 {
        self.0
    }
}

impl Pending {
    /// Adds a contribution. Sums of half-precision gradients are held in `f32` and rounded once.
    fn add(&mut self, node: &Arc<Node>, g: Tensor) {
        let g = match self.waiting.remove(&node.id) {
            None => {
                self.order.push(node.id);
                g
            }
            Some((_, sum)) if is_half(node.dtype) => sum.to(DType::F32) + g.to(DType::F32),
            Some((_, sum)) => sum + g,
        };
        self.waiting.insert(node.id, (node.clone(), g));
    }

    /// Adds a contribution to some places only, in memory if nothing else shares it; says whether there was a sum to add
    /// to. Half precision is left to [`add`](Pending::add).
    fn add_part(&mut self, node: &Arc<Node>, region: &Layout, g: &Tensor) -> bool {
        let Some((_, sum)) = self.waiting.get_mut(&node.id).filter(|_| !is_half(node.dtype)) else { return false };
        let whole = std::mem::replace(sum, g.clone()).contiguous();
        let part = whole.with_layout(region.clone()) + g;
        *sum = whole.overwritten(region, &part);
        true
    }

    fn pop(&mut self) -> Option<(Arc<Node>, Tensor)> {
        let (node, g) = self.waiting.remove(&self.order.pop()?)?;
        let g = if g.dtype() == node.dtype { g } else { g.to(node.dtype) };
        Some((node, g))
    }
}

fn is_half(dtype: DType) -> bool {
    matches!(dtype, DType::F16 | DType::BF16)
}

/// The nodes from which one of `wanted` is reached, wanted ones included.
fn leading_to(wanted: &[u64], roots: &[(Arc<Node>, Tensor)]) -> HashSet<u64> {
    let oldest = wanted.iter().copied().min().unwrap_or(u64::MAX);
    let roots: Vec<Arc<Node>> = roots.iter().map(|(node, _)| node.clone()).collect();
    let mut leading: HashSet<u64> = wanted.iter().copied().collect();
    // Ascending: inputs are older than a node, and already decided.
    for (id, node) in reachable(&roots, |node| node.id > oldest) {
        if node.inputs().iter().any(|input| leading.contains(&input.id)) {
            leading.insert(id);
        }
    }
    leading
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
