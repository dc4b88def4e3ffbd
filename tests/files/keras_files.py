"""Files as Keras writes them, made without it: models as settings, weights as arrays."""

import io
import json
import zipfile
from typing import Any

import h5py
import numpy as np

# Variables of each layer, by name and in Keras's order.
Weights = dict[str, dict[str, np.ndarray]]


def layer(kind: str, name: str, reads: list[Any] | None = None, **config: Any) -> dict[str, Any]:
    """A layer; reads are the names of the layers that it reads, or [name, call] where a layer is called several times."""
    found = {"module": "keras.layers", "class_name": kind, "config": {"name": name, **config}, "registered_name": None, "name": name}
    if reads is not None:
        found["inbound_nodes"] = [[[part, 0, 0, {}] if isinstance(part, str) else [*part, 0, {}] for part in reads]] if reads else []
    return found


def dense(name: str, units: int, activation: Any = "linear", **more: Any) -> dict[str, Any]:
    return layer("Dense", name, units=units, activation=activation, **more)


def row(*layers: dict[str, Any], shape: tuple[int, ...] = (4,), name: str = "row") -> dict[str, Any]:
    """A Sequential model."""
    first = layer("InputLayer", "input", batch_shape=[None, *shape])
    return {"module": "keras", "class_name": "Sequential", "config": {"name": name, "layers": [first, *layers]}, "registered_name": None}


def graph(*layers: dict[str, Any], outputs: list[str], inputs: dict[str, tuple[int, ...]]) -> dict[str, Any]:
    """A functional model; its layers say what they read."""
    firsts = [layer("InputLayer", name, [], batch_shape=[None, *shape]) for name, shape in inputs.items()]
    ends = {key: [[name, 0, 0] for name in names] for key, names in (("input_layers", inputs), ("output_layers", outputs))}
    return {"class_name": "Functional", "config": {"name": "graph", "layers": [*firsts, *layers], **ends}}


def weights_of(model: dict[str, Any], rng: np.random.Generator) -> Weights:
    """Random weights of the dense layers of a row that reads vectors."""
    found, size = {}, model["config"]["layers"][0]["config"]["batch_shape"][-1]
    for part in model["config"]["layers"]:
        if part["class_name"] == "Dense":
            units = part["config"]["units"]
            found[part["config"]["name"]] = {"kernel": rng.normal(size=(size, units)), "bias": rng.normal(size=units)}
            size = units
    return found


def put(group: Any, name: str, array: np.ndarray) -> None:
    group[name] = np.asarray(array, np.float32)


def write_h5(path: Any, model: dict[str, Any], weights: Weights, version: str = "2.8.0") -> None:
    """A whole model in one .h5 file."""
    with h5py.File(path, "w") as file:
        file.attrs.update(keras_version=version, backend="tensorflow", model_config=json.dumps(model))
        write_named(file.create_group("model_weights"), weights)


def write_named(root: Any, weights: Weights) -> None:
    """Weights alone, as Keras 2 has them."""
    root.attrs["layer_names"] = list(weights)
    for name, variables in weights.items():
        group = root.create_group(name)
        group.attrs["weight_names"] = [f"{name}/{key}:0" for key in variables] or np.zeros(0)
        for key, array in variables.items():
            put(group, f"{name}/{key}:0", array)


def write_numbered(file: Any, groups: dict[str, list[np.ndarray]], attribute: str | None = None) -> None:
    """Weights alone, as Keras 3 has them: the group of each layer, as in "layers/dense_1", its variables, and the layer's name if given."""
    for name, arrays in groups.items():
        variables = file.create_group(f"{name}/vars")
        if attribute is not None:
            variables.attrs["name"] = attribute
        for k, array in enumerate(arrays):
            put(variables, str(k), array)


def numbered(model: dict[str, Any], weights: Weights) -> dict[str, list[np.ndarray]]:
    """The groups of the weights of dense layers."""
    names = [part["config"]["name"] for part in model["config"]["layers"] if part["class_name"] == "Dense"]
    return {f"layers/dense{f'_{k}' if k else ''}": list(weights[name].values()) for k, name in enumerate(names)}


def write_archive(
    path: Any, model: Any, groups: dict[str, list[np.ndarray]], method: int = zipfile.ZIP_STORED, attribute: str | None = None
) -> None:
    """A .keras archive; the model may be text."""
    data = io.BytesIO()
    with h5py.File(data, "w") as file:
        write_numbered(file, groups, attribute)
    with zipfile.ZipFile(path, "w", method) as archive:
        archive.writestr("metadata.json", json.dumps({"keras_version": "3.9.0"}))
        archive.writestr("config.json", model if isinstance(model, str) else json.dumps(model))
        archive.writestr("model.weights.h5", data.getvalue())
