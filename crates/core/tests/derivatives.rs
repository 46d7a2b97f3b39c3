//! The usual derivatives: Jacobians of either direction, values with something besides, gradients that may be missing.

mod common;

use common::{panic_of, values};
use cotangent_core::autograd::{Options, grads};
use cotangent_core::*;

fn f64s(data: &[f64]) -> Tensor {
    Tensor::from_slice(data, [data.len()])
}

/// xₖ·eˣʲ for many pairs: more results than inputs, and more the larger `repeats` is.
fn wide(x: &Tensor, repeats: usize) -> Tensor {
    let n = x.count();
    let (a, b) = (x.reshape([n, 1]), x.reshape([1, n]).exp());
    let table = &a * &b;
    Tensor::stack(&vec![&table; repeats], 0)
}

#[test]
fn a_jacobian_of_either_direction() {
    let data = [0.5f64, -1.0, 2.0];
    // ∂(xᵢ·eˣʲ)/∂xₖ, in the order [repeat, i, j, k].
    let entry = |i: usize, j: usize, k: usize| {
        let e = data[j].exp();
        (if i == k { e } else { 0.0 }) + (if j == k { data[i] * e } else { 0.0 })
    };
    for repeats in [1, 2, 8] {
        let j = jacobian(|x| wide(x, repeats), &f64s(&data));
        assert_eq!(j.shape(), [repeats, 3, 3, 3]);
        let index = |at: usize| (at / 9 % 3, at / 3 % 3, at % 3);
        let expected: Vec<f64> = (0..repeats * 27).map(index).map(|(i, j, k)| entry(i, j, k)).collect();
        approx::assert_relative_eq!(j, Tensor::from_slice(&expected, [repeats, 3, 3, 3]), max_relative = 1e-14);
        assert!(!j.is_tracked());
    }
}

#[test]
fn few_columns_take_few_sweeps() {
    // Hooks see every sweep: one that asks for the gradient's graph, and one for each input through that.
    let sweeps = |count: usize| {
        let seen = std::sync::Arc::new(std::sync::atomic::AtomicUsize::new(0));
        let counter = seen.clone();
        let f = move |x: &Tensor| {
            let y = x.sum(..).exp().expand([count]) * 1.0;
            let hook = y.hook(move |_| {
                counter.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
                None
            });
            std::mem::forget(hook);
            y * 2.0
        };
        jacobian(f, &f64s(&[0.25, 0.5]));
        seen.load(std::sync::atomic::Ordering::Relaxed)
    };
    assert_eq!((sweeps(8), sweeps(100)), (8, 1));
}

#[test]
fn jacobians_are_differentiated_again() {
    // y = (x³, …, x³): ∂/∂x of the sum of its Jacobian is 6x for each.
    for count in [1, 3, 20] {
        let x = f64s(&[1.5]).tracked();
        let j = jacobian(|x| (x * x * x).expand([count]), &x);
        assert_eq!(j.shape(), [count, 1]);
        assert_eq!(values(&j.sum(..).backward()[&x]), [9.0 * count as f64]);
    }
}

#[test]
fn jacobians_at_the_edges() {
    // Nothing depends on x, x or the result has no elements, or they are numbers.
    let x = f64s(&[1.0, 2.0]);
    for count in [3, 30] {
        assert_eq!(
            jacobian(|x| x.detach().sum(..).expand([count]), &x),
            f64s(&[0.0; 60]).narrow(0, 0, 2 * count).reshape([count, 2])
        );
    }
    let nothing = f64s(&[]);
    assert_eq!(jacobian(|x| x.sum(..).expand([5]), &nothing).shape(), [5, 0]);
    assert_eq!(jacobian(|x| x.narrow(0, 0, 0), &x).shape(), [0, 2]);
    let number = Tensor::from_slice(&[3.0], []);
    let j = jacobian(|x| x.square().expand([9]), &number);
    assert_eq!((j.shape(), values(&j)), (&Shape::from([9]), vec![6.0; 9]));
    // Another type's result has rows of the input's type.
    let j = jacobian(|x| x.to(DType::F64).square().expand([20]), &Tensor::new([3.0], [1]));
    assert_eq!((j.dtype(), values(&j)), (DType::F32, vec![6.0; 20]));
}

