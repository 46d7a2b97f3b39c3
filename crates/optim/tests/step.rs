//! What a step does to a model: which parameters it changes, what it remembers, and that it resumes exactly.

use cotangent_core::*;
use cotangent_cpu as _;
use cotangent_layers::*;
use cotangent_optim::*;

fn ones(n: usize) -> Param {
    Param::new(Tensor::ones([n]))
}

type Net = (Dense, BatchNorm, Relu, Dropout, Dense);

fn net(rng: &Rng) -> Net {
    (Dense::new(4, 8, rng), BatchNorm::new(8), Relu, Dropout(0.5), Dense::new(8, 3, rng))
}

/// One step on data that is a function of the step's number.
fn train<R: Rule>(net: &mut Net, opt: &mut Optimizer<R>, rng: &Rng, at: u64) -> f64 {
    let data = Rng::new(100 + at);
    let (x, y) = (data.normal([16, 4]), Tensor::from_slice(&[0i64, 1, 2, 0].repeat(4), [16]));
    let logits = net.forward(&x.to(net.0.weight.dtype()), &Mode::Train(rng));
    let loss = cross_entropy(&logits.to(DType::F32), &y);
    opt.step(net, &loss.backward());
    loss.item()
}

fn bits(state: &StateMap) -> Vec<(String, Vec<u8>)> {
    let bytes = |x: &Tensor| match x.dtype() {
        DType::I64 => bytes_of(&x.to_vec::<i64>()),
        DType::F16 => bytes_of(&x.to_vec::<f16>()),
        _ => bytes_of(&x.to_vec::<f32>()),
    };
    state.iter().map(|(path, x)| (path.clone(), bytes(x))).collect()
}

fn bytes_of<T: Element>(data: &[T]) -> Vec<u8> {
    data.iter().flat_map(|x| x.to_f64().to_bits().to_ne_bytes()).collect()
}

/// 10 steps against 5, a save, a load into new objects, and 5.
fn resumes<R: Rule>(make: impl Fn() -> Optimizer<R>, dtype: DType) {
    let start = || {
        let mut net = net(&Rng::new(1));
        net.to_dtype(dtype);
        net
    };
    let run = |net: &mut Net, opt: &mut Optimizer<R>, rng: &Rng, steps: std::ops::Range<u64>| -> Vec<f64> {
        steps.map(|at| train(net, opt, rng, at)).collect()
    };
    let (mut whole, mut opt, rng) = (start(), make(), Rng::new(7));
    let losses = run(&mut whole, &mut opt, &rng, 0..10);

    let (mut first, mut first_opt, first_rng) = (start(), make(), Rng::new(7));
    let mut resumed = run(&mut first, &mut first_opt, &first_rng, 0..5);
    let saved = (first.state(), first_opt.state(&first), first_rng.state());
    let lr = first_opt.lr();
    run(&mut first, &mut first_opt, &first_rng, 5..7); // what was saved stays as it was

    let (mut second, mut second_opt, second_rng) = (start(), make(), Rng::from_state(saved.2));
    second.load(&saved.0).unwrap();
    second_opt.load(&second, &saved.1).unwrap();
    assert_eq!((second_opt.steps(), second_opt.lr()), (5, lr));
    resumed.extend(run(&mut second, &mut second_opt, &second_rng, 5..10));

    assert_eq!(losses, resumed);
    assert_eq!(bits(&whole.state()), bits(&second.state()));
    assert_eq!(bits(&opt.state(&whole)), bits(&second_opt.state(&second)));
    assert_eq!(rng.state(), second_rng.state());
}

#[test]
fn resumes_bit_for_bit() {
    resumes(|| Adam::new(0.05).decay(0.1).decoupled_decay(0.01), DType::F32);
    resumes(|| Adam::new(0.05).amsgrad(), DType::F32);
    resumes(|| Sgd::new(0.1).momentum(0.9).nesterov(), DType::F32);
    resumes(|| Adam::new(0.05), DType::F16);
}

#[test]
fn load_reports_what_does_not_fit() {
    let rng = Rng::new(1);
    let mut net = net(&rng);
    let mut opt = Adam::new(0.1);
    train(&mut net, &mut opt, &rng, 0);
    let mut state = opt.state(&net);
    state.remove("0.weight.m").unwrap();
    state.insert("9.weight.m".into(), Tensor::ones([1]));
    state.insert("0.bias.v".into(), Tensor::ones([5]));
    let error = Adam::new(0.1).load(&net, &state).unwrap_err();
    assert_eq!(error.missing, ["0.weight.m"]);
    assert_eq!(error.unexpected, ["9.weight.m"]);
    assert_eq!(error.different, ["0.bias.v: expected f32 [8], found f32 [5]"]);
}

#[test]
fn parameters_without_a_gradient_wait() {
    // Adam's second step has another size than its first: a parameter counts its own.
    let mut model = (ones(2), ones(2));
    let mut opt = Adam::new(0.1);
    let loss = model.0.sum(..);
    let stepped = opt.step(&mut model, &loss.backward());
    assert_eq!((stepped.updated, stepped.skipped), (1, 1));
    assert_eq!(model.1.to_vec::<f32>(), [1.0, 1.0]);
    let before = model.0.to_vec::<f32>();
    let loss = model.1.sum(..);
    opt.step(&mut model, &loss.backward());
    assert_eq!(model.1.to_vec::<f32>(), before);
    assert_eq!(model.0.to_vec::<f32>(), before);
    let state = opt.state(&model);
    assert_eq!((state["0.t"].item(), state["1.t"].item(), state["step"].item()), (1.0, 1.0, 2.0));
}

