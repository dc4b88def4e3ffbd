"""Which certificates a path stands for, and whether a folder of results says what they prove, all of it and nothing else."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Collection, Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import BinaryIO, NamedTuple

from ..errors import InputError, QbitsatError
from ..importers.files import open_input
from ..importers.json_header import shown
from ..limits import LimitReached, Limits
from ..network import Network, TensorFormat
from ..properties.region import meaning
from ..properties.robustness import ARGMAX
from .around import Needs
from .check import HOLDS, NOTHING, REFUSED, UNCHECKED, UNREADABLE, VIOLATED, Checked, Means, check_file, of_no_file, out_of
from .in_files import named_networks
from .lines import Entry, against_certificate, against_samples, read_line, recompute
from .networks import networks_of
from .reading import Certificate, Refused

EMPTY = "EMPTY"
RESULTS, SUFFIX = "results.jsonl", ".cert"
MAX_LINE = 1 << 24


class Item(NamedTuple):
    """Something to check: a certificate, a line of results.jsonl, or both; or what is known of it already.

    near is some certificate of the line's folder: it names the network of lines that have none.
    """

    place: str
    path: Path | None = None
    entry: Entry | None = None
    near: Path | None = None
    known: Checked | None = None


# A distance, a target, a region, and a rule for ties.
Asked = tuple[int, int | None, str | None, str]


class Question(NamedTuple):
    """What makes a line of results one of its own."""

    sample: int
    eps: int
    target: int | None
    region: str | None = None
    ties: str = ARGMAX

    @property
    def of_samples(self) -> Asked:
        """What it asks of whatever sample."""
        return self.eps, self.target, self.region, self.ties


class Folder:
    """The items of a path: a file; or of a folder the lines of its results.jsonl and of those in folders below, else every .cert file in
    it or below.

    wanted are questions that must have lines, in these or other words, about inputs of that form. `covered` fills as lines are read: the
    samples of each (eps, target, region, ties).
    """

    def __init__(self, path: Path, wanted: Collection[Question] = (), form: TensorFormat | None = None):
        self.path, self.wanted, self.form = path, wanted, form
        self.covered: defaultdict[Asked, set[int]] = defaultdict(set)
        self._lines: dict[tuple[str, Question], int] = {}
        self._named: dict[Path, int] = {}
        self._damaged = False

    def __iter__(self) -> Iterator[Item]:
        """Raises `InputError` where there is nothing to check."""
        path = self.path
        if self.wanted and not os.path.lexists(path / RESULTS):
            raise InputError(f"{path}: has no {RESULTS}, expected one with lines of the samples and eps asked for")
        if not path.is_dir():
            of_results = Checked(str(path), UNREADABLE, f"{path}: results are checked with their folder, expected {path.parent}")
            yield Item(str(path), path, known=of_results if path.name == RESULTS and path.is_file() else None)
            return
        files = sorted(file for file in path.rglob(f"*{SUFFIX}") if file.is_file())
        if os.path.lexists(path / RESULTS):
            below = {folder: Folder(folder) for folder in sorted(found.parent for found in path.rglob(RESULTS) if found.parent != path)}
            owned: defaultdict[Path, list[Path]] = defaultdict(list)
            for file in files:
                owned[next(folder for folder in file.parents if folder == path or folder in below)].append(file)
            for folder, one in {path: self, **below}.items():
                yield from one._results(owned[folder])
            return
        if not files:
            raise InputError(f"{path}: has no {RESULTS} and no {SUFFIX} files, expected certificates")
        yield from (Item(str(file), file) for file in files)

    def _results(self, files: list[Path]) -> Iterator[Item]:
        """Lines with certificates, then those without, then certificates without lines and questions without lines."""
        without = list[Item]()
        with open_input(self.path / RESULTS) as stream:
            for number, data in _lines(stream):
                for item in self._items(number, data):
                    if item.path is None and item.known is None:
                        without.append(item)
                    else:
                        yield item
        near = next(iter(files), None)
        yield from (item._replace(near=near) for item in without)
        for file in files:
            if file not in self._named:
                yield self._unnamed(file)
        yield from self._missing()

    def _missing(self) -> Iterator[Item]:
        """A refusal for each question that should have been asked of some samples and was not."""
        missing: defaultdict[Asked, set[int]] = defaultdict(set)
        answered: defaultdict[Asked, set[int]] = defaultdict(set)
        for asked, samples in self.covered.items() if self.wanted else ():
            answered[self._meant(asked)] |= samples
        meant = {asked: self._meant(asked) for asked in {question.of_samples for question in self.wanted}}
        for question in self.wanted:
            if question.sample not in answered.get(meant[question.of_samples], ()):
                missing[question.of_samples].add(question.sample)
        for asked, samples in missing.items():
            which = f"{'sample' if len(samples) == 1 else 'samples'} {ranges(samples)}"
            yield _refused(str(self.path / RESULTS), f"has no line of {which}, {in_words(*asked)}")

    def _meant(self, asked: Asked) -> Asked:
        """The same for all that ask the same; a region that no such input has stays as it is."""
        eps, target, region, ties = asked
        if self.form is None:
            return asked
        with suppress(InputError, OverflowError):
            eps, region = meaning(eps, region, self.form)
        return eps, target, region, ties

    def _unnamed(self, file: Path) -> Item:
        """Refused, but where the line that should name it may be one of the damaged."""
        if not self._damaged:
            return _refused(str(file), f"no line of {self.path / RESULTS} names it")
        reason = f"{file}: no line of {self.path / RESULTS} names it, of those that can be read"
        return Item(str(file), known=Checked(str(file), UNREADABLE, reason))

    def _items(self, number: int, data: bytes | None) -> Iterator[Item]:
        """What a line claims: one thing, but for optima."""
        place = f"{self.path / RESULTS}: line {number}"
        try:
            if data is None:
                raise InputError(f"{place}: longer than {MAX_LINE} bytes")
            entry = read_line(data, place)
        except InputError as error:
            self._damaged = True
            yield Item(place, known=Checked(place, UNREADABLE, str(error)))
            return
        if "claims" not in entry:
            yield self._item(number, place, entry)
        elif entry["sample"] is not None:
            yield Item(place, entry=entry["sample"])
        else:
            yield from self._claims(number, place, entry)

    def _claims(self, number: int, place: str, entry: Entry) -> Iterator[Item]:
        """Of a question with a name, or of a question file."""
        for claim in entry["claims"]:
            if claim["certificate"] is not None:
                yield self._certified(number, place, claim)
            else:
                yield Item(place, known=Checked(place, UNCHECKED, f"{claim['kind']}, {claim['part']}: without a certificate"))
        if entry["claims"]:
            return
        if entry["verdict"] == EMPTY:
            yield Item(place, known=Checked(place, UNCHECKED, "that no input is meant has no certificate"))
        else:
            yield Item(place, known=Checked(place, NOTHING, entry["reason"] or f"{entry['kind']}: nothing that is proved"))

    def _item(self, number: int, place: str, entry: Entry) -> Item:
        """Of a sample."""
        question = Question(entry["sample"], entry["eps"], entry["target"], entry["region"], entry["ties"])
        before = self._lines.setdefault((entry["network_sha256"], question), number)
        if before != number:
            return _refused(place, f"asks the question of line {before} again")
        self.covered[question.of_samples].add(question.sample)
        if entry["certificate"] is None:
            return Item(place, entry=entry)
        return self._certified(number, place, entry)

    def _certified(self, number: int, place: str, entry: Entry) -> Item:
        name, path = entry["certificate"], self.path / entry["certificate"]
        if not self._is_inside(name):
            return _refused(place, f"certificate {shown(name)}, expected a file in {self.path}")
        before = self._named.setdefault(path, number)
        if before != number:
            return _refused(place, f"names the certificate of line {before} again")
        if entry["verdict"] not in (HOLDS, VIOLATED):
            return _refused(place, f"says {entry['verdict']} with a certificate, expected {HOLDS} or {VIOLATED}")
        return Item(place, path, entry)

    def _is_inside(self, name: str) -> bool:
        """Whether a name stays in the folder, links followed."""
        if os.path.isabs(name) or ".." in Path(name).parts:
            return False
        folder = os.path.realpath(self.path)
        try:
            return os.path.commonpath((folder, os.path.realpath(self.path / name))) == folder
        except ValueError:  # no name of a file, as with a zero in it
            return False


def in_words(eps: int, target: int | None, region: str | None, ties: str) -> str:
    """As in "eps 8, target 3, region [3:6, 10:13], ties kept"."""
    named = (("target", target), ("region", region), ("ties", None if ties == ARGMAX else ties))
    parts = [f"{name} {value}" for name, value in named if value is not None]
    return ", ".join([f"eps {eps}", *parts])


def ranges(samples: set[int], most: int = 10) -> str:
    """As in 0:100,115; at most so many ranges."""
    starts = sorted(sample for sample in samples if sample - 1 not in samples)
    ends = sorted(sample + 1 for sample in samples if sample + 1 not in samples)
    parts = [f"{start}:{end}" if end > start + 1 else f"{start}" for start, end in zip(starts, ends, strict=True)]
    return ",".join(parts[:most]) + (f",... ({len(samples)} in all)" if len(parts) > most else "")


def _lines(stream: BinaryIO) -> Iterator[tuple[int, bytes | None]]:
    """Numbers and lines; None for one that is too long."""
    number = 0
    while line := stream.readline(MAX_LINE):
        number += 1
        yield number, line if len(line) < MAX_LINE else None
        while line and not line.endswith(b"\n"):
            line = stream.readline(MAX_LINE)


def _refused(place: str, reason: str) -> Item:
    return Item(place, known=Checked(place, REFUSED, reason))


def check_item(item: Item, means: Means) -> Checked:
    """What comes of an item; of what may go through a pipe nothing nests."""
    if item.known is not None:
        return item.known
    limits = Limits(means.timeout, means.memory)
    try:
        if item.path is None:
            assert item.entry is not None
            return recompute(item.entry, item.place, _network(item, means, limits), means, limits)
        checked = check_file(item.path, means, limits)
        if checked.accepted:
            checked = _compared(item, checked, means, limits)
    except QbitsatError as error:
        return Checked(item.place, UNREADABLE, str(error))
    except (LimitReached, MemoryError) as limit:
        return Checked(item.place, UNCHECKED, out_of(means, limit))
    query, networks = checked.header.get("query", {}), checked.header.get("networks", [])
    about = {key: value for key, value in query.items() if type(value) in (int, str)}
    return replace(checked, query=None, question=None, witness=None, header={"query": about, "networks": networks})


def _compared(item: Item, checked: Checked, means: Means, limits: Limits) -> Checked:
    """Accepted only if the line and the data set agree."""
    named = item.entry is not None and "kind" in item.entry
    if not named and checked.question is None and (reason := of_no_file(means)):
        return replace(checked, outcome=REFUSED, reason=reason)
    reason = "" if named and checked.header["query"].get("sample") is None else against_samples(checked, means, limits)
    if item.entry is not None and not reason:
        try:
            said = against_certificate(item.entry, checked, means, limits)
        except Needs as needs:
            return replace(checked, outcome=UNCHECKED, reason=str(needs))
        reason = f"{item.place} {said}" if said else ""
        checked = replace(checked, words=(*checked.words, *named_networks(item.entry)))
    return replace(checked, outcome=REFUSED, reason=reason) if reason else checked


def _network(item: Item, means: Means, limits: Limits) -> Network | None:
    """The network of a line without certificate: one that is given, else the one that a certificate near it names."""
    assert item.entry is not None
    networks = means.networks
    if not networks and item.near is not None:
        with suppress(QbitsatError, Refused), Certificate(item.near, limits) as certificate:
            networks = networks_of(certificate, (), limits)
    return next((network for network in networks if network.sha256 == item.entry["network_sha256"]), None)
