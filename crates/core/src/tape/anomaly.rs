//! Anomaly mode: where the first number that is not finite comes from.

use super::*;

thread_local! {
    static ANOMALY: Cell<bool> = const { Cell::new(false) };
}

/// Runs `f` in anomaly mode on this thread: the first operation whose output is not finite panics, and in a backward
/// sweep the first whose gradient is not. Slow: every result is looked at on the host, and every recorded operation keeps
/// its inputs.
///
/// The message names the operation and its place in the program, and says of what shape and how large the numbers are, and
/// how many are NaN or infinite: of the output and the inputs; in a sweep, of the gradient, the cotangent that went into
/// the rule and, if the operation was recorded in anomaly mode, the inputs, and lists the operations by which the
/// gradient came from the loss.
///
/// ```
/// # use cotangent_core::*;
/// let x = Tensor::new([0.0, 4.0], [2]).tracked();
/// let error = attempt(|| anomaly(|| (x.sqrt() * 3.0).sum(..).backward())).unwrap_err().to_string();
/// assert!(error.contains("`sqrt`") && error.contains("1 infinite of 2 elements"));
/// assert!(error.contains("the cotangent of shape [2] is finite, from 3.0 to 3.0"));
/// ```
pub fn anomaly<R>(f: impl FnOnce() -> R) -> R {
    let _scope = Scope::new(&ANOMALY, true);
    f()
}

/// Whether anomaly mode is on.
pub(crate) fn is_anomaly_mode() -> bool {
    ANOMALY.get()
}

/// The elements, of any type.
pub(crate) fn values(x: &Tensor) -> Vec<f64> {
    let _quiet = Scope::new(&ANOMALY, false);
    x.detach().to(DType::F64).to_vec::<f64>()
}

fn is_finite(x: &Tensor) -> bool {
    !x.dtype().is_float() || values(x).iter().all(|v| v.is_finite())
}

/// What a tensor holds: `of shape [2] is finite, from 0.0 to 4.0`.
pub(crate) fn statistics(x: &Tensor) -> String {
    let values = values(x);
    let count = |what: fn(f64) -> bool| values.iter().filter(|v| what(**v)).count();
    let (nan, infinite) = (count(f64::is_nan), count(f64::is_infinite));
    // Single precision in few digits.
    let number = |v: f64| if x.dtype() == DType::F64 { format!("{v:?}") } else { format!("{:?}", v as f32) };
    let finite = || values.iter().copied().filter(|v| v.is_finite());
    let range = finite().reduce(f64::min).zip(finite().reduce(f64::max));
    let range = range.map(|(low, high)| format!("from {} to {}", number(low), number(high)));
    let shape = x.shape();
    match range {
        None if values.is_empty() => format!("of shape {shape} has no elements"),
        Some(range) if nan + infinite == 0 => format!("of shape {shape} is finite, {range}"),
        range => {
            let rest = range.map_or("none is finite".into(), |range| format!("the finite ones lie {range}"));
            format!("of shape {shape} has {nan} NaN and {infinite} infinite of {} elements; {rest}", values.len())
        }
    }
}

/// The inputs of an operation that ran in anomaly mode.
#[derive(Clone)]
pub(crate) struct Seen(Vec<SeenInput>);

#[derive(Clone)]
struct SeenInput {
    x: Tensor,
    /// Operation and line that made it, if tracked.
    made: Option<(&'static str, &'static Location<'static>)>,
}

impl Seen {
    /// These inputs; `None` out of anomaly mode.
    pub(crate) fn of<'a>(inputs: impl IntoIterator<Item = &'a Tensor>) -> Option<Box<Seen>> {
        if !ANOMALY.get() {
            return None;
        }
        let mut seen = Box::new(Seen(vec![]));
        seen.add(inputs);
        Some(seen)
    }

