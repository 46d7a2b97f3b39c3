//! Traced closures: structure, sharing, constants, derivatives as programs, and their limits.

mod common;

use common::panic_of;
use cotangent_core::expr::{Expr, Inst, Kind, VjpKey, trace};
use cotangent_core::*;
use std::sync::Arc;

fn by(output: usize, wanted: u64) -> VjpKey {
    VjpKey { output, wanted }
}

#[test]
fn equal_formulas_are_one_program() {
    let a = trace(|[x, y]: [Expr; 2]| (x * y).exp() + x);
    let b = trace(|[u, v]: [Expr; 2]| (u * v).exp() + u);
    assert!(Arc::ptr_eq(&a.program, &b.program));
    assert!(Arc::ptr_eq(&a.program.vjp(by(0, 1)), &b.program.vjp(by(0, 1))));
    assert!(!Arc::ptr_eq(&a.program, &trace(|[x, y]: [Expr; 2]| (y * x).exp() + x).program));
    // From other threads, too.
    let there = std::thread::spawn(|| trace(|[x, y]: [Expr; 2]| (x * y).exp() + x).program).join().unwrap();
    assert!(Arc::ptr_eq(&a.program, &there));
}

#[test]
fn captured_numbers_are_arguments_of_the_call() {
    let scaled = |rate: f64| trace(move |[x]: [Expr; 1]| x * rate + 1.0);
    let (a, b) = (scaled(0.1), scaled(0.2));
    assert!(Arc::ptr_eq(&a.program, &b.program));
    assert_eq!((&a.uniforms[..], &b.uniforms[..]), (&[0.1, 1.0][..], &[0.2, 1.0][..]));
    assert_eq!(b.program.eval_f64(&[3.0], &b.uniforms, 0)[0], 3.0 * 0.2 + 1.0);
}

#[test]
fn common_parts_and_dead_ones() {
    let twice = trace(|[x]: [Expr; 1]| {
        let _unused = x.sin();
        x.exp() + x.exp()
    });
    assert_eq!(twice.program.insts().len(), 3); // x, exp, add
}

#[test]
fn derivatives_do_not_carry_constant_zeros_and_ones() {
    // ∂(x + y) is the cotangent itself.
    let sum = trace(|[x, y]: [Expr; 2]| x + y).program.vjp(by(0, 0b11));
    assert_eq!(sum.insts(), [Inst::Arg(2)]);
    assert_eq!(sum.outputs(), [0, 0]);
    // Nothing depends on y: its derivative is 0, and nothing of it is read.
    let only = trace(|[x, _y]: [Expr; 2]| x.exp()).program.vjp(by(0, 0b10));
    assert_eq!(only.eval_f64(&[1.0, 2.0, 3.0], &[], 0)[0], 0.0);
    assert!(!only.reads(0) && !only.reads(1) && !only.reads(2));
    // A step has the derivative 0.
    assert_eq!(trace(|[x]: [Expr; 1]| x.floor()).program.vjp(by(0, 1)).eval_f64(&[1.5, 7.0], &[], 0)[0], 0.0);
}

#[test]
fn derivatives_are_linear_in_the_cotangent() {
    let program = trace(|[x, y]: [Expr; 2]| x.gt(y).select((x / y).log(), x.pow(y))).program.vjp(by(0, 0b11));
    for point in [[2.0, 0.5], [0.5, 1.5], [1.0, 1.0]] {
        let at = |g: f64| program.eval_f64(&[point[0], point[1], g], &[], 0);
        for k in 0..2 {
            let (one, two, both) = (at(1.0)[k], at(-2.5)[k], at(-1.5)[k]);
            assert!((one + two - both).abs() < 1e-14 && at(0.0)[k] == 0.0, "{point:?}");
        }
    }
}

