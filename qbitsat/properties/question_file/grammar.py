"""The expressions of a question file: a recursive descent of bounded depth, which gives each its meaning at once; nothing is evaluated.

condition   = disjunction [ "implies" condition ]
disjunction = conjunction { "or" conjunction }          conjunction = negation { "and" negation }
negation    = "not" negation | comparison               comparison  = sum { ("<=" | "<" | ">=" | ">" | "==" | "!=") sum | "in" set }
sum         = product { ("+" | "-") product }           product     = factor { "*" factor }
factor      = "-" factor | place                        place       = word { "[" indices "]" | "." name }
word        = number | name | function "(" condition { "," condition } ")" | "(" condition ")" | "[" numbers "]" | "true" | "false"
set         = "{" number [ ".." number ] { "," number [ ".." number ] } "}"
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from ...errors import InputError, QbitsatError, did_you_mean
from ..formula import And, Not, Or
from .functions import FUNCTIONS, added, among, copied, indexed, negative, product
from .linear import Linear, Tensor, Value, both, compared, condition, constant, filled, kind, number

MAX_DEPTH, MAX_DIGITS = 60, 20
TOKEN = re.compile(
    r"[ \t\n]*(?:(?P<number>\d[\d_]*(?:\.\d[\d_]*)?(?:[eE][+-]?\d+)?)|(?P<name>[A-Za-z_]\w*)|'(?P<quoted>[^'\n]*)'"
    r"|(?P<sign><=|>=|==|!=|\.\.|[-+*<>()\[\]{},:.]))",
    re.ASCII,
)
COMPARISONS = ("<=", "<", ">=", ">", "==", "!=")
WORDS = ("and", "or", "not", "implies", "in", "true", "false")
INTEGER = re.compile(r"\d[\d_]*", re.ASCII)


class Token(NamedTuple):
    kind: str
    text: str
    at: int


class Fault(Exception):  # noqa: N818 (an offset on its way to a place in a file)
    """What is wrong with an expression, and at which character."""

    def __init__(self, at: int, error: Exception):
        super().__init__(str(error))
        self.at, self.error = at, error


class Scope:
    """What names mean: `find` gives a value, a scope of more names, or None; `names` are those that it knows.

    itself: what it means without a name after it, or None.
    """

    def itself(self) -> Any:
        return None

    def find(self, name: str) -> Any:
        raise NotImplementedError

    def names(self) -> Sequence[str]:
        raise NotImplementedError


def tokens(text: str) -> list[Token]:
    """Raises `Fault`."""
    found, at = [], 0
    end = len(text.rstrip(" \t\n"))
    while at < end:
        match = TOKEN.match(text, at)
        if match is None:
            at += len(text[at:]) - len(text[at:].lstrip(" \t\n"))
            raise Fault(at, InputError(f"{text[at]!a}, expected a number, a name or a sign"))
        what = match.lastgroup or ""
        found.append(Token(what, match[what], match.start(what) - (what == "quoted")))
        at = match.end()
    return [*found, Token("end", "", end)]


def parse(text: str, scope: Scope) -> Value:
    """What an expression means. Raises `Fault`."""
    reader = _Reader(tokens(text), scope)
    try:
        value = reader.whole()
    except QbitsatError as error:
        raise Fault(reader.here.at, error) from error
    except RecursionError as error:
        raise Fault(reader.here.at, InputError("nests too deep")) from error
    return value


def _itself(value: Any) -> Any:
    return value.itself() if isinstance(value, Scope) else value


class _Reader:
    """Tokens, and how far they are read; every function reads what it is named after."""

    def __init__(self, parts: list[Token], scope: Scope):
        self.parts, self.scope, self.next, self.depth = parts, scope, 0, 0

    @property
    def here(self) -> Token:
        return self.parts[self.next]

    def whole(self) -> Value:
        value = self.condition()
        if self.here.kind != "end":
            self.unexpected("the end, or a sign between two parts")
        return value

    def unexpected(self, expected: str) -> None:
        raise InputError(f"{self.here.text!r}, expected {expected}" if self.here.kind != "end" else f"ends where {expected} is expected")

    def took(self, *texts: str) -> str:
        """The text of the next token if it is one of these, which is then read; else nothing."""
        token = self.here
        if token.kind in ("sign", "name") and token.text in texts:
            self.next += 1
            return token.text
        return ""

    def take(self, text: str) -> None:
        if not self.took(text):
            self.unexpected(repr(text))

    def placed(self, at: int, make: Callable[..., Any], *arguments: Any) -> Any:
        """What `make` gives, with its faults at a place."""
        try:
            return make(*arguments)
        except QbitsatError as error:
            raise Fault(at, error) from error

    # --- conditions ---

    def condition(self) -> Value:
        self.depth += 1
        if self.depth > MAX_DEPTH:
            raise InputError(f"nests deeper than {MAX_DEPTH} levels")
        at = self.here.at
        value = self.joined("or")
        if self.took("implies"):
            premise, conclusion = self.placed(at, condition, value), self.here.at
            value = Or((Not(premise), self.placed(conclusion, condition, self.condition())))
        self.depth -= 1
        return value

    def joined(self, word: str) -> Value:
        """Parts with `or` between them, and in these, parts with `and`."""
        at = self.here.at
        value = self.joined("and") if word == "or" else self.negation()
        if self.here.text != word or self.here.kind != "name":
            return value
        parts = [self.placed(at, condition, value)]
        while self.took(word):
            at = self.here.at
            parts.append(self.placed(at, condition, self.joined("and") if word == "or" else self.negation()))
        return Or(tuple(parts)) if word == "or" else And(tuple(parts))

    def negation(self) -> Value:
        count = 0
        while self.took("not"):
            count += 1
        at = self.here.at
        value = self.comparison()
        if not count:
            return value
        formula = self.placed(at, condition, value)
        return Not(formula) if count % 2 else formula

    def comparison(self) -> Value:
        left, found = self.sum(), None
        while True:
            at = self.here.at
            if sign := self.took(*COMPARISONS):
                right = self.sum()
                one = self.placed(at, compared, left, sign, right)
                left = right
            elif self.took("in"):
                one = self.placed(at, among, left, self.ranges())
            else:
                return left if found is None else found
            found = one if found is None else self.placed(at, both, found, one)

    def ranges(self) -> list[tuple[int, int]]:
        """Ranges of numbers."""
        ranges = []
        self.take("{")
        while True:
            at = self.here.at
            first = last = self.placed(at, constant, self.sum(), "an element of a set")
            if self.took(".."):
                last = self.placed(at, constant, self.sum(), "an element of a set")
            if last < first:
                raise Fault(at, InputError(f"{first}..{last} is empty, expected a..b with a at most b"))
            ranges.append((first, last))
            if not self.took(","):
                self.take("}")
                return ranges

    # --- numbers ---

    def sum(self) -> Value:
        value = self.product()
        total: Value | None = None
        while True:
            at = self.here.at
            sign = self.took("+", "-")
            if not sign:
                return value if total is None else total
            if total is None:
                # One copy, which all that follows is added to.
                total = self.placed(at, copied, value)
            total = self.placed(at, added, total, self.product(), 1 if sign == "+" else -1)

    def product(self) -> Value:
        value = self.factor()
        while True:
            at = self.here.at
            if not self.took("*"):
                return value
            value = self.placed(at, product, value, self.factor())

    def factor(self) -> Value:
        at, minus = self.here.at, False
        while self.took("-"):
            minus = not minus
        value = self.place()
        return self.placed(at, negative, value) if minus else value

    def place(self) -> Value:
        at = self.here.at
        value = self.word()
        while True:
            if self.took("["):
                value = self.placed(at, indexed, _itself(value), self.indices())
            elif self.here.text == "." and self.here.kind == "sign":
                self.next += 1
                value = self.member(value)
            else:
                break
        if _itself(value) is None:
            raise Fault(at, InputError(f"the name of a network, expected a part of it: {', '.join(value.names())}"))
        return _itself(value)

    def indices(self) -> tuple[Any, ...]:
        """Of axes: numbers and ranges a:b, up to the closing bracket."""
        found: list[Any] = []
        while True:
            ends: list[int | None] = [self.index()]
            if self.took(":"):
                ends.append(self.index())
                found.append(slice(*ends))
            elif ends[0] is None:
                self.unexpected("an index, as in 3 or 2:5")
            else:
                found.append(ends[0])
            if not self.took(","):
                self.take("]")
                return tuple(found)

    def index(self) -> int | None:
        if self.here.kind != "number":
            return None
        return constant(self.number(), "an index")

    def number(self) -> np.ndarray:
        token = self.here
        if not INTEGER.fullmatch(token.text):
            raise InputError(f"{token.text}, expected a whole number: all elements are integers")
        digits = token.text.replace("_", "").lstrip("0") or "0"
        if len(digits) > MAX_DIGITS:
            raise InputError(f"a number of {len(digits)} digits, expected at most 2**60")
        found = self.placed(token.at, number, int(digits))
        self.next += 1
        return found

    # --- words ---

    def word(self) -> Any:
        token = self.here
        if token.kind == "number":
            return self.number()
        if self.took("("):
            value = self.condition()
            self.take(")")
            return value
        if self.took("["):
            return self.numbers()
        if self.took("true", "false"):
            return And(()) if token.text == "true" else Or(())
        if token.kind == "name" and token.text in WORDS:
            self.unexpected("a number, a name or '('")
        if token.kind not in ("name", "quoted"):
            self.unexpected("a number, a name or '('")
        self.next += 1
        if token.kind == "name" and self.took("("):
            return self.call(token)
        return self.named(self.scope, token)

    def numbers(self) -> np.ndarray:
        """Numbers in brackets, for products with tensors."""
        found = []
        while True:
            at = self.here.at
            found.append(Linear(None, self.placed(at, constant, self.sum(), "an element of a list")))
            if not self.took(","):
                self.take("]")
                return filled(found, (len(found),))

    def member(self, value: Any) -> Any:
        token = self.here
        if token.kind not in ("name", "quoted"):
            self.unexpected("a name")
        self.next += 1
        if isinstance(value, Scope):
            return self.named(value, token)
        if token.text == "flat" and isinstance(value, Tensor):
            return Tensor(value.numbers.reshape(-1), value.make)
        raise Fault(token.at, InputError(f"{token.text!r} of {kind(value)}, expected .flat of a tensor, or a part of a network"))

    def named(self, scope: Scope, token: Token) -> Any:
        found = scope.find(token.text)
        if found is None:
            names = [*scope.names(), *(FUNCTIONS if scope is self.scope else ())]
            expected = did_you_mean(token.text, names) or f"; expected one of {', '.join(names[:12])}{', ...' * (len(names) > 12)}"
            raise Fault(token.at, InputError(f"name {token.text!r} is unknown{expected}"))
        return found

    def call(self, token: Token) -> Any:
        arguments = []
        while True:
            arguments.append(self.condition())
            if not self.took(","):
                break
        self.take(")")
        if token.text not in FUNCTIONS:
            hint = did_you_mean(token.text, FUNCTIONS) or f"; expected one of {', '.join(FUNCTIONS)}"
            raise Fault(token.at, InputError(f"function {token.text!r} is unknown{hint}"))
        function, count = FUNCTIONS[token.text]
        if len(arguments) != count:
            raise Fault(token.at, InputError(f"{token.text} of {len(arguments)} arguments, expected {count}"))
        return self.placed(token.at, function, *arguments)
