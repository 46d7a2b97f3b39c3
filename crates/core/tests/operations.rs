//! What operations promise beyond their values and gradients: results over nothing, the order of NaN, fused operations
//! that equal the composed ones, losses to published digits.

use cotangent_core::{CrossEntropy, DType, Device, Reduction, Tensor, attempt, keep};

fn f64s(data: &[f64]) -> Tensor {
    Device::reference().tensor(data, [data.len()])
}

/// Numbers without a pattern.
fn numbers(shape: &[usize], seed: f64) -> Tensor {
    let count: usize = shape.iter().product();
    let data: Vec<f64> = (0..count).map(|k| 2.0 * (seed + 12.9898 * k as f64).sin()).collect();
    Device::reference().tensor(&data, shape)
}

fn near(found: &Tensor, expected: &[f64], tolerance: f64) {
    let found = found.detach().to(DType::F64).to_vec::<f64>();
    assert_eq!(found.len(), expected.len());
    let close = |(a, b): (&f64, &f64)| (a - b).abs() <= tolerance * b.abs().max(1.0);
    assert!(found.iter().zip(expected).all(close), "{found:?}, expected {expected:?}");
}

#[test]
fn over_nothing() {
    let x = Device::reference().tensor::<f64>(&[], [2, 0]);
    assert_eq!(x.sum(-1).to_vec::<f64>(), [0.0, 0.0]);
    assert_eq!(x.prod(-1).to_vec::<f64>(), [1.0, 1.0]);
    assert!(x.mean(-1).to_vec::<f64>().iter().all(|y| y.is_nan()));
    assert_eq!(x.logsumexp(-1).to_vec::<f64>(), [f64::NEG_INFINITY; 2]);
    assert_eq!(x.any(-1).to(DType::F64).to_vec::<f64>(), [0.0, 0.0]);
    assert_eq!(x.all(-1).to(DType::F64).to_vec::<f64>(), [1.0, 1.0]);
    assert_eq!(x.norm(2.0, -1).to_vec::<f64>(), [0.0, 0.0]);
    for (name, choose) in [
        ("max", (|x| x.max(-1)) as fn(&Tensor) -> Tensor),
        ("min", |x| x.min(-1)),
        ("argmax", |x| x.argmax(-1)),
        ("median", |x| x.median(-1).0),
        ("max_with_index", |x| x.max_with_index(-1).0),
    ] {
        let error = attempt(|| choose(&x)).unwrap_err().to_string();
        assert!(error.starts_with(name) && error.contains("[2, 0]"), "{error}");
    }
}

#[test]
fn nan_in_order_and_statistics() {
    let x = f64s(&[2.0, f64::NAN, -1.0, 3.0]);
    for descending in [false, true] {
        let (values, order) = x.sort(0, descending);
        assert!(values.to_vec::<f64>()[3].is_nan());
        assert_eq!(order.to_vec::<i64>(), if descending { [3, 0, 2, 1] } else { [2, 0, 3, 1] });
    }
    assert_eq!(x.topk(2, 0, true).0.to_vec::<f64>(), [3.0, 2.0]);
    assert_eq!(x.argmax(..).item(), 1.0);
    for y in [x.max(..), x.min(..), x.median(..).0, x.quantile(&[0.25], ..), x.cummax(0).0.narrow(0, 2, 1)] {
        assert!(y.item().is_nan());
    }
    assert_eq!(x.cummax(0).1.to_vec::<i64>(), [0, 1, 1, 1]);
    assert_eq!((x.nansum(..).item(), x.nanmean(..).item()), (4.0, 4.0 / 3.0));
    let edges = f64s(&[0.0, 1.0]);
    assert_eq!(edges.searchsorted(&f64s(&[f64::NAN, f64::INFINITY, -5.0]), false).to_vec::<i64>(), [2, 2, 0]);
    assert_eq!(f64s(&[f64::NAN, 0.5, 9.0]).histogram(2, 0.0, 1.0).to_vec::<i64>(), [0, 1]);
}

/// Every position among up to seven edges, by counting.
#[test]
fn searchsorted_counts() {
    for n in 0..8 {
        let edges: Vec<f64> = (0..n).map(|k| (k / 2) as f64).collect();
        let probes: Vec<f64> = (-2..10).map(|k| k as f64 / 2.0).collect();
        for right in [false, true] {
            let found = f64s(&edges).searchsorted(&f64s(&probes), right).to_vec::<i64>();
            let before = |x: f64| edges.iter().filter(|&&e| e < x || (right && e == x)).count() as i64;
            assert_eq!(found, probes.iter().map(|&x| before(x)).collect::<Vec<_>>(), "{n} edges");
        }
    }
}

