"""Widths of accumulators and ranges of outputs against enumeration, under limits, and on the command line."""

import json
import random
import sys
from types import SimpleNamespace

import numpy as np
import pytest
from handmade import IDENTITY, dense, tensor
from named import accumulators, check_overflow, check_range, regions

from qbitsat.arithmetic import ShiftRequantizer
from qbitsat.cli.main import main
from qbitsat.errors import InputError
from qbitsat.importers import save
from qbitsat.limits import LimitReached
from qbitsat.network import Network
from qbitsat.properties import Box
from qbitsat.reach import output_ranges, overflow
from qbitsat.reach.extremes import width

CLAMP = ShiftRequantizer(1, "floor", 0, 9)
# The largest accumulator of the second layer is 8, intervals say 9; the smallest is -9.
NETWORK = Network((dense([[3, -2], [1, 1]], [1, -4], CLAMP, tensor(2)), dense([[1, -1]], None, CLAMP, tensor(2, 0, 9))), "inner")


@pytest.mark.parametrize("first", range(0, 60, 20))
def test_widths_agree_with_enumeration(first):
    assert True in {check_overflow(seed) for seed in range(first, first + 20)}


def test_partial_sums_in_any_order_stay_inside():
    """Sums of products and the bias, added in some order, at every point of tiny regions."""
    for seed, network, box, values in regions(0, 30):
        rng = random.Random(seed)
        for found in overflow(network, box, layers=range(len(network.layers)), attack=False, timeout=0.001):
            layer, cells = network.layers[found.layer], network.views[found.layer]
            zero, i = layer.input.zero_point, rng.randrange(layer.affine.n_out)
            read, weights = layer.affine.row(i)
            products = [w * ((values[:, cells[j]] if cells[j] >= 0 else zero) - zero) for j, w in zip(read, weights, strict=True)]
            bias = int(layer.affine.biases[i]) + zero * int(weights.sum())
            products.append(np.full(len(values), bias))
            rng.shuffle(products)
            total = np.zeros(len(values), np.int64)
            for product in products:
                total = total + product
                assert found.partial >= width(int(total.min()), int(total.max()))


def test_ranges_of_outputs_agree_with_enumeration():
    assert True in {check_range(seed) for seed in range(100, 130)}


def test_limits_leave_bounds_that_are_right():
    for seed, network, box, values in regions(200, 20):
        accs, outputs = accumulators(network, values), values[:, network.outputs]
        for found in overflow(network, box, layers=range(len(network.layers)), total=1e-6, seed=seed):
            assert found.needed <= width(int(accs[found.layer].min()), int(accs[found.layer].max())) <= found.enough
            assert (found.reason == "") == found.decided
        for found in output_ranges(network, box, total=1e-6):
            assert found.least[1] <= outputs[:, found.output].min() <= outputs[:, found.output].max() <= found.most[1]
            assert found.reason == "timeout"


def test_bits_that_exactness_saves():
    """Two values that are the same cancel; intervals do not see it."""
    wide = ShiftRequantizer(0, "floor", -(1 << 20), 1 << 20)
    network = Network((dense([[1], [1]], None, wide, tensor(1, 0, 100)), dense([[5, -5]], None, wide, tensor(2, -(1 << 20), 1 << 20))))
    first, second = overflow(network)
    assert (first.interval, first.enough, first.saved) == ((0, 100), 8, 0)
    assert (second.interval, second.bounds, second.enough, second.saved) == ((-500, 500), (0, 0), 1, 9)


def test_widths_come_before_exact_ranges(monkeypatch):
    """Where no time is left for optima, a width that is decided without them stays decided."""

    def out_of_time(*arguments, **options):
        raise LimitReached("timeout")

    monkeypatch.setattr(sys.modules["qbitsat.reach.farthest"], "maximize", out_of_time)
    rows = np.array([[1, 1], [1, -1]])
    narrow, wide = ShiftRequantizer(0, "floor", 0, 9), ShiftRequantizer(0, "floor", -99, 99)
    network = Network((dense(rows, [0, 4], narrow, tensor(2, 0, 4)), dense([[1, -1]], None, wide, tensor(2, 0, 9))))
    plain, exact = (overflow(network, layers=[1], exact=exact, attack=False)[0] for exact in (False, True))
    assert plain.interval_width == 5
    assert (exact.needed, exact.enough) == (plain.needed, plain.enough) == (4, 4)
    assert exact.reason == ("" if exact.decided else "timeout")


