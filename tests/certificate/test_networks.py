"""What a user pins is a function: a file and its bits; a certificate chooses nothing of it."""

import re
import shutil

import h5py
import numpy as np
import pytest
from forge import Parts, outcome

from qbitsat.certificate.check import Checked, check
from qbitsat.certificate.write import Source, write
from qbitsat.cli.main import main
from qbitsat.errors import InputError
from qbitsat.importers import load
from qbitsat.properties import robustness
from qbitsat.verify import HOLDS, VIOLATED, verify

# At 2 bits weights vanish, which is what makes the forgery.
pytestmark = pytest.mark.filterwarnings("ignore:.*quantized from floats to 2 bits:RuntimeWarning")

X, EPS, LABEL = np.array([128, 128]), 40, 0


@pytest.fixture
def weights(tmp_path):
    """One layer whose second row vanishes at 2 bits, so that class 0 always wins there, and can win at 6."""
    with h5py.File(tmp_path / "weights.h5", "w") as file:
        file.attrs["layer_names"] = ["quantized_dense"]
        group = file.create_group("quantized_dense")
        group.attrs["weight_names"] = ["quantized_dense/kernel:0", "quantized_dense/bias:0"]
        group["quantized_dense/kernel:0"] = np.array([[0.2, -0.2], [-0.2, 0.2]], np.float32)
        group["quantized_dense/bias:0"] = np.zeros(2, np.float32)
    return tmp_path / "weights.h5"


@pytest.fixture
def forged(weights, tmp_path):
    """A HOLDS at 2 bits, of a file that is violated at 6."""
    path = tmp_path / "results" / "forged.cert"
    path.parent.mkdir()
    query = robustness(load(weights, 2), X, EPS, LABEL)
    verdict = verify(query, certificates=True)
    assert verdict.verdict == HOLDS
    write(path, query, verdict, [Source(str(weights), 2)])
    assert verify(robustness(load(weights, 6), X, EPS, LABEL)).verdict == VIOLATED
    return path


def test_holds_at_two_bits_is_not_one_at_six(weights, forged, capsys):
    assert main(["check", str(forged), "--network", str(weights), "--bits", "6"]) == 20
    out = capsys.readouterr().out
    line = rf"network      {weights} \(inputs of 8 bits, outputs of 6 bits, sha256 {load(weights, 6).sha256}\)"
    assert re.match(line, out)
    assert f"network 0 has hash {load(weights, 2).sha256[:16]}..., expected {weights} (inputs of 8 bits, outputs of 6 bits" in out


def test_bits_are_never_the_certificates_choice(weights, forged, capsys):
    assert main(["check", str(forged), "--network", str(weights)]) == 2
    assert "expected --bits" in capsys.readouterr().err
    with pytest.raises(InputError, match="expected --bits"):
        check(forged, networks=[weights])


def test_input_bits_are_pinned_with_bits(weights, forged, capsys):
    assert main(["check", str(forged), "--network", str(weights), "--bits", "2"]) == 0
    assert "    quantized from floats to 2 bits: of 4 weights" in capsys.readouterr().out
    assert main(["check", str(forged), "--network", str(weights), "--bits", "2", "--input-bits", "7"]) == 20
    assert "expected" in capsys.readouterr().out


def test_bits_need_a_network(forged, capsys):
    assert main(["check", str(forged), "--bits", "2"]) == 2
    assert "--bits: of no network that is given; expected none, or networks" in capsys.readouterr().err


def test_what_is_not_pinned_is_said(weights, forged, capsys):
    assert main(["check", str(forged)]) == 0
    title = f"{weights} (inputs of 8 bits, outputs of 2 bits, sha256 {load(weights, 2).sha256})"
    assert capsys.readouterr().out.splitlines()[0] == f"network      as a certificate names it: {title}"


def test_networks_from_python(weights, forged):
    two, six = load(weights, 2), load(weights, 6)
    assert check(forged, networks=[two]).accepted
    assert check(forged, networks=[six, two]).accepted
    assert not check(forged, networks=[six]).accepted
    assert not check(forged, networks=[weights], bits=6).accepted
    assert check(forged, networks=[weights], bits=2).networks == (check(forged).networks)


def test_network_named_many_times_is_loaded_once(goods, tmp_path, monkeypatch):
    parts = Parts(goods["wrap"])
    boxes = {name.split(".")[2]: array for name, array in parts.arrays.items() if name.startswith("box.0.")}
    entry = parts.header["networks"][0]
    names = [tmp_path / f"{k}.npz" for k in range(12)]
    for name in names:
        shutil.copy(entry["path"], name)
    parts.header["networks"] = [{**entry, "path": str(name)} for name in names]
    parts.arrays.update({f"box.{k}.{end}": array for k in range(12) for end, array in boxes.items()})
    loads = []
    monkeypatch.setattr("qbitsat.certificate.networks.load", lambda *args, **limits: loads.append(args) or load(*args, **limits))
    said = outcome(parts.save(tmp_path / "many.cert"))
    assert isinstance(said, Checked)
    assert len(loads) == 1
