//! What reaches memory by address, on inputs small enough for Miri: the products of matrices in every arrangement.
//! `cargo +nightly miri test -p cotangent-cpu --test small`

use cotangent_core::{DType, Device, Tensor};
use cotangent_cpu::Cpu;

/// Small whole numbers, so that products and sums are exact in every element type.
fn entry(seed: usize, i: usize, j: usize) -> i64 {
    ((seed + 5 * i + 3 * j) % 7) as i64 - 3
}

/// A matrix in the middle of a larger one, row-major or transposed.
fn window(device: &Device, seed: usize, [rows, columns]: [usize; 2], transposed: bool, dtype: DType) -> Tensor {
    let [r, c] = if transposed { [columns, rows] } else { [rows, columns] };
    let at = |i: usize, j: usize| if transposed { entry(seed, j, i) } else { entry(seed, i, j) };
    let inside = |i: usize, j: usize| (1..=r).contains(&i) && (2..2 + c).contains(&j);
    let data: Vec<i64> = (0..(r + 2) * (c + 3))
        .map(|k| (k / (c + 3), k % (c + 3)))
        .map(|(i, j)| if inside(i, j) { at(i - 1, j - 2) } else { 1000 })
        .collect();
    let whole = device.tensor(&data, [r + 2, c + 3]).to(dtype);
    let x = whole.narrow(0, 1, r).narrow(1, 2, c);
    if transposed { x.t() } else { x }
}

/// Products of row-major and transposed windows.
fn check_products(sizes: &[[usize; 3]], dtypes: &[DType]) {
    let device = Device::new(Cpu::with_threads(1));
    for &[m, k, n] in sizes {
        let expected: Vec<i64> =
            (0..m * n).map(|at| (0..k).map(|l| entry(1, at / n, l) * entry(2, l, at % n)).sum()).collect();
        for &dtype in dtypes {
            for arrangement in 0..4 {
                let a = window(&device, 1, [m, k], arrangement & 1 == 1, dtype);
                let b = window(&device, 2, [k, n], arrangement & 2 == 2, dtype);
                let product = a.matmul(&b);
                assert_eq!(product.shape(), [m, n]);
                assert!(
                    product.to(DType::I64).to_vec::<i64>() == expected,
                    "{dtype} {m}x{k}x{n}, arrangement {arrangement}: {product}"
                );
            }
        }
    }
}

#[test]
fn products_of_windows() {
    let sizes = [[1, 1, 1], [3, 4, 5], [9, 2, 17], [0, 3, 2], [3, 0, 2], [1, 5, 9], [7, 6, 1]];
    check_products(&sizes, &[DType::F16, DType::F32, DType::F64]);
}

/// Several blocks of the kernel in each direction, ends of blocks, and rows whose distance is 1024 bytes.
#[test]
#[cfg_attr(miri, ignore = "too slow for Miri, which sees the same code in the other tests")]
fn products_of_large_windows() {
    let sizes = [[200, 300, 49], [13, 257, 33], [193, 5, 64], [20, 253, 40], [253, 20, 40], [1, 300, 70], [70, 300, 1]];
    check_products(&sizes, &[DType::F32, DType::F64]);
}

#[test]
fn products_of_repeated_and_reversed_rows() {
    let device = Device::new(Cpu::with_threads(1));
    let row = device.tensor(&[1f32, 2.0, 3.0], [1, 3]);
    let all = row.expand([2, 3]).matmul(&row.t().expand([3, 2]));
    assert_eq!(all.to_vec::<f32>(), [14.0; 4]);
    let batch = row.expand([2, 1, 3]).matmul(&row.t());
    assert_eq!(batch.to_vec::<f32>(), [14.0; 2]);
    let reversed = row.flip([-1]).matmul(&row.t());
    assert_eq!(reversed.item(), 10.0);
}
