"""The same radiograph under two ids: found by perceptual hash, within and across releases."""

from __future__ import annotations

import importlib
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from itertools import pairwise
from multiprocessing import get_context
from pathlib import Path
from typing import Any, Final, Literal

import numpy as np
import polars as pl
from numpy.typing import NDArray
from PIL import Image
from pydantic import BaseModel, ConfigDict, Field
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from imaxray import radiograph
from imaxray.errors import ImaxrayError
from imaxray.progress import progress_bar
from imaxray.schema import REJECTS, conform

_CHUNK: Final = 64
_BITS: Final = 64


class DuplicatesConfig(BaseModel):
    """Whether images are compared, and what happens to those that are the same radiograph.

    Every image must be decoded, so nothing is done unless asked for. ``report`` counts and puts the
    patients of two such images into one split; ``drop`` also keeps only the first of them (by id).
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    effect: Literal["off", "report", "drop"] = "off"
    distance: int = Field(
        2, ge=0, le=7, description="bits of 64 by which two perceptual hashes may differ"
    )


def hash_images(
    images: pl.DataFrame, roots: Mapping[str, Path], *, workers: int
) -> NDArray[np.uint64]:
    """Perceptual hash (pHash, 64 bits) of every image, shape (n,).

    Raises:
        ImaxrayError: the extra ``duplicates`` is not installed, or an image cannot be read.
    """
    try:
        importlib.import_module("imagehash")
    except ImportError as error:
        raise ImaxrayError(
            "Expected the package imagehash to compare images, but it is not installed; run pip "
            "install 'imaxray[duplicates]' or set duplicates.effect to off."
        ) from error
    paths = [str(roots[s] / p) for s, p in images.select("source", "path").iter_rows()]
    chunks = [paths[k : k + _CHUNK] for k in range(0, len(paths), _CHUNK)]
    hashes: list[int] = []
    with progress_bar("Comparing images", total=len(paths)) as bar:
        for part in _mapped(chunks, workers):
            hashes += part
            bar.advance(len(part))
    return np.array(hashes, dtype=np.uint64)


def near_pairs(hashes: NDArray[np.uint64], distance: int) -> NDArray[np.int64]:
    """Positions (i < j) of hashes that differ in at most ``distance`` bits, shape (m, 2), sorted.

    Cut into ``distance + 1`` bands, two such hashes agree in one band wholly, so only hashes that
    share a band are compared.
    """
    pairs: set[tuple[int, int]] = set()
    edges = np.linspace(0, _BITS, distance + 2).astype(int)
    for low, high in pairwise(edges):
        mask = np.uint64((1 << int(high - low)) - 1)
        band = (hashes >> np.uint64(low)) & mask
        order = np.argsort(band, kind="stable")
        starts = np.flatnonzero(np.diff(band[order]) != 0) + 1
        for start, end in pairwise([0, *starts.tolist(), len(order)]):
            group = np.sort(order[start:end])
            for at, i in enumerate(group[:-1]):
                others = group[at + 1 :]
                near = np.bitwise_count(hashes[others] ^ hashes[i]) <= distance
                pairs |= {(int(i), int(j)) for j in others[near]}
    return np.array(sorted(pairs), dtype=np.int64).reshape(-1, 2)


def same_radiograph(pairs: NDArray[np.int64], count: int) -> NDArray[np.int64]:
    """Group of each of ``count`` images: those joined by pairs, directly or through others."""
    ones = np.ones(len(pairs), dtype=np.int8)
    graph: Any = coo_array((ones, (pairs[:, 0], pairs[:, 1])), shape=(count, count))
    _, group = connected_components(graph, directed=False)
    return np.asarray(group, dtype=np.int64)


def join_duplicates(
    images: pl.DataFrame, hashes: NDArray[np.uint64], config: DuplicatesConfig
) -> tuple[pl.DataFrame, pl.DataFrame, list[frozenset[str]]]:
    """Apply the effect of ``config``.

    Args:
        images: schema IMAGES, sorted by id.
        hashes: of each image.
        config: distance and effect.

    Returns:
        The images that stay; rejects ``near-duplicate``; and the sets of patients whose images are
        the same radiograph, who must share a split.
    """
    group = same_radiograph(near_pairs(hashes, config.distance), images.height)
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


def _mapped(chunks: Sequence[Sequence[str]], workers: int) -> Iterator[list[int]]:
    if workers <= 1 or len(chunks) < 2:
        yield from map(_hashes, chunks)
        return
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
        yield from pool.map(_hashes, chunks)


def _hashes(paths: Sequence[str]) -> list[int]:
    imagehash = importlib.import_module("imagehash")
    return [
        int(str(imagehash.phash(Image.fromarray(radiograph.load(Path(path))))), 16)
        for path in paths
    ]
