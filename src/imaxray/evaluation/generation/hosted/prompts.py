"""Writes the prompt of an entry for a chat server, whose tokenizer nobody here can guard."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

from imaxray.boxes import PLACEHOLDER, Box, BoxConvention, split_boxes
from imaxray.errors import ImaxrayError
from imaxray.export.marks import SPECIAL_TOKENS
from imaxray.schema import ImageSize

_MARK: Final = re.compile(SPECIAL_TOKENS)


def written(
    entry_id: str,
    prompt: str,
    target: str | None,
    boxes: Sequence[Box],
    size: ImageSize,
    convention: BoxConvention,
) -> tuple[str, int]:
    """Return the prompt with its boxes as text, and the number of marks that were broken.

    A server reads words such as ``<|im_end|>`` as marks of its chat format. Here such a word in a
    text gets a space after its first character, so that it stays a word.

    Args:
        entry_id: Id of the entry, for messages.
        prompt: Prompt with ``<box>`` placeholders.
        target: Target, which may hold the placeholders of some of the boxes.
        boxes: Boxes in pixels of the original image, those of the prompt first.
        size: Width and height of the original image in pixels.
        convention: Convention in which boxes are written.

    Raises:
        ImaxrayError: The texts have another number of placeholders than there are boxes.

    Example:
        >>> from imaxray.boxes import PERCENT
        >>> written("a", "Is <box> a nodule?", "no", [(10, 10, 20, 20)], (100, 100), PERCENT)
        ('Is [10, 10, 20, 20] a nodule?', 0)
        >>> written("b", "What is </s>?", "text", [], (100, 100), PERCENT)
        ('What is < /s>?', 1)
    """
    parts = split_boxes(prompt, target or "", boxes)
    if parts is None:
        raise ImaxrayError(
            f"Expected one box for each {PLACEHOLDER} of entry {entry_id}, but it has {len(boxes)} "
            f"boxes for {(prompt + (target or '')).count(PLACEHOLDER)} of them; correct the entry "
            "or remove it."
        )
    plain, broken = _MARK.subn(lambda mark: f"{mark[0][0]} {mark[0][1:]}", prompt)
    return convention.fill(plain, parts[0], *size), broken
