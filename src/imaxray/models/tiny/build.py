"""Builds every family in miniature from its real configuration, model and processor classes.

Tokenizers are of the real classes too. Weights are random, sizes are small, and nothing is
downloaded. What holds for these models — token ids, masks, position ids, box geometry, saving and
loading — holds for the large models, because the code is the same. Tests and benchmarks build
them; :meth:`ChatModel.save` and ``load_model`` treat them like a downloaded model.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

import torch
import transformers
from transformers import (
    CLIPVisionConfig,
    Gemma3Config,
    Gemma3ForConditionalGeneration,
    Gemma3Processor,
    InternVLConfig,
    InternVLForConditionalGeneration,
    InternVLProcessor,
    InternVLVisionConfig,
    LlavaConfig,
    LlavaForConditionalGeneration,
    LlavaOnevisionConfig,
    LlavaOnevisionForConditionalGeneration,
    LlavaOnevisionProcessor,
    LlavaProcessor,
    MistralConfig,
    Qwen2_5_VLConfig,
    Qwen2_5_VLForConditionalGeneration,
    Qwen2_5_VLProcessor,
    Qwen2Config,
    Qwen3VLConfig,
    Qwen3VLForConditionalGeneration,
    Qwen3VLProcessor,
    SiglipVisionConfig,
)
from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil
from transformers.models.gemma3.image_processing_pil_gemma3 import Gemma3ImageProcessorPil
from transformers.models.got_ocr2.image_processing_pil_got_ocr2 import GotOcr2ImageProcessorPil
from transformers.models.llava_onevision.image_processing_pil_llava_onevision import (
    LlavaOnevisionImageProcessorPil,
)
from transformers.models.qwen2_vl.image_processing_pil_qwen2_vl import Qwen2VLImageProcessorPil

from imaxray._common.names import did_you_mean
from imaxray.boxes import BoxConvention, get_convention
from imaxray.errors import ImaxrayError
from imaxray.models.chat import ChatModel
from imaxray.models.load import family_of
from imaxray.models.processor import has_torchvision, without_video
from imaxray.models.tiny import text
from imaxray.models.tiny_config import FAMILIES_IN_MINIATURE, HEAD, TinyConfig

Parts = tuple[type[Any], Any, Any]
"""Model class, model configuration, processor."""

_CONVENTIONS: Final[Mapping[str, str]] = {
    "gemma3": "box-2d",
    "internvl": "per-mille-tagged",
    "llava": "unit-padded",
    "llava_onevision": "unit",
    "qwen2_5_vl": "pixels",
    "qwen3_vl": "per-mille-tagged",
}


def tiny_families() -> list[str]:
    """Return the names that :func:`build_tiny` accepts."""
    return list(FAMILIES_IN_MINIATURE)


def tiny_convention(family: str) -> BoxConvention:
    """Return the box convention of a family, as its released models have it.

    Example:
        >>> tiny_convention("gemma3").name
        'box-2d'
    """
    return get_convention(_CONVENTIONS[family])


def build_tiny(
    family: str | TinyConfig,
    *,
    seed: int = 0,
    dtype: torch.dtype = torch.float32,
    corpus: Iterable[str] = text.CORPUS,
    convention: str | BoxConvention | None = None,
    **text_config: Any,
) -> ChatModel:
    """Build a tiny model of one family with random weights; equal arguments give equal bytes.

    Args:
        family: ``qwen2_5_vl``, ``qwen3_vl``, ``gemma3``, ``llava``, ``llava_onevision`` or
            ``internvl``, or a shape, which names its family.
        seed: Seed of the random weights.
        dtype: Data type of the weights.
        corpus: Text from which the tokenizer learns.
        convention: Box convention; ``None`` for that of the family.
        text_config: Values that replace those of the text model's configuration, e.g.
            ``sliding_window=8``.

    Raises:
        ImaxrayError: The family is unknown.
    """
    if isinstance(family, str) and family not in _BUILDERS:
        raise ImaxrayError(
            f"Expected a model family, one of {', '.join(tiny_families())}, but got {family}; "
            f"{did_you_mean(family, tiny_families())}"
        )
    shape = family if isinstance(family, TinyConfig) else TinyConfig(family=family)  # type: ignore[arg-type]
    named = convention if convention is not None else _CONVENTIONS[shape.family]
    model_class, config, processor = _BUILDERS[shape.family](corpus, shape, text_config)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = model_class(config)
        _wake(model)
    model = model.to(dtype).eval()
    return family_of(shape.family)(
        f"tiny-{shape.family}",
        model,
        processor,
        get_convention(named) if isinstance(named, str) else named,
    )


def _wake(model: Any) -> None:
    """Fill matrices of zeros (Gemma's projection), so that images influence the answer."""
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.ndim > 1 and not parameter.any():
                parameter.normal_(std=0.02)


def _qwen2_5_vl(corpus: Iterable[str], shape: TinyConfig, extra: Mapping[str, Any]) -> Parts:
    tokenizer = text.qwen_tokenizer(corpus, text.QWEN_VISION, pieces=shape.vocabulary)
    config = Qwen2_5_VLConfig(
        text_config={
            **_text(tokenizer, shape),
            "rope_parameters": _mrope(),
            "use_sliding_window": False,
            **extra,
        },
        vision_config={
            **_qwen_tower(shape), "window_size": 56,
            "fullatt_block_indexes": [shape.vision_layers - 1],
        },
        **_qwen_ids(tokenizer),
    )  # fmt: skip
    images = Qwen2VLImageProcessorPil(min_pixels=56 * 56, max_pixels=_most_pixels(shape, 28))
    processor = _with_video(
        Qwen2_5_VLProcessor, "Qwen2VLVideoProcessor", images, tokenizer,
        chat_template=text.TEMPLATES["qwen2_5_vl"],
    )  # fmt: skip
    return Qwen2_5_VLForConditionalGeneration, config, processor


def _llava(corpus: Iterable[str], shape: TinyConfig, extra: Mapping[str, Any]) -> Parts:
    tokenizer = text.llama_tokenizer(corpus, shape.vocabulary)
    side, patch = shape.image_size, 14
    vision = CLIPVisionConfig(
        **_tower(shape), image_size=side, patch_size=patch, projection_dim=shape.width,
    )  # fmt: skip
    config = LlavaConfig(
        vision_config=vision,
        text_config=MistralConfig(**{**_text(tokenizer, shape), "sliding_window": None, **extra}),
        image_token_index=tokenizer.image_token_id,
        image_seq_length=(side // patch) ** 2,
        vision_feature_layer=-2,
    )
    images = CLIPImageProcessorPil(
        size={"shortest_edge": side}, crop_size={"height": side, "width": side}
    )
    processor = LlavaProcessor(
        image_processor=images,
        tokenizer=tokenizer,
        patch_size=patch,
        vision_feature_select_strategy="default",
        num_additional_image_tokens=1,  # CLIP's class token, dropped by the strategy
    )
    return LlavaForConditionalGeneration, config, processor


def _qwen3_vl(corpus: Iterable[str], shape: TinyConfig, extra: Mapping[str, Any]) -> Parts:
    tokenizer = text.qwen_tokenizer(corpus, text.QWEN_VISION, pieces=shape.vocabulary)
    config = Qwen3VLConfig(
        text_config={
            **_text(tokenizer, shape), "head_dim": HEAD,
            "rope_parameters": _mrope(mrope_interleaved=True), **extra,
        },
        vision_config={
            **_qwen_tower(shape), "num_position_embeddings": 64,
            "deepstack_visual_indexes": [0],
        },
        **_qwen_ids(tokenizer),
    )  # fmt: skip
    images = Qwen2VLImageProcessorPil(
        patch_size=16, min_pixels=64 * 64, max_pixels=_most_pixels(shape, 32),
        image_mean=[0.5] * 3, image_std=[0.5] * 3,
    )  # fmt: skip
    processor = _with_video(
        Qwen3VLProcessor, "Qwen3VLVideoProcessor", images, tokenizer,
        chat_template=text.TEMPLATES["qwen3_vl"],
    )  # fmt: skip
    return Qwen3VLForConditionalGeneration, config, processor


def _gemma3(corpus: Iterable[str], shape: TinyConfig, extra: Mapping[str, Any]) -> Parts:
    tokenizer = text.gemma_tokenizer(corpus, shape.vocabulary)
    side, patch, tokens = shape.image_size, 14, (shape.image_size // 28) ** 2
    config = Gemma3Config(
        text_config={
            **_text(tokenizer, shape), "head_dim": HEAD, "query_pre_attn_scalar": HEAD,
            "sliding_window": 512, "layer_types": _gemma_layers(shape), **extra,
        },
        vision_config=_siglip(side, patch, shape),
        mm_tokens_per_image=tokens,
        boi_token_index=tokenizer.boi_token_id,
        eoi_token_index=tokenizer.eoi_token_id,
        image_token_index=tokenizer.image_token_id,
    )  # fmt: skip
    images = Gemma3ImageProcessorPil(
        size={"height": side, "width": side}, image_mean=[0.5] * 3, image_std=[0.5] * 3
    )
    processor = Gemma3Processor(
        images, tokenizer, chat_template=text.TEMPLATES["gemma3"], image_seq_length=tokens
    )
    return Gemma3ForConditionalGeneration, config, processor


def _llava_onevision(corpus: Iterable[str], shape: TinyConfig, extra: Mapping[str, Any]) -> Parts:
    tokenizer = text.qwen_tokenizer(
        corpus, (), pieces=shape.vocabulary, image_token="<image>", video_token="<video>"
    )
    side, patch = shape.image_size // 2, 14
    canvases = [[side * rows, side * columns] for rows in (1, 2, 3) for columns in (1, 2, 3)]
    config = LlavaOnevisionConfig(
        text_config=Qwen2Config(**{**_text(tokenizer, shape), **extra}),
        vision_config=_siglip(side, patch, shape),
        image_token_index=tokenizer.image_token_id,
        video_token_index=tokenizer.video_token_id,
        image_grid_pinpoints=canvases,
    )
    images = LlavaOnevisionImageProcessorPil(
        size={"height": side, "width": side}, image_grid_pinpoints=canvases
    )
    processor = _with_video(
        LlavaOnevisionProcessor, "LlavaOnevisionVideoProcessor", images, tokenizer,
        num_image_tokens=(side // patch) ** 2, vision_feature_select_strategy="full",
        chat_template=text.TEMPLATES["llava_onevision"],
    )  # fmt: skip
    return LlavaOnevisionForConditionalGeneration, config, processor


def _internvl(corpus: Iterable[str], shape: TinyConfig, extra: Mapping[str, Any]) -> Parts:
    tokenizer = text.qwen_tokenizer(
        corpus, text.INTERNVL_TAGS, pieces=shape.vocabulary, start_image_token="<img>",
        end_image_token="</img>", context_image_token="<IMG_CONTEXT>", video_token="<video>",
    )  # fmt: skip
    side, patch = shape.image_size, 14
    tokens = (side // patch) ** 2 // 4  # pixel shuffle by a half
    config = InternVLConfig(
        text_config=Qwen2Config(**{**_text(tokenizer, shape), **extra}),
        vision_config=InternVLVisionConfig(
            **_tower(shape), image_size=side, patch_size=patch,
        ),
        image_token_id=tokenizer.context_image_token_id,
        image_seq_length=tokens,
        tie_word_embeddings=False,
    )  # fmt: skip
    images = GotOcr2ImageProcessorPil(size={"height": side, "width": side}, max_patches=6)
    processor = _with_video(
        InternVLProcessor, "InternVLVideoProcessor", images, tokenizer,
        image_seq_length=tokens, chat_template=text.TEMPLATES["internvl"],
    )  # fmt: skip
    return InternVLForConditionalGeneration, config, processor


def _most_pixels(shape: TinyConfig, cell: int) -> int:
    """Return the cap of an image's pixels; the smallest shape has 24 cells, as in the tests."""
    return max(24 * cell * cell, shape.image_size**2)


def _gemma_layers(shape: TinyConfig) -> list[str]:
    """Return the kinds of Gemma's layers: sliding windows, and full attention in the last one."""
    return ["sliding_attention"] * (shape.text_layers - 1) + ["full_attention"]


def _siglip(side: int, patch: int, shape: TinyConfig) -> Any:
    return SiglipVisionConfig(
        **_tower(shape), image_size=side, patch_size=patch, vision_use_head=False,
    )  # fmt: skip


def _text(tokenizer: Any, shape: TinyConfig) -> dict[str, Any]:
    """Return the configuration values that all text models share."""
    return {
        "vocab_size": len(tokenizer),
        "hidden_size": shape.width,
        "intermediate_size": 2 * shape.width,
        "num_hidden_layers": shape.text_layers,
        "num_attention_heads": shape.heads,
        "num_key_value_heads": max(1, shape.heads // 2),
        "max_position_embeddings": 4096,
        "pad_token_id": tokenizer.pad_token_id,
        "bos_token_id": tokenizer.bos_token_id,
        "eos_token_id": tokenizer.eos_token_id,
    }


def _tower(shape: TinyConfig) -> dict[str, int]:
    """Return the configuration values that most image towers share."""
    return {
        "hidden_size": shape.width,
        "intermediate_size": 2 * shape.width,
        "num_hidden_layers": shape.vision_layers,
        "num_attention_heads": shape.heads,
    }


def _qwen_tower(shape: TinyConfig) -> dict[str, int]:
    """Return the same values under the names of Qwen's image towers."""
    return {
        "depth": shape.vision_layers,
        "hidden_size": shape.width,
        "intermediate_size": 2 * shape.width,
        "num_heads": shape.heads,
        "out_hidden_size": shape.width,
    }


def _mrope(**extra: Any) -> dict[str, Any]:
    """Return the parameters of three-axis rotary ids; the sections sum to half a head."""
    return {"rope_type": "default", "rope_theta": 10_000.0, "mrope_section": [2, 3, 3], **extra}


def _qwen_ids(tokenizer: Any) -> dict[str, int]:
    ids = tokenizer.convert_tokens_to_ids
    return {
        "image_token_id": ids("<|image_pad|>"),
        "video_token_id": ids("<|video_pad|>"),
        "vision_start_token_id": ids("<|vision_start|>"),
        "vision_end_token_id": ids("<|vision_end|>"),
    }


def _with_video(
    processor_class: Any, video: str, images: Any, tokenizer: Any, **kwargs: Any
) -> Any:
    """Build a processor that takes a video processor, with one if it can be built."""
    made = getattr(transformers, video)() if has_torchvision() else None
    return without_video(processor_class)(images, tokenizer, made, **kwargs)


_BUILDERS: Final[Mapping[str, Callable[[Iterable[str], TinyConfig, Mapping[str, Any]], Parts]]] = {
    "gemma3": _gemma3,
    "internvl": _internvl,
    "llava": _llava,
    "llava_onevision": _llava_onevision,
    "qwen2_5_vl": _qwen2_5_vl,
    "qwen3_vl": _qwen3_vl,
}
