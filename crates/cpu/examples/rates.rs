//! How fast the backend is next to what the machine could do: `cargo run --release -p cotangent-cpu --example rates -- THREADS`.

use cotangent_core::{DType, Fold, Rng, Tensor, pointwise};
use std::hint::black_box;
use std::time::Instant;

/// Seconds of the fastest of several runs.
fn best(mut f: impl FnMut()) -> f64 {
    let begin = Instant::now();
    let mut best = f64::INFINITY;
    let mut runs = 0;
    while runs < 3 || (begin.elapsed().as_secs_f64() < 0.15 && runs < 10_000) {
        let start = Instant::now();
        f();
        best = best.min(start.elapsed().as_secs_f64());
        runs += 1;
    }
    best
}

/// Prints nanoseconds per element.
fn per_element(what: &str, count: usize, f: impl FnMut()) {
    println!("{what:<44}{:9.3} ns/element", best(f) * 1e9 / count as f64);
}

/// Prints nanoseconds per call, of many at a time.
fn per_call(what: &str, mut f: impl FnMut()) {
    let many = 1000;
    let seconds = best(|| (0..many).for_each(|_| f()));
    println!("{what:<44}{:9.1} ns/call", seconds * 1e9 / many as f64);
}

fn gelu(x: &Tensor) -> Tensor {
    pointwise(|[z]| 0.5 * z * (1.0 + (0.7978845608 * (z + 0.044715 * z * z * z)).tanh())).call([x])
}

fn main() {
    let threads = std::env::args().nth(1).map_or(0, |n| n.parse().expect("the argument is a number of threads"));
    cotangent_cpu::set_threads(threads);
    println!("{} threads", cotangent_cpu::threads());
    let rng = Rng::new(1);

    let x = rng.normal([8]);
    per_call("x + x, 8 elements", || drop(black_box(&x + &x)));
    per_call("x * 1.01, 8 elements", || drop(black_box(&x * 1.01)));
    per_call("tanh x, 8 elements", || drop(black_box(x.tanh())));
    per_call("sum x, 8 elements", || drop(black_box(x.sum(..))));
    let x = rng.normal([128, 200]);
    let row = rng.normal([200]);
    per_element("x + x, 128x200", x.count(), || drop(black_box(&x + &x)));
    per_element("x + row, 128x200", x.count(), || drop(black_box(&x + &row)));
    per_element("relu x, 128x200", x.count(), || drop(black_box(x.relu())));
    per_element("sum x over rows, 128x200", x.count(), || drop(black_box(x.sum(0))));
    per_element("sum x over columns, 128x200", x.count(), || drop(black_box(x.sum(1))));

    for count in [16 << 10, 4 << 20] {
        let x = rng.normal([count]);
        let mut copy = vec![0f32; count];
        let plain = x.to_vec::<f32>();
        println!("{count} elements");
        per_element("  memcpy (one thread)", count, || black_box(&mut copy).copy_from_slice(black_box(&plain)));
        per_element("  x + x", count, || drop(black_box(&x + &x)));
        let mut y = Some(rng.normal([count]));
        per_element("  y = y * 1.01 in place", count, || y = y.take().map(|y| black_box(y * 1.01)));
        per_element("  relu", count, || drop(black_box(x.relu())));
        per_element("  exp", count, || drop(black_box(x.exp())));
        per_element("  tanh", count, || drop(black_box(x.tanh())));
        per_element("  sigmoid", count, || drop(black_box(x.sigmoid())));
        per_element("  log", count, || drop(black_box(x.square().log())));
        per_element("  gelu (10 instructions)", count, || drop(black_box(gelu(&x))));
        per_element("  to bf16", count, || drop(black_box(x.to(DType::BF16))));
        let half = x.to(DType::BF16);
        per_element("  bf16 + bf16", count, || drop(black_box(&half + &half)));
        per_element("  uniform", count, || drop(black_box(rng.uniform([count]))));
        per_element("  normal", count, || drop(black_box(rng.normal([count]))));
        per_element("  sum", count, || drop(black_box(x.sum(..))));
        per_element("  max", count, || drop(black_box(x.max(..))));
        let m = x.reshape([count / 256, 256]);
        per_element("  sum of columns [n, 256]", count, || drop(black_box(m.sum(0))));
        per_element("  sum of rows [n, 256]", count, || drop(black_box(m.sum(1))));
        let m = x.reshape([count / 1024, 1024]);
        per_element("  sum of columns [n, 1024]", count, || drop(black_box(m.sum(0))));
        per_element("  sum of rows [n, 1024]", count, || drop(black_box(m.sum(1))));
        let m = x.reshape([count / 8, 8]);
        per_element("  sum of columns [n, 8]", count, || drop(black_box(m.sum(0))));
        per_element("  sum of rows [n, 8]", count, || drop(black_box(m.sum(1))));
        let m = x.reshape([count / 128, 128]);
        per_element("  transposed copy [n, 128]", count, || drop(black_box(m.t().contiguous())));
        per_element("  x + row [n, 128]", count, || drop(black_box(&m + &m.narrow(0, 0, 1))));
        per_element("  x + column [n, 128]", count, || drop(black_box(&m + &m.narrow(1, 0, 1))));
        let squares = pointwise(|[x, m]| (x - m).square());
        let mean = m.mean(0);
        per_element("  sum (x - row)^2 of columns", count, || drop(black_box(squares.fold(Fold::Sum, 0, [&m, &mean]))));
    }
    for [m, k, n] in [
        [8, 8, 8],
        [32, 32, 32],
        [128, 784, 200],
        [128, 200, 100],
        [128, 100, 10],
        [1024, 784, 200],
        [784, 128, 200],
        [1024, 1024, 1024],
    ] {
        let (a, b) = (rng.normal([m, k]), rng.normal([k, n]));
        let bt = rng.normal([n, k]);
        let at = rng.normal([k, m]);
        let work = (2 * m * k * n) as f64;
        let rates = [
            best(|| drop(black_box(a.matmul(&b)))),
            best(|| drop(black_box(a.matmul(&bt.t())))),
            best(|| drop(black_box(at.t().matmul(&b)))),
        ];
        let [plain, second, first] = rates.map(|seconds| work / seconds * 1e-9);
        println!(
            "matmul {m}x{k}x{n}: {plain:.1} GFLOP/s, right transposed {second:.1}, left transposed {first:.1}; {:.1} us",
            rates[0] * 1e6
        );
    }
}
