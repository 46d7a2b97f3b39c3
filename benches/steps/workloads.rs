//! What is measured: everything is in `f32` on random data; a training step is forward, backward and an update by Adam.

use cotangent::prelude::*;
use std::hint::black_box;
use std::time::{Duration, Instant};

/// Runs a workload once and tells how long the part that is measured took.
pub type Run = Box<dyn FnMut() -> Duration>;

/// Name, what one run does, and how to set it up.
pub type Workload = (&'static str, &'static str, fn() -> Run);

/// All of them.
pub const WORKLOADS: &[Workload] = &[
    ("op_overhead", "150 elementwise ops on 8 elements, sum, backward", op_overhead),
    (
        "elementwise_chain",
        "sum(0.5 z (1+tanh(0.79788(z+0.044715 z^3)))) and its gradient, 4 Mi elements, written as plain operations",
        elementwise_chain,
    ),
    ("cross_entropy", "cross-entropy of 4096x1000 logits and its gradient", cross_entropy_of_logits),
    ("layer_norm", "LayerNorm over 4096x1024 and gradients of input, weight, bias", layer_norm),
    ("adam", "Adam step over 100 tensors of 100x1000", adam),
    ("mlp_b128", "training step of 784-200-BN-ReLU-Drop-100-BN-ReLU-Drop-10, batch 128", || mlp(128)),
    ("mlp_b1024", "training step of 784-200-BN-ReLU-Drop-100-BN-ReLU-Drop-10, batch 1024", || mlp(1024)),
];

/// A workload that is measured as a whole.
fn whole<R>(mut f: impl FnMut() -> R + 'static) -> Run {
    Box::new(move || {
        let start = Instant::now();
        black_box(f());
        Device::default().backend().synchronize().expect("the device works");
        start.elapsed()
    })
}

fn op_overhead() -> Run {
    let x = Rng::new(0).normal([8]).tracked();
    whole(move || {
        let mut y = x.clone();
        for _ in 0..50 {
            y = (y * 1.01 + 0.1).tanh();
        }
        y.sum(..).backward()
    })
}

fn elementwise_chain() -> Run {
    let z = Rng::new(0).normal([4 << 20]).tracked();
    whole(move || {
        let inner = 0.7978845608 * (&z + 0.044715 * &z * &z * &z);
        (0.5 * &z * (1.0 + inner.tanh())).sum(..).backward()
    })
}

/// Random classes.
fn classes(rng: &Rng, batch: usize, classes: usize) -> Tensor {
    (rng.uniform([batch]) * classes as f64).to(DType::I64)
}

fn cross_entropy_of_logits() -> Run {
    let rng = Rng::new(0);
    let (logits, targets) = (rng.normal([4096, 1000]).tracked(), classes(&rng, 4096, 1000));
    whole(move || cross_entropy(&logits, &targets).backward())
}

fn layer_norm() -> Run {
    let x = Rng::new(0).normal([4096, 1024]).tracked();
    let norm = LayerNorm::new(1024);
    whole(move || norm.forward(&x, &Mode::Eval).sum(..).backward())
}

fn adam() -> Run {
    let rng = Rng::new(0);
    let mut params: Vec<Param> = (0..100).map(|_| Param::new(rng.normal([100, 1000]))).collect();
    let slopes: Vec<Tensor> = (0..100).map(|_| rng.normal([100, 1000])).collect();
    let mut opt = Adam::new(1e-3);
    Box::new(move || {
        // The gradients belong to the parameters' present values, so they are made anew, outside of what is measured.
        let terms = params.iter().zip(&slopes).map(|(p, slope)| (&**p * slope).sum(..));
        let grads = terms.reduce(|a, b| a + b).expect("there are parameters").backward();
        let start = Instant::now();
        opt.step(&mut params, &grads);
        start.elapsed()
    })
}

fn mlp(batch: usize) -> Run {
    let rng = Rng::new(0);
    let block = |inputs, outputs| (Dense::new(inputs, outputs, &rng), BatchNorm::new(outputs), Relu, Dropout(0.5));
    step((block(784, 200), block(200, 100), Dense::new(100, 10, &rng)), batch)
}

/// A training step on random images of 784 pixels in 10 classes.
pub fn step(mut model: impl Layer + 'static, batch: usize) -> Run {
    let rng = Rng::new(0);
    let (x, y) = (rng.uniform([batch, 784]), classes(&rng, batch, 10));
    let mut opt = Adam::new(1e-3);
    whole(move || {
        let loss = cross_entropy(&model.forward(&x, &Mode::Train(&rng)), &y);
        opt.step(&mut model, &loss.backward());
    })
}

/// Operations per second in a product of matrices of 1024×1024.
pub fn peak(least: Duration) -> f64 {
    let rng = Rng::new(0);
    let (a, b) = (rng.normal([1024, 1024]), rng.normal([1024, 1024]));
    2.0 * 1024f64.powi(3) / measure(&mut whole(move || a.matmul(&b)), least).0.as_secs_f64()
}

/// The median time of a run, and how many there were: for at least so long, after a warm-up.
pub fn measure(run: &mut Run, least: Duration) -> (Duration, usize) {
    for _ in 0..3 {
        run();
    }
    let (start, mut times) = (Instant::now(), vec![]);
    while start.elapsed() < least || times.len() < 5 {
        times.push(run());
    }
    times.sort();
    (times[times.len() / 2], times.len())
}
