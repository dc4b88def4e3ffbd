"""VNN-LIB files, of version 2.0 and of 1.0. `read` has both, told apart by what the file declares.

https://www.vnnlib.org has the standard. Its own parser (`vnnlib` on PyPI) is not used: it knows no version 1, ends the process on deep
parentheses, and says no columns.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Sequence

from ...errors import InputError, UnsupportedError, did_you_mean
from ...importers.files import Path, open_input, size_of
from .expressions import MAX_BYTES, Expression, List, Source, Word, expressions, shown
from .numbers import FLOATS, INTEGERS
from .records import HIDDEN, INPUT, OUTPUT, REAL, Assertion, Comparison, Connective, Declaration, Element, Specification, Variable
from .terms import Reader, index_of

NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]*", re.ASCII)
VERSION = re.compile(r"<(\d{1,4})\.(\d{1,4})>", re.ASCII)
# Types that the standard has; those that no network here has are refused where a network is bound to them.
TYPES = (REAL, *INTEGERS, *FLOATS, "bfloat16", "float8e4m3fn", "float8e5m2", "float8e4m3fnuz", "float8e5m2fnuz", "float4e2m1", "int4",
         "uint4", "complex64", "complex128", "bool", "string")  # fmt: skip
MAX_AXES, MAX_SIZE, MAX_DIGITS = 8, 1 << 27, 9


def read(path: Path) -> Specification:
    """What a file asks. Raises `InputError` that names file, line and column."""
    place = os.fsdecode(path)
    with open_input(path) as stream:
        size = size_of(stream)
        if size > MAX_BYTES:
            raise InputError(f"{place}: {size} bytes, expected at most {MAX_BYTES}")
        data = stream.read()
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        column = error.start - data.rfind(b"\n", 0, error.start)
        raise InputError(f"{place}:{line}:{column}: no UTF-8, expected the text of a VNN-LIB file") from error
    return read_text(text, place, hashlib.sha256(data).hexdigest())


def read_text(text: str, place: str, sha256: str = "") -> Specification:
    """The same for the text of a file with this name, whose bytes have this hash."""
    source = Source(place, sha256)
    parts = expressions(text, source)
    if not parts:
        raise InputError(f"{place}:1:1: says nothing, expected (vnnlib-version <2.0>), or declarations of version 1.0")
    first = parts[0]
    if isinstance(first, List) and first.head in ("declare-const", "declare-fun", "set-logic", "set-info"):
        return FlatReader(source).read(parts)
    return TensorReader(source).read(parts)


def names(at: Expression) -> bool:
    return isinstance(at, Word) and NAME.fullmatch(at.text) is not None


class TensorReader(Reader):
    """Version 2: declared networks, elements with indices."""

    def __init__(self, source: Source):
        super().__init__(source)
        self.networks: list[Declaration] = []
        self.numbers: dict[str, int] = {}

    def read(self, parts: Sequence[Expression]) -> Specification:
        version = self.version(parts[0])
        assertions: list[Assertion] = []
        for part in parts[1:]:
            head = part.head if isinstance(part, List) else ""
            if isinstance(part, List) and head == "declare-network" and not assertions:
                self.networks.append(self.network(part))
            elif isinstance(part, List) and head == "assert" and self.networks:
                if len(part.parts) != 2:
                    self.source.refuse(part, f"assert of {len(part.parts) - 1} formulas, expected one")
                assertions.append(self.assertion(part.parts[1]))
            else:
                expected = "expected declare-network, and then assert"
                self.source.refuse(part, f"{shown(part)}, {expected}{did_you_mean(head, ('declare-network', 'assert'))}")
        if not assertions:
            self.source.refuse(parts[-1], "no assertion behind it, expected at least one")
        return Specification(self.source, version, tuple(self.networks), tuple(assertions))

    def version(self, at: Expression) -> tuple[int, int]:
        text = at.parts[1].text if isinstance(at, List) and len(at.parts) == 2 and isinstance(at.parts[1], Word) else ""
        found = VERSION.fullmatch(text)
        if not isinstance(at, List) or at.head != "vnnlib-version" or found is None:
            self.source.refuse(at, f"{shown(at)}, expected (vnnlib-version <2.0>), or declare-const as in version 1.0")
        version = int(found[1]), int(found[2])
        if version[0] != 2:
            self.source.refuse(at, f"version {version[0]}.{version[1]}, expected 2.0", UnsupportedError)
        return version

    # --- declarations ---

    def network(self, at: List) -> Declaration:
        if len(at.parts) < 2 or not names(at.parts[1]):
            self.source.refuse(at, "a network without a name, expected letters, digits and _")
        name, rest, same = self.text(at.parts[1]), list(at.parts[2:]), {"equal-to": "", "isomorphic-to": ""}
        if name in (network.name for network in self.networks):
            self.source.refuse(at.parts[1], f"network {name} is declared already")
        if rest and isinstance(rest[0], List) and rest[0].head in same:
            same[rest[0].head] = self.other(rest[0])
            del rest[0]
        first, order = len(self.variables), [f"declare-{kind}" for kind in (INPUT, HIDDEN, OUTPUT)]
        for part in rest:
            head = part.head if isinstance(part, List) else ""
            if not isinstance(part, List) or head not in order:
                self.source.refuse(part, f"{shown(part)}, expected declare-input, declare-hidden or declare-output, in this order")
            order = order[order.index(head) :]
            self.declare(part, head.removeprefix("declare-"))
        mine = tuple(self.variables[first:])
        made = Declaration(name, mine, at, same["equal-to"], same["isomorphic-to"])
        if not made.of(INPUT) or not made.of(OUTPUT):
            self.source.refuse(at, f"network {name} has no {OUTPUT if made.of(INPUT) else INPUT}, expected at least one")
        self.check_alike(made)
        return made

    def other(self, at: List) -> str:
        """The name in equal-to or isomorphic-to."""
        if len(at.parts) != 2 or not names(at.parts[1]):
            self.source.refuse(at, f"{at.head} without the name of a network")
        name = self.text(at.parts[1])
        found = next((network for network in self.networks if network.name == name), None)
        if found is None:
            self.source.refuse(at.parts[1], f"{at.head} {name}, which no network before it is named")
        if found.equal_to or found.isomorphic_to:
            self.source.refuse(
                at.parts[1], f"{at.head} {name}, which is {'equal' if found.equal_to else 'isomorphic'} to another one itself"
            )
        return name

    def check_alike(self, made: Declaration) -> None:
        """Networks that are called equal or isomorphic declare the same inputs and outputs, but for names, and for types if isomorphic."""
        name = made.equal_to or made.isomorphic_to
        if not name:
            return
        found = next(network for network in self.networks if network.name == name)
        for kind in (INPUT, OUTPUT):
            mine, theirs = ([(v.shape, v.dtype if made.equal_to else "") for v in network.of(kind)] for network in (made, found))
            if mine != theirs:
                self.source.refuse(made.at, f"network {made.name} declares other {kind}s than {name}, which it is said to be like")

    def declare(self, at: List, kind: str) -> None:
        parts, hidden = at.parts, kind == HIDDEN
        if len(parts) < 5 or not names(parts[1]):
            self.source.refuse(at, f"declare-{kind} of {len(parts) - 1} words, expected a name, a type and a shape in brackets")
        name, dtype = self.text(parts[1]), self.text(parts[2])
        if name in self.numbers:
            self.source.refuse(parts[1], f"variable {name} is declared already")
        dtype = REAL if dtype == "Real" else dtype
        if dtype not in TYPES:
            self.source.refuse(parts[2], f"{shown(parts[2])}, expected an element type of ONNX, or real{did_you_mean(dtype, TYPES)}")
        shape, end = self.indices(parts, 3)
        if len(shape) > MAX_AXES or not all(shape):
            self.source.refuse(parts[3], f"shape {list(shape)}, expected at most {MAX_AXES} sizes of at least 1")
        node, rest = "", parts[end:]
        if rest and isinstance(rest[0], Word) and rest[0].text.startswith('"'):
            node, rest = rest[0].text[1:-1], rest[1:]
        if rest or (hidden and not node):
            self.source.refuse(rest[0] if rest else at, "expected a shape, and then the name of a tensor of the file in quotes")
        variable = Variable(name, kind, dtype, shape, at, node)
        if variable.size > MAX_SIZE:
            self.source.refuse(parts[3], f"{variable.size} elements, expected at most {MAX_SIZE}")
        self.numbers[name] = len(self.variables)
        self.variables.append(variable)

    def text(self, at: Expression) -> str:
        return at.text if isinstance(at, Word) else ""

    def indices(self, parts: Sequence[Expression], at: int) -> tuple[tuple[int, ...], int]:
        """Whole numbers in brackets, with commas between them or not, and the place behind them."""
        found: list[int] = []
        if at >= len(parts) or self.text(parts[at]) != "[":
            self.source.refuse(parts[min(at, len(parts) - 1)], "expected whole numbers in brackets")
        place, wanted = at + 1, True
        while place < len(parts) and self.text(parts[place]) != "]":
            text = self.text(parts[place])
            if text == "," and not wanted:
                wanted = True
            elif text.isascii() and text.isdigit() and len(text) <= MAX_DIGITS and wanted:
                found.append(int(text))
                wanted = False
            else:
                self.source.refuse(parts[place], f"{shown(parts[place])}, expected whole numbers with commas between them")
            place += 1
        if place == len(parts) or (wanted and found):
            self.source.refuse(parts[at], "brackets that do not close behind a number")
        return tuple(found), place + 1

    # --- elements ---

    def element(self, parts: Sequence[Expression], at: int) -> tuple[Element, int]:
        word = parts[at]
        number = self.numbers.get(self.text(word))
        if number is None:
            self.source.refuse(word, f"{shown(word)} is no variable that is declared{did_you_mean(self.text(word), self.numbers)}")
        variable = self.variables[number]
        if not variable.shape:
            return (number, 0), at + 1
        if at + 1 == len(parts) or self.text(parts[at + 1]) != "[":
            self.source.refuse(word, f"{variable.name} without indices, expected {len(variable.shape)} in brackets")
        found, end = self.indices(parts, at + 1)
        if len(found) != len(variable.shape) or any(i >= n for i, n in zip(found, variable.shape, strict=True)):
            self.source.refuse(word, f"{variable.name}{list(found)}, but its shape is {list(variable.shape)}")
        return (number, index_of(found, variable.shape)), end


class FlatReader(Reader):
    """Version 1: one network, whose inputs are X_0, X_1, ... and outputs Y_0, Y_1, ..., all of them real numbers."""

    more = ("not", "=>")
    pattern = re.compile(r"([XY])_(\d{1,9})", re.ASCII)

    def read(self, parts: Sequence[Expression]) -> Specification:
        declared: dict[str, list[int]] = {"X": [], "Y": []}
        for part in parts:
            if isinstance(part, List) and part.head in ("declare-const", "declare-fun"):
                self.declare(part, declared)
        for letter, numbers in declared.items():
            if sorted(numbers) != list(range(len(numbers))) or not numbers:
                self.source.refuse(parts[0], f"{letter}_i are declared {len(numbers)} times, expected each from 0 on, once")
        places = {"X": INPUT, "Y": OUTPUT}
        self.variables = [Variable(name, places[name], REAL, (len(numbers),), parts[0]) for name, numbers in declared.items()]
        assertions: list[Assertion] = []
        for part in parts:
            head = part.head if isinstance(part, List) else ""
            if head == "assert" and isinstance(part, List) and len(part.parts) == 2:
                assertions.append(self.assertion(part.parts[1]))
            elif head not in ("declare-const", "declare-fun", "set-logic", "set-info", "set-option", "check-sat", "get-model", "exit"):
                self.source.refuse(part, f"{shown(part)}, expected declare-const or assert")
        if not assertions:
            self.source.refuse(parts[-1], "no assertion in the file, expected at least one")
        network = Declaration("network", tuple(self.variables), parts[0])
        return Specification(self.source, (1, 0), (network,), tuple(assertions))

    def declare(self, at: List, declared: dict[str, list[int]]) -> None:
        name, kind = at.parts[1] if len(at.parts) > 2 else at, at.parts[-1]
        found = self.pattern.fullmatch(name.text) if isinstance(name, Word) else None
        if found is None or not isinstance(kind, Word) or kind.text != "Real":
            self.source.refuse(at, f"{shown(name)}, expected X_i or Y_i of type Real")
        declared[found[1]].append(int(found[2]))

    def element(self, parts: Sequence[Expression], at: int) -> tuple[Element, int]:
        word = parts[at]
        found = self.pattern.fullmatch(word.text) if isinstance(word, Word) else None
        number = "XY".index(found[1]) if found else 0
        if found is None or int(found[2]) >= self.variables[number].size:
            self.source.refuse(word, f"{shown(word)} is not declared, expected X_i or Y_i")
        return (number, int(found[2])), at + 1

    def further(self, at: List) -> Assertion:
        """not, and =>, which is or."""
        if len(at.parts) != (2 if at.head == "not" else 3):
            self.source.refuse(at, f"{at.head} of {len(at.parts) - 1} formulas")
        if at.head == "not":
            return negated(self.assertion(at.parts[1]))
        return Connective(False, (negated(self.assertion(at.parts[1])), self.assertion(at.parts[2])))


def negated(x: Assertion) -> Assertion:
    """Its opposite: not (a <= 0) is -a < 0."""
    if isinstance(x, Connective):
        return Connective(not x.is_and, tuple(negated(part) for part in x.parts))
    if x.op in ("==", "!="):
        return Comparison(x.terms, x.constant, "!=" if x.op == "==" else "==", x.at, x.leaves)
    terms = tuple((element, -c) for element, c in x.terms)
    return Comparison(terms, -x.constant, "<" if x.op == "<=" else "<=", x.at, x.leaves)
