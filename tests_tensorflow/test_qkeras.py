"""Models of QKeras for Keras 3, saved and read: what QKeras predicts is what the network computes."""

import keras
import numpy as np
import pytest
import qkeras

import qbitsat
from qbitsat.network import forward
from qbitsat.quantize import integers_of, quantize

pytestmark = pytest.mark.filterwarnings("ignore")


def convolutions(rng):
    """Quantizers as text, convolutions, and an alpha that QKeras chooses."""
    alpha = rng.choice([",alpha=1.0", ",alpha=0.5", ",1,alpha=1.0", ""])
    x = inputs = keras.Input((6, 6, 2))
    x = qkeras.QActivation("quantized_bits(8,0,alpha=1)")(x)
    x = qkeras.QConv2D(3, 3, kernel_quantizer=f"quantized_bits(5,1{alpha})", bias_quantizer="quantized_bits(6,1)", padding="same")(x)
    x = qkeras.QActivation("quantized_relu(5,1)")(x)
    x = qkeras.QConv2D(6, 3, groups=3, kernel_quantizer="quantized_bits(4,0)", bias_quantizer="quantized_bits(6,1)", padding="same")(x)
    x = qkeras.QActivation("quantized_bits(6,3,alpha=1)")(x)
    x = qkeras.QDepthwiseConv2D(3, depthwise_quantizer="quantized_bits(4,0)", bias_quantizer="quantized_bits(6,1)")(x)
    x = keras.layers.MaxPooling2D(2)(x)
    x = qkeras.QActivation(qkeras.quantized_bits(5, 2, alpha=1))(x)
    x = keras.layers.Flatten()(x)
    return keras.Model(inputs, qkeras.QDense(3, kernel_quantizer=qkeras.quantized_bits(4, 0), bias_quantizer="quantized_bits(7,1)")(x))


def signs(rng):
    """Signs, and sums of two."""
    x = inputs = keras.Input((9,))
    x = qkeras.QActivation("quantized_bits(6,1,1)")(x)
    a = qkeras.QDense(5, kernel_quantizer="ternary(alpha=1)", bias_quantizer="quantized_bits(7,1)", activation="quantized_relu(4,2)")(x)
    b = qkeras.QDense(5, kernel_quantizer="binary(alpha=0.5)", bias_quantizer="quantized_bits(7,1)", activation="quantized_relu(5,2)")(x)
    x = qkeras.QActivation("quantized_bits(5,2,keep_negative=False)")(keras.layers.Add()([a, b]))
    last = qkeras.QDense(3, kernel_quantizer=f"quantized_bits({rng.integers(2, 6)},0)", bias_quantizer="quantized_bits(7,1)")
    return keras.Model(inputs, last(x))


@pytest.mark.parametrize("build", [convolutions, signs])
@pytest.mark.parametrize("seed", range(3))
def test_networks_compute_what_qkeras_predicts(tmp_path, build, seed):
    rng = np.random.default_rng(seed)
    model = build(rng)
    model.set_weights([rng.normal(0, 0.5, w.shape) for w in model.get_weights()])
    path = tmp_path / ("model.h5" if seed == 2 else "model.keras")
    model.save(path)
    network = quantize(qbitsat.load_float(path), "qkeras")
    x = rng.integers(-140, 140, (50, *model.input_shape[1:])) / 64 + rng.choice([0, 1 / 256, 0.0011], (50, *model.input_shape[1:]))
    outputs = forward(network, integers_of(network, x)) * network.output_forms[0].scale
    np.testing.assert_array_equal(outputs, model.predict(x, verbose=0))
