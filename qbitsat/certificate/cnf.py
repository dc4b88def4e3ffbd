"""The CNF of a query once more, in plain Python: what the SAT engine gave to its solver, byte for byte.

The order of encoding fixes the numbers of the variables: network by network the words of the inputs, then layer by layer every output
that the formula can see; last the formula. What the ranges decide is not encoded.
"""

from __future__ import annotations

import hashlib

import numpy as np

from ..arithmetic import ShiftRequantizer
from ..limits import Tick
from .bitblast import Bitblaster
from .formula import Atom, Joint, Plain
from .layout import Block, Layout, Ranges
from .reading import Refused
from .staircases import FEW, STAIRCASES, Output, line, steps

# Variables between questions whether limits hold, and literals that are hashed at a time.
TICK, PIECE = 64, 1 << 16


class LimitedBitblaster(Bitblaster):
    """Asks whether limits hold as it works."""

    def __init__(self, tick: Tick):
        super().__init__()
        self.tick = tick

    def fresh(self) -> int:
        if self.num_vars % TICK == 0:
            self.tick()
        return super().fresh()


class QueryEncoder:
    """Encodes a formula over the ranges' values; `blaster` has the clauses.

    ranges: accumulators as they follow from the values. enforced: what they must keep, if that is narrower. balanced: sums as trees,
    not as chains.
    """

    def __init__(self, layout: Layout, ranges: Ranges, formula: Plain, balanced: bool, tick: Tick, enforced: Ranges | None = None):
        self.layout, self.ranges, self.balanced, self.tick = layout, ranges, balanced, tick
        self.enforced = enforced or ranges
        self.blaster = LimitedBitblaster(tick)
        self.words: list[tuple[list[int], int]] = [([], 0)] * layout.num_values
        seen = self._cone(formula)
        for k in range(len(layout.inputs)):
            for value in range(layout.inputs[k].start, layout.inputs[k].stop):
                self.words[value] = self.blaster.variable_word(int(ranges.hi[value] - ranges.lo[value]) if seen[value] else 0)
            for block in layout.blocks:
                if block.network == k:
                    self._encode_block(block, seen)
        self._require(formula)

    def _cone(self, formula: Plain) -> np.ndarray:
        """bool[num_values]: what the formula names, or `enforced` narrows, and what those read; but no values that the ranges fix."""
        seen, stack = np.zeros(self.layout.num_values, bool), [formula]
        while stack:
            part = stack.pop()
            if isinstance(part, Atom):
                seen[list(part.terms)] = True
            else:
                stack.extend(part.parts)
        free = self.ranges.lo < self.ranges.hi
        seen &= free
        held = (self.enforced.acc_lo > self.ranges.acc_lo) | (self.enforced.acc_hi < self.ranges.acc_hi)
        seen[self.layout.num_inputs :] |= held
        for block in reversed(self.layout.blocks):
            for i in np.flatnonzero(seen[block.target]).tolist():
                self.tick()
                reads = self._row(block, i)[0]
                seen[reads] |= free[reads]
        return seen

    def _row(self, block: Block, i: int) -> tuple[np.ndarray, np.ndarray, int]:
        """Accumulator i of a block: the values of the layout that it reads, each once, their weights, and its smallest sum."""
        values, weights, bias = block.row(i)
        ends = np.where(weights > 0, self.ranges.lo[values], self.ranges.hi[values])
        return values, weights, bias + int(weights @ ends)

    def _encode_block(self, block: Block, seen: np.ndarray) -> None:
        blaster, ranges, enforced = self.blaster, self.ranges, self.enforced
        for i in np.flatnonzero(seen[block.target]).tolist():
            self.tick()
            values, weights, base = self._row(block, i)
            acc = blaster.dot(self.words, values.tolist(), weights.tolist(), self.balanced)
            n, value = block.neurons.start + i, block.target.start + i
            if enforced.acc_lo[n] > ranges.acc_lo[n]:
                blaster.require_any([blaster.at_least(acc[0], int(enforced.acc_lo[n]) - base)])
            if enforced.acc_hi[n] < ranges.acc_hi[n]:
                blaster.require_any([-blaster.at_least(acc[0], int(enforced.acc_hi[n]) - base + 1)])
            lo, hi = int(ranges.lo[value]), int(ranges.hi[value])
            if lo < hi:
                output = Output(block.layer.requantizer(i), base, base, base + acc[1], lo, hi)
                self.words[value] = self._requantized(output, acc, f"layer {block.layer.name!r}")

    def _requantized(self, output: Output, acc: tuple[list[int], int], where: str) -> tuple[list[int], int]:
        """The word of an output for the sum that it is made from."""
        requantizer, levels = output.requantizer, output.hi - output.lo
        if type(requantizer) is ShiftRequantizer:
            delta = requantizer.offset - output.lo
            return self.blaster.requantize(acc, output.base, requantizer.shift, requantizer.rounding, delta, levels, *_reaches(output))
        if type(requantizer) not in STAIRCASES:
            raise Refused(f"{where}: no encoding of a requantizer of kind {type(requantizer).__name__}")
        found = steps(output)
        if found is None:
            raise Refused(f"{where}: no encoding of so many steps of a {type(requantizer).__name__}")
        straight = line(output, *found) if len(found[0]) > FEW else None
        return self.blaster.line(acc, *straight[:3], levels, *straight[3:]) if straight else self.blaster.steps(acc, *found, levels)

    # --- the formula ---

    def _require(self, formula: Plain) -> None:
        """Clauses that make the formula true."""
        if isinstance(formula, Joint) and formula.every:
            for part in formula.parts:
                self._require(part)
        else:
            parts = formula.parts if isinstance(formula, Joint) else (formula,)
            self.blaster.require_any([self._literal(part) for part in parts])

    def _literal(self, formula: Plain) -> int:
        """A literal that holds iff the formula does. For an atom: not (sum - smallest >= bound - smallest + 1)."""
        if isinstance(formula, Joint):
            lits = [self._literal(part) for part in formula.parts]
            return self.blaster.all_of(lits) if formula.every else self.blaster.any_of(lits)
        words = [self.words[value] for value in formula.terms]
        total, _ = self.blaster.dot(words, range(len(words)), list(formula.terms.values()), self.balanced)
        return -self.blaster.at_least(total, formula.bound - self.layout.smallest(formula.terms, self.ranges) + 1)


