"""Adapts Qwen2.5-VL (Lingshu, HuatuoGPT-Vision): smart resize, boxes in resized pixels."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import torch
from PIL import Image

from imaxray.boxes import BoxConvention
from imaxray.geometry import WHOLE, Geometry, SmartResize
from imaxray.models.chat import ChatModel


class Qwen25VLModel(ChatModel):
    """Wraps ``Qwen2_5_VLForConditionalGeneration``.

    ``pixels`` returns flat patches ``pixel_values (P, C·T·p·p)`` and ``image_grid_thw (1, 3)``. An
    image has P / merge² tokens between ``<|vision_start|>`` and ``<|vision_end|>``.
    """

    family = "qwen2_5_vl"
    tower: ClassVar[tuple[str, ...]] = ("model.visual.patch_embed", "model.visual.blocks")
    connector: ClassVar[tuple[str, ...]] = ("model.visual.merger",)

    @property
    def resize(self) -> SmartResize:
        """Smart resize of the processor."""
        images = self.processor.image_processor
        return SmartResize(
            images.patch_size * images.merge_size,
            images.size["shortest_edge"],
            images.size["longest_edge"],
        )

    def geometry(self, convention: BoxConvention) -> Geometry:
        """Return the resized image for pixel numbers, and the whole image for relative numbers."""
        return self.resize if convention.scale is None else WHOLE

    def enlarge(self, copy: Image.Image, size: tuple[int, int]) -> Image.Image:
        """Resize the copy to the frame of the original, which the processor's resize then keeps."""
        return copy.resize(self.resize.resized(*size), Image.Resampling.BICUBIC)

    def _stand_in(self, size: tuple[int, int]) -> Mapping[str, Any]:
        wide, high = self.resize.resized(*size)
        patch = self.processor.image_processor.patch_size
        return {"image_grid_thw": torch.tensor([[1, high // patch, wide // patch]])}

    def _scale_to(self, most: int) -> bool:
        images = self.processor.image_processor
        resize = self.resize
        largest = min(resize.max_pixels, most * resize.factor**2)
        if largest < resize.factor**2:
            return False
        smallest = min(resize.min_pixels, largest)
        images.size = type(images.size)(shortest_edge=smallest, longest_edge=largest)
        return True
