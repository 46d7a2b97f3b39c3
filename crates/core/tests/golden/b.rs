//! Shapes, joins, indexing, products, padding.

use crate::{Outputs, Params};
use cotangent_core::{DType, INFER, Indexing, Ix, Pad, Tensor, step};

/// Operations of the file that belong here and do not exist yet.
pub const PENDING: &[&str] = &[];

/// The outputs of `op`; `None` if it is not in this table.
pub fn call(op: &str, p: &Params, x: &[Tensor]) -> Outputs {
    shape(op, p, x)
        .or_else(|| rearrangement(op, p, x))
        .or_else(|| indexing(op, p, x))
        .or_else(|| join(op, p, x))
        .or_else(|| product(op, p, x))
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
    Some(match op {
        "cat" => vec![Tensor::cat(&all, p.int("axis"))],
        "stack" => vec![Tensor::stack(&all, p.int("axis"))],
        "hstack" => vec![Tensor::hstack(&all)],
        "vstack" => vec![Tensor::vstack(&all)],
        "block_diag" => vec![Tensor::block_diag(&all)],
        "split" => x[0].split(p.sizes("sizes"), p.int("axis")),
        "chunk" => x[0].chunk(p.int("chunks") as usize, p.int("axis")),
        "unbind" => x[0].unbind(p.int("axis")),
        "meshgrid" => Tensor::meshgrid(&all, if p.text("indexing") == "xy" { Indexing::Xy } else { Indexing::Ij }),
        "pad" => vec![x[0].pad(pairs(p), mode(p))],
        _ => return None,
    })
}

fn pairs(p: &Params) -> Vec<(isize, isize)> {
    p.lists("pads").into_iter().map(|pair| (pair[0], pair[1])).collect()
}

fn mode(p: &Params) -> Pad {
    match p.text("mode") {
        "constant" => Pad::Constant(p.number("value")),
        "reflect" => Pad::Reflect,
        "replicate" => Pad::Replicate,
        "circular" => Pad::Circular,
        other => panic!("padding {other}"),
    }
}

fn product(op: &str, p: &Params, x: &[Tensor]) -> Outputs {
    let all: Vec<&Tensor> = x.iter().collect();
    Some(vec![match op {
        "matmul" => x[0].matmul(&x[1]),
        "dot" => x[0].dot(&x[1]),
        "mv" => x[0].mv(&x[1]),
        "mm" => x[0].mm(&x[1]),
        "bmm" => x[0].bmm(&x[1]),
        "outer" => x[0].outer(&x[1]),
        "addmm" => x[0].addmm(&x[1], &x[2], p.number("beta"), p.number("alpha")),
        "einsum" => Tensor::einsum(p.text("equation"), &all),
        "tensordot" => match &p.lists("axes")[..] {
            [a, b] if a.is_empty() => x[0].tensordot(&x[1], [], {
                assert!(b.is_empty());
                []
            }),
            [a, b] if a.len() == 1 => x[0].tensordot(&x[1], [a[0]], [b[0]]),
            [a, b] => x[0].tensordot(&x[1], [a[0], a[1]], [b[0], b[1]]),
            other => panic!("axes {other:?}"),
        },
        _ => return None,
    }])
}
