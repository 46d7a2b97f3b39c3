//! Normalization: standardized by statistics of the input itself.
//!
//! All of it is one operation, [`Tensor::standardize`]: two folds (mean, then squared deviations: never E[x²] − E[x]²,
//! which cancels) and one map forward; one or two folds and one map backward. Half precision computes in `F32`.

use super::reduce::over;
use crate::backend::Fold;
use crate::check::real;
use crate::expr::Expr;
use crate::pointwise::{pointwise, stretched_axes};
use crate::rows::Rows;
use crate::shape::{Axes, Shape, keep_marked, resolve_axis};
use crate::tape::{at_caller, tracks};
use crate::tensor::Tensor;
use smallvec::SmallVec;

impl Tensor {
    /// Layer normalization over the last axes, which have the extents `normalized` (Ba, Kiros and Hinton 2016):
    /// (x − μ)/√(σ² + ε)·weight + bias with the mean and the biased variance of each group. Weight and bias broadcast to
    /// `normalized`. Usual ε: 1e-5.
    ///
    /// ```
    /// # use cotangent_core::*;
    /// let x = Tensor::new([1.0, 3.0], [1, 2]);
    /// assert_eq!(x.layer_norm([2], None, None, 0.0).to_vec::<f32>(), [-1.0, 1.0]);
    /// ```
    ///
    /// # Panics
    /// If the shape does not end with `normalized`.
    #[track_caller]
    pub fn layer_norm(
        &self,
        normalized: impl Into<Shape>,
        weight: Option<&Tensor>,
        bias: Option<&Tensor>,
        eps: f64,
    ) -> Tensor {
        let axes = trailing("layer_norm", self, normalized.into());
        self.standardize("layer_norm", &axes, true, weight, bias, eps).0
    }

    /// x/√(mean of x² + ε)·weight over the last axes, which have the extents `normalized` (Zhang and Sennrich 2019).
    ///
    /// # Panics
    /// If the shape does not end with `normalized`.
    #[track_caller]
    pub fn rms_norm(&self, normalized: impl Into<Shape>, weight: Option<&Tensor>, eps: f64) -> Tensor {
        let axes = trailing("rms_norm", self, normalized.into());
        self.standardize("rms_norm", &axes, false, weight, None, eps).0
    }

    /// Batch normalization with the batch's own statistics (Ioffe and Szegedy 2015): the mean and the biased variance of
    /// each place along `axis` (the channels, usually 1) over all other axes. Weight and bias are vectors along it.
    /// Usual ε: 1e-5. For given statistics see [`normalize`](Tensor::normalize).
    ///
    /// Returns the result, and the batch's mean and biased variance as untracked vectors (`F32` for half precision), from
    /// which a layer keeps running statistics.
    ///
    /// ```
    /// # use cotangent_core::*;
    /// let x = Tensor::new([1.0, 10.0, 3.0, 30.0], [2, 2]);
    /// let (y, mean, var) = x.batch_norm(1, None, None, 0.0);
    /// assert_eq!(y.to_vec::<f32>(), [-1.0, -1.0, 1.0, 1.0]);
    /// assert_eq!((mean.to_vec::<f32>(), var.to_vec::<f32>()), (vec![2.0, 20.0], vec![1.0, 100.0]));
    /// ```
    ///
    /// # Panics
    /// If there is only one element for each channel: its variance is 0.
    #[track_caller]
    pub fn batch_norm(
        &self,
        axis: isize,
        weight: Option<&Tensor>,
        bias: Option<&Tensor>,
        eps: f64,
    ) -> (Tensor, Tensor, Tensor) {
        let at = resolve_axis("batch_norm", axis, self.shape());
        let axes: Vec<isize> = (0..self.rank() as isize).filter(|&k| k != at as isize).collect();
        if self.count() == self.shape()[at] {
            panic!("batch_norm: shape {} has one element for each channel; its variance is 0", self.shape());
        }
        let x = &self.widened();
        let (weight, bias) = (channels("batch_norm", x, at, weight, 1.0), channels("batch_norm", x, at, bias, 0.0));
        let (y, mean, var) = x.standardize("batch_norm", &axes, true, Some(&weight), Some(&bias), eps);
        let vector = [x.shape()[at]];
        (y.to(self.dtype()), mean.reshape(vector), var.reshape(vector))
    }

