"""Requantizers that are no shifts: steps and lines found twice, the kernel against its twin, every word, and SMT proofs."""

import random

import numpy as np
import pytest
from bitwuzla import Kind
from clauses import clauses_of
from graphs import KINDS, random_requantizer
from pysat.solvers import Solver
from test_circuits import assumptions, value
from test_words_smt import Bench

from qbitsat._kernels.cnf.layers import Encoder, Words
from qbitsat.arithmetic import (
    DivisionRequantizer,
    Float32Requantizer,
    MultiplierRequantizer,
    Requantizer,
    TableRequantizer,
    ThresholdRequantizer,
)
from qbitsat.certificate import staircases
from qbitsat.certificate.bitblast import TRUE, Bitblaster
from qbitsat.encode import requantizers
from qbitsat.encode.requantizers import Line, Neuron, circuit
from qbitsat.errors import UnsupportedError

STAIRS = tuple(kind for kind in KINDS if kind not in ("shift", "wrap"))


def random_neuron(rng: random.Random, kind: str, spans=(3, 40, 300, 3000, 30000), tops=(1, 3, 15, 40, 255, 3000)) -> Neuron:
    """Ranges as bounds give them, or narrower; a few accumulators below the smallest that is looked at."""
    least = rng.randint(-20000, 20000)
    most, lo = least + rng.choice(spans), rng.choice([0, -128, -8])
    requantizer = random_requantizer(rng, kind, least, most, lo, lo + rng.choice(tops))
    y_lo, y_hi = requantizer.image(least, most)
    if y_lo < y_hi and rng.random() < 0.5:
        y_lo, y_hi = sorted(rng.sample(range(y_lo, y_hi + 1), 2))
    return Neuron(requantizer, least - rng.choice([0, 0, 5]), least, most, y_lo, y_hi)


def built(neuron: Neuron, span: int) -> tuple[list[int], list[int], Encoder]:
    """The bits of a word of that span and of the output, and the encoder; the twin gives the same."""
    encoder, target, twin = Encoder(), Words(2), Bitblaster()
    source = encoder.variables(np.array([span]))
    encoder.dot(source, np.zeros(1, np.int32), np.ones(1, np.int64), True)
    acc, found, levels = twin.variable_word(span), circuit(neuron, "here"), neuron.hi - neuron.lo
    for i in range(2):  # the second time nothing is built
        before = encoder.clauses.num_vars
        if isinstance(found, Line):
            encoder.line(target, i, found.factor, found.constant, found.shift, levels, found.reach_low, found.reach_high)
            again = twin.line(acc, found.factor, found.constant, found.shift, levels, found.reach_low, found.reach_high)
        else:
            encoder.steps(target, i, found.starts, found.levels, levels)
            again = twin.steps(acc, found.starts.tolist(), found.levels.tolist(), levels)
        assert (target.bits(i), target.span(i)) == again
    assert encoder.clauses.num_vars == before
    assert np.asarray(encoder.clauses).tolist() == twin.data
    assert (encoder.clauses.num_vars, encoder.clauses.num_clauses) == (twin.num_vars, twin.num_clauses)
    return source.bits(0), target.bits(0), encoder


@pytest.mark.parametrize("kind", STAIRS)
def test_steps_and_lines_are_exact_and_found_twice_the_same(kind):
    rng, lines = random.Random(kind), 0
    for _ in range(120):
        neuron = random_neuron(rng, kind)
        accs = np.arange(neuron.least, neuron.most + 1)
        y = np.clip(neuron.requantizer.apply(accs), neuron.lo, neuron.hi) - neuron.lo
        found = requantizers.steps(neuron, "here")
        assert found.levels[np.searchsorted(found.starts, accs - neuron.base, side="right")].tolist() == y.tolist()
        output = staircases.Output(*neuron)
        assert staircases.steps(output) == (found.starts.tolist(), found.levels.tolist())
        if len(found.starts) < 2:
            continue
        straight = requantizers.line(neuron, found)
        assert staircases.line(output, found.starts.tolist(), found.levels.tolist()) == straight
        if straight:
            words = accs - neuron.base
            level = (straight.factor * words + straight.constant) >> straight.shift
            level[words < straight.reach_low] = 0
            level[words >= (straight.reach_high or words[-1] + 1)] = neuron.hi - neuron.lo
            assert level.tolist() == y.tolist()
            lines += 1
    assert lines > 5


