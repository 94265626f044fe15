"""Tests that packed rows give the loss and gradient of separate sequences, in every family."""

import pytest
import torch
from peft import LoraConfig, get_peft_model
from torch.nn.attention.flex_attention import BlockMask, flex_attention

from imaxray.errors import ImaxrayError
from imaxray.models import EncodedEntry
from imaxray.packing import (
    Visibility,
    collate,
    entry_losses,
    lay_out,
    model_inputs,
    packing_gap,
    use_packed_attention,
)

IMAGE = 3
SUFFIXES = [
    ([20, 21, 22], [30, 31]),
    ([23], [32]),
    ([20, 24, 25, 26, 27], [33, 34, 35, 2]),
    ([28, 29], [36, 37, 38, 39, 40, 41, 42, 43, 44, 45, 46, 2]),
]


def entries(tiny, k, count):
    head = tiny.head(k)
    return [EncodedEntry(head + p, t) for p, t in SUFFIXES[:count]]


def groups(tiny, *counts):
    return [entries(tiny, k, count) for k, count in enumerate(counts)]


def gap(tiny, *counts, dtype=torch.float64, **options):
    model = tiny.model.to(dtype)

    def images(ks):
        return {
            name: value.to(dtype) if value.is_floating_point() else value
            for name, value in tiny.images(ks).items()
        }

    return packing_gap(model, groups(tiny, *counts), images, IMAGE, **options)


FEW = 6
"""Tokens a call: two entries or so a piece."""


@pytest.fixture(params=[False, True], ids=["dense", "pieces"])
def pieces(request):
    """Attention by one dense mask, or piece by piece."""
    return request.param


@pytest.mark.parametrize("budget", [None, 500], ids=["row an image", "three images in a row"])
def test_float64(tiny, budget, pieces):
    """Three images (of three sizes where the family has sizes), the vision tower in the graph."""
    if pieces:
        use_packed_attention(tiny.model)
    found = gap(tiny, 4, 2, 3, tokens_per_row=budget, tokens_per_call=FEW)
    assert found.loss <= 1e-7
    assert found.gradient <= 1e-6


def test_float32(tiny):
    found = gap(tiny, 4, 2, 3, dtype=torch.float32, tokens_per_row=500)
    assert found.loss <= 1e-5
    assert found.gradient <= 1e-5


@pytest.mark.parametrize("reentrant", [False, True])
def test_gradient_checkpointing(tiny, reentrant, pieces):
    """Recomputed layers see the same masks."""
    if pieces:
        use_packed_attention(tiny.model)
    tiny.model.gradient_checkpointing_enable({"use_reentrant": reentrant})
    found = gap(tiny, 4, 2, tokens_per_row=500, tokens_per_call=FEW)
    assert found.loss <= 1e-7
    assert found.gradient <= 1e-6


def losses(tiny, batch, ks):
    model = tiny.model
    return entry_losses(model(**model_inputs(model, batch, tiny.images(ks))).logits, batch)


def test_every_part_has_a_gradient(tiny):
    model = tiny.model.to(torch.float64)
    plan = lay_out(groups(tiny, 4, 2), IMAGE, tokens_per_row=500)
    losses(tiny, collate(plan.rows, pad=0), plan.images).mean().backward()
    vision = [p for n, p in model.named_parameters() if "patch_embed" in n]
    assert vision and all(p.grad is not None and p.grad.abs().sum() > 0 for p in vision)


def test_lora(tiny):
    model = tiny.model.to(torch.float64)
    adapted = get_peft_model(model, LoraConfig(r=2, target_modules=["q_proj", "v_proj"]))
    for name, parameter in adapted.named_parameters():
        if "lora_B" in name:  # zero at the start, which would hide lora_A
            torch.nn.init.normal_(parameter, std=0.1)
    tiny.model = adapted
    found = gap(tiny, 4, 2)
    assert found.loss <= 1e-7
    assert found.gradient <= 1e-6


def test_bf16(tiny):
    """Half precision runs and stays within its rounding."""
    found = gap(tiny, 4, 2, dtype=torch.bfloat16)
    assert found.loss <= 0.02
    with torch.autocast("cpu", torch.bfloat16):
        found = gap(tiny, 4, 2, dtype=torch.float32)
    assert found.loss <= 0.02


def test_eager_attention(build):
    for name in ("llava", "gemma3"):
        tiny = build(name)
        tiny.model.set_attn_implementation("eager")
        assert gap(tiny, 4, 2, dtype=torch.float32).loss <= 1e-5


