"""Mutate small float models of Keras and ONNX at random and load them: python tests/mutate_floats.py --count 10000

Bytes, and the settings of models. Nothing may escape but a network or an error of ours, in little time and memory.
"""

from __future__ import annotations

import io
import json
import tempfile
import zipfile
from collections.abc import Callable, Iterator
from copy import deepcopy
from pathlib import Path
from typing import Any

import folders  # noqa: F401 (where the modules below are)
import h5py
import mutate_onnx
import mutating
import numpy as np
import onnx
from float_onnx_files import MODELS
from keras_files import dense, graph, layer, numbered, row, weights_of, write_archive, write_h5, write_numbered
from mutate_tflite import mutants

import qbitsat
from qbitsat.importers import onnx_floats
from qbitsat.importers.keras_file import CONFIG, WEIGHTS

VALUES: tuple[Any, ...] = (
    None, True, False, -1, 0, 1, 2, 3, 1 << 20, 1 << 31, 1 << 62, 10**30,
    -0.5, 1e-30, 1e300, float("nan"), float("inf"), "", "relu", "same", "a",
    [], [1, 1], [0, 1], [None, 4], [[1, 0], [0, 1]], {}, {"class_name": "ReLU", "config": {}}, "quantized_relu(4)",
)  # fmt: skip
KINDS = ("Dense", "Conv2D", "Conv1D", "DepthwiseConv2D", "SeparableConv2D", "BatchNormalization", "Add", "Concatenate",
         "Flatten", "Reshape", "Permute", "ReLU", "Softmax", "AveragePooling2D", "MaxPooling1D", "GlobalMaxPooling2D", "ZeroPadding2D",
         "Normalization", "Rescaling",
         "Sequential", "Functional", "InputLayer", "Lambda", "QActivation", "Average", "Subtract")  # fmt: skip


def images() -> tuple[dict[str, Any], dict[str, Any]]:
    """A graph over images, with a model within."""
    rng = np.random.default_rng(1)
    inner = row(dense("a", 4, "relu"), dense("b", 4), name="inner")
    model = graph(
        layer("ZeroPadding2D", "z", ["x"], padding=1),
        layer("Conv2D", "c", ["z"], filters=2, kernel_size=[3, 3], padding="same", activation="relu6"),
        layer("BatchNormalization", "n", ["c"], axis=3, epsilon=1e-3),
        layer("SeparableConv2D", "s", ["n"], filters=2, kernel_size=2, padding="same"),
        layer("Add", "sum", ["n", "s"]), layer("AveragePooling2D", "p", ["sum"], pool_size=2), layer("GlobalAveragePooling2D", "g", ["p"]),
        layer("Concatenate", "t", ["g", "g"], axis=-1), {**inner, "name": "inner", "inbound_nodes": [[["t", 0, 0, {}]]]},
        layer("LeakyReLU", "l", [["inner", 1]], alpha=0.1), outputs=["l"], inputs={"x": (4, 4, 1)},
    )  # fmt: skip
    sides = {name: rng.uniform(1, 2, 2) for name in ("gamma", "beta", "moving_mean", "moving_variance")}
    weights: dict[str, Any] = {"c": {"kernel": rng.normal(size=(3, 3, 1, 2)), "bias": rng.normal(size=2)}, "n": sides}
    shapes = {"depthwise_kernel": (2, 2, 2, 1), "pointwise_kernel": (1, 1, 2, 2), "bias": (2,)}
    weights["s"] = {name: rng.normal(size=shape) for name, shape in shapes.items()}
    return model, {**weights, "inner": weights_of(inner, rng)}


