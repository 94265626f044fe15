"""Adapts InternVL 3 (InternVL3-8B-hf, Lingshu-I): tiles and a thumbnail, boxes 0-1000 in tags."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from PIL import Image

from imaxray.boxes import BoxConvention
from imaxray.geometry import Geometry, TileCanvas
from imaxray.models.chat import ChatModel, sides


class InternVLModel(ChatModel):
    """Wraps ``InternVLForConditionalGeneration``.

    ``pixels`` returns ``pixel_values (tiles, 3, S, S)``. The tiles cover exactly the stretched
    image, so numbers relative to the canvas are relative to the image.
    """

    family = "internvl"
    tower = ("model.vision_tower",)
    connector = ("model.multi_modal_projector",)

    @property
    def canvas(self) -> TileCanvas:
        """Canvas of tiles that the processor makes."""
        images = self.processor.image_processor
        # the processor requests tiles, whatever the default of its image processor is
        asked = self.processor._merge_kwargs()["images_kwargs"]
        cut = asked.get("crop_to_patches", images.crop_to_patches)
        least, most = (images.min_patches, images.max_patches) if cut else (1, 1)
        return TileCanvas(sides(images.size)[0], least, most)

    def geometry(self, convention: BoxConvention) -> Geometry:
        """Return the canvas of tiles."""
        return self.canvas

    def enlarge(self, copy: Image.Image, size: tuple[int, int]) -> Image.Image:
        """Resize the copy to the canvas of the original, which the processor only cuts then."""
        columns, rows = self.canvas.grid(*size)
        tile = self.canvas.tile
        return copy.resize((columns * tile, rows * tile), Image.Resampling.BICUBIC)

    def _stand_in(self, size: tuple[int, int]) -> Mapping[str, Any]:
        return {"num_patches": [self.canvas.tiles(*size)]}

    def _scale_to(self, most: int) -> bool:
        images = self.processor.image_processor
        tiles = most // self.processor.image_seq_length
        if tiles < 1:
            return False
        # the thumbnail counts as a tile, and only a grid of one tile has no thumbnail
        images.max_patches = min(images.max_patches, max(1, tiles - 1))
        images.min_patches = min(images.min_patches, images.max_patches)
        return True
