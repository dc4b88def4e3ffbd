"""Certificates as they stand in files: every size, type and number is checked before use; docs/reference/certificates.md specifies them."""

from __future__ import annotations

import zipfile
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..errors import InputError
from ..importers.files import Path, open_input
from ..importers.json_header import expect, read_header, record, shown
from ..importers.npy import Npz
from ..limits import NO_LIMITS, Limits
from ..network import Network
from ..network.names import unescape_path
from ..properties import And, AtMost, Box, Formula, Not, Or, Query, Ref, robustness
from ..properties.balls import LINF, distance
from ..properties.gap import paired
from ..properties.query import MAX_DEPTH
from ..properties.robustness import ARGMAX

FORMAT, VERSION = "qbitsat certificate", 4
MAX_BYTES = 1 << 30
# Each has its matrices in memory.
MAX_NETWORKS = 100

SPLIT, DISJUNCTION, MULTIPLIERS, INFEASIBLE, REFUTATION = range(5)

HEADER: dict[str, type] = {
    "format": str, "version": int, "qbitsat": str, "networks": list, "query": dict, "verdict": str, "engine": str, "options": dict,
    "proof": dict,
}  # fmt: skip
# Keys that may be missing or null have their types in a second table.
NETWORK: dict[str, type] = {"sha256": str}
NETWORK_OPTIONAL: dict[str, type] = {"path": str, "bits": int, "input_bits": int, "runtime": str, "accumulator": str}
# Of a network that was joined of several.
JOINED: dict[str, type] = {"sha256": str, "parts": list}
ROBUSTNESS: dict[str, type] = {"kind": str, "eps": int, "label": int}
ROBUSTNESS_OPTIONAL: dict[str, type] = {"region": str, "norm": str, "target": int, "ties": str, "sample": int}
GENERAL: dict[str, type] = {"kind": str, "violation": dict}
GENERAL_OPTIONAL: dict[str, type] = {"made": list}
# How a network of a query is made of the one that the header names.
BALL: dict[str, type] = {"kind": str, "norm": str}
PAIRS: dict[str, type] = {"kind": str, "protected": list, "groups": list}
WITNESS: dict[str, type] = {"kind": str, "true_atoms": list}
SAT_PROOF: dict[str, type] = {"kind": str, "cnf_sha256": str}
ENUMERATION: dict[str, type] = {"kind": str}
TREE: dict[str, type] = {"kind": str, "cnf_sha256": list}
TREE_OPTIONAL: dict[str, type] = {"pairs": list}


class Refused(Exception):  # noqa: N818 (a result, not an error)
    """The certificate was read, but does not prove its verdict; the message says where and why."""


@dataclass(frozen=True)
class Rows:
    """Rows of multipliers, of which those that are not 0 are kept: values and their neurons from starts[k] to starts[k + 1]."""

    num_neurons: int
    starts: np.ndarray
    neurons: np.ndarray
    values: np.ndarray

    def __len__(self) -> int:
        return max(0, len(self.starts) - 1)

    def __getitem__(self, k: int) -> np.ndarray:
        """Row k: int64[num_neurons]."""
        row, mine = np.zeros(self.num_neurons, np.int64), slice(int(self.starts[k]), int(self.starts[k + 1]))
        row[self.neurons[mine]] = self.values[mine]
        return row


@dataclass(frozen=True)
class Tree:
    """A proof by bounds or search: facts about ranges, and nodes with what they consume, in order. `rows` are multipliers."""

    kinds: np.ndarray
    split_value: np.ndarray
    split_at: np.ndarray
    shares: np.ndarray
    rows: Rows
    fact_neuron: np.ndarray
    fact_side: np.ndarray
    fact_bound: np.ndarray
    fact_scale: np.ndarray
    fact_rows: Rows
    num_sats: int

    def count(self, name: str) -> int:
        """Entries of one of the lists that nodes consume."""
        lists: dict[str, np.ndarray | Rows] = {"splits": self.split_value, "shares": self.shares, "rows": self.rows}
        return self.num_sats if name == "sats" else len(lists[name])