#[test]
fn something_besides_the_value() {
    let (a, b) = (f64s(&[1.0, 2.0]), f64s(&[3.0, 4.0]));
    let f = |[a, b]: [&Tensor; 2]| {
        let product = a * b;
        (product.sum(..), (product.detach(), "a name"))
    };
    let (y, [ga, gb], (product, name)) = grad_and_aux(f, [&a, &b]);
    assert_eq!((y.item(), values(&ga), values(&gb)), (11.0, vec![3.0, 4.0], vec![1.0, 2.0]));
    assert_eq!((values(&product), name), (vec![3.0, 8.0], "a name"));
    assert!(!y.is_tracked() && !ga.is_tracked());
    // Of tracked inputs, value and gradients are recorded, as is what comes besides.
    let w = a.tracked();
    let (y, [g], besides) = grad_and_aux(|[w]| (w.square().sum(..), w.exp()), [&w]);
    assert!(y.is_tracked());
    assert_eq!(values(&g.sum(..).backward_retained()[&w]), [2.0, 2.0]);
    assert_eq!(besides.sum(..).backward()[&w], a.exp());
    let panic = panic_of(|| drop(grad_and_aux(|[x]| (x.exp(), ()), [&a])));
    assert_eq!((panic.file.as_str(), panic.line), (file!(), line!() - 1));
    assert!(panic.message.starts_with("grad_and_aux: a gradient is of one number, but the shape is [2]; reduce it"));
}

#[test]
fn what_stands_for_an_input_is_recorded_at_the_call() {
    let place = |x: &Tensor| {
        let step = &x.history()[0];
        (step.op, step.site.file(), step.site.line())
    };
    let x = f64s(&[1.0]);
    let (_, _, seen) = grad_and_aux(|[x]| (x.exp(), place(x)), [&x]);
    assert_eq!(seen, ("leaf", file!(), line!() - 1));
    let (_, _, seen) = grad_and_aux(|[x]| (x.exp(), place(x)), [&x.tracked()]);
    assert_eq!(seen, ("alias", file!(), line!() - 1));
}

#[test]
fn a_gradient_that_may_be_missing() {
    let [used, unused] = [f64s(&[2.0]), f64s(&[3.0])].map(|x| x.tracked());
    let y = used.square();
    let one = y.ones_like();
    let found = grads(&[(&y, &one)], &[&unused, &used, &used.detach()], Options::default());
    assert_eq!(found, [None, Some(f64s(&[4.0])), None]);
    // Where each must be there, the first that is not is named.
    let y = used.square();
    let panic = panic_of(|| drop(y.grad([&used, &unused])));
    let message = "grad: input 1 of shape [1] is not reached: the result does not depend on it; use autograd::grads for \
                   gradients that may be missing";
    assert_eq!(panic.message, message);
}

#[test]
fn roots_of_many_elements_need_a_cotangent() {
    let w = f64s(&[1.0, 2.0]).tracked();
    let y = w.square();
    let message = "a gradient is of one number, but the shape is [2]; reduce it with .sum(..) or .mean(..), or give a \
                   cotangent to .backward_with(..)";
    let panics = [
        ("grad", panic_of(|| drop(y.grad([&w])))),
        ("backward", panic_of(|| drop(y.backward()))),
        ("backward", panic_of(|| drop(y.backward_retained()))),
    ];
    for (op, panic) in panics {
        assert_eq!(panic.message, format!("{op}: {message}"));
    }
    let panic = panic_of(|| drop(grads(&[(&y, &Tensor::ones([]).to(DType::F64))], &[&w], Options::default())));
    let message = "grads: the cotangent has shape [] and type f64, the output [2] and f64; they must be equal";
    assert_eq!((panic.message.as_str(), panic.line), (message, line!() - 2));
    let panic = panic_of(|| drop(grads(&[(&w.detach(), &w)], &[&w], Options::default())));
    assert!(panic.message.starts_with("grads: the output of shape [2] depends on no tracked tensor"));
    // None of these swept anything.
    assert_eq!(values(&y.backward_with(&f64s(&[1.0, 10.0]))[&w]), [2.0, 40.0]);
}
