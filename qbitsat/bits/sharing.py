"""A verifier that tries what broke the property of the same sample at other widths, and says what an attack alone would have found."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from ..attack import propose
from ..campaign import Task, Verifier
from ..limits import LimitReached, Limits, cpu_seconds
from ..network import forward
from ..network.inference import classes_of
from ..options import Options, make_options
from ..properties import Query, Witness, replay
from ..properties.formula import without_not
from ..properties.robustness import KEPT
from ..verify import VIOLATED, Verdict

# The engine of a verdict by a witness of another width.
TRANSFER = "transfer"


@dataclass(frozen=True, eq=False)
class SharingVerifier(Verifier):
    """witnesses are inputs, int64[n, size], for samples; what holds them has the same input format. attacks says whether to attack, too,
    what one of them breaks.
    """

    witnesses: Mapping[int, np.ndarray] = field(default_factory=dict)
    attacks: bool = True

    def decide(self, task: Task, query: Query) -> Verdict:
        found = self.transferred(task, query)
        return super().decide(task, query) if found is None else found

    def transferred(self, task: Task, query: Query) -> Verdict | None:
        """VIOLATED, by the attack if that finds a witness too, else by one of another width; None where none of those breaks it."""
        known = self.known(task)
        if not len(known):
            return None
        options = make_options(**self.options)
        limits, cpu = Limits(options.timeout, options.memory), cpu_seconds()
        witness, engine = replay(query, (tuple(known[0].tolist()),)), TRANSFER
        if witness is None:
            return None
        own = self.attacked(query, options, limits) if options.attack and self.attacks else None
        if own is not None:
            witness, engine = own, "attack"
        return Verdict(VIOLATED, engine=engine, witness=witness, options=options, seconds=limits.seconds(), cpu_seconds=cpu_seconds() - cpu)

    @staticmethod
    def attacked(query: Query, options: Options, limits: Limits) -> Witness | None:
        """What the attack finds by itself."""
        try:
            inputs = propose(query, without_not(query.named), options, limits).inputs
        except (LimitReached, MemoryError):
            return None
        return None if inputs is None else replay(query, inputs)

    def known(self, task: Task) -> np.ndarray:
        """Inputs of other widths that are within the distance, and have another class here."""
        known = self.witnesses.get(task.sample)
        if known is None:
            return np.empty((0, task.x.size), np.int64)
        near = known[np.abs(known - task.x).max(axis=1) <= task.eps]
        return near[classes_of(forward(self.network, near), task.label if task.ties == KEPT else None) != task.label]
