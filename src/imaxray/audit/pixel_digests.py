"""Computes digests of decoded images, which find equal and nearly equal images."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import Final

import numpy as np
import polars as pl

from imaxray import radiograph
from imaxray._workers import worker_pool
from imaxray.errors import ImaxrayError
from imaxray.perceptual import can_hash, groups, near_pairs, perceptual_hash
from imaxray.progress import progress_bar

_CHUNK: Final = 64

_Survey = tuple[str | None, str | None, int, int, bytes]  # problem, sha256, width, height, hash


class PixelDigests:
    """Decodes the images of a dataset once for all checks.

    Args:
        files: Image files (schema FILES).
        perceptual: Whether perceptual hashes are computed too, if their package is installed.
        workers: Number of processes; the result does not depend on it.
    """

    def __init__(self, files: pl.DataFrame, *, perceptual: bool, workers: int) -> None:
        self._files = files.sort("image_id")
        self._perceptual = perceptual and can_hash()
        self._workers = workers

    @cached_property
    def table(self) -> pl.DataFrame:
        """Return the digests, one row per image.

        The columns are ``image_id``, ``problem``, ``sha256``, ``decoded_width``,
        ``decoded_height``, ``hash``, and the stated ``width`` and ``height``. ``problem`` says why
        an image could not be decoded; the decoded columns are then null or zero. ``sha256`` is the
        digest of the pixels as 8-bit grey (:func:`imaxray.radiograph.load`) and of their shape, so
        it does not depend on the file format.
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
        """Return groups of images that look the same although their pixels differ, sorted by id.

        Each image of a group is near to at least one other image of it, but need not be near to
        all.
        """
        good = self.table.filter(pl.col("sha256").is_not_null(), pl.col("hash").bin.size() > 0)
        first = good.unique("sha256", keep="first", maintain_order=True)
        if first.height < 2:
            return []
        raw = np.frombuffer(b"".join(first["hash"]), dtype=np.uint8)
        pairs = near_pairs(raw.reshape(first.height, -1))
        if not pairs.size:
            return []
        alike: dict[int, list[str]] = {}
        for image, number in zip(first["image_id"], groups(pairs, first.height), strict=True):
            alike.setdefault(int(number), []).append(image)
        return sorted(sorted(group) for group in alike.values() if len(group) > 1)

    def _mapped(self, chunks: Sequence[Sequence[str]]) -> Iterator[list[_Survey]]:
        if self._workers <= 1 or len(chunks) < 2:
            for chunk in chunks:
                yield _survey(chunk, self._perceptual)
            return
        with worker_pool(self._workers) as pool:
            yield from pool.map(_survey, chunks, [self._perceptual] * len(chunks))


def _survey(paths: Sequence[str], perceptual: bool) -> list[_Survey]:
    return [_look(Path(path), perceptual) if path else _bad("no image file") for path in paths]


def _look(path: Path, perceptual: bool) -> _Survey:
    if not path.is_file():
        return _bad("the image file does not exist")
    try:
        radiograph.size(path)  # refuses a decompression bomb before it is opened
        pixels = radiograph.load(path)
    except ImaxrayError:
        return _bad("the image file is damaged or is not an image")
    height, width = pixels.shape
    digest = hashlib.sha256(f"{height} {width} ".encode() + pixels.tobytes()).hexdigest()
    return (None, digest, width, height, perceptual_hash(pixels) if perceptual else b"")


def _bad(problem: str) -> _Survey:
    return (problem, None, 0, 0, b"")
