//! Random tensors: pure functions of a seed, the number of the draw and an element's position.

use crate::backend::Fold;
use crate::device::Device;
use crate::dtype::DType;
use crate::expr::{Draw, Expr, draw};
use crate::pointwise::{Operand, pointwise};
use crate::rng::{Rng, Ticket};
use crate::shape::Shape;
use crate::tensor::{Tensor, checked_count};
use std::ops::Range;

impl Rng {
    /// Uniform in [0, 1), single precision, on the default device.
    #[track_caller]
    pub fn uniform(&self, shape: impl Into<Shape>) -> Tensor {
        self.uniform_like(&Tensor::zeros(shape))
    }

    /// Standard normal, single precision, on the default device.
    #[track_caller]
    pub fn normal(&self, shape: impl Into<Shape>) -> Tensor {
        self.normal_like(&Tensor::zeros(shape))
    }

    /// Uniform in [0, 1) with the shape, element type and device of `x`: 24 random bits, 53 for `f64`.
    #[track_caller]
    pub fn uniform_like(&self, x: &Tensor) -> Tensor {
        let (kind, ticket) = (uniform_draw(x.dtype()), self.ticket());
        // Half precision would round the largest numbers to 1.
        let largest = 1.0 - x.dtype().epsilon() / 2.0;
        pointwise(move |[x]| on(x, kind, ticket).minimum(largest)).named("random").call([&x.zeros_like()])
    }

    /// Standard normal with the shape, element type and device of `x`.
    #[track_caller]
    pub fn normal_like(&self, x: &Tensor) -> Tensor {
        let ticket = self.ticket();
        pointwise(move |[x]: [_; 1]| on(x, Draw::Normal, ticket)).named("random").call([&x.zeros_like()])
    }

    /// Uniform from `low` to `high`, numbers or tensors that broadcast to `shape`: low + (high − low)·u with u uniform in
    /// [0, 1). Differentiable by both. Tensors say element type and device, else it is single precision on the default.
    ///
    /// ```
    /// # use cotangent_core::*;
    /// let high = Tensor::new([1.0, 10.0], [2]).tracked();
    /// let x = Rng::new(1).uniform_in(0.0, &high, [4, 2]);
    /// assert_eq!(x.sum(..).backward()[&high].shape(), &[2]);
    /// ```
    #[track_caller]
    pub fn uniform_in(&self, low: impl Operand, high: impl Operand, shape: impl Into<Shape>) -> Tensor {
        let [x, low, high] = canvas("uniform_in", shape.into(), low, high);
        let (kind, ticket) = (uniform_draw(x.dtype()), self.ticket());
        let program = pointwise(move |[x, low, high]| low + (high - low) * on(x, kind, ticket));
        program.named("uniform_in").call([&x, &low, &high])
    }

    /// Normal with mean `mean` and standard deviation `std`, numbers or tensors that broadcast to `shape`: mean + std·z
    /// with z standard normal. Differentiable by both. Tensors say element type and device, else it is single precision
    /// on the default.
    #[track_caller]
    pub fn normal_with(&self, mean: impl Operand, std: impl Operand, shape: impl Into<Shape>) -> Tensor {
        let [x, mean, std] = canvas("normal_with", shape.into(), mean, std);
        let ticket = self.ticket();
        let program = pointwise(move |[x, mean, std]| mean + std * on(x, Draw::Normal, ticket));
        program.named("normal_with").call([&x, &mean, &std])
    }

    /// Exponential with rate `rate` (mean 1/rate), a number or a tensor that broadcasts to `shape`: −ln(1 − u)/rate with u
    /// uniform in [0, 1). Differentiable by the rate.
    #[track_caller]
    pub fn exponential(&self, rate: impl Operand, shape: impl Into<Shape>) -> Tensor {
        let [x, rate, _] = canvas("exponential", shape.into(), rate, 0.0);
        let (kind, ticket) = (uniform_draw(x.dtype()), self.ticket());
        let program = pointwise(move |[x, rate]| -(-on(x, kind, ticket)).log1p() / rate);
        program.named("exponential").call([&x, &rate])
    }

    /// True (`Bool`) with probability `p`, a number or a tensor that broadcasts to `shape`.
    #[track_caller]
    pub fn bernoulli(&self, p: impl Operand, shape: impl Into<Shape>) -> Tensor {
        let [x, p, _] = canvas("bernoulli", shape.into(), p, 0.0);
        let (kind, ticket) = (uniform_draw(x.dtype()), self.ticket());
        pointwise(move |[x, p]| on(x, kind, ticket).lt(p)).named("bernoulli").call([&x, &p.detach()])
    }

