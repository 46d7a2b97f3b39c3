//! Elementwise operations that are put off: the bits of evaluation at once, in fewer passes.

mod counted;

use cotangent_core::*;
use counted::Counted;
use std::sync::Arc;

/// A device that counts its passes, and puts off everything.
fn counted() -> (Device, Arc<counted::Passes>) {
    let backend = Counted::default();
    let passes = backend.passes.clone();
    (Device::new(backend), passes)
}

fn bits(x: &Tensor) -> Vec<u64> {
    x.to(DType::F64).to_vec::<f64>().into_iter().map(f64::to_bits).collect()
}

fn numbers(device: &Device, dtype: DType, shape: [usize; 2], seed: u64) -> Tensor {
    let x = Rng::new(seed).normal(shape).to(DType::F64).to_vec::<f64>();
    device.tensor(&x, shape).to(dtype)
}

/// GELU by its approximation with tanh, in plain operations.
fn gelu(z: &Tensor) -> Tensor {
    0.5 * z * (1.0 + (0.7978845608 * (z + 0.044715 * z * z * z)).tanh())
}

#[test]
fn a_chain_and_its_gradient_are_two_passes() {
    let (device, passes) = counted();
    let z = numbers(&device, DType::F32, [5, 7], 1).tracked();
    passes.reset();
    let loss = gelu(&z).sum(..);
    assert_eq!(passes.read(), (0, 1), "the chain is the prologue of the sum");
    let grads = loss.backward();
    assert_eq!(passes.read(), (1, 1), "the chain is computed again within its gradient");
    let same = eager(|| bits(&gelu(&z).sum(..).backward()[&z]));
    assert_eq!(bits(&grads[&z]), same);
}

#[test]
fn gradients_that_have_steps_in_common_are_one_pass() {
    let (device, passes) = counted();
    let [x, y] = [1, 2].map(|seed| numbers(&device, DType::F64, [4, 3], seed).tracked());
    passes.reset();
    let loss = (&x * &y).tanh().sum(..).backward();
    assert_eq!(passes.read(), (1, 1));
    let eagerly = eager(|| (&x * &y).tanh().sum(..).backward());
    assert_eq!([bits(&loss[&x]), bits(&loss[&y])], [bits(&eagerly[&x]), bits(&eagerly[&y])]);
}

#[test]
fn what_is_read_is_stored_and_what_is_needed_often_too() {
    let (device, passes) = counted();
    let x = numbers(&device, DType::F32, [6, 2], 3);
    passes.reset();
    let shared = &x * 2.0 + 1.0;
    shared.to_vec::<f32>();
    assert_eq!(passes.read(), (1, 0));
    shared.to_vec::<f32>();
    assert_eq!(passes.read(), (1, 0), "a value is computed once to be read");
    // A part of four chains: computed within the first two, stored beside the third, read by the fourth.
    let part = (&x * 3.0).exp();
    let chains = [1.0, 2.0, 3.0, 4.0].map(|k| &part * k);
    let before = device.memory().live;
    let mut grown = vec![];
    for chain in &chains {
        chain.to_vec::<f32>();
        grown.push(device.memory().live - before);
    }
    let buffer = grown[0];
    assert_eq!(grown, [buffer, 2 * buffer, 4 * buffer, 5 * buffer]);
    assert_eq!(passes.read(), (5, 0));
    let first = part.to_vec::<f32>();
    assert_eq!(passes.read(), (5, 0));
    assert_eq!(first, eager(|| (&x * 3.0).exp()).to_vec::<f32>());
}

#[test]
fn nothing_is_computed_that_nobody_reads() {
    let (device, passes) = counted();
    let x = numbers(&device, DType::F32, [6, 2], 3);
    passes.reset();
    let live = device.memory().live;
    drop((&x + 1.0).exp() * &x);
    assert_eq!((passes.read(), device.memory().live), ((0, 0), live));
}

/// Random formulas: what is computed at once and what is put off agree, bit by bit, with gradients of both orders.
#[test]
fn random_formulas_have_the_same_bits() {
    let (device, _) = counted();
    for seed in 0..60 {
        let dtype = if seed % 2 == 0 { DType::F32 } else { DType::F64 };
        let leaves = [0, 1, 2].map(|k| {
            let shape = [[4, 5], [1, 5], [4, 1]][k];
            numbers(&device, dtype, shape, 10 * seed + k as u64).tracked()
        });
        let run = || {
            let y = formula(&leaves, seed);
            let mut seen = vec![bits(&y)];
            let loss = (&y * &y).mean(..);
            let first = loss.grad([&leaves[0], &leaves[1], &leaves[2]]);
            seen.extend(first.iter().map(bits));
            let again = (first[0].square().sum(..) + (&first[1] * &first[2]).sum(..)).backward();
            seen.extend(leaves.iter().map(|x| bits(&again.get_or_zeros(x))));
            seen
        };
        assert_eq!(run(), eager(run), "seed {seed}");
    }
}

