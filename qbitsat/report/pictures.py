"""Images as text."""

from __future__ import annotations

import numpy as np

from ..network import TensorFormat

SHADES = " .:-=+*#%@"


def side_by_side(form: TensorFormat, before: np.ndarray, after: np.ndarray, titles: tuple[str, str]) -> str:
    """Two images, int[height * width] of a format with at most one channel, and where they differ (+ and -)."""
    height, width = form.shape[:2]
    difference = np.sign(after - before).reshape(height, width)
    panels = [shades(form, before), shades(form, after), ["".join(" +-"[d] * 2 for d in row) for row in difference.tolist()]]
    column = max(2 * width, *map(len, titles))
    lines = [f"{titles[0]:<{column}}   {titles[1]:<{column}}   changes"]
    lines += ["   ".join(f"{part:<{column}}" for part in parts).rstrip() for parts in zip(*panels, strict=True)]
    return "\n".join(lines)


def shades(form: TensorFormat, image: np.ndarray) -> list[str]:
    """One line a row, two characters an element because characters are about twice as high as wide."""
    levels = (image.reshape(form.shape[:2]) - form.lo) * len(SHADES) // (form.hi - form.lo + 1)
    return ["".join(SHADES[level] * 2 for level in row) for row in levels.tolist()]
