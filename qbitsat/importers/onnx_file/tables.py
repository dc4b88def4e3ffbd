"""Functions of single integers that are followed as tables of floats."""

from __future__ import annotations

import numpy as np

from ...network import TensorFormat
from .. import assembly
from ..assembly import Builder, Wires
from .values import Tabulated


def mapped(b: Builder, name: str, x: Tabulated, integers: np.ndarray, form: TensorFormat) -> Wires:
    """The integers, int64[n, count] as x.tables are floats, that the elements of x become; form is what they mean, and their range."""
    return assembly.mapped(b, name, x.wires, x.lo, integers, x.which, form)
