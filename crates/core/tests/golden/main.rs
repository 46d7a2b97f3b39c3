//! Operations against values and vector-Jacobian products that PyTorch computed in `f64`: `tests/golden/ops.json`.
//!
//! `a.rs` and `b.rs` map the names in the file to calls. A name that neither knows fails the test.

mod a;
mod b;
mod indexing;
mod scalar;

use cotangent_core::autograd::{Options, grads};
use cotangent_core::{DType, Device, Tensor, attempt};
use serde_json::Value;

/// Relative error allowed.
const TOLERANCE: f64 = 1e-10;

/// What a table answers: the outputs, or nothing if the name is not its.
type Outputs = Option<Vec<Tensor>>;

/// The named parameters of a case. A missing name, or one of another type, panics.
struct Params<'a>(&'a Value);

impl Params<'_> {
    fn get(&self, name: &str) -> &Value {
        self.0.get(name).unwrap_or_else(|| panic!("no parameter {name} in {}", self.0))
    }

    /// A number; `"inf"` and `"-inf"` are numbers.
    fn number(&self, name: &str) -> f64 {
        number(self.get(name))
    }

    /// A number, or none where the file says `null`.
    fn maybe_number(&self, name: &str) -> Option<f64> {
        Some(self.get(name)).filter(|v| !v.is_null()).map(number)
    }

    fn int(&self, name: &str) -> isize {
        self.get(name).as_i64().unwrap_or_else(|| panic!("{name} is no integer")) as isize
    }

    fn maybe_int(&self, name: &str) -> Option<isize> {
        (!self.get(name).is_null()).then(|| self.int(name))
    }

    fn flag(&self, name: &str) -> bool {
        self.get(name).as_bool().unwrap_or_else(|| panic!("{name} is no truth value"))
    }

    fn text(&self, name: &str) -> &str {
        self.get(name).as_str().unwrap_or_else(|| panic!("{name} is no text"))
    }

    fn ints(&self, name: &str) -> Vec<isize> {
        integers(self.get(name))
    }

    fn sizes(&self, name: &str) -> Vec<usize> {
        self.ints(name).into_iter().map(|n| n as usize).collect()
    }

    /// Lists of integers, one for each axis, say.
    fn lists(&self, name: &str) -> Vec<Vec<isize>> {
        list(self.get(name)).iter().map(integers).collect()
    }
}

fn list(value: &Value) -> &[Value] {
    value.as_array().unwrap_or_else(|| panic!("{value} is no list"))
}

fn integers(value: &Value) -> Vec<isize> {
    list(value).iter().map(|v| v.as_i64().expect("an integer") as isize).collect()
}

fn number(value: &Value) -> f64 {
    match value.as_str() {
        Some("nan") => f64::NAN,
        Some("inf") => f64::INFINITY,
        Some("-inf") => f64::NEG_INFINITY,
        Some(other) => panic!("{other} is no number"),
        None => value.as_f64().or_else(|| value.as_bool().map(f64::from)).expect("a number"),
    }
}

fn numbers(value: &Value) -> Vec<f64> {
    list(value).iter().map(number).collect()
}

fn tensor(value: &Value, device: &Device) -> Tensor {
    let dtype = match value["dtype"].as_str() {
        Some("f64") => DType::F64,
        Some("i64") => DType::I64,
        Some("bool") => DType::Bool,
        other => panic!("element type {other:?}"),
    };
    let shape: Vec<usize> = integers(&value["shape"]).into_iter().map(|n| n as usize).collect();
    device.tensor(&numbers(&value["data"]), &shape).to(dtype)
}

/// Where the first element differs by more than the tolerance, if anywhere.
fn difference(found: &Tensor, expected: &[f64]) -> Option<String> {
    let found: Vec<f64> = found.detach().to(DType::F64).to_vec();
    assert_eq!(found.len(), expected.len(), "counts differ");
    let close = |a: f64, b: f64| a == b || (a.is_nan() && b.is_nan()) || (a - b).abs() <= TOLERANCE * (b.abs() + 0.01);
    let at = found.iter().zip(expected).position(|(&a, &b)| !close(a, b))?;
    Some(format!("element {at} is {:e}, expected {:e}", found[at], expected[at]))
}

