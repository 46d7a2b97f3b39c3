"""The cases of ops.json as data: operation, label, named parameters, inputs.

Axes count from the front, or from the back when negative. `axes: null` means all axes. What the
parameters of each operation mean is written in README.md; ops_torch.py and ops_jax.py evaluate them.
"""

import random

from common import SEED

RNG = random.Random(SEED)
CASES = []


def case(op, label, params, *inputs):
    CASES.append({"op": op, "case": label, "params": params, "inputs": list(inputs)})


def size(shape):
    total = 1
    for n in shape:
        total *= n
    return total


def floats(*shape, low=-2.0, high=2.0):
    """Generic numbers: distinct, away from kinks and from 0 (no element within 0.01 of an integer)."""
    data = []
    while len(data) < size(shape):
        x = round(RNG.uniform(low, high), 6)
        if abs(x - round(x)) > 0.01 and x not in data:
            data.append(x)
    return {"shape": list(shape), "dtype": "f64", "data": data}


def positive(*shape):
    return floats(*shape, low=0.2, high=2.5)


def given(shape, data, dtype="f64"):
    return {"shape": list(shape), "dtype": dtype, "data": data}


def indices(*shape, below):
    return given(shape, [RNG.randrange(below) for _ in range(size(shape))], "i64")


def permutations(rows, length, below):
    """Rows of distinct indices, so that a scatter has no duplicates."""
    return given((rows, length), [i for _ in range(rows) for i in RNG.sample(range(below), length)], "i64")


def bools(*shape):
    data = [RNG.random() < 0.5 for _ in range(size(shape))]
    if data:
        data[0], data[-1] = True, False
    return given(shape, data, "bool")


def with_values(tensor, values):
    """The tensor with some elements replaced: {flat index: value}."""
    for i, value in values.items():
        tensor["data"][i] = value
    return tensor


AXES = [("all", None, False), ("all, kept", None, True), ("first", [0], False), ("last", [-1], False),
        ("middle, kept", [1], True), ("first and last", [0, 2], False), ("two, kept", [-2, -1], True),
        ("none of them reduced", [], False)]


