"""Query -> CNF: every network bit-blasted by the kernels, then the violation on top of it.

Only the cone of the formula is encoded: outputs that it names, hidden neurons that those read, inputs that these read.
Elements that the bounds fix are constants.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from .._kernels.cnf.clauses import ClauseBuffer
from .._kernels.cnf.layers import Encoder, Words
from ..arithmetic import ROUNDINGS, ShiftRequantizer
from ..bounds import Bounds, LayerBounds, NetworkBounds, collect
from ..errors import UnsupportedError
from ..limits import NO_LIMITS, Limits
from ..network import AffineMap, Layer, Network
from ..properties import And, AtMost, Formula, Or, Query, Ref
from ..properties.formula import INPUT, OUTPUT, atoms, without_not
from .narrowing import narrow
from .substitution import Fact, Substitution

TRUE_LIT = 0x7FFFFFFF

# Shares of the inputs that are held where they help a way most, while an assignment is looked for.
DIVES = (0.8, 0.7, 0.6, 0.5, 0.4, 0.3)

Within = Sequence[Sequence[LayerBounds | None]]


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

    inputs[k][i] and outputs[k][i] map element i of network k; an output that the formula does not need is None. Of the entries
    of the buffer the first `core` say all that must hold; the clauses after them are redundant facts.
    """

    clauses: ClauseBuffer
    core: int
    inputs: tuple[tuple[WordMap, ...], ...]
    outputs: tuple[tuple[WordMap | None, ...], ...]

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
    """One CNF of the whole query and, where ways of it were narrowed, one for each: the query holds iff all `ways` are unsatisfiable.

    `dives` has assumptions for each way, under which assignments are found soon if there are any.
    """

    whole: Cnf
    ways: tuple[Cnf, ...] | None
    dives: list[list[list[int]]]

    @property
    def sizes(self) -> dict[str, float]:
        """Of what is solved first: the ways, or the whole."""
        cnfs = (self.whole,) if self.ways is None else self.ways
        return {"variables": sum(cnf.num_vars for cnf in cnfs), "clauses": sum(cnf.num_clauses for cnf in cnfs)}


def encode_ways(query: Query, bounds: Bounds, options: Any, formula: Formula | None = None, limits: Limits = NO_LIMITS) -> Encoding:
    """Like `encode_query`, with a CNF for each way that narrowing leaves, if options.encoding is `narrowed`."""
    formula = without_not(query.violation if formula is None else formula, limits=limits)
    # The checker of certificates does not know what multipliers prove here.
    narrowed = narrow(query, bounds, formula, options, limits) if options.encoding == "narrowed" and not options.certificates else None
    if narrowed is not None:
        formula = Or(tuple(way.formula for way in narrowed))
    whole = encode_query(query, bounds, options, formula, limits)
    if narrowed is None:
        return Encoding(whole, None, [])
    ways = tuple(encode_query(query, way.bounds, options, way.formula, limits, way.within, snug=True) for way in narrowed)
    return Encoding(whole, ways, [cnf.dives(way.ends) for cnf, way in zip(ways, narrowed, strict=True)])


def encode_query(
    query: Query,
    bounds: Bounds,
    options: Any,
    formula: Formula | None = None,
    limits: Limits = NO_LIMITS,
    within: Within | None = None,
    snug: bool = False,
) -> Cnf:
    """The CNF that is satisfiable iff some input of the boxes makes the violation true.

    `formula` is the violation or what bounds left of it. `within`
    has bounds for each network and layer that accumulators must keep although they don't follow from `bounds`, or None; `snug`
    says that these follow from the formula: then they are asked for only where something rests on them (see `cone`), and clamps
    need not reach beyond.
    """
    formula = without_not(query.violation if formula is None else formula, limits=limits)
    encoder, balanced = Encoder(limits), options.encoding != "linear"
    # The checker of certificates does not know the facts, and who gives `within` splits ranges and has multipliers of its own.
    tied = options.encoding == "substituted" and within is None and not options.certificates
    substitution = Substitution(query, bounds, limits) if tied else None
    if substitution:
        formula = substitution.simplify(formula)
    refs = list(dict.fromkeys(_named(formula, limits)))
    tensors: dict[tuple[int, str], Words] = {}
    layers: list[list[tuple[Words, Words]]] = []
    for k, network in enumerate(query.networks):
        named = {kind: [r.element for r in refs if (r.network, r.tensor) == (k, kind)] for kind in (INPUT, OUTPUT)}
        cuts = within[k] if within else [None] * len(network.layers)
        tensors[k, INPUT], own = _encode_network(encoder, network, bounds.networks[k], named, balanced, cuts, snug)
        tensors[k, OUTPUT] = own[-1][1]
        layers.append(own)
    top = _FormulaEncoder(encoder, tensors, bounds, balanced)
    top.require(formula)
    core = len(encoder.clauses)
    open_lits = {atom: lit for atom, lit in top.lits.items() if abs(lit) != TRUE_LIT}
    for atom, fact in substitution.near_facts(list(open_lits)) if substitution else ():
        limits.check()
        _require_fact(encoder, fact, open_lits[atom], tensors, layers)
    encoder.gates.forget()
    inputs = tuple(_word_maps(tensors[k, INPUT], b.input.lo, None) for k, b in enumerate(bounds.networks))
    outputs = tuple(
        _word_maps(tensors[k, OUTPUT], b.layers[-1].lo, {r.element for r in refs if r.network == k and r.tensor == OUTPUT})
        for k, b in enumerate(bounds.networks)
    )
    return Cnf(encoder.clauses, core, inputs, outputs)  # type: ignore[arg-type]


