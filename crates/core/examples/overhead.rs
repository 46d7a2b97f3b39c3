//! What recording an operation costs beside the backend's work: `cargo run --release -p cotangent-core --example overhead`.

use cotangent_core::backend::{Arg, Call};
use cotangent_core::expr::trace;
use cotangent_core::*;
use std::hint::black_box;
use std::time::Instant;

/// Nanoseconds for each of many calls, the best of a few rounds.
fn nanoseconds(mut f: impl FnMut()) -> f64 {
    let calls = 20_000;
    let round = |_| {
        let start = Instant::now();
        (0..calls).for_each(|_| f());
        start.elapsed().as_nanos() as f64 / calls as f64
    };
    (0..10).map(round).fold(f64::INFINITY, f64::min)
}

fn main() {
    let device = Device::reference();
    let x = device.tensor(&[1.0f32; 8], [8]);
    let (tracked, other) = (x.tracked(), x.tracked());
    let sum = trace(|[a, b]| a + b);
    let backend = nanoseconds(|| {
        let args = [x.view(), x.view()].map(Arg::Shared).into_iter().collect();
        let (program, outputs) = (&*sum.program, &[DType::F32]);
        black_box(device.backend().map(Call { program, uniforms: &[], args, shape: x.shape(), outputs }));
    });
    println!("the backend's part of 8 additions: {backend:6.0} ns; beside it");
    let report = |name: &str, total: f64, calls: f64| println!("{name:32} {:6.0} ns", total - backend * calls);
    report("untracked addition", nanoseconds(|| drop(black_box(&x + &x))), 1.0);
    report("recorded addition", nanoseconds(|| drop(black_box(&tracked + &other))), 1.0);
    report("recorded product", nanoseconds(|| drop(black_box(&tracked * &other))), 1.0);
    report("recorded product with a number", nanoseconds(|| drop(black_box(&tracked * 2.0))), 1.0);
    report("recorded exponential", nanoseconds(|| drop(black_box(tracked.exp()))), 1.0);
    let chain = |x: &Tensor| (0..100).fold(x.clone(), |y, _| y * 1.01);
    let forward = nanoseconds_few(|| drop(black_box(chain(&tracked))));
    report("one of 100 products in a chain", forward / 100.0, 1.0);
    let both = nanoseconds_few(|| drop(black_box(chain(&tracked).backward_with(&x))));
    report("its step back", (both - forward) / 100.0, 1.0);
}

/// As [`nanoseconds`], for long functions.
fn nanoseconds_few(mut f: impl FnMut()) -> f64 {
    let once = |_| {
        let start = Instant::now();
        f();
        start.elapsed().as_nanos() as f64
    };
    (0..300).map(once).fold(f64::INFINITY, f64::min)
}
