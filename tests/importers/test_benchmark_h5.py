"""Keras .h5 benchmark networks: the published check values, quantization, and one refused file a fault."""

import builtins
import struct

import h5py
import numpy as np
import pytest

from qbitsat.errors import InputError, MissingExtraError, UnsupportedError
from qbitsat.importers import load, load_inputs, load_labels
from qbitsat.importers.benchmark_h5 import quantize
from qbitsat.network import classify, reference

KERNELS = (np.array([[0.5, -0.25, 0.125], [1.0, -1.0, 0.75]], np.float32), np.array([[0.5], [0.25], [-0.5]], np.float32))
BIASES = (np.array([0.5, 0.25, -0.25], np.float32), np.array([1.0], np.float32))


@pytest.mark.parametrize("layer", ["max_pooling2d", "leaky_re_lu", "softmax", "flatten2"])
def test_h5_layer_without_weights_that_computes_is_refused(tmp_path, layer):
    """Skipping it would verify another network."""
    path = tmp_path / "network_qu_6.h5"
    keras_file(path)
    with h5py.File(path, "a") as file:
        file.attrs["layer_names"] = ["quantized_dense", layer, "quantized_dense_1"]
        file.create_group(layer).attrs["weight_names"] = np.zeros(0)
    with pytest.raises(UnsupportedError, match=f"layer '{layer}': expected quantized_dense"):
        load(path)


def keras_file(path, kernels=KERNELS, biases=BIASES, names=("quantized_dense", "quantized_dense_1")):
    """Write weights as Keras does, and two layers without weights."""
    with h5py.File(path, "w") as file:
        file.attrs["layer_names"] = [*names, "dropout", "flatten"]
        for name in ("dropout", "flatten"):
            file.create_group(name).attrs["weight_names"] = np.array([])
        for name, kernel, bias in zip(names, kernels, biases, strict=True):
            group = file.create_group(name)
            group.attrs["weight_names"] = [f"{name}/kernel:0", f"{name}/bias:0"]
            group[f"{name}/kernel:0"], group[f"{name}/bias:0"] = kernel, bias
    return path


@pytest.fixture
def path(tmp_path):
    return keras_file(tmp_path / "weights.h5")


def replace(path, change, name="quantized_dense/quantized_dense/kernel:0") -> None:
    """Delete one object of the file and let change(file, name) put another in its place."""
    with h5py.File(path, "a") as file:
        del file[name]
        change(file, name)


def refused(path, message, error=InputError, bits=6, **widths) -> None:
    with pytest.raises(error, match=message) as caught:
        load(path, bits, **widths)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


# --- meaning ---


@pytest.mark.parametrize(
    ("name", "bits", "correct", "shifts"),
    [
        ("aaai21/mnist_mlp.h5", 6, 9708, [9, 5]),
        ("qvip/qu_mnist_2blk_64_32_in_8_qu_6.h5", None, 9712, [9, 5, 5]),
        ("qvip/qu_mnist_2blk_64_32_in_8_qu_8.h5", None, 9701, [9, 7, 7]),
    ],
)
def test_benchmark_accuracy_on_mnist(bench_data, name, bits, correct, shifts):
    network = load(bench_data / name, bits)
    x = load_inputs(bench_data / "mnist" / "t10k-images-idx3-ubyte.gz", network.input)
    labels = load_labels(bench_data / "mnist" / "t10k-labels-idx1-ubyte.gz")
    assert np.count_nonzero(classify(network, x) == labels) == correct
    assert [layer.requantizers[0].shift for layer in network.layers] == shifts


@pytest.mark.parametrize(("bits", "top"), [(6, 31), (8, 127)])
def test_benchmark_sample_0_saturates(bench_data, bits, top):
    network = load(bench_data / f"qvip/qu_mnist_2blk_64_32_in_8_qu_{bits}.h5")
    x = load_inputs(bench_data / "mnist" / "t10k-images-idx3-ubyte.gz", network.input)[0]
    assert reference.run(network, x) == [top if j == 7 else -top - 1 for j in range(10)]


def test_benchmark_input_is_an_image(bench_data):
    form = load(bench_data / "aaai21" / "mnist_mlp.h5", 6).input
    assert (form.shape, form.lo, form.hi, form.scale) == ((28, 28), 0, 255, 2.0**-8)


def test_layers_follow_the_documented_formats(path):
    first, last = load(path, 4).layers
    assert first.weights.tolist() == [[4, 7], [-2, -8], [1, 6]]
    assert first.bias.tolist() == [2 << 9, 1 << 9, -1 << 9]
    assert (first.output.lo, first.output.hi, first.requantizers[0].shift) == (0, 15, 9)
    assert last.bias.tolist() == [4 << 3]
    assert (last.output.lo, last.output.hi, last.requantizers[0].shift, last.output.scale) == (-8, 7, 3, 0.25)


def test_quantize_rounds_ties_away_from_zero_and_saturates():
    values = np.array([0.0625, -0.0625, 0.1875, 0.06, -0.06, 9.0, -9.0])
    assert quantize(values, 4, 3).tolist() == [1, -1, 2, 0, 0, 7, -8]


