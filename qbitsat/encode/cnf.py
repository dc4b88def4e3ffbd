"""Query -> CNF: every network bit-blasted by the kernels, then the violation on top of it.

Only the cone of the formula is encoded: outputs that it names, hidden neurons that those read, inputs that these read.
Elements that the bounds fix are constants.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from .._kernels.cnf.clauses import ClauseBuffer
from .._kernels.cnf.layers import Encoder, Words
from ..arithmetic import ROUNDINGS, ShiftRequantizer
from ..bounds import Ranges
from ..bounds.intervals import Enforced
from ..bounds.linear_cut import LinearCut, Substitution
from ..bounds.probing import narrow
from ..bounds.view import Neuron, View, views
from ..limits import NO_LIMITS, Limits
from ..options import Options
from ..properties import And, AtMost, Formula, Or, Query, Ref
from ..properties.formula import OUTPUT, VALUE, atoms, without_not
from .requantizers import Line, circuit, reaches

TRUE_LIT = 0x7FFFFFFF

# Shares of the inputs that are held where they help a disjunct most, while an assignment is looked for.
DIVES = (0.8, 0.7, 0.6, 0.5, 0.4, 0.3)


class WordMap(NamedTuple):
    """Where an element's value is: lo + sum of 2**i for the literals bits[i] that hold. +-TRUE_LIT are constants."""

    lo: int
    bits: tuple[int, ...]

    def value(self, holds: np.ndarray) -> int:
        """The value under an assignment: bool[num_vars + 1], indexed by variable."""
        number = 0
        for i, lit in enumerate(self.bits):
            bit = (lit > 0) if abs(lit) == TRUE_LIT else bool(holds[abs(lit)]) == (lit > 0)
            number += bit << i
        return self.lo + number

    def literals(self, value: int) -> list[int]:
        """The literals that hold iff the word is `value`, which is in its range."""
        return [lit if (value - self.lo) >> i & 1 else -lit for i, lit in enumerate(self.bits) if abs(lit) != TRUE_LIT]


@dataclass(frozen=True, eq=False)
class Cnf:
    """Clauses and what their variables mean.

    inputs[k][i] and outputs[k][i] map element i of network k; an output that the formula does not need is None. values[k] maps the inner
    values that it names. Of the entries of the buffer the first `core` say all that must hold; the clauses after them are redundant cuts.
    """

    clauses: ClauseBuffer
    core: int
    inputs: tuple[tuple[WordMap, ...], ...]
    outputs: tuple[tuple[WordMap | None, ...], ...]
    values: tuple[dict[int, WordMap], ...]

    def dives(self, ends: list[tuple[int, int, int]]) -> list[list[int]]:
        """Assumptions that hold smaller and smaller parts of the inputs at these values, (network, input, value) each."""
        held = [self.inputs[k][i].literals(value) for k, i, value in ends]
        dives = [[lit for lits in held[: int(share * len(held))] for lit in lits] for share in DIVES]
        return [dive for dive in dives if dive]

    @property
    def num_vars(self) -> int:
        return self.clauses.num_vars

    @property
    def num_clauses(self) -> int:
        return self.clauses.num_clauses

    @property
    def sizes(self) -> dict[str, int]:
        return {"variables": self.num_vars, "clauses": self.num_clauses}

    @property
    def sha256(self) -> str:
        """The hash of the number of variables and the clauses, all as little-endian int32."""
        digest = hashlib.sha256(np.array([self.num_vars], "<i4").tobytes())
        digest.update(np.asarray(self.clauses).astype("<i4", copy=False).data)
        return digest.hexdigest()

    def decode(self, holds: np.ndarray) -> tuple[tuple[int, ...], ...]:
        """The networks' inputs under an assignment: bool[num_vars + 1], indexed by variable."""
        return tuple(tuple(word.value(holds) for word in words) for words in self.inputs)


