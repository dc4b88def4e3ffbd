"""The fairness gap at each width: against all pairs of inputs, kept and gone on with, and refused where it makes no sense."""

import json

import numpy as np
import pytest
from models import chain

from qbitsat import examples
from qbitsat.bits import bits, fairness
from qbitsat.cli.main import main
from qbitsat.errors import InputError
from qbitsat.network import forward
from qbitsat.optimize import Optimum
from qbitsat.optimize import maximize as real
from qbitsat.quantize import quantize
from qbitsat.report.quantizing import width_line

FORMAT, WIDTHS = "paper:B,input=u4.4", (4, 6)
DOMAIN = np.array([[0, 2, 1], [9, 7, 15]])


@pytest.fixture(scope="module")
def model():
    return chain(np.random.default_rng(21), n_in=3)


@pytest.fixture(scope="module")
def samples():
    return np.random.default_rng(1).integers(0, 16, (4, 3))


def largest(network, protected: int, domain: np.ndarray) -> list[int]:
    """The gap of each output, of all inputs."""
    points = np.stack(np.meshgrid(*(np.arange(lo, hi + 1) for lo, hi in domain.T), indexing="ij"), axis=-1)
    outputs = forward(network, points.reshape(-1, 3)).reshape(*points.shape[:3], -1)
    return (outputs.max(axis=protected) - outputs.min(axis=protected)).max(axis=(0, 1)).tolist()


@pytest.mark.parametrize("domain", [None, DOMAIN, DOMAIN / 16])
def test_gaps_are_the_largest(model, samples, domain):
    x = samples / 16 if domain is not None and domain.dtype.kind == "f" else samples
    found = bits(model, x, None, 0, widths=WIDTHS, format=FORMAT, protected=[1], domain=domain)
    whole = np.array([[0] * 3, [15] * 3]) if domain is None else DOMAIN
    for result in found.results:
        network = quantize(model, result.width.text)
        truth = largest(network, 1, whole)
        assert [(one.output, one.value, one.upper) for one in result.gap.outputs] == [(k, v, v) for k, v in enumerate(truth)]
        assert result.gap.lower == result.gap.upper == max(truth) * network.output.scale
        assert result.gap.exact
        for one in result.gap.outputs:
            a, b = forward(network, np.array(one.inputs))[:, one.output].tolist()
            assert a - b == one.value
            assert {*np.flatnonzero(np.subtract(*one.inputs)).tolist()} <= {1}
    assert max(result.gap.lower for result in found.results) > 0
    assert json.loads(json.dumps(found.as_json()))["widths"][0]["gap"]["outputs"][0]["value"] == found.results[0].gap.outputs[0].value


@pytest.mark.parametrize("domain", [None, DOMAIN])
def test_gaps_are_proved(model, samples, tmp_path, capsys, domain):
    asked = {"format": FORMAT, "protected": [0], "groups": [[0, 1]] if domain is None else [], "domain": domain, "certificates": True}
    (result,) = bits(model, samples, None, 1, widths=[6], out=tmp_path, **asked).results
    count = len(result.gap.outputs)
    assert all(len(one.certificates) == 2 for one in result.gap.outputs)
    folder = tmp_path / "6-bits"

    def checked(path, *more: str) -> tuple[int, str]:
        capsys.readouterr()
        return main(["check", str(path), *more]), capsys.readouterr().out

    assert checked(folder / "gap", "--network", str(folder / "network.npz"))[0] == 0
    code, said = checked(folder, "-v")
    assert (code, f"{len(samples) + 2 * count} accepted" in said, "twice, on x and x'" in said) == (0, True, True)
    path = folder / "gap" / "results.jsonl"
    lines = list(map(json.loads, path.read_text().splitlines()))
    first, second = lines[:2]
    ends = [[1, 2, 1], [9, 7, 15]] if domain is not None else [[0, 0, 0], [15, 15, 14]]
    for wrong, expected in (
        ({"value": first["value"] + 1}, 20),
        ({"protected": [2]}, 20),
        ({"domain": ends}, 20),
        ({"groups": [[0, 2]]}, 20),
        ({"output": 1}, 20),
        ({"networks": {"net": "0" * 64}}, 20),
        ({"certificates": second["certificates"]}, 20),
        ({"certificates": first["certificates"][::-1]}, 20),
        ({"certificates": []}, 20),
        ({"networks": None}, 2),
        ({"verdict": "UNKNOWN"}, 2),
    ):
        path.write_text("".join(json.dumps(line) + "\n" for line in ({**first, **wrong}, *lines[1:])))
        code, said = checked(folder)
        assert code == expected, (wrong, said)
    path.unlink()
    assert checked(folder)[0] == 20, "certificates that no line names"


def test_certificates_that_are_lost_are_made_again(model, samples, tmp_path):
    asked = {"widths": [6], "format": FORMAT, "protected": [1], "out": tmp_path, "certificates": True}
    (first,) = bits(model, samples, None, 0, **asked).results
    lost = tmp_path / "6-bits" / "gap" / first.gap.outputs[1].certificates[0]
    lost.unlink()
    (again,) = bits(model, samples, None, 0, resume=True, **asked).results
    assert lost.exists()
    assert [(one.value, one.certificates) for one in again.gap.outputs] == [(one.value, one.certificates) for one in first.gap.outputs]
    assert main(["check", str(tmp_path / "6-bits"), "--quiet"]) == 0


