"""Files of Keras with one fault each: one line that names the file and the place, and nothing in them is run."""

import json
import zipfile
from typing import Any

import h5py
import numpy as np
import pytest
from keras_files import dense, graph, layer, numbered, row, weights_of, write_archive, write_h5

import qbitsat
from qbitsat.cli.main import main
from qbitsat.errors import InputError, QbitsatError, UnsupportedError
from qbitsat.importers import float_builder, keras_file
from qbitsat.importers.hdf5 import opened

ROW = row(dense("a", 6, "relu"), dense("b", 3))
KERNEL = "model_weights/a/a/kernel:0"


@pytest.fixture
def weights():
    return weights_of(ROW, np.random.default_rng(1))


def refused(path, message: str, error: type[QbitsatError] = InputError, **more: Any) -> str:
    with pytest.raises(error, match=message) as caught:
        qbitsat.load_float(path, **more)
    said = str(caught.value)
    assert said.startswith(str(path))
    assert "\n" not in said
    return said


# --- layers ---


def test_all_layers_that_are_not_read_are_named_at_once(tmp_path, weights, capsys):
    inner = row(layer("GRU", "memory", units=2), name="inner")
    model = row(
        layer("Lambda", "code", function={"class_name": "__lambda__", "config": {"code": "4wEAAAA="}}), inner, layer("Foo", "own"),
        layer("Conv2DTranspose", "up"),
        dense("swish", 2, "swish"), {**dense("mine", 2), "registered_name": "pack>Dense"},
        {**dense("theirs", 2), "module": "my.layers"}, layer("TFOpLambda", "tf.math.add"),
        dense("function", 2, {"class_name": "function", "config": "f"}),
        dense("int8", 2, dtype={"class_name": "QuantizedDTypePolicy", "config": {"name": "int8_from_float32"}}), layer("ReLU", "fine"),
    )  # fmt: skip
    path = tmp_path / "net.h5"
    write_h5(path, model, weights)
    said = refused(path, "not read: ", UnsupportedError)
    for part in (
        "layer 'code' (Lambda): code of its own, which is never run", "layer 'own' (Foo)", "layer 'up' (Conv2DTranspose)",
        "layer 'swish' (Dense): activation 'swish'", "layer 'mine' (pack>Dense): a class of its own",
        "layer 'theirs' (Dense): a class of its own",
        "layer 'tf.math.add' (TFOpLambda): code", "layer 'function' (Dense): activation 'f', a function of its own",
        "layer 'int8' (Dense): quantized by Keras (int8_from_float32)", "layer 'memory' (GRU)",
    ):  # fmt: skip
        assert part in said
    assert "fine" not in said
    assert main(["inspect", str(path)]) == 2
    assert capsys.readouterr().err.count("\n") == 1


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        (dense("a", "6"), r"layer 'a' \(Dense\): units is '6', expected an integer"),
        (layer("Dense", "a"), "has no units"),
        (dense("a", 6, use_bias=1), "use_bias is 1, expected true or false"),
        (dense("a", 5), r"layer 'a' \(Dense\): kernel: shape \(4, 6\), expected \(4, 5\)"),
        (layer("Conv2D", "a", filters=2, kernel_size=3), r"reads a tensor of shape \(4,\), expected 3 axes"),
        (layer("ReLU", "a", threshold=0.5), "threshold 0.5, expected 0"),
        (layer("ReLU", "a", max_value=-1), "layer 'a': n is -1.0, expected a positive number"),
        (layer("LeakyReLU", "a", alpha="x"), "alpha is 'x', expected a finite number"),
        (layer("Softmax", "a", axis=0), "softmax along axis 0"),
        (layer("Reshape", "a", target_shape=[3]), "expected as many elements"),
        (layer("Permute", "a", dims=[2]), "expected each axis once"),
        (layer("BatchNormalization", "a", axis=2), "axis is 2, expected an axis from 1 to 1"),
        (layer("Add", "a"), "adds tensors of shapes"),
        (layer("Rescaling", "a", scale=[1, "x"]), "scale is a list, expected a number or a list"),
        (layer("Rescaling", "a", scale=[1, 2, 3]), r"scale of shape \(3,\)"),
        (layer("Dense", "", units=3), "a layer has no name"),
        (layer("ZeroPadding1D", "a", padding=[1]), "padding is a list, expected"),
    ],
)
def test_settings_are_checked(tmp_path, weights, changed, message):
    write_h5(tmp_path / "net.h5", row(changed), weights)
    refused(tmp_path / "net.h5", message, QbitsatError)


