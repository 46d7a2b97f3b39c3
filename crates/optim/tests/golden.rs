//! Trajectories of PyTorch (tests/golden/optim.json), and published ones of several programs.

use cotangent_core::*;
use cotangent_cpu as _;
use cotangent_optim::*;
use serde_json::Value;

/// The parameter after each step along given gradients.
fn walk<R: Rule>(mut opt: Optimizer<R>, start: &[f64], grads: &[Vec<f64>]) -> Vec<Vec<f64>> {
    let mut p = Param::new(Tensor::from_slice(start, [start.len()]));
    let step = |g: &Vec<f64>| {
        let loss = (&*p * Tensor::from_slice(g, [g.len()])).sum(..);
        opt.step(&mut p, &loss.backward());
        p.to_vec::<f64>()
    };
    grads.iter().map(step).collect()
}

fn compare(case: &str, found: &[Vec<f64>], expected: &[Vec<f64>], tolerance: f64) {
    assert_eq!(found.len(), expected.len());
    for (step, (found, expected)) in found.iter().zip(expected).enumerate() {
        for (k, (found, expected)) in found.iter().zip(expected).enumerate() {
            let error = (found - expected).abs();
            assert!(error <= tolerance, "{case}: step {step}, element {k}: {found} instead of {expected}");
        }
    }
}

fn floats(value: &Value) -> Vec<f64> {
    value.as_array().expect("a list").iter().map(|x| x.as_f64().expect("a number")).collect()
}

fn lists(value: &Value) -> Vec<Vec<f64>> {
    value.as_array().expect("a list").iter().map(floats).collect()
}

#[test]
fn pytorch() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/golden/optim.json");
    let file: Value = serde_json::from_str(&std::fs::read_to_string(path).expect("golden file")).expect("JSON");
    let cases = file["cases"].as_array().expect("cases");
    assert!(cases.len() >= 11);
    for case in cases {
        let settings = case["settings"].as_object().expect("settings");
        let get = |key: &str, default: f64| settings.get(key).map_or(default, |v| v.as_f64().expect("a number"));
        let is = |key: &str| settings.get(key).is_some_and(|v| v == true);
        let (start, grads, lr) = (floats(&case["start"]), lists(&case["grads"]), get("lr", f64::NAN));
        let (decay, weight_decay) = (get("inverse_time", 0.0), get("weight_decay", 0.0));
        let rule = case["rule"].as_str().expect("a rule");
        let found = if rule == "SGD" {
            let mut opt = Sgd::new(lr).coupled_decay(weight_decay);
            if let mu @ 0.1.. = get("momentum", 0.0) {
                opt = opt.momentum_form(Momentum::Heavy { mu, dampening: get("dampening", 0.0) });
            }
            walk(if is("nesterov") { opt.nesterov() } else { opt }, &start, &grads)
        } else {
            let mut opt = Adam::new(lr).decay(decay).epsilon(get("eps", 1e-8));
            if let Some(betas) = settings.get("betas").map(floats) {
                opt = opt.betas(betas[0], betas[1]);
            }
            opt = if is("amsgrad") { opt.amsgrad() } else { opt };
            opt = match rule {
                "Adam" => opt.coupled_decay(weight_decay),
                "AdamW" => opt.decoupled_decay(weight_decay),
                other => panic!("no rule {other}"),
            };
            walk(opt, &start, &grads)
        };
        compare(case["case"].as_str().expect("a name"), &found, &lists(&case["params"]), 1e-14);
    }
}

/// Gradients 1, ½, −2 from θ = 0 with lr = 0.1.
#[track_caller]
fn three<R: Rule>(case: &str, opt: Optimizer<R>, expected: [f64; 3], tolerance: f64) {
    let found = walk(opt, &[0.0], &[vec![1.0], vec![0.5], vec![-2.0]]);
    compare(case, &found, &expected.map(|x| vec![x]), tolerance);
}

#[test]
fn momentum_by_three_names() {
    let heavy = |dampening| Sgd::new(0.1).momentum_form(Momentum::Heavy { mu: 0.9, dampening });
    three("plain", Sgd::new(0.1), [-0.1, -0.15, 0.05], 1e-15);
    // PyTorch, Keras, TensorFlow and JAX agree on these.
    let classic = [-0.1, -0.24, -0.166];
    three("average", Sgd::new(1.0).momentum_form(Momentum::Ema(0.9)), classic, 1e-15);
    three("heavy", heavy(0.0), classic, 1e-15);
    three("baked", Sgd::new(0.1).momentum_form(Momentum::Baked(0.9)), classic, 1e-15);
    // PyTorch.
    three("dampened by 0.9", heavy(0.9), [-0.1, -0.195, -0.2605], 1e-15);
    three("dampened by 0.1", heavy(0.1), [-0.1, -0.235, -0.1765], 1e-15);
    // PyTorch, Keras, TensorFlow and JAX.
    three("nesterov", heavy(0.0).nesterov(), [-0.19, -0.366, -0.0994], 1e-15);
    three(
        "baked nesterov",
        Sgd::new(0.1).momentum_form(Momentum::Baked(0.9)).nesterov(),
        [-0.19, -0.366, -0.0994],
        1e-15,
    );
    // A factor of 0 is exactly plain descent.
    let grads = [vec![1.0], vec![0.5], vec![-2.0]];
    assert_eq!(walk(Sgd::new(0.1).momentum(0.0), &[0.3], &grads), walk(Sgd::new(0.1), &[0.3], &grads));
}

