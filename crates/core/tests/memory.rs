//! What the tape holds, and for how long. One test at a time: nodes are counted over all threads.

use cotangent_core::autograd::{Options, grads};
use cotangent_core::reference::Reference;
use cotangent_core::{DType, Device, Tensor, anomaly, live_nodes};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

fn alone() -> MutexGuard<'static, ()> {
    static ONE: Mutex<()> = Mutex::new(());
    ONE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A device of its own, so that its memory is this test's.
fn device() -> Device {
    Device::new(Reference::default())
}

/// Runs `f` on a thread with a stack of 2 MiB.
fn small_stack(f: impl FnOnce() + Send + 'static) {
    std::thread::Builder::new().stack_size(2 << 20).spawn(f).unwrap().join().unwrap();
}

/// A tensor of its own memory, made without others.
fn filled(device: &Device, shape: [usize; 2], value: f32) -> Tensor {
    device.tensor(&vec![value; shape[0] * shape[1]], shape)
}

/// A recorded chain of views.
fn chain(x: &Tensor, steps: usize) -> Tensor {
    (0..steps).fold(x.clone(), |y, k| if k % 2 == 0 { y.reshape([1, 1]) } else { y.reshape([1]) })
}

const MILLION: usize = 1_000_000;

#[test]
fn a_chain_of_a_million_nodes() {
    let _alone = alone();
    let before = live_nodes();
    small_stack(move || {
        let start = Instant::now();
        let x = Tensor::ones([1]).tracked();
        let y = chain(&x, MILLION);
        assert_eq!(live_nodes(), before + 1 + MILLION);
        assert_eq!(y.backward()[&x].item(), 1.0);
        assert_eq!(live_nodes(), before + 2, "the sweep frees what it passed; the leaf and the result are held");
        drop(chain(&x, MILLION / 4));
        assert_eq!(live_nodes(), before + 2);
        // Anything quadratic would take hours.
        assert!(start.elapsed() < Duration::from_secs(120), "took {:?}", start.elapsed());
    });
    assert_eq!(live_nodes(), before);
}

#[test]
fn a_chain_that_ends_with_its_thread() {
    let _alone = alone();
    let before = live_nodes();
    small_stack(|| {
        thread_local! {
            static KEPT: std::cell::RefCell<Option<Tensor>> = const { std::cell::RefCell::new(None) };
        }
        KEPT.set(Some(chain(&Tensor::ones([1]).tracked(), MILLION / 4)));
    });
    assert_eq!(live_nodes(), before);
}

#[test]
fn a_chain_of_saved_tensors_and_one_of_second_derivatives() {
    let _alone = alone();
    let before = live_nodes();
    small_stack(|| {
        // The derivative of each step reads its argument, whose history is the rest of the chain.
        let x = Tensor::ones([1]).tracked();
        let y = (0..20_000).fold(x.clone(), |y, _| y.sin());
        let [slope] = y.grad([&x]);
        drop(y);
        assert!(slope.backward()[&x].item().is_finite());
    });
    assert_eq!(live_nodes(), before);
}

#[test]
fn ten_thousand_training_steps_stay_where_they_are() {
    let _alone = alone();
    let device = device();
    let x = device.tensor(&[0.5f32, -1.0, 2.0, 1.0], [2, 2]);
    let target = device.tensor(&[1.0f32, -1.0], [2, 1]);
    let mut w = device.tensor(&[0.1f32, 0.2, -0.3, 0.4], [2, 2]).tracked();
    let mut v = device.tensor(&[0.5f32, -0.5], [2, 1]).tracked();
    let mut step = || {
        let loss = (x.matmul(&w).tanh().matmul(&v) - &target).square().mean(..);
        let grads = loss.backward();
        w = (w.detach() - &grads[&w] * 0.05).tracked();
        v = (v.detach() - &grads[&v] * 0.05).tracked();
        loss.item()
    };
    let first = step();
    (0..10).for_each(|_| assert!(step().is_finite()));
    let (nodes, memory) = (live_nodes(), device.memory());
    let last = (0..10_000).map(|_| step()).last().unwrap();
    assert_eq!((live_nodes(), device.memory()), (nodes, memory));
    assert!(last < 1e-3 * first, "it learns: {first} to {last}");
}

#[test]
fn ten_thousand_forward_passes_stay_where_they_are() {
    let _alone = alone();
    let device = device();
    let x = device.tensor(&[0.5f32, -1.0], [1, 2]);
    let w = device.tensor(&[0.1f32, 0.2], [2, 1]).tracked();
    let pass = || drop(x.matmul(&w).tanh().sum(..));
    pass();
    let (nodes, memory) = (live_nodes(), device.memory());
    (0..10_000).for_each(|_| pass());
    assert_eq!((live_nodes(), device.memory()), (nodes, memory));
}

/// A large matrix that leads to a small one: its gradient would take as much memory as it does.
fn halves(device: &Device, frozen: bool) -> (Tensor, Tensor, Tensor) {
    let n = 256;
    let large = filled(device, [n, n], 0.01);
    let large = if frozen { large } else { large.tracked() };
    let small = filled(device, [n, 1], 0.5).tracked();
    let x = device.full([1, n], 1.0, DType::F32);
    let loss = x.matmul(&large).tanh().matmul(&small).sum(..);
    (loss, large, small)
}

const LARGE: usize = 256 * 256 * 4;