def test_groups_are_set_one_at_a_time(model, samples):
    (result,) = bits(model, samples, None, 0, widths=[6], format=FORMAT, protected=[0], groups=[[0, 1]]).results
    outputs = forward(quantize(model, result.width.text), np.array([[a, 15 - a, k] for a in (0, 15) for k in range(16)]))
    truth = np.abs(outputs[:16] - outputs[16:]).max(axis=0)
    assert [one.value for one in result.gap.outputs] == truth.tolist()


def test_what_is_proved_is_not_asked_again(model, samples, tmp_path, monkeypatch):
    asked, short = [], {"widths": [6], "format": FORMAT, "protected": [1], "out": tmp_path / "out"}

    def maximize(query, objective, **options):
        asked.append(objective)
        return real(query, objective, **options)

    monkeypatch.setattr(fairness, "maximize", maximize)
    (first,) = bits(model, samples, None, 1, **short).results
    count, lines = len(asked), (tmp_path / "out" / "6-bits" / "gap" / "results.jsonl").read_text().splitlines()
    assert count == len(lines) == len(first.gap.outputs)
    (again,) = bits(model, samples, None, 1, resume=True, **short).results
    assert (again.gap, len(asked)) == (first.gap, count)
    # A line that is cut off, one that is open, and one whose inputs do not attain what it says.
    entry = json.loads(lines[1])
    for wrong in ({**entry, "upper": entry["value"] + 1}, {**entry, "value": entry["value"] + 1, "upper": entry["value"] + 1}):
        changed = [lines[0], json.dumps(wrong), lines[2][:20]]
        (tmp_path / "out" / "6-bits" / "gap" / "results.jsonl").write_text("\n".join(changed))
        before = len(asked)
        (again,) = bits(model, samples, None, 1, resume=True, **short).results
        assert len(asked) == before + count - 1
        assert [(one.value, one.upper) for one in again.gap.outputs] == [(one.value, one.upper) for one in first.gap.outputs]
    with pytest.raises(InputError, match="line 1: is about another protected"):
        bits(model, samples, None, 1, resume=True, **{**short, "protected": [2]})
    bits(model, samples, None, 1, overwrite=True, **{**short, "protected": [2]})


@pytest.mark.parametrize("upper", [40, None])
def test_what_is_open_has_both_bounds(model, samples, monkeypatch, upper):
    monkeypatch.setattr(fairness, "maximize", lambda *_, **__: Optimum("UNKNOWN", None, upper, "timeout"))
    (result,) = bits(model, samples, None, 0, widths=[6], format=FORMAT, protected=[1]).results
    step = quantize(model, result.width.text).output.scale
    assert (result.gap.lower, result.gap.upper) == (0, upper and upper * step)
    assert {(one.value, one.upper, one.reason, one.inputs) for one in result.gap.outputs} == {(0, upper, "timeout", ())}
    assert not result.gap.exact
    said = f"gap 0 to {40 * step:g}" if upper else "gap 0 or more"
    assert said in width_line(result)


@pytest.mark.parametrize(
    ("given", "match"),
    [
        ({"protected": []}, "no feature is protected"),
        ({"protected": [3]}, "a protected feature"),
        ({"groups": [[0, 1]]}, "of protected features"),
        ({"protected": [0], "groups": [[0]]}, "two elements or more"),
        ({"protected": [0], "domain": [[0, 0, 0]]}, "expected two samples"),
        ({"protected": [0], "domain": [[0, 0, 0], [1, 1, 16]]}, "expected values in"),
        ({"protected": [0], "domain": [[0, 5, 0], [1, 1, 1]]}, "feature 1 is from 5 to 1"),
    ],
)
def test_what_does_not_fit_is_refused(model, samples, given, match):
    with pytest.raises(InputError, match=match):
        bits(model, samples, None, 0, widths=[6], format=FORMAT, **given)


def test_the_command_has_a_column(tmp_path, capsys):
    model, images, labels = map(str, (examples.float_path(), examples.images_path(), examples.labels_path()))
    command = ["bits", model, "--inputs", images, "--labels", labels, "--eps", "0", "--format", "paper:B,input=u5.4", "--samples", "0:2"]
    box = np.load(images)[:1].repeat(2, axis=0)
    box[1, 0, 4:6] += 1
    np.save(tmp_path / "domain.npy", box)
    np.save(tmp_path / "far.npy", box * 0 + np.array([0, 99]).reshape(2, 1, 1))
    fair = ["--widths", "8", "--protected", "4", "--groups", "4:6", "--domain", str(tmp_path / "domain.npy")]
    assert main([*command, *fair, "--out", str(tmp_path / "out")]) in (0, 10)
    lines = capsys.readouterr().out.splitlines()
    assert "  gap " in lines[0]
    assert lines[2].split()[-3:] == ["gap", "clipped", "time"]
    assert len((tmp_path / "out" / "8-bits" / "gap" / "results.jsonl").read_text().splitlines()) == 10
    for wrong, said in (
        (["--groups", "4:6"], "expected that as well"),
        (["--protected", "64"], "--protected: '64', but"),
        (["--protected", "4", "--domain", str(tmp_path / "far.npy")], "--domain: inference: inputs from 0 to 99"),
        (["--protected", "4", "--per-layer"], "expected none with --per-layer"),
    ):
        assert main([*command, *wrong]) == 2
        assert said in capsys.readouterr().err
