"""Random models of Keras, the same for the same seed: rows, residual graphs, sequences, models within models."""

from __future__ import annotations

from typing import Any

import numpy as np


class Drawn:
    """Draws layers of `keras`, which is Keras 3 or tf_keras, Keras 2."""

    def __init__(self, keras: Any, seed: int):
        self.keras, self.layers, self.rng = keras, keras.layers, np.random.default_rng(seed)
        keras.utils.set_random_seed(seed)
        # Keras 3 has another name for a slope.
        self.slope = "negative_slope" if hasattr(keras, "ops") else "alpha"

    def pick(self, *choices: Any) -> Any:
        return choices[self.rng.integers(len(choices))]

    def function(self) -> Any:
        L = self.layers
        return self.pick("relu", "relu", "linear", "tanh", "sigmoid", "relu6", "hard_sigmoid", None, L.ReLU(max_value=2.0), L.LeakyReLU())

    def activation(self) -> Any:
        L = self.layers
        return self.pick(
            L.ReLU(), L.ReLU(max_value=3.0), L.ReLU(max_value=2.0, negative_slope=0.25), L.LeakyReLU(**{self.slope: 0.125}),
            L.Activation("tanh"), L.Activation("relu"), L.Softmax(),
        )  # fmt: skip

    def affine(self, axes: int) -> Any:
        """A layer over images, over sequences, or over vectors."""
        L, size = self.layers, int(self.rng.integers(1, 4))
        more = {"activation": self.function(), "use_bias": bool(self.rng.integers(4))}
        if axes == 0:
            return L.Dense(int(self.rng.integers(2, 9)), **more)
        strides, dilation = self.pick((1, 1), (1, 1), (2, 1), (1, 2))
        kind, same = self.rng.integers(4), self.pick("valid", "same")
        if kind == 0 and axes == 2:
            return L.DepthwiseConv2D(size, strides=strides, padding=same, depth_multiplier=self.pick(1, 2), **more)
        if kind == 1:
            convolution = L.SeparableConv2D if axes == 2 else L.SeparableConv1D
            return convolution(int(self.rng.integers(1, 5)), size, padding=same, depth_multiplier=self.pick(1, 2), **more)
        if kind == 2:
            return L.Dense(int(self.rng.integers(2, 6)), **more)
        convolution, same = (L.Conv2D, same) if axes == 2 else (L.Conv1D, self.pick("valid", "same", "causal"))
        return convolution(2 * int(self.rng.integers(1, 4)), size, strides=strides, padding=same, dilation_rate=dilation, **more)

    def other(self, axes: int) -> Any:
        L, window = self.layers, int(self.rng.integers(1, 4))
        both = [
            L.BatchNormalization(),
            L.BatchNormalization(scale=False, epsilon=0.01),
            L.BatchNormalization(center=False),
            L.Dropout(0.5),
            self.activation(),
        ]
        both += [L.Rescaling(0.5, offset=-0.25), L.GaussianNoise(0.1), L.Normalization()]
        if axes == 2:
            both += [
                L.MaxPooling2D(2, padding=self.pick("valid", "same")),
                L.AveragePooling2D(window, strides=self.pick(1, 2), padding=self.pick("valid", "same")),
            ]
            both += [L.ZeroPadding2D(((0, 1), (2, 1))), L.ZeroPadding2D(1), L.SpatialDropout2D(0.5), L.Permute((2, 1, 3))]
        if axes == 1:
            both += [
                L.MaxPooling1D(2, padding="same"),
                L.AveragePooling1D(2, strides=1, padding="same"),
                L.ZeroPadding1D(1),
                L.Permute((2, 1)),
            ]
        return self.pick(*both)

    def flat(self, axes: int) -> Any:
        L = self.layers
        if axes == 2:
            return self.pick(L.Flatten(), L.Flatten(), L.GlobalAveragePooling2D(), L.GlobalMaxPooling2D(), L.Reshape((-1,)))
        return self.pick(L.Flatten(), L.GlobalAveragePooling1D(), L.GlobalMaxPooling1D(keepdims=False))

    def joined(self, x: Any) -> Any:
        """A tensor, joined with what a layer that keeps its shape makes of it."""
        L = self.layers
        y = L.Dense(x.shape[-1], activation=self.function())(x)
        kind = self.pick(L.Add, L.Subtract, L.Average, L.Concatenate)
        return kind()([x, y])

    def model(self) -> Any:
        """A network that ends with a vector."""
        L, axes = self.layers, self.pick(0, 1, 2, 2)
        shape = (*map(int, self.rng.integers(11, 15, axes)), int(self.rng.integers(1, 4)))
        if self.rng.integers(2):
            x = start = L.Input(shape)
            for _ in range(self.rng.integers(1, 4)):
                x = self.other(axes)(self.affine(axes)(x))
                x = self.joined(x) if self.rng.integers(2) else x
            x = self.flat(axes)(x) if axes else x
            shared = L.Dense(x.shape[-1], activation="tanh")
            x = shared(shared(x)) if self.rng.integers(2) else x
            inner = self.keras.Sequential([L.Input((x.shape[-1],)), L.Dense(5, activation="relu"), L.BatchNormalization(), L.Dense(3)])
            return self.keras.Model([start], [inner(x)] if self.rng.integers(2) else [L.Softmax()(inner(x)), x])
        layers = [L.Input(shape)]
        for _ in range(self.rng.integers(1, 4)):
            layers += [self.affine(axes), self.other(axes)]
        layers += [self.flat(axes)] if axes else []
        return self.keras.Sequential([*layers, L.Dense(4, activation=self.pick("softmax", "linear", "sigmoid"))])


def draw(keras: Any, seed: int) -> Any:
    """A model with random weights, none of which is what it begins as; sums stay about as large as what is summed."""
    drawn = Drawn(keras, seed)
    model = drawn.model()
    for variable in model.weights:
        name, shape = variable.name.split("/")[-1].split(":")[0], tuple(variable.shape)
        if name == "count":
            continue
        value = drawn.rng.uniform(0.5, 2, shape) if "variance" in name else drawn.rng.normal(scale=np.prod(shape[:-1]) ** -0.5, size=shape)
        variable.assign(value.astype("float32"))
    for layer in model.layers:
        if hasattr(layer, "finalize_state"):
            layer.finalize_state()  # normalization computes with a copy
    return model
