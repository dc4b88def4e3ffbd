"""Query -> SMT-LIB 2 text (QF_BV), built as the CNF is: words are offsets from their lower bounds, with just the bits they need.

Inputs are `x_<network>_<element>`, outputs `y_<network>_<element>`. Every word has a definition of its own, so that no
parser has to nest deeply.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import BinaryIO, NamedTuple

import numpy as np

from ..arithmetic import ShiftRequantizer
from ..bounds import Ranges, propagate, simplify
from ..bounds.view import View, views
from ..limits import NO_LIMITS, Limits
from ..options import Options
from ..properties import And, AtMost, Formula, Query, Ref
from ..properties.formula import INPUT, atoms, without_not
from .about import about
from .cnf import cone
from .requantizers import Neuron, Steps, circuit, reaches

HEAD = """\
; satisfiable iff the property is violated
; input K I = LO + WORD    element I of network K is LO plus the unsigned value of WORD, or the constant LO
; output K I = LO + WORD   the same for the outputs that the property names, value K I for inner values
"""


CHECK = "(check-sat)\n"


class Word(NamedTuple):
    """A bit-vector term with an unsigned value in [0, span]; the constant 0 has no bits and no term."""

    term: str
    span: int

    @property
    def width(self) -> int:
        return self.span.bit_length()


ZERO = Word("", 0)


@dataclass(frozen=True)
class SmtLib:
    """body declares and asserts, tail asks; inputs[k][i] is (lo, symbol) of element i of network k, with "" for a constant."""

    body: str
    inputs: tuple[tuple[tuple[int, str], ...], ...]

    @property
    def names(self) -> tuple[str, ...]:
        """The declared symbols."""
        return tuple(name for words in self.inputs for _, name in words if name)

    @property
    def tail(self) -> str:
        values = f"(get-value ({' '.join(self.names)}))\n" if self.names else ""
        return CHECK + values

    @property
    def sizes(self) -> dict[str, int]:
        """How many symbols are declared and defined."""
        return {"unknowns": len(self.names), "definitions": self.body.count("\n(define-fun ")}

    def decode(self, values: Mapping[str, int]) -> tuple[tuple[int, ...], ...]:
        """The networks' inputs for unsigned values of the declared symbols."""
        return tuple(tuple(lo + (values[name] if name else 0) for lo, name in words) for words in self.inputs)


def write(query: Query, options: Options, stream: BinaryIO, get_value: bool = True) -> SmtLib:
    """Write the query to a binary stream and return it; bounds simplify it unless options.bounds is off.

    get_value asks for the inputs, too, which some solvers take for an error after `unsat`. `LimitReached` as in `dimacs.write`.
    """
    limits = Limits(options.timeout, options.memory)
    limits.begin("bounds")
    bounds = propagate(query, limits)
    formula = simplify(query, bounds) if options.bounds else without_not(query.named)
    script = encode_smtlib(query, bounds, options, formula, limits)
    head = "".join(f"; {line}\n" for line in about(query, options))
    stream.write((head + script.body + (script.tail if get_value else CHECK)).encode())
    return script


def encode_smtlib(
    query: Query,
    bounds: Ranges,
    options: Options,
    formula: Formula | None = None,
    limits: Limits = NO_LIMITS,
) -> SmtLib:
    """The script that is satisfiable iff some input of the boxes makes the violation true; arguments as of `encode_query`."""
    formula = without_not(query.named if formula is None else formula, limits=limits)
    writer = _Writer(options.encoding != "linear", limits)
    refs = dict.fromkeys(ref for atom in atoms(formula) for ref in atom.coefficients())
    seen = views(query, bounds)
    words = [_write_network(writer, k, view, [view.value(ref) for ref in refs if ref.network == k]) for k, view in enumerate(seen)]
    _require(writer, formula, seen, words)
    inputs = tuple(tuple((int(view.lo[v]), words[k][v].term) for v in range(view.network.num_inputs)) for k, view in enumerate(seen))
    mapped = [Ref(k, INPUT, i) for k, own in enumerate(inputs) for i in range(len(own))]
    mapped += sorted(ref for ref in refs if ref.tensor != INPUT)
    comments = [_comment(ref, seen[ref.network], words[ref.network]) for ref in mapped]
    lines = [*comments, "(set-option :produce-models true)", "(set-logic QF_BV)", *writer.lines]
    return SmtLib(HEAD + "\n".join(lines) + "\n", inputs)


