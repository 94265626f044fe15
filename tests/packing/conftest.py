"""Makes a tiny model of each family from its configuration class, with hand-made token ids.

No processor is needed to prove masks and positions; `test_families.py` uses the real ones.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
import torch
import transformers as hf

IMAGE, START, END, VIDEO = 3, 4, 5, 6
TEXT = {
    "vocab_size": 64,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 512,
    "pad_token_id": 0,
}
CLIP = {
    "hidden_size": 24,
    "intermediate_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "image_size": 16,
    "patch_size": 4,
}
WINDOW = 12  # far shorter than any row here


@dataclass
class Tiny:
    """A model and what its prompts and images look like.

    ``head(k)`` is the prompt up to the end of image k; ``images(ks)`` the model inputs.
    """

    model: Any
    head: Callable[[int], list[int]]
    images: Callable[[list[int]], dict[str, torch.Tensor]]


def _noise(shape, k):
    return torch.randn(shape, generator=torch.Generator().manual_seed(k), dtype=torch.float64)


def _square(model, tokens):
    return Tiny(
        model,
        lambda k: [1, 7, *[IMAGE] * tokens, 8],
        lambda ks: {"pixel_values": torch.cat([_noise((1, 3, 16, 16), k) for k in ks])},
    )


def llava(text=None):
    config = hf.LlavaConfig(
        vision_config=hf.CLIPVisionConfig(**CLIP),
        text_config=text or hf.LlamaConfig(**TEXT),
        image_token_index=IMAGE,
        vision_feature_layer=-1,
    )
    return _square(hf.LlavaForConditionalGeneration(config), 16)


def mistral():
    return llava(hf.MistralConfig(**TEXT, sliding_window=WINDOW))


def internvl(**text):
    config = hf.InternVLConfig(
        vision_config=hf.InternVLVisionConfig(
            **{**CLIP, "image_size": [16, 16], "patch_size": [4, 4]}
        ),
        text_config=hf.Qwen2Config(**TEXT, **text),
        image_token_id=IMAGE,
        image_seq_length=4,
    )
    return _square(hf.InternVLForConditionalGeneration(config), 4)


def internvl_sliding():
    return internvl(use_sliding_window=True, sliding_window=WINDOW, max_window_layers=1)


def gemma3(**text):
    config = hf.Gemma3Config(
        text_config=hf.Gemma3TextConfig(
            **{**TEXT, "num_hidden_layers": 3},
            head_dim=8,
            sliding_window=WINDOW,
            layer_types=["sliding_attention", "full_attention", "sliding_attention"],
            **text,
        ),
        vision_config=hf.SiglipVisionConfig(**{**CLIP, "patch_size": 2}, vision_use_head=False),
        image_token_id=IMAGE,
        boi_token_index=START,
        eoi_token_index=END,
        mm_tokens_per_image=16,  # more than the window: the image is not seen whole either
    )
    model = hf.Gemma3ForConditionalGeneration(config)
    # zero from the class's own initialisation, which would cut the vision tower off
    torch.nn.init.normal_(model.model.multi_modal_projector.mm_input_projection_weight, std=0.1)
    return Tiny(
        model,
        lambda k: [1, 7, START, *[IMAGE] * 16, END],
        lambda ks: {"pixel_values": torch.cat([_noise((1, 3, 16, 16), k) for k in ks])},
    )


GRIDS = [(1, 4, 6), (1, 8, 4), (1, 4, 4)]  # images of three sizes


def _qwen(model):
    def grid(k):
        return GRIDS[k % len(GRIDS)]

    def head(k):
        _, height, width = grid(k)
        return [1, 7, START, *[IMAGE] * (height * width // 4), END]

    def images(ks):
        pixels = [_noise((grid(k)[1] * grid(k)[2], 3 * 2 * 4 * 4), k) for k in ks]
        return {
            "pixel_values": torch.cat(pixels),
            "image_grid_thw": torch.tensor([grid(k) for k in ks]),
        }

    return Tiny(model, head, images)


QWEN = {"image_token_id": IMAGE, "video_token_id": VIDEO, "vision_start_token_id": START}


def qwen2_5_vl(**text):
    config = hf.Qwen2_5_VLConfig(
        text_config=dict(
            **TEXT, rope_parameters={"rope_type": "default", "mrope_section": [1, 1, 2]}, **text
        ),
        vision_config={
            "depth": 2, "hidden_size": 32, "intermediate_size": 48, "num_heads": 2, "patch_size": 4,
            "out_hidden_size": 32, "fullatt_block_indexes": [1], "window_size": 16,
        },
        **QWEN,
    )  # fmt: skip
    return _qwen(hf.Qwen2_5_VLForConditionalGeneration(config))


def qwen2_5_vl_sliding():
    return qwen2_5_vl(use_sliding_window=True, sliding_window=WINDOW, max_window_layers=1)


def qwen3_vl():
    config = hf.Qwen3VLConfig(
        text_config=dict(
            **TEXT, head_dim=8,
            rope_parameters={"rope_type": "default", "mrope_section": [1, 1, 2]},
        ),
        vision_config={
            "depth": 2, "hidden_size": 32, "intermediate_size": 48, "num_heads": 2, "patch_size": 4,
            "out_hidden_size": 32, "num_position_embeddings": 64,
            "deepstack_visual_indexes": [0, 1],
        },
        **QWEN, vision_end_token_id=END,
    )  # fmt: skip
    return _qwen(hf.Qwen3VLForConditionalGeneration(config))


def llava_onevision():
    config = hf.LlavaOnevisionConfig(
        vision_config=hf.SiglipVisionConfig(**CLIP, vision_use_head=False),
        text_config=hf.Qwen2Config(**TEXT),
        image_token_index=IMAGE,
        image_grid_pinpoints=[[16, 16], [16, 32], [32, 16]],
        vision_feature_layer=-1,
        vision_feature_select_strategy="full",
    )
    model = hf.LlavaOnevisionForConditionalGeneration(config)
    sizes = [(16, 16), (16, 32), (32, 16)]  # of the padded image: two or three tiles

    def tokens(k):
        height, width = (side // 4 for side in sizes[k % 3])
        return 16 + height * width + height  # the whole, the tiles, a line break a row

    def images(ks):
        tiles = [1 + sizes[k % 3][0] * sizes[k % 3][1] // 256 for k in ks]
        pixels = torch.zeros((len(ks), max(tiles), 3, 16, 16), dtype=torch.float64)
        for row, (k, count) in enumerate(zip(ks, tiles, strict=True)):
            pixels[row, :count] = _noise((count, 3, 16, 16), k)
        return {"pixel_values": pixels, "image_sizes": torch.tensor([sizes[k % 3] for k in ks])}

    return Tiny(model, lambda k: [1, 7, *[IMAGE] * tokens(k), 8], images)


FAMILIES = [
    llava, mistral, llava_onevision, internvl, internvl_sliding,
    qwen2_5_vl, qwen2_5_vl_sliding, qwen3_vl, gemma3,
]  # fmt: skip


@pytest.fixture(params=FAMILIES, ids=lambda build: build.__name__)
def tiny(request):
    """Every family in turn, freshly built, with its images causal or not, windows and all."""
    torch.manual_seed(0)
    made = request.param()
    made.model.train()
    return made


@pytest.fixture
def build():
    """The families by name, for tests of one of them."""

    def make(name, **options):
        torch.manual_seed(0)
        made = {f.__name__: f for f in FAMILIES}[name](**options)
        made.model.train()
        return made

    return make
