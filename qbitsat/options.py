"""The one table of options: name, default, allowed values, and the text of `--help`. Every row is read somewhere."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, fields
from typing import Any

import numpy as np

from .errors import ArgumentError, none_of, unknown

ENGINES = ("auto", "hybrid", "sat", "enumerate")
LAYOUTS = ("balanced", "linear")
ENCODINGS = ("narrowed", "substituted", *LAYOUTS)
SOLVERS = (
    "cadical103", "cadical153", "cadical195", "cadical300", "kissat404", "glucose3", "glucose4", "glucose42",
)  # fmt: skip


# What an option is about, in the order of a query's way.
STAGES = ("limits", "results", "bounds", "attack", "search", "SAT")


@dataclass(frozen=True)
class Option:
    """One row. choices for words; lo and hi (inclusive) for numbers; None as a default means no limit.

    stage is one of STAGES; `common` ones are those that `verify --help` shows, the others are shown by `--help-all`.
    """

    name: str
    default: Any
    text: str
    choices: tuple[str, ...] = ()
    lo: float = 0
    hi: float = math.inf
    metavar: str | None = None
    number: type = float
    stage: str = "search"
    common: bool = False

    @property
    def kind(self) -> type:
        """bool, str, int or float; that of `number` where there is no default."""
        return self.number if self.default is None else type(self.default)

    def check(self, value: Any) -> Any:
        """The value in its proper type, or `InputError` that says what was expected."""
        if self.choices:
            if value not in self.choices:
                raise ArgumentError(self.name, none_of(value, self.choices))
            return value
        if value is None and self.default is None:
            return None
        if self.kind is bool:
            if not isinstance(value, bool | np.bool_):
                raise ArgumentError(self.name, f"{value!r}, expected true or false")
            return bool(value)
        try:
            number = self.kind(value)
        except (TypeError, ValueError, OverflowError):
            number = math.nan
        if isinstance(value, bool | np.bool_) or not self.lo <= number <= self.hi or math.isinf(number) or number != value:
            most = "" if self.hi == math.inf else f" and at most {self.hi}"
            whole = "a whole number" if self.kind is int else "a finite number"
            raise ArgumentError(self.name, f"{value!r}, expected {whole} of at least {self.lo}{most}")
        return number


def _row(default: Any, text: str, choices: tuple[str, ...] = (), **rest: Any) -> Any:
    """A field with its row of the table, which has its name when the class is made."""
    return field(default=default, metadata={"default": default, "text": text, "choices": choices, **rest})


@dataclass(frozen=True)
class Options:
    """What the stages of a query read; made, and checked, by `make_options`."""

    engine: str = _row(
        "auto",
        "what decides queries that bounds and attack leave open: search with multipliers and SAT, SAT alone, or all points one by one; "
        "auto is hybrid, takes turns with SAT where inputs have two values each, and enumerates where that is faster",
        ENGINES,
    )
    encoding: str = _row(
        "narrowed",
        "sums in balanced trees or linear chains; substituted adds linear cuts over inputs; narrowed has a CNF for each disjunct of the "
        "violation, its bounds tightened by probing",
        ENCODINGS,
        stage="SAT",
    )
    solver: str = _row("glucose42", "the SAT solver, by its PySAT name", SOLVERS, stage="SAT")
    seed: int = _row(0, "seed of everything random", hi=2**32 - 1, metavar="N")
    timeout: float | None = _row(None, "seconds for each query; none by default", lo=0.001, metavar="S", stage="limits", common=True)
    memory: float | None = _row(
        None, "GiB of resident memory for each process that works on a query; none by default", lo=0.001, metavar="GIB", stage="limits"
    )
    conflicts: int | None = _row(
        None, "conflicts of the SAT solver for each query; none by default", lo=1, hi=2**31 - 1, metavar="N", number=int, stage="SAT"
    )
    attack: bool = _row(True, "look for a violation with gradients first", stage="attack")
    restarts: int = _row(8, "random starting points of the attack for each class to reach", hi=10**6, metavar="N", stage="attack")
    tighten: int = _row(
        40,
        "steps for tighter bounds of every accumulator before the search; 0 leaves interval bounds",
        hi=10**6,
        metavar="N",
        stage="bounds",
    )
    refine: bool = _row(True, "small trees for narrower ranges of deep dense networks where the search does not end soon")
    steps: int = _row(30, "steps of the search for multipliers at each node", lo=1, hi=10**6, metavar="N")
    polish: int = _row(
        30, "smaller steps after those, from the best multipliers, as long as no linear programs are solved", hi=10**6, metavar="N"
    )
    batch: int = _row(64, "nodes that the search works on together", lo=1, hi=10**4, metavar="N")
    leaf: float = _row(16.0, "a node without a neuron to split goes to SAT if it has at most two to this power of inputs", metavar="BITS")
    enumerate_bits: int = _row(26, "enumerate regions of at most two to this power of points", hi=30, metavar="BITS")
    jobs: int = _row(
        1,
        "processes in all: queries at the same time, or sharers of one query's search, with as many threads before",
        lo=1,
        hi=1024,
        metavar="N",
        stage="limits",
        common=True,
    )
    rounding: bool = _row(True, "try the relaxed points of open nodes as witnesses")
    clauses: bool = _row(True, "learn clauses from refuted nodes of the search, and cut others by them")
    lp: bool = _row(True, "solve a linear program at the nodes that stay open, once a search takes long")
    anneal: bool = _row(True, "look for witnesses by annealing: over inputs, or over the outputs of first layers that are matrices")
    cover: bool = _row(
        True, "first refute, each alone, inequalities of which every case of a formula has one, such as that a class is kept"
    )
    pairs: bool = _row(True, "bound differences of layers that come twice with nearly the same weights, on the same inputs", stage="bounds")
    bounds: bool = _row(True, "decide by interval bounds before SAT where they suffice", stage="bounds")
    certificates: bool = _row(False, "write a certificate of each verdict, for `check`", stage="results", common=True)


TABLE = tuple(Option(entry.name, **entry.metadata) for entry in fields(Options))
ROWS = {row.name: row for row in TABLE}


def make_options(**values: Any) -> Options:
    """A frozen record with one field for each row of the table, checked; unknown names raise `InputError`."""
    for name in values:
        if name not in ROWS:
            raise unknown("option", name, ROWS)
    return Options(**{name: ROWS[name].check(value) for name, value in values.items()})
