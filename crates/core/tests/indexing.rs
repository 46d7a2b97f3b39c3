//! Indexed reading and writing: which value wins, where gradients go, and what misuse says.

use cotangent_core::check::Gradcheck;
use cotangent_core::{DType, Device, Ellipsis, INFER, Indexing, Pad, Tensor, attempt, step};
use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Once;

fn doubles(data: &[f64]) -> Tensor {
    Device::reference().tensor(data, [data.len()])
}

fn places(data: &[i64]) -> Tensor {
    Device::reference().tensor(data, [data.len()])
}

fn back<const N: usize>(y: &Tensor, cotangent: &Tensor, inputs: [&Tensor; N]) -> [Vec<f64>; N] {
    let grads = (y * cotangent).sum(..).backward();
    inputs.map(|x| grads[x].to_vec())
}

/// A framework exchanged the two gradients by the base: base of four, indices [1, 3], cotangent [1, 2, 3, 4].
#[test]
fn the_base_gets_the_gradient_that_was_not_overwritten() {
    let (base, source) = (doubles(&[9.0; 4]).tracked(), doubles(&[5.0, 6.0]).tracked());
    let c = doubles(&[1.0, 2.0, 3.0, 4.0]);
    let index = places(&[1, 3]);

    let added = base.scatter_add(0, &index, &source);
    assert_eq!(added.to_vec::<f64>(), [9.0, 14.0, 9.0, 15.0]);
    assert_eq!(back(&added, &c, [&base, &source]), [vec![1.0, 2.0, 3.0, 4.0], vec![2.0, 4.0]]);

    let set = base.scatter(0, &index, &source);
    assert_eq!(set.to_vec::<f64>(), [9.0, 5.0, 9.0, 6.0]);
    assert_eq!(back(&set, &c, [&base, &source]), [vec![1.0, 0.0, 3.0, 0.0], vec![2.0, 4.0]]);
}

#[test]
fn repeated_indices_add_up_or_the_last_one_wins() {
    let (base, source) = (doubles(&[9.0; 4]).tracked(), doubles(&[5.0, 6.0]).tracked());
    let c = doubles(&[1.0, 2.0, 3.0, 4.0]);
    let index = places(&[1, 1]);

    let added = base.scatter_add(0, &index, &source);
    assert_eq!(added.to_vec::<f64>(), [9.0, 20.0, 9.0, 9.0]);
    assert_eq!(back(&added, &c, [&base, &source]), [vec![1.0, 2.0, 3.0, 4.0], vec![2.0, 2.0]]);

    type Write = fn(&Tensor, &Tensor, &Tensor) -> Tensor;
    let writes: [Write; 3] =
        [|x, k, v| x.scatter(0, k, v), |x, k, v| x.set(k, v), |x, k, v| x.index_put(&[k], v, false)];
    for write in writes {
        let set = write(&base, &index, &source);
        assert_eq!(set.to_vec::<f64>(), [9.0, 6.0, 9.0, 9.0]);
        assert_eq!(back(&set, &c, [&base, &source]), [vec![1.0, 0.0, 3.0, 4.0], vec![0.0, 2.0]]);
    }
    let read = base.index_select(0, &index);
    assert_eq!(back(&read, &doubles(&[1.0, 10.0]), [&base]), [vec![0.0, 11.0, 0.0, 0.0]]);
}

/// 1 + 2⁻⁵³ + 2⁻⁵³ is 1 from the left and 1 + 2⁻⁵² if the small ones are added first.
#[test]
fn repeated_indices_add_in_their_order() {
    let tiny = 2f64.powi(-53);
    let sum = |values: &[f64]| {
        let index = places(&vec![0; values.len()]);
        doubles(&[0.0]).index_add(0, &index, &doubles(values)).item()
    };
    assert_eq!(sum(&[1.0, tiny, tiny]), 1.0);
    assert_eq!(sum(&[tiny, tiny, 1.0]), 1.0 + 2.0 * tiny);
}

#[test]
fn writes_of_mixed_winners_have_right_gradients_of_both_orders() {
    let (base, source) = (doubles(&[0.1, 0.7, -0.4]), doubles(&[1.5, -0.3, 0.8, 0.2]));
    let index = places(&[2, 0, 2, 2]);
    let cubed = |f: fn(&Tensor, &Tensor, &Tensor) -> Tensor| {
        let index = index.clone();
        let report = Gradcheck::new().orders(2).run(|[x, v]| f(x, &index, v).pow(3.0), [&base, &source]);
        report.assert_ok();
    };
    cubed(|x, k, v| x.scatter(0, k, v));
    cubed(|x, k, v| x.scatter_add(0, k, v));
    cubed(|x, k, v| x.set(k, v) * x.i(k).sum(..));
}

