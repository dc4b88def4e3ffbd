"""Certificates of queries in VNN-LIB: the query is made again from its file and the files of its networks, whose hashes they have.

Boxes, formula, and which integers floats from outside become stand in no certificate.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from itertools import islice
from typing import Any

from ..errors import InputError
from ..importers.files import open_input
from ..importers.json_header import record
from ..importers.onnx_file import RUNTIMES
from ..limits import Limits
from ..network import Network
from ..network.names import unescape_path
from ..properties import Witness
from ..properties.vnnlib import Question, bind, read
from .networks import GROWTH, beside
from .reading import MAX_NETWORKS, Certificate, Refused, record_with
from .words import RANGES

KEYS: dict[str, type] = {"kind": str, "file": str, "sha256": str, "files": dict}
OPTIONAL: dict[str, type] = {"runtime": str, "grid": int}
FILE: dict[str, type] = {"path": str, "sha256": str}
# Bytes in memory of a byte of a query, where words are of one letter.
WORDS = 100.0
# Bytes that are hashed at once.
BLOCK = 1 << 20


def question_of(
    certificate: Certificate,
    networks: tuple[Network, ...],
    files: Mapping[str, str],
    runtime: str | None,
    limits: Limits,
    given: os.PathLike[str] | str | None = None,
) -> Question:
    """The question of a certificate, about the `files` that are given by the names of networks ("" for the only one), in this runtime, or
    else about those that it names, in its own; of the VNN-LIB file `given`, or else of the one that it names.

    If there are `networks`, each of the question must be one of them. Raises `Refused` where a hash is another.
    """
    place, asked = f"{certificate.place}: header: query", certificate.header["query"]
    record_with(asked, KEYS, OPTIONAL, place)
    if not 1 <= len(asked["files"]) <= MAX_NETWORKS:
        raise InputError(f"{place}: {len(asked['files'])} files, expected 1 to {MAX_NETWORKS}")
    paths = dict[str, str]()
    for k, (name, file) in enumerate(asked["files"].items()):
        record(file, FILE, f"{place}: files[{k}]")
        paths[name] = beside(certificate.place, unescape_path(file["path"]))
    if "" in files and len(paths) == 1:
        files = dict.fromkeys(paths, files[""])
    if "" in files:
        raise Refused(f"is about networks {', '.join(paths)[:200]}, expected --network NAME=FILE for each")
    if files and set(files) != set(paths):
        raise Refused(f"is about networks {', '.join(paths)[:200]}, expected {', '.join(files)[:200]}, as --network names them")
    if files and (asked.get("runtime") or RUNTIMES[0]) != (runtime or RUNTIMES[0]):
        raise Refused(f"is about runtime {asked.get('runtime') or RUNTIMES[0]}, expected {runtime or RUNTIMES[0]}")
    path = os.fspath(given or beside(certificate.place, unescape_path(asked["file"])))
    paths |= files
    limits.require(WORDS * _size(path) + GROWTH * sum(map(_size, paths.values())))
    # Another file may be no query at all, or have no tensors for the variables: what is wrong with it then is that it is another.
    _expect_hash(path, file_hash(path, limits), asked)
    for name, file in paths.items():
        _expect_hash(f"{file}, network {name},", file_hash(file, limits), asked["files"][name])
    question = Question(bind(read(path), paths, asked.get("runtime"), asked.get("grid")), limits)
    _compare(question, certificate.header, networks)
    return question


def _size(path: str) -> int:
    try:
        return os.path.getsize(path)
    except (OSError, ValueError):
        return 0  # who reads it says what is wrong


def file_hash(path: str, limits: Limits) -> str:
    """The SHA-256 of a file's bytes, in hexadecimal."""
    digest = hashlib.sha256()
    with open_input(path) as stream:
        while block := stream.read(BLOCK):
            limits.check()
            digest.update(block)
    return digest.hexdigest()


def _expect_hash(what: str, found: str, said: dict[str, Any]) -> None:
    if found != said["sha256"]:
        raise Refused(f"{what} has hash {found[:16]}..., the certificate is about {said['sha256'][:16]}...")


def _compare(question: Question, header: dict[str, Any], networks: tuple[Network, ...]) -> None:
    """Refuse a question that is made of other files than those in the header, or about other networks."""
    asked, made = header["query"], question.record
    if set(made["files"]) != set(asked["files"]):
        raise Refused(f"is about networks {', '.join(asked['files'])[:200]}, {made['file']} has {', '.join(made['files'])[:200]}")
    each = [(made["file"], made, asked)]
    each += [(f"{file['path']}, network {name},", file, asked["files"][name]) for name, file in made["files"].items()]
    for what, found, said in each:
        _expect_hash(what, found["sha256"], said)
    if made["grid"] != asked.get("grid"):
        raise Refused(f"says grid {asked.get('grid')}, expected {made['grid']} for these networks")
    if [network["sha256"] for network in header["networks"]] != [question.network.sha256]:
        raise Refused(f"is about another network than {made['file']} makes, which has hash {question.network.sha256[:16]}...")
    known = {network.sha256 for network in networks}
    for name, sha256 in question.hashes.items():
        if known and sha256 not in known:
            raise Refused(f"network {name} has hash {sha256[:16]}..., expected one of those that are given, or --network {name}=FILE")


def titles(question: Question) -> tuple[str, ...]:
    """Which networks it is about, for people: names, files, hashes of these, and what they do not hold."""
    made = question.record
    grid = "" if made["grid"] is None else f", inputs k / {made['grid']} alone"
    how = grid or f", runtime {made['runtime'] or RUNTIMES[0]}"
    about = f"{made['file']} (sha256 {made['sha256']})"
    return tuple(f"{name} of {about} is {file['path']} (sha256 {file['sha256']}{how})" for name, file in made["files"].items())


def explained(question: Question, witness: Witness | None) -> list[str]:
    """What is proved, as the standard says it; the integers behind it are another matter."""
    name = question.record["file"]
    lines = [f"{name} is unsat: no numbers satisfy it" if witness is None else f"{name} is sat, as these numbers satisfy it:"]
    for variable, values in islice([] if witness is None else question.assignment(witness), RANGES):
        more = f", ... ({len(values)} in all)" if len(values) > 2 * RANGES else ""
        lines.append(f"    {variable.name} = {', '.join(map(str, values[: 2 * RANGES]))}{more}")
    return [*lines, *(f"note: {note}" for note in question.notes)]


def difference(question: Question, header: dict[str, Any], witness: Witness | None, line: dict[str, Any]) -> str:
    """Where a line says something else than an accepted certificate with this header; else empty."""
    asked = header["query"]
    for key in (*KEYS, *OPTIONAL):
        if line[key] != asked.get(key):
            return f"says another {key} than the certificate"
    if line["networks"] != question.hashes:
        return "is about other networks than the certificate"
    proved = None if witness is None else {variable.name: values for variable, values in question.assignment(witness)}
    one, other = (json.dumps(found, sort_keys=True) for found in (line["assignment"], proved))
    return "" if one == other else "has another assignment than the certificate"
