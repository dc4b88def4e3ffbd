"""What keeps a graph from being an integer network that is read, all of it at once, before anything else can fail."""

from __future__ import annotations

from dataclasses import replace

from ...errors import InputError, UnsupportedError
from .. import float_steps
from ..runtimes import MICRO
from . import floats, selections
from .records import Graph, Operator
from .schema import KINDS

# Operators that move elements of any type, and those that multiply weights.
MOVING = ("RESHAPE", "SQUEEZE", "EXPAND_DIMS", "TRANSPOSE", "SHAPE", "PACK", "CONCATENATION", "UNPACK", "SPLIT", "SPLIT_V", "SLICE",
          "STRIDED_SLICE", "GATHER", "GATHER_ND", "REVERSE_V2", "MIRROR_PAD", "BROADCAST_TO", "FILL", "ZEROS_LIKE", "TILE",
          "RESIZE_NEAREST_NEIGHBOR", "DEPTH_TO_SPACE", "SPACE_TO_DEPTH", "SPACE_TO_BATCH_ND", "BATCH_TO_SPACE_ND")  # fmt: skip
# Those that give zeros, or sizes, which would be no functions of integers.
FILLING = ("SHAPE", "SPACE_TO_BATCH_ND", "ZEROS_LIKE")
# Those that put a constant around, of integers or floats alone.
PADS = ("PAD", "PADV2")
# Operators that are read of floats alone.
FLOATS_ONLY = ("CEIL", "COS", "DIV", "FLOOR", "NEG", "POW", "ROUND", "SIGN", "SIN", "SQUARE", "SQUARED_DIFFERENCE")
WEIGHTED = ("FULLY_CONNECTED", "CONV_2D", "DEPTHWISE_CONV_2D", "TRANSPOSE_CONV")
TWO_OPERANDS = ("ADD", "SUB", "MUL", "MAXIMUM", "MINIMUM")
# Operators that some runtimes do not have.
ABSENT = {**dict.fromkeys(("EXP", "GELU", "LOG", "RELU_0_TO_1", "SELECT", "SQRT", "TILE"), MICRO), "ELU": ("tflite-ref",)}
NO_NETWORK = {
    ("INT8", "FLOAT32"): "dynamic range quantization is no integer network",
    ("FLOAT32", "FLOAT32"): "a float network is no integer network",
    ("FLOAT16", "FLOAT32"): "a float network is no integer network",
}


def check_order(graph: Graph, path: str) -> None:
    """Refuse tensors that are not there, and operators that read what only later ones give, or nobody: cycles among them."""
    there = {tensor.index for tensor in graph.tensors if tensor.data is not None or tensor.fault} | set(graph.inputs)
    count = len(graph.tensors)
    ends = [("inputs", graph.inputs), ("outputs", graph.outputs)]
    for name, indices in [*ends, *((op.place, (*filter(lambda i: i != -1, op.inputs), *op.outputs)) for op in graph.operators)]:
        for index in indices:
            if not 0 <= index < count:
                raise InputError(f"{path}: {name}: tensor {index}, expected one of {count}")
    for op in graph.operators:
        for index in op.inputs:
            if index != -1 and index not in there:
                raise InputError(f"{path}: {op.place}: reads {graph.tensors[index].place}, which no operator before it gives")
        there |= set(op.outputs)
    for index in graph.outputs:
        if index not in there:
            raise InputError(f"{path}: outputs: {graph.tensors[index].place} is given by no operator")


def toward(graph: Graph, output: int) -> Graph:
    """What one of the outputs is computed from; check_order has seen that this is all before it."""
    needed, kept = {graph.outputs[output]}, []
    for op in reversed(graph.operators):
        if needed & set(op.outputs):
            kept.append(op)
            needed |= set(op.inputs)
    inputs = tuple(index for index in graph.inputs if index in needed or len(graph.outputs) == 1)
    return replace(graph, operators=tuple(kept[::-1]), inputs=inputs, outputs=(graph.outputs[output],))


