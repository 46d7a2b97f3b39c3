//! What operations are there, and on which inputs they are tried.
//!
//! An operation registers its samples beside its definition with [`samples!`](crate::samples). The conformance suite
//! runs every sample on a device in every element type and layout; an operation without samples fails it.

use crate::dtype::DType;
use crate::shape::Shape;
use crate::tensor::Tensor;
use std::ops::Range;

/// A registered operation; made by [`samples!`](crate::samples).
pub struct Operation {
    /// Name, as in messages and on the tape.
    pub name: &'static str,
    /// Adds its samples.
    pub samples: fn(&mut Samples),
}
inventory::collect!(Operation);

/// Registers the samples of an operation, beside its definition.
///
/// ```
/// use cotangent_core::{check::*, *};
/// fn mish(x: &Tensor) -> Tensor {
///     pointwise(|[x]| x * x.softplus().tanh()).named("mish").call([x])
/// }
/// samples!("mish", |s| {
///     s.case("matrix", [real([2, 3], -2.0..2.0)], |[x]| mish(x));
/// });
/// assert!(Samples::of("mish").is_some());
/// ```
#[macro_export]
macro_rules! samples {
    ($name:expr, $samples:expr) => {
        $crate::inventory::submit! { $crate::check::Operation { name: $name, samples: $samples } }
    };
}

/// The elements of a sample's input, drawn from a fixed seed.
#[derive(Clone, Debug)]
pub enum Values {
    /// Real numbers from an interval on which the operation is smooth. Differentiable.
    Real(Range<f64>),
    /// Real numbers from an interval, pairwise well apart, for operations that compare elements. Differentiable.
    Distinct(Range<f64>),
    /// Indices from 0 to below the bound.
    Index(usize),
    /// Truth values.
    Truth,
    /// Exactly these numbers. Differentiable.
    Given(Vec<f64>),
}

/// One input of a sample.
#[derive(Clone, Debug)]
pub struct Input {
    /// Extents.
    pub shape: Shape,
    /// Elements.
    pub values: Values,
}

/// Real numbers from an interval on which the operation is smooth.
pub fn real(shape: impl Into<Shape>, domain: Range<f64>) -> Input {
    Input { shape: shape.into(), values: Values::Real(domain) }
}

/// Real numbers pairwise well apart, for operations that compare elements.
pub fn distinct(shape: impl Into<Shape>, domain: Range<f64>) -> Input {
    Input { shape: shape.into(), values: Values::Distinct(domain) }
}

/// Indices (`I64`) from 0 to below `bound`.
pub fn index(shape: impl Into<Shape>, bound: usize) -> Input {
    Input { shape: shape.into(), values: Values::Index(bound) }
}

/// Truth values (`Bool`).
pub fn truth(shape: impl Into<Shape>) -> Input {
    Input { shape: shape.into(), values: Values::Truth }
}

/// Exactly these real numbers.
pub fn given(shape: impl Into<Shape>, data: &[f64]) -> Input {
    Input { shape: shape.into(), values: Values::Given(data.to_vec()) }
}

/// What a sample's function returns: a tensor, an array, a pair or a vector of them.
pub trait SampleOutput {
    /// The tensors in order.
    fn tensors(self) -> Vec<Tensor>;
}
impl SampleOutput for Tensor {
    fn tensors(self) -> Vec<Tensor> {
        vec![self]
    }
}
impl<const M: usize> SampleOutput for [Tensor; M] {
    fn tensors(self) -> Vec<Tensor> {
        self.into()
    }
}
impl SampleOutput for (Tensor, Tensor) {
    fn tensors(self) -> Vec<Tensor> {
        vec![self.0, self.1]
    }
}
impl SampleOutput for (Tensor, Tensor, Tensor) {
    fn tensors(self) -> Vec<Tensor> {
        vec![self.0, self.1, self.2]
    }
}
impl SampleOutput for Vec<Tensor> {
    fn tensors(self) -> Vec<Tensor> {
        self
    }
}

/// A function of tensors.
pub type SampleFn = dyn Fn(&[Tensor]) -> Vec<Tensor> + Send + Sync;

