"""Is every image there, whole, and of the size its table says?"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final, Literal

import polars as pl

from imaxray._workers import worker_pool
from imaxray.progress import progress_bar
from imaxray.radiograph import IMAGE_CODES, load_checked
from imaxray.schema import REJECTS, conform
from imaxray.sources import is_inside, leaves_release

Verify = Literal["decode", "exists", "none"]
"""Decode every image whole; only look whether it exists; or believe the tables."""

IMAGES_PER_JOB: Final = 256
"""Images that a worker takes at a time."""

_Job = tuple[str, int, int]


def verify_images(
    images: pl.DataFrame,
    roots: Mapping[str, Path],
    *,
    how: Verify,
    workers: int,
    images_per_job: int = IMAGES_PER_JOB,
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Return the images that are good, and rejects for the others.

    Args:
        images: schema IMAGES.
        roots: release folder of each source.
        how: ``decode`` every image whole and compare sizes, look only whether it ``exists``, or
            believe the tables (``none``), for releases whose images are not at hand yet. A path
            that leaves its release is refused in any case.
        workers: processes; the result does not depend on it.
        images_per_job: images that a worker takes at a time; likewise.
    """
    if how == "none":
        outside = pl.when(leaves_release("path")).then(pl.lit("path-outside-release"))
        return _parted(images.with_columns(outside.alias("code")))
    decode = how == "decode"
    codes: list[str | None] = []
    jobs = images.select("source", "path", "width", "height").rows()
    work = [(str(roots[source] / path) if is_inside(path) else "", width, height)
            for source, path, width, height in jobs]  # fmt: skip
    chunks = [work[k : k + images_per_job] for k in range(0, len(work), images_per_job)]
    label = "Verifying images" if decode else "Looking for images"
    with progress_bar(label, total=len(work)) as bar:
        for result in _mapped(chunks, decode, workers):
            codes += result
            bar.advance(len(result))
    return _parted(images.with_columns(pl.Series("code", codes, dtype=pl.String)))


def _parted(marked: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame]:
    bad = marked.filter(pl.col("code").is_not_null())
    rejects = bad.select(
        "source",
        "file",
        "row",
        pl.col("image_id").alias("key"),
        "code",
        pl.col("code").replace_strict(IMAGE_CODES, return_dtype=pl.String).alias("message"),
    )
    return marked.filter(pl.col("code").is_null()).drop("code"), conform(rejects, REJECTS)


def _mapped(
    chunks: Sequence[Sequence[_Job]], decode: bool, workers: int
) -> Iterator[list[str | None]]:
    if workers <= 1 or len(chunks) < 2 or not decode:
        for chunk in chunks:
            yield _check_chunk(chunk, decode)
        return
    with worker_pool(workers) as pool:
        yield from pool.map(_check_chunk, chunks, [decode] * len(chunks))


def _check_chunk(chunk: Sequence[_Job], decode: bool) -> list[str | None]:
    return [_check(Path(path) if path else None, w, h, decode) for path, w, h in chunk]


def _check(path: Path | None, width: int, height: int, decode: bool) -> str | None:
    if decode or path is None:
        return load_checked(path, width, height)[1]
    return None if path.is_file() else "missing-image"
