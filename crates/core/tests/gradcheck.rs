//! The gradient check itself: it accepts what is right, and names what is wrong.

use cotangent_core::check::{Gradcheck, Report, Verdict, gradcheck};
use cotangent_core::*;

fn doubles(data: &[f64]) -> Tensor {
    Tensor::from_slice(data, [data.len()])
}

/// eˣ with the gradient `factor`·eˣ.
fn scaled_exp(x: &Tensor, factor: f64) -> Tensor {
    let y = x.detach().exp();
    y.record("scaled_exp").wrt_output(x, [], move |g, y, []| g * y * factor).done()
}

/// y with its gradient multiplied by `factor`.
fn scaled(y: &Tensor, factor: f64) -> Tensor {
    y.detach().record("scaled").wrt(y, [], move |g, []| g * factor).done()
}

fn failure(report: &Report) -> &Verdict {
    &report.failures().next().unwrap_or_else(|| panic!("expected a failure: {report}")).verdict
}

#[test]
fn accepts_both_orders() {
    let x = Tensor::from_slice(&[0.3, -1.2, 2.0, 0.7, 1.1, -0.4], [2, 3]);
    let w = Tensor::from_slice(&[0.5, 1.5, -0.5, 1.0, 0.2, 0.9], [3, 2]);
    Gradcheck::new().orders(2).run(|[x, w]| [x.matmul(w).tanh(), x.square()], [&x, &w]).assert_ok();
    Gradcheck::new().orders(2).run(|[x]| scaled_exp(x, 1.0), [&x]).assert_ok();
    Gradcheck::torch().run(|[x]| x.sin(), [&x]).assert_ok();
}

#[test]
fn names_input_element_and_values() {
    let wrong = |a: &Tensor, b: &Tensor| a + scaled_exp(b, 1.25);
    let report = gradcheck(|[a, b]| wrong(a, b), [&doubles(&[1.0, 2.0]), &doubles(&[0.0, 1.0])]);
    assert_eq!(report.counts().failures, 2);
    match failure(&report) {
        Verdict::Gradient { order: 1, input: 1, index, output: Some(output), analytic, numeric, .. } => {
            assert_eq!((index.as_slice(), output.tensor, output.index.as_slice()), (&[0][..], 0, &[0][..]));
            assert_eq!(*analytic, 1.25);
            assert!((numeric - 1.0).abs() < 1e-8);
        }
        other => panic!("{other}"),
    }
    assert!(matches!(&report.worst().unwrap().verdict, Verdict::Gradient { index, .. } if index == &[1]));
    let text = report.to_string();
    assert!(text.contains("by input 1 [0], order 1: gradient 1.25e0"), "{text}");
    // 1.25 and 1 are a quarter apart, doubles between 1 and 2 are 2^-52.
    assert!((failure(&report).ulps().unwrap() / 2f64.powi(50) - 1.0).abs() < 1e-8 && text.contains("1.1e15 ulp"));
    assert!(text.contains("replay: Gradcheck::new().seed(1).run(f, inputs)"), "{text}");
}

#[test]
fn a_relative_error_of_a_millionth_fails() {
    let x = doubles(&[0.5, 1.0]);
    assert!(!gradcheck(|[x]| scaled_exp(x, 1.0 + 1e-6), [&x]).is_ok());
    assert!(Gradcheck::torch().run(|[x]| scaled_exp(x, 1.0 + 1e-6), [&x]).is_ok());
    assert!(Gradcheck::new().rtol(1e-5).run(|[x]| scaled_exp(x, 1.0 + 1e-6), [&x]).is_ok());
}

#[test]
fn the_replay_line_repeats_every_option() {
    let x = doubles(&[0.5]);
    let report = Gradcheck::torch().rtol(1e-4).fast(2).orders(2).seed(9).run(|[x]| scaled_exp(x, 2.0), [&x]);
    assert_eq!(report.replay, "Gradcheck::torch().rtol(1e-4).fast(2).orders(2).seed(9).run(f, inputs)");
    let again = Gradcheck::torch().rtol(1e-4).fast(2).orders(2).seed(9).run(|[x]| scaled_exp(x, 2.0), [&x]);
    assert_eq!(report, again);
}

