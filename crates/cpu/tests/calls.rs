//! Each kind of call on small tensors: quick enough for Miri, which checks what the compiler cannot.

use cotangent_core::{DType, Device, Fold, Rng, Tensor, keep, pointwise};
use cotangent_cpu::Cpu;

fn device() -> Device {
    Device::new(Cpu::with_threads(2))
}

fn count_up(device: &Device, n: usize) -> Tensor {
    device.tensor(&(0..n).map(|k| k as f32).collect::<Vec<_>>(), [n])
}

#[test]
fn maps() {
    let d = device();
    let x = count_up(&d, 6);
    assert_eq!((&x + &x).to_vec::<f32>(), [0.0, 2.0, 4.0, 6.0, 8.0, 10.0]);
    assert_eq!((x.reshape([2, 3]).t() + 1.0).to_vec::<f32>(), [1.0, 4.0, 2.0, 5.0, 3.0, 6.0]);
    assert_eq!(x.gt(3.0).to(DType::I32).to_vec::<i32>(), [0, 0, 0, 0, 1, 1]);
    assert_eq!((x.to(DType::F16) * 2.0).to(DType::F32).to_vec::<f32>(), [0.0, 2.0, 4.0, 6.0, 8.0, 10.0]);
    let scalar = d.tensor(&[7.0f32], ());
    assert_eq!((&scalar * &scalar).item(), 49.0);
    let nothing = d.tensor::<f32>(&[], [0, 3]);
    assert_eq!((&nothing + 1.0).to_vec::<f32>(), []);
}

#[test]
fn memory_of_arguments_that_are_given_up_is_used_again() {
    let d = device();
    // Above one block, so that results are written while later blocks still are to be read.
    let n = 1500;
    let expected: Vec<f32> = (0..n).map(|k| k as f32 + 1.0).collect();
    let x = count_up(&d, n);
    let before = d.memory().live;
    let x = x + 1.0;
    assert_eq!(d.memory().live, before);
    assert_eq!(x.to_vec::<f32>(), expected);

    // Shared memory stays as it is.
    let other = x.clone();
    let y = x * 2.0;
    assert_eq!(other.to_vec::<f32>(), expected);
    assert_eq!(y.to_vec::<f32>()[..2], [2.0, 4.0]);
    let view = y.reshape([2, n / 2]);
    let z = y + 1.0;
    assert_eq!(view.to_vec::<f32>()[n - 1], 2.0 * n as f32);
    assert_eq!(z.to_vec::<f32>()[n - 1], 2.0 * n as f32 + 1.0);

    // An argument that is read by both outputs, the first of which takes its memory.
    let x = count_up(&d, n);
    let shifted = &x + 1.0;
    let [a, b] = pointwise(|[x, y]| [x + y, x * y]).call([shifted, x]);
    let at = |t: &Tensor, k: usize| t.to_vec::<f32>()[k];
    assert_eq!([at(&a, 1400), at(&b, 1400)], [2801.0, 1400.0 * 1401.0]);

    // A transposed argument cannot be overwritten in place.
    let x = count_up(&d, n).reshape([30, 50]).t();
    let y = x + 0.5;
    assert_eq!(y.to_vec::<f32>()[..3], [0.5, 50.5, 100.5]);
    // Twice the same tensor.
    let x = count_up(&d, n);
    let twin = x.clone();
    assert_eq!(at(&(x + twin), 700), 1400.0);
}

#[test]
fn folds() {
    let d = device();
    let x = count_up(&d, 12).reshape([3, 4]);
    assert_eq!(x.sum(0).to_vec::<f32>(), [12.0, 15.0, 18.0, 21.0]);
    assert_eq!(x.sum(1).to_vec::<f32>(), [6.0, 22.0, 38.0]);
    assert_eq!(x.t().max(0).to_vec::<f32>(), [3.0, 7.0, 11.0]);
    assert_eq!(x.sum(keep(..)).to_vec::<f32>(), [66.0]);
    assert_eq!(pointwise(|[x]| x + 1.0).fold(Fold::Prod, 1, [&x]).to_vec::<f32>(), [24.0, 1680.0, 11880.0]);
    let long = count_up(&d, 2000);
    assert_eq!(long.sum(..).item(), 1_999_000.0);
    assert_eq!(
        long.reshape([2, 5, 200]).sum([0, 2]).to_vec::<f32>(),
        [239_800.0, 319_800.0, 399_800.0, 479_800.0, 559_800.0]
    );
    assert_eq!(d.tensor::<f32>(&[], [0, 2]).sum(0).to_vec::<f32>(), [0.0, 0.0]);
}

#[test]
fn moves() {
    let d = device();
    let x = count_up(&d, 6).reshape([3, 2]);
    let rows = d.tensor(&[2i64, 0, 2], [3]);
    assert_eq!(x.index_select(0, &rows).to_vec::<f32>(), [4.0, 5.0, 0.0, 1.0, 4.0, 5.0]);
    assert_eq!(x.slice_assign(1, 1, &d.full([3, 1], 9.0, DType::F32)).to_vec::<f32>(), [0.0, 9.0, 2.0, 9.0, 4.0, 9.0]);
    assert_eq!(x.argmax(0).to_vec::<i64>(), [2, 2]);
    assert_eq!(x.cumsum(0).to_vec::<f32>(), [0.0, 1.0, 2.0, 4.0, 6.0, 9.0]);
    let unsorted = d.tensor(&[2.0f32, f32::NAN, -1.0, 2.0], [4]);
    assert_eq!(unsorted.argsort(0, false).to_vec::<i64>(), [2, 0, 3, 1]);
    assert_eq!(unsorted.argsort(0, true).to_vec::<i64>(), [0, 3, 2, 1]);
}

#[test]
fn threads() {
    let d = device();
    // Just enough work for two threads.
    let x = Rng::new(1).uniform_like(&d.full([20, 400], 0.0, DType::F32));
    let once = x.exp().tanh();
    let again = Device::new(Cpu::with_threads(1)).tensor(&x.to_vec::<f32>(), [20, 400]).exp().tanh();
    assert_eq!(once.to_vec::<f32>(), again.to_vec::<f32>());
}
