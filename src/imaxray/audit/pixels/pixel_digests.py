"""Computes digests of decoded images, which find equal and nearly equal images."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Final

import numpy as np
import polars as pl
from numpy.typing import NDArray

from imaxray import radiograph
from imaxray._common.workers import worker_pool
from imaxray.audit.pixels.cropped_copies import MOST_IMAGES, SIDE, cropped_pairs, thumbnail
from imaxray.audit.pixels.embedded import embedded_file
from imaxray.errors import ImaxrayError
from imaxray.perceptual import (
    TURNS,
    can_hash,
    groups,
    near_pairs,
    near_turned_pairs,
    perceptual_hash,
    turned_hashes,
)
from imaxray.progress import progress_bar

_CHUNK: Final = 64
_HASH: Final = 32  # bytes

# problem, sha256, width, height, hash, hashes of turned copies, thumbnail
_Survey = tuple[str | None, str | None, int | None, int | None, bytes, bytes, bytes]


@dataclass(frozen=True)
class Copies:
    """Images that show the same radiograph, although their pixels differ.

    Attributes:
        digests: Id of each image, sorted → digest of its pixels.
        links: Digests of two images that were found to be alike, smaller first → what was done to
            one of them, e.g. ``inverted``; empty if they look the same as they are.
    """

    digests: Mapping[str, str]
    links: Mapping[tuple[str, str], str]

    @property
    def images(self) -> tuple[str, ...]:
        """Return the ids of the images, sorted."""
        return tuple(self.digests)

    def same_pixels(self, one: str, other: str) -> bool:
        """Return whether two of the images have equal pixels."""
        return self.digests[one] == self.digests[other]

    def link(self, one: str, other: str) -> str | None:
        """Return what was done to one of two images; None if they are alike through others."""
        a, b = self.digests[one], self.digests[other]
        return self.links.get((min(a, b), max(a, b)))


@dataclass(frozen=True)
class _Wanted:
    """Says what is computed of each image besides its digest."""

    hashes: bool
    thumbnails: bool


class PixelDigests:
    """Decodes the images of a dataset once for all checks.

    Args:
        files: Image files (schema FILES).
        perceptual: Whether perceptual hashes are computed too, if their package is installed.
        workers: Number of processes; the result does not depend on it.
    """

    def __init__(self, files: pl.DataFrame, *, perceptual: bool, workers: int) -> None:
        # images of one Parquet file are read row by row
        self._files = files.sort("file", "place", "image_id")
        hashes = perceptual and can_hash()
        self._wanted = _Wanted(hashes, hashes and files.height <= MOST_IMAGES)
        self._workers = workers

    @cached_property
    def table(self) -> pl.DataFrame:
        """Return the digests, one row per image.

        The columns are ``image_id``, ``problem``, ``sha256``, ``decoded_width``,
        ``decoded_height``, ``hash``, ``turned``, ``thumbnail``, and the stated ``width`` and
        ``height``. ``problem`` says why an image could not be decoded; the decoded columns are then
        null. An image with neither a file nor a problem is not on this machine, and is not decoded.
        ``sha256`` is the digest of the pixels as 8-bit grey (:func:`imaxray.radiograph.load`) and
        of their shape, so it does not depend on the file format.
        """
        places = list(self._files.select("file", "place").iter_rows())
        chunks = [places[k : k + _CHUNK] for k in range(0, len(places), _CHUNK)]
        surveyed: list[_Survey] = []
        with progress_bar("Decoding images", total=len(places)) as bar:
            for result in self._mapped(chunks):
                surveyed += result
                bar.advance(len(result))
        schema = {"found": pl.String, "sha256": pl.String, "decoded_width": pl.Int64,
                  "decoded_height": pl.Int64, "hash": pl.Binary, "turned": pl.Binary,
                  "thumbnail": pl.Binary}  # fmt: skip
        seen = pl.DataFrame(surveyed, schema=schema, orient="row")
        table = self._files.select("image_id", "problem", "width", "height").hstack(seen)
        return (
            table.with_columns(pl.coalesce("problem", "found").alias("problem"))
            .drop("found")
            .sort("image_id")
        )

    def near(self) -> list[Copies]:
        """Return groups of images that show the same radiograph although their pixels differ.

        Each image of a group is near to at least one other image of it, but need not be near to
        all. Images of equal pixels are in the same group.
        """
        good = self.table.filter(pl.col("sha256").is_not_null(), pl.col("hash").bin.size() > 0)
        first = good.unique("sha256", keep="first", maintain_order=True)
        if first.height < 2:
            return []
        links = self._links(first)
        if not links:
            return []
        numbers = groups(np.array(list(links), dtype=np.int64), first.height).tolist()
        digests = first["sha256"].to_list()
        number_of = dict(zip(digests, numbers, strict=True))
        named = {(min(digests[a], digests[b]), max(digests[a], digests[b])): what
                 for (a, b), what in links.items()}  # fmt: skip
        members: dict[int, dict[str, str]] = {}
        for image, digest in good.select("image_id", "sha256").iter_rows():
            members.setdefault(number_of[digest], {})[image] = digest
        found = [Copies(group, named) for group in members.values() if len(set(group.values())) > 1]
        return sorted(found, key=lambda copies: copies.images)

    def _links(self, first: pl.DataFrame) -> dict[tuple[int, int], str]:
        """Return the pairs of rows, smaller first, that show one radiograph, and what was done."""
        hashes = _stacked(first["hash"], _HASH)
        turned = _stacked(first["turned"], _HASH * len(TURNS)).reshape(len(hashes), -1, _HASH)
        links: dict[tuple[int, int], str] = {}
        for one, other in near_pairs(hashes).tolist():
            links[one, other] = ""
        for one, other, turn in near_turned_pairs(hashes, turned).tolist():
            links.setdefault((one, other), TURNS[turn])
        if self._wanted.thumbnails:
            thumbnails = _stacked(first["thumbnail"], SIDE**2).reshape(-1, SIDE, SIDE)
            for part, whole in cropped_pairs(thumbnails):
                links.setdefault((min(part, whole), max(part, whole)), "cropped or padded")
        return links

    def _mapped(
        self, chunks: Sequence[Sequence[tuple[str | None, int | None]]]
    ) -> Iterator[list[_Survey]]:
        if self._workers <= 1 or len(chunks) < 2:
            for chunk in chunks:
                yield _survey(chunk, self._wanted)
            return
        with worker_pool(self._workers) as pool:
            yield from pool.map(_survey, chunks, [self._wanted] * len(chunks))


def _stacked(column: pl.Series, width: int) -> NDArray[np.uint8]:
    return np.frombuffer(b"".join(column), dtype=np.uint8).reshape(-1, width)


def _survey(places: Sequence[tuple[str | None, int | None]], wanted: _Wanted) -> list[_Survey]:
    found = []
    for file, place in places:
        if file is None:
            found.append(_bad(None))
        elif place is None:
            found.append(_look(Path(file), wanted))
        else:
            found.append(_look_into(Path(file), place, wanted))
    return found


def _look_into(table: Path, place: int, wanted: _Wanted) -> _Survey:
    """Look at an image that a Parquet file holds; the decoders of files read it."""
    with embedded_file(table, place) as path:
        return _look(path, wanted)


def _look(path: Path, wanted: _Wanted) -> _Survey:
    if not path.is_file():
        return _bad("the image file does not exist")
    try:
        radiograph.size(path)  # refuses a decompression bomb before it is opened
        pixels = radiograph.load(path)
    except ImaxrayError:
        return _bad("the image file is damaged or is not an image")
    height, width = pixels.shape
    digest = hashlib.sha256(f"{height} {width} ".encode() + pixels.tobytes()).hexdigest()
    return (
        None,
        digest,
        width,
        height,
        perceptual_hash(pixels) if wanted.hashes else b"",
        turned_hashes(pixels) if wanted.hashes else b"",
        thumbnail(pixels).tobytes() if wanted.thumbnails else b"",
    )


def _bad(problem: str | None) -> _Survey:
    return (problem, None, None, None, b"", b"", b"")