def reductions():
    for op in ("sum", "mean", "prod", "amax", "amin", "logsumexp"):
        for label, axes, keepdim in AXES[:-1]:
            case(op, label, {"axes": axes, "keepdim": keepdim}, floats(2, 3, 4))
    for op in ("sum", "prod", "mean"):
        case(op, "0-d", {"axes": None, "keepdim": False}, floats())
        case(op, "one axis of length 1", {"axes": [1], "keepdim": False}, floats(3, 1))
    for op in ("sum", "prod"):
        case(op, "empty axis", {"axes": [1], "keepdim": False}, given((2, 0), []))
        case(op, "everything empty", {"axes": None, "keepdim": False}, given((0, 3), []))
        case(op, "no result", {"axes": [1], "keepdim": False}, given((0, 3), []))
    case("prod", "one zero in a row", {"axes": [1], "keepdim": False}, with_values(floats(3, 4), {5: 0.0}))
    case("prod", "two zeros in a row", {"axes": [1], "keepdim": False}, with_values(floats(3, 4), {5: 0.0, 7: 0.0}))
    case("prod", "zero, all axes", {"axes": None, "keepdim": False}, with_values(floats(2, 3), {4: 0.0}))
    for op in ("var", "std"):
        for correction in (0, 1):
            for label, axes, keepdim in (AXES[0], AXES[2], AXES[4], AXES[5]):
                case(op, f"{label}, correction {correction}", {"axes": axes, "keepdim": keepdim, "correction": correction},
                     floats(2, 3, 4))
    case("var", "large offset", {"axes": [1], "keepdim": False, "correction": 1},
         given((2, 4), [1e6 + x for x in (0.25, 1.5, -0.75, 2.0, 3.5, -1.25, 0.5, 0.75)]))
    for p in (0, 1, 2, 3, 0.5, "inf", "-inf"):
        case("norm", f"p={p}, all", {"p": p, "axes": None, "keepdim": False}, floats(2, 3))
        case("norm", f"p={p}, last, kept", {"p": p, "axes": [-1], "keepdim": True}, floats(2, 3, 4))
    case("norm", "p=2, two axes", {"p": 2, "axes": [0, 2], "keepdim": False}, floats(2, 3, 4))
    case("logsumexp", "large values", {"axes": [1], "keepdim": False}, given((2, 3), [1000.0, 999.5, 998.0, -1000.0, -1002.5, -999.25]))
    for op in ("nansum", "nanmean"):
        for label, axes, keepdim in (AXES[0], AXES[3], AXES[4]):
            case(op, label, {"axes": axes, "keepdim": keepdim}, with_values(floats(2, 3, 4), {1: "nan", 10: "nan", 11: "nan"}))
    for label, axes, keepdim in (AXES[0], AXES[3], AXES[6]):
        case("count_nonzero", label, {"axes": axes}, with_values(floats(2, 3, 4), {0: 0.0, 5: 0.0, 6: 0.0, 23: 0.0}))
        case("any", label, {"axes": axes, "keepdim": keepdim}, given((2, 3, 4), [False] * 8 + bools(2, 2, 4)["data"], "bool"))
        case("all", label, {"axes": axes, "keepdim": keepdim}, given((2, 3, 4), [True] * 8 + bools(2, 2, 4)["data"], "bool"))
    for op in ("argmax", "argmin"):
        case(op, "flat", {"axis": None, "keepdim": False}, floats(2, 3, 4))
        case(op, "first axis", {"axis": 0, "keepdim": False}, floats(2, 3, 4))
        case(op, "last axis, kept", {"axis": -1, "keepdim": True}, floats(2, 3, 4))
        case(op, "ties: the first", {"axis": 1, "keepdim": False}, given((2, 4), [1.5, 2.5, 2.5, 1.5, -1.0, -1.0, -1.0, -1.0]))
    for op in ("max_with_index", "min_with_index"):
        case(op, "first axis", {"axis": 0, "keepdim": False}, floats(2, 3, 4))
        case(op, "last axis, kept", {"axis": -1, "keepdim": True}, floats(2, 3, 4))
    case("aminmax", "last axis", {"axis": -1, "keepdim": False}, floats(2, 3, 4))
    case("median", "odd count", {"axis": 1, "keepdim": False}, floats(2, 3, 2))
    case("median", "even count: the lower", {"axis": -1, "keepdim": True}, floats(3, 4))
    for label, q, axis, keepdim in (("one quantile", [0.3], 1, False), ("three", [0.0, 0.37, 1.0], -1, False),
                                    ("kept", [0.25, 0.8], 0, True), ("flat", [0.61], None, False)):
        case("quantile", label, {"q": q, "axis": axis, "keepdim": keepdim}, floats(3, 5))


def sorting():
    for op in ("sort", "argsort"):
        for descending in (False, True):
            case(op, f"last, descending={descending}", {"axis": -1, "descending": descending}, floats(2, 3, 4))
        case(op, "middle axis", {"axis": 1, "descending": False}, floats(2, 4, 3))
        case(op, "stable", {"axis": 0, "descending": False}, given((6,), [2.5, 1.5, 2.5, -1.5, 1.5, 2.5]))
    case("topk", "largest 2 of the last axis", {"k": 2, "axis": -1, "largest": True}, floats(3, 5))
    case("topk", "smallest 3 of the first axis", {"k": 3, "axis": 0, "largest": False}, floats(5, 2))
    case("kthvalue", "second smallest", {"k": 2, "axis": -1, "keepdim": False}, floats(3, 5))
    case("kthvalue", "middle axis, kept", {"k": 1, "axis": 1, "keepdim": True}, floats(2, 4, 3))
    edges = given((5,), [-1.5, -0.5, 0.25, 0.25, 1.75])
    probes = given((2, 4), [-2.0, -1.5, -0.6, 0.25, 0.3, 1.75, 1.8, -0.5])
    for right in (False, True):
        case("searchsorted", f"1-d, right={right}", {"right": right}, edges, probes)
        case("searchsorted", f"row by row, right={right}", {"right": right},
             given((2, 3), [-1.0, 0.5, 2.0, -0.5, 0.25, 1.0]), given((2, 2), [0.5, 3.0, -0.5, 0.3]))
        case("bucketize", f"right={right}", {"right": right}, probes, edges)
    case("histogram", "four bins", {"bins": 4, "low": -2.0, "high": 2.0}, floats(20))
    case("histogram", "edges and outside", {"bins": 3, "low": 0.0, "high": 3.0}, given((8,), [0.0, 1.0, 2.0, 3.0, -0.1, 3.1, 1.5, 2.999]))


