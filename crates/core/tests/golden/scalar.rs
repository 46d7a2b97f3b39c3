//! Elementwise functions and their derivatives against correctly rounded values: `tests/golden/scalar.json`, made by
//! mpmath. On the reference device, which computes in `f64` with the system's and libm's functions.

use crate::{list, number, numbers};
use cotangent_core::autograd::{Options, grads};
use cotangent_core::{Device, Tensor};
use serde_json::Value;

/// Functions of the file that the framework does not have.
const ABSENT: &[&str] = &["lgamma", "digamma", "erfinv", "logit"];

/// Units in the last place that a value may be off; what is not in [`EXCEPTIONS`] keeps to it.
const VALUE: f64 = 2.0;
/// The same for derivatives, which are products of a few rounded factors.
const DERIVATIVE: f64 = 4.0;

/// Where more is allowed, and why.
#[derive(Clone, Copy)]
enum Bound {
    /// Also this many units of the last place of 1, where terms of that size cancel.
    Near(f64),
    /// 12 + x² units: e^(−x²) amplifies the rounding of its argument by x².
    Gauss,
}
use Bound::{Gauss, Near};

/// Function, quantity, bound.
const EXCEPTIONS: &[(&str, &str, Bound)] = &[
    ("asin", "d2", Near(1.0)),  // (1 − x)(1 + x) loses x near 0
    ("acos", "d2", Near(1.0)),  // the same
    ("atanh", "d2", Near(1.0)), // the same
    ("erf", "d1", Gauss),
    ("erf", "d2", Gauss),
    ("erfc", "d1", Gauss),
    ("erfc", "d2", Gauss),
    ("gelu", "y", Gauss),
    ("gelu", "d1", Gauss),
    ("gelu", "d2", Gauss),
    ("gelu_tanh", "y", Gauss),
    ("gelu_tanh", "d1", Gauss),
    ("gelu_tanh", "d2", Gauss),
    ("mish", "d1", Near(1.0)),       // has a zero at −1.19
    ("mish", "d2", Near(4.0)),       // has zeros
    ("sigmoid", "d2", Near(1.0)),    // σ(−x) − σ(x) loses x near 0
    ("silu", "d1", Near(1.0)),       // has a zero at −1.28
    ("silu", "d2", Near(1.0)),       // has zeros
    ("tanh", "d1", Near(1.0)),       // 1 − y² for y near ±1
    ("tanh", "d2", Near(1.0)),       // the same
    ("tanhshrink", "y", Near(1.0)),  // x − tanh x near 0
    ("tanhshrink", "d1", Near(1.0)), // the same
    ("tanhshrink", "d2", Near(1.0)), // from that of tanh
];

fn unary(name: &str, x: &Tensor) -> Option<Tensor> {
    Some(match name {
        "neg" => x.neg(),
        "abs" => x.abs(),
        "sign" => x.sign(),
        "sqrt" => x.sqrt(),
        "rsqrt" => x.rsqrt(),
        "recip" => x.recip(),
        "square" => x.square(),
        "cube" => x.cube(),
        "exp" => x.exp(),
        "exp2" => x.exp2(),
        "expm1" => x.expm1(),
        "log" => x.log(),
        "log1p" => x.log1p(),
        "log2" => x.log2(),
        "log10" => x.log10(),
        "sin" => x.sin(),
        "cos" => x.cos(),
        "tan" => x.tan(),
        "asin" => x.asin(),
        "acos" => x.acos(),
        "atan" => x.atan(),
        "sinh" => x.sinh(),
        "cosh" => x.cosh(),
        "tanh" => x.tanh(),
        "asinh" => x.asinh(),
        "acosh" => x.acosh(),
        "atanh" => x.atanh(),
        "erf" => x.erf(),
        "erfc" => x.erfc(),
        _ => return activation(name, x),
    })
}

fn activation(name: &str, x: &Tensor) -> Option<Tensor> {
    Some(match name {
        "sigmoid" => x.sigmoid(),
        "log_sigmoid" => x.log_sigmoid(),
        "softplus" => x.softplus(),
        "silu" => x.silu(),
        "gelu" => x.gelu(),
        "gelu_tanh" => x.gelu_tanh(),
        "mish" => x.mish(),
        "elu" => x.elu(1.0),
        "celu" => x.celu(1.0),
        "selu" => x.selu(),
        "softsign" => x.softsign(),
        "tanhshrink" => x.tanhshrink(),
        "relu" => x.relu(),
        "relu6" => x.relu6(),
        "leaky_relu" => x.leaky_relu(0.01),
        "hardtanh" => x.hardtanh(-1.0, 1.0),
        "hardsigmoid" => x.hardsigmoid(),
        "hardswish" => x.hardswish(),
        _ => return None,
    })
}

