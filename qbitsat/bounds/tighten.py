"""Tighter ranges of the accumulators behind the first layer, each proved by integer multipliers.

Layer by layer, every accumulator's two ends are objectives of their own. On the 784-64-32-10 networks of the QVIP benchmark 40 steps
come within a few per cent of what a linear program for each end gives, in about a thirtieth of its time.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from ..limits import SLICE
from ..network.layers import PADDING
from .dual import NO_BOUND, NO_POINT, Dual, Sparse
from .dual_descent import FASTER
from .layout import ROW_BYTES, Block, Inequalities, Layout
from .objectives import Objectives
from .ranges import Ranges

# What all of it may take: some seconds, and some tenths. Layers share it, as many steps each; those for
# which it is not enough for FEWEST steps are left out.
WORK, LITTLE, FEWEST = 1 << 33, 1 << 28, 2
# Ends that are worked on together; the kernel looks at the limits by itself.
TOGETHER = 256
# Bytes of multipliers that are kept; with so many there are no more facts. Bytes of what is worked on.
KEPT, ROOM = 1 << 27, 1 << 28
# What a neuron takes in a step, in multiply-adds; what a value before a layer, and all else, takes in proofs of both ends of an output.
NEURON, VALUE, OUTPUT = 8, 150, 100_000


class ProvedBound(NamedTuple):
    """side * acc <= bound for one neuron (side is 1 or -1).

    multipliers prove an upper bound of scale * side * (acc - bias) over the values of the neuron's row (`Layout.row`); None unless they
    are asked for.
    """

    neuron: int
    side: int
    bound: int
    scale: int
    multipliers: Sparse | None


def work_of(layout: Layout, ranges: Ranges, steps: int) -> int:
    """What `tighten` takes if it may take so many steps everywhere, in products."""
    deep = deep_blocks(layout)
    return sum(_open(ranges, block) * _cost(block, _products(layout, before, block), steps) for before, block in deep)


def tighten(layout: Layout, ranges: Ranges, steps: int, kept: bool = True, work: float | None = None) -> list[ProvedBound] | None:
    """Narrow one node's ranges in place and say by which facts, layers in order; None if nothing is left.

    kept: facts keep multipliers. work: products that it may take, WORK by default.
    """
    facts: list[ProvedBound] = []
    work = float(WORK if work is None else work)
    deep = deep_blocks(layout)
    blocks = [block for _, block in deep]
    each = [_products(layout, before, block) for before, block in deep]
    for k, (before, block) in enumerate(deep):
        open_ = [_open(ranges, part) for part in blocks[k:]]
        taken = _shared_steps(list(zip(blocks[k:], each[k:], open_, strict=True)), work, steps)
        needed = open_[0] * _cost(block, each[k], taken)
        if needed > work:
            continue
        work -= needed
        room = KEPT - _kept(facts) if kept else None
        found = prove_ends(layout, ranges, before, block, taken, room)
        if found is None:
            return None
        facts += found
        for neuron, side, bound, _, _ in found:
            ends, better = (ranges.acc_hi, min) if side > 0 else (ranges.acc_lo, max)
            ends[0, neuron] = better(int(ends[0, neuron]), side * bound)
        if not ranges.propagate(layout).all():
            return None
    return facts


def _cost(block: Block, products: int, steps: int) -> int:
    """What both ends of an accumulator of a block take."""
    return 2 * steps * products // FASTER + VALUE * block.target.start + OUTPUT


def _shared_steps(parts: list[tuple[Block, int, int]], work: float, steps: int) -> int:
    """How many steps blocks may take, at most `steps`: of each the products of one, and the open outputs. At least FEWEST."""
    fit = [(block, products, n) for block, products, n in parts if n * _cost(block, products, FEWEST) <= work]
    left = work - sum(n * _cost(block, 0, 0) for block, _, n in fit)
    taken = int(FASTER * left / max(1, sum(2 * n * products for _, products, n in fit)))
    return min(steps, max(taken, FEWEST))


def deep_blocks(layout: Layout) -> list[tuple[list[Block], Block]]:
    """The blocks behind others, each after those that it rests on; differences have their ranges from pairs, and are left out."""
    pairs, n = layout.pairs, layout.num_neurons
    differences = np.zeros(n + 1, bool)  # the last one is that of no neuron
    differences[pairs[:, 2:4]] = True
    return [(_before(layout, block), block) for block in layout.blocks if block.reads_neurons and not differences[:n][block.neurons].any()]


def _before(layout: Layout, block: Block) -> list[Block]:
    """The blocks that a block reads, and those that these read."""
    found, needed = list[Block](), np.zeros(layout.num_values, bool)
    needed[block.view[block.view != PADDING]] = True
    for part in reversed(layout.blocks):
        if needed[part.target].any():
            needed[part.view[part.view != PADDING]] = True
            found.insert(0, part)
    return found


def _open(ranges: Ranges, block: Block) -> int:
    """How many outputs of a block are not fixed."""
    return int((ranges.lo[0, block.target] < ranges.hi[0, block.target]).sum())


def _products(layout: Layout, before: list[Block], block: Block) -> int:
    """Multiply-adds of one step for a middle output: of the positions on which it rests, and what every neuron takes in any case."""
    layout.limits.check()
    needed = np.zeros(layout.num_values, bool)
    needed[layout.row(block, block.size // 2)[0]] = True
    total = NEURON * sum(part.size for part in before)
    for part in reversed(before):
        outputs = needed[part.target]
        total += part.layer.affine.products_of(outputs)
        cells = part.view[part.layer.affine.sources(outputs)]
        needed[cells[cells != PADDING]] = True
    return total


def prove_ends(layout: Layout, ranges: Ranges, before: list[Block], block: Block, steps: int, room: int | None) -> list[ProvedBound] | None:
    """Facts about one block that say more than the ranges do; None if there is no point at all.

    room: bytes for multipliers, None if none are kept.
    """
    affine = block.layer.affine
    outputs = np.flatnonzero((ranges.lo[0, block.target] < ranges.hi[0, block.target]) & (affine.magnitudes() > 0))
    # Both ends of an output one after the other, and outputs of one position: they rest on the same values.
    ends, sides = np.repeat(outputs, 2), np.tile([1, -1], len(outputs))
    if not len(ends):
        return []
    work = steps * sum(part.layer.affine.num_products for part in before) / FASTER
    shares = layout.limits.shares(len(ends), work)
    each = None if room is None else room // len(shares)
    found = layout.limits.spread(lambda mine: _prove_some(layout, ranges, before, block, ends[mine], sides[mine], steps, each), shares)
    return None if None in found else [fact for facts in found for fact in facts or ()]


def _prove_some(
    layout: Layout,
    ranges: Ranges,
    before: list[Block],
    block: Block,
    ends: np.ndarray,
    sides: np.ndarray,
    steps: int,
    room: int | None,
) -> list[ProvedBound] | None:
    """The same of ends of these outputs at these sides."""
    affine = block.layer.affine
    part, objectives, facts = layout.before(block), Objectives(layout, before, ranges), list[ProvedBound]()
    # Multipliers and the row, as an objective and as an inequality; what is kept is taken into account as it comes.
    size = 40 * layout.num_neurons + ROW_BYTES * (affine.num_products // affine.n_out)
    for mine in layout.limits.slices(len(ends), SLICE * max(1 / TOGETHER, size / ROOM), size):
        if room is not None and room <= 0:
            break
        found = _prove(layout, ranges, part, objectives, block, ends[mine], sides[mine], steps, room is not None)
        if found is None:
            return None
        facts += found
        room = None if room is None else room - _kept(found)
    return facts


def _kept(facts: list[ProvedBound]) -> int:
    """Bytes of their multipliers."""
    return sum(fact.multipliers.nbytes for fact in facts if fact.multipliers is not None)


def _prove(
    layout: Layout,
    ranges: Ranges,
    part: Layout,
    objectives: Objectives,
    block: Block,
    outputs: np.ndarray,
    sides: np.ndarray,
    steps: int,
    kept: bool,
) -> list[ProvedBound] | None:
    """The same of some ends: of outputs, from above where the side is 1, from below where it is -1. part is what comes before the block."""
    neurons = block.neurons.start + outputs
    stated, biases = layout.rows(block, outputs, sides)
    known = np.where(sides > 0, ranges.acc_hi[0, neurons], -ranges.acc_lo[0, neurons])
    bounds, suggested = objectives.bound(stated, steps)
    offsets = sides * biases
    promising = np.flatnonzero(bounds < known - offsets)
    multipliers = np.zeros((len(promising), part.num_neurons), np.float32)
    multipliers[:, objectives.neurons] = suggested[promising]
    # D of 0 >= -objective, a share of 1.
    negated = Inequalities(stated.starts, stated.values, -stated.coefficients, stated.bounds)
    atoms, shares = promising.astype(np.int32)[:, None], np.ones((len(promising), 1), np.float32)
    proved, facts = Dual(part, negated).prove(ranges.before(part), np.arange(len(promising)), atoms, shares, multipliers), []
    for k, value, scale, row in zip(promising.tolist(), proved.values, proved.shares[:, 0].tolist(), proved.multipliers, strict=True):
        if value == NO_POINT:
            return None
        if value == NO_BOUND:
            continue
        # The share was 1, so it is the scale; D is above scale * side * (acc - bias).
        bound = int(value) // scale + int(offsets[k])
        if bound < known[k]:
            facts.append(ProvedBound(int(neurons[k]), int(sides[k]), bound, scale, Sparse.of(row) if kept else None))
    return facts
