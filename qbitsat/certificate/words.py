"""What a certificate proves, in words: the question, or boxes and formula; every line and the number of lines are bounded."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import islice

import numpy as np

from ..network import Network
from ..network.names import printable
from ..properties import And, AtMost, Formula, Not, Query, Witness
from ..properties.balls import L0, L1, Ball
from ..properties.formula import VALUE, atoms
from ..properties.gap import Pairs
from ..properties.made import Made, asked_of
from ..properties.query import Box
from ..properties.robustness import KEPT

# Ranges of a box, terms of an inequality, and lines of a formula that are written out; and levels of its nesting.
RANGES, TERMS, LINES, LEVELS = 8, 8, 40, 12
# Characters of a region.
MAX_REGION = 200


def words(query: Query, witness: Witness | None) -> list[str]:
    """Lines of text that say what HOLDS, or VIOLATED by this witness, means here."""
    some = "there are none" if witness is None else "there are such, and here is one"
    origin = query.origin
    if origin is not None and origin.kind == "robustness":
        network = asked_of(query.networks[0])
        asked = f"classified as {origin.get('target')}" if origin.get("target") is not None else f"not classified as {origin.get('label')}"
        eps, norm = origin.get("eps"), origin.get("norm")
        near = f"within {eps} {'step' if eps == 1 else 'steps'} of x"
        if norm == L1:
            near = f"within {eps} {'step' if eps == 1 else 'steps'} of x, all changes added up (L1)"
        elif norm == L0:
            near = f"that differ from x in at most {eps} {'element' if eps == 1 else 'elements'} (L0)"
        region = origin.get("region")
        where = "" if region is None else f" in {region[:MAX_REGION]}{'...' if len(region) > MAX_REGION else ''} and equal to it elsewhere"
        rule = f", or {origin.get('label')} if its output is as large" if origin.get("ties") == KEPT else ""
        return [
            f"inputs of {printable(network.name)} {near}{where}, each in [{network.input.lo}, {network.input.hi}], "
            f"that are {asked} (the class is the first largest output{rule}): {some}",
            f"x = {_list(origin.x)}",
            *_witness(query, witness),
        ]
    lines = []
    for k, (network, box) in enumerate(zip(query.networks, query.boxes, strict=True)):
        if k == RANGES:
            lines.append(f"and {len(query.networks) - k} networks more")
            break
        lines.append(f"network {k}, {printable(network.name)}: {_box(box)}")
        lines += [f"    {line}" for line in _made(network)]
    formula = list(islice(_formula(query.violation, len(query.networks) > 1), LINES + 1))
    lines += _inner(query)
    lines += ["such that", *formula[:LINES]] + ["  ... (and more)"] * (len(formula) > LINES)
    return [f"inputs as follows: {some}", *lines, *_witness(query, witness)]


def _made(network: Network) -> Iterator[str]:
    """What a network was made of, and how."""
    how = network.how if isinstance(network, Made) else None
    first, start = asked_of(network).num_values, 0
    for part in asked_of(network).parts[:RANGES]:
        yield f"outputs from {start} on are those of {printable(part.name)} (sha256 {part.sha256})"
        start += len(part.outputs)
    if len(asked_of(network).parts) > RANGES:
        yield f"and of {len(asked_of(network).parts) - RANGES} networks more, on the same inputs"
    if isinstance(how, Ball):
        what = "by how much each is above c, then by how much below" if how.norm == L1 else "1 for each above c, then 1 for each below"
        yield f"values from {first} on: of elements {_few(how.elements)} {what} (their sum is the distance in {how.norm.upper()})"
        yield f"c = {_list(how.centre)}"
    elif isinstance(how, Pairs):
        protected = _few(sorted(how.protected))
        yield f"it is {printable(asked_of(network).name)} twice, on x and x' that are the same but for elements {protected}"
        count = len(asked_of(network).outputs)
        yield f"outputs from 0 on are those of x, from {count} on those of x'; x and x' have {_box(how.box)}"
        for group in how.groups[:RANGES]:
            yield f"of elements {_few(group)} exactly one is at the upper end of its range, and the others at the lower end"
        if len(how.groups) > RANGES:
            yield f"and of {len(how.groups) - RANGES} groups more"


def _few(numbers: Sequence[int]) -> str:
    """Numbers, not too many."""
    more = f", ... ({len(numbers)} in all)" if len(numbers) > 2 * RANGES else ""
    return f"{', '.join(map(str, numbers[: 2 * RANGES]))}{more}"


def _inner(query: Query) -> Iterator[str]:
    """What inner values are, by the names of layers."""
    named = sorted({ref for atom in atoms(query.violation) for _, ref in atom.terms if ref.tensor == VALUE})
    for ref in named[:RANGES]:
        network, number = query.networks[ref.network], f" {ref.network}" if len(query.networks) > 1 else ""
        k = max((k for k in range(len(network.layers)) if network.first_value(k) <= ref.element), default=None)
        what = "an input" if k is None else f"output {ref.element - network.first_value(k)} of layer {printable(network.layers[k].name)}"
        yield f"value{number}[{ref.element}] is {what}"
    if len(named) > RANGES:
        yield f"and {len(named) - RANGES} inner values more"


def _witness(query: Query, witness: Witness | None) -> Iterator[str]:
    if witness is not None:
        how = query.networks[0].how if isinstance(query.networks[0], Made) else None
        if isinstance(how, Pairs):
            x, other = how.inputs(witness.inputs[0])
            yield f"x = {_list(np.array(x))}; x' = {_list(np.array(other))}"
        for k, (x, y) in enumerate(list(zip(witness.inputs, witness.outputs, strict=True))[:RANGES]):
            number = f" {k}" if len(query.networks) > 1 else ""
            yield f"input{number} = {_list(np.array(x))}; output{number} = {_list(np.array(y))}"


def _list(values: np.ndarray) -> str:
    more = f", ... ({len(values)} in all)" if len(values) > 2 * RANGES else ""
    return ", ".join(map(str, values[: 2 * RANGES].tolist())) + more


def _box(box: Box) -> str:
    """Ranges of inputs, neighbours of the same range together."""
    starts = np.flatnonzero(np.diff(box.lo, prepend=box.lo[0] - 1) | np.diff(box.hi, prepend=box.hi[0]))
    stops, parts = [*starts[1:].tolist(), len(box.lo)], list[str]()
    for start, stop in zip(starts[:RANGES].tolist(), stops, strict=False):
        lo, hi = int(box.lo[start]), int(box.hi[start])
        parts.append(f"input[{start}{'' if stop == start + 1 else f':{stop}'}] {f'= {lo}' if lo == hi else f'in [{lo}, {hi}]'}")
    more = f", and {len(starts) - RANGES} ranges more" if len(starts) > RANGES else ""
    return ", ".join(parts) + more


def _formula(formula: Formula, several: bool, level: int = 1) -> Iterator[str]:
    """One line an inequality, indented below what joins them."""
    indent = "  " * level
    if isinstance(formula, AtMost):
        yield indent + _inequality(formula, several)
    elif level > LEVELS:
        yield f"{indent}... (nested deeper)"
    elif isinstance(formula, Not):
        yield f"{indent}not"
        yield from _formula(formula.part, several, level + 1)
    else:
        yield indent + ("all of" if isinstance(formula, And) else "any of") + ("" if formula.parts else " nothing")
        for part in formula.parts:
            yield from _formula(part, several, level + 1)


def _inequality(atom: AtMost, several: bool) -> str:
    """As in 2 output[0] - output[3] <= -1; tensors of several networks have their numbers."""
    text = ""
    for coefficient, ref in atom.terms[:TERMS]:
        sign = "-" if coefficient < 0 else "+" if text else ""
        size = "" if abs(coefficient) == 1 else f"{abs(coefficient)} "
        name = f"{ref.tensor}{f' {ref.network}' if several else ''}[{ref.element}]"
        text += f"{' ' if text else ''}{sign}{' ' if text else ''}{size}{name}"
    more = f" + ... ({len(atom.terms)} terms in all)" if len(atom.terms) > TERMS else ""
    return f"{text or '0'}{more} <= {atom.bound}"
