"""Decodes images of the next batch during generation of the current one, then frees them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Self

import torch

ImageInputs = Mapping[str, torch.Tensor]


class ImagesAhead(Mapping[str, ImageInputs]):
    """Maps image ids to model inputs, which are prepared in the order in which they will be used.

    Args:
        order: Image ids in the order of use; an id is repeated if the image is needed again.
        load: Function that prepares one image.
        ahead: Number of images that are prepared before they are used.
        workers: Number of threads; image decoders release the lock of the interpreter.
    """

    def __init__(
        self, order: Sequence[str], load: Callable[[str], ImageInputs], ahead: int, workers: int
    ) -> None:
        self._order = list(order)
        self._load = load
        self._ahead = ahead
        self._next = 0
        self._pool = ThreadPoolExecutor(workers)
        self._waiting: dict[str, list[Future[ImageInputs]]] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._pool.shutdown(cancel_futures=True)

    def __getitem__(self, image_id: str) -> ImageInputs:
        self._fill()
        futures = self._waiting.get(image_id)
        if not futures:
            return self._load(image_id)  # used out of order
        image = futures.pop(0).result()
        if not futures:
            del self._waiting[image_id]
        self._fill()
        return image

    def __iter__(self) -> Iterator[str]:
        return iter(dict.fromkeys(self._order))

    def __len__(self) -> int:
        return len(set(self._order))

    def _fill(self) -> None:
        while self._next < len(self._order) and (
            sum(map(len, self._waiting.values())) < self._ahead
        ):
            image_id = self._order[self._next]
            self._waiting.setdefault(image_id, []).append(self._pool.submit(self._load, image_id))
            self._next += 1