/// What a window or a range leaves out gets zeros, and the gradient the whole shape.
#[test]
fn a_tail_that_nobody_reads_has_a_gradient_of_zeros() {
    let x = Device::reference().arange(0.0, 1603.0, 1.0, DType::F64).tracked();
    let ones = |n| Device::reference().ones([n], DType::F64);
    for y in [x.unfold(0, 4, 4).flatten(..), x.unfold(0, 4, 4).contiguous().flatten(..), x.slice(0, ..1600)] {
        let [grad] = back(&y, &ones(1600), [&x]);
        assert_eq!(grad.len(), 1603);
        assert!(grad[..1600].iter().all(|&g| g == 1.0) && grad[1600..].iter().all(|&g| g == 0.0));
    }
}

#[test]
fn an_input_used_twice_gets_both_contributions() {
    let x = doubles(&[1.0, 2.0, 3.0, 4.0]).tracked();
    let index = places(&[3, 3, 0]);
    let selected = || x.index_select(0, &index).sum(..);
    for loss in [selected() + x.square().sum(..), x.square().sum(..) + selected()] {
        assert_eq!(loss.backward()[&x].to_vec::<f64>(), [3.0, 4.0, 6.0, 10.0]);
    }
    // Base and source are one tensor.
    let y = x.slice_scatter(0, 2.., x.i(..2));
    assert_eq!(back(&y, &doubles(&[1.0, 10.0, 100.0, 1000.0]), [&x]), [vec![101.0, 1010.0, 0.0, 0.0]]);
}

#[test]
fn padding_rows_of_an_embedding_get_no_gradient_of_any_order() {
    let table = Device::reference().arange(1.0, 7.0, 1.0, DType::F64).reshape([3, 2]).tracked();
    let y = table.embedding(&places(&[1, 0, 1, 2]), Some(1));
    assert_eq!(y.to_vec::<f64>(), [3.0, 4.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0]);
    let [g] = y.square().sum(..).grad([&table]);
    assert_eq!(g.to_vec::<f64>(), [2.0, 4.0, 0.0, 0.0, 10.0, 12.0]);
    let [h] = g.sum(..).grad([&table]);
    assert_eq!(h.to_vec::<f64>(), [2.0, 2.0, 0.0, 0.0, 2.0, 2.0]);
}

#[test]
fn masks_of_writes() {
    let x = doubles(&[1.0, -2.0, 3.0, -4.0]).tracked();
    let y = x.set(x.lt(0.0), 0.0);
    assert_eq!(y.to_vec::<f64>(), [1.0, 0.0, 3.0, 0.0]);
    assert_eq!(back(&y, &doubles(&[1.0, 2.0, 3.0, 4.0]), [&x]), [vec![1.0, 0.0, 3.0, 0.0]]);
    assert_eq!(x.i(x.gt(9.0)).shape(), &[0]);
}

thread_local! {
    static EXPECTED: Cell<bool> = const { Cell::new(false) };
    static FILE: Cell<String> = const { Cell::new(String::new()) };
}

/// The message of a panic, which must name this file as its place.
#[track_caller]
fn misuse<R>(f: impl FnOnce() -> R) -> String {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let default = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            if EXPECTED.get() {
                FILE.set(info.location().map_or(String::new(), |l| l.file().into()));
            } else {
                default(info);
            }
        }));
    });
    EXPECTED.set(true);
    let result = catch_unwind(AssertUnwindSafe(f));
    EXPECTED.set(false);
    let Err(panic) = result else { panic!("this must panic") };
    let fixed = panic.downcast_ref::<&str>().map(|text| text.to_string());
    let text = fixed.or_else(|| panic.downcast_ref::<String>().cloned()).expect("a message");
    let file = FILE.take();
    assert!(file.ends_with("indexing.rs"), "\"{text}\" points at {file}");
    text
}

#[track_caller]
fn says<R>(f: impl FnOnce() -> R, parts: &[&str]) {
    let text = misuse(f);
    for part in parts {
        assert!(text.contains(part), "\"{text}\" does not say \"{part}\"");
    }
}

