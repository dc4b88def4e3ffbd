"""QKeras's quantizers: kept as words beside the layers that they are of, for who quantizes the network."""

from __future__ import annotations

import json
import re
from typing import Any

from ...network.names import printable

# What a quantizer is called begins with one of these.
BEGINNINGS = ("quantized_", "bernoulli", "binary", "ternary", "stochastic_")
MAX_TEXT = 300


def name_of(spec: Any) -> str:
    """The name of a quantizer given as text, "quantized_bits(6,0)", or as class and config; "" for anything else."""
    if isinstance(spec, dict) and isinstance(spec.get("class_name"), str) and isinstance(spec.get("config"), dict):
        return spec["class_name"].split(">")[-1]
    found = re.match(r"[a-z0-9_]+(?=\(|$)", spec) if isinstance(spec, str) else None
    return found[0] if found else ""


def is_quantizer(spec: Any) -> bool:
    return name_of(spec).startswith(BEGINNINGS)


def quantizer_text(spec: Any) -> str:
    """A quantizer in QKeras's words: quantized_bits(bits=6,integer=0,keep_negative=1)."""
    if isinstance(spec, str):
        return printable(spec)[:MAX_TEXT]
    values = ",".join(f"{key}={shown_value(value)}" for key, value in spec["config"].items() if value is not None)
    return printable(f"{name_of(spec)}({values})")[:MAX_TEXT]


def shown_value(value: Any) -> str:
    """Numbers and words as they are, all else as JSON."""
    return str(value) if isinstance(value, bool | int | float | str) else json.dumps(value)


def relu_of(spec: Any) -> tuple[Any, ...]:
    """The activation of ours that a quantizer of activations rounds."""
    name = name_of(spec)
    return (next((kind for kind in ("relu", "tanh", "sigmoid") if name == f"quantized_{kind}"), "linear"),)
