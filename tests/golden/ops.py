"""ops.json: every operation that is not elementwise, from PyTorch in f64.

Each case holds the inputs, the outputs, a random cotangent for every differentiable output, and the
vector-Jacobian product for every floating-point input (null where the result does not depend on it).
"""

import random
import zlib

import torch

from common import SEED, made_with, numbers, write
from ops_cases import all_cases
from ops_torch import TORCH

DTYPES = {"f64": torch.float64, "i64": torch.int64, "bool": torch.bool}
NAMES = {dtype: name for name, dtype in DTYPES.items()}


def decode(value):
    data = [float(x) if isinstance(x, str) else x for x in value["data"]]
    return torch.tensor(data, dtype=DTYPES[value["dtype"]]).reshape(value["shape"])


def flat(tensor):
    return numbers(tensor.detach().reshape(-1).tolist())


def encode(tensor):
    return {"shape": list(tensor.shape), "dtype": NAMES[tensor.dtype], "data": flat(tensor)}


def evaluate(case):
    """The case with outputs, cotangents and gradients."""
    inputs = [decode(value) for value in case["inputs"]]
    for x in inputs:
        x.requires_grad_(x.dtype == torch.float64)
    outputs = TORCH[case["op"]](case["params"], *inputs)
    outputs = list(outputs) if isinstance(outputs, (tuple, list)) else [outputs]
    # A generator of its own for each case: adding one changes no other.
    rng = random.Random(SEED ^ zlib.crc32(f"{case['op']}/{case['case']}".encode()))
    cotangents = [[round(rng.uniform(-1.5, 1.5), 3) for _ in range(y.numel())] if y.requires_grad else None for y in outputs]
    return case | {"outputs": [encode(y) for y in outputs], "cotangents": cotangents,
                   "grads": gradients(inputs, outputs, cotangents)}


def gradients(inputs, outputs, cotangents):
    active = [i for i, x in enumerate(inputs) if x.requires_grad]
    pairs = [(y, torch.tensor(c, dtype=y.dtype).reshape(y.shape)) for y, c in zip(outputs, cotangents) if c is not None]
    result = [None] * len(inputs)
    if pairs and active:
        found = torch.autograd.grad([y for y, _ in pairs], [inputs[i] for i in active], [c for _, c in pairs], allow_unused=True)
        for i, gradient in zip(active, found):
            result[i] = None if gradient is None else flat(gradient)
    return result


def main():
    torch.set_num_threads(1)
    write("ops.json", "operations with vector-Jacobian products, f64", made_with("torch"), [evaluate(c) for c in all_cases()])


if __name__ == "__main__":
    main()