#[test]
fn integers_and_truth_values() {
    let device = Device::reference();
    let bytes = device.tensor(&[200u8, 100, 7], [3]);
    assert_eq!(bytes.sum(..).to_vec::<i64>(), [307]);
    assert_eq!(bytes.cumsum(0).to_vec::<i64>(), [200, 300, 307]);
    assert_eq!(bytes.cumprod(0).to_vec::<i64>(), [200, 20_000, 140_000]);
    assert_eq!(bytes.max(..).to_vec::<u8>(), [200]);
    assert_eq!(bytes.count_nonzero(..).to_vec::<i64>(), [3]);
    assert_eq!(bytes.true_div(&device.tensor(&[16u8], [1])).to_vec::<f32>(), [12.5, 6.25, 0.4375]);
    let error = attempt(|| bytes.mean(..)).unwrap_err().to_string();
    assert!(error.contains("mean") && error.contains("u8"), "{error}");
    assert_eq!(device.tensor(&[i64::MIN, 7], [2]).floor_div(-1.0).to_vec::<i64>(), [i64::MIN, -7]);
}

/// Sums of half precision are held in single precision on the way.
#[test]
fn half_precision_does_not_overflow() {
    let x = Device::reference().full([40_000], 2.0, DType::F16);
    assert_eq!(x.mean(..).item(), 2.0);
    assert_eq!(x.var(.., 0.0).item(), 0.0);
    assert_eq!(x.norm(2.0, ..).item(), 400.0);
    assert_eq!((&x * 100.0).rms_norm([40_000], None, 0.0).max(..).item(), 1.0);
    assert!((x.logsumexp(..).item() - 12.596_635).abs() < 0.01);
    assert!(x.softmax(0).max(..).item() > 0.0);
    assert_eq!(x.mse_loss(&(&x * 101.0), Reduction::Mean).item(), 40_000.0);
}

/// The variance of large numbers with a small spread, 1e6 + (0.25, 1.5, −0.75, 2).
#[test]
fn variance_does_not_cancel() {
    let x = f64s(&[1_000_000.25, 1_000_001.5, 999_999.25, 1_000_002.0]);
    assert_eq!(x.var(.., 1.0).item(), 1.541_666_666_666_666_7);
    let spread: f64 = x.to(DType::F32).layer_norm([4], None, None, 0.0).square().mean(..).item();
    assert!((spread - 1.0).abs() < 1e-5, "{spread}");
}

/// A function of input, weight and bias.
type Layer = fn(&Tensor, &Tensor, &Tensor) -> Tensor;

/// Fused operations keep every gradient: contiguous and strided input, with and without parameters.
#[test]
fn fused_operations_equal_composed_ones() {
    let pairs: [(&str, Layer, Layer); 6] = [
        (
            "layer_norm",
            |x, w, b| x.layer_norm([4], Some(w), Some(b), 1e-5),
            |x, w, b| {
                let centered = x - x.mean(keep(-1));
                let deviation = (centered.square().mean(keep(-1)) + 1e-5).sqrt();
                centered / deviation * w + b
            },
        ),
        (
            "layer_norm without parameters",
            |x, w, b| x.layer_norm([4], None, None, 1e-5) + (w + b) * 0.0,
            |x, w, b| (x - x.mean(keep(-1))) / (x.var(keep(-1), 0.0) + 1e-5).sqrt() + (w + b) * 0.0,
        ),
        (
            "rms_norm",
            |x, w, b| x.rms_norm([4], Some(w), 1e-5) + b,
            |x, w, b| x / (x.square().mean(keep(-1)) + 1e-5).sqrt() * w + b,
        ),
        (
            "batch_norm",
            |x, w, b| x.batch_norm(-1, Some(w), Some(b), 1e-5).0,
            |x, w, b| (x - x.mean(keep([0, 1]))) / (x.var(keep([0, 1]), 0.0) + 1e-5).sqrt() * w + b,
        ),
        (
            "softmax",
            |x, w, b| (x * w + b).softmax(-1),
            |x, w, b| {
                let e = (x * w + b).exp();
                &e / e.sum(keep(-1))
            },
        ),
        (
            "log_softmax",
            |x, w, b| (x * w + b).log_softmax(-1),
            |x, w, b| {
                let z = x * w + b;
                &z - z.exp().sum(keep(-1)).log()
            },
        ),
    ];
    let strided = |x: &Tensor| x.permute([1, 0, 2]);
    for (name, fused, composed) in pairs {
        for layout in [|x: &Tensor| x.clone(), strided] {
            let inputs = [numbers(&[3, 2, 4], 0.3), numbers(&[4], 0.7), numbers(&[4], 1.1)].map(|x| x.tracked());
            let grads = |f: Layer| {
                let y = f(&layout(&inputs[0]), &inputs[1], &inputs[2]);
                let grads = y.square().sum(..).backward();
                (
                    y,
                    inputs
                        .each_ref()
                        .map(|x| grads.get(x).unwrap_or_else(|| panic!("{name}: a gradient is lost")).clone()),
                )
            };
            let ((y, g), (expected, wanted)) = (grads(fused), grads(composed));
            near(&y, &expected.detach().to_vec::<f64>(), 1e-12);
            g.iter().zip(&wanted).for_each(|(g, w)| near(g, &w.to_vec::<f64>(), 1e-10));
        }
    }
}

