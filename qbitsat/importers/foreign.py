"""Networks in formats that are not read: each is told what it is, by its first bytes and names in it, and what is read instead."""

from __future__ import annotations

import os
import re
import zipfile
from typing import Any, BinaryIO

from ..errors import FloatModelError, UnsupportedError
from .files import Path
from .npy import NPY_MAGIC, ZIP_ERRORS, ZIP_MAGIC

HEAD = 64
PICTURES = {
    "PNG": rb"\x89PNG\r\n", "JPEG": rb"\xff\xd8\xff", "GIF": rb"GIF8[79]a", "BMP": rb"BM....\0\0\0\0", "WebP": rb"RIFF....WEBP",
    "TIFF": rb"II\*\0|MM\0\*",
}  # fmt: skip
# Read, but no samples.
TFLITE, ONNX = "a TensorFlow Lite model (.tflite)", "an ONNX model (.onnx)"
# Tags of the fields that follow ir_version in an ONNX ModelProto: strings, messages and numbers of fields 2 to 8, 14 and 20.
ONNX_TAGS = (0x12, 0x1A, 0x22, 0x28, 0x32, 0x3A, 0x42, 0x72, 0xA2)
# A pickle of the magic number that torch.save wrote before it wrote archives.
OLD_TORCH = bytes.fromhex("80028a0a6cfc9c46f9206aa85019")
KERAS = "a Keras model (.keras)"
READ = (
    "qbitsat reads its own .npz, made with numpy (docs/reference/files.md), int8 .tflite, quantized .onnx, and .h5 of AAAI 2021 and QVIP; "
    "qbitsat quantize and bits read float models: .keras, Keras .h5, .onnx and SavedModels"
)


def refuse(path: Path, what: str) -> None:
    """Raise `UnsupportedError` for a file that is `what`."""
    raise UnsupportedError(f"{path}: {what}, which is not read; {READ}")


def refuse_floats(path: Path, what: str) -> None:
    """Raise `FloatModelError` for a file that is `what`."""
    how = "qbitsat quantize, or load_float and quantize in Python; qbitsat inspect shows it"
    raise FloatModelError(f"{path}: {what}, a float model; quantize it first ({how})")


def refuse_folder(path: Path) -> None:
    """Raise for folders that hold a network; others are no business of this module."""
    if os.path.isfile(os.path.join(path, "saved_model.pb")):
        refuse_floats(path, "a TensorFlow SavedModel folder")


def refuse_file(stream: BinaryIO, path: Path) -> None:
    """Raise if the file is of a format of networks that is known and not read; the stream is rewound."""
    head = stream.read(HEAD)
    stream.seek(0)
    what = name_of_zip(stream) if head.startswith(ZIP_MAGIC) else name_of(head, os.path.basename(os.fspath(path)))
    stream.seek(0)
    if what == KERAS:
        refuse_floats(path, what)
    if what not in ("", TFLITE, ONNX):
        refuse(path, what)


def name_of(head: bytes, name: str) -> str:
    """What a file is by its first bytes, "" if that is not known; its name decides between protocol buffers."""
    for picture, beginning in PICTURES.items():
        if re.match(beginning, head, re.DOTALL):
            return f"a {picture} picture"
    if head[4:8] == b"TFL3":
        return TFLITE
    if head.startswith(OLD_TORCH):
        return "an old PyTorch file (.pt, .pth)"
    if head.startswith(b"GGUF"):
        return "a GGUF model"
    if head[8:10] == b'{"' and int.from_bytes(head[:8], "little") < 1 << 32:
        return "a safetensors file"
    if head.startswith(NPY_MAGIC):
        return "a single array (.npy), no network"
    if head.startswith(b"\x1f\x8b"):
        return "gzip data"
    if head[:1] == b"\x08" and name == "saved_model.pb":
        return "a TensorFlow SavedModel"
    return ONNX if begins_onnx(head) else ""


def begins_onnx(head: bytes) -> bool:
    """Whether these are the first bytes of an ONNX model that begins with ir_version, as almost all do."""
    return len(head) > 2 and head[0] == 8 and 1 <= head[1] <= 32 and head[2] in ONNX_TAGS


def name_of_zip(stream: BinaryIO) -> str:
    """What a zip archive is by the names in it, "" for one of qbitsat and for what is not known."""
    try:
        with zipfile.ZipFile(stream) as archive:
            names = archive.namelist()
        is_keras = "config.json" in names and any(name.endswith(".h5") for name in names)
    except ZIP_ERRORS:
        # Cut short: its list of names is at the end, the first of them at the beginning. The reader says what is wrong.
        names = [first_name(stream)]
        is_keras = names[0] in ("metadata.json", "config.json")
    if is_keras:
        return KERAS
    if any(name.rsplit("/", 1)[-1] in ("data.pkl", "constants.pkl") for name in names):
        return "a PyTorch file (.pt, .pth)"
    return ""


def first_name(stream: BinaryIO) -> str:
    """The name of a zip archive's first member, as the header before its data has it."""
    stream.seek(0)
    head = stream.read(HEAD)
    return head[30 : 30 + int.from_bytes(head[26:28], "little")].decode("utf-8", "replace")


def is_npz(stream: BinaryIO) -> bool:
    """Whether a zip archive holds arrays alone, as networks of qbitsat do."""
    try:
        with zipfile.ZipFile(stream) as archive:
            names = archive.namelist()
    except ZIP_ERRORS:
        return False  # the reader says what is wrong
    return bool(names) and all(name.endswith(".npy") for name in names)


def refuse_h5(file: Any, path: Path) -> None:
    """Raise for HDF5 files of Keras that are no plain weights of Keras 2."""
    if "layer_names" in file.attrs:
        return
    if "model_config" in file.attrs or "model_weights" in file:
        refuse_floats(path, "a whole Keras model in HDF5 (model.save)")
    if "layers" in file or "_layer_checkpoint_dependencies" in file:
        refuse_floats(path, "weights of Keras 3 (.weights.h5)")
