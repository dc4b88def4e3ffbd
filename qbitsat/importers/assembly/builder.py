"""The layers of a network in the making, and what they read."""

from __future__ import annotations

from array import array
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np

from ...arithmetic import Requantizer, ShiftRequantizer
from ...errors import InputError, UnsupportedError
from ...network import AffineMap, Layer, Linear, Network, Patches, SparseRows, TensorFormat
from ..files import one_line, placed
from .pruning import pruned
from .wires import Wires

# Elements of all tensors and layers together: so many, and so many more for each byte of the file. A constant counts for some, each time
# that it is read: weights become 64 bits wide. So does a layer, which takes some tenths of a millisecond however small it is.
MOST_VALUES, VALUES_A_BYTE, A_CONSTANT, A_LAYER = 1 << 22, 64, 16, 512
# What numpy raises on shapes and indices that do not fit.
ERRORS = (ValueError, IndexError, TypeError, OverflowError)


class Builder:
    """A network in the making: layers with the values that they read. `path` and `size` are the file's name and bytes."""

    def __init__(self, path: str, size: int):
        self.path = path
        self.layers: list[Layer] = []
        self.reads: list[np.ndarray] = []
        self.inputs: list[TensorFormat] = []
        self.remarks: list[str] = []
        self.num_values = 0
        self.starts = array("q")  # the first value of each layer
        self.left = MOST_VALUES + VALUES_A_BYTE * size
        self._known: dict[int, int] = {}

    @property
    def forms(self) -> list[TensorFormat]:
        """The formats of the inputs, as far as they are known."""
        return self.inputs

    @contextmanager
    def named(self, place: str) -> Iterator[None]:
        """Errors within name the file and the place."""
        with placed(f"{self.path}: {place}"):
            try:
                yield
            except ERRORS as error:
                raise InputError(f"its tensors do not fit: {one_line(error)}") from error

    def charge(self, size: int) -> None:
        """Count elements that are about to be made."""
        self.left -= size
        if self.left < 0:
            raise UnsupportedError("so many values that the network is beyond what a file of its size may have")

    def enter(self, form: TensorFormat) -> np.ndarray:
        """An input of the network: its values, in its shape. All inputs come before the first layer."""
        self.charge(form.size)
        first = self.num_values
        self.inputs.append(form)
        self.num_values += form.size
        return np.arange(first, self.num_values, dtype=np.int32).reshape(form.shape)

    def add(self, layer: Layer, reads: np.ndarray) -> np.ndarray:
        """A layer that reads these values; the values that are its outputs, in its output's shape."""
        self.charge(layer.output.size + A_LAYER)
        first = self.num_values
        self.starts.append(first)
        self.layers.append(layer)
        self.reads.append(reads.ravel())
        self.num_values += layer.output.size
        return np.arange(first, self.num_values, dtype=np.int32).reshape(layer.output.shape)

    def values(self, wires: Wires, form: TensorFormat | None = None) -> np.ndarray:
        """The values that the elements are; a constant becomes the output of a neuron without weights, one for all its places, and with a
        form one that means what that says.
        """
        known = self._known if form is None else {}
        missing = [c for c in np.unique(wires.constants[wires.fixed]).tolist() if c not in known]
        if missing:
            bias = np.array(missing, np.int64)
            meaning = () if form is None else (form.scale, form.zero_point)
            output = TensorFormat((len(missing),), missing[0], missing[-1], *meaning)
            nothing, first = np.empty(0, np.int32), np.zeros(1, np.int32)
            rows = SparseRows(1, np.zeros(len(missing) + 1, np.int64), nothing, nothing, bias)
            requantizer = ShiftRequantizer(0, "floor", output.lo, output.hi)
            layer = Linear(f"constants_{len(self.layers)}", TensorFormat((1,), *self.range_of(first)), output, (requantizer,), rows)
            known |= zip(missing, self.add(layer, first).tolist(), strict=True)
        values = wires.values.copy()
        values[wires.fixed] = [known[c] for c in wires.constants[wires.fixed].tolist()]
        return values

    def sums(
        self, name: str, reads: np.ndarray, weights: list[int], bias: int, steps: tuple[Requantizer, ...], form: TensorFormat
    ) -> np.ndarray:
        """A layer of reads.shape[0] weighted sums of as many values as there are weights, over raw integers; see `linear`."""
        count, width = reads.shape
        self.charge(reads.size)
        start, offset = width * np.arange(count, dtype=np.int32), np.arange(width, dtype=np.int32)
        affine = Patches(count * width, start, offset, 0, np.array([[weights]], np.int32), np.array([[bias]], np.int64))
        return self.linear(name, affine, steps, form, reads)

    def linear(self, name: str, affine: AffineMap, steps: tuple[Requantizer, ...], form: TensorFormat, reads: np.ndarray) -> np.ndarray:
        """A layer that is this map of values; form is of what it gives, steps are one, one for each channel of rows of as many, or one for
        each output.
        """
        shared, count = steps[:1] if len(set(steps)) == 1 else steps, affine.n_out
        shape = (count,) if len(shared) in (1, count) else (count // len(shared), len(shared))
        lo, hi = min(step.lo for step in shared), max(step.hi for step in shared)
        source, output = TensorFormat((affine.n_in,), *self.range_of(reads)), TensorFormat(shape, lo, hi, form.scale, form.zero_point)
        return self.add(Linear(name, source, output, shared, affine), reads).ravel()

    def range_of(self, values: np.ndarray) -> tuple[int, int]:
        """The smallest and the largest integer that some values can be by their formats."""
        owners = np.searchsorted(np.asarray(self.starts, np.int64), values, side="right")  # 0 is an input, k layer k - 1
        forms = [self.layers[k - 1].output for k in np.unique(owners).tolist() if k]
        if not owners.all():
            ends = np.cumsum([form.size for form in self.forms])
            forms += [self.forms[k] for k in np.unique(np.searchsorted(ends, values[owners == 0], side="right")).tolist()]
        return min(form.lo for form in forms), max(form.hi for form in forms)

    def finish(self, name: str, outputs: np.ndarray, runtime: str = "") -> Network:
        """The network whose result are some values, without the layers that nobody reads."""
        plan, outputs = pruned(list(zip(self.layers, self.reads, strict=True)), sum(form.size for form in self.forms), outputs)
        if not plan:
            raise UnsupportedError(f"{self.path}: no operator computes anything, expected one")
        layers, reads = zip(*plan, strict=True)
        with placed(self.path):
            return Network(layers, name, self.path, tuple(self.remarks), tuple(self.forms), reads, outputs, runtime)
