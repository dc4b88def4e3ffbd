"""Keras .h5 weights of the quantized benchmark networks of two papers, read with h5py alone.

Henzinger, Lechner and Zikelic (AAAI 2021), "Scalable Verification of Quantized Neural Networks", and Zhang et al.
(ASE 2022), "QVIP". With Q bits, of which an activation has Q - 2 fractional (the input has all its bits fractional):

    weight = Q signed bits, Q - 1 fractional;   bias = Q signed bits, Q - 2 fractional
    acc    = sum(weight * x) + bias * 2**(F_in + 1)
    y      = saturate(round_half_up(acc / 2**(F_in + 1)))

to [0, 2**Q - 1] in hidden layers and [-2**(Q - 1), 2**(Q - 1) - 1] in the last one.
"""

from __future__ import annotations

import os
import re
import warnings
from typing import NamedTuple

import numpy as np

from ..arithmetic import ShiftRequantizer, integer
from ..errors import ArgumentError, InputError, UnsupportedError
from ..network import Dense, Network, TensorFormat
from ..network.names import printable
from .files import Path, placed
from .foreign import refuse_h5
from .hdf5 import Source, follow, opened, read_floats

# The part of a layer's weights that may become 0 without a warning.
SERIOUS = 0.25
Weights = tuple[str, np.ndarray, np.ndarray]  # name, kernel (inputs x outputs), bias


def read(path: Path, bits: int | None = None, input_bits: int | None = None) -> Network:
    """The network in the file, quantized on load; see `load` for the two widths."""
    with opened(path, str(path)) as source:
        refuse_h5(source.group, path)
        weights = read_layers(source, str(path))
    bits = width("bits", bits, path, r"_qu_(\d+)", None, (2, 16))
    input_bits = width("input_bits", input_bits, path, r"_in_(\d+)", 8, (1, 16))
    losses = [loss(*layer, bits) for layer in weights]
    note = said(losses, bits)
    if any(entry.is_serious for entry in losses):
        warnings.warn(f"{path}: {note}", RuntimeWarning, stacklevel=4)
    with placed(str(path)):
        name = printable(os.path.splitext(os.path.basename(path))[0])
        return Network(build(weights, bits, input_bits), name, os.fsdecode(path), (note,) if note else ())


def width(name: str, given: int | None, path: Path, pattern: str, default: int | None, limits: tuple[int, int]) -> int:
    """A number of bits: the argument wins over the file name, that over the default."""
    value = given
    if given is None:
        found = re.search(pattern, os.path.basename(path))
        value = int(found[1]) if found else default
    if value is None:
        raise InputError(f"{path}: the file does not say how many bits the network has; expected --bits, or _qu_<bits> in its name")
    try:
        return integer(value, name, *limits)
    except InputError:
        said = f"{value!r}, expected a whole number from {limits[0]} to {limits[1]}"
        raise (ArgumentError(name, said) if given is not None else InputError(f"{path}: {name} in the file name: {said}")) from None


# --- the file ---


def read_layers(source: Source, path: str) -> list[Weights]:
    """(name, kernel, bias) of each layer that has weights, in the order of the attribute layer_names."""
    layers: list[Weights] = []
    for layer in source.names("layer_names", path):
        place = f"{path}: layer {layer!r}"
        group = source.at(layer, place)
        weights = group.names("weight_names", place)
        if not weights:
            # Only what does nothing to the numbers: a pooling or activation layer has no weights either.
            if not re.fullmatch(r"(dropout|flatten|input|input_layer)(_\d+)?", layer):
                raise UnsupportedError(f"{place}: expected quantized_dense, dropout, flatten or input layers")
            continue
        found = {name.rsplit("/", 1)[-1]: name for name in weights}
        if not re.fullmatch(r"quantized_dense(_\d+)?", layer) or len(weights) != 2 or set(found) != {"kernel:0", "bias:0"}:
            raise UnsupportedError(f"{place}: weights {weights}, expected quantized_dense layers with kernel:0 and bias:0")
        kernel = read_floats(follow(group.group, found["kernel:0"], place), 2, f"{place}: kernel:0")
        bias = read_floats(follow(group.group, found["bias:0"], place), 1, f"{place}: bias:0")
        n_in = len(layers[-1][2]) if layers else len(kernel)
        if kernel.shape != (n_in, len(bias)):
            raise InputError(f"{place}: kernel:0 has shape {kernel.shape}, expected ({n_in}, {len(bias)})")
        layers.append((layer, kernel, bias))
    if not layers:
        raise InputError(f"{path}: no layer has weights; expected at least one quantized_dense layer")
    return layers


