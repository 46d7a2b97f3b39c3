//! What a check found, as data.

use crate::dtype::DType;
use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

/// An element of one of several tensors.
#[derive(Clone, Debug, PartialEq)]
pub struct Place {
    /// Which tensor.
    pub tensor: usize,
    /// Which element: its index along each axis.
    pub index: Vec<usize>,
}

/// Something that a check has to say.
#[derive(Clone, Debug, PartialEq)]
pub enum Verdict {
    /// A gradient differs from what it should be.
    Gradient {
        /// Order of the derivative.
        order: u8,
        /// The input differentiated by; at order 2 the cotangents of the outputs follow the inputs.
        input: usize,
        /// Its element.
        index: Vec<usize>,
        /// The output's element; `None` if the outputs were weighted with a random cotangent.
        output: Option<Place>,
        /// What the operation's gradient says.
        analytic: f64,
        /// What it was compared with.
        numeric: f64,
        /// What that is.
        against: &'static str,
    },
    /// The function has a kink here, and the gradient lies between the slopes on both sides. No failure.
    Kink {
        /// The input.
        input: usize,
        /// Its element.
        index: Vec<usize>,
        /// Slope on the left; infinite if the function jumps there.
        left: f64,
        /// Slope on the right; infinite if the function jumps there.
        right: f64,
        /// What the operation's gradient says.
        analytic: f64,
    },
    /// A result differs from what it should be.
    Value {
        /// The output's element.
        output: Place,
        /// The result.
        actual: f64,
        /// What it should be.
        expected: f64,
    },
    /// Anything else, in words: a wrong shape, an unexpected panic.
    Fault(String),
}

impl Verdict {
    /// Whether the check fails because of it.
    pub fn is_failure(&self) -> bool {
        !matches!(self, Verdict::Kink { .. })
    }

    /// Absolute and relative error, where there are two numbers to compare.
    pub fn error(&self) -> Option<(f64, f64)> {
        let (actual, expected) = match self {
            Verdict::Gradient { analytic, numeric, .. } => (analytic, numeric),
            Verdict::Value { actual, expected, .. } => (actual, expected),
            _ => return None,
        };
        let error = (actual - expected).abs();
        Some((error, error / expected.abs()))
    }

    /// The error of a gradient in units in the last place: the distance of doubles near the larger of both numbers.
    pub fn ulps(&self) -> Option<f64> {
        let Verdict::Gradient { analytic, numeric, .. } = self else { return None };
        let larger = analytic.abs().max(numeric.abs()).max(f64::MIN_POSITIVE);
        Some((analytic - numeric).abs() / (larger.next_up() - larger))
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match self {
            Verdict::Gradient { order, input, index, output, analytic, numeric, against } => {
                match output {
                    Some(Place { tensor, index: at }) => write!(f, "output {tensor} {at:?}")?,
                    None => f.write_str("weighted outputs")?,
                }
                write!(f, " by input {input} {index:?}, order {order}: gradient {analytic:e}, {against} {numeric:e}")?;
            }
            Verdict::Kink { input, index, left, right, analytic } => {
                write!(f, "kink at input {input} {index:?}: slopes {left:e} and {right:e}, gradient {analytic:e}")?;
            }
            Verdict::Value { output, actual, expected } => {
                write!(f, "output {} {:?}: {actual:e}, expected {expected:e}", output.tensor, output.index)?;
            }
            Verdict::Fault(text) => f.write_str(text)?,
        }
        if let Some((absolute, relative)) = self.error() {
            write!(f, "; error {absolute:.1e}, relative {relative:.1e}")?;
        }
        self.ulps().map_or(Ok(()), |ulps| write!(f, ", {ulps:.1e} ulp"))
    }
}

/// A verdict and where it arose.
#[derive(Clone, Debug, PartialEq)]
pub struct Finding {
    /// The operation.
    pub operation: String,
    /// Its sample, element type, arrangement; what was checked.
    pub case: String,
    /// The verdict.
    pub verdict: Verdict,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str(&self.operation)?;
        if !self.case.is_empty() {
            write!(f, " ({})", self.case)?;
        }
        write!(f, ": {}", self.verdict)
    }
}

/// How much was checked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Numbers compared, and other conditions tested.
    pub checks: usize,
    /// Those that failed.
    pub failures: usize,
    /// Kinks met.
    pub kinks: usize,
}

/// An input of the smallest failure that a check has found.
#[derive(Clone, Debug, PartialEq)]
pub struct Smallest {
    /// Element type.
    pub dtype: DType,
    /// Extents.
    pub shape: Vec<usize>,
    /// Elements, row by row.
    pub elements: Vec<f64>,
}

impl Smallest {
    /// Whether its elements are few enough to be printed.
    pub(super) fn is_short(&self) -> bool {
        self.elements.len() <= 16
    }
}

impl fmt::Display for Smallest {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "{} of shape {:?}", self.dtype, self.shape)?;
        if self.is_short() { write!(f, ": {:?}", self.elements) } else { Ok(()) }
    }
}

