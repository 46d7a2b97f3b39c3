//! Starts of parameters, by statistical tests with fixed seeds. Their significance is 10⁻⁶: the seeds may be changed.

use cotangent_core::*;
use cotangent_cpu as _;
use cotangent_layers::*;

const FANS: Fans = Fans { inputs: 300, outputs: 200 };

fn draw(init: Init) -> Vec<f64> {
    init.tensor([200, 300], FANS, &Rng::new(20)).to_vec::<f32>().into_iter().map(f64::from).collect()
}

/// The distance of Kolmogorov and Smirnov from a distribution function must be below 2.7/√n (p = 10⁻⁶).
fn kolmogorov_smirnov(mut sample: Vec<f64>, cdf: impl Fn(f64) -> f64) {
    sample.sort_by(f64::total_cmp);
    let n = sample.len() as f64;
    let distance = |(k, &x): (usize, &f64)| (cdf(x) - k as f64 / n).abs().max((cdf(x) - (k + 1) as f64 / n).abs());
    let worst = sample.iter().enumerate().map(distance).fold(0.0, f64::max);
    assert!(worst < 2.7 / n.sqrt(), "{worst} is not below {}", 2.7 / n.sqrt());
}

/// The variance must be σ² up to five deviations of its estimate, for a given kurtosis.
fn variance(sample: &[f64], expected: f64, kurtosis: f64) {
    let n = sample.len() as f64;
    let mean = sample.iter().sum::<f64>() / n;
    let found = sample.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / n;
    let allowed = 5.0 * expected * ((kurtosis - 1.0) / n).sqrt();
    assert!((found - expected).abs() < allowed, "{found} is not {expected} ± {allowed}");
    assert!(mean.abs() < 5.0 * (expected / n).sqrt(), "mean {mean}");
}

fn normal_cdf(x: f64) -> f64 {
    0.5 * libm::erfc(-x / 2f64.sqrt())
}

fn uniform(init: Init, bound: f64) {
    let sample = draw(init);
    assert!(sample.iter().all(|x| x.abs() <= bound * 1.000001));
    variance(&sample, bound * bound / 3.0, 1.8);
    kolmogorov_smirnov(sample, |x| ((x + bound) / (2.0 * bound)).clamp(0.0, 1.0));
}

fn normal(init: Init, deviation: f64) {
    let sample = draw(init);
    variance(&sample, deviation * deviation, 3.0);
    assert!(sample.iter().any(|x| x.abs() > 3.0 * deviation));
    kolmogorov_smirnov(sample, |x| normal_cdf(x / deviation));
}

#[test]
fn scaled() {
    uniform(Init::xavier_uniform(), (6.0 / 500f64).sqrt());
    uniform(Init::he_uniform(), (6.0 / 300f64).sqrt());
    uniform(Init::lecun_uniform(), (3.0 / 300f64).sqrt());
    uniform(Init::he_uniform().fan_out(), (6.0 / 200f64).sqrt());
    normal(Init::xavier_normal(), (2.0 / 500f64).sqrt());
    normal(Init::he_normal(), (2.0 / 300f64).sqrt());
    normal(Init::lecun_normal(), (1.0 / 300f64).sqrt());
    normal(Init::xavier_normal().gain(TANH_GAIN), 5.0 / 3.0 * (2.0 / 500f64).sqrt());
    // PyTorch's gain for a slope of ¼ is 1.37199.
    normal(Init::he_normal().slope(0.25), 1.37199 / 300f64.sqrt());
}

#[test]
fn truncated() {
    let deviation = (2.0 / 300f64).sqrt();
    let sample = draw(Init::he_normal().truncated());
    let bound = 2.0 * deviation / 0.8796256610342398;
    assert!(sample.iter().all(|x| x.abs() <= bound * 1.000001));
    // Kurtosis of a normal number cut at ±2: 2.365 (Johnson, Kotz and Balakrishnan, section 10.1).
    variance(&sample, deviation * deviation, 2.365);
    let mass = normal_cdf(2.0) - normal_cdf(-2.0);
    kolmogorov_smirnov(sample, |x| {
        let z = 2.0 * x / bound;
        ((normal_cdf(z) - normal_cdf(-2.0)) / mass).clamp(0.0, 1.0)
    });
}

#[test]
fn a_truncated_draw_takes_one_ticket() {
    let rng = Rng::new(1);
    Init::he_normal().truncated().tensor([1000], FANS, &rng);
    assert_eq!(rng.state(), [1, 1]);
}

#[test]
fn plain() {
    assert_eq!(Init::Constant(0.5).tensor([2], FANS, &Rng::new(1)).to_vec::<f32>(), [0.5, 0.5]);
    let sample: Vec<f64> = draw(Init::Uniform(-1.0, 3.0));
    kolmogorov_smirnov(sample, |x| ((x + 1.0) / 4.0).clamp(0.0, 1.0));
    let sample: Vec<f64> = draw(Init::Normal(5.0, 2.0));
    kolmogorov_smirnov(sample, |x| normal_cdf((x - 5.0) / 2.0));
}

#[test]
fn dense_starts_as_xavier_proposes() {
    let layer = Dense::new(300, 200, &Rng::new(20));
    let weight: Vec<f64> = layer.weight.to_vec::<f32>().into_iter().map(f64::from).collect();
    assert_eq!(weight, draw(Init::xavier_uniform()));
    assert!(layer.bias.unwrap().to_vec::<f32>().iter().all(|&b| b == 0.0));
}
