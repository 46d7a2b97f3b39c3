//! What each misuse says: the operation, the shapes or types, and what to do; at the line of the user's call.

#![allow(clippy::needless_borrows_for_generic_args, clippy::reversed_empty_ranges)] // calls as users write them

mod common;

use common::{panic_in, panic_of};
use cotangent_core::reference::Reference;
use cotangent_core::*;

fn x(shape: &[usize]) -> Tensor {
    Tensor::ones(shape).contiguous()
}

fn ints(data: &[i64]) -> Tensor {
    Tensor::from_slice(data, [data.len()])
}

fn truth(shape: &[usize]) -> Tensor {
    x(shape).to(DType::Bool)
}

/// A tensor on another device of the same kind.
fn elsewhere(shape: &[usize]) -> Tensor {
    Device::new(Reference::default()).full(shape, 1.0, DType::F32)
}

/// Checks the message of a misuse, and that it points to these lines.
macro_rules! misuse {
    ($call:expr, $message:expr) => {{
        let first = line!();
        let panic = panic_of(|| {
            let _ = $call;
        });
        assert_eq!(panic.message, $message);
        assert!(panic.file == file!() && (first..first + 4).contains(&panic.line), "{} points to {panic:?}", first);
    }};
}

#[test]
fn arithmetic_and_closures() {
    misuse!(
        &x(&[2, 3]) + &x(&[4]),
        "add: shapes [2, 3] and [4] do not broadcast; aligned from the right, extents must be equal or 1"
    );
    misuse!(
        &x(&[2, 3]) * &x(&[2, 3]).to(DType::F64),
        "mul: tensors of shapes [2, 3] and [2, 3] hold f32 and f64; convert one with .to(DType::F64)"
    );
    misuse!(
        &x(&[2]) + &elsewhere(&[2]),
        "add: tensors of shapes [2] and [2] live on devices reference and reference; move one with .to_device(..)"
    );
    misuse!(
        x(&[2]).exp().maximum(&x(&[3])),
        "maximum: shapes [2] and [3] do not broadcast; aligned from the right, extents must be equal or 1"
    );
    misuse!(
        &ints(&[1, 2]) / &ints(&[1, 2]),
        "div: `div` needs floating-point elements, got i64 of shape [2]; use floor_div, or convert with .to(DType::F32)"
    );
    misuse!(
        ints(&[1, 2]).exp(),
        "exp: `exp` needs floating-point elements, got i64 of shape [2]; convert with .to(DType::F32)"
    );
    misuse!(-&truth(&[2]), "neg: arithmetic on bool of shape [2]; convert with .to(DType::I64) or .to(DType::F32)");
    misuse!(
        truth(&[2]).sqrt(),
        "sqrt: `sqrt` needs floating-point elements, got bool of shape [2]; convert with .to(DType::F32)"
    );
    misuse!(
        pointwise(|[a, b]| a.tanh() * b).named("gate").call([&x(&[2]), &x(&[5])]),
        "gate: shapes [2] and [5] do not broadcast; aligned from the right, extents must be equal or 1"
    );
    misuse!(
        pointwise(|[a]| a.exp()).fold(Fold::Max, -1, [&x(&[2, 0])]),
        "pointwise: nothing to choose from: shape [2, 0] has no elements along the reduced axes"
    );
}

#[test]
fn products() {
    misuse!(
        x(&[2, 3]).matmul(&x(&[2, 3])),
        "matmul: shapes [2, 3] and [2, 3]: the inner extents 3 and 2 differ; transpose one with .t()?"
    );
    misuse!(
        x(&[2, 2, 3]).matmul(&x(&[3, 3, 2])),
        "matmul: shapes [2, 2, 3] and [3, 3, 2]: the batch axes [2] and [3] do not broadcast; extents must be equal or 1"
    );
    misuse!(x(&[]).matmul(&x(&[2])), "matmul: shapes [] and [2]: a scalar has no rows; multiply with `*`");
    misuse!(x(&[2, 3]).dot(&x(&[3])), "dot: takes 1 and 1 axes, but the shapes are [2, 3] and [3]; see matmul");
    misuse!(x(&[2, 3]).mv(&x(&[2, 3])), "mv: takes 2 and 1 axes, but the shapes are [2, 3] and [2, 3]; see matmul");
    misuse!(x(&[2, 3]).bmm(&x(&[2, 3])), "bmm: takes 3 and 3 axes, but the shapes are [2, 3] and [2, 3]; see matmul");
    misuse!(
        x(&[2, 3]).addmm(&x(&[2, 4]), &x(&[3, 3]), 1.0, 1.0),
        "matmul: shapes [2, 4] and [3, 3]: the inner extents 4 and 3 differ; transpose one with .t()?"
    );
    misuse!(
        Tensor::einsum("ij,jk->ik", &[&x(&[2, 3]), &x(&[4, 2])]),
        "einsum: \"ij,jk->ik\" with shapes [2, 3] and [4, 2]: `j` stands for extents 3 and 4; they must be equal"
    );
    misuse!(
        Tensor::einsum("ij->iz", &[&x(&[2, 3])]),
        "einsum: \"ij->iz\" with shapes [2, 3]: the result names `z`, which no operand has"
    );
    misuse!(
        x(&[2, 3]).tensordot(&x(&[4]), [1], [0]),
        "tensordot: axis 1 of shape [2, 3] and axis 0 of shape [4] are summed over together; they must be equal"
    );
}

