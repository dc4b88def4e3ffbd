"""Questions about networks: regions, formulas, queries, and the properties built from them."""

from .agreement import agreement, joined
from .equality import equality
from .formula import And, AtMost, Formula, Not, Or, Ref, accumulator, at_least
from .gap import Gap, gap
from .monotone import monotone
from .query import Box, Origin, Query, Witness
from .replay import confirm, replay
from .robustness import robustness

__all__ = [
    "And", "AtMost", "Box", "Formula", "Gap", "Not", "Or", "Origin", "Query", "Ref", "Witness", "accumulator", "agreement", "at_least",
    "confirm", "equality", "gap", "joined", "monotone", "replay", "robustness",
]  # fmt: skip
