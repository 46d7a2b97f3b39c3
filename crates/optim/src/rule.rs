//! What an update rule is.

use cotangent_core::{Expr, Prepared, Tensor, pointwise_with};

/// How a parameter changes, given its gradient and what earlier steps remember. A pure function: the state comes with
/// the call and is returned.
///
/// Most rules are formulas for one number; [`Update::elementwise`] runs them in one pass over the memory.
///
/// ```
/// use cotangent_core::*;
/// use cotangent_optim::*;
/// /// p ← p − lr · sign(m), m ← 0.9 m + 0.1 g (Signum).
/// struct Signum;
/// impl Rule for Signum {
///     fn slots(&self) -> &'static [&'static str] {
///         &["m"]
///     }
///     fn update(&self, step: Update) -> Updated {
///         let lr = step.lr;
///         step.elementwise(move |p, g, [m]| {
///             let m = m * 0.9 + g * 0.1;
///             (p - m.sign() * lr, [m])
///         })
///     }
/// }
/// let mut w = Param::new(Tensor::new([1.0], [1]));
/// let loss = w.square().sum(..);
/// Optimizer::new(Signum, 0.25).step(&mut w, &loss.backward());
/// assert_eq!(w.item(), 0.75);
/// ```
pub trait Rule {
    /// Names of the tensors that are remembered for each parameter. They start as 0.
    fn slots(&self) -> &'static [&'static str];

    /// One step of one parameter.
    fn update(&self, step: Update) -> Updated;
}

/// One parameter's step: what a [`Rule`] gets.
pub struct Update<'a> {
    /// The parameter, untracked, in at least single precision. Given up, so that it may be overwritten.
    pub param: Tensor,
    /// Its gradient, of the same element type.
    pub grad: &'a Tensor,
    /// What is remembered, one tensor for each slot, given up as well.
    pub state: Vec<Tensor>,
    /// Learning rate.
    pub lr: f64,
    /// Number of the parameter's step, from 1. Steps without a gradient do not count.
    pub t: u64,
    /// What is added to the gradient or taken off the parameter.
    pub penalty: Penalty,
}

/// What a [`Rule`] returns: the new parameter and the new state.
pub struct Updated(pub(crate) Outcome);

pub(crate) enum Outcome {
    /// They are there: the parameter, and the state in the order of the slots.
    Ready(Tensor, Vec<Tensor>),
    /// They are what a formula will give. Formulas of all parameters are evaluated in one pass.
    Formula(Prepared),
}

impl Updated {
    /// From tensors: the parameter, and the state in the order of the slots.
    pub fn new(param: Tensor, state: Vec<Tensor>) -> Updated {
        Updated(Outcome::Ready(param, state))
    }
}

/// Penalties on the size of parameters. The names differ by what enters the update, see the fields.
#[derive(Clone, Copy, PartialEq, Debug, Default)]
pub struct Penalty {
    /// λ Σθ² in the loss: 2λθ is added to the gradient. Keras's `L2`.
    pub l2: f64,
    /// λ Σ|θ| in the loss: λ·sign θ is added to the gradient.
    pub l1: f64,
    /// λθ is added to the gradient: `weight_decay` of PyTorch's `SGD` and `Adam`. λ = 2·`l2`.
    pub coupled: f64,
    /// θ ← (1 − lr·λ)θ before the step, past the gradient's statistics: `AdamW` (Loshchilov and Hutter 2019).
    pub decoupled: f64,
}

impl Penalty {
    /// The parameter before the step, and the gradient with what the penalties add.
    fn apply(&self, lr: f64, p: Expr, g: Expr) -> (Expr, Expr) {
        let Penalty { l2, l1, coupled, decoupled } = *self;
        let mut g = g;
        if l2 != 0.0 || coupled != 0.0 {
            g = g + p * (2.0 * l2 + coupled);
        }
        if l1 != 0.0 {
            g = g + p.sign() * l1;
        }
        (if decoupled == 0.0 { p } else { p * (1.0 - lr * decoupled) }, g)
    }
}

impl Update<'_> {
    /// Runs a formula for one number over the whole parameter: `f(p, g, [slots])` returns the new parameter and the new
    /// slots. One pass, written over the old values where nothing else shares them. Numbers that the closure captures
    /// may change from step to step.
    ///
    /// # Panics
    /// If the formula has not as many slots as the rule, or more than four.
    #[track_caller]
    pub fn elementwise<const N: usize>(
        self,
        f: impl Fn(Expr, Expr, [Expr; N]) -> (Expr, [Expr; N]) + Clone + 'static,
    ) -> Updated {
        self.elementwise_with([], move |p, g, slots, []| f(p, g, slots))
    }

    /// [`elementwise`](Update::elementwise) with numbers given beside a formula that captures nothing, which is faster: see
    /// [`pointwise_with`].
    ///
    /// # Panics
    /// As [`elementwise`](Update::elementwise) does.
    #[track_caller]
    pub fn elementwise_with<const N: usize, const U: usize>(
        self,
        numbers: [f64; U],
        f: impl Fn(Expr, Expr, [Expr; N], [Expr; U]) -> (Expr, [Expr; N]) + Clone + 'static,
    ) -> Updated {
        assert!(self.state.len() == N, "elementwise: a formula of {N} slots for a rule of {}", self.state.len());
        // Arrays of length N + 1 and N + 2 cannot be written for a generic N.
        match N {
            0 => self.run::<N, U, 2, 1>(numbers, f),
            1 => self.run::<N, U, 3, 2>(numbers, f),
            2 => self.run::<N, U, 4, 3>(numbers, f),
            3 => self.run::<N, U, 5, 4>(numbers, f),
            4 => self.run::<N, U, 6, 5>(numbers, f),
            _ => panic!("elementwise: a formula of {N} slots; there may be up to 4"),
        }
    }

    #[track_caller]
    fn run<const N: usize, const U: usize, const ARGS: usize, const OUTS: usize>(
        self,
        numbers: [f64; U],
        f: impl Fn(Expr, Expr, [Expr; N], [Expr; U]) -> (Expr, [Expr; N]) + 'static,
    ) -> Updated {
        let Update { param, grad, state, lr, penalty, .. } = self;
        let outputs = move |p: Expr, g: Expr, args: [Expr; ARGS], numbers: [Expr; U]| -> [Expr; OUTS] {
            let (p, slots) = f(p, g, std::array::from_fn(|k| args[2 + k]), numbers);
            std::array::from_fn(|k| if k == 0 { p } else { slots[k - 1] })
        };
        // Without a penalty nothing is captured if the formula captures nothing.
        let formula = if penalty == Penalty::default() {
            pointwise_with(numbers, move |args: [Expr; ARGS], numbers| outputs(args[0], args[1], args, numbers))
        } else {
            pointwise_with(numbers, move |args: [Expr; ARGS], numbers| {
                let (p, g) = penalty.apply(lr, args[0], args[1]);
                outputs(p, g, args, numbers)
            })
        };
        let mut args = [param, grad.clone()].into_iter().chain(state);
        let args: [Tensor; ARGS] = std::array::from_fn(|_| args.next().expect("a tensor for each argument"));
        Updated(Outcome::Formula(formula.named("update").prepare(args)))
    }
}
