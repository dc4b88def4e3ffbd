"""The largest values of objectives over tiny regions, and the check of every engine against enumeration."""

from __future__ import annotations

import random
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from inner import numbers, random_terms, region, tight, truths

from qbitsat.certificate.check import check
from qbitsat.certificate.write import Source, write
from qbitsat.importers import save
from qbitsat.limits import NO_LIMITS, LimitReached, Limits
from qbitsat.optimize import EMPTY, OPTIMAL, UNKNOWN, Optimum, maximize
from qbitsat.properties import And, Query, replay


def maximum_of(rng: random.Random) -> tuple[Query, tuple, int | None]:
    """An assumption, which holds everywhere half of the time, an objective, and its largest value, None where there is none."""
    networks, boxes, values = region(rng)
    while any(np.abs(v).max() > 1 << 40 for v in values):
        networks, boxes, values = region(rng)
    assumption = And(()) if rng.random() < 0.5 else tight(rng, networks, values, 2)
    query, objective = Query(networks, boxes, assumption), tuple(random_terms(rng, networks))
    inside = truths(query.violation, networks, values)
    return query, objective, int(numbers(objective, networks, values)[inside].max()) if inside.any() else None


def check_maximum(seed: int, certify: bool = False) -> str:
    """Hold every engine against enumeration, and the search when it is cut short; return the verdict."""
    rng = random.Random(seed)
    query, objective, largest = maximum_of(rng)
    rules = {"tighten": (40, 0)[seed % 2], "steps": (1, 5, 20)[seed % 3], "batch": (1, 64)[seed % 2], "rounding": seed % 4 > 0}
    ways = [{"engine": "hybrid", "attack": seed % 3 == 0, **rules}, {"attack": False}, {"engine": ("sat", "enumerate")[seed % 2]}]
    for options in ways:
        found = maximize(query, objective, seed=seed, **options)
        assert (found.verdict, found.value) == (EMPTY if largest is None else OPTIMAL, largest), options
        if largest is not None:
            assert found.upper == largest
            assert replay(query, found.witness.inputs) == found.witness
    cut = stopped(query, objective, rng.randint(1, 200), engine="hybrid", attack=False, **rules)
    assert cut.verdict in (UNKNOWN, EMPTY, OPTIMAL)
    if largest is not None:
        assert cut.upper is None or cut.upper >= largest
        assert cut.value is None or cut.value <= largest
        assert cut.verdict == UNKNOWN or (cut.verdict, cut.value) == (OPTIMAL, largest)
    else:
        assert (cut.verdict in (UNKNOWN, EMPTY), cut.value) == (True, None)
    if certify and largest is not None:
        check_certificates(query, objective, seed)
    return found.verdict


def stopped(query: Query, objective: tuple, looks: int, **options) -> Optimum:
    """What a limit that runs out at one of the first looks at it leaves."""
    with stopping(looks):
        return maximize(query, objective, **options)


@contextmanager
def stopping(looks: int) -> Iterator[None]:
    """Limits that run out once they have been looked at so often."""
    original, left = Limits.check, [looks]

    def look(limits, *rest):
        left[0] -= limits is not NO_LIMITS
        if left[0] == 0:
            raise LimitReached("timeout")
        original(limits, *rest)

    Limits.check = look
    try:
        yield
    finally:
        Limits.check = original


def check_certificates(query: Query, objective: tuple, seed: int) -> None:
    """The witness and one step beyond, each accepted."""
    found = maximize(query, objective, certificates=True, engine=("hybrid", "sat", "enumerate")[seed % 3])
    assert [verdict.verdict for _, verdict in found.certificates] == ["VIOLATED", "HOLDS"]
    with tempfile.TemporaryDirectory() as folder:
        sources = [Source(str(Path(folder) / f"{k}.npz")) for k in range(len(query.networks))]
        for network, source in zip(query.networks, sources, strict=True):
            save(network, source.path)
        for asked, verdict in found.certificates:
            write(Path(folder) / "one.cert", asked, verdict, sources)
            checked = check(Path(folder) / "one.cert")
            assert (checked.reason, checked.verdict) == ("", verdict.verdict)