def scans():
    for op in ("cumsum", "cumprod", "cummax", "cummin", "logcumsumexp"):
        case(op, "first axis", {"axis": 0}, floats(3, 2))
        case(op, "middle axis", {"axis": 1}, floats(2, 4, 3))
        case(op, "last axis", {"axis": -1}, floats(2, 5))
    case("cumprod", "(0, 2, 3)", {"axis": 0}, given((3,), [0.0, 2.0, 3.0]))
    case("cumprod", "one zero a row", {"axis": 1}, with_values(floats(3, 4), {1: 0.0, 4: 0.0, 11: 0.0}))
    case("cumprod", "two zeros a row", {"axis": 1}, with_values(floats(2, 5), {1: 0.0, 3: 0.0, 5: 0.0, 9: 0.0}))
    case("logcumsumexp", "large values", {"axis": 0}, given((4,), [-1000.0, 1000.0, 999.5, 1001.25]))


def shapes():
    case("reshape", "2x3x4 to 4x6", {"shape": [4, 6]}, floats(2, 3, 4))
    case("reshape", "one inferred", {"shape": [3, -1, 2]}, floats(2, 3, 4))
    case("reshape", "to 0-d", {"shape": []}, floats(1, 1))
    case("flatten", "1..2", {"start": 1, "end": 2}, floats(2, 3, 4))
    case("unflatten", "last axis", {"axis": -1, "sizes": [2, 3]}, floats(2, 6))
    case("squeeze", "two axes", {"axes": [0, 2]}, floats(1, 3, 1, 2))
    case("squeeze", "all", {"axes": None}, floats(1, 3, 1, 2))
    case("unsqueeze", "in front", {"axis": 0}, floats(2, 3))
    case("unsqueeze", "at the end", {"axis": -1}, floats(2, 3))
    case("transpose", "0 and 2", {"axes": [0, 2]}, floats(2, 3, 4))
    case("permute", "1 2 0", {"axes": [1, 2, 0]}, floats(2, 3, 4))
    case("permute", "negative", {"axes": [-1, 0, -2]}, floats(2, 3, 4))
    case("movedim", "one", {"from": [0], "to": [-1]}, floats(2, 3, 4))
    case("movedim", "two", {"from": [0, 1], "to": [2, 0]}, floats(2, 3, 4))
    case("expand", "size 1 and a new axis", {"shape": [4, 2, 3]}, floats(2, 1))
    case("expand", "0-d", {"shape": [2, 3]}, floats())
    case("repeat", "every axis", {"repeats": [2, 3]}, floats(2, 2))
    case("repeat", "new axis in front", {"repeats": [2, 1, 3]}, floats(2, 2))
    case("tile", "fewer than the rank", {"repeats": [3]}, floats(2, 2))
    case("repeat_interleave", "middle axis", {"repeats": 2, "axis": 1}, floats(2, 3, 2))
    case("roll", "one axis", {"shifts": [1], "axes": [1]}, floats(2, 4))
    case("roll", "two axes, negative and past the end", {"shifts": [-1, 5], "axes": [0, 2]}, floats(2, 3, 4))
    case("flip", "one axis", {"axes": [-1]}, floats(2, 3))
    case("flip", "two axes", {"axes": [0, 2]}, floats(2, 3, 4))
    for k in (1, 2, 3, -1):
        case("rot90", f"k={k}", {"k": k, "axes": [0, 1]}, floats(2, 3))
    case("rot90", "other plane", {"k": 1, "axes": [2, 0]}, floats(2, 3, 2))
    for offset in (0, 1, -2):
        case("diag", f"vector to matrix, {offset}", {"offset": offset}, floats(3))
        case("diag", f"matrix to vector, {offset}", {"offset": offset}, floats(4, 3))
        case("diagonal", f"axes 0 1, offset {offset}", {"offset": offset, "axis1": 0, "axis2": 1}, floats(4, 3, 2))
        case("tril", f"{offset}", {"diagonal": offset}, floats(2, 3, 4))
        case("triu", f"{offset}", {"diagonal": offset}, floats(2, 3, 4))
    case("diagonal", "axes 2 0", {"offset": 0, "axis1": 2, "axis2": 0}, floats(3, 2, 4))
    case("unfold", "overlapping", {"axis": 0, "size": 3, "step": 1}, floats(5, 2))
    case("unfold", "with gaps, remainder dropped", {"axis": -1, "size": 2, "step": 3}, floats(2, 7))