def test_time_for_replays_is_left(monkeypatch):
    """A search that takes all of its time leaves some for the replay of what was found."""
    clock = SimpleNamespace(now=0.0, monotonic=lambda: clock.now, process_time=lambda: clock.now)

    def takes_all(*arguments, timeout, **options):
        clock.now += timeout
        raise LimitReached("timeout")

    monkeypatch.setattr(sys.modules["qbitsat.limits"], "time", clock)
    monkeypatch.setattr(sys.modules["qbitsat.reach.farthest"], "verify", takes_all)
    (found,) = overflow(NETWORK, layers=[1], attack=False, tighten=0, total=1.0)
    assert clock.now < 1.0
    assert (found.needed, found.enough, found.reason) == (4, 5, "timeout")


@pytest.mark.parametrize(("lo", "hi", "bits"), [(0, 0, 1), (-1, 0, 1), (0, 1, 2), (-2, 1, 2), (-128, 127, 8), (-129, 0, 9), (5, 128, 9)])
def test_width_of_two_s_complement(lo, hi, bits):
    assert width(lo, hi) == bits


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"box": 3}, "expected a Box"),
        ({"box": Box([0], [1])}, "the box has 1 elements"),
        ({"layers": [2]}, "expected numbers from 0 to 1"),
        ({"layers": []}, "expected numbers from 0 to 1"),
        ({"total": -1}, "expected a positive number"),
        ({"tighte": 3}, "did you mean"),
    ],
)
def test_arguments_that_are_refused(arguments, said):
    with pytest.raises(InputError, match=said):
        overflow(NETWORK, **arguments)


@pytest.mark.parametrize("outputs", [[1], [-1], ["0"]])
def test_outputs_that_are_not_there(outputs):
    with pytest.raises(InputError, match="outputs"):
        output_ranges(NETWORK, outputs=outputs)


# --- the commands ---


@pytest.fixture
def file(tmp_path):
    save(NETWORK, tmp_path / "network.npz")
    np.save(tmp_path / "x.npy", np.array([[5, 0], [7, 7]]))
    return tmp_path


@pytest.mark.parametrize(("bits", "code"), [("5", 10), ("7", 0), ("6", 10)])
def test_exit_codes_of_overflow(file, bits, code, capsys):
    assert main(["overflow", str(file / "network.npz"), "--width", bits]) == code
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split()[:4] == ["layer", "0", "dense", "fits" if bits == "7" else "leaves"]
    assert lines[-1] == "7 bits are enough for all accumulators, and 6 are not"


def test_open_widths(file, capsys):
    """Bounds alone: the second layer needs between 4 and 5 bits."""
    arguments = ["overflow", str(file / "network.npz"), "--layers", "1", "--width", "4", "--total", "0.000001", "--tighten", "0"]
    assert main(arguments) == 5
    assert "open" in capsys.readouterr().out


def test_results_and_details_of_overflow(file, capsys):
    arguments = ["overflow", str(file / "network.npz"), "--exact", "-v", "--inputs", str(file / "x.npy"), "--eps", "0,1", "--samples", "0"]
    assert main([*arguments, "--out", str(file / "out")]) == 0
    said = capsys.readouterr().out
    assert "sample 0, eps 0:" in said
    assert "at input [" in said
    lines = [json.loads(line) for line in (file / "out" / "results.jsonl").read_text().splitlines()]
    assert [(line["sample"], line["eps"], line["layer"]) for line in lines] == [(0, 0, 0), (0, 0, 1), (0, 1, 0), (0, 1, 1)]
    assert all(line["exact"] and line["decided"] for line in lines)
    assert lines[1]["reached"] == lines[1]["bounds"] == [8, 8]


