"""How many bits it takes: counts, bounds and answers against enumeration, sharing, and going on."""

import json

import numpy as np
import pytest
from models import chain

import qbitsat
from qbitsat.bits import bits, widths_of
from qbitsat.bits.result import answer, counted
from qbitsat.bits.sharing import TRANSFER, SharingVerifier
from qbitsat.campaign import plan
from qbitsat.certificate.check import ACCEPTED
from qbitsat.errors import InputError
from qbitsat.importers import load
from qbitsat.network import classify, forward
from qbitsat.properties import Witness
from qbitsat.quantize import quantize
from qbitsat.verify import HOLDS, MISCLASSIFIED, UNKNOWN, VIOLATED, Verdict

FORMAT = "paper:B,input=u4.4"
WIDTHS = (4, 5, 6, 8)


@pytest.fixture(scope="module")
def model():
    return chain(np.random.default_rng(21), n_in=3)


@pytest.fixture(scope="module")
def samples(model):
    rng = np.random.default_rng(1)
    x = rng.integers(0, 16, (24, 3))
    labels = model.run(x / 16)[0].argmax(axis=1)
    labels[::7] = (labels[::7] + 1) % 3
    return x, labels


def enumerated(model, text: str, x: np.ndarray, labels: np.ndarray, eps: int, ties: str = "argmax") -> list[str]:
    network, words = quantize(model, text), []
    for row, label in zip(x, labels, strict=True):
        ranges = [np.arange(max(0, v - eps), min(15, v + eps) + 1) for v in row]
        points = np.stack(np.meshgrid(*ranges), axis=-1).reshape(-1, 3)
        y, x_y = forward(network, points), forward(network, row[None])
        right, kept = ((ends[:, label] == ends.max(axis=1) if ties == "kept" else ends.argmax(axis=1) == label).all() for ends in (x_y, y))
        words.append(MISCLASSIFIED if not right else HOLDS if kept else VIOLATED)
    return words


def test_ties_that_are_kept(model, samples):
    x, labels = samples
    found = bits(model, x, labels, 1, ties="kept", widths=WIDTHS, format=FORMAT)
    assert found.as_json()["ties"] == "kept"
    more = 0
    for result in found.results:
        words = enumerated(model, result.width.text, x, labels, 1, "kept")
        assert (result.holds, result.violated, result.unknown) == (words.count(HOLDS), words.count(VIOLATED), 0)
        more += words.count(HOLDS) - enumerated(model, result.width.text, x, labels, 1).count(HOLDS)
    assert more > 0


def test_widths_are_counted_as_enumeration_does(model, samples):
    x, labels = samples
    told = []
    found = bits(model, x, labels, 1, target=0.6, widths=WIDTHS, format=FORMAT, told=told.append)
    assert [r.width.bits for r in found.results] == list(WIDTHS) == [r.width.bits for r in told]
    for result in found.results:
        words = enumerated(model, result.width.text, x, labels, 1)
        assert (result.holds, result.violated, result.misclassified) == tuple(map(words.count, (HOLDS, VIOLATED, MISCLASSIFIED)))
        assert result.lower == result.upper == result.holds / len(x) <= result.by_attack
        network = quantize(model, result.width.text)
        assert (result.accuracy, result.network_sha256) == ((classify(network, x) == labels).mean(), network.sha256)
    reached = [r.width.bits for r in found.results if r.holds / len(x) >= 0.6]
    assert (found.answer.smallest, found.answer.open) == (min(reached, default=None), ())
    assert found.float_accuracy == (model.run(x / 16)[0].argmax(axis=1) == labels).mean()


def test_real_inputs_become_those_of_each_width(model, samples):
    x, labels = samples
    found = bits(model, x / 16, labels, 1, widths=WIDTHS, format=FORMAT)
    again = bits(model, x, labels, 1, widths=WIDTHS, format=FORMAT)
    assert [(r.holds, r.violated) for r in found.results] == [(r.holds, r.violated) for r in again.results]


