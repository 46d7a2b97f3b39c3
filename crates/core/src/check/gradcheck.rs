//! Gradients against finite differences.

use super::graph::{Function, Graph, double, flat};
use super::inputs::{Stream, elements, plain};
use super::registry::{Input, SampleOutput};
use super::report::{Report, Verdict};
use super::slopes::Slopes;
use crate::device::Device;
use crate::dtype::DType;
use crate::tensor::Tensor;
use std::collections::HashSet;

/// Compares the gradients of `f` at `inputs` with finite differences, in double precision.
///
/// The same as `Gradcheck::new().run(f, inputs)`; [`Gradcheck`] says what is checked, and has options.
///
/// ```
/// use cotangent_core::{check::*, *};
/// fn cube(x: &Tensor) -> Tensor {
///     (x.detach() * x.detach() * x.detach()).record("cube").wrt(x, [x], |g, [x]| g * x.square() * 3.0).done()
/// }
/// gradcheck(|[x]| cube(x), [&Tensor::new([-1.0, 0.0, 2.0], [3])]).assert_ok();
/// ```
#[track_caller]
pub fn gradcheck<const N: usize, R: SampleOutput>(f: impl Fn([&Tensor; N]) -> R, inputs: [&Tensor; N]) -> Report {
    Gradcheck::new().run(f, inputs)
}

/// A gradient check and its options.
///
/// Floating-point inputs are converted to `F64` and differentiated by; integers and booleans are passed through. Every
/// element is moved by ±h and ±h/2 with h = ε^⅓·max(1, |x|), which gives the derivative with an error of O(h⁴)
/// (Richardson 1911); [`ridders`](Gradcheck::ridders) searches for the step instead. If the Jacobian of an input has more
/// than 10⁴ elements, random projections of it are compared, and where one differs the interval is halved until the
/// element is found.
///
/// Where the slopes on both sides differ, the gradient must lie between them; this is reported as
/// [`Verdict::Kink`]. A gradient outside of them fails.
///
/// It is also checked that gradients have the shape, element type and device of their inputs, that a second run gives
/// the same bits, that the gradient of a zero cotangent is zero, and that vector-Jacobian and Jacobian-vector products
/// agree: ⟨u, Jv⟩ = ⟨Jᵀu, v⟩ to 10⁻¹² relatively.
///
/// ```
/// use cotangent_core::{check::*, *};
/// let wrong = |x: &Tensor| x.detach().exp().record("wrong_exp").wrt(x, [x], |g, [x]| g * x).done();
/// let report = Gradcheck::new().seed(3).run(|[x]| wrong(x), [&Tensor::new([1.0], [1])]);
/// assert!(report.to_string().contains("by input 0 [0]"));
/// ```
#[derive(Clone, Debug)]
pub struct Gradcheck {
    rtol: f64,
    atol: f64,
    /// A fixed step, instead of one relative to the element.
    step: Option<f64>,
    /// Whether the step is searched for.
    pub(super) ridders: bool,
    shrink: bool,
    /// The method that was called, for the replay line.
    pub(super) call: &'static str,
    pub(super) orders: u8,
    seed: u64,
    /// The number of random projections, and the size of a Jacobian up to which all of it is compared.
    projections: usize,
    full: usize,
    /// Differing elements after which projections are not examined further.
    pub(super) enough: usize,
}

impl Default for Gradcheck {
    fn default() -> Gradcheck {
        Gradcheck {
            rtol: 1e-7,
            atol: 1e-9,
            step: None,
            ridders: false,
            shrink: false,
            call: "run",
            orders: 1,
            seed: 1,
            projections: 3,
            full: 10_000,
            enough: 16,
        }
    }
}

impl Gradcheck {
    /// Strict: relative error 10⁻⁷, absolute error 10⁻⁹·max(1, |f(x)|), first order.
    pub fn new() -> Gradcheck {
        Gradcheck::default()
    }

    /// The step and tolerances of PyTorch's `gradcheck`: h = 10⁻⁶, relative error 10⁻³, absolute error 10⁻⁵.
    pub fn torch() -> Gradcheck {
        Gradcheck { rtol: 1e-3, atol: 1e-5, step: Some(1e-6), ..Gradcheck::default() }
    }