#[test]
fn projections_find_the_element() {
    // One of 40000 derivatives is wrong.
    let n = 200;
    let data: Vec<f64> = (0..n).map(|k| (k as f64 * 0.37).sin()).collect();
    let one_hot: Vec<f64> = (0..n).map(|k| if k == 137 { 1.0 + 1e-4 } else { 1.0 }).collect();
    let (x, factors) = (doubles(&data), doubles(&one_hot));
    let wrong =
        move |x: &Tensor| x.detach().exp().record("wrong").wrt_output(x, [&factors], |g, y, [f]| g * y * f).done();
    let report = gradcheck(|[x]| wrong(x), [&x]);
    assert!(matches!(failure(&report), Verdict::Gradient { index, output: None, .. } if index == &[137]), "{report}");
    assert!(report.failures().all(|f| matches!(&f.verdict, Verdict::Gradient { index, .. } if index == &[137])));
    Gradcheck::new().orders(2).run(|[x]| x.exp() * x.sum(..), [&x]).assert_ok();
    assert!(!Gradcheck::new().fast(1).run(|[x]| scaled_exp(x, 1.01), [&doubles(&[1.0])]).is_ok());
}

#[test]
fn second_order_sees_what_the_first_does_not() {
    // The gradient is right, but its own gradient is lost.
    let frozen = |x: &Tensor| x.detach().sin().record("frozen").wrt(x, [x], |g, [x]| g * x.detach().cos()).done();
    let x = doubles(&[0.4, 1.3]);
    gradcheck(|[x]| frozen(x), [&x]).assert_ok();
    let report = Gradcheck::new().orders(2).run(|[x]| frozen(x), [&x]);
    assert!(matches!(failure(&report), Verdict::Gradient { order: 2, input: 0, .. }), "{report}");
}

#[test]
fn kinks_are_reported_and_pass() {
    let slopes = |f: &dyn Fn(&Tensor) -> Tensor, at: f64| {
        let report = Gradcheck::new().orders(2).run(|[x]| f(x), [&doubles(&[at, at + 0.5])]);
        report.assert_ok();
        let kinks: Vec<_> = report.kinks().map(|found| found.verdict.clone()).collect();
        match &kinks[..] {
            [Verdict::Kink { input: 0, index, left, right, analytic }] if index == &[0] => {
                [*left, *right, *analytic].map(|slope| (slope * 1e4).round() / 1e4)
            }
            other => panic!("{other:?}"),
        }
    };
    let slope = 0.25;
    let prelu = move |x: &Tensor| pointwise(move |[x]| x.gt(0.0).select(x, slope * x)).call([x]);
    let clamp = |x: &Tensor| pointwise(|[x]| x.lt(1.0).select(1.0, x.gt(2.0).select(2.0, x))).call([x]);
    assert_eq!(slopes(&|x| x.relu(), 0.0), [0.0, 1.0, 0.0]);
    assert_eq!(slopes(&|x| x.abs(), 0.0), [-1.0, 1.0, 0.0]);
    assert_eq!(slopes(&prelu, 0.0), [0.25, 1.0, 0.25]);
    assert_eq!(slopes(&|x| clamp(x), 1.0), [0.0, 1.0, 1.0]);
    assert_eq!(slopes(&|x| x.maximum(0.5), 0.5), [0.0, 1.0, 0.5]);
    assert_eq!(slopes(&|x| x.minimum(0.5), 0.5), [1.0, 0.0, 0.5]);
    // Beside the kink, closer than the step.
    assert_eq!(slopes(&|x| x.relu(), 1e-6)[2], 1.0);
    assert_eq!(slopes(&|x| x.relu(), -2e-6)[2], 0.0);
    assert_eq!(slopes(&|x| x.floor(), 3.0), [f64::INFINITY, 0.0, 0.0]);
}

