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
use std::panic::Location;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, Weak};

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
    targets: SmallVec<[usize; 2]>,
    pull: Box<Pull>,
}

/// `(cotangent, output, which targets are needed) -> gradient of each target`.
type Pull = dyn Fn(&Tensor, Option<&Tensor>, &[bool]) -> SmallVec<[Option<Tensor>; 2]> + Send + Sync;

static SERIAL: AtomicU64 = AtomicU64::new(0);
static LIVE: AtomicUsize = AtomicUsize::new(0);

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
        matches!(*self.links.lock().unwrap(), Links::Leaf)
    }

    /// Inputs of the operation; none for a leaf or where a sweep has passed.
    pub(crate) fn inputs(&self) -> SmallVec<[Arc<Node>; 2]> {
        match &*self.links.lock().unwrap() {
            Links::Live(history) => history.inputs.clone(),
            _ => SmallVec::new(),
        }
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        LIVE.fetch_sub(1, Ordering::Relaxed);
        let links = std::mem::replace(self.links.get_mut().unwrap_or_else(|e| e.into_inner()), Links::Leaf);
        if let Links::Live(history) = links {
            discard(history);
        }
    }
}

thread_local! {
    /// Histories waiting to be dropped by the outermost `discard` of this thread.
    static DISCARDED: RefCell<Option<Vec<Arc<History>>>> = const { RefCell::new(None) };
}

/// Drops a history without recursion: dropping it drops nodes, whose histories queue up here.
fn discard(history: Arc<History>) {
    let queued = DISCARDED.try_with(|queue| match &mut *queue.borrow_mut() {
        Some(waiting) => {
            waiting.push(history);
            false
        }
        empty => {
            *empty = Some(vec![history]);
            true
        }
    });
    if queued != Ok(true) {
        return; // an outer call drops it, or the thread is ending
    }
    while let Some(next) = DISCARDED.with_borrow_mut(|queue| queue.as_mut().and_then(Vec::pop)) {
        drop(next);
    }
    DISCARDED.set(None);
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
        debug_assert!(self.node.is_none(), "{op}: record takes an untracked result");
        anomaly_check(&self, op, "output");
        Record { out: self, op, site: Location::caller(), history: History::default(), reads_output: false }
    }
}

impl Record {
    /// The gradient by `input`, given the cotangent and the tensors it saved. It may have the output's shape where
    /// the input was broadcast: the engine sums. It is never called, and nothing is saved, if `input` is untracked.
    pub fn wrt<const N: usize>(
        self, input: &Tensor, saved: [&Tensor; N],
        vjp: impl Fn(&Tensor, [&Tensor; N]) -> Tensor + Send + Sync + 'static,
    ) -> Record {
        self.wrt_all([input], saved, move |g, saved, _| [Some(vjp(g, saved))])
    }

    /// As [`wrt`](Record::wrt), for a gradient written in terms of the output.
    pub fn wrt_output<const N: usize>(
        mut self, input: &Tensor, saved: [&Tensor; N],
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
        self, inputs: [&Tensor; K], saved: [&Tensor; N],
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
        self, inputs: &[&Tensor],
        pull: impl Fn(&Tensor, Option<&Tensor>, &[bool]) -> SmallVec<[Option<Tensor>; 2]> + Send + Sync + 'static,
    ) -> Record {
        let tracked = inputs.iter().filter(|x| tracks(x));
        self.rule_for(tracked.filter_map(|x| x.node.clone()).collect(), pull)
    }

    /// A rule for inputs given by their places on the tape.
    pub(crate) fn rule_for(
        mut self, inputs: SmallVec<[Arc<Node>; 2]>,
        pull: impl Fn(&Tensor, Option<&Tensor>, &[bool]) -> SmallVec<[Option<Tensor>; 2]> + Send + Sync + 'static,
    ) -> Record {
        let first = self.history.inputs.len();
        let targets = (first..first + inputs.len()).collect();
        self.history.inputs.extend(inputs);
        self.history.rules.push(Rule { targets, pull: Box::new(pull) });
        self
    }

    /// Keeps the output for rules that read it.
    pub(crate) fn keep_output(mut self) -> Record {
        self.reads_output = true;
        self
    }

    /// The recorded tensor.
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
    x.node.is_some() && RECORDING.get()
}

thread_local! {
    static RECORDING: Cell<bool> = const { Cell::new(true) };
    static ANOMALY: Cell<bool> = const { Cell::new(false) };
}

