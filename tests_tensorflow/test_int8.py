"""`int8` against TensorFlow Lite's converter: the same model and calibration data, once through each."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import qbitsat
from qbitsat.network import forward
from qbitsat.quantize import integers_of, quantize

pytestmark = pytest.mark.filterwarnings("ignore")


def converted(model, x) -> bytes:
    """What the converter makes of a model and samples, all int8."""
    converter = tf.lite.TFLiteConverter.from_keras_model(model)
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.representative_dataset = lambda: ([row[None]] for row in x)
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
    converter.inference_input_type = converter.inference_output_type = tf.int8
    return converter.convert()


@pytest.mark.parametrize("on_a_grid", [True, False])
def test_networks_are_those_of_the_converter(tmp_path, on_a_grid):
    """On a grid no sum of floats is rounded, so scales are the same floats; else the order of the converter's own float32 sums, which
    is the machine's, may change their last digit.
    """
    rng = np.random.default_rng(4)
    layers = [keras.layers.Conv2D(4, 3, strides=2, padding="same", activation="relu"), keras.layers.Flatten()]
    model = keras.Sequential([keras.Input((6, 6, 2)), *layers, keras.layers.Dense(8, activation="relu"), keras.layers.Dense(5)])
    x = rng.normal(0.3, 1, (40, 6, 6, 2))
    weights = [rng.normal(0, 0.4, w.shape) for w in model.get_weights()]
    if on_a_grid:
        x, weights = np.rint(x * 4) / 4, [np.rint(w * 16) / 16 for w in weights]
    x = x.astype(np.float32)
    model.set_weights([w.astype(np.float32) for w in weights])
    model.save(tmp_path / "model.keras")
    (tmp_path / "model.tflite").write_bytes(converted(model, x))
    theirs = qbitsat.load(tmp_path / "model.tflite", runtime="tflm")
    mine = quantize(qbitsat.load_float(tmp_path / "model.keras"), "int8:tflm", x)
    inputs = integers_of(mine, x)
    assert len(mine.layers) == len(theirs.layers) == 3
    for a, b in zip(mine.layers, theirs.layers, strict=True):
        np.testing.assert_array_equal(a.weights, b.weights)
        np.testing.assert_array_equal(a.bias, b.bias)
        assert a.output.zero_point == b.output.zero_point
        assert a.output.scale == (b.output.scale if on_a_grid else pytest.approx(b.output.scale, rel=1e-6))
    assert mine.input.scale == theirs.input.scale
    outputs = [forward(network, inputs) for network in (mine, theirs)]
    if on_a_grid:
        assert [layer.requantizers for layer in mine.layers] == [layer.requantizers for layer in theirs.layers]
        np.testing.assert_array_equal(*outputs)
    assert np.abs(outputs[0] - outputs[1]).max() <= 1