def _comment(ref: Ref, view: View, words: list[Word]) -> str:
    term = words[view.value(ref)].term
    return f"; {ref.tensor} {ref.network} {ref.element} = {view.of(ref)[0]}{' + ' if term else ''}{term}"


class _Writer:
    """The script's lines, and the operations on words that they are made of."""

    def __init__(self, balanced: bool, limits: Limits):
        self.balanced, self.limits = balanced, limits
        self.lines: list[str] = []
        self.num_sums = 0

    def declare(self, name: str, span: int) -> Word:
        """An unknown in [0, span]."""
        word = Word(name, span)
        self.lines.append(f"(declare-fun {name} () (_ BitVec {word.width}))")
        if span & (span + 1):
            self.lines.append(f"(assert (bvule {name} {_constant(span, word.width)}))")
        return word

    def define(self, name: str, term: str, span: int) -> Word:
        """A name for a term in [0, span]."""
        self.lines.append(f"(define-fun {name} () (_ BitVec {span.bit_length()}) {term})")
        return Word(name, span)

    def dot(self, terms: list[tuple[int, Word]]) -> Word:
        """The sum of weight * word less its smallest value; a negative weight multiplies span - word instead."""
        words = [_product(abs(weight), word if weight > 0 else _complement(word)) for weight, word in terms if word.span]
        if not self.balanced:
            total = words[0] if words else ZERO
            for word in words[1:]:
                total = self._sum(total, word)
            return total
        while len(words) > 1:
            pairs = [self._sum(a, b) for a, b in zip(words[::2], words[1::2], strict=False)]
            words = pairs + words[len(words) // 2 * 2 :]
        return words[0] if words else ZERO

    def _sum(self, a: Word, b: Word) -> Word:
        span = a.span + b.span
        self.num_sums += 1
        term = f"(bvadd {_resized(a, span.bit_length())} {_resized(b, span.bit_length())})"
        return self.define(f"s{self.num_sums}", term, span)


def _constant(value: int, width: int) -> str:
    """value modulo 2**width."""
    return f"(_ bv{value % (1 << width)} {width})"


def _resized(word: Word, width: int) -> str:
    """The word modulo 2**width, in so many bits; width is at least 1."""
    if not word.span:
        return _constant(0, width)
    if word.width <= width:
        return word.term if word.width == width else f"((_ zero_extend {width - word.width}) {word.term})"
    return f"((_ extract {width - 1} 0) {word.term})"


def _complement(word: Word) -> Word:
    """span - word."""
    if word.span & (word.span + 1) == 0:
        return Word(f"(bvnot {word.term})", word.span)
    return Word(f"(bvsub {_constant(word.span, word.width)} {word.term})", word.span)


def _product(factor: int, word: Word) -> Word:
    if factor == 1:
        return word
    span = factor * word.span
    width = span.bit_length()
    return Word(f"(bvmul {_resized(word, width)} {_constant(factor, width)})", span)


def _at_least(word: Word, bound: int) -> str:
    """The condition word >= bound."""
    if bound <= 0:
        return "true"
    return "false" if bound > word.span else f"(bvuge {word.term} {_constant(bound, word.width)})"


def _write_network(writer: _Writer, k: int, view: View, named: list[int]) -> list[Word]:
    """Words of the values of network k; those outside the cone are 0."""
    network, mask = view.network, cone(view, named)
    spans = np.where(mask, view.hi - view.lo, 0).tolist()
    words = [writer.declare(f"x_{k}_{i}", span) if span else ZERO for i, span in enumerate(spans[: network.num_inputs])]
    words += [ZERO] * (network.num_values - network.num_inputs)
    last = len(network.layers) - 1
    for n, layer in enumerate(network.layers):
        first = network.first_value(n)
        for i in np.flatnonzero(mask[network.target(n)]).tolist():
            writer.limits.check()
            row = view.row(n, i)
            acc = writer.dot([(w, words[v]) for v, w in zip(row.values.tolist(), row.weights.tolist(), strict=True)])
            name = f"y_{k}_{i}" if n == last else f"h_{k}_{n}_{i}"
            term = _requantized(acc, view.neuron(n, i, row), f"layer {layer.name!r}")
            words[first + i] = writer.define(name, term, spans[first + i])
    return words


def _requantized(acc: Word, neuron: Neuron, where: str) -> str:
    """y - y_lo for the sum `acc` less its smallest value. A clamp is built only where the bounds say it can act."""
    requantizer, levels = neuron.requantizer, neuron.hi - neuron.lo
    width = levels.bit_length()
    if type(requantizer) is ShiftRequantizer:
        term = _rounded(acc, neuron.base, requantizer, requantizer.offset - neuron.lo, width)
        reach_low, reach_high = reaches(neuron)
    else:
        found = circuit(neuron, where)
        if isinstance(found, Steps):
            return _level(acc, found.starts.tolist(), [_constant(level, width) for level in found.levels.tolist()])
        # A word is no wider than what it is multiplied in: as many bits as the line has.
        n = max(found.shift + width, (acc.span * found.factor).bit_length())
        product = f"(bvmul {_resized(acc, n)} {_constant(found.factor, n)})"
        total = f"(bvadd {product} {_constant(found.constant, n)})"
        term = f"((_ extract {found.shift + width - 1} {found.shift}) {total})"
        reach_low, reach_high = found.reach_low, found.reach_high
    if reach_high > 0:
        term = f"(ite {_at_least(acc, reach_high)} {_constant(levels, width)} {term})"
    if reach_low > 0:
        term = f"(ite {_at_least(acc, reach_low)} {term} {_constant(0, width)})"
    return term


def _level(acc: Word, starts: list[int], levels: list[str]) -> str:
    """levels[j] from starts[j - 1] on: a balanced tree of comparisons."""
    if not starts:
        return levels[0]
    middle = len(starts) // 2
    above = _level(acc, starts[middle + 1 :], levels[middle + 1 :])
    return f"(ite {_at_least(acc, starts[middle])} {above} {_level(acc, starts[:middle], levels[: middle + 1])})"


def _rounded(acc: Word, base: int, requantizer: ShiftRequantizer, delta: int, k: int) -> str:
    """k bits of round((base + acc) / 2**shift) + delta, modulo 2**k: a floor after adding what the mode says.

    floor        0         half_up    half
    toward_zero  0 from acc >= 0 on, 2**shift - 1 below       half_away  half, half - 1
    half_even    half - 1, and the quotient's lowest bit
    """
    shift = requantizer.shift
    if shift <= 0:
        added = _constant((base << -shift) + delta, k)
        if -shift >= k:
            return added
        kept = f"(concat {_resized(acc, k + shift)} {_constant(0, -shift)})" if shift else _resized(acc, k)
        return f"(bvadd {kept} {added})"
    half, n = 1 << (shift - 1), shift + k
    from_zero, below = {
        "floor": (0, 0), "toward_zero": (0, 2 * half - 1), "half_up": (half, half), "half_away": (half, half - 1),
        "half_even": (half - 1, half - 1),
    }[requantizer.rounding]  # fmt: skip
    constant = base + (delta << shift)
    added = _constant(constant + from_zero, n)
    if from_zero != below:
        added = f"(ite {_at_least(acc, -base)} {added} {_constant(constant + below, n)})"
    if requantizer.rounding == "half_even":
        quotient = f"(bvadd {_resized(acc, shift + 1)} {_constant(base, shift + 1)})"
        added = f"(bvadd {added} ((_ zero_extend {n - 1}) ((_ extract {shift} {shift}) {quotient})))"
    return f"((_ extract {n - 1} {shift}) (bvadd {_resized(acc, n)} {added}))"


def _require(writer: _Writer, formula: Formula, seen: list[View], words: list[list[Word]]) -> None:
    """Assert the formula, one assertion for each part of a conjunction."""

    def condition(part: Formula) -> str:
        if isinstance(part, AtMost):
            return _atom(writer, part, seen, words)
        connective, neutral = ("and", "true") if isinstance(part, And) else ("or", "false")
        conditions = [condition(sub) for sub in part.parts]  # type: ignore[union-attr]
        return f"({connective} {' '.join(conditions)})" if len(conditions) > 1 else (conditions or [neutral])[0]

    for part in formula.parts if isinstance(formula, And) else (formula,):
        writer.lines.append(f"(assert {condition(part)})")


def _atom(writer: _Writer, atom: AtMost, seen: list[View], words: list[list[Word]]) -> str:
    """sum <= bound  <=>  not (sum - smallest >= bound - smallest + 1)."""
    terms = [(seen[ref.network], ref, c) for ref, c in atom.coefficients().items()]
    smallest = sum(c * view.of(ref)[c < 0] for view, ref, c in terms)
    total = writer.dot([(c, words[ref.network][view.value(ref)]) for view, ref, c in terms])
    return f"(not {_at_least(total, atom.bound - smallest + 1)})"
