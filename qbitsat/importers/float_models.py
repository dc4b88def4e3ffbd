"""Float models, from whichever format they are in. Formats are told by their first bytes."""

from __future__ import annotations

import os

from ..errors import ArgumentError, UnsupportedError
from ..network.float_network import FloatNetwork
from . import foreign, keras_file, onnx_floats, saved_model
from .files import Path, check_path, open_input
from .hdf5 import HDF5_MAGIC
from .keras_file.described import Description
from .npy import ZIP_MAGIC
from .onnx_file import is_onnx

READ = "qbitsat reads float models of Keras (.keras, .h5), of ONNX (.onnx) and of TensorFlow (SavedModel)"


def load_float(path: Path, layers: Description | None = None) -> FloatNetwork:
    """The float model in a .keras archive or a Keras .h5 (both need the extra `keras`), or in an .onnx (the extra `onnx`), to be quantized;
    or in the folder of a SavedModel, which TensorFlow loads (the extra `train`).

    layers describe an .h5 that holds the weights of dense layers alone: "784,64,32,10" is an input of 784 numbers and three layers with
    ReLU between them; "28x28,64:relu7,10:softmax" says the input's shape and activations, of linear, relu, reluN, sigmoid, tanh and
    softmax. They may be a list of such parts.

    Batch normalization is folded into the weights before it, dropout is left out. Nothing in a file is run, unpickled or followed out of
    it, but for a SavedModel, which is a program of TensorFlow: load only those that you trust. Raises `InputError` for what is damaged, and
    `UnsupportedError` that names every layer which is not read.
    """
    check_path(path)
    if os.path.isfile(os.path.join(path, saved_model.FILE)) and layers is None:
        return saved_model.read(path)
    with open_input(path) as stream:
        magic = stream.read(foreign.HEAD)
    is_h5 = magic.startswith(HDF5_MAGIC)
    if layers is not None and not is_h5:
        raise ArgumentError("layers", f"{layers!r:.80}, but {path} is no .h5 of weights and says its layers itself; expected none")
    if is_h5:
        return keras_file.read_h5(path, layers)
    if magic.startswith(ZIP_MAGIC):
        with open_input(path) as stream:
            is_ours = foreign.is_npz(stream)
        if is_ours:
            raise UnsupportedError(f"{path}: a network of integers (.npz), no float model; {READ}")
        return keras_file.read_archive(path)
    if is_onnx(magic, path):
        return onnx_floats.read(path)
    raise UnsupportedError(f"{path}: no float model; {READ}")
