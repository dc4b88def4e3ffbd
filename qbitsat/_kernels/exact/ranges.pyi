import numpy as np
from numpy.typing import NDArray

from .layers import Atoms, Layers

Integers = NDArray[np.int64]
Floats = NDArray[np.float32]

def propagate(
    layers: Layers, lo: Integers, hi: Integers, acc_lo: Integers, acc_hi: Integers, inputs: bool, first: Integers
) -> NDArray[np.uint8]: ...
def narrow(
    layers: Layers,
    lo: Integers,
    hi: Integers,
    acc_lo: Integers,
    acc_hi: Integers,
    inequalities: Atoms,
    atoms: NDArray[np.int32],
    cuttable: NDArray[np.uint8],
) -> NDArray[np.uint8]: ...
def undecided(
    layers: Layers, lo: Integers, hi: Integers, acc_lo: Integers, acc_hi: Integers, inequalities: Atoms, atoms: NDArray[np.int32]
) -> tuple[NDArray[np.int32], NDArray[np.int32], Integers]: ...
def vertices(layers: Layers, lo: Integers, hi: Integers, acc_lo: Integers, acc_hi: Integers) -> tuple[Floats, Floats, Floats]: ...
def choose(
    layers: Layers, lo: Integers, hi: Integers, acc_lo: Integers, acc_hi: Integers, coefficients: Floats, acc: Floats, y: Floats
) -> tuple[Integers, Integers]: ...
