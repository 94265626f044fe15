"""Computes perceptual hashes of radiographs and finds the pairs that are nearly equal."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from imaxray.errors import ImaxrayError

NEAR: Final = 15
"""Number of bits (of 256) in which two perceptual hashes of one radiograph may differ.

Among 383 open radiographs (NIH ChestX-ray14, Wingspan), two different radiographs differ in 48 bits
or more. Copies that were halved, brightened or saved as JPEG differ in at most 16 bits, and half of
these copies differ in at most 2 bits. With the usual 64 bits the two ranges overlap."""

_SIDE: Final = 16  # the hash is 16 by 16 frequencies
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
    words = np.ascontiguousarray(hashes).view(np.uint16)
    found = []
    for k in range(words.shape[1]):
        order = np.argsort(words[:, k], kind="stable")
        edges = np.flatnonzero(np.diff(words[order, k])) + 1
        for bucket in np.split(order, edges):
            if len(bucket) > 1:
                found += list(_within(hashes, bucket, distance, block))
    if not found:
        return np.empty((0, 2), dtype=np.int64)
    return np.unique(np.concatenate(found), axis=0)


def groups(pairs: NDArray[np.int64], count: int) -> NDArray[np.int64]:
    """Return the group number of each of ``count`` images; pairs join images, also in chains."""
    ones = np.ones(len(pairs), dtype=np.int8)
    graph: Any = coo_array((ones, (pairs[:, 0], pairs[:, 1])), shape=(count, count))
    _, group = connected_components(graph, directed=False)
    return np.asarray(group, dtype=np.int64)


def _within(
    hashes: NDArray[np.uint8], bucket: NDArray[np.intp], most: int, block: int
) -> Iterator[NDArray[np.int64]]:
    """Yield near pairs of a bucket block by block, so that a large bucket fits in memory."""
    bucket = np.sort(bucket)
    for start in range(0, len(bucket), block):
        for other in range(start, len(bucket), block):
            left, right = bucket[start : start + block], bucket[other : other + block]
            distance = np.zeros((len(left), len(right)), dtype=np.uint16)
            for byte in range(hashes.shape[1]):
                distance += np.bitwise_count(hashes[left, byte][:, None] ^ hashes[right, byte])
            a, b = np.nonzero(distance <= most)
            pairs = np.stack([left[a], right[b]], axis=1).astype(np.int64)
            yield pairs[pairs[:, 0] < pairs[:, 1]]
