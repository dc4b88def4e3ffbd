"""From a question file to queries: docs/reference/questions.md says what may stand in it."""

from __future__ import annotations

import os
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ...errors import InputError, QbitsatError, UnsupportedError, unknown
from ...importers import load
from ...importers.files import Path
from ...limits import NO_LIMITS, Limits
from ...network import Network
from ..agreement import joined
from ..formula import And, AtMost, Formula, Not, Or, Ref
from ..query import Box, Query
from .document import Document, Field
from .grammar import Fault, parse
from .linear import condition, items
from .names import NAME, RESERVED, Part, TopScope
from .regions import KEYS, Region

TOP = ("title", "networks", "inputs", "define", "assume", "hold", "never", "maximize", "minimize")
NETWORK = ("file", "runtime", "bits", "input_bits", "accumulator")
MAX_NETWORKS = 100


@dataclass(frozen=True)
class NetworkFile:
    """A network by its name in the question: its file, with what that does not hold. path is None where it was given as a `Network`."""

    name: str
    path: str | None
    bits: int | None = None
    input_bits: int | None = None
    runtime: str | None = None
    accumulator: str | None = None


@dataclass(frozen=True)
class Objective:
    """What is to be as large as possible (sign 1) or as small (-1): sum of terms + constant. Maximized is sign * the terms."""

    text: str
    sign: int
    terms: tuple[tuple[int, Ref], ...]
    constant: int

    @property
    def goal(self) -> tuple[tuple[int, Ref], ...]:
        return tuple((self.sign * c, ref) for c, ref in self.terms)

    def value(self, maximum: int) -> int:
        """The value of the expression, given that of the goal."""
        return self.sign * maximum + self.constant

    def maximum(self, value: int) -> int:
        """The value of the goal, given that of the expression."""
        return self.sign * (value - self.constant)


@dataclass(frozen=True)
class Question:
    """What a question file asks.

    query       what to decide; with objectives, its formula is the assumption
    objectives  what to optimise, each by itself; none where something is to be decided
    assumption  whether there is any input at all, as a query that is VIOLATED if so; None where boxes say all
    files       where the networks are from; parts: them, and where each is in the query
    """

    title: str
    query: Query
    objectives: tuple[Objective, ...]
    assumption: Query | None
    files: tuple[NetworkFile, ...]
    parts: tuple[Part, ...] = field(repr=False)


def load_question(path: Path, networks: Mapping[str, Network | Path] | None = None, *, limits: Limits = NO_LIMITS) -> Question:
    """The question in a TOML file. networks are used, by name, instead of the files that it names.

    Raises `InputError` or `UnsupportedError` with file, line and column for what it does not mean, and for what can't be treated exactly.
    """
    return _Reading(Document(path), dict(networks or {}), limits).question()


