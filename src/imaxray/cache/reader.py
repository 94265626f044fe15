"""Reads an image cache: returns pixels by image id from memory-mapped shards."""

from __future__ import annotations

import io
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Final, TypedDict

import numpy as np
import polars as pl
import pyarrow as pa
from numpy.typing import NDArray

from imaxray._common.digests import changed_files
from imaxray._common.files import read_parquet, sha256
from imaxray._common.state import read_state
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
from imaxray.radiograph import open_image
from imaxray.schema import REJECTS

_OPEN: Final = 64  # maximum number of shards mapped at once; each holds a file descriptor


@dataclass(frozen=True)
class CachedImage:
    """Holds one image of a cache; boxes are in pixels of the original image, not of this one.

    Attributes:
        image_id: Id of the image.
        width: Width of the original image in pixels.
        height: Height of the original image in pixels.
        cached_width: Width of the cached image in pixels.
        cached_height: Height of the cached image in pixels.
        scale: Cached size over original size, before sides are rounded to whole pixels; 1 if the
            image was not resized.
        png: Cached image as the bytes of a PNG file, 8-bit grey.
    """

    image_id: str
    width: int
    height: int
    cached_width: int
    cached_height: int
    scale: float
    png: bytes


class CacheManifest(TypedDict):
    """The part of the manifest that is read; it holds more."""

    cached: int
    rejected: int
    max_side: int
    releases: dict[str, Any]
    files: dict[str, str]


def read_manifest(folder: Path) -> CacheManifest:
    """Return the manifest of a finished cache.

    Raises:
        ImaxrayError: If it is missing or damaged.
    """
    if not (folder / MANIFEST).is_file():
        raise ImaxrayError(
            f"Expected a finished image cache at {folder}, but it has no {MANIFEST}; run `imaxray "
            "cache` again or remove that folder."
        )
    manifest: CacheManifest = read_state(
        folder / MANIFEST, CacheManifest, advice="run `imaxray cache` again or remove that folder"
    )
    return manifest


class ImageCache:
    """Gives access to an opened image cache; the object can be sent to other processes.

    Attributes:
        folder: Folder of the cache.
        manifest: Versions and settings that made the cache, counts, and the sha256 of each file.
        index: Table with one row per image, rejects included: ``image_id, source, path, width,
            height`` (pixels of the original), ``code`` (null for a good image), ``cached_width,
            cached_height, scale``, ``shard``, ``shard_row``.
    """

    def __init__(self, folder: Path, manifest: Mapping[str, Any], index: pl.DataFrame) -> None:
        self.folder = folder
        self.manifest = manifest
        self.index = index
        self._mapped: OrderedDict[int, pa.RecordBatch] = OrderedDict()
        self._compared: set[str] = set()

    @classmethod
    def open(cls, folder: Path, dataset: Dataset | None = None) -> ImageCache:
        """Open a finished cache.

        Args:
            folder: Folder that :func:`imaxray.cache.cache_images` wrote.
            dataset: Dataset that the cache must serve: every image of the dataset must be in the
                cache, of the same release and size. The dataset may have fewer images than the one
                that the cache was made of.

        Raises:
            ImaxrayError: If the folder is not a finished cache, or the cache holds other images.
        """
        try:
            manifest = read_manifest(folder)
            tables = {name: manifest["files"][name] for name in (INDEX, REJECTS_FILE)}
            if changed := changed_files(folder, tables):
                raise ImaxrayError(_changed(folder, changed[0]))
            cache = cls(folder, manifest, read_parquet(folder / INDEX))
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
                    f"Expected an image cache of {dataset.folder} at {folder}, but the one there "
                    f"{what}; remove it and run `imaxray cache` again."
                )
        return cache

    def missing(self, dataset: Dataset) -> int:
        """Count the images of a dataset that are not in the cache, as good images or rejects."""
        here = self.index.select(IDENTITY)
        wanted = dataset.tables.images.select(IDENTITY).cast(here.schema)
        return wanted.join(here, on=IDENTITY, how="anti").height

    @property
    def max_side(self) -> int:
        """Maximum length of an image's side in pixels."""
        return int(self.manifest["max_side"])

    @property
    def rejects(self) -> pl.DataFrame:
        """Images that were rejected, with codes (schema REJECTS)."""
        return read_parquet(self.folder / REJECTS_FILE).cast(REJECTS)

    def __len__(self) -> int:
        """Return the number of images that can be loaded."""
        return int(self.manifest["cached"])

    def __contains__(self, image_id: object) -> bool:
        return image_id in self._places and self.code(str(image_id)) is None

    def code(self, image_id: str) -> str | None:
        """Return the reject code of an image, or None if it is good or unknown."""
        number = self._places.get(image_id)
        return None if number is None else self.index["code"][number]

    def get(self, image_id: str) -> CachedImage | None:
        """Return an image with its sizes and its file; None if it is unknown or a reject."""
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
        """Return the pixels of an image, ``(cached_height, cached_width)`` uint8 grey.

        Raises:
            ImaxrayError: If the image is unknown or a reject, or its shard is damaged.
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
            with open_image(io.BytesIO(image.png)) as opened:
                return np.asarray(opened)
        except (OSError, SyntaxError, ValueError) as error:
            raise self._damaged(image_id) from error

    def verify(self) -> list[str]:
        """Return the names of files whose content differs from the manifest; empty if all agree."""
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
        # Memory maps cannot be sent; the other process makes its own.
        return {**self.__dict__, "_mapped": OrderedDict()}

    @cached_property
    def _places(self) -> dict[str, int]:
        return {image_id: number for number, image_id in enumerate(self.index["image_id"])}

    def _shard(self, number: int) -> pa.RecordBatch:
        if number in self._mapped:
            self._mapped.move_to_end(number)
            return self._mapped[number]
        file = self.folder / SHARDS / shard_name(number)
        name = f"{SHARDS}/{file.name}"
        if name not in self._compared:
            if changed_files(self.folder, {name: self.manifest["files"].get(name, "")}):
                raise ImaxrayError(_changed(self.folder, name))
            self._compared.add(name)
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
            f"Expected {what} complete in the cache {self.folder}, but it is missing or damaged; "
            "remove the shards that `ImageCache.verify` names and run `imaxray cache` again."
        )


def _changed(folder: Path, name: str) -> str:
    return (
        f"Expected {name} of the image cache {folder} as its manifest describes it, but it is "
        "missing or damaged; run `imaxray cache` again, which makes it again."
    )
