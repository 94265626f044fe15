"""Where training, evaluation and reports get an image from: the cache, or its own file."""

from __future__ import annotations

from pathlib import Path

from imaxray.cache.plan import MANIFEST
from imaxray.cache.reader import ImageCache
from imaxray.curation import Dataset
from imaxray.radiograph import Readable


def default_folder(dataset: Dataset) -> Path:
    """Where a dataset's image cache lies: ``image-cache`` beside it.

    The catalog's then serves the IMAX and DMAX that were selected from it.
    """
    return dataset.folder.resolve().parent / "image-cache"


class ImageStore:
    """Images of a dataset by id, as what :func:`imaxray.radiograph.load` takes.

    Calling it gives the cached pixels of an image where there is a cache, else its file.

    Attributes:
        dataset: whose images.
        cache: ``None``: every image is decoded from its file.
    """

    def __init__(self, dataset: Dataset, cache: Path | None = None) -> None:
        """Look for the cache.

        Args:
            dataset: whose images.
            cache: its folder; default: :func:`default_folder`, if it is there. One that shares no
                image with the dataset is another's and left alone.

        Raises:
            ImaxrayError: the cache is unfinished, or of other images than the dataset has now.
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
        """Pixels from the cache, or the file.

        Raises:
            ImaxrayError: the image is unknown, or the cache rejected it.
        """
        return (
            self.dataset.image_path(image_id) if self.cache is None else self.cache.load(image_id)
        )

    def describe(self) -> dict[str, int | str] | None:
        """What decides the cached pixels, for a run's manifest; ``None`` without a cache."""
        if self.cache is None:
            return None
        keys = ("format", "images_sha256", "max_side", "pillow")
        return {key: self.cache.manifest[key] for key in keys}
