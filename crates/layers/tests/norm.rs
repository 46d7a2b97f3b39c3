//! Normalizations against PyTorch (tests/golden/ops.json), their running statistics, and their modes.

use cotangent_core::*;
use cotangent_cpu as _;
use cotangent_layers::*;
use serde_json::Value;

fn floats(value: &Value) -> Vec<f64> {
    value.as_array().expect("a list").iter().map(|x| x.as_f64().expect("a number")).collect()
}

fn tensor(value: &Value) -> Tensor {
    let shape: Vec<usize> = value["shape"].as_array().unwrap().iter().map(|n| n.as_u64().unwrap() as usize).collect();
    Tensor::from_slice(&floats(&value["data"]), shape)
}

fn close(case: &str, found: &Tensor, expected: &[f64]) {
    let found = found.to_vec::<f64>();
    assert_eq!(found.len(), expected.len());
    for (k, (found, expected)) in found.iter().zip(expected).enumerate() {
        assert!((found - expected).abs() <= 1e-12 * expected.abs().max(1.0), "{case} {k}: {found}, not {expected}");
    }
}

/// Runs the cases of an operation through layers made by `make(inputs, params)`. The inputs are x, γ, β, and more.
/// Compares the output and every gradient.
fn golden<L: Layer>(op: &str, make: impl Fn(&[Tensor], &Value) -> L, mode: impl Fn(&Value) -> Mode<'static>) {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/golden/ops.json");
    let file: Value = serde_json::from_str(&std::fs::read_to_string(path).expect("golden file")).expect("JSON");
    let cases: Vec<&Value> = file["cases"].as_array().expect("cases").iter().filter(|case| case["op"] == op).collect();
    assert!(!cases.is_empty(), "{op}");
    for case in cases {
        let name = format!("{op}, {}", case["case"]);
        let inputs: Vec<Tensor> = case["inputs"].as_array().unwrap().iter().map(tensor).collect();
        let layer = make(&inputs, &case["params"]);
        let x = inputs[0].tracked();
        let y = layer.forward(&x, &mode(&case["params"]));
        close(&name, &y, &floats(&case["outputs"][0]["data"]));
        let cotangent = Tensor::from_slice(&floats(&case["cotangents"][0]), y.shape());
        let grads = y.backward_with(&cotangent);
        let expected = case["grads"].as_array().unwrap();
        close(&name, &grads[&x], &floats(&expected[0]));
        for (at, (_, param)) in layer.params().into_iter().enumerate() {
            close(&name, &grads[param], &floats(&expected[1 + at]));
        }
    }
}

fn set_affine(scale: &mut Option<Param>, shift: &mut Option<Param>, inputs: &[Tensor]) {
    scale.as_mut().unwrap().set(inputs[1].clone());
    shift.as_mut().unwrap().set(inputs[2].clone());
}

#[test]
fn batch_norm_as_pytorch() {
    let make = |inputs: &[Tensor], params: &Value| {
        let mut layer = BatchNorm::new(inputs[0].shape()[1]).epsilon(params["eps"].as_f64().unwrap());
        layer.to_dtype(DType::F64);
        set_affine(&mut layer.scale, &mut layer.shift, inputs);
        if params["training"] == false {
            layer.mean.set(inputs[3].clone());
            layer.var.set(inputs[4].clone());
        }
        layer
    };
    let batch = Mode::Custom { noise: None, norm: Norm::Batch };
    golden("batch_norm", make, |params| if params["training"] == true { batch } else { Mode::Eval });
}

#[test]
fn layer_norm_as_pytorch() {
    let make = |inputs: &[Tensor], params: &Value| {
        let mut layer = LayerNorm::new(inputs[1].shape()).epsilon(params["eps"].as_f64().unwrap());
        layer.to_dtype(DType::F64);
        set_affine(&mut layer.scale, &mut layer.shift, inputs);
        layer
    };
    golden("layer_norm", make, |_| Mode::Eval);
}

#[test]
fn group_and_rms_norm_as_pytorch() {
    let make = |inputs: &[Tensor], params: &Value| {
        let groups = params["groups"].as_u64().unwrap() as usize;
        let mut layer = GroupNorm::new(groups, inputs[0].shape()[1]).epsilon(params["eps"].as_f64().unwrap());
        layer.to_dtype(DType::F64);
        layer.scale.set(inputs[1].clone());
        layer.shift.set(inputs[2].clone());
        layer
    };
    golden("group_norm", make, |_| Mode::Eval);
    let make = |inputs: &[Tensor], params: &Value| {
        let mut layer = RmsNorm::new(inputs[1].shape()).epsilon(params["eps"].as_f64().unwrap());
        layer.to_dtype(DType::F64);
        layer.scale.set(inputs[1].clone());
        layer
    };
    golden("rms_norm", make, |_| Mode::Eval);
}

/// The running statistics of a layer of one channel after a batch of 1, 2, 4.
fn after_a_batch(layer: &BatchNorm, mode: &Mode) -> (f64, f64) {
    layer.forward(&Tensor::new([1.0, 2.0, 4.0], [3, 1]), mode);
    (layer.mean.get().item(), layer.var.get().item())
}

