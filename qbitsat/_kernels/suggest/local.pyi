from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from ..exact.layers import Atoms, Layers

Longs = NDArray[np.int64]

class Local:
    def __init__(
        self,
        layers: Layers,
        atoms: Atoms,
        values: Longs,
        acc: Longs,
        box: tuple[Longs, Longs],
        partner: NDArray[np.integer],
        images: Sequence[tuple[int, int, int, int]],
        length: NDArray[np.floating],
    ) -> None: ...
    def begin(self, x: Longs, atoms: Sequence[int], seed: int) -> None: ...
    def on(self, moves: int, temperature: float) -> bool: ...
    @property
    def score(self) -> float: ...
    @property
    def best(self) -> float: ...
    @property
    def scale(self) -> float: ...
    @property
    def values(self) -> Longs: ...
    @property
    def acc(self) -> Longs: ...
    @property
    def best_x(self) -> Longs: ...
