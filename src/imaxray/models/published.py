"""Holds the published dimensions of registry models, so that a plan needs none of their files.

A configuration here gives the number of parameters and the number of tokens of an image. The
vocabulary of a tokenizer is not among the dimensions: :mod:`imaxray.models.outline` counts text by
a rule instead.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

import transformers as hf
from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil
from transformers.models.gemma3.image_processing_pil_gemma3 import Gemma3ImageProcessorPil
from transformers.models.got_ocr2.image_processing_pil_got_ocr2 import GotOcr2ImageProcessorPil
from transformers.models.qwen2_vl.image_processing_pil_qwen2_vl import Qwen2VLImageProcessorPil

from imaxray.models.registry import find_row

IMAGE: Final = 9
"""Id of the image placeholder in these configurations; any id that no text has would do."""


@dataclass(frozen=True)
class Published:
    """Holds what is known of a model without its files.

    Attributes:
        model: Class of the model.
        config: Configuration of the model, with its true dimensions.
        images: Image processor, with its published limits.
        tokens_per_tile: Number of tokens of an image, or of a tile of it, where it is fixed.
    """

    model: type[Any]
    config: Any
    images: Any
    tokens_per_tile: int | None = None


def published(name: str) -> Published | None:
    """Return the published dimensions of a registry model, or ``None`` if they are not held here.

    Args:
        name: Registry name or repository id.
    """
    row = find_row(name)
    build = None if row is None else _BUILDERS.get(row.name)
    return None if build is None else build()


def published_names() -> list[str]:
    """Return the names that :func:`published` knows."""
    return sorted(_BUILDERS)


def qwen2_5_vl_7b() -> Published:
    """Return the dimensions of Qwen2.5-VL-7B (Lingshu-7B, HuatuoGPT-Vision-7B-Qwen2.5VL)."""
    config = hf.Qwen2_5_VLConfig(
        text_config={
            "vocab_size": 152064, "hidden_size": 3584, "intermediate_size": 18944,
            "num_hidden_layers": 28, "num_attention_heads": 28, "num_key_value_heads": 4,
            "max_position_embeddings": 128000, "use_sliding_window": False,
            "rope_parameters": {
                "rope_type": "default", "rope_theta": 1e6, "mrope_section": [16, 24, 24],
            },
        },
        vision_config={
            "depth": 32, "hidden_size": 1280, "intermediate_size": 3420, "num_heads": 16,
            "out_hidden_size": 3584, "patch_size": 14, "window_size": 112,
            "fullatt_block_indexes": [7, 15, 23, 31],
        },
        image_token_id=IMAGE, tie_word_embeddings=False,
    )  # fmt: skip
    images = Qwen2VLImageProcessorPil(min_pixels=4 * 28 * 28, max_pixels=16384 * 28 * 28)
    return Published(hf.Qwen2_5_VLForConditionalGeneration, config, images)


def _qwen3_vl(text: dict[str, Any], vision: dict[str, Any], *, tied: bool) -> Published:
    config = hf.Qwen3VLConfig(
        text_config={
            "vocab_size": 151936, "num_hidden_layers": 36, "num_attention_heads": 32,
            "num_key_value_heads": 8, "head_dim": 128, "max_position_embeddings": 262144,
            "rope_parameters": {
                "rope_type": "default", "rope_theta": 5e6, "mrope_section": [24, 20, 20],
                "mrope_interleaved": True,
            },
            "tie_word_embeddings": tied, **text,
        },
        vision_config={
            "num_heads": 16, "patch_size": 16, "out_hidden_size": text["hidden_size"],
            "num_position_embeddings": 2304, **vision,
        },
        image_token_id=IMAGE, tie_word_embeddings=tied,
    )  # fmt: skip
    images = Qwen2VLImageProcessorPil(
        patch_size=16, min_pixels=64 * 32 * 32, max_pixels=16384 * 32 * 32,
        image_mean=[0.5] * 3, image_std=[0.5] * 3,
    )  # fmt: skip
    return Published(hf.Qwen3VLForConditionalGeneration, config, images)


def qwen3_vl_8b() -> Published:
    """Return the dimensions of Qwen3-VL-8B (MedMO-8B)."""
    return _qwen3_vl(
        {"hidden_size": 4096, "intermediate_size": 12288},
        {"depth": 27, "hidden_size": 1152, "intermediate_size": 4304,
         "deepstack_visual_indexes": [8, 16, 24]},
        tied=False,
    )  # fmt: skip


def qwen3_vl_4b() -> Published:
    """Return the dimensions of Qwen3-VL-4B (MedMO-4B)."""
    return _qwen3_vl(
        {"hidden_size": 2560, "intermediate_size": 9728},
        {"depth": 24, "hidden_size": 1024, "intermediate_size": 4096,
         "deepstack_visual_indexes": [5, 11, 17]},
        tied=True,
    )  # fmt: skip


def medgemma_4b() -> Published:
    """Return the dimensions of Gemma 3 4B (MedGemma); an image always has 256 tokens."""
    config = hf.Gemma3Config(
        text_config=hf.Gemma3TextConfig(
            vocab_size=262208, hidden_size=2560, intermediate_size=10240, num_hidden_layers=34,
            num_attention_heads=8, num_key_value_heads=4, head_dim=256, sliding_window=1024,
            max_position_embeddings=131072, query_pre_attn_scalar=256,
        ),
        vision_config=hf.SiglipVisionConfig(
            hidden_size=1152, intermediate_size=4304, num_hidden_layers=27, num_attention_heads=16,
            image_size=896, patch_size=14, vision_use_head=False,
        ),
        image_token_index=IMAGE, mm_tokens_per_image=256,
    )  # fmt: skip
    images = Gemma3ImageProcessorPil(size={"height": 896, "width": 896})
    return Published(hf.Gemma3ForConditionalGeneration, config, images, 256)


def llava_med_7b() -> Published:
    """Return the dimensions of LLaVA-Med v1.5: CLIP ViT-L/14 at 336 pixels and Mistral 7B."""
    config = hf.LlavaConfig(
        vision_config=hf.CLIPVisionConfig(
            hidden_size=1024, intermediate_size=4096, num_hidden_layers=24, num_attention_heads=16,
            image_size=336, patch_size=14, projection_dim=768,
        ),
        text_config=hf.MistralConfig(
            vocab_size=32064, hidden_size=4096, intermediate_size=14336, num_hidden_layers=32,
            num_attention_heads=32, num_key_value_heads=8, sliding_window=None,
            max_position_embeddings=32768,
        ),
        image_token_index=IMAGE,
    )  # fmt: skip
    images = CLIPImageProcessorPil(
        size={"shortest_edge": 336}, crop_size={"height": 336, "width": 336}
    )
    return Published(hf.LlavaForConditionalGeneration, config, images, 576)


def internvl3_8b() -> Published:
    """Return the dimensions of InternVL3-8B; a tile has 256 tokens."""
    config = hf.InternVLConfig(
        vision_config=hf.InternVLVisionConfig(
            hidden_size=1024, intermediate_size=4096, num_hidden_layers=24, num_attention_heads=16,
            image_size=[448, 448], patch_size=[14, 14], attention_bias=True,
        ),
        text_config=hf.Qwen2Config(
            vocab_size=151674, hidden_size=3584, intermediate_size=18944, num_hidden_layers=28,
            num_attention_heads=28, num_key_value_heads=4, max_position_embeddings=32768,
        ),
        image_token_id=IMAGE, tie_word_embeddings=False,
    )  # fmt: skip
    images = GotOcr2ImageProcessorPil(size={"height": 448, "width": 448}, max_patches=12)
    return Published(hf.InternVLForConditionalGeneration, config, images, 256)


_BUILDERS: Final[Mapping[str, Callable[[], Published]]] = {
    "huatuogpt-vision-7b": qwen2_5_vl_7b,
    "internvl3-8b": internvl3_8b,
    "lingshu-7b": qwen2_5_vl_7b,
    "lingshu-i-8b": internvl3_8b,
    "llava-med-v1.5": llava_med_7b,
    "medgemma-1.5-4b": medgemma_4b,
    "medmo-4b": qwen3_vl_4b,
    "medmo-8b": qwen3_vl_8b,
}
