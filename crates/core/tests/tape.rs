//! The tape: accumulation, orders of derivative, errors that name both ends, threads.

mod common;

use common::{f64s, panic_of, values, x};
use cotangent_core::autograd::{Options, grads};
use cotangent_core::*;
use std::sync::{Arc, Mutex};

// ---- accumulation

#[test]
fn each_use_contributes() {
    let w = x(&[3.0]);
    assert_eq!(values(&(&w + &w).backward()[&w]), [2.0]);
    assert_eq!(values(&(&w * &w * &w).backward()[&w]), [27.0]);
    let many = (0..100).fold(w.square(), |sum, _| sum + &w);
    assert_eq!(values(&many.backward()[&w]), [106.0]);
}

#[test]
fn broadcast_inputs_get_sums() {
    // y = x[2,3] @ w[3,1] + b[1,3]; L = Σ(y − label[2,1])²: db has shape [1,3].
    let data = Tensor::new([1.0, 2.0, 3.0, 4.0, 5.0, 6.0], [2, 3]);
    let w = Tensor::new([0.5, -1.0, 0.25], [3, 1]).tracked();
    let b = Tensor::new([0.1, 0.2, 0.3], [1, 3]).tracked();
    let label = Tensor::new([1.0, -1.0], [2, 1]);
    let y = data.matmul(&w) + &b;
    let g = (&y - &label).square().sum(..).backward();
    assert_eq!(g[&b].shape(), [1, 3]);
    // x·w = [-0.75, -1.5]; y − label = [-1.75 + b, -0.5 + b]; column sums of twice that.
    let expected = [-1.75 - 0.5 + 0.2, -1.75 - 0.5 + 0.4, -1.75 - 0.5 + 0.6].map(|s: f64| 2.0 * s);
    approx::assert_abs_diff_eq!(g[&b].to(DType::F64), Tensor::from_slice(&expected, [1, 3]), epsilon = 1e-5);
    assert_eq!(g[&w].shape(), [3, 1]);
}

#[test]
fn half_precision_accumulates_in_single() {
    // 4096 + 1 is no f16 (its spacing there is 4), so a sum in f16 would stay at 4096.
    let w = Tensor::ones([1]).to(DType::F16).tracked();
    let big = &w * 4096.0;
    let sum = (0..8).fold(big, |sum, _| sum + &w * 1.0);
    let g = &sum.backward()[&w];
    assert_eq!((g.dtype(), g.item()), (DType::F16, 4104.0));
    let brain = Tensor::ones([1]).to(DType::BF16).tracked();
    let sum = (0..8).fold(&brain * 256.0, |sum, _| sum + &brain * 1.0);
    assert_eq!(sum.backward()[&brain].item(), 264.0);
}

#[test]
fn a_missing_gradient_is_not_a_zero() {
    let (w, other) = (x(&[1.0]), x(&[1.0]));
    let grads = w.square().backward();
    assert!(grads.get(&other).is_none());
    assert_eq!(values(&grads.get_or_zeros(&other)), [0.0]);
    let here = line!() + 1;
    let panic = panic_of(|| drop(grads[&other].clone()));
    assert_eq!((panic.file.as_str(), panic.line), (file!(), here));
    assert!(
        panic.message.contains("does not depend on `leaf` of shape [1] made at") && panic.message.contains("tape.rs:")
    );
    assert!(panic.message.contains("get_or_zeros"), "{}", panic.message);
    let panic = panic_of(|| drop(grads[&other.detach()].clone()));
    assert!(panic.message.contains("untracked; call .tracked()"), "{}", panic.message);
}

#[test]
fn gradients_add_over_batches_and_can_be_replaced() {
    let (w, v) = (x(&[1.0, 2.0]), x(&[5.0]));
    let mut sum = Grads::default();
    sum += w.square().sum(..).backward();
    sum += (&w * &v).sum(..).backward();
    assert_eq!(values(&sum[&w]), [7.0, 9.0]);
    assert_eq!(values(&sum[&v]), [3.0]);
    sum.replace(&v, Tensor::zeros([1]));
    assert_eq!(values(&sum[&v]), [0.0]);
    assert_eq!(sum.len(), 2);
}

