"""The networks that a specification is about: files bound to its declarations, and their tensors to its variables."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ...errors import ArgumentError, FloatModelError, InputError
from ...importers.files import Path
from ...importers.onnx_file.borders import Border, Model, read_model
from .exact_floats import read_exact
from .records import HIDDEN, INPUT, OUTPUT, REAL, Declaration, Specification, Variable


@dataclass(frozen=True)
class Tensor:
    """What a variable is: a border of network k. Of version 1 a variable is several: `start` is where this one begins in it."""

    network: int
    border: Border
    start: int = 0


@dataclass(frozen=True)
class Bound:
    """models and paths have one for each declaration; tensors has those of each variable, by the number of the variable. runtime is None
    for the first, and grid that of float models, None where there is none.
    """

    spec: Specification
    models: tuple[Model, ...]
    paths: tuple[str, ...]
    tensors: tuple[tuple[Tensor, ...], ...]
    runtime: str | None = None
    grid: int | None = None


def bind(spec: Specification, files: Mapping[str, Path], runtime: str | None = None, grid: int | None = None) -> Bound:
    """Read the files, of networks by their names; `files` may have "" for the only network. With a grid, a power of two, files may be float
    models whose numbers are all exact, on inputs k / grid alone. Raises as of `read_model`, and `InputError`.
    """
    paths = paths_of(spec, files)
    read: dict[tuple[str, tuple[str, ...]], Model] = {}
    models, used = [], None
    for number, (network, path) in enumerate(zip(spec.networks, paths, strict=True)):
        inner = tuple(variable.node for variable in network.of(HIDDEN))
        key = os.fsdecode(path), inner
        if key not in read:
            try:
                read[key] = read_model(path, runtime, inner)
            except FloatModelError as error:
                if grid is None:
                    how = ", or give --grid N if its weights are whole numbers, for inputs k / N alone"
                    raise FloatModelError(f"{error}{how}") from error
                read[key], used = read_exact(spec, number, path, grid), grid
        models.append(read[key])
    for network, model, path in zip(spec.networks, models, paths, strict=True):
        check_isomorphic(spec, network, model, models, path)
    tensors: list[tuple[Tensor, ...]] = []
    for k, (network, model) in enumerate(zip(spec.networks, models, strict=True)):
        tensors += flat(spec, k, model, paths[k]) if spec.version == (1, 0) else declared(spec, k, network, model, paths[k])
    return Bound(spec, tuple(models), tuple(map(os.fsdecode, paths)), tuple(tensors), runtime, used)


def paths_of(spec: Specification, files: Mapping[str, Path]) -> list[Path]:
    """The file of each declaration: as many as are not equal to others, each once."""
    wanted = [network.name for network in spec.networks if not network.equal_to]
    given = dict(files)
    if "" in given and len(wanted) == 1 and len(given) == 1:
        given = {wanted[0]: given[""]}
    if spec.version == (1, 0) and len(given) == 1:
        given = {wanted[0]: next(iter(given.values()))}
    place = spec.source.path
    for name in given:
        if name not in wanted:
            equal = any(network.name == name for network in spec.networks)
            what = f"is equal to another one, and needs none in {place}" if equal else f"is none of {place}"
            raise ArgumentError("network", f"{name} {what}; expected {', '.join(f'{n}=FILE' for n in wanted)}")
    missing = [name for name in wanted if name not in given]
    if missing:
        raise InputError(f"{place}: network {missing[0]} has no file; expected --network {missing[0]}=FILE")
    return [given[network.equal_to or network.name] for network in spec.networks]


def check_isomorphic(spec: Specification, network: Declaration, model: Model, models: Sequence[Model], path: Path) -> None:
    """Networks that are called isomorphic have the same operators, one after the other."""
    if not network.isomorphic_to:
        return
    other = next(m for d, m in zip(spec.networks, models, strict=True) if d.name == network.isomorphic_to)
    if model.ops != other.ops:
        what = f"network {network.name} is said to be isomorphic to {network.isomorphic_to}, but {path} has other operators"
        spec.source.refuse(network.at, what)


def declared(spec: Specification, k: int, network: Declaration, model: Model, path: Path) -> list[tuple[Tensor, ...]]:
    """The tensors of a declaration's variables: by the names of the file where it has them, else in their order."""
    borders = {INPUT: model.inputs, HIDDEN: model.inner, OUTPUT: model.outputs}
    found: list[tuple[Tensor, ...]] = []
    for kind in (INPUT, HIDDEN, OUTPUT):
        variables, there = network.of(kind), list(borders[kind])
        if len(variables) != len(there):
            text = f"network {network.name} declares {len(variables)} {kind}s, {path} has {len(there)}"
            spec.source.refuse(network.at, text)
        named = [variable for variable in variables if variable.node]
        if named and kind != HIDDEN:
            there = by_name(spec, variables, there, path)
        for variable, border in zip(variables, there, strict=True):
            check_type(spec, variable, border, path)
            found.append((Tensor(k, border),))
    return found


def by_name(spec: Specification, variables: Sequence[Variable], there: Sequence[Border], path: Path) -> list[Border]:
    names = {border.name: border for border in there}
    for variable in variables:
        if variable.node not in names:
            spec.source.refuse(variable.at, f"{path} has no {variable.kind} {variable.node[:80]!r}, expected {', '.join(names)[:200]}")
    if len({variable.node for variable in variables}) < len(variables):
        spec.source.refuse(variables[0].at, f"two {variables[0].kind}s of one name in the file, expected different ones")
    return [names[variable.node] for variable in variables]


def check_type(spec: Specification, variable: Variable, border: Border, path: Path) -> None:
    """The declared type and shape are the file's."""
    if variable.dtype not in (REAL, border.dtype):
        text = f"{variable.name} is declared as {variable.dtype}, but {path} has {border.dtype} there"
        spec.source.refuse(variable.at, text)
    if variable.shape != border.shape:
        text = f"{variable.name} is declared with shape {list(variable.shape)}, but {path} has {list(border.shape)} there"
        spec.source.refuse(variable.at, text)


def flat(spec: Specification, k: int, model: Model, path: Path) -> list[tuple[Tensor, ...]]:
    """X and Y of version 1: all inputs and all outputs, one after the other."""
    found = []
    for variable, borders in zip(spec.networks[k].variables, (model.inputs, model.outputs), strict=True):
        size = sum(border.size for border in borders)
        if size != variable.size:
            raise InputError(f"{spec.source.path}: declares {variable.size} {variable.name}_i, but {path} has {size} {variable.kind}s")
        start, parts = 0, []
        for border in borders:
            parts.append(Tensor(k, border, start))
            start += border.size
        found.append(tuple(parts))
    return found


def same_numbers(a: Border, b: Border) -> bool:
    """Whether integers of both mean the same."""
    key = [(x.dtype, x.form.lo, x.form.hi, *((x.form.scale, x.form.zero_point) if x.floats is not None else ())) for x in (a, b)]
    return key[0] == key[1]


def unequal(a: Border, b: Border) -> str:
    return f"inputs that must be equal become integers of two kinds, {a.form} and {b.form}; expected one scale and zero point"
