"""Float models of Keras, in each layout of its files, against plain numpy."""

import h5py
import numpy as np
import pytest
from keras_files import dense, graph, layer, numbered, row, weights_of, write_archive, write_h5, write_named, write_numbered

import qbitsat
from qbitsat.cli.main import main
from qbitsat.errors import InputError, UnsupportedError
from qbitsat.network.float_network import Activation, FloatConvolution, FloatDense, Pool, Scale

X = np.random.default_rng(9).normal(size=(5, 4))


def computed(weights, x, functions):
    for variables, function in zip(weights.values(), functions, strict=True):
        x = function(x @ variables["kernel"].astype("f4") + variables["bias"].astype("f4"))
    return x


def relu(x):
    return np.maximum(x, 0)


def same(x):
    return x


ROW = row(dense("a", 6, "relu"), layer("Dropout", "rest", rate=0.5), dense("b", 3))


@pytest.mark.parametrize("layout", ["h5", "keras", "keras-deflated"])
def test_rows_of_dense_layers(tmp_path, layout):
    path, weights = tmp_path / "net.dat", weights_of(ROW, np.random.default_rng(1))
    if layout == "h5":
        write_h5(path, ROW, weights)
    else:
        write_archive(path, ROW, numbered(ROW, weights), method=8 if "-" in layout else 0)
    network = qbitsat.load_float(path)
    assert np.allclose(network.run(X)[0], computed(weights, X, [relu, same]), atol=1e-12)
    assert [part.name for part in network.layers] == ["a", "a.relu", "b"]
    assert (network.name, network.source, network.remarks) == ("net", str(path), ("left out: rest",))


@pytest.mark.parametrize("policy", ["float16", "bfloat16", {"class_name": "DTypePolicy", "config": {"name": "mixed_float16"}}])
def test_floats_of_16_bits_are_remarked(tmp_path, policy):
    model = row(dense("a", 3, dtype=policy), dense("b", 2, dtype="float32"))
    write_h5(tmp_path / "net.h5", model, weights_of(model, np.random.default_rng(0)))
    assert qbitsat.load_float(tmp_path / "net.h5").remarks == ("floats of 16 bits in the file, of 32 or 64 here: a",)


def test_old_rows_are_lists_and_say_their_shape_in_the_first_layer(tmp_path):
    model = row(dense("a", 2), shape=(4,))
    weights = weights_of(model, np.random.default_rng(1))
    model["config"] = [{"class_name": "Dense", "config": {"name": "a", "units": 2, "batch_input_shape": [None, 4]}}]
    write_h5(tmp_path / "old.h5", model, weights, "2.1.6")
    assert qbitsat.load_float(tmp_path / "old.h5").inputs == ((4,),)


def test_batch_normalization_is_folded_or_stays_as_a_scale(tmp_path):
    rng = np.random.default_rng(2)
    sides = {
        "gamma": rng.normal(size=6),
        "beta": rng.normal(size=6),
        "moving_mean": rng.normal(size=6),
        "moving_variance": rng.uniform(1, 2, 6),
    }
    model = row(
        dense("a", 6), layer("BatchNormalization", "n1", axis=[1], epsilon=0.01), layer("ReLU", "r"),
        layer("BatchNormalization", "n2", axis=-1, scale=False, center=False), dense("b", 2),
    )  # fmt: skip
    weights = weights_of(model, rng)
    few = {name: sides[name] for name in ("moving_mean", "moving_variance")}
    write_h5(tmp_path / "n.h5", model, {"a": weights["a"], "n1": sides, "n2": few, "b": weights["b"]})
    network = qbitsat.load_float(tmp_path / "n.h5")
    assert [type(part) for part in network.layers] == [FloatDense, Activation, Scale, FloatDense]
    assert network.remarks == ("folded into their neighbours: n1",)
    x = computed({"a": weights["a"]}, X, [same])
    x = relu((x - sides["moving_mean"]) / np.sqrt(sides["moving_variance"] + 0.01) * sides["gamma"] + sides["beta"])
    x = (x - sides["moving_mean"]) / np.sqrt(sides["moving_variance"] + 1e-3)
    assert np.allclose(network.run(X)[0], computed({"b": weights["b"]}, x, [same]), atol=1e-5)


