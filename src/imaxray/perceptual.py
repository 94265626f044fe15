"""Computes perceptual hashes of radiographs and finds the pairs that are nearly equal."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from imaxray.errors import ImaxrayError

NEAR: Final = 15
"""Number of bits (of 256) in which two perceptual hashes of one radiograph may differ.

Among 383 open radiographs (NIH ChestX-ray14, Wingspan), two different radiographs differ in 48 bits
or more. Copies that were halved, brightened or saved as JPEG differ in at most 16 bits, and half of
these copies differ in at most 2 bits. With the usual 64 bits the two ranges overlap."""

_SIDE: Final = 16  # the hash is 16 by 16 frequencies
_HASHED: Final = 64  # side in pixels of the image that is hashed
BLOCK: Final = 2048
"""Hashes that are compared at once, so that memory stays bounded."""


def can_hash() -> bool:
    """Return whether the extra ``duplicates`` is installed."""
    return importlib.util.find_spec("imagehash") is not None


def require_hash() -> None:
    """Raise a one-sentence error unless the extra ``duplicates`` is installed."""
    if not can_hash():
        raise ImaxrayError(
            "Expected the package imagehash to compare images, but it is not installed; run pip "
            "install 'imaxray[duplicates]' or skip the check for near duplicates."
        )


def perceptual_hash(pixels: NDArray[np.uint8]) -> bytes:
    """Return the 256-bit (32-byte) pHash of a grey image ``(height, width)`` uint8."""
    import imagehash

    bits: NDArray[Any] = imagehash.phash(Image.fromarray(pixels), hash_size=_SIDE).hash
    return _packed(bits)


def _turns() -> Iterator[tuple[str, bool, bool, bool, bool]]:
    """Yield name, transposed, mirrored (across, down) and inverted of each way to turn an image."""
    names = {
        (False, True, False): "mirrored left to right",
        (False, False, True): "mirrored top to bottom",
        (False, True, True): "turned by 180 degrees",
        (True, False, True): "turned by 90 degrees",
        (True, True, False): "turned by 90 degrees",
        (True, False, False): "turned by 90 degrees and mirrored",
        (True, True, True): "turned by 90 degrees and mirrored",
    }
    for turn, name in names.items():
        yield name, *turn, False
    yield "inverted", False, False, False, True
    for turn, name in names.items():
        yield f"inverted and {name}", *turn, True


_TURNS: Final = tuple(_turns())

TURNS: Final = tuple(name for name, *_ in _TURNS)
"""What was done to each of the turned copies whose hashes :func:`turned_hashes` returns."""


def turned_hashes(pixels: NDArray[np.uint8]) -> bytes:
    """Return the hashes that turned copies of an image would have, in the order of TURNS.

    The copies are mirrored, turned by 90, 180 or 270 degrees, or inverted (black is white), or
    both. Only signs and order of the frequencies of the image change, so it is transformed once.

    Args:
        pixels: Grey image ``(height, width)`` uint8.

    Returns:
        The hashes, 15 times 32 bytes.
    """
    from scipy.fft import dct  # late: the command line and the viewer start without scipy

    small = Image.fromarray(pixels).resize((_HASHED, _HASHED), Image.Resampling.LANCZOS)
    values = np.asarray(small, dtype=np.float64)
    plain = dct(dct(values, axis=0), axis=1)[:_SIDE, :_SIDE]
    odd = np.where(np.arange(_SIDE) % 2, -1.0, 1.0)  # a mirror changes the sign of odd frequencies
    white = 4 * 255.0 * _HASHED**2
    hashes = []
    for _, transposed, across, down, inverted in _TURNS:
        turned = plain.T if transposed else plain
        turned = turned * (odd[None, :] if across else 1.0) * (odd[:, None] if down else 1.0)
        if inverted:
            turned = -turned
            turned[0, 0] += white
        hashes.append(_packed(turned > np.median(turned)))
    return b"".join(hashes)


def _packed(bits: NDArray[Any]) -> bytes:
    # The bits of one wrapped diagonal form one word, so that each of the 16 words of a hash has one
    # bit of every row and column of frequencies. A word of low frequencies only would be equal for
    # all chests.
    diagonal = (np.arange(_SIDE)[:, None] + np.arange(_SIDE)[None, :]) % _SIDE
    return np.packbits(bits.ravel()[np.argsort(diagonal, axis=None, kind="stable")]).tobytes()


def near_pairs(
    hashes: NDArray[np.uint8], distance: int = NEAR, *, block: int = BLOCK
) -> NDArray[np.int64]:
    """Return all pairs of rows that differ in at most ``distance`` bits, shape ``(pairs, 2)``.

    The search is exact: two hashes that differ in at most 15 bits agree in at least one of 16
    words, so only hashes that share a word are compared.

    Args:
        hashes: Hashes, shape ``(images, 32)``.
        distance: Maximum number of different bits, at most NEAR.
        block: Number of hashes that are compared at once; the result does not depend on it.
    """
    found = [
        pairs
        for bucket in _buckets(hashes)
        for pairs in _between(hashes, bucket, bucket, distance, block)
    ]
    return _distinct(found)


def near_turned_pairs(
    hashes: NDArray[np.uint8],
    turned: NDArray[np.uint8],
    distance: int = NEAR,
    *,
    block: int = BLOCK,
) -> NDArray[np.int64]:
    """Return the pairs of an image and another one that looks like it after it was turned.

    Args:
        hashes: Hashes of the images, shape ``(images, 32)``.
        turned: Hashes of their turned copies, shape ``(images, 15, 32)``.
        distance: Maximum number of different bits, at most NEAR.
        block: Number of hashes that are compared at once; the result does not depend on it.

    Returns:
        First image, second image, and the number in TURNS of what makes the second one look like
        the first one; shape ``(pairs, 3)``, with ``first < second`` and one row per pair.
    """
    count = len(hashes)
    both = np.concatenate([hashes, turned.reshape(-1, hashes.shape[1])])
    found = []
    for bucket in _buckets(both):
        plain, others = bucket[bucket < count], bucket[bucket >= count]
        if len(plain) and len(others):
            found += list(_between(both, plain, others, distance, block))
    pairs = _distinct(found)
    first, (second, turn) = pairs[:, 0], np.divmod(pairs[:, 1] - count, turned.shape[1])
    rows = np.stack([first, second, turn], axis=1)[first < second]
    _, one_each = np.unique(rows[:, :2], axis=0, return_index=True)
    return rows[one_each]


def _buckets(hashes: NDArray[np.uint8]) -> Iterator[NDArray[np.intp]]:
    """Yield the rows that share a word, for each of the 16 words."""
    words = np.ascontiguousarray(hashes).view(np.uint16)
    for k in range(words.shape[1]):
        order = np.argsort(words[:, k], kind="stable")
        edges = np.flatnonzero(np.diff(words[order, k])) + 1
        for bucket in np.split(order, edges):
            if len(bucket) > 1:
                yield np.sort(bucket)


def _distinct(found: list[NDArray[np.int64]]) -> NDArray[np.int64]:
    if not found:
        return np.empty((0, 2), dtype=np.int64)
    return np.unique(np.concatenate(found), axis=0)


def groups(pairs: NDArray[np.int64], count: int) -> NDArray[np.int64]:
    """Return the group number of each of ``count`` images; pairs join images, also in chains."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    ones = np.ones(len(pairs), dtype=np.int8)
    graph: Any = coo_array((ones, (pairs[:, 0], pairs[:, 1])), shape=(count, count))
    _, group = connected_components(graph, directed=False)
    return np.asarray(group, dtype=np.int64)


def _between(
    hashes: NDArray[np.uint8],
    one: NDArray[np.intp],
    other: NDArray[np.intp],
    most: int,
    block: int,
) -> Iterator[NDArray[np.int64]]:
    """Yield near pairs of two sets of rows block by block, so that large buckets fit in memory."""
    for start in range(0, len(one), block):
        left = one[start : start + block]
        for begin in range(0, len(other), block):
            right = other[begin : begin + block]
            if left[0] >= right[-1]:
                continue  # rows are sorted, and pairs have the smaller row first
            distance = np.zeros((len(left), len(right)), dtype=np.uint16)
            for byte in range(hashes.shape[1]):
                distance += np.bitwise_count(hashes[left, byte][:, None] ^ hashes[right, byte])
            a, b = np.nonzero(distance <= most)
            pairs = np.stack([left[a], right[b]], axis=1).astype(np.int64)
            yield pairs[pairs[:, 0] < pairs[:, 1]]