    /// Integers (`I64`) from `range`, on the default device. The probabilities are equal to within 2⁻⁵³.
    ///
    /// # Panics
    /// If the range is empty or reaches beyond ±2⁵³.
    ///
    /// ```
    /// # use cotangent_core::*;
    /// let dice = Rng::new(1).randint(1..7, [100]);
    /// assert!(dice.to_vec::<i64>().iter().all(|k| (1..7).contains(k)));
    /// ```
    #[track_caller]
    pub fn randint(&self, range: Range<i64>, shape: impl Into<Shape>) -> Tensor {
        const LARGEST: i64 = 1 << 53;
        let (low, high) = (range.start, range.end);
        if low >= high || low < -LARGEST || high > LARGEST || high - low > LARGEST {
            panic!("randint: no integers can be drawn from {low}..{high}; it must not be empty nor reach beyond ±2⁵³");
        }
        let shape = shape.into();
        let u = self.uniform_like(&Device::default().zeros(shape, DType::F64));
        let span = (high - low) as f64;
        (u * span).floor().to(DType::I64) + low as f64
    }

    /// The numbers 0 to `n − 1` (`I64`) in random order, on the default device.
    #[track_caller]
    pub fn permutation(&self, n: usize) -> Tensor {
        self.uniform_like(&Device::default().zeros([n], DType::F64)).argsort(0, false)
    }

    /// `count` positions (`I64`) along the last axis of `weights`, each with a probability proportional to its weight; the
    /// weights need not add up to 1. Without replacement no position comes twice, and they come in the order in which
    /// they would be drawn one by one (Efraimidis and Spirakis 2006).
    ///
    /// # Panics
    /// If a weight is negative or not finite, all are 0, or, without replacement, fewer than `count` are positive.
    ///
    /// ```
    /// # use cotangent_core::*;
    /// let weights = Tensor::new([0.0, 1.0, 3.0], [3]);
    /// let drawn = Rng::new(1).multinomial(&weights, 2, false);
    /// assert!(drawn.to_vec::<i64>().iter().all(|&k| k > 0));
    /// ```
    #[track_caller]
    pub fn multinomial(&self, weights: &Tensor, count: usize, replacement: bool) -> Tensor {
        let op = "multinomial";
        let shape = weights.shape();
        if weights.rank() == 0 || !weights.dtype().is_float() {
            panic!(
                "{op}: takes a vector of weights, or several, of floating-point numbers, not {} of shape {shape}",
                weights.dtype()
            );
        }
        let w = weights.detach().to(DType::F64);
        let n = shape[shape.len() - 1];
        let mut drawn = shape.clone();
        drawn[shape.len() - 1] = count;
        if n > 0 && w.count() == 0 {
            return w.device().zeros(drawn, DType::I64);
        }
        if n == 0 {
            panic!("{op}: weights of shape {shape} leave nothing to draw from");
        }
        let needed = if replacement { 1 } else { count };
        let sound = pointwise(|[w]| w.ge(0.0).logical_and(w.is_finite())).fold(Fold::Min, .., [&w]);
        let positive = pointwise(|[w]| w.gt(0.0)).fold(Fold::Sum, -1, [&w]);
        if sound.item() == 0.0 || positive.min(..).item() < needed as f64 {
            panic!("{op}: weights of shape {shape} must be finite, not negative, and {needed} of each row positive");
        }
        if !replacement {
            // The first arrivals of independent exponential clocks.
            let ticket = self.ticket();
            let clock = pointwise(move |[w]| -(-on(w, Draw::Uniform53, ticket)).log1p() / w).named(op).call([&w]);
            return clock.argsort(-1, false).narrow(-1, 0, count).contiguous();
        }
        let running = w.cumsum(-1);
        let total = running.narrow(-1, n - 1, 1);
        let u = self.uniform_like(&w.device().zeros(drawn, DType::F64)) * total;
        // How many running sums the drawn point has passed.
        let passed = pointwise(|[sum, u]| sum.le(u)).named(op);
        passed.fold(Fold::Sum, -1, [&running.unsqueeze(-2), &u.unsqueeze(-1)])
    }

    /// Standard normal, limited to `range`, single precision, on the default device: mean + std·z has other moments. By
    /// the inverse of the distribution function, in `f64`.
    ///
    /// # Panics
    /// If the range is empty.
    ///
    /// ```
    /// # use cotangent_core::*;
    /// let z = Rng::new(1).truncated_normal(-2.0..2.0, [100]);
    /// assert!(z.to_vec::<f32>().iter().all(|z| z.abs() <= 2.0));
    /// ```
    #[track_caller]
    pub fn truncated_normal(&self, range: Range<f64>, shape: impl Into<Shape>) -> Tensor {
        self.truncated_normal_like(range, &Tensor::zeros(shape))
    }