#[test]
fn both_sides_of_a_tie_are_kinks() {
    let x = doubles(&[1.0, 2.0]);
    let report = gradcheck(|[a, b]| a.maximum(b), [&x, &x]);
    report.assert_ok();
    assert_eq!(report.counts().kinks, 4);
    let report = gradcheck(|[x]| x.max(..), [&doubles(&[3.0, 3.0, 1.0])]);
    report.assert_ok();
    assert_eq!(report.counts().kinks, 2);
}

#[test]
fn kinks_in_large_inputs_are_found() {
    let mut data: Vec<f64> = (0..300).map(|k| (k as f64 * 0.7).cos()).collect();
    (data[11], data[250]) = (0.0, 0.0);
    let report = Gradcheck::new().fast(1).orders(2).run(|[x]| x.relu(), [&doubles(&data)]);
    report.assert_ok();
    let at: Vec<_> = report.kinks().map(|found| &found.verdict).collect();
    assert!(
        matches!(at[..], [Verdict::Kink { index: a, .. }, Verdict::Kink { index: b, .. }] if a == &[11] && b == &[250])
    );
}

#[test]
fn a_slope_outside_of_the_hull_fails() {
    let relu = |x: &Tensor, at_zero: f64| {
        let slope = x.detach().gt(0.0).to(DType::F64) + x.detach().eq(0.0).to(DType::F64) * at_zero;
        x.detach().relu().record("relu").wrt(x, [&slope], |g, [slope]| g * slope).done()
    };
    let x = doubles(&[0.0, 1.0]);
    gradcheck(|[x]| relu(x, 0.5), [&x]).assert_ok();
    gradcheck(|[x]| relu(x, 1.0), [&x]).assert_ok();
    for outside in [1.2, -0.2] {
        assert_eq!(gradcheck(|[x]| relu(x, outside), [&x]).counts().failures, 1, "{outside}");
    }
    assert!(!gradcheck(|[x]| relu(x, f64::NAN), [&x]).is_ok());
}

#[test]
fn steep_but_smooth_is_no_kink() {
    let x = doubles(&[0.0, 0.01, 1.0]);
    let report = gradcheck(|[x]| (x * 300.0).tanh(), [&x]);
    assert!(report.findings.is_empty(), "{report}");
    let report = gradcheck(|[x]| scaled_exp(&(x * 100.0), 1.01), [&doubles(&[0.0])]);
    assert!(matches!(failure(&report), Verdict::Gradient { .. }));
}

#[test]
fn lost_gradients_are_seen() {
    let report = gradcheck(|[x]| x.detach().exp() + x * 0.0, [&doubles(&[1.0])]);
    assert!(matches!(failure(&report), Verdict::Gradient { analytic: 0.0, .. }));
    let report = gradcheck(|[x]| x.detach().square(), [&doubles(&[1.0])]);
    assert!(matches!(failure(&report), Verdict::Gradient { analytic: 0.0, .. }));
}

#[test]
fn a_second_run_must_give_the_same_bits() {
    let rng = Rng::new(1);
    let report = gradcheck(|[x]| x * rng.uniform_like(x), [&doubles(&[1.0])]);
    assert!(report.to_string().contains("other bits"), "{report}");
    gradcheck(|[x]| x * Rng::new(1).uniform_like(x), [&doubles(&[1.0])]).assert_ok();
}

#[test]
fn a_gradient_must_be_linear_in_the_cotangent() {
    // Right for the cotangents ±1 and 0, as of a loss that only adds.
    let clipped =
        |x: &Tensor| x.exp().detach().record("clipped").wrt_output(x, [], |g, y, []| g.square() * g * y).done();
    let report = gradcheck(|[x]| clipped(x), [&doubles(&[0.2, 0.4])]);
    assert!(report.to_string().contains("not linear"), "{report}");
}