/// Two paths to one input add up, in either order.
#[test]
fn contributions_add_up() {
    let x = Device::reference().tensor(&[1.0f64, 2.0, 3.0, 4.0], [1, 1, 2, 2]).tracked();
    let up = |x: &Tensor| x.repeat_interleave(2, 2).repeat_interleave(2, 3).sum(..);
    let square = |x: &Tensor| x.square().sum(..);
    for loss in [up(&x) + square(&x), square(&x) + up(&x)] {
        assert_eq!(loss.backward()[&x].to_vec::<f64>(), [6.0, 8.0, 10.0, 12.0]);
    }
}

/// Values from PyTorch's documentation and from formulas by hand.
#[test]
fn losses_to_known_digits() {
    let (x, t) = (f64s(&[1.0, 4.0]), f64s(&[0.0, 0.0]));
    near(&x.huber_loss(&t, 2.0, Reduction::None), &[0.5, 6.0], 0.0);
    near(&x.smooth_l1_loss(&t, 2.0, Reduction::None), &[0.25, 3.0], 0.0);
    near(&x.mse_loss(&t, Reduction::Mean), &[8.5], 0.0);
    near(&x.l1_loss(&t, Reduction::Sum), &[5.0], 0.0);
    let pair = [x.reshape([1, 2]), t.reshape([1, 2])];
    near(&pair[0].mse_loss(&pair[1], Reduction::BatchMean), &[17.0], 0.0);

    let uniform = f64s(&[0.5, 0.5]).log();
    near(&uniform.kl_div(&f64s(&[1.0, 0.0]), Reduction::Sum), &[std::f64::consts::LN_2], 1e-15);

    let logits = f64s(&[2.0, 1.0, 0.0]).reshape([1, 3]);
    let label = Device::reference().tensor(&[0i64], [1]);
    near(&CrossEntropy::new(1).label_smoothing(0.1).call(&logits, &label), &[0.507_605_964_4], 1e-10);
    let one_hot = f64s(&[1.0, 0.0, 0.0]).reshape([1, 3]);
    near(&CrossEntropy::new(1).label_smoothing(0.1).call(&logits, &one_hot), &[0.507_605_964_4], 1e-10);
    near(&logits.log_softmax(1).nll_loss(&label, 1), &[0.407_605_964_4], 1e-10);

    let two = f64s(&[2.0, 1.0, 0.0, 0.0, 1.0, 2.0]).reshape([2, 3]);
    let labels = Device::reference().tensor(&[0i64, 1], [2]);
    let weighted = CrossEntropy::new(1).class_weights(&f64s(&[1.0, 3.0, 1.0]));
    near(&weighted.call(&two, &labels), &[1.157_605_96], 1e-8);
    near(&weighted.nll(&two.log_softmax(1), &labels), &[1.157_605_96], 1e-8);

    near(&f64s(&[-1000.0]).bce_with_logits(&f64s(&[1.0]), None, Reduction::Mean), &[1000.0], 0.0);
    near(&f64s(&[0.0]).bce_loss(&f64s(&[1.0]), Reduction::Mean), &[100.0], 0.0);
    // With weight 3 on the positive term, −3·ln σ(0) = 3·ln 2.
    let weight = f64s(&[3.0]);
    let loss = f64s(&[0.0]).bce_with_logits(&f64s(&[1.0]), Some(&weight), Reduction::Mean);
    near(&loss, &[3.0 * std::f64::consts::LN_2], 1e-15);
}

#[test]
fn misuse_is_named() {
    let x = numbers(&[2, 3], 0.1);
    let device = Device::reference();
    for (f, parts) in [
        ((|x| x.mse_loss(&x.reshape([3, 2]), Reduction::Mean)) as fn(&Tensor) -> Tensor, ["mse_loss", "[3, 2]"]),
        (|x| x.cross_entropy(&Device::reference().tensor(&[0i64, 1, 2], [3]), 1), ["cross_entropy", "[3]"]),
        (
            |x| x.cross_entropy(&Device::reference().tensor(&[0i64, 3], [2]), 1),
            ["cross_entropy: index 3", "use 0 to 2"],
        ),
        (|x| x.layer_norm([4], None, None, 1e-5), ["layer_norm", "[4]"]),
        (|x| x.masked_fill(x, 0.0), ["masked_fill", "f64"]),
        (|x| x.topk(4, 1, true).0, ["topk", "4"]),
        (|x| x.softmax(2), ["softmax", "axis 2"]),
    ] {
        let error = attempt(|| f(&x)).unwrap_err().to_string();
        assert!(parts.iter().all(|part| error.contains(part)), "{error}");
    }
    let error = attempt(|| device.tensor(&[1i64], [1]).softmax(0)).unwrap_err().to_string();
    assert!(error.contains("softmax") && error.contains("i64"), "{error}");
}