class Encoding(NamedTuple):
    """One CNF of the whole query and, where its disjuncts were narrowed, one for each: the query holds iff all of these are unsatisfiable.

    `dives` has assumptions for each disjunct, under which assignments are found soon if there are any.
    """

    whole: Cnf
    disjuncts: tuple[Cnf, ...] | None
    dives: list[list[list[int]]]

    @property
    def sizes(self) -> dict[str, float]:
        """Of what is solved first: the disjuncts, or the whole."""
        cnfs = (self.whole,) if self.disjuncts is None else self.disjuncts
        return {"variables": sum(cnf.num_vars for cnf in cnfs), "clauses": sum(cnf.num_clauses for cnf in cnfs)}


def encode_disjuncts(
    query: Query, bounds: Ranges, options: Options, formula: Formula | None = None, limits: Limits = NO_LIMITS
) -> Encoding:
    """Like `encode_query`, with a CNF for each disjunct that narrowing leaves, if options.encoding is `narrowed`."""
    formula = without_not(query.named if formula is None else formula, limits=limits)
    # The checker of certificates does not know what multipliers prove here.
    narrowed = narrow(query, bounds, formula, options, limits) if options.encoding == "narrowed" and not options.certificates else None
    if narrowed is not None:
        formula = Or(tuple(disjunct.formula for disjunct in narrowed))
    whole = encode_query(query, bounds, options, formula, limits)
    if narrowed is None:
        return Encoding(whole, None, [])
    disjuncts = tuple(
        encode_query(query, disjunct.bounds, options, disjunct.formula, limits, disjunct.enforced, implied=True) for disjunct in narrowed
    )
    return Encoding(whole, disjuncts, [cnf.dives(disjunct.ends) for cnf, disjunct in zip(disjuncts, narrowed, strict=True)])


def encode_query(
    query: Query,
    bounds: Ranges,
    options: Options,
    formula: Formula | None = None,
    limits: Limits = NO_LIMITS,
    enforced: Enforced | None = None,
    implied: bool = False,
) -> Cnf:
    """The CNF that is satisfiable iff some input of the boxes makes the violation true.

    `formula` is the violation or what bounds left of it. enforced: accumulator bounds that do not follow from `bounds`, and that clauses
    must state. implied: the formula implies them, so they are stated in its cone only (see `cone`), and clamps need not act beyond them.
    """
    formula = without_not(query.named if formula is None else formula, limits=limits)
    encoder, balanced = Encoder(limits), options.encoding != "linear"
    # No cuts in a leaf of the search: multipliers were tried there. None with certificates: the checker cannot rebuild them.
    tied = options.encoding == "substituted" and enforced is None and not options.certificates
    seen = views(query, bounds)
    substitution = Substitution(query, seen, limits) if tied else None
    if substitution:
        formula = substitution.simplify(formula)
    named: list[dict[int, None]] = [{} for _ in seen]
    for ref in _named(formula, limits):
        named[ref.network][seen[ref.network].value(ref)] = None
    words, accs = list[Words](), list[Words | None]()
    for k, view in enumerate(seen):
        accs.append(Words(len(view.acc_lo)) if tied else None)
        ends = enforced[k] if enforced else (view.acc_lo, view.acc_hi)
        words.append(_encode_network(encoder, view, list(named[k]), balanced, ends, implied, accs[k]))
    top = _FormulaEncoder(encoder, seen, words, balanced)
    top.require(formula)
    core = len(encoder.clauses)
    open_lits = {atom: lit for atom, lit in top.lits.items() if abs(lit) != TRUE_LIT}
    for atom, cut in substitution.near_cuts(list(open_lits)) if substitution else ():
        limits.check()
        _require_cut(encoder, cut, open_lits[atom], seen, words, accs)  # type: ignore[arg-type]
    encoder.gates.forget()
    inputs = tuple(tuple(_word_map(words[k], view, v) for v in range(view.network.num_inputs)) for k, view in enumerate(seen))
    wanted = set(_named(formula, limits))
    outputs = tuple(
        tuple(_word_map(words[k], view, v) if Ref(k, OUTPUT, e) in wanted else None for e, v in enumerate(view.network.outputs.tolist()))
        for k, view in enumerate(seen)
    )
    values: tuple[dict[int, WordMap], ...] = tuple({} for _ in seen)
    for k, tensor, v in sorted(wanted):
        if tensor == VALUE:
            values[k][v] = _word_map(words[k], seen[k], v)
    return Cnf(encoder.clauses, core, inputs, outputs, values)


