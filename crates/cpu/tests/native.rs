//! Programs run as machine code where there are many elements, and as loops where there are few: the bits are the same.

use cotangent_core::backend::Fold;
use cotangent_core::expr::{Binary, Unary};
use cotangent_core::{DType, Expr, Rng, Tensor, keep, pointwise};

/// Numbers of all kinds, in the given shape.
fn numbers(rng: &Rng, shape: &[usize], dtype: DType) -> Tensor {
    const SPECIAL: [f64; 12] =
        [0.0, -0.0, 1.0, -1.0, f64::INFINITY, f64::NEG_INFINITY, f64::NAN, 1e-40, -1e-40, 2.5, -3.5, 0.5];
    let count: usize = shape.iter().product();
    let mut values = (rng.normal([count]) * 3.0).to(DType::F64).to_vec::<f64>();
    for (k, value) in values.iter_mut().enumerate().filter(|(k, _)| k % 7 == 3) {
        *value = SPECIAL[(k / 7 * 5 + k) % SPECIAL.len()];
    }
    Tensor::from_slice(&values, shape).to(dtype)
}

fn bits(x: &Tensor) -> Vec<u64> {
    let bits = |x: f64| if x.is_nan() { u64::MAX } else { x.to_bits() };
    x.to(DType::F64).to_vec::<f64>().into_iter().map(bits).collect()
}

/// The same elements in memory of their own.
fn copy(x: &Tensor) -> Tensor {
    pointwise(|[x]: [Expr; 1]| x).call([x])
}

/// A formula, or several.
type Formula = Box<dyn Fn(&[Tensor; 3]) -> Vec<Tensor>>;

/// Every primitive, and formulas that combine them.
fn formulas() -> Vec<(String, Formula)> {
    let mut all: Vec<(String, Formula)> = vec![];
    for &u in Unary::ALL {
        all.push((
            format!("{u:?}"),
            Box::new(move |[x, ..]| vec![pointwise(move |[x]: [Expr; 1]| x.unary(u)).call([x])]),
        ));
    }
    for &b in Binary::ALL {
        let f = move |[x, y]: [Expr; 2]| x.binary(b, y);
        all.push((format!("{b:?}"), Box::new(move |[x, y, _]| vec![pointwise(f).call([x, y])])));
        let f = move |[x, y]: [Expr; 2]| y.binary(b, x) * 2.0 + 1.0;
        all.push((format!("{b:?} turned round"), Box::new(move |[x, y, _]| vec![pointwise(f).call([x, y])])));
    }
    let select = |[x, y, z]: [Expr; 3]| x.binary(Binary::Gt, y).select(z * 2.0, y.relu());
    all.push(("select".into(), Box::new(move |args| vec![pointwise(select).call(args.each_ref())])));
    let adam = |[p, m, v]: [Expr; 3]| {
        let (m, v) = (m * 0.9 + p * 0.1, v * 0.999 + p * p * 0.001);
        [p - m * 0.01 / (v.abs().sqrt() * 1.5 + 1e-8), m, v]
    };
    let owned = move |args: &[Tensor; 3]| pointwise(adam).call(args.each_ref().map(copy)).to_vec();
    all.push(("several results that overwrite arguments".into(), Box::new(owned)));
    // The first result goes where the second argument was before that is read.
    let swap = |[x, y, z]: [Expr; 3]| [z + 1.0, y - x, x * 2.0];
    let owned = move |args: &[Tensor; 3]| pointwise(swap).call(args.each_ref().map(copy)).to_vec();
    all.push(("results that do not depend on what they overwrite".into(), Box::new(owned)));
    // More values at one time than there are registers.
    let wide = |[x, y, z]: [Expr; 3]| {
        let powers: Vec<Expr> = (0..24).map(|k| x * (k as f64 + 1.5) + y).collect();
        let sum = powers.iter().fold(z, |sum, &p| sum + p);
        powers.iter().rev().fold(sum, |all, &p| all * p.binary(Binary::Max, z) + p)
    };
    all.push(("many values".into(), Box::new(move |args| vec![pointwise(wide).call(args.each_ref())])));
    let mixed = |[x, y, z]: [Expr; 3]| (x * y + 1.0).binary(Binary::Pow, z) * (y.tanh() + x.abs().sqrt());
    all.push((
        "simple and other primitives".into(),
        Box::new(move |args| vec![pointwise(mixed).call(args.each_ref())]),
    ));
    all
}

