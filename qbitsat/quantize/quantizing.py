"""From a float model, a format and calibration data to an integer network, and how far that is from the model."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ..errors import ArgumentError, InputError, expect_kind
from ..importers.inputs import fits
from ..limits import Limits
from ..network import Network, TensorFormat, classify
from ..network.float_network import FloatNetwork
from . import hgq, qkeras
from .calibration import Method, Observed, observe
from .fixed_point import FixedPointLowering
from .formats import FixedPoint, Format, Int8, Trained, parse_format
from .hls4ml import HlsLowering
from .int8 import Int8Lowering
from .losses import LayerReport, Report, float_classes
from .lowering import Lowering
from .prepare import prepared
from .trained import TrainedLowering

# How the models of each kind of file become those that they say.
TRAINED_MODELS = {"qkeras": qkeras.trained_model, "hgq": hgq.trained_model}


@dataclass(frozen=True)
class Quantized:
    """A network, and the report of what quantizing did."""

    network: Network
    report: Report


def quantize(
    model: FloatNetwork, format: str | Format, calibration: Any = None, *, method: str | Method | None = None, labels: Any = None
) -> Network:
    """The integer network of a float model in a format: "paper:8,5", "benchmark:6", "power-of-two:8,per-channel", "int8:tflm",
    "ap_fixed<16,6>", "qkeras", each with options as in docs/reference/files.md.

    calibration are samples of the model's input as it was trained, real numbers [n, *shape]: formats that choose scales or fractional
    bits need them. method says how those are chosen: "range", "percentile:99.9" or "mse"; without, "range" for int8 and else "mse".
    The network's remarks say what was clipped; where the model reads flat numbers, its input has the shape of the samples. See
    `quantize_with_report`.
    """
    return quantize_with_report(model, format, calibration, method=method, labels=labels).network


def quantize_with_report(
    model: FloatNetwork,
    format: str | Format,
    calibration: Any = None,
    *,
    method: str | Method | None = None,
    labels: Any = None,
    limits: Limits | None = None,
    lossy: bool = False,
) -> Quantized:
    """The same with a report: clipped weights and biases, the error of each layer on the calibration data, and with labels int[n] the
    accuracies of model and network on it. A layer whose biases mostly do not fit into their format is refused, or with `lossy` a remark.
    Raises `LimitReached` where a limit runs out.
    """
    limits = limits or Limits()
    expect_kind(model, FloatNetwork, "quantize: model", "a FloatNetwork, as of load_float(path)")
    form = parse_format(format) if isinstance(format, str) else format
    expect_kind(form, (FixedPoint, Int8, Trained), "quantize: format", "the name of a format, as in paper:8,5")
    if not isinstance(method, Method):
        method = Method.parse(method or ("range" if isinstance(form, Int8) else "mse"))
    real = None if calibration is None else samples_of(model, calibration)
    if isinstance(form, Trained):
        model = TRAINED_MODELS[form.kind](model)
    floats, remarks = prepared(model)
    seen = None if real is None else observe(floats, real, limits)
    # Images of a model that reads them flat stay images.
    shape = np.shape(calibration)[1:] if real is not None and len(model.inputs[0]) == 1 else None
    lowering = lowering_to(form, floats, seen, method, shape)
    network, probe, layers = lowering.run(form.runtime if isinstance(form, Int8) else "", limits)
    if lowering.misfits and not lossy:
        raise InputError(f"{model.place}: {'; '.join(lowering.misfits)}")
    inputs = None if real is None else integers_of(network, real)
    if real is not None and inputs is not None:
        errors = probe.errors(floats, inputs, real, limits)
        places = sorted(lowering.reports)
        layers = [replace(r, max_error=errors[k][0], mean_error=errors[k][1]) for k, r in zip(places, layers, strict=True)]
    doubts = (*lowering.misfits, *lowering.remarks.values())
    report = Report(tuple(layers), 0 if real is None else len(real), doubts=doubts)
    if labels is not None:
        if real is None or inputs is None:
            raise InputError("quantize: labels without calibration data, expected both")
        wanted = labels_of(labels, len(real))
        mine, theirs = classify(network, inputs, limits=limits), float_classes(floats, real, limits)
        report = replace(report, float_accuracy=float((theirs == wanted).mean()), accuracy=float((mine == wanted).mean()))
    said = (f"quantized to {form.name}", *model.remarks, *remarks, *doubts, *clipping(report.layers))
    return Quantized(replace(network, remarks=said), report)


def lowering_to(
    form: Format, floats: FloatNetwork, seen: dict[int, Observed] | None, method: Method, shape: tuple[int, ...] | None
) -> Lowering:
    """What makes layers of the format; shape is the input's, where it is not the model's own."""
    if isinstance(form, Int8):
        return Int8Lowering(floats, seen, method, form, shape)
    if isinstance(form, Trained):
        return TrainedLowering(floats, form.input, form.kind, shape or floats.inputs[0])
    return (HlsLowering if form.hls else FixedPointLowering)(floats, seen, method, form, shape)


def labels_of(labels: Any, count: int) -> np.ndarray:
    """Labels of so many samples, int[count]."""
    wanted = np.asarray(labels)
    if wanted.shape != (count,):
        raise InputError(f"quantize: labels of shape {wanted.shape}, expected ({count},), one for each sample")
    return wanted


def samples_of(model: FloatNetwork, samples: Any, what: str = "calibration") -> np.ndarray:
    """Real samples of the model's input, float64[n, *shape], finite; shapes as of `load_inputs`."""
    shape = model.inputs[0]
    array = np.asarray(samples)
    if array.dtype.kind not in "iuf":
        raise ArgumentError(what, f"dtype {array.dtype}, expected numbers")
    if not array.ndim or not len(array):
        raise ArgumentError(what, f"shape {array.shape}, expected at least one sample")
    if not fits(array.shape[1:], shape):
        raise ArgumentError(what, f"shape {array.shape}, expected (n, {', '.join(map(str, shape))})")
    real = array.astype(np.float64).reshape(len(array), *shape)
    if not np.isfinite(real).all():
        sample = int(np.argwhere(~np.isfinite(real))[0][0])
        raise ArgumentError(what, f"sample {sample} holds a number that is not finite")
    return real


