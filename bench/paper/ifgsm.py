"""IFGSM on the quantized network, with straight-through gradients (Kurakin et al. 2017; Zhao et al. 2018): what the paper compares with.

Every iteration moves each pixel one step along the sign of the gradient of the cross entropy, which passes roundings as if they were not
there (qbitsat/quantize/training.py computes the format in TensorFlow), and stays within eps. Every iterate is run in exact integers.
"""

from __future__ import annotations

import os

# One order of float sums on every CPU; read when TensorFlow is imported.
os.environ["TF_ENABLE_ONEDNN_OPTS"] = "0"
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import numpy as np
import tensorflow as tf

from qbitsat.network import Network, forward
from qbitsat.network.float_network import FloatNetwork
from qbitsat.network.inference import classes_of
from qbitsat.properties.robustness import KEPT
from qbitsat.quantize import parse_format
from qbitsat.quantize.training import Trainable

PIXEL, ITERATIONS = 256, 20


def attacked(
    model: FloatNetwork,
    text: str,
    network: Network,
    x: np.ndarray,
    labels: np.ndarray,
    eps: np.ndarray,
    ties: str,
    iterations: int = ITERATIONS,
) -> np.ndarray:
    """Whether some iterate of each sample has another class: bool[n], for x int64[n, size], labels and eps int64[n]."""
    form = parse_format(text)
    trainable = Trainable(model, form)
    parameters = [tuple(tf.constant(part) for part in pair) for pair in trainable.parameters]
    step = network.output.scale

    @tf.function
    def run(batch: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        with tf.GradientTape() as tape:
            tape.watch(batch)
            logits = trainable.apply(tf, parameters, batch)
            loss = tf.reduce_sum(tf.nn.sparse_softmax_cross_entropy_with_logits(labels, logits))
        return logits, tape.gradient(loss, batch)

    lo, hi = np.maximum(x - eps[:, None], 0), np.minimum(x + eps[:, None], PIXEL - 1)
    found, now = np.zeros(len(x), bool), x
    for _ in range(iterations):
        logits, gradient = (part.numpy() for part in run(tf.constant(now / PIXEL)))
        outputs = forward(network, now)
        if not np.array_equal(logits / step, outputs):
            raise RuntimeError("TensorFlow computes other outputs than the integers")
        found |= lost(outputs, labels, ties)
        now = np.clip(now + np.sign(gradient).astype(np.int64), lo, hi)
    return found | lost(forward(network, now), labels, ties)


def lost(outputs: np.ndarray, labels: np.ndarray, ties: str) -> np.ndarray:
    """Where the class is not the label."""
    return classes_of(outputs, labels if ties == KEPT else None) != labels