    /// (x − mean)/√(var + ε)·weight + bias with given statistics, vectors along `axis` as weight and bias are: batch
    /// normalization as it is used after training. Differentiable by all of them.
    #[track_caller]
    pub fn normalize(
        &self,
        axis: isize,
        mean: &Tensor,
        var: &Tensor,
        weight: Option<&Tensor>,
        bias: Option<&Tensor>,
        eps: f64,
    ) -> Tensor {
        self.check_float("normalize");
        let at = resolve_axis("normalize", axis, self.shape());
        let x = &self.widened();
        let mean = &channels("normalize", x, at, Some(mean), 0.0);
        let var = &channels("normalize", x, at, Some(var), 1.0);
        let weight = &channels("normalize", x, at, weight, 1.0);
        let bias = &channels("normalize", x, at, bias, 0.0);
        let formula = move |[x, m, v, w, b]: [Expr; 5]| (x - m) * ((v + eps).rsqrt() * w) + b;
        pointwise(formula).named("normalize").call([x, mean, var, weight, bias]).to(self.dtype())
    }

    /// Group normalization (Wu and He 2018): the channels (axis 1) of each element of the batch (axis 0) in `groups`
    /// groups, each standardized over its channels and all further axes. Weight and bias are vectors of the channels.
    ///
    /// # Panics
    /// If the channels cannot be divided into that many groups.
    #[track_caller]
    pub fn group_norm(&self, groups: usize, weight: Option<&Tensor>, bias: Option<&Tensor>, eps: f64) -> Tensor {
        let shape = self.shape();
        if self.rank() < 2 || groups == 0 || groups > shape[1].max(1) || !shape[1].is_multiple_of(groups) {
            panic!(
                "group_norm: axis 1 of shape {shape} does not divide into {groups} groups; take a divisor of its extent"
            );
        }
        let inner: usize = shape[2..].iter().product();
        let x = &self.widened();
        let weight = channels("group_norm", x, 1, weight, 1.0);
        let bias = channels("group_norm", x, 1, bias, 0.0);
        let laid = |p: Tensor| if p.rank() == 0 { p } else { p.reshape([groups, shape[1] / groups, 1]) };
        let (weight, bias) = at_caller(|| (laid(weight), laid(bias)));
        let grouped = x.reshape([shape[0], groups, shape[1] / groups, inner]);
        let (y, ..) = grouped.standardize("group_norm", &[2, 3], true, Some(&weight), Some(&bias), eps);
        y.reshape(shape).to(self.dtype())
    }

    /// Instance normalization (Ulyanov et al. 2016): each channel (axis 1) of each element of the batch (axis 0)
    /// standardized over all further axes. Weight and bias are vectors of the channels.
    #[track_caller]
    pub fn instance_norm(&self, weight: Option<&Tensor>, bias: Option<&Tensor>, eps: f64) -> Tensor {
        if self.rank() < 2 {
            panic!("instance_norm: shape {} has no axis of channels; expected [batch, channels, ..]", self.shape());
        }
        self.group_norm(self.shape()[1], weight, bias, eps)
    }

