"""Where a Keras file keeps the weights of a layer: by number under the kinds of layers (.keras, .weights.h5), or by name (.h5)."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from ...errors import InputError, UnsupportedError
from ..float_builder import MAX_PARAMETERS
from ..hdf5 import MAX_ATTRIBUTE_BYTES, Source, follow, read_floats
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

    def read_part(self, where: Where, part: str, names: tuple[str, ...], place: str) -> dict[str, np.ndarray]:
        """The variables of a part of a layer, an object of its own, in their order; of bytes, too."""


class Budget:
    """Numbers that are read from a file."""

    def __init__(self) -> None:
        self.left = MAX_PARAMETERS

    def read(self, item: Any, shape: Shape | None, place: str, bytes_too: bool = False) -> np.ndarray:
        found = getattr(item, "shape", None)
        if found is None or (shape is not None and tuple(found) != shape):
            raise InputError(f"{place}: shape {found}, expected {shape or 'an array'}")
        self.left -= item.size
        if self.left < 0:
            raise UnsupportedError(f"{place}: more than {MAX_PARAMETERS} parameters up to here, expected at most those")
        return read_floats(item, len(found), place, bytes_too)


class NumberedWeights:
    """Variables "0", "1", ... in the group "vars" of each layer."""

    def __init__(self, source: Source):
        self.source, self.budget = source, Budget()
        self.old = OLD_LAYERS in source.group

    def read(self, where: Where, shapes: dict[str, Shape | None], place: str) -> dict[str, np.ndarray]:
        if not shapes:
            return {}
        path, what = f"{where.group}/vars", f"{place}: weights"
        group = self.source.at(path.replace(LAYERS, OLD_LAYERS) if self.old else path, what)
        # What Keras says of itself since version 3.1.
        name = group.text("name", MAX_ATTRIBUTE_BYTES, what)
        if name is not None and name != where.names[-1]:
            raise InputError(f"{what}: group {path} is of layer {shown_name(name)}, expected {where.names[-1]!r}")
        return {
            name: self.budget.read(follow(group.group, str(k), what), shape, f"{place}: {name}")
            for k, (name, shape) in enumerate(shapes.items())
        }

    def read_part(self, where: Where, part: str, names: tuple[str, ...], place: str) -> dict[str, np.ndarray]:
        group = self.source.at(f"{where.group}/{part}/vars", f"{place}: weights").group
        items = {name: follow(group, str(k), f"{place}: {part}") for k, name in enumerate(names)}
        return {name: self.budget.read(item, None, f"{place}: {part}: {name}", True) for name, item in items.items()}


class NamedWeights:
    """A group for each layer of the outermost model, whose attribute weight_names lists what is in it."""

    def __init__(self, source: Source):
        self.source, self.budget = source, Budget()

    def read(self, where: Where, shapes: dict[str, Shape | None], place: str) -> dict[str, np.ndarray]:
        if not shapes:
            return {}
        what, is_inner = f"{place}: weights", len(where.names) > 1
        group = self.source.at(where.names[0], what)
        variables: dict[tuple[str, ...], str] = {}
        for path in group.names("weight_names", what):
            parts = [part.split(":")[0] for part in path.split("/")]
            # Within inner models layers are told by their names.
            key = tuple(parts[-2:]) if is_inner else (parts[-1],)
            if key in variables:
                raise InputError(f"{what}: two of them are named {shown_name(key[-1])}")
            variables[key] = path
        found = {}
        for name, shape in shapes.items():
            # Keras 3 calls a depthwise kernel a kernel.
            keys = [(*where.names[1:][-1:], word) for word in (name, name.removeprefix("depthwise_"))]
            held = [variables[key] for key in keys if key in variables]
            if not held:
                raise InputError(f"{place}: has no weights named {name!r}")
            found[name] = self.budget.read(follow(group.group, held[0], what), shape, f"{place}: {name}")
        return found

    def read_part(self, where: Where, part: str, names: tuple[str, ...], place: str) -> dict[str, np.ndarray]:
        raise UnsupportedError(f"{place}: its {part} in an .h5 of a whole model; expected a .keras archive")
