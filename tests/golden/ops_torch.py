"""The operations of ops.json in PyTorch: one function of (parameters, tensors...) per name."""

import torch
import torch.nn.functional as F


def dims(p):
    """torch.sum and kin take no empty list for "all axes"."""
    return None if p["axes"] is None else tuple(p["axes"])


def over_axes(function):
    """A reduction that PyTorch has for one axis, over a set of axes."""

    def reduce(p, x):
        axes = range(x.dim()) if p["axes"] is None else p["axes"]
        axes = sorted((a % max(x.dim(), 1) for a in axes), reverse=True)
        for axis in axes:
            x = function(x, axis, p["keepdim"])
        return x

    return reduce


def all_dims(p, x):
    return tuple(range(x.dim())) if p["axes"] is None else tuple(p["axes"])


def norm(p, x):
    return torch.linalg.vector_norm(x, float(p["p"]), dim=dims(p), keepdim=p["keepdim"])


def quantile(p, x):
    return torch.quantile(x, torch.tensor(p["q"], dtype=x.dtype), dim=p["axis"], keepdim=p["keepdim"])


def histogram(p, x):
    return torch.histc(x, p["bins"], p["low"], p["high"]).to(torch.int64)


def scatter(p, x, index, source):
    """Set, the last duplicate wins: PyTorch leaves that open, so the winner is found in a plain loop."""
    axis = p["axis"]
    winner = torch.full(x.shape, -1)
    for flat, position in enumerate(torch.cartesian_prod(*(torch.arange(n) for n in index.shape)).tolist()):
        target = list(position)
        target[axis] = int(index[tuple(position)])
        winner[tuple(target)] = flat
    chosen = source.reshape(-1)[winner.clamp(min=0)]
    result = torch.where(winner >= 0, chosen, x)
    if len(set(winner[winner >= 0].tolist())) == index.numel():  # no duplicates: PyTorch can say, too
        assert torch.equal(result, torch.scatter(x, axis, index, source))
    return result


def pad(p, x):
    """PyTorch lists the last axis first, and pads only trailing axes in the modes other than constant."""
    pairs = p["pads"] if p["mode"] == "constant" else p["pads"][2:]
    flat = [n for pair in reversed(pairs) for n in pair]
    return F.pad(x, flat, mode=p["mode"], value=p["value"] if p["mode"] == "constant" else None)


def batch_norm(p, x, weight, bias, mean=None, var=None):
    if p["training"]:
        return F.batch_norm(x, None, None, weight, bias, training=True, eps=p["eps"])
    # PyTorch has no gradient for given statistics, so they are applied by hand and compared.
    column = (1, -1) + (1,) * (x.dim() - 2)
    scale = weight / torch.sqrt(var + p["eps"])
    result = (x - mean.view(column)) * scale.view(column) + bias.view(column)
    torch.testing.assert_close(result, F.batch_norm(x, mean.detach(), var.detach(), weight, bias, eps=p["eps"]))
    return result


def cross_entropy(p, logits, target):
    return F.cross_entropy(logits, target, reduction=p["reduction"], label_smoothing=p["label_smoothing"])


def slice_(p, x):
    index = [slice(None)] * x.dim()
    index[p["axis"]] = slice(p["start"], p["end"], p["step"])
    return x[tuple(index)]


def binary(function):
    return lambda p, x, y: function(x, y)