#[test]
fn half_precision_gradients_add_in_single() {
    // Between 1 and 2, bf16 has steps of 2⁻⁷: added one by one and rounded each time, the small ones would vanish.
    let w = Tensor::ones([1]).to(DType::BF16).tracked();
    let batch = |factor: f64| (&w * factor).sum(..).backward();
    let small = 2f64.powi(-9);
    let mut sum = batch(1.0);
    (0..8).for_each(|_| sum += batch(small));
    assert_eq!((sum[&w].dtype(), sum[&w].to(DType::F64).item()), (DType::BF16, 1.0 + 8.0 * small));
    // Also where sums are added to sums, and from nothing.
    let mut all = Grads::default();
    all += sum;
    let mut more = batch(small);
    (0..7).for_each(|_| more += batch(small));
    all += more;
    assert_eq!(all[&w].to(DType::F64).item(), 1.0 + 16.0 * small);
    // What replaces a sum begins a new one.
    all.replace(&w, Tensor::zeros([1]).to(DType::BF16));
    all += batch(small);
    assert_eq!(all[&w].to(DType::F64).item(), small);
}

// ---- roots and cotangents

#[test]
fn several_roots_in_one_sweep() {
    let w = x(&[2.0]);
    let shared = w.square();
    let (a, b) = (&shared * 3.0, shared.exp());
    let (ga, gb) = (Tensor::new([1.0], [1]), Tensor::new([0.0], [1]));
    let found = grads(&[(&a, &ga), (&b, &gb)], &[&w, &shared], Options::default());
    assert_eq!(values(found[0].as_ref().unwrap()), [12.0]);
    assert_eq!(values(found[1].as_ref().unwrap()), [3.0]);
}

#[test]
fn cotangents_must_fit() {
    let y = x(&[1.0, 2.0]).square();
    let message = panic_of(|| drop(y.backward_with(&Tensor::ones([3])))).message;
    assert_eq!(
        message,
        "backward_with: the cotangent has shape [3] and type f32, the output [2] and f32; they must be equal"
    );
    let message = panic_of(|| drop(y.backward_with(&Tensor::ones([2]).to(DType::F64)))).message;
    assert_eq!(
        message,
        "backward_with: the cotangent has shape [2] and type f64, the output [2] and f32; they must be equal"
    );
    let here = line!() + 1;
    let panic = panic_of(|| drop(y.backward()));
    assert!(
        panic.message.starts_with("backward: a gradient is of one number, but the shape is [2]"),
        "{}",
        panic.message
    );
    assert_eq!((panic.file.as_str(), panic.line), (file!(), here));
    let message = panic_of(|| drop(Tensor::ones([1]).backward())).message;
    assert!(message.contains("depends on no tracked tensor; call .tracked()"), "{message}");
}

// ---- the life of a graph

#[test]
fn a_second_sweep_names_both_and_the_operation() {
    let w = x(&[1.0]);
    let recorded = line!() + 1;
    let y = w.exp();
    let first = line!() + 1;
    y.backward();
    let second = line!() + 1;
    let panic = panic_of(|| drop(y.backward()));
    assert_eq!((panic.file.as_str(), panic.line), (file!(), second));
    let at = |line: u32| format!("{}:{line}:", file!());
    for part in ["`exp`", &at(recorded), &at(first), &at(second), "backward_retained"] {
        assert!(panic.message.contains(part), "{part} in: {}", panic.message);
    }
    // A shared part that was swept is found from another result, too.
    let z = w.sin();
    let (p, q) = (z.square(), z.exp());
    p.backward();
    assert!(panic_of(|| drop(q.backward())).message.contains("`sin`"));
}

#[test]
fn a_retained_graph_can_be_swept_again() {
    let w = x(&[3.0]);
    let y = w.square();
    assert_eq!(values(&y.backward_retained()[&w]), [6.0]);
    assert_eq!(values(&y.backward_retained()[&w]), [6.0]);
    assert_eq!(values(&y.backward()[&w]), [6.0]);
}

#[test]
fn no_grad_is_restored_by_a_panic_and_nests() {
    let w = x(&[1.0]);
    let result = std::panic::catch_unwind(|| no_grad(|| panic!("{}", Tensor::ones([1]))));
    assert!(result.is_err());
    assert!((&w * 2.0).is_tracked());
    no_grad(|| {
        assert!(!(&w * 2.0).is_tracked());
        no_grad(|| assert!(!(&w * 2.0).is_tracked()));
        assert!(!(&w * 2.0).is_tracked());
    });
    // Other threads record.
    no_grad(|| std::thread::scope(|s| s.spawn(|| assert!((&w * 2.0).is_tracked())).join().unwrap()));
}

