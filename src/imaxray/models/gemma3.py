"""Gemma 3 (MedGemma): 896 × 896 pixels, image padded to a square, boxes as JSON with y first."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

from PIL import Image

from imaxray.boxes import BoxConvention
from imaxray.geometry import Geometry, Letterbox
from imaxray.models.chat import ChatModel
from imaxray.models.llava import pad_to_square

_THOUGHT: Final = re.compile(r"<unused94>.*?(?:<unused95>|$)", re.DOTALL)


class Gemma3Model(ChatModel):
    """``Gemma3ForConditionalGeneration``.

    The image is padded to a square with black before the processor squashes it, as MedGemma's
    localisation notebook does; all box numbers are of that square. MedGemma 1.5 may think before it
    answers, between ``<unused94>`` and ``<unused95>``: that is no part of the answer.
    """

    family = "gemma3"
    tower = ("model.vision_tower",)
    connector = ("model.multi_modal_projector",)

    def geometry(self, convention: BoxConvention) -> Geometry:
        """Always the padded square."""
        return Letterbox()

    def enlarge(self, copy: Image.Image, size: tuple[int, int]) -> Image.Image:
        """Nothing: every image becomes one square."""
        return copy

    def prepare(self, image: Image.Image) -> Image.Image:
        """Pad to a square, the image in the middle."""
        return pad_to_square(image, (0, 0, 0))

    def decode(self, ids: Sequence[int]) -> str:
        """See :meth:`ChatModel.decode`; a thought, also an unfinished one, is taken out."""
        return _THOUGHT.sub("", super().decode(ids)).strip()

    def _stand_in(self, size: tuple[int, int]) -> Mapping[str, Any]:
        # a square is never panned and scanned, so there are no crops
        return {"num_crops": [0]}
