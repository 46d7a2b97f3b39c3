//! What anomaly mode reports: statistics of inputs and cotangents, and the path of a gradient.

mod common;

use common::panic_of;
use cotangent_core::*;

/// A leaf made at a line of this file, which the messages name.
fn x(data: &[f32]) -> Tensor {
    Tensor::new(data, [data.len()]).tracked()
}

/// What anomaly mode says of `f`, with the places in this file as `@line`.
fn report(f: impl FnOnce()) -> String {
    let message = panic_of(|| anomaly(f)).message;
    let mut parts = message.split(concat!(file!(), ":"));
    let mut text = parts.next().unwrap().to_owned();
    for part in parts {
        let end = |text: &str| text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
        let (line, rest) = part.split_at(end(part));
        let column = &rest[1..];
        text += &format!("@{line}{}", &column[end(column)..]);
    }
    text
}

#[test]
fn forward_the_inputs_are_described() {
    // The logarithm of 0 in a chain of products.
    let line = line!();
    let w = Tensor::new([0.5, 0.0, 2.0], [3]).tracked();
    let run = || {
        let product = &w * &Tensor::new([1.0, 3.0, 4.0], [3]);
        let scaled = product * 2.0;
        drop(scaled.log() * 3.0);
    };
    let expected = format!(
        "log: anomaly: the output of shape [3] has 0 NaN and 1 infinite of 3 elements; the finite ones lie from 0.0 to \
         2.7725887 (recorded at @{})\n  input 0 (`mul` at @{}) of shape [3] is finite, from 0.0 to 16.0",
        line + 5,
        line + 4,
    );
    assert_eq!(report(run), expected);
}

#[test]
fn forward_every_input_counts_tracked_or_not() {
    let (w, zero) = (x(&[1.0, 2.0]), Tensor::zeros([2]));
    let line = line!() + 1;
    let text = report(|| drop(&w / &zero));
    assert!(text.starts_with("div: anomaly: the output of shape [2] has 0 NaN and 2 infinite"), "{text}");
    assert!(text.contains(&format!("none is finite (recorded at @{line})\n")), "{text}");
    assert!(text.contains("input 0 (`leaf` at @"), "{text}");
    assert!(
        text.ends_with(
            ") of shape [2] is finite, from 1.0 to 2.0\n  input 1 (untracked) of shape [2] is finite, from 0.0 to 0.0"
        ),
        "{text}"
    );
    // Nothing is tracked, or the operation has no gradient.
    let text = report(|| drop(zero.log()));
    assert!(text.ends_with("input 0 (untracked) of shape [2] is finite, from 0.0 to 0.0"), "{text}");
    let text = report(|| drop(no_grad(|| w.matmul(&Tensor::full([2], f32::MAX as f64)))));
    assert!(text.starts_with("matmul: ") && text.contains("input 1 (untracked)"), "{text}");
    let text = report(|| drop(Tensor::new([f32::NAN], [1]).record("mine").done()));
    assert!(text.starts_with("mine: anomaly: the output of shape [1] has 1 NaN and 0 infinite"), "{text}");
}

#[test]
fn forward_folds_and_structural_operations_too() {
    let big = Tensor::full([3], f32::MAX as f64).tracked();
    let described = format!("of shape [3] is finite, from {0:?} to {0:?}", f32::MAX);
    for text in [report(|| drop(big.sum(..))), report(|| drop(big.cumsum(0)))] {
        assert!(text.contains(&described), "{text}");
    }
    // The memory of an operand by value is used again: it is kept for the message.
    let text = report(|| drop(big.detach() * 2.0));
    assert!(text.ends_with(&format!("input 0 (untracked) {described}")), "{text}");
}

#[test]
fn forward_a_nan_that_came_in() {
    let data = Tensor::new([1.0, f32::NAN, 3.0], [3]);
    let text = report(|| drop(&data * &x(&[1.0, 2.0, 3.0])));
    let input = "input 0 (untracked) of shape [3] has 1 NaN and 0 infinite of 3 elements; the finite ones lie from 1.0 \
                 to 3.0\n  input 1 (`leaf` at";
    assert!(text.starts_with("mul: ") && text.contains(input), "{text}");
    // Types that hold no NaN are not looked at, and no output is too small.
    anomaly(|| drop((data.is_nan(), Tensor::ones([0]).log(), data.detach())));
}

