"""Questions about networks: regions, formulas, queries, and the properties built from them."""

from .formula import And, AtMost, Formula, Not, Or, Ref, accumulator, at_least
from .query import Box, Origin, Query, Witness
from .replay import confirm, replay
from .robustness import robustness

__all__ = [
    "And", "AtMost", "Box", "Formula", "Not", "Or", "Origin", "Query", "Ref", "Witness", "accumulator", "at_least", "confirm",
    "replay", "robustness",
]  # fmt: skip
