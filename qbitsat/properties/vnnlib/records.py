"""What a VNN-LIB file asks, as plain records: networks with their variables, and assertions that must hold together."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction

from .expressions import Expression, Source

INPUT, HIDDEN, OUTPUT = KINDS = "input", "hidden", "output"
REAL = "real"


@dataclass(frozen=True)
class Variable:
    """A tensor that a network declares. dtype is that of ONNX or REAL; node is the name of what a hidden one is in the file."""

    name: str
    kind: str
    dtype: str
    shape: tuple[int, ...]
    at: Expression
    node: str = ""

    @property
    def size(self) -> int:
        return math.prod(self.shape)


@dataclass(frozen=True)
class Declaration:
    """A network: equal_to or isomorphic_to are names of others, or ""."""

    name: str
    variables: tuple[Variable, ...]
    at: Expression
    equal_to: str = ""
    isomorphic_to: str = ""

    def of(self, kind: str) -> list[Variable]:
        """Its variables of one kind, in their order."""
        return [variable for variable in self.variables if variable.kind == kind]


# An element of a variable: the number of the variable among all of the file, and the index in row-major order.
Element = tuple[int, int]


@dataclass(frozen=True)
class Comparison:
    """sum of coefficient * element + constant, compared with 0: op is "<=", "<", "==" or "!="; nothing has a coefficient of 0.

    leaves says that an arithmetic operation in it may leave the integers of its type.
    """

    terms: tuple[tuple[Element, Fraction], ...]
    constant: Fraction
    op: str
    at: Expression
    leaves: bool = False


@dataclass(frozen=True)
class Connective:
    """All parts hold, or some part does."""

    is_and: bool
    parts: tuple[Assertion, ...]


Assertion = Comparison | Connective


@dataclass(frozen=True)
class Specification:
    """A file: version (1, 0) or (2, n). Assertions hold together."""

    source: Source
    version: tuple[int, int]
    networks: tuple[Declaration, ...]
    assertions: tuple[Assertion, ...]

    @property
    def variables(self) -> list[tuple[int, Variable]]:
        """All variables in the order of the file, each with the number of its network."""
        return [(k, variable) for k, network in enumerate(self.networks) for variable in network.variables]


def conjuncts(assertions: Sequence[Assertion]) -> Iterator[Assertion]:
    """What holds in any case: parts of and, however deep."""
    for part in assertions:
        if isinstance(part, Comparison) or not part.is_and:
            yield part
        else:
            yield from conjuncts(part.parts)


def comparisons(assertion: Assertion) -> Iterator[Comparison]:
    """Every comparison of an assertion, left to right."""
    if isinstance(assertion, Comparison):
        yield assertion
    else:
        for part in assertion.parts:
            yield from comparisons(part)
