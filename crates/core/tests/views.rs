//! Properties of views, layouts and broadcasting, against models in plain loops.

use cotangent_core::{DType, Device, Fold, INFER, Layout, NewAxis, Shape, Tensor, keep, pointwise, step};
use proptest::prelude::*;

/// A tensor as a list of numbers with a shape.
#[derive(Clone, Debug, PartialEq)]
struct Model {
    shape: Vec<usize>,
    data: Vec<f64>,
}

/// The coordinates of every element, in row-major order.
fn coordinates(shape: &[usize]) -> Vec<Vec<usize>> {
    shape.iter().fold(vec![vec![]], |all, &n| {
        let longer = |at: &Vec<usize>| (0..n).map(|k| [&at[..], &[k]].concat()).collect::<Vec<_>>();
        all.iter().flat_map(longer).collect()
    })
}

impl Model {
    fn at(&self, index: &[usize]) -> f64 {
        self.data[index.iter().zip(&self.shape).fold(0, |flat, (&k, &n)| flat * n + k)]
    }

    /// Of a shape, the element at each place taken from another place of `self`.
    fn from(&self, shape: Vec<usize>, place: impl Fn(&[usize]) -> Vec<usize>) -> Model {
        Model { data: coordinates(&shape).iter().map(|at| self.at(&place(at))).collect(), shape }
    }

    fn with(shape: &[usize], axis: usize, n: usize) -> Vec<usize> {
        let mut new = shape.to_vec();
        new[axis] = n;
        new
    }

    /// Along one axis, the element at `k` taken from `place(k)`.
    fn along(&self, axis: usize, n: usize, place: impl Fn(usize) -> usize) -> Model {
        self.from(Model::with(&self.shape, axis, n), |at| Model::with(at, axis, place(at[axis])))
    }

    fn reshaped(&self, shape: Vec<usize>) -> Model {
        Model { shape, data: self.data.clone() }
    }
}

