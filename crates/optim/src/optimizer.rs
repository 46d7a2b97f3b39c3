//! Applies an update rule to a model's parameters.

use crate::rule::{Outcome, Penalty, Rule, Update};
use crate::schedule::{InverseTime, Schedule};
use cotangent_core::module::{NoMatch, Path, Slot, matches};
use cotangent_core::{DType, Grads, LoadError, Module, Param, StateMap, Tensor, evaluate_all, no_grad};
use std::collections::HashMap;

/// An update [`Rule`] with a learning rate, penalties, and what is remembered of every parameter.
///
/// Moments are kept in single precision for half-precision parameters, and so is a copy of the parameter itself.
/// Parameters are known by [identity](Param::id), so an optimizer belongs to one model.
///
/// The four ways to keep parameters small have four names; see [`Penalty`]. They leave out parameters that are exempt
/// ([`Param::without_decay`]), which biases and the like are.
pub struct Optimizer<R> {
    pub(crate) rule: R,
    schedule: Box<dyn Schedule>,
    penalty: Penalty,
    penalize_all: bool,
    groups: Vec<Group>,
    step: u64,
    known: HashMap<u64, State>,
}

/// What is remembered of one parameter.
struct State {
    /// Its steps so far.
    t: u64,
    slots: Vec<Tensor>,
    /// The parameter before it was rounded to half precision.
    master: Option<Tensor>,
    /// Its group.
    group: Option<usize>,
}

/// What becomes of one parameter, whose value has been taken.
struct Change {
    id: u64,
    /// What its value is stored as.
    dtype: DType,
    outcome: Outcome,
}

/// Parameters that are treated in another way; see [`Optimizer::group`].
#[derive(Clone, Debug)]
pub struct Group {
    pattern: String,
    lr_factor: f64,
    penalized: Option<bool>,
}

impl Group {
    /// The parameters whose path [matches](cotangent_core::module::matches) `pattern`.
    pub fn new(pattern: impl Into<String>) -> Group {
        Group { pattern: pattern.into(), lr_factor: 1.0, penalized: None }
    }

    /// Multiplies the learning rate.
    pub fn lr_factor(self, lr_factor: f64) -> Group {
        Group { lr_factor, ..self }
    }

    /// Whether penalties and weight decay apply, whatever the parameter says.
    pub fn penalized(self, penalized: bool) -> Group {
        Group { penalized: Some(penalized), ..self }
    }
}

/// What a step did.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Stepped {
    /// Learning rate of the step.
    pub lr: f64,
    /// Parameters that changed.
    pub updated: usize,
    /// Trainable parameters that did not: the loss does not depend on them.
    pub skipped: usize,
}

impl<R: Rule> Optimizer<R> {
    /// An optimizer that remembers nothing yet.
    pub fn new(rule: R, lr: impl Schedule + 'static) -> Self {
        Optimizer {
            rule,
            schedule: Box::new(lr),
            penalty: Penalty::default(),
            penalize_all: false,
            groups: vec![],
            step: 0,
            known: HashMap::new(),
        }
    }

    /// The update rule.
    pub fn rule(&self) -> &R {
        &self.rule
    }

    /// Another learning rate from the next step on.
    pub fn set_schedule(&mut self, lr: impl Schedule + 'static) {
        self.schedule = Box::new(lr);
    }

    /// Divides the learning rate by 1 + decay·step; see [`InverseTime`].
    pub fn decay(mut self, decay: f64) -> Self {
        self.schedule = Box::new(InverseTime { lr: self.schedule, decay });
        self
    }

    /// λ Σθ² in the loss; see [`Penalty::l2`].
    pub fn l2(mut self, lambda: f64) -> Self {
        self.penalty.l2 = lambda;
        self
    }

    /// λ Σ|θ| in the loss; see [`Penalty::l1`].
    pub fn l1(mut self, lambda: f64) -> Self {
        self.penalty.l1 = lambda;
        self
    }

    /// λθ in the gradient; see [`Penalty::coupled`].
    pub fn coupled_decay(mut self, lambda: f64) -> Self {
        self.penalty.coupled = lambda;
        self
    }

    /// Decay past the gradient; see [`Penalty::decoupled`].
    pub fn decoupled_decay(mut self, lambda: f64) -> Self {
        self.penalty.decoupled = lambda;
        self
    }

    /// Penalties and weight decay for all parameters, exempt ones included, as in PyTorch.
    pub fn penalize_all(mut self) -> Self {
        self.penalize_all = true;
        self
    }

