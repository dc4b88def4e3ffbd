"""Good certificates of every kind, and certificates taken apart and put together again."""

from __future__ import annotations

import copy
import itertools
import json
import random
from dataclasses import replace
from pathlib import Path

import numpy as np
from certified import certify
from deep import deep_query
from tiny import random_query

from qbitsat.certificate.check import Checked, check
from qbitsat.errors import QbitsatError
from qbitsat.search.proof import Disjunction, Infeasible, Multipliers, Proof, Refutation, Split
from qbitsat.verify import HOLDS, VIOLATED, Verdict


def has(*kinds: type):
    """Whether a verdict's proof is a tree with all these kinds of nodes, and with facts."""
    return lambda v: isinstance(v.proof, Proof) and v.proof.facts and set(kinds) <= set(map(type, v.proof.nodes.values()))


def is_small(verdict: Verdict) -> bool:
    return not isinstance(verdict.proof, Proof) or len(verdict.proof.nodes) < 300


# Kind of certificate: whether queries are deep, the first seed to try, options, and what the verdict must be like.
RECIPES = {
    "witness": (True, 0, {}, lambda v: v.verdict == VIOLATED),
    "bounds": (True, 6, {}, lambda v: v.engine == "bounds" and v.verdict == HOLDS),
    "tree": (True, 37, {"engine": "hybrid", "steps": 5}, has(Split, Disjunction, Multipliers, Infeasible)),
    "leaf": (True, 190, {"engine": "hybrid", "steps": 5}, has(Split, Multipliers, Refutation)),
    "sat": (True, 4, {"engine": "sat"}, lambda v: isinstance(v.proof, Refutation)),
    "formula": (False, 0, {"engine": "sat", "bounds": False}, lambda v: isinstance(v.proof, Refutation)),
    "wrap": (False, 0, {"engine": "hybrid"}, lambda v: v.verdict == HOLDS and v.engine == "sat"),
}


def good(kind: str, folder: Path, skip: int = 0) -> Path:
    """The certificate of the first query that fits the recipe, `skip` seeds further on."""
    deep, seed, options, fits = RECIPES[kind]
    folder.mkdir(parents=True, exist_ok=True)
    for number in itertools.count(seed + skip):
        query = deep_query(number) if deep else replace(random_query(random.Random(number)))  # without its origin: a formula
        verdict, path = certify(query, folder, **options)
        if verdict.verdict in (HOLDS, VIOLATED) and fits(verdict) and is_small(verdict):
            return path.rename(folder / f"{kind}.cert")
    raise AssertionError


class Parts:
    """A certificate's header, parsed, and its arrays."""

    def __init__(self, path: Path):
        with np.load(path) as file:
            self.arrays = {name: file[name].copy() for name in file.files}
        self.header = json.loads(self.arrays.pop("header").tobytes())

    def copy(self) -> Parts:
        return copy.deepcopy(self)

    def save(self, path: Path) -> Path:
        """Write; a header of bytes as it is."""
        text = self.header if isinstance(self.header, bytes) else json.dumps(self.header).encode()
        with open(path, "wb") as stream:
            np.savez(stream, header=np.frombuffer(text, np.uint8), **self.arrays)
        return path


def outcome(path: Path, **means) -> Checked | QbitsatError:
    """What the checker says of a file; anything but a result or an error of ours escapes."""
    try:
        return check(path, **means)
    except QbitsatError as error:
        return error


def reason(path: Path, **means) -> str:
    """Why a certificate is not accepted; empty if it is."""
    said = outcome(path, **means)
    return said.reason if isinstance(said, Checked) else str(said)
