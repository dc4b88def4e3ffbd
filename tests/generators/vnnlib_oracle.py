"""The truth of VNN-LIB queries about tiny networks: every kind of input that a query can tell apart is run in ONNX Runtime.

What a query says depends on the integers that floats become and on how the floats compare with its constants. So the first and the last
float of each integer, the constants and their neighbours stand for all of them. Assertions are evaluated by an own reader, in fractions.
"""

from __future__ import annotations

import itertools
import re
from fractions import Fraction

import numpy as np
from onnx_files import session

f32 = np.float32
NEXT = f32(np.inf)


def tree(text: str):
    """Nested lists of words; an element with its indices is one word."""
    stack = [[]]
    for word in re.findall(r"\(|\)|[^\s()]+", re.sub(r"\s*\[\s*([\d,\s]*)\]", lambda m: f"[{m[1].replace(' ', '')}]", text)):
        if word == "(":
            stack.append([])
        elif word == ")":
            done = stack.pop()
            stack[-1].append(done)
        else:
            stack[-1].append(word)
    return stack[0]


def number(x, values: dict[str, Fraction], typed: bool) -> Fraction:
    if isinstance(x, list):
        parts = [number(part, values, typed) for part in x[1:]]
        if x[0] == "*":
            return Fraction(np.prod([Fraction(1), *parts]))
        if x[0] == "-":
            return -parts[0] if len(parts) == 1 else parts[0] - sum(parts[1:])
        return sum(parts)
    if x in values:
        return values[x]
    return Fraction(float(f32(x))) if typed and "." in x else Fraction(x)


def holds(x, values: dict[str, Fraction], typed: bool) -> bool:
    if x[0] in ("and", "or"):
        return (all if x[0] == "and" else any)(holds(part, values, typed) for part in x[1:])
    a, b = (number(part, values, typed) for part in x[1:])
    return {"<=": a <= b, "<": a < b, ">=": a >= b, ">": a > b, "==": a == b, "!=": a != b}[x[0]]


def constants(text: str) -> list[np.float32]:
    return [f32(word) for word in re.findall(r"-?\d+\.\d+", text)]


def float_candidates(scale, zero_point: int, lo: int, hi: int, text: str, first: float, last: float) -> list[np.float32]:
    """Floats from first to last that stand for all: ends of the integers' cells, found by halving, constants, and neighbours of each."""
    found = {f32(first), f32(last), *constants(text)}
    for q in range(lo, hi):
        near = f32(scale) * f32(q - zero_point + 0.5)
        found |= {f32(near), np.nextafter(near, NEXT), np.nextafter(near, -NEXT)}
    found |= {np.nextafter(x, side) for x in list(found) for side in (NEXT, -NEXT)}
    return sorted(x for x in found if first <= x <= last)


def is_satisfied(model: bytes, spec: str, candidates: dict[str, list], typed: bool = True) -> bool:
    """Whether some candidates, by the names X[0,i] of the elements of the only input, satisfy all assertions; the output is Y[0,j]."""
    runner = session(model)
    (given,), assertions = runner.get_inputs(), [part[1] for part in tree(spec) if part[0] == "assert"]
    kind = {"tensor(float)": f32, "tensor(int8)": np.int8, "tensor(uint8)": np.uint8}[given.type]
    names = list(candidates)
    for x in itertools.product(*candidates.values()):
        (y,) = runner.run(None, {given.name: np.array([x], kind)})
        values = {name: Fraction(float(v)) for name, v in zip(names, x, strict=True)}
        values |= {f"Y[0,{j}]": Fraction(float(v)) for j, v in enumerate(y.ravel())}
        if all(holds(part, values, typed) for part in assertions):
            return True
    return False


def all_candidates(model: bytes, spec: str, constants_of: dict) -> dict[str, list]:
    """For each element of the input all integers that assertions about it and a constant leave; of floats those of `float_candidates`."""
    (given,) = session(model).get_inputs()
    scale, zero_point = constants_of["x_scale"][1] if "x_scale" in constants_of else 1.0, constants_of.get("x_zero", ("int8", 0))[1]
    lo, hi = (0, 255) if constants_of.get("x_zero", ("int8", 0))[0] == "uint8" else (-128, 127)
    found = {}
    for i in range(given.shape[1]):
        name = f"X[0,{i}]"
        mine = [part[1] for part in tree(spec) if part[0] == "assert" and part[1][1] == name and "[" not in part[1][2]]
        if given.type == "tensor(float)":
            ends = constants(spec)
            every = float_candidates(scale, zero_point, lo, hi, spec, float(min(ends)) - 1, float(max(ends)) + 1)
        else:
            every = range(lo, hi + 1)
        found[name] = [x for x in every if all(holds(part, {name: Fraction(float(x))}, True) for part in mine)]
    return found
