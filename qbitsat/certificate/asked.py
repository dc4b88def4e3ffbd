"""Lines of results.jsonl of questions with a name, and of question files: what they claim, and what certificates must prove for it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ..errors import InputError
from ..importers.json_header import expect, shown
from ..limits import Limits
from ..network import Network
from ..network.reference import first_maximum
from ..properties import Box, Query, agreement, equality, gap, monotone, robustness
from ..properties.formula import TRUE, Ref, accumulator, reaching
from ..properties.made import asked_of
from ..properties.robustness import ARGMAX, linf_box
from ..properties.widths import leaving, reaches, shares
from . import vnnlib
from .around import ENDS, OPTIMAL, Around, Entry, Kind, are_whole, both_ends, one_verdict, whole
from .check import HOLDS, VIOLATED, Checked, Means, of_no_file
from .in_files import question_parts, question_query, vnnlib_query
from .reading import Refused, record_with
from .samples import hash_of

# Accumulators stay below 2**60.
MOST_BITS = 61


# --- radius ---


def _radius_parts(entry: Entry) -> Sequence[tuple[str, str]]:
    if entry["verdict"] != OPTIMAL:
        return []
    whole(entry, "radius", "upper", "farthest")
    if entry["radius"] != entry["upper"] or entry["radius"] > entry["farthest"]:
        raise InputError(f"radius {entry['radius']}, upper {entry['upper']}, farthest {entry['farthest']}, expected an exact radius")
    return [("holds", HOLDS), ("beyond", VIOLATED)][: 1 + (entry["radius"] < entry["farthest"])]


def _radius_query(entry: Entry, part: str, around: Around) -> Query:
    """Of the input that the certificate has, whose hash is the line's, so that it needs no data set."""
    origin = around.query.origin
    if origin is None:
        raise Refused("is about a radius, the certificate is not about robustness")
    if hash_of(origin.x) != entry["input_sha256"]:
        raise Refused("is about another input than the certificate")
    if part == "holds":
        farthest = _farthest(around.networks[0], origin.x, entry)
        if entry["farthest"] != farthest:
            raise Refused(f"says farthest {entry['farthest']}, the largest distance is {farthest}")
        if entry["max_eps"] not in (None, farthest):
            raise Refused(f"says max_eps {entry['max_eps']}, expected none: the largest distance is {farthest}")
        if entry["radius"] == farthest and any(entry[key] is not None for key in ("witness", *OF_WITNESS)):
            raise Refused("has a witness, expected none at the largest distance")
    how = {name: entry[name] for name in ("region", "norm", "sample")} | {"ties": entry.get("ties") or ARGMAX}
    eps = entry["radius"] + (part == "beyond")
    return robustness(around.networks[0], origin.x, eps, entry["label"], entry["target"], **how, limits=around.limits)


def _farthest(network: Network, x: np.ndarray, entry: Entry) -> int:
    """The largest distance that there is, or that was asked about."""
    lo, hi = (ends[: network.num_inputs] for ends in network.value_ranges)
    box = linf_box(network, x, int((hi - lo).max()), entry["region"])
    far = np.maximum(box.hi - x, x - box.lo)
    farthest = int({"linf": far.max(), "l1": far.sum()}.get(entry["norm"], np.count_nonzero(far)))
    return farthest if entry["max_eps"] is None else min(farthest, entry["max_eps"])


# --- ranges, widths, gaps ---


def _range_parts(entry: Entry) -> Sequence[tuple[str, str]]:
    """Of an end that is open there is an interval, and no certificate."""
    for side in ("least", "most"):
        if not (are_whole(entry[side], 2) or (entry[side][:1] == [None] and are_whole(entry[side][1:], 1))):
            raise InputError(f"{side}: {shown(entry[side])}, expected two whole numbers")
    closed = [side for side in ("least", "most") if entry[side][0] is not None and entry[side][0] == entry[side][1]]
    return [(f"{side} {end}", verdict) for side in closed for end, verdict in ENDS]


def _range_query(entry: Entry, part: str, around: Around) -> Query:
    side, _, end = part.partition(" ")
    sign = 1 if side == "most" else -1
    bound = sign * entry[side][1] + (end == "beyond")
    violation = reaching(TRUE, ((sign, Ref(0, "output", entry["output"])),), bound)
    return Query(around.networks, (around.box(entry),), violation, limits=around.limits)


