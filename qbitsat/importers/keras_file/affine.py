"""Dense layers, convolutions, normalizations and scales of Keras files."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ...errors import InputError
from ...network.float_network import FloatConvolution, FloatDense, Reshape, Scale, Transpose
from ..float_builder import same_padding
from .functions import activated
from .node import Node, refused
from .settings import Settings
from .weights import Shape

# Below it Keras divides by it.
LEAST_DEVIATION = 1e-7


def dense(node: Node) -> int:
    """Along the last axis: of more axes it is a convolution of one cell."""
    shape, units = node.shape, node.settings.whole("units")
    found = node.variables(with_bias(node, {"kernel": (shape[-1], units)}, units))
    bias = found.get("bias", np.zeros(units))
    if len(shape) == 1:
        y = node.add(FloatDense, "", node.x, found["kernel"].T, bias, quantizers=node.quantizers)
    else:
        image = shape if len(shape) == 3 else (1, math.prod(shape[:-1]), shape[-1])
        x = node.add(Reshape, "image", node.x, image)
        y = node.add(FloatConvolution, "", x, found["kernel"].T[:, None, None], bias, quantizers=node.quantizers)
        y = node.add(Reshape, "before", y, (*shape[:-1], units))
    return activated(node, y, node.settings.get("activation", None))


def with_bias(node: Node, shapes: dict[str, Shape | None], size: int) -> dict[str, Shape | None]:
    return {**shapes, "bias": (size,)} if node.settings.flag("use_bias", True) else shapes


class Window:
    """Kernel, strides, dilation and padding of a layer over images, which sequences are too."""

    def __init__(self, node: Node, axes: int, shape: Shape, key: str, strides: Any = 1):
        settings = node.settings
        one = (1,) * (2 - axes)
        self.kernel: tuple[int, int] = pair(one + settings.sizes(key, axes))
        given = settings.values.get("strides") is not None
        self.strides: tuple[int, int] = (
            pair(one + settings.sizes("strides", axes)) if given else (self.kernel if strides is None else (1, 1))
        )
        self.dilation: tuple[int, int] = pair(one + settings.sizes("dilation_rate", axes, 1))
        kind = settings.word("padding", "valid", ("valid", "same", "causal") if axes == 1 and key == "kernel_size" else ("valid", "same"))
        self.padding = ((0, 0), (0, 0))
        if kind == "same":
            sides = [same_padding(*n) for n in zip(shape, self.kernel, self.strides, self.dilation, strict=False)]
            self.padding = (sides[0], sides[1])
        elif kind == "causal":
            self.padding = ((0, 0), ((self.kernel[1] - 1) * self.dilation[1], 0))


def pair(sizes: tuple[int, ...]) -> tuple[int, int]:
    return sizes[0], sizes[1]


def convolve(node: Node, axes: int, convolved: Any) -> int:
    """The layer's activation after what `convolved` gives for an image and its window."""
    x = node.image(axes)
    y = convolved(node, axes, x, Window(node, axes, node.builder.shape(x), "kernel_size"))
    return activated(node, node.as_before(y, axes), node.settings.get("activation", None))


def kernel_shape(node: Node, axes: int) -> Shape:
    return node.settings.sizes("kernel_size", axes)