#[test]
fn nothing_is_allocated_for_frozen_parameters() {
    let _alone = alone();
    let device = device();
    let nodes = live_nodes();
    let (loss, _large, small) = halves(&device, true);
    // The leaf, its product and the sum; nothing for what only leads to the frozen half.
    assert_eq!(live_nodes() - nodes, 3);
    let before = device.memory();
    let grads = loss.backward();
    assert_eq!(grads.len(), 1);
    assert!(grads[&small].count() == 256);
    let grown = device.memory().peak - before.peak;
    assert!(grown < LARGE / 8, "the sweep took {grown} bytes");
}

#[test]
fn nothing_is_allocated_for_what_is_not_asked_for() {
    let _alone = alone();
    let device = device();
    let (loss, large, small) = halves(&device, false);
    let before = device.memory();
    let found = grads(&[(&loss, &loss.ones_like())], &[&small], Options { retain: true, record: false });
    assert!(found[0].is_some());
    let grown = device.memory().peak - before.peak;
    assert!(grown < LARGE / 8, "the sweep took {grown} bytes");
    // The same measurement sees a gradient that is asked for.
    assert_eq!(loss.backward()[&large].count() * 4, LARGE);
    assert!(device.memory().peak - before.peak >= LARGE);
}

#[test]
fn no_grad_and_detached_results_hold_nothing() {
    let _alone = alone();
    let device = device();
    let x = filled(&device, [1, 1000], 1.0).tracked();
    let (nodes, memory) = (live_nodes(), device.memory());
    let y = cotangent_core::no_grad(|| x.exp().sin().sum(..));
    let z = x.exp().detach().sum(..);
    assert_eq!(live_nodes(), nodes);
    assert!(device.memory().live - memory.live <= 2 * 64);
    assert!(!y.is_tracked() && !z.is_tracked());
}

#[test]
fn saved_tensors_are_freed_as_the_sweep_passes() {
    let _alone = alone();
    let device = device();
    let size = 10_000 * 4;
    let x = filled(&device, [1, 10_000], 0.1).tracked();
    let y = (0..20).fold(x.clone(), |y, _| y.sin()).sum(..);
    let forward = device.memory();
    assert!(forward.live >= 20 * size, "every step saves its argument");
    let grads = y.backward();
    let after = device.memory();
    // A cotangent, the next one and the leaf's: not one for each step.
    assert!(after.peak - forward.peak < 4 * size, "the sweep took {} bytes", after.peak - forward.peak);
    assert!(after.live < 4 * size, "{} bytes are left", after.live);
    assert_eq!(grads[&x].count(), 10_000);
}

#[test]
fn a_checkpoint_holds_only_its_inputs() {
    let _alone = alone();
    let device = device();
    let size = 10_000 * 4;
    let x = filled(&device, [1, 10_000], 0.1).tracked();
    let before = device.memory().live;
    let y = cotangent_core::checkpoint(|[x]| (0..20).fold(x.clone(), |y, _| y.sin()), [&x]);
    assert!(device.memory().live - before <= size + 64, "only the result is new");
    let plain = (0..20).fold(x.clone(), |y, _| y.sin());
    assert!(y.sum(..).backward()[&x] == plain.sum(..).backward()[&x]);
}

#[test]
fn segments_hold_only_their_inputs() {
    let _alone = alone();
    let device = device();
    let size = 10_000 * 4;
    let x = filled(&device, [1, 10_000], 0.1).tracked();
    let before = device.memory().live;
    let layers = || (0..16).map(|_| |x: &Tensor| x.sin());
    let y = cotangent_core::checkpoint_sequential(layers(), 4, &x);
    // The results of three segments, and of each layer of the fourth.
    assert!(device.memory().live - before <= 7 * (size + 64));
    let plain = layers().fold(x.clone(), |x, layer| layer(&x));
    assert!(y.sum(..).backward()[&x] == plain.sum(..).backward()[&x]);
}

#[test]
fn parts_of_a_graph_can_be_dropped_in_any_order() {
    let _alone = alone();
    let before = live_nodes();
    let x = Tensor::ones([2]).tracked();
    let middle = x.exp();
    let (left, right) = (middle.sin(), middle.cos());
    let both = &left * &right;
    drop(middle);
    drop(left);
    let loss = both.sum(..);
    drop(both);
    drop(right);
    assert_eq!(live_nodes() - before, 6);
    assert!(loss.backward()[&x].count() == 2);
    assert_eq!(live_nodes() - before, 2);
    drop(loss);
    drop(x);
    assert_eq!(live_nodes(), before);
}

#[test]
fn a_panic_in_a_destructor_does_not_stop_the_others() {
    let _alone = alone();
    struct Bomb;
    impl Drop for Bomb {
        fn drop(&mut self) {
            if !std::thread::panicking() {
                panic!("on purpose");
            }
        }
    }
    let before = live_nodes();
    let x = Tensor::ones([1]).tracked();
    let bomb = Bomb;
    let y = x.detach().record("bomb").wrt(&x, [], move |g, []| {
        let _held = &bomb;
        g.clone()
    });
    let y = chain(&y.done(), 1000);
    assert!(std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| drop(y))).is_err());
    drop(chain(&x, 1000));
    drop(x);
    assert_eq!(live_nodes(), before);
}

#[test]
fn what_anomaly_mode_keeps_goes_with_the_graph() {
    let _alone = alone();
    let device = device();
    let w = filled(&device, [1, 2], 1.0).tracked();
    let loss = || anomaly(|| (w.exp() * &w).sum(..));
    assert_eq!(anomaly(|| loss().backward())[&w].shape(), [1, 2]);
    let (nodes, memory) = (live_nodes(), device.memory());
    drop(anomaly(|| loss().backward()));
    drop(loss());
    assert_eq!((live_nodes(), device.memory()), (nodes, memory));
}