#[test]
fn reductions_and_sorting() {
    misuse!(x(&[2, 3]).sum(2), "sum: axis 2 is out of range for shape [2, 3]; use -2 to 1");
    misuse!(x(&[2, 3]).sum([0, -2]), "sum: axis -2 of shape [2, 3] is named twice; name each axis once");
    misuse!(x(&[]).mean(0), "mean: axis 0 is out of range for shape []; a scalar has no axes");
    misuse!(
        ints(&[1, 2]).mean(..),
        "mean: needs floating-point elements, got i64 of shape [2]; convert with .to(DType::F32)"
    );
    misuse!(x(&[0, 2]).max(0), "max: nothing to choose from: shape [0, 2] has no elements along the reduced axes");
    misuse!(x(&[0]).argmax(..), "argmax: nothing to choose from: shape [0] has no elements along the reduced axes");
    misuse!(x(&[2, 3]).softmax(2), "softmax: axis 2 is out of range for shape [2, 3]; use -2 to 1");
    misuse!(
        ints(&[1]).softmax(0),
        "softmax: needs floating-point elements, got i64 of shape [1]; convert with .to(DType::F32)"
    );
    misuse!(x(&[2, 3]).quantile(&[1.5], ..), "quantile: 1.5 is outside of 0 to 1; 0.5 is the median");
    misuse!(x(&[4]).topk(5, 0, true), "topk: axis 0 of shape [4] has no 5 elements; ask for fewer");
    misuse!(x(&[4]).kthvalue(0, ..), "kthvalue: there is no element 0 of 4; count from 1");
}

#[test]
fn shapes_and_views() {
    misuse!(
        x(&[2, 3]).reshape([4, 2]),
        "reshape: the 6 elements of shape [2, 3] do not fill shape [4, 2]; its extents must multiply to 6, one of them may be INFER"
    );
    misuse!(
        x(&[2, 3]).reshape([INFER, INFER]),
        "reshape: the 6 elements of shape [2, 3] do not fill shape [INFER, INFER]; its extents must multiply to 6, one of them may be INFER"
    );
    misuse!(
        x(&[2, 3]).t().view_as([6]),
        "view_as: shape [3, 2] with strides [1, 3] has no view of shape [6]; use reshape, which copies"
    );
    misuse!(x(&[2, 3]).permute([0, 0]), "permute: [0, 0] does not name every axis of shape [2, 3] once; name all 2");
    misuse!(x(&[2]).t(), "t: a transposed matrix needs two axes, but the shape is [2]");
    misuse!(x(&[2, 3]).transpose(0, 2), "transpose: axis 2 is out of range for shape [2, 3]; use -2 to 1");
    misuse!(x(&[2, 3]).expand([4, 3]), "expand: shape [2, 3] does not stretch to [4, 3]; only extents of 1 can grow");
    misuse!(x(&[2, 3]).squeeze(0), "squeeze: axis 0 of shape [2, 3] has extent 2, not 1; `..` drops only those of 1");
    misuse!(x(&[2, 3]).unsqueeze(4), "unsqueeze: shape [2, 3] takes no new axis at 4; use -3 to 2");
    misuse!(x(&[2, 3]).flatten(2..1), "flatten: axis 2 lies behind axis 1 of shape [2, 3]; give the first one first");
    misuse!(
        x(&[6]).unflatten(0, [4, 2]),
        "unflatten: the extent 6 of axis 0 of shape [6] is not split by [4, 2]; they must multiply to it"
    );
    misuse!(
        x(&[2, 3]).narrow(1, 2, 2),
        "narrow: places 2 to 4 of axis 1 do not exist in shape [2, 3], which has 3 there"
    );
    misuse!(
        x(&[2, 3]).slice_assign(1, 0, &x(&[3, 1])),
        "slice_assign: a source of shape [3, 1] does not fit into shape [2, 3]; only axis 1 may differ"
    );
    misuse!(x(&[2, 3]).i((0, 3)), "i: index 3 is out of range for axis 1 of shape [2, 3]; use -3 to 2");
    misuse!(
        x(&[2, 3]).i((0, 0, 0)),
        "i: an index for 3 axes with 0 `Ellipsis` does not fit shape [2, 3]; name at most its 2 axes, and leave out the rest by one `Ellipsis`"
    );
    misuse!(x(&[4]).i(step(0..4, 0)), "step: a step is not 0, and a range has one step only, but got 0");
    misuse!(
        x(&[4]).unfold(0, 5, 1),
        "unfold: no windows of 5 places, 1 apart, on axis 0 of shape [4]; they must fit, and be at least 1 apart"
    );
    misuse!(
        x(&[4]).pad([(1, 1), (0, 0)], Pad::Constant(0.0)),
        "pad: 2 pairs for the 1 axes of shape [4]; give at most one for each"
    );
    misuse!(x(&[2]).pad([(3, 0)], Pad::Reflect), "pad: axis 0 of shape [2] is too short for (3, 0) places of Reflect");
    misuse!(x(&[2, 3]).diagonal(0, 1, 1), "diagonal: axis 1 of shape [2, 3] is named twice; name each axis once");
    misuse!(
        x(&[2, 2, 2]).diag(0),
        "diag: takes a vector or a matrix, but the shape is [2, 2, 2]; see diagonal for batches"
    );
}

