"""The page of the Python API: signatures and docstrings of what users import."""

from __future__ import annotations

import importlib
import inspect
from typing import Any

HEAD = """# Python

    import qbitsat

All names below are public and typed. Arrays are numpy's; shapes stand in brackets. Inputs, outputs and eps are integers, and
`TensorFormat.scale` gives their real units. Times are seconds, memory is GiB. Examples: the [guide](../guide/README.md).

Errors are of `qbitsat.errors`. `InputError`: a file, array or argument is missing, malformed or out of range.
`UnsupportedError`: it is valid, but can't be treated exactly. `MissingExtraError`: an optional package is needed. All three
are a `QbitsatError`, whose message says what, where, and what was expected. Limits are no errors: `verify` answers UNKNOWN.
"""

# Modules with the names to show of each; without names those of its `__all__`.
MODULES: dict[str, tuple[str, ...]] = {
    "qbitsat": (),
    "qbitsat.network": ("TensorFormat", "Dense", "forward", "forward_all", "classify"),
    "qbitsat.network.reference": ("run", "first_maximum"),
    "qbitsat.arithmetic": (
        "ShiftRequantizer",
        "MultiplierRequantizer",
        "Float32Requantizer",
        "Float64Requantizer",
        "DivisionRequantizer",
        "TableRequantizer",
        "ThresholdRequantizer",
        "divide_pow2",
        "saturate",
        "wrap",
    ),
    "qbitsat.properties": ("Ref", "AtMost", "at_least", "And", "Or", "Not", "Box", "Witness"),
    "qbitsat.properties.question_file": ("Question", "Objective", "NetworkFile"),
    "qbitsat.importers": ("load_inputs", "load_labels"),
    "qbitsat.quantize": ("parse_format", "Quantized", "Report", "LayerReport", "Loss"),
    "qbitsat.quantize.training": ("Trainable",),
    "qbitsat.bits": ("Bits", "Answer", "WidthResult", "Mixed", "Trial"),
    "qbitsat.certificate.check": ("Checked", "Means"),
    "qbitsat.certificate.write": ("write",),
    "qbitsat.encode.dimacs": ("write",),
    "qbitsat.encode.smtlib": ("write",),
    "qbitsat.errors": ("QbitsatError", "InputError", "UnsupportedError", "MissingExtraError"),
    "qbitsat.examples": ("sample", "network_path", "images_path", "labels_path"),
}


class Plain:
    """What prints as its text, without quotes."""

    def __init__(self, value: Any):
        self.text = getattr(value, "__forward_arg__", value)

    def __repr__(self) -> str:
        return str(self.text)


def page() -> str:
    parts = [HEAD]
    for name, names in MODULES.items():
        module = importlib.import_module(name)
        values = {public: getattr(module, public) for public in names or module.__all__}
        constants = [f'{public} = "{value}"\n' for public, value in values.items() if not callable(value) and isinstance(value, str)]
        parts.append(f"\n## {name}\n" + (f"```python\n{''.join(constants)}```\n" if constants else ""))
        parts += [entry(public, value) for public, value in values.items() if callable(value)]
    return "".join(parts)


def entry(name: str, value: Any) -> str:
    """One function or class: its signature, its text, and its public members."""
    lines = [signature(name, value), *text_of(value)]
    for member, found in vars(value).items() if inspect.isclass(value) else ():
        function = getattr(found, "__func__", getattr(found, "fget", getattr(found, "func", found)))
        if member.startswith("_") or not inspect.isfunction(function):
            continue
        called = function is found or hasattr(found, "__func__")
        head = signature(member, function) if called else f".{member}: {inspect.signature(function).return_annotation}"
        lines += ["", *indented([*head.split("\n"), *text_of(function)])]
    return f"\n### {name}\n```text\n" + "\n".join(lines) + "\n```\n"


def text_of(value: Any) -> list[str]:
    """The docstring, indented; not the one that a dataclass without any gets."""
    text = inspect.getdoc(value) or ""
    return [] if text.startswith(f"{getattr(value, '__name__', '')}(") else indented(text.splitlines())


def indented(lines: list[str]) -> list[str]:
    return [f"    {line}".rstrip() for line in lines]


def plain(parameter: inspect.Parameter) -> inspect.Parameter:
    """The same with its annotation as it stands in the source; a default that has no text of its own is `...`."""
    if " at 0x" in repr(parameter.default):
        parameter = parameter.replace(default=Plain("..."))
    return parameter if parameter.annotation is parameter.empty else parameter.replace(annotation=Plain(parameter.annotation))


def signature(name: str, value: Any) -> str:
    """As in the source; a parameter a line where it would be long."""
    if inspect.isclass(value) and issubclass(value, Exception):
        return name
    found = inspect.signature(value)
    parameters = [plain(parameter) for parameter in found.parameters.values()]
    returned = found.empty if inspect.isclass(value) or found.return_annotation is found.empty else Plain(found.return_annotation)
    parameters = [p for p in parameters if p.name not in ("self", "cls")]
    whole = f"{name}{inspect.Signature(parameters, return_annotation=returned, __validate_parameters__=False)}"
    if len(whole) <= 110:
        return whole
    lines, star = "", False
    for parameter in parameters:
        lines += "    *,\n" if parameter.kind is parameter.KEYWORD_ONLY and not star else ""
        star = star or parameter.kind in (parameter.KEYWORD_ONLY, parameter.VAR_POSITIONAL)
        lines += f"    {parameter},\n"
    return f"{name}(\n{lines})" + ("" if returned is found.empty else f" -> {returned}")
