"""Recomputes ops.json with JAX (and NumPy) in f64 and fails where outputs or gradients differ.

It reads nothing but the file, so it also shows that the parameters there say all there is to say.
"""

import jax

jax.config.update("jax_enable_x64", True)
jax.config.update("jax_platforms", "cpu")

import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.scipy.linalg import block_diag
from jax.scipy.special import logsumexp

from common import made_with, read

RTOL, ATOL = 1e-11, 1e-12


def axes(p):
    return None if p["axes"] is None else tuple(p["axes"])


def reduction(function, **names):
    """A jnp reduction; `names` maps its keyword to our parameter."""
    return lambda p, x: function(x, axis=axes(p), keepdims=p["keepdim"], **{k: p[v] for k, v in names.items()})


def along(function):
    return lambda p, x: function(x, axis=p["axis"])


def norm(p, x):
    order, magnitude, where = float(p["p"]), jnp.abs(x), axes(p)
    keep = p["keepdim"]
    if order == 0:
        return jnp.sum(x != 0, axis=where, keepdims=keep).astype(x.dtype)
    if np.isinf(order):
        return (jnp.max if order > 0 else jnp.min)(magnitude, axis=where, keepdims=keep)
    return jnp.sum(magnitude**order, axis=where, keepdims=keep) ** (1 / order)


def with_index(values, index):
    """Values at the index that a search along an axis found, and the index."""

    def run(p, x):
        i = index(x, axis=p["axis"], keepdims=True)
        v = jnp.take_along_axis(x, i, p["axis"])
        return (v, i) if p["keepdim"] else (v.squeeze(p["axis"]), i.squeeze(p["axis"]))

    return run


def ranked(rank):
    """The element of a given rank (a function of the parameters and the length) along the axis."""

    def run(p, x):
        order = jnp.argsort(x, axis=p["axis"])
        i = lax.slice_in_dim(order, rank(p, x.shape[p["axis"]]), rank(p, x.shape[p["axis"]]) + 1, axis=p["axis"] % x.ndim)
        v = jnp.take_along_axis(x, i, p["axis"])
        return (v, i) if p["keepdim"] else (v.squeeze(p["axis"]), i.squeeze(p["axis"]))

    return run


def sort(p, x):
    i = jnp.argsort(x, axis=p["axis"], stable=True, descending=p["descending"])
    return jnp.take_along_axis(x, i, p["axis"]), i


def topk(p, x):
    i = jnp.argsort(x, axis=p["axis"], descending=p["largest"])
    i = lax.slice_in_dim(i, 0, p["k"], axis=p["axis"] % x.ndim)
    return jnp.take_along_axis(x, i, p["axis"]), i


def searchsorted(p, edges, x):
    side = "right" if p["right"] else "left"
    if edges.ndim == 1:
        return jnp.searchsorted(edges, x, side=side)
    return jnp.stack([jnp.searchsorted(e, row, side=side) for e, row in zip(edges, x)])


def running_extreme(better):
    """cummax / cummin with the index, in a plain loop over the axis."""

    def run(p, x):
        columns = np.moveaxis(np.asarray(lax.stop_gradient(x)), p["axis"], 0)
        best = np.zeros(columns.shape, int)
        for t in range(1, len(columns)):
            past = np.take_along_axis(columns, best[t - 1 : t], 0)[0]
            best[t] = np.where(better(columns[t], past), t, best[t - 1])
        index = jnp.moveaxis(jnp.asarray(best), 0, p["axis"])
        return jnp.take_along_axis(x, index, p["axis"]), index

    return run


def repeat(p, x):
    return jnp.tile(x, p["repeats"])


def unfold(p, x):
    starts = np.arange(0, x.shape[p["axis"]] - p["size"] + 1, p["step"])
    windows = jnp.take(x, starts[:, None] + np.arange(p["size"]), axis=p["axis"])
    return jnp.moveaxis(windows, p["axis"] % x.ndim + 1, -1)


def split(p, x):
    return tuple(jnp.split(x, np.cumsum(p["sizes"])[:-1], axis=p["axis"]))


