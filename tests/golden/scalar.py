"""scalar.json: elementwise functions, correctly rounded to f64.

SymPy differentiates each formula, mpmath evaluates it with growing precision until the value
rounded to f64 no longer changes (Ziv's strategy, from 400 digits on), so neither the values nor the
derivatives pass through the formulas of any floating-point library.
"""

import math
import random
from fractions import Fraction

import mpmath
import numpy
import scipy.special
import sympy
from sympy import (Abs, Rational, S, acos, acosh, asin, asinh, atan, atanh, cos, cosh, digamma, erf,
                   erfc, erfinv, exp, floor, log, loggamma, pi, sign, sin, sinh, sqrt, tan, tanh)

from common import SEED, made_with, numbers, write

X, Y = sympy.symbols("x y", real=True)
# From 400 digits on: with fewer, 1 + exp(-700) is 1 twice, and a wrong value looks stable.
PRECISIONS = (400, 800, 1600, 3200)

# The constants of Klambauer et al. 2017 (SELU); the others are the f64 values, taken exactly.
SELU_ALPHA = S("1.6732632423543772848170429916717")
SELU_SCALE = S("1.0507009873554804934193349852946")
LEAKY_SLOPE = Rational(0.01)
GELU_CUBIC = Rational(0.044715)

SOFTPLUS = log(1 + exp(X))
SIGMOID = 1 / (1 + exp(-X))


def everywhere(_x):
    return True


class Unary:
    """A function of one variable as a list of (condition, formula); the first that holds counts.

    `kinks` are points where the derivatives of order 1 or 2 do not exist, `near` adds points of
    interest (close to singularities, say), `span` bounds the generic points.
    """

    def __init__(self, *branches, domain=everywhere, span=(-4.0, 4.0), near=(), kinks=()):
        self.domain, self.span, self.near, self.kinks = domain, span, near, kinks
        self.branches = [
            (holds, [compiled((X,), formula.diff(X, n)) for n in range(3)])
            for holds, formula in branches
        ]

    def at(self, x):
        """Value, first and second derivative at `x`; derivatives are None at a kink."""
        orders = next(orders for holds, orders in self.branches if holds(x))
        value = rounded(orders[0], x)
        if x in self.kinks:
            return value, None, None
        return value, rounded(orders[1], x), rounded(orders[2], x)


def smooth(formula, **options):
    return Unary((everywhere, formula), **options)


def compiled(variables, formula):
    """The formula for mpmath, which evaluates it at the working precision of the moment."""
    return sympy.lambdify(variables, formula, "mpmath")


def to_f64(value):
    """The nearest f64 (ties to even, subnormals included): Python divides integers that way."""
    _, mantissa, exponent, _ = value._mpf_
    if not mantissa:
        return float(value)  # zero, an infinity, or NaN
    magnitude = Fraction(mantissa) * Fraction(2) ** exponent if abs(exponent) < 20_000 else None
    if magnitude is None:
        result = math.inf if exponent > 0 else 0.0
    else:
        try:
            result = magnitude.numerator / magnitude.denominator
        except OverflowError:
            result = math.inf
    return -result if value < 0 else result


def rounded(function, *point):
    """The value at f64 arguments, correctly rounded.

    A result of exactly zero may be total cancellation, so it counts only at the last precision.
    """
    last = None
    for digits in PRECISIONS:
        with mpmath.workdps(digits):
            value = mpmath.mpf(function(*map(mpmath.mpf, point)))
            now = to_f64(value)
            if now == last and value != 0:
                return now
        last = now
    if value != 0 or math.isnan(now):
        raise ArithmeticError(f"no stable value at {point}: {value}")
    return now


def ulps(x, n):
    """`x` moved by `n` units in the last place."""
    for _ in range(abs(n)):
        x = math.nextafter(x, math.inf if n > 0 else -math.inf)
    return x


def positive(x):
    return x > 0


def inside_one(x):
    return abs(x) < 1


def at_least(bound):
    return lambda x: x >= bound


def below(bound):
    return lambda x: x < bound


AROUND_ONE = (ulps(1.0, -1), ulps(1.0, 1), 0.999, 1.001, 1 - 1e-8, 1 + 1e-8)
NEAR_EDGES = tuple(s * e for e in (ulps(1.0, -1), 1 - 1e-12, 1 - 1e-8, 0.999, 0.99, 0.9) for s in (1, -1))
PI_HALVES = (math.pi / 2, -math.pi / 2, math.pi, 3.0, 1.57, 22.0, 1e3)
# Zeros and poles of the gamma family, and negative arguments.
GAMMA_POINTS = (1.4616321449683622, 1.000001, 1.999999, 2.000001, -0.5, -1.5, -2.457024738220801, -3.7, -10.25,
                -0.001, 1e-5, 30.5, 170.6)

