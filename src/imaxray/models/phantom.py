"""Builds the phantom model: a tiny LLaVA of stock ``transformers`` parts, trained from scratch.

It has a CLIP vision tower (one grey channel), a two-layer projector, a Llama text model, and a
byte-level BPE tokenizer that is trained on a given corpus. Nothing is downloaded. The model exists
so that a whole study runs on two CPU cores in minutes. It is a real
``LlavaForConditionalGeneration`` and takes every code path that a large model takes.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from tokenizers import Tokenizer, decoders, pre_tokenizers
from tokenizers.models import BPE
from tokenizers.trainers import BpeTrainer
from transformers import (
    CLIPVisionConfig,
    LlamaConfig,
    LlavaConfig,
    LlavaForConditionalGeneration,
    LlavaProcessor,
    PreTrainedTokenizerFast,
)
from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil

from imaxray import radiograph
from imaxray.boxes import PERCENT, BoxConvention
from imaxray.geometry import WHOLE, Geometry
from imaxray.models.chat import ChatModel
from imaxray.models.phantom_config import PhantomConfig
from imaxray.radiograph import Readable

_PAD, _BOS, _EOS, _IMAGE, _USER, _ASSISTANT = SPECIAL = (
    "<pad>",
    "<s>",
    "</s>",
    "<image>",
    "<|user|>",
    "<|assistant|>",
)

_CHAT_TEMPLATE = (
    "{{ bos_token }}"
    "{% for message in messages %}"
    "{% if message['role'] == 'user' %}<|user|>"
    "{% for part in message['content'] %}"
    "{% if part['type'] == 'image' %}<image>{% else %}{{ part['text'] }}{% endif %}"
    "{% endfor %}"
    "{% else %}<|assistant|>{{ message['content'][0]['text'] }}{{ eos_token }}{% endif %}"
    "{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>{% endif %}"
)


class PhantomModel(ChatModel):
    """Wraps a tiny LLaVA that reads and writes boxes in percent (``[12, 34, 56, 78]``)."""

    family = "phantom"
    tower = ("model.vision_tower",)
    connector = ("model.multi_modal_projector",)

    def geometry(self, convention: BoxConvention) -> Geometry:
        """Return the whole image, which is squashed to the square input of the model."""
        return WHOLE

    def picture(self, image: Readable, size: tuple[int, int] | None = None) -> Image.Image:
        """Return the contrast-stretched image, squashed to the square input of the model."""
        grey = Image.fromarray(radiograph.load(image, stretch=True))
        side = self.processor.image_processor.size["height"]
        # Average areas first, because CLIP's bicubic resize alone would alias fine lines.
        return grey.resize((side, side), Image.Resampling.BOX)

    def inputs(
        self, picture: Image.Image, size: tuple[int, int] | None = None
    ) -> dict[str, torch.Tensor]:
        """Return ``pixel_values`` (1, C, S, S) float32."""
        grey = torch.from_numpy(np.array(picture, dtype=np.int64))
        return {"pixel_values": self._values[:, grey][None]}

    @cached_property
    def _values(self) -> torch.Tensor:
        """Input of each of the 256 grey values (C, 256), as the image processor computes it.

        The processor treats each pixel by itself, since a picture has its size already. One call of
        it takes longer than everything else that is done to a small picture.
        """
        processor = self.processor.image_processor
        channels = len(processor.image_mean)
        ramp = np.arange(256, dtype=np.uint8).reshape(16, 16, 1).repeat(channels, axis=-1)
        values = processor(
            [ramp], do_resize=False, return_tensors="pt", input_data_format="channels_last"
        )["pixel_values"]
        return torch.as_tensor(values).reshape(channels, 256)

    def _expand_size(self, size: tuple[int, int]) -> str:
        """Return one ``<image>`` per patch, whatever the size of the image."""
        side = self.processor.image_processor.size["height"] // self.processor.patch_size
        return _IMAGE * int(side**2)


def build(config: PhantomConfig, corpus: Iterable[str], *, seed: int) -> PhantomModel:
    """Build the model with random weights and train its tokenizer on ``corpus``.

    The same corpus, config and seed give the same model, bit for bit.
    """
    tokenizer = _train_tokenizer(corpus, config.vocabulary)
    ids = tokenizer.convert_tokens_to_ids
    vision = CLIPVisionConfig(
        hidden_size=config.width,
        intermediate_size=4 * config.width,
        num_hidden_layers=config.vision_layers,
        num_attention_heads=config.heads,
        image_size=config.image_size,
        patch_size=config.patch_size,
        num_channels=1,
        projection_dim=config.width,
    )
    text = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=config.width,
        intermediate_size=3 * config.width,
        num_hidden_layers=config.text_layers,
        num_attention_heads=config.heads,
        num_key_value_heads=config.heads,
        max_position_embeddings=2048,
        tie_word_embeddings=True,
        pad_token_id=ids(_PAD),
        bos_token_id=ids(_BOS),
        eos_token_id=ids(_EOS),
    )
    llava = LlavaConfig(
        vision_config=vision,
        text_config=text,
        image_token_index=ids(_IMAGE),
        vision_feature_layer=-1,
        vision_feature_select_strategy="default",
        image_seq_length=(config.image_size // config.patch_size) ** 2,
        tie_word_embeddings=True,
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = LlavaForConditionalGeneration(llava)
    image_processor = CLIPImageProcessorPil(
        size={"height": config.image_size, "width": config.image_size},
        do_center_crop=False,
        do_convert_rgb=False,
        image_mean=[0.5],
        image_std=[0.25],
    )
    processor = LlavaProcessor(
        image_processor=image_processor,
        tokenizer=tokenizer,
        patch_size=config.patch_size,
        vision_feature_select_strategy="default",
        num_additional_image_tokens=1,  # CLIP's class token, dropped by the strategy
        chat_template=_CHAT_TEMPLATE,
    )
    return PhantomModel("phantom", model, processor, PERCENT)


def load(folder: Path) -> PhantomModel:
    """Read a phantom model that :meth:`ChatModel.save` wrote."""
    model = LlavaForConditionalGeneration.from_pretrained(
        folder, local_files_only=True, use_safetensors=True
    )
    tokenizer = PreTrainedTokenizerFast.from_pretrained(folder, local_files_only=True)
    processor = LlavaProcessor(
        image_processor=CLIPImageProcessorPil.from_pretrained(folder, local_files_only=True),
        tokenizer=tokenizer,
        patch_size=model.config.vision_config.patch_size,
        vision_feature_select_strategy="default",
        num_additional_image_tokens=1,
        chat_template=_CHAT_TEMPLATE,
    )
    return PhantomModel("phantom", model, processor, PERCENT)


def _train_tokenizer(corpus: Iterable[str], size: int) -> PreTrainedTokenizerFast:
    tokenizer = Tokenizer(BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = BpeTrainer(
        vocab_size=size,
        special_tokens=list(SPECIAL),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(corpus, trainer)
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token=_PAD,
        bos_token=_BOS,
        eos_token=_EOS,
        extra_special_tokens={"image_token": _IMAGE},
        additional_special_tokens=[_USER, _ASSISTANT],
        clean_up_tokenization_spaces=False,
    )
