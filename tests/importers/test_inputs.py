"""Samples and labels: every format read alike, and one refused file a fault."""

import gzip

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sample_files import FORM, SAMPLES, idx, npy, npz, refused, text

from qbitsat.errors import InputError
from qbitsat.importers import load_inputs, load_labels
from qbitsat.network import TensorFormat


@pytest.fixture
def path(tmp_path):
    return tmp_path / "samples"


# --- every format ---

CONTENTS = {
    "npy": npy(SAMPLES),
    "npy of images": npy(SAMPLES.reshape(2, 2, 3)),
    "npy in Fortran order": npy(np.asfortranarray(SAMPLES)),
    "npy big-endian": npy(SAMPLES.astype(">i2")),
    "npy of whole floats": npy(SAMPLES.astype(np.float32)),
    "npz": npz(anything=SAMPLES),
    "npz by name": npz(inputs=SAMPLES, y=np.arange(2)),
    "idx": idx(SAMPLES.astype(np.int16)),
    "idx of floats": idx(SAMPLES.reshape(2, 2, 3).astype(np.float64)),
    "csv": text(SAMPLES),
    "csv with header": b"a,b,c,d,e,f\n" + text(SAMPLES),
    "csv of spreadsheets": b"\xef\xbb\xbf" + text(SAMPLES).replace(b"2", b'"2"').replace(b"\n", b"\r\n\r\n"),
    "csv of whole floats": text(SAMPLES.astype(float)),
    "csv of savetxt": text([[f"{value:.18e}" for value in row] for row in SAMPLES]),
}


@pytest.mark.parametrize("packed", [False, True], ids=["plain", "gzip"])
@pytest.mark.parametrize("content", CONTENTS.values(), ids=CONTENTS.keys())
def test_samples_are_read_from(path, content, packed):
    path.write_bytes(gzip.compress(content) if packed else content)
    read = load_inputs(path, FORM)
    assert read.dtype == np.int64
    assert read.tolist() == SAMPLES.tolist()


@pytest.mark.parametrize("content", [npy(SAMPLES[0].reshape(2, 3)), npy(SAMPLES[:1]), text(SAMPLES[:1])])
def test_single_sample_is_read(path, content):
    path.write_bytes(content)
    assert load_inputs(path, FORM).tolist() == SAMPLES[:1].tolist()


@pytest.mark.parametrize(
    "content", [npy(np.array([3, 1, 2])), npy(np.array([[3.0], [1], [2]])), npz(x=SAMPLES, y=np.array([3, 1, 2])), b"label\n3\n1\n2\n"]
)
def test_labels_are_read(path, content):
    path.write_bytes(content)
    assert load_labels(path).tolist() == [3, 1, 2]


@settings(max_examples=50, deadline=None)
@given(st.lists(st.lists(st.integers(-4, 200), min_size=6, max_size=6), min_size=1, max_size=5))
def test_formats_agree(tmp_path_factory, rows):
    path = tmp_path_factory.mktemp("formats") / "samples"
    array = np.array(rows, np.int32)
    for content in (npy(array), npz(x=array), idx(array), text(rows)):
        path.write_bytes(content)
        assert load_inputs(path, FORM).tolist() == rows


# --- values ---


@pytest.mark.parametrize("make", [npy, text])
def test_value_out_of_range_is_named(path, make):
    values = SAMPLES.copy()
    values[1, 3] = 201
    refused(path, make(values), r"sample 1, element 3 is 201, expected a value in \[-4, 200\]")


def test_value_below_range_is_named(path):
    refused(path, npy(SAMPLES - 4), r"sample 1, element 5 is -8, expected a value in \[-4, 200\]")


def test_value_beyond_int64_is_named(path):
    refused(path, npy(np.full((1, 6), 2**64 - 1, np.uint64)), "sample 0, element 0 is 18446744073709551615, expected a value in")


@pytest.mark.parametrize("digits", [20, 300, 5000])
def test_csv_value_of_many_digits_is_named(path, digits):
    refused(path, text([["9" * digits, 1, 2, 3, 4, 5]]), "sample 0, element 0 is .*, expected a value in")