UNARY = {
    "neg": smooth(-X),
    "abs": Unary((below(0), -X), (everywhere, X), kinks=(0.0,)),
    "sign": Unary((below(0), -S.One), (positive, S.One), (everywhere, S.Zero), kinks=(0.0,)),
    "sqrt": smooth(sqrt(X), domain=positive, span=(0.01, 9.0)),
    "rsqrt": smooth(1 / sqrt(X), domain=positive, span=(0.01, 9.0)),
    "recip": smooth(1 / X, domain=lambda x: x != 0),
    "square": smooth(X**2),
    "cube": smooth(X**3),
    "exp": smooth(exp(X), near=(-745.0, -708.5, 709.7, 88.0, -87.5)),
    "exp2": smooth(2**X, near=(1023.5, -1022.5, -1074.0, 127.5, 0.5, 3.0)),
    "expm1": smooth(exp(X) - 1, near=(1e-5, -1e-5, 709.7, -37.5)),
    "log": smooth(log(X), domain=positive, span=(0.01, 9.0), near=AROUND_ONE),
    "log1p": smooth(log(1 + X), domain=lambda x: x > -1, span=(-0.95, 5.0), near=(1e-5, -1e-5, -0.999999, ulps(-1.0, 1))),
    "log2": smooth(log(X) / log(2), domain=positive, span=(0.01, 9.0), near=(*AROUND_ONE, 8.0, 1024.0)),
    "log10": smooth(log(X) / log(10), domain=positive, span=(0.01, 9.0), near=(*AROUND_ONE, 1000.0, 1e22)),
    "sin": smooth(sin(X), span=(-10.0, 10.0), near=PI_HALVES),
    "cos": smooth(cos(X), span=(-10.0, 10.0), near=PI_HALVES),
    "tan": smooth(tan(X), span=(-10.0, 10.0), near=PI_HALVES),
    "asin": smooth(asin(X), domain=inside_one, span=(-1.0, 1.0), near=NEAR_EDGES),
    "acos": smooth(acos(X), domain=inside_one, span=(-1.0, 1.0), near=NEAR_EDGES),
    "atan": smooth(atan(X)),
    "sinh": smooth(sinh(X), near=(1e-5, -710.2, 710.2, 22.5)),
    "cosh": smooth(cosh(X), near=(1e-5, -710.2, 710.2, 22.5)),
    "tanh": smooth(tanh(X), near=(1e-5, -18.7, 18.7, 9.5)),
    "asinh": smooth(asinh(X), near=(1e-5, -1e-5, 1e7)),
    "acosh": smooth(acosh(X), domain=lambda x: x > 1, span=(1.01, 9.0), near=(ulps(1.0, 1), 1 + 1e-8, 1.0001, 1e7)),
    "atanh": smooth(atanh(X), domain=inside_one, span=(-1.0, 1.0), near=NEAR_EDGES),
    "erf": smooth(erf(X), near=(5.9, -5.9, 1e-5)),
    "erfc": smooth(erfc(X), near=(6.0, 10.0, 26.5, -5.9)),
    "sigmoid": smooth(SIGMOID, near=(36.7, -36.7, -745.0)),
    "log_sigmoid": smooth(-log(1 + exp(-X)), near=(36.7, -36.7, 744.0)),
    "softplus": smooth(SOFTPLUS, near=(36.7, -36.7, -744.0)),
    "silu": smooth(X * SIGMOID, near=(36.7, -36.7, -1.2784645427610738)),
    "gelu": smooth(X * (1 + erf(X / sqrt(2))) / 2, near=(6.0, -6.0, -12.0, -30.0)),
    "gelu_tanh": smooth(X * (1 + tanh(sqrt(2 / pi) * (X + GELU_CUBIC * X**3))) / 2, near=(5.0, -5.0, -8.0)),
    "mish": smooth(X * tanh(SOFTPLUS), near=(36.7, -36.7)),
    "elu": Unary((below(0), exp(X) - 1), (everywhere, X), kinks=(0.0,), near=(-1e-5, -37.5)),
    "celu": Unary((below(0), exp(X) - 1), (everywhere, X), kinks=(0.0,), near=(-1e-5, -37.5)),
    "selu": Unary((below(0), SELU_SCALE * SELU_ALPHA * (exp(X) - 1)), (everywhere, SELU_SCALE * X),
                  kinks=(0.0,), near=(-1e-5, -37.5)),
    "softsign": Unary((below(0), X / (1 - X)), (everywhere, X / (1 + X)), kinks=(0.0,)),
    "tanhshrink": smooth(X - tanh(X), near=(1e-5, -1e-5)),
    "relu": Unary((below(0), S.Zero), (everywhere, X), kinks=(0.0,)),
    "relu6": Unary((below(0), S.Zero), (below(6), X), (everywhere, S(6)), span=(-8.0, 8.0), kinks=(0.0, 6.0)),
    "leaky_relu": Unary((below(0), LEAKY_SLOPE * X), (everywhere, X), kinks=(0.0,)),
    "hardtanh": Unary((below(-1), -S.One), (below(1), X), (everywhere, S.One), kinks=(-1.0, 1.0)),
    "hardsigmoid": Unary((below(-3), S.Zero), (below(3), (X + 3) / 6), (everywhere, S.One),
                         span=(-5.0, 5.0), kinks=(-3.0, 3.0)),
    "hardswish": Unary((below(-3), S.Zero), (below(3), X * (X + 3) / 6), (everywhere, X),
                       span=(-5.0, 5.0), kinks=(-3.0, 3.0)),
    "lgamma": Unary((below(0), log(pi / Abs(sin(pi * X))) - loggamma(1 - X)), (everywhere, loggamma(X)),
                    domain=lambda x: x != 0 and (x > 0 or x != math.floor(x)), span=(0.05, 8.0), near=GAMMA_POINTS),
    "digamma": smooth(digamma(X), domain=lambda x: x != 0 and (x > 0 or x != math.floor(x)),
                      span=(0.05, 8.0), near=GAMMA_POINTS),
    "erfinv": smooth(erfinv(X), domain=inside_one, span=(-1.0, 1.0), near=NEAR_EDGES),
    "logit": smooth(log(X / (1 - X)), domain=lambda x: 0 < x < 1, span=(0.0, 1.0), near=(*NEAR_EDGES, 1e-5, 0.75, 0.01)),
}
# lgamma' is digamma on both sides of zero; SymPy's derivative of the reflection would go through Abs.
for _, orders in UNARY["lgamma"].branches:
    orders[1:] = [compiled((X,), digamma(X)), compiled((X,), digamma(X).diff(X))]

