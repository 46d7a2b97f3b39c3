//! Shapes, joins, indexing, products, padding.

use crate::{Outputs, Params};
use cotangent_core::Tensor;

/// Operations of the file that belong here and do not exist yet.
pub const PENDING: &[&str] = &[
    "addmm",
    "block_diag",
    "bmm",
    "chunk",
    "diag",
    "diagonal",
    "dot",
    "einsum",
    "embedding",
    "flatten",
    "flip",
    "hstack",
    "index_add",
    "index_put",
    "index_select",
    "meshgrid",
    "mm",
    "movedim",
    "mv",
    "one_hot",
    "outer",
    "pad",
    "permute",
    "repeat",
    "repeat_interleave",
    "roll",
    "rot90",
    "slice",
    "slice_scatter",
    "split",
    "squeeze",
    "take",
    "take_along",
    "tensordot",
    "tile",
    "transpose",
    "tril",
    "triu",
    "unbind",
    "unflatten",
    "unfold",
    "unsqueeze",
    "vstack",
];

/// The outputs of `op`; `None` if it is not in this table.
pub fn call(op: &str, p: &Params, x: &[Tensor]) -> Outputs {
    Some(vec![match op {
        "reshape" => {
            let sizes = p.ints("shape");
            let known: isize = sizes.iter().filter(|&&n| n >= 0).product();
            let infer = |n: isize| if n < 0 { x[0].count() / known as usize } else { n as usize };
            x[0].reshape(sizes.into_iter().map(infer).collect::<Vec<_>>())
        }
        "expand" => x[0].expand(p.sizes("shape")),
        "cat" => Tensor::cat(&x.iter().collect::<Vec<_>>(), p.int("axis")),
        "stack" => Tensor::stack(&x.iter().collect::<Vec<_>>(), p.int("axis")),
        "gather" => x[0].gather(p.int("axis"), &x[1]),
        "scatter" => x[0].scatter(p.int("axis"), &x[1], &x[2]),
        "scatter_add" => x[0].scatter_add(p.int("axis"), &x[1], &x[2]),
        "matmul" => x[0].matmul(&x[1]),
        _ => return None,
    }])
}
