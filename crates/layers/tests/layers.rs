//! Dense layers, activations, dropout, losses, and models made of them.

use cotangent_core::*;
use cotangent_cpu as _;
use cotangent_layers::*;

type Lecture = (Dense, BatchNorm, Relu, Dropout, Dense, BatchNorm, Relu, Dropout, Dense);

fn lecture(rng: &Rng) -> Lecture {
    (
        Dense::new(784, 200, rng),
        BatchNorm::new(200),
        Relu,
        Dropout(0.5),
        Dense::new(200, 100, rng),
        BatchNorm::new(100),
        Relu,
        Dropout(0.5),
        Dense::new(100, 10, rng),
    )
}

#[test]
fn summary_of_the_lecture() {
    let mut model = lecture(&Rng::new(1));
    let table = summary(&model);
    assert_eq!((table.total(), table.trainable(), table.fixed()), (179_310, 178_710, 600));
    assert_eq!(table.bytes(), 4 * 179_310);
    let text = table.to_string();
    assert!(text.contains("0.weight  [200, 784]  f32       156,800  trainable"), "{text}");
    assert!(text.ends_with("total 179,310: trainable 178,710, not trainable 600; 717,240 bytes"), "{text}");
    model.freeze("0").unwrap();
    assert_eq!(summary(&model).trainable(), 178_710 - 157_000);
    assert_eq!(summary(&model).total(), 179_310);
}

#[test]
fn dense_is_a_product_and_a_sum() {
    let mut layer = Dense::new(3, 2, &Rng::new(1));
    layer.weight.set(Tensor::new([1.0, 2.0, 3.0, -1.0, 0.0, 1.0], [2, 3]));
    layer.bias.as_mut().unwrap().set(Tensor::new([10.0, 20.0], [2]));
    let x = Tensor::new([1.0, 1.0, 1.0, 0.0, 1.0, 2.0], [2, 3]).tracked();
    let y = layer.forward(&x, &Mode::Eval);
    assert_eq!(y.to_vec::<f32>(), [16.0, 20.0, 18.0, 22.0]);
    // By hand, for the cotangent [[1, 2], [3, 4]].
    let grads = y.backward_with(&Tensor::new([1.0, 2.0, 3.0, 4.0], [2, 2]));
    assert_eq!(grads[&x].to_vec::<f32>(), [-1.0, 2.0, 5.0, -1.0, 6.0, 13.0]);
    assert_eq!(grads[&layer.weight].to_vec::<f32>(), [1.0, 4.0, 7.0, 2.0, 6.0, 10.0]);
    assert!(grads[&layer.weight].layout().is_contiguous());
    assert_eq!(grads[layer.bias.as_ref().unwrap()].to_vec::<f32>(), [4.0, 6.0]);
}

#[test]
fn dense_over_leading_axes() {
    let rng = Rng::new(1);
    let layer = Dense::new(4, 3, &rng).with_bias(&Init::Normal(0.0, 1.0), &rng);
    let x = rng.normal([2, 5, 4]);
    let (whole, flat) = (layer.forward(&x, &Mode::Eval), layer.forward(&x.reshape([10, 4]), &Mode::Eval));
    assert_eq!(whole.shape(), [2, 5, 3]);
    assert_eq!(whole.to_vec::<f32>(), flat.to_vec::<f32>());
    let grads = |y: Tensor| y.square().sum(..).backward()[&layer.weight].to_vec::<f32>();
    assert_eq!(grads(whole), grads(flat));
    let vector = layer.forward(&x.narrow(0, 0, 1).narrow(1, 0, 1).reshape([4]), &Mode::Eval);
    assert_eq!(vector.shape(), [3]);
}

#[test]
#[should_panic(expected = "linear: input of shape [2, 3] and weight of shape [2, 4]")]
fn dense_checks_its_input() {
    Dense::new(4, 2, &Rng::new(1)).forward(&Tensor::ones([2, 3]), &Mode::Eval);
}