#[test]
fn a_zero_cotangent_gives_zero() {
    let biased = |x: &Tensor| x.detach().record("biased").wrt(x, [], |g, []| g + 1e-12).done();
    assert!(gradcheck(|[x]| biased(x), [&doubles(&[1.0])]).to_string().contains("zero cotangent"));
}

#[test]
fn layouts_integers_empty_and_scalar_inputs() {
    let x = Tensor::from_slice(&[0.1, 0.2, 0.3, 0.4, 0.5, 0.6], [2, 3]);
    gradcheck(|[x]| x.exp(), [&x.t()]).assert_ok();
    gradcheck(|[x]| x.square(), [&x.narrow(0, 0, 1).expand([4, 3])]).assert_ok();
    gradcheck(|[x]| x.square(), [&Tensor::from_slice(&[2.0], ())]).assert_ok();
    gradcheck(|[x]| x.square(), [&Tensor::zeros([0, 3])]).assert_ok();
    gradcheck(|[x]| x * x, [&x]).assert_ok();
    let mask = x.gt(0.3);
    gradcheck(|[c, x]| c.select(x, &x.exp()), [&mask, &x]).assert_ok();
    let rows = Tensor::from_slice(&[1i64, 0], [2]);
    gradcheck(|[k, x]| x.sum(0) * k.to(DType::F64).sum(..), [&rows, &x]).assert_ok();
}

#[test]
fn the_report_is_data() {
    let report = Gradcheck::new().seed(7).run(|[x]| scaled_exp(x, f64::NAN), [&doubles(&[0.0])]);
    let json: serde_json::Value = serde_json::from_str(&report.to_json()).unwrap();
    assert_eq!((json["seed"].as_u64(), json["ok"].as_bool()), (Some(7), Some(false)));
    assert_eq!(json["checks"].as_u64().unwrap() as usize, report.counts().checks);
    let findings = json["findings"].as_array().unwrap();
    let gradient = findings.iter().find(|finding| finding["verdict"] == "gradient").unwrap();
    assert_eq!((&gradient["analytic"], &gradient["index"][0]), (&"NaN".into(), &0.into()));
    assert!((gradient["numeric"].as_f64().unwrap() - 1.0).abs() < 1e-8);
}

#[test]
#[should_panic(expected = "gradcheck: 2 of")]
fn assert_ok_panics_with_the_report() {
    gradcheck(|[x]| scaled_exp(x, 2.0), [&doubles(&[0.0, 1.0])]).assert_ok();
}

#[test]
fn ridders_finds_the_step() {
    // In the fixed step of 6e-6, the first passes a quarter of a period, the second leaves its domain, the third grows
    // by a factor of 1.8.
    type Function = fn(&Tensor) -> Tensor;
    let functions: [(Function, [f64; 2]); 3] =
        [(|x| (x * 3e5).sin(), [0.3, -0.7]), (|x| x.log(), [7e-6, 2e-5]), (|x| (x * 1e5).exp(), [1e-5, -2e-5])];
    let ridders = Gradcheck::new().ridders();
    for (k, (f, at)) in functions.into_iter().enumerate() {
        let x = &doubles(&at);
        assert!(!gradcheck(|[x]| f(x), [x]).is_ok(), "function {k} is too easy");
        let report = ridders.clone().orders(2).run(|[x]| f(x), [x]);
        assert!(report.is_ok() && report.findings.is_empty(), "function {k}: {report}");
        let wrong = |x: &Tensor| scaled(&f(x), 1.0 + 1e-6);
        assert!(matches!(failure(&ridders.run(|[x]| wrong(x), [x])), Verdict::Gradient { .. }), "function {k}");
        assert!(!ridders.clone().fast(1).run(|[x]| wrong(x), [x]).is_ok(), "function {k}");
    }
    let report = Gradcheck::new().ridders().run(|[x]| scaled_exp(x, 2.0), [&doubles(&[0.5])]);
    assert_eq!(report.replay, "Gradcheck::new().ridders().seed(1).run(f, inputs)");
}