    /// As [`truncated_normal`](Rng::truncated_normal), with the shape, element type and device of `x`.
    #[track_caller]
    pub fn truncated_normal_like(&self, range: Range<f64>, x: &Tensor) -> Tensor {
        let (low, high) = (range.start, range.end);
        // Also refuses NaN.
        if !matches!(low.partial_cmp(&high), Some(std::cmp::Ordering::Less)) {
            panic!("truncated_normal: nothing lies in the range {low}..{high}");
        }
        // In the upper tail probabilities would round to 1: draw from the mirrored range.
        let sign = if low > 0.0 { -1.0 } else { 1.0 };
        let (low, high) = if low > 0.0 { (-high, -low) } else { (low, high) };
        let below = |z: f64| 0.5 * libm::erfc(-z * std::f64::consts::FRAC_1_SQRT_2);
        let (from, to) = (below(low), below(high));
        let u = self.uniform_like(&x.device().zeros(x.shape(), DType::F64));
        let draw = pointwise(move |[u]| {
            // Half a step in from 0, whose quantile is infinite.
            let p = from + (u + 0.5 / (1u64 << 53) as f64) * (to - from);
            // Rounding may reach 0 or 1, whose quantiles are infinite, too.
            let p = p.maximum(f64::MIN_POSITIVE).minimum(1.0 - f64::EPSILON / 2.0);
            sign * normal_quantile(p).maximum(low).minimum(high)
        });
        draw.named("truncated_normal").call([u]).to(x.dtype())
    }
}

/// A draw at every element of the argument `x`, whose value does not matter: 0·x would not be 0 for infinite x.
fn on(x: Expr, kind: Draw, ticket: Ticket) -> Expr {
    draw(kind, ticket) + 0.0 * x.is_nan()
}

fn uniform_draw(dtype: DType) -> Draw {
    if dtype == DType::F64 { Draw::Uniform53 } else { Draw::Uniform }
}

/// Zeros of the shape to draw in, and two parameters as tensors of its type on its device.
#[track_caller]
fn canvas(op: &str, shape: Shape, a: impl Operand, b: impl Operand) -> [Tensor; 3] {
    checked_count(op, &shape);
    let like = a.tensor().or(b.tensor());
    let (device, dtype) = like.map_or((Device::default(), DType::F32), |x| (x.device().clone(), x.dtype()));
    if !dtype.is_float() {
        panic!("{op}: a parameter holds {dtype}; convert it with .to(DType::F32)");
    }
    for x in [a.tensor(), b.tensor()].into_iter().flatten() {
        if x.shape().broadcast(&shape).as_ref() != Some(&shape) {
            panic!(
                "{op}: a parameter of shape {} does not broadcast to shape {shape}; extents must be equal or 1",
                x.shape()
            );
        }
    }
    let tensor = |p: Option<&Tensor>, number: Option<f64>| match p {
        Some(x) => x.clone(),
        None => device.full((), number.expect("an operand is a tensor or a number"), dtype),
    };
    let (first, second) = (tensor(a.tensor(), a.number()), tensor(b.tensor(), b.number()));
    [device.zeros(shape, dtype), first, second]
}

/// The z below which a standard normal number lies with probability p, for 0 < p < 1, to 1e-16 relative (Wichura 1988,
/// algorithm AS 241).
fn normal_quantile(p: Expr) -> Expr {
    let ratio = |r: Expr, over: [f64; 8], under: [f64; 8]| {
        let polynomial =
            |c: [f64; 8]| c.into_iter().map(Expr::constant).reduce(|sum, c| sum * r + c).expect("not empty");
        polynomial(over) / polynomial(under)
    };
    let q = p - 0.5;
    let tail = (-p.minimum(1.0 - p).log()).sqrt();
    let middle = q * ratio(0.180625 - q * q, MIDDLE[0], MIDDLE[1]);
    let near = ratio(tail - 1.6, NEAR[0], NEAR[1]);
    let far = ratio(tail - 5.0, FAR[0], FAR[1]);
    q.abs().le(0.425).select(middle, q.sign() * tail.le(5.0).select(near, far))
}

