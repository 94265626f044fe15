"""Gives training, evaluation and reports their images, from the cache or from the image file."""

from __future__ import annotations

from pathlib import Path

from imaxray.cache.plan import MANIFEST
from imaxray.cache.reader import ImageCache
from imaxray.curation import Dataset
from imaxray.radiograph import Readable


def default_folder(dataset: Dataset) -> Path:
    """Return the folder of a dataset's image cache, ``image-cache`` in the parent folder.

    The cache of a catalog therefore also serves IMAX and DMAX that were selected from it.
    """
    return dataset.folder.resolve().parent / "image-cache"


class ImageStore:
    """Maps image ids of a dataset to what :func:`imaxray.radiograph.load` takes.

    A call returns the cached pixels of an image if there is a cache, and otherwise its file.

    Attributes:
        dataset: Dataset that the images belong to.
        cache: Opened cache, or None if every image is decoded from its file.
    """

    def __init__(self, dataset: Dataset, cache: Path | None = None) -> None:
        """Open the cache if there is one.

        Args:
            dataset: Dataset that the images belong to.
            cache: Folder of the cache. If None, :func:`default_folder` is used if it exists. A
                cache there that shares no image with the dataset belongs to another dataset and is
                ignored.

        Raises:
            ImaxrayError: If the cache is unfinished, or holds other images than the dataset now
                has.
        """
        self.dataset = dataset
        self.cache: ImageCache | None = None
        folder = cache or default_folder(dataset)
        if cache is None and not folder.is_dir():
            return
        if cache is None and (folder / MANIFEST).is_file():
            found = ImageCache.open(folder)
            if found.missing(dataset) == dataset.tables.images.height:
                return
        self.cache = ImageCache.open(folder, dataset)

    def __call__(self, image_id: str) -> Readable:
        """Return the pixels of an image from the cache, or its file.

        Raises:
            ImaxrayError: If the image is unknown, or the cache rejected it.
        """
        return (
            self.dataset.image_path(image_id) if self.cache is None else self.cache.load(image_id)
        )

    def describe(self) -> dict[str, int | str] | None:
        """Return what decides the cached pixels, for manifests of runs; None without a cache."""
        if self.cache is None:
            return None
        keys = ("format", "images_sha256", "max_side", "pillow")
        return {key: self.cache.manifest[key] for key in keys}
