"""A query: exist inputs in the boxes for which what the networks compute makes the violation true?

The dual form of Giacobbe, Henzinger and Lechner (TACAS 2020, Eq. 7), over any number of networks.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import InitVar, dataclass, field
from functools import cached_property
from typing import Any

import numpy as np

from ..arithmetic import INT32
from ..errors import InputError, UnsupportedError, kind_of
from ..limits import NO_LIMITS, Limits
from ..network import Network
from ..network.affine import Record, frozen
from ..network.layers import ACC_LIMIT, integer_array
from .formula import INPUT, OUTPUT, VALUE, AtMost, Formula, Ref, atoms, measure, names_values, renamed

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
    """networks, one input box for each, and the violation to look for; all is checked, within `limits`.

    origin is the question behind it, or None; who makes a changed copy asks another question, so `dataclasses.replace` drops it.
    num_parts counts the parts of the formula, itself and inequalities among them.
    """

    networks: tuple[Network, ...]
    boxes: tuple[Box, ...]
    violation: Formula
    origin: Origin | None = field(default=None, init=False)
    num_parts: int = field(default=0, init=False)
    limits: InitVar[Limits] = NO_LIMITS

    def __post_init__(self, limits: Limits):
        for name, kind in (("networks", Network), ("boxes", Box)):
            parts = getattr(self, name)
            if not isinstance(parts, tuple | list) or not all(isinstance(part, kind) for part in parts):
                raise InputError(f"query: {name} are {kind_of(parts)}, expected a tuple, each of kind {kind.__name__}")
            object.__setattr__(self, name, tuple(parts))
        if not self.networks or len(self.networks) != len(self.boxes):
            raise InputError(f"query: {len(self.networks)} networks and {len(self.boxes)} boxes, expected one box a network")
        for k, (network, box) in enumerate(zip(self.networks, self.boxes, strict=True)):
            if len(box.lo) != network.num_inputs:
                raise InputError(f"query: box {k} has {len(box.lo)} elements, network {network.name!r} reads {network.num_inputs}")
            lo, hi = (ends[: network.num_inputs] for ends in network.value_ranges)
            if (box.lo < lo).any() or (box.hi > hi).any():
                raise InputError(f"query: box {k} leaves the input range [{network.input.lo}, {network.input.hi}]")
        depth, parts = measure(self.violation, limits)
        object.__setattr__(self, "num_parts", parts)
        if depth > MAX_DEPTH:
            raise UnsupportedError(f"query: the formula nests deeper than {MAX_DEPTH} levels")
        ends = dict[tuple[int, str], np.ndarray]()
        for k, network in enumerate(self.networks):
            every = np.maximum(1, np.abs(network.value_ranges).max(axis=0))
            ends |= {(k, INPUT): every[: network.num_inputs], (k, OUTPUT): every[network.outputs], (k, VALUE): every}
        for atom in atoms(self.violation):
            limits.check()
            _check_atom(atom, ends)

    @cached_property
    def named(self) -> Formula:
        """The violation with one name for each value: inputs as inputs, and of outputs that are the same the first."""
        names: dict[Ref, Ref] = {}
        inner = names_values(self.violation)
        for k, network in enumerate(self.networks):
            if not inner and int(network.outputs.min()) >= network.num_inputs and len(np.unique(network.outputs)) == len(network.outputs):
                continue
            first = {v: Ref(k, INPUT, v) for v in range(network.num_inputs)}
            for e, value in enumerate(network.outputs.tolist()):
                names[Ref(k, OUTPUT, e)] = first.setdefault(value, Ref(k, OUTPUT, e))
            if inner:
                names |= {Ref(k, VALUE, v): name for v, name in first.items()}
        return renamed(self.violation, names) if names else self.violation

    @classmethod
    def asked(
        cls, origin: Origin, networks: tuple[Network, ...], boxes: tuple[Box, ...], violation: Formula, limits: Limits = NO_LIMITS
    ) -> Query:
        """The query that means what `origin` asks."""
        query = cls(networks, boxes, violation, limits=limits)
        object.__setattr__(query, "origin", origin)
        return query


def _check_atom(atom: AtMost, ends: Mapping[tuple[int, str], np.ndarray]) -> None:
    """Refuse elements that are not there, and sums that could leave the exact range; ends are the largest magnitudes of each element."""
    reach = abs(atom.bound)
    for coefficient, ref in atom.terms:
        if ref[:2] not in ends:
            raise InputError(f"query: the formula names {ref}, which does not exist")
        largest = ends[ref[:2]]
        if not 0 <= ref.element < len(largest):
            raise InputError(f"query: the formula names {ref}, expected an index below {len(largest)}")
        reach += abs(coefficient) * int(largest[ref.element])
    if reach >= ACC_LIMIT:
        raise UnsupportedError(f"query: an inequality can reach {reach}, beyond the exact range of 2**60")