def shaped(sizes: Any) -> dict[str, Any]:
    model = row(dense("a", 6))
    model["config"]["layers"][0]["config"]["batch_shape"] = sizes
    return model


CYCLE = graph(layer("Add", "a", ["b", "x"]), layer("Add", "b", ["a", "x"]), outputs=["b"], inputs={"x": (2,)})
MODELS = {
    "open": (shaped([None, None, 3]), "input: shape .* expected fixed sizes"),
    "huge": (shaped([None, 1 << 30]), "input: shape .* expected fixed sizes"),
    "none": (shaped(None), "does not say the shape of its input"),
    "no layers": ({"class_name": "Sequential", "config": {"layers": 3}}, "layers: 3, expected a list"),
    "a class": ({"class_name": "MyModel", "config": {}}, "a model of class 'MyModel', expected Sequential or Functional"),
    "registered": ({**ROW, "registered_name": "me>Sequential"}, "a model of class 'Sequential'"),
    "cycle": (CYCLE, "output of layer 'b' is given by no layer that can be computed"),
    "missing": (graph(layer("Add", "a", ["x", "y"]), outputs=["a"], inputs={"x": (2,)}), "output of layer 'a' is given by no"),
    "constant": (graph({**layer("Add", "a"), "inbound_nodes": [{"args": [2.0]}]}, outputs=["a"], inputs={"x": (2,)}), "is called with 2.0"),
    "inputs": ({"class_name": "Functional", "config": {"layers": [], "input_layers": 3}}, "input_layers: 3"),
    "masked": (row(layer("QConv2D", "a", filters=2, kernel_size=1, mask=[[0.0]]), shape=(2, 2, 1)), "a mask of its kernel"),
    "deep": ({"class_name": "Sequential", "config": json.loads("[" * 600 + "]" * 600)}, "nests deeper than"),
}  # fmt: skip


@pytest.mark.parametrize(("model", "message"), MODELS.values(), ids=MODELS)
def test_models_are_checked(tmp_path, weights, model, message):
    write_h5(tmp_path / "net.h5", model, weights)
    refused(tmp_path / "net.h5", message, QbitsatError)


@pytest.mark.parametrize(
    ("kind", "message"), [("ReLU", "and 10000 layers"), ("Dropout", "more than 50000 layers and tensors that they read")]
)
def test_models_that_call_each_other_again_and_again_are_bounded(tmp_path, kind, message):
    """Each of 16 models calls the one within 8 times: 8**16 layers, also of such as leave no layer."""
    model = row(layer(kind, "r"), shape=(2,), name="m0")
    for k in range(16):
        name = model["config"]["name"]
        model = graph(
            {**model, "name": name, "inbound_nodes": [[["x", 0, 0, {}]], *([[[name, i, 0, {}]] for i in range(1, 8)])]},
            outputs=[name], inputs={"x": (2,)},
        )  # fmt: skip
        model["config"].update(name=f"m{k + 1}", output_layers=[[name, 8, 0]])
    write_h5(tmp_path / "net.h5", model, {})
    refused(tmp_path / "net.h5", message, UnsupportedError)


# --- weights ---


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("layout", ["net.h5", "net.keras"])
def test_weights_are_finite(tmp_path, weights, value, layout):
    weights["b"]["bias"][1] = value
    path = tmp_path / layout
    write_h5(path, ROW, weights) if layout == "net.h5" else write_archive(path, ROW, numbered(ROW, weights))
    refused(path, rf"layer 'b' \(Dense\): bias: element \[1\] is {value}, expected a finite number")


def test_variances_are_not_negative(tmp_path):
    sides = {name: np.full(4, -1.0) for name in ("gamma", "beta", "moving_mean", "moving_variance")}
    write_h5(tmp_path / "net.h5", row(layer("BatchNormalization", "n")), {"n": sides})
    refused(tmp_path / "net.h5", r"layer 'n': scale: element \[0\] is nan")


