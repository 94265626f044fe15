"""Assembles mini-llava: SmolLM2-135M-Instruct, EfficientNet-lite0, and a new connector.

Among the models that a package index holds, these are the smallest pair that writes English and
sees edges and textures from the first step. Both are Apache-2.0. Only the connector is new.
"""

from __future__ import annotations

import torch
from transformers import (
    LlavaConfig,
    LlavaForConditionalGeneration,
    LlavaProcessor,
    PreTrainedTokenizerFast,
)
from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil

from imaxray.boxes import PERCENT
from imaxray.models.mini.family import MiniLlavaModel
from imaxray.models.mini.parts import read_text_model, read_tower_weights
from imaxray.models.mini.tower import EfficientNetLiteConfig
from imaxray.models.mini_config import CELL, MiniConfig

_IMAGE = "<image>"

# ChatML, in which SmolLM2 was tuned, without its system prompt
_CHAT_TEMPLATE = (
    "{% for message in messages %}<|im_start|>{{ message['role'] }}\n"
    "{% for part in message['content'] %}{% if part['type'] == 'image' %}<image>\n"
    "{% else %}{{ part['text'] }}{% endif %}{% endfor %}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


def build_mini(config: MiniConfig, *, seed: int) -> MiniLlavaModel:
    """Assemble the model; the weights of the connector are random.

    The same packages, config and seed give the same model, bit for bit.

    Args:
        config: Size of the images.
        seed: Seed of the connector's weights.

    Raises:
        ImaxrayError: A package with a pretrained part is missing, or its file is not the known one.
    """
    text, read = read_text_model()
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=read.backend_tokenizer,
        bos_token=read.bos_token,
        eos_token=read.eos_token,
        unk_token=read.unk_token,
        pad_token=read.pad_token,
        extra_special_tokens={"image_token": _IMAGE},
        clean_up_tokenization_spaces=False,
    )
    image = tokenizer.convert_tokens_to_ids(_IMAGE)
    text.resize_token_embeddings(len(tokenizer), mean_resizing=False)
    # images take the place of this token, and no answer contains it
    text.get_input_embeddings().weight.data[image] = 0
    shape = text.config
    if hasattr(shape, "quantization_config"):
        del shape.quantization_config  # the weights are expanded
    whole = LlavaConfig(
        vision_config=EfficientNetLiteConfig(image_size=config.image_size),
        text_config=shape,
        image_token_index=image,
        vision_feature_layer=-1,
        vision_feature_select_strategy="full",
        image_seq_length=config.image_tokens,
        tie_word_embeddings=True,
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = LlavaForConditionalGeneration(whole)
    model.model.language_model.load_state_dict(text.model.state_dict())
    model.model.vision_tower.load_state_dict(read_tower_weights())
    model.tie_weights()
    images = CLIPImageProcessorPil(
        size={"height": config.image_size, "width": config.image_size},
        do_center_crop=False,
        do_convert_rgb=False,
        image_mean=[127 / 255] * 3,
        image_std=[128 / 255] * 3,
    )
    processor = LlavaProcessor(
        image_processor=images,
        tokenizer=tokenizer,
        patch_size=CELL,
        vision_feature_select_strategy="full",
        num_additional_image_tokens=0,
        chat_template=_CHAT_TEMPLATE,
    )
    return MiniLlavaModel("mini-llava", model.eval(), processor, PERCENT)
