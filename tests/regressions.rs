//! Faults that other frameworks shipped, where they take layers and optimizers together.

use cotangent::prelude::*;
use cotangent::{Shape, StateMap};

type Net = ((Dense, BatchNorm, Relu, Dropout), Dense);

fn net(seed: u64) -> Net {
    let rng = Rng::new(seed);
    ((Dense::new(6, 16, &rng), BatchNorm::new(16), Relu, Dropout(0.5)), Dense::new(16, 3, &rng))
}

/// Training steps on random data; `rng` also is the source of dropout.
fn learn(net: &mut Net, adam: &mut Optimizer<Adam>, rng: &Rng, steps: usize) {
    for _ in 0..steps {
        let x = rng.normal([8, 6]);
        let y = (rng.uniform([8]) * 3.0).to(DType::I64);
        let loss = cross_entropy(&net.forward(&x, &Mode::Train(rng)), &y);
        adam.step(net, &loss.backward());
    }
}

/// A state as it would lie in a file.
type Saved = Vec<(String, DType, Shape, Vec<u64>)>;

fn save(state: &StateMap) -> Saved {
    let words = |x: &Tensor| match x.dtype() {
        DType::F32 => x.to_vec::<f32>().iter().map(|v| v.to_bits() as u64).collect(),
        DType::I64 => x.to_vec::<i64>().iter().map(|&v| v as u64).collect(),
        other => panic!("the state holds {other}"),
    };
    state.iter().map(|(path, x)| (path.clone(), x.dtype(), x.shape().clone(), words(x))).collect()
}

fn restore(saved: &Saved) -> StateMap {
    let tensor = |dtype: &DType, shape: &Shape, words: &[u64]| match dtype {
        DType::F32 => {
            let values: Vec<f32> = words.iter().map(|&w| f32::from_bits(w as u32)).collect();
            Tensor::from_slice(&values, shape)
        }
        _ => Tensor::from_slice(&words.iter().map(|&w| w as i64).collect::<Vec<_>>(), shape),
    };
    saved.iter().map(|(path, dtype, shape, words)| (path.clone(), tensor(dtype, shape, words))).collect()
}

#[test]
fn ten_steps_are_five_saved_loaded_and_five_more() {
    // The decay is large, so that a wrong count of steps shows in the learning rate.
    let adam = || Adam::new(0.05).decay(0.3);
    let (mut straight, mut straight_adam, straight_rng) = (net(1), adam(), Rng::new(2));
    learn(&mut straight, &mut straight_adam, &straight_rng, 10);

    let (mut first, mut first_adam, first_rng) = (net(1), adam(), Rng::new(2));
    learn(&mut first, &mut first_adam, &first_rng, 5);
    let file = (save(&first.state()), save(&first_adam.state(&first)), first_rng.state());

    // Other weights, so that whatever is not loaded differs.
    let (mut second, mut second_adam, second_rng) = (net(9), adam(), Rng::from_state(file.2));
    second.load(&restore(&file.0)).unwrap();
    second_adam.load(&second, &restore(&file.1)).unwrap();
    assert_eq!(second_adam.lr(), 0.05 / 2.5);
    learn(&mut second, &mut second_adam, &second_rng, 5);

    assert_eq!(save(&second.state()), save(&straight.state()), "weights and running statistics");
    assert_eq!(save(&second_adam.state(&second)), save(&straight_adam.state(&straight)), "moments and steps");
    assert_eq!(second_adam.lr(), straight_adam.lr());
    assert_eq!(second_rng.state(), straight_rng.state());
    // And something was learned at all.
    assert_ne!(save(&first.state()), save(&straight.state()));
}

#[test]
fn a_frozen_half_has_no_gradients_and_stays() {
    let (mut model, mut adam, rng) = (net(1), Adam::new(0.05), Rng::new(2));
    // Weight and bias of the dense layer; scale, shift, mean and variance of the normalization.
    assert_eq!(model.freeze("0").unwrap(), 6);
    let before = save(&model.state());
    let loss =
        cross_entropy(&model.forward(&rng.normal([8, 6]), &Mode::Train(&rng)), &Tensor::from_slice(&[0i64; 8], [8]));
    let grads = loss.backward();
    assert_eq!(grads.len(), 2, "weight and bias of the output layer alone");
    learn(&mut model, &mut adam, &rng, 3);
    let changed = |(a, b): (&_, &_)| a != b;
    let after = save(&model.state());
    let moved: Vec<&str> = before.iter().zip(&after).filter(|&p| changed(p)).map(|(a, _)| a.0.as_str()).collect();
    assert_eq!(moved, ["1.bias", "1.weight"]);
    model.unfreeze("0").unwrap();
    learn(&mut model, &mut adam, &rng, 1);
    assert!(save(&model.state()).iter().zip(&after).all(changed), "everything learns again");
}
