"""Whatever files and layers are called, what is written can be read: networks, certificates, results, and what `check` makes of them."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from handmade import copying
from hypothesis import given
from hypothesis import strategies as st

from qbitsat.certificate.check import check
from qbitsat.certificate.reading import Certificate
from qbitsat.certificate.write import Source, write
from qbitsat.errors import InputError
from qbitsat.importers import load, save
from qbitsat.network import Dense, Network
from qbitsat.properties import robustness
from qbitsat.verify import HOLDS, verify

QUERY = robustness(copying(2), [9, 3], 1, 0)
NASTY = [
    b"tab\t",
    "a\u00a0b".encode(),
    "a\u00adb".encode(),
    "a\u200db".encode(),
    b"\xff\xfe",
    b"100%",
    b"%41%00",
    b"new\nline",
    b"\x1b[31m",
    b"-x",
]
FILE_NAMES = st.binary(min_size=1, max_size=40).filter(lambda name: b"/" not in name and b"\0" not in name and name not in (b".", b".."))
FILE_NAMES |= st.text(st.sampled_from("a%\t\u00a0\u00ad\u200d\u202e\n.\\\"'{}é4"), min_size=1, max_size=10).map(lambda s: b"x" + s.encode())


def file_in(folder: Path, name: bytes) -> Path:
    return folder / os.fsdecode(name)


@given(FILE_NAMES)
def test_certificates_name_any_file(tmp_path_factory, name):
    folder = tmp_path_factory.mktemp("names")
    path = file_in(folder, name)
    save(QUERY.networks[0], path)
    loaded = load(path)
    query = robustness(loaded, [9, 3], 1, 0)
    verdict = verify(query, certificates=True)
    assert loaded.source == str(path)
    for sources in (None, [Source(str(path))]):
        write(folder / "c.cert", query, verdict, sources)
        with Certificate(folder / "c.cert") as certificate:
            assert certificate.header["networks"][0]["path"] == str(path)
        checked = check(folder / "c.cert")
        assert (checked.accepted, checked.verdict) == (True, HOLDS)
    path.unlink()


@given(st.text(st.characters(codec=None), max_size=20), st.text(st.characters(codec=None), max_size=20))
def test_names_are_refused_or_come_back(tmp_path_factory, layer_name, network_name):
    def make() -> Network:
        layer = QUERY.networks[0].layers[0]
        return Network((Dense(layer_name, layer.input, layer.output, layer.requantizers, layer.weights, layer.bias),), network_name)

    if not (layer_name.isprintable() and network_name.isprintable()):
        with pytest.raises(InputError, match=r"expected printable characters") as caught:
            make()
        assert str(caught.value).isprintable()
        return
    network = make()
    path = tmp_path_factory.mktemp("names") / "n.npz"
    save(network, path)
    loaded = load(path)
    assert (loaded.name, loaded.layers[0].name, loaded.sha256) == (network_name, layer_name, network.sha256)


@pytest.mark.parametrize("name", NASTY, ids=[ascii(name) for name in NASTY])
def test_verify_and_check_any_file(tmp_path, name):
    folder = file_in(tmp_path, b"f" + name)
    folder.mkdir()
    network, inputs = file_in(folder, name + b".npz"), file_in(folder, name + b".npy")
    save(copying(2), network)
    np.save(inputs, [[9, 3], [4, 4]])

    def run(*arguments) -> subprocess.CompletedProcess:
        return subprocess.run([sys.executable, "-m", "qbitsat", *map(os.fsencode, arguments)], capture_output=True, check=False)

    out = file_in(folder, b"out" + name)
    done = run("verify", network, "--inputs", inputs, "--eps", "1", "--certificates", "--out", out)
    assert (done.returncode, done.stderr) == (10, b"")
    lines = [json.loads(line) for line in (out / "results.jsonl").read_text(encoding="utf-8").splitlines()]
    assert sorted(line["verdict"] for line in lines) == ["HOLDS", "VIOLATED"]
    for more in ([], ["--network", network], ["--inputs", inputs]):
        done = run("check", out, *more)
        assert (done.returncode, done.stderr) == (0, b""), done
        assert all(line.isprintable() for line in done.stdout.decode().splitlines())
    network.rename(file_in(tmp_path, b"gone"))
    done = run("check", out)
    assert done.returncode == 2
    assert all(line.isprintable() for line in (done.stdout + done.stderr).decode().splitlines())
    file_in(tmp_path, b"gone").rename(network)
    for command in (["inspect", network], ["export", network, "--inputs", inputs, "--eps", "1", "--out", file_in(folder, b"cnf" + name)]):
        done = run(*command)
        assert (done.returncode, done.stderr) == (0, b""), done
