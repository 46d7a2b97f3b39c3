//! The usual derivatives of functions.

use super::{Options, check_direction, grads};
use crate::shape::Shape;
use crate::tape::{at_caller, tracks, with_grad};
use crate::tensor::{Tensor, checked_count};

/// Runs `f` on leaves made of `inputs`, recording.
#[track_caller]
fn on_leaves<const N: usize, R>(inputs: [&Tensor; N], f: impl FnOnce([&Tensor; N]) -> R) -> (R, [Tensor; N]) {
    // A copy that is tied to the original, so that results can be differentiated by what the caller tracks.
    let leaves = at_caller(|| inputs.map(|x| if tracks(x) { x.alias() } else { x.tracked() }));
    (with_grad(|| f(leaves.each_ref())), leaves)
}

/// Whether results for these inputs are to be recorded.
fn recorded(inputs: &[&Tensor]) -> bool {
    inputs.iter().any(|x| tracks(x))
}

/// The value of a scalar function and its gradients by every input, 0 where it does not depend on one.
///
/// ```
/// # use cotangent_core::*;
/// let x = Tensor::new([1.0, 2.0], [2]);
/// let (y, [g]) = value_and_grad(|[x]| x.square().sum(..), [&x]);
/// assert_eq!((y.item(), g.to_vec::<f32>()), (5.0, vec![2.0, 4.0]));
/// ```
#[track_caller]
pub fn value_and_grad<const N: usize>(
    f: impl FnOnce([&Tensor; N]) -> Tensor,
    inputs: [&Tensor; N],
) -> (Tensor, [Tensor; N]) {
    let (y, g, ()) = with_aux("value_and_grad", |x| (f(x), ()), inputs);
    (y, g)
}

/// As [`value_and_grad`], for a function that returns something besides its value: predictions, counts, new states. That
/// comes back as it is; tensors in it hold the graph until they are [detached](Tensor::detach).
///
/// ```
/// # use cotangent_core::*;
/// let (x, label) = (Tensor::new([1.0, 2.0], [2]), Tensor::new([2.0, 2.0], [2]));
/// let loss = |[x]: [&Tensor; 1]| {
///     let error = x - &label;
///     (error.square().sum(..), error.detach())
/// };
/// let (y, [g], error) = grad_and_aux(loss, [&x]);
/// assert_eq!((y.item(), g.to_vec::<f32>()), (1.0, vec![-2.0, 0.0]));
/// assert_eq!(error.to_vec::<f32>(), [-1.0, 0.0]);
/// ```
#[track_caller]
pub fn grad_and_aux<const N: usize, A>(
    f: impl FnOnce([&Tensor; N]) -> (Tensor, A),
    inputs: [&Tensor; N],
) -> (Tensor, [Tensor; N], A) {
    with_aux("grad_and_aux", f, inputs)
}

#[track_caller]
fn with_aux<const N: usize, A>(
    op: &str,
    f: impl FnOnce([&Tensor; N]) -> (Tensor, A),
    inputs: [&Tensor; N],
) -> (Tensor, [Tensor; N], A) {
    let ((y, aux), leaves) = on_leaves(inputs, f);
    y.check_scalar(op);
    let g = pull(op, &y, &y.ones_like(), leaves.each_ref(), recorded(&inputs));
    (if recorded(&inputs) { y } else { y.detach() }, g, aux)
}

/// Gradients of ⟨y, g⟩ by `leaves`, zeros where there are none.
#[track_caller]
fn pull<const N: usize>(op: &str, y: &Tensor, g: &Tensor, leaves: [&Tensor; N], record: bool) -> [Tensor; N] {
    check_direction(op, "cotangent", g, "output", y);
    if y.node.is_none() {
        return leaves.map(Tensor::zeros_like);
    }
    let found = grads(&[(y, g)], &leaves, Options { retain: true, record });
    let mut found = found.into_iter();
    leaves.map(|x| found.next().expect("one for each").unwrap_or_else(|| x.zeros_like()))
}

/// The value of `f` and its vector-Jacobian product uᵀ·∂f/∂x for every input.
///
/// ```
/// # use cotangent_core::*;
/// let x = Tensor::new([1.0, 2.0], [2]);
/// let (_, [g]) = vjp(|[x]| x.square(), [&x], &Tensor::new([1.0, 10.0], [2]));
/// assert_eq!(g.to_vec::<f32>(), [2.0, 40.0]);
/// ```
#[track_caller]
pub fn vjp<const N: usize>(
    f: impl FnOnce([&Tensor; N]) -> Tensor,
    inputs: [&Tensor; N],
    u: &Tensor,
) -> (Tensor, [Tensor; N]) {
    let (y, leaves) = on_leaves(inputs, f);
    let record = recorded(&inputs) || tracks(u);
    let g = pull("vjp", &y, u, leaves.each_ref(), record);
    (if record { y } else { y.detach() }, g)
}

