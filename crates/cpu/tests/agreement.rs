//! The backend against the naive one, over element types and layouts.

use cotangent_core::expr::{Binary, Draw, Unary};
use cotangent_core::{DType, Device, Fold, Rng, Shape, Tensor, keep, pointwise};
use cotangent_cpu::Cpu;

const FLOATS: [DType; 4] = [DType::F16, DType::BF16, DType::F32, DType::F64];

fn devices() -> [Device; 2] {
    [Device::reference(), Device::new(Cpu::with_threads(2))]
}

/// The same numbers on a device, whatever its own random numbers.
fn numbers(device: &Device, shape: impl Into<Shape>, dtype: DType, seed: u64) -> Tensor {
    let shape = shape.into();
    let mut state = seed.wrapping_mul(0x9E3779B97F4A7C15) | 1;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 40) as f64 / (1u64 << 24) as f64 * 4.0 - 2.0
    };
    let data: Vec<f64> =
        (0..shape.count()).map(|_| if dtype.is_float() { next() } else { (next() * 3.0).round() }).collect();
    device.tensor(&data, shape).to(dtype)
}

/// Runs `f` on both devices and compares the results, NaN equal to NaN.
#[track_caller]
fn agree(what: &str, dtype: DType, tolerance: f64, f: impl Fn(&Device) -> Tensor) {
    let [expected, found] = devices().map(|device| {
        let y = f(&device);
        (y.shape().clone(), y.dtype(), y.to(DType::F64).to_vec::<f64>())
    });
    assert_eq!((&expected.0, expected.1), (&found.0, found.1), "{what}, {dtype}");
    for (at, (&a, &b)) in expected.2.iter().zip(&found.2).enumerate() {
        let near = (a - b).abs() <= tolerance * a.abs().max(1.0) || a == b || (a.is_nan() && b.is_nan());
        assert!(near, "{what}, {dtype}: {b} instead of {a} at {at} of {}", expected.0);
    }
}

fn tolerance(dtype: DType) -> f64 {
    4.0 * dtype.epsilon()
}

#[test]
fn primitives() {
    let special = [0.0, -0.0, 1.0, -1.0, 0.5, 2.0, -2.5, 3.5, 1e-3, f64::INFINITY, f64::NEG_INFINITY, f64::NAN];
    let sides = |device: &Device, dtype| {
        let a: Vec<f64> = special.iter().flat_map(|&a| special.map(|_| a)).collect();
        let b: Vec<f64> = special.iter().flat_map(|_| special).collect();
        [a, b].map(|x| device.tensor(&x, [x.len()]).to(dtype))
    };
    for dtype in FLOATS {
        for &u in Unary::ALL {
            agree(u.row().name, dtype, tolerance(dtype), |d| {
                pointwise(move |[x]| x.unary(u)).call([&sides(d, dtype)[0]])
            });
        }
        for &b in Binary::ALL {
            agree(b.row().name, dtype, tolerance(dtype), |d| {
                let [x, y] = sides(d, dtype);
                pointwise(move |[x, y]| x.binary(b, y)).call([&x, &y])
            });
        }
    }
}

/// Views of `[a, b, c]` elements in many layouts, all of one shape.
fn layouts(device: &Device, [a, b, c]: [usize; 3], dtype: DType) -> Vec<(&'static str, Tensor)> {
    let x = |shape, seed| numbers(device, shape, dtype, seed);
    vec![
        ("contiguous", x([a, b, c], 1)),
        ("permuted", x([c, a, b], 2).permute([1, 2, 0])),
        ("transposed", x([a, c, b], 3).t()),
        ("offset", x([a, b + 2, c + 3], 4).narrow(1, 1, b).narrow(2, 2, c)),
        ("row", x([1, 1, c], 5).expand([a, b, c])),
        ("column", x([1, b, 1], 6).expand([a, b, c])),
        ("outer", x([a, 1, 1], 7).expand([a, b, c])),
        ("plane", x([1, b, c], 8).expand([a, b, c])),
        ("scalar", x([1, 1, 1], 9).expand([a, b, c])),
    ]
}

#[test]
fn layouts_of_arguments() {
    for dtype in [DType::F32, DType::BF16, DType::I32, DType::F64] {
        for dims in [[2, 3, 5], [4, 1, 600], [300, 2, 3], [3, 40, 20], [1, 1, 1], [2, 0, 3], [1, 700, 2]] {
            let names: Vec<&str> = layouts(&Device::reference(), [1, 1, 1], dtype).iter().map(|l| l.0).collect();
            for (i, first) in names.iter().enumerate() {
                for (j, second) in names.iter().enumerate().skip(i % 3).step_by(2) {
                    agree(&format!("{first} + {second} {dims:?}"), dtype, tolerance(dtype), |d| {
                        let all = layouts(d, dims, dtype);
                        pointwise(|[x, y]| x * y + x).call([&all[i].1, &all[j].1])
                    });
                }
            }
        }
    }
}