    /// Finds the step for each element by Ridders' method (Ridders 1982): from 0.1·max(1, |x|) on, steps are shortened
    /// by 1.4 and extrapolated until the error no longer falls. For functions that are steep, oscillate, or are defined
    /// close to the element only, on which the fixed step is too long. It takes some 20 calls for an element instead of 4.
    ///
    /// Where the method knows its error to be less than the absolute tolerance, no more than that error is allowed.
    ///
    /// ```
    /// use cotangent_core::{check::*, *};
    /// let x = Tensor::new([1e-5], [1]);
    /// assert!(!gradcheck(|[x]| x.log(), [&x]).is_ok());
    /// Gradcheck::new().ridders().run(|[x]| x.log(), [&x]).assert_ok();
    /// ```
    pub fn ridders(self) -> Gradcheck {
        Gradcheck { ridders: true, ..self }
    }

    /// Up to which order of derivative: at 2 the recorded gradient is differentiated again, by the inputs and by the
    /// cotangents. At 0 only the values' repeatability is checked.
    pub fn orders(self, orders: u8) -> Gradcheck {
        Gradcheck { orders, ..self }
    }

    /// The error allowed relative to the derivative.
    pub fn rtol(self, rtol: f64) -> Gradcheck {
        Gradcheck { rtol, ..self }
    }

    /// The error allowed absolutely, as a multiple of max(1, |f(x)|).
    pub fn atol(self, atol: f64) -> Gradcheck {
        Gradcheck { atol, ..self }
    }

    /// The seed of projections and cotangents.
    pub fn seed(self, seed: u64) -> Gradcheck {
        Gradcheck { seed, ..self }
    }

    /// Compares this many random projections instead of whole Jacobians.
    pub fn fast(self, projections: usize) -> Gradcheck {
        Gradcheck { projections, full: 0, ..self }
    }

    /// If the check fails, looks for the smallest parts of the inputs on which it fails in the same way, and reports on
    /// them instead: [`Report::smallest`] holds them, and the replay line if they are short. Axes of the same length are
    /// cut together first, so that the shapes go on to fit, then each by itself.
    ///
    /// Inputs on which `f` panics are passed over; the panic hook prints these panics as it prints others.
    ///
    /// ```
    /// use cotangent_core::{check::*, *};
    /// let wrong = |x: &Tensor| x.detach().exp().record("wrong_exp").wrt(x, [x], |g, [x]| g * x).done();
    /// let report = Gradcheck::new().shrink().run(|[x]| wrong(x), [&Tensor::full([4, 5], 0.5)]);
    /// assert_eq!(report.smallest[0].shape, [1, 1]);
    /// let again = Gradcheck::new().seed(1).run(|[x]| wrong(x), [&Tensor::from_slice::<f64>(&[0.5], [1, 1])]);
    /// assert_eq!(again.findings, report.findings);
    /// assert!(report.replay.ends_with("run(f, [&Tensor::from_slice::<f64>(&[0.5], [1, 1])])"));
    /// ```
    pub fn shrink(self) -> Gradcheck {
        Gradcheck { shrink: true, ..self }
    }

    /// Compares whole Jacobians up to this many elements.
    pub(super) fn full_up_to(self, full: usize) -> Gradcheck {
        Gradcheck { full, ..self }
    }

    /// Stops to examine projections at the first element that differs.
    pub(super) fn until_first(self) -> Gradcheck {
        Gradcheck { enough: 1, ..self }
    }

    /// Both tolerances multiplied.
    pub(super) fn loosened(self, slack: f64) -> Gradcheck {
        Gradcheck { rtol: self.rtol * slack, atol: self.atol * slack, ..self }
    }

    /// The step for an element of unit scale.
    pub(super) fn unit_step(&self) -> f64 {
        self.step.unwrap_or_else(|| f64::EPSILON.cbrt())
    }

    /// The scale of an element, which its step is proportional to.
    pub(super) fn scale(&self, x: f64) -> f64 {
        if self.step.is_some() { 1.0 } else { x.abs().max(1.0) }
    }

    /// The error allowed in a derivative near `numeric` of an output near `value`.
    pub(super) fn tolerance(&self, numeric: f64, value: f64) -> f64 {
        self.atol * value.abs().max(1.0) + self.relative(numeric)
    }

    /// Its part that is relative to the derivative.
    pub(super) fn relative(&self, numeric: f64) -> f64 {
        self.rtol * numeric.abs()
    }