/// The value of `f` and its Jacobian-vector product Σ ∂f/∂x·v, by differentiating uᵀ·∂f/∂x, which is linear in u.
///
/// ```
/// # use cotangent_core::*;
/// let x = Tensor::new([1.0, 2.0], [2]);
/// let (_, dy) = jvp(|[x]| x.prod(..), [&x], [&Tensor::new([0.1, 0.0], [2])]);
/// assert!((dy.item() - 0.2).abs() < 1e-6);
/// ```
#[track_caller]
pub fn jvp<const N: usize>(
    f: impl FnOnce([&Tensor; N]) -> Tensor,
    inputs: [&Tensor; N],
    v: [&Tensor; N],
) -> (Tensor, Tensor) {
    let record = recorded(&inputs) || recorded(&v);
    let (y, leaves) = on_leaves(inputs, f);
    for (k, (v, x)) in v.iter().zip(&inputs).enumerate() {
        check_direction("jvp", &format!("tangent {k}"), v, "input", x);
    }
    let u = y.zeros_like().tracked();
    let dual = with_grad(|| {
        let g = pull("jvp", &y, &u, leaves.each_ref(), true);
        g.iter().zip(v).map(|(g, v)| (g * v).sum(..)).reduce(|a, b| a + b)
    });
    let dy = match dual {
        Some(dual) if dual.is_tracked() => pull("jvp", &dual, &dual.ones_like(), [&u], record)[0].clone(),
        _ => y.zeros_like(),
    };
    if record { (y, dy) } else { (y.detach(), dy.detach()) }
}

/// The Jacobian of `f` at `x`, of shape `[f(x)'s shape.., x's shape..]`: a sweep for each element of the result, or, where
/// `x` has far fewer, a sweep for each of these through the graph of [`jvp`].
///
/// ```
/// # use cotangent_core::*;
/// let x = Tensor::new([1.0, 2.0], [2]);
/// let j = jacobian(|x| x.square(), &x);
/// assert_eq!(j.to_vec::<f32>(), [2.0, 0.0, 0.0, 4.0]);
/// ```
#[track_caller]
pub fn jacobian(f: impl FnOnce(&Tensor) -> Tensor, x: &Tensor) -> Tensor {
    let (y, [leaf]) = on_leaves([x], |[x]| f(x));
    // A sweep through the graph of the gradient costs about three through that of the function.
    let few_columns = x.count().saturating_mul(4) < y.count() && x.dtype() == y.dtype();
    let by = if few_columns { columns } else { rows };
    by("jacobian", &y, &leaf, recorded(&[x]))
}

/// The Jacobian of a recorded result by a leaf, column by column: uᵀJ is linear in u, and its Jacobian by u is Jᵀ.
#[track_caller]
fn columns(op: &str, y: &Tensor, leaf: &Tensor, record: bool) -> Tensor {
    let u = y.zeros_like().tracked();
    let [product] = with_grad(|| pull(op, y, &u, [leaf], true));
    let transposed = rows(op, &product, &u, record);
    let (m, n) = (leaf.rank() as isize, transposed.rank() as isize);
    transposed.permute((m..n).chain(0..m).collect::<Vec<_>>())
}

/// The Jacobian of a recorded result by a leaf, row by row.
#[track_caller]
fn rows(op: &str, y: &Tensor, leaf: &Tensor, record: bool) -> Tensor {
    let shape: Shape = y.shape().iter().chain(leaf.shape().iter()).copied().collect();
    checked_count(op, &shape);
    let mut rows = vec![];
    for k in 0..y.count() {
        let one = y.detach().ones_like().reshape([y.count()]).narrow(0, 0, 1);
        let u = y.zeros_like().reshape([y.count()]).slice_assign(0, k, &one).reshape(y.shape());
        let [row] = pull(op, y, &u, [leaf], record);
        rows.push(row);
    }
    if rows.is_empty() {
        return leaf.device().full(shape, 0.0, y.dtype());
    }
    Tensor::stack(&rows.iter().collect::<Vec<_>>(), 0).reshape(shape)
}

/// The gradient of a scalar function, recorded, and the leaf that stands for `x`.
#[track_caller]
fn slope(op: &str, f: impl FnOnce(&Tensor) -> Tensor, x: &Tensor) -> (Tensor, Tensor) {
    let (y, [leaf]) = on_leaves([x], |[x]| f(x));
    y.check_scalar(op);
    let [g] = pull(op, &y, &y.ones_like(), [&leaf], true);
    (g, leaf)
}

/// The Hessian of a scalar function at `x`, of shape `[x's shape.., x's shape..]`.
///
/// ```
/// # use cotangent_core::*;
/// let h = hessian(|x| (x.square() * x).sum(..), &Tensor::new([1.0, 2.0], [2]));
/// assert_eq!(h.to_vec::<f32>(), [6.0, 0.0, 0.0, 12.0]);
/// ```
#[track_caller]
pub fn hessian(f: impl FnOnce(&Tensor) -> Tensor, x: &Tensor) -> Tensor {
    let (g, leaf) = slope("hessian", f, x);
    rows("hessian", &g, &leaf, recorded(&[x]))
}

/// The Hessian of a scalar function times a vector, in one pass of each order.
///
/// ```
/// # use cotangent_core::*;
/// let x = Tensor::new([1.0, 2.0], [2]);
/// let hv = hvp(|x| (x.square() * x).sum(..), &x, &Tensor::ones([2]));
/// assert_eq!(hv.to_vec::<f32>(), [6.0, 12.0]);
/// ```
#[track_caller]
pub fn hvp(f: impl FnOnce(&Tensor) -> Tensor, x: &Tensor, v: &Tensor) -> Tensor {
    check_direction("hvp", "vector", v, "input", x);
    let (g, leaf) = slope("hvp", f, x);
    let [hv] = pull("hvp", &g, v, [&leaf], recorded(&[x]) || tracks(v));
    hv
}