MAGNITUDES = (1e-300, 1e-20, 1e-8, 1e-3, 0.5, 1.0, 20.0, 100.0, 700.0, 1e5, 1e16, 1e300)
GENERIC = 18


def points(function, rng):
    """Zero, both signs of many magnitudes, the function's own points, and generic ones."""
    wanted = [0.0, *(s * m for m in MAGNITUDES for s in (1.0, -1.0)), *function.near]
    wanted += [round(rng.uniform(*function.span), 6) for _ in range(GENERIC)]
    return sorted({x for x in wanted if function.domain(x)})


def unary_case(name, function, rng):
    rows = [(x, *function.at(x)) for x in points(function, rng) if usable(name, x)]
    rows = [row for row in rows if math.isfinite(row[1])]
    xs, y, d1, d2 = (numbers(column) for column in zip(*rows))
    return {"name": name, "arity": 1, "xs": xs, "y": y, "d1": d1, "d2": d2}


def usable(name, x):
    """Leaves out arguments that mpmath's series cannot reach."""
    reach = {"erfc": 1e5, "lgamma": 1e200, "digamma": 1e200}.get(name, math.inf)
    return abs(x) <= reach and not (name == "lgamma" and x < -1e4)


# Binary functions: value and both first partial derivatives, as formulas of x and y.
FRACTION_FLOOR = floor(X / Y)
FRACTION_TRUNC = sign(X / Y) * floor(Abs(X / Y))
BINARY = {
    "pow": (X**Y, X**(Y - 1) * Y, X**Y * log(X)),
    "atan2": (None, Y / (X**2 + Y**2), -X / (X**2 + Y**2)),  # atan2(x, y): x is the ordinate
    "hypot": (sqrt(X**2 + Y**2), X / sqrt(X**2 + Y**2), Y / sqrt(X**2 + Y**2)),
    "remainder": (X - Y * FRACTION_FLOOR, S.One, -FRACTION_FLOOR),
    "fmod": (X - Y * FRACTION_TRUNC, S.One, -FRACTION_TRUNC),
    "xlogy": (X * log(Y), log(Y), X / Y),
    "logaddexp": (log(exp(X) + exp(Y)), 1 / (1 + exp(Y - X)), 1 / (1 + exp(X - Y))),
    "copysign": (Abs(X) * sign(Y), sign(X) * sign(Y), S.Zero),
}
SPECIAL_PAIRS = {
    "pow": [(2.0, 0.5), (1e-5, 3.0), (1e100, 3.0), (1e-100, -2.5), (1.0000001, 1e7), (0.9999999, -1e7), (0.5, 1000.0),
            (3.0, 0.0), (1.0, 12.5), (-1.5, 3.0), (-2.0, -4.0), (-0.7, 2.0), (ulps(1.0, 1), 1e15)],
    "atan2": [(1e-300, 1.0), (1.0, 1e-300), (1e-20, -1.0), (-1e-20, -1.0), (1e200, 1e-100), (1e150, -1e150), (0.0, -2.0),
              (0.0, 2.0), (3.0, 0.0), (-3.0, 0.0)],
    "hypot": [(1e-200, 1e-200), (1e200, 1e200), (3e300, -4e300), (1e-10, 1.0), (0.0, 2.5), (-7.0, 0.0), (3.0, 4.0)],
    "remainder": [(5.3, 2.0), (-5.3, 2.0), (5.3, -2.0), (-5.3, -2.0), (1e-20, 3.0), (-1e-20, 3.0), (1e15, 0.7), (1e5, -1e-3)],
    "fmod": [(5.3, 2.0), (-5.3, 2.0), (5.3, -2.0), (-5.3, -2.0), (1e-20, 3.0), (-1e-20, 3.0), (1e15, 0.7), (1e5, -1e-3)],
    "xlogy": [(2.0, 1e-300), (1e-300, 1e300), (3.0, 1.0), (3.0, ulps(1.0, 1)), (-2.5, 1e-8), (1e100, 7.0)],
    "logaddexp": [(1e3, 1e3), (-1e3, -1e3), (700.0, -700.0), (-745.0, 0.5), (1e-20, -1e-20), (1e5, 99999.5), (37.5, 0.0),
                  (-800.0, -1e4)],
    "copysign": [(1e-300, -1.0), (-1e300, 2.0), (3.0, -1e-300), (-3.0, 1e-300), (1e-5, -1e5)],
}
POSITIVE_ARGUMENTS = {"pow": (True, False), "xlogy": (False, True)}


