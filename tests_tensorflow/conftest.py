"""Tests that need TensorFlow (the extra `oracle`), and the benchmark data of all tests."""

import os
import warnings

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    import keras  # noqa: F401
    import tf_keras  # noqa: F401

from tests.conftest import bench_data  # noqa: F401