def chunk(p, x):
    """Parts of ceil(n / chunks), the last one shorter."""
    length = x.shape[p["axis"]]
    return tuple(jnp.split(x, range(-(-length // p["chunks"]), length, -(-length // p["chunks"])), axis=p["axis"]))


def targets(p, x, index):
    """NumPy's index tuple for gather and scatter along an axis."""
    grid = list(np.indices(index.shape))
    grid[p["axis"]] = np.asarray(index)
    return tuple(grid)


def scatter(p, x, index, source):
    """Set; NumPy defines that the last of several assignments to one element stays."""
    winner = np.full(x.shape, -1)
    winner[targets(p, x, index)] = np.arange(index.size).reshape(index.shape)
    return jnp.where(winner >= 0, source.reshape(-1)[np.maximum(winner, 0)], x)


def index_add(p, x, index, source):
    moved = jnp.moveaxis(x, p["axis"], 0).at[index].add(jnp.moveaxis(source, p["axis"], 0))
    return jnp.moveaxis(moved, 0, p["axis"])


def index_put(p, x, values, *index):
    return x.at[index].add(values) if p["accumulate"] else x.at[index].set(values)


def embedding(p, weight, index):
    rows = jnp.take(weight, index, axis=0)
    if p["padding_idx"] is None:
        return rows
    return jnp.where((index == p["padding_idx"])[..., None], lax.stop_gradient(rows), rows)


def normalized(x, over, eps):
    mean = jnp.mean(x, axis=over, keepdims=True)
    centred = x - mean
    return centred / jnp.sqrt(jnp.mean(centred**2, axis=over, keepdims=True) + eps)


def channels(parameter, x):
    return parameter.reshape((1, -1) + (1,) * (x.ndim - 2))


def affine(x, weight, bias):
    return x * channels(weight, x) + channels(bias, x)


def batch_norm(p, x, weight, bias, mean=None, var=None):
    if p["training"]:
        return affine(normalized(x, (0, *range(2, x.ndim)), p["eps"]), weight, bias)
    return affine((x - channels(mean, x)) / jnp.sqrt(channels(var, x) + p["eps"]), weight, bias)


def trailing(p):
    return tuple(range(-len(p["normalized_shape"]), 0))


def group_norm(p, x, weight, bias):
    grouped = x.reshape(x.shape[0], p["groups"], -1)
    return affine(normalized(grouped, (2,), p["eps"]).reshape(x.shape), weight, bias)


def rms_norm(p, x, weight):
    return x / jnp.sqrt(jnp.mean(x**2, axis=trailing(p), keepdims=True) + p["eps"]) * weight


def local_response_norm(p, x):
    """x / (k + alpha · mean over a window of `size` channels of x²)^beta; size // 2 channels reach back."""
    back = p["size"] // 2
    squares = jnp.pad(x**2, [(0, 0), (back, p["size"] - 1 - back), (0, 0)])
    window = sum(squares[:, i : i + x.shape[1]] for i in range(p["size"])) / p["size"]
    return x / (p["k"] + p["alpha"] * window) ** p["beta"]


def pad(p, x):
    """Crops the negative amounts first, then pads the positive ones."""
    mode = {"constant": "constant", "reflect": "reflect", "replicate": "edge", "circular": "wrap"}[p["mode"]]
    crop = tuple(slice(max(-b, 0), n - max(-a, 0)) for n, (b, a) in zip(x.shape, p["pads"]))
    amounts = [(max(b, 0), max(a, 0)) for b, a in p["pads"]]
    value = {"constant_values": p["value"]} if mode == "constant" else {}
    return jnp.pad(x[crop], amounts, mode=mode, **value)


def cross_entropy(p, logits, target):
    log_p = jax.nn.log_softmax(logits, axis=1)
    if jnp.issubdtype(target.dtype, jnp.integer):
        target = jnp.moveaxis(jax.nn.one_hot(target, logits.shape[1], dtype=logits.dtype), -1, 1)
    target = target * (1 - p["label_smoothing"]) + p["label_smoothing"] / logits.shape[1]
    losses = -jnp.sum(target * log_p, axis=1)
    return {"mean": jnp.mean, "sum": jnp.sum, "none": lambda x: x}[p["reduction"]](losses)


def masked_scatter(p, x, mask, source):
    order = np.cumsum(np.asarray(mask).reshape(-1)).reshape(mask.shape) - 1
    return jnp.where(mask, source[np.maximum(order, 0)], x)


def masked_select(p, x, mask):
    return x[np.nonzero(np.broadcast_to(np.asarray(mask), x.shape))]


def plain(function):
    """An operation without parameters."""
    return lambda p, *xs: function(*xs)


JAX = {
    "sum": reduction(jnp.sum), "mean": reduction(jnp.mean), "prod": reduction(jnp.prod),
    "amax": reduction(jnp.max), "amin": reduction(jnp.min), "logsumexp": reduction(logsumexp),
    "var": reduction(jnp.var, ddof="correction"), "std": reduction(jnp.std, ddof="correction"), "norm": norm,
    "nansum": reduction(jnp.nansum), "nanmean": reduction(jnp.nanmean), "any": reduction(jnp.any), "all": reduction(jnp.all),
    "count_nonzero": lambda p, x: jnp.count_nonzero(x, axis=axes(p)),
    "argmax": lambda p, x: jnp.argmax(x, p["axis"], keepdims=p["keepdim"]),
    "argmin": lambda p, x: jnp.argmin(x, p["axis"], keepdims=p["keepdim"]),
    "max_with_index": with_index(jnp.max, jnp.argmax), "min_with_index": with_index(jnp.min, jnp.argmin),
    "aminmax": lambda p, x: (jnp.min(x, p["axis"], keepdims=p["keepdim"]), jnp.max(x, p["axis"], keepdims=p["keepdim"])),
    "median": ranked(lambda p, n: (n - 1) // 2), "kthvalue": ranked(lambda p, n: p["k"] - 1),
    "quantile": lambda p, x: jnp.quantile(x, jnp.asarray(p["q"]), axis=p["axis"], keepdims=p["keepdim"]),
    "sort": sort, "topk": topk, "argsort": lambda p, x: sort(p, x)[1],
    "searchsorted": searchsorted, "bucketize": lambda p, x, edges: searchsorted(p, edges, x),
    "histogram": lambda p, x: jnp.histogram(x, p["bins"], (p["low"], p["high"]))[0],
    "cumsum": along(jnp.cumsum), "cumprod": along(jnp.cumprod), "logcumsumexp": lambda p, x: lax.cumlogsumexp(x, p["axis"] % x.ndim),
    "cummax": running_extreme(np.greater_equal), "cummin": running_extreme(np.less_equal),
    "reshape": lambda p, x: x.reshape(p["shape"]),
    "flatten": lambda p, x: x.reshape(*x.shape[: p["start"]], -1, *x.shape[p["end"] + 1 :]),
    "unflatten": lambda p, x: x.reshape(*x.shape[: p["axis"] % x.ndim], *p["sizes"], *x.shape[p["axis"] % x.ndim + 1 :]),
    "squeeze": lambda p, x: jnp.squeeze(x, axes(p)), "unsqueeze": lambda p, x: jnp.expand_dims(x, p["axis"]),
    "transpose": lambda p, x: jnp.swapaxes(x, *p["axes"]), "permute": lambda p, x: jnp.transpose(x, p["axes"]),
    "movedim": lambda p, x: jnp.moveaxis(x, p["from"], p["to"]), "expand": lambda p, x: jnp.broadcast_to(x, p["shape"]),
    "repeat": repeat, "tile": repeat, "repeat_interleave": lambda p, x: jnp.repeat(x, p["repeats"], p["axis"]),
    "roll": lambda p, x: jnp.roll(x, p["shifts"], p["axes"]), "flip": lambda p, x: jnp.flip(x, p["axes"]),
    "rot90": lambda p, x: jnp.rot90(x, p["k"], p["axes"]), "diag": lambda p, x: jnp.diag(x, p["offset"]),
    "diagonal": lambda p, x: jnp.diagonal(x, p["offset"], p["axis1"], p["axis2"]),
    "tril": lambda p, x: jnp.tril(x, p["diagonal"]), "triu": lambda p, x: jnp.triu(x, p["diagonal"]), "unfold": unfold,
    "cat": lambda p, *xs: jnp.concatenate(xs, p["axis"]), "stack": lambda p, *xs: jnp.stack(xs, p["axis"]),
    "hstack": lambda p, *xs: jnp.hstack(xs), "vstack": lambda p, *xs: jnp.vstack(xs), "split": split, "chunk": chunk,
    "unbind": lambda p, x: tuple(jnp.moveaxis(x, p["axis"], 0)),
    "meshgrid": lambda p, *xs: tuple(jnp.meshgrid(*xs, indexing=p["indexing"])), "block_diag": plain(block_diag),
    "index_select": lambda p, x, i: jnp.take(x, i, axis=p["axis"]), "take": lambda p, x, i: jnp.take(x, i),
    "gather": lambda p, x, i: x[targets(p, x, i)], "take_along": lambda p, x, i: jnp.take_along_axis(x, i, p["axis"]),
    "scatter": scatter, "scatter_add": lambda p, x, i, s: x.at[targets(p, x, i)].add(s), "index_add": index_add,
    "index_put": index_put, "embedding": embedding,
    "slice": lambda p, x: lax.slice_in_dim(x, p["start"], p["end"], p["step"], p["axis"]),
    "slice_scatter": lambda p, x, s: jnp.moveaxis(
        jnp.moveaxis(x, p["axis"], 0).at[p["start"] : p["end"] : p["step"]].set(jnp.moveaxis(s, p["axis"], 0)), 0, p["axis"]),
    "one_hot": lambda p, i: jax.nn.one_hot(i, p["classes"], dtype=jnp.int64),
    **{op: plain(jnp.matmul) for op in ("mv", "mm", "bmm", "matmul")}, "dot": plain(jnp.dot), "outer": plain(jnp.outer),
    "addmm": lambda p, c, a, b: p["beta"] * c + p["alpha"] * (a @ b),
    "einsum": lambda p, *xs: jnp.einsum(p["equation"], *xs), "tensordot": lambda p, a, b: jnp.tensordot(a, b, p["axes"]),
    "batch_norm": batch_norm, "group_norm": group_norm, "rms_norm": rms_norm, "local_response_norm": local_response_norm,
    "layer_norm": lambda p, x, w, b: normalized(x, trailing(p), p["eps"]) * w + b,
    "instance_norm": lambda p, x, w, b: affine(normalized(x, tuple(range(2, x.ndim)), p["eps"]), w, b),
    "softmax": along(jax.nn.softmax), "log_softmax": along(jax.nn.log_softmax),
    "softmin": lambda p, x: jax.nn.softmax(-x, p["axis"]), "pad": pad, "cross_entropy": cross_entropy,
    "where": plain(jnp.where), "clamp": lambda p, x: jnp.clip(x, p["min"], p["max"]),
    "masked_fill": lambda p, x, m: jnp.where(m, p["value"], x), "masked_select": masked_select, "masked_scatter": masked_scatter,
    "add": plain(jnp.add), "sub": plain(jnp.subtract), "mul": plain(jnp.multiply), "div": plain(jnp.divide),
    "maximum": plain(jnp.maximum), "minimum": plain(jnp.minimum), "fmax": plain(jnp.fmax), "fmin": plain(jnp.fmin),
    "atan2": plain(jnp.arctan2), "hypot": plain(lambda a, b: jnp.sqrt(a * a + b * b)), "remainder": plain(jnp.remainder),
    "fmod": plain(jnp.fmod), "floor_div": plain(jnp.floor_divide), "logaddexp": plain(jnp.logaddexp),
    "copysign": plain(lambda a, b: jnp.abs(a) * jnp.sign(b)), "pow": plain(jnp.power), "xlogy": plain(jax.scipy.special.xlogy),
    "lerp": plain(lambda a, b, w: a + w * (b - a)),
    "addcmul": lambda p, x, a, b: x + p["value"] * a * b, "addcdiv": lambda p, x, a, b: x + p["value"] * a / b,
    "isclose": lambda p, a, b: jnp.isclose(a, b, p["rtol"], p["atol"], p["equal_nan"]),
}


def decode(value):
    data = [float(x) if isinstance(x, str) else x for x in value["data"]]
    dtype = {"f64": np.float64, "i64": np.int64, "bool": bool}[value["dtype"]]
    return jnp.asarray(np.array(data, dtype).reshape(value["shape"]))


def compare(case):
    """Outputs and gradients of one case against the file."""
    inputs = [decode(value) for value in case["inputs"]]
    floating = [i for i, x in enumerate(inputs) if x.dtype == jnp.float64]
    weighted = [i for i, c in enumerate(case["cotangents"]) if c is not None]

    def run(*active):
        filled = list(inputs)
        for i, x in zip(floating, active):
            filled[i] = x
        outputs = JAX[case["op"]](case["params"], *filled)
        outputs = outputs if isinstance(outputs, tuple) else (outputs,)
        return [outputs[i] for i in weighted], outputs

    _, pullback, outputs = jax.vjp(run, *(inputs[i] for i in floating), has_aux=True)
    assert len(outputs) == len(case["outputs"]), "number of outputs"
    for ours, theirs in zip(outputs, case["outputs"]):
        assert list(ours.shape) == theirs["shape"], f"shape {ours.shape}"
        np.testing.assert_allclose(ours, decode(theirs), RTOL, ATOL)
    cotangents = [jnp.asarray(case["cotangents"][i], jnp.float64).reshape(outputs[i].shape) for i in weighted]
    for i, gradient in zip(floating, pullback(cotangents)):
        expected = case["grads"][i]
        expected = np.zeros(gradient.size) if expected is None else np.array(expected, float)
        np.testing.assert_allclose(np.ravel(gradient), expected, RTOL, ATOL)


def main():
    cases = read("ops.json")
    failures = []
    for case in cases:
        try:
            compare(case)
        except Exception as error:  # collected, so that one run shows every disagreement
            failures.append(f"{case['op']} ({case['case']}): {type(error).__name__} {error}")
    if failures:
        raise SystemExit(f"ops.json: JAX disagrees in {len(failures)} cases\n" + "\n".join(failures))
    print(f"ops.json: {len(cases)} cases agree with JAX and NumPy {made_with('jax', 'numpy')}")


if __name__ == "__main__":
    main()