#[test]
fn joins() {
    misuse!(
        x(&[2, 3]).split([1, 1], 1),
        "split: lengths [1, 1] do not add up to the 3 places of axis 1 of shape [2, 3]; chunk makes equal parts"
    );
    misuse!(x(&[2, 3]).chunk(0, 1), "chunk: no way to make 0 parts of shape [2, 3]; ask for one at least");
    misuse!(Tensor::cat(&[], 0), "cat: no tensors to join; give at least one");
    misuse!(
        Tensor::cat(&[&x(&[2, 3]), &x(&[3, 2])], 0),
        "cat: shapes [2, 3] and [3, 2] differ in more than axis 0; all other extents must be equal"
    );
    misuse!(
        Tensor::cat(&[&x(&[2]), &x(&[2]).to(DType::F64)], 0),
        "cat: tensors of shapes [2] and [2] hold f32 and f64; convert one with .to(DType::F64)"
    );
    misuse!(Tensor::stack(&[&x(&[2]), &x(&[3])], 0), "stack: shapes [2] and [3] differ; all must be equal");
    misuse!(
        Tensor::meshgrid(&[&x(&[2, 2])], Indexing::Ij),
        "meshgrid: takes vectors, but a shape is [2, 2]; flatten it"
    );
}

#[test]
fn indices_and_masks() {
    misuse!(
        x(&[2, 3]).repeat([2]),
        "repeat: [2] has fewer counts than shape [2, 3] has axes; give one for each, or use tile"
    );
    misuse!(
        x(&[3]).gather(0, &ints(&[0, 3])),
        "gather: index 3 at position [1] of the indices is out of range for axis 0 of shape [3]; use 0 to 2"
    );
    misuse!(x(&[3]).gather(0, &x(&[2])), "gather: the index of shape [2] holds f32; convert it with .to(DType::I64)");
    misuse!(
        x(&[2, 3]).gather(0, &ints(&[0])),
        "gather: an index of shape [1] does not fit shape [2, 3]; on axes other than 0 it may not be larger"
    );
    misuse!(
        x(&[3]).scatter_add(0, &ints(&[0, 1]), &x(&[3])),
        "scatter_add: the index has shape [2], the source [3]; they must be equal"
    );
    misuse!(
        x(&[3]).take(&ints(&[-4])),
        "take: index -4 at position [0] of the indices is out of range for axis 0 of shape [3]; use 0 to 2"
    );
    misuse!(
        x(&[3, 2]).index_select(0, &ints(&[5])),
        "index_select: index 5 at position [0] of the indices is out of range for axis 0 of shape [3, 2]; use 0 to 2"
    );
    misuse!(
        x(&[3, 2]).embedding(&ints(&[3]), None),
        "embedding: index 3 at position [0] of the indices is out of range for axis 0 of shape [3, 2]; use 0 to 2"
    );
    misuse!(
        ints(&[0, 4]).one_hot(3, DType::F32),
        "one_hot: index 4 at position [1] of the indices is out of range for axis 1 of shape [2, 3]; use 0 to 2"
    );
    misuse!(
        x(&[2]).masked_fill(&x(&[2]), 0.0),
        "masked_fill: a mask holds bool, not f32; compare first, as in x.gt(0.0)"
    );
    misuse!(
        x(&[2, 2]).masked_fill(&truth(&[3]), 0.0),
        "masked_fill: a mask of shape [3] does not broadcast to shape [2, 2]; its extents must be equal or 1"
    );
    misuse!(
        x(&[2]).select(&x(&[2]), &x(&[3])),
        "select: shapes [2] and [2] and [3] do not broadcast; aligned from the right, extents must be equal or 1"
    );
}