def joins():
    case("cat", "first axis", {"axis": 0}, floats(2, 3), floats(1, 3), floats(3, 3))
    case("cat", "last axis", {"axis": -1}, floats(2, 1, 2), floats(2, 1, 3))
    case("cat", "an empty one", {"axis": 1}, floats(2, 2), given((2, 0), []), floats(2, 1))
    case("stack", "in front", {"axis": 0}, floats(2, 3), floats(2, 3))
    case("stack", "at the end", {"axis": -1}, floats(2, 3), floats(2, 3), floats(2, 3))
    case("hstack", "matrices", {}, floats(2, 3), floats(2, 1))
    case("hstack", "vectors", {}, floats(3), floats(2))
    case("vstack", "vectors", {}, floats(3), floats(3))
    case("vstack", "matrices", {}, floats(2, 3), floats(1, 3))
    case("split", "equal parts, shorter last", {"sizes": [2, 2, 1], "axis": 0}, floats(5, 2))
    case("split", "given sizes", {"sizes": [1, 3], "axis": -1}, floats(2, 4))
    case("chunk", "three of seven", {"chunks": 3, "axis": 1}, floats(2, 7))
    case("unbind", "middle axis", {"axis": 1}, floats(2, 3, 2))
    for indexing in ("ij", "xy"):
        case("meshgrid", indexing, {"indexing": indexing}, floats(2), floats(3))
    case("meshgrid", "three, ij", {"indexing": "ij"}, floats(2), floats(3), floats(2))
    case("block_diag", "three blocks", {}, floats(2, 3), floats(1, 1), floats(2, 1))