#[test]
fn a_panic_in_a_rule_leaves_everything_usable() {
    let w = x(&[1.0, 2.0]);
    let fails = Arc::new(Mutex::new(true));
    let switch = fails.clone();
    let rule = move |g: &Tensor, []: [&Tensor; 0]| {
        let fail = *switch.lock().unwrap_or_else(|e| e.into_inner());
        assert!(!fail, "the rule fails on purpose");
        g * 3.0
    };
    let y = w.detach().record("fragile").wrt(&w, [], rule).done();
    let loss = (&y * &w).sum(..);
    assert!(panic_of(|| drop(loss.backward_retained())).message.contains("on purpose"));
    // Recording is on again, and the same graph works once the rule does.
    assert!((&w * 1.0).is_tracked());
    *fails.lock().unwrap() = false;
    assert_eq!(values(&loss.backward()[&w]), [4.0, 8.0]);
    assert_eq!(values(&w.square().sum(..).backward()[&w]), [2.0, 4.0]);
}

#[test]
fn a_panic_in_a_hook_leaves_everything_usable() {
    let w = x(&[1.0]);
    let hook = w.hook(|_| panic!("the hook fails on purpose"));
    assert!(panic_of(|| drop(w.square().backward())).message.contains("on purpose"));
    drop(hook);
    assert_eq!(values(&w.square().backward()[&w]), [2.0]);
}

#[test]
fn a_rule_of_the_wrong_shape_or_type_is_named() {
    let w = x(&[1.0, 2.0]);
    let recorded = line!() + 1;
    let y = w.detach().record("odd").wrt(&w, [], |_, []| Tensor::ones([3])).done();
    let here = line!() + 1;
    let panic = panic_of(|| drop(y.sum(..).backward()));
    assert_eq!((panic.file.as_str(), panic.line), (file!(), here));
    let expected = format!(
        "backward: the gradient rule of `odd` (recorded at {}:{recorded}:24) returned shape [3] and type f32 for an input \
         of shape [2] and type f32; it must have the input's type and shape, or a shape that the input's broadcasts to",
        file!()
    );
    assert_eq!(panic.message, expected);
    let y = w.detach().record("odd").wrt(&w, [], |g, []| g.to(DType::F64)).done();
    assert!(panic_of(|| drop(y.sum(..).backward())).message.contains("shape [2] and type f64"));
}

// ---- orders

#[test]
fn third_order() {
    // d³/dw³ of w⁵ is 60 w², of sin it is −cos.
    let w = f64s(&[0.7, -1.3]);
    let third = |y: Tensor| {
        let [a] = y.sum(..).grad([&w]);
        let [b] = a.sum(..).grad([&w]);
        let [c] = b.sum(..).grad([&w]);
        c.detach()
    };
    let power = third(w.square().square() * &w);
    approx::assert_relative_eq!(power, w.detach().square() * 60.0, max_relative = 1e-12);
    approx::assert_relative_eq!(third(w.sin()), -w.detach().cos(), max_relative = 1e-12);
    let by_closure = third(pointwise(|[x]| x * x * x * x * x).call([&w]));
    approx::assert_relative_eq!(by_closure, w.detach().square() * 60.0, max_relative = 1e-12);
}

#[test]
fn gradients_are_results_like_others() {
    // A gradient penalty: L = (∂(w² v)/∂w)² = 4 w² v²; ∂L/∂w = 8 w v², ∂L/∂v = 8 w² v.
    let (w, v) = (f64s(&[3.0]), f64s(&[2.0]));
    let [slope] = (w.square() * &v).grad([&w]);
    let g = slope.square().backward();
    assert_eq!((values(&g[&w]), values(&g[&v])), (vec![96.0], vec![144.0]));
}

#[test]
fn grad_says_which_input_is_missing() {
    let (w, other) = (x(&[1.0]), x(&[1.0]));
    let y = w.square();
    let here = line!() + 1;
    let panic = panic_of(|| drop(y.grad([&w, &other])));
    assert!(panic.message.starts_with("grad: input 1 of shape [1] is not reached"), "{}", panic.message);
    assert_eq!((panic.file.as_str(), panic.line), (file!(), here));
    assert!(
        panic_of(|| drop(y.grad([&Tensor::ones([2])]))).message.starts_with("grad: input 0 of shape [2] is untracked")
    );
}

// ---- custom gradients

#[test]
fn custom_vjp_of_every_order() {
    // eˣ with a rule in terms of its output.
    let exp = |x: &Tensor| custom_vjp("my_exp", [x], |[x]| x.exp(), |g, y, _| [g * y]);
    let w = f64s(&[0.3, -0.7]);
    let [a] = exp(&w).sum(..).grad([&w]);
    let [b] = a.sum(..).grad([&w]);
    approx::assert_relative_eq!(a.detach(), w.detach().exp(), max_relative = 1e-14);
    approx::assert_relative_eq!(b.detach(), w.detach().exp(), max_relative = 1e-14);
    // An input that is not tracked is skipped; the others keep their places.
    let c = f64s(&[5.0, 6.0]).detach();
    let y = custom_vjp("weighted", [&c, &w], |[c, w]| c * w, |g, _, [c, w]| [g * w * f64::NAN, g * c]);
    assert_eq!(values(&y.sum(..).backward()[&w]), [5.0, 6.0]);
}