class Certificate:
    """A certificate's header, checked, and its arrays, each read when asked for."""

    def __init__(self, path: Path, limits: Limits = NO_LIMITS):
        self.place, self.limits = str(path), limits
        self._stream = open_input(path)
        try:
            self._npz = Npz(self._stream, self.place, (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED))
            if self._npz.claimed_bytes > MAX_BYTES:
                raise InputError(f"{path}: unpacks to {self._npz.claimed_bytes} bytes, expected at most {MAX_BYTES}")
            self.header = self._read_header()
        except BaseException:
            self._stream.close()
            raise
        self._unused = set(self._npz.names) - {"header"}

    def __enter__(self) -> Certificate:
        return self

    def __exit__(self, *_: object) -> None:
        self._stream.close()

    def _read_header(self) -> dict[str, Any]:
        place = f"{self.place}: header"
        header = read_header(self._npz, place, FORMAT, {VERSION: HEADER}, self.limits)
        if not 1 <= len(header["networks"]) <= MAX_NETWORKS:
            raise InputError(f"{place}: {len(header['networks'])} networks, expected 1 to {MAX_NETWORKS}")
        for k, network in enumerate(header["networks"]):
            where = f"{place}: networks[{k}]"
            if not isinstance(network, dict) or "parts" not in network:
                _read_network(network, where)
                continue
            parts = record(network, JOINED, where)["parts"]
            if not 2 <= len(parts) <= MAX_NETWORKS:
                raise InputError(f"{where}: {len(parts)} parts, expected 2 to {MAX_NETWORKS}")
            for j, part in enumerate(parts):
                _read_network(part, f"{where}: parts[{j}]")
        return header

    def array(self, name: str, shape: tuple[int | None, ...]) -> np.ndarray:
        """An integer array, None in `shape` for any length; if it is left out, an empty one where that is allowed."""
        if name not in self._unused:
            if None not in shape:
                raise InputError(f"{self.place}: has no array {name!r}")
            return np.zeros([n or 0 for n in shape], np.int64)
        self._unused.remove(name)
        # Bytes from the archive, joined, then an array over them.
        self.limits.require(2.0 * self._npz.size(name))
        array = self._npz.read(name)
        self.limits.check()
        if array.ndim != len(shape) or any(n not in (None, m) for n, m in zip(shape, array.shape, strict=True)):
            raise InputError(f"{self.place}: array {name!r} has shape {array.shape}, expected {shape}")
        if array.dtype.kind == "u" and array.dtype.itemsize == 8:
            raise InputError(f"{self.place}: array {name!r} is {array.dtype}, expected integers of at most 64 bits with a sign")
        return array

    def check_all_used(self) -> None:
        """Refuse arrays that nothing asked for."""
        if self._unused:
            raise InputError(f"{self.place}: array {min(self._unused)!r} has no meaning here")

    # --- the query ---

    def query(self, networks: tuple[Network, ...]) -> Query:
        """The question, of networks whose hashes are the header's."""
        place, value = f"{self.place}: header: query", self.header["query"]
        if value.get("kind") == "robustness":
            record_with(value, ROBUSTNESS, ROBUSTNESS_OPTIONAL, place)
            if len(networks) != 1:
                raise InputError(f"{place}: robustness of {len(networks)} networks, expected one")
            x, asked = self.array("x", (networks[0].num_inputs,)), (value.get(key) for key in ("eps", "label", "target"))
            ties, region = ARGMAX if value.get("ties") is None else value["ties"], value.get("region")
            norm = LINF if value.get("norm") is None else value["norm"]
            how = {"ties": ties, "region": region, "norm": norm, "sample": value.get("sample")}
            return robustness(networks[0], x, *asked, **how, limits=self.limits)
        if value.get("kind") != "general":
            raise InputError(f"{place}: kind {shown(value.get('kind'))} is unknown; expected 'robustness' or 'general'")
        record_with(value, GENERAL, GENERAL_OPTIONAL, place)
        made = value.get("made") or [None] * len(networks)
        if len(made) != len(networks):
            raise InputError(f"{place}: made: {len(made)} entries, expected one for each of {len(networks)} networks")
        networks = tuple(self._made(k, n, how, f"{place}: made[{k}]") for k, (n, how) in enumerate(zip(networks, made, strict=True)))
        boxes = tuple(Box(*(self.array(f"box.{k}.{end}", (n.num_inputs,)) for end in ("lo", "hi"))) for k, n in enumerate(networks))
        return Query(networks, boxes, read_formula(value["violation"], f"{place}: violation", self.limits), limits=self.limits)

    def _made(self, k: int, network: Network, how: Any, place: str) -> Network:
        """What the query is about, made of the network that the header names."""
        if how is None:
            return network
        expect(how, dict, place)
        if how.get("kind") == "ball":
            centre = self.array(f"centre.{k}", (network.num_inputs,))
            elements = self.array(f"elements.{k}", (None,))
            if len(elements) > network.num_inputs:
                raise InputError(f"{place}: {len(elements)} elements, expected each once of {network.num_inputs}")
            return distance(network, centre, record(how, BALL, place)["norm"], elements.tolist(), k).network
        if how.get("kind") != "pairs":
            raise InputError(f"{place}: kind {shown(how.get('kind'))} is unknown; expected 'ball' or 'pairs'")
        record(how, PAIRS, place)
        for group in how["groups"]:
            expect(group, list, f"{place}: groups")
        box = Box(*(self.array(f"domain.{k}.{end}", (network.num_inputs,)) for end in ("lo", "hi")))
        return paired(network, how["protected"], groups=how["groups"], box=box)[0]

    # --- the proof ---

    def witness(self, networks: tuple[Network, ...]) -> tuple[list[list[int]], list[list[int]], list[int]]:
        """Inputs and outputs of every network, and which atoms are true, counted from left to right."""
        place = f"{self.place}: header: proof"
        fields = record(self.header["proof"], WITNESS, place)
        for number in fields["true_atoms"]:
            expect(number, int, f"{place}: true_atoms")
        inputs = [self.array(f"inputs.{k}", (n.num_inputs,)).tolist() for k, n in enumerate(networks)]
        outputs = [self.array(f"outputs.{k}", (len(n.outputs),)).tolist() for k, n in enumerate(networks)]
        return inputs, outputs, fields["true_atoms"]

    def pairs(self) -> tuple[tuple[int, int], ...]:
        """The layers whose differences a tree is about, too."""
        place, pairs = f"{self.place}: header: proof: pairs", self.header["proof"].get("pairs") or []
        expect(pairs, list, place)
        if not all(isinstance(pair, list) and [type(number) for number in pair] == [int, int] for pair in pairs):
            raise InputError(f"{place}: expected [layer, layer] each")
        return tuple((first, second) for first, second in pairs)

    def tree(self, num_neurons: int) -> tuple[Tree, list[str]]:
        """The tree and the hashes of the CNFs of its SAT leaves."""
        place = f"{self.place}: header: proof"
        record_with(self.header["proof"], TREE, TREE_OPTIONAL, place)
        hashes = self.header["proof"]["cnf_sha256"]
        for value in hashes:
            expect(value, str, f"{place}: cnf_sha256")
        vectors = {n: self.array(n, (None,)) for n in Tree.__dataclass_fields__ if n not in ("rows", "fact_rows", "num_sats")}
        rows, fact_rows = (self._rows(name, num_neurons) for name in ("rows", "fact_rows"))
        tree = Tree(**vectors, rows=rows, fact_rows=fact_rows, num_sats=len(hashes))
        for names in (("split_value", "split_at"), ("fact_rows", *(n for n in vectors if "fact" in n))):
            if len({len(getattr(tree, name)) for name in names}) > 1:
                raise InputError(f"{self.place}: arrays {', '.join(names)} differ in length")
        if len(tree.kinds) and not 0 <= int(tree.kinds.min()) <= int(tree.kinds.max()) <= REFUTATION:
            raise InputError(
                f"{self.place}: array 'kinds' has values from {tree.kinds.min()} to {tree.kinds.max()}, expected 0 to {REFUTATION}"
            )
        return tree, hashes

    def _rows(self, name: str, num_neurons: int) -> Rows:
        """Multipliers of so many neurons, each at most once in a row."""
        starts, neurons, values = (self.array(f"{name}.{part}", (None,)) for part in ("starts", "neurons", "values"))
        ends = (int(starts[0]), int(starts[-1])) if len(starts) else (0, 0)
        if ends != (0, len(values)) or len(neurons) != len(values) or (starts[1:] < starts[:-1]).any():
            raise InputError(f"{self.place}: array '{name}.starts' does not split {len(values)} values of {len(neurons)} neurons into rows")
        if len(neurons) and not 0 <= int(neurons.min()) <= int(neurons.max()) < num_neurons:
            raise InputError(f"{self.place}: array '{name}.neurons' has neurons from {neurons.min()} to {neurons.max()} of {num_neurons}")
        ascending = neurons[1:] > neurons[:-1]
        ascending[starts[(starts > 0) & (starts < len(neurons))] - 1] = True
        if not ascending.all():
            raise InputError(f"{self.place}: array '{name}.neurons' names neuron {neurons[1:][~ascending][0]} out of order in a row")
        return Rows(num_neurons, starts, neurons, values)

    def enumeration(self) -> None:
        """A proof by enumeration says nothing but that."""
        record(self.header["proof"], ENUMERATION, f"{self.place}: header: proof")

    def cnf_sha256(self) -> str:
        """The hash of the CNF of a proof by SAT of the whole query."""
        return record(self.header["proof"], SAT_PROOF, f"{self.place}: header: proof")["cnf_sha256"]

    def lrat(self, k: int) -> bytes:
        """The k-th proof in LRAT, packed."""
        array = self.array(f"lrat.{k}", (None,))
        if array.dtype != np.uint8:
            raise InputError(f"{self.place}: array 'lrat.{k}' is missing or not bytes (uint8)")
        return array.tobytes()


