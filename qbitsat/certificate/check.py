"""Checks certificates. Nothing here, or behind it, is shared with bounds, encoder, solvers or search, nor with any kernel.

VIOLATED   the witness's inputs lie in the boxes; the checker's own inference gives its outputs; the violation is true of both
HOLDS      a tree of ranges covers the region, and each of its leaves is closed (`tree`, `layout`), some perhaps by SAT; or
           the CNF that the whole query has in plain Python (`cnf`, `bitblast`) is the one refuted by the LRAT proof (`lrat`); or
           every point of the region, run again, makes the violation false (`enumeration`)
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, fields, replace
from typing import Any, NoReturn

import numpy as np

from ..errors import InputError, unknown
from ..importers.files import Path, check_path, placed
from ..importers.json_header import shown
from ..limits import LimitReached, Limits, Tick, set_aside, uncollected
from ..network import Network
from ..network.tensor import positive
from ..properties import Query, Witness
from ..properties.formula import atoms, is_true
from ..properties.vnnlib import Question
from .cake import check_by_cake_lpr
from .cnf import QueryEncoder, digest, leaf_encoder
from .differences import Differences, with_differences
from .enumeration import check_enumeration
from .formula import Atom, Plain, plain, simplified
from .inference import Inference
from .layout import Layout, Ranges
from .lrat import check_lrat
from .networks import networks_of, pinned, title
from .reading import Certificate, Refused
from .samples import Samples
from .tree import TreeChecker
from .vnnlib import explained, question_of, titles
from .words import words

HOLDS, VIOLATED = "HOLDS", "VIOLATED"
# What comes of a check.
ACCEPTED, REFUSED, UNREADABLE, UNCHECKED, NOTHING = "accepted", "refused", "unreadable", "not checked", "unknown"
# What "narrowed" and "substituted" know beyond "balanced" is left out where there is a certificate.
ENCODINGS = ("balanced", "linear", "narrowed", "substituted")


@dataclass(frozen=True)
class Means:
    """What a check may use: the networks that any certificate must be about, if there are any (else those that it names), the data set
    that any sample must be of, if there is one, an outside program, and for each certificate seconds, and GiB of resident memory of any
    one process; and files of the networks that questions in files name, with the runtime of those of VNN-LIB. The name "" stands alone, for
    a float model: the only network of VNN-LIB queries, of which alone any certificate must be. question is the file that any answer must be
    to, in place of the one that a certificate or its line names.
    """

    networks: tuple[Network, ...] = ()
    samples: Samples | None = None
    cake_lpr: Path | None = None
    timeout: float = 3600.0
    memory: float = 8.0
    files: Mapping[str, str] = field(default_factory=dict)
    runtime: str | None = None
    question: os.PathLike[str] | str | None = None


MEANS = tuple(field.name for field in fields(Means) if field.name not in ("networks", "files", "runtime"))


@dataclass(frozen=True)
class Checked:
    """What came of a check.

    outcome   ACCEPTED (`verdict` is proved of `query`), REFUSED, UNREADABLE, UNCHECKED (a limit ran out, or something is needed) or
              NOTHING (an UNKNOWN, which claims nothing)
    reason    why it is not accepted: where, and what was expected
    question  what a VNN-LIB file asks, if it was one
    networks  titles of those that it is about
    witness   of a VIOLATED
    words     lines that say what is proved
    header    what the certificate says of itself
    """

    path: str
    outcome: str
    reason: str = ""
    seconds: float = 0.0
    verdict: str = ""
    engine: str = ""
    query: Query | None = None
    question: Question | None = None
    networks: tuple[str, ...] = ()
    witness: Witness | None = None
    words: tuple[str, ...] = ()
    header: dict[str, Any] = field(default_factory=dict, repr=False)

    @property
    def accepted(self) -> bool:
        """Proved."""
        return self.outcome == ACCEPTED

    def __bool__(self) -> NoReturn:
        raise TypeError("what comes of a check is neither true nor false; ask for .accepted")


def check(
    path: Path,
    networks: Sequence[Network | Path] | Network | Path = (),
    bits: int | None = None,
    input_bits: int | None = None,
    runtime: str | None = None,
    accumulator: str | None = None,
    **means: Any,
) -> Checked:
    """Check one certificate. networks are those that it must be about, or the one: `Network` objects, or files with bits, input_bits,
    runtime and accumulator as of `load`; without them the certificate chooses. Other arguments are fields of `Means`.

    Raises `InputError` for a file that is no certificate, or whose network can't be read.
    """
    check_path(path)
    for name in means:
        if name not in MEANS:
            raise unknown("argument", name, ("networks", "bits", "input_bits", "runtime", "accumulator", *MEANS))
    for name in {"timeout", "memory"} & {*means}:
        means[name] = positive(means[name], name)
    chosen = Means(**means)
    limits = Limits(chosen.timeout, chosen.memory)
    try:
        chosen = replace(chosen, networks=pinned(networks, bits, input_bits, runtime, accumulator, limits))
    except (LimitReached, MemoryError) as limit:
        return Checked(os.fspath(path), UNCHECKED, out_of(chosen, limit), limits.seconds())
    return check_file(path, chosen, limits)


def check_file(path: Path, means: Means, limits: Limits | None = None) -> Checked:
    """Check one certificate; see `check`. limits are those of means from now on, unless they have begun."""
    limits = limits or Limits(means.timeout, means.memory)
    found: dict[str, Any] = {}
    outcome, reason = ACCEPTED, ""
    try:
        with ExitStack() as stack:
            with uncollected():  # what a file may make of its header is bounded
                certificate = stack.enter_context(Certificate(path, limits))
                found.update((key, certificate.header[key]) for key in ("verdict", "engine"))
                found["header"] = certificate.header
                found |= _asked(certificate, means, limits)
                query = found["query"]
            with set_aside(query.num_parts), placed(certificate.place):
                found["witness"] = witness = _check_proof(certificate, query, means, limits)
                said = [] if found["question"] is None else explained(found["question"], witness)
                found["words"] = (*said, *words(query, witness))
    except Refused as refused:
        outcome, reason = REFUSED, str(refused)
    except (LimitReached, MemoryError) as limit:
        outcome, reason = UNCHECKED, out_of(means, limit)
    return Checked(os.fspath(path), outcome, reason, limits.seconds(), **found)


def _asked(certificate: Certificate, means: Means, limits: Limits) -> dict[str, Any]:
    """The query of a certificate, and titles of the networks that it is about."""
    if certificate.header["query"].get("kind") == "vnnlib":
        question = question_of(certificate, means.networks, means.files, means.runtime, limits, means.question)
        return {"query": question.query, "question": question, "networks": titles(question)}
    if "" in means.files:
        raise Refused(of_no_file(means))
    networks = networks_of(certificate, means.networks, limits)
    with placed(certificate.place):
        return {"query": certificate.query(networks), "question": None, "networks": tuple(title(network) for network in networks)}


def of_no_file(means: Means) -> str:
    """Why nothing is accepted but what answers a question in a file; empty where it may be."""
    if "" in means.files:
        return f"is no VNN-LIB query, expected one about {means.files['']}, a float model"
    if means.files:
        return "is about networks without names, expected --network FILE"
    return f"answers no question in a file, expected {os.fspath(means.question)}" if means.question else ""


def out_of(means: Means, limit: LimitReached | MemoryError) -> str:
    """The reason of what ran out of time, or else of memory."""
    time = isinstance(limit, LimitReached) and limit.reason == "timeout"
    return f"needs more than {means.timeout:g} s, the time limit" if time else f"needs more than {means.memory:g} GiB, the memory limit"


def _check_proof(certificate: Certificate, query: Query, means: Means, limits: Limits) -> Witness | None:
    """The witness of a VIOLATED."""
    verdict, kind = certificate.header["verdict"], certificate.header["proof"].get("kind")
    if type(kind) is not str or kind not in CHECKS:
        raise InputError(f"header: proof: kind {shown(kind)} is unknown; expected one of {', '.join(CHECKS)}")
    wanted = VIOLATED if kind == "witness" else HOLDS
    if verdict != wanted:
        raise Refused(f"the verdict is {shown(verdict)}, the proof is one of {wanted}")
    return CHECKS[kind](certificate, query, means, limits)


def _check_witness(certificate: Certificate, query: Query, means: Means, limits: Limits) -> Witness:
    inputs, outputs, true_atoms = certificate.witness(query.networks)
    certificate.check_all_used()
    for k, (x, box) in enumerate(zip(inputs, query.boxes, strict=True)):
        for i, (value, lo, hi) in enumerate(zip(x, box.lo.tolist(), box.hi.tolist(), strict=True)):
            if not lo <= value <= hi:
                raise Refused(f"input {i} of network {k} is {value}, outside the region's [{lo}, {hi}]")
    values = list[list[int]]()
    for k, (network, x) in enumerate(zip(query.networks, inputs, strict=True)):
        values.append(Inference(network, limits).values(np.array([x], np.int64))[0].tolist())
        for i, (claimed, number) in enumerate(zip(outputs[k], network.outputs.tolist(), strict=True)):
            value = values[k][number]
            if claimed != value:
                raise Refused(f"output {i} of network {k} is {value}, the certificate says {claimed}")
    if not is_true(query.violation, inputs, outputs, values, limits):
        raise Refused("the witness does not make the violation true")
    found = []
    for k, atom in enumerate(atoms(query.violation)):
        limits.check()
        if is_true(atom, inputs, outputs, values):
            found.append(k)
    if true_atoms != found:
        raise Refused("the inequalities that are true are not those that the certificate lists")
    return Witness(tuple(map(tuple, inputs)), tuple(map(tuple, outputs)))


def _check_tree(certificate: Certificate, query: Query, means: Means, limits: Limits) -> None:
    pairs = certificate.pairs()
    query, differences = with_differences(query, pairs, limits) if pairs else (query, None)
    layout = Layout(query, limits, differences.links if differences else [])
    tree, hashes = certificate.tree(layout.num_neurons)
    proofs = [certificate.lrat(k) for k in range(len(hashes))]
    certificate.check_all_used()

    def check_sat(k: int, root: Ranges, leaf: Ranges, atoms: list[Atom]) -> None:
        encoder = leaf_encoder(layout, root, leaf, atoms, _is_balanced(certificate), limits.check)
        _check_cnf(encoder, hashes[k], proofs[k], means, limits.check)

    TreeChecker(layout, _formula(certificate, layout, differences), tree, limits.check, check_sat).check()


def _check_sat(certificate: Certificate, query: Query, means: Means, limits: Limits) -> None:
    claimed, proof = certificate.cnf_sha256(), certificate.lrat(0)
    certificate.check_all_used()
    layout = Layout(query, limits)
    encoder = QueryEncoder(layout, layout.whole, _formula(certificate, layout), _is_balanced(certificate), limits.check)
    _check_cnf(encoder, claimed, proof, means, limits.check)


def _check_enumeration(certificate: Certificate, query: Query, means: Means, limits: Limits) -> None:
    certificate.enumeration()
    certificate.check_all_used()
    check_enumeration(query, limits)


CHECKS: dict[str, Callable[..., Witness | None]] = {
    "witness": _check_witness,
    "tree": _check_tree,
    "sat": _check_sat,
    "enumeration": _check_enumeration,
}


def _formula(certificate: Certificate, layout: Layout, differences: Differences | None = None) -> Plain:
    """What was to be refuted: the violation, or, with the option `bounds`, what the ranges leave of it."""
    formula = plain(layout.query.violation, layout)
    if differences is not None:
        formula = differences.renamed(formula)
    return simplified(formula, layout, layout.whole) if certificate.header["options"].get("bounds") is True else formula


def _is_balanced(certificate: Certificate) -> bool:
    encoding = certificate.header["options"].get("encoding")
    if encoding not in ENCODINGS:
        raise Refused(f"encoding {shown(encoding)} is unknown here; expected {' or '.join(ENCODINGS)}")
    return encoding != "linear"


def _check_cnf(encoder: QueryEncoder, claimed: str, proof: bytes, means: Means, tick: Tick) -> None:
    blaster = encoder.blaster
    found = digest(blaster.num_vars, blaster.data, tick)
    if found != claimed:
        raise Refused(f"the query's CNF has hash {found[:16]}..., the proof is of {claimed[:16]}...")
    check_lrat(blaster.num_vars, blaster.data, proof, tick)
    if means.cake_lpr is not None:
        check_by_cake_lpr(blaster.num_vars, blaster.data, proof, means.cake_lpr, tick)
