"""A network of one's own: integer weights in numpy, written to score.npz."""

import numpy as np

import qbitsat
from qbitsat.network import Dense, TensorFormat, forward

# Income, debt, years and group of an applicant, each in 0 ... 100; the weights are made up.
applicant = TensorFormat(shape=(4,), lo=0, hi=100)
hidden = TensorFormat(shape=(5,), lo=0, hi=63)
decision = TensorFormat(shape=(2,), lo=-64, hi=63)

first = Dense(
    name="first",
    input=applicant,
    output=hidden,
    # y = clamp(floor((acc + 8) / 16), 0, 63): round half up, and saturation at 0 is the ReLU.
    requantizers=(hidden.requantizer(shift=4, rounding="half_up"),),
    weights=np.array([[9, -4, 3, 0], [2, -9, 1, 2], [-3, 8, 0, -1], [5, 0, 7, 0], [-6, 1, -2, 3]]),
    bias=np.array([-80, 40, 0, -160, 320]),
)
last = Dense(
    name="last",
    input=hidden,
    output=decision,
    requantizers=(decision.requantizer(shift=3, rounding="half_up"),),
    weights=np.array([[-6, -2, 7, -3, 6], [7, 3, -6, 4, -5]]),
    bias=np.array([64, -64]),
)
network = qbitsat.Network((first, last), name="score")
qbitsat.save(network, "score.npz")

people = np.array([[70, 15, 10, 0], [30, 60, 2, 1]])
print("decline, approve:", forward(network, people).tolist())