def test_no_line_is_shorter():
    """All smaller shifts and factors of small staircases are tried."""
    rng, found = random.Random(5), 0
    for _ in range(100):
        neuron = random_neuron(rng, "half_up", (20, 40), (15, 40))._replace(base=0)
        neuron = neuron._replace(base=neuron.least)
        stairs = requantizers.steps(neuron, "here")
        straight = requantizers.line(neuron, stairs) if len(stairs.starts) > 1 else None
        if straight is None or straight.shift > 6:
            continue
        words = np.arange(neuron.most - neuron.least + 1)
        y = np.clip(neuron.requantizer.apply(words + neuron.base), neuron.lo, neuron.hi) - neuron.lo
        inside = (words >= straight.reach_low) & (words < (straight.reach_high or len(words)))
        words, y = words[inside], y[inside]
        shorter = [(s, f) for s in range(straight.shift + 1) for f in range(1, 200) if (s, f) < (straight.shift, straight.factor)]
        for shift, factor in shorter:
            least, most = ((y << shift) - factor * words).max(), ((y + 1 << shift) - factor * words).min()
            assert least >= most
        found += 1
    assert found > 30


@pytest.mark.parametrize("kind", STAIRS)
def test_every_word(kind, monkeypatch):
    """All inputs of small circuits propagate to the exact output, by comparators and by lines."""
    rng = random.Random(kind)
    for few in (requantizers.FEW, 2):
        monkeypatch.setattr(requantizers, "FEW", few)
        for _ in range(12):
            neuron = random_neuron(rng, kind, (3, 40, 200), (1, 3, 15, 40, 255))
            if neuron.lo == neuron.hi:
                continue
            word, bits, encoder = built(neuron, neuron.most - neuron.base)
            with Solver(name="glucose4", bootstrap_with=clauses_of(encoder.clauses)) as solver:
                for acc in range(neuron.least, neuron.most + 1):
                    assumed = assumptions(word, acc - neuron.base)
                    consistent, implied = solver.propagate(assumed)
                    assert consistent
                    level = value(bits, {*implied, *assumed, TRUE})
                    assert level == min(max(neuron.requantizer.apply(acc), neuron.lo), neuron.hi) - neuron.lo


