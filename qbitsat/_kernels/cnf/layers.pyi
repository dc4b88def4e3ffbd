import numpy as np
from numpy.typing import NDArray

from ...limits import Limits
from .clauses import ClauseBuffer
from .gates import Gates

class Words:
    n: int
    def __init__(self, n: int) -> None: ...
    def bits(self, i: int) -> list[int]: ...
    def span(self, i: int) -> int: ...
    def copy_from(self, i: int, source: Words, j: int) -> None: ...

class Encoder:
    clauses: ClauseBuffer
    gates: Gates
    def __init__(self, limits: Limits | None = None) -> None: ...
    def variables(self, spans: NDArray[np.int64]) -> Words: ...
    def dot(self, source: Words, indices: NDArray[np.int32], weights: NDArray[np.int64], balanced: bool) -> int: ...
    def keep(self, target: Words, i: int) -> None: ...
    def difference(
        self,
        target: Words,
        i: int,
        first: Words,
        j: int,
        first_factor: int,
        second: Words,
        k: int,
        second_factor: int,
        constant: int,
        span: int,
    ) -> None: ...
    def at_most(self, words: Words, weights: NDArray[np.int64], budget: int, condition: int) -> None: ...
    def at_least(self, bound: int) -> int: ...
    def requantize(
        self,
        target: Words,
        i: int,
        base: int,
        shift: int,
        rounding: int,
        delta: int,
        levels: int,
        reach_low: int,
        reach_high: int,
    ) -> None: ...
    def line(
        self,
        target: Words,
        i: int,
        factor: int,
        constant: int,
        shift: int,
        levels: int,
        reach_low: int,
        reach_high: int,
    ) -> None: ...
    def steps(self, target: Words, i: int, starts: NDArray[np.int64], levels: NDArray[np.int64], span: int) -> None: ...