    /// Runs the check.
    #[track_caller]
    pub fn run<const N: usize, R: SampleOutput>(&self, f: impl Fn([&Tensor; N]) -> R, inputs: [&Tensor; N]) -> Report {
        self.check(&|x: &[Tensor]| f(std::array::from_fn(|k| &x[k])).tensors(), &inputs.map(double))
    }

    /// Runs the check on any number of inputs, such as all parameters of a model.
    ///
    /// ```
    /// use cotangent_core::{check::*, *};
    /// let weights: Vec<Tensor> = (1..4).map(|k| Tensor::full([2], 0.3 * k as f64)).collect();
    /// let product = |w: &[Tensor]| w.iter().skip(1).fold(w[0].clone(), |product, w| product * w);
    /// Gradcheck::new().orders(2).run_all(product, &weights).assert_ok();
    /// ```
    #[track_caller]
    pub fn run_all<R: SampleOutput>(&self, f: impl Fn(&[Tensor]) -> R, inputs: &[Tensor]) -> Report {
        let inputs: Vec<Tensor> = inputs.iter().map(double).collect();
        Gradcheck { call: "run_all", ..self.clone() }.check(&|x: &[Tensor]| f(x).tensors(), &inputs)
    }

    /// Runs the check on inputs drawn from the seed, on the default device.
    ///
    /// ```
    /// use cotangent_core::{check::*, *};
    /// Gradcheck::new().drawn(|[x, k]| x.index_select(0, k), [real([4, 2], -2.0..2.0), index([3], 4)]).assert_ok();
    /// ```
    #[track_caller]
    pub fn drawn<const N: usize, R: SampleOutput>(&self, f: impl Fn([&Tensor; N]) -> R, inputs: [Input; N]) -> Report {
        let (device, mut stream) = (Device::default(), Stream::new(self.seed, "drawn"));
        let drawn = inputs.map(|input| plain(&device, &input.draw(&mut stream), &input.shape, input.dtype(DType::F64)));
        Gradcheck { call: "drawn", ..self.clone() }.run(f, drawn.each_ref())
    }

    /// Runs the check on inputs that are doubles already.
    #[track_caller]
    pub(super) fn check(&self, f: &Function, inputs: &[Tensor]) -> Report {
        let report = self.check_these(f, inputs);
        if self.shrink && report.counts().failures > 0 { self.shrunk(f, inputs, report) } else { report }
    }

    #[track_caller]
    pub(super) fn check_these(&self, f: &Function, inputs: &[Tensor]) -> Report {
        let shrink = if self.shrink { ".shrink()" } else { "" };
        let replay = format!("{}{shrink}.{}(f, inputs)", self.code(), self.call);
        let mut report = Report::new("gradcheck", self.seed, replay);
        let kinks = self.check_order(1, f, inputs, &HashSet::new(), &mut report);
        if self.orders > 1 && report.is_ok() {
            let outputs = Graph::new(f, inputs).outputs;
            let mut stream = Stream::new(self.seed, "cotangents");
            let cotangent = |y: &Tensor| plain(y.device(), &stream.weights(y.count()), y.shape(), y.dtype());
            let all: Vec<Tensor> = inputs.iter().cloned().chain(outputs.iter().map(cotangent)).collect();
            let gradient = |all: &[Tensor]| {
                let (x, u) = all.split_at(inputs.len());
                let graph = Graph::new(f, x);
                let found = graph.pull(u, true);
                let pairs = found.into_iter().zip(&graph.leaves).filter(|(_, x)| x.dtype().is_float());
                pairs.map(|(g, x)| g.unwrap_or_else(|| x.zeros_like())).collect()
            };
            self.check_order(2, &gradient, &all, &kinks, &mut report);
        }
        report
    }

    /// These options as code, except that to shrink.
    pub(super) fn code(&self) -> String {
        let (start, base) = match self.step {
            Some(_) => ("Gradcheck::torch()", Gradcheck::torch()),
            None => ("Gradcheck::new()", Gradcheck::new()),
        };
        let option = |differs: bool, text: String| if differs { text } else { String::new() };
        let options = [
            option(self.ridders, ".ridders()".into()),
            option(self.rtol != base.rtol, format!(".rtol({:e})", self.rtol)),
            option(self.atol != base.atol, format!(".atol({:e})", self.atol)),
            option(self.full == 0, format!(".fast({})", self.projections)),
            option(self.orders != base.orders, format!(".orders({})", self.orders)),
        ];
        format!("{start}{}.seed({})", options.concat(), self.seed)
    }

