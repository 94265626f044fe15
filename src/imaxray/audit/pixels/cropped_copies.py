"""Finds images that are a part of another image, on small thumbnails of both.

A perceptual hash cannot find them: a crop moves every edge. So each thumbnail is compared with
those of all others, which gives a few candidates, and for each candidate the window of the whole
image is fitted that is most like the crop. Two images count as one if what the window shows is
almost equal, in its grey values and in its details, except for a few pixels, since a letter may
have been burnt in. Borders of one grey value are cut off before, so padded copies are found too.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy.ndimage import gaussian_filter

SIDE: Final = 64
"""Side of a thumbnail in pixels."""

MOST_IMAGES: Final = 20_000
"""Maximum number of images among which cropped copies are searched; all pairs are compared."""

ALIKE: Final = 0.988
"""Minimum correlation of the grey values of a crop and its window in the whole image.

Among 490 open radiographs, that of two different images is at most 0.986, also of one patient."""

DETAILS: Final = 0.88
"""Minimum correlation of the details, which are what a Gaussian filter of two pixels removes.

That of two different images is at most 0.78, and that of most crops is 0.95 or more."""

_OTHER: Final = 0.04  # share of the pixels that may differ, since they were painted over
_FLAT: Final = 12  # grey levels by which a border of one value may vary, since JPEG is lossy

_MARGINS: Final = (0.0, 0.03, 0.06, 0.09)  # of the windows that are compared at first
_COARSE: Final = 16  # side of what is compared at first
_LIKELY: Final = 0.75  # minimum correlation at first; that of 1 of 200 crops is lower
_CANDIDATES: Final = 3  # per image; the whole image is among them for 96 of 100 crops
_STEPS: Final = 14
_LEAST: Final = 0.6  # side of the smallest window
_FAR: Final = 0.9  # correlation below which a fit is given up after some steps
_PATIENCE: Final = 6
_BLOCK: Final = 1024

_Floats = NDArray[np.float32]
_CENTRES: Final = (np.arange(SIDE, dtype=np.float32) + 0.5) / SIDE


def thumbnail(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return a grey image without its borders of one value, as a thumbnail of 64 by 64 pixels.

    Example:
        >>> thumbnail(np.zeros((100, 80), dtype=np.uint8)).shape
        (64, 64)
    """
    top, bottom = _inside(pixels.min(axis=1), pixels.max(axis=1))
    rows = pixels[top:bottom]
    left, right = _inside(rows.min(axis=0), rows.max(axis=0))
    inner = Image.fromarray(np.ascontiguousarray(rows[:, left:right]))
    return np.asarray(inner.resize((SIDE, SIDE), Image.Resampling.BOX))


def _inside(darkest: NDArray[np.uint8], brightest: NDArray[np.uint8]) -> tuple[int, int]:
    """Return where the lines of more than one value start and stop; all if there are none."""
    varied = np.flatnonzero(brightest.astype(np.int16) - darkest > _FLAT)
    return (int(varied[0]), int(varied[-1]) + 1) if len(varied) else (0, len(darkest))


def cropped_pairs(thumbnails: NDArray[np.uint8]) -> list[tuple[int, int]]:
    """Return the pairs of images of which one shows a part of the other: ``(part, whole)``.

    Args:
        thumbnails: Thumbnails, shape ``(images, 64, 64)``.
    """
    if len(thumbnails) < 2:
        return []
    images = thumbnails.astype(np.float32)
    found = []
    for part, whole, margin in _candidates(images):
        if _is_part(images[part], images[whole], margin):
            found.append((part, whole))
    return found


def _candidates(images: _Floats) -> list[tuple[int, int, float]]:
    """Return, for each image, the few others that it could be a part of, and a margin."""
    parts = np.stack([_coarse(image) for image in images])
    windows = [
        np.stack([_coarse(_window(image, _centred(margin))) for image in images])
        for margin in _MARGINS
    ]
    most = min(_CANDIDATES, len(images) - 1)
    found = []
    for start in range(0, len(images), _BLOCK):
        likeness = np.stack([parts[start : start + _BLOCK] @ w.T for w in windows])
        best, margins = likeness.max(axis=0), likeness.argmax(axis=0)
        rows = np.arange(len(best))
        best[rows, rows + start] = -1.0  # an image is no part of itself
        for row, nearest in enumerate(np.argpartition(-best, most - 1, axis=1)[:, :most]):
            found += [
                (start + row, int(other), _MARGINS[margins[row, other]])
                for other in sorted(nearest)
                if best[row, other] >= _LIKELY
            ]
    return found


