"""The small networks and images that ship with the package: handwritten digits, 64-16-10 at 6 bits (docs/lab/example.md), the float
model that it was made of, and an int8 .tflite with two convolutions, whose input is real values from 0 to 1: 16/255 of the images'
values a step. And a float model of four neurons that is robust with 5 bits and with 7, and not with 6.

network = qbitsat.load(qbitsat.examples.network_path())
x, label = qbitsat.examples.sample(0)
"""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path

import numpy as np

from ..arithmetic import integer
from ..network.float_network import Activation, FloatDense, FloatNetwork

__all__ = ["float_path", "images_path", "labels_path", "network_path", "nonmonotonic", "sample", "tflite_path"]


def network_path() -> Path:
    """The quantized network, for `qbitsat.load`."""
    return _path("digits.npz")


def float_path() -> Path:
    """The float model before it was quantized, of Keras, for `qbitsat.load_float`: 1 is the brightest value of its input."""
    return _path("digits.keras")


def tflite_path() -> Path:
    """The convolutional network, as TensorFlow converted it to int8; bench/train_digits_tflite.py made it."""
    return _path("digits.tflite")


def images_path() -> Path:
    """50 images the network was not trained on: uint8 (50, 8, 8), values 0 to 16."""
    return _path("digits_images.npy")


def labels_path() -> Path:
    """The digits the images show: int64 (50,)."""
    return _path("digits_labels.npy")


def nonmonotonic() -> tuple[FloatNetwork, np.ndarray, int]:
    """A float model 2-2-2 with ReLU-7, an input in 16ths, int64 (2,), and its class: robust at distance 2 as it is, and with 5, 7, 8 or 9
    bits of the format "paper:B,input=u4.4", but not with 6 (TACAS 2020 has an example of the same kind in its Fig. 2).
    """
    layers = (
        FloatDense("hidden", (-1,), np.array([[-0.2, 0.8], [0.4, -0.2]]), np.zeros(2)),
        Activation("relu7", (0,), "relu_n", 7.0),
        FloatDense("output", (1,), np.array([[0.6, -0.5], [-1.4, 0.9]]), np.zeros(2)),
    )
    return FloatNetwork(((2,),), layers, name="nonmonotonic"), np.array([11, 9]), 0


def sample(index: int) -> tuple[np.ndarray, int]:
    """One of the images, int64 (8, 8), and the digit that it shows, for `qbitsat.robustness`; else `InputError`."""
    images, labels = np.load(images_path()), np.load(labels_path())
    index = integer(index, "sample", 0, len(images) - 1)
    return images[index].astype(np.int64), int(labels[index])


def _path(name: str) -> Path:
    return Path(str(files(__package__) / name))