def _named(formula: Formula, limits: Limits) -> Iterator[Ref]:
    """The elements that a formula's inequalities name, each as often as it is named."""
    for atom in atoms(formula):
        limits.check()
        yield from collect(atom)


def _word_maps(words: Words, lo: np.ndarray, wanted: set[int] | None) -> tuple[WordMap | None, ...]:
    return tuple(WordMap(int(lo[i]), tuple(words.bits(i))) if wanted is None or i in wanted else None for i in range(words.n))


def cone(
    network: Network, bounds: NetworkBounds, named: dict[str, list[int]], cuts: Sequence[LayerBounds | None] = (), snug: bool = False
) -> list[np.ndarray]:
    """For the input and every layer: bool masks of the elements that must be encoded.

    Those of narrower `cuts` are among them. If `snug`, cuts and the bounds that follow from them hold wherever the formula does, but
    a way's bounds may decide the formula itself, or make constant what it reads. So what they say is used only where the clauses say
    it too. Two things are asked of elements:

        read    its word is its value at the inputs: the formula names it, or an element that is encoded reads it;
        held    its value at the inputs is in its bounds: it is read, or an element that is held reads it.

    Layer by layer from the inputs: the bounds of an accumulator that no cut narrows follow from those of what it reads, all of which
    are held, and from what is true of all inputs; others are said by clauses. So every element that is held keeps its bounds, words
    that are read are values, constants included, and an assignment's inputs make the formula true. Other cuts need not be said.
    """
    read = np.zeros(network.output.size, bool)
    read[named[OUTPUT]] = True
    held, masks = read, list[np.ndarray]()
    for k in reversed(range(len(network.layers))):
        affine, layer = network.layers[k].affine, bounds.layers[k]
        encoded = read & (layer.lo < layer.hi)
        cut = cuts[k] if cuts else None
        if cut is not None:
            narrower = (cut.acc_lo > layer.acc_lo) | (cut.acc_hi < layer.acc_hi)
            encoded |= (narrower & held) if snug else narrower
        masks.insert(0, encoded)
        read, held = _sources(affine, encoded), _sources(affine, held | encoded)
    read[named[INPUT]] = True
    masks.insert(0, read & (bounds.input.lo < bounds.input.hi))
    return masks


def _sources(affine: AffineMap, outputs: np.ndarray) -> np.ndarray:
    """Mask of the inputs that some outputs of a mask read."""
    return affine.sources(outputs)


def _encode_network(
    encoder: Encoder,
    network: Network,
    bounds: NetworkBounds,
    named: dict[str, list[int]],
    balanced: bool,
    cuts: Sequence[LayerBounds | None],
    snug: bool,
) -> tuple[Words, list[tuple[Words, Words]]]:
    """Words of the network's input, and of every layer's accumulators and outputs."""
    masks = cone(network, bounds, named, cuts, snug)
    layers: list[tuple[Words, Words]] = []
    source = first = encoder.variables(np.where(masks[0], bounds.input.hi - bounds.input.lo, 0))
    for layer, layer_bounds, mask, cut in zip(network.layers, bounds.layers, masks[1:], cuts, strict=True):
        accs, target = Words(layer.output.size), Words(layer.output.size)
        for i in np.flatnonzero(mask).tolist():
            encoder.dot(source, *layer.affine.row(i), balanced)
            encoder.keep(accs, i)
            if cut is not None:
                _keep_within(encoder, layer_bounds, cut, i)
            if layer_bounds.lo[i] < layer_bounds.hi[i]:
                _requantize(encoder, layer, layer_bounds, i, target, cut if snug else None)
        layers.append((accs, target))
        source = target
    return first, layers


