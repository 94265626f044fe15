"""Every family in miniature: real configuration, model, tokenizer and processor classes.

Weights are random, sizes are small, nothing is downloaded. What holds for these models — token
ids, masks, position ids, box geometry, saving and loading — holds for the large ones, because the
code is the same. Tests and benches build them; :meth:`ChatModel.save` and ``load_model`` take them
through the same path as a downloaded model.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

import torch
import transformers
from transformers import (
    CLIPVisionConfig,
    LlavaConfig,
    LlavaForConditionalGeneration,
    LlavaProcessor,
    MistralConfig,
    Qwen2_5_VLConfig,
    Qwen2_5_VLForConditionalGeneration,
    Qwen2_5_VLProcessor,
)
from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil
from transformers.models.qwen2_vl.image_processing_pil_qwen2_vl import Qwen2VLImageProcessorPil

from imaxray.boxes import BoxConvention, get_convention
from imaxray.errors import ImaxrayError
from imaxray.models import _tiny_text as text
from imaxray.models._chat import ChatModel
from imaxray.models._load import family_of
from imaxray.models._processor import has_torchvision, without_video

Parts = tuple[type[Any], Any, Any]
"""Model class, model configuration, processor."""

_HIDDEN: Final = 32
_LAYERS: Final = 2

_CONVENTIONS: Final[Mapping[str, str]] = {
    "gemma3": "box-2d",
    "internvl": "per-mille-tagged",
    "llava": "unit-padded",
    "llava_onevision": "unit",
    "qwen2_5_vl": "pixels",
    "qwen3_vl": "per-mille-tagged",
}


def tiny_families() -> list[str]:
    """Names that :func:`build_tiny` takes."""
    return sorted(_BUILDERS)


def build_tiny(
    family: str,
    *,
    seed: int = 0,
    dtype: torch.dtype = torch.float32,
    corpus: Iterable[str] = text.CORPUS,
    convention: str | BoxConvention | None = None,
    **text_config: Any,
) -> ChatModel:
    """Build one family tiny, with random weights: the same arguments, the same bytes.

    Args:
        family: ``qwen2_5_vl``, ``qwen3_vl``, ``gemma3``, ``llava``, ``llava_onevision`` or
            ``internvl``.
        seed: of the weights.
        dtype: of the weights.
        corpus: text that the tokenizer learns from.
        convention: box convention; the family's own otherwise.
        text_config: values of the text model's configuration to set otherwise, e.g.
            ``sliding_window=8``.

    Raises:
        ImaxrayError: no such family.
    """
    if family not in _BUILDERS:
        raise ImaxrayError(
            f"Expected a model family, one of {', '.join(tiny_families())}, but got {family}; name "
            "one of these."
        )
    named = convention if convention is not None else _CONVENTIONS[family]
    model_class, config, processor = _BUILDERS[family](corpus, text_config)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = model_class(config).to(dtype).eval()
    return family_of(family)(
        f"tiny-{family}",
        model,
        processor,
        get_convention(named) if isinstance(named, str) else named,
    )


def _qwen2_5_vl(corpus: Iterable[str], extra: Mapping[str, Any]) -> Parts:
    tokenizer = text.qwen_tokenizer(corpus, text.QWEN_VISION)
    config = Qwen2_5_VLConfig(
        text_config={
            **_text(tokenizer),
            "rope_parameters": _mrope(),
            "use_sliding_window": False,
            **extra,
        },
        vision_config={
            "depth": 2, "hidden_size": _HIDDEN, "intermediate_size": 2 * _HIDDEN, "num_heads": 2,
            "out_hidden_size": _HIDDEN, "window_size": 56, "fullatt_block_indexes": [1],
        },
        **_qwen_ids(tokenizer),
    )  # fmt: skip
    images = Qwen2VLImageProcessorPil(min_pixels=56 * 56, max_pixels=28 * 28 * 24)
    processor = _with_video(
        Qwen2_5_VLProcessor, "Qwen2VLVideoProcessor", images, tokenizer,
        chat_template=text.TEMPLATES["qwen2_5_vl"],
    )  # fmt: skip
    return Qwen2_5_VLForConditionalGeneration, config, processor


def _llava(corpus: Iterable[str], extra: Mapping[str, Any]) -> Parts:
    tokenizer = text.llama_tokenizer(corpus)
    side, patch = 56, 14
    vision = CLIPVisionConfig(
        hidden_size=_HIDDEN, intermediate_size=2 * _HIDDEN, num_hidden_layers=2,
        num_attention_heads=2, image_size=side, patch_size=patch, projection_dim=_HIDDEN,
    )  # fmt: skip
    config = LlavaConfig(
        vision_config=vision,
        text_config=MistralConfig(**{**_text(tokenizer), "sliding_window": None, **extra}),
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


def _text(tokenizer: Any) -> dict[str, Any]:
    """What all text models share."""
    return {
        "vocab_size": len(tokenizer),
        "hidden_size": _HIDDEN,
        "intermediate_size": 2 * _HIDDEN,
        "num_hidden_layers": _LAYERS,
        "num_attention_heads": 2,
        "num_key_value_heads": 1,
        "max_position_embeddings": 4096,
        "pad_token_id": tokenizer.pad_token_id,
        "bos_token_id": tokenizer.bos_token_id,
        "eos_token_id": tokenizer.eos_token_id,
    }


def _mrope(**extra: Any) -> dict[str, Any]:
    """Three-axis rotary ids; the sections sum to half a head."""
    return {"rope_type": "default", "rope_theta": 10_000.0, "mrope_section": [2, 3, 3], **extra}


def _qwen_ids(tokenizer: Any) -> dict[str, int]:
    ids = tokenizer.convert_tokens_to_ids
    return {
        "image_token_id": ids("<|image_pad|>"),
        "video_token_id": ids("<|video_pad|>"),
        "vision_start_token_id": ids("<|vision_start|>"),
        "vision_end_token_id": ids("<|vision_end|>"),
    }


def _with_video(processor_class: Any, video: str, images: Any, tokenizer: Any, **kwargs: Any) -> Any:
    """A processor that wants a video processor, with one where it can be built."""
    made = getattr(transformers, video)() if has_torchvision() else None
    return without_video(processor_class)(images, tokenizer, made, **kwargs)


_BUILDERS: Final[Mapping[str, Callable[[Iterable[str], Mapping[str, Any]], Parts]]] = {
    "llava": _llava,
    "qwen2_5_vl": _qwen2_5_vl,
}
