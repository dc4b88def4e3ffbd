"""The archive writer: what it writes, numpy and zipfile read."""

import io
import zipfile

import numpy as np
import pytest

from qbitsat.certificate.archive import SMALL, write_npz

ARRAYS = {
    "one": np.array([7], np.uint8),
    "wide": np.arange(-3, 9, dtype=np.int64).reshape(3, 4),
    "columns": np.asfortranarray(np.arange(12, dtype=np.int16).reshape(3, 4)),
    "large": np.arange(5 * SMALL, dtype=np.int32) % 17,
    "empty": np.zeros((0, 5), np.int8),
}


def written(members) -> bytes:
    stream = io.BytesIO()
    write_npz(stream, members)
    return stream.getvalue()


def test_numpy_reads_what_is_written():
    with np.load(io.BytesIO(written(ARRAYS))) as found:
        assert found.files == list(ARRAYS)
        for name, array in ARRAYS.items():
            assert found[name].dtype == array.dtype
            np.testing.assert_array_equal(found[name], array)


def test_checksums_and_methods():
    with zipfile.ZipFile(io.BytesIO(written(ARRAYS))) as archive:
        assert archive.testzip() is None
        methods = {info.filename: info.compress_type for info in archive.infolist()}
    assert methods["one.npy"] == zipfile.ZIP_STORED
    assert methods["large.npy"] == zipfile.ZIP_DEFLATED


@pytest.mark.parametrize("size", [0, 1, SMALL, (1 << 20) + 1, 3 << 20])
def test_open_files_become_arrays_of_bytes(size):
    data = np.random.default_rng(size).integers(0, 7, size, np.uint8).tobytes()
    content = io.BytesIO(data)
    with np.load(io.BytesIO(written({"before": ARRAYS["one"], "proof": content, "after": ARRAYS["wide"]}))) as found:
        assert found["proof"].tobytes() == data
        assert found["after"][2, 3] == 8
    assert content.closed


def test_same_members_same_bytes():
    assert written(ARRAYS) == written(dict(ARRAYS))
