//! Recording an operation: its inputs and the rules for their gradients.

use super::*;

/// Where an operation is recorded.
#[track_caller]
fn site() -> &'static Location<'static> {
    SITE.get().unwrap_or(Location::caller())
}

/// Collects the rules of an operation; see [`Tensor::record`].
#[must_use = "call `done` to get the recorded tensor"]
pub struct Record {
    out: Tensor,
    op: &'static str,
    site: &'static Location<'static>,
    history: History,
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
        Record { out: self, op, site: site(), history: History::new(Seen::of([])) }
    }

    /// The result of `op` with its history: on the tape if that has rules.
    #[track_caller]
    pub(crate) fn recorded(self, op: &'static str, history: History) -> Tensor {
        self.recorded_at(site(), op, history)
    }

    #[track_caller]
    fn recorded_at(mut self, site: &'static Location<'static>, op: &'static str, history: History) -> Tensor {
        if let Some(seen) = &history.seen {
            seen.check(op, site, &self);
        }
        if !history.rules.is_empty() {
            assert!(self.dtype().is_float(), "{op}: a result of type {} cannot carry a gradient", self.dtype());
            self.node = Some(Node::new(op, site, self.shape().clone(), self.dtype(), Links::Live(history)));
        }
        self
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
        self.see(&[input]);
        if !tracks(input) {
            return self;
        }
        self.history.keep(&self.out);
        let saved = saved.map(Tensor::clone);
        self.rule(&[input], move |g, output, _| {
            let output = output.expect("the node keeps its output for this rule");
            SmallVec::from_iter([Some(vjp(g, output, saved.each_ref()))])
        })
    }

    /// Gradients by several inputs that share work; the last argument says which are needed.
    pub fn wrt_all<const K: usize, const N: usize>(
        mut self,
        inputs: [&Tensor; K],
        saved: [&Tensor; N],
        vjp: impl Fn(&Tensor, [&Tensor; N], [bool; K]) -> [Option<Tensor>; K] + Send + Sync + 'static,
    ) -> Record {
        self.see(&inputs);
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

    /// Keeps inputs for the messages of anomaly mode.
    pub(crate) fn see(&mut self, inputs: &[&Tensor]) {
        if let Some(seen) = &mut self.history.seen {
            seen.add(inputs.iter().copied());
        }
    }

    /// A rule for the tracked ones among `inputs`.
    fn rule(
        self,
        inputs: &[&Tensor],
        pull: impl Fn(&Tensor, Option<&Tensor>, &[bool]) -> Gradients + Send + Sync + 'static,
    ) -> Record {
        self.rule_for(inputs.iter().filter_map(|x| tracked(x).cloned()).collect(), pull)
    }

    /// A rule for inputs given by their places on the tape.
    pub(crate) fn rule_for(
        mut self,
        inputs: SmallVec<[Arc<Node>; 2]>,
        pull: impl Fn(&Tensor, Option<&Tensor>, &[bool]) -> Gradients + Send + Sync + 'static,
    ) -> Record {
        self.history.add_rule(inputs, Box::new(pull));
        self
    }

    /// Says that the last rule's gradient is the cotangent at `region` of the row-major gradient, and 0 elsewhere: a
    /// sweep that is not recorded then adds it there, so that many small parts do not cost as many whole gradients.
    pub(crate) fn part(mut self, region: Layout) -> Record {
        if let Some(rule) = self.history.rules.last_mut() {
            rule.part = Some(Box::new(region));
        }
        self
    }

    /// Keeps the output for rules that read it.
    pub(crate) fn keep_output(mut self) -> Record {
        self.history.keep(&self.out);
        self
    }

    /// The recorded tensor.
    ///
    /// # Panics
    /// If it has gradient rules and its element type is not floating-point; in [anomaly mode](anomaly), if it is not
    /// finite.
    #[track_caller]
    pub fn done(self) -> Tensor {
        let Record { out, op, site, history } = self;
        out.recorded_at(site, op, history)
    }
}