def _read_network(network: Any, place: str) -> None:
    """One that a file holds."""
    record_with(network, NETWORK, NETWORK_OPTIONAL, place)
    network["path"] = network.get("path") and unescape_path(network["path"])


def record_with(value: Any, types: dict[str, type], optional: dict[str, type], place: str) -> None:
    """Refuse what is no object with these keys; those in `optional` may be missing or null."""
    expect(value, dict, place)
    given = {key: kind for key, kind in optional.items() if value.get(key) is not None}
    record({key: field for key, field in value.items() if key not in optional or key in given}, {**types, **given}, place)


def read_formula(value: Any, place: str, limits: Limits = NO_LIMITS, depth: int = 1) -> Formula:
    """A formula from nested JSON objects with one key each, `at_most` with `bound`, `and`, `or` or `not`."""
    limits.check()
    expect(value, dict, place)
    if depth > MAX_DEPTH:
        raise InputError(f"{place}: nests deeper than {MAX_DEPTH} levels")
    if set(value) == {"not"}:
        return Not(read_formula(value["not"], place, limits, depth + 1))
    if set(value) in ({"and"}, {"or"}):
        ((word, parts),) = value.items()
        expect(parts, list, f"{place}: {word}")
        return (And if word == "and" else Or)(tuple(read_formula(part, place, limits, depth + 1) for part in parts))
    record(value, {"at_most": list, "bound": int}, place)
    terms = []
    for term in value["at_most"]:
        if not (isinstance(term, list) and [type(entry) for entry in term] == [int, int, str, int]):
            raise InputError(f"{place}: a term of at_most, expected [coefficient, network, 'input', 'output' or 'value', element]")
        terms.append((term[0], Ref(*term[1:])))
    return AtMost(tuple(terms), value["bound"])