def test_quantize_is_exact_just_below_a_tie():
    assert quantize(np.array([np.nextafter(0.5, 0), -np.nextafter(0.5, 0)]), 4, 0).tolist() == [0, 0]


def test_float64_weights_are_read(tmp_path, path):
    wide = keras_file(tmp_path / "wide.h5", [k.astype(np.float64) for k in KERNELS], BIASES)
    assert load(wide, 6).sha256 == load(path, 6).sha256


# --- widths ---


def test_bits_come_from_the_file_name(tmp_path):
    network = load(keras_file(tmp_path / "net_in_4_qu_7.h5"))
    assert (network.input.hi, network.layers[0].output.hi) == (15, 127)


@pytest.mark.parametrize("kind", [np.int8, np.uint64])
def test_bits_may_be_numpy_integers(path, kind):
    assert load(path, kind(6), kind(4)).sha256 == load(path, 6, 4).sha256


@pytest.mark.parametrize("bits", [True, 6.0, np.float32(6), "6"])
def test_bits_that_are_no_integers_are_refused(path, bits):
    with pytest.raises(InputError, match=r"^bits: .*, expected a whole number from 2 to 16$"):
        load(path, bits)


def test_bits_given_win_over_the_file_name(tmp_path):
    network = load(keras_file(tmp_path / "net_in_4_qu_7.h5"), 5, input_bits=8)
    assert (network.input.hi, network.layers[0].output.hi) == (255, 31)


def test_input_bits_default_to_8(path):
    assert load(path, 6).input.hi == 255


def test_missing_bits_are_asked_for(path):
    refused(path, "does not say how many bits the network has; expected --bits", bits=None)


@pytest.mark.parametrize("bits", [1, 17, 6.0, True])
def test_bits_out_of_range_are_refused(path, bits):
    with pytest.raises(InputError, match=f"^bits: {bits!r}, expected a whole number from 2 to 16$"):
        load(path, bits)


@pytest.mark.parametrize("input_bits", [0, 17])
def test_input_bits_out_of_range_are_refused(path, input_bits):
    with pytest.raises(InputError, match=f"^input_bits: {input_bits}, expected a whole number from 1 to 16$"):
        load(path, 6, input_bits)


def test_bits_out_of_range_in_the_file_name_are_refused(tmp_path):
    refused(keras_file(tmp_path / "net_qu_99.h5"), "bits in the file name: 99, expected", bits=None)


# --- faults ---


def test_missing_h5py_names_the_extra(path, monkeypatch):
    original = builtins.__import__

    def without_h5py(name, *rest):
        if name == "h5py":
            raise ImportError(name)
        return original(name, *rest)

    monkeypatch.setattr(builtins, "__import__", without_h5py)
    refused(path, r"needs the package 'h5py': pip install 'qbitsat\[keras\]'", MissingExtraError)


@pytest.mark.parametrize("keep", [20, 100, 0.5])
def test_truncated_file_is_refused(path, keep):
    data = path.read_bytes()
    path.write_bytes(data[: keep if isinstance(keep, int) else int(len(data) * keep)])
    refused(path, "damaged HDF5 file")


def test_file_without_layer_names_is_refused(path):
    with h5py.File(path, "a") as file:
        del file.attrs["layer_names"]
    refused(path, "has no attribute layer_names; expected a file of Keras weights")


def test_layer_names_that_are_no_names_are_refused(path):
    with h5py.File(path, "a") as file:
        file.attrs["layer_names"] = np.arange(3)
    refused(path, "attribute layer_names: expected text")


def test_layer_twice_is_refused(path):
    with h5py.File(path, "a") as file:
        file.attrs["layer_names"] = ["quantized_dense"] * 2
    refused(path, "attribute layer_names: expected different names")


def test_layer_names_of_wrong_shape_are_refused(path):
    with h5py.File(path, "a") as file:
        file.attrs["layer_names"] = "quantized_dense"
    refused(path, r"attribute layer_names has shape \(\), expected a short list of names")


def test_missing_layer_is_refused(path):
    with h5py.File(path, "a") as file:
        del file["quantized_dense_1"]
    refused(path, "layer 'quantized_dense_1': has no 'quantized_dense_1'")


def test_missing_weights_are_refused(path):
    replace(path, lambda file, name: None)
    refused(path, "layer 'quantized_dense': has no 'quantized_dense/kernel:0'")


def test_network_without_weights_is_refused(tmp_path):
    refused(keras_file(tmp_path / "empty.h5", (), (), ()), "no layer has weights")


@pytest.mark.parametrize("name", ["conv2d", "dense", "quantized_dense_x"])
def test_unknown_layer_with_weights_is_unsupported(tmp_path, name):
    path = keras_file(tmp_path / "other.h5", names=(name, "quantized_dense_1"))
    refused(path, f"layer '{name}': weights .* expected quantized_dense layers", UnsupportedError)


