"""Prepares images as model inputs when they are needed and keeps recent ones in memory."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TypeVar

import torch
from PIL import Image

from imaxray.models import ChatModel
from imaxray.progress import track
from imaxray.radiograph import Readable

Pixels = Mapping[str, Mapping[str, torch.Tensor]]
"""Prepared model inputs of each image by image id, as a dict or :class:`LazyImages`."""

ImageLoader = Callable[[str], Mapping[str, torch.Tensor]]
"""Function from an image id to its model inputs; a caller can read prepared inputs from disk."""

PictureLoader = Callable[[str], Image.Image]
"""Function from an image id to its :meth:`imaxray.models.ChatModel.picture`."""


Prepared = TypeVar("Prepared")


class RecentImages(Mapping[str, Prepared]):
    """Makes something of each image at first use, and keeps the latest until memory is full.

    Args:
        image_ids: Ids of all images.
        load: Function that makes it of one image.
        megabytes: Memory for what is kept in MiB; 0 keeps nothing. Every data-loading process keeps
            that much.
        bytes_of: Function that returns the number of bytes of what was made.
    """

    def __init__(
        self,
        image_ids: Sequence[str],
        load: Callable[[str], Prepared],
        megabytes: int,
        bytes_of: Callable[[Prepared], int],
    ) -> None:
        self._known = dict.fromkeys(image_ids)
        self._load = load
        self._bytes_of = bytes_of
        self._budget = megabytes * 2**20
        self._kept: OrderedDict[str, Prepared] = OrderedDict()
        self._used = 0

    def __getitem__(self, image_id: str) -> Prepared:
        if image_id in self._kept:
            self._kept.move_to_end(image_id)
            return self._kept[image_id]
        if image_id not in self._known:
            raise KeyError(image_id)
        image = self._load(image_id)
        size = self._bytes_of(image)
        if size <= self._budget:
            self._kept[image_id] = image
            self._used += size
            while self._used > self._budget:
                self._used -= self._bytes_of(self._kept.popitem(last=False)[1])
        return image

    def __iter__(self) -> Iterator[str]:
        return iter(self._known)

    def __len__(self) -> int:
        return len(self._known)


class LazyImages(RecentImages[Mapping[str, torch.Tensor]]):
    """Loads the inputs of images at first use, and drops the oldest ones when memory is full.

    Args:
        image_ids: Ids of all images.
        load: Function that prepares one image.
        megabytes: Memory for prepared images in MiB; 0 keeps nothing. Every data-loading process
            keeps that much.
    """

    def __init__(self, image_ids: Sequence[str], load: ImageLoader, megabytes: int) -> None:
        super().__init__(image_ids, load, megabytes, _bytes)


class LazyPictures(RecentImages[Image.Image]):
    """Loads the pictures of images at first use, as :class:`LazyImages` loads their inputs."""

    def __init__(self, image_ids: Sequence[str], load: PictureLoader, megabytes: int) -> None:
        super().__init__(image_ids, load, megabytes, lambda picture: picture.width * picture.height)


def prepare_images(
    chat: ChatModel,
    image_ids: Sequence[str],
    image_of: Callable[[str], Readable],
    sizes: Mapping[str, tuple[int, int]] | None = None,
) -> dict[str, dict[str, torch.Tensor]]:
    """Decode and prepare every image once; the dataset must fit into memory.

    Args:
        chat: Model whose processor prepares the images.
        image_ids: Ids of the images.
        image_of: Function from an image id to its file or its pixels, for example an
            :class:`imaxray.cache.ImageStore`.
        sizes: Width and height of each original image, if ``image_of`` may return a smaller copy.
    """
    return {
        i: chat.pixels(image_of(i), None if sizes is None else sizes[i])
        for i in track(image_ids, "Preparing images")
    }


def _bytes(image: Mapping[str, torch.Tensor]) -> int:
    return sum(tensor.nbytes for tensor in image.values())
