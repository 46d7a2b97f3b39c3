//! Random tensors: the generator's published vectors, reproducibility, distributions, reparameterized gradients.
//!
//! The statistical tests have fixed seeds, and thresholds that a right generator exceeds once in a million seeds.

use cotangent_core::rng::{philox, words};
use cotangent_core::{Bool, DType, Device, Rng, Tensor, attempt};

/// Largest distance between the empirical distribution and `cdf`, against the threshold of Kolmogorov and Smirnov.
#[track_caller]
fn assert_distribution(mut sample: Vec<f64>, cdf: impl Fn(f64) -> f64) {
    sample.sort_by(f64::total_cmp);
    let n = sample.len() as f64;
    let gap = |(k, &x): (usize, &f64)| f64::max(cdf(x) - k as f64 / n, (k + 1) as f64 / n - cdf(x));
    let distance = sample.iter().enumerate().map(gap).fold(0.0, f64::max);
    let threshold = (-(1e-6f64 / 2.0).ln() / 2.0).sqrt() / n.sqrt();
    assert!(distance < threshold, "distance {distance} is above {threshold}");
}

/// Counts against their expectations, by χ² with the threshold of Wilson and Hilferty.
#[track_caller]
fn assert_counts(counts: &[usize], probabilities: &[f64]) {
    let n: usize = counts.iter().sum();
    let statistic: f64 = (counts.iter().zip(probabilities).filter(|(_, p)| **p > 0.0))
        .map(|(&count, &p)| (count as f64 - n as f64 * p).powi(2) / (n as f64 * p))
        .sum();
    assert!(counts.iter().zip(probabilities).all(|(&count, &p)| p > 0.0 || count == 0), "drew what has probability 0");
    let freedom = probabilities.iter().filter(|p| **p > 0.0).count() as f64 - 1.0;
    let spread = 2.0 / (9.0 * freedom);
    let threshold = freedom * (1.0 - spread + 4.7534 * spread.sqrt()).powi(3);
    assert!(statistic < threshold, "χ² is {statistic}, above {threshold}, for {counts:?}");
}

/// Correlation of two samples of about unit variance, against 4.9 standard errors.
#[track_caller]
fn assert_uncorrelated(a: &[f64], b: &[f64]) {
    let n = a.len() as f64;
    let mean = |x: &[f64]| x.iter().sum::<f64>() / n;
    let (ma, mb) = (mean(a), mean(b));
    let sum = |f: &dyn Fn(f64, f64) -> f64| a.iter().zip(b).map(|(&a, &b)| f(a - ma, b - mb)).sum::<f64>();
    let correlation = sum(&|a, b| a * b) / (sum(&|a, _| a * a) * sum(&|_, b| b * b)).sqrt();
    assert!(correlation.abs() < 4.9 / n.sqrt(), "the correlation is {correlation}");
}

fn doubles(x: &Tensor) -> Vec<f64> {
    x.detach().to(DType::F64).to_vec()
}

fn tally(x: &Tensor, classes: usize) -> Vec<usize> {
    let mut counts = vec![0; classes];
    x.to_vec::<i64>().iter().for_each(|&k| counts[k as usize] += 1);
    counts
}

fn normal_cdf(z: f64) -> f64 {
    0.5 * libm::erfc(-z / 2f64.sqrt())
}

/// From `kat_vectors` of Random123, the generator's authors' code.
#[test]
fn philox_agrees_with_the_published_vectors() {
    assert_eq!(philox([0; 2], [0; 4]), [0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8]);
    assert_eq!(philox([!0; 2], [!0; 4]), [0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd]);
    let counter = [0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344];
    assert_eq!(philox([0xa4093822, 0x299f31d0], counter), [0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1]);
}

#[test]
fn a_number_depends_on_key_draw_and_position_only() {
    let seed = 0x0123_4567_89ab_cdef;
    let rng = Rng::new(seed);
    let first = rng.uniform([3, 5]).to_vec::<f32>();
    let second = rng.uniform([15]).to_vec::<f32>();
    for (draw, found) in [first, second].iter().enumerate() {
        let word = |k: usize| words([seed as u32, (seed >> 32) as u32, draw as u32, 0], k as u64 / 4)[k % 4];
        let expected: Vec<f32> = (0..15).map(|k| (word(k) >> 8) as f32 / 16_777_216.0).collect();
        assert_eq!(*found, expected);
    }
    // A longer draw begins with the shorter one: how work is divided cannot matter.
    let short = Rng::new(3).normal([7]).to_vec::<f32>();
    assert_eq!(Rng::new(3).normal([1000]).to_vec::<f32>()[..7], short);
}