fn binary(name: &str, a: &Tensor, b: &Tensor) -> Option<Tensor> {
    Some(match name {
        "pow" => a.pow(b),
        "atan2" => a.atan2(b),
        "hypot" => a.hypot(b),
        "remainder" => a.remainder(b),
        "fmod" => a.fmod(b),
        "xlogy" => a.xlogy(b),
        "logaddexp" => a.logaddexp(b),
        "copysign" => a.copysign(b),
        _ => return None,
    })
}

/// The spacing of `f64` above |x|.
fn spacing(x: f64) -> f64 {
    f64::from_bits(x.abs().to_bits() + 1) - x.abs()
}

/// The elements that are off by more than the bound.
fn errors(name: &str, what: &str, args: &[&Tensor], found: &Tensor, expected: &Value) -> Vec<String> {
    let args: Vec<Vec<f64>> = args.iter().map(|x| x.to_vec()).collect();
    let exception = EXCEPTIONS.iter().find(|(op, quantity, _)| (*op, *quantity) == (name, what)).map(|e| e.2);
    let found = found.detach().to_vec::<f64>();
    let expected = list(expected);
    assert_eq!(found.len(), expected.len());
    let wrong = |at: usize| {
        // No derivative at a kink.
        let target = Some(&expected[at]).filter(|value| !value.is_null()).map(number)?;
        let usual = if what == "y" { VALUE } else { DERIVATIVE };
        let allowed = match exception {
            None => usual * spacing(target),
            Some(Near(units)) => (usual * spacing(target)).max(units * f64::EPSILON),
            Some(Gauss) => (12.0 + args[0][at].powi(2)) * spacing(target),
        };
        let off = (found[at] - target).abs();
        let right = found[at] == target || off <= allowed;
        let place: Vec<f64> = args.iter().map(|x| x[at]).collect();
        let ulps = off / spacing(target);
        (!right).then(|| format!("{name} {what} at {place:?}: {:e}, expected {target:e}: {ulps:.1} units", found[at]))
    };
    (0..found.len()).filter_map(wrong).collect()
}

/// The gradient of Σ y by x, recorded.
fn slope(y: &Tensor, x: &Tensor) -> Tensor {
    let options = Options { record: true, retain: true };
    grads(&[(y, &y.ones_like())], &[x], options).remove(0).unwrap_or_else(|| x.zeros_like())
}

fn check(case: &Value, device: &Device) -> Vec<String> {
    let name = case["name"].as_str().expect("a name");
    let column = |key: &str| {
        let data = numbers(&case[key]);
        device.tensor(&data, [data.len()]).tracked()
    };
    if case["arity"] == 1 {
        let x = column("xs");
        let Some(y) = unary(name, &x) else { return vec![format!("{name}: unknown function")] };
        let d1 = slope(&y, &x);
        let d2 = if d1.is_tracked() { slope(&d1, &x) } else { x.zeros_like() };
        let of = |what, found| errors(name, what, &[&x], found, &case[what]);
        [of("y", &y), of("d1", &d1), of("d2", &d2)].concat()
    } else {
        let (a, b) = (column("a"), column("b"));
        let Some(y) = binary(name, &a, &b) else { return vec![format!("{name}: unknown function")] };
        let of = |what, found| errors(name, what, &[&a, &b], found, &case[what]);
        [of("y", &y), of("da", &slope(&y, &a)), of("db", &slope(&y, &b))].concat()
    }
}

#[test]
fn functions_and_derivatives_are_accurate() {
    let device = Device::reference();
    let file: Value = serde_json::from_str(include_str!("../../../../tests/golden/scalar.json")).expect("valid JSON");
    let present = |case: &&Value| !ABSENT.iter().any(|name| case["name"] == *name);
    let wrong: Vec<String> =
        list(&file["cases"]).iter().filter(present).flat_map(|case| check(case, &device)).collect();
    assert!(wrong.is_empty(), "{} values:\n{}", wrong.len(), wrong.join("\n"));
}
