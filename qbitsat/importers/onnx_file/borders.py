"""A quantized .onnx with what stands at its borders: the tensors that it reads and gives as the file has them, and their integers.

`read` of this package is for classes: it leaves out what keeps the order of outputs. Here each integer stands for the exact number that the
runtime reads or gives.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ...errors import ArgumentError, InputError, UnsupportedError
from ...network import Network, TensorFormat
from ...network.names import printable
from ..assembly import Builder
from ..files import MAX_BYTES, Path, open_input, placed, size_of
from . import QUANTIZED, RUNTIMES, is_onnx
from .floats import f32, quantized
from .protobuf import read_graph
from .records import Graph, Input
from .session import UNKNOWN, Session, said
from .survey import EXACT, refuse_unsupported, toward
from .values import Dequantized, Integers, Outside, Tabulated


@dataclass(frozen=True)
class Border:
    """A tensor at the border, or an inner one that was asked for: its integers are in form's range.

    shape is the file's, with 1 for a size that it leaves open; dtype is "int8", "uint8" or "float32".
    first is the number of its first integer, among the network's inputs or among its outputs.
    floats are what integers from form.lo on stand for, float32[hi - lo + 1]; None where they are the numbers themselves. At an input they
    are scale * (q - zero_point), and q is what QuantizeLinear makes of a float.
    """

    name: str
    dtype: str
    shape: tuple[int, ...]
    first: int
    form: TensorFormat
    floats: np.ndarray | None = None

    @property
    def size(self) -> int:
        return int(np.prod(self.shape, dtype=np.int64))

    def quantize(self, x: np.ndarray) -> np.ndarray:
        """The integers that floats from outside become, int64."""
        return quantized(x, f32(self.form.scale), self.form.zero_point, self.form.lo, self.form.hi)


@dataclass(frozen=True)
class Model:
    """The network, whose outputs are those of the file and then inner tensors that were asked for; ops are the operators of its nodes, and
    sha256 is the hash of the file's bytes.
    """

    network: Network
    inputs: tuple[Border, ...]
    outputs: tuple[Border, ...]
    inner: tuple[Border, ...]
    ops: tuple[str, ...]
    sha256: str


def read_graph_of(path: Path) -> tuple[Graph, bytes]:
    """The graph in a file, and the file's bytes."""
    with open_input(path) as stream:
        size = size_of(stream)
        if size > MAX_BYTES // 4:
            raise InputError(f"{path}: {size} bytes, expected at most {MAX_BYTES // 4}")
        data = stream.read()
    if not is_onnx(data[:64], path):
        raise InputError(f"{path}: no .onnx, expected one")
    return read_graph(data, os.fsdecode(path)), data


def read_model(path: Path, runtime: str | None = None, inner: Sequence[str] = ()) -> Model:
    """The network in the file with all its outputs, and inner tensors by their names; runtime is one of RUNTIMES."""
    place = os.fsdecode(path)
    graph, data = read_graph_of(path)
    runtime = runtime or RUNTIMES[0]
    if runtime not in RUNTIMES:
        raise ArgumentError("runtime", f"{runtime}, but {place} is an .onnx; expected one of {', '.join(RUNTIMES)}")
    if not graph.inputs or not graph.outputs:
        raise InputError(f"{place}: {len(graph.inputs)} inputs and {len(graph.outputs)} outputs, expected at least one of each")
    made = {name for node in graph.nodes for name in node.outputs if name}
    for name in inner:
        if name not in made:
            raise InputError(f"{place}: has no tensor {printable(name)[:80]!r} that a node gives")
    wanted = [*graph.outputs, *inner]
    needed = {node.index for name in wanted for node in toward(graph, name)}
    nodes = [node for node in graph.nodes if node.index in needed]
    if any(node.op in EXACT for node in nodes):
        raise UnsupportedError(f"{place}: Quant, BipolarQuant or RequantShift; expected QDQ or QLinear operators, of float32 and integers")
    refuse_unsupported(nodes, QUANTIZED, place)
    session = Session(graph, Builder(place, len(data)), runtime)
    with np.errstate(all="ignore"):
        session.follow(QUANTIZED, nodes, graph.outputs[0])
        found: list[Border] = []
        values: list[np.ndarray] = []
        for name in wanted:
            with session.b.named(f"tensor {printable(name)[:80]!r}"):
                found.append(given(session, name, sum(map(len, values))))
                values.append(session.b.values(session.values[name].wires.map(np.ravel)))
    name = printable(os.path.splitext(os.path.basename(place))[0])
    with placed(place):
        inputs = tuple(entered(session, value) for value in graph.inputs)
    network = session.b.finish(name, np.concatenate(values), runtime)
    count = len(graph.outputs)
    ops, digest = tuple(node.kind for node in graph.nodes), hashlib.sha256(data).hexdigest()
    return Model(network, inputs, tuple(found[:count]), tuple(found[count:]), ops, digest)


def entered(s: Session, value: Input) -> Border:
    """An input of the graph."""
    if value.name not in s.first:
        raise UnsupportedError(f"{value.place}: nothing that is computed reads it, expected none such")
    k = s.first[value.name]
    form, x = s.b.inputs[k], s.values[value.name]
    first = sum(held.size for held in s.b.inputs[:k])
    if not isinstance(x, Outside):
        return Border(value.name, value.dtype, x.shape, first, form)
    if (form.lo, form.hi) == UNKNOWN:
        raise UnsupportedError(f"{value.place}: floats that nothing quantizes; expected a QuantizeLinear behind")
    floats = f32(form.scale) * (np.arange(form.lo, form.hi + 1) - form.zero_point).astype(f32)
    return Border(value.name, value.dtype, x.shape, first, form, floats)


def given(s: Session, name: str, first: int) -> Border:
    """A tensor that is computed; first is the number of its first output."""
    x = s.values.get(name)
    if isinstance(x, Integers):
        return Border(name, "uint8" if x.lo == 0 else "int8", x.shape, first, TensorFormat((1,), x.lo, x.hi))
    if isinstance(x, Dequantized):
        return Border(name, "float32", x.shape, first, x.form, x.floats)
    if isinstance(x, Tabulated) and (x.which == x.which.flat[0]).all():
        floats = x.tables[int(x.which.flat[0])].astype(f32)
        if np.isfinite(floats).all() and (np.diff(floats) >= 0).all():
            return Border(name, "float32", x.shape, first, TensorFormat((1,), x.lo, x.lo + len(floats) - 1), floats)
    kind = "what is computed inside of others" if x is None else said(x)
    raise UnsupportedError(f"{kind}; expected integers, or floats that are a growing function of one integer each")
