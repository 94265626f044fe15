"""Computes cardiothoracic and cardiopulmonary area ratios from contours and run-length masks.

The definitions are those of the cxr-cardiomegaly release: CTR is the width of the heart's box over
the width of the box of both lungs; CPAR is the area of the heart over the area of both lungs. Both
are ratios of equal dimensions, so they do not change when an image is cropped, padded or resized.
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
"""Positions of each organ's points, in order along its contour, in HybridGNet's 120 landmarks."""

_POINTS: Final = 120
_FURTHEST: Final = 1e6  # pixels; every radiograph is smaller
_DIGITS: Final = b"0123456789 "
_SPACED: Final = bytes.maketrans(b"[](),\r\n\t", b"        ")


def parse_landmarks(cell: bytes) -> Numbers | None:
    """Parse the 120 points (x, y) of a table cell; return shape ``(120, 2)`` or None.

    Two formats are read: the flat list ``403,115,...`` and the text of a numpy array,
    ``[[403 115]`` and so on. None is returned for any other content.
    """
    try:
        numbers = np.array(cell.translate(_SPACED).split(), dtype=np.float64)
    except ValueError:
        return None
    if numbers.size != 2 * _POINTS or not (np.abs(numbers) <= _FURTHEST).all():  # also refuses nan
        return None
    return numbers.reshape(_POINTS, 2)


def parse_runs(cell: bytes, pixels: int) -> Runs | None:
    """Parse the run-length encoding of a mask that has ``pixels`` pixels.

    Args:
        cell: Text ``start length start length ...``; starts are counted from 1, row by row
            (C order).
        pixels: Number of pixels of the mask, height times width.

    Returns:
        Runs ``[first, end)`` of set pixels, counted from 0, shape ``(n, 2)``; None if the cell is
        blank, holds anything but pairs of numbers, or has a run outside the image.
    """
    if cell.translate(None, _DIGITS) or not cell.strip():
        return None
    pairs = np.fromstring(cell, dtype=np.int64, sep=" ")
    if pairs.size % 2:
        return None
    pairs = pairs.reshape(-1, 2)
    first, length = pairs[:, 0] - 1, pairs[:, 1]
    # Each number is checked before the sum, because the sum of two huge numbers would overflow.
    inside = (first >= 0) & (length >= 1) & (first < pixels) & (length <= pixels)
    if not inside.all() or not (first + length <= pixels).all():
        return None
    return np.stack([first, first + length], axis=1)


def contour_ratios(points: Numbers) -> tuple[Numbers, Numbers]:
    """Compute CTR and CPAR of contours.

    Pixels on a contour belong to the organ, as in the masks that are drawn from the contour.

    Args:
        points: Landmarks in pixels, shape ``(n, 120, 2)``.

    Returns:
        CTR and CPAR, two arrays of shape ``(n,)``.
    """
    heart, right, left = (points[:, part] for part in (HEART, RIGHT_LUNG, LEFT_LUNG))
    lungs = np.concatenate([right, left], axis=1)
    return _width(heart) / _width(lungs), _area(heart) / (_area(right) + _area(left))


def mask_ratios(heart: Runs, left: Runs, right: Runs, width: int) -> tuple[float, float]:
    """Compute CTR and CPAR of three masks, none of which may be empty.

    A pixel that both lungs cover counts once.

    Args:
        heart: Runs of the heart from :func:`parse_runs`.
        left: Runs of the left lung from :func:`parse_runs`.
        right: Runs of the right lung from :func:`parse_runs`.
        width: Width of the image in pixels.
    """
    lungs = np.concatenate([left, right])
    return _extent(heart, width) / _extent(lungs, width), _covered(heart) / _covered(lungs)


def _width(points: Numbers) -> Numbers:
    x = points[:, :, 0]
    return np.asarray(x.max(axis=1) - x.min(axis=1) + 1)


def _area(points: Numbers) -> Numbers:
    """Return the number of pixels that each filled contour covers, by Pick's theorem."""
    step = np.roll(points, -1, axis=1) - points
    doubled = points[:, :, 0] * step[:, :, 1] - points[:, :, 1] * step[:, :, 0]
    line = np.abs(step).max(axis=2).sum(axis=1)
    return np.asarray(np.abs(doubled.sum(axis=1)) / 2 + line / 2 + 1)


def _extent(runs: Runs, width: int) -> float:
    """Return the number of columns from the leftmost to the rightmost set pixel."""
    left = runs[:, 0] % width
    right = left + runs[:, 1] - runs[:, 0]
    if (right > width).any():  # a run continues in the next row, so it touches both edges
        return float(width)
    return float(right.max() - left.min())


def _covered(runs: Runs) -> float:
    """Return the number of pixels that lie in at least one of the runs."""
    ordered = runs[np.argsort(runs[:, 0], kind="stable")]
    reached = np.maximum.accumulate(ordered[:, 1])
    before = np.concatenate([[0], reached[:-1]])
    fresh = ordered[:, 1] - np.maximum(ordered[:, 0], before)
    return float(np.maximum(fresh, 0).sum())
