"""Tensor formats: sizes and refusals."""

import numpy as np
import pytest

from qbitsat.errors import InputError
from qbitsat.network import TensorFormat


@pytest.mark.parametrize(("shape", "size"), [((1,), 1), ((7,), 7), ((28, 28), 784), ((3, 1, 5), 15)])
def test_tensor_size_is_the_product(shape, size):
    assert TensorFormat(shape, 0, 1).size == size


def test_tensor_one_value_only_is_a_format():
    assert TensorFormat((1,), 3, 3).lo == 3


def test_tensor_range_up_to_the_limit():
    form = TensorFormat((1,), -(1 << 31), (1 << 31) - 1, 1e-300, -(1 << 31))
    assert (form.lo, form.hi, form.zero_point) == (-2147483648, 2147483647, -2147483648)


FAULTS = [
    ({"shape": ()}, r"shape \(\), expected positive integers"),
    ({"shape": (0,)}, r"shape \(0,\): an axis is 0, expected an integer of at least 1"),
    ({"shape": (2, -1)}, r"shape \(2, -1\): an axis is -1, expected"),
    ({"shape": (2.0,)}, r"shape \(2.0,\): an axis is 2.0, expected"),
    ({"shape": 2}, "shape 2, expected positive integers"),
    ({"lo": 0.0}, "lo is 0.0, expected an integer"),
    ({"hi": True}, "hi is True, expected an integer"),
    ({"hi": np.float64(3)}, "hi is .*, expected an integer"),
    ({"zero_point": None}, "zero_point is None, expected an integer"),
    ({"hi": 1 << 31}, r"hi is 2147483648, expected an integer in \[-2147483648, 2147483647\]"),
    ({"lo": -(1 << 31) - 1}, r"lo is -2147483649, expected an integer in \[-2147483648, 2147483647\]"),
    ({"zero_point": 1 << 31}, r"zero_point is 2147483648, expected an integer in \[-2147483648, 2147483647\]"),
    ({"lo": 8}, "lo 8 is above hi 7"),
    ({"scale": 0.0}, "scale is 0.0, expected a positive finite number"),
    ({"scale": -1.0}, "scale is -1.0, expected a positive finite number"),
    ({"scale": float("nan")}, "scale is nan, expected a positive finite number"),
    ({"scale": float("inf")}, "scale is inf, expected a positive finite number"),
    ({"scale": "1"}, "scale is '1', expected a positive finite number"),
]


@pytest.mark.parametrize(("change", "message"), FAULTS, ids=[str(change) for change, _ in FAULTS])
def test_tensor_fault(change, message):
    with pytest.raises(InputError, match=f"^tensor: {message}"):
        TensorFormat(**{"shape": (2,), "lo": 0, "hi": 7, **change})