def _width_parts(entry: Entry) -> Sequence[tuple[str, str]]:
    """An accumulator that needs the width, and parts of the layer, of which none leaves it."""
    if entry["needed"] < 1:
        raise InputError(f"needed {entry['needed']} bits, expected at least 1")
    reached = [("needed", VIOLATED)] if entry["needed"] > 1 else []
    count = len(entry["certificates"]) - len(reached)
    return [*reached, *((f"enough {k}", HOLDS) for k in range(max(1, count)))]


def _width_query(entry: Entry, part: str, around: Around) -> Query:
    network, k = around.networks[0], entry["layer"]
    if not 0 <= k < len(network.layers) or not 1 <= entry["enough"] <= MOST_BITS:
        raise Refused(f"says {entry['enough']} bits of layer {k}, expected at most {MOST_BITS} of a layer that there is")
    word, _, number = part.partition(" ")
    if word == "needed":
        value = entry["value"]
        if (value if value >= 0 else ~value).bit_length() + 1 != entry["needed"] or not are_whole(entry["end"], 2):
            raise Refused(f"says that {value} at {shown(entry['end'])} needs {entry['needed']} bits")
        i, side = entry["end"]
        if side != (1 if value >= 0 else -1):
            raise Refused(f"says that {value} is at side {side}")
        violation: Any = reaches(*accumulator(network, k, i), side, value)
    else:
        parts, count = shares(network, k), len(entry["certificates"]) - (entry["needed"] > 1)
        if len(parts) != count:
            raise Refused(f"has {count} certificates of its width, expected {len(parts)}")
        violation = leaving(network, k, entry["enough"], parts[int(number)])
    return Query(around.networks, (around.box(entry),), violation, limits=around.limits)


def _gap_query(entry: Entry, part: str, around: Around) -> Query:
    whole(entry, "value")
    if not all(isinstance(group, list) for group in entry["groups"]):
        raise Refused("has groups that are no lists")
    box = around.box({})
    if entry["domain"] is not None:
        if len(entry["domain"]) != 2 or not all(are_whole(end, around.networks[0].num_inputs) for end in entry["domain"]):
            raise Refused("has a domain of other elements than the network's inputs")
        box = Box(*map(np.array, entry["domain"]))
    asked = gap(around.networks[0], entry["protected"], entry["output"], groups=entry["groups"], box=box)
    return Query(asked.query.networks, asked.query.boxes, reaching(TRUE, asked.objective, entry["value"] + (part == "beyond")))


# --- verdicts ---


def _monotone_query(entry: Entry, _part: str, around: Around) -> Query:
    how = {"falls": entry["falls"], "limits": around.limits}
    return monotone(around.networks[0], entry["grows"], entry["outputs"], around.box(entry), **how)


def _agree_query(entry: Entry, _part: str, around: Around) -> Query:
    asked: Any = agreement if entry["kind"] == "agree" else equality
    if len(around.networks) != 2:
        raise Refused(f"is about two networks, the certificate about {len(around.networks)}")
    x = None if entry.get("sample") is None else around.x(entry)
    how = {"region": entry.get("region"), "limits": around.limits}
    return asked(*around.networks, x, entry.get("eps"), entry.get("within"), **how)


PLACE: dict[str, type] = {"sample": int, "eps": int, "region": str}
SAID: dict[str, type] = {"verdict": str, "reason": str}
RADIUS: dict[str, type] = {"input_sha256": str, "norm": str, "sample": int, "label": int, "ties": str}
RADII: dict[str, type] = {"radius": int, "upper": int, "farthest": int, "max_eps": int, "target": int, "region": str, "witness": list}
OF_WITNESS: dict[str, type] = {"witness_outputs": list, "witness_class": int}
WIDTH: dict[str, type] = {"layer": int, "needed": int, "enough": int, "end": list, "value": int}
GAP: dict[str, type] = {"output": int, "protected": list, "groups": list}
KINDS = {
    "radius": Kind({**SAID, **RADIUS}, {**RADII, **OF_WITNESS}, _radius_parts, _radius_query),
    "range": Kind({"output": int, "least": list, "most": list}, PLACE, _range_parts, _range_query),
    "overflow": Kind(WIDTH, PLACE, _width_parts, _width_query),
    "gap": Kind(GAP, {**SAID, "value": int, "domain": list}, both_ends, _gap_query),
    "monotone": Kind({**SAID, "grows": int, "falls": bool, "outputs": list}, PLACE, one_verdict, _monotone_query),
    "agree": Kind(SAID, {**PLACE, "within": int}, one_verdict, _agree_query),
    "equal": Kind(SAID, {**PLACE, "within": str}, one_verdict, _agree_query),
    "vnnlib": Kind({**SAID, **vnnlib.KEYS}, {**vnnlib.OPTIONAL, "assignment": dict}, one_verdict, vnnlib_query),
    "question": Kind({**SAID, "question": str}, {"objective": str, "sense": str, "value": int}, question_parts, question_query),
}
# Those of questions in files, whose networks have names there.
IN_FILES = ("question", "vnnlib")
COMMON: dict[str, type] = {"kind": str, "networks": dict, "certificates": list}
# Lines that count, and claim nothing that could be proved.
COUNTS = ("observe",)


