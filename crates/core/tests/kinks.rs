//! Derivatives at kinks, ties and singular points: the conventions of this framework as a table, in every
//! precision. Others differ: JAX has |x|' = 1 at 0 and NaN for a norm at 0, PyTorch has 0 for clamp at its bounds.

#![allow(clippy::needless_borrows_for_generic_args)] // formulas as users write them

use cotangent_core::{CrossEntropy, DType, Device, Reduction, Tensor, anomaly, attempt, pointwise};

const INF: f64 = f64::INFINITY;
const NAN: f64 = f64::NAN;

/// A function of one tensor, a point, and the gradient of the sum of the function there.
type Row = (&'static str, fn(&Tensor) -> Tensor, &'static [f64], &'static [f64]);

/// A number of x's element type.
fn number(x: &Tensor, value: f64) -> Tensor {
    vector(x, &[value]).reshape(())
}

/// A vector of x's element type.
fn vector(x: &Tensor, data: &[f64]) -> Tensor {
    x.device().tensor(data, [data.len()]).to(x.dtype())
}

const ONE_SIDED: &[Row] = &[
    ("relu at 0", |x| x.relu(), &[0.0], &[0.0]),
    ("relu6 at 0 and 6", |x| x.relu6(), &[0.0, 6.0], &[0.0, 0.0]),
    ("leaky_relu at 0", |x| x.leaky_relu(0.25), &[0.0], &[0.25]),
    ("prelu at 0", |x| x.prelu(&number(x, 0.25)), &[0.0], &[0.25]),
    ("abs at 0", |x| x.abs(), &[0.0, -0.0], &[0.0, 0.0]),
    ("elu at 0", |x| x.elu(1.5), &[0.0], &[1.5]),
    ("celu at 0", |x| x.celu(1.5), &[0.0], &[1.0]),
    ("clamp at its bounds", |x| x.clamp(-1.0, 1.0), &[-1.0, 1.0, -2.0, 2.0], &[1.0, 1.0, 0.0, 0.0]),
    ("clamp at bounds of tensors", |x| x.clamp(&number(x, -1.0), &number(x, 1.0)), &[-1.0, 1.0, 2.0], &[1.0, 1.0, 0.0]),
    ("clamp_min and clamp_max", |x| x.clamp_min(1.0) + x.clamp_max(1.0), &[1.0], &[2.0]),
    ("hardtanh at its bounds", |x| x.hardtanh(-1.0, 1.0), &[-1.0, 1.0], &[0.0, 0.0]),
    ("hardsigmoid at its bounds", |x| x.hardsigmoid(), &[-3.0, 3.0], &[0.0, 0.0]),
    ("hardswish at its bounds", |x| x.hardswish(), &[-3.0, 3.0], &[0.0, 1.0]),
    ("hardshrink and softshrink", |x| x.hardshrink(0.5) + x.softshrink(0.5), &[0.5, -0.5, 1.0], &[0.0, 0.0, 2.0]),
    ("sqrt at 0", |x| x.sqrt(), &[0.0], &[INF]),
    ("round, floor, ceil, trunc", |x| x.round() + x.floor() + x.ceil() + x.trunc(), &[0.0, 0.5, 1.0], &[0.0, 0.0, 0.0]),
    ("sign", |x| x.sign(), &[0.0, 2.0], &[0.0, 0.0]),
    ("l1 at 0", |x| x.l1_loss(&vector(x, &[1.0]), Reduction::Sum), &[1.0], &[0.0]),
    ("huber at its bend", |x| x.huber_loss(&vector(x, &[0.0, 0.0]), 2.0, Reduction::Sum), &[2.0, -2.0], &[2.0, -2.0]),
    ("nan_to_num", |x| x.nan_to_num(0.0, 1.0, -1.0), &[NAN, INF, 2.0], &[0.0, 0.0, 1.0]),
];

const TIES: &[Row] = &[
    ("maximum", |x| x.maximum(&number(x, 2.0)), &[2.0], &[0.5]),
    ("minimum", |x| x.minimum(&number(x, 2.0)), &[2.0], &[0.5]),
    ("maximum with itself", |x| x.maximum(x), &[2.0], &[1.0]),
    ("max shares", |x| x.max(..), &[3.0, 3.0, 1.0], &[0.5, 0.5, 0.0]),
    ("min shares", |x| x.min(..), &[1.0, 3.0, 1.0], &[0.5, 0.0, 0.5]),
    ("max_with_index takes the first", |x| x.max_with_index(..).0, &[1.0, 3.0, 3.0], &[0.0, 1.0, 0.0]),
    ("min_with_index takes the first", |x| x.min_with_index(..).0, &[3.0, 1.0, 1.0], &[0.0, 1.0, 0.0]),
    ("median takes the lower", |x| x.median(..).0, &[4.0, 1.0, 3.0, 2.0], &[0.0, 0.0, 0.0, 1.0]),
    ("cummax stays at the first", |x| x.cummax(0).0, &[3.0, 3.0, 1.0], &[3.0, 0.0, 0.0]),
    ("sort is stable", |x| x.sort(0, false).0.narrow(0, 0, 1), &[2.0, 1.0, 1.0], &[0.0, 1.0, 0.0]),
];

const SINGULAR: &[Row] = &[
    ("2-norm of 0", |x| x.norm(2.0, ..), &[0.0, 0.0], &[0.0, 0.0]),
    ("1-norm of 0", |x| x.norm(1.0, ..), &[0.0, 0.0], &[0.0, 0.0]),
    ("3-norm of 0", |x| x.norm(3.0, ..), &[0.0, 0.0], &[0.0, 0.0]),
    ("half-norm with a 0", |x| x.norm(0.5, ..), &[0.0, 4.0], &[0.0, 1.0]),
    ("largest norm of 0", |x| x.norm(INF, ..), &[0.0, 0.0], &[0.0, 0.0]),
    ("0-norm", |x| x.norm(0.0, ..), &[0.0, 2.0], &[0.0, 0.0]),
    ("standard deviation of equal elements", |x| x.std(.., 1.0), &[2.0, 2.0], &[0.0, 0.0]),
    ("standard deviation of one element", |x| x.std(.., 1.0), &[2.0], &[NAN]),
    ("x⁰ at 0", |x| x.pow(0.0), &[0.0], &[0.0]),
    ("0ʸ by y", |x| number(x, 0.0).pow(x), &[2.0, 0.0], &[0.0, 0.0]),
    ("hypot at 0", |x| x.hypot(x), &[0.0], &[0.0]),
    ("xlogy(0, 0)", |x| x.xlogy(x), &[0.0], &[0.0]),
    ("prod with one 0", |x| x.prod(..), &[0.0, 2.0, 3.0], &[6.0, 0.0, 0.0]),
    ("prod with two 0", |x| x.prod(..), &[0.0, 2.0, 0.0], &[0.0, 0.0, 0.0]),
    ("cumprod with a 0", |x| x.cumprod(0), &[0.0, 2.0, 3.0], &[9.0, 0.0, 0.0]),
    ("select with a bad branch", |x| x.gt(0.0).select(&x.sqrt(), &x.zeros_like()), &[0.0, 4.0], &[NAN, 0.25]),
    (
        "select in one formula",
        |x| pointwise(|[x]| x.gt(0.0).select(x.sqrt(), 0.0)).call([x]),
        &[0.0, 4.0],
        &[0.0, 0.25],
    ),
    ("select_safe", |x| x.gt(0.0).select_safe(x, 1.0, |x| x.sqrt()), &[0.0, 4.0], &[0.0, 0.25]),
    ("softmax of −∞", |x| x.softmax(0).narrow(0, 0, 1), &[-INF, -INF], &[NAN, NAN]),
    ("safe_softmax of −∞", |x| x.safe_softmax(0).narrow(0, 0, 1), &[-INF, -INF], &[0.0, 0.0]),
    ("logsumexp of −∞", |x| x.logsumexp(..), &[-INF, -INF], &[0.0, 0.0]),
    ("sigmoid far out", |x| x.sigmoid(), &[1000.0, -1000.0], &[0.0, 0.0]),
    ("elu far out", |x| x.elu(1.0), &[548.0, -1000.0], &[1.0, 0.0]),
    ("softplus far out", |x| x.softplus(), &[1000.0, -1000.0], &[1.0, 0.0]),
];

fn check(rows: &[Row]) {
    let device = Device::reference();
    for &dtype in &[DType::F64, DType::F32, DType::F16, DType::BF16] {
        for (label, f, point, expected) in rows {
            let x = device.tensor(point, [point.len()]).to(dtype).tracked();
            let grad =
                f(&x).sum(..).backward().get(&x).unwrap_or_else(|| panic!("{label}: no gradient")).to(DType::F64);
            for (k, (found, &expected)) in grad.to_vec::<f64>().into_iter().zip(*expected).enumerate() {
                let right = found == expected || (found.is_nan() && expected.is_nan());
                assert!(right, "{label} in {dtype}, element {k}: {found}, expected {expected}");
            }
        }
    }
}

#[test]
fn kinks() {
    check(ONE_SIDED);
}

#[test]
fn ties() {
    check(TIES);
}

#[test]
fn singular_points() {
    check(SINGULAR);
}

/// λα of "Self-Normalizing Neural Networks", to the digits that the paper gives.
#[test]
fn selu_at_zero() {
    let x = Device::reference().tensor(&[0.0f64], [1]).tracked();
    let slope = x.selu().sum(..).backward()[&x].item();
    assert!((slope - 1.7580993408473766).abs() < 1e-15, "{slope}");
}

#[test]
fn values_at_singular_points() {
    let x = |data: &[f64]| Device::reference().tensor(data, [data.len()]);
    assert!(x(&[-INF, -INF]).softmax(0).to_vec::<f64>().iter().all(|p| p.is_nan()));
    assert_eq!(x(&[-INF, -INF]).safe_softmax(0).to_vec::<f64>(), [0.0, 0.0]);
    assert_eq!(x(&[-INF, -INF]).logsumexp(..).item(), -INF);
    assert_eq!(x(&[INF, 1.0]).logsumexp(..).item(), INF);
    assert_eq!(x(&[0.0]).xlogy(0.0).item(), 0.0);
    assert_eq!(x(&[INF]).logaddexp(1.0).item(), INF);
    assert_eq!(x(&[-INF]).logaddexp(-INF).item(), -INF);
    assert!(x(&[NAN]).logaddexp(1.0).item().is_nan() && x(&[1.0]).logaddexp(NAN).item().is_nan());
    assert!(x(&[2.0]).std(.., 1.0).item().is_nan());
    for f in [Tensor::relu, Tensor::sigmoid, Tensor::gelu, Tensor::gelu_tanh, Tensor::mish, Tensor::softsign] {
        assert!(f(&x(&[NAN])).item().is_nan());
    }
    let cut =
        [x(&[NAN]).clamp(0.0, 1.0), x(&[0.5]).clamp(&x(&[NAN]), 1.0), x(&[0.5]).clamp_max(NAN), x(&[NAN]).relu6()];
    assert!(cut.iter().all(|y| y.item().is_nan()));
    assert_eq!(x(&[0.5]).clamp(2.0, 1.0).item(), 1.0, "the upper bound wins");
}

/// Binary cross-entropy of saturated logits: losses 0, 0, 200, 200, gradients 0, 0, 1, −1.
#[test]
fn saturated_logits() {
    for dtype in [DType::F64, DType::F32] {
        let tensor = |data: &[f64]| Device::reference().tensor(data, [4]).to(dtype);
        let z = tensor(&[200.0, -200.0, 200.0, -200.0]).tracked();
        let losses = z.bce_with_logits(&tensor(&[1.0, 0.0, 0.0, 1.0]), None, Reduction::None);
        let near = |found: &Tensor, expected: [f64; 4]| {
            let found = found.to(DType::F64).to_vec::<f64>();
            assert!(found.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-80), "{found:?}");
        };
        near(&losses.detach(), [0.0, 0.0, 200.0, 200.0]);
        near(&losses.sum(..).backward()[&z], [0.0, 0.0, 1.0, -1.0]);
    }
}

