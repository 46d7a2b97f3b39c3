"""optim.json: trajectories of optimizers from PyTorch in f64.

A parameter of five numbers walks ten steps along given gradients. Each case holds the keyword arguments of PyTorch's
constructor, and the parameter after every step.
"""

import random
import zlib

import torch

from common import SEED, made_with, numbers, write

STEPS, COUNT = 10, 5

CASES = [
    ("sgd", "SGD", {"lr": 0.1}),
    ("heavy ball", "SGD", {"lr": 0.1, "momentum": 0.9}),
    ("dampened", "SGD", {"lr": 0.1, "momentum": 0.8, "dampening": 0.3}),
    ("nesterov", "SGD", {"lr": 0.1, "momentum": 0.9, "nesterov": True}),
    ("sgd with coupled decay", "SGD", {"lr": 0.1, "momentum": 0.9, "weight_decay": 0.05}),
    ("adam", "Adam", {"lr": 0.1}),
    ("adam with other constants", "Adam", {"lr": 0.02, "betas": [0.8, 0.95], "eps": 1e-3}),
    ("amsgrad", "Adam", {"lr": 0.1, "betas": [0.9, 0.9], "amsgrad": True}),
    ("adam with coupled decay", "Adam", {"lr": 0.1, "weight_decay": 0.05}),
    ("adamw", "AdamW", {"lr": 0.1, "weight_decay": 0.05}),
    ("adam with inverse-time decay", "Adam", {"lr": 0.1, "inverse_time": 0.25}),
]


def walk(name, rule, settings):
    # A generator of its own for each case: adding one changes no other.
    rng = random.Random(SEED ^ zlib.crc32(name.encode()))
    start = [round(rng.uniform(-1.5, 1.5), 3) for _ in range(COUNT)]
    # The last element's gradient stays 0 for a while: its moments start late.
    grads = [[round(rng.uniform(-2, 2), 3) * (k < COUNT - 1 or step > 3) for k in range(COUNT)] for step in range(STEPS)]
    arguments = {key: value for key, value in settings.items() if key != "inverse_time"}
    p = torch.tensor(start, dtype=torch.float64, requires_grad=True)
    optimizer = getattr(torch.optim, rule)([p], **arguments)
    decay = settings.get("inverse_time", 0.0)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: 1 / (1 + decay * step))
    params = []
    for g in grads:
        p.grad = torch.tensor(g, dtype=torch.float64)
        optimizer.step()
        schedule.step()
        params.append(numbers(p.tolist()))
    return {"case": name, "rule": rule, "settings": settings, "start": start, "grads": grads, "params": params}


def main():
    torch.set_num_threads(1)
    write("optim.json", "optimizer trajectories, f64", made_with("torch"), [walk(*case) for case in CASES])


if __name__ == "__main__":
    main()
