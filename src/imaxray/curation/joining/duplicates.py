"""Finds the same radiograph under two ids by perceptual hash, within and across releases."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final, Literal

import numpy as np
import polars as pl
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from imaxray import radiograph
from imaxray._common.workers import worker_pool
from imaxray.perceptual import NEAR, groups, near_pairs, perceptual_hash, require_hash
from imaxray.progress import progress_bar
from imaxray.schema import REJECTS, conform
from imaxray.sources import find_image

_CHUNK: Final = 64


class DuplicatesConfig(BaseModel):
    """Sets whether images are compared and what happens to images that show the same radiograph.

    The comparison must decode every image, so it is off by default. ``report`` puts the patients of
    two such images into one split; ``drop`` also keeps only the first of the images by id.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    effect: Literal["off", "report", "drop"] = "off"
    distance: int = Field(
        default=NEAR,
        ge=0,
        le=NEAR,
        description="Maximum number of bits (of 256) in which the hashes of duplicates differ.",
    )


def hash_images(
    images: pl.DataFrame, roots: Mapping[str, Path], *, workers: int
) -> NDArray[np.uint8]:
    """Compute the perceptual hash of every image, shape (n, 32).

    Raises:
        ImaxrayError: If the extra ``duplicates`` is not installed or an image cannot be read.
    """
    require_hash()
    rows = images.select("source", "path").iter_rows()
    paths = [str(find_image(roots[source], path) or "") for source, path in rows]
    chunks = [paths[k : k + _CHUNK] for k in range(0, len(paths), _CHUNK)]
    hashes: list[bytes] = []
    with progress_bar("Comparing images", total=len(paths)) as bar:
        for part in _mapped(chunks, workers):
            hashes += part
            bar.advance(len(part))
    return np.frombuffer(b"".join(hashes), dtype=np.uint8).reshape(len(paths), -1)


def join_duplicates(
    images: pl.DataFrame, hashes: NDArray[np.uint8], config: DuplicatesConfig
) -> tuple[pl.DataFrame, pl.DataFrame, list[frozenset[str]]]:
    """Find images that show the same radiograph and apply the effect of ``config``.

    Args:
        images: Schema IMAGES, sorted by id.
        hashes: Perceptual hash of each image, shape (n, 32).
        config: Maximum distance between the hashes of duplicates, and the effect.

    Returns:
        The images that stay; rejects ``near-duplicate``; and the sets of patients whose images are
        the same radiograph, who must share a split.
    """
    group = groups(near_pairs(hashes, config.distance), images.height)
    numbered = images.with_columns(pl.Series("_group", group))
    shared = numbered.filter(pl.len().over("_group") > 1)
    bound = [
        frozenset(patients)
        for patients in shared.group_by("_group", maintain_order=True)
        .agg(pl.col("patient_id").unique().sort())["patient_id"]
        .to_list()
        if len(patients) > 1
    ]
    if config.effect != "drop":
        return images, conform(images.head(0).select("source", "file", "row"), REJECTS), bound
    first = pl.col("image_id").first().over("_group")
    again = numbered.filter(pl.int_range(pl.len()).over("_group") > 0)
    kept = numbered.filter(pl.int_range(pl.len()).over("_group") == 0).drop("_group")
    rejects = (
        numbered.with_columns(first.alias("_first"))
        .join(again.select("image_id"), on="image_id", how="semi", maintain_order="left")
        .select(
            "source", "file", "row", pl.col("image_id").alias("key"),
            pl.lit("near-duplicate").alias("code"),
            pl.format("the same radiograph as {}", "_first").alias("message"),
        )
    )  # fmt: skip
    return kept, conform(rejects, REJECTS), bound


def _mapped(chunks: Sequence[Sequence[str]], workers: int) -> Iterator[list[bytes]]:
    if workers <= 1 or len(chunks) < 2:
        yield from map(_hashes, chunks)
        return
    with worker_pool(workers) as pool:
        yield from pool.map(_hashes, chunks)


def _hashes(paths: Sequence[str]) -> list[bytes]:
    return [perceptual_hash(radiograph.load(Path(path))) for path in paths]