#[test]
fn layers_and_losses() {
    misuse!(x(&[2, 3]).cumsum(5), "cumsum: axis 5 is out of range for shape [2, 3]; use -2 to 1");
    misuse!(
        x(&[2]).linear_scan(&x(&[3]), 0, false),
        "linear_scan: the factors have shape [2], the terms [3]; they must be equal"
    );
    misuse!(
        x(&[2, 3]).layer_norm([4], None, None, 1e-5),
        "layer_norm: shape [2, 3] does not end with [4]; give its last extents, to normalize over"
    );
    misuse!(
        x(&[2, 3]).batch_norm(1, Some(&x(&[2])), None, 1e-5),
        "batch_norm: shape [2] is no vector of the 3 channels on axis 1 of shape [2, 3]; give one number for each"
    );
    misuse!(
        x(&[2, 3]).group_norm(2, None, None, 1e-5),
        "group_norm: axis 1 of shape [2, 3] does not divide into 2 groups; take a divisor of its extent"
    );
    misuse!(
        x(&[2, 3]).cross_entropy(&ints(&[0, 3]), 1),
        "cross_entropy: index 3 at position [1, 0] of the indices is out of range for axis 1 of shape [2, 3]; use 0 to 2"
    );
    misuse!(
        x(&[2, 3]).cross_entropy(&ints(&[0]), 1),
        "cross_entropy: labels of shape [1] (i64) for shape [2, 3] with the classes along axis 1; expected integers without that axis"
    );
    misuse!(
        x(&[2]).mse_loss(&x(&[3]), Reduction::Mean),
        "mse_loss: the prediction has shape [2], the target [3]; they must be equal"
    );
}

#[test]
fn new_tensors() {
    misuse!(
        x(&[2, 3]).prelu(&x(&[4])),
        "prelu: shapes [2, 3] and [4] do not broadcast; aligned from the right, extents must be equal or 1"
    );
    misuse!(Tensor::new([1.0, 2.0], [3]), "tensor: 2 elements do not fill shape [3], which has 3");
    misuse!(Tensor::zeros([usize::MAX, 2]), "full: shape [INFER, 2] has more elements than memory can address");
    misuse!(
        Tensor::arange(0.0, f64::INFINITY),
        "arange: no range from 0 to inf in steps of 1; give finite numbers and a step other than 0"
    );
    misuse!(
        Device::default().arange(0.0, 4.0, 0.0, DType::F32),
        "arange: no range from 0 to 4 in steps of 0; give finite numbers and a step other than 0"
    );
    misuse!(
        Rng::new(1).randint(3..3, [2]),
        "randint: no integers can be drawn from 3..3; it must not be empty nor reach beyond ±2⁵³"
    );
}