/// A select between tensors follows the chain rule: the branch that is not taken was computed, and 0·∞ is NaN. Anomaly
/// mode names the operation, and a formula that holds both branches has no such trouble.
#[test]
fn the_branch_not_taken() {
    let scalar = |value: f64| Device::reference().tensor(&[value], ());
    let (w, never) = (scalar(1.0).tracked(), scalar(1.0).lt(0.0));
    let loss = |w: &Tensor| (never.select(&(w / 0.0), w) - 1.0).square();
    let value = loss(&w);
    assert_eq!(value.item(), 0.0);
    assert!(value.backward()[&w].item().is_nan());

    let error = attempt(|| anomaly(|| loss(&w).backward())).unwrap_err().to_string();
    assert!(error.contains("div"), "{error}");

    let formula = pointwise(|[w, never]| (never.select(w / 0.0, w) - 1.0).square());
    assert_eq!(formula.call([&w, &never]).backward()[&w].item(), 0.0);
}

/// Labels that are ignored count neither above nor below the line; where all are, nothing is left.
#[test]
fn ignored_labels() {
    let device = Device::reference();
    let logits = device.tensor(&[2.0, 1.0, 0.0, 0.0, 1.0, 2.0], [2, 3]).tracked();
    let loss = CrossEntropy::new(1).ignore_index(-100);
    let y = loss.call(&logits, &device.tensor(&[0i64, -100], [2]));
    assert!((y.item() - 0.4076059644443803).abs() < 1e-15);
    let grad = y.backward()[&logits].to_vec::<f64>();
    assert_eq!(grad[3..], [0.0, 0.0, 0.0]);
    assert!((grad[0] + 0.3347590442251781).abs() < 1e-15 && grad[1] > 0.0 && grad[2] > 0.0, "{grad:?}");
    assert!(loss.call(&logits, &device.tensor(&[-100i64, -100], [2])).item().is_nan());
}
