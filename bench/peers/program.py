"""A query as an integer program; each peer writes its guarded rows and its steps in the way that suits it best."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from qbitsat.arithmetic import ShiftRequantizer
from qbitsat.bounds import Ranges
from qbitsat.bounds.view import View, views
from qbitsat.encode.cnf import cone
from qbitsat.errors import UnsupportedError
from qbitsat.properties import And, AtMost, Formula, Query, Ref
from qbitsat.properties.formula import atoms


class Row(NamedTuple):
    """lo <= sum of weights[i] * variable columns[i] <= hi, where the binary `guard` is 1 or None; no bound is None."""

    columns: list[int]
    weights: list[int]
    lo: int | None
    hi: int | None
    guard: int | None = None


class Step(NamedTuple):
    """y = min(max(floor((acc + half) / divisor) + offset, lo), hi) for the variables numbered acc and y; lo and hi are those of y."""

    acc: int
    y: int
    divisor: int
    half: int
    offset: int


@dataclass
class Program:
    """Satisfiable iff the query's formula is. Variables are integers in [lo[i], hi[i]].

    inputs[k][i] is the variable of element i of network k's input, or None where it does not matter or has one value.
    """

    lo: list[int] = field(default_factory=list)
    hi: list[int] = field(default_factory=list)
    rows: list[Row] = field(default_factory=list)
    steps: list[Step] = field(default_factory=list)
    inputs: list[list[int | None]] = field(default_factory=list)

    def variable(self, lo: int, hi: int) -> int:
        self.lo.append(lo)
        self.hi.append(hi)
        return len(self.lo) - 1

    def decode(self, query: Query, values: list[int]) -> tuple[tuple[int, ...], ...]:
        """The networks' inputs for values of the variables."""
        return tuple(
            tuple(lo if v is None else values[v] for v, lo in zip(columns, box.lo.tolist(), strict=True))
            for columns, box in zip(self.inputs, query.boxes, strict=True)
        )


# What is added to the accumulator before the floor, in half divisors.
HALVES = {"floor": 0, "half_up": 1}

# A tensor's elements: the number of the variable, or -1 for a constant, which is then its lower bound.
Tensor = tuple[np.ndarray, np.ndarray]


def formulate(query: Query, bounds: Ranges, formula: Formula) -> Program:
    """The program of a formula without `Not`; only what the formula depends on and the bounds leave open has variables.

    Raises `UnsupportedError` for wrap-around and for roundings other than floor and half_up.
    """
    program = Program()
    refs = dict.fromkeys(ref for atom in atoms(formula) for ref in atom.coefficients())
    tensors, places = list[Tensor](), dict[Ref, int]()
    for k, view in enumerate(views(query, bounds)):
        places |= {ref: view.value(ref) for ref in refs if ref.network == k}
        mask = cone(view, [view.value(ref) for ref in refs if ref.network == k])
        numbers = np.full(len(mask), -1)
        first = view.network.num_inputs
        for i in np.flatnonzero(mask[:first]).tolist():
            numbers[i] = program.variable(int(view.lo[i]), int(view.hi[i]))
        program.inputs.append([None if n < 0 else n for n in numbers[:first].tolist()])
        for n in range(len(view.network.layers)):
            for i in np.flatnonzero(mask[view.network.target(n)]).tolist():
                numbers[view.network.first_value(n) + i] = _neuron(program, view, n, i, (numbers, view.lo))
        tensors.append((numbers, view.lo))
    _require(program, formula, tensors, places, None)
    return program


def _neuron(program: Program, view: View, n: int, i: int, source: Tensor) -> int:
    """Accumulator i of layer n, its row and its step: factor * (W x + bias) - acc = 0; the variable of its output."""
    layer, row = view.network.layers[n], view.row(n, i)
    requantizer, *_, y_lo, y_hi = view.neuron(n, i, row)
    if (
        type(requantizer) is not ShiftRequantizer
        or not requantizer.monotone
        or (requantizer.shift > 0 and requantizer.rounding not in HALVES)
    ):
        raise UnsupportedError(f"layer {layer.name!r}: no program of {requantizer}")
    columns, weights, constant = _dot(row.values, row.weights, source)
    # A negative shift multiplies, and that is one more factor of the row.
    factor = 1 << max(0, -requantizer.shift)
    constant = factor * (constant + row.bias)
    acc = program.variable(factor * row.base, factor * row.top)
    program.rows.append(Row([*columns, acc], [*(factor * w for w in weights), -1], -constant, -constant))
    y, divisor = program.variable(y_lo, y_hi), 1 << max(0, requantizer.shift)
    program.steps.append(Step(acc, y, divisor, divisor // 2 * HALVES.get(requantizer.rounding, 0), requantizer.offset))
    return y


def _dot(indices: np.ndarray, weights: np.ndarray, source: Tensor) -> tuple[list[int], list[int], int]:
    """Columns and weights of the variables among the elements, and the sum of the constants."""
    numbers, lo = source[0][indices], source[1][indices]
    known = numbers < 0
    return numbers[~known].tolist(), weights[~known].tolist(), int(weights[known] @ lo[known])


def _require(program: Program, formula: Formula, tensors: list[Tensor], places: dict[Ref, int], guard: int | None) -> None:
    """The rows that make the formula true where the binary `guard` is 1; there is no `Not`, so one direction is enough.

    or    guard <= sum of one new binary a part, each the guard of its part
    """
    if isinstance(formula, AtMost):
        terms = formula.coefficients()
        parts = [_dot(np.array([places[ref]]), np.array([c]), tensors[ref.network]) for ref, c in terms.items()]
        columns, weights = [c for part in parts for c in part[0]], [w for part in parts for w in part[1]]
        program.rows.append(Row(columns, weights, None, formula.bound - sum(part[2] for part in parts), guard))
    elif isinstance(formula, And):
        for part in formula.parts:
            _require(program, part, tensors, places, guard)
    else:
        guards = [program.variable(0, 1) for _ in formula.parts]  # type: ignore[union-attr]
        program.rows.append(Row(guards, [1] * len(guards), 1, None, guard))
        for part, part_guard in zip(formula.parts, guards, strict=True):  # type: ignore[union-attr]
            _require(program, part, tensors, places, part_guard)
