//! Activation functions: each is one scalar formula.

use crate::check::{Samples, given};
use crate::expr::Expr;
use crate::pointwise::pointwise;
use crate::tensor::Tensor;
use std::f64::consts::{FRAC_1_SQRT_2, FRAC_2_SQRT_PI, SQRT_2};

/// α of Klambauer et al., "Self-Normalizing Neural Networks" (2017).
const SELU_ALPHA: f64 = 1.6732632423543772848170429916717;
/// λ of the same paper.
const SELU_SCALE: f64 = 1.0507009873554804934193349852946;

/// The formulas, for use inside of other formulas.
impl Expr {
    /// x·σ(x).
    pub fn silu(self) -> Expr {
        self * self.sigmoid()
    }

    /// x·Φ(x), Φ the normal distribution function; by erfc, which keeps the left tail.
    pub fn gelu(self) -> Expr {
        0.5 * self * (-FRAC_1_SQRT_2 * self).erfc()
    }

    /// ln σ(x), without overflow.
    pub fn log_sigmoid(self) -> Expr {
        -(-self).softplus()
    }
}

impl Tensor {
    /// ln σ(x) = −ln(1 + e⁻ˣ), without overflow.
    #[track_caller]
    pub fn log_sigmoid(&self) -> Tensor {
        pointwise(|[x]| x.log_sigmoid()).named("log_sigmoid").call([self])
    }

    /// min(max(x, 0), 6); the gradient is 0 at 0 and at 6.
    #[track_caller]
    pub fn relu6(&self) -> Tensor {
        self.hardtanh(0.0, 6.0)
    }

    /// x where it is positive, else slope·x; the gradient at 0 is `slope`. Usual slopes: 0.01, 0.2, 0.3.
    #[track_caller]
    pub fn leaky_relu(&self, slope: f64) -> Tensor {
        pointwise(move |[x]| x.gt(0.0).select(x, slope * x)).named("leaky_relu").call([self])
    }

    /// x where it is positive, else weight·x, with a learned slope (He et al. 2015); the gradient by x at 0 is the slope.
    /// The slope broadcasts: a scalar, or `[channels, 1, 1]` for images.
    #[track_caller]
    pub fn prelu(&self, weight: &Tensor) -> Tensor {
        pointwise(|[x, a]| x.gt(0.0).select(x, a * x)).named("prelu").call([self, weight])
    }

    /// x where it is positive, else α(eˣ − 1) (Clevert et al. 2015); the gradient at 0 is α. Usual: 1.
    #[track_caller]
    pub fn elu(&self, alpha: f64) -> Tensor {
        pointwise(move |[x]| x.gt(0.0).select(x, alpha * x.expm1())).named("elu").call([self])
    }

    /// x where it is positive, else α(e^(x/α) − 1) (Barron 2017): smooth for every α. Usual: 1.
    #[track_caller]
    pub fn celu(&self, alpha: f64) -> Tensor {
        pointwise(move |[x]| x.gt(0.0).select(x, alpha * (x / alpha).expm1())).named("celu").call([self])
    }

    /// λ·elu(x, α) with the constants that keep mean 0 and variance 1 (Klambauer et al. 2017).
    #[track_caller]
    pub fn selu(&self) -> Tensor {
        let formula = |[x]: [Expr; 1]| x.gt(0.0).select(SELU_SCALE * x, (SELU_SCALE * SELU_ALPHA) * x.expm1());
        pointwise(formula).named("selu").call([self])
    }

    /// x·Φ(x), Φ the normal distribution function (Hendrycks and Gimpel 2016): the exact form.
    #[track_caller]
    pub fn gelu(&self) -> Tensor {
        pointwise(|[x]| x.gelu()).named("gelu").call([self])
    }

    /// ½x(1 + tanh(√(2/π)(x + 0.044715x³))): the approximation of [`gelu`](Tensor::gelu) that GPT-2 and BERT use.
    #[track_caller]
    pub fn gelu_tanh(&self) -> Tensor {
        // ½(1 + tanh u) = σ(2u), which keeps the left tail.
        const SLOPE: f64 = SQRT_2 * FRAC_2_SQRT_PI;
        let formula = |[x]: [Expr; 1]| {
            let near = x.maximum(-50.0).minimum(50.0); // where σ has long been 0 or 1; the cube must not overflow
            x * (SLOPE * (near + 0.044715 * (near * near * near))).sigmoid()
        };
        pointwise(formula).named("gelu_tanh").call([self])
    }

    /// x·σ(x), also known as swish (Elfwing et al. 2017).
    #[track_caller]
    pub fn silu(&self) -> Tensor {
        pointwise(|[x]| x.silu()).named("silu").call([self])
    }

    /// x·tanh(softplus(x)) (Misra 2019).
    #[track_caller]
    pub fn mish(&self) -> Tensor {
        pointwise(|[x]| x * x.softplus().tanh()).named("mish").call([self])
    }

