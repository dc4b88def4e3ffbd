"""Where a Keras file keeps the weights of a layer: by number under the kinds of layers (.keras, .weights.h5), or by name (.h5)."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from ...errors import InputError, UnsupportedError
from ..float_builder import MAX_PARAMETERS
from ..hdf5 import MAX_ATTRIBUTE_BYTES, follow, names_in, read_floats, read_text
from .settings import shown_name

Shape = tuple[int, ...]
# The list of layers of a model, as Keras 3 and Keras 2 call it.
LAYERS, OLD_LAYERS = "layers", "_layer_checkpoint_dependencies"


@dataclass(frozen=True)
class Where:
    """Where a layer stands: its name within the models around it, and the group of its variables in an archive."""

    names: tuple[str, ...] = ()
    group: str = ""

    def within(self, name: str, kind: str, count: Counter[str]) -> Where:
        """Layer `name` of the model that stands here; count are its layers by kind so far."""
        snake = to_snake_case(kind)
        count[snake] += 1
        last = snake if count[snake] == 1 else f"{snake}_{count[snake] - 1}"
        return Where((*self.names, name), f"{self.group}/{LAYERS}/{last}".strip("/"))


def to_snake_case(kind: str) -> str:
    """As Keras names groups after classes (naming.py)."""
    name = re.sub(r"(.)([A-Z][a-z]+)", r"\1_\2", re.sub(r"\W+", "", kind))
    return re.sub(r"([a-z])([A-Z])", r"\1_\2", name).lower()


class Weights(Protocol):
    def read(self, where: Where, shapes: dict[str, Shape | None], place: str) -> dict[str, np.ndarray]:
        """The variables of a layer, by name and in Keras's order, of those shapes; None stands for any."""


class Budget:
    """Numbers that are read from a file."""

    def __init__(self) -> None:
        self.left = MAX_PARAMETERS

    def read(self, item: Any, shape: Shape | None, place: str) -> np.ndarray:
        found = getattr(item, "shape", None)
        if found is None or (shape is not None and tuple(found) != shape):
            raise InputError(f"{place}: shape {found}, expected {shape or 'an array'}")
        self.left -= item.size
        if self.left < 0:
            raise UnsupportedError(f"{place}: more than {MAX_PARAMETERS} parameters up to here, expected at most those")
        return read_floats(item, len(found), place)


class NumberedWeights:
    """Variables "0", "1", ... in the group "vars" of each layer."""

    def __init__(self, file: Any, place: str):
        self.file, self.place, self.budget = file, place, Budget()
        self.old = OLD_LAYERS in file

    def read(self, where: Where, shapes: dict[str, Shape | None], place: str) -> dict[str, np.ndarray]:
        if not shapes:
            return {}
        path = f"{where.group}/vars"
        group = follow(self.file, path.replace(LAYERS, OLD_LAYERS) if self.old else path, f"{place}: weights")
        # What Keras says of itself since version 3.1.
        name = read_text(group, "name", MAX_ATTRIBUTE_BYTES, f"{place}: weights") if "name" in group.attrs else where.names[-1]
        if name != where.names[-1]:
            raise InputError(f"{place}: weights: group {path} is of layer {shown_name(name)}, expected {where.names[-1]!r}")
        return {
            name: self.budget.read(follow(group, str(k), f"{place}: weights"), shape, f"{place}: {name}")
            for k, (name, shape) in enumerate(shapes.items())
        }


class NamedWeights:
    """A group for each layer of the outermost model, whose attribute weight_names lists what is in it."""

    def __init__(self, file: Any, place: str):
        self.file, self.place, self.budget = file, place, Budget()

    def read(self, where: Where, shapes: dict[str, Shape | None], place: str) -> dict[str, np.ndarray]:
        if not shapes:
            return {}
        group = follow(self.file, where.names[0], f"{place}: weights")
        variables: dict[tuple[str, ...], str] = {}
        for path in names_in(group, "weight_names", f"{place}: weights"):
            parts = [part.split(":")[0] for part in path.split("/")]
            # Within inner models layers are told by their names.
            key = (parts[-1],) if len(where.names) == 1 else tuple(parts[-2:])
            if key in variables:
                raise InputError(f"{place}: weights: two of them are named {shown_name(key[-1])}")
            variables[key] = path
        found = {}
        for name, shape in shapes.items():
            # Keras 3 calls a depthwise kernel a kernel.
            keys = [(*where.names[1:][-1:], word) for word in (name, name.removeprefix("depthwise_"))]
            held = [variables[key] for key in keys if key in variables]
            if not held:
                raise InputError(f"{place}: has no weights named {name!r}")
            found[name] = self.budget.read(follow(group, held[0], f"{place}: weights"), shape, f"{place}: {name}")
        return found
