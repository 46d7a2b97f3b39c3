//! Every operation on a device, against the reference device and against finite differences.

use super::registry::{Operation, Sample, Samples};
use super::report::{Report, Verdict};
use super::suite::Suite;
use super::table::primitives;
use crate::device::Device;

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
}

impl Conformance {
    /// The whole suite.
    pub fn new(device: &Device) -> Conformance {
        Conformance { device: device.clone(), only: None, seed: 1 }
    }

    /// One operation only.
    pub fn only(self, operation: &str) -> Conformance {
        Conformance { only: Some(operation.into()), ..self }
    }

    /// The seed of inputs and cotangents.
    pub fn seed(self, seed: u64) -> Conformance {
        Conformance { seed, ..self }
    }

    /// Runs the suite.
    pub fn run(&self) -> Report {
        let only = self.only.as_ref().map_or(String::new(), |name| format!(".only({name:?})"));
        let replay = format!("Conformance::new(&device){only}.seed({}).run()", self.seed);
        let mut report = Report::new(&format!("conformance of {}", self.device), self.seed, replay);
        for (name, samples) in operations() {
            if self.only.as_deref().is_some_and(|only| only != name) {
                continue;
            }
            if samples.is_empty() {
                report.found(name, "", Verdict::Fault("registered without samples; add one with s.case(..)".into()));
            }
            let unchecked = samples.iter().all(|sample| sample.orders == 0);
            for sample in &samples {
                let mut suite = Suite { device: &self.device, seed: self.seed, name, sample, report: &mut report };
                suite.run();
                if unchecked {
                    suite.has_no_gradient();
                }
            }
        }
        report
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
