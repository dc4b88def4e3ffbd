"""Each accumulator, sums on their way, types and outputs against enumeration."""

import json
import math
import random
from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest
from handmade import dense, tensor
from named import accumulators, check_outputs, regions

from qbitsat.arithmetic import Float64Requantizer, MultiplierRequantizer, ShiftRequantizer
from qbitsat.cli.main import main
from qbitsat.errors import InputError
from qbitsat.importers import save
from qbitsat.network import Network, TensorFormat, reference
from qbitsat.reach import overflow
from qbitsat.reach.extremes import width
from qbitsat.reach.types import fractions, parse_type, parse_types

CLAMP = ShiftRequantizer(1, "floor", 0, 9)
NETWORK = Network((dense([[3, -2], [1, 1]], [1, -4], CLAMP, tensor(2)), dense([[1, -1]], None, CLAMP, tensor(2, 0, 9))), "inner")


def test_each_range_agrees_with_enumeration():
    for seed, network, box, values in regions(300, 25):
        accs = accumulators(network, values)
        for found in overflow(network, box, layers=range(len(network.layers)), each=True, seed=seed, attack=seed % 2 > 0):
            acc, each = accs[found.layer], found.each
            ends = tuple(acc.min(axis=0).tolist()), tuple(acc.max(axis=0).tolist())
            assert each.bounds == each.reached == ends, seed
            assert each.exact == found.accumulators
            for end, at in zip(ends, each.at, strict=True):
                for i, (value, place) in enumerate(zip(end, at, strict=True)):
                    run = reference.run_values(network, each.points[place])
                    cells = [run[v] for v in network.reads[found.layer].tolist()]
                    assert reference.accumulators(network.layers[found.layer], cells)[i] == value
            decided = check_outputs(network.layers[found.layer], values[:, network.target(found.layer)], found)
            assert all(decided) or not all(r.monotone for r in network.layers[found.layer].requantizers)


def test_outputs_are_decided_where_ranges_stay_open(monkeypatch):
    """By queries about their thresholds alone."""
    monkeypatch.setattr("qbitsat.reach.farthest.Farthest._optimum", lambda *_: False)
    for seed, network, box, values in regions(900, 20):
        for found in overflow(network, box, layers=range(len(network.layers)), each=True, seed=seed, attack=False, tighten=0):
            decided = check_outputs(network.layers[found.layer], values[:, network.target(found.layer)], found)
            assert all(decided) or not all(r.monotone for r in network.layers[found.layer].requantizers)
            acc = accumulators(network, values)[found.layer]
            assert (found.each.bounds[0] <= acc.min(axis=0)).all()
            assert (acc.max(axis=0) <= found.each.bounds[1]).all()


def test_limits_leave_each_range_sound():
    for seed, network, box, values in regions(400, 15):
        accs = accumulators(network, values)
        for found in overflow(network, box, layers=range(len(network.layers)), each=True, total=1e-6, seed=seed, order="bias-last"):
            (lo, hi), acc = found.each.bounds, accs[found.layer]
            assert (lo <= acc.min(axis=0)).all()
            assert (acc.max(axis=0) <= hi).all()
            check_outputs(network.layers[found.layer], values[:, network.target(found.layer)], found)


def prefixes(network, k: int, values: np.ndarray, bias_first: bool) -> list[list[np.ndarray]]:
    """By accumulator, what it holds after each term, int64[points] each."""
    layer, cells = network.layers[k], network.views[k]
    zero, found = layer.input.zero_point, []
    for i in range(layer.affine.n_out):
        read, weights = layer.affine.row(i)
        terms = [w * ((values[:, cells[j]] if cells[j] >= 0 else zero) - zero) for j, w in zip(read, weights, strict=True)]
        bias = int(layer.affine.biases[i]) + zero * int(weights.sum())
        terms.insert(0 if bias_first else len(terms), bias)
        sums = [np.zeros(len(values), np.int64)]
        for term in terms:
            sums.append(sums[-1] + term)
        found.append(sums)
    return found


