"""Cardiothoracic and cardiopulmonary ratios from contours and from run-length masks.

Definitions, those of the cxr-cardiomegaly release: CTR is the width of the heart's box over the
width of the box of both lungs; CPAR is the heart's area over the area of both lungs. Both are
ratios of equal dimensions, so they do not change when an image is cropped, padded or resized.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

Numbers = NDArray[np.float64]
Runs = NDArray[np.int64]

RIGHT_LUNG: Final = slice(0, 44)
LEFT_LUNG: Final = slice(44, 94)
HEART: Final = slice(94, 120)
"""Points of each organ in HybridGNet's 120 landmarks, each organ's in order along its contour."""

_POINTS: Final = 120
_FURTHEST: Final = 1e6  # pixels; no radiograph is that large
_DIGITS: Final = b"0123456789 "
_SPACED: Final = bytes.maketrans(b"[](),\r\n\t", b"        ")


def parse_landmarks(cell: bytes) -> Numbers | None:
    """The 120 points (x, y) of a cell, shape ``(120, 2)``; None where it holds anything else.

    Reads the flat list ``403,115,...`` and the text of a numpy array, ``[[403 115]`` and so on.
    """
    try:
        numbers = np.array(cell.translate(_SPACED).split(), dtype=np.float64)
    except ValueError:
        return None
    if numbers.size != 2 * _POINTS or not (np.abs(numbers) <= _FURTHEST).all():  # nan fails too
        return None
    return numbers.reshape(_POINTS, 2)


def parse_runs(cell: bytes, pixels: int) -> Runs | None:
    """Runs ``[first, end)`` of a mask of ``pixels`` pixels, shape ``(n, 2)``, counted from 0.

    Args:
        cell: ``start length start length ...``, starts counted from 1, row by row (C order).
        pixels: height times width.

    Returns:
        None where the cell is blank, holds anything but pairs of numbers, or leaves the image.
    """
    if cell.translate(None, _DIGITS) or not cell.strip():
        return None
    pairs = np.fromstring(cell, dtype=np.int64, sep=" ")
    if pairs.size % 2:
        return None
    pairs = pairs.reshape(-1, 2)
    first, length = pairs[:, 0] - 1, pairs[:, 1]
    # each alone first: a sum of two huge numbers would wrap around
    inside = (first >= 0) & (length >= 1) & (first < pixels) & (length <= pixels)
    if not inside.all() or not (first + length <= pixels).all():
        return None
    return np.stack([first, first + length], axis=1)


def contour_ratios(points: Numbers) -> tuple[Numbers, Numbers]:
    """CTR and CPAR of contours.

    Pixels on a contour belong to the organ, as in the masks that are drawn from it.

    Args:
        points: shape ``(n, 120, 2)``, pixels.

    Returns:
        Two arrays of shape ``(n,)``.
    """
    heart, right, left = (points[:, part] for part in (HEART, RIGHT_LUNG, LEFT_LUNG))
    lungs = np.concatenate([right, left], axis=1)
    return _width(heart) / _width(lungs), _area(heart) / (_area(right) + _area(left))


def mask_ratios(heart: Runs, left: Runs, right: Runs, width: int) -> tuple[float, float]:
    """CTR and CPAR of masks as runs, none empty; what both lungs cover counts once.

    Args:
        heart: runs of :func:`parse_runs`; ``left`` and ``right``: those of the lungs.
        left: see ``heart``.
        right: see ``heart``.
        width: pixels of a row of the image.
    """
    lungs = np.concatenate([left, right])
    return _extent(heart, width) / _extent(lungs, width), _covered(heart) / _covered(lungs)


def _width(points: Numbers) -> Numbers:
    x = points[:, :, 0]
    return np.asarray(x.max(axis=1) - x.min(axis=1) + 1)


def _area(points: Numbers) -> Numbers:
    """Pixels that a filled contour covers: its area and half of the line along it (Pick)."""
    step = np.roll(points, -1, axis=1) - points
    doubled = points[:, :, 0] * step[:, :, 1] - points[:, :, 1] * step[:, :, 0]
    line = np.abs(step).max(axis=2).sum(axis=1)
    return np.asarray(np.abs(doubled.sum(axis=1)) / 2 + line / 2 + 1)


def _extent(runs: Runs, width: int) -> float:
    """Columns from the leftmost to the rightmost set pixel."""
    left = runs[:, 0] % width
    right = left + runs[:, 1] - runs[:, 0]
    if (right > width).any():  # a run goes on in the next row
        return float(width)
    return float(right.max() - left.min())


def _covered(runs: Runs) -> float:
    """Pixels in any of the runs."""
    ordered = runs[np.argsort(runs[:, 0], kind="stable")]
    reached = np.maximum.accumulate(ordered[:, 1])
    before = np.concatenate([[0], reached[:-1]])
    fresh = ordered[:, 1] - np.maximum(ordered[:, 0], before)
    return float(np.maximum(fresh, 0).sum())
