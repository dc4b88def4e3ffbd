"""scikit-learn's digits, split once and for all: 1347 images to train on, 450 held back."""

from __future__ import annotations

import numpy as np

HELD_BACK = 0.25
SPLIT_SEED = 0


def split() -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Images uint8[n, 64] in [0, 16] and labels int64[n] to train on, then those held back."""
    # Who asks for other data has no need of it.
    from sklearn.datasets import load_digits
    from sklearn.model_selection import train_test_split

    images, labels = load_digits(return_X_y=True)
    x, held_x, y, held_y = train_test_split(
        images.astype(np.uint8), labels.astype(np.int64), test_size=HELD_BACK, stratify=labels, random_state=SPLIT_SEED
    )
    return x, y, held_x, held_y
