"""The small networks and images that ship with the package: handwritten digits, 64-16-10 at 6 bits (docs/lab/example.md), the float
model that it was made of, and an int8 .tflite with two convolutions, whose input is real values from 0 to 1: 16/255 of the images'
values a step.

network = qbitsat.load(qbitsat.examples.network_path())
x, label = qbitsat.examples.sample(0)
"""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path

import numpy as np

from ..arithmetic import integer

__all__ = ["float_path", "images_path", "labels_path", "network_path", "sample", "tflite_path"]


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


def sample(index: int) -> tuple[np.ndarray, int]:
    """One of the images, int64 (8, 8), and the digit that it shows, for `qbitsat.robustness`; else `InputError`."""
    images, labels = np.load(images_path()), np.load(labels_path())
    index = integer(index, "sample", 0, len(images) - 1)
    return images[index].astype(np.int64), int(labels[index])


def _path(name: str) -> Path:
    return Path(str(files(__package__) / name))