@pytest.mark.parametrize("make", [npy, text])
@pytest.mark.parametrize(("value", "expected"), [(0.5, "an integer"), (np.nan, "a finite number"), (np.inf, "a value in")])
def test_value_that_is_no_integer_is_named(path, make, value, expected):
    values = SAMPLES.astype(float)
    values[0, 2] = value
    refused(path, make(values), f"sample 0, element 2 is {value}, expected {expected}")


@pytest.mark.parametrize(("value", "expected"), [(-1, r"a value in \[0, 2147483647\]"), (1.5, "an integer")])
def test_label_that_is_no_class_is_named(path, value, expected):
    refused(path, npy(np.array([0, 1, value])), f"label 2 is {value}.*, expected {expected}", load_labels)


# --- shapes ---


@pytest.mark.parametrize("shape", [(2, 3), (1, 2, 3), (1, 6), (1, 2, 3, 1), (1, 1, 2, 3), (1, 2, 1, 3), (1, 1, 6), (1, 6, 1)])
def test_axes_of_one_are_as_good_as_none(path, shape):
    path.write_bytes(npy(SAMPLES[:1].reshape(shape)))
    assert load_inputs(path, FORM).tolist() == SAMPLES[:1].tolist()


@pytest.mark.parametrize(("shape", "form"), [((5,), (1,)), ((5, 1), (1,)), ((5, 1, 1), (1, 1)), ((5, 4), (4, 1)), ((5, 1, 4), (4, 1))])
def test_axes_of_one_in_the_format_are_as_good_as_none(path, shape, form):
    array = np.arange(np.prod(shape)).reshape(shape)
    path.write_bytes(npy(array))
    assert load_inputs(path, TensorFormat(form, 0, 100)).tolist() == array.reshape(5, -1).tolist()


@pytest.mark.parametrize("shape", [(5, 6), (5, 2, 3), (5, 3, 2), (5, 1, 2, 3), (5, 6, 1)])
@pytest.mark.parametrize("form", [(6,), (1, 6), (6, 1, 1)])
def test_inputs_of_one_axis_take_any_shape_row_by_row(path, shape, form):
    array = np.arange(30).reshape(shape)
    path.write_bytes(npy(array))
    assert load_inputs(path, TensorFormat(form, 0, 100)).tolist() == np.arange(30).reshape(5, 6).tolist()


@pytest.mark.parametrize("shape", [(5, 3, 2), (5, 3, 2, 1), (5, 6, 1, 2), (3, 2, 5), (5, 2, 2), (5, 1, 3), (6, 5), (5, 0, 6)])
def test_inputs_of_another_shape_with_as_many_elements_are_refused(path, shape):
    refused(path, npy(np.zeros(shape, np.int8)), r"shape .*, expected \(n, 2, 3\) or \(n, 6\) or \(2, 3\)")


@pytest.mark.parametrize("shape", [(), (6,), (2, 5), (3, 2), (0, 6)])
def test_inputs_of_wrong_shape_are_refused(path, shape):
    refused(path, npy(np.zeros(shape, np.int8)), r"shape \(.*\), expected (\(n, 2, 3\) or \(n, 6\) or \(2, 3\)|at least one sample)")


@pytest.mark.parametrize("shape", [(), (0,), (3, 2), (1, 1, 1)])
def test_labels_of_wrong_shape_are_refused(path, shape):
    refused(path, npy(np.zeros(shape, np.int8)), "shape .*, expected one label a sample", load_labels)


# --- arrays by name ---


def test_npz_array_is_chosen_by_name(path):
    path.write_bytes(npz(x_train=SAMPLES + 1, x_test=SAMPLES, y_test=np.array([3, 1])))
    assert load_inputs(f"{path}:x_test", FORM).tolist() == SAMPLES.tolist()
    assert load_labels(f"{path}:y_test").tolist() == [3, 1]
    refused(
        path, path.read_bytes(), r"arrays x_train, x_test, y_test, expected one array, or one named x or inputs, or another by its name, "
    )
    with pytest.raises(InputError, match=r"samples: has no array 'z'; arrays x_train, x_test, y_test, expected"):
        load_inputs(f"{path}:z", FORM)


