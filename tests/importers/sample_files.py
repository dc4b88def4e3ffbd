"""Contents of files of samples, and the check that a file is refused; shared by the tests of inputs."""

import io
import struct

import numpy as np
import pytest

from qbitsat.errors import InputError
from qbitsat.importers import load_inputs
from qbitsat.network import TensorFormat

FORM = TensorFormat((2, 3), -4, 200)
SAMPLES = np.array([[1, 2, 3, 4, 5, 6], [7, 8, 9, 10, 11, -4]])
IDX_CODES = {"u1": 8, "i1": 9, "i2": 11, "i4": 12, "f4": 13, "f8": 14}


def npy(array) -> bytes:
    stream = io.BytesIO()
    np.save(stream, array)
    return stream.getvalue()


def npz(**arrays) -> bytes:
    stream = io.BytesIO()
    np.savez_compressed(stream, **arrays)
    return stream.getvalue()


def idx(array: np.ndarray) -> bytes:
    head = struct.pack(f">4B{array.ndim}I", 0, 0, IDX_CODES[array.dtype.str[1:]], array.ndim, *array.shape)
    return head + array.astype(array.dtype.newbyteorder(">")).tobytes()


def text(rows) -> bytes:
    return "".join(",".join(map(str, row)) + "\n" for row in rows).encode()


def refused(path, content: bytes, message: str, read=lambda path: load_inputs(path, FORM)) -> None:
    path.write_bytes(content)
    with pytest.raises(InputError, match=message) as caught:
        read(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)
