"""What NumPy prints for the tensors of ../printing.rs: python3 expected.py > expected.txt"""

import numpy as np

f32, f64 = np.float32, np.float64
nan, inf = np.nan, np.inf
cases = {
    "scalar": f32(0.1) * np.ones((), f32),
    "vector": np.array([1, 2.5, -3.25], f32),
    "aligned": np.array([[1, -0.5], [100, 2.25]], f32),
    "whole numbers": np.arange(12, dtype=f32).reshape(3, 4),
    "thirds": np.array([1 / 3, 2 / 3, 100 / 3], f32),
    "thirds in f64": np.array([1 / 3, 2 / 3, 100 / 3], f64),
    "half precision": np.array([0.1, 65504, 3.25], np.float16) / np.float16(1),
    "ratio of 1000": np.array([0.001, 1.0], f64),
    "ratio above 1000": np.array([0.001, 1.5, -20.25], f64),
    "large": np.array([1e8, 123456789.0], f64),
    "small": np.array([0.00001234, 0.00005], f32),
    "three-digit exponents": np.array([1e-200, 1e200, -1], f64),
    "not finite": np.array([nan, inf, -inf, 1.5], f32),
    "not finite, scientific": np.array([nan, -inf, 1.5e10], f32),
    "nothing finite": np.array([nan, inf], f32),
    "negative zero": np.array([0.0, -0.0], f32),
    "integers": np.array([[1, -20], [300, 4]], np.int64),
    "truth": np.array([True, False]),
    "all true": np.array([[True], [True]]),
    "empty": np.zeros((2, 0), f32),
    "three axes": np.arange(8, dtype=f32).reshape(2, 2, 2) / 2,
    "wrapped lines": np.sqrt(np.arange(30, dtype=f32)),
    "long vector": np.arange(1001, dtype=f32),
    "long matrix": np.arange(2000, dtype=f32).reshape(40, 50) - 7,
    "long and narrow": np.arange(2002, dtype=f32).reshape(1001, 2) / 4,
    "exactly 1000": np.arange(1000, dtype=np.int32).reshape(2, 500),
    "four axes": np.arange(4 * 7 * 8 * 9, dtype=f32).reshape(4, 7, 8, 9),
}

for name, x in cases.items():
    for form, text in [("display", np.array2string(x)), ("debug", np.array2string(x, separator=", ", prefix="tensor("))]:
        text = text.replace("True", "true").replace("False", "false")
        print(f"=== {name}: {form}\n{text}")