#[test]
fn ridders_sees_kinks_and_small_errors() {
    let ridders = Gradcheck::new().ridders();
    for at in [0.0, 1e-6, -2e-3, 0.3] {
        let report = ridders.run(|[x]| x.relu(), [&doubles(&[at])]);
        report.assert_ok();
        assert_eq!(report.counts().kinks, (at == 0.0) as usize, "{at}: {report}");
    }
    assert_eq!(ridders.run(|[x]| x.floor(), [&doubles(&[3.0, 2.95])]).counts().kinks, 1);
    let narrow = |x: &Tensor| (-(x * 1e4).square()).exp();
    let report = ridders.run(|[x]| narrow(x), [&doubles(&[1e-4])]);
    assert!(report.is_ok() && report.findings.is_empty(), "{report}");
    // An error of 5e-10 lies below the absolute tolerance.
    let slight = |x: &Tensor| scaled(&(x * 1e-5), 1.0 + 5e-5);
    gradcheck(|[x]| slight(x), [&doubles(&[1.0])]).assert_ok();
    assert!(!ridders.run(|[x]| slight(x), [&doubles(&[1.0])]).is_ok());
}

/// x·s with the gradient by x of element 13 of 20 wrong.
fn wrong_at_13(x: &Tensor) -> Tensor {
    let factors: Vec<f64> = elements(x).iter().map(|&x| if x == 13.0 { 1.001 } else { 1.0 }).collect();
    let factors = Tensor::from_slice(&factors, x.shape().clone());
    x.detach().record("wrong").wrt(x, [], move |g, []| g * &factors).done()
}

fn elements(x: &Tensor) -> Vec<f64> {
    x.detach().to(DType::F64).to_vec()
}

#[test]
fn shrinks_to_the_wrong_element() {
    let x = Tensor::from_slice(&(0..20).map(f64::from).collect::<Vec<_>>(), [4, 5]);
    let report = Gradcheck::new().shrink().seed(5).run(|[x]| wrong_at_13(x), [&x]);
    assert_eq!(report.counts().failures, 1, "{report}");
    let [smallest] = &report.smallest[..] else { panic!("{report}") };
    assert_eq!((&smallest.shape[..], &smallest.elements[..]), (&[1, 1][..], &[13.0][..]));
    assert_eq!(report.replay, "Gradcheck::new().seed(5).run(f, [&Tensor::from_slice::<f64>(&[13.0], [1, 1])])");
    let f = |[x]: [&Tensor; 1]| wrong_at_13(x);
    let replayed = Gradcheck::new().seed(5).run(f, [&Tensor::from_slice::<f64>(&[13.0], [1, 1])]);
    assert_eq!(replayed.findings, report.findings);
    let text = report.to_string();
    assert!(text.contains("by input 0 [0, 0], order 1: gradient 1.001e0, finite differences "), "{text}");
    assert!(text.contains(" ulp") && text.contains("smallest input 0: f64 of shape [1, 1]: [13.0]"), "{text}");
    let json: serde_json::Value = serde_json::from_str(&report.to_json()).unwrap();
    assert_eq!(json["smallest"], serde_json::json!([{"dtype": "f64", "shape": [1, 1], "elements": [13.0]}]));
    assert!(json["findings"][0]["ulps"].as_f64().unwrap() > 1e12);
    assert!(report.to_junit().contains("smallest input: f64 of shape [1, 1]: [13.0]"));
}

#[test]
fn shapes_that_must_fit_shrink_together() {
    let wrong = |a: &Tensor, b: &Tensor| scaled(a, 1.5).matmul(b);
    let (a, b) = (Rng::new(1).normal([4, 6]), Rng::new(2).normal([6, 3]));
    let report = Gradcheck::new().shrink().run(|[a, b]| wrong(a, b), [&a, &b]);
    assert!(report.smallest.iter().all(|x| x.shape == [1, 1]), "{report}");
    // Square matrices and their batch, of one length all.
    let square = Rng::new(3).normal([3, 3, 3]);
    let report = Gradcheck::new().shrink().orders(2).run(|[a, b]| wrong(a, b), [&square, &square]);
    assert!(report.smallest.iter().all(|x| x.shape == [1, 1, 1]), "{report}");
}

