"""Activations of Keras files: as layers, and as what other layers end with."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ...errors import UnsupportedError
from ...network.float_network import Activation, Clip, Scale
from .node import Node, refused
from .quantizers import is_quantizer, quantizer_text, relu_of
from .settings import Settings, shown_name

# By name, as Keras has them: the kind of ours, with its number.
WORDS: dict[str, tuple[Any, ...]] = {
    "linear": ("linear",),
    "relu": ("relu",),
    "relu6": ("relu_n", 6.0),
    "sigmoid": ("sigmoid",),
    "tanh": ("tanh",),
    "softmax": ("softmax",),
    "leaky_relu": ("leaky_relu", 0.0, 0.2),
}
OTHERS = ("hard_sigmoid",)


def fault(spec: Any) -> str:
    """What keeps an activation from being read, or ""."""
    if spec is None or is_quantizer(spec):
        return ""
    if isinstance(spec, str):
        return "" if spec in WORDS or spec in OTHERS else f"activation {shown_name(spec)}"
    spec = spec if isinstance(spec, dict) else {}
    kind = spec.get("class_name")
    if isinstance(kind, str) and kind in LAYERS and isinstance(spec.get("config"), dict):
        return fault(spec["config"].get("activation")) if kind == "Activation" else ""
    if isinstance(spec.get("config"), str):
        return f"activation {shown_name(spec['config'])}, a function of its own"
    return f"activation {shown_name(str(kind))}"


def activated(node: Node, x: int, spec: Any, own: bool = False) -> int:
    """A tensor after an activation that `fault` finds none with; own says that it is all that the layer is."""
    if spec is None:
        return x
    if found := fault(spec):
        raise UnsupportedError(f"{node.place}: {found}")
    if is_quantizer(spec):
        kind = relu_of(spec)
        quantizers = (("output", quantizer_text(spec)),)
        return node.add(Activation, "" if own else kind[0], x, *kind, quantizers=quantizers)
    if isinstance(spec, str):
        return named(node, x, spec, own)
    return LAYERS[spec["class_name"]](node, x, Settings(spec["config"], node.place), own)


def named(node: Node, x: int, word: str, own: bool) -> int:
    """Keras 2 has another hard sigmoid than Keras 3."""
    if word == "linear":
        return x
    if word in WORDS:
        return node.add(Activation, "" if own else word, x, *WORDS[word])
    slope = 1 / 6 if node.version >= 3 else 0.2
    line = node.add(Scale, f"{word}.line", x, np.array([slope]), np.array([0.5]))
    return node.add(Clip, "" if own else word, line, 0.0, 1.0)


def activation(node: Node, x: int, settings: Settings, own: bool) -> int:
    return activated(node, x, settings.get("activation"), own)


def relu(node: Node, x: int, settings: Settings, own: bool) -> int:
    """negative_slope * x below 0, and at most max_value."""
    if settings.values.get("threshold") and settings.number("threshold") != 0:
        raise refused(node, f"threshold {settings.number('threshold')}, expected 0")
    most = math.inf if settings.values.get("max_value") is None else settings.number("max_value")
    slope = 0.0 if settings.values.get("negative_slope") is None else settings.number("negative_slope")
    what = "" if own else "relu"
    if slope == 0:
        return node.add(Activation, what, x, *(("relu",) if most == math.inf else ("relu_n", most)))
    x = node.add(Activation, what, x, "leaky_relu", 0.0, slope)
    return x if most == math.inf else node.add(Clip, "max", x, -math.inf, most)


def leaky_relu(node: Node, x: int, settings: Settings, own: bool) -> int:
    """Its slope has another name in Keras 2."""
    slope = settings.number("negative_slope" if "negative_slope" in settings.values else "alpha", 0.3)
    return node.add(Activation, "" if own else "leaky_relu", x, "leaky_relu", 0.0, slope)


def softmax(node: Node, x: int, settings: Settings, own: bool) -> int:
    axes = len(node.builder.shape(x))
    axis = settings.values.get("axis", -1)
    if axis not in (-1, axes, [-1], [axes]):
        raise refused(node, f"softmax along axis {axis!r:.40}, expected the last one")
    return node.add(Activation, "" if own else "softmax", x, "softmax")


LAYERS: dict[str, Any] = {"Activation": activation, "ReLU": relu, "LeakyReLU": leaky_relu, "Softmax": softmax}
