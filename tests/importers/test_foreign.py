"""Networks in other formats: each is told what it is and what is read, in one line; nothing of them is unpickled."""

import io
import json
import pickle
import zipfile

import h5py
import numpy as np
import pytest

from qbitsat.cli.main import main
from qbitsat.errors import FloatModelError, QbitsatError, UnsupportedError
from qbitsat.importers import load


class Bomb:
    """Fails the test when it is unpickled."""

    def __reduce__(self):
        return pytest.fail, ("a pickle was loaded",)


def zipped(**members) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        for name, data in members.items():
            archive.writestr(name.replace("__", "/").replace("_dot_", "."), data)
    return stream.getvalue()


def npz(**arrays) -> bytes:
    stream = io.BytesIO()
    np.savez(stream, **arrays)
    return stream.getvalue()


def npy() -> bytes:
    stream = io.BytesIO()
    np.save(stream, np.arange(3))
    return stream.getvalue()


TENSORS = json.dumps({"weight": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}}).encode()
FILES = {
    "PyTorch": (zipped(archive__data_dot_pkl=pickle.dumps(Bomb()), archive__version="3"), r"a PyTorch file \(.pt, .pth\)"),
    "TorchScript": (zipped(m__data_dot_pkl=pickle.dumps(Bomb()), m__constants_dot_pkl=b""), r"a PyTorch file \(.pt, .pth\)"),
    "old PyTorch": (bytes.fromhex("80028a0a6cfc9c46f9206aa85019") + pickle.dumps(Bomb(), 2), r"an old PyTorch file \(.pt, .pth\)"),
    "safetensors": (len(TENSORS).to_bytes(8, "little") + TENSORS + bytes(4), "a safetensors file"),
    "GGUF": (b"GGUF\3\0\0\0" + bytes(40), "a GGUF model"),
    "an array": (npy(), r"a single array \(.npy\), no network"),
    "gzip": (b"\x1f\x8b" + bytes(30), "gzip data"),
}
READ = ", which is not read; qbitsat reads its own .npz, .*, int8 .tflite, quantized .onnx, and .h5 of AAAI 2021 and QVIP"


FLOATS = r", a float model; quantize it first \(qbitsat quantize, or load_float and quantize in Python; qbitsat inspect shows it\)"


def refused(path, message: str, capsys, floats: bool = False) -> None:
    with pytest.raises(FloatModelError if floats else UnsupportedError, match=message + (FLOATS if floats else READ)) as caught:
        load(path)
    assert str(caught.value).startswith(f"{path}: ")
    assert main(["inspect", str(path), "--bits", "6"]) == 2
    captured = capsys.readouterr()
    assert (captured.out, captured.err.count("\n")) == ("", 1)


def test_archives_of_keras_are_named(tmp_path, capsys):
    path = tmp_path / "network"
    path.write_bytes(zipped(metadata_dot_json="{}", config_dot_json="{}", model_dot_weights_dot_h5=b"\x89HDF"))
    refused(path, r"a Keras model \(.keras\)", capsys, floats=True)


@pytest.mark.parametrize("first", ["metadata_dot_json", "config_dot_json"])
def test_archives_of_keras_that_are_cut_short_are_named(tmp_path, capsys, first):
    path = tmp_path / "network"
    path.write_bytes(zipped(**{first: "{}", "model_dot_weights_dot_h5": bytes(100)})[:99])
    with pytest.raises(FloatModelError, match=r"a Keras model \(.keras\)"):
        load(path)
    assert main(["inspect", str(path)]) == 2
    assert "damaged .keras archive: " in capsys.readouterr().err


@pytest.mark.parametrize(("content", "message"), FILES.values(), ids=FILES)
def test_other_formats_are_named(tmp_path, capsys, content, message):
    path = tmp_path / "network"
    path.write_bytes(content)
    refused(path, message, capsys)


@pytest.mark.parametrize("name", ["acasxu", "tinytaxi"])
def test_saved_models_are_named(tmp_path, capsys, name):
    folder = tmp_path / name
    folder.mkdir()
    (folder / "saved_model.pb").write_bytes(b"\x08\x01\x12\xf3\x01" + bytes(20))
    refused(folder, "a TensorFlow SavedModel folder", capsys, floats=True)
    refused(folder / "saved_model.pb", "a TensorFlow SavedModel", capsys)
    with pytest.raises(QbitsatError, match="not a regular file"):
        load(tmp_path)


@pytest.mark.parametrize(
    ("attributes", "groups", "message"),
    [
        ({"keras_version": "2.3.0-tf", "model_config": "{}"}, ["model_weights"], r"a whole Keras model in HDF5 \(model.save\)"),
        (
            {"model_config": "{}", "keras_version": "3.1.0"},
            ["model_weights", "optimizer_weights"],
            r"a whole Keras model in HDF5 \(model.save\)",
        ),
        ({}, ["layers/dense/vars", "optimizer", "vars"], r"weights of Keras 3 \(.weights.h5\)"),
        ({}, ["_layer_checkpoint_dependencies/dense", "vars"], r"weights of Keras 3 \(.weights.h5\)"),
    ],
)
def test_other_hdf5_files_of_keras_are_named(tmp_path, capsys, attributes, groups, message):
    path = tmp_path / "network.h5"
    with h5py.File(path, "w") as file:
        file.attrs.update(attributes)
        for group in groups:
            file.create_group(group)
    refused(path, message, capsys, floats=True)


def test_published_networks_are_named(bench_data, capsys):
    kinds = {
        "h5": r"a whole Keras model in HDF5 \(model.save\)",
    }
    folders = {"h5": ["keras"]}
    for suffix, message in kinds.items():
        paths = [path for folder in folders[suffix] for path in sorted((bench_data / folder).glob(f"*.{suffix}"))]
        assert len(paths) >= 5
        for path in paths:
            refused(path, message, capsys, floats=True)


@pytest.mark.parametrize(
    ("arrays", "holds"), [(["x", "y"], "arrays x, y"), ([f"a{k}" for k in range(9)], r"arrays a0, a1, a2, a3, a4, \.\.\.")]
)
def test_arrays_that_are_no_network_are_listed(tmp_path, arrays, holds):
    path = tmp_path / "network"
    path.write_bytes(npz(**{name: np.arange(3) for name in arrays}))
    with pytest.raises(QbitsatError, match=f"has no array 'header', and is no network; it holds {holds}$"):
        load(path)


@pytest.mark.parametrize(
    "content", [b"\x08", b"\x08\x06", b"\x08\x60\x12", b"PK\3\4", b"PK\3\4" + bytes(60), b"TFL3", pickle.dumps(Bomb()), b"{}"]
)
def test_other_beginnings_are_unknown_or_damaged(tmp_path, content):
    path = tmp_path / "network"
    path.write_bytes(content)
    with pytest.raises(QbitsatError, match=r"unknown content; qbitsat reads its own .npz, .* int8 .tflite|damaged .npz archive"):
        load(path)


def test_empty_file_is_no_network(tmp_path):
    path = tmp_path / "empty.npz"
    path.write_bytes(b"")
    with pytest.raises(QbitsatError, match=r"empty.npz: is empty; expected a qbitsat network"):
        load(path)