def claims(entry: Entry, place: str) -> list[Entry]:
    """What the line claims, each with the name of its certificate (None where there is none) and the verdict that it must have.

    Raises `InputError` for what is no such line.
    """
    kind = KINDS[entry["kind"]]
    known = {**COMMON, **kind.keys, **kind.optional}
    record_with({key: entry[key] for key in known if key in entry}, {**COMMON, **kind.keys}, kind.optional, place)
    for sha256 in entry["networks"].values():
        expect(sha256, str, f"{place}: networks")
    _expect_place(entry, place)
    names = entry["certificates"]
    for name in names:
        if name is not None:
            expect(name, str, f"{place}: certificates")
    entry = {key: entry.get(key) for key in known}
    try:
        parts = kind.parts(entry)
    except InputError as error:
        raise InputError(f"{place}: {error}") from error
    if len(names) > len(parts) and any(names[len(parts) :]):
        raise InputError(f"{place}: {len(names)} certificates, expected {len(parts)}")
    names = [*names, *[None] * len(parts)]
    return [{**entry, "part": part, "verdict": verdict, "certificate": name} for (part, verdict), name in zip(parts, names, strict=False)]


def _expect_place(entry: Entry, place: str) -> None:
    """A distance and a region are those around a sample, and a sample has a distance; but for radii, which are distances."""
    if entry["kind"] == "radius":
        return
    sample, eps, region = (entry.get(key) for key in PLACE)
    if (sample is None) != (eps is None) or (sample is None and region is not None):
        raise InputError(
            f"{place}: sample {shown(sample)}, eps {shown(eps)}, region {shown(region)}, expected sample and eps, or none of them"
        )


def against(claim: Entry, checked: Checked, means: Means, limits: Limits) -> str:
    """Where a claim is not what its certificate proves; else empty. Raises `Needs`."""
    query = checked.query
    assert query is not None
    if claim["kind"] not in IN_FILES and (reason := of_no_file(means)):
        return reason
    if claim["verdict"] != checked.verdict:
        return f"says {claim['verdict']}, the certificate {checked.verdict}"
    networks = tuple(part for network in map(asked_of, query.networks) for part in (network.parts or (network,)))
    if checked.question is not None:
        networks = checked.question.networks
    if sorted({network.sha256 for network in networks}) != sorted(set(claim["networks"].values())):
        return "is about other networks than the certificate"
    if claim["kind"] == "radius" and checked.witness is not None:
        outputs = list(checked.witness.outputs[0])
        if [claim["witness"], *(claim[key] for key in OF_WITNESS)] != [list(checked.witness.inputs[0]), outputs, first_maximum(outputs)]:
            return "has another witness than the certificate, or other outputs or another class of it"
    try:
        wanted = KINDS[claim["kind"]].query(claim, claim["part"], Around(checked, query, networks, means, limits))
    except Refused as refused:
        return str(refused)
    except InputError as error:
        return f"is no question that there is: {error}"
    return difference(query, wanted)


def difference(query: Query, wanted: Query) -> str:
    """Where a certificate is about something else than the question of a line; else empty."""
    if query.origin is not None and wanted.origin is not None:
        for name, _ in (*wanted.origin.values, *query.origin.values):
            said, proved = wanted.origin.get(name), query.origin.get(name)
            if said != proved:
                return f"says {name} {said}, the certificate {proved}"
    if [network.sha256 for network in query.networks] != [network.sha256 for network in wanted.networks]:
        return "is about networks that are made otherwise than those of the certificate"
    for one, other in zip(query.boxes, wanted.boxes, strict=True):
        if not (np.array_equal(one.lo, other.lo) and np.array_equal(one.hi, other.hi)):
            return "is about other inputs than the certificate"
    return "" if query.violation == wanted.violation else "asks something else than the certificate answers"
