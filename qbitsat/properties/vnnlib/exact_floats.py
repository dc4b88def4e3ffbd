"""Float models whose numbers are all exact, as networks on a grid of inputs: the range of that is what a specification says of them."""

from __future__ import annotations

import hashlib
import math
import os
from fractions import Fraction

from ...errors import UnsupportedError
from ...importers import onnx_floats
from ...importers.files import Path, placed
from ...importers.onnx_file.borders import Border, Model, read_graph_of
from ...quantize.exact import exact
from .records import HIDDEN, INPUT, Comparison, Element, Specification, conjuncts

OPERATORS = ("Gemm", "MatMul", "Add", "Conv", "Relu", "MaxPool", "GlobalMaxPool", "Flatten", "Reshape", "Transpose", "Squeeze", "Unsqueeze",
             "Identity", "Dropout", "Constant", "Concat", "Shape")  # fmt: skip


def read_exact(spec: Specification, number: int, path: Path, grid: int) -> Model:
    """The network of the declaration of this number, on inputs k / grid."""
    place = os.fsdecode(path)
    graph, data = read_graph_of(path)
    for node in graph.nodes:
        if node.kind not in OPERATORS or any(node.attributes.get(name, 1.0) != 1.0 for name in ("alpha", "beta")):
            raise UnsupportedError(f"{place}: {node.place}: numbers that are rounded; expected {', '.join(OPERATORS[:5])} alone")
    if len(graph.inputs) != 1 or graph.inputs[0].dtype != "float32" or spec.networks[number].of(HIDDEN):
        raise UnsupportedError(f"{place}: a float model, expected one input of float32, and no hidden variables")
    lo, hi = range_of(spec, number, grid)
    with placed(place):
        onnx_floats.refuse_unsupported(graph, place)
        model = onnx_floats.followed(graph, path)
        network, forms = exact(model, grid, lo, hi)
    (value,) = graph.inputs
    shape = tuple(n or 1 for n in value.shape)
    inputs = (Border(value.name, value.dtype, shape, 0, network.inputs[0]),)
    outputs, first = [], 0
    for name, k, form in zip(graph.outputs, model.outputs, forms, strict=True):
        inner = model.shape(k)
        outputs.append(Border(name, value.dtype, (*shape[: len(shape) - len(model.inputs[0])], *inner), first, form))
        first += outputs[-1].size
    ops, digest = tuple(node.kind for node in graph.nodes), hashlib.sha256(data).hexdigest()
    return Model(network, inputs, tuple(outputs), (), ops, digest)


def range_of(spec: Specification, number: int, grid: int) -> tuple[int, int]:
    """The smallest and the largest k that an input of a network may be, by assertions about it alone."""
    ends: dict[Element, list[Fraction | None]] = {}
    wanted = {i for i, (k, variable) in enumerate(spec.variables) if k == number and variable.kind == INPUT}
    for part in conjuncts(spec.assertions):
        if not isinstance(part, Comparison) or len(part.terms) != 1 or part.op == "!=" or part.terms[0][0][0] not in wanted:
            continue
        ((element, c),) = part.terms
        edge, both = -part.constant / c, ends.setdefault(element, [None, None])
        if part.op == "==" or c < 0:
            both[0] = edge if both[0] is None else max(both[0], edge)
        if part.op == "==" or c > 0:
            both[1] = edge if both[1] is None else min(both[1], edge)
    found: list[int] = []
    for i in sorted(wanted):
        variable = spec.variables[i][1]
        for index in range(variable.size):
            lo, hi = ends.get((i, index), (None, None))
            if lo is None or hi is None:
                text = f"element {index} of {variable.name} has no bound on each side, expected such, as --grid needs them"
                spec.source.refuse(variable.at, text)
            found += [math.floor(lo * grid), math.ceil(hi * grid)]
    first, last = min(found), max(found)
    if max(abs(first), abs(last)) >= 1 << 31:
        raise UnsupportedError(f"{spec.source.path}: inputs as far as {first} / {grid} or {last} / {grid}, expected them below 2**31")
    return first, last