class _Reading:
    """One file under way."""

    def __init__(self, document: Document, given: dict[str, Network | Path], limits: Limits):
        self.root, self.given, self.limits = document.root.table(TOP), given, limits
        self.files: list[NetworkFile] = []
        self.regions: list[Region] = []
        self.networks: list[Network] = []
        self.parts: dict[str, Part] = {}
        self.inputs: dict[str, Part] = {}

    def question(self) -> Question:
        loaded = self._load()
        self._place(loaded)
        self.scope = TopScope(tuple(self.parts.values()), self.inputs)
        for defined in self.root["define"].each() if "define" in self.root and self.root["define"].of_kind(dict) else ():
            self._define(defined)
        facts = [fact for region in self.regions for fact in region.facts]
        assumed = facts + self._conditions("assume")
        wrong = [(_negated(formula), place) for formula, place in self._conditions("hold")] + self._conditions("never")
        objectives = self._objectives("maximize", 1) + self._objectives("minimize", -1)
        if bool(wrong) == bool(objectives):
            said = "both something to decide and something to optimise" if wrong else "nothing"
            self.root.refuse(f'asks {said}; expected hold = "..." or never = "...", or else maximize = "..." or minimize = "..."')
        assumption = _all([formula for formula, _ in assumed])
        violation = _all([assumption, _any([formula for formula, _ in wrong])]) if wrong else assumption
        query = self._query(violation, [*assumed, *wrong])
        for objective, place in objectives:
            self._query(And((assumption, _as_atom(objective))), [(_as_atom(objective), place)])
        return Question(
            title=self.root.get("title", str, default=""),
            query=query,
            objectives=tuple(objective for objective, _ in objectives),
            assumption=self._query(assumption, assumed) if assumed else None,
            files=tuple(self.files),
            parts=tuple(self.parts.values()),
        )

    # --- networks ---

    def _load(self) -> dict[str, Network]:
        if "networks" not in self.root:
            self.root.refuse('names no networks, expected [networks] with NAME = "FILE"')
        table, loaded = self.root["networks"], dict[str, Network]()
        if not table.of_kind(dict) or len(table.value) > MAX_NETWORKS:
            table.refuse(f"{len(table.value)} networks, expected 1 to {MAX_NETWORKS}")
        names = [self._name(entry) for entry in table.each()]
        for name in self.given:
            if name not in names:
                raise unknown(f"{table.document.path}: network", name, names)
        for name in names:
            loaded[name] = self._network(name, table[name])
        return loaded

    def _network(self, name: str, entry: Field) -> Network:
        given = self.given.get(name)
        table = Field(entry.document, entry.path, {"file": entry.value}) if isinstance(entry.value, str) else entry.table(NETWORK)
        runtime, bits, input_bits = table.get("runtime", str), table.get("bits", int), table.get("input_bits", int)
        accumulator = table.get("accumulator", str)
        if isinstance(given, Network):
            self.files.append(NetworkFile(name, given.source or None, bits, input_bits, given.runtime or None, accumulator))
            return given
        if "file" not in table and given is None:
            entry.refuse('needs file = "FILE"')
        path = os.path.join(os.path.dirname(entry.document.path), table.get("file", str)) if given is None else os.fspath(given)
        self.files.append(NetworkFile(name, path, bits, input_bits, runtime, accumulator))
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", RuntimeWarning)
                return load(path, bits, input_bits, runtime, accumulator, limits=self.limits)
        except QbitsatError as error:
            (entry["file"] if isinstance(entry.value, dict) and "file" in entry else entry).refuse(error)

    def _name(self, entry: Field) -> str:
        name = entry.path[-1]
        if not (isinstance(name, str) and NAME.fullmatch(name)) or name in RESERVED:
            raise entry.fault(f"name {name!r:.60}, expected letters, digits and _, and no word of expressions", key=True)
        return name

    # --- inputs ---

    def _place(self, loaded: dict[str, Network]) -> None:
        """Networks that read one input become one network of the query; their order is that of the first of them in the file."""
        groups = dict[str, tuple[list[str], Field]]()
        table = next((entry for entry in self.root.each() if entry.path == ("inputs",)), None)
        nothing = Field(self.root.document, ("inputs",), {})
        if table is not None and table.of_kind(dict) and all(isinstance(value, dict) for value in table.value.values()):
            for entry in table.each():
                groups[self._name(entry)] = self._readers(entry.table(KEYS), loaded), entry
        elif table is not None:
            if "networks" in table.table(KEYS[1:]):
                self.root.refuse("networks of the only input")
            groups["input"] = list(loaded), table
        read = dict[str, str]()
        for name, (readers, entry) in groups.items():
            for reader in readers:
                if reader in read:
                    entry.refuse(f"network {reader!r} reads input {read[reader]!r} already")
                read[reader] = name
        for name in loaded:
            if name not in read:
                groups[f"{name}.input"] = [name], nothing
        for name, (readers, entry) in groups.items():
            self._group(name, {reader: loaded[reader] for reader in readers}, entry)

    def _readers(self, entry: Field, loaded: dict[str, Network]) -> list[str]:
        """The networks that an input names; by default that of its own name, or the only one."""
        if "networks" not in entry:
            name = str(entry.path[-1])
            if name in loaded or len(loaded) == 1:
                return [name if name in loaded else next(iter(loaded))]
            entry.refuse(f"needs networks = [...], those that read it, of {', '.join(loaded)}")
        readers = [part.of_kind(str) for part in entry["networks"].each()] if entry["networks"].of_kind(list) else []
        for k, reader in enumerate(readers):
            if reader not in loaded:
                entry["networks"][k].refuse(unknown("network", reader, loaded))
        if not readers or len(set(readers)) < len(readers):
            entry["networks"].refuse("expected names of networks, each once")
        return readers

    def _group(self, name: str, readers: dict[str, Network], entry: Field) -> None:
        number, values, outputs = len(self.networks), 0, 0
        try:
            network = joined(*readers.values()) if len(readers) > 1 else next(iter(readers.values()))
        except QbitsatError as error:
            entry.refuse(error)
        if entry.get("unit", str) == "real" and len({tuple((f.scale, f.zero_point) for f in n.inputs) for n in readers.values()}) > 1:
            entry["unit"].refuse('the networks give their inputs different scales or zero points, expected unit = "integer"')
        for reader, part in readers.items():
            self.parts[reader] = Part(reader, part, number, values, outputs)
            values, outputs = values + part.num_values - part.num_inputs, outputs + len(part.outputs)
        region = Region(entry, network, number)
        # A ball is said of values beside the network's own.
        self.networks.append(region.network)
        self.regions.append(region)
        self.inputs[name] = next(self.parts[reader] for reader in readers)

    # --- expressions ---

    def _meaning(self, text: Field, convert: Any) -> Any:
        self.limits.check()
        try:
            value = parse(text.value, self.scope)
            try:
                return convert(value)
            except QbitsatError as error:
                raise Fault(0, error) from error
        except Fault as fault:
            text.misread(fault)

    def _define(self, entry: Field) -> None:
        name = self._name(entry)
        if self.scope.find(name) is not None:
            raise entry.fault(f"{name!r} is the name of something else", key=True)
        entry.of_kind(str)
        self.scope.defined[name] = self._meaning(entry, lambda value: value)

    def _conditions(self, key: str) -> list[tuple[Formula, Field]]:
        return [(self._meaning(text, condition), text) for text in self.root[key].texts()] if key in self.root else []

    def _objectives(self, key: str, sign: int) -> list[tuple[Objective, Field]]:
        found = []
        for text in self.root[key].texts() if key in self.root else ():
            linear = self._meaning(text, items)
            if len(linear) != 1:
                text.refuse(f"{len(linear)} numbers, expected one to {key}; several objectives are a list of texts")
            terms = tuple((c, ref) for ref, c in linear[0].terms.items())
            found.append((Objective(" ".join(text.value.split()), sign, terms, linear[0].constant), text))
        return found

    # --- the query ---

    def _query(self, violation: Formula, places: Sequence[tuple[Formula, Field]]) -> Query:
        """Checked, and refused where what is wrong stands."""
        networks, boxes = tuple(self.networks), tuple(region.box() for region in self.regions)
        try:
            return Query(networks, boxes, violation, limits=self.limits)
        except (InputError, UnsupportedError) as error:
            for formula, place in places:
                _checked(networks, boxes, formula, place)
            self.root.refuse(error)


def _checked(networks: tuple[Network, ...], boxes: tuple[Box, ...], formula: Formula, place: Field) -> None:
    try:
        Query(networks, boxes, formula)
    except (InputError, UnsupportedError) as error:
        place.refuse(error)


def _as_atom(objective: Objective) -> Formula:
    return AtMost(objective.goal, 0)


def _all(parts: Sequence[Formula]) -> Formula:
    """All of them, in one `And`."""
    flat = [inner for part in parts for inner in (part.parts if isinstance(part, And) else (part,))]
    return flat[0] if len(flat) == 1 else And(tuple(flat))


def _negated(formula: Formula) -> Formula:
    return formula.part if isinstance(formula, Not) else Not(formula)


def _any(parts: Sequence[Formula]) -> Formula:
    return parts[0] if len(parts) == 1 else Or(tuple(parts))
