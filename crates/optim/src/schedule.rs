//! Learning rates as pure functions of the step.

/// A learning rate for every step: a pure function, so that training resumes where it was. `step` counts from 0.
///
/// A number is a constant schedule, and a closure is the schedule that it computes.
///
/// ```
/// use cotangent_optim::*;
/// let halved = |step: u64| 0.1 * 0.5f64.powi((step / 1000) as i32);
/// assert_eq!(halved.lr(2500), 0.025);
/// let opt = Sgd::new(halved);
/// assert_eq!(opt.lr(), 0.1);
/// ```
pub trait Schedule: Send + Sync {
    /// The learning rate of a step.
    fn lr(&self, step: u64) -> f64;
}

impl Schedule for f64 {
    fn lr(&self, _: u64) -> f64 {
        *self
    }
}

impl<F: Fn(u64) -> f64 + Send + Sync> Schedule for F {
    fn lr(&self, step: u64) -> f64 {
        self(step)
    }
}

impl Schedule for Box<dyn Schedule> {
    fn lr(&self, step: u64) -> f64 {
        (**self).lr(step)
    }
}

/// lr / (1 + decay · step): what `decay` meant in Keras before version 3.
///
/// ```
/// use cotangent_optim::*;
/// let schedule = InverseTime { lr: 0.01, decay: 1e-6 };
/// assert_eq!((schedule.lr(0), schedule.lr(1_000_000)), (0.01, 0.005));
/// ```
#[derive(Clone, Copy, Debug)]
pub struct InverseTime<S> {
    /// What is divided: a number, or another schedule.
    pub lr: S,
    /// Per step.
    pub decay: f64,
}

impl<S: Schedule> Schedule for InverseTime<S> {
    fn lr(&self, step: u64) -> f64 {
        self.lr.lr(step) / (1.0 + self.decay * step as f64)
    }
}
