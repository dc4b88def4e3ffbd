"""A query: exist inputs in the boxes for which the networks' inputs and outputs make the violation true?

The dual form of Giacobbe, Henzinger and Lechner (TACAS 2020, Eq. 7), over any number of networks.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ..arithmetic import INT32
from ..errors import InputError, UnsupportedError, kind_of
from ..network import Network
from ..network.affine import Record, frozen
from ..network.layers import ACC_LIMIT, integer_array
from .formula import INPUT, OUTPUT, Formula, atoms, depth

MAX_DEPTH = 200


@dataclass(frozen=True, eq=False)
class Box(Record):
    """lo <= x <= hi elementwise over a flattened input; int64 arrays of one length."""

    lo: np.ndarray
    hi: np.ndarray

    def __post_init__(self):
        object.__setattr__(self, "lo", integer_array(self.lo, None, *INT32, "box: lo"))
        object.__setattr__(self, "hi", integer_array(self.hi, self.lo.shape, *INT32, "box: hi"))
        if self.lo.ndim != 1 or (self.lo > self.hi).any():
            raise InputError("box: expected one axis and lo <= hi everywhere")


@dataclass(frozen=True)
class Witness:
    """Inputs that break the property and the outputs they give: one flat tuple of ints for each network."""

    inputs: tuple[tuple[int, ...], ...]
    outputs: tuple[tuple[int, ...], ...]


@dataclass(frozen=True, eq=False)
class Origin(Record):
    """The question that a query was built from, for reports, certificates and exported files.

    kind    which question: "robustness"
    values  its parameters by name, as JSON values, without those that were not given: for robustness eps, region, label, target, sample
    x       its input, int64[size], read-only
    """

    kind: str
    values: tuple[tuple[str, Any], ...]
    x: np.ndarray

    def __post_init__(self):
        object.__setattr__(self, "x", frozen(self.x))

    def __str__(self) -> str:
        """As in "robustness: eps 1, label 7"."""
        return f"{self.kind}: {', '.join(f'{name} {value}' for name, value in self.values)}"

    def get(self, name: str) -> Any:
        """A parameter, or None if it was not given."""
        return dict(self.values).get(name)


@dataclass(frozen=True, eq=False)
class Query:
    """networks, one input box for each, and the violation to look for.

    origin is the question behind it, or None; who makes a changed copy asks another question, so `dataclasses.replace` drops it.
    """

    networks: tuple[Network, ...]
    boxes: tuple[Box, ...]
    violation: Formula
    origin: Origin | None = field(default=None, init=False)

    def __post_init__(self):
        for name, kind in (("networks", Network), ("boxes", Box)):
            parts = getattr(self, name)
            if not isinstance(parts, tuple | list) or not all(isinstance(part, kind) for part in parts):
                raise InputError(f"query: {name} are {kind_of(parts)}, expected a tuple, each of kind {kind.__name__}")
            object.__setattr__(self, name, tuple(parts))
        if not self.networks or len(self.networks) != len(self.boxes):
            raise InputError(f"query: {len(self.networks)} networks and {len(self.boxes)} boxes, expected one box a network")
        for k, (network, box) in enumerate(zip(self.networks, self.boxes, strict=True)):
            if not network.is_chain:
                raise UnsupportedError(f"query: network {network.name!r} is no plain chain of layers")
            if len(box.lo) != network.input.size:
                raise InputError(f"query: box {k} has {len(box.lo)} elements, network {network.name!r} reads {network.input.size}")
            if int(box.lo.min()) < network.input.lo or int(box.hi.max()) > network.input.hi:
                raise InputError(f"query: box {k} leaves the input range [{network.input.lo}, {network.input.hi}]")
        if depth(self.violation) > MAX_DEPTH:
            raise UnsupportedError(f"query: the formula nests deeper than {MAX_DEPTH} levels")
        for atom in atoms(self.violation):
            self._check_atom(atom)

    @classmethod
    def asked(cls, origin: Origin, networks: tuple[Network, ...], boxes: tuple[Box, ...], violation: Formula) -> Query:
        """The query that means what `origin` asks."""
        query = cls(networks, boxes, violation)
        object.__setattr__(query, "origin", origin)
        return query

    def _check_atom(self, atom) -> None:
        reach = abs(atom.bound)
        for coefficient, ref in atom.terms:
            if not 0 <= ref.network < len(self.networks) or ref.tensor not in (INPUT, OUTPUT):
                raise InputError(f"query: the formula names {ref}, which does not exist")
            tensor = getattr(self.networks[ref.network], ref.tensor)
            if not 0 <= ref.element < tensor.size:
                raise InputError(f"query: the formula names {ref}, expected an index below {tensor.size}")
            reach += abs(coefficient) * max(1, abs(tensor.lo), abs(tensor.hi))
        if reach >= ACC_LIMIT:
            raise UnsupportedError(f"query: an inequality can reach {reach}, beyond the exact range of 2**60")
