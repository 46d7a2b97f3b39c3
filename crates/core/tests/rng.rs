//! Random numbers by counter: the published vectors, independence, reproducible states.

use cotangent_core::rng::{philox, uniform, uniform53};
use cotangent_core::{DType, Rng, Tensor};

#[test]
fn philox_gives_the_published_numbers() {
    // Random123's known answers for philox4x32, 10 rounds.
    let max = u32::MAX;
    assert_eq!(philox([0; 2], [0; 4]), [0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8]);
    assert_eq!(philox([max; 2], [max; 4]), [0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd]);
    assert_eq!(
        philox([0xa4093822, 0x299f31d0], [0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344]),
        [0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1]
    );
}

#[test]
fn a_draw_is_a_function_of_key_number_and_position() {
    let rng = Rng::new(7);
    let words = |number: u32, group: u32| philox([7, 0], [group, number, 0, 0]);
    let x = rng.uniform([10]).to_vec::<f32>();
    let expected: Vec<f32> = (0..10).map(|i| uniform(words(0, i / 4)[i as usize % 4])).collect();
    assert_eq!(x, expected);
    let y = rng.uniform_like(&Tensor::zeros([5]).to(DType::F64)).to_vec::<f64>();
    let pair = |i: u32| {
        let w = words(1, i / 2);
        if i.is_multiple_of(2) { uniform53(w[0], w[1]) } else { uniform53(w[2], w[3]) }
    };
    assert_eq!(y, (0..5).map(pair).collect::<Vec<_>>());
    // Shape is only how the numbers are laid out.
    assert_eq!(Rng::new(7).uniform([2, 5]).to_vec::<f32>(), x);
}

#[test]
fn bounds_of_uniform_numbers() {
    assert_eq!((uniform(0), uniform(u32::MAX)), (0.0, 1.0 - 2f32.powi(-24)));
    assert_eq!((uniform53(0, 0), uniform53(u32::MAX, u32::MAX)), (0.0, 1.0 - 2f64.powi(-53)));
}

#[test]
fn moments() {
    let n = 40_000;
    let moments = |x: Tensor| {
        let x = x.to(DType::F64);
        let mean = x.mean(..).item();
        let centered = x - mean;
        (mean, centered.square().mean(..).item(), (centered.square() * &centered).mean(..).item())
    };
    // Five standard errors.
    let (mean, variance, _) = moments(Rng::new(3).uniform([n]));
    assert!((mean - 0.5).abs() < 5.0 * (1.0 / 12.0f64).sqrt() / (n as f64).sqrt(), "{mean}");
    assert!((variance - 1.0 / 12.0).abs() < 5.0 * (1.0 / 180.0f64).sqrt() / (n as f64).sqrt(), "{variance}");
    let (mean, variance, skew) = moments(Rng::new(3).normal([n]));
    assert!(mean.abs() < 5.0 / (n as f64).sqrt(), "{mean}");
    assert!((variance - 1.0).abs() < 5.0 * (2.0 / n as f64).sqrt(), "{variance}");
    assert!(skew.abs() < 5.0 * (15.0 / n as f64).sqrt(), "{skew}");
}

#[test]
fn draws_and_sources_are_independent() {
    let (a, b) = (Rng::new(1), Rng::new(2));
    let all =
        [a.normal([4000]), a.normal([4000]), b.normal([4000]), a.split(0).normal([4000]), a.split(1).normal([4000])];
    for (i, x) in all.iter().enumerate() {
        for y in &all[..i] {
            let correlation = (x * y).mean(..).item();
            assert!(correlation.abs() < 5.0 / 4000f64.sqrt(), "{correlation}");
        }
    }
}

#[test]
fn states_continue_and_splits_do_not_depend_on_draws() {
    let rng = Rng::new(9);
    rng.uniform([3]);
    let state = rng.state();
    let next = rng.normal([5]);
    assert!(Rng::from_state(state).normal([5]) == next);
    assert_eq!(state, [9, 1]);
    assert_eq!(rng.split(4).state(), Rng::new(9).split(4).state());
    assert_ne!(rng.split(4).state(), rng.split(5).state());
    // Seeds beyond 32 bits count.
    assert!(Rng::new(1 << 40).uniform([4]) != Rng::new(0).uniform([4]));
}

#[test]
fn threads_draw_each_number_once() {
    let rng = Rng::new(5);
    let mut numbers: Vec<u32> = std::thread::scope(|s| {
        let run = || (0..100).map(|_| rng.ticket().words()[2]).collect::<Vec<_>>();
        let threads: Vec<_> = (0..4).map(|_| s.spawn(run)).collect();
        threads.into_iter().flat_map(|t| t.join().unwrap()).collect()
    });
    numbers.sort_unstable();
    assert_eq!(numbers, (0..400).collect::<Vec<_>>());
}
