"""Any query as a question file, which asks the same when it is read again."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from textwrap import wrap

import numpy as np

from ...errors import InputError, UnsupportedError
from ...network import Network
from ..formula import INPUT, OUTPUT, And, AtMost, Formula, Not, Or, Ref
from ..made import asked_of
from ..query import Box, Origin, Query
from ..robustness import KEPT
from .grammar import MAX_DEPTH
from .names import Part
from .question import NetworkFile, Objective

WIDTH = 140
LETTERS = "abcdefghijklmnopqrstuvwxyz"


def question_text(
    query: Query,
    files: Sequence[NetworkFile] | None = None,
    *,
    title: str = "",
    objectives: Sequence[Objective] = (),
    asks: Mapping[str, Sequence[str]] | None = None,
) -> str:
    """The text of a question file that asks the query; with objectives its formula is the assumption.

    files are those of the networks and parts of networks in their order, by names of one's own; without, where they were loaded from.
    asks are expressions to write as they stand, by their keys, instead of the formula. Raises `InputError` for a network without a file.
    """
    parts = _parts(query, files)
    asks = asks or _asks(query, _Names(parts), objectives)
    lines = [f"title = {_quoted(title)}"] if title else []
    lines += [line for key, texts in asks.items() if texts for line in _expressions(key, texts)]
    lines += ["", "[networks]", *(f"{part.name} = {_file(file)}" for part, file in parts)]
    for k, (network, box) in enumerate(zip(query.networks, query.boxes, strict=True)):
        readers = [part.name for part, _ in parts if part.number == k]
        table = _around(query.origin) if query.origin is not None else _ends(network, box)
        # Without a table two networks would read inputs of their own.
        if len(query.networks) > 1 or (len(readers) > 1 and not table):
            name = readers[0] if len(readers) == 1 else f"inputs{k}"
            lines += ["", f"[inputs.{name}]", f"networks = {json.dumps(readers)}", *table]
        elif table:
            lines += ["", "[inputs]", *table]
    return "\n".join([*lines, ""])


def _parts(query: Query, files: Sequence[NetworkFile] | None) -> list[tuple[Part, NetworkFile]]:
    """Each network, or part of one that was joined, with its file."""
    # Of a distance around a sample the table of inputs tells, and the network is the one that it was asked of.
    asked = map(asked_of, query.networks) if query.origin is not None and query.origin.get("norm") else query.networks
    networks = [(k, part) for k, network in enumerate(asked) for part in (network.parts or (network,))]
    if files is None:
        names = ["net"] if len(networks) == 1 else [LETTERS[i] if i < len(LETTERS) else f"n{i}" for i in range(len(networks))]
        named = zip(names, (network for _, network in networks), strict=True)
        files = [NetworkFile(name, network.source or None, runtime=network.runtime or None) for name, network in named]
    if len(files) != len(networks):
        raise InputError(f"question: {len(files)} files, expected one for each of {len(networks)} networks")
    found, values, outputs = list[tuple[Part, NetworkFile]](), [0] * len(query.networks), [0] * len(query.networks)
    for file, (k, network) in zip(files, networks, strict=True):
        if not file.path:
            raise InputError(f"question: network {network.name!r} is from no file, expected one as of load(path)")
        found.append((Part(file.name, network, k, values[k], outputs[k]), file))
        values[k] += network.num_values - network.num_inputs
        outputs[k] += len(network.outputs)
    return found


def _asks(query: Query, names: _Names, objectives: Sequence[Objective]) -> dict[str, list[str]]:
    """Expressions by key."""
    origin = query.origin
    if origin is not None and origin.get("target") is None:
        word = "kept(output, {})" if origin.get("ties") == KEPT else "argmax(output) == {}"
        return {"hold": [word.format(origin.get("label"))]}
    if not objectives:
        violation = query.violation
        if origin is not None and origin.get("norm") and isinstance(violation, And):
            violation = violation.parts[0]  # the other one is the ball, of which the table of inputs tells
        return {"never": [names.formula(violation)]}
    found: dict[str, list[str]] = {"assume": [] if query.violation == And(()) else [names.formula(query.violation)]}
    for key, sign in (("maximize", 1), ("minimize", -1)):
        found[key] = [names.sum(one.terms, one.constant) for one in objectives if one.sign == sign]
    return found


# --- names and formulas ---


class _Names:
    """Elements as expressions name them."""

    def __init__(self, parts: Sequence[tuple[Part, NetworkFile]]):
        self.parts = [part for part, _ in parts]
        self.alone = len(parts) == 1

    def element(self, ref: Ref) -> str:
        readers = [part for part in self.parts if part.number == ref.network]
        if ref.tensor == INPUT or (ref.tensor != OUTPUT and ref.element < readers[0].network.num_inputs):
            return self._place(readers[0], "input", readers[0].network.input.shape, ref.element)
        if ref.tensor == OUTPUT:
            part = max((part for part in readers if part.outputs <= ref.element), key=lambda part: part.outputs)
            return self._place(part, "output", part.network.output.shape, ref.element - part.outputs)
        inner = [part for part in readers if part.values + part.network.num_inputs <= ref.element]
        part = max(inner, key=lambda part: part.values)
        value, network = ref.element - part.values, part.network
        layer = max(k for k in range(len(network.layers)) if network.first_value(k) <= value)
        return self._place(part, f"layer{layer}", network.layers[layer].output.shape, value - network.first_value(layer))

    def _place(self, part: Part, tensor: str, shape: tuple[int, ...], i: int) -> str:
        index = ", ".join(str(int(n)) for n in np.unravel_index(i, shape))
        return f"{'' if self.alone else f'{part.name}.'}{tensor}[{index}]"

    def sum(self, terms: Sequence[tuple[int, Ref]], constant: int = 0) -> str:
        """As in 2*output[0] - output[1] + 3."""
        text = ""
        for c, ref in terms:
            size = "" if abs(c) == 1 else f"{abs(c)}*"
            sign = "-" if c < 0 else "+"
            text += (f" {sign} " if text else "-" * (c < 0)) + size + self.element(ref)
        if constant or not text:
            text += f" {'-' if constant < 0 else '+'} {abs(constant)}" if text else str(constant)
        return text

    def formula(self, formula: Formula, depth: int = 1) -> str:
        """A condition, in parentheses where it is more than one and stands within another one."""
        if depth > MAX_DEPTH:
            raise UnsupportedError(f"question: the formula nests deeper than {MAX_DEPTH} levels")
        if isinstance(formula, AtMost):
            return self._inequality(formula)
        if isinstance(formula, Not):
            return f"not ({self.formula(formula.part, depth + 1)})"
        if equation := self._equation(formula):
            return equation
        if not formula.parts:
            return "true" if isinstance(formula, And) else "false"
        if len(formula.parts) == 1:
            return self.formula(formula.parts[0], depth)
        word = "and" if isinstance(formula, And) else "or"
        texts = [self._within(part, depth + 1) for part in formula.parts]
        return f"\n{word} ".join(texts) if depth == 1 else f" {word} ".join(texts)

    def _within(self, formula: Formula, depth: int) -> str:
        text = self.formula(formula, depth)
        joins = isinstance(formula, And | Or) and len(formula.parts) > 1 and not self._equation(formula)
        return f"({text})" if joins else text

    def _equation(self, formula: Formula) -> str:
        """As in input[0] - input[1] == 3, of an inequality and its opposite; else nothing."""
        if not isinstance(formula, And) or len(formula.parts) != 2:
            return ""
        a, b = formula.parts
        if not (isinstance(a, AtMost) and isinstance(b, AtMost) and a.bound == -b.bound):
            return ""
        same = {ref: -c for ref, c in a.coefficients().items()} == b.coefficients()
        return f"{self.sum([(c, ref) for ref, c in a.coefficients().items()])} == {a.bound}" if same else ""

    def _inequality(self, atom: AtMost) -> str:
        terms = [(c, ref) for ref, c in atom.coefficients().items()]
        if terms and all(c < 0 for c, _ in terms):
            return f"{self.sum([(-c, ref) for c, ref in terms])} >= {-atom.bound}"
        return f"{self.sum(terms)} <= {atom.bound}"


# --- TOML ---


def _quoted(text: str) -> str:
    """A basic string: what JSON escapes, TOML does as well."""
    if any("\ud800" <= c <= "\udfff" for c in text):
        raise InputError(f"question: {text!a} can't be written as UTF-8")
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")


def _file(file: NetworkFile) -> str:
    own = {"file": file.path, "runtime": file.runtime, "bits": file.bits, "input_bits": file.input_bits}
    own["accumulator"] = file.accumulator
    given = {key: _quoted(value) if isinstance(value, str) else str(value) for key, value in own.items() if value is not None}
    if len(given) == 1:
        return given["file"]
    return f"{{{', '.join(f'{key} = {value}' for key, value in given.items())}}}"


def _expressions(key: str, texts: Sequence[str]) -> Iterator[str]:
    """One expression, or a list of them; long ones on lines of their own."""
    quoted = [_expression(text) for text in texts]
    if len(quoted) == 1:
        yield f"{key} = {quoted[0]}"
        return
    yield f"{key} = ["
    yield from (f"    {text}," for text in quoted)
    yield "]"


def _expression(text: str) -> str:
    """Expressions hold no quotes."""
    lines = [part for line in text.split("\n") for part in wrap(line, WIDTH, break_long_words=False, break_on_hyphens=False)]
    return f'"{text}"' if len(lines) == 1 else '"""\n' + "\n".join(lines) + '"""'


def _around(origin: Origin) -> list[str]:
    region = origin.get("region")
    lines = [*_numbers("centre", origin.x), f"eps = {origin.get('eps')}"]
    lines += [] if origin.get("norm") is None else [f'norm = "{origin.get("norm")}"']
    return lines if region is None else [*lines, f"region = {_quoted(region)}"]


def _ends(network: Network, box: Box) -> list[str]:
    """Ends that are not those of the format."""
    lo, hi = (ends[: network.num_inputs] for ends in network.value_ranges)
    lines = [] if (box.lo == lo).all() else _numbers("lo", box.lo)
    return lines if (box.hi == hi).all() else [*lines, *_numbers("hi", box.hi)]


def _numbers(key: str, values: np.ndarray) -> list[str]:
    if (values == values[0]).all() and key != "centre":
        return [f"{key} = {values[0]}"]
    text = ", ".join(map(str, values.tolist()))
    if len(text) + len(key) + 5 <= WIDTH:
        return [f"{key} = [{text}]"]
    return [f"{key} = [", *(f"    {line}" for line in wrap(text, WIDTH - 4)), "]"]