#[test]
fn activations_are_what_they_are_called() {
    // Each at −1, from its formula by a pocket calculator; and the conventions at 0, by the gradient.
    let at = |layer: &dyn Layer, x: f32| {
        let x = Tensor::new([x], [1]).tracked();
        let y = layer.forward(&x, &Mode::Eval);
        (y.item(), y.backward()[&x].item())
    };
    let expected: [(&dyn Layer, f64, f64); 17] = [
        (&Relu, 0.0, 0.0),
        (&Relu6, 0.0, 0.0),
        (&Sigmoid, 0.2689414, 0.25),
        (&LogSigmoid, -1.3132617, 0.5),
        (&Tanh, -0.7615942, 1.0),
        (&Softplus, 0.3132617, 0.5),
        (&Softsign, -0.5, 1.0),
        (&Selu, -1.1113307, 1.7580993),
        (&Gelu, -0.1586553, 0.5),
        (&GeluTanh, -0.1588080, 0.5),
        (&Silu, -0.2689414, 0.5),
        (&Mish, -0.3034015, 0.6),
        (&HardSigmoid, 1.0 / 3.0, 1.0 / 6.0),
        (&HardSwish, -1.0 / 3.0, 0.5),
        (&LeakyRelu(0.25), -0.25, 0.25),
        (&Elu(2.0), -1.2642411, 2.0),
        (&Celu(2.0), -0.7869387, 1.0),
    ];
    for (k, (layer, value, slope)) in expected.into_iter().enumerate() {
        assert!((at(layer, -1.0).0 - value).abs() < 2e-7, "{k}: {} at −1", at(layer, -1.0).0);
        assert!((at(layer, 0.0).1 - slope).abs() < 2e-7, "{k}: slope {} at 0", at(layer, 0.0).1);
    }
    assert_eq!((LeakyRelu::default(), Elu::default(), Celu::default()), (LeakyRelu(0.01), Elu(1.0), Celu(1.0)));
}

#[test]
fn prelu_learns_its_slope() {
    let x = Tensor::new([-2.0, 0.0, 3.0, -4.0], [2, 2]).tracked();
    let layer = PRelu::channels(2).with_alpha(0.5);
    let y = layer.forward(&x, &Mode::Eval);
    assert_eq!(y.to_vec::<f32>(), [-1.0, 0.0, 3.0, -2.0]);
    let grads = y.sum(..).backward();
    // The slope at 0 is α; dα is the sum of x where x ≤ 0.
    assert_eq!(grads[&x].to_vec::<f32>(), [0.5, 0.5, 1.0, 0.5]);
    assert_eq!(grads[&layer.alpha].to_vec::<f32>(), [-2.0, -4.0]);
    assert!(!layer.alpha.decays());
    let grads = PRelu::new().forward(&x, &Mode::Eval).sum(..).backward();
    assert_eq!(grads.iter().map(Tensor::count).min(), Some(1));
}

#[test]
fn dropout_keeps_the_mean() {
    let rng = Rng::new(11);
    let n = 100_000;
    for p in [0.1, 0.5, 0.9] {
        let y = dropout(&Tensor::ones([n]), p, &rng).to_vec::<f32>();
        let kept = y.iter().filter(|&&y| y != 0.0).count() as f64 / n as f64;
        // Six deviations of the binomial.
        assert!((kept - (1.0 - p)).abs() < 6.0 * (p * (1.0 - p) / n as f64).sqrt(), "{p}: {kept}");
        assert!(y.iter().all(|&y| y == 0.0 || y == (1.0 / (1.0 - p)) as f32));
    }
}

#[test]
fn dropout_drops_the_same_from_the_gradient() {
    let x = Tensor::full([1000], 3.0).contiguous().tracked();
    let y = dropout(&x, 0.5, &Rng::new(2));
    let (mask, grad) = (y.to_vec::<f32>(), y.sum(..).backward()[&x].to_vec::<f32>());
    assert!(mask.iter().zip(&grad).all(|(y, g)| y / 3.0 == *g));
    assert!(mask.contains(&0.0) && mask.contains(&6.0));
}

#[test]
fn dropout_at_its_ends() {
    let x = Tensor::new([1.5, f32::INFINITY, f32::NAN, -0.0], [4]).tracked();
    let bits = |y: &Tensor| y.to_vec::<f32>().iter().map(|y| y.to_bits()).collect::<Vec<_>>();
    assert_eq!(bits(&dropout(&x, 0.0, &Rng::new(1))), bits(&x));
    let y = dropout(&x, 1.0, &Rng::new(1));
    assert_eq!(y.to_vec::<f32>(), [0.0; 4]);
    assert_eq!(y.sum(..).backward()[&x].to_vec::<f32>(), [0.0; 4]);
    assert_eq!(bits(&Dropout(0.5).forward(&x, &Mode::Eval)), bits(&x));
    assert!(attempt(|| dropout(&x, 1.5, &Rng::new(1))).unwrap_err().to_string().contains("p = 1.5"));
}