def elsewhere(file, name):
    file[name] = h5py.ExternalLink("other.h5", "/kernel")


def outside(file, name):
    file.create_dataset(name, (4, 6), "f4", external=[("other.bin", 0, 96)])


def soft(file, name):
    file[name] = h5py.SoftLink("/model_weights/b/b/kernel:0")


def packed(file, name):
    file.create_dataset(name, data=np.zeros((4, 6), "f4"), compression="gzip")


def never_written(file, name):
    file.create_dataset(name, (4, 6), "f4", chunks=(4, 6))


def integers(file, name):
    file[name] = np.zeros((4, 6), np.int8)


def nothing(file, name):
    pass


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (elsewhere, "'kernel:0' in .* is an external link"),
        (outside, "its data lies outside this file"),
        (soft, "is a soft link"),
        (packed, "compressed or filtered data"),
        (never_written, "takes 96 bytes, the file stores 0"),
        (integers, "dtype int8, expected float32 or float64"),
        (nothing, "has no 'a/kernel:0'"),
    ],
)
def test_weights_lie_in_the_file(tmp_path, weights, change, message):
    path = tmp_path / "net.h5"
    write_h5(path, ROW, weights)
    with h5py.File(path, "a") as file:
        del file[KERNEL]
        change(file, KERNEL)
    refused(path, message, QbitsatError)


@pytest.mark.parametrize("attribute", ["name", "missing"])
def test_groups_of_an_archive_are_those_of_its_layers(tmp_path, weights, attribute):
    path, groups = tmp_path / "net.keras", numbered(ROW, weights)
    if attribute == "missing":
        del groups["layers/dense_1"]
        message = r"layer 'b' \(Dense\): weights: has no 'layers/dense_1/vars'"
    else:
        message = r"layer 'a' \(Dense\): weights: group layers/dense/vars is of layer 'other', expected 'a'"
    write_archive(path, ROW, groups, attribute="other" if attribute == "name" else None)
    refused(path, message)


def test_parameters_are_bounded(tmp_path, weights, monkeypatch):
    path = tmp_path / "net.h5"
    write_h5(path, ROW, weights)
    monkeypatch.setattr("qbitsat.importers.keras_file.weights.MAX_PARAMETERS", 50)
    refused(path, r"layer 'b' \(Dense\): bias: more than 50 parameters up to here|kernel: more than 50", UnsupportedError)


def test_a_hundred_million_parameters_are_too_many(tmp_path):
    """They are refused before any is read; the file claims them and holds none."""
    path = tmp_path / "net.h5"
    write_h5(path, row(dense("a", 10_000), shape=(10_000,)), {"a": {"kernel": np.zeros((1, 1)), "bias": np.zeros(10_000)}})
    with h5py.File(path, "a") as file:
        del file[KERNEL]
        file.create_dataset(KERNEL, (10_000, 10_000), "f4")
    refused(path, r"layer 'a' \(Dense\): kernel: more than 67108864 parameters", UnsupportedError)
    assert float_builder.MAX_PARAMETERS == 67108864


# --- what HDF5 would take any memory for, or not end with ---


def patched(path, weights, change) -> None:
    """A whole model of which some bytes are others."""
    write_h5(path, ROW, weights)
    data = bytearray(path.read_bytes())
    change(data)
    path.write_bytes(data)


def test_texts_are_as_long_as_their_file_lets_them_be(tmp_path, weights):
    def change(data):
        """Name, datatype, dataspace and length of an attribute."""
        at = data.index(b"model_config\0")
        length = len(json.dumps(ROW)).to_bytes(4, "little")
        data[(at := data.index(length, at)) : at + 4] = (1 << 31).to_bytes(4, "little")

    patched(tmp_path / "net.h5", weights, change)
    refused(tmp_path / "net.h5", "attribute model_config: damaged HDF5 file: a text of 2147483648 bytes, expected at most 16777216")


