//! Tensors without elements and without axes are legal everywhere: values, shapes, gradients.

use cotangent_core::{DType, Device, Ellipsis, INFER, Indexing, NewAxis, Pad, Shape, Tensor, step};

fn zeros(shape: impl Into<Shape>) -> Tensor {
    Device::reference().zeros(shape, DType::F64).contiguous().tracked()
}

fn index(data: &[i64], shape: impl Into<Shape>) -> Tensor {
    Device::reference().tensor(data, shape)
}

/// The result has the shape, and the gradient by every input that of the input.
#[track_caller]
fn expect<const N: usize>(name: &str, y: Tensor, shape: impl Into<Shape>, inputs: [&Tensor; N]) {
    assert_eq!(y.shape(), &shape.into(), "{name}");
    assert_eq!(y.to_vec::<f64>().len(), y.count(), "{name}");
    let first = y.square().sum(..).grad(inputs);
    for (g, x) in first.iter().zip(inputs) {
        assert_eq!(g.shape(), x.shape(), "{name}");
        assert!(g.to_vec::<f64>().iter().all(|&g| g == 0.0), "{name}");
    }
}

#[test]
fn views_and_rearrangements() {
    let x = zeros([2, 0, 3]);
    let cases: Vec<(&str, Tensor, Vec<usize>)> = vec![
        ("reshape", x.reshape([0, 7]), vec![0, 7]),
        ("reshape, inferred", x.reshape([INFER, 3]), vec![0, 3]),
        ("reshape of a transposed one", x.permute([2, 0, 1]).reshape([6, 0]), vec![6, 0]),
        ("flatten", x.flatten(..), vec![0]),
        ("unflatten", x.unflatten(1, [0, 5]), vec![2, 0, 5, 3]),
        ("unsqueeze", x.unsqueeze(-1), vec![2, 0, 3, 1]),
        ("permute", x.permute([1, 2, 0]), vec![0, 3, 2]),
        ("expand", x.expand([4, 2, 0, 3]), vec![4, 2, 0, 3]),
        ("narrow", x.narrow(2, 1, 2), vec![2, 0, 2]),
        ("narrow, then reshape", x.narrow(0, 1, 1).narrow(2, 1, 2).reshape([0]), vec![0]),
        ("repeat", x.repeat([2, 3, 1]), vec![4, 0, 3]),
        ("tile", x.tile([0]), vec![2, 0, 0]),
        ("repeat_interleave", x.repeat_interleave(2, 1), vec![2, 0, 3]),
        ("roll", x.roll(1, 1), vec![2, 0, 3]),
        ("roll, other axis", x.roll(1, 2), vec![2, 0, 3]),
        ("flip", x.flip(..), vec![2, 0, 3]),
        ("rot90", x.rot90(1, [0, 1]), vec![0, 2, 3]),
        ("diagonal", x.diagonal(0, 0, 1), vec![3, 0]),
        ("tril", x.tril(0), vec![2, 0, 3]),
        ("unfold", x.unfold(2, 2, 1), vec![2, 0, 2, 2]),
        ("unfold, nothing in a window", x.unfold(1, 0, 1), vec![2, 1, 3, 0]),
        ("contiguous", x.t().contiguous(), vec![2, 3, 0]),
        ("pad", x.pad([(1, 1)], Pad::Reflect), vec![2, 0, 5]),
        ("i", x.i((Ellipsis, step(.., -1), NewAxis, 1)), vec![2, 0, 1]),
        ("i, mask", x.i(x.detach().gt(0.0)), vec![0]),
        ("set", x.set((.., .., 0), 1.0), vec![2, 0, 3]),
        ("sum_to", x.sum_to([1, 3]), vec![1, 3]),
        ("diag", zeros(0).diag(0), vec![0, 0]),
    ];
    for (name, y, shape) in cases {
        if name == "diag" {
            assert_eq!(y.shape()[..], shape);
        } else {
            expect(name, y, shape, [&x]);
        }
    }
}