#[test]
fn the_branch_not_taken_never_leaks() {
    // √x, log x and 1/x below 0 and at 0 are NaN or infinite, and so are their derivatives of both orders.
    let guarded = trace(|[x]: [Expr; 1]| x.gt(0.0).select(x.sqrt() + x.log() + 1.0 / x, x * 0.5));
    let first = guarded.program.vjp(by(0, 1));
    let second = first.vjp(by(0, 0b11));
    let u = &guarded.uniforms;
    for x in [0.0, -0.0, -3.0] {
        assert_eq!(guarded.program.eval_f64(&[x], u, 0)[0], x * 0.5);
        assert_eq!(first.eval_f64(&[x, 2.0], u, 0)[0], 1.0);
        assert_eq!(second.eval_f64(&[x, 2.0, 1.0], u, 0)[..], [0.0, 0.5]);
    }
    assert!(guarded.program.eval_f64(&[f64::NAN], u, 0)[0].is_nan(), "a NaN that came in stays");
}

#[test]
fn kinds_follow_comparisons() {
    let program = trace(|[x, c]: [Expr; 2]| [x.gt(0.0), c.select(x, x.neg()), c.select(x.gt(0.0), c), x + c]).program;
    let kinds = |k: usize| program.kind(k, 0b10);
    assert_eq!([0, 1, 2, 3].map(kinds), [Kind::Truth, Kind::Value, Kind::Truth, Kind::Value]);
    assert_eq!(program.kind(2, 0), Kind::Value);
}

#[test]
fn an_expression_stays_in_its_closure() {
    let message = panic_of(|| {
        let kept = std::cell::Cell::new(None);
        let keep = Arc::new(std::sync::Mutex::new(None));
        let inner = keep.clone();
        trace(move |[x]: [Expr; 1]| {
            *inner.lock().unwrap() = Some(x);
            x
        });
        kept.set(*keep.lock().unwrap());
        let stray = kept.get().unwrap();
        trace(move |[x]: [Expr; 1]| {
            let _ = x;
            stray
        });
    });
    assert!(message.message.contains("an Expr was used outside of the closure that received it"), "{message:?}");
    // The next trace is unharmed, also after a panic inside of one.
    panic_of(|| drop(trace(|[_x]: [Expr; 1]| -> Expr { panic!("on purpose") })));
    assert_eq!(trace(|[x]: [Expr; 1]| x * x).program.eval_f64(&[3.0], &[], 0)[0], 9.0);
}

#[test]
fn a_program_has_bounds() {
    let message = panic_of(|| drop(trace(|[x]: [Expr; 1]| (0..70_000).fold(x, |y, k| y * x + k as f64)))).message;
    assert!(message.starts_with("pointwise: a program has at most 65536 instructions; split the formula"), "{message}");
    // Thirty-two arguments have derivatives of order two and more.
    let many = pointwise(|x: [Expr; 32]| x.into_iter().reduce(|a, b| a * b).unwrap());
    let x: Vec<Tensor> = (0..32).map(|k| Tensor::from_slice(&[1.0 + k as f64 / 64.0], [1]).tracked()).collect();
    let y = many.call(std::array::from_fn(|k| &x[k]));
    let [slope] = y.grad([&x[3]]);
    let [curvature] = slope.grad([&x[5]]);
    let expected = y.item() / x[3].item() / x[5].item();
    assert!((curvature.item() / expected - 1.0).abs() < 1e-13);
}

#[test]
fn integers_at_the_ends_of_their_range() {
    let x = Tensor::from_slice(&[i64::MIN, i64::MAX, i64::MIN, 7, -7], [5]);
    let y = Tensor::from_slice(&[-1i64, i64::MAX, i64::MAX, 0, 2], [5]);
    assert_eq!(x.floor_div(&y).to_vec::<i64>(), [i64::MIN, 1, -2, 0, -4]);
    assert_eq!(x.remainder(&y).to_vec::<i64>(), [0, 0, i64::MAX - 1, 0, 1]);
    assert_eq!(x.fmod(&y).to_vec::<i64>(), [0, 0, -1, 0, -1]);
    assert_eq!((-&x).to_vec::<i64>()[0], i64::MIN);
    assert_eq!(x.abs().to_vec::<i64>()[..2], [i64::MIN, i64::MAX]);
    assert_eq!((&x + &x).to_vec::<i64>()[..2], [0, -2]);
}