// ---- looking into a graph

#[test]
fn history_lists_the_steps() {
    let w = x(&[1.0, 2.0]);
    let recorded = line!() + 1;
    let y = w.exp();
    let loss = (&y * &w).sum(..);
    let steps = loss.history();
    assert_eq!(steps.iter().map(|s| s.op).collect::<Vec<_>>(), ["sum", "mul", "exp", "leaf"]);
    assert_eq!(steps[1].inputs, [steps[2].id, steps[3].id]);
    assert_eq!((steps[2].site.file(), steps[2].site.line()), (file!(), recorded));
    assert_eq!(steps[2].shape, [2]);
    assert!(steps.iter().all(|s| !s.consumed));
    loss.backward();
    assert!(loss.history()[0].consumed);
}

#[test]
fn every_kind_of_step_is_recorded_at_the_users_line() {
    let w = Tensor::ones([2, 2]).tracked();
    let line = line!();
    let steps = [
        &w + &w,
        &w * 2.0,
        2.0 / &w,
        -&w,
        w.exp(),
        w.maximum(&w),
        w.sum(..),
        w.mean(0),
        w.matmul(&w),
        w.t(),
        w.reshape([4]),
        w.narrow(0, 0, 1),
        pointwise(|[x]| x.exp()).call([&w]),
        pointwise(|[x]| x.exp()).fold(Fold::Sum, 0, [&w]),
        w.to(DType::F64),
        Tensor::cat(&[&w, &w], 0),
        w.gt(0.0).select(&w, &w),
    ];
    for (at, step) in steps.iter().enumerate() {
        let step = &step.history()[0];
        assert_eq!((step.site.file(), step.site.line()), (file!(), line + 2 + at as u32), "{}", step.op);
    }
}

#[test]
fn why_there_is_no_gradient() {
    let (w, other) = (x(&[1.0]), x(&[2.0]));
    let y = w.exp();
    assert_eq!(y.why_no_grad(&w), None);
    let reason = |y: &Tensor, x: &Tensor| y.why_no_grad(x).unwrap();
    assert!(reason(&y, &other).contains("none of the 2 recorded steps"));
    assert!(reason(&y, &other.detach()).contains("untracked"));
    assert!(reason(&y.detach(), &w).contains("detached, computed inside no_grad"));
    y.backward();
    assert!(reason(&y, &w).contains("consumed at `exp`"));
}

// ---- threads

#[test]
fn one_graph_from_several_threads() {
    let w = f64s(&[0.5, -0.25]);
    let y = (w.sin() * w.exp()).tanh();
    let expected = values(&y.sum(..).backward_retained()[&w]);
    std::thread::scope(|s| {
        let run = || {
            for _ in 0..50 {
                assert_eq!(values(&y.sum(..).backward_retained()[&w]), expected);
                let [slope] = y.sum(..).grad([&w]);
                assert_eq!(values(&slope), expected);
            }
        };
        (0..4).map(|_| s.spawn(run)).collect::<Vec<_>>().into_iter().for_each(|t| t.join().unwrap());
    });
}

#[test]
fn threads_have_tapes_of_their_own() {
    let results: Vec<f64> = std::thread::scope(|s| {
        let run = |k: usize| {
            let w = f64s(&[k as f64]);
            (0..200).fold(0.0, |_, _| w.square().backward()[&w].item())
        };
        let threads: Vec<_> = (0..4).map(|k| s.spawn(move || run(k))).collect();
        threads.into_iter().map(|t| t.join().unwrap()).collect()
    });
    assert_eq!(results, [0.0, 2.0, 4.0, 6.0]);
}

#[test]
fn only_one_of_two_consuming_sweeps_wins() {
    for _ in 0..20 {
        let w = x(&[1.0]);
        let y = (0..50).fold(w.exp(), |y, _| y * 1.0);
        let won = std::thread::scope(|s| {
            let run = || std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| y.backward()[&w].item())).is_ok();
            let threads = [s.spawn(run), s.spawn(run)];
            threads.map(|t| t.join().unwrap()).into_iter().filter(|won| *won).count()
        });
        assert_eq!(won, 1);
    }
}

#[test]
fn tensors_cross_threads() {
    fn send_and_sync<T: Send + Sync>() {}
    send_and_sync::<Tensor>();
    send_and_sync::<Grads>();
    send_and_sync::<Device>();
    send_and_sync::<HookHandle>();
}