#[test]
fn reading_and_gradients() {
    misuse!(
        Rng::new(1).multinomial(&x(&[2]), 3, false),
        "multinomial: weights of shape [2] must be finite, not negative, and 3 of each row positive"
    );
    misuse!(x(&[2]).item(), "item: expected one element, but the shape is [2]; reduce it first, or use .to_vec()");
    misuse!(x(&[2]).to_vec::<f64>(), "to_vec: the tensor holds f32, not f64; convert it with .to(DType::F64)");
    misuse!(x(&[2]).dims::<3>().len(), "dims: expected 3 axes, but the shape is [2]; write a name for each axis");
    misuse!(
        ints(&[1]).tracked(),
        "tracked: elements of type i64 cannot carry a gradient; convert with .to(DType::F32)"
    );
    misuse!(
        x(&[2]).retain_grad(),
        "retain_grad: the tensor is untracked, so it has no gradient; call .tracked() first"
    );
    misuse!(
        x(&[2]).hook(|_: &Tensor| None::<Tensor>),
        "hook: the tensor is untracked, so it has no gradient; call .tracked() first"
    );
    misuse!(
        x(&[2]).tracked().backward(),
        "backward: a gradient is of one number, but the shape is [2]; reduce it with .sum(..) or .mean(..), or give a cotangent to .backward_with(..)"
    );
    misuse!(
        x(&[]).backward(),
        "backward: the output of shape [] depends on no tracked tensor; call .tracked() on a parameter"
    );
    misuse!(
        x(&[2]).tracked().exp().backward_with(&x(&[3])),
        "backward_with: the cotangent has shape [3] and type f32, the output [2] and f32; they must be equal"
    );
    misuse!(
        x(&[2]).tracked().sum(..).grad([&x(&[2])]),
        "grad: input 0 of shape [2] is untracked; use autograd::grads for gradients that may be missing"
    );
    misuse!(
        x(&[2]).tracked().exp().record("mine"),
        "mine: record takes an untracked result, but that of shape [2] has a history; call .detach()"
    );
    misuse!(
        value_and_grad(|[x]| x.exp(), [&x(&[2])]),
        "value_and_grad: a gradient is of one number, but the shape is [2]; reduce it with .sum(..) or .mean(..), or give a cotangent to .backward_with(..)"
    );
    misuse!(
        vjp(|[x]| x.exp(), [&x(&[2])], &x(&[3])),
        "vjp: the cotangent has shape [3] and type f32, the output [2] and f32; they must be equal"
    );
    misuse!(
        jvp(|[x]| x.exp(), [&x(&[2])], [&x(&[3])]),
        "jvp: the tangent 0 has shape [3] and type f32, the input [2] and f32; they must be equal"
    );
    misuse!(
        hvp(|x| x.square().sum(..), &x(&[2]), &x(&[3])),
        "hvp: the vector has shape [3] and type f32, the input [2] and f32; they must be equal"
    );
    misuse!(
        hessian(|x| x.square(), &x(&[2])),
        "hessian: a gradient is of one number, but the shape is [2]; reduce it with .sum(..) or .mean(..), or give a cotangent to .backward_with(..)"
    );
}

#[test]
fn attempt_returns_typed_errors() {
    let error = |step: &dyn Fn()| {
        let mut result = None;
        // The message is not printed: `panic_in` keeps the hook quiet.
        panic_in(|| result = Some(attempt(step)));
        result.unwrap().unwrap_err()
    };
    let misuse = error(&|| drop(x(&[2]).matmul(&x(&[3]))));
    assert!(matches!(&misuse, Error::Misuse(text) if text.starts_with("matmul: shapes [2] and [3]")), "{misuse:?}");
    assert!(misuse.to_string().starts_with("matmul: shapes [2] and [3]"));
    let full = |bytes| Error::OutOfMemory { device: "cpu".into(), bytes };
    let text = "device cpu: out of memory allocating 7 bytes";
    for thrown in [error(&|| full(7).throw()), error(&|| std::panic::panic_any(full(7)))] {
        assert!(matches!(thrown, Error::OutOfMemory { bytes: 7, .. }));
        assert_eq!(thrown.to_string(), text);
    }
    // Without `attempt` it is a panic with this text; from other threads the error arrives, too.
    assert_eq!(panic_in(|| full(7).throw()).unwrap().message, text);
    let joined =
        error(&|| std::thread::spawn(move || full(8).throw()).join().unwrap_or_else(|e| std::panic::resume_unwind(e)));
    assert!(matches!(joined, Error::OutOfMemory { bytes: 8, .. }));
    let huge = x(&[1]).expand([1 << 50]);
    let read = error(&|| drop(huge.to_vec::<f32>()));
    assert!(matches!(read, Error::OutOfMemory { bytes, .. } if bytes == 1 << 52), "{read:?}");
    let fixed = error(&|| panic!("a fixed text"));
    assert_eq!(fixed.to_string(), "a fixed text");
    assert_eq!(attempt(|| x(&[2]).sum(..).item()).unwrap(), 2.0);
    // What is neither goes on as the panic it was.
    let other = panic_in(|| drop(attempt(|| std::panic::panic_any(42))));
    assert!(other.is_some());
    // The thread is usable afterwards.
    let w = x(&[2]).tracked();
    error(&|| no_grad(|| drop(w.matmul(&x(&[3])))));
    assert!((&w * 2.0).is_tracked());
}
