"""Float models compute what Keras does, of version 3 and of version 2 (tf_keras), which wrote their files."""

import keras
import numpy as np
import pytest
import tf_keras
from keras_models import draw

import qbitsat

pytestmark = pytest.mark.filterwarnings("ignore")
VERSIONS = {"keras": keras, "tf_keras": tf_keras}
# Floats of 32 bits, each sum in an order of its own.
CLOSE = 1e-5


def difference(model, network, samples: int = 4) -> float:
    """The largest difference of an output, for outputs beyond 1 as a part of the largest one."""
    rng = np.random.default_rng(0)
    xs = [rng.normal(size=(samples, *shape)).astype(np.float32) for shape in network.inputs]
    theirs = model(xs[0] if len(xs) == 1 else xs, training=False)
    theirs = [np.asarray(part) for part in (theirs if isinstance(theirs, list | tuple) else [theirs])]
    ours = network.run(xs[0] if len(xs) == 1 else xs)
    assert [part.shape for part in ours] == [part.shape for part in theirs]
    return max(float(np.abs(a - b).max() / max(1.0, np.abs(b).max())) for a, b in zip(ours, theirs, strict=True))


@pytest.mark.parametrize("seed", range(50))
@pytest.mark.parametrize("version", VERSIONS)
def test_random_models(tmp_path, version, seed, record_property):
    model = draw(VERSIONS[version], seed)
    for name in ("net.keras", "net.h5"):
        model.save(tmp_path / name)
        found = difference(model, qbitsat.load_float(tmp_path / name))
        record_property(name, found)
        assert found < CLOSE


NAMES = ("AC-3", "BM-2", "GC-1", "cnn_max_mnist2", "mnist_arduino", "mnist_valid")


@pytest.mark.parametrize("name", NAMES)
def test_published_models(bench_data, name, record_property):
    path = bench_data / "keras" / f"{name}.h5"
    found = difference(tf_keras.models.load_model(path, compile=False), qbitsat.load_float(path))
    record_property("h5", found)
    assert found < CLOSE


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("name", ["net.h5", "net.weights.h5"])
def test_weights_alone(tmp_path, version, name):
    keras = VERSIONS[version]
    layers = [keras.layers.Input((5,)), *(keras.layers.Dense(n, activation=f) for n, f in ((7, "relu"), (6, "tanh"), (3, "softmax")))]
    model = keras.Sequential(layers)
    if version == "keras" and name == "net.h5":
        # Keras 3 writes weights of this name alone.
        name = "net.weights.h5"
    model.save_weights(tmp_path / name)
    assert difference(model, qbitsat.load_float(tmp_path / name, "5,7,6:tanh,3:softmax")) < CLOSE


@pytest.mark.parametrize("version", VERSIONS)
def test_channels_first(tmp_path, version):
    """TensorFlow computes no convolution of that order on a CPU, but it pools and normalizes."""
    L = VERSIONS[version].layers
    model = VERSIONS[version].Sequential([
        L.Input((3, 6, 5)), L.BatchNormalization(axis=1), L.ZeroPadding2D(1, data_format="channels_first"),
        L.Flatten(data_format="channels_first"), L.Dense(3),
    ])  # fmt: skip
    model.save(tmp_path / "net.keras")
    assert difference(model, qbitsat.load_float(tmp_path / "net.keras")) < CLOSE


@pytest.mark.parametrize("version", VERSIONS)
def test_layers_that_are_not_read_are_named_together(tmp_path, version):
    keras = VERSIONS[version]

    @keras.utils.register_keras_serializable("mine")
    class Dense(keras.layers.Layer):
        def call(self, x):
            return x

    L = keras.layers
    layers = [
        L.Input((6, 4)),
        L.Lambda(lambda x: x + 1, name="code"),
        L.LSTM(3, name="memory"),
        Dense(name="custom"),
        L.Dense(2, activation="swish"),
    ]
    model = keras.Sequential(layers)
    for name in ("net.keras", "net.h5"):
        model.save(tmp_path / name)
        with pytest.raises(qbitsat.UnsupportedError) as caught:
            qbitsat.load_float(tmp_path / name)
        said = str(caught.value)
        assert "layer 'code' (Lambda): code of its own, which is never run" in said
        assert "layer 'memory' (LSTM)" in said
        assert "Dense): activation 's" in said
        assert "layer 'custom' (mine>Dense): a class of its own" in said


# With dilated convolutions, which TensorFlow writes as operations on batches.
DILATED = (6, 10)


@pytest.mark.parametrize("seed", range(12))
@pytest.mark.parametrize("version", VERSIONS)
def test_saved_models(tmp_path, version, seed):
    model = draw(VERSIONS[version], seed)
    model.export(str(tmp_path / "net")) if version == "keras" else model.save(tmp_path / "net", save_format="tf")
    if seed in DILATED:
        with pytest.raises(qbitsat.UnsupportedError, match="not read: operation SpaceToBatchND"):
            qbitsat.load_float(tmp_path / "net")
        return
    network = qbitsat.load_float(tmp_path / "net")
    # Several outputs are in the order of their names there.
    if len(network.outputs) == 1:
        assert difference(model, network) < CLOSE


def test_saved_models_with_other_operations_name_them(tmp_path):
    model = keras.Sequential([keras.layers.Input((4,)), keras.layers.Dense(2, activation="swish"), keras.layers.LayerNormalization()])
    model.export(str(tmp_path / "net"))
    with pytest.raises(qbitsat.UnsupportedError, match="not read: operation "):
        qbitsat.load_float(tmp_path / "net")
    (tmp_path / "net" / "saved_model.pb").write_bytes(b"\x08\x01\x12")
    with pytest.raises(qbitsat.InputError, match="damaged SavedModel"):
        qbitsat.load_float(tmp_path / "net")