def written() -> dict[str, bytes]:
    """Good files of each layout."""
    files = {}
    with tempfile.TemporaryDirectory() as folder:
        path, plain = Path(folder, "net"), row(dense("a", 6, "relu"), layer("Dropout", "d", rate=0.5), dense("b", 3))
        weights = weights_of(plain, np.random.default_rng(0))
        write_h5(path, plain, weights)
        files["row.h5"] = path.read_bytes()
        write_archive(path, plain, numbered(plain, weights), zipfile.ZIP_DEFLATED)
        files["row.keras"] = path.read_bytes()
        with h5py.File(path, "w") as file:
            write_numbered(file, numbered(plain, weights))
        files["weights.h5"] = path.read_bytes()
        model, weights = images()
        inner = weights.pop("inner")
        groups = {
            name: list(weights[key].values()) for name, key in (("conv2d", "c"), ("batch_normalization", "n"), ("separable_conv2d", "s"))
        }
        groups |= {f"sequential/layers/dense{end}": list(inner[key].values()) for end, key in (("", "a"), ("_1", "b"))}
        write_archive(path, model, {f"layers/{name}": arrays for name, arrays in groups.items()})
        files["images.keras"] = path.read_bytes()
    return {**files, **{f"{name}.onnx": data for name, data in MODELS.items()}}


def changed_archive(data: bytes, rng: np.random.Generator) -> bytes:
    """An archive with other settings, or with other bytes in its HDF5."""
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    if rng.integers(3):
        members[CONFIG] = changed_settings(members[CONFIG], rng)
    else:
        with tempfile.NamedTemporaryFile() as file:
            file.write(members[WEIGHTS])
            file.flush()
            members[WEIGHTS] = next(mutants(Path(file.name), 1, int(rng.integers(1 << 31))))
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for name, member in members.items():
            archive.writestr(name, member)
    return out.getvalue()


def changed_h5(data: bytes, rng: np.random.Generator) -> bytes:
    """A whole model with other settings."""
    stream = io.BytesIO(data)
    with h5py.File(stream, "a") as file:
        if "model_config" in file.attrs:
            file.attrs["model_config"] = changed_settings(file.attrs["model_config"], rng).decode()
    return stream.getvalue()


def changed_settings(text: str | bytes, rng: np.random.Generator) -> bytes:
    """Some settings take other values, kinds, or values of other settings, or go."""
    model = json.loads(text)
    for _ in range(rng.integers(1, 4)):
        places = list(places_in(model))
        holder, key = places[rng.integers(len(places))]
        other, other_key = places[rng.integers(len(places))]
        way = rng.integers(4)
        if way == 0 and isinstance(holder, dict):
            del holder[key]
        elif way == 1:
            holder[key] = json.loads(json.dumps(other[other_key]))
        else:
            holder[key] = str(rng.choice(KINDS)) if key == "class_name" else deepcopy(VALUES[rng.integers(len(VALUES))])
    return json.dumps(model).encode()


def places_in(value: Any) -> Iterator[tuple[Any, Any]]:
    """Every object or list within, with each key or index of it."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, part in items:
        yield value, key
        yield from places_in(part)


def changed_onnx(data: bytes, rng: np.random.Generator) -> bytes:
    """As for quantized files, with the operators of float ones."""
    model = onnx.load_from_string(mutate_onnx.changed(data, rng))
    if rng.integers(2) and model.graph.node:
        model.graph.node[rng.integers(len(model.graph.node))].op_type = str(rng.choice(sorted(onnx_floats.OPERATORS)))
    return model.SerializeToString()


CHANGED: dict[str, Callable[[bytes, np.random.Generator], bytes]] = {"keras": changed_archive, "h5": changed_h5, "onnx": changed_onnx}


def load(path: Path, name: str) -> None:
    network = qbitsat.load_float(path, "4,6,3" if name == "weights.h5" else None)
    # What is loaded can be computed, if it is of some size.
    if sum(np.prod(shape) for shape in (*network.inputs, *network.shapes)) < 1 << 20:
        network.run([np.zeros((1, *shape)) for shape in network.inputs] if len(network.inputs) > 1 else np.zeros((1, *network.inputs[0])))


if __name__ == "__main__":
    mutating.main(__doc__, written(), load, lambda kind, data, rng: CHANGED[kind](data, rng))
