//! The four ways to an operation of your own, from the least work to the most. Each is checked as the built-in ones
//! are: gradients of orders 1 and 2 against differences, and by hand.

mod common;
#[path = "common/kernels.rs"]
mod kernels;

use cotangent_core::check::gradcheck;
use cotangent_core::*;
use kernels::diffuse;

fn x(data: &[f64], shape: [usize; 2]) -> Tensor {
    Tensor::from_slice(data, shape).tracked()
}

fn values(x: &Tensor) -> Vec<f64> {
    x.detach().to(DType::F64).to_vec()
}

// ---- 1. A composite: a function of tensors. Nothing to do but to write it.

/// Cosine of the angle between the rows of two matrices.
#[track_caller]
fn cosine(a: &Tensor, b: &Tensor) -> Tensor {
    let lengths = (a.square().sum(-1) * b.square().sum(-1)).sqrt();
    (a * b).sum(-1) / lengths
}

#[test]
fn composite() {
    let (a, b) = (x(&[3.0, 4.0, 1.0, 0.0], [2, 2]), x(&[4.0, 3.0, 1.0, 1.0], [2, 2]));
    approx::assert_relative_eq!(
        cosine(&a, &b).detach(),
        Tensor::from_slice(&[24.0 / 25.0, 0.5f64.sqrt()], [2]),
        max_relative = 1e-15
    );
    gradcheck(|[a, b]| cosine(a, b), [&a, &b]).assert_ok();
}

// ---- 2. A scalar function: one closure is the CPU's loop, CUDA's kernel and the derivatives of every order, in one pass.

/// x·tanh(ln(1 + eˣ)) to the power of a captured number: mish (Misra 2019), softened.
fn soft_mish(x: &Tensor, power: f64) -> Tensor {
    pointwise(move |[x]| x * x.softplus().tanh().pow(power)).named("soft_mish").call([x])
}

/// Several outputs in one pass: polar coordinates of (x, y).
fn polar(x: &Tensor, y: &Tensor) -> [Tensor; 2] {
    pointwise(|[x, y]| [x.hypot(y), y.atan2(x)]).named("polar").call([x, y])
}

/// A fold without storing what is folded: Σ |a − b|ᵖ over an axis.
fn distance(a: &Tensor, b: &Tensor, p: f64) -> Tensor {
    pointwise(move |[a, b]| (a - b).abs().pow(p)).named("distance").fold(Fold::Sum, -1, [a, b])
}

#[test]
fn pointwise_closures() {
    let a = x(&[0.5, -1.0, 2.0, 0.25], [2, 2]);
    let row = x(&[3.0, -4.0], [1, 2]);
    let mish = |x: f64| x * x.exp().ln_1p().tanh().powf(1.5);
    let expected: Vec<f64> = values(&a).into_iter().map(mish).collect();
    approx::assert_relative_eq!(
        soft_mish(&a, 1.5).detach(),
        Tensor::from_slice(&expected, [2, 2]),
        max_relative = 1e-14
    );
    gradcheck(|[a]| soft_mish(a, 1.5), [&a]).assert_ok();
    // Broadcasting is undone by the engine.
    let [radius, angle] = polar(&row, &x(&[4.0, 3.0], [2, 1]));
    assert_eq!(values(&radius), [5.0, 32f64.sqrt(), 18f64.sqrt(), 5.0]);
    assert_eq!((radius.shape(), angle.history()[0].op), (&Shape::from([2, 2]), "polar"));
    gradcheck(|[x, y]| polar(x, y), [&row, &x(&[4.0, 3.0], [2, 1])]).assert_ok();
    assert_eq!(values(&distance(&a, &row, 3.0)), [2.5f64.powi(3) + 27.0, 1.0 + 4.25f64.powi(3)]);
    gradcheck(|[a, b]| distance(a, b, 3.0), [&a, &row]).assert_ok();
}

// ---- 3. A structural operation: the result by any means, and the gradient by each input as tensor operations.

/// The matrices of a batch, each to an integer power, computed without a record of the steps. The gradient of
/// Y = Xⁿ is Σₖ (Xᵀ)ᵏ·g·(Xᵀ)ⁿ⁻¹⁻ᵏ.
#[track_caller]
fn matrix_power(x: &Tensor, n: usize) -> Tensor {
    let [.., rows, columns] = x.shape()[..] else { panic!("matrix_power: shape {} is no matrix", x.shape()) };
    assert!(
        rows == columns && n > 0,
        "matrix_power: power {n} of shape {}: needs squares, and a power from 1",
        x.shape()
    );
    let power = |x: &Tensor, n: usize| (1..n).fold(x.clone(), |y, _| y.matmul(x));
    let y = no_grad(|| power(x, n)).detach();
    y.record("matrix_power")
        .wrt(x, [x], move |g, [x]| {
            let t = x.t();
            let term = |k: usize| {
                let left = if k == 0 { g.clone() } else { power(&t, k).matmul(g) };
                if k + 1 == n { left } else { left.matmul(&power(&t, n - 1 - k)) }
            };
            (1..n).fold(term(0), |sum, k| sum + term(k))
        })
        .done()
}