def binary_functions(name):
    value, dx, dy = BINARY[name]
    first = mpmath.atan2 if value is None else compiled((X, Y), value)
    return first, compiled((X, Y), dx), compiled((X, Y), dy)


def binary_case(name, rng):
    functions = binary_functions(name)

    def generic(only_positive):
        return round(rng.uniform(0.05 if only_positive else -4.0, 4.0), 6)

    signs = POSITIVE_ARGUMENTS.get(name, (False, False))
    pairs = SPECIAL_PAIRS[name] + [tuple(map(generic, signs)) for _ in range(30)]
    rows = []
    for x, y in pairs:
        no_db = name == "pow" and x < 0  # the power of a negative number is real at integers alone
        partials = [rounded(functions[1], x, y), None if no_db else rounded(functions[2], x, y)]
        rows.append((x, y, rounded(functions[0], x, y), *partials))
    a, b, y, da, db = (numbers(column) for column in zip(*rows))
    return {"name": name, "arity": 2, "a": a, "b": b, "y": y, "da": da, "db": db}


SECOND_SOURCE = {
    "neg": "negative", "recip": "reciprocal", "asin": "arcsin", "acos": "arccos", "atan": "arctan", "asinh": "arcsinh",
    "acosh": "arccosh", "atanh": "arctanh", "atan2": "arctan2", "pow": "power", "sigmoid": "expit", "log_sigmoid": "log_expit",
    "lgamma": "gammaln",
}


def agree_with_scipy(case):
    """Compares the values with NumPy or SciPy, where one has the function, to 1e-12; True if one has."""
    name = SECOND_SOURCE.get(case["name"], case["name"])
    function = getattr(numpy, name, None) or getattr(scipy.special, name, None)
    if function is None:
        return False
    arguments = [numpy.array(case[key]) for key in ("xs", "a", "b") if key in case]
    numpy.testing.assert_allclose(function(*arguments), numpy.array(case["y"]), rtol=1e-12, atol=1e-15, err_msg=name)
    return True


def main():
    rng = random.Random(SEED)
    cases = [unary_case(name, function, rng) for name, function in UNARY.items()]
    cases += [binary_case(name, rng) for name in BINARY]
    print(f"scalar.json: {sum(map(agree_with_scipy, cases))} of {len(cases)} functions agree with NumPy or SciPy")
    write("scalar.json", "elementwise functions and their derivatives, correctly rounded to f64",
          made_with("sympy", "mpmath", "numpy", "scipy"), cases)


if __name__ == "__main__":
    main()
