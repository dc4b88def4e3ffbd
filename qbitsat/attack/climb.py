"""A first point with a large objective: signs of gradients, as in `gradient`, from the middle, from corners, and then from the best."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from ..limits import LimitReached, Limits
from ..network import forward_all
from ..options import Options
from ..properties import AtMost, Formula, Query
from ..properties.margin import gradients, margins
from .gradient import MAX_ELEMENTS, MAX_POINTS, MOVED_SHARES, STEPS, WAYS, Backward

# Then, from the best point: shares of its elements that move, in turn, and how often all of them do.
LATER_SHARES, ROUNDS = (0.05, 0.02, 0.2, 0.01), 4


class Point(NamedTuple):
    """Inputs of every network at which the assumption holds, and the objective there."""

    inputs: tuple[tuple[int, ...], ...]
    value: int


def climb(query: Query, assumption: Formula, goal: AtMost, options: Options, limits: Limits) -> Point | None:
    """The best point found in the boxes, until a limit runs out; assumption without `Not`, and the goal is -objective <= anything.

    Raises `LimitReached` if nothing was found by then.
    """
    climber = _Climber(query, assumption, AtMost(goal.terms, 0), options, limits)
    try:
        climber.run()
    except LimitReached:
        if climber.best is None:
            raise
    return climber.best


class _Climber:
    def __init__(self, query: Query, assumption: Formula, objective: AtMost, options: Options, limits: Limits):
        self.query, self.assumption, self.objective, self.limits = query, assumption, objective, limits
        self.rng = np.random.default_rng(options.seed)
        self.backwards = [Backward(network, limits) for network in query.networks]
        widest = max(layer.affine.n_in + layer.affine.n_out for network in query.networks for layer in network.layers)
        self.count = max(1, min(1 + options.restarts, MAX_POINTS, MAX_ELEMENTS // widest))
        self.further = np.arange(self.count) % WAYS > 0
        self.best: Point | None = None

    def run(self) -> None:
        """From the middle and from corners, then from the best point."""
        batch = []
        for box in self.query.boxes:
            x = np.where(self.rng.random((self.count, len(box.lo))) < 0.5, box.lo, box.hi)
            x[0] = (box.lo + box.hi) // 2
            batch.append(x)
        for step in range(STEPS):
            batch = self.step(batch, MOVED_SHARES[step % len(MOVED_SHARES)] if step else 1.0)
        for share in LATER_SHARES * ROUNDS if self.best else ():
            batch = self.step(self.again(), share)
        self.look(batch)

    def again(self) -> list[np.ndarray]:
        """The best point, as often as points go together."""
        assert self.best is not None
        return [np.repeat(np.array([x], np.int64), self.count, axis=0) for x in self.best.inputs]

    def step(self, batch: Sequence[np.ndarray], share: float) -> list[np.ndarray]:
        """A share of every point's elements, by chance, goes to the end of its box that its gradient points to."""
        values, found, deciding = self.look(batch)
        by_value, moved = gradients(found, deciding, self.query.networks, self.limits), list[np.ndarray]()
        for k, box in enumerate(self.query.boxes):
            direction = self.backwards[k].gradient(values[k], by_value[k], self.further)
            chosen = self.rng.random(direction.shape) < share
            moved.append(np.where(chosen & (direction > 0), box.hi, np.where(chosen & (direction < 0), box.lo, batch[k])))
        return moved

    def look(self, batch: Sequence[np.ndarray]) -> tuple[list[np.ndarray], list[AtMost], np.ndarray]:
        """All values at some points, and the inequality that each should raise next: the objective's where the assumption holds."""
        self.limits.check()
        networks, found = self.query.networks, list[AtMost]()
        values = [forward_all(network, x, self.limits) for network, x in zip(networks, batch, strict=True)]
        outputs = [v[:, network.outputs] for network, v in zip(networks, values, strict=True)]
        rest = list(batch), outputs, found, self.limits, values
        margin, deciding = margins(self.assumption, *rest)
        objective, own = margins(self.objective, *rest)
        inside = np.flatnonzero(margin >= 0)
        if len(inside):
            row = int(inside[objective[inside].argmax()])
            if self.best is None or objective[row] > self.best.value:
                self.best = Point(tuple(tuple(x[row].tolist()) for x in batch), int(objective[row]))
        return values, found, np.where(margin >= 0, own, deciding)