    /// x cut to `min..=max`, usually −1 to 1; the gradient is 1 between the bounds and 0 at them. See
    /// [`clamp`](Tensor::clamp) for a gradient of 1 at the bounds.
    ///
    /// # Panics
    /// If `min` is above `max`.
    #[track_caller]
    pub fn hardtanh(&self, min: f64, max: f64) -> Tensor {
        assert!(min <= max, "hardtanh: the lower bound {min} is above the upper one {max}");
        let formula = move |[x]: [Expr; 1]| x.le(min).select(min, x.ge(max).select(max, x));
        pointwise(formula).named("hardtanh").call([self])
    }

    /// (x + 3)/6 cut to 0..=1; the gradient is 0 at ±3.
    #[track_caller]
    pub fn hardsigmoid(&self) -> Tensor {
        let formula = |[x]: [Expr; 1]| x.le(-3.0).select(0.0, x.ge(3.0).select(1.0, (x + 3.0) / 6.0));
        pointwise(formula).named("hardsigmoid").call([self])
    }

    /// x·hardsigmoid(x) (Howard et al. 2019); the gradient is 0 at −3 and 1 at 3.
    #[track_caller]
    pub fn hardswish(&self) -> Tensor {
        let formula = |[x]: [Expr; 1]| x.le(-3.0).select(0.0, x.ge(3.0).select(x, x * (x + 3.0) / 6.0));
        pointwise(formula).named("hardswish").call([self])
    }

    /// x/(1 + |x|).
    #[track_caller]
    pub fn softsign(&self) -> Tensor {
        // The second form does not cancel in the derivative for large x, and is ±1 at ±∞.
        let formula = |[x]: [Expr; 1]| {
            let share = 1.0 / (x.abs() + 1.0);
            x.abs().lt(1.0).select(x * share, x.sign() * (1.0 - share))
        };
        pointwise(formula).named("softsign").call([self])
    }

    /// x − tanh(x).
    #[track_caller]
    pub fn tanhshrink(&self) -> Tensor {
        pointwise(|[x]| x - x.tanh()).named("tanhshrink").call([self])
    }

    /// x where |x| > λ, else 0. Usual: 0.5.
    #[track_caller]
    pub fn hardshrink(&self, lambda: f64) -> Tensor {
        pointwise(move |[x]| x.abs().le(lambda).select(0.0, x)).named("hardshrink").call([self])
    }

    /// x moved towards 0 by λ, and 0 where |x| ≤ λ: the proximal step of λ·Σ|x|. Usual: 0.5.
    #[track_caller]
    pub fn softshrink(&self, lambda: f64) -> Tensor {
        pointwise(move |[x]| x.abs().le(lambda).select(0.0, x - lambda * x.sign())).named("softshrink").call([self])
    }
}

/// Numbers on both sides of every kink above, and away from them.
const FAR: &[f64] = &[-1.9, -1.1, -0.3, 0.2, 1.05, 1.8];

fn unary(s: &mut Samples, f: impl Fn(&Tensor) -> Tensor + Send + Sync + 'static) {
    s.case("both sides", [given([2, 3], FAR)], move |[x]| f(x));
}

crate::samples!("log_sigmoid", |s| unary(s, Tensor::log_sigmoid));
crate::samples!("selu", |s| unary(s, Tensor::selu));
crate::samples!("gelu", |s| unary(s, Tensor::gelu));
crate::samples!("gelu_tanh", |s| unary(s, Tensor::gelu_tanh));
crate::samples!("silu", |s| unary(s, Tensor::silu));
crate::samples!("mish", |s| unary(s, Tensor::mish));
crate::samples!("softsign", |s| unary(s, Tensor::softsign));
crate::samples!("tanhshrink", |s| unary(s, Tensor::tanhshrink));
crate::samples!("leaky_relu", |s| unary(s, |x| x.leaky_relu(0.1)));
crate::samples!("elu", |s| unary(s, |x| x.elu(1.3)));
crate::samples!("celu", |s| unary(s, |x| x.celu(1.3)));
crate::samples!("hardtanh", |s| {
    unary(s, |x| x.hardtanh(-1.5, 1.25));
    s.case("relu6", [given([5], &[-2.0, 0.5, 3.0, 5.5, 7.0])], |[x]| x.relu6());
});
crate::samples!("hardsigmoid", |s| unary(s, |x| (x * 2.0).hardsigmoid()));
crate::samples!("hardswish", |s| unary(s, |x| (x * 2.0).hardswish()));
crate::samples!("hardshrink", |s| unary(s, |x| x.hardshrink(0.7)));
crate::samples!("softshrink", |s| unary(s, |x| x.softshrink(0.7)));
crate::samples!("prelu", |s| {
    s.case("one slope", [given([2, 3], FAR), given((), &[0.25])], |[x, a]| x.prelu(a));
    s.case("a slope for each channel", [given([2, 3, 1], FAR), given([3, 1], &[0.25, -0.5, 2.0])], |[x, a]| x.prelu(a));
});