def test_npz_of_many_arrays_names_some(path):
    refused(path, npz(**{f"a{k}": SAMPLES for k in range(20)}), r"arrays a0, .*, a9, \.\.\., expected")


def test_name_of_an_array_in_another_file_is_refused(path):
    path.write_bytes(npy(SAMPLES))
    with pytest.raises(InputError, match=r"samples: is no \.npz, expected one before ':x'"):
        load_inputs(f"{path}:x", FORM)


def test_colons_in_names_of_files_are_no_names_of_arrays(tmp_path):
    for name in ("a:b", "a:b:c"):
        (tmp_path / name).write_bytes(npz(first=SAMPLES, second=SAMPLES + 1))
        assert load_inputs(tmp_path / f"{name}:second", FORM).tolist() == (SAMPLES + 1).tolist()
    with pytest.raises(InputError, match=r"nothing:x: can't be read: No such file"):
        load_inputs(tmp_path / "nothing:x", FORM)


# --- real values ---

PIXELS = TensorFormat((2, 3), 0, 255, 1 / 255)
BENCH = TensorFormat((2, 3), 0, 255, 2.0**-8)
REAL = np.array([[0, 51, 102, 153, 204, 255], [1, 2, 3, 4, 5, 254]]) / 255


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_real_values_become_integers_by_the_scale(path, dtype):
    path.write_bytes(npy(REAL.astype(dtype)))
    whole = np.rint(REAL * 255).tolist()
    assert load_inputs(path, PIXELS, scale="network").tolist() == load_inputs(path, BENCH, scale=1 / 255).tolist() == whole
    path.write_bytes(text(REAL.astype(dtype).astype(float)))
    assert load_inputs(path, PIXELS, scale="network").tolist() == whole


def test_scaled_integers_are_real_values_too(path):
    path.write_bytes(npy(SAMPLES))
    form = TensorFormat((2, 3), -128, 127, 2.0, -3)
    # ties to even: 1 / 2 is 0.5 and 3 / 2 is 1.5
    assert load_inputs(path, form, scale="network").tolist() == [[-3, -2, -1, -1, -1, 0], [1, 1, 1, 2, 3, -5]]
    assert load_inputs(path, form, scale=1).tolist() == (SAMPLES - 3).tolist()


def test_real_values_without_a_scale_are_refused_with_their_range(path):
    refused(
        path,
        npy(REAL),
        r"sample 0, element 1 is 0.2, expected an integer; the file's values go from 0 to 1, the network reads integers in \[0, 255\]; "
        r"--scale network makes them round\(x / 0.00390625\) \+ 0, --scale NUMBER does .* of a step \(1/255 takes 1.0 as 255\)",
        lambda path: load_inputs(path, BENCH),
    )


@pytest.mark.parametrize("make", [npy, text])
def test_floats_0_and_1_are_refused_where_they_may_be_pixels(path, make):
    refused(
        path,
        make(np.rint(REAL)),
        r"sample 0, element 3 is 1.0, expected integers, not floats that may be pixels from 0 to 1; the file's values go from 0 to 1",
        lambda path: load_inputs(path, BENCH),
    )
    assert load_inputs(path, TensorFormat((6,), 0, 1)).max() == 1
    path.write_bytes(make(np.rint(REAL).astype(int)))
    assert load_inputs(path, BENCH).max() == 1
    path.write_bytes(make(np.zeros((1, 6))))
    assert load_inputs(path, BENCH).max() == 0


@pytest.mark.parametrize(
    ("form", "values", "message"),
    [
        (
            BENCH,
            REAL,
            r"sample 0, element 5 is 1.0, which is the integer 256 at a scale of 0.00390625 a step, .* \(1/255 takes 1.0 as 255\)",
        ),
        (PIXELS, -REAL, r"sample 0, element 1 is -0.2, which is the integer -51 at a scale of"),
        (PIXELS, np.where(REAL == 1, np.nan, REAL), "sample 0, element 5 is nan, expected a finite number"),
        (PIXELS, np.where(REAL == 1, np.inf, REAL), "sample 0, element 5 is inf, expected a finite number"),
        (
            TensorFormat((6,), 0, 255),
            REAL,
            r"values from 0.0 to 1.0 are at most one step of the network, 1; expected --scale NUMBER.*\(1/255",
        ),
    ],
)
def test_real_values_that_do_not_fit_are_refused(path, form, values, message):
    refused(path, npy(values), message, lambda path: load_inputs(path, form, scale="network"))


