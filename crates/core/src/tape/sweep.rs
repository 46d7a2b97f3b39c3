//! The backward sweep.

use super::anomaly::Trace;
use super::*;
use crate::deferred::evaluate;
use crate::profile;
use std::ops::Deref;

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
        let needed = self.wanted.map(|wanted| leading_to(wanted, &nodes(&roots)));
        let fault = crate::fault::current();
        let mut trace = Trace::new();
        let mut pending = Pending::default();
        roots.into_iter().for_each(|(node, g)| pending.add(&node, g));
        let mut found = vec![];
        while let Some((node, g)) = pending.pop() {
            if let Some(trace) = &trace {
                trace.check_complete(&node, &g);
            }
            // To what is older than the floor more may come from elsewhere: hooks see complete gradients only.
            let is_within = node.id >= self.floor;
            let g = if is_within { observe(&node, g) } else { g };
            if self.reports(&node) {
                found.push((node.id, g.clone()));
            }
            if !is_within {
                continue;
            }
            let Some(history) = self.history(&node) else { continue };
            let output = history.output.as_deref().map(|(value, layout)| Tensor {
                value: value.clone(),
                layout: layout.clone(),
                node: Some(node.clone()),
            });
            for rule in &history.rules {
                let inputs = &history.inputs[rule.targets.clone()];
                let is_needed = |input: &Arc<Node>| needed.as_ref().is_none_or(|set| set.contains(&input.id));
                let mut flags: SmallVec<[bool; 4]> = SmallVec::new();
                inputs.iter().for_each(|input| flags.push(is_needed(input)));
                if !flags.contains(&true) {
                    continue;
                }
                if let (Some(region), None, false) = (&rule.part, &fault, self.record)
                    && pending.add_part(&inputs[0], region, &g)
                {
                    // It is not the first contribution, and adds no number that was not checked.
                    continue;
                }
                let pull = |g: &Tensor| {
                    let _rule = part_of(&node);
                    rule.pull.pull(g, output.as_ref(), inputs, &flags)
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
                        if let Some(trace) = &mut trace {
                            trace.check_rule(&node, &history, input, &grad, &g);
                            trace.note(&node, input);
                        }
                        pending.add(input, fitted(grad, &node, input));
                    }
                }
            }
        }
        if !self.record {
            // Those of one loss have much in common.
            evaluate(found.iter().map(|(_, g)| &g.value));
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

    /// The node's history; it is freed behind the sweep unless retained.
    #[track_caller]
    fn history(&self, node: &Node) -> Option<Past> {
        let mut links = lock(&node.links);
        match std::mem::replace(&mut *links, Links::Consumed(self.site)) {
            Links::Leaf => {
                *links = Links::Leaf;
                None
            }
            Links::Live(history) if !self.retain => Some(Past::Own(history)),
            Links::Live(history) => {
                let history = Arc::new(history);
                *links = Links::Retained(history.clone());
                Some(Past::Retained(history))
            }
            Links::Retained(history) => {
                if self.retain {
                    *links = Links::Retained(history.clone());
                }
                Some(Past::Retained(history))
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

/// A history, and whether others hold it, too.
enum Past {
    Own(History),
    Retained(Arc<History>),
}

impl Deref for Past {
    type Target = History;
    fn deref(&self) -> &History {
        match self {
            Past::Own(history) => history,
            Past::Retained(history) => history,
        }
    }
}

/// Lets hooks see and replace a complete gradient.
#[track_caller]
pub(crate) fn observe(node: &Node, mut g: Tensor) -> Tensor {
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

/// A rule's gradient, checked, and summed to the input's shape where that was broadcast.
#[track_caller]
fn fitted(grad: Tensor, node: &Node, input: &Node) -> Tensor {
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
    if fits {
        return grad;
    }
    let _rule = part_of(node);
    grad.sum_to(&input.shape)
}

/// What runs until the result is dropped is a part of the gradient of `node`.
fn part_of(node: &Node) -> impl Sized + use<> {
    (Scope::new(&IN_RULE, true), Scope::new(&SITE, Some(node.site)), profile::rule(node.op))
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
        let Some((_, sum)) = self.waiting.get_mut(&node.id) else {
            self.order.push(node.id);
            self.waiting.insert(node.id, (node.clone(), g));
            return;
        };
        let _sum = part_of(node);
        // The sum is taken out, so that it may be written over.
        let before = std::mem::replace(sum, g.clone());
        *sum = if node.dtype.is_half() { before.to(DType::F32) + g.to(DType::F32) } else { before + g };
    }

    /// Adds a contribution to some places only, in memory if nothing else shares it; says whether there was a sum to add
    /// to. Half precision is left to [`add`](Pending::add).
    fn add_part(&mut self, node: &Arc<Node>, region: &Layout, g: &Tensor) -> bool {
        let Some((_, sum)) = self.waiting.get_mut(&node.id).filter(|_| !node.dtype.is_half()) else { return false };
        let _sum = part_of(node);
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

fn nodes(roots: &[(Arc<Node>, Tensor)]) -> Vec<Arc<Node>> {
    roots.iter().map(|(node, _)| node.clone()).collect()
}

/// The nodes from which one of `wanted` is reached, wanted ones included.
fn leading_to(wanted: &[u64], roots: &[Arc<Node>]) -> HashSet<u64> {
    let oldest = wanted.iter().copied().min().unwrap_or(u64::MAX);
    let mut leading: HashSet<u64> = wanted.iter().copied().collect();
    // Ascending: inputs are older than a node, and already decided.
    for (id, node) in reachable(roots, |node| node.id > oldest) {
        if node.inputs().iter().any(|input| leading.contains(&input.id)) {
            leading.insert(id);
        }
    }
    leading
}

/// The numbers of the nodes on the ways from `root` to the node `target`, both included.
pub(crate) fn between(root: &Arc<Node>, target: u64) -> HashSet<u64> {
    leading_to(&[target], std::slice::from_ref(root))
}