def test_graphs_join_and_call_layers_twice(tmp_path):
    rng = np.random.default_rng(3)
    shared = dense("a", 4, "tanh")
    shared["inbound_nodes"] = [[["x", 0, 0, {}]], [["a", 0, 0, {}]]]
    more = [
        layer("Add", "s", [["a", 0], ["a", 1], ["x", 0]]),
        layer("Concatenate", "c", ["s", "y"], axis=-1),
        layer("Subtract", "d", ["s", "x"]),
    ]
    # Not in the order in which they are computed.
    model = graph(*more[::-1], shared, outputs=["c", "d"], inputs={"x": (4,), "y": (2,)})
    weights = {"a": {"kernel": rng.normal(size=(4, 4)), "bias": rng.normal(size=4)}}
    write_h5(tmp_path / "g.h5", model, weights)
    network = qbitsat.load_float(tmp_path / "g.h5")
    y = rng.normal(size=(5, 2))
    once = computed(weights, X, [np.tanh])
    total = once + computed(weights, once, [np.tanh]) + X
    found = network.run((X, y))
    assert all(np.allclose(a, b, atol=1e-6) for a, b in zip(found, (np.concatenate([total, y], 1), total - X), strict=True))


def test_models_within_models_keep_their_weights_by_name_or_by_number(tmp_path):
    inner = row(dense("a", 3, "relu"), dense("b", 4), name="inner")
    model = row(inner, dense("c", 2))
    rng = np.random.default_rng(4)
    weights = {**weights_of(inner, rng), "c": {"kernel": rng.normal(size=(4, 2)), "bias": rng.normal(size=2)}}
    groups = {f"layers/sequential/{name}": arrays for name, arrays in numbered(inner, weights).items()}
    write_archive(tmp_path / "m.keras", model, {**groups, "layers/dense": list(weights["c"].values())})
    with h5py.File(tmp_path / "m.h5", "w") as file:
        import json

        file.attrs["model_config"] = json.dumps(model)
        root = file.create_group("model_weights")
        write_named(root, {"c": weights["c"]})
        group = root.create_group("inner")
        group.attrs["weight_names"] = [f"{name}/{key}:0" for name in "ab" for key in ("kernel", "bias")]
        for name in "ab":
            for key, array in weights[name].items():
                group[f"{name}/{key}:0"] = array.astype("f4")
    for name in ("m.keras", "m.h5"):
        network = qbitsat.load_float(tmp_path / name)
        assert np.allclose(network.run(X)[0], computed(weights, X, [relu, same, same]), atol=1e-6)
        assert [part.name for part in network.layers] == ["inner/a", "inner/a.relu", "inner/b", "c"]


def test_zeros_around_images_become_padding_and_sequences_fold(tmp_path):
    rng = np.random.default_rng(5)
    model = row(
        layer("ZeroPadding2D", "z", padding=[[1, 0], [2, 1]]), layer("Conv2D", "c", filters=3, kernel_size=[2, 2], padding="same"),
        layer("AveragePooling2D", "p", pool_size=[2, 2], padding="same"), layer("Reshape", "r", target_shape=[-1, 3]),
        layer("Conv1D", "d", filters=2, kernel_size=3, strides=2, padding="causal"), layer("BatchNormalization", "n", axis=2),
        layer("LeakyReLU", "l", alpha=0.1), layer("Flatten", "f"), shape=(4, 5, 1),
    )  # fmt: skip
    ones = {name: np.ones(2) for name in ("gamma", "beta", "moving_mean", "moving_variance")}
    weights = {
        "c": {"kernel": rng.normal(size=(2, 2, 1, 3)), "bias": rng.normal(size=3)},
        "d": {"kernel": rng.normal(size=(3, 3, 2)), "bias": rng.normal(size=2)},
        "n": ones,
    }
    write_h5(tmp_path / "c.h5", model, weights)
    network = qbitsat.load_float(tmp_path / "c.h5")
    first, second = (part for part in network.layers if isinstance(part, FloatConvolution))
    assert first.padding == ((1, 1), (2, 2))
    assert second.padding == ((0, 0), (2, 0))
    assert not any(isinstance(part, Scale) for part in network.layers)
    assert [part.name for part in network.layers if isinstance(part, Pool)] == ["p"]
    assert network.layers[network.layers.index(second) + 1].name == "l"


