"""The table of options: defaults, what each row takes and refuses, and that every row is read."""

import ast
import dataclasses
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

import qbitsat
from qbitsat.errors import InputError
from qbitsat.options import ROWS, TABLE, make_options


def test_options_defaults_are_those_of_the_table():
    assert dataclasses.asdict(make_options()) == {row.name: row.default for row in TABLE}


@pytest.mark.parametrize("row", TABLE, ids=lambda row: row.name)
def test_option_default_is_allowed(row):
    assert row.check(row.default) == row.default


def test_options_are_frozen():
    with pytest.raises(dataclasses.FrozenInstanceError):
        make_options().seed = 1


def test_options_unknown_name():
    with pytest.raises(InputError, match="option 'sed' is unknown; expected one of engine, encoding"):
        make_options(sed=1)


ACCEPTED = [
    ("seed", 2**32 - 1, 2**32 - 1),
    ("seed", np.int64(7), 7),
    ("seed", 7.0, 7),
    ("timeout", 1, 1.0),
    ("timeout", Fraction(1, 2), 0.5),
    ("timeout", None, None),
    ("conflicts", 5, 5),
    ("attack", False, False),
    ("encoding", "linear", "linear"),
]


@pytest.mark.parametrize(("name", "value", "kept"), ACCEPTED, ids=[f"{name}-{value!r}" for name, value, _ in ACCEPTED])
def test_option_accepts_and_converts(name, value, kept):
    result = getattr(make_options(**{name: value}), name)
    assert result == kept
    assert type(result) in (ROWS[name].kind, type(None))


REFUSED = [
    ("engine", "fast", "'fast' is unknown; expected one of auto, hybrid, sat"),
    ("engine", None, "None is unknown"),
    ("encoding", 1, "1 is unknown; expected one of narrowed, substituted, balanced, linear"),
    ("solver", "cadical", "'cadical' is unknown; expected one of cadical103"),
    ("seed", -1, "-1, expected a whole number of at least 0"),
    ("seed", 2**32, "expected a whole number"),
    ("seed", 1.5, "1.5, expected a whole number"),
    ("seed", "1", "'1', expected a whole number"),
    ("seed", True, "True, expected a whole number"),
    ("seed", None, "None, expected a whole number"),
    ("seed", float("nan"), "nan, expected a whole number"),
    ("seed", float("inf"), "inf, expected a whole number"),
    ("timeout", 0, "0, expected a finite number of at least 0.001"),
    ("timeout", -3.0, "-3.0, expected a finite number of at least 0.001"),
    ("timeout", float("nan"), "nan, expected a finite number"),
    ("timeout", "10", "'10', expected a finite number"),
    ("timeout", True, "True, expected a finite number"),
    ("timeout", 10**400, "expected a finite number"),
    ("memory", 1j, "1j, expected a finite number"),
    ("conflicts", 0, "0, expected a whole number of at least 1"),
    ("conflicts", 1.5, "1.5, expected a whole number of at least 1"),
    ("timeout", float("inf"), "inf, expected a finite number"),
    ("restarts", 10**6 + 1, "expected a whole number of at least 0 and at most 1000000"),
    ("attack", 1, "1, expected true or false"),
    ("bounds", "no", "'no', expected true or false"),
    ("bounds", None, "None, expected true or false"),
]


@pytest.mark.parametrize(("name", "value", "message"), REFUSED, ids=[f"{name}-{str(value)[:12]}" for name, value, _ in REFUSED])
def test_option_refuses(name, value, message):
    with pytest.raises(InputError, match=f"^{name}: .*{message}"):
        make_options(**{name: value})


def attributes_read() -> set[str]:
    """Names that some file of the package reads from a record of options."""
    nodes = (node for path in Path(qbitsat.__file__).parent.rglob("*.py") for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))))
    return {
        node.attr for node in nodes if isinstance(node, ast.Attribute) and ast.unparse(node.value) in ("options", "values", "self.options")
    }


@pytest.mark.parametrize("name", ROWS)
def test_option_is_read_somewhere(name):
    assert name in attributes_read()


def test_booleans_of_numpy_are_booleans():
    assert make_options(attack=np.bool_(False)).attack is False
    with pytest.raises(InputError, match=r"jobs: .*expected a whole number"):
        make_options(jobs=np.bool_(True))
