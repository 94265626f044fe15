"""Adapts Gemma 3 (MedGemma): 896 × 896 pixels, padding to a square, boxes as JSON with y first."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from PIL import Image

from imaxray.boxes import BoxConvention
from imaxray.geometry import Geometry, Letterbox
from imaxray.models.chat import ChatModel
from imaxray.radiograph import pad_to_square

_THOUGHT: Final = ("<unused94>", "<unused95>")


class Gemma3Model(ChatModel):
    """Wraps ``Gemma3ForConditionalGeneration``.

    The image is padded to a square with black before the processor squashes it, as in MedGemma's
    localisation notebook; all box numbers refer to that square. MedGemma 1.5 may write a thought
    between ``<unused94>`` and ``<unused95>`` before it answers; this is not part of the answer.
    """

    family = "gemma3"
    tower = ("model.vision_tower",)
    connector = ("model.multi_modal_projector",)

    def geometry(self, convention: BoxConvention) -> Geometry:
        """Return the padded square for every convention."""
        return Letterbox()

    def enlarge(self, copy: Image.Image, size: tuple[int, int]) -> Image.Image:
        """Return the copy unchanged, because every image becomes a square of one size."""
        return copy

    def prepare(self, image: Image.Image) -> Image.Image:
        """Pad to a square with the image in the middle."""
        return pad_to_square(image, (0, 0, 0))

    def decode(self, ids: Sequence[int]) -> str:
        """See :meth:`ChatModel.decode`; a thought, even an unfinished one, is removed."""
        start, end = map(self.tokenizer.convert_tokens_to_ids, _THOUGHT)
        if start == end or start not in ids:  # both are the unknown token, or there is no thought
            return super().decode(ids)
        kept: list[int] = []
        thinks = False
        for id_ in map(int, ids):
            thinks = thinks or id_ == start
            if not thinks:
                kept.append(id_)
            thinks = thinks and id_ != end
        return super().decode(kept)

    def _stand_in(self, size: tuple[int, int]) -> Mapping[str, Any]:
        # a square is never panned and scanned, so there are no crops
        return {"num_crops": [0]}