#[test]
fn a_state_resumes_and_splits_are_pure() {
    let rng = Rng::new(11);
    rng.uniform([4]);
    let saved = rng.state();
    let next = rng.normal([9]).to_vec::<f32>();
    assert_eq!(Rng::from_state(saved).normal([9]).to_vec::<f32>(), next);
    assert_eq!(size_of_val(&saved), 16);
    // A split depends on the seed and its number, and not on what was drawn.
    assert_eq!(rng.split(5).uniform([9]).to_vec::<f32>(), Rng::new(11).split(5).uniform([9]).to_vec::<f32>());
    let streams: Vec<Vec<f64>> = (0..6).map(|i| doubles(&Rng::new(11).split(i).uniform([4000]))).collect();
    for i in 0..6 {
        assert_uncorrelated(&streams[i], &doubles(&Rng::new(11).uniform([4000])));
        (0..i).for_each(|j| assert_uncorrelated(&streams[i], &streams[j]));
    }
}

#[test]
fn neighbours_are_uncorrelated() {
    for sample in [doubles(&Rng::new(2).uniform([20_000])), doubles(&Rng::new(2).normal([20_000]))] {
        for lag in [1, 2, 3, 4, 64] {
            assert_uncorrelated(&sample[lag..], &sample[..sample.len() - lag]);
        }
    }
}

#[test]
fn uniform() {
    for dtype in [DType::F32, DType::F64] {
        let x = doubles(&Rng::new(1).uniform_like(&Device::default().zeros([20_000], dtype)));
        assert!(x.iter().all(|u| (0.0..1.0).contains(u)));
        assert_distribution(x, |u| u);
    }
    assert_distribution(doubles(&Rng::new(4).uniform_in(-3.0, 5.0, [100, 200])), |x| (x + 3.0) / 8.0);
}

#[test]
fn uniform_in_half_precision_is_below_one() {
    for dtype in [DType::F16, DType::BF16] {
        let x = doubles(&Rng::new(1).uniform_like(&Device::default().zeros([20_000], dtype)));
        assert!(x.iter().all(|u| (0.0..1.0).contains(u)), "{dtype}");
    }
}

#[test]
fn normal() {
    for dtype in [DType::F32, DType::F64] {
        let z = doubles(&Rng::new(1).normal_like(&Device::default().zeros([20_000], dtype)));
        assert_distribution(z, normal_cdf);
    }
    assert_distribution(doubles(&Rng::new(9).normal_with(2.0, 0.5, [20_000])), |x| normal_cdf((x - 2.0) / 0.5));
}

#[test]
fn exponential() {
    assert_distribution(doubles(&Rng::new(5).exponential(2.5, [20_000])), |x| 1.0 - (-2.5 * x).exp());
}

#[test]
fn truncated_normal() {
    for (low, high) in [(-2.0, 2.0), (0.5, f64::INFINITY), (f64::NEG_INFINITY, 0.0), (6.0, 7.0), (-9.0, -8.0)] {
        let z = doubles(&Rng::new(6).truncated_normal_like(low..high, &Device::default().zeros([20_000], DType::F64)));
        assert!(z.iter().all(|z| (low..=high).contains(z)), "{low}..{high}");
        // From the side on which probabilities are small, as a difference of equal ones loses digits.
        let (mirror, a, b) = if low > 0.0 { (-1.0, -high, -low) } else { (1.0, low, high) };
        let z = z.iter().map(|z| mirror * z).collect();
        assert_distribution(z, |z| (normal_cdf(z) - normal_cdf(a)) / (normal_cdf(b) - normal_cdf(a)));
    }
}

#[test]
fn bernoulli() {
    let drawn = Rng::new(7).bernoulli(0.3, [20_000]).to_vec::<Bool>();
    let yes = drawn.iter().filter(|b| b.0 == 1).count();
    assert_counts(&[yes, 20_000 - yes], &[0.3, 0.7]);
    let p = Tensor::new([0.0, 1.0], [2, 1]);
    let certain = Rng::new(7).bernoulli(&p, [2, 1000]).to_vec::<Bool>();
    assert!(certain[..1000].iter().all(|b| b.0 == 0) && certain[1000..].iter().all(|b| b.0 == 1));
}