#[test]
fn joins_and_splits() {
    let (x, y) = (zeros([0, 3]), zeros([0, 3]));
    expect("cat", Tensor::cat(&[&x, &y], 0), [0, 3], [&x, &y]);
    expect("cat, other axis", Tensor::cat(&[&x, &y], 1), [0, 6], [&x, &y]);
    expect("stack", Tensor::stack(&[&x, &y], 1), [0, 2, 3], [&x, &y]);
    expect("vstack", Tensor::vstack(&[&x, &y]), [0, 3], [&x, &y]);
    expect("block_diag", Tensor::block_diag(&[&x, &y]), [0, 6], [&x, &y]);
    assert_eq!(x.unbind(0).len(), 0);
    assert_eq!(x.unbind(1).len(), 3);
    assert_eq!(x.chunk(2, 0).len(), 1);
    assert_eq!(x.split([], 0).len(), 0);
    let none = zeros(0);
    assert_eq!(Tensor::meshgrid(&[&none, &x.i((.., 0))], Indexing::Ij)[1].shape(), &[0, 0]);
    let s = zeros(());
    expect("stacked scalars", Tensor::stack(&[&s, &s], 0), 2, [&s]);
    expect("hstack of scalars", Tensor::hstack(&[&s, &s]), 2, [&s]);
}

#[test]
fn indexed() {
    let (x, none) = (zeros([0, 3]), index(&[], 0));
    expect("index_select", x.index_select(0, &none), [0, 3], [&x]);
    expect("index_select, other axis", x.index_select(1, &index(&[2, 2], 2)), [0, 2], [&x]);
    expect("gather", x.gather(0, &index(&[], [0, 2])), [0, 2], [&x]);
    expect("take", x.take(&none), 0, [&x]);
    expect("take_along", x.take_along(1, &index(&[1], [1, 1])), [0, 1], [&x]);
    let full = zeros([2, 3]);
    let part = zeros([0, 3]);
    expect("scatter", full.scatter(0, &index(&[], [0, 3]), &part), [2, 3], [&full, &part]);
    expect("scatter_add", full.scatter_add(0, &index(&[], [0, 3]), &part), [2, 3], [&full, &part]);
    expect("index_add", full.index_add(0, &none, &part), [2, 3], [&full, &part]);
    expect("index_put", full.index_put(&[&none], &part, false), [2, 3], [&full, &part]);
    expect("slice_scatter", full.slice_scatter(0, 1..1, &part), [2, 3], [&full, &part]);
    expect("embedding", full.embedding(&none, Some(0)), [0, 3], [&full]);
    assert_eq!(none.one_hot(3, DType::F32).shape(), &[0, 3]);
    assert_eq!(index(&[], 0).one_hot(0, DType::F32).shape(), &[0, 0]);
}

#[test]
fn products() {
    let (a, b) = (zeros([2, 0]), zeros([0, 3]));
    expect("sum over nothing", a.matmul(&b), [2, 3], [&a, &b]);
    expect("no rows", b.matmul(&zeros([3, 4]).detach()), [0, 4], [&b]);
    let (v, w) = (zeros(0), zeros(0));
    expect("dot", v.dot(&w), (), [&v, &w]);
    expect("outer", v.outer(&zeros(3).detach()), [0, 3], [&v]);
    let batch = zeros([0, 2, 3]);
    expect("no batch", batch.bmm(&zeros([0, 3, 2]).detach()), [0, 2, 2], [&batch]);
    expect("tensordot", a.tensordot(&b, [1], [0]), [2, 3], [&a, &b]);
    let bias = zeros(3);
    expect("addmm", bias.addmm(&a, &b, 1.0, 1.0), [2, 3], [&bias, &a, &b]);
}

#[test]
fn scalars() {
    let s = zeros(());
    expect("reshape", s.reshape([1, 1]), [1, 1], [&s]);
    expect("flatten", s.flatten(..), 1, [&s]);
    expect("squeeze", s.squeeze(..), (), [&s]);
    expect("permute", s.permute([]), (), [&s]);
    expect("expand", s.expand([2, 0]), [2, 0], [&s]);
    expect("tile", s.tile([3]), 3, [&s]);
    expect("flip", s.flip(..), (), [&s]);
    expect("i", s.i((NewAxis, Ellipsis)), 1, [&s]);
    expect("set", s.set(Ellipsis, 0.0), (), [&s]);
    expect("add_at", s.add_at(Ellipsis, &s), (), [&s]);
    expect("pad", s.pad([], Pad::Circular), (), [&s]);
    expect("take", s.take(&index(&[0, 0], 2)), 2, [&s]);
    expect("einsum", Tensor::einsum(",i", &[&s, &zeros(2).detach()]), 2, [&s]);
}