def test_flex_attention(tiny, monkeypatch):
    """The model carries block masks to flex attention, whose answer is that of the dense mask.

    Uncompiled and without gradients, which is what flex attention does on a CPU.
    """

    def uncompiled(query, key, value, training=False, kernel_options=None, **kwargs):
        return flex_attention(query, key, value, **kwargs)

    monkeypatch.setattr(
        "transformers.integrations.flex_attention.compile_friendly_flex_attention", uncompiled
    )
    tiny.model.float()
    plan = lay_out(groups(tiny, 4, 2, 3), IMAGE, tokens_per_row=500)
    batch = collate(plan.rows, pad=0)
    images = {
        name: value.float() if value.is_floating_point() else value
        for name, value in tiny.images(plan.images).items()
    }

    def run():
        with torch.no_grad():
            inputs = model_inputs(tiny.model, batch, images)
            return inputs, entry_losses(tiny.model(**inputs).logits, batch)

    _, dense = run()
    use_packed_attention(tiny.model, flex=True)
    inputs, flex = run()
    masks = inputs["attention_mask"]
    for mask in masks.values() if isinstance(masks, dict) else [masks]:
        assert isinstance(mask, BlockMask)
    torch.testing.assert_close(flex, dense, rtol=1e-5, atol=1e-5)


def test_attention_without_masks_is_refused(build):
    tiny = build("llava")
    tiny.model.config.get_text_config()._attn_implementation = "flash_attention_2"
    plan = lay_out(groups(tiny, 2), IMAGE)
    with pytest.raises(ImaxrayError, match="load it with 'sdpa'"):
        model_inputs(tiny.model, collate(plan.rows, pad=0), tiny.images([0]))


def test_an_unproven_family_is_refused_packed_only(build):
    tiny = build("llava")
    tiny.model.config.model_type = "novel"
    packed = lay_out(groups(tiny, 2), IMAGE)
    with pytest.raises(ImaxrayError, match="separate layout"):
        model_inputs(tiny.model, collate(packed.rows, pad=0), tiny.images([0]))
    plan = lay_out(groups(tiny, 2), IMAGE, packed=False)
    inputs = model_inputs(tiny.model, collate(plan.rows, pad=0), tiny.images([0, 0]))
    assert inputs["attention_mask"].dim() == 2


# --- the tests can fail


def wrong_window(self):
    index = torch.arange(self.segments.shape[1])[None]
    return Visibility(
        self.segments, self.prefixes, index.expand_as(self.positions), self.blocks, self.window
    )


def image_beyond_the_window(self):
    whole = Visibility(self.segments, self.prefixes, self.positions, self.blocks, self.window)
    block = (self.blocks[:, :, None] == self.blocks[:, None]) & (self.blocks >= 0)[:, :, None]
    whole_dense = RIGHT(whole)
    return whole_dense | block


RIGHT = Visibility.dense


@pytest.mark.parametrize(
    ("family", "wrong"),
    [
        ("llava", lambda self: torch.ones_like(RIGHT(self)).tril()),  # entries see each other
        ("mistral", lambda self: RIGHT(wrong_window(self))),  # distance by packed index
        ("qwen2_5_vl_sliding", lambda self: RIGHT(wrong_window(self))),
        ("gemma3", image_beyond_the_window),  # (window and causal) or image
        (
            "gemma3",  # image tokens causal
            lambda self: RIGHT(
                Visibility(self.segments, self.prefixes, self.positions, None, self.window)
            ),
        ),
    ],
    ids=["causal row", "window by index", "window by index, qwen", "overlay order", "causal image"],
)
def test_a_wrong_mask_is_noticed(build, monkeypatch, family, wrong):
    tiny = build(family)
    assert gap(tiny, 4, 2).loss <= 1e-7
    monkeypatch.setattr(Visibility, "dense", wrong)
    assert gap(tiny, 4, 2).gradient > 1e-4


@pytest.mark.parametrize("family", ["llava", "qwen2_5_vl", "qwen3_vl"])
def test_wrong_positions_are_noticed(build, family):
    """Ids that run on through the row, or count image tokens one by one, give another loss."""
    tiny = build(family)
    tiny.model.double()
    plan = lay_out(groups(tiny, 4, 2), IMAGE, tokens_per_row=500)
    batch = collate(plan.rows, pad=0)
    inputs = model_inputs(tiny.model, batch, tiny.images(plan.images))
    right = entry_losses(tiny.model(**inputs).logits, batch)
    running = torch.arange(batch.input_ids.shape[1])[None]
    wrong = [running] if family == "llava" else [running, batch.position_ids]
    for ids in wrong:
        inputs["position_ids"] = ids.expand_as(inputs["position_ids"])
        assert (entry_losses(tiny.model(**inputs).logits, batch) - right).abs().max() > 1e-5


def test_images_in_another_order_are_noticed(build):
    tiny = build("llava")
    tiny.model.double()
    plan = lay_out(groups(tiny, 2, 4), IMAGE, tokens_per_row=500)
    batch = collate(plan.rows, pad=0)
    assert plan.images == [1, 0]  # the longer group comes first
    right, wrong = losses(tiny, batch, [1, 0]), losses(tiny, batch, [0, 1])
    assert (right - wrong).abs().max() > 1e-5
