"""How far protected features alone move the outputs, at each width: the gap of `properties.gap`, a line an output."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from .. import __version__
from ..campaign import CERTIFICATES, Store
from ..campaign.resume import are_there, check_agrees, check_options, entries
from ..certificate.write import Source, write
from ..errors import ArgumentError, InputError, argument
from ..network import Network, forward
from ..network.inference import check_inputs
from ..optimize import OPTIMAL, maximize
from ..options import make_options
from ..properties import Box, Gap, gap
from ..properties.gap import domain_of
from ..quantize import integers_of
from ..verify import UNKNOWN

# The folder of a width's gaps, in that of the width.
FOLDER = "gap"
# What the two certificates of a gap prove.
ENDS = ("attained", "beyond")


@dataclass(frozen=True)
class OutputGap:
    """How many steps of an output protected features move it at most: value, where inputs, two of them, attain it and upper is the same.

    Else it lies between value and upper, None where nothing is known, and reason says why. certificates are files in the folder of the
    gaps: that it is attained, and that nothing is beyond.
    """

    output: int
    value: int
    upper: int | None
    reason: str
    inputs: tuple[tuple[int, ...], ...]
    seconds: float
    certificates: tuple[str, ...] = ()

    @property
    def exact(self) -> bool:
        """Proved: value is the largest."""
        return self.value == self.upper


@dataclass(frozen=True)
class WidthGap:
    """The gaps of all outputs, and the largest of them in real units: at least lower, at most upper, None where that is not known."""

    lower: float
    upper: float | None
    outputs: tuple[OutputGap, ...]

    @property
    def exact(self) -> bool:
        """Whether all are proved."""
        return all(found.exact for found in self.outputs)


@dataclass(frozen=True)
class Fairness:
    """What is asked at every width: features, numbers of input elements, and the domain, two rows like samples; None for the whole one."""

    protected: tuple[int, ...]
    groups: tuple[tuple[int, ...], ...] = ()
    domain: np.ndarray | None = None

    def asked(self, network: Network, output: int) -> Gap:
        """The question about an output. Raises `InputError` where features or domain don't fit the network."""
        return gap(network, self.protected, output, groups=self.groups, box=self._box(network))

    def gaps(self, network: Network, source: Source | None, options: dict[str, Any], resume: bool, overwrite: bool) -> WidthGap:
        """Those of all outputs; they are kept in a folder beside the network's file, if there is one, and with `resume` what that has is
        not asked again.
        """
        found: dict[int, OutputGap] = {}
        folder = None if source is None or source.path is None else Path(source.path).parent / FOLDER
        with ExitStack() as stack:
            store = None
            if folder is not None:
                certificates = folder / CERTIFICATES if options.get("certificates") else None
                store = stack.enter_context(Store(folder, overwrite, certificates, resume))
                if resume:
                    found = self._finished(store, network, options)
            for output in range(len(network.outputs)):
                if output not in found:
                    found[output] = self._gap(network, output, options, folder, source)
                    if store is not None:
                        store.write(self._record(network, found[output], options))
        return summed(network, [found[output] for output in range(len(network.outputs))])

    def _gap(self, network: Network, output: int, options: dict[str, Any], folder: Path | None, source: Source | None) -> OutputGap:
        asked = self.asked(network, output)
        found = maximize(asked.query, asked.objective, **options)
        # Two equal inputs are a gap of 0.
        pair = () if found.witness is None else asked.inputs(found.witness.inputs)
        names = [f"{CERTIFICATES}/gap_output{output}_{end}.cert" for end in ENDS[: len(found.certificates)]]
        for name, (query, verdict) in zip(names, found.certificates, strict=True):
            assert folder is not None, "certificates need a folder"
            write(folder / name, query, verdict, None if source is None else [source])
        return OutputGap(output, found.value or 0, found.upper, found.reason, pair, round(found.seconds, 6), tuple(names))

    def _box(self, network: Network) -> Box | None:
        if self.domain is None:
            return None
        if self.domain.ndim < 2 or len(self.domain) != 2 or self.domain.dtype.kind not in "iuf":
            shape = f"{self.domain.dtype} of shape {self.domain.shape}"
            raise ArgumentError("domain", f"{shape}, expected two samples, the smallest and the largest value of each feature")
        rows = self.domain.reshape(2, -1)
        with argument("domain"):
            rows = integers_of(network, rows) if rows.dtype.kind == "f" else rows
            check_inputs(network, rows)
        return domain_of(rows.astype(np.int64), "bits: the domain")

    def _question(self, network: Network) -> dict[str, Any]:
        """What a line is about, but for the output."""
        box = self._box(network)
        ends = None if box is None else [box.lo.tolist(), box.hi.tolist()]
        return {"protected": list(self.protected), "groups": [list(group) for group in self.groups], "domain": ends}

    def _record(self, network: Network, found: OutputGap, options: dict[str, Any]) -> dict[str, Any]:
        """A line of results.jsonl, as JSON values."""
        verdict = OPTIMAL if found.exact else UNKNOWN
        about = {"networks": {"net": network.sha256}, "options": vars(make_options(**options)), "version": __version__}
        return {"kind": "gap", "verdict": verdict, **vars(found), **self._question(network), **about}

    def _finished(self, store: Store, network: Network, options: dict[str, Any]) -> dict[int, OutputGap]:
        """What a store has proved already; all its lines must be of the same command, and others are taken out."""
        question, wanted = self._question(network), vars(make_options(**options))
        keep, found, number = set[int](), dict[int, OutputGap](), -1
        with open(store.path, "rb") as stream:
            for number, place, entry in entries(stream, store.path):
                if entry is None:
                    continue
                output = entry.get("output")
                if type(output) is not int or output in found or entry.get("kind") != "gap" or not 0 <= output < len(network.outputs):
                    raise InputError(f"{place}: expected a line about the gap of an output that has none yet")
                check_agrees(place, "network", entry.get("networks"), {"net": network.sha256})
                for name, value in question.items():
                    check_agrees(place, name, entry.get(name), value)
                check_options(place, entry.get("options"), wanted)
                names = tuple(entry["certificates"]) if are_there(entry.get("certificates"), store.folder) else ()
                if self._is_proved(network, entry) and (len(names) == len(ENDS) or not wanted["certificates"]):
                    pair = tuple(map(tuple, entry["inputs"]))
                    found[output] = OutputGap(output, entry["value"], entry["upper"], "", pair, float(entry["seconds"]), names)
                    keep.add(number)
        store.keep(None if len(keep) == number + 1 else keep)
        return found

    def _is_proved(self, network: Network, entry: dict[str, Any]) -> bool:
        """Whether a line says the gap exactly, of two inputs that attain it."""
        value, pair = entry.get("value"), entry.get("inputs")
        if type(value) is not int or entry.get("upper") != value or type(entry.get("seconds")) not in (int, float):
            return False
        if not isinstance(pair, list) or [len(x) if isinstance(x, list) else -1 for x in pair] != [network.num_inputs] * 2:
            return False
        lo, hi = (end.tolist() for end in network.value_ranges)
        if not all(type(v) is int and lo[i] <= v <= hi[i] for x in pair for i, v in enumerate(x)):
            return False
        a, b = forward(network, np.array(pair, np.int64))[:, entry["output"]].tolist()
        return a - b == value


def summed(network: Network, found: Sequence[OutputGap]) -> WidthGap:
    """The largest, in real units; outputs may have scales of their own."""
    scales = [form.scale for form in network.output_forms]
    lower = max(one.value * scales[one.output] for one in found)
    known = [one.upper * scales[one.output] for one in found if one.upper is not None]
    return WidthGap(lower, max(known) if len(known) == len(found) else None, tuple(found))