@pytest.mark.parametrize("scale", [0, -1.0, float("nan"), float("inf"), "tensor", True])
def test_scale_that_is_no_number_is_refused(path, scale):
    path.write_bytes(npy(SAMPLES))
    with pytest.raises(InputError, match=r"scale is .*, expected a positive finite number"):
        load_inputs(path, FORM, scale=scale)


PNG, JPEG = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR", b"\xff\xd8\xff\xe0\0\x10JFIF"
FOREIGN = {
    "PNG picture": PNG, "BMP picture": b"BM\x36\0\3\0\0\0\0\0\x36\0\0\0", "HDF5 file": b"\x89HDF\r\n\x1a\n\0\0",
    "JPEG picture": JPEG, "TensorFlow Lite model": b"\x1c\0\0\0TFL3", "ONNX model": b"\x08\x07\x12\x04test",
    "gzip data": gzip.compress(gzip.compress(b"1")),
}  # fmt: skip


@pytest.mark.parametrize(("what", "content"), FOREIGN.items(), ids=FOREIGN)
def test_files_that_are_no_samples_are_told_what_they_are(path, what, content):
    refused(path, content, f"{what}.*, from which no samples are read; expected .npy")


def test_nan_is_told_nothing_of_scales(path):
    refused(path, npy(np.array([[0.5] * 6, [np.nan] * 6])), "sample 1, element 0 is nan, expected a finite number$")


def test_one_hot_labels_are_told_of_argmax(path):
    refused(path, npy(np.eye(3, dtype=int)), r"shape \(3, 3\), expected one label a sample; .*argmax\(axis=1\)", load_labels)
    refused(path, npy(np.ones((3, 3), int)), r"expected one label a sample$", load_labels)


def test_near_names_of_arrays_are_suggested(path):
    path.write_bytes(npz(x_test=SAMPLES, x_train=SAMPLES))
    with pytest.raises(InputError, match="has no array 'x_tset'; did you mean 'x_test'"):
        load_inputs(f"{path}:x_tset", FORM)


@pytest.mark.parametrize(
    ("step", "zero_point", "read"),
    [(1 / 255, -128, True), (1 / 256, -128, True), (1.0, -128, True), (0.1, -128, False), (1 / 255, 0, False)],
)
def test_unsigned_bytes_are_pixels_where_int8_stands_for_them(tmp_path, step, zero_point, read):
    path, form = tmp_path / "x.npy", TensorFormat((3,), -128, 127, step, zero_point)
    np.save(path, np.array([[0, 127, 255]], np.uint8))
    if read:
        assert load_inputs(path, form).tolist() == [[-128, -1, 127]]
    else:
        with pytest.raises(InputError, match=r"element 2 is 255, expected a value in \[-128, 127\]; bytes are no pixels at"):
            load_inputs(path, form)
    np.save(path, np.array([[0, 127, -128]], np.int8))
    assert load_inputs(path, form).tolist() == [[0, 127, -128]]


IMAGE = TensorFormat((3,), -128, 127, 1 / 255, -128)


@pytest.mark.parametrize("values", [[[0, 127, 255]], [[0.0, 127.0, 255.0]]])
def test_pixels_that_are_no_bytes_are_told_of_a_scale(path, values):
    for make in (npy, text):
        said = r"element 2 is 255.*, expected a value in \[-128, 127\]; --scale 1 takes pixels from 0 to 255 as pixel - 128"
        refused(path, make(np.array(values)), said, lambda path: load_inputs(path, IMAGE))
    assert load_inputs(path, IMAGE, scale=1).tolist() == [[-128, -1, 127]]
    refused(path, npy(np.array([[0, 127, 256]])), r"expected a value in \[-128, 127\]$", lambda path: load_inputs(path, IMAGE))