/// A formula of about 30 operations of those whose results stay moderate.
fn formula(leaves: &[Tensor; 3], seed: u64) -> Tensor {
    let words = Rng::new(seed + 1000).uniform([30, 3]).to(DType::F64).to_vec::<f64>();
    let mut known = leaves.to_vec();
    for word in words.chunks(3) {
        let pick = |at: f64| &known[(at * known.len() as f64) as usize];
        let (a, b) = (pick(word[1]), pick(word[2]));
        known.push(match (word[0] * 12.0) as usize {
            0 => a + b,
            1 => (a * b).tanh(),
            2 => a - b * 0.3,
            3 => a / (b.square() + 1.0),
            4 => a.sigmoid(),
            5 => a.maximum(b),
            6 => a.gt(b).select(a, &(b * 0.5)),
            7 => (a - b.mean(keep(1))).tanh(),
            8 => a.relu() - 0.5 * b,
            9 => a.sin(),
            10 => a.exp().clamp_max(3.0),
            _ => a.t().contiguous().t() * 0.7 + b.detach(),
        });
    }
    known.pop().unwrap() + &leaves[0] * &leaves[1] * &leaves[2]
}

#[test]
fn long_chains_are_evaluated_in_pieces() {
    let (device, passes) = counted();
    let start = numbers(&device, DType::F64, [3, 3], 5).tracked();
    let run = move || {
        let mut x = start.clone();
        for k in 0..20_000 {
            x = if k % 100 == 0 { x.t() + 0.25 } else { &x * 0.999 + 0.001 };
        }
        bits(&x.sum(..).backward()[&start])
    };
    passes.reset();
    let small_stack = std::thread::Builder::new().stack_size(1 << 20).spawn({
        let run = run.clone();
        move || run()
    });
    let late = small_stack.unwrap().join().unwrap();
    let (maps, _) = passes.read();
    assert!(maps < 2_000, "{maps} passes for 80,000 operations");
    assert!(passes.longest() < 300, "{} instructions", passes.longest());
    assert_eq!(late, eager(run));
}

#[test]
fn threads_may_read_what_they_share() {
    let (device, _) = counted();
    for seed in 0..50 {
        let x = numbers(&device, DType::F32, [40, 30], seed);
        let a = (&x * 2.0).exp();
        let b = &a + &x;
        let c = (&b * &a).tanh();
        let shared = [a, b, c];
        let expected: Vec<_> = eager(|| {
            let a = (&x * 2.0).exp();
            let b = &a + &x;
            [(&b * &a).tanh(), b, a].iter().rev().map(bits).collect()
        });
        std::thread::scope(|scope| {
            for start in 0..6 {
                let (shared, expected) = (&shared, &expected);
                scope.spawn(move || {
                    for k in (0..3).map(|k| (start + k) % 3) {
                        assert_eq!(bits(&shared[k]), expected[k]);
                    }
                });
            }
        });
    }
}

#[test]
fn errors_come_where_they_are_made() {
    let (device, _) = counted();
    let (x, y) = (numbers(&device, DType::F32, [2, 3], 1), numbers(&device, DType::F32, [3, 2], 1));
    let sum = &x + 1.0;
    let error = attempt(|| &sum * &y).err().unwrap().to_string();
    assert!(error.starts_with("mul: shapes [2, 3] and [3, 2] do not broadcast"), "{error}");
    // Anomaly mode looks at every result, and so evaluates it.
    let zero = device.zeros([2], DType::F32);
    let error = attempt(|| anomaly(|| zero.log() * 0.0)).err().unwrap().to_string();
    assert!(error.contains("log: anomaly") && error.contains(file!()), "{error}");
}

#[test]
fn a_failure_loses_nothing() {
    let (device, _) = counted();
    let huge = device.ones([1], DType::F32).expand([1 << 50]) + 1.0;
    for _ in 0..2 {
        let error = attempt(|| _ = huge.view());
        assert!(matches!(error, Err(Error::OutOfMemory { .. })), "{error:?}");
    }
    assert_eq!(huge.i(..3).shape()[..], [3]);
}

#[test]
fn profiles_name_what_a_pass_evaluates() {
    let (device, _) = counted();
    let x = numbers(&device, DType::F32, [5, 7], 6).tracked();
    let early = x.detach() * 2.0;
    let (_, report) = profile::scope(|| {
        (x.detach() * 2.0).tanh().to_vec::<f32>();
        early.sin().to_vec::<f32>();
        (&x * 2.0).exp().sum(..).backward()
    });
    let counts = |name| {
        let row = report.row(name).unwrap_or_else(|| panic!("no row `{name}` in\n{report}"));
        (row.calls, row.bytes, row.flops)
    };
    assert_eq!(counts("mul + tanh"), (1, 2 * 35 * 4, 2 * 35));
    assert_eq!(counts("elementwise + sin"), (1, 2 * 35 * 4, 2 * 35));
    assert_eq!(counts("mul + exp + sum"), (1, (35 + 1) * 4, (2 + 1) * 35));
    // The gradient computes the argument of `exp` again.
    assert_eq!(counts("mul + exp (backward) + mul (backward)").0, 1);
}