@pytest.mark.parametrize(("order", "first"), [("bias-first", 500), ("bias-last", 500), ("bias-first", 600), ("bias-last", 600)])
def test_sums_on_their_way_agree_with_enumeration(order, first):
    for seed, network, box, values in regions(first, 20):
        exact = seed % 2 > 0
        rules = {"exact": exact, "seed": seed, "tighten": (40, 0)[seed % 3 == 0]}
        for found in overflow(network, box, layers=range(len(network.layers)), order=order, **rules):
            sums = prefixes(network, found.layer, values, order == "bias-first")
            # What comes first is no sum of products where the bias does.
            every = np.stack([s for of in sums for s in of[order == "bias-first" :]])
            ends, of = (int(every.min()), int(every.max())), found.prefixes
            assert of.needed == of.enough == width(*ends), (seed, found)
            assert of.enough <= found.partial
            assert of.bounds[0] <= ends[0] <= of.reached[0] <= of.reached[1] <= ends[1] <= of.bounds[1]
            assert not exact or of.bounds == of.reached == ends
            i, count, _ = of.end
            assert of.order == order
            point = np.array([reference.run_values(network, of.inputs)])
            assert prefixes(network, found.layer, point, order == "bias-first")[i][count] == [of.value]


def test_limits_leave_sums_on_their_way_sound():
    for _seed, network, box, values in regions(700, 15):
        for found in overflow(network, box, layers=range(len(network.layers)), order="bias-last", timeout=0.001, attack=False):
            if found.prefixes is not None:
                every = np.stack([s for of in prefixes(network, found.layer, values, False) for s in of])
                assert found.prefixes.bounds[0] <= every.min() <= every.max() <= found.prefixes.bounds[1]
                assert found.prefixes.needed <= width(int(every.min()), int(every.max())) <= found.prefixes.enough


def test_too_many_sums_on_their_way_keep_their_bounds(monkeypatch):
    monkeypatch.setattr("qbitsat.reach.prefixes.MOST_FORMS", 1)
    monkeypatch.setattr("qbitsat.reach.prefixes.TOGETHER", 4)
    for _seed, network, box, values in regions(720, 15):
        for found in overflow(network, box, layers=range(len(network.layers)), order="bias-last"):
            every = np.stack([s for of in prefixes(network, found.layer, values, False) for s in of])
            assert found.prefixes.bounds[0] <= every.min() <= every.max() <= found.prefixes.bounds[1]
            assert found.prefixes.needed <= width(int(every.min()), int(every.max())) <= found.prefixes.enough


def test_order_of_runtimes():
    """The bias comes last in TensorFlow Lite's reference kernels, first in CMSIS-NN; vector units add in groups."""
    network = Network((dense([[100, -100]], [50], CLAMP, tensor(2)),))
    for runtime, order in (("", "bias-last"), ("tflm", "bias-last"), ("tflite-ref", "bias-last"), ("cmsis-single", "bias-first")):
        (found,) = overflow(replace(network, runtime=runtime), order="ascending", exact=True)
        assert found.prefixes.order == order
        assert found.prefixes.reached == ((-1500, 1550) if order == "bias-last" else (-1450, 1550))
    with pytest.raises(InputError, match="xnnpack adds products in groups, side by side; expected any, bias-first or bias-last"):
        overflow(replace(network, runtime="xnnpack"), order="ascending")
    with pytest.raises(InputError, match="did you mean 'ascending'"):
        overflow(network, order="ascendin")


ROUND = {
    "TRN": math.floor,
    "TRN_ZERO": math.trunc,
    "RND": lambda v: math.floor(v + Fraction(1, 2)),
    "RND_MIN_INF": lambda v: math.ceil(v - Fraction(1, 2)),
    "RND_ZERO": lambda v: int(math.copysign(1, v)) * math.ceil(abs(v) - Fraction(1, 2)),
    "RND_INF": lambda v: int(math.copysign(1, v)) * math.floor(abs(v) + Fraction(1, 2)),
    "RND_CONV": round,
}


