"""indexing.json: what NumPy reads and writes with an index, entry by entry.

An entry is an integer, `{"slice": [start, stop, step]}`, `"ellipsis"`, `"newaxis"`, `{"index": nested integers}` or
`{"mask": nested truth values}`. Every case indexes `arange(count).reshape(shape)`. `read` is the part; `set` is the array
after the part was assigned -1, -2, ... in row-major order (the last value wins), `add` after the same numbers were added,
as often as a place is named.

Where an integer stands beside index arrays, NumPy counts it as one of them; so no case has both.
"""

import itertools
import json

import numpy as np

from common import HERE, made_with

S = lambda start=None, stop=None, step=None: {"slice": [start, stop, step]}
I = lambda index: {"index": index}
M = lambda mask: {"mask": mask}
DOTS, NEW = "ellipsis", "newaxis"
T, F = True, False

CASES = [
    ((4,), [2]), ((4,), [-1]), ((4,), [S()]), ((4,), [S(1, 3)]), ((4,), [S(-3, -1)]), ((4,), [S(2)]), ((4,), [S(None, -2)]),
    ((7,), [S(1, 6, 2)]), ((7,), [S(None, None, 3)]), ((7,), [S(None, None, -1)]), ((7,), [S(5, 1, -2)]),
    ((7,), [S(4, None, -2)]), ((7,), [S(None, 3, -1)]), ((7,), [S(-2, -6, -3)]), ((4,), [S(2, 2)]), ((0,), [S(None, None, -1)]),
    ((), [DOTS]), ((), [NEW]), ((3,), [NEW, DOTS, NEW]), ((2, 3), [1]), ((2, 3), [DOTS, 1]), ((2, 3), [NEW, 1, NEW, S(0, 2)]),
    ((2, 3, 4), [DOTS, S(1, 3)]), ((2, 3, 4), [1, DOTS, -1]), ((2, 3, 4), [S(), 0]), ((2, 3, 4), [-1, S(None, None, -2), NEW, 2]),
    ((2, 3, 4), [S(0, 0), DOTS]),
    ((4,), [I([3, 0, -1, 0])]), ((4, 3), [I([[1, 0], [-1, 1]])]), ((4, 3), [S(), I([2, 0, 2])]), ((2, 3, 4), [S(), I([[2], [0]])]),
    ((2, 3, 4), [S(0, 1), I([2, -3]), S(None, None, -2)]), ((3, 4), [I([0, 2, 0]), I([1, 3, 1])]),
    ((3, 4), [I([[0], [2]]), I([1, -1, 1])]), ((2, 3, 4), [S(), I([0, 2]), I([3, 3])]), ((2, 3, 4), [I([0, 1]), S(), I([3, 0])]),
    ((2, 3, 4), [I([[0, 1]]), S(1, 3), I([[3], [0]])]), ((2, 3, 4, 2), [S(), I([0, 2]), S(), I([1, 0])]),
    ((2, 3), [NEW, I([1, 0]), I([2, 2])]), ((2, 3), [I([1, 1, 0]), NEW]), ((3,), [I(2)]), ((3,), [I([])]),
    ((4,), [M([T, F, T, T])]), ((2, 3), [M([[T, F, F], [F, T, T]])]), ((2, 3, 2), [M([[T, F, F], [F, T, T]])]),
    ((2, 3, 2), [S(), M([[T, F], [F, F], [T, T]])]), ((2, 3), [M([F, T]), S(None, None, -1)]), ((2, 3), [S(), M([F, F, F])]),
    ((3, 4), [M([T, F, T]), I([1, 3])]), ((2, 3, 4), [I([1, 0]), S(), M([F, T, F, T])]),
]


def decode(entry):
    if entry == DOTS:
        return Ellipsis
    if entry == NEW:
        return np.newaxis
    if isinstance(entry, int):
        return entry
    (kind, value), = entry.items()
    if kind == "slice":
        return slice(*value)
    return np.array(value, dtype=bool if kind == "mask" else np.int64)


def flat(array):
    return array.reshape(-1).tolist()


def set_in_order(x, index, part):
    """Assignment in row-major order of the part, so that the last value wins for certain."""
    places = np.arange(x.size).reshape(x.shape)[index]
    y = x.copy().reshape(-1)
    for place, value in zip(np.ravel(places), itertools.count(-1, -1)):
        y[place] = value
    if len(set(np.ravel(places).tolist())) == places.size:
        direct = x.copy()
        direct[index] = part
        assert np.array_equal(direct.reshape(-1), y)
    return y.tolist()


def evaluate(shape, entries):
    x = np.arange(np.prod(shape, dtype=int), dtype=np.float64).reshape(shape)
    index = tuple(decode(e) for e in entries)
    read = np.asarray(x[index])
    part = -1.0 - np.arange(read.size, dtype=np.float64).reshape(read.shape)
    add = x.copy()
    np.add.at(add, index, part)
    return {"shape": list(shape), "index": entries, "read": {"shape": list(read.shape), "data": flat(read)},
            "set": set_in_order(x, index, part), "add": flat(add)}


def main():
    lines = ",\n".join(json.dumps(evaluate(*case), separators=(",", ":")) for case in CASES)
    head = json.dumps({"about": "indexing", "made_with": made_with("numpy")})[:-1]
    (HERE / "indexing.json").write_text(f'{head}, "cases": [\n{lines}\n]}}\n')
    print(f"indexing.json: {len(CASES)} cases")


if __name__ == "__main__":
    main()