    /// Local response normalization across the channels, axis 1 (Krizhevsky et al. 2012): x/(k + α/n·Σ x²)^β over the
    /// `size` = n channels around each.
    ///
    /// # Panics
    /// If there is no axis 1, or `size` is 0.
    #[track_caller]
    pub fn local_response_norm(&self, size: usize, alpha: f64, beta: f64, k: f64) -> Tensor {
        self.check_float("local_response_norm");
        if self.rank() < 2 || size == 0 || size > isize::MAX as usize / 8 {
            panic!("local_response_norm: {size} channels around each of axis 1 of shape {}", self.shape());
        }
        let x = &self.widened();
        let channels = x.shape()[1];
        let mut padded = x.shape().clone();
        padded[1] += size - 1;
        let squares = x.device().full(padded, 0.0, x.dtype()).slice_assign(1, size / 2, &x.square());
        let windows = (0..size).map(|start| squares.narrow(1, start, channels));
        let sum = at_caller(|| windows.reduce(|a, b| a + b)).expect("size is not 0");
        let formula = move |[x, s]: [Expr; 2]| x * (s * (alpha / size as f64) + k).pow(-beta);
        pointwise(formula).named("local_response_norm").call([x, &sum]).to(self.dtype())
    }

    /// (x − μ)/√(σ² + ε)·weight + bias, with the statistics over `axes`; without `centered`, μ is 0 and σ² the mean square.
    /// Then μ and σ², untracked.
    #[track_caller]
    fn standardize(
        &self,
        op: &'static str,
        axes: &[isize],
        centered: bool,
        weight: Option<&Tensor>,
        bias: Option<&Tensor>,
        eps: f64,
    ) -> (Tensor, Tensor, Tensor) {
        self.check_float(op);
        let x = &self.widened();
        let weight = &weight.map_or_else(|| number(x, 1.0), Tensor::widened);
        let bias = &bias.map_or_else(|| number(x, 0.0), Tensor::widened);
        for parameter in [weight, bias] {
            if x.shape().broadcast(parameter.shape()).as_ref() != Some(x.shape()) {
                panic!("{op}: a parameter of shape {} does not broadcast to shape {}", parameter.shape(), x.shape());
            }
        }
        let group = Group::new(x, axes, centered, eps);
        let [plain, plain_weight, plain_bias] = [x, weight, bias].map(Tensor::detach);
        let [mean, var, scale] = group.statistics(op, &plain);
        let formula = pointwise(|[x, m, r, w, b]: [Expr; 5]| (x - m) * (r * w) + b).named(op);
        let out = formula.call([&plain, &mean, &scale, &plain_weight, &plain_bias]);
        let bias_shape = bias.shape().clone();
        let out = out
            .record(op)
            .wrt_all([x, weight, bias], [x, &mean, &scale, weight], move |g, [x, mean, scale, weight], needed| {
                // For derivatives of the gradient, the statistics are functions of x.
                let own = tracks(x).then(|| group.statistics(op, x));
                let (mean, scale) = own.as_ref().map_or((mean, scale), |[mean, _, scale]| (mean, scale));
                group.gradients(op, g, [x, mean, scale, weight], &bias_shape, needed)
            })
            .done();
        (out.to(self.dtype()), mean, var)
    }
}

/// What is standardized together.
struct Group {
    /// Over which axes.
    mask: SmallVec<[bool; 6]>,
    count: f64,
    centered: bool,
    eps: f64,
}

impl Group {
    #[track_caller]
    fn new(x: &Tensor, axes: &[isize], centered: bool, eps: f64) -> Group {
        let (mask, _) = Axes::from(axes).resolve("standardize", x.shape());
        let count = over(x.shape(), &mask) as f64;
        Group { mask, count, centered, eps }
    }

    /// μ, σ² and 1/√(σ² + ε) of x; without centering, μ is 0.
    #[track_caller]
    fn statistics(&self, op: &'static str, x: &Tensor) -> [Tensor; 3] {
        let mut rows = Rows::new(op, &self.mask);
        let [elements] = rows.inputs([x]);
        let scales = |[squares]: [Expr; 1], [n, eps]: [Expr; 2]| {
            let var = squares / n;
            [var, (var + eps).rsqrt()]
        };
        if !self.centered {
            let [squares] = rows.fold(Fold::Sum, [elements], |[x]| [x.square()]);
            let [var, scale] = rows.map([squares], [self.count, self.eps], scales);
            let [var, scale] = rows.run([var, scale]);
            return [number(x, 0.0), var, scale];
        }
        let [sum] = rows.fold(Fold::Sum, [elements], |[x]| [x]);
        let [mean] = rows.map([sum], [self.count], |[sum], [n]| [sum / n]);
        let [squares] = rows.fold(Fold::Sum, [elements, mean], |[x, m]| [(x - m).square()]);
        let [var, scale] = rows.map([squares], [self.count, self.eps], scales);
        rows.run([mean, var, scale])
    }