def _keep_within(encoder: Encoder, bounds: LayerBounds, cut: LayerBounds, i: int) -> None:
    """Clauses that hold accumulator i, just built, inside `cut` where that is narrower than its bounds."""
    if cut.acc_lo[i] > bounds.acc_lo[i]:
        encoder.gates.require_any([encoder.at_least(int(cut.acc_lo[i] - bounds.acc_lo[i]))])
    if cut.acc_hi[i] < bounds.acc_hi[i]:
        encoder.gates.require_any([-encoder.at_least(int(cut.acc_hi[i] - bounds.acc_lo[i]) + 1)])


def _requantize(encoder: Encoder, layer: Layer, bounds: LayerBounds, i: int, target: Words, cut: LayerBounds | None) -> None:
    """Word i of `target` from the dot product just built; no clamp that cannot act within `cut`."""
    requantizer, reach_low, reach_high = clamps(layer, bounds, i, cut)
    acc_lo, lo, hi = (int(a[i]) for a in (bounds.acc_lo, bounds.lo, bounds.hi))
    rounding = ROUNDINGS.index(requantizer.rounding)
    encoder.requantize(target, i, acc_lo, requantizer.shift, rounding, requantizer.offset - lo, hi - lo, reach_low, reach_high)


def clamps(layer: Layer, bounds: LayerBounds, i: int, cut: LayerBounds | None = None) -> tuple[ShiftRequantizer, int, int]:
    """The requantizer of output i and the sums, less their smallest, from which y > lo and from which y = hi.

    Either is 0 where the clamp at that end can't act: bounds, or those of `cut`, say so. Raises `UnsupportedError` for other requantizers.
    """
    requantizer = layer.requantizer(i)
    if type(requantizer) is not ShiftRequantizer:  # a subclass may mean something else
        raise UnsupportedError(f"layer {layer.name!r}: no encoding of a requantizer of kind {type(requantizer).__name__}")
    acc_lo, acc_hi, lo, hi = (int(a[i]) for a in (bounds.acc_lo, bounds.acc_hi, bounds.lo, bounds.hi))
    least, most = (acc_lo, acc_hi) if cut is None else (int(cut.acc_lo[i]), int(cut.acc_hi[i]))
    reach_low = reach_high = 0
    if requantizer.monotone:
        if requantizer.before_overflow(least) < lo:
            reach_low = requantizer.first_reaching(lo + 1) - acc_lo
        if requantizer.before_overflow(most) > hi or hi - lo == 1:
            reach_high = requantizer.first_reaching(hi) - acc_lo
    return requantizer, reach_low, reach_high


class _FormulaEncoder:
    """And, or and inequalities over the words of all networks; `lits` has the literal of every inequality."""

    def __init__(self, encoder: Encoder, tensors: dict[tuple[int, str], Words], bounds: Bounds, balanced: bool):
        self.encoder = encoder
        self.tensors = tensors
        self.bounds = bounds
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
        terms: dict[Ref, int] = collect(atom)
        words, smallest = Words(len(terms)), 0
        for n, (ref, coefficient) in enumerate(terms.items()):
            words.copy_from(n, self.tensors[ref.network, ref.tensor], ref.element)
            smallest += coefficient * self.bounds.of(ref)[0 if coefficient > 0 else 1]
        row = np.array(list(terms.values()), np.int64)
        self.encoder.dot(words, np.arange(len(row), dtype=np.int32), row, self.balanced)
        self.lits[atom] = -self.encoder.at_least(atom.bound - smallest + 1)
        return self.lits[atom]


def _require_fact(
    encoder: Encoder, fact: Fact, lit: int, tensors: dict[tuple[int, str], Words], layers: list[list[tuple[Words, Words]]]
) -> None:
    """lit -> fact; layers[k] has the words of every layer's accumulators and outputs in network k."""
    words = Words(len(fact.terms))
    for n, (_, what) in enumerate(fact.terms):
        if isinstance(what, Ref):
            words.copy_from(n, tensors[what.network, INPUT], what.element)
            continue
        accs, outputs = layers[what.network][what.layer]
        first, second = (accs, what.slope), (outputs, 1 << what.scale)
        if what.sign < 0:
            first, second = second, first
        encoder.difference(words, n, *first, *second, what.neuron, what.constant, what.span)
    encoder.at_most(words, np.array([weight for weight, _ in fact.terms], np.int64), fact.budget, lit)
