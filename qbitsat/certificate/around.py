"""What lines of results.jsonl of questions claim, kind by kind, and what a claim is compared with."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from ..errors import InputError
from ..limits import Limits
from ..network import Network
from ..properties import Box, Query
from ..properties.robustness import centre, linf_box
from .check import HOLDS, VIOLATED, Checked, Means
from .reading import Refused

Entry = dict[str, Any]
OPTIMAL = "OPTIMAL"
# An optimum is claimed by a witness that attains it and by nothing beyond.
ENDS = (("attained", VIOLATED), ("beyond", HOLDS))


class Needs(Exception):  # noqa: N818 (a result, not an error)
    """What a line can't be compared without."""


class Around(NamedTuple):
    """What a line is compared with: the certificate as it was checked, its query, its networks as files hold them, and what a check may
    use.
    """

    checked: Checked
    query: Query
    networks: tuple[Network, ...]
    means: Means
    limits: Limits

    def x(self, entry: Entry) -> np.ndarray:
        """The sample of the data set that the line names."""
        if self.means.samples is None:
            raise Needs("needs --inputs FILE")
        found = self.means.samples.sample(self.networks[0].inputs, entry["sample"])
        if found is None:
            raise Refused(f"says sample {entry['sample']}, {self.means.samples.inputs} has less")
        return found[0]

    def box(self, entry: Entry) -> Box:
        """The inputs around the sample that the line names; without one, all."""
        network = self.networks[0]
        if entry.get("sample") is None:
            return Box(*(ends[: network.num_inputs] for ends in network.value_ranges))
        return linf_box(network, centre(network, self.x(entry)), entry["eps"], entry.get("region"))


class Kind(NamedTuple):
    """Keys of a line and their types; the parts of what it claims, with the verdict of each; and the query of a part."""

    keys: dict[str, type]
    optional: dict[str, type]
    parts: Callable[[Entry], Sequence[tuple[str, str]]]
    query: Callable[[Entry, str, Around], Query]


def one_verdict(entry: Entry) -> Sequence[tuple[str, str]]:
    return [("verdict", entry["verdict"])] if entry["verdict"] in (HOLDS, VIOLATED) else []


def both_ends(entry: Entry) -> Sequence[tuple[str, str]]:
    return ENDS if entry["verdict"] == OPTIMAL else []


def whole(entry: Entry, *keys: str) -> None:
    """Raises `InputError` where a number is missing."""
    for key in keys:
        if entry[key] is None:
            raise InputError(f"{key}: null, expected a whole number")


def are_whole(values: Any, count: int) -> bool:
    """Whether it is a list of so many whole numbers."""
    return isinstance(values, list) and [type(value) for value in values] == [int] * count
