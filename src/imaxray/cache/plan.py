"""Plans which images a cache will hold and in which shards, before any image is decoded."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

import polars as pl

from imaxray.cache.shard import SUFFIX, ShardImage, ShardJob
from imaxray.curation import Dataset

FORMAT: Final = 1
"""Version of the folder's format; a format with other bytes gets a higher number."""

PLAN: Final = "plan.json"
MANIFEST: Final = "manifest.json"
INDEX: Final = "index.parquet"
REJECTS_FILE: Final = "rejects.parquet"
SHARDS: Final = "shards"

IDENTITY: Final = ("image_id", "source", "path", "width", "height")
"""Columns of IMAGES that identify an image."""


@dataclass(frozen=True)
class CachePlan:
    """Holds everything that decides the bytes of a cache.

    Attributes:
        images: Columns IDENTITY, ``file`` and ``row`` of every image, sorted by id.
        key: Summary of the plan in a few values, which is written into files of the cache.
    """

    images: pl.DataFrame
    key: dict[str, Any]

    def jobs(
        self, dataset: Dataset, shards: Path, digests: Mapping[str, str] = MappingProxyType({})
    ) -> Iterator[ShardJob]:
        """Yield one job per shard, in order.

        Args:
            dataset: Dataset of the images.
            shards: Folder of the shards.
            digests: SHA-256 of shards of a finished cache, by their names.
        """
        size = self.key["shard_images"]
        used = self.images["source"].unique().to_list()
        roots = tuple(str(dataset.tables.roots[name]) for name in sorted(used))
        for number in range(self.key["shards"]):
            rows = self.images.slice(number * size, size).select(IDENTITY).iter_rows()
            yield ShardJob(
                str(shards / shard_name(number)),
                self.key["max_side"],
                tuple(
                    ShardImage(i, str(dataset.find_image(i) or ""), w, h) for i, _, _, w, h in rows
                ),
                roots,
                digests.get(shard_name(number)),
            )


def shard_name(number: int) -> str:
    """Return the file name of a shard."""
    return f"{number:06d}{SUFFIX}"


def make_plan(dataset: Dataset, *, max_side: int, shard_images: int) -> CachePlan:
    """Plan the cache of a dataset: images sorted by id, ``shard_images`` per shard."""
    images = dataset.tables.images.select(*IDENTITY, "file", "row").sort("image_id")
    rows = json.dumps(images.select(IDENTITY).rows(), separators=(",", ":"))
    return CachePlan(
        images,
        {
            "format": FORMAT,
            "images": images.height,
            "images_sha256": hashlib.sha256(rows.encode()).hexdigest(),
            "releases": release_digests(dataset),
            "max_side": max_side,
            "shard_images": shard_images,
            "shards": -(-images.height // shard_images),
        },
    )


def release_digests(dataset: Dataset) -> dict[str, str]:
    """Return a digest of each release with images in the dataset, from its files' digests."""
    digests = {}
    for source in sorted(dataset.tables.images["source"].cast(pl.String).unique().to_list()):
        files = sorted((f.file, f.sha256) for f in dataset.tables.files if f.source == source)
        digests[source] = hashlib.sha256(json.dumps(files).encode()).hexdigest()
    return digests
