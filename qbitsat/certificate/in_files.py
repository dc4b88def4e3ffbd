"""Lines about questions that stand in files, TOML or VNN-LIB: which query is theirs, and which networks have the names in it."""

from __future__ import annotations

import os
from collections.abc import Sequence

from ..errors import QbitsatError
from ..importers.json_header import shown
from ..network.names import printable
from ..properties import Query
from ..properties.formula import reaching
from ..properties.question_file import Question, load_question
from . import vnnlib
from .around import Around, Entry, Needs, both_ends, one_verdict, whole
from .networks import beside
from .reading import Refused

# Names of networks that are said, and characters of one and of the path of a question file.
MOST_NAMES, MOST_NAME, MOST_PATH = 8, 60, 200


def question_parts(entry: Entry) -> Sequence[tuple[str, str]]:
    return both_ends(entry) if entry.get("objective") is not None else one_verdict(entry)


def question_query(entry: Entry, part: str, around: Around) -> Query:
    """As the question file says that is given, or that the line names."""
    path = os.fspath(around.means.question or beside(around.checked.path, entry["question"]))
    if not os.path.isfile(path):
        raise Needs(f"needs the question file {path}")
    question = _named_question(entry, path, around)
    if part == "verdict":
        if question.objectives:
            raise Refused(f"says a verdict, {path} has an objective")
        return question.query
    whole(entry, "value")
    sign = 1 if entry.get("sense") == "maximize" else -1
    goals = [one for one in question.objectives if (one.text, one.sign) == (entry["objective"], sign)]
    if not goals:
        raise Refused(f"says the {entry.get('sense')} of {shown(entry['objective'])}, which {path} does not ask for")
    best = sign * (entry["value"] - goals[0].constant)
    violation = reaching(question.query.violation, goals[0].goal, best + (part == "beyond"))
    return Query(question.query.networks, question.query.boxes, violation)


def _named_question(entry: Entry, path: str, around: Around) -> Question:
    """The question in a file, about the networks of the certificate: which of them has which name is known from files, those that are given
    or those that the question itself names. Where it is about one alone, the hash in the line is enough.
    """
    names, files = entry["networks"], around.means.files
    found = {network.sha256: network for network in around.networks}
    if not all(sha256 in found for sha256 in names.values()):
        raise Refused("is about other networks than the certificate")
    if not set(files) <= set(names):
        raise Refused(f"is about networks {', '.join(names)[:MOST_PATH]}, not {', '.join(files)[:MOST_PATH]}, as --network names them")
    question = load_question(path, {name: found[sha256] for name, sha256 in names.items()}, limits=around.limits)
    if not files and len(set(names.values())) == 1:
        return question
    try:
        meant = load_question(path, files, limits=around.limits)
    except QbitsatError as error:
        raise Needs(f"needs --network NAME=FILE for {', '.join(names)[:MOST_PATH]}: {error}") from error
    for part in meant.parts:
        if part.network.sha256 != names.get(part.name):
            what = f"says that network {part.name} is {str(names.get(part.name))[:16]}..."
            raise Refused(f"{what}, its file is {part.network.sha256[:16]}...; expected --network {part.name}=FILE where another was meant")
    return question


def vnnlib_query(entry: Entry, _part: str, around: Around) -> Query:
    """As the VNN-LIB file says, from which it was made already."""
    checked = around.checked
    if checked.question is None:
        raise Refused("is about a VNN-LIB file, the certificate is not")
    if said := vnnlib.difference(checked.question, checked.header, checked.witness, entry):
        raise Refused(said)
    return checked.question.query


def named_networks(claim: Entry) -> list[str]:
    """Lines that say which networks a question file is answered for, where it has several."""
    networks = claim.get("networks") or {}
    if claim.get("kind") != "question" or len(networks) < 2:
        return []
    lines = [
        f"{printable(name[:MOST_NAME])} of {claim['question'][:MOST_PATH]} is the network {printable(networks[name][:64])}"
        for name in networks
    ]
    return [*lines[:MOST_NAMES], *([f"and {len(lines) - MOST_NAMES} names more"] if len(lines) > MOST_NAMES else [])]
