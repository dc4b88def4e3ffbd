"""Small graphs of operators, bit for bit in every runtime that is here."""

import numpy as np
import pytest
from oracles import TFLITE, differing
from tflite_builds import SHAPE
from tflite_operators import ABSENT, GRAPHS, TABLES, built

from qbitsat.errors import UnsupportedError
from qbitsat.importers import load

SAMPLES = 20


@pytest.mark.parametrize(
    ("name", "runtime"),
    [(name, runtime) for name in (*GRAPHS, *TABLES) for runtime in TFLITE if name not in ABSENT[runtime]],
)
def test_operator_is_exact(tmp_path, name, runtime):
    assert differing(tmp_path, built(name), runtime, np.random.default_rng(3).integers(-128, 128, (SAMPLES, 1, *SHAPE))) == 0


def test_padding_that_tflm_does_not_define_is_refused(tmp_path):
    path = tmp_path / "network.tflite"
    path.write_bytes(built("batches, padded"))
    with pytest.raises(UnsupportedError, match=r"pads with \[\(1, 1\), \(2, 1\)\], where tflm reads undefined memory"):
        load(path)