    /// Checks first derivatives of `f`, which is itself a derivative of order `order` − 1. Returns the inputs'
    /// elements at which it has a kink; those in `skip` are left out.
    fn check_order(
        &self,
        order: u8,
        f: &Function,
        inputs: &[Tensor],
        skip: &HashSet<(usize, usize)>,
        report: &mut Report,
    ) -> HashSet<(usize, usize)> {
        let mut stream = Stream::new(self.seed, "gradcheck");
        let graph = Graph::new(f, inputs);
        let count: usize = graph.outputs.iter().map(Tensor::count).sum();
        let weights = stream.weights(count);
        self.repeats(f, inputs, &graph, &weights, report);
        if self.orders == 0 {
            return HashSet::new();
        }
        form(&graph, &weights, report);
        let (kinks, jacobian) = Default::default();
        let mut slopes = Slopes { options: self, order, f, inputs, graph: &graph, skip, kinks, jacobian, report };
        for k in (0..inputs.len()).filter(|&k| inputs[k].dtype().is_float()) {
            if inputs[k].count() * count <= self.full {
                slopes.whole(k);
            } else {
                (0..self.projections).for_each(|_| slopes.projected(k, &mut stream));
            }
        }
        let kinks = slopes.kinks;
        self.transposes(&graph, &weights, &mut stream, report);
        kinks
    }

    /// The same bits twice.
    fn repeats(&self, f: &Function, inputs: &[Tensor], graph: &Graph, weights: &[f64], report: &mut Report) {
        let again = Graph::new(f, inputs);
        let bits = |values: Vec<f64>| values.into_iter().map(f64::to_bits).collect::<Vec<_>>();
        let value = |graph: &Graph| bits(flat(&graph.outputs));
        let gradient = |graph: &Graph| bits(graph.gradients(weights).concat());
        let same = value(graph) == value(&again) && (self.orders == 0 || gradient(graph) == gradient(&again));
        report.require(same, || "a second run gives other bits; seed whatever is random in the function".into());
    }

    /// ⟨u, Jv⟩ = ⟨Jᵀu, v⟩.
    fn transposes(&self, graph: &Graph, weights: &[f64], stream: &mut Stream, report: &mut Report) {
        let (terms, right) = graph.transposed(weights, stream);
        let left = terms.iter().sum::<f64>();
        let size = terms.iter().map(|t| t.abs()).sum::<f64>().max(1.0);
        let allowed = 1e-12 * (self.rtol / 1e-7).max(1.0) * size;
        report.require((left - right).abs() <= allowed, || {
            format!("the gradient is not linear in the cotangent: ⟨u, Jv⟩ = {left:e}, ⟨Jᵀu, v⟩ = {right:e}")
        });
    }
}

/// Shape, element type and device of gradients, and zeros for a zero cotangent.
fn form(graph: &Graph, weights: &[f64], report: &mut Report) {
    let pull = |weights: &[f64]| graph.pull(&graph.split(weights), false);
    let found = pull(weights).into_iter().zip(pull(&vec![0.0; weights.len()]));
    for (k, ((g, zero), x)) in found.zip(&graph.leaves).enumerate() {
        let (Some(g), Some(zero)) = (g, zero) else { continue };
        let same = g.shape() == x.shape() && g.dtype() == x.dtype() && g.device() == x.device();
        report.require(same, || {
            format!(
                "the gradient by input {k} is {} of shape {} on {}, the input {} of shape {} on {}",
                g.dtype(),
                g.shape(),
                g.device(),
                x.dtype(),
                x.shape(),
                x.device()
            )
        });
        report.require(elements(&zero).iter().all(|&g| g == 0.0), || {
            format!("the gradient by input {k} for a zero cotangent is not zero: {:?}", elements(&zero))
        });
    }
}

impl Report {
    /// A condition of a gradient check.
    fn require(&mut self, holds: bool, message: impl FnOnce() -> String) {
        if holds { self.passed("gradcheck", 1) } else { self.found("gradcheck", "", Verdict::Fault(message())) }
    }
}
