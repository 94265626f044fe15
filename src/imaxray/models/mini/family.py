"""Adapts mini-llava: a grey image, contrast-stretched and squashed to a square."""

from __future__ import annotations

import numpy as np
import torch
from PIL import Image

from imaxray import radiograph
from imaxray.models.phantom import PhantomModel
from imaxray.radiograph import Readable


class MiniLlavaModel(PhantomModel):
    """Wraps a LLaVA of SmolLM2 and EfficientNet-lite0, which writes boxes in percent."""

    family = "mini_llava"

    def pixels(
        self, image: Readable, size: tuple[int, int] | None = None
    ) -> dict[str, torch.Tensor]:
        """Return ``pixel_values`` (1, 3, S, S) float32 of the contrast-stretched image."""
        grey = Image.fromarray(radiograph.load(image, stretch=True))
        side = self.processor.image_processor.size["height"]
        # Average areas first, because CLIP's bicubic resize alone would alias fine lines.
        small = np.asarray(grey.resize((side, side), Image.Resampling.BOX))
        coloured = np.repeat(small[..., None], 3, axis=-1)
        inputs = self.processor.image_processor(
            [coloured], return_tensors="pt", input_data_format="channels_last"
        )
        return {"pixel_values": inputs["pixel_values"]}