    /// Gradients by x, weight and bias. With r = 1/√(σ² + ε), x̂ = (x − μ)·r and h = g·weight they are
    /// (h − mean h − x̂·mean(h·x̂))·r, Σ g·x̂ and Σ g.
    fn gradients(
        &self,
        op: &'static str,
        g: &Tensor,
        [x, mean, scale, weight]: [&Tensor; 4],
        bias_shape: &Shape,
        needed: [bool; 3],
    ) -> [Option<Tensor>; 3] {
        let products = pointwise(|[g, x, m, r]| [g * ((x - m) * r), g]).named(op);
        let along = stretched_axes(weight.shape(), x.shape());
        let sums = |mask: &[bool]| products.fold(Fold::Sum, keep_marked(mask), [g, x, mean, scale]);
        let parameters = (needed[1] || needed[2]).then(|| sums(&along));
        let by_x = needed[0].then(|| {
            let mut rows = Rows::new(op, &self.mask);
            let [x, g, m, r, w] = rows.inputs([x, g, mean, scale, weight]);
            // Where a parameter belongs to a whole group, as in batch normalization, its sums are what is needed.
            let sums = match &parameters {
                Some(sums) if along == self.mask => {
                    let [product, plain] = rows.inputs(sums.each_ref());
                    rows.map([product, plain, w], [], |[p, l, w], []| [p * w, l * w])
                }
                _ => rows.fold(Fold::Sum, [g, x, m, r, w], |[g, x, m, r, w]| [g * w * ((x - m) * r), g * w]),
            };
            let [projection, level] = sums;
            let (share, centered) = (1.0 / self.count, if self.centered { 1.0 } else { 0.0 });
            // Everything that is the same in a group or a parameter is computed before the elements.
            let formula = |[g, x, m, r, w, p, l]: [Expr; 7], [share, level]: [Expr; 2]| {
                [g * (w * r) - l * level * r - (x - m) * (p * share * (r * r))]
            };
            let [by_x] = rows.map([g, x, m, r, w, projection, level], [share, share * centered], formula);
            rows.value(by_x)
        });
        let [by_weight, by_bias] = match parameters {
            Some([product, plain]) => {
                let bias = if bias_shape == weight.shape() { plain.reshape(bias_shape) } else { g.sum_to(bias_shape) };
                [needed[1].then(|| product.reshape(weight.shape())), needed[2].then_some(bias)]
            }
            None => [None, None],
        };
        [by_x, by_weight, by_bias]
    }
}

/// A scalar of x's element type and device.
fn number(x: &Tensor, value: f64) -> Tensor {
    x.device().full((), value, x.dtype())
}

/// The last axes, which must have the given extents.
#[track_caller]
fn trailing(op: &str, x: &Tensor, normalized: Shape) -> Vec<isize> {
    if normalized.is_empty() || !x.shape().ends_with(&normalized) {
        panic!("{op}: shape {} does not end with {normalized}; give its last extents, to normalize over", x.shape());
    }
    (1..=normalized.len() as isize).map(|back| -back).collect()
}

/// A vector laid along an axis of x, in `F32` for half precision; a number if there is none.
#[track_caller]
fn channels(op: &str, x: &Tensor, axis: usize, vector: Option<&Tensor>, default: f64) -> Tensor {
    let Some(vector) = vector else { return number(x, default) };
    let n = x.shape()[axis];
    if vector.shape()[..] != [n] {
        panic!(
            "{op}: shape {} is no vector of the {n} channels on axis {axis} of shape {}; give one number for each",
            vector.shape(),
            x.shape()
        );
    }
    let mut shape = Shape::from_iter(std::iter::repeat_n(1, x.rank() - axis));
    shape[0] = n;
    vector.reshape(shape).widened()
}

