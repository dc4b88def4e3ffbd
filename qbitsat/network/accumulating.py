"""What accumulators are kept in: the meaning of one step of theirs, and networks whose accumulators are so many bits and wrap around."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from fractions import Fraction
from typing import TypeVar

import numpy as np

from ..arithmetic import Float32Requantizer, Float64Requantizer, MultiplierRequantizer, Requantizer, ShiftRequantizer
from ..errors import InputError, UnsupportedError, argument
from .affine import Patches
from .convolution import Convolution
from .layers import Dense, Layer, Linear
from .network import Network
from .tensor import TensorFormat

# Values are 32-bit words, and so are sums that wrap around.
MOST_WRAPPED = 32

Kind = TypeVar("Kind")


def weighted_layers(network: Network) -> list[int]:
    """The numbers of the layers that multiply by weights, or of all if there are none."""
    return [k for k, layer in enumerate(network.layers) if isinstance(layer, Dense | Convolution)] or list(range(len(network.layers)))


def types_by_layer(text: str, layers: Sequence[int], parse: Callable[[str], Kind], default: Kind) -> dict[int, Kind]:
    """For each of these layers, by number, its type: 16 of all; 0=16,2=24 of single ones, the default of the others; 24,0=16 both.

    Raises `InputError`, as `parse` does.
    """
    own = dict[int, Kind]()
    for n, part in enumerate(re.split(r",(?![^<]*>)", text.strip())):
        number, equals, name = (piece.strip() for piece in part.rpartition("="))
        if not equals and not n:
            default = parse(name)
            continue
        if not re.fullmatch(r"\d{1,9}", number) or int(number) not in layers:
            raise InputError(f"{part!r}, expected LAYER=TYPE with one of the layers {', '.join(map(str, layers))}")
        own[int(number)] = parse(name)
    return {k: own.get(k, default) for k in layers}


def steps_of_sums(layer: Layer) -> list[Fraction]:
    """The real value of one step of the accumulators, of all, or of each channel or output, from requantizers and the output's scale; 0
    where a requantizer has no factor.
    """
    return [_factor(r) * Fraction(layer.output.scale) for r in layer.requantizers]


def _factor(requantizer: Requantizer) -> Fraction:
    """By what it multiplies accumulators, 0 where that is not one number."""
    if isinstance(requantizer, ShiftRequantizer):
        return Fraction(2) ** -requantizer.shift
    if isinstance(requantizer, MultiplierRequantizer):
        return requantizer.multiplier * Fraction(2) ** (requantizer.shift - 31)
    return Fraction(requantizer.scale) if isinstance(requantizer, Float32Requantizer | Float64Requantizer) else Fraction(0)


# --- wrap-around ---


@argument("accumulator")
def wrapped(network: Network, accumulator: int | str) -> Network:
    """The network with accumulators of so many bits of two's complement, 1 to 32, that wrap around: 16, or by layer as in "16,2=24".

    Layers that multiply by weights are meant, all of them or those that are named. Sums modulo 2**bits are the same in every order, so
    only whole sums matter. A layer that can leave its bits becomes two: the sums, and what the layer makes of them. Raises `InputError`,
    and `UnsupportedError` for more than 32 bits that may be left.
    """
    bits = types_by_layer(str(accumulator), weighted_layers(network), _bits, None)
    layers, reads = list[Layer](), list[np.ndarray]()
    # The new number of every value so far.
    places = [np.arange(network.num_inputs, dtype=np.int32)]
    end = network.num_inputs
    for k, layer in enumerate(network.layers):
        layers.append(layer)
        reads.append(np.concatenate(places)[network.reads[k]])
        own = bits.get(k)
        if own is not None and _may_leave(layer, own):
            layers[-1:] = _in_two(layer, own)
            reads.append(np.arange(end, end + layer.output.size, dtype=np.int32))
            end += layer.output.size
        places.append(np.arange(end, end + layer.output.size, dtype=np.int32))
        end += layer.output.size
    if len(layers) == len(network.layers):
        return network
    name, outputs = f"{network.name} (accumulator {accumulator})", np.concatenate(places)[network.outputs]
    return replace(network, layers=tuple(layers), name=name, reads=tuple(reads), outputs=outputs)


def _bits(text: str) -> int | None:
    if not re.fullmatch(r"\d{1,9}", text) or not int(text):
        raise InputError(f"{text!r}, expected bits from 1 to {MOST_WRAPPED}")
    return int(text)


def _may_leave(layer: Layer, bits: int) -> bool:
    """Whether some accumulator leaves so many bits for some values of the input's format, padding included.

    Twice an accumulator lies within (sum of |w|) (hi - lo) of (sum of w) (lo + hi) + 2 bias.
    """
    ends = [layer.input.lo, layer.input.hi, *([layer.input.zero_point] if layer.cells is not None else [])]
    lo, hi, affine = min(ends), max(ends), layer.affine
    for total, size, bias in zip(affine.totals().tolist(), affine.magnitudes().tolist(), affine.biases.tolist(), strict=True):
        middle, reach = total * (lo + hi) + 2 * bias, size * (hi - lo)
        if middle - reach < -(1 << bits) or middle + reach > (1 << bits) - 2:
            return True
    return False


def _in_two(layer: Layer, bits: int) -> list[Layer]:
    """The sums of a layer, which wrap around, and what becomes of them."""
    if bits > MOST_WRAPPED:
        raise UnsupportedError(f"layer {layer.name!r} may leave {bits} bits, expected at most {MOST_WRAPPED} that wrap around")
    lo, hi, count = -(1 << (bits - 1)), (1 << (bits - 1)) - 1, layer.output.size
    # The mean of different powers of two is none itself: it stands for no step of all.
    steps = set(steps_of_sums(layer))
    scale = float(sum(steps) / len(steps)) if 0 not in steps else 1 / 3
    form = TensorFormat(layer.output.shape, lo, hi, scale)
    sums = replace(layer, output=form, requantizers=(ShiftRequantizer(0, "floor", lo, hi, "wrap"),))
    single = Patches(count, np.arange(count), np.zeros(1, np.int32), 0, np.ones((1, 1, 1), np.int32), np.zeros((1, 1), np.int64))
    return [sums, Linear(f"{layer.name}.cast", replace(form, shape=(count,)), layer.output, layer.requantizers, single)]
