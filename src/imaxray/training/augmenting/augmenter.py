"""Gives each row of a step its augmented image, and its entries the boxes of that image."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import polars as pl
import torch
from PIL import Image

from imaxray.boxes import PLACEHOLDER, Box
from imaxray.errors import ImaxrayError
from imaxray.models import ChatModel, EncodedEntry
from imaxray.schema import image_sizes
from imaxray.training.augmenting.augmentation import Augmentation, draw_for_row
from imaxray.training.augmenting.config import AugmentConfig

Pictures = Mapping[str, Image.Image]
"""Pictures before the model's processor (:meth:`imaxray.models.ChatModel.picture`) by image id."""


class Augmenter:
    """Augments the images of a training.

    The augmentation of a row depends on the seed, the step, the number of the row and the image
    only, so it is the same for any number of processes, and after a run was stopped and continued.
    All entries of a row share it.

    Args:
        chat: Model that is trained.
        config: Strengths of the transforms.
        seed: Seed of the training.
        entries: Entries of the train split, with schema ENTRIES. All boxes of an image limit its
            augmentation, whichever of its entries are in a row.
        images: Images with schema IMAGES.
        pictures: Pictures by image id.

    Raises:
        ImaxrayError: The model prepares images in a way of its own, without pictures.
    """

    def __init__(
        self,
        chat: ChatModel,
        config: AugmentConfig,
        *,
        seed: int,
        entries: pl.DataFrame,
        images: pl.DataFrame,
        pictures: Pictures,
    ) -> None:
        require_augmentable(chat)
        self._chat = chat
        self._config = config
        self._seed = seed
        self._pictures = pictures
        self._sizes = image_sizes(images)
        boxed = entries.filter(pl.col("boxes").list.len() > 0)
        columns = ["entry_id", "prompt", "target", "boxes"]
        self._texts: dict[str, tuple[str, str, list[Box]]] = {
            entry_id: (prompt, target, [tuple(box) for box in boxes])
            for entry_id, prompt, target, boxes in boxed.select(columns).iter_rows()
        }
        self._boxes_of = boxes_by_image(boxed)

    def augmentation(self, step: int, row: int, image_id: str) -> Augmentation:
        """Return how the image of a row is changed."""
        drawn = draw_for_row(self._config, seed=self._seed, step=step, row=row, image_id=image_id)
        size = self._sizes[image_id]
        boxes = self._boxes_of.get(image_id, ())
        fitted = drawn.fitted(boxes, size)
        holds = self._chat.convention.holds
        if fitted.moves and not all(
            holds(fitted.box(box, size), *size) for box in boxes if holds(box, *size)
        ):
            return fitted.weakened(0)  # the model sees a part of the image only
        return fitted

    def boxes(self, entry_id: str, image_id: str, augmentation: Augmentation) -> list[Box]:
        """Return the boxes of an entry in the augmented image."""
        size = self._sizes[image_id]
        return [augmentation.box(box, size) for box in self._texts[entry_id][2]]

    def moved(self, entry_ids: Sequence[str], augmentation: Augmentation) -> list[str]:
        """Return the entries whose text changes, because it has boxes that move."""
        return [e for e in entry_ids if e in self._texts] if augmentation.moves else []

    def encode(
        self, entry_id: str, image_id: str, augmentation: Augmentation, before: EncodedEntry
    ) -> EncodedEntry:
        """Tokenise an entry with its boxes of the augmented image.

        Args:
            entry_id: Entry with boxes.
            image_id: Its image.
            augmentation: How the image is changed.
            before: The entry with its own boxes; a prompt without boxes keeps its tokens.
        """
        prompt, target, _ = self._texts[entry_id]
        boxes = self.boxes(entry_id, image_id, augmentation)
        same = before.prompt if PLACEHOLDER not in prompt else None
        return self._chat.encode(prompt, target, boxes, self._sizes[image_id], prompt_ids=same)

    def picture(self, image_id: str, augmentation: Augmentation) -> Image.Image:
        """Return the augmented picture of an image."""
        return augmentation.image(self._pictures[image_id], self._sizes[image_id])

    def inputs(self, image_id: str, augmentation: Augmentation) -> dict[str, torch.Tensor]:
        """Return the model inputs of an augmented image."""
        size = self._sizes[image_id]
        return self._chat.inputs(self.picture(image_id, augmentation), size)


def boxes_by_image(entries: pl.DataFrame) -> dict[str, list[Box]]:
    """Return the different boxes of each image, in the order of the entries."""
    found: dict[str, dict[Box, None]] = {}
    for image_id, boxes in entries.select("image_id", "boxes").drop_nulls().iter_rows():
        found.setdefault(image_id, {}).update(dict.fromkeys(tuple(box) for box in boxes))
    return {image_id: list(boxes) for image_id, boxes in found.items()}


def require_augmentable(chat: ChatModel) -> None:
    """Check that the family of a model prepares images from pictures.

    Raises:
        ImaxrayError: The family has its own ``pixels``, which augmentation would pass by.
    """
    if type(chat).pixels is not ChatModel.pixels:
        raise ImaxrayError(
            f"Expected a model family that prepares images by picture and inputs, but "
            f"{type(chat).__name__} has its own pixels, which cannot be augmented; divide that "
            "method into picture and inputs, or train with --augment none."
        )