/// Sets a thread's flag until dropped, also by a panic.
struct Scope(&'static std::thread::LocalKey<Cell<bool>>, bool);
impl Scope {
    fn new(flag: &'static std::thread::LocalKey<Cell<bool>>, value: bool) -> Scope {
        Scope(flag, flag.replace(value))
    }
}
impl Drop for Scope {
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

/// Runs `f` in anomaly mode on this thread: the first operation whose output is not finite, and in a backward
/// sweep the first gradient, panics with the operation, its place in the program and what was found. Slow.
///
/// ```should_panic
/// # use cotangent_core::*;
/// anomaly(|| Tensor::new([0.0], [1]).log());
/// ```
pub fn anomaly<R>(f: impl FnOnce() -> R) -> R {
    let _scope = Scope::new(&ANOMALY, true);
    f()
}

#[track_caller]
fn anomaly_check(x: &Tensor, op: &str, what: &str) {
    if !ANOMALY.get() || !x.dtype().is_float() {
        return;
    }
    let values = {
        let _quiet = Scope::new(&ANOMALY, false);
        x.detach().to(DType::F64).to_vec::<f64>()
    };
    let nan = values.iter().filter(|v| v.is_nan()).count();
    let infinite = values.iter().filter(|v| v.is_infinite()).count();
    if nan + infinite > 0 {
        let finite = || values.iter().copied().filter(|v| v.is_finite());
        panic!(
            "{op}: anomaly: {what} of shape {} has {nan} NaN and {infinite} infinite of {} elements; the finite ones lie \
             from {:e} to {:e}",
            x.shape(), values.len(), finite().fold(f64::INFINITY, f64::min), finite().fold(f64::NEG_INFINITY, f64::max),
        );
    }
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
    /// Gradients by node, from roots with their cotangents.
    pub(crate) fn run(&self, roots: Vec<(Arc<Node>, Tensor)>) -> Vec<(u64, Tensor)> {
        let _scope = Scope::new(&RECORDING, self.record);
        let needed = self.wanted.map(|wanted| leading_to(wanted, &roots));
        let is_needed = |node: &Node| needed.as_ref().is_none_or(|set| set.contains(&node.id));
        let mut pending = Pending::default();
        roots.into_iter().for_each(|(node, g)| pending.add(&node, g));
        let mut found = vec![];
        while let Some((node, g)) = pending.pop() {
            let g = self.observe(&node, g);
            let report = match self.wanted {
                Some(wanted) => wanted.contains(&node.id),
                None => node.id < self.floor || node.is_leaf() || node.retain.load(Ordering::Relaxed),
            };
            if report {
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
                let needed: SmallVec<[bool; 4]> = rule.targets.iter().map(|&t| is_needed(&history.inputs[t])).collect();
                if !needed.contains(&true) {
                    continue;
                }
                let grads = (rule.pull)(&g, output.as_ref(), &needed);
                for ((&target, grad), _) in rule.targets.iter().zip(grads).zip(&needed).filter(|(_, needed)| **needed) {
                    let input = &history.inputs[target];
                    if let Some(grad) = grad {
                        pending.add(input, grad.sum_to(&input.shape));
                    }
                }
            }
        }
        found
    }

    /// Lets hooks see and replace a complete gradient.
    fn observe(&self, node: &Node, mut g: Tensor) -> Tensor {
        if ANOMALY.get() {
            anomaly_check(&g, node.op, &format!("gradient of the result computed at {}", node.site));
        }
        let hooks: Vec<_> = node.hooks.lock().unwrap().iter().map(|(_, hook)| hook.clone()).collect();
        for hook in hooks {
            if let Some(other) = hook(&g) {
                assert!(
                    other.shape() == &node.shape && other.dtype() == node.dtype,
                    "hook: the replaced gradient has shape {} and type {}, the tensor {} and {}",
                    other.shape(), other.dtype(), node.shape, node.dtype
                );
                g = other;
            }
        }
        g
    }

    /// The node's history; it is freed behind the sweep unless retained.
    fn history(&self, node: &Node) -> Option<Arc<History>> {
        let mut links = node.links.lock().unwrap();
        let next = if self.retain { links.clone() } else { Links::Consumed(self.site) };
        match std::mem::replace(&mut *links, Links::Leaf) {
            Links::Leaf => None,
            Links::Live(history) => {
                *links = next;
                Some(history)
            }
            Links::Consumed(at) => {
                *links = Links::Consumed(at);
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
fn reachable(roots: &[Arc<Node>], follow: impl Fn(&Node) -> bool) -> std::collections::BTreeMap<u64, Arc<Node>> {
    let mut seen = std::collections::BTreeMap::new();
    let mut stack = roots.to_vec();
    while let Some(node) = stack.pop() {
        if !seen.contains_key(&node.id) {
            if follow(&node) {
                stack.extend(node.inputs());
            }
            seen.insert(node.id, node);
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
        consumed: matches!(*node.links.lock().unwrap(), Links::Consumed(_)),
    };
    reachable(&roots, |_| true).values().rev().map(step).collect()
}

/// Cotangents that wait for their node's turn: the youngest node first.
#[derive(Default)]
struct Pending(std::collections::BTreeMap<u64, (Arc<Node>, Tensor)>);

impl Pending {
    /// Adds a contribution. Sums of half-precision gradients are held in `f32` and rounded once.
    fn add(&mut self, node: &Arc<Node>, g: Tensor) {
        use std::collections::btree_map::Entry;
        match self.0.entry(node.id) {
            Entry::Vacant(free) => {
                free.insert((node.clone(), g));
            }
            Entry::Occupied(mut taken) => {
                let half = matches!(node.dtype, DType::F16 | DType::BF16);
                let wide = |x: Tensor| if half { x.to(DType::F32) } else { x };
                let slot = &mut taken.get_mut().1;
                let sum = std::mem::replace(slot, g.detach());
                *slot = wide(sum) + wide(g);
            }
        }
    }

    fn pop(&mut self) -> Option<(Arc<Node>, Tensor)> {
        self.0.pop_last().map(|(_, (node, g))| {
            let g = g.to(node.dtype);
            (node, g)
        })
    }
}

/// The nodes from which one of `wanted` is reached, wanted ones included.
fn leading_to(wanted: &[u64], roots: &[(Arc<Node>, Tensor)]) -> std::collections::HashSet<u64> {
    let oldest = wanted.iter().copied().min().unwrap_or(u64::MAX);
    let roots: Vec<Arc<Node>> = roots.iter().map(|(node, _)| node.clone()).collect();
    let seen = reachable(&roots, |node| node.id > oldest);
    let mut leading: std::collections::HashSet<u64> = wanted.iter().copied().collect();
    for (id, node) in &seen {
        // Ascending: inputs are older than the node and already decided.
        if node.inputs().iter().any(|input| leading.contains(&input.id)) {
            leading.insert(*id);
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
            node.hooks.lock().unwrap().retain(|(key, _)| *key != self.key);
        }
    }
}
