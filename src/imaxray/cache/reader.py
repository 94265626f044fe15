"""Read an image cache: pixels by image id, mapped from its shards."""

from __future__ import annotations

import io
import json
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Final

import numpy as np
import polars as pl
import pyarrow as pa
from numpy.typing import NDArray
from PIL import Image

from imaxray._files import sha256
from imaxray.cache.plan import (
    IDENTITY,
    INDEX,
    MANIFEST,
    REJECTS_FILE,
    SHARDS,
    release_digests,
    shard_name,
)
from imaxray.cache.shard import read_shard
from imaxray.curation import Dataset
from imaxray.errors import ImaxrayError
from imaxray.schema import REJECTS

_OPEN: Final = 64  # shards mapped at once; each holds a file descriptor


@dataclass(frozen=True)
class CachedImage:
    """One image of a cache. Boxes are in pixels of the original image, not of this one.

    Attributes:
        image_id: its id.
        width: of the original, pixels.
        height: likewise.
        cached_width: of the cached image, pixels.
        cached_height: likewise.
        scale: cached over original, before sides are rounded to whole pixels; 1: left alone.
        png: the cached image as a file, 8-bit grey.
    """

    image_id: str
    width: int
    height: int
    cached_width: int
    cached_height: int
    scale: float
    png: bytes


class ImageCache:
    """An image cache that was opened; can be sent to other processes.

    Attributes:
        folder: where it lies.
        manifest: what made it, counts, and the sha256 of each file.
        index: one row an image, rejects too: ``image_id, source, path, width, height`` (pixels of
            the original), ``code`` (null: good), ``cached_width, cached_height, scale``, ``shard``,
            ``shard_row``.
    """

    def __init__(self, folder: Path, manifest: Mapping[str, Any], index: pl.DataFrame) -> None:
        self.folder = folder
        self.manifest = manifest
        self.index = index
        self._mapped: OrderedDict[int, pa.RecordBatch] = OrderedDict()

    @classmethod
    def open(cls, folder: Path, dataset: Dataset | None = None) -> ImageCache:
        """Open a finished cache.

        Args:
            folder: what :func:`imaxray.cache.cache_images` wrote.
            dataset: must be served: every image of it is here, of the same release and size. It may
                have fewer images than the one the cache was made of.

        Raises:
            ImaxrayError: the folder is no finished cache, or one of other images.
        """
        try:
            manifest = json.loads((folder / MANIFEST).read_text())
            cache = cls(folder, manifest, pl.read_parquet(folder / INDEX))
            releases = dict(manifest["releases"])
        except (OSError, ValueError, KeyError, TypeError, pl.exceptions.PolarsError) as error:
            raise ImaxrayError(
                f"Expected a finished image cache at {folder}, but its manifest or index is "
                "missing or damaged; run `imaxray cache` again or remove that folder."
            ) from error
        if dataset is not None:
            missing = cache.missing(dataset)
            old = [s for s, d in release_digests(dataset).items() if releases.get(s) != d]
            if missing or old:
                what = f"lacks {missing:,} of its images" if missing else "is of an older release"
                raise ImaxrayError(
                    f"Expected an image cache of {dataset.folder} at {folder}, but that one "
                    f"{what}; remove it and run `imaxray cache` again."
                )
        return cache

    def missing(self, dataset: Dataset) -> int:
        """How many images of a dataset are not here, as good ones or rejects."""
        here = self.index.select(IDENTITY)
        wanted = dataset.tables.images.select(IDENTITY).cast(here.schema)
        return wanted.join(here, on=IDENTITY, how="anti").height

    @property
    def max_side(self) -> int:
        """No side of an image is longer, in pixels."""
        return int(self.manifest["max_side"])

    @property
    def rejects(self) -> pl.DataFrame:
        """Images that are not here, with codes; schema REJECTS."""
        return pl.read_parquet(self.folder / REJECTS_FILE).cast(REJECTS)

    def __len__(self) -> int:
        """Images that can be loaded."""
        return int(self.manifest["cached"])

    def __contains__(self, image_id: object) -> bool:
        return image_id in self._places and self.code(str(image_id)) is None

    def code(self, image_id: str) -> str | None:
        """Why an image is a reject; ``None``: it is not, or it is unknown."""
        number = self._places.get(image_id)
        return None if number is None else self.index["code"][number]

    def get(self, image_id: str) -> CachedImage | None:
        """One image with its sizes and its file; ``None`` where it is not here or a reject."""
        number = self._places.get(image_id)
        if number is None:
            return None
        row = self.index.row(number, named=True)
        if row["code"] is not None:
            return None
        png = self._shard(row["shard"]).column("png")[row["shard_row"]].as_buffer()
        sizes = (row["width"], row["height"], row["cached_width"], row["cached_height"])
        return CachedImage(image_id, *sizes, row["scale"], png.to_pybytes())

    def load(self, image_id: str) -> NDArray[np.uint8]:
        """Pixels of one image, ``(cached_height, cached_width)`` uint8 grey.

        Raises:
            ImaxrayError: the image is not here, is a reject, or its shard is damaged.
        """
        image = self.get(image_id)
        if image is None:
            code = self.code(image_id)
            why = f"it is a reject ({code})" if code else "it is not there"
            raise ImaxrayError(
                f"Expected image {image_id} in the cache {self.folder}, but {why}; fetch it again "
                "or leave it out, then run `imaxray cache` on a fresh folder."
            )
        try:
            with Image.open(io.BytesIO(image.png)) as opened:
                return np.asarray(opened)
        except (OSError, SyntaxError, ValueError) as error:
            raise self._damaged(image_id) from error

    def verify(self) -> list[str]:
        """Names of files whose content is not what the manifest says; empty if all is well."""
        bad = []
        for name, digest in self.manifest["files"].items():
            try:
                found = sha256(self.folder / name)
            except OSError:
                found = ""
            if found != digest:
                bad.append(name)
        return bad

    def __getstate__(self) -> dict[str, Any]:
        # memory maps stay behind; another process makes its own
        return {**self.__dict__, "_mapped": OrderedDict()}

    @cached_property
    def _places(self) -> dict[str, int]:
        return {image_id: number for number, image_id in enumerate(self.index["image_id"])}

    def _shard(self, number: int) -> pa.RecordBatch:
        if number in self._mapped:
            self._mapped.move_to_end(number)
            return self._mapped[number]
        file = self.folder / SHARDS / shard_name(number)
        try:
            batch = read_shard(file)
        except (OSError, pa.ArrowInvalid) as error:
            raise self._damaged(file.name) from error
        self._mapped[number] = batch
        if len(self._mapped) > _OPEN:
            self._mapped.popitem(last=False)
        return batch

    def _damaged(self, what: str) -> ImaxrayError:
        return ImaxrayError(
            f"Expected {what} whole in the cache {self.folder}, but it is missing or damaged; "
            "remove the shards that `ImageCache.verify` names and run `imaxray cache` again."
        )
