"""The small network and images that ship with the package: handwritten digits, 64-16-10 at 6 bits (docs/lab/example.md)."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path


def network_path() -> Path:
    """The quantized network, for `qbitsat.load`."""
    return _path("digits.npz")


def images_path() -> Path:
    """50 images the network was not trained on: uint8 (50, 8, 8), values 0 to 16."""
    return _path("digits_images.npy")


def labels_path() -> Path:
    """The digits the images show: int64 (50,)."""
    return _path("digits_labels.npy")


def _path(name: str) -> Path:
    return Path(str(files(__package__) / name))
