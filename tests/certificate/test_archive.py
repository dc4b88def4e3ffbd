"""The archive writer: what it writes, numpy and zipfile read."""

import io
import zipfile

import numpy as np

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


def test_bytes_become_arrays_and_stay_as_they_are():
    data = bytes(3 * SMALL)
    archive = written({"before": ARRAYS["one"], "proof": data, "after": ARRAYS["wide"]})
    assert len(archive) > len(data)
    with np.load(io.BytesIO(archive)) as found:
        assert found["proof"].dtype == np.uint8
        assert found["proof"].tobytes() == data
        assert found["after"][2, 3] == 8


def test_same_members_same_bytes():
    assert written(ARRAYS) == written(dict(ARRAYS))
