"""Adapts LLaVA 1.5 models (LLaVA-Med v1.5, HF port): CLIP tower, image padded to a square."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from PIL import Image

from imaxray.boxes import BoxConvention
from imaxray.geometry import Geometry, Letterbox
from imaxray.models.chat import ChatModel, sides
from imaxray.radiograph import pad_to_square


class LlavaModel(ChatModel):
    """Wraps ``LlavaForConditionalGeneration``.

    The image is padded to a square in the processor's mean colour, as in the training of LLaVA 1.5
    (``image_aspect_ratio: pad``); CLIP's own centre crop would cut off the edges of a radiograph.
    All box numbers refer to that square.
    """

    family = "llava"
    tower = ("model.vision_tower",)
    connector = ("model.multi_modal_projector",)
    # Mistral's instruction format, which LLaVA-Med v1.5 uses; its ports have no chat template.
    template = (
        "{{ bos_token }}{% for message in messages %}"
        "{% if message['role'] == 'user' %}[INST] "
        "{% for part in message['content'] %}{% if part['type'] == 'image' %}<image>\n"
        "{% else %}{{ part['text'] }}{% endif %}{% endfor %} [/INST]"
        "{% else %} {{ message['content'][0]['text'] }}{{ eos_token }}{% endif %}{% endfor %}"
    )

    def __init__(self, name: str, model: Any, processor: Any, *args: Any, **kwargs: Any) -> None:
        if processor.patch_size is None:
            # Processors that were saved before processors counted image tokens lack these values.
            config = model.config
            processor.patch_size = config.vision_config.patch_size
            processor.vision_feature_select_strategy = config.vision_feature_select_strategy
            processor.num_additional_image_tokens = 1  # CLIP's class token
        super().__init__(name, model, processor, *args, **kwargs)

    def geometry(self, convention: BoxConvention) -> Geometry:
        """Return the padded square for every convention."""
        return Letterbox()

    def enlarge(self, copy: Image.Image, size: tuple[int, int]) -> Image.Image:
        """Return the copy unchanged, because every image becomes a square of one size."""
        return copy

    def prepare(self, image: Image.Image) -> Image.Image:
        """Pad to a square with the image in the middle."""
        mean = self.processor.image_processor.image_mean
        return pad_to_square(image, tuple(int(255 * value) for value in mean))

    def _stand_in(self, size: tuple[int, int]) -> Mapping[str, Any]:
        images = self.processor.image_processor
        shape = sides(images.crop_size if images.do_center_crop else images.size)
        return {"pixel_values": np.broadcast_to(np.float32(0), (1, 3, *shape))}
