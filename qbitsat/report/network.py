"""What a network is made of: layers, formats, rounding, sizes, and the accumulators it needs."""

from __future__ import annotations

from collections.abc import Iterable

from ..arithmetic import Requantizer
from ..bounds.intervals import propagate_boxes
from ..bounds.ranges import LayerRanges
from ..network import Layer, Network, Patches, TensorFormat
from ..network.names import printable
from ..properties import Box
from .table import table

HEADER = ("layer", "kind", "input", "output", "range", "scale", "zero point", "rounding", "shift", "overflow", "offset",
          "weights", "multiply-adds", "accumulator", "bits")  # fmt: skip


def describe(network: Network) -> str:
    """The network in a dozen lines and a row for each layer; accumulators are exact ranges over all inputs."""
    whole = Box(*(end[: network.num_inputs] for end in network.value_ranges))
    ranges = propagate_boxes((network,), (whole,))
    weights, products, biases = (sum(counts) for counts in zip(*map(sizes, network.layers), strict=True))
    facts = [
        ("network", network.name),
        ("source", printable(network.source) or "-"),
        *([("runtime", network.runtime)] if network.runtime else []),
        ("sha256", network.sha256),
        *(("input" if len(network.inputs) == 1 else f"input_{k}", format_text(form)) for k, form in enumerate(network.inputs)),
        ("output", format_text(network.output)),
        ("parameters", f"{weights} weights, {biases} biases; {products} multiply-adds"),
    ]
    facts += [("note", note) for note in network.notes]
    head = "\n".join(f"{name:<12}{value}" for name, value in facts)
    rows = [row(layer, ranges.layer(0, k)) for k, layer in enumerate(network.layers)]
    return f"{head}\n\n{table([HEADER, *rows])}"


def format_text(form: TensorFormat) -> str:
    """A tensor's shape, range and meaning in words."""
    noun = "integer" if form.size == 1 else "integers"
    return f"{shape_text(form.shape)} {noun} in [{form.lo}, {form.hi}], scale {form.scale:g}, zero point {form.zero_point}"


def shape_text(shape: tuple[int, ...]) -> str:
    return "x".join(map(str, shape))


def row(layer: Layer, ranges: LayerRanges) -> tuple[object, ...]:
    """A layer's cells, in the order of HEADER."""
    form = layer.output
    acc_lo, acc_hi = int(ranges.acc_lo.min()), int(ranges.acc_hi.max())
    parameters = [common(column) for column in zip(*map(steps, layer.requantizers), strict=True)]
    return (
        layer.name, type(layer).__name__, shape_text(layer.input.shape), shape_text(form.shape), f"[{form.lo}, {form.hi}]",
        f"{form.scale:g}", form.zero_point, *parameters,
        *sizes(layer)[:2], f"[{acc_lo}, {acc_hi}]", word_bits(acc_lo, acc_hi),
    )  # fmt: skip


def sizes(layer: Layer) -> tuple[int, int, int]:
    """Weights, each once however many positions share it, multiply-adds, and biases."""
    weights = getattr(layer, "weights", None)
    affine = layer.affine
    biases = affine.bias.size if isinstance(affine, Patches) else affine.n_out
    return affine.num_weights if weights is None else weights.size, affine.num_products, biases


def steps(requantizer: Requantizer) -> tuple[object, ...]:
    """Rounding, shift, overflow and offset of a requantizer, those that it has."""
    kind = type(requantizer).__name__.removesuffix("Requantizer").lower()
    rounding = getattr(requantizer, "rounding", None) or getattr(requantizer, "form", kind)
    return rounding, getattr(requantizer, "shift", "-"), getattr(requantizer, "overflow", "saturate"), getattr(requantizer, "offset", 0)


def common(values: Iterable[object]) -> object:
    """The value that all channels share, or how many different ones there are."""
    different = set(values)
    return different.pop() if len(different) == 1 else f"{len(different)} kinds"


def word_bits(lo: int, hi: int) -> int:
    """Bits of the smallest word that holds all of [lo, hi]: two's complement if lo is negative."""
    magnitude = max((~lo if lo < 0 else lo).bit_length(), (~hi if hi < 0 else hi).bit_length())
    return magnitude + 1 if lo < 0 else max(1, magnitude)