crate::samples!("layer_norm", |s| {
    let x = |shape: &[usize]| real(shape, -2.0..2.0);
    let all = || [x(&[2, 3, 4]), x(&[4]), x(&[4])];
    s.case("last axis", all(), |[x, w, b]| x.layer_norm([4], Some(w), Some(b), 1e-5)).slack(4.0);
    s.case("no parameters", [x(&[2, 4])], |[x]| x.layer_norm([4], None, None, 1e-5)).slack(4.0);
    s.case("no bias", [x(&[2, 4]), x(&[4])], |[x, w]| x.layer_norm([4], Some(w), None, 1e-5)).slack(4.0);
    let all = || [x(&[2, 3, 2]), x(&[3, 2]), x(&[3, 1])];
    s.case("two axes", all(), |[x, w, b]| x.layer_norm([3, 2], Some(w), Some(b), 1e-3)).slack(4.0);
});
crate::samples!("rms_norm", |s| {
    let x = |shape: &[usize]| real(shape, -2.0..2.0);
    s.case("last axis", [x(&[2, 4]), x(&[4])], |[x, w]| x.rms_norm([4], Some(w), 1e-5)).slack(4.0);
    s.case("no weight", [x(&[2, 4])], |[x]| x.rms_norm([4], None, 1e-5)).slack(4.0);
});
crate::samples!("batch_norm", |s| {
    let x = |shape: &[usize]| real(shape, -2.0..2.0);
    let all = || [x(&[5, 3]), x(&[3]), x(&[3])];
    s.case("batch, channels", all(), |[x, w, b]| x.batch_norm(1, Some(w), Some(b), 1e-3).0).slack(4.0);
    let all = || [x(&[2, 3, 2, 2]), x(&[3]), x(&[3])];
    s.case("images", all(), |[x, w, b]| x.batch_norm(1, Some(w), Some(b), 1e-3).0).slack(4.0);
    s.case("channels last", [x(&[2, 2, 3])], |[x]| x.batch_norm(-1, None, None, 1e-3).0).slack(4.0);
});
crate::samples!("normalize", |s| {
    let x = |shape: &[usize]| real(shape, -2.0..2.0);
    let statistics = [x(&[2, 3, 2]), x(&[3]), real([3], 0.5..2.0)];
    s.case("statistics", statistics, |[x, m, v]| x.normalize(1, m, v, None, None, 1e-5));
    let all = [x(&[4, 3]), x(&[3]), real([3], 0.5..2.0), x(&[3]), x(&[3])];
    s.case("parameters", all, |[x, m, v, w, b]| x.normalize(1, m, v, Some(w), Some(b), 1e-5));
});
crate::samples!("group_norm", |s| {
    let x = |shape: &[usize]| real(shape, -2.0..2.0);
    let all = [x(&[2, 4, 3]), x(&[4]), x(&[4])];
    s.case("two groups", all, |[x, w, b]| x.group_norm(2, Some(w), Some(b), 1e-5)).slack(4.0);
});
crate::samples!("instance_norm", |s| {
    let x = |shape: &[usize]| real(shape, -2.0..2.0);
    let all = [x(&[2, 2, 2, 3]), x(&[2]), x(&[2])];
    s.case("images", all, |[x, w, b]| x.instance_norm(Some(w), Some(b), 1e-5)).slack(4.0);
});
crate::samples!("local_response_norm", |s| {
    let x = |shape: &[usize]| real(shape, -2.0..2.0);
    s.case("odd", [x(&[2, 5, 2])], |[x]| x.local_response_norm(3, 0.3, 0.75, 1.5));
    s.case("even", [x(&[2, 5])], |[x]| x.local_response_norm(2, 0.3, 0.75, 1.5));
});