def test_third_weight_is_unsupported(path):
    with h5py.File(path, "a") as file:
        names = [f"quantized_dense/{name}:0" for name in ("kernel", "bias", "scale")]
        file["quantized_dense"].attrs["weight_names"] = names
    refused(path, "layer 'quantized_dense': weights .*scale:0.* expected", UnsupportedError)


def test_external_link_is_refused(path, tmp_path):
    other = keras_file(tmp_path / "other.h5")
    replace(path, lambda file, name: file.__setitem__(name, h5py.ExternalLink(str(other), name)))
    refused(path, "layer 'quantized_dense': 'kernel:0' in .* is an external link, expected the data in its place")


def test_external_link_to_a_layer_is_refused(path, tmp_path):
    other = keras_file(tmp_path / "other.h5")
    replace(path, lambda file, name: file.__setitem__(name, h5py.ExternalLink(str(other), name)), "quantized_dense")
    refused(path, "layer 'quantized_dense': 'quantized_dense' in .* is an external link")


def test_soft_link_is_refused(path):
    replace(path, lambda file, name: file.__setitem__(name, h5py.SoftLink("/quantized_dense_1/quantized_dense_1/kernel:0")))
    refused(path, "layer 'quantized_dense': 'kernel:0' in .* is a soft link, expected the data in its place")


@pytest.mark.parametrize("name", ["/quantized_dense/kernel:0", "./kernel:0"])
def test_path_out_of_the_layer_is_refused(path, name):
    with h5py.File(path, "a") as file:
        file["quantized_dense"].attrs["weight_names"] = [name, "quantized_dense/bias:0"]
    refused(path, f"layer 'quantized_dense': has no '{name}'")


def test_virtual_dataset_is_refused(path):
    def virtual(file, name):
        layout = h5py.VirtualLayout((2, 3), np.float32)
        layout[:] = h5py.VirtualSource(file["quantized_dense/quantized_dense/spare"])
        file.create_virtual_dataset(name, layout)

    with h5py.File(path, "a") as file:
        file["quantized_dense/quantized_dense/spare"] = KERNELS[0]
    replace(path, virtual)
    refused(path, "kernel:0: its data lies outside this file")


def test_external_storage_is_refused(path, tmp_path):
    (tmp_path / "raw").write_bytes(KERNELS[0].tobytes())
    storage = [(str(tmp_path / "raw"), 0, 24)]
    replace(path, lambda file, name: file.create_dataset(name, (2, 3), np.float32, external=storage))
    refused(path, "kernel:0: its data lies outside this file")


def test_compressed_dataset_is_unsupported(path):
    replace(path, lambda file, name: file.create_dataset(name, data=KERNELS[0], compression="gzip"))
    refused(path, "kernel:0: compressed or filtered data", UnsupportedError)


def test_huge_shape_without_data_is_refused(path):
    replace(path, lambda file, name: file.create_dataset(name, (10**6, 10**6), np.float32, chunks=(1000, 1000)))
    refused(path, r"kernel:0: shape \(1000000, 1000000\) of float32 takes 4000000000000 bytes, the file stores 0")


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_weight_that_is_not_finite_is_refused(path, value):
    kernel = KERNELS[0].copy()
    kernel[1, 2] = value
    replace(path, lambda file, name: file.__setitem__(name, kernel))
    refused(path, rf"kernel:0: element \[1, 2\] is {value}, expected a finite number")


def test_integer_weights_are_refused(path):
    replace(path, lambda file, name: file.__setitem__(name, KERNELS[0].astype(np.int8)))
    refused(path, "kernel:0: dtype int8, expected float32 or float64")


def test_group_in_place_of_weights_is_refused(path):
    replace(path, lambda file, name: file.create_group(name))
    refused(path, "kernel:0: expected a dataset")


@pytest.mark.parametrize("shape", [(6,), (0, 3)])
def test_kernel_of_wrong_axes_is_refused(path, shape):
    replace(path, lambda file, name: file.__setitem__(name, np.zeros(shape, np.float32)))
    refused(path, r"kernel:0: shape .*, expected 2 axes, none empty")


def test_bias_of_wrong_length_is_refused(path):
    replace(path, lambda file, name: file.__setitem__(name, np.zeros(4, np.float32)), "quantized_dense/quantized_dense/bias:0")
    refused(path, r"layer 'quantized_dense': kernel:0 has shape \(2, 3\), expected \(2, 4\)")


def test_layers_that_do_not_fit_are_refused(tmp_path):
    path = keras_file(tmp_path / "chain.h5", (KERNELS[0], np.zeros((5, 1), np.float32)))
    refused(path, r"layer 'quantized_dense_1': kernel:0 has shape \(5, 1\), expected \(3, 1\)")


def test_damaged_address_is_refused(path):
    data = path.read_bytes()
    root = struct.unpack_from("<Q", data, 64)[0]
    path.write_bytes(data[:64] + struct.pack("<Q", root + 7) + data[72:])
    refused(path, "damaged HDF5 file")