@pytest.mark.parametrize(("number", "size"), [(0, 0), (1, 1 << 62)])
def test_heaps_are_walked_to_their_end(tmp_path, weights, number, size):
    def change(data):
        at = data.index(b"GCOL") + 16
        data[at : at + 16] = number.to_bytes(8, "little") + size.to_bytes(8, "little")

    patched(tmp_path / "net.h5", weights, change)
    refused(tmp_path / "net.h5", "attribute .*: damaged HDF5 file: no text .* in the heap at byte")


@pytest.mark.parametrize("libver", ["earliest", "v108", "v114", "latest"])
@pytest.mark.parametrize("text", ["plain", "not plain: \u00e9", "", "long" * 1000])
def test_texts_are_what_h5py_reads(tmp_path, libver, text):
    """In every layout of HDF5, of fixed and of variable length, in objects with few attributes and with some."""
    values = {
        "one": text, "many": [text, "b", "c" * 300], "none": np.zeros(0), "fixed": np.array([b"ab", b"c"]), "bytes": np.bytes_("abc"),
        "number": 3.0, "array": np.arange(4),
    }  # fmt: skip
    with h5py.File(tmp_path / "a.h5", "w", libver=libver) as file:
        for name, value in values.items():
            file.attrs[name] = value
    with opened(tmp_path / "a.h5", "a.h5") as source:
        for name in ("one", "bytes"):
            found = source.group.attrs[name]
            assert source.text(name, 10_000, "a.h5") == (found.decode() if isinstance(found, bytes) else found)
        assert source.names("many", "a.h5") == [text, "b", "c" * 300]
        assert source.names("fixed", "a.h5") == ["ab", "c"]
        assert source.names("none", "a.h5") == []
        assert source.text("other", 10, "a.h5") is None
        for name in ("number", "array"):
            with pytest.raises(InputError, match="expected text"):
                source.text(name, 100, "a.h5")


# --- archives ---


@pytest.mark.parametrize("cut", [1, 30, 200, 1000, 4000])
@pytest.mark.parametrize("layout", ["net.h5", "net.keras"])
def test_cut_off_files(tmp_path, weights, layout, cut):
    path = tmp_path / layout
    write_h5(path, ROW, weights) if layout == "net.h5" else write_archive(path, ROW, numbered(ROW, weights))
    path.write_bytes(path.read_bytes()[:-cut])
    refused(path, r"damaged|has no|takes")


@pytest.mark.parametrize("member", [keras_file.CONFIG, keras_file.METADATA, keras_file.WEIGHTS])
def test_bombs_are_not_unpacked(tmp_path, member):
    path = tmp_path / "net.keras"
    members = {keras_file.CONFIG: json.dumps(ROW), keras_file.METADATA: "{}", keras_file.WEIGHTS: "x"}
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, text in (members | {member: " " * (5 << 20)}).items():
            archive.writestr(name, text)
    refused(path, f"{member} has 5242880 bytes, stored as")


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ("[1]", "config.json: a list, expected an object"),
        ("{", "config.json: not valid JSON"),
        ("[" * 100_000, "not valid JSON"),
        ("{}", "a model of class None"),
    ],
)
def test_configs_are_objects(tmp_path, weights, config, message):
    write_archive(tmp_path / "net.keras", config, numbered(ROW, weights))
    refused(tmp_path / "net.keras", message, QbitsatError)


def test_archives_need_their_members_once(tmp_path, weights):
    path = tmp_path / "net.keras"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(keras_file.CONFIG, json.dumps(ROW))
        archive.writestr(keras_file.METADATA, "{}")
    refused(path, f"has no {keras_file.WEIGHTS}", UnsupportedError)
    write_archive(path, ROW, numbered(ROW, weights))
    with pytest.warns(UserWarning, match="Duplicate"), zipfile.ZipFile(path, "a") as archive:
        archive.writestr(keras_file.CONFIG, json.dumps(ROW))
    refused(path, "two members have one name")


def test_other_files_are_no_float_models(tmp_path, digits):
    path = tmp_path / "net.npz"
    qbitsat.save(digits[0], path)
    refused(path, r"a network of integers \(.npz\), no float model", UnsupportedError)
    path.write_bytes(b"nothing")
    refused(path, "no float model; qbitsat reads float models of Keras", UnsupportedError)
    with pytest.raises(InputError, match=r"layers: '4,2', but .* is no \.h5"):
        qbitsat.load_float(path, "4,2")