#[test]
fn backward_cotangent_inputs_and_path() {
    let line = line!();
    let w = Tensor::new([0.0, 4.0], [2]).tracked();
    let run = || {
        let root = w.sqrt();
        let loss = (root * 3.0).sum(..);
        loss.backward();
    };
    let expected = format!(
        "backward: anomaly: the gradient by an input of `sqrt` (recorded at @{sqrt}) of shape [2] has 0 NaN and 1 infinite \
         of 2 elements; the finite ones lie from 0.75 to 0.75
  that input is the result of `leaf` at @{leaf}
  the cotangent of shape [2] is finite, from 3.0 to 3.0
  input 0 (`leaf` at @{leaf}) of shape [2] is finite, from 0.0 to 4.0
  path to the loss:
    `sqrt` at @{sqrt}
    `mul` at @{loss}
    `sum` at @{loss}",
        leaf = line + 1,
        sqrt = line + 3,
        loss = line + 4,
    );
    assert_eq!(report(run), expected);
    // Inputs of operations that were recorded before are not known.
    let loss = (w.sqrt() * 3.0).sum(..);
    let text = report(|| drop(loss.backward()));
    assert!(text.contains("from 3.0 to 3.0\n  (run the forward pass in anomaly mode, too, to see the inputs)\n  path"));
}