#[test]
fn integers() {
    let drawn = Rng::new(8).randint(-3..4, [10_000]);
    assert_counts(&tally(&(&drawn + 3.0), 7), &[1.0 / 7.0; 7]);
    let wide = Rng::new(8).randint(-(1 << 53)..0, [10_000]).to_vec::<i64>();
    assert_distribution(wide.iter().map(|&k| k as f64).collect(), |k| 1.0 + k / 2f64.powi(53));
    assert_eq!(Rng::new(8).randint(5..6, [3]).to_vec::<i64>(), [5, 5, 5]);
    assert!(attempt(|| Rng::new(8).randint(5..5, [3])).is_err());
}

#[test]
fn permutations() {
    let rng = Rng::new(12);
    let mut order = rng.permutation(1000).to_vec::<i64>();
    assert_ne!(order, (0..1000).collect::<Vec<i64>>());
    order.sort();
    assert_eq!(order, (0..1000).collect::<Vec<i64>>());
    // All 24 orders of four things are equally probable.
    let mut counts = [0; 256];
    for _ in 0..4800 {
        let order = rng.permutation(4).to_vec::<i64>();
        counts[order.iter().fold(0, |code, &k| code * 4 + k as usize)] += 1;
    }
    let found: Vec<usize> = counts.into_iter().filter(|&n| n > 0).collect();
    assert_counts(&found, &[1.0 / 24.0; 24]);
}

#[test]
fn multinomial_with_replacement() {
    let weights = Tensor::new([1.0, 0.0, 3.0, 4.0, 0.0], [5]);
    let drawn = Rng::new(13).multinomial(&weights, 20_000, true);
    assert_counts(&tally(&drawn, 5), &[0.125, 0.0, 0.375, 0.5, 0.0]);
    let rows = Tensor::new([1.0, 0.0, 0.0, 2.0], [2, 2]);
    assert_eq!(Rng::new(13).multinomial(&rows, 3, true).to_vec::<i64>(), [0, 0, 0, 1, 1, 1]);
}

#[test]
fn multinomial_without_replacement() {
    // The probability of a first and a second draw: w_i / W · w_j / (W − w_i).
    let w = [1.0, 2.0, 0.0, 5.0];
    let rows = 8000;
    let weights = Tensor::new(w.map(|w| w as f32), [4]).expand([rows, 4]);
    let drawn = Rng::new(14).multinomial(&weights, 2, false);
    assert_eq!(drawn.shape(), &[rows, 2]);
    let mut counts = vec![0; 16];
    drawn.to_vec::<i64>().chunks(2).for_each(|pair| counts[(pair[0] * 4 + pair[1]) as usize] += 1);
    let probability = |i: usize, j: usize| if i == j { 0.0 } else { w[i] / 8.0 * w[j] / (8.0 - w[i]) };
    let expected: Vec<f64> = (0..16).map(|k| probability(k / 4, k % 4)).collect();
    assert_counts(&counts, &expected);
}

#[test]
fn multinomial_refuses_bad_weights() {
    let draw = |w: [f32; 3], count, replacement| {
        attempt(|| Rng::new(1).multinomial(&Tensor::new(w, [3]), count, replacement)).map(|x| x.count())
    };
    assert_eq!(draw([1.0, 0.0, 2.0], 2, false).unwrap(), 2);
    for (weights, count) in
        [([0.0, 0.0, 0.0], 1), ([-1.0, 1.0, 1.0], 1), ([f32::NAN, 1.0, 1.0], 1), ([1.0, 0.0, 2.0], 3)]
    {
        let error = draw(weights, count, false).unwrap_err().to_string();
        assert!(error.contains("multinomial") && error.contains("[3]"), "{error}");
    }
}

#[test]
fn gradients_go_through_the_parameters() {
    let (low, high) = (Tensor::new([-1.0], [1]).tracked(), Tensor::new([3.0], [1]).tracked());
    let x = Rng::new(15).uniform_in(&low, &high, [50]);
    let u: f64 = doubles(&x).iter().map(|x| (x + 1.0) / 4.0).sum();
    let grads = x.sum(..).backward();
    assert!((grads[&low].item() - (50.0 - u)).abs() < 1e-4);
    assert!((grads[&high].item() - u).abs() < 1e-4);

    let (mean, std) = (Tensor::new([0.5], [1]).tracked(), Tensor::new([2.0], [1]).tracked());
    let x = Rng::new(16).normal_with(&mean, &std, [50]);
    let z: f64 = doubles(&x).iter().map(|x| (x - 0.5) / 2.0).sum();
    let grads = x.sum(..).backward();
    assert_eq!(grads[&mean].item(), 50.0);
    assert!((grads[&std].item() - z).abs() < 1e-4);
}