@pytest.mark.parametrize("package", ["", "qkeras>"])  # as QKeras for Keras 3 has it in an .h5
def test_quantizers_of_qkeras_are_kept(tmp_path, package):
    bits = {"class_name": f"{package}quantized_bits", "config": {"bits": 6, "integer": 0, "alpha": 1}}
    model = row(
        layer(f"{package}QDense", "a", units=3, kernel_quantizer=bits, bias_quantizer="quantized_bits(8,2)"),
        layer(f"{package}QActivation", "q", activation="quantized_relu(4,1)"),
        layer(f"{package}QDense", "b", units=2, activation="quantized_bits(5)"),
    )  # fmt: skip
    rng = np.random.default_rng(6)
    weights = {
        name: {"kernel": rng.normal(size=shape), "bias": rng.normal(size=shape[1])} for name, shape in (("a", (4, 3)), ("b", (3, 2)))
    }
    write_h5(tmp_path / "q.h5", model, weights)
    network = qbitsat.load_float(tmp_path / "q.h5")
    assert [(part.name, part.quantizers) for part in network.layers] == [
        ("a", (("kernel", "quantized_bits(bits=6,integer=0,alpha=1)"), ("bias", "quantized_bits(8,2)"))),
        ("q", (("output", "quantized_relu(4,1)"),)), ("b", ()), ("b.linear", (("output", "quantized_bits(5)"),)),
    ]  # fmt: skip
    assert np.allclose(network.run(X)[0], computed(weights, X, [relu, same]), atol=1e-6)


def halved(x):
    return np.clip(x, 0, 0.5)


DESCRIPTIONS = [("4,6,3", [relu, same]), ("2x2,6:relu0.5,3:tanh", [halved, np.tanh]), ([4, "6:linear", 3], [same, same])]


@pytest.mark.parametrize(("layers", "functions"), DESCRIPTIONS)
@pytest.mark.parametrize("layout", ["named", "numbered", "whole"])
def test_weights_alone_need_their_layers(tmp_path, layers, functions, layout):
    path, weights = tmp_path / "w.h5", weights_of(ROW, np.random.default_rng(7))
    if layout == "whole":
        write_h5(path, ROW, weights)
    else:
        with h5py.File(path, "w") as file:
            write_named(file, weights | {"rest": {}}) if layout == "named" else write_numbered(
                file, numbered(ROW, weights) | {"layers/dropout": []}
            )
        with pytest.raises(InputError, match="weights without their layers"):
            qbitsat.load_float(path)
    assert np.allclose(qbitsat.load_float(path, layers).run(X)[0], computed(weights, X, functions), atol=1e-6)


@pytest.mark.parametrize(
    ("layers", "message"),
    [
        ("4", "1 parts; expected an input"),
        ("4,6,3,2", "has 2 layers with weights, expected 3"),
        ("4,5,3", r"layer 'a': kernel: shape \(4, 6\), expected \(4, 5\)"),
        ("4,-6,3", "'-6' is no number"),
        ("4,6:rely,3", "activation 'rely' is unknown; .*did you mean 'relu'"),
    ],
)
def test_wrong_descriptions_are_told(tmp_path, layers, message):
    write_h5(tmp_path / "w.h5", ROW, weights_of(ROW, np.random.default_rng(7)))
    with pytest.raises(InputError, match=message):
        qbitsat.load_float(tmp_path / "w.h5", layers)


def test_only_dense_layers_can_be_described(tmp_path):
    with h5py.File(tmp_path / "w.h5", "w") as file:
        write_named(file, {"n": {"gamma": np.ones(2)}})
    with pytest.raises(UnsupportedError, match="weights gamma, expected kernel and bias of a dense layer"):
        qbitsat.load_float(tmp_path / "w.h5", "2,2")


def test_inspect_shows_float_models(tmp_path, capsys):
    write_archive(tmp_path / "net.keras", ROW, numbered(ROW, weights_of(ROW, np.random.default_rng(1))))
    assert main(["inspect", str(tmp_path / "net.keras")]) == 0
    out = capsys.readouterr().out
    assert "numbers     floats: a float model, which has to be quantized" in out
    assert "a.relu  Activation  a       6                0  relu" in out
    assert main(["run", str(tmp_path / "net.keras"), "--inputs", "x.npy"]) == 2
    assert "a float model; quantize it first" in capsys.readouterr().err


def test_published_models_are_read(bench_data):
    shapes = {"AC-3": ((13,), (1,)), "cnn_max_mnist2": ((28, 28, 1), (10,)), "mnist_arduino": ((28, 28, 1), (10,))}
    for name, (source, target) in shapes.items():
        network = qbitsat.load_float(bench_data / "keras" / f"{name}.h5")
        assert (network.inputs, network.shape(network.outputs[0])) == ((source,), target)