#[test]
fn backward_the_middle_of_a_long_path_is_left_out() {
    let path_of = |steps: usize| {
        let w = x(&[0.0]);
        let y = (0..steps).fold(w.sqrt(), |y, _| y + 1e-3);
        let text = report(|| drop(y.exp().backward()));
        let at = text.find("  path to the loss:\n").unwrap();
        let lines = text[at..].lines().skip(1);
        lines.map(|line| line.trim().split(" at ").next().unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(path_of(7), ["`sqrt`"].into_iter().chain(["`add`"; 7]).chain(["`exp`"]).collect::<Vec<_>>());
    let (add, exp) = ("`add`", "`exp`");
    assert_eq!(path_of(1000), ["`sqrt`", add, add, add, "… 994 more …", add, add, add, exp]);
}

#[test]
fn backward_the_path_follows_the_gradient_that_came_first() {
    let w = x(&[0.0]);
    let root = w.sqrt();
    let (left, right) = (root.exp(), root.sin());
    let text = report(|| drop((left * right).backward()));
    // The youngest of two consumers is swept first.
    let path: Vec<&str> = text.lines().rev().take(3).map(|line| line.trim().split(' ').next().unwrap()).collect();
    assert_eq!(path, ["`mul`", "`sin`", "`sqrt`"]);
}

#[test]
fn backward_sums_and_given_cotangents() {
    // Each contribution is finite, their sum is not.
    let w = x(&[0.1]);
    let big = f32::MAX as f64;
    let text = report(|| drop((&w * big + &w * (big * 0.5)).backward()));
    assert!(text.starts_with("backward: anomaly: the gradient of the result of `leaf` (recorded at @"), "{text}");
    assert!(text.contains("`leaf` at @") && text.contains("`mul` at @") && text.contains("`add` at @"), "{text}");
    let w = Tensor::new([0.1], []).tracked();
    let text = report(|| drop((&w * &Tensor::full([2], big)).sum(..).backward()));
    assert!(text.starts_with("backward: anomaly: the gradient by an input of `mul` (recorded at @"), "{text}");
    // The sum over axes that the input was stretched along, and over two overlapping parts.
    let stretched = w.detach().expand([2]).record("mine").wrt(&w, [], |g, []| g.clone()).done();
    let text = report(|| drop(stretched.backward_with(&Tensor::full([2], big))));
    assert!(text.starts_with("backward: anomaly: the gradient of the result of `leaf` (recorded at @"), "{text}");
    let w = x(&[0.1, 0.1]);
    let text = report(|| drop((w.narrow(0, 0, 2) * big + w.narrow(0, 0, 1) * (big * 0.5)).sum(..).backward()));
    assert!(text.starts_with("backward: anomaly: the gradient of the result of `leaf` (recorded at @"), "{text}");
    let text = report(|| drop(w.exp().backward_with(&Tensor::new([f32::NAN, 1.0], [2]))));
    assert!(text.starts_with("backward: anomaly: the gradient of the result of `exp` (recorded at @"), "{text}");
    assert!(text.contains("has 1 NaN") && text.contains("path to the loss:\n    `exp` at @"), "{text}");
}

#[test]
fn backward_inside_of_a_checkpoint() {
    let w = x(&[0.0]);
    let line = line!() + 1;
    let y = checkpoint(|[x]| x.sqrt() * 2.0, [&w]);
    let text = report(|| drop((y * 5.0).backward()));
    let path = format!("    `sqrt` at @{line}\n    `mul` at @{line}\n    in the gradient of the operation at @{line}");
    assert!(text.ends_with(&path), "{text}");
    // What the sweep computes again is in anomaly mode: its inputs are known.
    assert!(text.contains("the cotangent of shape [1] is finite, from 10.0 to 10.0\n  input 0 (`leaf` at @"), "{text}");
}

#[test]
fn an_anomaly_forward_names_operation_and_line() {
    let w = x(&[1.0, 0.0, -1.0]);
    let here = line!() + 1;
    let panic = panic_of(|| anomaly(|| drop(w.log())));
    assert_eq!((panic.file.as_str(), panic.line), (file!(), here));
    let rest = "of shape [3] has 1 NaN and 1 infinite of 3 elements; the finite ones lie from 0.0 to 0.0";
    let start = format!("log: anomaly: the output {rest} (recorded at {}:{here}:47)\n", file!());
    assert!(panic.message.starts_with(&start), "{}", panic.message);
    // Off again, here and in other threads.
    assert!(w.log().item_or_nan().is_nan());
    anomaly(|| std::thread::scope(|s| s.spawn(|| drop(w.log())).join().unwrap()));
}

trait ItemOrNan {
    fn item_or_nan(&self) -> f64;
}
impl ItemOrNan for Tensor {
    fn item_or_nan(&self) -> f64 {
        self.sum(..).item()
    }
}

#[test]
fn an_anomaly_backward_names_the_operation_whose_gradient_it_is() {
    let w = x(&[0.0, 4.0]);
    let recorded = line!() + 1;
    let y = w.sqrt();
    let loss = (y * 2.0).sum(..);
    let here = line!() + 1;
    let panic = panic_of(|| anomaly(|| drop(loss.backward())));
    assert_eq!((panic.file.as_str(), panic.line), (file!(), here));
    let start = format!(
        "backward: anomaly: the gradient by an input of `sqrt` (recorded at {}:{recorded}:15) of shape [2]",
        file!()
    );
    assert!(panic.message.starts_with(&start), "{}", panic.message);
    assert!(panic.message.contains("has 0 NaN and 1 infinite of 2 elements; the finite ones lie from 0.5 to 0.5"));
}

#[test]
fn an_anomaly_of_second_order_names_the_line_too() {
    // The slope 1.5·√w is 0 at 0, its own slope 0.75/√w is not finite.
    let w = x(&[0.0]);
    let recorded = line!() + 1;
    let y = w.pow(1.5);
    let [slope] = y.grad([&w]);
    assert_eq!(slope.item(), 0.0);
    let panic = panic_of(|| anomaly(|| drop(slope.backward())));
    assert!(panic.message.contains(&format!("(recorded at {}:{recorded}:", file!())), "{}", panic.message);
    assert!(panic.message.contains("1 infinite"), "{}", panic.message);
}

#[test]
fn where_with_a_bad_branch() {
    // The branch that is not taken gets the gradient 0. Behind it, 0 · 1/0 is NaN: that is the division's, and anomaly
    // mode says so.
    let w = x(&[1.0]);
    let recorded = line!() + 1;
    let u = &w / &Tensor::zeros([1]);
    let y = Tensor::zeros([1]).to(DType::Bool).select(&u, &w);
    let loss = (&y - 1.0).square().sum(..);
    assert_eq!((y.item(), loss.item()), (1.0, 0.0));
    assert!(loss.backward_retained()[&w].item().is_nan());
    let panic = panic_of(|| anomaly(|| drop(loss.backward_retained())));
    assert!(panic.message.contains(&format!("`div` (recorded at {}:{recorded}:", file!())), "{}", panic.message);
    // Inside of one program, the branch that is not taken never leaks.
    let y = pointwise(|[x]| x.lt(0.0).select(x / (x - x), x)).call([&w]);
    assert_eq!((y.item(), y.backward()[&w].item()), (1.0, 1.0));
}
