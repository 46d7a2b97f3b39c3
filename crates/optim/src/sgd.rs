//! Gradient descent, plain and with momentum.

use crate::optimizer::Optimizer;
use crate::rule::{Rule, Update, Updated};
use crate::schedule::Schedule;

/// Gradient descent: θ ← θ − lr·g, with a form of [`Momentum`] if wanted.
///
/// ```
/// use cotangent_optim::*;
/// let opt = Sgd::new(0.01).momentum(0.9).nesterov();
/// assert_eq!(opt.lr(), 0.01);
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Sgd {
    momentum: Option<Momentum>,
    nesterov: bool,
}

/// The three forms of momentum in use. For a constant learning rate, `Ema(α)` with lr, `Heavy` with μ = α and
/// lr·(1 − α), and `Baked(α)` with lr·(1 − α) are the same; they differ in scale, and when the learning rate changes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Momentum {
    /// The velocity is an average of gradients: v ← αv − (1 − α)g, θ ← θ + lr·v.
    Ema(f64),
    /// Polyak's heavy ball as in PyTorch: v ← μv + (1 − dampening)g, θ ← θ − lr·v. The first step is not dampened.
    Heavy {
        /// μ.
        mu: f64,
        /// Usually 0.
        dampening: f64,
    },
    /// As in Keras, with the learning rate inside of the velocity, so that a change of it works slowly: v ← μv − lr·g,
    /// θ ← θ + v.
    Baked(f64),
}

impl Momentum {
    /// α or μ.
    fn factor(self) -> f64 {
        match self {
            Momentum::Ema(mu) | Momentum::Heavy { mu, .. } | Momentum::Baked(mu) => mu,
        }
    }
}

impl Sgd {
    /// Plain gradient descent. Keras and textbooks use a learning rate of 0.01.
    pub fn new(lr: impl Schedule + 'static) -> Optimizer<Sgd> {
        Optimizer::new(Sgd::default(), lr)
    }
}

impl Optimizer<Sgd> {
    /// Heavy-ball momentum as in PyTorch, without dampening.
    #[track_caller]
    pub fn momentum(self, mu: f64) -> Self {
        self.momentum_form(Momentum::Heavy { mu, dampening: 0.0 })
    }

    /// Another form of momentum.
    ///
    /// # Panics
    /// If the factor is not from 0 to below 1.
    #[track_caller]
    pub fn momentum_form(mut self, momentum: Momentum) -> Self {
        let factor = momentum.factor();
        assert!((0.0..1.0).contains(&factor), "momentum: a factor of {factor}; expected one from 0 to below 1");
        self.rule.momentum = Some(momentum);
        self
    }

    /// Nesterov's accelerated gradient in the form that needs one gradient at the stored point (Sutskever et al. 2013),
    /// as in PyTorch and Keras. Call it after the momentum.
    ///
    /// # Panics
    /// If there is no momentum, or it is dampened.
    #[track_caller]
    pub fn nesterov(mut self) -> Self {
        match self.rule.momentum {
            Some(Momentum::Heavy { dampening, .. }) if dampening != 0.0 => {
                panic!("nesterov: needs momentum without dampening, not {dampening}")
            }
            Some(momentum) if momentum.factor() > 0.0 => self.rule.nesterov = true,
            _ => panic!("nesterov: needs a momentum above 0; call .momentum(0.9) before"),
        }
        self
    }
}

impl Rule for Sgd {
    fn slots(&self) -> &'static [&'static str] {
        if self.momentum.is_some() { &["velocity"] } else { &[] }
    }

    fn update(&self, step: Update) -> Updated {
        let (lr, first, nesterov) = (step.lr, step.t == 1, self.nesterov);
        let Some(momentum) = self.momentum else {
            return step.elementwise_with([lr], |p, g, [], [lr]| (p - g * lr, []));
        };
        match momentum {
            Momentum::Ema(a) => step.elementwise(move |p, g, [v]| {
                let v = v * a - g * (1.0 - a);
                (p + if nesterov { v * a - g * (1.0 - a) } else { v } * lr, [v])
            }),
            Momentum::Heavy { mu, dampening } => step.elementwise(move |p, g, [v]| {
                let v = v * mu + g * if first { 1.0 } else { 1.0 - dampening };
                (p - if nesterov { g + v * mu } else { v } * lr, [v])
            }),
            Momentum::Baked(mu) => step.elementwise(move |p, g, [v]| {
                let v = v * mu - g * lr;
                (p + if nesterov { v * mu - g * lr } else { v }, [v])
            }),
        }
    }
}
