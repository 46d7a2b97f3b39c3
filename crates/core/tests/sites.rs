//! Every step of every registered operation is recorded at the line that called the operation: here, inside of the
//! block `samples!` beside its definition. A helper that hides the caller (a closure, a missing `#[track_caller]`) would
//! show a line of the implementation, in messages and in anomaly mode.

use cotangent_core::check::{Input, Operation, Samples, Values};
use cotangent_core::{DType, Tensor};
use std::collections::HashMap;
use std::path::Path;

fn tensor(input: &Input) -> Tensor {
    let n = input.shape.count();
    let spread = |low: f64, high: f64| (0..n).map(|k| low + (high - low) * (k as f64 + 0.5) / n as f64).collect();
    let reals = |values: Vec<f64>| Tensor::from_slice(&values, &input.shape).tracked();
    match &input.values {
        Values::Real(domain) | Values::Distinct(domain) => reals(spread(domain.start, domain.end)),
        Values::Given(values) => reals(values.clone()),
        Values::Index(bound) => {
            Tensor::from_slice(&(0..n).map(|k| (k % bound) as i64).collect::<Vec<_>>(), &input.shape)
        }
        Values::Truth => {
            Tensor::from_slice(&(0..n).map(|k| k as i64 % 2).collect::<Vec<_>>(), &input.shape).to(DType::Bool)
        }
    }
}

/// The lines of a source file that lie within a block of samples.
fn sample_lines(file: &str) -> Vec<bool> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).unwrap();
    let Ok(text) = std::fs::read_to_string(root.join(file)) else { return vec![] }; // a file of the standard library
    let mut inside = false;
    let within = |line: &str| {
        inside |= line.contains("samples!(") || line.ends_with("_samples! {");
        let here = inside;
        inside &= !(line == "});" || line == "}");
        here
    };
    text.lines().map(within).collect()
}

#[test]
fn steps_are_recorded_at_the_line_that_called_the_operation() {
    let mut files: HashMap<&str, Vec<bool>> = HashMap::new();
    let mut wrong = vec![];
    let mut steps = 0;
    for operation in cotangent_core::inventory::iter::<Operation>() {
        for sample in Samples::of(operation.name).unwrap() {
            let inputs: Vec<Tensor> = sample.inputs.iter().map(tensor).collect();
            for step in (sample.f)(&inputs).iter().flat_map(Tensor::history).filter(|step| step.op != "leaf") {
                // An operation that is a sample's function itself is called by a line of the standard library.
                if step.op == operation.name && step.site.file().ends_with("core/src/ops/function.rs") {
                    continue;
                }
                let lines = files.entry(step.site.file()).or_insert_with(|| sample_lines(step.site.file()));
                steps += 1;
                if lines.get(step.site.line() as usize - 1) != Some(&true) {
                    wrong.push(format!("{} ({}): `{}` at {}", operation.name, sample.label, step.op, step.site));
                }
            }
        }
    }
    wrong.sort();
    wrong.dedup();
    assert!(wrong.is_empty(), "{} steps of {steps} are recorded elsewhere:\n{}", wrong.len(), wrong.join("\n"));
    assert!(steps > 100);
}