#[test]
fn misuse_of_indices_names_operation_shape_and_remedy() {
    let x = Device::reference().zeros([3, 4], DType::F64);
    let k = |data: &[i64]| places(data);
    says(|| x.i(3), &["i: index 3", "axis 0 of shape [3, 4]", "use -3 to 2"]);
    says(|| x.i((.., -5)), &["i: index -5", "axis 1 of shape [3, 4]", "use -4 to 3"]);
    says(|| x.i((0, 0, 0)), &["i: ", "3 axes", "[3, 4]"]);
    says(|| x.i((Ellipsis, Ellipsis)), &["i: ", "2 `Ellipsis`"]);
    says(|| x.i(1..5), &["i: the range 1..5", "axis 0 of shape [3, 4]", "-3 to 3"]);
    says(|| x.i((.., step(1..3, -1))), &["i: the range 1..3 with step -1", "axis 1"]);
    says(|| x.i((.., step(.., 0))), &["step: a step is not 0"]);
    says(|| x.i(x.i(0).gt(0.0)), &["i: a mask of shape [4]", "shape [3, 4]", "must be equal"]);
    says(|| x.i((&k(&[0, 1]), &k(&[0, 1, 2]))), &["i: the indices, of shapes [2] and [3]"]);
    says(|| x.i(&x), &["i: the index of shape [3, 4] holds f64", "DType::I64"]);
    says(|| x.set(0, doubles(&[1.0, 2.0])), &["set: a source of shape [2]", "part of shape [4]"]);
    says(|| x.slice(2, ..), &["slice: axis 2 is out of range for shape [3, 4]"]);
    says(|| x.slice_scatter(1, 0..2, doubles(&[0.0; 3])), &["slice_scatter: a source of shape [3]", "[3, 2]"]);
    says(|| x.narrow(1, 3, 2), &["narrow: places 3 to 5 of axis 1", "[3, 4]"]);
}

#[test]
fn index_tensors_out_of_range_name_the_index_and_its_position() {
    let x = Device::reference().zeros([3, 4], DType::F64);
    let square = |data: &[i64; 4]| Device::reference().tensor(data, [2, 2]);
    let (row, bad) = (places(&[0, 3]), square(&[0, 1, 4, 2]));
    says(
        || x.index_select(0, &row),
        &["index_select: index 3 at position [1]", "axis 0 of shape [3, 4]", "use 0 to 2"],
    );
    says(|| x.index_select(0, &places(&[-1])), &["index_select: index -1 at position [0]"]);
    says(|| x.gather(1, &bad), &["gather: index 4 at position [1, 0]", "axis 1 of shape [3, 4]"]);
    says(|| x.scatter(1, &bad, &bad.to(DType::F64)), &["scatter: index 4 at position [1, 0]"]);
    says(|| x.scatter_add(1, &bad, &bad.to(DType::F64)), &["scatter_add: index 4 at position [1, 0]"]);
    says(|| x.take(&places(&[0, 12])), &["take: index 12 at position [1]", "use 0 to 11"]);
    says(|| x.take_along(1, &places(&[4]).reshape([1, 1])), &["take_along: index 4 at position [0, 0]"]);
    says(|| x.index_add(0, &row, &x.i(..2)), &["index_add: index 3 at position [1]"]);
    says(|| x.embedding(&bad, None), &["embedding: index 4 at position [1, 0]", "[3, 4]"]);
    says(|| x.embedding(&row, Some(0)), &["embedding: index 3 at position [1]"]);
    says(|| x.embedding(&row, Some(3)), &["embedding: padding 3", "use 0 to 2"]);
    says(|| bad.one_hot(4, DType::F32), &["one_hot: index 4 at position [1, 0]", "use 0 to 3"]);
    says(|| x.i((.., &places(&[0, -5]))), &["i: index -5 at position [1]", "axis 1", "use -4 to 3"]);
    says(|| x.i((&places(&[0, 1]), &places(&[3, 4]))), &["i: index 4 at position [1]", "axis 1"]);
    says(|| x.set((&places(&[3]), &places(&[0])), 1.0), &["set: index 3 at position [0]", "axis 0"]);
    says(|| x.index_put(&[&places(&[5])], 1.0, true), &["index_put: index 5 at position [0]"]);
}