def test_range_command(file, capsys):
    assert main(["range", str(file / "network.npz"), "--out", str(file / "out")]) == 0
    assert capsys.readouterr().out.splitlines()[:2] == ["output 0  0 to 4  (0 to 4)  intervals say [0, 4]", "1 output: 1 exact, 0 open"]
    (line,) = (json.loads(line) for line in (file / "out" / "results.jsonl").read_text().splitlines())
    assert (line["kind"], line["least"], line["most"], line["exact"]) == ("range", [0, 0], [4, 4], True)
    assert main(["range", str(file / "network.npz"), "--total", "0.000001"]) == 5


@pytest.mark.parametrize(("command", "last"), [("overflow", "6 bits are enough"), ("range", "2 outputs: 2 exact")])
def test_quiet_names_no_samples(file, capsys, command, last):
    around = ["--inputs", str(file / "x.npy"), "--eps", "1,2", "--samples", "0"]
    assert main([command, str(file / "network.npz"), *around, "--quiet"]) == 0
    (line,) = capsys.readouterr().out.splitlines()
    assert line.startswith(last)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--eps", "1"], "--eps: around no sample"),
        (["--region", "[0]"], "--region: around no sample"),
        (["--inputs", "x.npy"], "needs --eps LIST"),
        (["--total", "0"], "--total: '0', expected a positive number"),
        (["--layers", "7"], "7"),
        (["--width", "0"], "--width: '0'"),
    ],
)
def test_bad_usage(file, arguments, said, capsys, monkeypatch):
    monkeypatch.chdir(file)
    assert main(["overflow", "network.npz", *arguments]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert said in line


@pytest.mark.parametrize("command", ["overflow", "range"])
def test_memory_for_bounds_is_limited(file, capsys, command):
    assert main([command, str(file / "network.npz"), "--memory", "0.001"]) == 5
    assert capsys.readouterr().out == "open: memory, before there are any bounds\n"


@pytest.mark.parametrize(
    ("width", "code", "said"),
    [("6", 10, "less than 7 bits are not enough for all accumulators; how many are is open"), ("32", 5, "less than 7 bits are not enough")],
)
def test_a_region_without_bounds_leaves_what_is_known_of_others(file, capsys, monkeypatch, width, code, said):
    """Whichever region of the two it is, nothing is said that would be about both."""
    module = sys.modules["qbitsat.cli.reach"]
    for missing in (0, 1):
        turns = iter(range(2))

        def fails(network, *arguments, turns=turns, missing=missing, **options):
            if next(turns) == missing:
                raise LimitReached("memory")
            return overflow(network, *arguments, **options)

        monkeypatch.setattr(module, "overflow", fails)
        samples = ["--inputs", str(file / "x.npy"), "--samples", "0,1", "--eps", "99"]
        assert main(["overflow", str(file / "network.npz"), *samples, "--width", width]) == code
        out = capsys.readouterr().out
        assert out.count("open: memory, before there are any bounds") == 1
        assert said in out.splitlines()[-1]


def test_wide_layers_are_asked_in_parts(monkeypatch):
    """Each accumulator is in one part, whose terms are few, and each part is proved."""
    widths = sys.modules["qbitsat.properties.widths"]
    monkeypatch.setattr(widths, "MOST_TERMS", 12)
    network = Network((dense(np.arange(1, 31).reshape(10, 3) * (np.arange(30).reshape(10, 3) % 4 > 0), None, IDENTITY, tensor(3, 0, 1)),))
    parts = widths.shares(network, 0)
    assert [i for part in parts for i in part] == list(range(10))
    lengths = [sum(len(widths.accumulator(network, 0, i)[0]) for i in part) for part in parts]
    assert len(parts) > 3
    assert all(2 * length <= 12 for length in lengths)
    (found,) = overflow(network, certificates=True)
    assert found.parts == len(parts) == len(found.certificates) - 1
    assert [verdict.verdict for _, verdict in found.certificates] == ["VIOLATED", *["HOLDS"] * len(parts)]
    (found,) = overflow(network, certificates=True, total=1e-6)
    assert found.parts == len(parts) > len(found.certificates)
