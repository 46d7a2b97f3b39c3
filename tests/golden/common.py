"""What the golden-file writers share: exact numbers in JSON, the seed, and the file writer."""

import json
import math
import platform
from importlib.metadata import version
from pathlib import Path

HERE = Path(__file__).parent
SEED = 20_240_607
SIZE_LIMIT = 600_000


def number(value):
    """A JSON value for one number; JSON has no infinities and no NaN, so those become strings."""
    if isinstance(value, (bool, int)) or value is None:
        return value
    value = float(value)
    if math.isnan(value):
        return "nan"
    if math.isinf(value):
        return "inf" if value > 0 else "-inf"
    return value


def numbers(values):
    """`number` over an iterable."""
    return [number(v) for v in values]


def made_with(*packages):
    """The versions that go into the head of every file."""
    return {"python": platform.python_version(), **{p: version(p) for p in packages}}


def write(name, about, versions, records):
    """Writes one file: a head and a list of records, one record a line so that changes can be read."""
    lines = ",\n".join(json.dumps(r, separators=(",", ":"), allow_nan=False) for r in records)
    head = json.dumps({"about": about, "made_with": versions}, allow_nan=False)[:-1]
    text = f'{head}, "cases": [\n{lines}\n]}}\n'
    if len(text) > SIZE_LIMIT:
        raise SystemExit(f"{name}: {len(text)} bytes are above the limit of {SIZE_LIMIT}")
    (HERE / name).write_text(text)
    print(f"{name}: {len(records)} cases, {len(text)} bytes")


def read(name):
    """The cases of a file written by `write`."""
    return json.loads((HERE / name).read_text())["cases"]