#[test]
fn running_statistics() {
    let rng = Rng::new(1);
    let train = Mode::Train(&rng);
    let near = |(mean, var): (f64, f64), expected: (f64, f64)| {
        assert!((mean - expected.0).abs() < 1e-6 && (var - expected.1).abs() < 1e-6, "{mean}, {var}");
    };
    // PyTorch: mean 7/3, unbiased variance 7/3. Keras: biased variance 14/9.
    near(after_a_batch(&BatchNorm::new(1), &train), (0.2333333, 1.1333333));
    near(after_a_batch(&BatchNorm::new(1).biased(), &train), (0.2333333, 1.0555556));
    near(after_a_batch(&BatchNorm::new(1).from_keras_momentum(0.99), &train), (7.0 / 300.0, 0.99 + 7.0 / 300.0));
    near(after_a_batch(&BatchNorm::new(1).from_torch_momentum(1.0), &train), (7.0 / 3.0, 7.0 / 3.0));
    // Nothing is remembered in other modes, when frozen, and by a layer that always uses the running ones.
    near(after_a_batch(&BatchNorm::new(1), &Mode::Eval), (0.0, 1.0));
    near(after_a_batch(&BatchNorm::new(1), &Mode::Custom { noise: None, norm: Norm::Batch }), (0.0, 1.0));
    near(after_a_batch(&BatchNorm::new(1).statistics(Statistics::Always(Norm::Running)), &train), (0.0, 1.0));
    let mut frozen = BatchNorm::new(1);
    frozen.freeze("*").unwrap();
    near(after_a_batch(&frozen, &train), (0.0, 1.0));
    frozen.unfreeze("mean").unwrap();
    near(after_a_batch(&frozen, &train), (0.2333333, 1.0));
    // Every combination exists: remembered in evaluation, too.
    near(
        after_a_batch(&BatchNorm::new(1).statistics(Statistics::Always(Norm::Update)), &Mode::Eval),
        (0.2333333, 1.1333333),
    );
}

#[test]
fn a_recomputation_does_not_move_running_statistics() {
    let layer = std::sync::Arc::new(BatchNorm::new(1));
    let (shared, rng) = (layer.clone(), Rng::new(1));
    let x = Tensor::new([1.0, 2.0, 4.0], [3, 1]).tracked();
    let y = checkpoint(move |[x]| shared.forward(x, &Mode::Train(&rng)), [&x]);
    y.square().sum(..).backward();
    assert!((layer.var.get().item() - 1.1333333).abs() < 1e-6);
    assert!((layer.mean.get().item() - 0.2333333).abs() < 1e-6);
}

#[test]
fn evaluation_has_gradients() {
    let layer = BatchNorm::new(1).epsilon(0.25);
    layer.var.set(Tensor::full([1], 3.75));
    let x = Tensor::new([1.0, 3.0], [2, 1]).tracked();
    assert_eq!(layer.forward(&x, &Mode::Eval).sum(..).backward()[&x].to_vec::<f32>(), [0.5, 0.5]);
}

#[test]
#[should_panic(expected = "BatchNorm: one number per channel in shape [1, 3]")]
fn a_batch_of_one_has_no_variance() {
    BatchNorm::new(3).forward(&Tensor::ones([1, 3]), &Mode::Train(&Rng::new(1)));
}

#[test]
#[should_panic(expected = "BatchNorm: shape [2, 4] has not 3 channels on axis 1")]
fn channels_must_fit() {
    BatchNorm::new(3).forward(&Tensor::ones([2, 4]), &Mode::Eval);
}

#[test]
fn half_precision_keeps_statistics_in_single() {
    // Around 60,000 with a deviation of 64, the sum of squares overflows f16, and so does the sum.
    let values: Vec<f32> = (0..64).map(|k| if k % 2 == 0 { 60_000.0 } else { 60_128.0 }).collect();
    let x = Tensor::new(values, [64, 1]).to(DType::F16);
    let mut layer = BatchNorm::new(1);
    layer.to_dtype(DType::F16);
    let y = layer.forward(&x, &Mode::Train(&Rng::new(1)));
    assert_eq!(y.dtype(), DType::F16);
    assert!(y.to(DType::F32).to_vec::<f32>().iter().all(|y| (y.abs() - 1.0).abs() < 1e-3));
    assert_eq!(layer.mean.get().dtype(), DType::F32);
    assert!((layer.mean.get().item() - 6006.4).abs() < 1e-2);
}

#[test]
fn channels_on_the_last_axis() {
    let rng = Rng::new(5);
    let x = rng.normal([4, 3, 2]);
    let last = BatchNorm::new(2).axis(-1).forward(&x, &Mode::Train(&rng));
    let first = BatchNorm::new(2).forward(&x.transpose(1, 2), &Mode::Train(&rng)).transpose(1, 2);
    assert_eq!(last.to_vec::<f32>(), first.to_vec::<f32>());
}
