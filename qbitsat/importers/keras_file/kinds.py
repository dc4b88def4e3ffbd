"""The kinds of layers that are read, and what is said of the others: all of them at once, before anything else can fail."""

from __future__ import annotations

from functools import partial
from typing import Any

from ...network.float_layers import DEPTHWISE
from ..json_header import shown
from . import affine, functions, hgq, moves
from .node import Handler, Node
from .quantizers import is_quantizer, quantizer_text
from .settings import shown_name

MODELS = ("Sequential", "Functional", "Model")
INPUT = "InputLayer"
# Modules whose classes are Keras's own, QKeras's or HGQ's; old files name none.
MODULES = ("keras", "tf_keras", "qkeras", "hgq.layers", "tensorflow.keras", "tensorflow.python.keras")
OPERATIONS = ("keras.src.ops.", "keras.ops.")
OWN_CODE = ("Lambda", "TFOpLambda", "SlicingOpLambda", "TFSMLayer", "TorchModuleWrapper", "JaxLayer")


def of_function(node: Node, function: Any) -> int:
    return function(node, node.x, node.settings, True)


HANDLERS: dict[str, Handler] = {
    **moves.HANDLERS,
    "Dense": affine.dense,
    **{f"{prefix}Conv{axes}D": partial(affine.convolve, axes=axes, convolved=function)
       for prefix, function in (("", affine.plain), ("Depthwise", affine.depthwise), ("Separable", affine.separable)) for axes in (1, 2)},
    "BatchNormalization": affine.batch_normalization,
    "Rescaling": affine.rescaling,
    "Normalization": affine.normalization,
    **{kind: partial(of_function, function=function) for kind, function in functions.LAYERS.items()},
}  # fmt: skip
# Of QKeras, which round what Keras computes.
QUANTIZED = {f"Q{kind}": kind for kind in ("Dense", "Conv1D", "Conv2D", "DepthwiseConv2D", "Activation", "BatchNormalization")}


def kind_of_layer(layer: dict[str, Any]) -> str:
    """The kind of a layer of the file as Keras calls it."""
    kind = without_package(layer.get("class_name"))
    return QUANTIZED.get(kind, kind) if isinstance(kind, str) else ""


def without_package(kind: Any) -> Any:
    """The class of a layer: of QKeras for Keras 3 an .h5 has qkeras>QDense where a .keras has QDense."""
    own = kind.removeprefix("qkeras>") if isinstance(kind, str) else ""
    return own if own in QUANTIZED else kind


def is_operation(layer: dict[str, Any]) -> bool:
    """Whether it is one of Keras 3's functions, which are no layers."""
    return isinstance(layer.get("module"), str) and layer["module"].startswith(OPERATIONS)


def name_of_layer(layer: dict[str, Any]) -> str:
    """The name of a layer of the file; "" where it has none."""
    config = layer.get("config")
    name = config.get("name") if isinstance(config, dict) else None
    name = layer.get("name") if name is None else name
    return name if isinstance(name, str) else ""


def fault(layer: dict[str, Any]) -> str:
    """What keeps a layer of the file, which is no model, from being read, or ""."""
    kind, module, registered = (layer.get(key) for key in ("class_name", "module", "registered_name"))
    kind, place = without_package(kind), f"layer {shown_name(name_of_layer(layer))}"
    if not isinstance(kind, str):
        return f"{place}: class_name {shown(kind)}"
    if kind in OWN_CODE:
        return f"{place} ({kind}): code of its own, which is never run"
    if hgq.is_hgq(layer) and kind not in hgq.KINDS:
        return f"{place} ({shown_name(str(registered))[1:-1]}): of HGQ, whose {', '.join(hgq.KINDS)} are read"
    own = ">" in str(registered) and registered not in (f"qkeras>{kind}" if kind in QUANTIZED else "", f"hgq>{kind}")
    if (isinstance(module, str) and not module.split(".src")[0].startswith(MODULES)) or own or ">" in kind:
        return f"{place} ({shown_name(str(registered or kind))[1:-1]}): a class of its own"
    if is_operation(layer):
        return "" if kind in ("Add", "Subtract") else f"{place} (operation {shown_name(kind)[1:-1]})"
    if kind not in HANDLERS and kind not in QUANTIZED and kind != INPUT:
        return f"{place} ({shown_name(kind)[1:-1]})"
    config = layer.get("config")
    if not isinstance(config, dict):
        return f"{place}: config {shown(config)}"
    if found := functions.fault(config.get("activation")):
        return f"{place} ({kind}): {found}"
    policy = policy_of(config)
    if policy.startswith(("int", "float8")) and kind != INPUT:
        return f"{place} ({kind}): quantized by Keras ({shown_name(policy)[1:-1]}), expected floats"
    return ""


def policy_of(config: dict[str, Any]) -> str:
    """What a layer computes in, as "float32" or "mixed_float16"; "" where it does not say."""
    policy = config.get("dtype")
    policy = policy["config"].get("name") if isinstance(policy, dict) and isinstance(policy.get("config"), dict) else policy
    return policy if isinstance(policy, str) else ""


def is_half(config: dict[str, Any]) -> bool:
    """Whether a layer computes in floats of 16 bits."""
    return policy_of(config).endswith("float16")


def quantizers_of(layer: dict[str, Any]) -> tuple[tuple[str, str], ...]:
    """QKeras's quantizers of a layer's weights."""
    config = layer["config"]
    keys = (("kernel", "kernel_quantizer"), (DEPTHWISE, "depthwise_quantizer"), ("bias", "bias_quantizer"))
    return tuple((what, quantizer_text(config[key])) for what, key in keys if is_quantizer(config.get(key)))
