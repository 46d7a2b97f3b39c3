//! Checkpoints: the same numbers and gradients from a graph that is computed again.

mod common;

use common::{f64s, panic_of, values, x};
use cotangent_core::*;
use std::sync::Arc;

/// A function with a parameter and a mask that is drawn inside.
fn dropped(rng: &Rng, x: &Tensor, w: &Tensor) -> Tensor {
    let y = (x * w).tanh();
    let kept = rng.uniform_like(&y).lt(0.5).to(y.dtype());
    &y * kept * 2.0
}

#[test]
fn a_checkpoint_draws_the_same_numbers() {
    let data = f64s(&[0.5, -1.0, 2.0, 0.1, 0.7, -0.4]);
    let w = f64s(&[1.0, 2.0, -0.5, 0.3, 0.8, 1.1]);
    let run = |checkpointed: bool| {
        let rng = Arc::new(Rng::new(11));
        let before = rng.uniform([2]);
        let y = match checkpointed {
            false => dropped(&rng, &data, &w),
            true => {
                let (rng, w) = (rng.clone(), w.clone());
                checkpoint(move |[x]| dropped(&rng, x, &w), [&data])
            }
        };
        let after = rng.uniform([2]);
        let g = (y.square().sum(..)).backward();
        let last = rng.uniform([2]);
        [before, y.detach(), after, g[&w].clone(), g[&data].clone(), last]
    };
    let (plain, again) = (run(false), run(true));
    assert!(plain[1].to_vec::<f64>().contains(&0.0) && values(&plain[1]).iter().any(|v| *v != 0.0));
    plain.iter().zip(&again).for_each(|(a, b)| assert!(a == b, "{a} and {b}"));
}

#[test]
fn nested_checkpoints() {
    let data = f64s(&[0.5, -1.0, 2.0]);
    let w = f64s(&[1.0, 2.0, -0.5]);
    let run = |depth: usize| {
        let rng = Arc::new(Rng::new(5));
        let (inner_rng, inner_w) = (rng.clone(), w.clone());
        let inner = move |x: &Tensor| dropped(&inner_rng, x, &inner_w).exp();
        let outer_w = w.clone();
        let y = match depth {
            0 => dropped(&rng, &(inner(&data) * &w), &w),
            1 => checkpoint(move |[x]| dropped(&rng, &(inner(x) * &outer_w), &outer_w), [&data]),
            _ => {
                let inner = Arc::new(inner);
                let f = move |[x]: [&Tensor; 1]| {
                    let inner = inner.clone();
                    let y = checkpoint(move |[x]| inner(x), [x]);
                    dropped(&rng, &(y * &outer_w), &outer_w)
                };
                checkpoint(f, [&data])
            }
        };
        let g = y.sum(..).backward();
        [y.detach(), g[&w].clone(), g[&data].clone()]
    };
    let plain = run(0);
    for depth in [1, 2] {
        plain.iter().zip(&run(depth)).for_each(|(a, b)| assert!(a == b, "depth {depth}: {a} and {b}"));
    }
}

#[test]
fn second_order_through_a_checkpoint() {
    let (data, w) = (f64s(&[0.5, -1.0]), f64s(&[1.0, 2.0]));
    let second = |y: Tensor| {
        let [dx, dw] = y.sum(..).grad([&data, &w]);
        let g = (dx.square().sum(..) + (dw * 3.0).sum(..)).backward();
        [g[&data].clone(), g[&w].clone()]
    };
    let captured = w.clone();
    let plain = second((&data * &w).tanh().exp());
    let again = second(checkpoint(move |[x]| (x * &captured).tanh().exp(), [&data]));
    plain.iter().zip(&again).for_each(|(a, b)| approx::assert_relative_eq!(*a, *b, max_relative = 1e-12));
}

#[test]
fn a_checkpoint_of_nothing_tracked_records_nothing() {
    let w = x(&[1.0]);
    assert!(!checkpoint(|[x]| x.exp(), [&Tensor::ones([1])]).is_tracked());
    assert!(!no_grad(|| checkpoint(|[x]| x.exp(), [&w])).is_tracked());
    // One that returns its input.
    assert_eq!(checkpoint(|[x]| x.clone(), [&w]).backward()[&w].item(), 1.0);
}

#[test]
fn hooks_of_what_a_checkpoint_reads_run_once() {
    let (w, captured) = (x(&[1.0]), x(&[5.0]));
    let _hooks = [&w, &captured].map(|x| x.hook(|g| Some(g * 10.0)));
    let held = captured.clone();
    let y = checkpoint(move |[x]| x * &held, [&w]) + &w;
    let g = y.backward();
    assert_eq!((g[&w].item(), g[&captured].item()), (60.0, 10.0));
}

#[test]
fn operations_in_a_checkpoint_keep_their_lines() {
    let w = x(&[0.0]);
    let recorded = line!() + 1;
    let y = checkpoint(|[x]| x.sqrt() * 2.0, [&w]);
    let panic = panic_of(|| anomaly(|| drop(y.backward())));
    assert!(panic.message.contains(&format!("`sqrt` (recorded at {}:{recorded}:", file!())), "{}", panic.message);
}