/// Numerator and denominator for p within 0.425 of ½, highest power first.
#[allow(clippy::excessive_precision)] // as published
const MIDDLE: [[f64; 8]; 2] = [
    [
        2.5090809287301226727e3,
        3.3430575583588128105e4,
        6.7265770927008700853e4,
        4.5921953931549871457e4,
        1.3731693765509461125e4,
        1.9715909503065514427e3,
        1.3314166789178437745e2,
        3.3871328727963666080e0,
    ],
    [
        5.2264952788528545610e3,
        2.8729085735721942674e4,
        3.9307895800092710610e4,
        2.1213794301586595867e4,
        5.3941960214247511077e3,
        6.8718700749205790830e2,
        4.2313330701600911252e1,
        1.0,
    ],
];
/// For √(−ln p) up to 5.
#[allow(clippy::excessive_precision)] // as published
const NEAR: [[f64; 8]; 2] = [
    [
        7.74545014278341407640e-4,
        2.27238449892691845833e-2,
        2.41780725177450611770e-1,
        1.27045825245236838258e0,
        3.64784832476320460504e0,
        5.76949722146069140550e0,
        4.63033784615654529590e0,
        1.42343711074968357734e0,
    ],
    [
        1.05075007164441684324e-9,
        5.47593808499534494600e-4,
        1.51986665636164571966e-2,
        1.48103976427480074590e-1,
        6.89767334985100004550e-1,
        1.67638483018380384940e0,
        2.05319162663775882187e0,
        1.0,
    ],
];
/// For √(−ln p) above 5.
#[allow(clippy::excessive_precision)] // as published
const FAR: [[f64; 8]; 2] = [
    [
        2.01033439929228813265e-7,
        2.71155556874348757815e-5,
        1.24266094738807843860e-3,
        2.65321895265761230930e-2,
        2.96560571828504891230e-1,
        1.78482653991729133580e0,
        5.46378491116411436990e0,
        6.65790464350110377720e0,
    ],
    [
        2.04426310338993978564e-15,
        1.42151175831644588870e-7,
        1.84631831751005468180e-5,
        7.86869131145613259100e-4,
        1.48753612908506148525e-2,
        1.36929880922735805310e-1,
        5.99832206555887937690e-1,
        1.0,
    ],
];

crate::samples!("random", |s| {
    use crate::check::real;
    s.case("uniform", [real([3, 5], 0.0..1.0)], |[x]| Rng::new(1).uniform_like(x)).own_precision().orders(0);
    s.case("normal", [real([3, 5], 0.0..1.0)], |[x]| Rng::new(1).normal_like(x)).own_precision().orders(0);
});
crate::samples!("uniform_in", |s| {
    use crate::check::real;
    let inputs = [real([3], -2.0..0.0), real([2, 1], 0.5..2.0)];
    s.case("both broadcast", inputs, |[low, high]| Rng::new(1).uniform_in(low, high, [2, 3])).own_precision();
});
crate::samples!("normal_with", |s| {
    use crate::check::real;
    let inputs = [real([3], -2.0..2.0), real([2, 1], 0.5..2.0)];
    s.case("both broadcast", inputs, |[mean, std]| Rng::new(1).normal_with(mean, std, [2, 3])).own_precision();
});
crate::samples!("exponential", |s| {
    let inputs = [crate::check::real([3], 0.5..2.0)];
    s.case("rates", inputs, |[rate]| Rng::new(1).exponential(rate, [2, 3])).own_precision();
});
crate::samples!("bernoulli", |s| {
    let inputs = [crate::check::real([3], 0.1..0.9)];
    s.case("probabilities", inputs, |[p]| Rng::new(1).bernoulli(p, [4, 3])).own_precision().orders(0);
});
crate::samples!("truncated_normal", |s| {
    let inputs = [crate::check::real([3, 5], 0.0..1.0)];
    s.case("both tails", inputs, |[x]| Rng::new(1).truncated_normal_like(-2.0..2.0, x)).own_precision().orders(0);
});
crate::samples!("multinomial", |s| {
    let weights = || [crate::check::real([2, 5], 0.1..1.0)];
    s.case("with replacement", weights(), |[w]| Rng::new(1).multinomial(w, 7, true)).own_precision().orders(0);
    s.case("without", weights(), |[w]| Rng::new(1).multinomial(w, 3, false)).own_precision().orders(0);
});

#[cfg(test)]
mod tests {
    use super::*;

    #[allow(clippy::excessive_precision)] // as computed
    /// Values of Φ⁻¹ to 17 digits, by mpmath with 60.
    #[test]
    fn normal_quantile_is_exact() {
        let table = [
            (0.3, -0.52440051270804081597),
            (0.07500001, -1.4395314002947509232),
            (0.0749, -1.4402382675279636631),
            (0.02, -2.0537489106318230443),
            (1e-5, -4.2648907939228246102),
            (1e-12, -7.0344838253011319326),
            (1e-30, -11.46402468844361572),
            (1e-300, -37.047096299361199237),
            (0.93, 1.475791028179171099),
            (0.99999, 4.2648907939238407699),
            (0.5, 0.0),
        ];
        let p: Vec<f64> = table.iter().map(|row| row.0).collect();
        let z = pointwise(|[p]: [Expr; 1]| normal_quantile(p)).call([&Device::reference().tensor(&p, [p.len()])]);
        for ((p, expected), z) in table.iter().zip(z.to_vec::<f64>()) {
            assert!((z - expected).abs() <= 4e-15 * expected.abs(), "{p}: {z} instead of {expected}");
        }
    }
}
