"""Models of HGQ 2, saved and read: what HGQ predicts is what the network computes."""

import keras
import numpy as np
import pytest
from hgq import config, layers

import qbitsat
from qbitsat.network import forward
from qbitsat.quantize import integers_of, quantize

pytestmark = pytest.mark.filterwarnings("ignore")


@pytest.mark.parametrize(("rounding", "overflow"), [("RND", "SAT_SYM"), ("TRN", "SAT"), ("RND_CONV", "WRAP"), ("RND", "WRAP")])
def test_networks_compute_what_hgq_predicts(tmp_path, rounding, overflow):
    rng = np.random.default_rng(2)
    with config.QuantizerConfigScope(place="all", overflow_mode=overflow, round_mode=rounding), config.LayerConfigScope(enable_ebops=False):
        model = keras.Sequential(
            [
                keras.Input((5, 5, 2)), layers.QConv2D(3, 3, activation="relu"), keras.layers.MaxPooling2D(2), keras.layers.Flatten(),
                layers.QDense(4, activation="relu"), layers.QDense(3),
            ]
        )  # fmt: skip
    quantized = [layer for layer in model.layers if hasattr(layer, "kq")]
    for layer in quantized:
        layer.set_weights([rng.normal(0, 0.7, w.shape) if w.dtype == np.float32 and w.size > 2 else w for w in layer.get_weights()])
        for part, bits, whole in ((layer.kq, (2, 6), (-1, 2)), (layer.bq, (3, 7), (0, 3))):
            part.quantizer._b.assign(rng.uniform(*bits, part.quantizer._b.shape))
            part.quantizer._i.assign(rng.uniform(*whole, part.quantizer._i.shape))
            part.quantizer._k.assign(np.ones(part.quantizer._k.shape))
        read = layer.iq.quantizer
        for variable, value in ((read._i, 1.2), (read._f, rng.uniform(2, 5)), (read._k, 1)):
            variable.assign(np.full(variable.shape, value))
    model.save(tmp_path / "model.keras")
    # Of the type that the file has, and of a finer one, which the file's rounds.
    for text in ("hgq", "hgq,input=s9.6"):
        network = quantize(qbitsat.load_float(tmp_path / "model.keras"), text)
        x = rng.integers(network.input.lo, network.input.hi + 1, (60, 5, 5, 2)) * network.input.scale
        outputs = forward(network, integers_of(network, x)) * network.output_forms[0].scale
        np.testing.assert_array_equal(outputs, model.predict(x, verbose=0))
