//! Every operation on a device, against the reference device and against finite differences.

use super::registry::{Operation, Sample, Samples};
use super::report::{Report, Verdict};
use super::suite::Suite;
use super::table::primitives;
use crate::device::Device;
use std::time::{Duration, Instant};

/// Runs every registered operation on `device`; [`Conformance`] says what is checked, and has options.
///
/// ```
/// use cotangent_core::{check::*, *};
/// let device = Device::reference(); // or `Device::new(MyBackend::new())`
/// # let conformance = |device: &Device| Conformance::new(device).only("matmul").run(); // the whole suite takes its time
/// conformance(&device).assert_ok();
/// ```
pub fn conformance(device: &Device) -> Report {
    Conformance::new(device).run()
}

/// The conformance suite and its options.
///
/// The operations are those registered with [`samples!`](crate::samples) in any crate that is linked into the program,
/// and every primitive of the table of scalar functions. For each of their samples it is checked that
///
/// - values agree with the reference device's in `F64`, computed from inputs rounded to the element type, in every
///   floating-point type (to 8·ε of it, relative to the result or to 1) and exactly in integers; shapes and types agree with
///   the reference device's in the same type;
/// - gradients of orders 1 and 2 in `F64` agree with finite differences on the device itself, by [`Gradcheck`](super::Gradcheck);
/// - gradients in the shorter types agree with those in `F64`;
/// - neither values nor gradients depend on how the inputs lie in memory: transposed, inside of a larger buffer,
///   flipped, repeated by a stride of 0; elementwise operations also run on shapes `[]`, `[1]`, `[0]`, `[0, 3]` and more;
/// - a result carries no gradient if none of the operation's samples has it checked;
/// - gradients accumulate: for two uses of the same inputs, and for one tensor given as two inputs.
///
/// Samples of more than 1000 elements are there for a backend's blocks and threads: their gradients are compared with the
/// reference device's, and not with finite differences. Cotangents are random and never all equal.
#[derive(Clone, Debug)]
pub struct Conformance {
    device: Device,
    only: Option<String>,
    seed: u64,
    budget: Option<Duration>,
}

impl Conformance {
    /// The whole suite.
    pub fn new(device: &Device) -> Conformance {
        Conformance { device: device.clone(), only: None, seed: 1, budget: None }
    }

    /// One operation only.
    pub fn only(self, operation: &str) -> Conformance {
        Conformance { only: Some(operation.into()), ..self }
    }

    /// The seed of inputs and cotangents.
    pub fn seed(self, seed: u64) -> Conformance {
        Conformance { seed, ..self }
    }

    /// After this time no further operation is started; the report names those that were left out
    /// ([`Report::unchecked`]). Without it the suite takes as long as it takes.
    ///
    /// ```
    /// use cotangent_core::{check::*, *};
    /// let report = Conformance::new(&Device::reference()).budget(std::time::Duration::ZERO).run();
    /// assert!(!report.is_ok() && report.unchecked.contains(&"softmax".into()));
    /// ```
    pub fn budget(self, time: Duration) -> Conformance {
        Conformance { budget: Some(time), ..self }
    }

    /// The names of the operations that it runs, in their order.
    pub fn operations(&self) -> Vec<&'static str> {
        let mut names: Vec<_> = operations().into_iter().map(|(name, _)| name).filter(|name| self.runs(name)).collect();
        names.dedup();
        names
    }

    fn runs(&self, name: &str) -> bool {
        self.only.as_ref().is_none_or(|only| only == name)
    }

    /// Runs the suite.
    pub fn run(&self) -> Report {
        let start = Instant::now();
        let only = self.only.as_ref().map_or(String::new(), |name| format!(".only({name:?})"));
        let replay = format!("Conformance::new(&device){only}.seed({}).run()", self.seed);
        let mut report = Report::new(&format!("conformance of {}", self.device), self.seed, replay);
        for registered in operations().chunk_by(|a, b| a.0 == b.0) {
            let name = registered[0].0;
            if !self.runs(name) {
                continue;
            }
            let began = start.elapsed();
            if self.budget.is_some_and(|budget| began >= budget) {
                report.unchecked.push(name.into());
                continue;
            }
            registered.iter().for_each(|(name, samples)| self.check(name, samples, &mut report));
            report.times.insert(name.into(), start.elapsed() - began);
        }
        report
    }

    /// One registration of an operation.
    fn check(&self, name: &str, samples: &[Sample], report: &mut Report) {
        if samples.is_empty() {
            report.found(name, "", Verdict::Fault("registered without samples; add one with s.case(..)".into()));
        }
        let unchecked = samples.iter().all(|sample| sample.orders == 0);
        for sample in samples {
            let mut suite = Suite { device: &self.device, seed: self.seed, name, sample, report };
            suite.run();
            if unchecked {
                suite.has_no_gradient();
            }
        }
    }
}

/// All operations and their samples, by name.
pub(super) fn operations() -> Vec<(&'static str, Vec<Sample>)> {
    let registered = inventory::iter::<Operation>().map(|operation| {
        let mut samples = Samples::default();
        (operation.samples)(&mut samples);
        (operation.name, samples.into_vec())
    });
    let mut all: Vec<_> = registered.chain(primitives().into_iter().map(|(name, s)| (name, s.into_vec()))).collect();
    all.sort_by_key(|(name, _)| *name);
    all
}