def indexing():
    case("index_select", "first axis, repeated", {"axis": 0}, floats(4, 3), given((5,), [2, 0, 2, 3, 2], "i64"))
    case("index_select", "last axis", {"axis": -1}, floats(2, 3, 4), indices(3, below=4))
    case("gather", "axis 1", {"axis": 1}, floats(3, 4), indices(3, 2, below=4))
    case("gather", "axis 0, smaller index", {"axis": 0}, floats(3, 4), indices(5, 2, below=3))
    case("gather", "axis -1 of three", {"axis": -1}, floats(2, 3, 4), indices(2, 3, 3, below=4))
    case("take", "flat indices, repeated", {}, floats(2, 3), given((2, 2), [5, 0, 5, 2], "i64"))
    case("take_along", "axis 1", {"axis": 1}, floats(2, 4), indices(2, 3, below=4))
    case("take_along", "index broadcast", {"axis": 1}, floats(3, 4), indices(1, 2, below=4))
    case("scatter", "axis 1, no duplicates", {"axis": 1}, floats(3, 5), permutations(3, 2, 5), floats(3, 2))
    case("scatter", "axis 0, no duplicates", {"axis": 0}, floats(4, 2), given((2, 2), [3, 0, 1, 2], "i64"), floats(2, 2))
    case("scatter", "duplicates: the last wins", {"axis": 1}, floats(2, 4), given((2, 4), [1, 1, 3, 1, 0, 2, 0, 2], "i64"), floats(2, 4))
    case("scatter_add", "axis 1, duplicates", {"axis": 1}, floats(2, 3), given((2, 4), [1, 1, 2, 1, 0, 2, 0, 0], "i64"), floats(2, 4))
    case("scatter_add", "axis 0", {"axis": 0}, floats(3, 2), indices(4, 2, below=3), floats(4, 2))
    case("index_add", "axis 0, duplicates", {"axis": 0}, floats(3, 2), given((4,), [2, 0, 2, 2], "i64"), floats(4, 2))
    case("index_add", "last axis", {"axis": -1}, floats(2, 4), given((3,), [1, 3, 1], "i64"), floats(2, 3))
    case("index_put", "set, no duplicates", {"accumulate": False}, floats(3, 4), floats(3),
         given((3,), [0, 2, 1], "i64"), given((3,), [3, 0, 3], "i64"))
    case("index_put", "add, duplicates", {"accumulate": True}, floats(3, 4), floats(4),
         given((4,), [0, 2, 0, 0], "i64"), given((4,), [3, 0, 3, 1], "i64"))
    case("index_put", "whole rows", {"accumulate": True}, floats(3, 2), floats(4, 2), given((4,), [1, 1, 0, 1], "i64"))
    case("embedding", "plain", {"padding_idx": None}, floats(5, 3), given((2, 3), [0, 4, 4, 2, 0, 4], "i64"))
    case("embedding", "padding row 2", {"padding_idx": 2}, floats(5, 3), given((4,), [2, 1, 2, 3], "i64"))
    case("slice", "step 2", {"axis": 1, "start": 1, "end": 6, "step": 2}, floats(2, 7))
    case("slice_scatter", "rows", {"axis": 0, "start": 1, "end": 3, "step": 1}, floats(4, 3), floats(2, 3))
    case("slice_scatter", "step 2", {"axis": 1, "start": 0, "end": 5, "step": 2}, floats(2, 5), floats(2, 3))
    case("one_hot", "4 classes", {"classes": 4}, given((2, 3), [0, 3, 1, 1, 2, 0], "i64"))


EINSUMS = [
    ("ij,jk->ik", (2, 3), (3, 4)), ("ij,jk", (2, 3), (3, 4)), ("ba", (2, 3)), ("ij->ji", (2, 3)), ("ii->", (3, 3)),
    ("ii", (3, 3)), ("ii->i", (3, 3)), ("ijj->ij", (2, 3, 3)), ("ij->", (2, 3)), ("ij->j", (2, 3)), ("i,i->", (4,), (4,)),
    ("i,j->ij", (2,), (3,)), ("ij,ij->ij", (2, 3), (2, 3)), ("bij,bjk->bik", (2, 2, 3), (2, 3, 2)),
    ("...ij,...jk->...ik", (2, 1, 2, 3), (3, 3, 2)), ("...i->...", (2, 3, 4)), ("...ii->...i", (2, 3, 3)), ("i...->...i", (2, 3, 4)),
    ("bi,ij,bj->b", (2, 3), (3, 4), (2, 4)), ("ij,jk,kl->il", (2, 3), (3, 2), (2, 4)), ("iij,jk->ik", (2, 2, 3), (3, 2)),
    ("ij,k->", (2, 3), (2,)), ("...a,...a->...", (2, 3), (3,)), ("b...c, c d -> b...d", (2, 2, 3), (3, 2)),
    ("ij,kj->ik", (2, 3), (1, 3)), ("...j,j...", (2, 3), (3, 2)),
]