def _reaches(output: Output) -> tuple[int, int]:
    """The sums from which y > lo and from which y = hi, 0 where it always is or no clamp is needed."""
    requantizer, base, least, most, lo, hi = output
    reach_low = reach_high = 0
    if requantizer.monotone:
        if requantizer.before_overflow(least) < lo:  # type: ignore[attr-defined]
            reach_low = requantizer.first_reaching(lo + 1) - base
        if requantizer.before_overflow(most) > hi or hi - lo == 1:  # type: ignore[attr-defined]
            reach_high = requantizer.first_reaching(hi) - base
    return reach_low, reach_high


def leaf_encoder(layout: Layout, root: Ranges, leaf: Ranges, atoms: list[Atom], balanced: bool, tick: Tick) -> QueryEncoder:
    """The CNF of a leaf of a search: its atoms over its values, and accumulators held where splits narrow them.

    What the facts about the root say of an accumulator holds anyway and is left out.
    """
    free = layout.accumulators(leaf)
    least = np.where(leaf.acc_lo > np.maximum(free.acc_lo, root.acc_lo), leaf.acc_lo, free.acc_lo)
    most = np.where(leaf.acc_hi < np.minimum(free.acc_hi, root.acc_hi), leaf.acc_hi, free.acc_hi)
    return QueryEncoder(layout, free, Joint(True, tuple(atoms)), balanced, tick, Ranges.at_rest(leaf.lo, leaf.hi, least, most))


def digest(num_vars: int, data: list[int], tick: Tick) -> str:
    """The hash of a CNF: variables, then the zero-terminated clauses, all as little-endian int32."""
    found = hashlib.sha256(np.array([num_vars], "<i4").tobytes())
    for begin in range(0, len(data), PIECE):
        tick()
        found.update(np.array(data[begin : begin + PIECE], "<i4").tobytes())
    return found.hexdigest()
