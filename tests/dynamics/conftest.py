"""Makes tiny models of four families from their real configuration classes, and their batches."""

from dataclasses import dataclass
from typing import Any

import pytest
import torch
from peft import LoraConfig, get_peft_model
from torch import nn

VOCABULARY = 64
IMAGE_TOKEN = 60
TEXT = {
    "vocab_size": VOCABULARY,
    "hidden_size": 16,
    "intermediate_size": 24,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "num_key_value_heads": 1,
    "max_position_embeddings": 256,
    "pad_token_id": 0,
    "bos_token_id": 1,
    "eos_token_id": 2,
}
LINEARS = (
    "q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj",
    "out_proj", "fc1", "fc2", "qkv", "attn.proj",
)  # fmt: skip


@dataclass
class Case:
    """A model with LoRA (and, where there is one, its connector trainable) and its batches."""

    model: nn.Module
    batches: list[dict[str, Any]]


def with_lora(model: nn.Module, *more: str, trained: tuple[str, ...] = (), r: int = 3) -> nn.Module:
    """LoRA with random B on all linears, ``trained`` parts wholly trainable, in float64."""
    torch.manual_seed(5)
    config = LoraConfig(
        r=r, lora_alpha=8, target_modules=[*LINEARS, *more], init_lora_weights=False
    )
    wrapped = get_peft_model(model, config)
    for name, parameter in wrapped.named_parameters():
        if any(part in name for part in trained):
            parameter.requires_grad = True
        if "lora_" in name:
            nn.init.normal_(parameter, std=0.2)
    return wrapped.double().eval()


def tokens(images: list[int], texts: list[int], answers: list[int], seed: int) -> dict[str, Any]:
    """Right-padded rows: bos, image tokens, text, answer; labels on the answer only."""
    generator = torch.Generator().manual_seed(seed)
    rows, labels = [], []
    for image, text, answer in zip(images, texts, answers, strict=True):
        ids = torch.randint(3, 50, (text + answer,), generator=generator)
        row = torch.cat([torch.tensor([1]), torch.full((image,), IMAGE_TOKEN), ids])
        label = row.clone()
        label[: 1 + image + text] = -100
        rows.append(row)
        labels.append(label)
    pad = nn.utils.rnn.pad_sequence
    ids = pad(rows, batch_first=True, padding_value=0)
    return {
        "input_ids": ids,
        "attention_mask": (ids != 0).long(),
        "labels": pad(labels, batch_first=True, padding_value=-100),
    }


def text_case() -> Case:
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.manual_seed(0)
    model = with_lora(LlamaForCausalLM(LlamaConfig(**TEXT)))
    return Case(
        model,
        [
            tokens([0] * 4, [5, 3, 9, 4], [3, 6, 1, 2], seed=1),
            tokens([0] * 3, [4, 6, 2], [2, 2, 5], seed=2),
        ],
    )


def llava_next_case() -> Case:
    from transformers import (
        CLIPVisionConfig,
        LlamaConfig,
        LlavaNextConfig,
        LlavaNextForConditionalGeneration,
    )

    torch.manual_seed(0)
    config = LlavaNextConfig(
        vision_config=CLIPVisionConfig(
            hidden_size=12, intermediate_size=16, num_hidden_layers=2, num_attention_heads=2,
            image_size=8, patch_size=4, projection_dim=8,
        ),
        text_config=LlamaConfig(**TEXT),
        image_token_index=IMAGE_TOKEN,
        image_grid_pinpoints=[[8, 16], [16, 8], [16, 16]],
        vision_feature_layer=-1,
    )  # fmt: skip
    base = LlavaNextForConditionalGeneration(config)
    sizes = torch.tensor([[8, 16], [16, 16], [16, 8]])
    tiles = [3, 5, 3]
    pixels = torch.randn(3, 5, 3, 8, 8, dtype=torch.float64)
    for image, count in enumerate(tiles):
        pixels[image, count:] = 0
    base = base.double().eval()
    with torch.no_grad():
        found = base.model.get_image_features(pixels, sizes, return_dict=True).pooler_output
    batch = tokens([len(f) for f in found], [4, 3, 6], [2, 4, 3], seed=3)
    batch |= {"pixel_values": pixels, "image_sizes": sizes}
    return Case(with_lora(base, trained=("multi_modal_projector",)), [batch])


def qwen_case() -> Case:
    from transformers import Qwen2_5_VLConfig, Qwen2_5_VLForConditionalGeneration

    torch.manual_seed(0)
    rope = {"rope_type": "default", "mrope_section": [1, 1, 2], "rope_theta": 10000.0}
    config = Qwen2_5_VLConfig(
        text_config={**TEXT, "rope_parameters": rope, "tie_word_embeddings": False},
        vision_config={
            "depth": 2, "hidden_size": 16, "intermediate_size": 24, "num_heads": 2,
            "out_hidden_size": 16, "patch_size": 4, "spatial_merge_size": 2,
            "temporal_patch_size": 2, "window_size": 16, "fullatt_block_indexes": [1],
        },
        image_token_id=IMAGE_TOKEN, vision_start_token_id=58, vision_end_token_id=59,
    )  # fmt: skip
    base = Qwen2_5_VLForConditionalGeneration(config)
    grid = torch.tensor([[1, 4, 6], [1, 2, 4], [1, 6, 6]])
    counts = grid.prod(1)
    batch = tokens((counts // 4).tolist(), [4, 3, 6], [2, 4, 3], seed=4)
    batch |= {
        "pixel_values": torch.randn(int(counts.sum()), 3 * 2 * 4 * 4, dtype=torch.float64),
        "image_grid_thw": grid,
        "mm_token_type_ids": (batch["input_ids"] == IMAGE_TOKEN).long(),
    }
    return Case(with_lora(base, "mlp.0", "mlp.2"), [batch])


def gemma_case() -> Case:
    from transformers import Gemma3Config, Gemma3ForConditionalGeneration

    torch.manual_seed(0)
    config = Gemma3Config(
        text_config={**TEXT, "head_dim": 8, "sliding_window": 6, "query_pre_attn_scalar": 8,
                     "layer_types": ["sliding_attention", "full_attention"]},
        vision_config={"hidden_size": 12, "intermediate_size": 16, "num_hidden_layers": 2,
                       "num_attention_heads": 2, "image_size": 16, "patch_size": 4},
        mm_tokens_per_image=4, image_token_index=IMAGE_TOKEN, boi_token_index=58,
        eoi_token_index=59,
    )  # fmt: skip
    base = Gemma3ForConditionalGeneration(config)
    nn.init.normal_(base.model.multi_modal_projector.mm_input_projection_weight, std=0.3)
    batch = tokens([4, 4, 4], [5, 3, 8], [2, 4, 3], seed=6)
    batch |= {
        "pixel_values": torch.randn(3, 3, 16, 16, dtype=torch.float64),
        "token_type_ids": (batch["input_ids"] == IMAGE_TOKEN).long(),
    }
    return Case(with_lora(base, trained=("multi_modal_projector",)), [batch])


CASES = {
    "text": text_case,
    "llava_next": llava_next_case,
    "qwen2_5_vl": qwen_case,
    "gemma3": gemma_case,
}


@pytest.fixture(params=sorted(CASES))
def case(request) -> Case:
    return CASES[request.param]()


@pytest.fixture
def text() -> Case:
    return text_case()


@pytest.fixture
def qwen() -> Case:
    return qwen_case()


@pytest.fixture
def llava_next() -> Case:
    return llava_next_case()