def products():
    case("dot", "vectors", {}, floats(4), floats(4))
    case("mv", "matrix and vector", {}, floats(2, 3), floats(3))
    case("mm", "matrices", {}, floats(2, 3), floats(3, 4))
    case("bmm", "batches", {}, floats(2, 2, 3), floats(2, 3, 2))
    for left, right in [((3,), (3,)), ((3,), (3, 4)), ((2, 3), (3,)), ((2, 3), (3, 4)), ((3,), (2, 3, 4)), ((2, 2, 3), (3,)),
                        ((2, 2, 3), (3, 2)), ((2, 3), (2, 3, 2)), ((2, 1, 2, 3), (3, 3, 2)), ((2, 0), (0, 3)), ((1, 1), (1, 1))]:
        label = " @ ".join("x".join(map(str, s)) for s in (left, right))
        case("matmul", label, {}, floats(*left), floats(*right))
    case("outer", "vectors", {}, floats(2), floats(3))
    case("addmm", "plain", {"alpha": 1.0, "beta": 1.0}, floats(2, 4), floats(2, 3), floats(3, 4))
    case("addmm", "broadcast bias, alpha and beta", {"alpha": 0.7, "beta": -1.3}, floats(4), floats(2, 3), floats(3, 4))
    for equation, *operands in EINSUMS:
        case("einsum", equation, {"equation": equation}, *(floats(*s) for s in operands))
    case("tensordot", "one axis", {"axes": [[2], [0]]}, floats(2, 3, 4), floats(4, 2))
    case("tensordot", "two axes, crossed", {"axes": [[1, 2], [1, 0]]}, floats(2, 3, 4), floats(4, 3, 2))
    case("tensordot", "no axis", {"axes": [[], []]}, floats(2), floats(3))


def networks():
    case("batch_norm", "N C", {"training": True, "eps": 1e-5}, floats(5, 3), floats(3), floats(3))
    case("batch_norm", "N C H W", {"training": True, "eps": 1e-3}, floats(2, 3, 2, 2), floats(3), floats(3))
    case("batch_norm", "given statistics", {"training": False, "eps": 1e-5}, floats(3, 2), floats(2), floats(2), floats(2), positive(2))
    case("layer_norm", "last axis", {"normalized_shape": [4], "eps": 1e-5}, floats(2, 3, 4), floats(4), floats(4))
    case("layer_norm", "last two axes", {"normalized_shape": [3, 4], "eps": 1e-3}, floats(2, 3, 4), floats(3, 4), floats(3, 4))
    case("group_norm", "two groups of four", {"groups": 2, "eps": 1e-5}, floats(2, 4, 3), floats(4), floats(4))
    case("instance_norm", "N C H W", {"eps": 1e-5}, floats(2, 2, 2, 3), floats(2), floats(2))
    case("rms_norm", "last axis", {"normalized_shape": [4], "eps": 1e-5}, floats(2, 3, 4), floats(4))
    case("rms_norm", "last two axes", {"normalized_shape": [3, 2], "eps": 1e-3}, floats(2, 3, 2), floats(3, 2))
    for n in (3, 2):
        case("local_response_norm", f"size {n}", {"size": n, "alpha": 0.3, "beta": 0.75, "k": 1.5}, floats(2, 5, 2))
    for op in ("softmax", "log_softmax", "softmin"):
        for axis in (0, 1, -1):
            case(op, f"axis {axis}", {"axis": axis}, floats(2, 3, 4))
        case(op, "large values", {"axis": 1}, given((2, 3), [1000.0, 999.5, 998.0, -1000.0, -1002.5, -999.25]))
    case("softmax", "one -inf", {"axis": 0}, given((3,), [0.5, "-inf", 1.25]))
    pads = [("last axis", (2, 3, 4), [[0, 0], [0, 0], [2, 1]]), ("last two axes", (2, 2, 3, 4), [[0, 0], [0, 0], [1, 2], [3, 1]])]
    for label, shape, amounts in pads:
        for mode in ("constant", "reflect", "replicate", "circular"):
            case("pad", f"{mode}, {label}", {"pads": amounts, "mode": mode, "value": -0.5 if mode == "constant" else 0.0}, floats(*shape))
    case("pad", "constant, every axis", {"pads": [[1, 0], [0, 2]], "mode": "constant", "value": 0.0}, floats(2, 3))
    case("pad", "constant, negative crops", {"pads": [[-1, 1], [1, -2]], "mode": "constant", "value": 3.0}, floats(3, 4))
    for mode in ("reflect", "replicate", "circular"):
        case("pad", f"{mode}, negative crops", {"pads": [[0, 0], [0, 0], [-1, 2]], "mode": mode, "value": 0.0}, floats(1, 2, 5))
    for smoothing in (0.0, 0.1):
        for reduction in ("mean", "sum", "none"):
            case("cross_entropy", f"{reduction}, smoothing {smoothing}", {"reduction": reduction, "label_smoothing": smoothing},
                 floats(4, 3), given((4,), [2, 0, 1, 2], "i64"))
    case("cross_entropy", "classes on axis 1 of three", {"reduction": "mean", "label_smoothing": 0.0},
         floats(2, 3, 2), given((2, 2), [2, 0, 1, 1], "i64"))
    case("cross_entropy", "probabilities", {"reduction": "mean", "label_smoothing": 0.0}, floats(2, 3),
         given((2, 3), [0.2, 0.5, 0.3, 0.1, 0.1, 0.8]))


