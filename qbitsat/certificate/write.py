"""Certificates of verdicts, as files; docs/reference/certificates.md is their specification."""

from __future__ import annotations

import json
import os
import struct
from collections.abc import Iterator, Sequence
from contextlib import suppress
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np

from .. import __version__
from ..arithmetic import smallest
from ..bounds.dual import Sparse
from ..bounds.reduction import Places
from ..errors import InputError
from ..importers.files import Path, replacing
from ..network import Network, forward_all
from ..network.names import escape_path
from ..options import Options
from ..properties import And, AtMost, Formula, Not, Query
from ..properties.balls import Ball
from ..properties.formula import atoms, is_true, names_values
from ..properties.gap import Pairs
from ..properties.made import Made, asked_of
from ..search.proof import Disjunction, Enumerated, Infeasible, Multipliers, Node, Proof, Refutation, Split
from ..verify import HOLDS, VIOLATED, Verdict
from .archive import Members, write_npz

FORMAT, VERSION = "qbitsat certificate", 4
KINDS: dict[type, int] = {Split: 0, Disjunction: 1, Multipliers: 2, Infeasible: 3, Refutation: 4}


class Source(NamedTuple):
    """Where a checker finds a network, and the widths and the runtime that its file does not hold."""

    path: str | None
    bits: int | None = None
    input_bits: int | None = None
    runtime: str | None = None
    accumulator: str | None = None


# Of a network that was joined of several, those of its parts.
Sources = Source | tuple[Source, ...]


def write(
    path: Path, query: Query, verdict: Verdict, sources: Sequence[Sources] | None = None, record: dict[str, Any] | None = None
) -> None:
    """Write the certificate of a HOLDS or VIOLATED that was found with the option `certificates`; all or nothing.

    The file says what a query of robustness asks; of one that a VNN-LIB file asks it has the `record` of that question, and of any other
    the boxes and the formula. Without `sources` the networks are named by where they were loaded from. Raises `InputError` for a verdict
    without a proof or witness, or without its options.
    """
    if verdict.options is None:
        raise InputError("certificate: a verdict without its options; expected one of `verify`")
    members: Members = {}
    places = tuple(sources or map(_loaded_from, query.networks))
    header = {
        "query": record or _query(query, members),
        "verdict": verdict.verdict,
        "engine": verdict.engine,
        "proof": _proof(query, verdict, members),
    }
    networks = map(asked_of, query.networks)
    known = _known(places, tuple((n.sha256, *(part.sha256 for part in n.parts)) for n in networks), verdict.options)
    text = (known[:-1] + "," + _json(header)[1:]).encode()
    _write_file(path, {"header": np.frombuffer(text, np.uint8), **members})


def _loaded_from(network: Network) -> Sources:
    network = asked_of(network)
    if network.parts:
        return tuple(Source(part.source or None, runtime=part.runtime or None) for part in network.parts)
    return Source(network.source or None, runtime=network.runtime or None)


@lru_cache(maxsize=16)
def _known(places: tuple[Sources, ...], hashes: tuple[tuple[str, ...], ...], options: Options) -> str:
    """What the headers of all queries of the same networks and options share, as a JSON object; hashes are followed by those of parts."""
    return _json(
        {
            "format": FORMAT,
            "version": VERSION,
            "qbitsat": __version__,
            "networks": [_named(place, own) for place, own in zip(places, hashes, strict=True)],
            "options": vars(options),
        }
    )


def _named(place: Sources, hashes: tuple[str, ...]) -> dict[str, Any]:
    """A network of the header."""
    sha256, *parts = hashes
    if not isinstance(place, Source):
        return {"sha256": sha256, "parts": [_named(part, (own,)) for part, own in zip(place, parts, strict=True)]}
    return {**place._asdict(), "path": place.path and escape_path(place.path), "sha256": sha256}


def _json(value: dict[str, Any]) -> str:
    return json.dumps(value, separators=(",", ":"))


# --- the query ---


def _query(query: Query, members: Members) -> dict[str, Any]:
    if query.origin is not None:
        members["x"] = smallest(query.origin.x)
        return {"kind": query.origin.kind, **dict(query.origin.values)}
    for k, box in enumerate(query.boxes):
        members[f"box.{k}.lo"], members[f"box.{k}.hi"] = smallest(box.lo), smallest(box.hi)
    made = [_made(k, network, members) for k, network in enumerate(query.networks)]
    return {"kind": "general", "violation": _formula(query.violation), **({"made": made} if any(made) else {})}


def _made(k: int, network: Network, members: Members) -> dict[str, Any] | None:
    """How a network of the query was made of the one that the header names."""
    how = network.how if isinstance(network, Made) else None
    if isinstance(how, Ball):
        members[f"centre.{k}"], members[f"elements.{k}"] = smallest(how.centre), smallest(np.array(how.elements, np.int64))
        return {"kind": "ball", "norm": how.norm}
    if isinstance(how, Pairs):
        members[f"domain.{k}.lo"], members[f"domain.{k}.hi"] = smallest(how.box.lo), smallest(how.box.hi)
        return {"kind": "pairs", "protected": sorted(how.protected), "groups": list(map(list, how.groups))}
    return None


