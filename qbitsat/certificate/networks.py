"""The networks that a certificate is about: those that the user pins, or else those that it names itself.

What is pinned is a function: a file together with the widths and the runtime that it does not hold, and accumulators that wrap around. A
certificate chooses nothing of it.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Sequence
from typing import Any

from ..errors import ArgumentError, InputError, expect_kind
from ..importers import load
from ..importers.files import Path, placed
from ..limits import NO_LIMITS, Limits
from ..network import Network
from ..properties import joined
from .reading import Certificate, Refused

# Networks that a message lists.
SHOWN = 3
# Bytes that a byte of a file becomes at least: weights of 8 bits become 64.
GROWTH = 8.0
# Of its hash.
SECONDS = 1e-8


def pinned(
    networks: Sequence[Network | Path] | Network | Path,
    bits: int | None = None,
    input_bits: int | None = None,
    runtime: str | None = None,
    accumulator: str | None = None,
    limits: Limits = NO_LIMITS,
) -> tuple[Network, ...]:
    """The networks, those that are files loaded; bits, input_bits, runtime and accumulator are as of `qbitsat.load`, for all files."""
    if isinstance(networks, Network | str | os.PathLike):
        networks = (networks,)
    expect_kind(networks, (tuple, list), "networks", "a tuple, each a Network or the name of a file")
    if not networks and (bits, input_bits) != (None, None):
        raise ArgumentError("input_bits" if bits is None else "bits", "of no network that is given; expected none, or networks with them")
    for name, value in (("runtime", runtime), ("accumulator", accumulator)):
        if not networks and value is not None:
            raise ArgumentError(name, "of no network that is given; expected none, or networks with it")
    return tuple(n if isinstance(n, Network) else _read(n, limits, bits, input_bits, runtime, accumulator) for n in networks)


def networks_of(certificate: Certificate, pins: Sequence[Network], limits: Limits) -> tuple[Network, ...]:
    """Those with the hashes in the header: among `pins` if there are any, else from the files that the header names.

    A network that is named again is the same object, whatever file it is said to be in. One that has parts is joined of them again.
    """
    found = {network.sha256: network for network in pins}
    for k, entry in enumerate(certificate.header["networks"]):
        if entry["sha256"] in found:
            continue
        for j, part in enumerate(entry.get("parts", ())):
            _find(found, part, f"network {k}, part {j},", certificate.place, pins, limits)
        if "parts" not in entry:
            _find(found, entry, f"network {k}", certificate.place, pins, limits)
            continue
        with placed(certificate.place):
            network = joined(*(found[part["sha256"]] for part in entry["parts"]))
        if network.sha256 != entry["sha256"]:
            raise Refused(f"network {k} has hash {entry['sha256'][:16]}..., its parts joined {network.sha256[:16]}...")
        found[network.sha256] = network
    return tuple(found[entry["sha256"]] for entry in certificate.header["networks"])


def _find(found: dict[str, Network], entry: dict[str, Any], what: str, place: str, pins: Sequence[Network], limits: Limits) -> None:
    """Add the network of an entry, where it is not there yet."""
    wanted = entry["sha256"]
    if wanted in found:
        return
    limits.check()
    candidates = pins or (_named(place, what, entry, limits),)
    if candidates[0].sha256 != wanted:
        names = " or ".join(title(network) for network in candidates[:SHOWN])
        raise Refused(f"{what} has hash {wanted[:16]}..., expected {names}")
    found[wanted] = candidates[0]


def title(network: Network) -> str:
    """Which function it is, for people: where it comes from, its runtime, its widths and its hash."""
    inputs, outputs = ((form.hi - form.lo).bit_length() for form in (network.input, network.output))
    runtime = f"runtime {network.runtime}, " if network.runtime else ""
    return f"{network.source or network.name} ({runtime}inputs of {inputs} bits, outputs of {outputs} bits, sha256 {network.sha256})"


def _named(place: str, what: str, entry: dict[str, Any], limits: Limits) -> Network:
    """The network in the file that a certificate names, at the widths that it names, too."""
    path = entry.get("path")
    if type(path) is not str:
        raise InputError(f"{place}: names no file of {what.removesuffix(',')}; expected --network FILE")
    return _load(beside(place, path), limits, *(entry.get(name) for name in ("bits", "input_bits", "runtime", "accumulator")))


def beside(place: str, path: str) -> str:
    """A file named in a certificate: as the name stands, else next to the certificate or a folder above it."""
    folder = os.path.dirname(os.path.abspath(place))
    places = [path, *(os.path.join(up, os.path.basename(path)) for up in (folder, os.path.dirname(folder)))]
    return next((p for p in places if os.path.isfile(p)), path)


def stamp(path: Path) -> tuple[int, int]:
    """What changes when a file does."""
    try:
        status = os.stat(path)
    except (OSError, ValueError):
        return 0, 0  # `load` says what is wrong
    return status.st_mtime_ns, status.st_size


# Certificates of one campaign name the same network; more than this would keep memory that the next certificate may need.
_held: dict[tuple[Any, ...], Network] = {}
MAX_HELD = 2


def _load(path: str, limits: Limits, *means: Any) -> Network:
    key = path, stamp(path), *means
    network = _held.pop(key, None)
    for oldest in list(_held)[: 1 - MAX_HELD]:
        _held.pop(oldest, None)
    _held[key] = network or _read(path, limits, *means)
    return _held[key]


def _read(path: Path, limits: Limits, *means: Any) -> Network:
    """The network, whose notes are not for warnings: who pins it is told."""
    limits.require(GROWTH * stamp(path)[1])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        network = load(path, *means, limits=limits)
    limits.require(0.0, SECONDS * stamp(path)[1])
    return network