/// One random view operation, on the tensor and on the model. `a` and `b` choose axes and amounts.
fn apply(x: &Tensor, m: &Model, kind: u8, a: usize, b: usize) -> (Tensor, Model) {
    let rank = m.shape.len();
    // Axes are given from the front or from the back.
    let signed = |axis: usize| if b.is_multiple_of(2) { axis as isize } else { axis as isize - rank as isize };
    if rank == 0 {
        return (x.unsqueeze(0), m.reshaped(vec![1]));
    }
    let (p, q) = (a % rank, b % rank);
    let n = m.shape[p];
    match kind {
        0 => {
            let mut order: Vec<usize> = (0..rank).collect();
            order.rotate_left(q);
            order.swap(0, p);
            let shape = order.iter().map(|&axis| m.shape[axis]).collect();
            let place = |at: &[usize]| {
                let mut from = vec![0; rank];
                order.iter().zip(at).for_each(|(&axis, &k)| from[axis] = k);
                from
            };
            (x.permute(order.iter().map(|&axis| signed(axis)).collect::<Vec<_>>()), m.from(shape, place))
        }
        1 => {
            let start = b % (n + 1);
            let len = (a / 7) % (n - start + 1);
            (x.narrow(signed(p), start, len), m.along(p, len, |k| k + start))
        }
        2 => {
            let stride = 1 + b % 3;
            (x.slice(signed(p), step(.., -(stride as isize))), m.along(p, n.div_ceil(stride), |k| n - 1 - k * stride))
        }
        3 => (x.flip(signed(p)), m.along(p, n, |k| n - 1 - k)),
        4 => {
            let mut shape = m.shape.clone();
            shape.insert(p, 1);
            (x.unsqueeze(p as isize), m.reshaped(shape))
        }
        5 if n == 1 => (x.expand(Model::with(&m.shape, p, b % 4)), m.along(p, b % 4, |_| 0)),
        6 if n > 0 => {
            let mut shape = m.shape.clone();
            shape.remove(p);
            let place = |at: &[usize]| [&at[..p], &[b % n], &at[p..]].concat();
            let index: Vec<_> = (0..rank).map(|axis| if axis == p { (b % n).into() } else { (..).into() }).collect();
            (x.i(&index[..]), m.from(shape, place))
        }
        7 if p != q => {
            let offset = (a / 5) as isize % 3 - 1;
            let (row, column) = ((-offset).max(0) as usize, offset.max(0) as usize);
            let len = m.shape[p].saturating_sub(row).min(m.shape[q].saturating_sub(column));
            let others: Vec<usize> = (0..rank).filter(|axis| ![p, q].contains(axis)).collect();
            let shape = others.iter().map(|&axis| m.shape[axis]).chain([len]).collect();
            let place = |at: &[usize]| {
                let mut from = vec![0; rank];
                others.iter().zip(at).for_each(|(&axis, &k)| from[axis] = k);
                (from[p], from[q]) = (at[rank - 2] + row, at[rank - 2] + column);
                from
            };
            (x.diagonal(offset, p as isize, q as isize), m.from(shape, place))
        }
        8 if n > 0 => {
            let (size, stride) = (1 + b % n, 1 + (a / 3) % 2);
            let mut shape = Model::with(&m.shape, p, (n - size) / stride + 1);
            shape.push(size);
            let place = |at: &[usize]| Model::with(&at[..rank], p, at[p] * stride + at[rank]);
            (x.unfold(signed(p), size, stride), m.from(shape, place))
        }
        9 if n > 0 && n.is_multiple_of(1 + b % 3) => {
            let parts = 1 + b % 3;
            let mut shape = Model::with(&m.shape, p, parts);
            shape.insert(p + 1, n / parts);
            (x.unflatten(p as isize, [parts, INFER]), m.reshaped(shape))
        }
        10 if p <= q => {
            let mut shape = m.shape[..p].to_vec();
            shape.push(m.shape[p..=q].iter().product());
            shape.extend(&m.shape[q + 1..]);
            (x.flatten(p as isize..=q as isize), m.reshaped(shape))
        }
        11 if n > 0 => (x.roll(b as isize - 3, signed(p)), m.along(p, n, |k| (k + 3 * n + 3 - b % n) % n)),
        12 => (x.repeat_interleave(b % 3, signed(p)), m.along(p, n * (b % 3), |k| k / (b % 3))),
        13 if n > 0 => {
            let mut counts = vec![1; rank - p];
            counts[0] = b % 3;
            (x.tile(counts), m.along(p, n * (b % 3), |k| k % n))
        }
        14 => {
            let (y, z) = (x.i((NewAxis,)), m.reshaped([&[1], &m.shape[..]].concat()));
            (y.movedim(0, q as isize), {
                let mut shape = m.shape.clone();
                shape.insert(q, 1);
                z.reshaped(shape)
            })
        }
        15 => (x.squeeze(..), m.reshaped(m.shape.iter().copied().filter(|&n| n != 1).collect())),
        _ => (x.clone(), m.clone()),
    }
}

type Steps = Vec<(u8, usize, usize)>;

fn chains() -> impl Strategy<Value = (Vec<usize>, Steps)> {
    (prop::collection::vec(0..5usize, 0..4), prop::collection::vec((0..16u8, 0..60usize, 0..60usize), 0..7))
}

/// The positions 0, 1, 2, … of a tensor through a chain of views: what each element of the result was.
fn run(x: &Tensor, shape: &[usize], steps: &Steps) -> (Tensor, Model) {
    let count = shape.iter().product::<usize>();
    let model = Model { shape: shape.to_vec(), data: (0..count).map(|k| k as f64).collect() };
    steps.iter().fold((x.clone(), model), |(x, m), &(kind, a, b)| {
        // Nothing grows without bounds.
        if m.data.len() > 600 || m.shape.len() > 6 { (x, m) } else { apply(&x, &m, kind, a, b) }
    })
}

fn positions(shape: &[usize]) -> Tensor {
    let count = shape.iter().product::<usize>();
    Device::reference().arange(0.0, count as f64, 1.0, DType::F64).reshape(shape)
}

/// Distinct numbers, as cotangents.
fn weights(shape: &Shape) -> Tensor {
    let data: Vec<f64> = (0..shape.count()).map(|k| 0.5 + (k as f64 * 0.37).sin()).collect();
    Device::reference().tensor(&data, shape)
}

