//! Arithmetic, selection, reductions, sorting, scans, normalization, softmax and losses.

use crate::{Outputs, Params, list, number};
use cotangent_core::{Axes, CrossEntropy, Reduction, Tensor, keep};

/// `axes: null` means all of them; `keepdim` leaves extents of 1.
fn axes(p: &Params) -> Axes {
    let axes = if p.get("axes").is_null() { Axes::from(..) } else { Axes::from(&p.ints("axes")[..]) };
    if p.0.get("keepdim").is_some_and(|v| v == true) { keep(axes) } else { axes }
}

/// Operations of the file that belong here and do not exist yet.
pub const PENDING: &[&str] = &[];

/// `axis: null` means all of them.
fn axis(p: &Params) -> Axes {
    let axis = p.maybe_int("axis").map_or(Axes::from(..), Axes::from);
    if p.flag("keepdim") { keep(axis) } else { axis }
}

fn pair((a, b): (Tensor, Tensor)) -> Vec<Tensor> {
    vec![a, b]
}

/// The outputs of `op`; `None` if it is not in this table.
pub fn call(op: &str, p: &Params, x: &[Tensor]) -> Outputs {
    arithmetic(op, p, x)
        .or_else(|| selection(op, p, x))
        .or_else(|| reduction(op, p, x))
        .or_else(|| order(op, p, x))
        .or_else(|| network(op, p, x))
}

fn arithmetic(op: &str, p: &Params, x: &[Tensor]) -> Outputs {
    Some(vec![match op {
        "add" => &x[0] + &x[1],
        "sub" => &x[0] - &x[1],
        "mul" => &x[0] * &x[1],
        "div" => &x[0] / &x[1],
        "maximum" => x[0].maximum(&x[1]),
        "minimum" => x[0].minimum(&x[1]),
        "fmax" => x[0].fmax(&x[1]),
        "fmin" => x[0].fmin(&x[1]),
        "atan2" => x[0].atan2(&x[1]),
        "hypot" => x[0].hypot(&x[1]),
        "remainder" => x[0].remainder(&x[1]),
        "fmod" => x[0].fmod(&x[1]),
        "floor_div" => x[0].floor_div(&x[1]),
        "logaddexp" => x[0].logaddexp(&x[1]),
        "copysign" => x[0].copysign(&x[1]),
        "pow" => x[0].pow(&x[1]),
        "xlogy" => x[0].xlogy(&x[1]),
        "isclose" => x[0].isclose(&x[1], p.number("rtol"), p.number("atol"), p.flag("equal_nan")),
        "lerp" => x[0].lerp(&x[1], &x[2]),
        _ => return None,
    }])
}

fn selection(op: &str, p: &Params, x: &[Tensor]) -> Outputs {
    Some(vec![match op {
        "where" => x[0].select(&x[1], &x[2]),
        "clamp" => match (p.maybe_number("min"), p.maybe_number("max")) {
            (Some(min), Some(max)) => x[0].clamp(min, max),
            (Some(min), None) => x[0].clamp_min(min),
            (None, max) => x[0].clamp_max(max.expect("a bound")),
        },
        "masked_fill" => x[0].masked_fill(&x[1], p.number("value")),
        "masked_select" => x[0].masked_select(&x[1]),
        "masked_scatter" => x[0].masked_scatter(&x[1], &x[2]),
        "addcmul" => x[0].addcmul(&x[1], &x[2], p.number("value")),
        "addcdiv" => x[0].addcdiv(&x[1], &x[2], p.number("value")),
        _ => return None,
    }])
}

