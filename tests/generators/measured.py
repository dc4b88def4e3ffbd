"""Radii of tiny networks by enumeration of all their inputs, and the check of what measures them against that."""

from __future__ import annotations

import itertools
import random
from typing import NamedTuple

import numpy as np
from maximized import stopping
from tiny import busy_network, random_network

from qbitsat.limits import NO_LIMITS
from qbitsat.network import Network
from qbitsat.properties.balls import distances_of
from qbitsat.properties.robustness import TIES
from qbitsat.radii import Radius, radius
from qbitsat.radii.question import Question

MOST_POINTS = 5000


class Case(NamedTuple):
    """A question, all points of the network's inputs, and which of them break it."""

    question: Question
    points: np.ndarray
    broken: np.ndarray

    def expected(self, norm: str) -> tuple[int, bool]:
        """The largest radius, and whether there are witnesses beyond."""
        apart = distances_of(norm, self.question.x, self.points)
        if not self.broken.any():
            return self.question.farthest(norm), False
        return int(apart[self.broken].min()) - 1, True


def all_points(network: Network) -> np.ndarray | None:
    lo, hi = (ends[: network.num_inputs] for ends in network.value_ranges)
    if float(np.prod(hi - lo + 1.0)) > MOST_POINTS:
        return None
    return np.array(list(itertools.product(*(range(a, b + 1) for a, b in zip(lo.tolist(), hi.tolist(), strict=True)))))


def case_of(rng: random.Random) -> Case:
    """A label that its network gives, and a target half of the time; inputs at the ends of their range are common."""
    while True:
        network = busy_network(rng, rng.randint(1, 3)) if rng.random() < 0.7 else random_network(rng)
        points = all_points(network)
        if points is None or network.output.size < 2:
            continue
        x = points[rng.choice([0, -1, rng.randrange(len(points)), rng.randrange(len(points))])]
        question = Question(network, x, 0, None, rng.choice(TIES))
        for label in rng.sample(range(network.output.size), network.output.size):
            target = rng.randrange(network.output.size) if rng.random() < 0.4 and label == 0 else None
            question = Question(network, x, label, target, question.ties)
            own = Question(network, x, label, None, question.ties)
            if target != label and not own.violated(x[None], NO_LIMITS)[0]:
                return Case(question, points, question.violated(points, NO_LIMITS))


def measured(case: Case, **options) -> Radius:
    question = case.question
    return radius(question.network, question.x, question.label, target=question.target, ties=question.ties, **options)


def stopped_radius(case: Case, looks: int, **options) -> Radius:
    with stopping(looks):
        return measured(case, **options)


def check_radius(seed: int, norm: str) -> bool:
    """Hold what measures against enumeration, with several options; whether there is a witness."""
    case = case_of(random.Random(seed))
    expected, beyond = case.expected(norm)
    rules = {"tighten": (40, 0)[seed % 2], "steps": (1, 5, 20)[seed % 3], "batch": (1, 64)[seed % 2], "attack": seed % 4 > 1}
    for options in ({}, rules, {"engine": ("sat", "enumerate", "hybrid")[seed % 3], "bounds": seed % 4 > 0}):
        found = measured(case, norm=norm, seed=seed, **options)
        assert (found.verdict, found.radius, found.upper) == ("OPTIMAL", expected, expected), (seed, options)
        check_witness(case, norm, found, beyond)
    least = random.Random(seed).randint(0, expected + 2)
    capped = measured(case, norm=norm, max_eps=least)
    assert (capped.verdict, capped.radius) == ("OPTIMAL", min(least, expected))
    assert (capped.witness is not None) == (beyond and expected < min(least, capped.farthest))
    return beyond


def check_witness(case: Case, norm: str, found: Radius, beyond: bool) -> None:
    assert (found.witness is not None) == beyond
    assert (found.radius == found.farthest) >= (not beyond)
    if found.witness is not None:
        point = np.array(found.witness.inputs)
        assert case.question.violated(point, NO_LIMITS).all()
        assert distances_of(norm, case.question.x, point)[0] == found.radius + 1
