//! Networks that learn.

use cotangent_core::*;
use cotangent_cpu as _;
use cotangent_layers::*;
use cotangent_optim::*;

/// Points on two interleaved half circles, with noise, and which of the two each is on.
fn two_moons(n: usize, seed: u64) -> (Tensor, Tensor) {
    let rng = Rng::new(seed);
    let (angle, noise) = (rng.uniform([n]).to_vec::<f32>(), rng.normal([n, 2]).to_vec::<f32>());
    let point = |k: usize| {
        let (sin, cos) = (angle[k] * std::f32::consts::PI).sin_cos();
        let [x, y] = if k.is_multiple_of(2) { [cos, sin] } else { [1.0 - cos, 0.5 - sin] };
        [x + 0.1 * noise[2 * k], y + 0.1 * noise[2 * k + 1]]
    };
    let labels: Vec<i64> = (0..n as i64).map(|k| k % 2).collect();
    (Tensor::new((0..n).flat_map(point).collect::<Vec<f32>>(), [n, 2]), Tensor::from_slice(&labels, [n]))
}

fn accuracy(model: &impl Layer, (x, y): &(Tensor, Tensor)) -> f64 {
    let guess = model.forward(x, &Mode::Eval).argmax(-1);
    guess.eq(y).to(DType::F32).mean(..).item()
}

/// The share of unseen points that a model gets right.
fn learn<R: Rule>(mut model: impl Layer, mut opt: Optimizer<R>) -> f64 {
    let rng = Rng::new(4);
    let (x, y) = two_moons(128, 2);
    for _ in 0..60 {
        let loss = cross_entropy(&model.forward(&x, &Mode::Train(&rng)), &y);
        opt.step(&mut model, &loss.backward());
    }
    accuracy(&model, &two_moons(300, 3))
}

#[test]
fn two_moons_are_told_apart() {
    let rng = Rng::new(1);
    let net = || (Dense::new(2, 16, &rng), BatchNorm::new(16), Relu, Dropout(0.1), Dense::new(16, 2, &rng));
    let adam = learn(net(), Adam::new(0.1).decay(0.01));
    assert!(adam > 0.97, "{adam}");
    let nesterov = learn(net(), Sgd::new(0.2).momentum(0.9).nesterov());
    assert!(nesterov > 0.95, "{nesterov}");
    // No straight line tells them apart, so the hidden layer has learned something.
    let line = learn(Dense::new(2, 2, &rng), Adam::new(0.1));
    assert!((0.7..0.93).contains(&line), "{line}");
}
