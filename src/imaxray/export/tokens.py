"""Counts the tokens of exported rows, so that a tool's limit of length can be set.

A row is long by its text, its image, and what a tool puts around them. The text is counted exactly
if the tokenizer of the model is given, and otherwise by its bytes, which are more. The tokens of
the image follow from its size and the model's preprocessing. Marks of roles and the system prompt
depend on the tool; the limit has an allowance for them that is larger than any of them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import numpy as np

from imaxray._common.files import require_file
from imaxray.boxes import BoxConvention
from imaxray.boxes.known import CHECKPOINT
from imaxray.errors import ImaxrayError
from imaxray.export.conversation import Conversation
from imaxray.geometry import ScaledThenResized, SmartResize, TileCanvas

PER_ROW: Final = 256
"""Allowance for the system prompt of a tool and the marks around an image, in tokens."""

PER_TURN: Final = 32
"""Allowance for the marks of roles around a question and its answer, in tokens."""

PER_BOX: Final = 48
"""Allowance for a box that the tool writes itself, in tokens: the longest form of ms-swift,
``<|box_start|>(1234,1234),(1234,1234)<|box_end|>``, has 47 bytes."""

_STEP: Final = 128  # limits are rounded up to a multiple of this

BYTES: Final = "UTF-8 bytes, of which a text has more than tokens"

_QWEN3: Final = SmartResize(32, 256 * 256, 4096 * 4096)

_OF_IMAGES: Final[Mapping[str, int | SmartResize | TileCanvas]] = {
    "internvl": TileCanvas(),
    "internvl3-8b": TileCanvas(),
    "lingshu-i-8b": TileCanvas(),
    "llava": 576,  # 24 by 24 patches of CLIP at 336 pixels
    "llava-med-v1.5": 576,
    "medgemma": 256,
    "medgemma-1.5-4b": 256,
    "medmo": _QWEN3,
    "medmo-4b": _QWEN3,
    "medmo-8b": _QWEN3,
    "qwen2-vl": CHECKPOINT,
    "qwen3-vl": _QWEN3,
}
"""Tokens of an image, or what they follow from, by the name of a model. Models in pixels of the
resized image have the frame of their boxes."""

_PER_TILE: Final = 256  # of InternVL


@dataclass
class TokenCounter:
    """Counts the tokens of each row while the rows are written.

    Attributes:
        convention: Convention in which boxes are written; None if the tool writes boxes itself.
        model: Name that the convention was given by, which may be a model's.
        scaled: Largest area in pixels to which the tool scales images first, if it does.
        count: Function that counts the tokens of a text.
        unit: What ``count`` counts.
        found: Numbers of tokens of the rows of each split: of the text, and of the image if known.
        images: Largest number of tokens of an image; None if no known model was named.
        longest: Largest number of tokens of a row with the allowances for what the tool adds.
    """

    convention: BoxConvention | None
    model: str | None
    scaled: int | None
    count: Callable[[str], int]
    unit: str
    found: dict[str, list[int]] = field(default_factory=dict)
    images: int | None = None
    longest: int = 0

    def counted(self, rows: Iterable[Conversation]) -> Iterator[Conversation]:
        """Yield the rows unchanged, and count each."""
        for row in rows:
            number = sum(self.count(q) + self.count(a) for q, a in row.texts(self.convention))
            if self.convention is None:
                number += PER_BOX * len(row.boxes)
            image = self._of_image(row.size)
            if image is not None:
                self.images = max(self.images or 0, image)
                number += image
            self.found.setdefault(row.split, []).append(number)
            self.longest = max(self.longest, number + PER_ROW + PER_TURN * len(row.turns))
            yield row

    def _of_image(self, size: tuple[int, int] | None) -> int | None:
        """Return the tokens of an image; None if no known model was named.

        Of an image without a size, or one that is too narrow to be resized, it is the most that
        any image has.
        """
        by: Any = _OF_IMAGES.get((self.model or "").lower())
        if by is None and self.convention is not None:
            by = self.convention.geometry  # that of the tool already
        elif isinstance(by, SmartResize) and self.scaled is not None:
            by = ScaledThenResized(
                cap=self.scaled, factor=by.factor, min_pixels=by.min_pixels,
                max_pixels=by.max_pixels,
            )  # fmt: skip
        if isinstance(by, int):
            return by
        if isinstance(by, TileCanvas):
            if size is not None and self.scaled is not None:
                size = ScaledThenResized(cap=self.scaled).scaled(*size)
            return _PER_TILE * (by.tiles(*size) if size else by.max_tiles + 1)
        if isinstance(by, SmartResize | ScaledThenResized):
            if size is None or max(size) > 200 * min(size):
                return by.max_pixels // by.factor**2
            wide, high = by.resized(*size)
            return wide * high // by.factor**2
        return None

    def cutoff(self) -> int:
        """Return a limit that cuts no row: a multiple of 128."""
        return max(1, -(-self.longest // _STEP)) * _STEP

    def as_dict(self) -> dict[str, Any]:
        """Return the numbers as plain values, for the manifest.

        Example:
            >>> counter = TokenCounter(None, "medgemma", None, len, "characters")
            >>> counter.found = {"train": [300, 310, 420]}
            >>> counter.as_dict()["splits"]
            {'train': {'median': 310, 'p99': 420, 'longest': 420}}
        """
        return {
            "unit": self.unit,
            "image": self.images,
            "cutoff": self.cutoff(),
            "splits": {
                split: {
                    "median": round(float(np.median(numbers))),
                    "p99": int(np.percentile(numbers, 99, method="inverted_cdf")),
                    "longest": max(numbers),
                }
                for split, numbers in self.found.items()
            },
        }


def token_counter(
    convention: BoxConvention | None,
    model: str | None,
    tokenizer: Path | None,
    *,
    scaled: int | None,
) -> TokenCounter:
    """Return a counter of tokens.

    Args:
        convention: Convention in which boxes are written; None if the tool writes boxes itself.
        model: Name that the convention was given by.
        tokenizer: ``tokenizer.json`` of a model, or the folder that holds it; None counts bytes.
        scaled: Largest area in pixels to which the tool scales images first, if it does.

    Raises:
        ImaxrayError: If there is no such tokenizer, or the package ``tokenizers`` is missing.

    Example:
        >>> token_counter(None, None, None, scaled=None).count("größer")
        8
    """
    if tokenizer is None:
        return TokenCounter(convention, model, scaled, lambda text: len(text.encode()), BYTES)
    path = tokenizer / "tokenizer.json" if tokenizer.is_dir() else tokenizer
    require_file(path)
    try:
        from tokenizers import Tokenizer
    except ImportError as error:
        raise ImaxrayError(
            "Expected the package tokenizers to count tokens, but it is not installed; run "
            "pip install 'imaxray[train]', or leave out tokenizer to count bytes."
        ) from error
    try:
        loaded = Tokenizer.from_file(str(path))
    except Exception as error:  # the package raises no class of its own
        raise ImaxrayError(
            f"Expected a tokenizer.json, or the folder of a model that holds one, but {path} "
            "cannot be read as one; name another, or leave out tokenizer to count bytes."
        ) from error

    def count(text: str) -> int:
        return len(loaded.encode(text, add_special_tokens=False).ids)

    return TokenCounter(
        convention, model, scaled, count, f"tokens of {path.absolute().parent.name}"
    )