    pub(crate) fn add<'a>(&mut self, inputs: impl IntoIterator<Item = &'a Tensor>) {
        let input = |x: &Tensor| SeenInput { x: x.detach(), made: x.node.as_ref().map(|node| (node.op, node.site)) };
        self.0.extend(inputs.into_iter().map(input));
    }

    /// Panics if the output is not finite. The steps of a gradient rule are not looked at: a sweep looks at what it
    /// returns.
    #[track_caller]
    pub(super) fn check(&self, op: &str, site: &Location, output: &Tensor) {
        if !IN_RULE.get() && !is_finite(output) {
            panic!("{op}: anomaly: the output {} (recorded at {site}){}", statistics(output), self.lines())
        }
    }

    /// A line for each input.
    pub(super) fn lines(&self) -> String {
        let line = |(k, input): (usize, &SeenInput)| {
            let made = input.made.map_or("untracked".into(), |(op, site)| format!("`{op}` at {site}"));
            format!("\n  input {k} ({made}) {}", statistics(&input.x))
        };
        self.0.iter().enumerate().map(line).collect()
    }
}

/// How gradients came to the nodes of a sweep in anomaly mode.
pub(super) struct Trace {
    /// By the number of a node, the first operation that contributed to its gradient.
    came_by: HashMap<u64, Contributor>,
    /// The line of the operation of whose gradient rule the sweep is a part, as that of a checkpoint.
    within: Option<&'static Location<'static>>,
}

struct Contributor {
    id: u64,
    op: &'static str,
    site: &'static Location<'static>,
}

impl Trace {
    /// `None` out of anomaly mode.
    pub(super) fn new() -> Option<Trace> {
        let within = SITE.get().filter(|_| IN_RULE.get());
        ANOMALY.get().then(|| Trace { came_by: HashMap::new(), within })
    }

    /// Notes that `node` contributes to the gradient of `input`.
    pub(super) fn note(&mut self, node: &Node, input: &Node) {
        let &Node { id, op, site, .. } = node;
        self.came_by.entry(input.id).or_insert(Contributor { id, op, site });
    }

    /// Panics if the complete gradient of a node is not finite.
    #[track_caller]
    pub(super) fn check_complete(&self, node: &Node, g: &Tensor) {
        if !is_finite(g) {
            panic!(
                "backward: anomaly: the gradient of the result of `{}` (recorded at {}) {}{}",
                node.op,
                node.site,
                statistics(g),
                self.path(node)
            )
        }
    }

    /// Panics if what the rule of `node` made of the cotangent is not finite.
    #[track_caller]
    pub(super) fn check_rule(&self, node: &Node, history: &History, input: &Node, grad: &Tensor, cotangent: &Tensor) {
        if is_finite(grad) {
            return;
        }
        let inputs = match &history.seen {
            Some(seen) => seen.lines(),
            None => "\n  (run the forward pass in anomaly mode, too, to see the inputs)".into(),
        };
        panic!(
            "backward: anomaly: the gradient by an input of `{}` (recorded at {}) {}\n  that input is the result of \
             `{}` at {}\n  the cotangent {}{inputs}{}",
            node.op,
            node.site,
            statistics(grad),
            input.op,
            input.site,
            statistics(cotangent),
            self.path(node)
        )
    }

    /// From `node` to the root of the sweep, one operation a line, the middle of a long path left out.
    fn path(&self, node: &Node) -> String {
        const ENDS: usize = 4;
        let line = |op, site: &Location| format!("\n    `{op}` at {site}");
        let mut lines = vec![line(node.op, node.site)];
        let mut id = node.id;
        while let Some(by) = self.came_by.get(&id) {
            lines.push(line(by.op, by.site));
            id = by.id;
        }
        if lines.len() > 2 * ENDS + 1 {
            let left_out = ENDS..lines.len() - ENDS;
            let text = format!("\n    … {} more …", left_out.len());
            lines.splice(left_out, [text]);
        }
        if let Some(site) = self.within {
            lines.push(format!("\n    in the gradient of the operation at {site}"));
        }
        format!("\n  path to the loss:{}", lines.concat())
    }
}