def _named(formula: Formula, limits: Limits) -> Iterator[Ref]:
    """The elements that a formula's inequalities name, each as often as it is named."""
    for atom in atoms(formula):
        limits.check()
        yield from atom.coefficients()


def _word_map(words: Words, view: View, value: int) -> WordMap:
    return WordMap(int(view.lo[value]), tuple(words.bits(value)))


def cone(view: View, named: list[int], cut: tuple[np.ndarray, ...] | None = None, implied: bool = False) -> np.ndarray:
    """bool[num_values]: the values that must be encoded for those that are named.

    Those of accumulators that `cut` narrows are among them. If `implied`, cuts and bounds that follow from them hold wherever the
    formula does, but a disjunct's bounds may decide the formula itself, or make constant what it reads. So what they say is used only
    where the clauses say it too. Two things are asked of elements:

        read    its word is its value at the inputs: the formula names it, or an element that is encoded reads it;
        held    its value at the inputs is in its bounds: it is read, or an element that is held reads it.

    Layer by layer from the inputs: the bounds of an accumulator that no cut narrows follow from those of what it reads, all of which
    are held, and from what is true of all inputs; others are said by clauses. So every element that is held keeps its bounds, words
    that are read are values, constants included, and an assignment's inputs make the formula true. Other cuts need not be said.
    """
    network, free = view.network, view.lo < view.hi
    narrower = np.zeros(len(view.acc_lo), bool) if cut is None else (cut[0] > view.acc_lo) | (cut[1] < view.acc_hi)
    read = np.zeros(network.num_values, bool)
    read[named] = True
    held, encoded = read.copy(), read & free
    for k in reversed(range(len(network.layers))):
        target, cuts = network.target(k), narrower[view.neurons(k)]
        encoded[target] = (read[target] & free[target]) | (cuts & held[target] if implied else cuts)
        held[target] |= encoded[target]
        for i in np.flatnonzero(held[target] if implied else encoded[target]).tolist():
            values = network.row(k, i)[0]
            held[values] = True
            if encoded[target.start + i]:
                read[values] = True
    first = slice(0, network.num_inputs)
    encoded[first] = read[first] & free[first]
    return encoded


def _encode_network(
    encoder: Encoder,
    view: View,
    named: list[int],
    balanced: bool,
    cut: tuple[np.ndarray, ...],
    implied: bool,
    accs: Words | None,
) -> Words:
    """Words of the network's values; `accs` is given those of its accumulators."""
    network, mask = view.network, cone(view, named, cut, implied)
    spans = np.where(mask, view.hi - view.lo, 0)
    spans[network.num_inputs :] = 0
    words = encoder.variables(spans)
    for k in range(len(network.layers)):
        first, neuron = network.first_value(k), view.neurons(k).start
        for i in np.flatnonzero(mask[network.target(k)]).tolist():
            row, n = view.row(k, i), neuron + i
            encoder.dot(words, row.values, row.weights, balanced)
            if accs is not None:
                encoder.keep(accs, n)
            if cut[0][n] > view.acc_lo[n]:
                encoder.gates.require_any([encoder.at_least(int(cut[0][n]) - row.base)])
            if cut[1][n] < view.acc_hi[n]:
                encoder.gates.require_any([-encoder.at_least(int(cut[1][n]) - row.base + 1)])
            if view.lo[first + i] < view.hi[first + i]:
                ends = (max(row.base, int(cut[0][n])), min(row.top, int(cut[1][n]))) if implied else None
                _requantize(encoder, words, first + i, view.neuron(k, i, row, ends), f"layer {network.layers[k].name!r}")
    return words