def _is_part(part: _Floats, whole: _Floats, margin: float) -> bool:
    window = _fitted(part, whole, margin)
    if window is None:
        return False
    shown = _window(whole, window)
    same = _same_pixels(part, shown)
    return (
        _likeness(part[same], shown[same]) >= ALIKE
        and _likeness(_details(part)[same], _details(shown)[same]) >= DETAILS
    )


def _same_pixels(part: _Floats, shown: _Floats) -> NDArray[np.bool_]:
    """Return the pixels without those that differ most, after brightness and contrast are fitted.

    They are fitted twice, the second time without the pixels that differ most.
    """
    same = np.ones(part.shape, dtype=bool)
    for _ in range(2):
        columns = np.stack([shown[same], np.ones_like(shown[same])]).astype(np.float64)
        square = columns @ columns.T + 1e-6 * np.eye(2)
        contrast, brightness = np.linalg.solve(square, columns @ part[same].astype(np.float64))
        differs = np.abs(part - contrast * shown - brightness)
        same = differs <= np.quantile(differs, 1 - _OTHER)
    return same


def _fitted(part: _Floats, whole: _Floats, margin: float) -> NDArray[np.float64] | None:
    """Fit the window (left, top, right, bottom) that shows the part, by least squares.

    Brightness and contrast are fitted too. ``None`` if the window stays too unlike the part.
    """
    window = _centred(margin)
    best, kept = -1.0, window
    for step in range(_STEPS):
        shown = _window(whole, window)
        likeness = _likeness(part, shown)
        if likeness > best:
            best, kept = likeness, window
        if step == _PATIENCE and best < _FAR:
            return None
        down, across = np.gradient(shown)
        width, height = window[2] - window[0], window[3] - window[1]
        across, down = across * (SIDE / width), down * (SIDE / height)
        columns = np.stack([
            across * (1 - _CENTRES), down * (1 - _CENTRES)[:, None],
            across * _CENTRES, down * _CENTRES[:, None], shown, np.ones_like(shown),
        ]).reshape(6, -1).astype(np.float64)  # fmt: skip
        square = columns @ columns.T + 1e-3 * np.eye(6)
        solved = np.linalg.solve(square, columns @ part.ravel().astype(np.float64))
        contrast = solved[4] if abs(solved[4]) > 0.2 else 1.0
        moved = np.clip(solved[:4] / contrast, -0.05, 0.05)
        window = np.clip(window + moved, [0, 0, _LEAST, _LEAST], [1 - _LEAST, 1 - _LEAST, 1, 1])
    return kept


def _centred(margin: float) -> NDArray[np.float64]:
    return np.array([margin, margin, 1 - margin, 1 - margin])


def _window(image: _Floats, window: NDArray[np.float64]) -> _Floats:
    """Return what a window of a thumbnail shows, as a thumbnail."""
    across, down = _weights(window[0], window[2]), _weights(window[1], window[3])
    return np.asarray(down @ image @ across.T, dtype=np.float32)


def _weights(start: float, stop: float) -> _Floats:
    """Return the weights of linear interpolation, one row per pixel of the window."""
    places = np.clip((start + (stop - start) * _CENTRES) * SIDE - 0.5, 0, SIDE - 1)
    low = np.minimum(places.astype(int), SIDE - 2)
    share = (places - low).astype(np.float32)
    weights = np.zeros((SIDE, SIDE), dtype=np.float32)
    rows = np.arange(SIDE)
    weights[rows, low], weights[rows, low + 1] = 1 - share, share
    return weights


def _coarse(image: _Floats) -> _Floats:
    step = SIDE // _COARSE
    small = image.reshape(_COARSE, step, _COARSE, step).mean(axis=(1, 3)).ravel()
    return _unit(small)


def _details(image: _Floats) -> _Floats:
    details: _Floats = image - gaussian_filter(image, 2.0)
    return details


def _unit(values: _Floats) -> _Floats:
    centred = values - values.mean()
    unit: _Floats = centred / (np.linalg.norm(centred) + 1e-6)
    return unit


def _likeness(one: _Floats, other: _Floats) -> float:
    """Return the correlation of two images of one shape."""
    return float(np.vdot(_unit(one), _unit(other)))
