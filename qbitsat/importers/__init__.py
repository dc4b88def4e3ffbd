"""From files to networks and samples. Formats are told by their first bytes, never by the file's name alone."""

from __future__ import annotations

import warnings
from typing import Any

from ..errors import ArgumentError, InputError
from ..limits import NO_LIMITS, Limits
from ..network import Network
from ..network.accumulating import wrapped
from . import benchmark_h5, foreign, hdf5, onnx_file, qbitsat_file, tflite_file
from .files import Path, check_path, open_input, split_name
from .inputs import load_inputs, load_labels
from .npy import ZIP_MAGIC
from .qbitsat_file import save

__all__ = ["load", "load_inputs", "load_labels", "save"]


def load(
    path: Path,
    bits: int | None = None,
    input_bits: int | None = None,
    runtime: str | None = None,
    accumulator: int | str | None = None,
    *,
    limits: Limits = NO_LIMITS,
) -> Network:
    """The network in a file: qbitsat's own .npz, an int8 .tflite (needs the extra `tflite`), a quantized .onnx (needs the extra `onnx`),
    or benchmark weights in a Keras .h5 (needs the extra `keras`).

    runtime is whose rounding a .tflite or .onnx is computed with, one of RUNTIMES: by default "tflm", the reference kernels of TensorFlow
    Lite for Microcontrollers, and "onnxruntime". QONNX and other .onnx files whose operators are exact take none.

    Of a model with several outputs one is chosen by its name or number: `model.tflite:NAME`, `model.onnx:1`.

    bits and input_bits are the widths of an .h5 network, which its file does not hold; without them they are taken
    from a file name with `_qu_<bits>` and `_in_<input_bits>`, and input_bits is 8 if the name is silent too. limits are looked at
    before each layer of an .npz.

    accumulator asks what if accumulators wrapped around: the network with sums of so many bits, as in 16, or of single layers by their
    numbers, as in "0=16,2=24".
    """
    network = _load(path, bits, input_bits, runtime, limits)
    return network if accumulator is None else wrapped(network, accumulator)


def _load(path: Path, bits: int | None, input_bits: int | None, runtime: str | None, limits: Limits) -> Network:
    check_path(path)
    foreign.refuse_folder(path)
    file, output = split_name(path)
    with open_input(file) as stream:
        foreign.refuse_file(stream, file)
        magic = stream.read(foreign.HEAD)
    if not magic:
        raise InputError(f"{path}: is empty; expected a qbitsat network (.npz), a .tflite, an .onnx or Keras weights in HDF5 (.h5)")
    if output is not None and not (magic[4:8] == tflite_file.IDENTIFIER or onnx_file.is_onnx(magic, file)):
        raise InputError(f"{path}: {file} is no .tflite or .onnx, expected one before ':{output}'")
    if magic.startswith(ZIP_MAGIC):
        refuse(path, "a qbitsat network and has its own formats and rounding", bits=bits, input_bits=input_bits, runtime=runtime)
        network = qbitsat_file.read(path, limits)
        for note in network.notes[len(network.remarks) :]:
            warnings.warn(f"{path}: {note}", RuntimeWarning, stacklevel=3)
        return network
    if magic.startswith(hdf5.HDF5_MAGIC):
        refuse(path, "a Keras .h5 and has its own rounding", runtime=runtime)
        return benchmark_h5.read(path, bits, input_bits)
    if magic[4:8] == tflite_file.IDENTIFIER:
        refuse(path, "a .tflite and has its own formats", bits=bits, input_bits=input_bits)
        return tflite_file.read(path, runtime or tflite_file.RUNTIMES[0])
    if onnx_file.is_onnx(magic, file):
        refuse(path, "an .onnx and has its own formats", bits=bits, input_bits=input_bits)
        return onnx_file.read(path, runtime)
    raise InputError(f"{path}: unknown content; {foreign.READ}")


def refuse(path: Path, what: str, **given: Any) -> None:
    """Raise for an argument that says what the file says itself."""
    for name, value in given.items():
        if value is not None:
            raise ArgumentError(name, f"{value}, but {path} is {what}; expected none")
