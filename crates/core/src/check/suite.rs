//! The conformance checks of one sample.

use super::gradcheck::Gradcheck;
use super::graph::Graph;
use super::inputs::{Arrangement, Stream, elements, index_of, place, plain, rounded};
use super::registry::{Input, Sample, Values};
use super::report::{Place, Report, Verdict};
use crate::device::Device;
use crate::dtype::DType;
use crate::error::attempt;
use crate::shape::{Layout, Shape};
use crate::tensor::Tensor;

/// A sample, and where findings go.
pub(super) struct Suite<'a> {
    pub(super) device: &'a Device,
    pub(super) seed: u64,
    pub(super) name: &'a str,
    pub(super) sample: &'a Sample,
    pub(super) report: &'a mut Report,
}

/// Elements of every input.
type Data = Vec<Vec<f64>>;

impl Suite<'_> {
    /// All of them.
    pub(super) fn run(&mut self) {
        let data = self.draw();
        let shapes = self.sample.shapes();
        if self.sample.is_large() {
            return self.large(&data, &shapes);
        }
        self.values(&data, &shapes, &self.sample.floats.clone());
        self.arrangements(&data, &shapes, &[DType::F64, DType::F32, DType::F16]);
        self.gradients(&data, &shapes);
        self.shapes();
    }

    /// What a large sample is run for: values in every type, and gradients equal to the reference device's.
    fn large(&mut self, data: &Data, shapes: &[Shape]) {
        let reference = Device::reference();
        if self.device == &reference {
            return self.values(data, shapes, &[DType::F32]);
        }
        self.values(data, shapes, &self.sample.floats.clone());
        self.arrangements(data, shapes, &[DType::F32]);
        if self.sample.differentiable() {
            self.part("gradient", |suite, case| {
                let (expected, weights) = suite.pulled(&suite.inputs(&reference, data, shapes, DType::F64));
                let inputs = suite.inputs(suite.device, data, shapes, DType::F64);
                let actual = Graph::new(&suite.sample.f, &inputs).gradients(&weights);
                suite.same_gradients(case, &actual, &expected, 64.0 * f64::EPSILON, shapes, "on the reference device");
            });
        }
    }

    fn stream(&self, what: &str) -> Stream {
        Stream::new(self.seed, &format!("{}/{}/{what}", self.name, self.sample.label))
    }

    pub(super) fn draw(&self) -> Data {
        let mut stream = self.stream("inputs");
        self.sample.inputs.iter().map(|input| input.draw(&mut stream)).collect()
    }

    /// Does part of the suite; a panic in it is a finding.
    fn part(&mut self, what: &str, check: impl FnOnce(&mut Self, &str)) {
        let case = if what.is_empty() { self.sample.label.clone() } else { format!("{}, {what}", self.sample.label) };
        if let Err(error) = attempt(|| check(self, &case)) {
            self.report.found(self.name, &case, Verdict::Fault(format!("panicked: {error}")));
        }
    }

    /// Row-major inputs with real numbers of type `dtype`.
    pub(super) fn inputs(&self, device: &Device, data: &Data, shapes: &[Shape], dtype: DType) -> Vec<Tensor> {
        let each = self.sample.inputs.iter().zip(data).zip(shapes);
        each.map(|((input, data), shape)| plain(device, data, shape, input.dtype(dtype))).collect()
    }

    /// The numbers that `dtype` makes of the inputs.
    fn rounded(&self, data: &Data, dtype: DType) -> Data {
        let each = self.sample.inputs.iter().zip(data);
        each.map(|(input, data)| rounded(data, input.dtype(dtype))).collect()
    }

    fn values(&mut self, data: &Data, shapes: &[Shape], floats: &[DType]) {
        let integers: &[DType] = if self.sample.integers { &[DType::I64, DType::I32] } else { &[] };
        for dtype in floats.iter().chain(integers).copied().filter(|dtype| self.sample.allows(*dtype)) {
            self.part(&dtype.to_string(), |suite, case| {
                let inputs = suite.inputs(suite.device, data, shapes, dtype);
                suite.compare(case, &inputs, dtype, data, shapes);
            });
        }
    }

    /// Runs the operation on the device, and on the reference device in the same type (for shapes and element types)
    /// and in `F64` (for values).
    fn compare(&mut self, case: &str, inputs: &[Tensor], dtype: DType, data: &Data, shapes: &[Shape]) {
        let reference = Device::reference();
        let f = &self.sample.f;
        let actual = f(inputs);
        let same_type = f(&self.inputs(&reference, data, shapes, dtype));
        let exact = match self.sample.own_precision {
            true => same_type.clone(),
            false => f(&self.inputs(&reference, &self.rounded(data, dtype), shapes, DType::F64)),
        };
        self.require(case, actual.len() == same_type.len(), || {
            format!("{} outputs instead of {}", actual.len(), same_type.len())
        });
        for (tensor, ((y, like), exact)) in actual.iter().zip(&same_type).zip(&exact).enumerate() {
            let same = y.dtype() == like.dtype() && y.shape() == like.shape();
            self.require(case, same, || {
                format!(
                    "output {tensor} is {} of shape {}, on the reference device {} of shape {}",
                    y.dtype(),
                    y.shape(),
                    like.dtype(),
                    like.shape()
                )
            });
            if same && y.shape() == exact.shape() {
                let tolerance = 8.0 * self.sample.slack * y.dtype().epsilon();
                let cut = |x: f64| if y.dtype().is_float() { x } else { x.trunc() };
                let expected: Vec<f64> = elements(exact).into_iter().map(cut).collect();
                let worst = difference(&elements(y), &expected, tolerance);
                let verdict = worst.map(|(at, actual, expected)| {
                    let output = Place { tensor, index: index_of(y.shape(), at) };
                    Verdict::Value { output, actual, expected }
                });
                self.note(case, y.count(), verdict);
            }
        }
    }

    fn arrangements(&mut self, data: &Data, shapes: &[Shape], floats: &[DType]) {
        for arrangement in Arrangement::ALL {
            let general = |values: &Values| matches!(values, Values::Real(_) | Values::Index(_) | Values::Truth);
            if arrangement == Arrangement::Repeated && !self.sample.inputs.iter().all(|input| general(&input.values)) {
                continue; // the repeated elements would not be what the sample asks for
            }
            let layouts: Vec<Option<Layout>> = shapes.iter().map(|shape| arrangement.layout(shape)).collect();
            if layouts.iter().all(Option::is_none) {
                continue;
            }
            let data: Data = data.iter().zip(shapes).map(|(data, shape)| arrangement.elements(shape, data)).collect();
            let arranged = |suite: &Self, dtype: DType| -> Vec<Tensor> {
                let place = |k: usize| {
                    let layout = layouts[k].clone().unwrap_or_else(|| Layout::contiguous(&shapes[k]));
                    place(suite.device, &data[k], &layout, suite.sample.inputs[k].dtype(dtype))
                };
                (0..data.len()).map(place).collect()
            };
            let name = format!("{arrangement:?}").to_lowercase();
            for dtype in floats.iter().copied().filter(|dtype| self.sample.allows(*dtype)) {
                self.part(&format!("{name} {dtype}"), |suite, case| {
                    suite.compare(case, &arranged(suite, dtype), dtype, &data, shapes);
                });
            }
            if self.sample.differentiable() && floats.contains(&DType::F64) {
                self.part(&format!("{name} gradient"), |suite, case| {
                    let row_major = suite.inputs(suite.device, &data, shapes, DType::F64);
                    let (expected, weights) = suite.pulled(&row_major);
                    let actual = Graph::new(&suite.sample.f, &arranged(suite, DType::F64)).gradients(&weights);
                    suite.same_gradients(case, &actual, &expected, 64.0 * f64::EPSILON, shapes, "row-major");
                });
            }
        }
    }

    /// Gradients for a random cotangent.
    fn pulled(&self, inputs: &[Tensor]) -> (Data, Vec<f64>) {
        let graph = Graph::new(&self.sample.f, inputs);
        let weights = self.stream("cotangent").weights(graph.outputs.iter().map(Tensor::count).sum());
        (graph.gradients(&weights), weights)
    }

    fn gradients(&mut self, data: &Data, shapes: &[Shape]) {
        if !self.sample.differentiable() {
            return;
        }
        let orders = self.sample.orders;
        self.part("", |suite, case| {
            let inputs = suite.inputs(suite.device, data, shapes, DType::F64);
            suite.gradcheck(case, &inputs, orders);
        });
        self.part("accumulation", |suite, case| {
            let inputs = suite.inputs(suite.device, data, shapes, DType::F64);
            suite.accumulates(case, &inputs, shapes);
        });
        self.part("one tensor as two inputs", |suite, case| suite.aliased(case, data, shapes));
        for dtype in [DType::F32, DType::F16, DType::BF16] {
            if self.sample.allows(dtype) && !self.sample.own_precision {
                self.part(&format!("{dtype} gradient"), |suite, case| {
                    let rounded = suite.rounded(data, dtype);
                    let (expected, weights) = suite.pulled(&suite.inputs(suite.device, &rounded, shapes, DType::F64));
                    let inputs = suite.inputs(suite.device, data, shapes, dtype);
                    let actual = Graph::new(&suite.sample.f, &inputs).gradients(&weights);
                    suite.same_gradients(case, &actual, &expected, 16.0 * dtype.epsilon(), shapes, "in f64");
                });
            }
        }
    }

    /// For an operation whose samples all ask for no gradients.
    pub(super) fn has_no_gradient(&mut self) {
        let (data, shapes) = (self.draw(), self.sample.shapes());
        self.part("untracked", |suite, case| {
            let dtype = suite.sample.floats[0];
            let graph = Graph::new(&suite.sample.f, &suite.inputs(suite.device, &data, &shapes, dtype));
            suite.require(case, !graph.outputs.iter().any(Tensor::is_tracked), || {
                "the result carries a gradient, but no sample has it checked; leave out .orders(0) in one".into()
            });
        });
    }

    /// Gradients against finite differences; large Jacobians by projections.
    fn gradcheck(&mut self, case: &str, inputs: &[Tensor], orders: u8) {
        let found = self.options().orders(orders).check(&self.sample.f, inputs);
        self.report.absorb(self.name, case, found);
    }

    /// How gradients of the sample are checked.
    pub(super) fn options(&self) -> Gradcheck {
        Gradcheck::new().seed(self.seed).loosened(self.sample.slack).full_up_to(400)
    }

    /// Two uses of the same leaves: contributions add.
    pub(super) fn accumulates(&mut self, case: &str, inputs: &[Tensor], shapes: &[Shape]) {
        let f = &self.sample.f;
        let twice = |x: &[Tensor]| f(x).into_iter().chain(f(x)).collect::<Vec<Tensor>>();
        let graph = Graph::new(&twice, inputs);
        let weights = self.stream("accumulation").weights(graph.outputs.iter().map(Tensor::count).sum());
        let (first, second) = weights.split_at(weights.len() / 2);
        let alone = Graph::new(f, inputs);
        let expected = sum(&alone.gradients(first), &alone.gradients(second));
        let actual = graph.gradients(&weights);
        self.same_gradients(case, &actual, &expected, 64.0 * f64::EPSILON, shapes, "sum of both uses");
    }

    /// Pairs of inputs of one shape that are the same tensor: its gradient is the sum of both.
    pub(super) fn aliased(&mut self, case: &str, data: &Data, shapes: &[Shape]) {
        let inputs = &self.sample.inputs;
        for (a, b) in (0..inputs.len()).flat_map(|b| (0..b).map(move |a| (a, b))) {
            let (Values::Real(da), Values::Real(db)) = (&inputs[a].values, &inputs[b].values) else { continue };
            let (start, end) = (da.start.max(db.start), da.end.min(db.end));
            if shapes[a] != shapes[b] || start >= end {
                continue;
            }
            let mut data = data.clone();
            let mut stream = self.stream("alias");
            data[a] = (0..data[a].len()).map(|_| start + (end - start) * stream.uniform()).collect();
            data[b] = data[a].clone();
            let tensors = self.inputs(self.device, &data, shapes, DType::F64);
            let f = &self.sample.f;
            let aliased = |x: &[Tensor]| {
                let mut x = x.to_vec();
                x[b] = x[a].clone();
                f(&x)
            };
            let (mut expected, weights) = self.pulled(&tensors);
            expected[a] = sum(&expected[a..=a], &expected[b..=b]).remove(0);
            expected[b].fill(0.0);
            let actual = Graph::new(&aliased, &tensors).gradients(&weights);
            self.same_gradients(case, &actual, &expected, 64.0 * f64::EPSILON, shapes, "sum of both inputs");
        }
    }

    /// Other shapes, for elementwise operations.
    fn shapes(&mut self) {
        if !self.sample.any_shape {
            return;
        }
        let others: [&[usize]; 5] = [&[], &[1], &[0], &[0, 3], &[2, 1, 2]];
        for shape in others.map(Shape::from) {
            let mut stream = self.stream("shapes");
            let resized = |input: &Input| Input { shape: shape.clone(), values: input.values.clone() };
            let data: Data = self.sample.inputs.iter().map(|input| resized(input).draw(&mut stream)).collect();
            let shapes = vec![shape.clone(); data.len()];
            for &dtype in [DType::F64, DType::F32].iter().filter(|dtype| self.sample.allows(**dtype)) {
                self.part(&format!("shape {shape} {dtype}"), |suite, case| {
                    let inputs = suite.inputs(suite.device, &data, &shapes, dtype);
                    suite.compare(case, &inputs, dtype, &data, &shapes);
                    let kept = (suite.sample.f)(&inputs).iter().all(|y| y.shape() == &shape);
                    suite.require(case, kept, || format!("inputs of shape {shape} give another shape"));
                    if dtype == DType::F64 {
                        suite.gradcheck(case, &inputs, suite.sample.orders.min(1));
                    }
                });
            }
        }
    }

    fn same_gradients(
        &mut self,
        case: &str,
        actual: &Data,
        expected: &Data,
        tolerance: f64,
        shapes: &[Shape],
        against: &'static str,
    ) {
        for (input, (actual, expected)) in actual.iter().zip(expected).enumerate() {
            let worst = difference(actual, expected, tolerance * self.sample.slack);
            let verdict = worst.map(|(at, analytic, numeric)| {
                let index = index_of(&shapes[input], at);
                Verdict::Gradient { order: 1, input, index, output: None, analytic, numeric, against }
            });
            self.note(case, actual.len(), verdict);
        }
    }

    fn require(&mut self, case: &str, holds: bool, message: impl FnOnce() -> String) {
        self.note(case, 1, (!holds).then(|| Verdict::Fault(message())));
    }

    /// Counts checks, one of which may have failed.
    fn note(&mut self, case: &str, checks: usize, failure: Option<Verdict>) {
        self.report.passed(self.name, checks - failure.is_some() as usize);
        if let Some(verdict) = failure {
            self.report.found(self.name, case, verdict);
        }
    }
}

/// The position and values of the largest difference above the tolerance, which is relative to the expected value, or
/// to the mean of all magnitudes where that is larger, or to 1. Infinities and NaN must be equal.
fn difference(actual: &[f64], expected: &[f64], tolerance: f64) -> Option<(usize, f64, f64)> {
    let finite = || expected.iter().map(|x| x.abs()).filter(|x| x.is_finite());
    let scale = (finite().sum::<f64>() / finite().count().max(1) as f64).max(1.0);
    let excess = |(&a, &e): (&f64, &f64)| {
        let equal = a == e || (a.is_nan() && e.is_nan());
        let error = if (a - e).is_nan() { f64::INFINITY } else { (a - e).abs() };
        if equal { 0.0 } else { error / (tolerance * e.abs().max(scale)) }
    };
    let worst = actual.iter().zip(expected).map(excess).enumerate().max_by(|a, b| a.1.total_cmp(&b.1));
    worst.filter(|(_, excess)| *excess > 1.0).map(|(at, _)| (at, actual[at], expected[at]))
}

fn sum(a: &[Vec<f64>], b: &[Vec<f64>]) -> Data {
    a.iter().zip(b).map(|(a, b)| a.iter().zip(b).map(|(a, b)| a + b).collect()).collect()
}
