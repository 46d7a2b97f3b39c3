//! New tensors: lengths, end points, element types, devices.

use cotangent_core::{DType, Device, Tensor, attempt};

#[test]
fn ranges_are_half_open() {
    let range = |start, end, step| Device::reference().arange(start, end, step, DType::F64).to_vec::<f64>();
    assert_eq!(range(0.0, 3.0, 1.0), [0.0, 1.0, 2.0]);
    assert_eq!(range(0.0, 3.5, 1.0), [0.0, 1.0, 2.0, 3.0]);
    assert_eq!(range(5.0, 1.0, -2.0), [5.0, 3.0]);
    assert_eq!(range(1.0, 1.0, 1.0), []);
    assert_eq!(range(2.0, 1.0, 1.0), []);
    // Each element is one product and one sum, so that errors do not add up.
    assert_eq!(range(0.0, 1000.0, 0.1)[9999], 9999.0 * 0.1);
    assert!(attempt(|| range(0.0, 1.0, 0.0)).is_err());
    assert!(attempt(|| range(0.0, f64::INFINITY, 1.0)).is_err());
    assert!(attempt(|| range(0.0, 1e300, 1e-300)).is_err());
}

#[test]
fn linspace_has_exact_end_points_and_symmetry() {
    for (start, end) in [(0.1, 0.7), (-1.0 / 3.0, 1.0 / 3.0), (5.0, -2.0), (1e-300, 1e300)] {
        for count in [2, 3, 7, 50] {
            let x = Device::reference().linspace(start, end, count, DType::F64).to_vec::<f64>();
            assert_eq!((x.len(), x[0], x[count - 1]), (count, start, end));
            let back = Device::reference().linspace(end, start, count, DType::F64).to_vec::<f64>();
            assert!(x.iter().eq(back.iter().rev()));
        }
    }
    assert_eq!(Tensor::linspace(2.0, 3.0, 1).to_vec::<f32>(), [2.0]);
    assert_eq!(Tensor::linspace(2.0, 3.0, 0).to_vec::<f32>(), []);
}

#[test]
fn every_type_on_the_given_device() {
    let device = Device::reference();
    for dtype in DType::ALL {
        let made = [
            device.zeros([2], dtype),
            device.ones([2], dtype),
            device.full([2], 1.0, dtype),
            device.arange(0.0, 2.0, 1.0, dtype),
            device.linspace(0.0, 1.0, 2, dtype),
            device.eye(1, 2, dtype),
            device.arange(0.0, 2.0, 1.0, DType::I64).one_hot(2, dtype).i(1),
        ];
        let expected = [[0.0, 0.0], [1.0, 1.0], [1.0, 1.0], [0.0, 1.0], [0.0, 1.0], [1.0, 0.0], [0.0, 1.0]];
        for (x, expected) in made.iter().zip(expected) {
            assert_eq!((x.dtype(), x.device()), (dtype, &device));
            assert_eq!(x.to(DType::F64).to_vec::<f64>(), expected);
        }
        let like = made[0].full_like(1.0);
        assert_eq!((like.dtype(), like.shape()), (dtype, made[0].shape()));
    }
}

#[test]
fn matrices() {
    assert_eq!(Tensor::eye(2).to_vec::<f32>(), [1.0, 0.0, 0.0, 1.0]);
    let wide = Device::reference().eye(2, 3, DType::I64);
    assert_eq!(wide.to_vec::<i64>(), [1, 0, 0, 0, 1, 0]);
    assert_eq!(Tensor::from_vec(vec![1i64, 2, 3, 4], [2, 2]).tril(0).to_vec::<i64>(), [1, 0, 3, 4]);
    let causal = Device::reference().ones([3, 3], DType::Bool).tril(0);
    assert_eq!((causal.dtype(), causal.sum(..).item()), (DType::Bool, 6.0));
    // What is cut away may be infinite.
    assert_eq!(Tensor::full([2, 2], f64::INFINITY).triu(1).to_vec::<f32>(), [0.0, f32::INFINITY, 0.0, 0.0]);
}

#[test]
fn repeated_values_take_the_memory_of_one() {
    let device = Device::new(cotangent_core::reference::Reference::default());
    let x = device.zeros([1000, 1000], DType::F64);
    assert!(device.memory().live <= 64, "{:?}", device.memory());
    assert_eq!(x.count(), 1_000_000);
    assert!(attempt(|| device.zeros([usize::MAX / 2, 4], DType::U8)).is_err());
}