/// Two inputs that share work, and a rule that reads the output: y = a·eᵇ.
#[track_caller]
fn scaled_exp(a: &Tensor, b: &Tensor) -> Tensor {
    let y = no_grad(|| a * b.exp()).detach();
    y.record("scaled_exp").wrt(a, [b], |g, [b]| g * b.exp()).wrt_output(b, [], |g, y, []| g * y).done()
}

#[test]
fn structural() {
    let a = x(&[1.0, 2.0, 0.0, 1.0], [2, 2]);
    assert_eq!(values(&matrix_power(&a, 5)), [1.0, 10.0, 0.0, 1.0]);
    // The one whose gradient is known: ∂ tr(X³) / ∂X = 3 (X²)ᵀ.
    let trace = |y: &Tensor| (y * &Tensor::from_slice(&[1.0, 0.0, 0.0, 1.0], [2, 2])).sum(..);
    assert_eq!(values(&trace(&matrix_power(&a, 3)).backward()[&a]), [3.0, 0.0, 12.0, 3.0]);
    gradcheck(|[a]| matrix_power(a, 3), [&x(&[0.5, -0.2, 0.3, 1.1], [2, 2])]).assert_ok();
    gradcheck(|[a, b]| scaled_exp(a, b), [&a, &x(&[0.5, -1.0], [1, 2])]).assert_ok();
    // An untracked input saves nothing and is never asked for.
    let constant = a.detach();
    assert!(!matrix_power(&constant, 2).is_tracked());
    let y = scaled_exp(&constant, &a);
    assert_eq!(y.history()[0].inputs.len(), 1);
}

/// `custom_vjp` replaces the gradient of something that exists: here, rounding whose gradient passes through (Bengio,
/// Léonard and Courville 2013).
#[test]
fn replaced_gradient() {
    let a = x(&[0.4, 1.6], [1, 2]);
    let y = custom_vjp("round_through", [&a], |[a]| a.round(), |g, _, _| [g.clone()]);
    assert_eq!(values(&y), [0.0, 2.0]);
    assert_eq!(values(&y.square().sum(..).backward()[&a]), [0.0, 4.0]);
}

// ---- 4. A kernel: a function for host memory and its twin in CUDA C, for what the others cannot say well.

#[test]
fn kernel() {
    let a = x(&[1.0, 2.0, 4.0, 0.0, 8.0, -2.0], [2, 3]);
    let y = diffuse(&a, 0.25);
    // x₀ + (0 − 2x₀ + x₁)/4, and so on.
    assert_eq!(values(&y), [1.0, 2.25, 2.5, 2.0, 3.5, 1.0]);
    gradcheck(|[a]| diffuse(a, 0.25), [&a]).assert_ok();
    gradcheck(|[a]| diffuse(&a.sin(), 0.3), [&a]).assert_ok();
    // Any layout and element type; twice is two steps.
    let turned = diffuse(&a.t(), 0.25);
    assert_eq!(turned.shape(), [3, 2]);
    assert_eq!(values(&diffuse(&a.to(DType::BF16), 0.25)), values(&y));
    let two = diffuse(&diffuse(&a, 0.25), 0.25);
    assert_eq!(two.history().iter().map(|s| s.op).collect::<Vec<_>>(), ["diffuse", "diffuse", "leaf"]);
    // Conserved but for what leaves at the ends.
    assert_eq!(values(&diffuse(&x(&[0.0, 1.0, 0.0], [1, 3]), 0.25)), [0.25, 0.5, 0.25]);
}

#[test]
fn misuse_names_the_operation_at_the_callers_line() {
    let here = line!() + 1;
    let panic = common::panic_of(|| drop(diffuse(&Tensor::from_slice(&[1i64], [1]), 0.5)));
    assert_eq!(panic.message, "diffuse: needs rows of floating-point numbers, got i64 of shape [1]");
    assert_eq!((panic.file.as_str(), panic.line), (file!(), here));
    let here = line!() + 1;
    let panic = common::panic_of(|| drop(cosine(&Tensor::ones([2, 3]), &Tensor::ones([2, 2]))));
    assert!(panic.message.contains("shapes [2, 3] and [2, 2] do not broadcast"), "{}", panic.message);
    assert_eq!((panic.file.as_str(), panic.line), (file!(), here));
}
