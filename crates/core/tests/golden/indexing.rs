//! Indexing against NumPy: `tests/golden/indexing.json`, whose script says what an entry is.

use crate::{integers, list, numbers};
use cotangent_core::{DType, Device, Ellipsis, Ix, NewAxis, Tensor, step};
use serde_json::Value;

fn entry(value: &Value, device: &Device) -> Ix {
    match (value.as_str(), value.as_i64()) {
        (Some("ellipsis"), _) => Ellipsis.into(),
        (Some("newaxis"), _) => NewAxis.into(),
        (_, Some(k)) => Ix::At(k as isize),
        _ => match (value.get("slice"), value.get("index"), value.get("mask")) {
            (Some(bounds), ..) => {
                let bound = |k: usize| bounds[k].as_i64().map(|n| n as isize);
                step(Ix::Slice { start: bound(0), end: bound(1), step: 1 }, bound(2).unwrap_or(1))
            }
            (_, Some(index), _) => tensor(index, DType::I64, device).into(),
            (_, _, Some(mask)) => tensor(mask, DType::Bool, device).into(),
            _ => panic!("entry {value}"),
        },
    }
}

/// Nested lists as a tensor.
fn tensor(value: &Value, dtype: DType, device: &Device) -> Tensor {
    let (mut shape, mut data) = (vec![], vec![value.clone()]);
    while let Some(first) = data.first().and_then(Value::as_array) {
        shape.push(first.len());
        data = data.iter().flat_map(|row| list(row).to_vec()).collect();
    }
    device.tensor(&numbers(&Value::Array(data)), shape).to(dtype)
}

#[test]
fn indexing_agrees_with_numpy() {
    let file: Value = serde_json::from_str(include_str!("../../../../tests/golden/indexing.json")).expect("valid JSON");
    let device = Device::reference();
    for case in list(&file["cases"]) {
        let index: Vec<Ix> = list(&case["index"]).iter().map(|value| entry(value, &device)).collect();
        let shape: Vec<usize> = integers(&case["shape"]).into_iter().map(|n| n as usize).collect();
        let count: usize = shape.iter().product();
        let x = device.arange(0.0, count as f64, 1.0, DType::F64).reshape(shape);
        let part = x.i(&index[..]);
        let expected: Vec<usize> = integers(&case["read"]["shape"]).into_iter().map(|n| n as usize).collect();
        assert_eq!(part.shape()[..], expected, "{case}");
        assert_eq!(part.to_vec::<f64>(), numbers(&case["read"]["data"]), "{case}");
        let values = (device.arange(0.0, part.count() as f64, 1.0, DType::F64) + 1.0).neg().reshape(part.shape());
        assert_eq!(x.set(&index[..], &values).to_vec::<f64>(), numbers(&case["set"]), "set: {case}");
        assert_eq!(x.add_at(&index[..], &values).to_vec::<f64>(), numbers(&case["add"]), "add_at: {case}");
    }
}