def _requantize(encoder: Encoder, words: Words, value: int, neuron: Neuron, where: str) -> None:
    """The word of a value from the dot product just built; no clamp that cannot act."""
    requantizer, levels = neuron.requantizer, neuron.hi - neuron.lo
    if type(requantizer) is ShiftRequantizer:
        rounding, delta = ROUNDINGS.index(requantizer.rounding), requantizer.offset - neuron.lo
        encoder.requantize(words, value, neuron.base, requantizer.shift, rounding, delta, levels, *reaches(neuron))
        return
    found = circuit(neuron, where)
    if isinstance(found, Line):
        encoder.line(words, value, found.factor, found.constant, found.shift, levels, found.reach_low, found.reach_high)
    else:
        encoder.steps(words, value, found.starts, found.levels, levels)


class _FormulaEncoder:
    """And, or and inequalities over the words of all networks; `lits` has the literal of every inequality."""

    def __init__(self, encoder: Encoder, seen: list[View], words: list[Words], balanced: bool):
        self.encoder = encoder
        self.seen = seen
        self.words = words
        self.balanced = balanced
        self.lits: dict[AtMost, int] = {}

    def require(self, formula: Formula) -> None:
        """The clauses that make the formula true; no variable is spent on its top levels."""
        if isinstance(formula, And):
            for part in formula.parts:
                self.require(part)
        elif isinstance(formula, AtMost):
            self.encoder.gates.require_any([self.literal(formula)])
        else:
            self.encoder.gates.require_any([self.literal(part) for part in formula.parts])  # type: ignore[union-attr]

    def literal(self, formula: Formula) -> int:
        """A literal that holds iff the formula does."""
        if isinstance(formula, AtMost):
            return self._atom(formula)
        lits = [self.literal(part) for part in formula.parts]  # type: ignore[union-attr]
        return self.encoder.gates.all_of(lits) if isinstance(formula, And) else self.encoder.gates.any_of(lits)

    def _atom(self, atom: AtMost) -> int:
        """sum <= bound  <=>  not (sum - smallest >= bound - smallest + 1)."""
        terms: dict[Ref, int] = atom.coefficients()
        words, smallest = Words(len(terms)), 0
        for n, (ref, coefficient) in enumerate(terms.items()):
            view = self.seen[ref.network]
            words.copy_from(n, self.words[ref.network], view.value(ref))
            smallest += coefficient * view.of(ref)[0 if coefficient > 0 else 1]
        row = np.array(list(terms.values()), np.int64)
        self.encoder.dot(words, np.arange(len(row), dtype=np.int32), row, self.balanced)
        self.lits[atom] = -self.encoder.at_least(atom.bound - smallest + 1)
        return self.lits[atom]


def _require_cut(encoder: Encoder, cut: LinearCut, lit: int, seen: list[View], words: list[Words], accs: list[Words]) -> None:
    """lit -> cut; words[k] and accs[k] are those of the values and accumulators of network k."""
    terms = Words(len(cut.terms))
    for n, (_, what) in enumerate(cut.terms):
        if isinstance(what, Ref):
            terms.copy_from(n, words[what.network], what.element)
            continue
        view = seen[what.network]
        first = accs[what.network], view.neurons(what.layer).start + what.neuron, what.slope
        second = words[what.network], view.network.first_value(what.layer) + what.neuron, 1 << what.scale
        if what.sign < 0:
            first, second = second, first
        encoder.difference(terms, n, *first, *second, what.constant, what.span)
    encoder.at_most(terms, np.array([weight for weight, _ in cut.terms], np.int64), cut.budget, lit)