/// The formula on rows, one after the other, each so short that it is not worth machine code.
fn by_rows(args: &[Tensor; 3], shape: &[usize; 2], f: &dyn Fn(&[Tensor; 3]) -> Vec<Tensor>) -> Vec<Vec<u64>> {
    let mut results = vec![];
    for row in 0..shape[0] {
        let slice = args.each_ref().map(|x| x.expand(shape).narrow(0, row, 1)).map(|x| copy(&x));
        for (k, result) in f(&slice).iter().enumerate() {
            if row == 0 {
                results.push(vec![]);
            }
            results[k].extend(bits(result));
        }
    }
    results
}

#[test]
fn machine_code_gives_the_bits_of_loops() {
    let rng = Rng::new(5);
    for dtype in [DType::F32, DType::F64] {
        for n in [64, 201, 509] {
            let shape = [2048 / n + 3, n];
            let layouts: [[&[usize]; 3]; 3] =
                [[&shape, &shape, &shape], [&shape, &[1, n], &[shape[0], 1]], [&[shape[0], 1], &shape, &[1, 1]]];
            for layout in layouts {
                let args = layout.map(|shape| numbers(&rng, shape, dtype));
                for (name, f) in formulas() {
                    let whole: Vec<_> = f(&args.each_ref().map(|x| x.expand(shape))).iter().map(bits).collect();
                    assert!(whole == by_rows(&args, &shape, &*f), "{name}, {dtype}, arguments {layout:?}");
                }
            }
        }
    }
}

#[test]
fn machine_code_folds_in_the_order_of_loops() {
    let rng = Rng::new(6);
    // Rows of one block and of several, and so many of them that threads share them and they come from memory.
    for shape in [[35, 64], [13, 201], [7, 509], [5, 1000], [4, 2000], [530, 1000]] {
        let n = shape[1];
        for (second, special) in [(vec![shape[0], 1], false), (vec![1, n], false), (shape.to_vec(), true)] {
            let x = if special { numbers(&rng, &shape, DType::F32) } else { rng.normal(shape) };
            let args = [x, rng.normal(&second[..]), rng.normal(shape)];
            for fold in [Fold::Sum, Fold::Max, Fold::Min, Fold::Prod] {
                let rows = move |[x, y, z]: &[Tensor; 3]| {
                    let formula = pointwise(|[x, y, z]: [Expr; 3]| [(x - y).square() * z, y]);
                    formula.fold(fold, keep(&[-1isize][..]), [x, y, z]).to_vec()
                };
                let whole: Vec<_> = rows(&args.each_ref().map(|x| x.expand(shape))).iter().map(bits).collect();
                assert!(whole == by_rows(&args, &shape, &rows), "{fold:?} over rows of {n}, {second:?}");
            }
        }
    }
}

/// Sums in double precision, the other way round.
fn columns(values: &[f64], width: usize, join: impl Fn(f64, f64) -> f64) -> Vec<f64> {
    let mut all = values[..width].to_vec();
    for row in values.chunks_exact(width).skip(1) {
        all.iter_mut().zip(row).for_each(|(all, &x)| *all = join(*all, x));
    }
    all
}

#[test]
fn machine_code_folds_columns() {
    let rng = Rng::new(7);
    for (rows, width) in [(40, 64), (33, 200), (300, 512), (129, 1100), (2, 5000)] {
        let (x, y) = (rng.uniform([rows, width]), rng.uniform([rows, 1]));
        let products: Vec<f64> = (&x * &y).to(DType::F64).to_vec();
        type Join = fn(f64, f64) -> f64;
        for (fold, join) in [(Fold::Sum, (|a, b| a + b) as Join), (Fold::Max, f64::max), (Fold::Min, f64::min)] {
            let result = pointwise(|[x, y]: [Expr; 2]| x * y).fold(fold, keep(&[0isize][..]), [&x, &y]);
            for (a, b) in result.to_vec::<f32>().iter().zip(columns(&products, width, join)) {
                assert!(
                    (f64::from(*a) - b).abs() <= 2e-6 * b.abs(),
                    "{fold:?} of {rows} rows of {width}: {a}, not {b}"
                );
            }
        }
    }
}

#[test]
fn narrow_vectors_give_the_same() {
    const NARROW: (&str, &str) = ("COTANGENT_VECTOR_BYTES", "32");
    if std::env::var(NARROW.0).is_ok() {
        return; // this is the process below
    }
    let program = std::env::current_exe().expect("the test is a program");
    let output = std::process::Command::new(program).env(NARROW.0, NARROW.1).output().expect("it can be run again");
    let messages = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "with vectors of {} bytes:\n{messages}", NARROW.1);
}
