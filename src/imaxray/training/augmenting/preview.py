"""Shows an image as a training sees it, for users and for pages that explain a run."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray
from PIL import Image

from imaxray import radiograph
from imaxray.boxes import Box
from imaxray.cache import ImageStore
from imaxray.curation import Dataset, open_dataset
from imaxray.errors import ImaxrayError
from imaxray.schema import image_sizes
from imaxray.training.augmenting.augmentation import Augmentation, draw_for_row
from imaxray.training.augmenting.augmenter import boxes_by_image
from imaxray.training.augmenting.config import AugmentConfig


@dataclass(frozen=True)
class AugmentedImage:
    """Holds an augmented image with its boxes.

    Attributes:
        pixels: Grey values (height, width) uint8; a smaller copy if it came from an image cache.
        boxes: Boxes of each of the image's train entries by entry id, in pixels of the original
            image, as ``width`` and ``height`` of the table give it.
        size: Width and height of the original image.
        augmentation: How the image was changed.
    """

    pixels: NDArray[np.uint8]
    boxes: dict[str, list[Box]]
    size: tuple[int, int]
    augmentation: Augmentation


def augmented_image(
    dataset: Path | Dataset,
    image_id: str,
    config: AugmentConfig | None = None,
    *,
    seed: int = 0,
    step: int = 0,
    row: int = 0,
) -> AugmentedImage:
    """Return an image of the train split as a row of a training shows it.

    ``schedule.parquet`` of a run names step and row of each entry. The picture is that before the
    model's processor, which may resize it and stretch its contrast.

    Args:
        dataset: Dataset folder, or an open dataset.
        image_id: Id of an image of the train split.
        config: Strengths of the transforms; default: the default strengths.
        seed: Seed of the training.
        step: Step, from 0.
        row: Row of the step, from 0.

    Raises:
        ImaxrayError: If the train split does not have the image, or it cannot be read.

    docs/training.md shows an example.
    """
    data = dataset if isinstance(dataset, Dataset) else open_dataset(dataset)
    entries = data.tables.split("train").filter(pl.col("image_id") == image_id)
    if entries.is_empty():
        raise ImaxrayError(
            f"Expected an image of the train split of {data.folder}, but {image_id} is not in it; "
            "only training images are augmented, so name one of them."
        )
    size = image_sizes(data.tables.images)[image_id]
    drawn = draw_for_row(
        config or AugmentConfig(), seed=seed, step=step, row=row, image_id=image_id
    )
    known = boxes_by_image(entries).get(image_id, [])
    change = drawn.fitted(known, size)
    picture = Image.fromarray(radiograph.load(ImageStore(data)(image_id)))
    moved: dict[str, list[Box]] = {
        entry_id: [change.box(tuple(box), size) for box in boxes or []]
        for entry_id, boxes in entries.select("entry_id", "boxes").iter_rows()
    }
    return AugmentedImage(np.asarray(change.image(picture, size)), moved, size, change)