    /// Treats some parameters in another way. A parameter may be in one group only.
    ///
    /// ```
    /// # use cotangent_core::*;
    /// # use cotangent_optim::*;
    /// let mut model = (Param::new(Tensor::ones([2])), Param::new(Tensor::ones([2])));
    /// let mut opt = Sgd::new(0.1).group(Group::new("1").lr_factor(10.0));
    /// let loss = (&*model.0 + &*model.1).sum(..);
    /// opt.step(&mut model, &loss.backward());
    /// assert_eq!((model.0.to_vec::<f32>()[0], model.1.to_vec::<f32>()[0]), (0.9, 0.0));
    /// ```
    pub fn group(mut self, group: Group) -> Self {
        self.groups.push(group);
        self
    }

    /// The learning rate of the next step.
    pub fn lr(&self) -> f64 {
        self.schedule.lr(self.step)
    }

    /// How many steps there were.
    pub fn steps(&self) -> u64 {
        self.step
    }

    /// Changes every trainable parameter that has a gradient. The others stay, and their own count of steps, too.
    ///
    /// ```
    /// # use cotangent_core::*;
    /// # use cotangent_optim::*;
    /// let mut w = Param::new(Tensor::new([1.0], [1]));
    /// let loss = w.square().sum(..);
    /// let stepped = Sgd::new(0.25).step(&mut w, &loss.backward());
    /// assert_eq!((w.item(), stepped.updated, stepped.skipped), (0.5, 1, 0));
    /// ```
    ///
    /// # Panics
    /// If no parameter has a gradient, or a group matches no parameter, or two match the same.
    #[track_caller]
    pub fn step(&mut self, model: &mut (impl Module + ?Sized), grads: &Grads) -> Stepped {
        if self.known.is_empty() {
            self.check_groups(model).unwrap_or_else(|no_match| panic!("step: group: {no_match}"));
        }
        let mut stepped = Stepped { lr: self.lr(), updated: 0, skipped: 0 };
        let mut changes: Vec<Change> = vec![];
        model.update_params(&mut |path, param| {
            if !param.is_trainable() {
                return;
            }
            match grads.get(param) {
                Some(grad) => {
                    changes.push(no_grad(|| self.change(path, param, grad, stepped.lr)));
                    stepped.updated += 1;
                }
                None => stepped.skipped += 1,
            }
        });
        let mut values = no_grad(|| self.evaluate(changes));
        model.update_params(&mut |_, param| {
            if let Some(value) = values.remove(&param.id()) {
                param.put(value);
            }
        });
        if stepped.updated == 0 {
            panic!(
                "step: none of the {} trainable parameters has a gradient among the {} found; is this the model behind the \
                 loss, and were the gradients computed since its last step?",
                stepped.skipped,
                grads.len()
            );
        }
        self.step += 1;
        stepped
    }

    /// Takes a parameter's value and state and tells what they become.
    #[track_caller]
    fn change(&mut self, path: &Path, param: &mut Param, grad: &Tensor, lr: f64) -> Change {
        let (id, dtype) = (param.id(), param.dtype());
        let Optimizer { rule, groups, known, .. } = self;
        let state = known.entry(id).or_insert_with(|| State::new(rule, groups, path, param));
        let group = state.group.map(|at| &groups[at]);
        let penalized = group.and_then(|g| g.penalized).unwrap_or(param.decays() || self.penalize_all);
        state.t += 1;
        let (t, lr) = (state.t, lr * group.map_or(1.0, |g| g.lr_factor));
        let grad = if dtype.is_half() { grad.to(DType::F32) } else { grad.detach() };
        let penalty = if penalized { self.penalty } else { Penalty::default() };
        let slots = std::mem::take(&mut state.slots);
        let value = param.take();
        let value = if dtype.is_half() { state.master.take().unwrap_or_else(|| value.to(DType::F32)) } else { value };
        let updated = rule.update(Update { param: value, grad: &grad, state: slots, lr, t, penalty });
        Change { id, dtype, outcome: updated.0 }
    }

    /// Evaluates all formulas in one pass; the new values by the parameters' identity.
    #[track_caller]
    fn evaluate(&mut self, changes: Vec<Change>) -> HashMap<u64, Tensor> {
        let mut formulas = vec![];
        let mut ready = vec![];
        for Change { id, dtype, outcome } in changes {
            match outcome {
                Outcome::Ready(param, state) => ready.push((id, dtype, Some((param, state)))),
                Outcome::Formula(formula) => {
                    formulas.push(formula);
                    ready.push((id, dtype, None));
                }
            }
        }
        let mut evaluated = evaluate_all(formulas).into_iter();
        let mut values = HashMap::new();
        for (id, dtype, tensors) in ready {
            let (param, slots) = tensors.unwrap_or_else(|| {
                let mut tensors = evaluated.next().expect("each formula has been evaluated").into_iter();
                (tensors.next().expect("the parameter comes first"), tensors.collect())
            });
            let state = self.known.get_mut(&id).expect("a parameter that changes is known");
            state.slots = slots;
            values.insert(id, param.to(dtype));
            state.master = dtype.is_half().then_some(param);
        }
        values
    }

