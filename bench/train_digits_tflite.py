"""Train the shipped .tflite example and convert it: python -m bench.train_digits_tflite [--out FILE]

scikit-learn's digits, 8 x 8: two convolutions (3 x 3, stride 2; 8 and 16 maps) and a dense layer, trained on floats in [0, 1] and
converted by TensorFlow to int8 with its own calibration. The extra `train` brings what it needs.
"""

from __future__ import annotations

import argparse
import os
from pathlib import Path

# One order of float sums on every CPU; read when TensorFlow is imported.
os.environ["TF_ENABLE_ONEDNN_OPTS"] = "0"
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import keras
import numpy as np
import tensorflow as tf

import qbitsat
from bench.digits import split
from qbitsat.network import classify

LEVELS = 16
OUT = Path(qbitsat.__file__).parent / "examples" / "digits.tflite"


def trained(x: np.ndarray, labels: np.ndarray, seed: int) -> keras.Model:
    keras.utils.set_random_seed(seed)
    how = {"strides": 2, "padding": "same", "activation": "relu", "kernel_regularizer": keras.regularizers.L2(1e-3)}
    model = keras.Sequential(
        [
            keras.layers.Input((8, 8, 1), batch_size=1),
            keras.layers.Conv2D(8, 3, **how),
            keras.layers.Conv2D(16, 3, **how),
            keras.layers.Flatten(),
            keras.layers.Dense(10),
        ]
    )
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    training = keras.Sequential([keras.layers.Input((8, 8, 1)), *model.layers])
    training.compile(keras.optimizers.Adam(3e-3), loss)
    training.fit(x, labels, batch_size=32, epochs=60, verbose=0)
    return model


def converted(model: keras.Model, x: np.ndarray) -> bytes:
    """The model as int8, input and output too."""
    converter = tf.lite.TFLiteConverter.from_keras_model(model)
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.representative_dataset = lambda: ([row[None].astype(np.float32)] for row in x[:500])
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
    converter.inference_input_type = converter.inference_output_type = tf.int8
    return converter.convert()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=OUT, metavar="FILE")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    x, labels, held_x, held_labels = split()
    real = (x / LEVELS).reshape(-1, 8, 8, 1).astype(np.float32)
    args.out.write_bytes(converted(trained(real, labels, args.seed), real))
    network = qbitsat.load(args.out)
    found = classify(network, network.input.quantize(held_x / LEVELS))
    print(f"{args.out}: {args.out.stat().st_size} bytes, {int((found == held_labels).sum())} of {len(held_labels)} right")


if __name__ == "__main__":
    main()