/// An operation on certain inputs.
pub struct Sample {
    /// What is special about it.
    pub label: String,
    /// Inputs.
    pub inputs: Vec<Input>,
    /// The call.
    pub f: Box<SampleFn>,
    /// Whether it also is run on integers (each real input cut).
    pub integers: bool,
    /// Orders of gradients to check: 2 unless an operation says why not.
    pub orders: u8,
    /// Error allowed, as a multiple of the suite's: for long sums or steep functions.
    pub slack: f64,
    /// The floating-point types it runs on.
    pub floats: Vec<DType>,
    /// Whether each type is compared with the reference device's result of the same type instead of that in `F64`.
    pub own_precision: bool,
    /// Whether it also is run on inputs that all have one other shape, a scalar and an empty one among them.
    pub any_shape: bool,
}

impl Sample {
    /// Extents of every input.
    pub(super) fn shapes(&self) -> Vec<Shape> {
        self.inputs.iter().map(|input| input.shape.clone()).collect()
    }

    /// Whether gradients are checked.
    pub(super) fn differentiable(&self) -> bool {
        self.orders > 0 && self.allows(DType::F64)
    }

    /// Whether it is there for a backend's blocks and threads; too large for finite differences.
    pub(super) fn is_large(&self) -> bool {
        self.inputs.iter().map(|input| input.shape.count()).sum::<usize>() > 1000
    }

    /// Whether it runs on elements of this type; integers count as allowed where they are tried.
    pub(super) fn allows(&self, dtype: DType) -> bool {
        !dtype.is_float() || self.floats.contains(&dtype)
    }

    /// Runs on these floating-point types only; all four unless an operation says why not. Gradients are checked if
    /// `F64` is among them.
    pub fn floats(&mut self, floats: &[DType]) -> &mut Sample {
        self.floats = floats.to_vec();
        self
    }

    /// Each type is compared with the reference device's result of the same type: for operations that draw random
    /// numbers, which depend on the type, and those that are discontinuous.
    pub fn own_precision(&mut self) -> &mut Sample {
        self.own_precision = true;
        self
    }

    /// Also run on inputs that all have one other shape, which the outputs must have, too: `[]`, `[1]`, `[0]`, `[0, 3]`, `[2, 1, 2]`.
    pub fn any_shape(&mut self) -> &mut Sample {
        self.any_shape = true;
        self
    }

    /// Also run on `I64` and `I32`, with the inputs cut to integers; the results must be those in `F64`, cut.
    pub fn with_integers(&mut self) -> &mut Sample {
        self.integers = true;
        self
    }

    /// Checks gradients up to `orders` only: 0 for a result that has none.
    pub fn orders(&mut self, orders: u8) -> &mut Sample {
        self.orders = orders;
        self
    }

    /// Allows this multiple of the usual error.
    pub fn slack(&mut self, slack: f64) -> &mut Sample {
        self.slack = slack;
        self
    }
}

/// The samples of an operation, as they are added.
#[derive(Default)]
pub struct Samples(Vec<Sample>);

impl Samples {
    /// Adds a sample; `f` gets tensors made of `inputs`.
    pub fn case<const N: usize, R: SampleOutput>(
        &mut self,
        label: &str,
        inputs: [Input; N],
        f: impl Fn([&Tensor; N]) -> R + Send + Sync + 'static,
    ) -> &mut Sample {
        let f = move |x: &[Tensor]| f(x.first_chunk().expect("as many tensors as inputs").each_ref()).tensors();
        self.add(label, inputs.into(), Box::new(f))
    }

    fn add(&mut self, label: &str, inputs: Vec<Input>, f: Box<SampleFn>) -> &mut Sample {
        let sample = Sample {
            label: label.into(),
            inputs,
            f,
            integers: false,
            orders: 2,
            slack: 1.0,
            floats: vec![DType::F64, DType::F32, DType::F16, DType::BF16],
            own_precision: false,
            any_shape: false,
        };
        self.0.push(sample);
        self.0.last_mut().expect("just added")
    }

    pub(super) fn into_vec(self) -> Vec<Sample> {
        self.0
    }

    /// The samples of an operation; `None` if it is not registered.
    pub fn of(name: &str) -> Option<Vec<Sample>> {
        let mut samples = Samples::default();
        let registered = inventory::iter::<Operation>().filter(|operation| operation.name == name);
        let count = registered.map(|operation| (operation.samples)(&mut samples)).count();
        (count > 0).then_some(samples.0)
    }
}