    /// Every group must match something, and no parameter be in two.
    #[track_caller]
    fn check_groups(&self, model: &(impl Module + ?Sized)) -> Result<(), NoMatch> {
        let paths: Vec<String> = model.params().into_iter().map(|(path, _)| path).collect();
        for path in &paths {
            let of: Vec<&str> = self.groups.iter().map(|g| &*g.pattern).filter(|p| matches(p, path)).collect();
            assert!(of.len() < 2, "step: the parameter `{path}` is in {} groups: {}", of.len(), of.join(", "));
        }
        match self.groups.iter().find(|group| !paths.iter().any(|path| matches(&group.pattern, path))) {
            Some(group) => Err(NoMatch { pattern: group.pattern.clone(), paths }),
            None => Ok(()),
        }
    }

    /// What is remembered, by path: the number of steps, and for every parameter its own and the rule's tensors. With
    /// the model's state and that of the random source, training resumes bit for bit; the learning rate is a function
    /// of the step.
    pub fn state(&self, model: &(impl Module + ?Sized)) -> StateMap {
        let mut all = StateMap::from([("step".into(), count(self.step))]);
        for (path, param) in model.params() {
            let Some(state) = self.known.get(&param.id()) else { continue };
            all.insert(format!("{path}.t"), count(state.t));
            for (name, slot) in self.rule.slots().iter().zip(&state.slots) {
                all.insert(format!("{path}.{name}"), slot.clone());
            }
            if let Some(master) = &state.master {
                all.insert(format!("{path}.master"), master.clone());
            }
        }
        all
    }

    /// Takes over what [`state`](Optimizer::state) saved.
    ///
    /// # Errors
    /// If entries are missing, unknown, or of another shape or element type. Nothing is changed then.
    pub fn load(&mut self, model: &(impl Module + ?Sized), state: &StateMap) -> Result<(), LoadError> {
        let mut error = LoadError::default();
        let mut left: StateMap = state.clone();
        let mut known = HashMap::new();
        let step = left.remove("step");
        if step.is_none() {
            error.missing.push("step".into());
        }
        model.visit(&Path::ROOT, &mut |path, slot| {
            let Slot::Param(param) = slot else { return };
            let Some(t) = left.remove(&format!("{path}.t")) else { return };
            let mut fresh = State::new(&self.rule, &self.groups, path, param);
            let like = wide(param).zeros_like();
            let mut take = |name: &str| {
                let entry = format!("{path}.{name}");
                let found = left.remove(&entry);
                match &found {
                    Some(value) => error.compare(&entry, &like, value),
                    None => error.missing.push(entry),
                }
                found.map(|value| value.to_device(param.device()))
            };
            fresh.slots = self.rule.slots().iter().filter_map(|name| take(name)).collect();
            if like.dtype() != param.dtype() {
                fresh.master = take("master");
            }
            fresh.t = t.item() as u64;
            known.insert(param.id(), fresh);
        });
        error.unexpected.extend(left.into_keys());
        if !error.is_empty() {
            return Err(error);
        }
        self.step = step.map_or(0, |step| step.item() as u64);
        self.known = known;
        Ok(())
    }
}

/// A number of steps as a tensor.
fn count(n: u64) -> Tensor {
    Tensor::from_slice(&[n as i64], ())
}

/// The parameter's value in at least single precision.
fn wide(param: &Param) -> Tensor {
    param.detach().to(param.dtype().widened())
}

impl State {
    fn new(rule: &impl Rule, groups: &[Group], path: &Path, param: &Param) -> State {
        let zeros = wide(param).zeros_like();
        let path = path.to_string();
        State {
            t: 0,
            slots: rule.slots().iter().map(|_| zeros.clone()).collect(),
            master: None,
            group: groups.iter().position(|group| matches(&group.pattern, &path)),
        }
    }
}

impl<R: std::fmt::Debug> std::fmt::Debug for Optimizer<R> {
    fn fmt(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result {
        let Optimizer { rule, penalty, groups, step, .. } = self;
        f.debug_struct("Optimizer")
            .field("rule", rule)
            .field("lr", &self.schedule.lr(*step))
            .field("step", step)
            .field("penalty", penalty)
            .field("groups", groups)
            .finish()
    }
}
