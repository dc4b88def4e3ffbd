"""Some blocks of a layout in float32, numbered among themselves, for what only suggests multipliers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from .._kernels.exact import ranges as _ranges
from .._kernels.exact.layers import Layers
from .._kernels.suggest.floats import Floats
from .layout import Block, Layout
from .ranges import Ranges


class FloatBlocks:
    """Blocks, each after what it reads: value v of the layout is place[v] there or -1, and neurons are those of the layout.

    Multipliers of neurons that are fixed in `root` are of no use, and stay 0.
    """

    def __init__(self, layout: Layout, blocks: Sequence[Block], root: Ranges):
        self.layout, self.blocks = layout, blocks
        self.products = sum(block.layer.affine.num_products for block in blocks)
        self.neurons = np.concatenate([np.arange(b.neurons.start, b.neurons.stop) for b in blocks])
        self.is_complete = len(self.neurons) == layout.num_neurons
        # Values in the kernel's order: inputs, then the neurons of these blocks.
        self.place = np.full(layout.num_values, -1, np.int32)
        self.place[: layout.num_inputs] = np.arange(layout.num_inputs)
        self.place[layout.num_inputs + self.neurons] = layout.num_inputs + np.arange(len(self.neurons))
        # Weights of the kernels and of the floats, and once more as columns.
        layout.limits.require(sum(12 * b.layer.affine.num_weights + 12 * b.layer.affine.n_out for b in blocks))
        parts: Any = [(b.layer.affine, self._placed(b), b.layer.input.zero_point, ()) for b in blocks]
        self.layers = Layers(layout.num_inputs, parts)
        self.floats = Floats(self.layers)
        fixed = root.lo[0, layout.num_inputs :] == root.hi[0, layout.num_inputs :]
        self.useless = np.concatenate([fixed[b.neurons] for b in blocks])

    def _placed(self, block: Block) -> np.ndarray:
        """What a block reads, as the kernel numbers it."""
        placed = np.append(self.place, np.int32(-1))[block.view]
        if (placed[block.view >= 0] < 0).any():
            raise ValueError(f"layer {block.layer.name!r} reads a layer that is not before it")
        return placed

    def vertices(self, ranges: Ranges) -> tuple[np.ndarray, ...]:
        """x_lo and x_hi of inputs, float32[nodes, inputs] each, and acc, y and slopes of neurons, see `ranges.vertices`."""
        vertices = _ranges.vertices(self.layout.kernel, *ranges.arrays)
        acc, y, slopes = vertices if self.is_complete else (np.ascontiguousarray(part[..., self.neurons]) for part in vertices)
        slopes[:, self.useless] = -1
        x_lo, x_hi = (np.ascontiguousarray(a[:, : self.layout.num_inputs], np.float32) for a in (ranges.lo, ranges.hi))
        return x_lo, x_hi, acc, y, slopes