/// Mean and variance.
fn moments(x: &Tensor) -> (f64, f64) {
    (x.mean(..).item(), x.var(.., 0.0).item())
}

#[test]
fn alpha_dropout_keeps_mean_and_variance() {
    let rng = Rng::new(12);
    let x = rng.normal([100_000]);
    for p in [0.1, 0.5] {
        let (mean, var) = moments(&alpha_dropout(&x, p, &rng));
        assert!(mean.abs() < 0.02 && (var - 1.0).abs() < 0.03, "{p}: {mean}, {var}");
    }
    // What PyTorch's makes of zeros for p = ½.
    let y = alpha_dropout(&Tensor::zeros([100]), 0.5, &rng).to_vec::<f32>();
    assert!(y.iter().all(|&y| (y.abs() - 0.7791939).abs() < 1e-6));
}

#[test]
fn gaussian_dropout_has_the_moments_of_dropout() {
    let rng = Rng::new(13);
    for p in [0.1, 0.5] {
        let (mean, var) = moments(&gaussian_dropout(&Tensor::ones([100_000]), p, &rng));
        assert!((mean - 1.0).abs() < 0.02 && (var - p / (1.0 - p)).abs() < 0.03, "{p}: {mean}, {var}");
    }
}

#[test]
fn channels_are_dropped_whole() {
    let y = channel_dropout(&Tensor::ones([50, 20, 3]), 0.5, &Rng::new(14)).to_vec::<f32>();
    assert!(y.chunks(3).all(|c| c == [0.0; 3] || c == [2.0; 3]));
    let kept = y.iter().filter(|&&y| y > 0.0).count() / 3;
    // Six deviations of 1000 fair coins.
    assert!(kept.abs_diff(500) < 95, "{kept}");
    let x = Tensor::new([f32::INFINITY, f32::NAN], [1, 1, 2]);
    assert_eq!(channel_dropout(&x, 1.0, &Rng::new(1)).to_vec::<f32>(), [0.0, 0.0]);
}

#[test]
fn dropout_differs_by_step_and_not_by_run() {
    let run = || {
        let rng = Rng::new(4);
        [(); 2].map(|()| Dropout(0.5).forward(&Tensor::ones([64]), &Mode::Train(&rng)).to_vec::<f32>())
    };
    assert_eq!(run(), run());
    assert_ne!(run()[0], run()[1]);
    // Monte Carlo dropout: noise without training.
    let rng = Rng::new(4);
    let noisy = Mode::Custom { noise: Some(&rng), norm: Norm::Running };
    assert_eq!(Dropout(0.5).forward(&Tensor::ones([64]), &noisy).to_vec::<f32>(), run()[0]);
}

#[test]
fn frozen_layers_save_and_compute_nothing() {
    let rng = Rng::new(1);
    let mut model = (Dense::new(6, 5, &rng), Tanh, Dense::new(5, 4, &rng), Tanh, Dense::new(4, 2, &rng));
    model.freeze("0").unwrap();
    model.freeze("2").unwrap();
    let x = rng.normal([3, 6]);
    let y = model.forward(&x, &Mode::Train(&rng));
    // What is recorded are the last layer's product and sum, and its two leaves.
    let steps: Vec<&str> = y.history().iter().map(|step| step.op).collect();
    assert_eq!(steps.len(), 4, "{steps:?}");
    let grads = y.sum(..).backward();
    assert_eq!(grads.len(), 2);
    assert_eq!(grads[&model.4.weight].shape(), [2, 4]);
    assert!(!model.0.weight.is_tracked() && !model.0.weight.is_trainable());
}

#[test]
fn cross_entropy_of_saturated_logits() {
    let logits = Tensor::new([200.0, -200.0, -200.0, 200.0], [2, 2]).tracked();
    let loss = cross_entropy(&logits, &Tensor::from_slice(&[0i64, 0], [2]));
    assert_eq!(loss.item(), 200.0);
    assert_eq!(loss.backward()[&logits].to_vec::<f32>(), [0.0, 0.0, -0.5, 0.5]);
    let message = attempt(|| cross_entropy(&logits, &Tensor::from_slice(&[0i64, 2], [2]))).unwrap_err().to_string();
    assert!(message.contains("2"), "{message}");
}

