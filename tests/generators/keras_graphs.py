"""Random Keras graphs of all that converters make int8 of, and their .tflite files. Importing this imports TensorFlow."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from keras import layers

Rng = np.random.Generator
Step = Callable[[Any], Any]
# Sizes of one axis, beyond which steps do not enlarge an image.
WIDE = 14
RANGES = [(0, 1), (-1, 1), (-2, 6), (0, 0.3)]
TYPES = [tf.int8, tf.uint8, tf.float32]


def graph(rng: Rng) -> tuple[keras.Model, list[str]]:
    """A model of two to eight random steps, for a batch of 1, and the names of these."""
    sizes, channels = rng.integers(3, 10, 2).tolist(), int(rng.integers(1, 4))
    shape = [(*sizes, channels), (*sizes, channels), (2 * sizes[0], channels), (2 * sizes[0],)][int(rng.integers(4))]
    start = layers.Input(shape, batch_size=1)
    made, names = [start], [f"{shape}"]
    x = start
    for _ in range(int(rng.integers(2, 9))):
        if rng.random() < 0.2:
            x = made[int(rng.integers(len(made)))]
        steps = activations(rng) if rng.random() < 0.35 else steps_of(x, made, rng)
        name, step = steps[int(rng.integers(len(steps)))]
        names.append(name)
        x = step(x)
        made.append(x)
    if rng.random() < 0.8:
        x = x if len(x.shape) == 2 else layers.Flatten()(x)
        x = layers.Dense(int(rng.integers(2, 6)), activation=[None, None, None, "relu"][int(rng.integers(4))])(x)
        names.append("dense")
    model = keras.Model(start, x)
    for layer in model.layers:
        layer.set_weights(weights(layer, rng))
    return model, names


def weights(layer: Any, rng: Rng) -> list[np.ndarray]:
    """Weights that reach saturation; batch normalizations have the statistics of trained ones."""
    if isinstance(layer, layers.BatchNormalization):
        shape = layer.gamma.shape
        return [rng.uniform(0.5, 1.5, shape), rng.normal(0, 0.3, shape), rng.normal(0, 0.1, shape), rng.uniform(0.2, 1, shape)]
    factor = rng.uniform(0.5, 2.5)
    return [
        np.where(rng.random(w.shape) < 0.05, 0, w * factor + (rng.normal(0, 0.4, w.shape) if w.ndim == 1 else 0))
        for w in layer.get_weights()
    ]


def converted(model: keras.Model, rng: Rng) -> tuple[bytes, list[str]]:
    """The .tflite file, and how it was made."""
    converter, names = tf.lite.TFLiteConverter.from_keras_model(model), list[str]()
    lo, hi = RANGES[int(rng.integers(len(RANGES)))]
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.representative_dataset = lambda: ([rng.uniform(lo, hi, model.input_shape).astype(np.float32)] for _ in range(10))
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
    dtype = TYPES[int(rng.integers(len(TYPES)))]
    converter.inference_input_type = converter.inference_output_type = dtype
    for name in ("_experimental_disable_per_channel", "_experimental_disable_per_channel_quantization_for_dense_layers"):
        if rng.random() < 0.15:
            setattr(converter, name, True)
            names.append(name)
    if rng.random() < 0.1:
        converter.experimental_new_quantizer = False
        names.append("old quantizer")
    return converter.convert(), [dtype.name, *names]


def of(function: Step) -> Step:
    return layers.Lambda(function)


def activations(rng: Rng) -> list[tuple[str, Step]]:
    """Functions of single values."""
    most, slope = float(rng.uniform(0.5, 3)), float(rng.choice([0.01, 0.1, 0.25, 0.5]))
    named = ("relu", "relu", "relu6", "sigmoid", "tanh", "silu", "hard_sigmoid", "hard_silu", "elu", "selu", "gelu")
    return [
        *((name, layers.Activation(name)) for name in named),
        ("ReLU up to", layers.ReLU(most)),
        ("LeakyReLU", layers.LeakyReLU(slope)),
        (
            "PReLU",
            lambda x: layers.PReLU(keras.initializers.RandomUniform(-0.3, 0.6), shared_axes=list(range(1, len(x.shape) - 1)) or None)(x),
        ),
        ("clip", of(lambda x: tf.clip_by_value(x, -1.0, 1.0))),
        ("abs", of(tf.abs)),
        ("negative", of(tf.negative)),
        ("maximum of a constant", of(lambda x: tf.maximum(x, 0.3))),
        ("minimum of a constant", of(lambda x: tf.minimum(x, 0.7))),
        ("relu between sums", of(lambda x: tf.nn.relu(x + 0.2) - 0.1)),
        ("scaled and moved", of(lambda x: x * 0.37 - 0.5)),
        ("divided", of(lambda x: x / 3.0)),
        ("from 1", of(lambda x: 1.0 - x)),
    ]


def steps_of(x: Any, made: list[Any], rng: Rng) -> list[tuple[str, Step]]:
    """What may follow a tensor of this shape."""
    rank = len(x.shape)
    found = of_any_shape(x, rng) + with_others([y for y in made if y is not x and y.shape == x.shape], rng)
    return found + (of_images(x, rng) if rank == 4 else of_sequences(x, rng) if rank == 3 else of_vectors(x, rng))


def of_any_shape(x: Any, rng: Rng) -> list[tuple[str, Step]]:
    axis, channels = int(rng.integers(1, len(x.shape))), x.shape[-1]
    factors = rng.uniform(-1.5, 1.5, channels).astype(np.float32)
    even, longest = x.shape[axis] % 2 == 0, max(1, x.shape[1] - 1)
    return [
        ("BatchNormalization", layers.BatchNormalization()),
        ("times constants", of(lambda x: x * factors)),
        ("plus constants", of(lambda x: x + factors)),
        ("constants less", of(lambda x: factors - x)),
        ("halves added" if even else "reversed", of(lambda x: tf.add(*tf.split(x, 2, axis)) if even else x[..., ::-1])),
        ("plus mean", of(lambda x: tf.reduce_mean(x, axis, keepdims=True) + x)),
        ("less than largest", of(lambda x: tf.reduce_max(x, axis, keepdims=True) - x)),
        ("times least", of(lambda x: tf.reduce_min(x, axis, keepdims=True) * x)),
        ("less than sum", of(lambda x: tf.reduce_sum(x, axis, keepdims=True) - x)),
        ("beside its sigmoid", lambda x: layers.Concatenate(axis)([x, layers.Activation("sigmoid")(x)])),
        ("sliced", of(lambda x: x[:, :longest])),
        ("Dense", layers.Dense(int(rng.integers(1, 7)), activation=activation(rng), use_bias=bool(rng.integers(2)))),
    ]


def with_others(others: list[Any], rng: Rng) -> list[tuple[str, Step]]:
    """Pairs with another tensor of the shape."""
    if not others:
        return []
    other = others[int(rng.integers(len(others)))]
    kinds = (layers.Add, layers.Subtract, layers.Multiply, layers.Maximum, layers.Minimum, layers.Average, layers.Concatenate)
    return [(kind.__name__, lambda x, kind=kind: kind()([x, other])) for kind in kinds] * 2


def of_images(x: Any, rng: Rng) -> list[tuple[str, Step]]:
    height, width, channels = x.shape[1:]
    kernel = min(int(rng.integers(1, 4)), height), min(int(rng.integers(1, 4)), width)
    stride, count = int(rng.integers(1, 3)), int(rng.integers(1, 7))
    options = {"padding": str(rng.choice(["same", "valid"])), "activation": activation(rng)}
    pool = {"strides": stride, "padding": options["padding"]}
    corner = [[0, 0], [1, 0], [0, 1], [0, 0]]
    found: list[tuple[str, Step]] = [
        *[("Conv2D", layers.Conv2D(count, kernel, (stride, int(rng.integers(1, 3))), use_bias=bool(rng.integers(2)), **options))] * 3,
        *[("DepthwiseConv2D", layers.DepthwiseConv2D(kernel, stride, depth_multiplier=int(rng.integers(1, 3)), **options))] * 2,
        ("SeparableConv2D", layers.SeparableConv2D(count, kernel, **options)),
        ("grouped", layers.Conv2D(2 * channels if channels < 4 else channels, kernel, groups=channels, **options)),
        ("MaxPooling2D", layers.MaxPooling2D(kernel, **pool)),
        *[("AveragePooling2D", layers.AveragePooling2D(kernel, **pool))] * 2,
        ("times averages", lambda x: layers.Multiply()([x, layers.GlobalAveragePooling2D(keepdims=True)(x)])),
        ("less maxima", lambda x: layers.Subtract()([x, layers.GlobalMaxPooling2D(keepdims=True)(x)])),
        ("times mean", of(lambda x: tf.reduce_mean(x, [1, 2], keepdims=True) * x)),
        ("turned", layers.Permute((2, 1, 3))),
        ("channels first", layers.Permute((3, 1, 2))),
        ("Reshape", layers.Reshape((height * width, channels))),
    ]
    if min(height, width) > 3:
        found.append(("dilated", layers.Conv2D(count, 2, dilation_rate=2, **options)))
    if min(height, width) > 2:
        found.append(("Cropping2D", layers.Cropping2D(((0, 1), (1, 0)))))
    if height % 2 == width % 2 == 0:
        found.append(("space to depth", of(lambda x: tf.nn.space_to_depth(x, 2))))
    if max(height, width) < WIDE and min(height, width) > 1:
        found += [
            ("Conv2DTranspose", layers.Conv2DTranspose(count, kernel, stride, **options)),
            ("ZeroPadding2D", layers.ZeroPadding2D(((int(rng.integers(3)), 1), (0, int(rng.integers(3)))))),
            ("padded Conv2D", lambda x: layers.Conv2D(count, kernel)(layers.ZeroPadding2D(1)(x))),
            ("reflected", of(lambda x: tf.pad(x, corner, "REFLECT"))),
            ("padded with a constant", of(lambda x: tf.pad(x, corner, constant_values=0.5))),
        ]
    if max(height, width) < WIDE // 2:
        found += [("UpSampling2D", layers.UpSampling2D(2)), ("bilinear", layers.UpSampling2D(2, interpolation="bilinear"))]
    return found


def of_sequences(x: Any, rng: Rng) -> list[tuple[str, Step]]:
    length, channels = x.shape[1:]
    kernel, stride, count = min(int(rng.integers(1, 4)), length), int(rng.integers(1, 3)), int(rng.integers(1, 7))
    padding = str(rng.choice(["same", "valid", "causal"] if stride == 1 else ["same", "valid"]))
    pool = min(2, length)
    found: list[tuple[str, Step]] = [
        *[("Conv1D", layers.Conv1D(count, kernel, stride, padding, activation=activation(rng)))] * 3,
        ("SeparableConv1D", layers.SeparableConv1D(count, kernel)),
        ("dilated, causal", layers.Conv1D(count, 2, dilation_rate=2, padding="causal")),
        ("MaxPooling1D", layers.MaxPooling1D(pool)),
        ("AveragePooling1D", layers.AveragePooling1D(pool)),
        ("Permute", layers.Permute((2, 1))),
        ("times averages", lambda x: layers.Multiply()([x, layers.GlobalAveragePooling1D(keepdims=True)(x)])),
        ("as an image", layers.Reshape((length, 1, channels))),
        ("ZeroPadding1D", layers.ZeroPadding1D(1)),
    ]
    if length > 3:
        found.append(("Cropping1D", layers.Cropping1D(1)))
    if length < 2 * WIDE:
        found.append(("UpSampling1D", layers.UpSampling1D(2)))
    return found


def of_vectors(x: Any, rng: Rng) -> list[tuple[str, Step]]:
    size = x.shape[-1]
    dense = ("Dense", layers.Dense(int(rng.integers(2, 9)), activation=activation(rng)))
    return [*[dense] * 3, ("as a row", layers.Reshape((1, size))), ("as a column", layers.Reshape((size, 1)))]


def activation(rng: Rng) -> str | None:
    return [None, None, "relu", "relu6"][int(rng.integers(4))]
