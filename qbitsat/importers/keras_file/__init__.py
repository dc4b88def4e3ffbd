"""Float models of Keras, of versions 2 and 3, read without TensorFlow: .keras archives, whole models in .h5, and weights with their layers.

Nothing in a file is run: a layer is known by its name, or it is refused, all of them at once.

settings   JSON, checked where it is read
weights    where each format keeps the variables of a layer
kinds      the kinds of layers that are read, and what is said of others
node       one call of a layer, for affine, functions (activations), moves (pools, shapes, sums)
graph      layers in a row or in a graph
hgq        layers of HGQ, whose numbers have types of their own
described  files of weights alone
"""

from __future__ import annotations

import os
import re
import zipfile
from typing import Any

from ...errors import InputError, UnsupportedError
from ...network.float_network import FloatNetwork
from ..files import MAX_BYTES, Path, damaged, open_input
from ..float_builder import FloatBuilder
from ..hdf5 import opened
from ..npy import ZIP_ERRORS
from . import described
from .graph import Reader, refuse_unsupported
from .settings import parse
from .weights import NamedWeights, NumberedWeights, Weights, Where

__all__ = ["read_archive", "read_h5"]

MAX_CONFIG = 1 << 24
CONFIG, METADATA, WEIGHTS = "config.json", "metadata.json", "model.weights.h5"
# How many times as long as in the archive a member may be that is more than this.
MAX_RATIO, SMALL = 50, 1 << 20


def read_archive(path: Path) -> FloatNetwork:
    """The model in a .keras archive."""
    place = os.fsdecode(path)
    with open_input(path) as stream, damaged(place, ".keras archive", ZIP_ERRORS), zipfile.ZipFile(stream) as archive:
        members = {info.filename: info for info in archive.infolist()}
        if len(members) != len(archive.infolist()):
            raise InputError(f"{place}: two members have one name")
        model = parse(member(archive, members, CONFIG, MAX_CONFIG, place), f"{place}: {CONFIG}")
        version = version_of(parse(member(archive, members, METADATA, MAX_CONFIG, place), place).get("keras_version"))
        refuse_unsupported(model, place)
        if WEIGHTS not in members:
            raise UnsupportedError(f"{place}: has no {WEIGHTS}, expected all weights in one file")
        data = member(archive, members, WEIGHTS, MAX_BYTES // 2, place)
    with opened(data, f"{place}: {WEIGHTS}") as source:
        return whole(model, NumberedWeights(source), path, version)


def member(archive: zipfile.ZipFile, members: dict[str, zipfile.ZipInfo], name: str, limit: int, place: str) -> bytes:
    """A member of an archive, of at most so many bytes; one that is far longer than what is stored is not unpacked."""
    info = members.get(name)
    if info is None:
        raise InputError(f"{place}: has no {name}")
    if info.file_size > min(limit, max(SMALL, MAX_RATIO * info.compress_size)):
        raise InputError(
            f"{place}: {name} has {info.file_size} bytes, stored as {info.compress_size}; expected at most {limit}, and {MAX_RATIO} times"
        )
    with archive.open(info) as stream:
        data = stream.read(info.file_size + 1)
    if len(data) != info.file_size:
        raise InputError(f"{place}: {name} has {len(data)} bytes, expected {info.file_size}")
    return data


def read_h5(path: Path, layers: described.Description | None = None) -> FloatNetwork:
    """The model in an .h5; layers describe a file of weights alone."""
    place = os.fsdecode(path)
    with opened(path, place) as source:
        if layers is not None:
            return described.read(source, path, layers)
        config = source.text("model_config", MAX_CONFIG, place)
        if config is None:
            raise InputError(f'{place}: holds weights without their layers; say which those are, as in layers="784,64,32,10" (--layers)')
        model = parse(config, f"{place}: model_config")
        version = version_of(source.text("keras_version", 100, place))
        refuse_unsupported(model, place)
        return whole(model, NamedWeights(source.at("model_weights", place)), path, version)


def version_of(text: Any) -> int:
    """The first number of a version; 2 where there is none."""
    found = re.match(r"(\d{1,3})\.", text) if isinstance(text, str) else None
    return int(found[1]) if found else 2


def whole(model: dict[str, Any], weights: Weights, path: Path, version: int) -> FloatNetwork:
    """The network of a model and its weights."""
    builder = FloatBuilder(path)
    outputs = Reader(builder, weights, version).model(model, Where(), None)
    return builder.finish(outputs, os.path.splitext(os.path.basename(builder.place))[0])
