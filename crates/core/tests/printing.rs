//! Tensors as text, compared with what NumPy prints (`printing/expected.py`).

use cotangent_core::{DType, Device, Tensor, f16};

fn range(n: usize, shape: &[usize]) -> Tensor {
    let data: Vec<f32> = (0..n).map(|k| k as f32).collect();
    Tensor::new(data, shape)
}

fn f64s(data: &[f64]) -> Tensor {
    Tensor::from_slice(data, [data.len()])
}

fn f32s(data: &[f32]) -> Tensor {
    Tensor::new(data, [data.len()])
}

fn tensor(case: &str) -> Tensor {
    let (nan, inf) = (f32::NAN, f32::INFINITY);
    match case {
        "scalar" => Tensor::new([0.1], ()),
        "vector" => f32s(&[1.0, 2.5, -3.25]),
        "aligned" => Tensor::new([1.0, -0.5, 100.0, 2.25], [2, 2]),
        "whole numbers" => range(12, &[3, 4]),
        "thirds" => f32s(&[1.0 / 3.0, 2.0 / 3.0, 100.0 / 3.0]),
        "thirds in f64" => f64s(&[1.0 / 3.0, 2.0 / 3.0, 100.0 / 3.0]),
        "half precision" => Tensor::from_slice(&[0.1, 65504.0, 3.25].map(f16::from_f64), [3]),
        "ratio of 1000" => f64s(&[0.001, 1.0]),
        "ratio above 1000" => f64s(&[0.001, 1.5, -20.25]),
        "large" => f64s(&[1e8, 123456789.0]),
        "small" => f32s(&[0.00001234, 0.00005]),
        "three-digit exponents" => f64s(&[1e-200, 1e200, -1.0]),
        "not finite" => f32s(&[nan, inf, -inf, 1.5]),
        "not finite, scientific" => f32s(&[nan, -inf, 1.5e10]),
        "nothing finite" => f32s(&[nan, inf]),
        "negative zero" => f32s(&[0.0, -0.0]),
        "integers" => Tensor::from_slice(&[1i64, -20, 300, 4], [2, 2]),
        "truth" => f32s(&[1.0, 0.0]).to(DType::Bool),
        "all true" => Tensor::ones([2, 1]).to(DType::Bool),
        "empty" => Tensor::zeros([2, 0]),
        "three axes" => range(8, &[2, 2, 2]) / 2.0,
        "wrapped lines" => range(30, &[30]).sqrt(),
        "long vector" => range(1001, &[1001]),
        "long matrix" => range(2000, &[40, 50]) - 7.0,
        "long and narrow" => range(2002, &[1001, 2]) / 4.0,
        "exactly 1000" => range(1000, &[2, 500]).to(DType::I32),
        "four axes" => range(4 * 7 * 8 * 9, &[4, 7, 8, 9]),
        other => panic!("no tensor for the case {other}"),
    }
}

#[test]
fn numpy_prints_the_same() {
    let mut cases = 0;
    for block in include_str!("printing/expected.txt").split("=== ").skip(1) {
        let (title, expected) = block.split_once('\n').unwrap();
        let (case, form) = title.split_once(": ").unwrap();
        let x = tensor(case);
        let text = match form {
            "display" => format!("{x}\n"),
            _ => format!("{x:?}\n")
                .replace(&format!(", shape={}, dtype={}, device={})", x.shape(), x.dtype(), x.device()), "")
                .replacen("tensor(", "", 1),
        };
        assert_eq!(text, expected, "{title}");
        cases += 1;
    }
    assert_eq!(cases, 54);
}

#[test]
fn debug_says_what_else_there_is_to_know() {
    let device = Device::reference();
    let x = device.tensor(&[1.0f32, 2.0], [2]).tracked();
    assert_eq!(format!("{x:?}"), "tensor([1., 2.], shape=[2], dtype=f32, device=reference, tracked)");
    let y = x.square();
    assert_eq!(format!("{y:?}"), "tensor([1., 4.], shape=[2], dtype=f32, device=reference, tracked, by=square)");
    assert_eq!(format!("{:?}", y.detach()), "tensor([1., 4.], shape=[2], dtype=f32, device=reference)");
}

#[test]
fn precision_is_the_format_strings() {
    assert_eq!(format!("{:.3}", f64s(&[1.0 / 3.0, 2.0])), "[0.333 2.   ]");
    assert_eq!(format!("{:.2}", f64s(&[1.0 / 3.0, 2e9])), "[3.33e-01 2.00e+09]");
}

#[test]
fn only_the_edges_are_read() {
    // One element in memory, 10¹² in the tensor.
    let huge = Tensor::full([1_000_000, 1_000_000], 2.0);
    assert!(huge.to_string().starts_with("[[2. 2. 2. ... 2. 2. 2.]\n"));
}

#[test]
fn half_precision_prints_the_shortest_digits() {
    let x = Tensor::new([0.1, 3.0, 1.0 / 3.0], [3]).to(DType::BF16);
    assert_eq!(x.to_string(), "[0.1   3.    0.334]");
}