fn close(a: &[f64], b: &[f64]) -> bool {
    a.len() == b.len() && a.iter().zip(b).all(|(a, b)| (a - b).abs() <= 1e-12 * (1.0 + b.abs()))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 600, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn chains_of_views_are_the_model((shape, steps) in chains()) {
        let (y, model) = run(&positions(&shape), &shape, &steps);
        prop_assert_eq!(&y.shape()[..], &model.shape[..]);
        prop_assert_eq!(y.to_vec::<f64>(), model.data);
    }

    #[test]
    fn gradients_of_views_add_up_where_elements_came_from((shape, steps) in chains()) {
        let x = positions(&shape).tracked();
        let (y, model) = run(&x, &shape, &steps);
        let c = weights(y.shape());
        let mut expected = vec![0.0; x.count()];
        model.data.iter().zip(c.to_vec::<f64>()).for_each(|(&from, c)| expected[from as usize] += c);
        let grad = (&y * &c).sum(..).backward().get_or_zeros(&x);
        prop_assert_eq!(grad.shape(), x.shape());
        prop_assert!(close(&grad.to_vec::<f64>(), &expected), "{:?} instead of {:?}", grad.to_vec::<f64>(), expected);
    }

    #[test]
    fn a_layout_reshapes_without_a_copy_exactly_if_strides_exist(
        (shape, steps) in chains(), cuts in prop::collection::vec(0..60usize, 0..5), ones in 0..3usize,
    ) {
        let (y, _) = run(&positions(&shape), &shape, &steps);
        let layout = y.layout();
        // Factors of the count, in random order, with axes of extent 1 between them.
        let mut target: Vec<usize> = vec![];
        let mut left = layout.shape.count();
        for cut in cuts {
            let divisors: Vec<usize> = (1..=left).filter(|d| left.is_multiple_of(*d)).collect();
            let Some(&factor) = divisors.get(cut % divisors.len().max(1)) else { break };
            target.push(factor);
            left /= factor;
        }
        target.push(left);
        (0..ones).for_each(|k| target.insert(k.min(target.len()), 1));
        let target = Shape::from(target);
        prop_assert_eq!(target.count(), layout.shape.count());
        let places: Vec<usize> = layout.positions().collect();
        match layout.reshape(&target) {
            Some(view) => prop_assert_eq!(view.positions().collect::<Vec<_>>(), places.clone()),
            None => prop_assert!(!strides_exist(&target, &places), "{:?} has a view of shape {}", layout, target),
        }
        let runs = places.windows(2).all(|pair| pair[1] == pair[0] + 1);
        prop_assert_eq!(layout.is_contiguous(), runs);
    }

    #[test]
    fn broadcasting_is_numpys(a in prop::collection::vec(0..4usize, 0..4), b in prop::collection::vec(0..4usize, 0..4)) {
        let rank = a.len().max(b.len());
        let extent = |shape: &[usize], axis: usize| if axis + shape.len() < rank { 1 } else { shape[axis + shape.len() - rank] };
        let pairs: Vec<(usize, usize)> = (0..rank).map(|axis| (extent(&a, axis), extent(&b, axis))).collect();
        let fits = pairs.iter().all(|&(m, n)| m == n || m == 1 || n == 1);
        let expected: Vec<usize> = pairs.iter().map(|&(m, n)| if m == 1 { n } else { m }).collect();
        let found = Shape::from(&a[..]).broadcast(&Shape::from(&b[..]));
        prop_assert_eq!(found.map(|s| s.to_vec()), fits.then(|| expected.clone()));
        if !fits {
            return Ok(());
        }
        // Values and gradients of x·y + y, where each element of an operand meets several of the other.
        let (x, y) = (weights(&(&a).into()).tracked(), (weights(&(&b).into()) * 3.0 - 1.0).tracked());
        let models = [(&x, &a), (&y, &b)].map(|(t, s)| Model { shape: s.clone(), data: t.detach().to_vec() });
        let place = |shape: &[usize], at: &[usize]| -> usize {
            let own = &at[rank - shape.len()..];
            own.iter().zip(shape).fold(0, |flat, (&k, &n)| flat * n + if n == 1 { 0 } else { k })
        };
        let out = pointwise(|[x, y]| x * y + y).call([&x, &y]);
        let c = weights(out.shape());
        let (mut values, mut dx, mut dy) = (vec![], vec![0.0; x.count()], vec![0.0; y.count()]);
        for (at, c) in coordinates(&expected).iter().zip(c.to_vec::<f64>()) {
            let (i, j) = (place(&a, at), place(&b, at));
            let (u, v) = (models[0].data[i], models[1].data[j]);
            values.push(u * v + v);
            dx[i] += c * v;
            dy[j] += c * (u + 1.0);
        }
        prop_assert_eq!(&out.shape()[..], &expected[..]);
        prop_assert!(close(&out.detach().to_vec::<f64>(), &values));
        let grads = (&out * &c).sum(..).backward();
        prop_assert!(close(&grads[&x].to_vec::<f64>(), &dx));
        prop_assert!(close(&grads[&y].to_vec::<f64>(), &dy));
        prop_assert_eq!((grads[&x].shape(), grads[&y].shape()), (x.shape(), y.shape()));
    }

    #[test]
    fn folds_of_any_shape_are_loops(shape in prop::collection::vec(0..4usize, 0..4), mask in 0..16usize, stays in any::<bool>()) {
        let reduced = |axis: usize| mask >> axis & 1 == 1;
        let axes: Vec<isize> = (0..shape.len()).filter(|&axis| reduced(axis)).map(|axis| axis as isize).collect();
        let x = weights(&(&shape).into()).tracked();
        let with_axes = || if stays { keep(&axes[..]) } else { (&axes[..]).into() };
        let sum = pointwise(|[x]| x.square()).fold(Fold::Sum, with_axes(), [&x]);
        let kept: Vec<usize> = shape.iter().enumerate().map(|(axis, &n)| if reduced(axis) { 1 } else { n }).collect();
        let left: Vec<usize> = shape.iter().enumerate().filter(|&(axis, _)| !reduced(axis)).map(|(_, &n)| n).collect();
        prop_assert_eq!(&sum.shape()[..], if stays { &kept[..] } else { &left[..] });
        let place = |at: &[usize]| at.iter().zip(&kept).fold(0, |flat, (&k, &n)| flat * n + if n == 1 { 0 } else { k });
        let c = weights(sum.shape());
        let (data, weights) = (x.detach().to_vec::<f64>(), c.to_vec::<f64>());
        let (mut sums, mut dx) = (vec![0.0; sum.count()], vec![]);
        for (at, x) in coordinates(&shape).iter().zip(data) {
            sums[place(at)] += x * x;
            dx.push(2.0 * x * weights[place(at)]);
        }
        prop_assert!(close(&sum.detach().to_vec::<f64>(), &sums));
        prop_assert!(close(&(&sum * &c).sum(..).backward().get_or_zeros(&x).to_vec::<f64>(), &dx));
    }
}