def test_a_witness_is_tried_at_other_widths(model, samples):
    x, labels = samples
    network = quantize(model, "paper:6,input=u4.4")
    tasks = plan(network, x, labels, range(len(x)), [1])
    verdicts = {task.sample: SharingVerifier(network, {"attack": False})(task) for task in tasks if task.settled is None}
    violated = {sample: v.witness.inputs[0] for sample, v in verdicts.items() if v.violated}
    assert violated
    shared = {sample: np.array([x[sample], witness]) for sample, witness in violated.items()}
    for task in tasks:
        if task.settled is None:
            verdict = SharingVerifier(network, {"attack": False}, witnesses=shared)(task)
            assert verdict.verdict == verdicts[task.sample].verdict
            assert (verdict.engine == TRANSFER) == (task.sample in violated)
            assert not verdict.violated or verdict.witness.inputs[0] == violated[task.sample]
    # What is farther than the distance is none, and a witness that the attack finds is the attack's.
    task = next(task for task in tasks if task.sample in violated)
    far = {task.sample: np.array([np.where(task.x < 8, 15, 0)])}
    assert not len(SharingVerifier(network, {}, witnesses=far).known(task))
    assert SharingVerifier(network, {}, witnesses=shared)(task).engine in ("attack", TRANSFER)


@pytest.mark.parametrize("kept", [False, True])
def test_open_samples_are_settled_by_later_witnesses(model, samples, monkeypatch, tmp_path, kept):
    """The first width decides nothing by itself."""
    x, labels = samples
    real = SharingVerifier.decide

    def decide(self, task, query):
        found = self.transferred(task, query)
        if found is None and self.network.layers[-1].output.scale == 1:
            return Verdict(UNKNOWN, "timeout")
        return real(self, task, query)

    monkeypatch.setattr(SharingVerifier, "decide", decide)
    folder = {"out": tmp_path / "out"} if kept else {}
    first, second = bits(model, x, labels, 1, widths=(4, 6), format=FORMAT, attack=False, **folder).results
    words = enumerated(model, first.width.text, x, labels, 1)
    assert 0 < first.violated <= words.count(VIOLATED)
    assert first.unknown == words.count(HOLDS) + words.count(VIOLATED) - first.violated
    assert (first.lower, second.unknown) == (0, 0)
    if kept:  # with a line for each sample, also of those that stayed open
        lines = [json.loads(line) for line in (tmp_path / "out" / "4-bits" / "results.jsonl").read_text().splitlines()]
        assert sorted(line["sample"] for line in lines) == list(range(len(x)))
        assert [line["reason"] for line in lines if line["verdict"] == UNKNOWN] == ["timeout"] * first.unknown


@pytest.mark.parametrize("certificates", [False, True])
def test_results_are_kept_and_gone_on_with(model, samples, tmp_path, certificates):
    x, labels = samples
    options = {"widths": WIDTHS, "format": FORMAT, "out": tmp_path / "out", "certificates": certificates}
    found = bits(model, x, labels, 1, **options)
    with pytest.raises(InputError, match="exists already"):
        bits(model, x, labels, 1, **options)
    lines = (tmp_path / "out" / "6-bits" / "results.jsonl").read_text().splitlines()
    (tmp_path / "out" / "6-bits" / "results.jsonl").write_text("\n".join(lines[:10]) + "\n")
    again = bits(model, x, labels, 1, resume=True, **options)
    assert [r.as_json() | {"seconds": 0} for r in again.results] == [r.as_json() | {"seconds": 0} for r in found.results]
    kept = json.loads((tmp_path / "out" / "bits.json").read_text())
    assert kept["answer"]["smallest"] == found.answer.smallest
    assert [entry["robust_lower"] for entry in kept["widths"]] == [r.lower for r in found.results]
    for result in found.results:
        folder = tmp_path / "out" / result.width.stem
        assert load(folder / "network.npz").sha256 == result.network_sha256
        if certificates:
            checked = [qbitsat.check(path) for path in sorted((folder / "certificates").glob("*.cert"))]
            assert len(checked) == result.holds + result.violated
            assert {entry.outcome for entry in checked} == {ACCEPTED}


def test_what_is_no_run_of_the_same_is_refused_and_changes_nothing(model, samples, tmp_path):
    x, labels = samples
    options = {"widths": (4, 6), "format": FORMAT, "out": tmp_path / "out"}
    bits(model, x, labels, 1, **options)
    files = {path: path.read_bytes() for path in (tmp_path / "out").rglob("*") if path.is_file()}
    other = chain(np.random.default_rng(22), n_in=3)
    for message, change in [("another network", {}), ("option seed", {"seed": 5}), ("another label", {"labels": (labels + 1) % 3})]:
        given = {"model": other if not change else model, "inputs": x, "labels": labels, "eps": 1, "resume": True, **options, **change}
        with pytest.raises(InputError, match=message):
            bits(**given)
    with pytest.raises(InputError, match="exists already"):
        bits(model, x, labels, 1, **options | {"widths": (5,)})
    assert {path: path.read_bytes() for path in (tmp_path / "out").rglob("*") if path.is_file()} == files