#[test]
#[allow(clippy::reversed_empty_ranges)]
fn misuse_of_shapes_and_products_names_the_shapes() {
    let x = Device::reference().zeros([3, 4], DType::F64);
    says(|| x.reshape([5, INFER]), &["reshape: the 12 elements of shape [3, 4] do not fill shape [5, INFER]"]);
    says(|| x.reshape([INFER, INFER]), &["reshape", "[INFER, INFER]"]);
    says(|| x.i(..0).reshape([0, INFER]), &["reshape", "[0, INFER]"]);
    says(|| x.contiguous().t().view_as([12]), &["view_as", "[4, 3]", "use reshape"]);
    says(|| x.squeeze(0), &["squeeze: axis 0 of shape [3, 4] has extent 3"]);
    says(|| x.unsqueeze(4), &["unsqueeze: shape [3, 4]", "use -3 to 2"]);
    says(|| x.permute([0, 0]), &["permute: [0, 0]", "[3, 4]"]);
    says(|| x.movedim([0, 1], [0]), &["movedim"]);
    says(|| x.flatten(1..0), &["flatten"]);
    says(|| x.unflatten(1, [3, INFER]), &["unflatten: the extent 4", "[3, INFER]"]);
    says(|| x.repeat([2]), &["repeat: [2]", "[3, 4]", "tile"]);
    says(|| x.unfold(1, 5, 1), &["unfold: no windows of 5", "[3, 4]"]);
    says(|| x.diagonal(0, 1, -1), &["diagonal: axis -1", "twice"]);
    says(|| x.split([1, 1], 0), &["split: lengths [1, 1]", "3 places"]);
    says(|| x.pad([(4, 0)], Pad::Reflect), &["pad: axis 1 of shape [3, 4]", "(4, 0) places of Reflect"]);
    says(|| x.pad([(-3, -2)], Pad::Constant(0.0)), &["pad: axis 1 of shape [3, 4]"]);
    says(|| Tensor::meshgrid(&[&x], Indexing::Ij), &["meshgrid: takes vectors", "[3, 4]"]);
    says(|| Tensor::cat(&[], 0), &["cat: no tensors"]);
    says(|| x.matmul(&x), &["matmul: shapes [3, 4] and [3, 4]", "4 and 3"]);
    says(|| x.mv(&x), &["mv: takes 2 and 1 axes", "see matmul"]);
    says(|| x.tensordot(&x, [0], [1]), &["tensordot", "[3, 4]"]);
    for (equation, part) in [
        ("ij", "1 operands, but 2"),
        ("ij,jk->ik", "`j` stands for extents"),
        ("ij,ij->ii", "names `i` twice"),
        ("ij,ij->k", "names `k`"),
        ("i1,ij", "`1`"),
        ("...,...->", "leaves out `...`"),
        ("i...j...,ij", "one `...`"),
        ("ijk,ij", "does not name the 2 axes"),
        ("i...jk,ij", "more letters"),
        ("ii,ij", "`i` stands for extents 3 and 4"),
    ] {
        says(|| Tensor::einsum(equation, &[&x, &x]), &["einsum: ", equation, "[3, 4] and [3, 4]", part]);
    }
}

#[test]
fn refusals_can_be_caught() {
    let x = Tensor::zeros([2]);
    assert!(attempt(|| x.i(2)).is_err());
    assert!(attempt(|| x.index_select(0, &Tensor::from_slice(&[2i64], [1]))).is_err());
}

/// Parts of a gradient are added in place; nobody else's tensor may change, and every layout and type must do.
#[test]
fn parts_add_up_whatever_they_meet() {
    for dtype in [DType::F64, DType::F32, DType::F16, DType::BF16] {
        let x = Device::reference().arange(1.0, 7.0, 1.0, dtype).reshape([3, 2]).tracked();
        let rows = || x.unbind(0).iter().zip([1.0, 2.0, 4.0]).map(|(row, w)| row * w).reduce(|a, b| a + b).unwrap();
        let overlapping = || x.narrow(0, 0, 2).sum(..) + x.slice(0, step(.., -2)).sum(..) + x.narrow(0, 1, 2).sum(..);
        let losses = [
            rows().sum(..) + x.sum(..) + overlapping(),
            x.sum(..) + overlapping() + rows().sum(..),
            overlapping() + x.t().sum(..) + rows().sum(..),
        ];
        for loss in losses {
            let grad = loss.backward()[&x].to(DType::F64).to_vec::<f64>();
            assert_eq!(grad, [4.0, 4.0, 5.0, 5.0, 7.0, 7.0], "{dtype}");
        }
    }
}

#[test]
fn a_given_cotangent_stays_as_it_is() {
    let x = doubles(&[1.0, 2.0, 3.0]).tracked();
    let y = &x * 2.0;
    let part = y.narrow(0, 1, 2);
    let (c, d) = (doubles(&[1.0, 1.0, 1.0]), doubles(&[10.0, 100.0]));
    let options = cotangent_core::autograd::Options::default();
    let found = cotangent_core::autograd::grads(&[(&y, &c), (&part, &d)], &[&x], options);
    assert_eq!(found[0].as_ref().unwrap().to_vec::<f64>(), [2.0, 22.0, 202.0]);
    assert_eq!(c.to_vec::<f64>(), [1.0, 1.0, 1.0]);
    assert_eq!(d.to_vec::<f64>(), [10.0, 100.0]);
}
