//! Adam and its relatives.

use crate::optimizer::Optimizer;
use crate::rule::{Rule, Update, Updated};
use crate::schedule::Schedule;

/// Adam (Kingma and Ba 2015): m ← β₁m + (1 − β₁)g, v ← β₂v + (1 − β₂)g²,
/// θ ← θ − lr · m̂/(√v̂ + ε) with m̂ = m/(1 − β₁ᵗ) and v̂ = v/(1 − β₂ᵗ).
///
/// The usual learning rate is 0.001; β₁ = 0.9, β₂ = 0.999, ε = 10⁻⁸.
///
/// ```
/// use cotangent_optim::*;
/// let opt = Adam::new(0.01).decay(1e-6).amsgrad();
/// assert_eq!(opt.lr(), 0.01);
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Adam {
    betas: (f64, f64),
    epsilon: f64,
    form: Form,
    amsgrad: bool,
}

/// Where the corrections of the averages' start go.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Form {
    /// m̂/(√v̂ + ε).
    Corrected,
    /// √(1 − β₂ᵗ)/(1 − β₁ᵗ) · m/(√v + ε): ε̂ of the paper's section 2, as in Keras and TensorFlow.
    EpsilonHat,
    /// m/(√v + ε), no correction.
    Uncorrected,
}

impl Adam {
    /// As in the paper, in PyTorch and in JAX.
    pub fn new(lr: impl Schedule + 'static) -> Optimizer<Adam> {
        let rule = Adam { betas: (0.9, 0.999), epsilon: 1e-8, form: Form::Corrected, amsgrad: false };
        Optimizer::new(rule, lr)
    }

    /// As in Keras: ε = 10⁻⁷ is added before the correction of v.
    pub fn keras(lr: impl Schedule + 'static) -> Optimizer<Adam> {
        let mut opt = Adam::new(lr).epsilon(1e-7);
        opt.rule.form = Form::EpsilonHat;
        opt
    }

    /// Without corrections, ε = 10⁻⁷: θ ← θ − lr · m/(√v + ε). The first steps are larger, up to 3.2·lr.
    #[doc(alias = "uncorrected")]
    pub fn seed(lr: impl Schedule + 'static) -> Optimizer<Adam> {
        let mut opt = Adam::new(lr).epsilon(1e-7);
        opt.rule.form = Form::Uncorrected;
        opt
    }
}

/// Adam with decoupled weight decay (Loshchilov and Hutter 2019).
#[derive(Clone, Copy, Debug)]
pub struct AdamW;

impl AdamW {
    /// θ ← (1 − lr·decay)θ, then Adam's step. PyTorch's decay is 0.01.
    #[allow(clippy::new_ret_no_self)] // the rule is Adam's, and the decay is not the rule's affair
    pub fn new(lr: impl Schedule + 'static, decay: f64) -> Optimizer<Adam> {
        Adam::new(lr).decoupled_decay(decay)
    }
}

impl Optimizer<Adam> {
    /// Other factors of the averages.
    ///
    /// # Panics
    /// If they are not from 0 to below 1.
    #[track_caller]
    pub fn betas(mut self, beta1: f64, beta2: f64) -> Self {
        let fine = |beta: f64| (0.0..1.0).contains(&beta);
        assert!(fine(beta1) && fine(beta2), "betas: ({beta1}, {beta2}); expected numbers from 0 to below 1");
        self.rule.betas = (beta1, beta2);
        self
    }

    /// Another ε.
    ///
    /// # Panics
    /// If it is not above 0: a gradient that stays 0 would give 0/0.
    #[track_caller]
    pub fn epsilon(mut self, epsilon: f64) -> Self {
        assert!(epsilon > 0.0, "epsilon: {epsilon}; expected a number above 0");
        self.rule.epsilon = epsilon;
        self
    }

    /// Divides by the largest v so far (Reddi et al. 2018), before its correction, as PyTorch and Keras do.
    pub fn amsgrad(mut self) -> Self {
        self.rule.amsgrad = true;
        self
    }
}

impl Rule for Adam {
    fn slots(&self) -> &'static [&'static str] {
        if self.amsgrad { &["m", "v", "v_max"] } else { &["m", "v"] }
    }

    fn update(&self, step: Update) -> Updated {
        let Adam { betas: (b1, b2), epsilon, form, .. } = *self;
        let (c1, c2) = (1.0 - b1.powf(step.t as f64), 1.0 - b2.powf(step.t as f64));
        // θ − rate · m/(√v · root + ε), with everything that does not depend on the element in double precision.
        let (rate, root) = match form {
            Form::Corrected => (step.lr / c1, 1.0 / c2.sqrt()),
            Form::EpsilonHat => (step.lr * c2.sqrt() / c1, 1.0),
            Form::Uncorrected => (step.lr, 1.0),
        };
        let numbers = [b1, 1.0 - b1, b2, 1.0 - b2, rate, root, epsilon];
        if self.amsgrad {
            return step.elementwise_with(numbers, |p, g, [m, v, top], [b1, d1, b2, d2, rate, root, epsilon]| {
                let (m, v) = (m * b1 + g * d1, v * b2 + g * g * d2);
                let top = top.maximum(v);
                (p - m * rate / (top.sqrt() * root + epsilon), [m, v, top])
            });
        }
        step.elementwise_with(numbers, |p, g, [m, v], [b1, d1, b2, d2, rate, root, epsilon]| {
            let (m, v) = (m * b1 + g * d1, v * b2 + g * g * d2);
            (p - m * rate / (v.sqrt() * root + epsilon), [m, v])
        })
    }
}