TORCH = {
    "sum": lambda p, x: torch.sum(x, dims(p), p["keepdim"]),
    "mean": lambda p, x: torch.mean(x, dims(p), p["keepdim"]),
    "prod": over_axes(torch.prod),
    "amax": lambda p, x: torch.amax(x, all_dims(p, x), p["keepdim"]),
    "amin": lambda p, x: torch.amin(x, all_dims(p, x), p["keepdim"]),
    "logsumexp": lambda p, x: torch.logsumexp(x, all_dims(p, x), p["keepdim"]),
    "var": lambda p, x: torch.var(x, dims(p), correction=p["correction"], keepdim=p["keepdim"]),
    "std": lambda p, x: torch.std(x, dims(p), correction=p["correction"], keepdim=p["keepdim"]),
    "norm": norm,
    "nansum": lambda p, x: torch.nansum(x, dims(p), p["keepdim"]),
    "nanmean": lambda p, x: torch.nanmean(x, dims(p), p["keepdim"]),
    "count_nonzero": lambda p, x: torch.count_nonzero(x, dims(p)),
    "any": over_axes(torch.any),
    "all": over_axes(torch.all),
    "argmax": lambda p, x: torch.argmax(x, p["axis"], p["keepdim"]),
    "argmin": lambda p, x: torch.argmin(x, p["axis"], p["keepdim"]),
    "max_with_index": lambda p, x: tuple(torch.max(x, p["axis"], p["keepdim"])),
    "min_with_index": lambda p, x: tuple(torch.min(x, p["axis"], p["keepdim"])),
    "aminmax": lambda p, x: tuple(torch.aminmax(x, dim=p["axis"], keepdim=p["keepdim"])),
    "median": lambda p, x: tuple(torch.median(x, p["axis"], p["keepdim"])),
    "quantile": quantile,
    "sort": lambda p, x: tuple(torch.sort(x, dim=p["axis"], descending=p["descending"], stable=True)),
    "argsort": lambda p, x: torch.argsort(x, dim=p["axis"], descending=p["descending"], stable=True),
    "topk": lambda p, x: tuple(torch.topk(x, p["k"], p["axis"], p["largest"], sorted=True)),
    "kthvalue": lambda p, x: tuple(torch.kthvalue(x, p["k"], p["axis"], p["keepdim"])),
    "searchsorted": lambda p, edges, x: torch.searchsorted(edges, x, right=p["right"]),
    "bucketize": lambda p, x, edges: torch.bucketize(x, edges, right=p["right"]),
    "histogram": histogram,
    "cumsum": lambda p, x: torch.cumsum(x, p["axis"]),
    "cumprod": lambda p, x: torch.cumprod(x, p["axis"]),
    "cummax": lambda p, x: tuple(torch.cummax(x, p["axis"])),
    "cummin": lambda p, x: tuple(torch.cummin(x, p["axis"])),
    "logcumsumexp": lambda p, x: torch.logcumsumexp(x, p["axis"]),
    "reshape": lambda p, x: x.reshape(p["shape"]),
    "flatten": lambda p, x: x.flatten(p["start"], p["end"]),
    "unflatten": lambda p, x: x.unflatten(p["axis"], p["sizes"]),
    "squeeze": lambda p, x: x.squeeze() if p["axes"] is None else x.squeeze(tuple(p["axes"])),
    "unsqueeze": lambda p, x: x.unsqueeze(p["axis"]),
    "transpose": lambda p, x: x.transpose(*p["axes"]),
    "permute": lambda p, x: x.permute(p["axes"]),
    "movedim": lambda p, x: x.movedim(p["from"], p["to"]),
    "expand": lambda p, x: x.expand(p["shape"]),
    "repeat": lambda p, x: x.repeat(p["repeats"]),
    "tile": lambda p, x: torch.tile(x, p["repeats"]),
    "repeat_interleave": lambda p, x: x.repeat_interleave(p["repeats"], p["axis"]),
    "roll": lambda p, x: x.roll(p["shifts"], p["axes"]),
    "flip": lambda p, x: x.flip(p["axes"]),
    "rot90": lambda p, x: x.rot90(p["k"], p["axes"]),
    "diag": lambda p, x: x.diag(p["offset"]),
    "diagonal": lambda p, x: x.diagonal(p["offset"], p["axis1"], p["axis2"]),
    "tril": lambda p, x: x.tril(p["diagonal"]),
    "triu": lambda p, x: x.triu(p["diagonal"]),
    "unfold": lambda p, x: x.unfold(p["axis"], p["size"], p["step"]),
    "cat": lambda p, *xs: torch.cat(xs, p["axis"]),
    "stack": lambda p, *xs: torch.stack(xs, p["axis"]),
    "hstack": lambda p, *xs: torch.hstack(xs),
    "vstack": lambda p, *xs: torch.vstack(xs),
    "split": lambda p, x: x.split(p["sizes"], p["axis"]),
    "chunk": lambda p, x: x.chunk(p["chunks"], p["axis"]),
    "unbind": lambda p, x: x.unbind(p["axis"]),
    "meshgrid": lambda p, *xs: torch.meshgrid(*xs, indexing=p["indexing"]),
    "block_diag": lambda p, *xs: torch.block_diag(*xs),
    "index_select": lambda p, x, i: x.index_select(p["axis"], i),
    "gather": lambda p, x, i: x.gather(p["axis"], i),
    "take": lambda p, x, i: x.take(i),
    "take_along": lambda p, x, i: torch.take_along_dim(x, i, p["axis"]),
    "scatter": scatter,
    "scatter_add": lambda p, x, i, s: x.scatter_add(p["axis"], i, s),
    "index_add": lambda p, x, i, s: x.index_add(p["axis"], i, s),
    "index_put": lambda p, x, v, *i: x.index_put(i, v, p["accumulate"]),
    "embedding": lambda p, w, i: F.embedding(i, w, padding_idx=p["padding_idx"]),
    "slice": slice_,
    "slice_scatter": lambda p, x, s: x.slice_scatter(s, p["axis"], p["start"], p["end"], p["step"]),
    "one_hot": lambda p, i: F.one_hot(i, p["classes"]),
    "dot": binary(torch.dot),
    "mv": binary(torch.mv),
    "mm": binary(torch.mm),
    "bmm": binary(torch.bmm),
    "matmul": binary(torch.matmul),
    "outer": binary(torch.outer),
    "addmm": lambda p, c, a, b: torch.addmm(c, a, b, alpha=p["alpha"], beta=p["beta"]),
    "einsum": lambda p, *xs: torch.einsum(p["equation"], *xs),
    "tensordot": lambda p, a, b: torch.tensordot(a, b, dims=p["axes"]),
    "batch_norm": batch_norm,
    "layer_norm": lambda p, x, w, b: F.layer_norm(x, p["normalized_shape"], w, b, p["eps"]),
    "group_norm": lambda p, x, w, b: F.group_norm(x, p["groups"], w, b, p["eps"]),
    "instance_norm": lambda p, x, w, b: F.instance_norm(x, weight=w, bias=b, eps=p["eps"]),
    "rms_norm": lambda p, x, w: F.rms_norm(x, p["normalized_shape"], w, p["eps"]),
    "local_response_norm": lambda p, x: F.local_response_norm(x, p["size"], p["alpha"], p["beta"], p["k"]),
    "softmax": lambda p, x: F.softmax(x, p["axis"]),
    "log_softmax": lambda p, x: F.log_softmax(x, p["axis"]),
    "softmin": lambda p, x: F.softmin(x, p["axis"]),
    "pad": pad,
    "cross_entropy": cross_entropy,
    "where": lambda p, c, x, y: torch.where(c, x, y),
    "clamp": lambda p, x: x.clamp(p["min"], p["max"]),
    "masked_fill": lambda p, x, m: x.masked_fill(m, p["value"]),
    "masked_select": lambda p, x, m: x.masked_select(m),
    "masked_scatter": lambda p, x, m, s: x.masked_scatter(m, s),
    **{op: binary(getattr(torch, op)) for op in
       ("add", "sub", "mul", "div", "maximum", "minimum", "fmax", "fmin", "atan2", "hypot", "remainder", "fmod",
        "logaddexp", "copysign", "pow", "xlogy")},
    "floor_div": lambda p, x, y: torch.floor_divide(x.detach(), y.detach()),
    "lerp": lambda p, a, b, w: torch.lerp(a, b, w),
    "addcmul": lambda p, x, a, b: torch.addcmul(x, a, b, value=p["value"]),
    "addcdiv": lambda p, x, a, b: torch.addcdiv(x, a, b, value=p["value"]),
    "isclose": lambda p, a, b: torch.isclose(a, b, p["rtol"], p["atol"], p["equal_nan"]),
}