def refuse_unsupported(graph: Graph, tail: frozenset[int], runtime: str, path: str) -> None:
    """Raise for all that is not read; what it is, once, and with the operators where it stands."""
    places: dict[str, list[int]] = {}
    for op in graph.operators:
        reason = "" if op.index in tail else why_not(graph, op, runtime)
        if reason:
            places.setdefault(reason, []).append(op.index)
    if places:
        found = "; ".join(f"{reason} (operator {', '.join(map(str, where))})" for reason, where in places.items())
        hint = "; convert it to int8, with a representative data set" if any(text in found for text in NO_NETWORK.values()) else ""
        raise UnsupportedError(f"{path}: not read: {found}{hint}")


def why_not(graph: Graph, op: Operator, runtime: str) -> str:
    """Why an operator is not read, or ""."""
    known = KINDS.get(op.kind)
    if known is None:
        return f"operator {op.kind}"
    if not 1 <= op.version <= known.version:
        return f"{op.kind} of version {op.version}, of which 1 to {known.version} are known"
    computes_floats = gives_floats(graph, op)
    if runtime in (float_steps.ABSENT if computes_floats else ABSENT).get(op.kind, ()):
        return f"{op.kind}{' of floats' if computes_floats else ''}, which {runtime} does not have"
    for index in (*op.inputs, *op.outputs):
        if index != -1 and graph.tensors[index].fault:
            return f"{graph.tensors[index].place} {graph.tensors[index].fault}"
    types = [graph.tensors[index].type for index in op.inputs if index != -1]
    outputs = {graph.tensors[index].type for index in op.outputs}
    if (computes_floats or op.kind in (*MOVING, *PADS)) and any(
        graph.tensors[index].type == "FLOAT32" for index in set(op.outputs) & set(graph.outputs)
    ):
        return f"{op.kind} of floats as the result"
    if computes_floats:
        return why_not_floats(op, types)
    if op.kind in FLOATS_ONLY:
        return f"{op.kind} of {', '.join(sorted(set(types)))}, where FLOAT32 is expected"
    if op.kind in FILLING and "FLOAT32" in outputs:
        return f"{op.kind} of floats"
    # The second input of a padding are its widths.
    if op.kind in MOVING or (op.kind in PADS and {*types[:1], *types[2:]} == outputs == {"FLOAT32"}):
        return ""
    if op.kind in selections.OPERATORS:
        expected = ["INT8", "INT8"] if op.kind in selections.COMPARISONS else ["BOOL", "INT8", "INT8"]
        return "" if types == expected and outputs == {"INT8" if len(types) == 3 else "BOOL"} else f"{op.kind} of {', '.join(types)}"
    first = 2 if op.kind == "TRANSPOSE_CONV" else 0
    if op.kind in WEIGHTED and len(types) > max(1, first) and (types[1], types[first]) in NO_NETWORK:
        return f"weights {types[1]}, activations {types[first]}: {NO_NETWORK[types[1], types[first]]}"
    if op.kind == "QUANTIZE":
        return "" if outputs == {"INT8"} else f"QUANTIZE to {', '.join(sorted(outputs))} inside"
    if op.kind in ("SOFTMAX", "LOG_SOFTMAX", "DEQUANTIZE", "ARG_MAX"):
        return f"{op.kind} before other operators"
    activations = set(types[first : first + (2 if op.kind in TWO_OPERANDS else 1)])
    activations |= outputs | ({"FLOAT32"} & set(types[first:]))
    if activations != {"INT8"}:
        return f"{op.kind} of {', '.join(sorted(activations))}, where INT8 is expected"
    return ""


def gives_floats(graph: Graph, op: Operator) -> bool:
    """Whether an operator computes floats."""
    return op.kind in floats.KINDS and any(graph.tensors[index].type == "FLOAT32" for index in op.outputs)


def why_not_floats(op: Operator, types: list[str]) -> str:
    """Why an operator that gives floats is not read, or ""."""
    expected = "INT8" if op.kind == "DEQUANTIZE" else "FLOAT32"
    return "" if set(types) == {expected} else f"{op.kind} of {', '.join(sorted(set(types)))} to floats, where {expected} is expected"
