//! Training gives the same bits at every run, whatever the number of threads. One test alone in its process, since it
//! sets the number of threads of the default device.

#![cfg(feature = "cpu")]

use cotangent::data::{Images, Loader, mnist};
use cotangent::prelude::*;

/// Losses of all steps, and every number of the trained model, as bits.
fn train(images: &Images, threads: usize) -> (Vec<u64>, Vec<(String, Vec<u32>)>) {
    cotangent::cpu::set_threads(threads);
    assert_eq!(cotangent::cpu::threads(), threads);
    let rng = Rng::new(5);
    let mut model = (
        (Dense::new(784, 200, &rng), BatchNorm::new(200), Relu, Dropout(0.5)),
        (Dense::new(200, 100, &rng), BatchNorm::new(100), Relu, Dropout(0.5)),
        Dense::new(100, 10, &rng),
    );
    let mut adam = Adam::new(0.01).decay(1e-6);
    let loader = Loader::new(images.clone(), 128).shuffle(5);
    let mut losses = vec![];
    for epoch in 0..5 {
        for (x, y) in loader.epoch(epoch) {
            let loss = cross_entropy(&model.forward(&x, &Mode::Train(&rng)), &y);
            adam.step(&mut model, &loss.backward());
            losses.push(loss.item());
        }
    }
    assert!(losses.len() >= 200);
    assert!(losses[losses.len() - 1] < 0.5 * losses[0], "it learns: {} to {}", losses[0], losses[losses.len() - 1]);
    let bits = |x: &Tensor| x.to_vec::<f32>().iter().map(|v| v.to_bits()).collect();
    let state = model.state().iter().map(|(path, x)| (path.clone(), bits(x))).collect();
    (losses.iter().map(|loss| loss.to_bits()).collect(), state)
}

#[test]
fn training_does_not_depend_on_the_number_of_threads() {
    // The last batch of an epoch is smaller and odd.
    let images = mnist::train().split_at(5_000 + 77).0;
    let (losses, state) = train(&images, 1);
    for threads in [1, 2, 3] {
        let again = train(&images, threads);
        let apart = losses.iter().zip(&again.0).position(|(a, b)| a != b);
        assert_eq!(apart, None, "{threads} threads: the first step with another loss");
        assert!(state == again.1, "{threads} threads: other weights");
    }
}