def test_bytes_with_a_scale_of_real_pixels_are_told_what_they_are_without(path):
    content = npy(np.array([[0, 127, 255]], np.uint8))
    said = "element 1 is 127, which is the integer 32257 .*; without --scale bytes are pixels, each pixel - 128"
    refused(path, content, said, lambda path: load_inputs(path, IMAGE, scale="network"))


@pytest.mark.parametrize("top", [1, 15, 16])
def test_bytes_of_few_levels_are_no_pixels(path, top):
    content = npy(np.array([[0, 1, top]], np.uint8))
    said = rf"values from 0 to {top}, expected pixels from 0 to 255: --scale {top}/255 takes {top} as the brightest, --scale 1 takes them"
    refused(path, content, said, lambda path: load_inputs(path, IMAGE))
    assert load_inputs(path, IMAGE, scale=top / 255)[0, 2] == 127
    assert load_inputs(path, IMAGE, scale=1)[0, 2] == top - 128
    for dark in ([[0, 0, 0]], [[0, 1, 17]]):
        path.write_bytes(npy(np.array(dark, np.uint8)))
        assert load_inputs(path, IMAGE)[0, 2] == dark[0][2] - 128


def test_scale_that_makes_all_values_one_integer_is_refused(path):
    content = npy(REAL)
    said = r"all values, from 0.0 to 1.0, are the integer 0 at a scale of 255; expected the real value of a step"
    refused(path, content, said, lambda path: load_inputs(path, BENCH, scale=255))
    path.write_bytes(npy(np.zeros((1, 6))))
    assert load_inputs(path, BENCH, scale=255).max() == 0


TWO = (TensorFormat((2, 3), -128, 127, 0.5, 3), TensorFormat((4,), -128, 127, 1 / 255, -128))


def two_inputs() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    return rng.integers(-128, 128, (5, 2, 3)).astype(np.int8), rng.integers(0, 256, (5, 4)).astype(np.uint8)


def test_an_array_for_each_of_several_inputs(tmp_path):
    """Each in its own units: the second one reads bytes as pixels."""
    x, y = two_inputs()
    np.savez(tmp_path / "both.npz", input_1=y, input_0=x, labels=np.zeros(5, int))
    found = load_inputs(tmp_path / "both.npz", TWO)
    assert (found == np.hstack([x.reshape(5, 6), y.astype(int) - 128])).all()
    np.savez(tmp_path / "reals.npz", input_0=0.5 * (x - 3.0), input_1=y / 255)
    assert (load_inputs(tmp_path / "reals.npz", TWO, scale="network") == found).all()


def test_one_array_for_several_inputs(tmp_path):
    x, y = two_inputs()
    np.save(tmp_path / "both.npy", np.hstack([x.reshape(5, 6), y.astype(int) - 128]))
    assert load_inputs(tmp_path / "both.npy", TWO).shape == (5, 10)
    np.save(tmp_path / "both.npy", np.hstack([0.5 * (x.reshape(5, 6) - 3.0), y / 255]))
    assert (load_inputs(tmp_path / "both.npy", TWO, scale="network")[:, 6:] == y.astype(int) - 128).all()


def test_faults_of_several_inputs(tmp_path):
    x, y = two_inputs()
    np.savez(tmp_path / "both.npz", input_0=x, input_1=y[:4])
    with pytest.raises(InputError, match="5, 4 samples for 2 inputs, expected as many for each"):
        load_inputs(tmp_path / "both.npz", TWO)
    np.savez(tmp_path / "one.npz", input_0=x)
    with pytest.raises(InputError, match="has no array 'input_1'"):
        load_inputs(tmp_path / "one.npz", TWO)
    np.save(tmp_path / "short.npy", x)
    with pytest.raises(InputError, match=r"shape \(5, 2, 3\), expected \(n, 10\) for all 2 inputs, or an .npz of input_0, input_1"):
        load_inputs(tmp_path / "short.npy", TWO)