# --- the network ---


def quantize(values: np.ndarray, bits: int, fraction: int) -> np.ndarray:
    """Fixed-point int64 of `bits` signed bits, `fraction` of them fractional: saturated, ties away from zero."""
    top = 1 << (bits - 1)
    # The values scaled by a power of two, and their distance to the integer below, are exact; adding 1/2 would not be.
    scaled = np.clip(values, -top * 2.0**-fraction, (top - 1) * 2.0**-fraction) * 2.0**fraction
    size = np.abs(scaled)
    whole = np.floor(size)
    return (np.sign(scaled) * (whole + (size - whole >= 0.5))).astype(np.int64)


class Loss(NamedTuple):
    """What quantization does to a layer: how many weights and biases there are, are clipped, and become 0 without being it.

    is_serious says that it is more than rounding: something is clipped by more than a step, or a quarter of the weights becomes 0. Of the
    networks of both papers no weight is clipped, and up to 6 % become 0.
    """

    layer: str
    weights: int
    biases: int
    weights_clipped: int
    biases_clipped: int
    weights_zeroed: int
    biases_zeroed: int
    is_serious: bool

    @property
    def counts(self) -> tuple[int, ...]:
        """What is lost."""
        return self[3:7]


def loss(layer: str, kernel: np.ndarray, bias: np.ndarray, bits: int) -> Loss:
    """The losses of one layer of floats."""
    counts, farthest = [], 0.0
    for values, fraction in ((kernel, bits - 1), (bias, bits - 2)):
        top, integers, scaled = 1 << (bits - 1), quantize(values, bits, fraction), values * 2.0**fraction
        outside = (scaled >= top - 0.5) | (scaled <= -top - 0.5)
        counts.append((values.size, int(outside.sum()), int(((integers == 0) & (values != 0)).sum())))
        farthest = max(farthest, float(np.abs(scaled - integers).max()))
    is_serious = farthest > 1 or counts[0][2] > SERIOUS * kernel.size
    (weights, clipped, zeroed), (biases, biases_clipped, biases_zeroed) = counts
    return Loss(layer, weights, biases, clipped, biases_clipped, zeroed, biases_zeroed, is_serious)


def said(losses: list[Loss], bits: int) -> str:
    """The losses of all layers in words, and which layer lost most; "" if nothing is lost."""
    if not any(any(entry.counts) for entry in losses):
        return ""
    weights, biases, clipped, biases_clipped, zeroed, biases_zeroed = (
        sum(column) for column in zip(*(e[1:7] for e in losses), strict=True)
    )
    text = (
        f"quantized from floats to {bits} bits: of {weights} weights and {biases} biases {clipped} and {biases_clipped} were clipped, "
        f"{zeroed} and {biases_zeroed} became 0"
    )
    worst = max(losses, key=lambda entry: sum(entry.counts) / (entry.weights + entry.biases))
    if worst.is_serious:
        text += f"; most in layer {worst.layer}: of {worst.weights} weights {worst.weights_clipped} and {worst.weights_zeroed}"
    return text


def build(weights: list[Weights], bits: int, input_bits: int) -> tuple[Dense, ...]:
    """The layers; the last one is signed."""
    n_in, fraction = len(weights[0][1]), input_bits
    source = TensorFormat((28, 28) if n_in == 784 else (n_in,), 0, (1 << input_bits) - 1, 2.0**-input_bits)
    layers = []
    for name, kernel, bias in weights:
        lo = -(1 << (bits - 1)) if name == weights[-1][0] else 0
        target = TensorFormat((len(bias),), lo, lo + (1 << bits) - 1, 2.0 ** -(bits - 2))
        requantizer = ShiftRequantizer(fraction + 1, "half_up", target.lo, target.hi)
        integers = quantize(kernel.T, bits, bits - 1), quantize(bias, bits, bits - 2) << (fraction + 1)
        layers.append(Dense(name, source, target, (requantizer,), *integers))
        source, fraction = target, bits - 2
    return tuple(layers)
