"""qbitsat's own network file: one .npz of integer arrays with a JSON header; docs/reference/files.md is its specification.

Members are stored, not compressed: the same network then gives the same bytes with every zlib, and no file can unpack
to more than its own size.
"""

from __future__ import annotations

import io
import json
import os
import zipfile
from itertools import pairwise
from typing import Any

import numpy as np

from ..arithmetic import ShiftRequantizer, smallest
from ..errors import InputError, UnsupportedError, expect_kind
from ..limits import NO_LIMITS, Limits
from ..network import Dense, Network
from .files import Path, check_path, open_input, placed, size_of, write_atomically
from .json_header import MAX_HEADER_BYTES, Keys, read_header, texts
from .npy import Npz
from .qbitsat_layers import Arrays, read_chained, read_layer, read_tensor, write_chained, write_layer, write_tensor

FORMAT = "qbitsat network"
CHAIN, GRAPH = 1, 2
HEADER: Keys = {"format": str, "version": int, "name": str, "layers": list}
OPTIONAL: dict[int, Keys] = {GRAPH: {"remarks": list}}
VERSIONS: dict[int, Keys] = {CHAIN: HEADER, GRAPH: {**HEADER, "inputs": list, "outputs": str, "runtime": str}}


def save(network: Network, path: Path) -> None:
    """Write the network to `path`, all or nothing; `load` gives it back with the same sha256.

    A chain of dense layers with power-of-two scales, of which nothing is remarked, is written as version 1, which older readers know.
    """
    expect_kind(network, Network, "save: network", "a Network, and then the name of a file")
    check_path(path)
    arrays: dict[str, np.ndarray] = {}
    header = _header(network, arrays)
    text = json.dumps(header, separators=(",", ":"), allow_nan=False).encode()
    if len(text) > MAX_HEADER_BYTES:
        raise UnsupportedError(f"{path}: the header takes {len(text)} bytes, expected at most {MAX_HEADER_BYTES}")
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:
        for name, array in {"header": np.frombuffer(text, np.uint8), **arrays}.items():
            data = io.BytesIO()
            np.lib.format.write_array(data, array, version=(1, 0), allow_pickle=False)
            # A fixed date and system, so that the bytes depend on the network alone.
            member = zipfile.ZipInfo(f"{name}.npy", (1980, 1, 1, 0, 0, 0))
            member.create_system, member.external_attr = 3, 0o644 << 16
            archive.writestr(member, data.getvalue())
    write_atomically(path, buffer.getvalue())


def _header(network: Network, arrays: dict[str, np.ndarray]) -> dict[str, Any]:
    """The header's object; what it names is added to `arrays`."""
    version = CHAIN if _is_plain_chain(network) else GRAPH
    header: dict[str, Any] = {"format": FORMAT, "version": version, "name": network.name}
    if version == CHAIN:
        return {**header, "layers": [write_chained(k, layer, arrays) for k, layer in enumerate(network.layers)]}
    arrays["outputs"] = smallest(network.outputs)
    layers = [write_layer(k, layer, reads, arrays) for k, (layer, reads) in enumerate(zip(network.layers, network.reads, strict=True))]
    inputs = [write_tensor(form) for form in network.inputs]
    return {
        **header,
        "inputs": inputs,
        "layers": layers,
        "outputs": "outputs",
        "runtime": network.runtime,
        "remarks": list(network.remarks),
    }


def _is_plain_chain(network: Network) -> bool:
    """Whether version 1 has words for it."""
    layers = network.layers
    formats = [*((a.output, b.input) for a, b in pairwise(layers)), (network.inputs[0], layers[0].input)]
    return (
        all(type(layer) is Dense and len(layer.requantizers) in (1, layer.output.shape[-1]) for layer in layers)
        and all(type(requantizer) is ShiftRequantizer for layer in layers for requantizer in layer.requantizers)
        and all((a.lo, a.hi, a.zero_point) == (b.lo, b.hi, b.zero_point) for a, b in formats)
        and network.inputs == (layers[0].input,)
        and network.is_chain
        and not network.runtime
        and not network.remarks
    )


def read(path: Path, limits: Limits = NO_LIMITS) -> Network:
    """The network in the file, with a look at the limits for each of its arrays; `InputError` names the place of the first fault."""
    with open_input(path) as stream:
        size = size_of(stream)
        npz = Npz(stream, str(path), (zipfile.ZIP_STORED,))
        # Members that overlap would let a small file fill the memory.
        if npz.claimed_bytes > size:
            raise InputError(f"{path}: its members claim {npz.claimed_bytes} bytes, the file has {size}")
        if "header" not in npz.names:
            there = f"arrays {', '.join(npz.names[:5])}{', ...' if len(npz.names) > 5 else ''}" if npz.names else "nothing"
            raise InputError(f"{path}: has no array 'header', and is no network; it holds {there}")
        header = read_header(npz, f"{path}: header", FORMAT, VERSIONS, limits, OPTIONAL)
        parts = _parts(header, Arrays(npz, size, limits), f"{path}: header")
    with placed(str(path)):
        return Network(name=header["name"], source=os.fsdecode(path), **parts)


def _parts(header: dict[str, Any], arrays: Arrays, place: str) -> dict[str, Any]:
    """What the network is made of; every array of the file is named."""
    layers = [(value, f"{place}: layers[{k}]") for k, value in enumerate(header["layers"])]
    if header["version"] == CHAIN:
        parts: dict[str, Any] = {"layers": tuple([read_chained(value, arrays, where) for value, where in layers])}
    else:
        inputs = tuple([read_tensor(value, f"{place}: inputs[{k}]") for k, value in enumerate(header["inputs"])])
        if not inputs:
            raise InputError(f"{place}: inputs: none, expected at least one")
        arrays.claim(sum(form.size for form in inputs), f"{place}: inputs")
        outputs = arrays.take(header["outputs"], f"{place}: outputs")
        read = [read_layer(value, arrays, where) for value, where in layers]
        parts = {"layers": tuple([layer for layer, _ in read]), "reads": tuple([reads for _, reads in read])}
        parts |= {"inputs": inputs, "outputs": outputs, "runtime": header["runtime"]}
        parts["remarks"] = tuple(texts(header.get("remarks", []), f"{place}: remarks"))
    arrays.check_all_used()
    return parts