def by_definition(bench: Bench, requantizer: Requantizer, acc):
    """y, of a multiplier in one rounding or of a division, by operators on words."""
    zero, one = bench.number(0), bench.number(1)
    negative = bench.term(Kind.BV_SLT, acc, zero)
    if isinstance(requantizer, DivisionRequantizer):
        size = bench.term(Kind.ITE, negative, bench.term(Kind.BV_SUB, zero, acc), acc)
        size = bench.term(Kind.BV_ADD, size, bench.number(requantizer.divisor // 2))
        size = bench.term(Kind.BV_UDIV, size, bench.number(requantizer.divisor))
        y, offset = bench.term(Kind.ITE, negative, bench.term(Kind.BV_SUB, zero, size), size), 0
    else:
        # Multipliers whose last 19 bits are 0: so products fit into the bench's words.
        exponent, offset = 31 - 19 - requantizer.shift, requantizer.offset
        product = bench.term(Kind.BV_MUL, acc, bench.number(requantizer.multiplier >> 19))
        half = bench.number(1 << exponent - 1)
        if requantizer.form == "half_away":
            half = bench.term(Kind.ITE, negative, bench.term(Kind.BV_SUB, half, one), half)
        y = bench.term(Kind.BV_ASHR, bench.term(Kind.BV_ADD, product, half), bench.number(exponent))
    y = bench.term(Kind.BV_ADD, y, bench.number(offset))
    lo, hi = bench.number(requantizer.lo), bench.number(requantizer.hi)
    y = bench.term(Kind.ITE, bench.term(Kind.BV_SLT, y, lo), lo, y)
    return bench.term(Kind.ITE, bench.term(Kind.BV_SGT, y, hi), hi, y)


@pytest.mark.parametrize("width", [8, 11, 13])
@pytest.mark.parametrize("requantizer", [
    MultiplierRequantizer(2897 << 19, -3, "half_up", -128, 127, -11),
    MultiplierRequantizer(2049 << 19, -4, "half_away", -40, 90, 3),
    DivisionRequantizer(37, -50, 60),
], ids=lambda r: f"{type(r).__name__}-{getattr(r, 'form', '')}")  # fmt: skip
def test_words_by_operators(requantizer, width):
    """For every word at once the circuit is the operator."""
    bench, target, span = Bench([2**width - 1]), Words(1), 2**width - 1
    base = -(2 ** (width - 1)) - 5
    bench.dot([1])
    neuron = Neuron(requantizer, base, base, base + span, *requantizer.image(base, base + span))
    found = circuit(neuron, "here")
    if isinstance(found, Line):
        rest = (neuron.hi - neuron.lo, found.reach_low, found.reach_high)
        bench.encoder.line(target, 0, found.factor, found.constant, found.shift, *rest)
    else:
        bench.encoder.steps(target, 0, found.starts, found.levels, neuron.hi - neuron.lo)
    acc = bench.term(Kind.BV_ADD, bench.total([1]), bench.number(base))
    y = bench.term(Kind.BV_ADD, bench.word(target.bits(0)), bench.number(neuron.lo))
    assert bench.always_equal(y, by_definition(bench, requantizer, acc))


def test_ranges_wide_and_narrow():
    """Operands of ADD have few accumulators and many levels; a raw sum that is rescaled has both, and no circuit."""
    values = tuple(round((x + 3) * 524_287.31) for x in range(-128, 128))
    table = Neuron(TableRequantizer(-128, values), -128, -128, 127, values[0], values[-1])
    word, bits, encoder = built(table, 255)
    assert len(bits) == (values[-1] - values[0]).bit_length()
    with Solver(name="glucose4", bootstrap_with=clauses_of(encoder.clauses)) as solver:
        for x in (-128, -3, 0, 77, 127):
            assumed = assumptions(word, x + 128)
            assert value(bits, {*solver.propagate(assumed)[1], *assumed, TRUE}) == values[x + 128] - values[0]
    wide = Neuron(MultiplierRequantizer(3 << 29, 0, "double", -(1 << 30), 1 << 30), -(1 << 30), -(1 << 30), 1 << 30, -(1 << 30), 1 << 30)
    with pytest.raises(UnsupportedError, match="more than 65536 steps"):
        circuit(wide, "here")
    few = Neuron(ThresholdRequantizer(0, (-(1 << 61), 5, 5, 1 << 62)), 0, 0, 9, 1, 3)
    assert circuit(few, "here")[0].tolist() == [5]
    assert circuit(few, "here")[1].tolist() == [0, 2]


def test_subclasses_have_no_circuit():
    class Doubling(Float32Requantizer):
        def apply(self, acc):
            return super().apply(2 * acc)

    with pytest.raises(UnsupportedError, match="kind Doubling"):
        circuit(Neuron(Doubling(0.5, 0, 9), 0, 0, 9, 0, 9), "here")


@pytest.mark.parametrize("arguments", [(0, 1, 0, 0, 0, 0), (1, 1, -1, 7, 0, 0), (1, 1, 60, 7, 0, 0), (1 << 60, 1, 2, 7, 0, 0)])
def test_line_refuses_what_does_not_fit(arguments):
    encoder = Encoder()
    encoder.dot(encoder.variables(np.array([7])), np.zeros(1, np.int32), np.ones(1, np.int64), True)
    with pytest.raises(ValueError, match=r"line|factor"):
        encoder.line(Words(1), 0, *arguments)


@pytest.mark.parametrize(("starts", "levels", "span"), [([1], [0], 1), ([1], [0, 2], 1), ([1], [-1, 0], 1), ([1], [0, 1], 1 << 40)])
def test_steps_refuse_what_does_not_fit(starts, levels, span):
    with pytest.raises(ValueError, match="steps"):
        Encoder().steps(Words(1), 0, np.array(starts), np.array(levels), span)
