"""Defines what an external annotator receives and what it returns."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class ImageRequest:
    """One image that an annotator is given.

    Attributes:
        image_id: Id of the image.
        width: Width of the original image in pixels.
        height: Height of the original image in pixels.
        view: View of the image (PA, AP, …); ``None`` if not stated.
        report: Text of the image's own real report; ``None`` if it has none.
        pixels: Function that decodes the image to grey, uint8 (height, width). With an image cache,
            the picture may be smaller than the original; boxes count in pixels of the original.
        unique_name: Whether no other image of the dataset has the same last part of its id.
    """

    image_id: str
    width: int
    height: int
    view: str | None
    report: str | None
    pixels: Callable[[], NDArray[np.uint8]]
    unique_name: bool = True


@dataclass(frozen=True)
class Stated:
    """One fact that an annotator states about an image.

    Attributes:
        image_id: Id of the image.
        kind: Kind of the annotation: ``measurement``, ``grade``, ``label``, ``region``, ``qa`` or
            ``report``.
        name: ``ctr`` or ``cpar``; ``edema``; a finding; the section of a report; else ``None``.
        value: Ratio in (0, 1); grade 0-3; 1, 0 or -1 (uncertain) of a label; 1 for a closed
            question.
        text: Phrase of a region, question, or text of a report.
        boxes: Boxes of a region, ``[x1, y1, x2, y2]`` in pixels of the original image.
        answers: Answers of a question.
        score: Confidence from 0 to 1; ``None`` if the annotator knows none. Scores need not be
            probabilities, since the answers to the validation entries calibrate them.
    """

    image_id: str
    kind: str
    name: str | None = None
    value: float | None = None
    text: str | None = None
    boxes: list[list[float]] | None = None
    answers: list[str] | None = None
    score: float | None = None


class Annotator(ABC):
    """States facts about images.

    Args:
        argument: Text after the colon in ``NAME:ARGUMENT``, such as a folder; ``None`` without.
    """

    name: ClassVar[str]
    """Name under which users choose it, and the column ``model`` of its candidates."""
    version: ClassVar[str]
    """Version that changes whenever the same image may get other facts."""
    tasks: ClassVar[tuple[str, ...]]
    """Tasks that its facts make entries of."""
    plugin: ClassVar[Any] = None
    """Entry point that it was loaded from; ``None`` for a built-in one. imaxray sets it."""

    def __init__(self, argument: str | None = None) -> None:
        self.argument = argument

    def digest(self) -> str:
        """Return a text that changes with whatever decides the facts beside the version.

        By default there is nothing else; an annotator that reads weights or files overrides this.
        """
        return ""

    @abstractmethod
    def annotate(self, images: Sequence[ImageRequest]) -> Iterable[Stated]:
        """State facts about a batch of images.

        The facts about an image must not depend on the other images of the batch.

        Args:
            images: Images of the batch.
        """
