//! Arithmetic, selection, reductions, sorting, scans, normalization, softmax and losses.

use crate::{Outputs, Params};
use cotangent_core::{Axes, Tensor, keep};

/// `axes: null` means all of them; `keepdim` leaves extents of 1.
fn axes(p: &Params) -> Axes {
    let axes = if p.get("axes").is_null() { Axes::from(..) } else { Axes::from(&p.ints("axes")[..]) };
    if p.0.get("keepdim").is_some_and(|v| v == true) { keep(axes) } else { axes }
}

/// Operations of the file that belong here and do not exist yet.
pub const PENDING: &[&str] = &[
    "addcdiv",
    "addcmul",
    "all",
    "aminmax",
    "any",
    "argmax",
    "argmin",
    "argsort",
    "batch_norm",
    "bucketize",
    "clamp",
    "count_nonzero",
    "cross_entropy",
    "cummax",
    "cummin",
    "cumprod",
    "cumsum",
    "group_norm",
    "histogram",
    "instance_norm",
    "isclose",
    "kthvalue",
    "layer_norm",
    "lerp",
    "local_response_norm",
    "log_softmax",
    "logcumsumexp",
    "logsumexp",
    "masked_fill",
    "masked_scatter",
    "masked_select",
    "max_with_index",
    "median",
    "min_with_index",
    "nanmean",
    "nansum",
    "norm",
    "quantile",
    "rms_norm",
    "searchsorted",
    "softmax",
    "softmin",
    "sort",
    "std",
    "topk",
];

/// The outputs of `op`; `None` if it is not in this table.
pub fn call(op: &str, p: &Params, x: &[Tensor]) -> Outputs {
    arithmetic(op, x).or_else(|| reduction(op, p, x))
}

fn arithmetic(op: &str, x: &[Tensor]) -> Outputs {
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
        "where" => x[0].select(&x[1], &x[2]),
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
        _ => return None,
    }])
}
