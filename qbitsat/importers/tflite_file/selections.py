"""Comparisons, and SELECT by them, where all operands are functions of one tensor, or constants: tables."""

from __future__ import annotations

import numpy as np

from ...errors import InputError, UnsupportedError
from ...network import TensorFormat
from ..assembly import mapped
from ..tables import rescaled
from .builder import INT8, Builder
from .convolutions import same_quantization
from .records import Operator, Tensor

COMPARISONS = {
    "EQUAL": np.equal,
    "GREATER": np.greater,
    "GREATER_EQUAL": np.greater_equal,
    "LESS": np.less,
    "LESS_EQUAL": np.less_equal,
    "NOT_EQUAL": np.not_equal,
}
# Bits that operands have more when they are compared.
FINE = 8


def compare(b: Builder, op: Operator) -> None:
    """(q - z) * s of both, rounded twice to 2**-8."""
    operands = [b.tensor(op, 0), b.tensor(op, 1)]
    root, tables = of_one(b, operands)
    for operand in operands:
        if operand.scale >= 1:
            raise UnsupportedError(f"{operand.place}: scale {operand.scale:g} of what is compared, expected less than 1")
    x, y = (rescaled((q - t.zero_point) << FINE, float(t.scale)) for q, t in zip(tables, operands, strict=True))
    give(b, op, root, COMPARISONS[op.kind](x, y).astype(np.int64), TensorFormat((1,), 0, 1))


def select(b: Builder, op: Operator) -> None:
    """The second operand where the first is true, else the third."""
    operands, target = [b.tensor(op, i) for i in range(3)], b.target(op)
    for operand in operands[1:]:
        same_quantization(operand, target)
    root, (chosen, x, y) = of_one(b, operands)
    give(b, op, root, np.where(chosen, x, y), target.format)


def of_one(b: Builder, operands: list[Tensor]) -> tuple[Tensor, list[np.ndarray]]:
    """The tensor that all operands are functions of, and the functions."""
    found = [b.function_of(operand) for operand in operands]
    roots = {root for root, _ in found if root >= 0}
    if len(roots) != 1:
        raise UnsupportedError(f"of operands that are functions of {len(roots)} tensors, expected one, and numbers")
    return b.tensors[roots.pop()], [table for _, table in found]


def give(b: Builder, op: Operator, root: Tensor, values: np.ndarray, form: TensorFormat) -> None:
    target, wires = b.target(op), b.of(root)
    if target.shape != wires.shape and not target.open:
        raise InputError(f"{target.place}: shape {target.shape}, expected {wires.shape} of {root.place}")
    b.functions[target.index] = root.index, values
    b.give(target, mapped(b, op.name, wires, INT8[0], values[None], np.zeros(wires.shape, np.int64), form))


OPERATORS = {**dict.fromkeys(COMPARISONS, compare), "SELECT": select, "SELECT_V2": select}
