//! Memory while training. One test alone in its process, since it reads what the whole process holds.

use cotangent::prelude::*;
use cotangent::{Error, attempt, backend::Memory, live_nodes};

/// Bytes on the device, and nodes of the tape.
fn held() -> (usize, usize) {
    (Device::default().memory().live, live_nodes())
}

#[test]
fn memory_does_not_grow() {
    frozen_parameters_get_no_gradient_buffer();
    what_cannot_be_had_is_an_error();
    let rng = Rng::new(1);
    let mut model = ((Dense::new(4, 8, &rng), BatchNorm::new(8), Relu, Dropout(0.5)), Dense::new(8, 3, &rng));
    let mut adam = Adam::new(0.01);
    let mut step = || {
        let y = (rng.uniform([4]) * 3.0).to(DType::I64);
        let loss = cross_entropy(&model.forward(&rng.normal([4, 4]), &Mode::Train(&rng)), &y);
        adam.step(&mut model, &loss.backward());
    };
    (0..100).for_each(|_| step());
    let warm = held();
    assert!(warm.0 > 0 && warm.1 > 0, "{warm:?}: parameters take memory and are leaves of the tape");
    (0..10_000).for_each(|_| step());
    assert_eq!(held(), warm, "after 10,000 training steps");
    let x = rng.normal([4, 4]);
    let warm = held();
    for _ in 0..10_000 {
        model.forward(&x, &Mode::Train(&rng));
    }
    assert_eq!(held(), warm, "after 10,000 forward passes");
}

/// A gradient by the frozen weight would take 4 MiB, and nothing else here takes one.
fn frozen_parameters_get_no_gradient_buffer() {
    const MIB: usize = 1 << 20;
    let weight = |inputs, outputs| Param::new(Tensor::full([inputs, outputs], 0.01).contiguous());
    let (mut frozen, output) = (weight(1024, 1024), weight(1024, 4));
    frozen.set_trainable(false);
    let x = Tensor::full([4, 1024], 0.5).contiguous();
    let step = |frozen: &Param| {
        let grads = x.matmul(frozen).tanh().matmul(&output).square().sum(..).backward();
        (grads.get(frozen).is_some(), grads.get(&output).is_some())
    };
    let before = Device::default().memory();
    assert_eq!(step(&frozen), (false, true));
    let Memory { peak, .. } = Device::default().memory();
    assert!(peak < before.live + MIB, "{peak} bytes at most, {} before", before.live);
    frozen.set_trainable(true);
    assert_eq!(step(&frozen), (true, true));
    let Memory { peak, .. } = Device::default().memory();
    assert!(peak >= before.live + 4 * MIB, "the test can tell: {peak} bytes at most, {} before", before.live);
}

/// A request that no machine can fulfil; the device goes on.
fn what_cannot_be_had_is_an_error() {
    let before = held();
    let error = attempt(|| Tensor::ones([1]).expand([1 << 50]).contiguous()).err();
    assert!(matches!(error, Some(Error::OutOfMemory { bytes, .. }) if bytes >= 1 << 52), "{error:?}");
    assert_eq!(held(), before);
    assert_eq!(Tensor::ones([3]).sum(..).item(), 3.0);
}
