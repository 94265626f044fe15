"""Digests of decoded images: equal pixels, and nearly equal ones."""

from __future__ import annotations

import hashlib
import importlib.util
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import cached_property
from multiprocessing import get_context
from pathlib import Path
from typing import Any, Final

import numpy as np
import polars as pl
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from imaxray import radiograph
from imaxray.errors import ImaxrayError
from imaxray.progress import progress_bar

NEAR: Final = 15
"""Bits of 256 in which two perceptual hashes may differ.

Over 383 open radiographs (NIH ChestX-ray14, Wingspan), two different ones differ in 48 bits or
more; copies that were halved, brightened or saved as JPEG in at most 16, half of them in 2. With
the usual 64 bits the two overlap."""

_SIDE: Final = 16  # the hash is 16 by 16 frequencies
_CHUNK: Final = 64
_BLOCK: Final = 2048  # hashes compared at once

_Survey = tuple[str | None, str | None, int, int, bytes]  # problem, sha256, width, height, hash


def can_hash() -> bool:
    """Whether the extra ``duplicates`` is installed."""
    return importlib.util.find_spec("imagehash") is not None


class Pixels:
    """Images of a data set, decoded once for all checks.

    Args:
        files: schema FILES.
        perceptual: compute perceptual hashes too, where that can be done.
        workers: processes; the result does not depend on it.
    """

    def __init__(self, files: pl.DataFrame, *, perceptual: bool, workers: int) -> None:
        self._files = files.sort("image_id")
        self._perceptual = perceptual and can_hash()
        self._workers = workers

    @cached_property
    def table(self) -> pl.DataFrame:
        """One row an image: ``image_id, problem, sha256, decoded_width, decoded_height, hash``.

        ``problem`` says why an image could not be decoded; the other columns are null or zero then.
        ``sha256`` is of the pixels as 8-bit grey (:func:`imaxray.radiograph.load`) with their
        shape, so the file format does not matter.
        """
        paths: list[str] = self._files["file"].fill_null("").to_list()
        chunks = [paths[k : k + _CHUNK] for k in range(0, len(paths), _CHUNK)]
        surveyed: list[_Survey] = []
        with progress_bar("Decoding images", total=len(paths)) as bar:
            for result in self._mapped(chunks):
                surveyed += result
                bar.advance(len(result))
        schema = {"found": pl.String, "sha256": pl.String, "decoded_width": pl.Int64,
                  "decoded_height": pl.Int64, "hash": pl.Binary}  # fmt: skip
        seen = pl.DataFrame(surveyed, schema=schema, orient="row")
        table = self._files.select("image_id", "problem", "width", "height").hstack(seen)
        return table.with_columns(pl.coalesce("problem", "found").alias("problem")).drop("found")

    def near(self) -> list[list[str]]:
        """Groups of images that look the same though their pixels differ, sorted by id.

        Chains count: of a group, each image is near to at least one other.
        """
        good = self.table.filter(pl.col("sha256").is_not_null(), pl.col("hash").bin.size() > 0)
        first = good.unique("sha256", keep="first", maintain_order=True)
        if first.height < 2:
            return []
        raw = np.frombuffer(b"".join(first["hash"]), dtype=np.uint8)
        pairs = near_pairs(raw.reshape(first.height, -1))
        if not pairs.size:
            return []
        ones = np.ones(len(pairs), dtype=np.int8)
        graph = coo_array((ones, (pairs[:, 0], pairs[:, 1])), shape=(first.height,) * 2)
        _, component = connected_components(graph, directed=False)
        groups: dict[int, list[str]] = {}
        for image, number in zip(first["image_id"], component, strict=True):
            groups.setdefault(int(number), []).append(image)
        return sorted(sorted(group) for group in groups.values() if len(group) > 1)

    def _mapped(self, chunks: Sequence[Sequence[str]]) -> Iterator[list[_Survey]]:
        if self._workers <= 1 or len(chunks) < 2:
            for chunk in chunks:
                yield _survey(chunk, self._perceptual)
            return
        # spawn, not fork: Polars holds threads
        with ProcessPoolExecutor(self._workers, mp_context=get_context("spawn")) as pool:
            yield from pool.map(_survey, chunks, [self._perceptual] * len(chunks))


def _survey(paths: Sequence[str], perceptual: bool) -> list[_Survey]:
    return [_look(Path(path), perceptual) if path else _bad("no file") for path in paths]


def _look(path: Path, perceptual: bool) -> _Survey:
    if not path.is_file():
        return _bad("the image file is not there")
    try:
        radiograph.size(path)  # a decompression bomb ends here, unopened
        pixels = radiograph.load(path)
    except ImaxrayError:
        return _bad("the image file is damaged or no image")
    height, width = pixels.shape
    digest = hashlib.sha256(f"{height} {width} ".encode() + pixels.tobytes()).hexdigest()
    return (None, digest, width, height, _perceptual_hash(pixels) if perceptual else b"")


def _bad(problem: str) -> _Survey:
    return (problem, None, 0, 0, b"")


def _perceptual_hash(pixels: NDArray[np.uint8]) -> bytes:
    import imagehash
    from PIL import Image

    bits: NDArray[Any] = imagehash.phash(Image.fromarray(pixels), hash_size=_SIDE).hash
    # Bit k of every 16 shares its diagonal: each of the 16 words of a hash then has one bit of
    # every frequency, and none holds only the lowest, in which all chests agree.
    diagonal = (np.arange(_SIDE)[:, None] + np.arange(_SIDE)[None, :]) % _SIDE
    return np.packbits(bits.ravel()[np.argsort(diagonal, axis=None, kind="stable")]).tobytes()


def near_pairs(hashes: NDArray[np.uint8]) -> NDArray[np.int64]:
    """Pairs of rows that differ in at most NEAR bits, shape ``(pairs, 2)``; exact.

    Two hashes that differ in at most 15 bits agree in at least one of 16 words, so only hashes
    that share a word are compared.

    Args:
        hashes: shape ``(images, 32)``.
    """
    words = np.ascontiguousarray(hashes).view(np.uint16)
    found = []
    for k in range(words.shape[1]):
        order = np.argsort(words[:, k], kind="stable")
        edges = np.flatnonzero(np.diff(words[order, k])) + 1
        for bucket in np.split(order, edges):
            if len(bucket) > 1:
                found += list(_within(hashes, bucket))
    if not found:
        return np.empty((0, 2), dtype=np.int64)
    return np.unique(np.concatenate(found), axis=0)


def _within(hashes: NDArray[np.uint8], bucket: NDArray[np.intp]) -> Iterator[NDArray[np.int64]]:
    """Near pairs of a bucket, block by block: a crowded bucket must not fill the memory."""
    bucket = np.sort(bucket)
    for start in range(0, len(bucket), _BLOCK):
        for other in range(start, len(bucket), _BLOCK):
            left, right = bucket[start : start + _BLOCK], bucket[other : other + _BLOCK]
            distance = np.zeros((len(left), len(right)), dtype=np.uint16)
            for byte in range(hashes.shape[1]):
                distance += np.bitwise_count(hashes[left, byte][:, None] ^ hashes[right, byte])
            a, b = np.nonzero(distance <= NEAR)
            pairs = np.stack([left[a], right[b]], axis=1).astype(np.int64)
            yield pairs[pairs[:, 0] < pairs[:, 1]]