fn reduction(op: &str, p: &Params, x: &[Tensor]) -> Outputs {
    Some(vec![match op {
        "sum" => x[0].sum(axes(p)),
        "mean" => x[0].mean(axes(p)),
        "prod" => x[0].prod(axes(p)),
        "amax" => x[0].max(axes(p)),
        "amin" => x[0].min(axes(p)),
        "var" => x[0].var(axes(p), p.number("correction")),
        "std" => x[0].std(axes(p), p.number("correction")),
        "norm" => x[0].norm(p.number("p"), axes(p)),
        "nansum" => x[0].nansum(axes(p)),
        "nanmean" => x[0].nanmean(axes(p)),
        "logsumexp" => x[0].logsumexp(axes(p)),
        "any" => x[0].any(axes(p)),
        "all" => x[0].all(axes(p)),
        "count_nonzero" => x[0].count_nonzero(axes(p)),
        "argmax" => x[0].argmax(axis(p)),
        "argmin" => x[0].argmin(axis(p)),
        "max_with_index" => return Some(pair(x[0].max_with_index(axis(p)))),
        "min_with_index" => return Some(pair(x[0].min_with_index(axis(p)))),
        "aminmax" => return Some(pair(x[0].aminmax(axis(p)))),
        _ => return None,
    }])
}

fn order(op: &str, p: &Params, x: &[Tensor]) -> Outputs {
    let pairs = match op {
        "sort" => Some(x[0].sort(p.int("axis"), p.flag("descending"))),
        "topk" => Some(x[0].topk(p.int("k") as usize, p.int("axis"), p.flag("largest"))),
        "kthvalue" => Some(x[0].kthvalue(p.int("k") as usize, axis(p))),
        "median" => Some(x[0].median(axis(p))),
        "cummax" => Some(x[0].cummax(p.int("axis"))),
        "cummin" => Some(x[0].cummin(p.int("axis"))),
        _ => None,
    };
    let one = || match op {
        "argsort" => Some(x[0].argsort(p.int("axis"), p.flag("descending"))),
        "quantile" => Some(x[0].quantile(&list(p.get("q")).iter().map(number).collect::<Vec<_>>(), axis(p))),
        "searchsorted" => Some(x[0].searchsorted(&x[1], p.flag("right"))),
        "bucketize" => Some(x[0].bucketize(&x[1], p.flag("right"))),
        "histogram" => Some(x[0].histogram(p.int("bins") as usize, p.number("low"), p.number("high"))),
        "cumsum" => Some(x[0].cumsum(p.int("axis"))),
        "cumprod" => Some(x[0].cumprod(p.int("axis"))),
        "logcumsumexp" => Some(x[0].logcumsumexp(p.int("axis"))),
        _ => None,
    };
    pairs.map(pair).or_else(|| one().map(|y| vec![y]))
}

fn network(op: &str, p: &Params, x: &[Tensor]) -> Outputs {
    let parameter = |k: usize| x.get(k);
    let eps = || p.number("eps");
    Some(vec![match op {
        "softmax" => x[0].softmax(p.int("axis")),
        "log_softmax" => x[0].log_softmax(p.int("axis")),
        "softmin" => x[0].softmin(p.int("axis")),
        "batch_norm" if p.flag("training") => x[0].batch_norm(1, parameter(1), parameter(2), eps()).0,
        "batch_norm" => x[0].normalize(1, &x[3], &x[4], parameter(1), parameter(2), eps()),
        "cross_entropy" => {
            let reduction = match p.text("reduction") {
                "mean" => Reduction::Mean,
                "sum" => Reduction::Sum,
                _ => Reduction::None,
            };
            let loss = CrossEntropy::new(1).label_smoothing(p.number("label_smoothing"));
            loss.reduction(reduction).call(&x[0], &x[1])
        }
        "layer_norm" => x[0].layer_norm(p.sizes("normalized_shape"), parameter(1), parameter(2), eps()),
        "rms_norm" => x[0].rms_norm(p.sizes("normalized_shape"), parameter(1), eps()),
        "group_norm" => x[0].group_norm(p.int("groups") as usize, parameter(1), parameter(2), eps()),
        "instance_norm" => x[0].instance_norm(parameter(1), parameter(2), eps()),
        "local_response_norm" => {
            x[0].local_response_norm(p.int("size") as usize, p.number("alpha"), p.number("beta"), p.number("k"))
        }
        _ => return None,
    }])
}
