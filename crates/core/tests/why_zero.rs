//! Gradients that are zero everywhere: the operation that made them so is named.

mod common;

use common::x;
use cotangent_core::*;

/// Why the gradient by `w` is zero, which it is.
#[track_caller]
fn reason(loss: &Tensor, w: &Tensor) -> String {
    let reason = loss.why_zero(w).expect("the gradient is zero");
    assert!(loss.backward_retained()[w].to(DType::F64).to_vec::<f64>().iter().all(|v| *v == 0.0));
    reason
}

/// Whether `reason` names one operation: that of `line` in this file.
#[track_caller]
fn names(reason: &str, op: &str, line: u32) {
    let start = format!("`{op}` (recorded at {}:{line}:", file!());
    assert!(reason.starts_with(&start) && reason.lines().count() == 1, "{start} is not how this begins: {reason}");
}

#[test]
fn planted_causes_are_named() {
    let w = x(&[-1.0, -2.0, -0.5]);
    // Operations before and after the cause pass the gradient on.
    let before = &w * 2.0;
    let line = line!();
    let causes = [
        ("relu", before.relu()),
        ("clamp", before.clamp(0.0, 6.0)),
        ("mul", &before * &Tensor::zeros([3])),
        ("select", w.gt(0.0).select(&before, &Tensor::ones([3]))),
        ("round", before.round()),
        ("floor", before.floor()),
        ("sign", before.sign()),
        ("masked_fill", before.masked_fill(&before.lt(0.0), 0.0)),
        ("narrow", (&before * &Tensor::new([1.0, 0.0, 0.0], [3])).narrow(0, 1, 2)),
    ];
    for (at, (op, result)) in causes.into_iter().enumerate() {
        let reason = reason(&(result + 1.0).sum(..), &w);
        // A part of the product passes, but not the part that the product reads.
        names(&reason, if op == "narrow" { "mul" } else { op }, line + 2 + at as u32);
    }
}

#[test]
fn the_message_says_what_came_and_where_it_stopped() {
    let line = line!();
    let w = Tensor::new([-1.0, -2.0], [2]).tracked();
    let loss = (w.relu() * 3.0).sum(..);
    let (leaf, relu) = (format!("{}:{}:", file!(), line + 1), format!("{}:{}:", file!(), line + 2));
    let found = reason(&loss, &w);
    let columns = |text: &str| text.split(": ").count();
    assert_eq!(columns(&found), 2, "{found}");
    assert!(found.starts_with(&format!("`relu` (recorded at {relu}")), "{found}");
    let rest = "the cotangent of shape [2] is finite, from 3.0 to 3.0, but the gradient by its input, the result of `leaf` \
                (recorded at ";
    assert!(found.contains(&format!("{rest}{leaf}")) && found.ends_with(", is zero everywhere"), "{found}");
    // Recorded in anomaly mode, the inputs are known.
    let found = reason(&anomaly(|| w.relu().sum(..)), &w);
    assert!(found.contains("is zero everywhere\n  input 0 (`leaf` at "), "{found}");
    assert!(found.ends_with("of shape [2] is finite, from -2.0 to -1.0"), "{found}");
}

#[test]
fn none_where_some_element_is_not_zero() {
    let w = x(&[-1.0, 2.0]);
    assert_eq!(w.relu().sum(..).why_zero(&w), None);
    assert_eq!(w.why_zero(&w), None);
    // One of two ways is cut.
    let y = w.square();
    assert_eq!((&y * 0.0 + y.exp()).sum(..).why_zero(&w), None);
    // NaN is not zero.
    assert_eq!((&w * f64::NAN).sum(..).why_zero(&w), None);
    // By a result on the way, and after a sweep that kept nothing behind it.
    let kept = y.exp();
    y.backward_with(&Tensor::ones([2]));
    assert_eq!(kept.why_zero(&y), None);
    // The graph is kept.
    let loss = w.exp().sum(..);
    assert_eq!((loss.why_zero(&w), loss.why_zero(&w)), (None, None));
    loss.backward();
}

#[test]
fn each_way_is_named_at_its_youngest_cut() {
    let w = x(&[-1.0, -2.0]);
    let twice_dead = w.floor().relu();
    let line = line!() + 1;
    let loss = (twice_dead + w.square().round()).sum(..);
    let found = reason(&loss, &w);
    let lines: Vec<&str> = found.lines().collect();
    assert_eq!(lines.len(), 2, "{found}");
    assert!(lines[0].starts_with(&format!("`round` (recorded at {}:{line}:", file!())), "{found}");
    assert!(lines[1].starts_with(&format!("`relu` (recorded at {}:{}:", file!(), line - 2)), "{found}");
    // Many are not all named.
    let loss = (0..9).map(|k| (&w * k as f64).floor()).reduce(|a, b| a + b).unwrap().sum(..);
    let found = reason(&loss, &w);
    assert_eq!((found.lines().count(), found.lines().last().unwrap()), (5, "and 5 more"));
}

#[test]
fn contributions_that_cancel() {
    let w = x(&[1.0, 2.0]);
    let line = line!() + 1;
    let y = w.exp();
    let found = reason(&(y.square() - y.square()).sum(..), &w);
    let at = format!("what comes to `exp` (recorded at {}:{line}:", file!());
    assert!(found.starts_with(&at) && found.ends_with(" from several sides adds up to zero"), "{found}");
    names(&reason(&(&y - &y).sum(..), &w), "sub", line!());
}

#[test]
fn hooks_that_make_a_zero() {
    let w = x(&[1.0, 2.0]);
    let line = line!() + 1;
    let y = w.exp();
    let hook = y.hook(|g| Some(g.zeros_like()));
    let found = reason(&(&y * 2.0).sum(..), &w);
    names(&found, "exp", line);
    assert!(found.ends_with("; it has a hook, which may have made it zero"), "{found}");
    drop(hook);
    let _hook = w.hook(|g| Some(g.zeros_like()));
    let found = reason(&w.exp().sum(..), &w);
    assert!(found.starts_with("a hook of `leaf` (recorded at "), "{found}");
}

#[test]
fn a_checkpoint_is_one_operation() {
    let w = x(&[-1.0, -2.0]);
    let line = line!() + 1;
    let y = checkpoint(|[x]| x.relu() * 2.0, [&w]);
    names(&reason(&y.sum(..), &w), "checkpoint", line);
}

#[test]
fn no_gradient_at_all() {
    let (w, other) = (x(&[1.0]), x(&[2.0]));
    let y = w.exp();
    assert_eq!(y.why_zero(&other), y.why_no_grad(&other));
    assert!(y.why_zero(&other).unwrap().contains("none of the 2 recorded steps"));
    assert!(y.detach().why_zero(&w).is_some() && y.why_zero(&w.detach()).is_some());
    y.backward();
    assert!(y.why_zero(&w).unwrap().contains("consumed"));
    let empty = Tensor::ones([0]).tracked();
    assert_eq!(empty.exp().sum(..).why_zero(&empty).unwrap(), "the tensor of shape [0] has no elements");
}

#[test]
fn a_long_chain_takes_no_longer_than_its_length() {
    let w = x(&[-1.0]);
    let line = line!() + 1;
    let dead = w.relu();
    let y = (0..20_000).fold(dead, |y, _| y + 1.0);
    names(&reason(&y, &w), "relu", line);
}