#[test]
fn integers_stay_with_what_they_index() {
    let rows = Tensor::from_slice(&[0i64, 2, 0], [3]);
    let x = Tensor::from_slice(&(0..12).map(f64::from).collect::<Vec<_>>(), [3, 4]);
    let report = Gradcheck::new().shrink().run(|[x, k]| scaled(x, 2.0).index_select(0, k), [&x, &rows]);
    let [values, indices] = &report.smallest[..] else { panic!("{report}") };
    // Rows that are still named must stay until their index has gone.
    assert_eq!((values.shape.as_slice(), indices.elements.as_slice()), (&[1, 1][..], &[0.0][..]), "{report}");
    assert!(report.replay.ends_with("&Tensor::from_slice::<f64>(&[0.0], [1]).to(DType::I64)])"), "{report}");
}

#[test]
fn nothing_to_shrink() {
    let x = Tensor::from_slice(&[0.5, 1.0], [2]);
    assert!(Gradcheck::new().shrink().run(|[x]| x.exp(), [&x]).smallest.is_empty());
    // Wrong from 20 elements on: there is no shorter failure, and too many elements for one line.
    let long = |x: &Tensor| scaled(x, if x.count() < 20 { 1.0 } else { 2.0 });
    let report = Gradcheck::new().shrink().run(|[x]| long(x), [&Tensor::full([8, 5], 0.5)]);
    assert_eq!(report.smallest[0].shape, [4, 5], "{report}");
    assert_eq!(report.replay, "Gradcheck::new().seed(1).shrink().run(f, inputs)");
    // Wrong for this layout only, which the parts do not have.
    let layout = |x: &Tensor| scaled(x, if x.layout().is_contiguous() { 1.0 } else { 2.0 });
    let report = Gradcheck::new().shrink().run(|[x]| layout(x), [&Rng::new(1).normal([2, 3]).to(DType::F64).t()]);
    assert!(!report.is_ok() && report.smallest.is_empty(), "{report}");
}

#[test]
fn the_replay_line_calls_what_was_called() {
    let wrong = |x: &[Tensor]| scaled(&x[0], 2.0) * &x[1];
    let inputs = [doubles(&[0.5, 1.0]), Tensor::full((), 3.0)];
    let report = Gradcheck::new().run_all(wrong, &inputs);
    assert_eq!(report.replay, "Gradcheck::new().seed(1).run_all(f, inputs)");
    let report = Gradcheck::new().shrink().run_all(wrong, &inputs);
    let [x, y] = ["Tensor::from_slice::<f64>(&[0.5], [1])", "Tensor::from_slice::<f64>(&[3.0], ())"];
    assert_eq!(report.replay, format!("Gradcheck::new().seed(1).run_all(f, &[{x}, {y}])"));
    let again = [Tensor::from_slice::<f64>(&[0.5], [1]), Tensor::from_slice::<f64>(&[3.0], ())];
    assert_eq!(Gradcheck::new().seed(1).run_all(wrong, &again).findings, report.findings);
    let report = Gradcheck::new().drawn(|[x]| scaled(x, 2.0), [check::real([1], 0.0..1.0)]);
    assert_eq!(report.replay, "Gradcheck::new().seed(1).drawn(f, inputs)");
}

#[test]
fn drawn_inputs_depend_on_the_seed() {
    let seen = |seed: u64| {
        let report = Gradcheck::new().seed(seed).shrink().drawn(|[x]| scaled(x, 2.0), [check::real([1], -2.0..2.0)]);
        report.smallest[0].elements[0]
    };
    assert!(seen(1) == seen(1) && seen(1) != seen(2) && (-2.0..2.0).contains(&seen(1)));
    let pairs = [check::real([3], -2.0..2.0), check::index([2], 3)];
    Gradcheck::new().orders(2).drawn(|[x, k]| x.exp().index_select(0, k), pairs).assert_ok();
}