#[test]
#[should_panic(expected = "step: none of the 1 trainable parameters has a gradient")]
fn a_step_of_the_wrong_model_is_an_error() {
    let (mut a, b) = (ones(2), ones(2));
    let grads = b.sum(..).backward();
    Adam::new(0.1).step(&mut a, &grads);
}

#[test]
fn tied_parameters_are_one() {
    let w = ones(2);
    let mut tied = (w.clone(), w.clone());
    drop(w);
    let mut opt = Adam::new(0.1);
    for _ in 0..3 {
        let loss = (&*tied.0 * &*tied.1).sum(..);
        let grads = loss.backward();
        assert_eq!(grads.len(), 1);
        assert_eq!(opt.step(&mut tied, &grads).updated, 1);
    }
    assert_eq!(tied.0.to_vec::<f32>(), tied.1.to_vec::<f32>());
    // The same as a single parameter whose square is minimized.
    let mut alone = ones(2);
    let mut opt = Adam::new(0.1);
    for _ in 0..3 {
        let loss = alone.square().sum(..);
        opt.step(&mut alone, &loss.backward());
    }
    assert_eq!(tied.0.to_vec::<f32>(), alone.to_vec::<f32>());
    assert_eq!(summary(&tied).total(), 2);
}

#[test]
fn frozen_parameters_stay() {
    let rng = Rng::new(1);
    let mut net = net(&rng);
    let mut opt = Adam::new(0.1).decoupled_decay(0.1);
    assert_eq!(net.freeze("0").unwrap(), 2);
    assert_eq!(net.freeze("1.*").unwrap(), 4);
    let before = net.state();
    train(&mut net, &mut opt, &rng, 0);
    let after = net.state();
    for (path, old) in &before {
        let same = old.to_vec::<f32>() == after[path].to_vec::<f32>();
        assert_eq!(same, path.starts_with("0.") || path.starts_with("1."), "{path}");
    }
    net.unfreeze("*").unwrap();
    train(&mut net, &mut opt, &rng, 1);
    assert_ne!(net.state()["0.weight"].to_vec::<f32>(), before["0.weight"].to_vec::<f32>());
    assert!(net.freeze("0.wieght").unwrap_err().to_string().contains("`0.wieght` matches none of 0.weight"));
}

#[test]
fn decay_leaves_out_what_is_exempt() {
    let mut model = (ones(1), ones(1).without_decay());
    let zero = |m: &(Param, Param)| ((&*m.0 + &*m.1) * 0.0).sum(..);
    let loss = zero(&model);
    Sgd::new(0.1).decoupled_decay(1.0).step(&mut model, &loss.backward());
    assert_eq!((model.0.item(), model.1.item()), (0.9f32 as f64, 1.0));
    let loss = zero(&model);
    Sgd::new(0.5).decoupled_decay(1.0).penalize_all().step(&mut model, &loss.backward());
    assert_eq!(model.1.item(), 0.5);
    let loss = zero(&model);
    let group = Group::new("0").penalized(false);
    Sgd::new(0.5).decoupled_decay(1.0).group(group).step(&mut model, &loss.backward());
    assert_eq!(model.0.item(), (0.9f32 * 0.5) as f64);
}

#[test]
fn groups_must_fit() {
    let try_groups = |patterns: &'static [&'static str]| {
        attempt(|| {
            let mut model = (ones(1), ones(1));
            let loss = (&*model.0 + &*model.1).sum(..);
            let mut opt = Sgd::new(0.1);
            for &pattern in patterns {
                opt = opt.group(Group::new(pattern).lr_factor(2.0));
            }
            opt.step(&mut model, &loss.backward());
            model.0.item()
        })
    };
    assert!((try_groups(&["0"]).unwrap() - 0.8).abs() < 1e-7);
    assert!(try_groups(&["2"]).unwrap_err().to_string().contains("`2` matches none of 0, 1"));
    assert!(try_groups(&["*", "1"]).unwrap_err().to_string().contains("`1` is in 2 groups"));
}

#[test]
fn half_precision_learns_in_single() {
    // A step of 2⁻¹³ is lost in f16 at 1 (spacing 2⁻¹¹ below, 2⁻¹⁰ above), but eight of them are 2⁻¹⁰.
    let mut w = Param::new(Tensor::ones([1]).to(DType::F16));
    let mut opt = Sgd::new(2f64.powi(-13));
    for _ in 0..8 {
        let loss = w.sum(..);
        opt.step(&mut w, &loss.backward());
    }
    assert_eq!(w.dtype(), DType::F16);
    assert_eq!(w.item(), 1.0 - 2f64.powi(-10));
    let loss = w.sum(..);
    let mut adam = Adam::new(0.1);
    adam.step(&mut w, &loss.backward());
    assert_eq!(adam.state(&w).values().filter(|x| x.dtype() == DType::F32).count(), 3);
}
