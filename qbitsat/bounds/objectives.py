"""Good multipliers for upper bounds of many linear objectives in the ranges of one node: those of `dual_descent`, sixteen at a time.

Of a convolution a neuron behind it sees few positions, and its neighbours nearly the same ones: side by side they share every weight
that is loaded and every vertex that is tried.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from .._kernels.suggest import objectives as _objectives
from .dual_descent import DECAY, RATE
from .float_blocks import FloatBlocks
from .layout import Block, Inequalities, Layout
from .ranges import Ranges


class Objectives(FloatBlocks):
    """Objectives over the values of some blocks of a layout, each after what it reads; ranges are those of one node."""

    def __init__(self, layout: Layout, blocks: Sequence[Block], ranges: Ranges):
        super().__init__(layout, blocks, ranges)
        layout.limits.require(_objectives.Objectives.bytes_for(layout.num_inputs, len(self.neurons)) + 56 * layout.num_neurons)
        x_lo, x_hi, acc, y, slopes = (part[0] for part in self.vertices(ranges))
        self.kernel = _objectives.Objectives(self.floats, x_lo, x_hi, acc, y, slopes, layout.limits.check)

    def bound(self, objectives: Inequalities, steps: int) -> tuple[np.ndarray, np.ndarray]:
        """Upper bounds of coefficients . values, float32[n], and the multipliers that give them, float32[n, num_neurons of the blocks].

        Bounds of inequalities are of no account. Those next to each other should rest on the same values.
        """
        return self.kernel.run(objectives.floats(self.place), steps, RATE, DECAY)
