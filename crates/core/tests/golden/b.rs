//! Shapes, joins, indexing, products, padding.

use crate::{Outputs, Params};
use cotangent_core::{DType, INFER, Ix, Tensor, step};

/// Operations of the file that belong here and do not exist yet.
pub const PENDING: &[&str] = &[
    "addmm", "block_diag", "bmm", "chunk", "dot", "einsum", "hstack", "meshgrid", "mm", "mv", "outer", "pad", "split",
    "tensordot", "unbind", "vstack",
];

/// The outputs of `op`; `None` if it is not in this table.
pub fn call(op: &str, p: &Params, x: &[Tensor]) -> Outputs {
    shape(op, p, x).or_else(|| rearrangement(op, p, x)).or_else(|| indexing(op, p, x)).or_else(|| join(op, p, x))
}

/// Sizes in which −1 stands for the one that follows.
fn sizes(p: &Params, name: &str) -> Vec<usize> {
    p.ints(name).into_iter().map(|n| usize::try_from(n).unwrap_or(INFER)).collect()
}

fn shape(op: &str, p: &Params, x: &[Tensor]) -> Outputs {
    let pair = |name: &str| <[isize; 2]>::try_from(p.ints(name)).expect("two axes");
    Some(vec![match op {
        "reshape" => x[0].reshape(sizes(p, "shape")),
        "flatten" => x[0].flatten(p.int("start")..=p.int("end")),
        "unflatten" => x[0].unflatten(p.int("axis"), sizes(p, "sizes")),
        "squeeze" if p.get("axes").is_null() => x[0].squeeze(..),
        "squeeze" => x[0].squeeze(&p.ints("axes")[..]),
        "unsqueeze" => x[0].unsqueeze(p.int("axis")),
        "transpose" => {
            let [a, b] = pair("axes");
            x[0].transpose(a, b)
        }
        "permute" => x[0].permute(p.ints("axes")),
        "movedim" => x[0].movedim(&p.ints("from")[..], &p.ints("to")[..]),
        "expand" => x[0].expand(p.sizes("shape")),
        _ => return None,
    }])
}

fn rearrangement(op: &str, p: &Params, x: &[Tensor]) -> Outputs {
    Some(vec![match op {
        "repeat" => x[0].repeat(p.sizes("repeats")),
        "tile" => x[0].tile(p.sizes("repeats")),
        "repeat_interleave" => x[0].repeat_interleave(p.int("repeats") as usize, p.int("axis")),
        "roll" => {
            let moves = p.ints("shifts").into_iter().zip(p.ints("axes"));
            moves.fold(x[0].clone(), |x, (shift, axis)| x.roll(shift, axis))
        }
        "flip" => x[0].flip(&p.ints("axes")[..]),
        "rot90" => x[0].rot90(p.int("k"), p.ints("axes").try_into().expect("two axes")),
        "diag" => x[0].diag(p.int("offset")),
        "diagonal" => x[0].diagonal(p.int("offset"), p.int("axis1"), p.int("axis2")),
        "tril" => x[0].tril(p.int("diagonal")),
        "triu" => x[0].triu(p.int("diagonal")),
        "unfold" => x[0].unfold(p.int("axis"), p.int("size") as usize, p.int("step") as usize),
        _ => return None,
    }])
}

fn indexing(op: &str, p: &Params, x: &[Tensor]) -> Outputs {
    Some(vec![match op {
        "index_select" => x[0].index_select(p.int("axis"), &x[1]),
        "gather" => x[0].gather(p.int("axis"), &x[1]),
        "take" => x[0].take(&x[1]),
        "take_along" => x[0].take_along(p.int("axis"), &x[1]),
        "scatter" => x[0].scatter(p.int("axis"), &x[1], &x[2]),
        "scatter_add" => x[0].scatter_add(p.int("axis"), &x[1], &x[2]),
        "index_add" => x[0].index_add(p.int("axis"), &x[1], &x[2]),
        "embedding" => x[0].embedding(&x[1], p.maybe_int("padding_idx").map(|row| row as usize)),
        "index_put" => {
            let indices: Vec<&Tensor> = x[2..].iter().collect();
            x[0].index_put(&indices, &x[1], p.flag("accumulate"))
        }
        "slice" => x[0].slice(p.int("axis"), range(p)),
        "slice_scatter" => x[0].slice_scatter(p.int("axis"), range(p), &x[1]),
        "one_hot" => x[0].one_hot(p.int("classes") as usize, DType::I64),
        _ => return None,
    }])
}

fn range(p: &Params) -> Ix {
    step(p.int("start")..p.int("end"), p.int("step"))
}

fn join(op: &str, p: &Params, x: &[Tensor]) -> Outputs {
    let all: Vec<&Tensor> = x.iter().collect();
    Some(vec![match op {
        "cat" => Tensor::cat(&all, p.int("axis")),
        "stack" => Tensor::stack(&all, p.int("axis")),
        "matmul" => x[0].matmul(&x[1]),
        _ => return None,
    }])
}
