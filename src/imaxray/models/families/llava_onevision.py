"""Adapts LLaVA-OneVision (RadVLM): the whole image and its tiles, boxes in the unit square."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch.nn.functional import pad

from imaxray.models.chat import ChatModel, sides


class LlavaOnevisionModel(ChatModel):
    """Wraps ``LlavaOnevisionForConditionalGeneration``.

    ``pixels`` returns ``pixel_values (1, tiles, 3, S, S)``: the squashed whole image first, then
    tiles of the image fitted into one of the processor's canvases. It also returns ``image_sizes
    (1, 2)``: height and width of the original, with which the model removes the padding of the
    canvas. Box numbers are relative to the original.
    """

    family = "llava_onevision"
    tower = ("model.vision_tower",)
    connector = ("model.multi_modal_projector", "model.image_newline")

    def join(self, images: Sequence[Mapping[str, torch.Tensor]]) -> dict[str, torch.Tensor]:
        """Join the inputs and fill up missing tiles with zeros, which the model drops by size."""
        most = max(image["pixel_values"].shape[1] for image in images)
        tiles = [
            pad(image["pixel_values"], (0, 0, 0, 0, 0, 0, 0, most - image["pixel_values"].shape[1]))
            for image in images
        ]
        rest = super().join([{k: v for k, v in i.items() if k != "pixel_values"} for i in images])
        return {"pixel_values": torch.cat(tiles), **rest}

    def _stand_in(self, size: tuple[int, int]) -> Mapping[str, Any]:
        side = sides(self.processor.image_processor.size)
        return {
            "batch_num_images": [1],
            "image_sizes": [[size[1], size[0]]],
            "pixel_values": torch.zeros(()).expand(1, 1, 3, *side),
        }

    def _scale_to(self, most: int) -> bool:
        """Keep canvases of at most ``most`` tokens; model and processor must have the same ones."""
        images = self.processor.image_processor
        across = math.isqrt(self.processor.num_image_tokens)
        size = sides(images.size)[0]

        def tokens(canvas: Sequence[int]) -> int:
            rows, columns = canvas[0] // size * across, canvas[1] // size * across
            return across**2 + rows * (columns + 1)  # each row of the canvas ends in a newline

        kept = [list(c) for c in images.image_grid_pinpoints if tokens(c) <= most]
        if not kept:
            return False
        images.image_grid_pinpoints = kept
        self.model.config.image_grid_pinpoints = kept
        return True