def plain(node: Node, axes: int, x: int, window: Window) -> int:
    channels, filters = node.builder.shape(x)[2], node.settings.whole("filters")
    groups = node.settings.whole("groups", 1)
    if channels % groups:
        raise InputError(f"{node.place}: {groups} groups do not divide {channels} channels")
    if node.settings.values.get("mask") is not None:
        raise refused(node, "a mask of its kernel, which is not read")
    found = node.variables(with_bias(node, {"kernel": (*kernel_shape(node, axes), channels // groups, filters)}, filters))
    weights = found["kernel"].reshape(*window.kernel, channels // groups, filters).transpose(3, 0, 1, 2)
    bias = found.get("bias", np.zeros(filters))
    return convolution(node, "", x, weights, bias, window, groups, node.quantizers)


def convolution(
    node: Node, what: str, x: int, weights: np.ndarray, bias: np.ndarray, window: Window, groups: int, quantizers: Any = ()
) -> int:
    geometry = window.strides, window.padding, window.dilation
    return node.add(FloatConvolution, what, x, weights, bias, *geometry, groups, quantizers=quantizers)


def by_channel(kernel: np.ndarray, window: Window) -> np.ndarray:
    """The weights of a depthwise convolution, of a kernel (..., channels, multiplier)."""
    channels, multiplier = kernel.shape[-2:]
    return kernel.reshape(*window.kernel, channels * multiplier).transpose(2, 0, 1)[..., None]


def depthwise(node: Node, axes: int, x: int, window: Window) -> int:
    channels, multiplier = node.builder.shape(x)[2], node.settings.whole("depth_multiplier", 1)
    outputs = channels * multiplier
    found = node.variables(with_bias(node, {"depthwise_kernel": (*kernel_shape(node, axes), channels, multiplier)}, outputs))
    weights, bias = by_channel(found["depthwise_kernel"], window), found.get("bias", np.zeros(outputs))
    return convolution(node, "", x, weights, bias, window, channels, node.quantizers)


def separable(node: Node, axes: int, x: int, window: Window) -> int:
    """A depthwise convolution, and one of single cells after it."""
    channels, filters, multiplier = node.builder.shape(x)[2], node.settings.whole("filters"), node.settings.whole("depth_multiplier", 1)
    inner = channels * multiplier
    shapes: dict[str, Shape | None] = {
        "depthwise_kernel": (*kernel_shape(node, axes), channels, multiplier),
        "pointwise_kernel": (*(1,) * axes, inner, filters),
    }
    found = node.variables(with_bias(node, shapes, filters))
    y = convolution(node, "depthwise", x, by_channel(found["depthwise_kernel"], window), np.zeros(inner), window, channels)
    weights = found["pointwise_kernel"].reshape(inner, filters).T[:, None, None]
    return node.add(FloatConvolution, "", y, weights, found.get("bias", np.zeros(filters)))


# --- scales ---


def scaled(node: Node, scale: np.ndarray, shift: np.ndarray, axis: int) -> int:
    """scale * x + shift with a number for each entry of an axis, or with one, or for each element."""
    axes = len(node.shape)
    if axis == axes - 1 or scale.size == 1 == shift.size:
        return node.add(Scale, "", node.x, scale, shift)
    order = (*(k for k in range(axes) if k != axis), axis)
    x = node.add(Transpose, "channels_last", node.x, order)
    y = node.add(Scale, "", x, scale, shift)
    return node.add(Transpose, "before", y, tuple(order.index(k) for k in range(axes)))


def batch_normalization(node: Node) -> int:
    """gamma * (x - mean) / sqrt(variance + epsilon) + beta."""
    axis, settings = node.axis("axis", -1), node.settings
    size, names = node.shape[axis], []
    names += [name for name, key in (("gamma", "scale"), ("beta", "center")) if settings.flag(key, True)]
    found = node.variables(dict.fromkeys((*names, "moving_mean", "moving_variance"), (size,)))
    with np.errstate(all="ignore"):
        scale = found.get("gamma", np.ones(size)) / np.sqrt(found["moving_variance"] + settings.number("epsilon", 1e-3))
        return scaled(node, scale, found.get("beta", np.zeros(size)) - scale * found["moving_mean"], axis)


def rescaling(node: Node) -> int:
    scale, shift = (numbers(node.settings, key, default) for key, default in (("scale", None), ("offset", 0.0)))
    return scaled(node, scale, shift, len(node.shape) - 1)


def numbers(settings: Settings, key: str, default: Any) -> np.ndarray:
    """A number, or an array of them, as one axis."""
    found = settings.get(key, default)
    found = found.get("config", found).get("value") if isinstance(found, dict) and isinstance(found.get("config", found), dict) else found
    try:
        array = np.array(found, np.float64).reshape(-1)
    except (ValueError, TypeError, OverflowError):
        raise settings.wrong(key, "a number or a list of them") from None
    return array


def normalization(node: Node) -> int:
    """(x - mean) / sqrt(variance), of constants in the settings or of what was learned of the data."""
    settings, shape = node.settings, node.shape
    axis = settings.values.get("axis", -1)
    kept = () if axis is None else tuple(range(len(shape))) if len(shape) == 1 else (node.axis("axis", -1),)
    if settings.values.get("mean") is not None:
        mean, variance = (numbers(settings, key, None) for key in ("mean", "variance"))
    else:
        found = node.variables({name: tuple(shape[k] for k in kept) for name in ("mean", "variance")})
        mean, variance = (found[name].reshape(-1) for name in ("mean", "variance"))
    with np.errstate(all="ignore"):
        deviation = np.maximum(np.sqrt(variance), LEAST_DEVIATION)
        scale, shift = (deviation, mean) if settings.flag("invert", False) else (1 / deviation, -mean / deviation)
    if settings.values.get("mean") is not None and len({mean.size, variance.size}) != 1:
        raise refused(node, f"{mean.size} means and {variance.size} variances, expected as many")
    return scaled(node, scale, shift, kept[0] if kept else 0)