/// Runs one case; the error says what is wrong.
fn check(case: &Value, device: &Device) -> Result<(), String> {
    let inputs: Vec<Tensor> = list(&case["inputs"]).iter().map(|v| tensor(v, device)).collect();
    let inputs: Vec<Tensor> =
        inputs.iter().map(|x| if x.dtype().is_float() { x.tracked() } else { x.clone() }).collect();
    let (op, params) = (case["op"].as_str().expect("a name"), Params(&case["params"]));
    let outputs = a::call(op, &params, &inputs).or_else(|| b::call(op, &params, &inputs)).ok_or("unknown operation")?;
    let expected = list(&case["outputs"]);
    if outputs.len() != expected.len() {
        return Err(format!("{} outputs, expected {}", outputs.len(), expected.len()));
    }
    for (k, (y, value)) in outputs.iter().zip(expected).enumerate() {
        let target = tensor(value, device);
        if (y.shape(), y.dtype()) != (target.shape(), target.dtype()) {
            let [found, wanted] = [y, &target].map(|t| format!("{} {}", t.dtype(), t.shape()));
            return Err(format!("output {k} is {found}, expected {wanted}"));
        }
        difference(y, &numbers(&value["data"])).map_or(Ok(()), |text| Err(format!("output {k}: {text}")))?;
    }
    let cotangent = |(y, c): (&Tensor, &Value)| device.tensor(&numbers(c), y.shape());
    let with_cotangents = || outputs.iter().zip(list(&case["cotangents"])).filter(|(_, c)| !c.is_null());
    let cotangents: Vec<Tensor> = with_cotangents().map(cotangent).collect();
    if let Some((k, _)) = with_cotangents().enumerate().find(|(_, (y, _))| !y.is_tracked()) {
        return Err(format!("differentiable output {k} is untracked"));
    }
    let roots: Vec<(&Tensor, &Tensor)> = with_cotangents().map(|(y, _)| y).zip(&cotangents).collect();
    let found = grads(&roots, &inputs.iter().collect::<Vec<_>>(), Options::default());
    for (k, (grad, value)) in found.iter().zip(list(&case["grads"])).enumerate() {
        let grad = match (grad, value.is_null()) {
            (None, true) => continue,
            (None, false) => return Err(format!("no gradient by input {k}")),
            // A gradient of zeros where PyTorch has none says the same.
            (Some(grad), _) => grad,
        };
        let expected = if value.is_null() { vec![0.0; grad.count()] } else { numbers(value) };
        difference(grad, &expected).map_or(Ok(()), |text| Err(format!("gradient by input {k}: {text}")))?;
    }
    Ok(())
}

#[test]
fn operations_agree_with_pytorch() {
    let file: Value = serde_json::from_str(include_str!("../../../../tests/golden/ops.json")).expect("valid JSON");
    let device = Device::reference();
    let name = |case: &Value| case["op"].as_str().expect("a name").to_owned();
    let waits = |case: &&Value| [a::PENDING, b::PENDING].concat().contains(&name(case).as_str());
    let cases: Vec<&Value> = list(&file["cases"]).iter().filter(|case| !waits(case)).collect();
    let run = |case: &&Value| {
        let result = attempt(|| check(case, &device)).unwrap_or_else(|panic| Err(format!("panicked: {panic}")));
        result.err().map(|text| format!("{} ({}): {text}", name(case), case["case"]))
    };
    let wrong: Vec<String> = cases.iter().filter_map(run).collect();
    assert!(wrong.is_empty(), "{} of {} cases:\n{}", wrong.len(), cases.len(), wrong.join("\n"));
}