#[test]
fn a_clone_of_a_model_is_independent() {
    let rng = Rng::new(1);
    let mut model = lecture(&rng);
    let copy = model.clone();
    let before = copy.state();
    model.forward(&rng.normal([4, 784]), &Mode::Train(&rng));
    model.update_params(&mut |_, param| param.update(|value| value + 1.0));
    for (path, value) in copy.state() {
        assert_eq!(value.to_vec::<f32>(), before[&path].to_vec::<f32>(), "{path}");
        assert_ne!(value.to_vec::<f32>(), model.state()[&path].to_vec::<f32>(), "{path}");
    }
}

#[test]
fn states_load_by_path() {
    let (mut a, b) = (lecture(&Rng::new(1)), lecture(&Rng::new(2)));
    b.forward(&Rng::new(3).normal([4, 784]), &Mode::Train(&Rng::new(1)));
    let x = Rng::new(4).normal([2, 784]);
    let value = |model: &dyn Layer| model.forward(&x, &Mode::Eval).to_vec::<f32>();
    assert_ne!(value(&a), value(&b));
    a.load(&b.state()).unwrap();
    assert_eq!(value(&a), value(&b));
    // Nothing changes when something is wrong, and everything that is wrong is named.
    let mut state = lecture(&Rng::new(9)).state();
    state.remove("8.bias").unwrap();
    state.insert("9.bias".into(), Tensor::ones([1]));
    state.insert("1.mean".into(), Tensor::ones([3]));
    let error = a.load(&state).unwrap_err();
    assert_eq!((error.missing, error.unexpected), (vec!["8.bias".to_string()], vec!["9.bias".to_string()]));
    assert_eq!(error.different, ["1.mean: expected f32 [200], found f32 [3]"]);
    assert_eq!(value(&a), value(&b));
}

#[test]
fn tied_parameters_stay_tied_when_loaded() {
    let w = Param::new(Tensor::ones([2]));
    let mut model = (w.clone(), Param::new(Tensor::zeros([1])), w);
    let mut state = model.state();
    assert_eq!(state.keys().collect::<Vec<_>>(), ["0", "1", "2"]);
    // One of the entries is enough.
    state.remove("0").unwrap();
    state.insert("2".into(), Tensor::new([3.0, 4.0], [2]));
    model.load(&state).unwrap();
    assert_eq!((model.0.to_vec::<f32>(), model.2.to_vec::<f32>()), (vec![3.0, 4.0], vec![3.0, 4.0]));
    assert_eq!((&*model.0 * &*model.2).sum(..).backward()[&model.0].to_vec::<f32>(), [6.0, 8.0]);
    assert_eq!(model.freeze("2").unwrap(), 1);
    assert!(!model.0.is_tracked() && model.1.is_tracked());
    // Without any of them it is missing.
    state.remove("2").unwrap();
    assert_eq!(model.load(&state).unwrap_err().missing, ["0", "2"]);
}

#[test]
fn collections_are_sequences() {
    let rng = Rng::new(1);
    let boxed: Vec<Box<dyn Layer>> = vec![Box::new(Flatten), Box::new(Dense::new(6, 2, &rng)), Box::new(Relu)];
    assert_eq!(boxed.params()[0].0, "1.weight");
    assert_eq!(boxed.forward(&Tensor::ones([5, 2, 3]), &Mode::Eval).shape(), [5, 2]);
    let stages = [(Dense::new(2, 2, &rng), Relu), (Dense::new(2, 2, &rng), Relu)];
    assert_eq!(stages.params().last().unwrap().0, "1.0.bias");
    let skipped: Option<Dense> = None;
    let model = (stages, skipped, Lambda(|x: &Tensor| x * 2.0));
    let (x, mode) = (Tensor::ones([1, 2]), Mode::Eval);
    let by_hand = model.0[1].0.forward(&model.0[0].0.forward(&x, &mode).relu(), &mode).relu() * 2.0;
    assert_eq!(model.forward(&x, &mode).to_vec::<f32>(), by_hand.to_vec::<f32>());
}