@pytest.mark.parametrize("word", ROUND)
@pytest.mark.parametrize("sign", ["", "u"])
def test_limits_of_ap_fixed(word, sign):
    """Against exact fractions: more and fewer fractional bits than sums have, integer bits below 0, and types that hold 0 alone."""
    for fraction in (-2, 0, 3, 5):
        form = TensorFormat((1,), -128, 127, 2.0**-fraction)
        layer = dense([[1]], None, ShiftRequantizer(0, "floor", -128, 127), tensor(1))
        layer = replace(layer, output=form)
        assert fractions(layer) == [fraction]
        for bits, whole in ((4, 2), (4, 6), (3, -2), (1, -4), (6, 1), (5, 5), (2, -1)):
            for overflows in ("WRAP", "SAT_SYM"):
                if overflows == "SAT_SYM" and bits == 1:
                    continue
                kind = parse_type(f"ap_{sign}fixed<{bits},{whole},{word},AP_{overflows}>")
                (lo,), (hi,) = kind.limits(layer)
                first = 0 if sign else -(2 ** (bits - 1)) + (overflows == "SAT_SYM")
                last = 2**bits - 1 if sign else 2 ** (bits - 1) - 1
                for acc in range(-600, 601):
                    stored = ROUND[word](Fraction(acc) / Fraction(2) ** fraction * Fraction(2) ** (bits - whole))
                    assert (lo <= acc <= hi) == (first <= stored <= last), (kind, fraction, acc)
                assert kind.loses(layer) == max(0, fraction - bits + whole)


def test_types_agree_with_enumeration():
    """Of layers with power-of-two scales: whether a type is left, the input that does it, and the least type that is not."""
    rng, states = random.Random(5), []
    for seed, network, box, values in regions(800, 40):
        accs = accumulators(network, values)
        for k, layer in enumerate(network.layers):
            if not all(isinstance(r, ShiftRequantizer) for r in layer.requantizers):
                continue
            of = np.resize(fractions(layer), layer.affine.n_out)
            real = accs[k] / 2.0**of
            whole = rng.randint(-2, 2) + max(1, math.ceil(math.log2(1 + np.abs(real).max())))
            bits = rng.randint(1, 24)
            name = f"ap_{rng.choice(['', 'u'])}fixed<{bits},{whole}>"
            (found,) = overflow(network, box, layers=[k], width=name, seed=seed, attack=seed % 2 > 0)
            stored = np.floor(real * 2.0 ** (bits - whole))
            out = (stored < 0) | (stored >= 2**bits) if "u" in name else (stored < -(2 ** (bits - 1))) | (stored >= 2 ** (bits - 1))
            assert found.state == ("leaves" if out.any() else "fits"), (seed, k, found)
            assert (found.beyond is not None) == out.any()
            states.append(found.state)
            if found.beyond is not None:
                (i, _), value, inputs = found.beyond
                run = reference.run_values(network, inputs)
                assert reference.accumulators(layer, [run[v] for v in network.reads[k].tolist()])[i] == value
                assert out[accs[k][:, i] == value, i].all()
            (held,) = overflow(network, box, layers=[k], width=found.least)
            assert held.state == "fits"
            assert not held.loses
    assert min(states.count("fits"), states.count("leaves")) > 10


def test_steps_of_accumulators():
    """Of multipliers that are powers of two, too; of others none are known."""
    form, tenth = TensorFormat((1,), -8, 7, 0.25), TensorFormat((1,), -8, 7, 0.1)
    half = MultiplierRequantizer(1 << 30, -3, "double", -8, 7)  # 2**-4
    third = MultiplierRequantizer(1 << 29, -3, "double", -8, 7)
    layer = replace(dense([[1]], None, ShiftRequantizer(3, "floor", -8, 7), tensor(1)), output=form)
    assert fractions(layer) == [5]
    assert fractions(replace(layer, requantizers=(half,))) == [6]
    assert fractions(replace(layer, requantizers=(third,))) == [7]
    assert fractions(replace(layer, requantizers=(Float64Requantizer(0.5, -8, 7),))) == [3]
    for changed in (replace(layer, output=tenth), replace(layer, requantizers=(Float64Requantizer(0.3, -8, 7),))):
        with pytest.raises(InputError, match="one step of its accumulators is no power of two"):
            fractions(changed)
        assert parse_type("16").limits(changed)[1].tolist() == [32767]