/// The outcome of a check, as data: what was found, and how much was tried.
///
/// ```
/// use cotangent_core::{check::*, *};
/// let x = Tensor::from_slice(&[0.0, 1.0], [2]);
/// let report = gradcheck(|[x]| x.relu(), [&x]);
/// assert!(report.is_ok());
/// assert!(matches!(report.findings[0].verdict, Verdict::Kink { left: 0.0, analytic: 0.0, .. }));
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Report {
    /// What was checked.
    pub subject: String,
    /// The seed of everything random in it.
    pub seed: u64,
    /// The line that repeats the check.
    pub replay: String,
    /// Failures and kinks, in order of discovery.
    pub findings: Vec<Finding>,
    /// How much was checked for each operation.
    pub operations: BTreeMap<String, Counts>,
    /// The smallest inputs on which it fails, if they were looked for ([`Gradcheck::shrink`](super::Gradcheck::shrink));
    /// the failures are those on them.
    pub smallest: Vec<Smallest>,
    /// Operations that were not checked because the time was used up ([`Conformance::budget`](super::Conformance::budget)).
    pub unchecked: Vec<String>,
    /// The time that each operation took, where it was measured: all that differs in a second run.
    pub times: BTreeMap<String, Duration>,
}

impl Report {
    pub(super) fn new(subject: &str, seed: u64, replay: String) -> Report {
        Report {
            subject: subject.into(),
            seed,
            replay,
            findings: vec![],
            operations: BTreeMap::new(),
            smallest: vec![],
            unchecked: vec![],
            times: BTreeMap::new(),
        }
    }

    /// Over all operations.
    pub fn counts(&self) -> Counts {
        self.operations.values().fold(Counts::default(), |a, b| Counts {
            checks: a.checks + b.checks,
            failures: a.failures + b.failures,
            kinks: a.kinks + b.kinks,
        })
    }

    /// Whether nothing failed, and something was checked; [`is_complete`](Report::is_complete) tells if that was all.
    pub fn is_ok(&self) -> bool {
        let Counts { checks, failures, .. } = self.counts();
        failures == 0 && checks > 0
    }

    /// Whether nothing was left out for want of time.
    pub fn is_complete(&self) -> bool {
        self.unchecked.is_empty()
    }

    /// The failures.
    pub fn failures(&self) -> impl Iterator<Item = &Finding> {
        self.findings.iter().filter(|finding| finding.verdict.is_failure())
    }

    /// The kinks that were met.
    pub fn kinks(&self) -> impl Iterator<Item = &Finding> {
        self.findings.iter().filter(|finding| !finding.verdict.is_failure())
    }

    /// The failure with the largest error.
    pub fn worst(&self) -> Option<&Finding> {
        let error = |finding: &&Finding| match finding.verdict.error() {
            Some((error, _)) if !error.is_nan() => error,
            _ => f64::INFINITY,
        };
        self.failures().max_by(|a, b| error(a).total_cmp(&error(b)))
    }

    /// Panics with the report unless nothing failed.
    #[track_caller]
    pub fn assert_ok(&self) {
        if !self.is_ok() {
            panic!("{self}");
        }
    }

    pub(super) fn passed(&mut self, operation: &str, checks: usize) {
        self.operations.entry(operation.into()).or_default().checks += checks;
    }

    pub(super) fn found(&mut self, operation: &str, case: &str, verdict: Verdict) {
        let counts = self.operations.entry(operation.into()).or_default();
        counts.checks += 1;
        *if verdict.is_failure() { &mut counts.failures } else { &mut counts.kinks } += 1;
        self.findings.push(Finding { operation: operation.into(), case: case.into(), verdict });
    }

    /// Takes over what another check found about `operation`.
    pub(super) fn absorb(&mut self, operation: &str, case: &str, other: Report) {
        self.passed(operation, other.counts().checks - other.findings.len());
        for Finding { case: detail, verdict, .. } in other.findings {
            self.found(operation, &format!("{case}{}{detail}", if detail.is_empty() { "" } else { ", " }), verdict);
        }
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        const PER_OPERATION: usize = 5;
        let Counts { checks, failures, kinks } = self.counts();
        write!(f, "{}: ", self.subject)?;
        match (checks, failures) {
            (0, _) => f.write_str("nothing was checked")?,
            (_, 0) => write!(f, "{checks} checks passed")?,
            _ => write!(f, "{failures} of {checks} checks failed")?,
        }
        if kinks > 0 {
            write!(f, ", {kinks} kinks")?;
        }
        if !self.is_complete() {
            let all = self.operations.len() + self.unchecked.len();
            write!(f, "; INCOMPLETE, time for {} of {all} operations only", self.operations.len())?;
        }
        let all: Vec<&Finding> = if failures > 0 { self.failures().collect() } else { self.kinks().collect() };
        let mut shown: BTreeMap<&str, usize> = BTreeMap::new();
        let mut hidden = 0;
        for finding in all {
            let of_this = shown.entry(&finding.operation).or_default();
            *of_this += 1;
            if *of_this > PER_OPERATION {
                hidden += 1;
                continue;
            }
            write!(f, "\n  {finding}")?;
        }
        if hidden > 0 {
            write!(f, "\n  and {hidden} more")?;
        }
        for (k, input) in self.smallest.iter().enumerate() {
            write!(f, "\n  smallest input {k}: {input}")?;
        }
        if !self.is_complete() {
            write!(f, "\n  not checked: {}", self.unchecked.join(", "))?;
        }
        if failures > 0 {
            write!(f, "\n  replay: {}", self.replay)?;
        }
        Ok(())
    }
}
