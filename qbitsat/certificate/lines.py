"""A line of results.jsonl: read with care, and recomputed from its certificate, or from a network and a data set."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import numpy as np

from ..errors import InputError
from ..importers.files import one_line
from ..importers.json_header import bounded_int, expect, refuse_constant, refuse_deep, shown, without_duplicates
from ..limits import Limits
from ..network import Network
from ..network.reference import first_maximum
from ..properties.made import asked_of
from ..properties.robustness import ARGMAX, TIES
from .asked import COUNTS, KINDS, against, claims
from .check import ACCEPTED, HOLDS, NOTHING, REFUSED, UNCHECKED, VIOLATED, Checked, Means, of_no_file
from .networks import SHOWN, title
from .reading import record_with
from .samples import MISCLASSIFIED, SKIPPED, Samples, hash_of, settled

UNKNOWN = "UNKNOWN"
VERDICTS = (HOLDS, VIOLATED, UNKNOWN, MISCLASSIFIED, SKIPPED)
Entry = dict[str, Any]

# What is recomputed of a line; its other keys are reports.
KEYS: dict[str, type] = {
    "sample": int, "eps": int, "label": int, "input_sha256": str, "verdict": str, "reason": str, "engine": str, "network_sha256": str,
}  # fmt: skip
OPTIONAL: dict[str, type] = {
    "region": str,
    "target": int,
    "ties": str,
    "witness": list,
    "witness_outputs": list,
    "witness_class": int,
    "certificate": str,
}
NO_WITNESS = {"witness": None, "witness_outputs": None, "witness_class": None}


def read_line(data: bytes, place: str) -> Entry:
    """The keys that are recomputed, all of them there (None where null); `InputError` for what is no such line."""
    try:
        entry = json.loads(data.decode(), parse_int=bounded_int, parse_constant=refuse_constant, object_pairs_hook=without_duplicates)
    except (ValueError, RecursionError) as error:
        raise InputError(f"{place}: not valid JSON: {one_line(error)}") from error
    expect(entry, dict, place)
    refuse_deep(entry, place)
    kind = entry.get("kind")
    if isinstance(kind, str) and kind in (*KINDS, *COUNTS):
        said = {"kind": kind, "claims": claims(entry, place) if kind in KINDS else [], "verdict": entry.get("verdict"), "sample": None}
        if kind == "radius" and said["verdict"] in (MISCLASSIFIED, SKIPPED):
            own = {key: entry[key] for key in (*KEYS, *OPTIONAL) if key in entry} | {"eps": 0, "engine": ""}
            said["sample"] = _of_sample(own, place)
        return {**said, "reason": str(entry.get("reason") or "")}
    if isinstance(kind, str):
        raise InputError(f"{place}: is about {shown(kind)}, which is unknown; expected one of {', '.join((*KINDS, *COUNTS))}")
    return _of_sample(entry, place)


def _of_sample(entry: Entry, place: str) -> Entry:
    """A line about robustness of a sample."""
    record_with({key: entry[key] for key in (*KEYS, *OPTIONAL) if key in entry}, KEYS, OPTIONAL, place)
    for key in ("witness", "witness_outputs"):
        for value in entry.get(key) or ():
            expect(value, int, f"{place}: {key}")
    if entry["verdict"] not in VERDICTS:
        raise InputError(f"{place}: verdict {shown(entry['verdict'])} is unknown; expected {', '.join(VERDICTS)}")
    for key in ("sample", "eps"):
        if entry[key] < 0:
            raise InputError(f"{place}: {key} {entry[key]}, expected 0 or more")
    rule = ARGMAX if entry.get("ties") is None else entry["ties"]
    if rule not in TIES:
        raise InputError(f"{place}: ties {shown(rule)} is unknown; expected {' or '.join(TIES)}")
    return {**{key: entry.get(key) for key in (*KEYS, *OPTIONAL)}, "ties": rule}


def against_certificate(entry: Entry, checked: Checked, means: Means, limits: Limits) -> str:
    """Where a line says something else than the certificate that was accepted for it; else empty. Raises `Needs`."""
    if "kind" in entry:
        return against(entry, checked, means, limits)
    query, asked = checked.query, checked.header["query"]
    if query is None or query.origin is None:
        return "is about robustness, the certificate is not"
    if asked.get("norm") is not None:
        return f"is about L-infinity, the certificate about {shown(asked['norm'])}"
    network, x = query.networks[0], query.origin.x
    proved = {key: asked.get(key) for key in ("sample", "eps", "region", "label", "target")} | {"ties": asked.get("ties") or ARGMAX}
    proved |= {"verdict": checked.verdict, "reason": "", "engine": checked.engine, "network_sha256": network.sha256, **NO_WITNESS}
    proved["input_sha256"] = hash_of(x)
    if checked.witness is not None:
        outputs = list(checked.witness.outputs[0])
        proved |= {"witness": list(checked.witness.inputs[0]), "witness_outputs": outputs, "witness_class": first_maximum(outputs)}
    # Of all inputs in the region x is one: without a target a HOLDS says its class.
    if checked.verdict == VIOLATED or asked.get("target") is not None:
        instead = settled(network, x, asked["label"], asked.get("target"), asked.get("ties"), limits)
        if instead:
            proved["verdict"], proved["reason"] = instead
    return _difference(entry, proved, "the certificate")


def against_samples(checked: Checked, means: Means, limits: Limits) -> str:
    """Where an accepted certificate is of something else than its sample of the data set; else empty."""
    query, samples = checked.query, means.samples
    if samples is None or query is None:
        return ""
    number = checked.header["query"].get("sample")
    if query.origin is None or number is None:
        return f"the certificate names no sample of {samples.inputs}"
    network, x, label = asked_of(query.networks[0]), query.origin.x, checked.header["query"]["label"]
    found = samples.sample(network.inputs, number)
    if found is None:
        return f"sample {number} is not in {samples.inputs}, which has {samples.count(network.inputs)}"
    differing = np.flatnonzero(found[0] != x)
    if differing.size:
        i = int(differing[0])
        return f"element {i} of the input is {x[i]}, of sample {number} in {samples.inputs} it is {found[0][i]}"
    if found[1] not in (None, label):
        return f"the label is {label}, that of sample {number} in {samples.labels} is {found[1]}"
    instead = settled(network, x, label, None, None, limits) if found[1] is None else None
    return f"{instead[1]}; expected the network's own class, or --labels" if instead else ""


def recompute(entry: Entry, place: str, network: Network | None, means: Means, limits: Limits) -> Checked:
    """What comes of a line without a certificate; network is the one with its hash, if that is known."""
    about = {key: entry[key] for key in ("sample", "eps", "region", "label", "target", "ties")}
    header = {"query": about, "networks": [{"sha256": entry["network_sha256"]}]}
    titles = () if network is None else (title(network),)
    checked = Checked(place, REFUSED, verdict=entry["verdict"], networks=titles, header=header)
    if reason := _without_certificate(entry, network, means):
        return replace(checked, reason=reason)
    is_unknown = entry["verdict"] == UNKNOWN
    if network is None or means.samples is None or (entry["verdict"] == MISCLASSIFIED and means.samples.labels is None):
        given = {"--network FILE": network is not None, "--inputs FILE": means.samples is not None, "--labels FILE": is_unknown}
        given["--labels FILE"] |= means.samples is not None and means.samples.labels is not None
        needs = "needs " + ", ".join(name for name, is_given in given.items() if not is_given)
        return replace(checked, outcome=NOTHING if is_unknown else UNCHECKED, reason=entry["reason"] if is_unknown else needs)
    if reason := _against_sample(entry, network, means.samples, limits):
        return replace(checked, reason=reason)
    return replace(checked, outcome=NOTHING if is_unknown else ACCEPTED, reason=entry["reason"])


def _without_certificate(entry: Entry, network: Network | None, means: Means) -> str:
    """What is wrong with a line without certificate, whatever its sample is; else empty."""
    if entry["verdict"] in (HOLDS, VIOLATED):
        return "the verdict has no certificate"
    if reason := of_no_file(means):
        return reason
    if network is None and means.networks:
        expected = " or ".join(f"{n.sha256[:16]}..." + (f" (runtime {n.runtime})" if n.runtime else "") for n in means.networks[:SHOWN])
        return f"says network_sha256 {entry['network_sha256'][:16]}..., expected {expected}"
    return _difference(entry, NO_WITNESS if entry["verdict"] == UNKNOWN else {"engine": "", **NO_WITNESS}, f"{entry['verdict']} has")


def _against_sample(entry: Entry, network: Network, samples: Samples, limits: Limits) -> str:
    """Where the line says something else than its sample of the data set; else empty."""
    found = samples.sample(network.inputs, entry["sample"])
    if found is None:
        return f"says sample {entry['sample']}, {samples.inputs} has {samples.count(network.inputs)}"
    x, label = found
    proved = {"input_sha256": hash_of(x), "label": entry["label"] if label is None else label}
    asked = (entry["label"], entry["target"], entry["ties"])
    # What is neither misclassified nor skipped could be decided; UNKNOWN is all that may be said of it without a certificate.
    proved["verdict"], proved["reason"] = settled(network, x, *asked, limits) or (UNKNOWN, entry["reason"])
    return _difference(entry, proved, "the network and the sample")


def _difference(entry: Entry, proved: Entry, by: str) -> str:
    """The first key, in the order of `proved`, of which a line says something else."""
    for key, value in proved.items():
        said = entry[key]
        if said == value:
            continue
        if isinstance(said, list) and isinstance(value, list) and len(said) == len(value):
            i = next(i for i, (a, b) in enumerate(zip(said, value, strict=True)) if a != b)
            key, said, value = f"{key}[{i}]", said[i], value[i]
        return f"says {key} {shown(said)}, {by} {shown(value)}"
    return ""
