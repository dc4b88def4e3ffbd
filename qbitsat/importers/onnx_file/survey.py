"""What keeps a graph from being an integer network that is read, all of it at once, before anything else can fail."""

from __future__ import annotations

from collections.abc import Container, Sequence

from ...errors import FloatModelError, UnsupportedError
from .records import Graph, Node

# Operators that say that a network is quantized.
QUANTIZERS = ("QuantizeLinear", "DequantizeLinear", "Quant", "BipolarQuant", "Trunc", "RequantShift", "MatMulInteger", "ConvInteger")
# Domains of Quant, BipolarQuant and RequantShift, of which there are several.
EXACT = ("Quant", "BipolarQuant", "RequantShift")
EXACT_DOMAINS = ("onnx.brevitas", "finn.custom_op.general", "qonnx.custom_op.general", "qonnx", "PACTOps")
# DynamicQuantizeLinear, and what runtimes make of it and its neighbours.
DYNAMIC = "DynamicQuantize"
# They give sums of 32 bits, which operators behind them scale as floats: how these round, depends on which of them a runtime joins.
SUMS = ("MatMulInteger", "ConvInteger")


def toward(graph: Graph, output: str) -> tuple[Node, ...]:
    """The nodes that an output is computed from."""
    needed, kept = {output}, []
    for node in reversed(graph.nodes):
        if needed & set(node.outputs):
            kept.append(node)
            needed |= set(node.inputs)
    return tuple(kept[::-1])


def refuse_unsupported(nodes: Sequence[Node], known: Container[str], path: str) -> None:
    """Raise for all operators that are not read, each once and with the nodes where it stands, and for networks of floats."""
    ops = {node.op for node in nodes}
    if dynamic := [node for node in nodes if node.op.startswith(DYNAMIC)]:
        names, places = ", ".join(sorted({node.op for node in dynamic})), ", ".join(str(node.index) for node in dynamic)
        how = "is no integer network: its scales are computed from every input; quantize it statically"
        raise UnsupportedError(f"{path}: dynamic quantization ({names}, node {places}) {how}")
    if not any(op in QUANTIZERS or op.startswith(("QLinear", "QGemm")) for op in ops):
        how = "with qbitsat quantize, or statically, as onnxruntime.quantization.quantize_static does"
        raise FloatModelError(f"{path}: a float network; quantize it first, {how}")
    unknown: dict[str, list[str]] = {}
    for node in nodes:
        if node.kind not in known and not (node.op in known and node.domain in EXACT_DOMAINS):
            unknown.setdefault(node.kind, []).append(f"{node.index} {node.title!r}" if node.title else str(node.index))
    if unknown:
        found = "; ".join(f"operator {kind} (node {', '.join(where)})" for kind, where in unknown.items())
        sums = sorted({node.op for node in nodes if node.op in SUMS})
        if sums:
            found += (
                f"; sums of {' and '.join(sums)} are scaled as floats: expected QLinearMatMul, QLinearConv or QDQ, as by quantize_static"
            )
        raise UnsupportedError(f"{path}: not read: {found}")