def _formula(formula: Formula) -> dict[str, Any]:
    if isinstance(formula, AtMost):
        return {"at_most": [[c, ref.network, ref.tensor, ref.element] for c, ref in formula.terms], "bound": formula.bound}
    if isinstance(formula, Not):
        return {"not": _formula(formula.part)}
    return {"and" if isinstance(formula, And) else "or": [_formula(part) for part in formula.parts]}


# --- the proof ---


def _proof(query: Query, verdict: Verdict, members: Members) -> dict[str, Any]:
    """The header's object, and the arrays that go with it."""
    if verdict.verdict == VIOLATED and verdict.witness is not None:
        inputs, outputs = verdict.witness.inputs, verdict.witness.outputs
        for k in range(len(query.networks)):
            members[f"inputs.{k}"], members[f"outputs.{k}"] = (smallest(np.array(v[k], np.int64)) for v in (inputs, outputs))
        values: list[list[int]] = []
        if names_values(query.violation):
            values = [forward_all(n, np.array([x], np.int64))[0].tolist() for n, x in zip(query.networks, inputs, strict=True)]
        true_atoms = [k for k, atom in enumerate(atoms(query.violation)) if is_true(atom, inputs, outputs, values)]
        return {"kind": "witness", "true_atoms": true_atoms}
    if verdict.verdict == HOLDS and isinstance(verdict.proof, Refutation):
        members["lrat.0"] = verdict.proof.lrat
        return {"kind": "sat", "cnf_sha256": verdict.proof.cnf_sha256}
    if verdict.verdict == HOLDS and isinstance(verdict.proof, Enumerated):
        return {"kind": "enumeration"}
    if verdict.verdict == HOLDS and isinstance(verdict.proof, Proof):
        return _tree(verdict.proof, members)
    raise InputError(f"certificate: {verdict.verdict} without a proof; expected HOLDS or VIOLATED found with the option certificates")


def _tree(proof: Proof, members: Members) -> dict[str, Any]:
    nodes = list(_in_order(proof.nodes))
    splits = [node for node in nodes if isinstance(node, Split)]
    closed = [node for node in nodes if isinstance(node, Multipliers)]
    sats = [node for node in nodes if isinstance(node, Refutation)]
    members["kinds"] = np.array([KINDS[type(node)] for node in nodes], np.uint8)
    columns: dict[str, list[int] | np.ndarray] = {
        "split_value": [split.value for split in splits],
        "split_at": [split.at for split in splits],
        "shares": [int(share) for node in closed for share in node.shares],
        **{f"fact_{name}": [getattr(fact, name) for fact in proof.facts] for name in ("neuron", "side", "bound", "scale")},
        **_rows("rows", [node.multipliers for node in closed], proof.places),
        **_rows("fact_rows", [fact.multipliers for fact in proof.facts if fact.multipliers is not None], proof.places),
    }
    arrays = {name: np.array(column, np.int64) for name, column in columns.items() if len(column)}
    members |= {name: smallest(_placed(name, array, proof.places)) for name, array in arrays.items()}
    members |= {f"lrat.{k}": sat.lrat for k, sat in enumerate(sats)}
    pairs = {"pairs": [list(pair) for pair in proof.pairs]} if proof.pairs else {}
    return {"kind": "tree", "cnf_sha256": [sat.cnf_sha256 for sat in sats], **pairs}


def _rows(name: str, rows: list[Sparse], places: Places | None) -> dict[str, np.ndarray]:
    """Multipliers that are not 0, row after row, as the whole query numbers neurons."""
    if not rows:
        return {}
    neurons, values = (np.concatenate(parts) for parts in zip(*rows, strict=True))
    starts = np.cumsum([0, *(len(row.neurons) for row in rows)])
    if places is not None:
        neurons = places.neurons[neurons]
        order = np.lexsort((neurons, np.repeat(np.arange(len(rows)), np.diff(starts))))
        neurons, values = neurons[order], values[order]
    return {f"{name}.starts": starts, f"{name}.neurons": neurons, f"{name}.values": values}


def _placed(name: str, array: np.ndarray, places: Places | None) -> np.ndarray:
    """A column of the tree of a smaller query, as the whole one numbers values and neurons."""
    if places is None or name not in ("split_value", "fact_neuron"):
        return array
    if name == "fact_neuron":
        return places.neurons[array]
    # Below 0 it is the accumulator of neuron -1 - value.
    values = places.values[np.maximum(array, 0)]
    return np.where(array < 0, -1 - places.neurons[np.maximum(-1 - array, 0)], values)


def _in_order(nodes: dict[int, Node]) -> Iterator[Node]:
    """Parents before children, children from first to last."""
    stack = [0]
    while stack:
        node = nodes[stack.pop()]
        yield node
        if isinstance(node, Split):
            stack += [node.above, node.below]
        elif isinstance(node, Disjunction):
            stack += reversed(node.parts)


# --- the file ---


def _write_file(path: Path, members: Members) -> None:
    """The archive, under its own name once it is complete."""
    try:
        with replacing(path, sync=False) as stream:
            write_npz(stream, members)
            # Some file systems flush a file to disk when it replaces another, which takes longer than many a verdict.
            with suppress(FileNotFoundError):
                os.unlink(path)
    except struct.error as error:
        raise InputError(f"{path}: can't be written: larger than 4 GiB") from error