def test_of_several_fractional_bits_one_is_enough(model, samples):
    x, labels = samples
    found = bits(model, x, labels, 1, target=0.5, widths=(5, 6), fractions=(2, 5, 6), format="paper:B,F,input=u4.4")
    assert [(r.width.bits, r.width.fraction) for r in found.results] == [(5, 2), (5, 5), (6, 2), (6, 5), (6, 6)]
    reached = {r.width.bits for r in found.results if r.lower >= 0.5}
    assert found.answer.smallest == min(reached, default=None)


def test_answers():
    def result(width, *words):
        verdicts = [Verdict(word, engine="attack" if k % 2 else "hybrid") for k, word in enumerate(words)]
        return counted(width, "", None, 0, verdicts, 0.0)

    first, second, third, fourth = widths_of("paper:B", (4, 5, 6, 7))
    results = [
        result(first, HOLDS, VIOLATED, VIOLATED, MISCLASSIFIED),
        result(second, HOLDS, UNKNOWN, UNKNOWN, MISCLASSIFIED),
        result(third, HOLDS, HOLDS, HOLDS, VIOLATED),
        result(fourth, HOLDS, VIOLATED, UNKNOWN, UNKNOWN),
    ]
    assert [(r.lower, r.upper, r.by_attack) for r in results] == [
        (0.25, 0.25, 0.5),
        (0.25, 0.75, 0.75),
        (0.75, 0.75, 0.75),
        (0.25, 0.75, 0.75),
    ]
    found = answer(results, 0.75)
    assert (found.smallest, found.missed, found.open) == (6, (4,), (5, 7))
    assert str(found) == "6 bits: the fewest for which it is proved that 0.75 of the samples are robust; certainly not: 4; open: 5"
    assert answer(results[:2], 0.9).smallest is None


@pytest.mark.parametrize(
    ("template", "fractions", "texts"),
    [
        ("paper:B", None, ["paper:6", "paper:8"]),
        ("paper:B,B-3,input=u8.8", None, ["paper:6,3,input=u8.8", "paper:8,5,input=u8.8"]),
        ("ap_fixed<B,F,RND,SAT>", [2], ["ap_fixed<6,2,RND,SAT>", "ap_fixed<8,2,RND,SAT>"]),
        ("benchmark:B,bias=8", None, ["benchmark:6,bias=8", "benchmark:8,bias=8"]),
    ],
)
def test_formats_of_widths(template, fractions, texts):
    assert [width.text for width in widths_of(template, (8, 6, 6), fractions)] == texts


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"format": "paper:8"}, "expected B where the number of bits stands"),
        ({"format": "int8"}, "a format of one width is one network: quantize writes it, and verify asks about it"),
        ({"format": "ap_fixed<B,3>"}, "a step of the input is 0.5 at 4 bits and 0.25 at 5 bits; expected one for all widths"),
        ({"format": "paper:B,F"}, "has F, expected numbers for it"),
        ({"fractions": [2]}, "has no F, expected none"),
        ({"format": "paper:B,B-5"}, "B-5 of .* is -1 at 4 bits"),
        ({"widths": []}, "0 widths"),
        ({"target": 90}, "expected a part of the samples"),
        ({"samples": [24]}, "expected indices of 24 inputs"),
        ({"samples": [3, 3]}, "each once"),
        ({"labels": np.zeros(3, int)}, r"expected \(24,\)"),
        ({"labels": np.full(24, 0.5)}, "labels: float64"),
        ({"inputs": np.full((24, 3), 2**64 - 1, np.uint64), "format": "paper:B,input=s5.4"}, "expected values in"),
        ({"inputs": np.full((24, 3), np.nan)}, "not finite"),
        ({"inputs": np.full((24, 3), 16)}, "expected values in"),
        ({"inputs": np.full((24, 3), "a")}, "expected samples of numbers"),
        ({"certificates": True}, "certificates: they need a folder"),
        ({"format": "power-of-two:B"}, "expected calibration data"),
        ({"egnine": "sat"}, "did you mean 'engine'"),
    ],
)
def test_bad_input_is_told(model, samples, change, message):
    given = {"inputs": samples[0], "labels": samples[1], "widths": WIDTHS, "format": FORMAT} | change
    with pytest.raises(InputError, match=message):
        bits(model, given.pop("inputs"), given.pop("labels"), 1, **given)


def test_a_witness_is_no_more_than_what_it_replays_as():
    assert Witness(((1, 2),), ()).inputs == ((1, 2),)