#[test]
fn a_drop_of_the_learning_rate_tells_the_forms_apart() {
    // Three gradients of 1, the learning rate falls from 0.1 to 0.01 behind the second. By hand, μ = ½:
    // heavy v = 1, 1.5, 1.75, so θ = −.1, −.25, −.2675; baked v = −.1, −.15, −.085, so θ = −.1, −.25, −.335.
    let drop = |step: u64| if step < 2 { 0.1 } else { 0.01 };
    let ones = vec![vec![1.0]; 3];
    let expect = |last| [vec![-0.1], vec![-0.25], vec![last]];
    compare("heavy", &walk(Sgd::new(drop).momentum(0.5), &[0.0], &ones), &expect(-0.2675), 1e-15);
    let baked = Sgd::new(drop).momentum_form(Momentum::Baked(0.5));
    compare("baked", &walk(baked, &[0.0], &ones), &expect(-0.335), 1e-15);
    let average = Sgd::new(move |step| 2.0 * drop(step)).momentum_form(Momentum::Ema(0.5));
    compare("average", &walk(average, &[0.0], &ones), &expect(-0.2675), 1e-15);
}

#[test]
fn nesterov_walks_down_a_parabola() {
    // L = 2θ², lr 0.1, α 0.9, from 1: the look-ahead points of Nesterov's method.
    let mut p = Param::new(Tensor::from_slice(&[1.0f64], [1]));
    let mut opt = Sgd::new(0.1).momentum_form(Momentum::Ema(0.9)).nesterov();
    for expected in [0.924, 0.821376, 0.69985382, 0.56686451, 0.42928716] {
        let loss = p.square().sum(..) * 2.0;
        opt.step(&mut p, &loss.backward());
        assert!((p.item() - expected).abs() < 5e-9);
    }
}

#[test]
fn adam_by_its_profiles() {
    let e8 = [-0.099999999, -0.1932179617, -0.1725822591];
    three("adam", Adam::new(0.1), e8, 6e-11);
    three("keras", Adam::keras(0.1), [-0.0999996838, -0.1932173839, -0.1725817097], 6e-11);
    three("adam, large ε", Adam::new(0.1).epsilon(1e-3), [-0.0999000999, -0.1930002827, -0.1723801628], 6e-11);
    three("keras, large ε", Adam::keras(0.1).epsilon(1e-3), [-0.096934657, -0.1875875438, -0.1672328231], 6e-11);
    // The loss of accuracy of the published numbers is theirs: 10 digits.
    three("uncorrected", Adam::seed(0.1).epsilon(1e-8), [-0.316227666, -0.7123658384, -0.6102142675], 6e-11);
    three("adamw", AdamW::new(0.1, 0.1), [-0.099999999, -0.1922179617, -0.1696600795], 6e-11);
    three("keras adamw", Adam::keras(0.1).decoupled_decay(0.1), [-0.0999996838, -0.1922173871, -0.1696595389], 6e-11);
}

#[test]
fn adam_from_one() {
    let grads = [vec![1.0], vec![-2.0], vec![0.5]];
    let expected = [0.900000001, 0.93661035347, 0.95027941967].map(|x| vec![x]);
    compare("adam", &walk(Adam::new(0.1), &[1.0], &grads), &expected, 6e-12);
    let expected = [0.890000001, 0.91771035346, 0.92220231613].map(|x| vec![x]);
    compare("adamw", &walk(AdamW::new(0.1, 0.1), &[1.0], &grads), &expected, 6e-12);
    let still = walk(Adam::new(0.1), &[1.0], &vec![vec![0.0]; 3]);
    compare("no gradient", &still, &vec![vec![1.0]; 3], 0.0);
}

#[test]
fn single_precision_corrects_the_start_in_double() {
    // Corrections computed in single precision give 0.0999990 (β₂) after the first step.
    let mut p = Param::new(Tensor::zeros([1]));
    let loss = p.sum(..);
    Adam::new(0.1).step(&mut p, &loss.backward());
    assert!((p.item() + 0.099999999).abs() < 1e-8, "{}", p.item());
}

#[test]
fn penalties_by_four_names() {
    // By hand: θ = 2, g = 1, lr 0.1, λ 0.5.
    let one = |opt: Optimizer<Sgd>| walk(opt, &[2.0], &[vec![1.0]])[0][0];
    let sgd = || Sgd::new(0.1);
    assert!((one(sgd().l2(0.5)) - (2.0 - 0.1 * (1.0 + 2.0 * 0.5 * 2.0))).abs() < 1e-15);
    assert!((one(sgd().coupled_decay(0.5)) - (2.0 - 0.1 * (1.0 + 0.5 * 2.0))).abs() < 1e-15);
    assert!((one(sgd().l1(0.5)) - (2.0 - 0.1 * (1.0 + 0.5))).abs() < 1e-15);
    assert!((one(sgd().decoupled_decay(0.5)) - (2.0 * (1.0 - 0.1 * 0.5) - 0.1)).abs() < 1e-15);
    let at_zero = walk(sgd().l1(0.5), &[0.0], &[vec![0.0]]);
    assert_eq!(at_zero, [[0.0]]);
}
