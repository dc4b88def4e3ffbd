"""What two outputs with a known difference of accumulators say of each other, and of their own difference."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from .layout import Layout, Ranges

# Of outputs with more levels the difference is left as it is.
MAX_LEVELS = 4096


class Links:
    """Values (a, b, e, d), int64[n, 4], whose d are outputs of one block: acc_a - acc_b = e and y_a - y_b = d."""

    def __init__(self, layout: Layout, links: np.ndarray):
        self.a, self.b, self.e, self.d = links.T
        self.shift = layout.num_inputs
        blocks = [[layout.block_of(int(v)) for v in part] for part in (self.a, self.b)]
        # All of one column are outputs of one block.
        (first, *_), (second, *_) = blocks
        assert first is not None
        assert second is not None
        self.first, self.second = first, second
        self.limits = layout.limits
        ones, others = (
            [block.layer.requantizer(v - block.target.start) for v in part.tolist()] for block, part in ((first, self.a), (second, self.b))
        )
        self.same = np.array([one == other for one, other in zip(ones, others, strict=True)], bool)

    def settle(self, ranges: Ranges, moved: np.ndarray) -> bool:
        """Narrow accumulators by those of the other and e, outputs by accumulators, d by both, and outputs by d; False if nothing is left.

        moved is a mask of values: those that became narrower and were perhaps read before are added.
        """
        r, a, b, d = ranges, self.a, self.b, self.d
        acc_a, acc_b, acc_d, acc_e = (part - self.shift for part in (a, b, d, self.e))
        before = [ends[v].copy() for ends in (r.lo, r.hi) for v in (a, b, d)]
        accs = [ends[n].copy() for ends in (r.acc_lo, r.acc_hi) for n in (acc_a, acc_b)]
        e_lo, e_hi = r.acc_lo[acc_e], r.acc_hi[acc_e]
        if not _cut(r.acc_lo, r.acc_hi, acc_a, r.acc_lo[acc_b] + e_lo, r.acc_hi[acc_b] + e_hi):
            return False
        if not _cut(r.acc_lo, r.acc_hi, acc_b, r.acc_lo[acc_a] - e_hi, r.acc_hi[acc_a] - e_lo):
            return False
        for block, v in ((self.first, a), (self.second, b)):
            o, n = v - block.target.start, v - self.shift
            if not _cut(r.lo, r.hi, v, block.steps.level(o, r.acc_lo[n]), block.steps.level(o, r.acc_hi[n])):
                return False
        if not self._cut_differences(r, e_lo, e_hi):
            return False
        if not (_cut(r.lo, r.hi, a, r.lo[b] + r.lo[d], r.hi[b] + r.hi[d]) and _cut(r.lo, r.hi, b, r.lo[a] - r.hi[d], r.hi[a] - r.lo[d])):
            return False
        for block, v in ((self.first, a), (self.second, b)):
            o, n = v - block.target.start, v - self.shift
            if not _cut(r.acc_lo, r.acc_hi, n, block.steps.first(o, r.lo[v]), block.steps.first(o, r.hi[v] + 1) - 1):
                return False
        changed = [old != ends[v] for old, (ends, v) in zip(before, [(ends, v) for ends in (r.lo, r.hi) for v in (a, b, d)], strict=True)]
        for k, v in enumerate((a, b, d)):
            mine = v[changed[k] | changed[k + 3]]
            moved[mine] = r.restless[mine] = True
            r.unread[mine] |= k == 2
        for k, (v, n) in enumerate(((a, acc_a), (b, acc_b))):
            r.restless[v[(accs[k] != r.acc_lo[n]) | (accs[k + 2] != r.acc_hi[n])]] = True
        return bool((r.acc_lo[acc_d] <= r.acc_hi[acc_d]).all())

    def _cut_differences(self, r: Ranges, e_lo: np.ndarray, e_hi: np.ndarray) -> bool:
        """y_a - y_b over all accumulators of both whose difference is in the range of e.

        Over those that give b one level, y_a is largest for the last, and smallest for the first of them.
        """
        none = self.same & (e_lo == 0) & (e_hi == 0)
        few = np.flatnonzero(~none & (r.hi[self.b] - r.lo[self.b] < MAX_LEVELS))
        least, most, known = np.zeros_like(e_lo), np.zeros_like(e_lo), none.copy()
        known[few] = True
        for part in self.limits.slices(len(few), float(MAX_LEVELS)):
            some = few[part]
            ends = self._ends(r, some, e_lo[some], e_hi[some])
            if ends is None:
                return False
            least[some], most[some] = ends
        d = self.d[known]
        if not _cut(r.lo, r.hi, d, least[known], most[known]):
            return False
        return _cut(r.acc_lo, r.acc_hi, d - self.shift, least[known], most[known])

    def _ends(self, r: Ranges, some: np.ndarray, e_lo: np.ndarray, e_hi: np.ndarray) -> tuple[np.ndarray, np.ndarray] | None:
        """The smallest and the largest difference of some links; None if one has none."""
        o_a, o_b = self.a[some] - self.first.target.start, self.b[some] - self.second.target.start
        n_a, n_b = self.a[some] - self.shift, self.b[some] - self.shift
        low = np.maximum(r.lo[self.b[some]], self.second.steps.level(o_b, r.acc_lo[n_b]))
        high = np.minimum(r.hi[self.b[some]], self.second.steps.level(o_b, r.acc_hi[n_b]))
        counts = high - low + 1
        if (counts <= 0).any():
            return None
        starts = np.cumsum(counts) - counts
        which = np.repeat(np.arange(len(some)), counts)
        y = low[which] + np.arange(len(which)) - starts[which]
        begin = np.maximum(r.acc_lo[n_b][which], self.second.steps.first(o_b[which], y))
        end = np.minimum(r.acc_hi[n_b][which], self.second.steps.first(o_b[which], y + 1) - 1)
        given, far = begin <= end, np.int64(1) << 60
        least = self.first.steps.level(o_a[which], np.maximum(r.acc_lo[n_a][which], begin + e_lo[which])) - y
        most = self.first.steps.level(o_a[which], np.minimum(r.acc_hi[n_a][which], end + e_hi[which])) - y
        if not np.logical_or.reduceat(given, starts).all():
            return None
        return np.minimum.reduceat(np.where(given, least, far), starts), np.maximum.reduceat(np.where(given, most, -far), starts)


def _cut(ends_lo: np.ndarray, ends_hi: np.ndarray, at: np.ndarray, lo: np.ndarray, hi: np.ndarray) -> bool:
    """Narrow ranges in place; whether something is left of each."""
    ends_lo[at], ends_hi[at] = np.maximum(ends_lo[at], lo), np.minimum(ends_hi[at], hi)
    return bool((ends_lo[at] <= ends_hi[at]).all())
