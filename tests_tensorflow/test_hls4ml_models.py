"""A model of Keras as hls4ml converts, compiles and runs it, by its own choice of types, and the same quantized here."""

import hls4ml
import keras
import numpy as np
import pytest

import qbitsat
from qbitsat.network import forward

pytestmark = pytest.mark.filterwarnings("ignore")
DEFAULT = "fixed<16,6>"


# Streams have no pools with padding.
@pytest.mark.parametrize(("io_type", "padding"), [("io_parallel", "same"), ("io_stream", "valid")])
def test_a_model_computes_what_hls4mls_project_does(tmp_path, io_type, padding):
    keras.utils.set_random_seed(5)
    model = keras.Sequential(
        [
            keras.Input((5, 6, 1)),
            keras.layers.Conv2D(3, 3, activation="relu", padding="same"),
            keras.layers.AveragePooling2D(2, 2, padding=padding),
            keras.layers.Conv2D(3, 2, activation="tanh"),
            keras.layers.GlobalAveragePooling2D(),
            keras.layers.Dense(4, activation="sigmoid", name="curve"),
            keras.layers.Dense(3, name="last"),
        ]
    )
    for layer in model.layers:
        layer.set_weights([np.random.default_rng(k).normal(0, 0.7, w.shape) for k, w in enumerate(layer.get_weights())])
    model.save(tmp_path / "model.keras")
    config = hls4ml.utils.config_from_keras_model(model, granularity="name", default_precision=DEFAULT, backend="Vivado")
    # float32, in which hls4ml gives its outputs, holds those.
    config["LayerName"]["last"]["Precision"]["result"] = DEFAULT
    project = hls4ml.converters.convert_from_keras_model(
        model, hls_config=config, output_dir=str(tmp_path / "project"), backend="Vivado", io_type=io_type
    )
    project.compile()
    steps = np.random.default_rng(1).integers(-3000, 3000, (100, 30))
    theirs = project.predict((steps.reshape(-1, 5, 6, 1) / 1024).astype(np.float32))
    network = qbitsat.quantize(qbitsat.load_float(tmp_path / "model.keras"), "ap_fixed<16,6>,output=exact,last.output=ap_fixed<16,6>")
    np.testing.assert_array_equal(forward(network, steps), np.rint(theirs.reshape(100, -1) * 1024))
