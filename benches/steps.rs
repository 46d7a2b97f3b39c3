//! Times operations and training steps: one JSON line for each workload, with the median of repeated runs.
//!
//! `cargo bench --bench steps -- [--only NAME] [--threads N]`. Everything is in `f32` on random data; a training step is
//! forward, backward and an update by Adam.

use cotangent::prelude::*;
use std::hint::black_box;
use std::time::{Duration, Instant};

/// Runs a workload once and tells how long the part that is measured took.
type Run = Box<dyn FnMut() -> Duration>;

/// Name, what one run does, and how to set it up.
type Workload = (&'static str, &'static str, fn() -> Run);

const WORKLOADS: &[Workload] = &[
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
    let mut model = (
        (Dense::new(784, 200, &rng), BatchNorm::new(200), Relu, Dropout(0.5)),
        (Dense::new(200, 100, &rng), BatchNorm::new(100), Relu, Dropout(0.5)),
        Dense::new(100, 10, &rng),
    );
    let (x, y) = (rng.uniform([batch, 784]), classes(&rng, batch, 10));
    let mut opt = Adam::new(1e-3);
    whole(move || {
        let loss = cross_entropy(&model.forward(&x, &Mode::Train(&rng)), &y);
        opt.step(&mut model, &loss.backward());
    })
}

/// The median time of a run, and how many there were: for at least a second, after a warm-up.
fn measure(mut run: Run) -> (Duration, usize) {
    for _ in 0..3 {
        run();
    }
    let (start, mut times) = (Instant::now(), vec![]);
    while start.elapsed() < Duration::from_secs(1) || times.len() < 5 {
        times.push(run());
    }
    times.sort();
    (times[times.len() / 2], times.len())
}

/// Which workload (all if none is named), and the number of threads.
fn options() -> Result<(Option<String>, usize), lexopt::Error> {
    use lexopt::{Arg, ValueExt};
    let (mut only, mut threads) = (None, 2);
    let mut parser = lexopt::Parser::from_env();
    while let Some(arg) = parser.next()? {
        match arg {
            Arg::Long("only") => only = Some(parser.value()?.string()?),
            Arg::Long("threads") => threads = parser.value()?.parse()?,
            Arg::Long("bench") => {} // cargo bench adds it
            other => return Err(other.unexpected()),
        }
    }
    match &only {
        Some(name) if !WORKLOADS.iter().any(|(known, ..)| known == name) => {
            let known: Vec<&str> = WORKLOADS.iter().map(|(name, ..)| *name).collect();
            Err(format!("no workload '{name}'; there are {}", known.join(", ")).into())
        }
        _ => Ok((only, threads)),
    }
}

fn main() {
    let (only, threads) = options().unwrap_or_else(|error| {
        eprintln!("steps: {error}");
        std::process::exit(2);
    });
    cotangent::cpu::set_threads(threads);
    for (name, work, make) in WORKLOADS.iter().filter(|(name, ..)| only.as_deref().is_none_or(|only| only == *name)) {
        let (median, runs) = measure(make());
        let us = median.as_secs_f64() * 1e6;
        println!(
            "{{\"name\": \"{name}\", \"us\": {us:.2}, \"runs\": {runs}, \"work\": \"{work}\", \"peer\": \"cotangent\", \
             \"threads\": {threads}}}"
        );
    }
}