#[test]
fn conversions() {
    for from in DType::ALL {
        for to in DType::ALL {
            agree(&format!("to {to}"), from, 0.0, |d| numbers(d, [3, 7], from, 1).to(to));
            agree(&format!("to {to}, transposed"), from, 0.0, |d| numbers(d, [5, 6], from, 1).t().to(to));
        }
    }
}

#[test]
fn folds() {
    let axes: [&[isize]; 8] = [&[], &[0], &[1], &[2], &[0, 1], &[1, 2], &[0, 2], &[0, 1, 2]];
    for dtype in [DType::F32, DType::BF16, DType::F64, DType::I32, DType::Bool] {
        for dims in [[2, 3, 5], [3, 2, 700], [300, 2, 3], [3, 40, 30], [1, 1, 1], [2, 0, 3], [2, 150, 601]] {
            let large = dims.iter().product::<usize>() > 10_000;
            if large && dtype != DType::F32 {
                continue;
            }
            for (layout, name) in ["contiguous", "permuted", "transposed", "offset", "row", "column"].iter().enumerate()
            {
                if large && layout > 1 || dims[0] > 5 && layout % 2 == 1 {
                    continue;
                }
                for over in axes {
                    for fold in [Fold::Sum, Fold::Max, Fold::Min] {
                        let empty = over.iter().any(|&k| dims[k as usize] == 0);
                        if fold != Fold::Sum && (empty || dtype == DType::Bool) {
                            continue;
                        }
                        let many = dims.iter().product::<usize>() as f64;
                        agree(
                            &format!("{fold:?} over {over:?} of {name} {dims:?}"),
                            dtype,
                            tolerance(dtype) * many.sqrt(),
                            |d| {
                                let x = &layouts(d, dims, dtype)[layout].1;
                                if dtype == DType::Bool {
                                    return pointwise(|[x]| x).fold(fold, keep(over), [x]);
                                }
                                pointwise(|[x]| x * x - x).fold(fold, over, [x])
                            },
                        );
                    }
                }
            }
        }
    }
    agree("product", DType::F32, 1e-4, |d| {
        let x = &numbers(d, [40, 30], DType::F32, 3);
        pointwise(|[x]| x.abs() + 0.5).fold(Fold::Prod, 1, [x])
    });
    agree("product of columns", DType::F32, 1e-4, |d| {
        let x = &numbers(d, [40, 30], DType::F32, 3);
        pointwise(|[x]| x.abs() + 0.5).fold(Fold::Prod, 0, [x])
    });
}

#[test]
fn several_outputs() {
    for dims in [[2, 3], [50, 100], [300, 400]] {
        agree("two outputs", DType::F32, 1e-6, |d| {
            let (x, y) = (&numbers(d, dims, DType::F32, 1), &numbers(d, dims, DType::F32, 2));
            let [a, b, c] = pointwise(|[x, y]| [x + y, x, x.gt(y)]).call([x, y]);
            c.select(&a, &b)
        });
    }
}

#[test]
fn products() {
    for dtype in [DType::F16, DType::BF16, DType::F32, DType::F64, DType::I32, DType::I64] {
        for [m, k, n] in [
            [1, 1, 1],
            [3, 4, 5],
            [17, 33, 9],
            [0, 3, 2],
            [3, 0, 2],
            [3, 2, 0],
            [1, 50, 1],
            [64, 300, 70],
            [200, 200, 200],
        ] {
            for transposed in 0..4 {
                agree(
                    &format!("matmul {m}x{k}x{n} {transposed}"),
                    dtype,
                    4.0 * dtype.epsilon() * k.max(1) as f64,
                    |d| {
                        let a = if transposed & 1 == 0 {
                            numbers(d, [2, m, k], dtype, 1)
                        } else {
                            numbers(d, [2, k, m], dtype, 1).t()
                        };
                        let b = if transposed & 2 == 0 {
                            numbers(d, [k, n], dtype, 2)
                        } else {
                            numbers(d, [n, k], dtype, 2).t()
                        };
                        a.matmul(&b)
                    },
                );
            }
        }
    }
}

#[test]
fn random_numbers() {
    for kind in [Draw::Uniform, Draw::Uniform53, Draw::Normal] {
        for n in [1, 3, 7, 64, 1000, 5003] {
            for dtype in [DType::F32, DType::F64] {
                agree(&format!("{kind:?} {n}"), dtype, 1e-6, |d| {
                    let ticket = Rng::new(5).ticket();
                    pointwise(move |[x]: [_; 1]| cotangent_core::expr::draw(kind, ticket) + x).call([&numbers(
                        d,
                        [n],
                        dtype,
                        1,
                    )])
                });
            }
        }
    }
}