/// Whether positions are those of some strides: the neighbours of the first element determine them.
fn strides_exist(shape: &Shape, places: &[usize]) -> bool {
    let row_major = shape.row_major();
    let Some(&first) = places.first() else { return true };
    let along =
        |axis: usize| if shape[axis] > 1 { places[row_major[axis] as usize] as isize - first as isize } else { 0 };
    let strides = (0..shape.len()).map(along).collect();
    Layout { shape: shape.clone(), strides, offset: first }.positions().eq(places.iter().copied())
}

#[test]
fn views_share_memory() {
    let device = Device::reference();
    let x = device.arange(0.0, 24.0, 1.0, DType::F32).reshape([2, 3, 4]);
    let storage = |x: &Tensor| x.view().storage.get::<cotangent_core::host::HostBuffer>() as *const _;
    let views = [
        x.permute([2, 0, 1]),
        x.t(),
        x.movedim(0, -1),
        x.narrow(1, 1, 2),
        x.slice(-1, step(.., -2)),
        x.flip(..),
        x.diagonal(0, 1, 2),
        x.expand([5, 2, 3, 4]),
        x.unsqueeze(1),
        x.flatten(1..),
        x.unflatten(-1, [2, 2]),
        x.i((0, .., NewAxis, 1..)),
        x.unfold(2, 3, 1),
        x.rot90(1, [0, 1]),
        x.narrow(0, 1, 1).squeeze(0),
        x.split([1, 2], 1).remove(1),
        x.unbind(2).remove(1),
        x.t().flatten(..0),
        x.reshape([4, 6]),
        x.view_as([24]),
        x.chunk(2, 2).remove(1),
    ];
    for (k, view) in views.iter().enumerate() {
        assert!(std::ptr::eq(storage(view), storage(&x)), "view {k} is a copy");
    }
    assert!(!std::ptr::eq(storage(&x.t().reshape([24])), storage(&x)));
}