def test_types_by_layer():
    found = parse_types("24, 0=16,2=ap_fixed<16, 6>", [0, 1, 2])
    assert [found[k].name for k in (0, 1, 2)] == ["16", "24", "ap_fixed<16,6>"]
    assert [kind.name for kind in parse_types("1=8", [0, 1]).values()] == ["32", "8"]
    assert [kind.bits for kind in parse_types(8, [0, 3]).values()] == [8, 8]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("0", "width: '0', expected bits from 1 to 63"),
        ("64", "width: '64', expected bits from 1 to 63"),
        ("-3", "width: '-3'"),
        ("", "width: ''"),
        ("16,24", "width: '24', expected LAYER=TYPE with one of the layers 0, 1"),
        ("16,7=8", "width: '7=8', expected LAYER=TYPE with one of the layers 0, 1"),
        ("0=", "width: ''"),
        ("ap_fixed<16>", "expected ap_fixed<W,I>"),
        ("ap_fixed<0,1>", "expected from 1 to 1024 bits"),
        ("ap_fixed<16,6,RNDD>", "did you mean 'RND'"),
    ],
)
def test_types_that_are_refused(text, said):
    with pytest.raises(InputError, match=said):
        overflow(NETWORK, width=text)


def test_the_query_about_a_type_says_what_the_width_does_not():
    """Accumulators from 0 to 22: they need 6 bits, and no less; whether they leave 0 to 22, which is no width, is asked for itself."""
    wide = ShiftRequantizer(0, "floor", -512, 511)
    first = dense([[1, 0], [1, 0]], None, wide, tensor(2, 0, 11))
    second = dense([[1, 1], [1, -1]], None, wide, tensor(2, -512, 511))
    network = Network((first, second))
    (found,) = overflow(network, layers=[1], width="ap_ufixed<5,5>")
    assert (found.state, found.enough, found.least) == ("fits", 6, "ap_fixed<6,6>")
    (found,) = overflow(network, layers=[1], width="ap_ufixed<4,4>")
    assert (found.state, found.beyond.end, found.beyond.value > 15) == ("leaves", (0, 1), True)


# --- the command ---


@pytest.fixture
def file(tmp_path):
    save(NETWORK, tmp_path / "network.npz")
    return tmp_path


def test_results_of_each_and_of_orders(file, capsys):
    arguments = ["overflow", str(file / "network.npz"), "--each", "--order", "ascending", "--width", "8,1=ap_fixed<4,3>", "-v"]
    assert main([*arguments, "--out", str(file / "out")]) == 10
    said = capsys.readouterr().out.splitlines()
    assert said[0].startswith("layer 0 dense  fits 8 bits  7 bits, intervals say 7  [-29, 46]  by index, bias last, 7 bits [-30, 46]")
    assert "    accumulator 0 of 2 is 46, the largest found, at input [15, 0]" in said
    assert "    outputs that reach their high end: 2 (0:2)" in said
    assert any("leaves ap_fixed<4,3>  5 bits" in line and line.endswith("ap_fixed<5,4> holds them") for line in said)
    first, second = (json.loads(line) for line in (file / "out" / "results.jsonl").read_text().splitlines())
    assert (first["width"], first["state"], first["beyond"]) == (8, "fits", None)
    assert first["each"]["bounds"] == first["each"]["reached"] == [[-29, -4], [46, 26]]
    assert (second["width"], second["state"], second["least"]) == ("ap_fixed<4,3>", "leaves", "ap_fixed<5,4>")
    assert second["outputs"] == {"constant": "", "dead": "", "low": "0", "high": "", "maybe": dict.fromkeys(second["outputs"]["maybe"], "")}
    assert second["interval_width"] == 5


def test_printed_optima_and_types(file, capsys):
    assert main(["overflow", str(file / "network.npz"), "--exact", "--print"]) == 0
    question = file / "question.toml"
    question.write_text(capsys.readouterr().out)
    assert "layer0.acc[1]" in question.read_text()
    assert main(["verify", str(question)]) == 0
    said = capsys.readouterr().out
    assert "46" in said
    assert "-29" in said
    assert main(["overflow", str(file / "network.npz"), "--width", "1=ap_fixed<5,4>", "--print"]) == 0
    assert "-16 <= layer1.acc <= 15" in capsys.readouterr().out
    assert main(["overflow", str(file / "network.npz"), "--width", "63", "--print"]) == 2
    assert "within 2**60" in capsys.readouterr().err