def selection_and_arithmetic():
    case("where", "same shape", {}, bools(2, 3), floats(2, 3), floats(2, 3))
    case("where", "all broadcast", {}, bools(3, 1), floats(2, 1, 4), floats())
    for low, high in ((-0.5, 0.75), (None, 0.5), (0.25, None)):
        case("clamp", f"{low}..{high}", {"min": low, "max": high}, floats(2, 3, 2))
    case("masked_fill", "broadcast mask", {"value": -7.5}, floats(2, 3), bools(3))
    case("masked_select", "same shape", {}, floats(2, 3), bools(2, 3))
    case("masked_select", "broadcast mask", {}, floats(2, 3), bools(3))
    case("masked_scatter", "in order", {}, floats(2, 3), given((2, 3), [False, True, True, False, False, True], "bool"), floats(4))
    broadcasts = [("same shape", (2, 3), (2, 3)), ("row", (2, 3, 4), (3, 1)), ("both ways", (2, 1, 4), (3, 1)), ("0-d", (), (2, 2))]
    for op in ("add", "sub", "mul", "div", "maximum", "minimum", "fmax", "fmin", "atan2", "hypot", "remainder", "fmod",
               "floor_div", "logaddexp", "copysign"):
        for label, left, right in broadcasts[:4 if op in ("add", "sub", "mul", "div", "maximum") else 2]:
            case(op, label, {}, floats(*left), floats(*right))
    for op, left, right in (("pow", positive, floats), ("xlogy", floats, positive)):
        for label, a, b in broadcasts[:3]:
            case(op, label, {}, left(*a), right(*b))
    case("lerp", "tensor weight", {}, floats(2, 3), floats(2, 3), positive(3))
    case("addcmul", "broadcast", {"value": 0.7}, floats(2, 3), floats(2, 1), floats(3))
    case("addcdiv", "broadcast", {"value": -1.3}, floats(2, 3), floats(2, 1), positive(3))
    case("isclose", "tolerances", {"rtol": 1e-5, "atol": 1e-8, "equal_nan": False},
         given((6,), [1.0, 1.0, 0.0, "nan", "inf", 100.0]), given((6,), [1.000009, 1.00002, 1e-9, "nan", "inf", 100.002]))
    case("isclose", "equal_nan", {"rtol": 0.1, "atol": 0.0, "equal_nan": True},
         given((4,), [1.0, "nan", "inf", "-inf"]), given((4,), [1.09, "nan", "-inf", "-inf"]))


GROUPS = (reductions, sorting, scans, shapes, joins, indexing, products, networks, selection_and_arithmetic)


def all_cases():
    """Every case, in order; the random numbers come from one fixed seed."""
    RNG.seed(SEED)
    CASES.clear()
    for group in GROUPS:
        group()
    names = [(c["op"], c["case"]) for c in CASES]
    if len(set(names)) != len(names):
        raise ValueError(f"two cases share a name: {[n for n in names if names.count(n) > 1]}")
    return CASES
