"""Training with TensorFlow: what is trained for some steps is, to the bit, what the network of integers computes."""

import numpy as np
import pytest
import tensorflow as tf
from models import AP, chain, residual

from qbitsat.network import forward
from qbitsat.quantize import parse_format, quantize_with_report
from qbitsat.quantize.training import Trainable


@pytest.mark.parametrize(
    ("build", "text"),
    [
        (chain, AP),
        (residual, "paper:7,4"),
        (residual, "benchmark:6,per-channel"),
        (residual, "power-of-two:6,weights=s6.4,bias=s8.6,activations=u6.3,output=s6.3,input=u8.8"),
    ],
)
def test_what_is_trained_is_what_is_computed(build, text):
    rng = np.random.default_rng(5)
    form = parse_format(text)
    trainable = Trainable(build(rng), form)
    step = form.input.step
    real = rng.integers(form.input.lo, form.input.hi + 1, (40, *trainable.model.inputs[0])) * step
    parameters = [tuple(map(tf.Variable, pair)) for pair in trainable.parameters]
    flat = [variable for pair in parameters for variable in pair]
    wanted = tf.constant(rng.integers(0, 3, 40))
    before, losses = [variable.numpy() for variable in flat], []
    for _ in range(5):
        with tf.GradientTape() as tape:
            outputs = trainable.apply(tf, parameters, tf.constant(real))
            loss = tf.reduce_mean(tf.nn.sparse_softmax_cross_entropy_with_logits(wanted, outputs))
        losses.append(float(loss))
        for variable, gradient in zip(flat, tape.gradient(loss, flat), strict=True):
            variable.assign_sub(0.05 * gradient)
    assert min(losses[1:]) < losses[0]
    assert all((variable.numpy() != old).any() for variable, old in zip(flat, before, strict=True))
    trained = [(weights.numpy(), bias.numpy()) for weights, bias in parameters]
    made = quantize_with_report(trainable.trained(trained), form, lossy=True)
    floats = trainable.apply(tf, parameters, tf.constant(real)).numpy() / made.report.layers[-1].step
    np.testing.assert_array_equal(floats, forward(made.network, np.rint(real / step).astype(np.int64).reshape(40, -1)))
    np.testing.assert_array_equal(trainable.apply(np, trained, real) / made.report.layers[-1].step, floats)
