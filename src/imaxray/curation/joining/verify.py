"""Verifies that every image exists, can be decoded and has the size that its table states."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final, Literal

import polars as pl

from imaxray._common.workers import worker_pool
from imaxray.progress import progress_bar
from imaxray.radiograph import IMAGE_CODES, load_checked
from imaxray.schema import REJECTS, conform
from imaxray.sources import find_image, leaves_release

Verify = Literal["decode", "exists", "none"]
"""How images are verified: decode every image, only check that it exists, or trust the tables."""

IMAGES_PER_JOB: Final = 256
"""Number of images per job of a worker."""

_Job = tuple[str, str, int, int]


def verify_images(
    images: pl.DataFrame,
    roots: Mapping[str, Path],
    *,
    how: Verify,
    workers: int,
    images_per_job: int = IMAGES_PER_JOB,
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Return the images that pass the verification, and rejects for the others.

    Args:
        images: Schema IMAGES.
        roots: Release folder of each source.
        how: ``decode`` decodes every image and compares its size, ``exists`` only checks that the
            file exists, and ``none`` trusts the tables, for releases whose images are not available
            yet. A path that leaves its release is rejected in all three cases.
        workers: Number of processes; the result does not depend on it.
        images_per_job: Number of images per job of a worker; the result does not depend on it.
    """
    if how == "none":
        outside = pl.when(leaves_release("path")).then(pl.lit("path-outside-release"))
        return _parted(images.with_columns(outside.alias("code")))
    decode = how == "decode"
    codes: list[str | None] = []
    jobs = images.select("source", "path", "width", "height").rows()
    work = [(str(roots[source]), path, width, height) for source, path, width, height in jobs]
    chunks = [work[k : k + images_per_job] for k in range(0, len(work), images_per_job)]
    label = "Verifying images" if decode else "Checking that images exist"
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
    return [_check(find_image(Path(root), path), w, h, decode) for root, path, w, h in chunk]


def _check(path: Path | None, width: int, height: int, decode: bool) -> str | None:
    if decode or path is None:
        return load_checked(path, width, height)[1]
    return None if path.is_file() else "missing-image"
