"""Layers of HGQ 2: every weight is a number of a type of its own, and what a layer reads is of one type, or of several.

A type has k (1 with a sign), i bits before and f bits behind the point, b = i + f; each is stored as a float and rounded to the
nearest integer, ties to even. A number x of it is round(x * 2**f) / 2**f within [-k * 2**i, 2**i - 2**-f], or 0 where k + i + f
is not positive. Weights are read as those numbers; of values the type stands beside an Activation, in words.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ...network.float_layers import OWN_TYPES
from ...network.float_network import Activation
from .node import Handler, Node, refused
from .settings import Settings, shown_name
from .weights import Shape

KINDS = ("QDense", "QConv1D", "QConv2D")
# How weights are rounded, as floats of 32 bits.
ROUNDINGS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "TRN": np.floor,
    "RND": lambda v: np.floor(v + np.float32(0.5)),
    "RND_CONV": np.rint,
}
OVERFLOWS = ("WRAP", "SAT", "SAT_SYM")
# The variables of a type in their order: those that are trained, and the others.
VARIABLES = {
    ("kbi", False): ("b", "i", "k"), ("kbi", True): ("b", "k", "i"),
    ("kif", False): ("i", "f", "k"), ("kif", True): ("f", "k", "i"),
}  # fmt: skip
# What is quantized by which part of a layer.
PARTS = {"kernel": "kq", "bias": "bq"}
MOST = 32


def is_hgq(layer: dict[str, Any]) -> bool:
    """Whether a layer of the file is one of HGQ's."""
    return str(layer.get("registered_name")).startswith("hgq>")


@dataclass(frozen=True)
class Types:
    """k, i and f of numbers, arrays that broadcast to them."""

    k: np.ndarray
    i: np.ndarray
    f: np.ndarray
    rounding: str
    overflow: str
    # As HGQ computes weights while i follows them.
    is_rounded_only: bool = False

    def numbers(self, x: np.ndarray) -> np.ndarray:
        """What floats of 32 bits become."""
        unit = 2.0**-self.f
        q = ROUNDINGS[self.rounding]((x / unit).astype(np.float32)).astype(np.float64)
        if self.is_rounded_only:
            return q * unit
        hi = 2.0 ** (self.i + self.f) - 1
        lo = -self.k * (hi + (self.overflow != "SAT_SYM"))
        q = lo + np.mod(q - lo, np.maximum(hi - lo + 1, 1)) if self.overflow == "WRAP" else np.clip(q, lo, np.maximum(hi, lo))
        return np.where(self.k + self.i + self.f > 0, q * unit, 0.0)

    def __str__(self) -> str:
        parts = [np.unique(part) for part in (self.k, self.i, self.f)]
        if any(len(part) > 1 for part in parts):
            return "several types"
        k, i, f = (int(part[0]) for part in parts)
        return f"ap_{'' if k else 'u'}fixed<{k + i + f},{k + i},{self.rounding},{self.overflow}>"


def types_of(node: Node, part: str, shape: Shape | None) -> Types:
    """The types that a part of a layer gives: of weights of that shape, or of values."""
    config = node.settings.get(f"{part}_conf")
    config = config.get("config") if isinstance(config, dict) else None
    settings = Settings(config, f"{node.place}: {part}_conf")
    kind, rounding, overflow = (str(settings.get(key)) for key in ("q_type", "round_mode", "overflow_mode"))
    wraps = overflow == "WRAP"
    if (kind, wraps) not in VARIABLES or rounding not in ROUNDINGS or overflow not in OVERFLOWS:
        words = f"kbi or kif, {', '.join(ROUNDINGS)}, and {', '.join(OVERFLOWS)}"
        raise refused(node, f"{part} is {shown_name(kind)}, {shown_name(rounding)}, {shown_name(overflow)}; expected {words}")
    others = [key for key in ("scaler", "affine", "bw_mapper", "qnoise_factor") if settings.values.get(key) is not None]
    if others or not all(held.values.get("trainable", True) is True for held in (settings, node.settings)):
        raise refused(node, f"{part} that is not trained, scaled, or mapped in a way of its own")
    names = VARIABLES[kind, wraps]
    found = node.weights.read_part(node.where, f"{part}/quantizer", names, node.place)
    found = {name: np.rint(values) for name, values in found.items()}
    f = found["f"] if kind == "kif" else found["b"] - found["i"]
    if max(np.abs(values).max() for values in (found["i"], f)) > MOST or not np.isin(found["k"], (0, 1)).all():
        raise refused(node, f"{part} has more than {MOST} bits before or behind the point")
    if shape is not None and any(not fits(values.shape, shape) for values in found.values()):
        raise refused(node, f"{part} has types of shape {found['k'].shape} for weights of shape {shape}")
    follows = wraps and settings.values.get("is_weight") is True and (kind == "kif" or rounding == "RND")
    return Types(found["k"], found["i"], f, rounding, overflow, follows)


def fits(shape: Shape, wanted: Shape) -> bool:
    """Whether an array broadcasts to a shape."""
    return len(shape) == len(wanted) and all(n in (1, size) for n, size in zip(shape, wanted, strict=True))


@dataclass(frozen=True)
class HgqNode(Node):
    """A layer whose weights are those that HGQ computes with."""

    def variables(self, shapes: dict[str, Shape | None]) -> dict[str, np.ndarray]:
        return {name: types_of(self, PARTS[name], values.shape).numbers(values) for name, values in super().variables(shapes).items()}


def read(node: Node, layer: Handler) -> int:
    """A layer between the types of what it reads and of what it gives, where it has some."""
    if node.settings.flag("enable_iq", True):
        node = replace(node, reads=(rounded(node, "iq", node.x),))
    words = (("kernel", OWN_TYPES), ("bias", OWN_TYPES))
    y = layer(HgqNode(node.builder, node.weights, node.where, node.settings, node.reads, node.version, words))
    return rounded(node, "oq", y) if node.settings.flag("enable_oq", False) else y


def rounded(node: Node, part: str, x: int) -> int:
    words = (("output", str(types_of(node, part, None))),)
    return node.add(Activation, part, x, "linear", quantizers=words)
