//! The conformance suite finds faults: operations that are wrong in one respect each.

use cotangent_core::check::{Conformance, Report, Samples, Verdict, distinct, real};
use cotangent_core::*;
use std::time::Duration;

/// x with a gradient of g·slope(x), where x is not changed.
fn identity(x: &Tensor, slope: impl Fn(&Tensor) -> f64) -> Tensor {
    let factor = slope(x);
    x.detach().record("identity").wrt(x, [], move |g, []| g * factor).done()
}

fn one(s: &mut Samples, f: impl Fn(&Tensor) -> Tensor + Send + Sync + 'static) {
    s.case("matrix", [real([2, 3], -2.0..2.0)], move |[x]| f(x)).with_integers().any_shape();
}

samples!("sound", |s| one(s, |x| identity(x, |_| 1.0)));
samples!("layout", |s| one(s, |x| if x.layout().is_contiguous() { x.clone() } else { x.neg() }));
samples!("layout of the gradient", |s| one(s, |x| identity(x, |x| x.layout().is_contiguous() as u8 as f64)));
samples!("offset", |s| one(s, |x| if x.layout().offset == 0 { x.clone() } else { x.neg() }));
samples!("precision", |s| one(s, |x| if x.dtype() == DType::F32 { x * (1.0 + 1e-5) } else { x.clone() }));
samples!("half precision", |s| one(s, |x| if x.dtype() == DType::F16 { x * 1.02 } else { x.clone() }));
samples!("gradient in f32", |s| one(s, |x| identity(x, |x| if x.dtype() == DType::F32 { 1.001 } else { 1.0 })));
samples!("integers", |s| one(s, |x| if x.dtype() == DType::I32 { x + 1.0 } else { x.clone() }));
samples!("scalar", |s| one(s, |x| if x.rank() == 0 { x.reshape([1]) } else { x.clone() }));
samples!("empty", |s| one(s, |x| if x.count() == 0 { panic!("no elements") } else { x.clone() }));
samples!("gradient", |s| one(s, |x| identity(x, |_| -1.0)));
samples!("no samples", |_| {});
samples!("unchecked gradient", |s| {
    s.case("vector", [real([3], -2.0..2.0)], |[x]| x.exp()).orders(0);
});
samples!("second order", |s| {
    s.case("vector", [distinct([3], 0.5..2.0)], |[x]| {
        x.detach()
            .square()
            .record("square")
            .wrt(x, [], {
                let x = x.detach();
                move |g, []| g * (&x * 2.0)
            })
            .done()
    });
});

fn run(operation: &str) -> Report {
    Conformance::new(&Device::reference()).only(operation).run()
}

#[test]
fn a_sound_operation_passes() {
    run("sound").assert_ok();
}

#[test]
fn each_fault_is_found_where_it_is() {
    let faults = [
        ("layout", "matrix, transposed f64"),
        ("layout of the gradient", "matrix, flipped gradient"),
        ("offset", "matrix, offset f16"),
        ("precision", "matrix, f32"),
        ("half precision", "matrix, f16"),
        ("gradient in f32", "matrix, f32 gradient"),
        ("integers", "matrix, i32"),
        ("scalar", "matrix, shape [] f64"),
        ("empty", "matrix, shape [0, 3] f32"),
        ("gradient", "matrix"),
        ("no samples", ""),
        ("unchecked gradient", "vector, untracked"),
        ("second order", "vector"),
    ];
    for (operation, case) in faults {
        let report = run(operation);
        assert!(report.failures().any(|found| found.case == case), "{operation}: {report}");
    }
}

#[test]
fn a_fault_is_found_nowhere_else() {
    let cases = |operation: &str| -> Vec<String> {
        let mut cases: Vec<String> = run(operation).failures().map(|found| found.case.clone()).collect();
        cases.dedup();
        cases
    };
    assert_eq!(
        cases("half precision"),
        [
            "matrix, f16",
            "matrix, transposed f16",
            "matrix, offset f16",
            "matrix, flipped f16",
            "matrix, repeated f16",
            "matrix, f16 gradient"
        ]
    );
    assert_eq!(cases("gradient in f32"), ["matrix, f32 gradient"]);
    assert_eq!(cases("integers"), ["matrix, i32"]);
    assert_eq!(cases("scalar"), ["matrix, shape [] f64", "matrix, shape [] f32"]);
    assert_eq!(cases("second order"), ["vector"]);
}

#[test]
fn second_order_and_panics_are_named() {
    let report = run("second order");
    let orders = report.failures().map(|found| match found.verdict {
        Verdict::Gradient { order, .. } => order,
        _ => 0,
    });
    assert!(orders.max() == Some(2), "{report}");
    assert!(run("empty").to_string().contains("panicked: no elements"));
    let text = run("integers").to_string();
    assert!(text.contains("replay: Conformance::new(&device).only(\"integers\").seed(1).run()"), "{text}");
}

#[test]
fn a_report_that_was_cut_says_so() {
    let suite = Conformance::new(&Device::reference());
    assert!(suite.operations().is_sorted() && suite.operations().contains(&"no samples"));
    assert_eq!(suite.clone().only("sound").operations(), ["sound"]);
    let report = suite.clone().only("sound").budget(Duration::ZERO).run();
    assert!(!report.is_ok() && !report.is_complete());
    assert_eq!(report.unchecked, ["sound"]);
    assert!(
        report.to_string().ends_with("INCOMPLETE, time for 0 of 1 operations only\n  not checked: sound"),
        "{report}"
    );
    let report = suite.clone().budget(Duration::from_millis(50)).run();
    let names: Vec<&str> = report.operations.keys().chain(&report.unchecked).map(String::as_str).collect();
    assert_eq!(names, suite.operations());
    assert!(report.to_json().contains("\"complete\":false,\"unchecked\":["));
    let report = suite.only("sound").budget(Duration::from_secs(3600)).run();
    assert!(report.is_ok() && report.is_complete() && report.times["sound"] > Duration::ZERO, "{report}");
}