def integers_of(network: Network, real: np.ndarray) -> np.ndarray:
    """Real samples as the network's input, int64[n, size]: the nearest integers, ties to even, within the range."""
    form = network.input
    return np.clip(form.steps(real.reshape(len(real), -1), form.scale), form.lo, form.hi).astype(np.int64)


def doubtful_units(samples: np.ndarray, form: TensorFormat, known: bool = False, are_steps: bool = False) -> str:
    """What to say of samples that look like numbers in another unit, unless it is known; else nothing.

    Real ones leave what the input can hold by more than a step, or are whole numbers that may stand for something else; steps of the input
    stay below half of what it holds.
    """
    least, most = float(samples.min()), float(samples.max())
    lo, hi = ((end - form.zero_point) * form.scale for end in (form.lo, form.hi))
    if are_steps:
        if 2 * max(abs(least), abs(most)) >= max(abs(form.lo), form.hi):
            return ""
        first, last = ((end - form.zero_point) * form.scale for end in (least, most))
        taken = f"are taken for steps of the input, {first:g} to {last:g} where it holds {lo:g} to {hi:g}"
        return f"whole numbers from {least:g} to {most:g} {taken}; if they are not, give their --unit"
    if least < lo - form.scale or most > hi + form.scale:
        return f"values from {least:g} to {most:g}, but the input holds {lo:g} to {hi:g} and clips what is outside; is --unit right?"
    if not known and most - least > 1 and np.array_equal(np.rint(samples), samples):
        return f"whole numbers from {least:g} to {most:g} are taken for what the model was trained on; if it was not, give their --unit"
    return ""


def clipping(layers: tuple[LayerReport, ...]) -> tuple[str, ...]:
    """What is lost of weights and biases, in words."""
    losses = [layer.loss for layer in layers if layer.loss]
    clipped = [sum(loss.weights_clipped for loss in losses), sum(loss.biases_clipped for loss in losses)]
    if not any(clipped):
        return ()
    sizes = [sum(loss.weights for loss in losses), sum(loss.biases for loss in losses)]
    return (f"of {sizes[0]} weights and {sizes[1]} biases {clipped[0]} and {clipped[1]} were clipped",)
