//! Results are the same bits for any number of threads, and sums are precise.

use cotangent_core::{DType, Device, Fold, Rng, Tensor, keep, pointwise};
use cotangent_cpu::Cpu;

/// The bits of every result.
fn bits(tensors: &[Tensor]) -> Vec<Vec<u64>> {
    tensors.iter().map(|x| x.to(DType::F64).to_vec::<f64>().iter().map(|x| x.to_bits()).collect()).collect()
}

/// The same bits with one, two and three threads.
#[track_caller]
fn independent(what: &str, f: impl Fn(&Device) -> Vec<Tensor>) {
    let [one, two, three] = [1, 2, 3].map(|count| bits(&f(&Device::new(Cpu::with_threads(count)))));
    assert!(one == two && two == three, "{what}: the number of threads shows in the result");
}

/// Normal numbers that need not lie row by row.
fn normal(device: &Device, shape: [usize; 3], order: [isize; 3], seed: u64) -> Tensor {
    let zeros = device.full(shape, 0.0, DType::F32);
    Rng::new(seed).normal_like(&zeros).permute(order)
}

#[test]
fn maps() {
    independent("map", |d| {
        let (x, y) = (normal(d, [70, 50, 120], [0, 1, 2], 1), normal(d, [120, 70, 50], [1, 2, 0], 2));
        let bias = normal(d, [1, 1, 120], [0, 1, 2], 3);
        let [a, b] = pointwise(|[x, y, z]| [(x * y + z).tanh(), x.exp().gt(y)]).call([&x, &y, &bias]);
        vec![a, b, Rng::new(3).uniform_like(&x), Rng::new(3).normal_like(&x), x.to(DType::BF16)]
    });
}

#[test]
fn folds() {
    for shape in [[3, 1000, 130], [200_000, 1, 2], [2, 3, 60_000], [40, 60, 80], [5000, 7, 9], [1, 300, 1500]] {
        for order in [[0, 1, 2], [2, 0, 1]] {
            independent(&format!("folds of {shape:?} {order:?}"), |d| {
                let x = normal(d, shape, order, 1);
                let squares = pointwise(|[x]| x * x + x);
                let over = |axes: &[isize]| [Fold::Sum, Fold::Max].map(|fold| squares.fold(fold, axes, [&x]));
                [&[0][..], &[1], &[2], &[0, 1], &[1, 2], &[0, 2], &[0, 1, 2]]
                    .iter()
                    .flat_map(|&axes| over(axes))
                    .collect()
            });
        }
    }
}

#[test]
fn products() {
    for [m, k, n] in [
        [300, 50, 400],
        [128, 784, 200],
        [1000, 300, 10],
        [10, 300, 1000],
        [64, 64, 64],
        [257, 129, 321],
        [1, 5000, 700],
    ] {
        independent(&format!("matmul {m}x{k}x{n}"), |d| {
            let (a, b) = (normal(d, [2, m, k], [0, 1, 2], 1), normal(d, [2, k, n], [0, 1, 2], 2));
            let (at, bt) = (normal(d, [2, k, m], [0, 2, 1], 3), normal(d, [1, n, k], [0, 2, 1], 4));
            vec![a.matmul(&b), at.matmul(&b), a.matmul(&bt), at.matmul(&bt)]
        });
    }
    independent("many small products", |d| {
        vec![normal(d, [3000, 12, 16], [0, 1, 2], 1).matmul(&normal(d, [3000, 16, 9], [0, 1, 2], 2))]
    });
}

#[test]
fn axes() {
    independent("order and scans", |d| {
        let x = normal(d, [30, 400, 20], [0, 1, 2], 1);
        vec![x.argmax(1), x.argmin(0), x.argmax(2), x.cumsum(1), x.argsort(1, false), x.permute([2, 1, 0]).contiguous()]
    });
}

#[test]
fn sums_do_not_lose_digits() {
    let device = Device::new(Cpu::with_threads(2));
    let n = 3_000_000;
    // 0.1 is not a sum of few powers of two, so each addition rounds.
    let tenth = device.tensor(&vec![0.1f32; n], [n]);
    let exact = 0.1f32 as f64 * n as f64;
    let relative = |x: &Tensor| (x.item() - exact).abs() / exact;
    assert!(relative(&tenth.sum(..)) < 4e-7);
    assert!(relative(&tenth.reshape([n / 3, 3]).sum(0).sum(..)) < 4e-7);
    assert!(relative(&tenth.reshape([n / 1000, 1000]).sum(0).sum(..)) < 4e-7);
    assert!(relative(&tenth.reshape([3, n / 3]).sum(keep(0)).sum(..)) < 4e-7);
    let double = tenth.to(DType::F64);
    assert!((double.sum(..).item() - exact).abs() / exact < 1e-14);
    // A large number must not swallow the small ones before they are added up.
    let mut one_large = vec![1f32; n];
    one_large[0] = 1e8;
    let sum = device.tensor(&one_large, [n]).sum(..).item();
    assert!((sum - (1e8 + n as f64 - 1.0)).abs() < 600.0, "{sum}");
    let half = device.tensor(&one_large, [n]).to(DType::BF16).sum(..).item();
    assert!((half - 1.03e8).abs() < 1e6, "{half}");
}
