"""Packed rows give the loss and the gradient of separate sequences."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from imaxray.models import EncodedEntry, PhantomConfig, phantom
from imaxray.packing import (
    allowed,
    answer_start,
    collate,
    common_prefix,
    entry_losses,
    pack,
    separate,
)

CORPUS = [
    "Measure the ratio. 0.52",
    "Locate the nodule: [12, 34, 56, 78]",
    "The heart is large.",
] * 9
IMAGE = 3  # id of <image>: fourth special token


@pytest.fixture(scope="module")
def chat():
    config = PhantomConfig(image_size=32, patch_size=8, width=32, vocabulary=320, vision_layers=2)
    return phantom.build(config, CORPUS, seed=0)


def entries_of(chat, questions):
    return [chat.encode(q, a, [], (100, 80)) for q, a in questions]


QUESTIONS = [
    ("Measure the ratio.", "0.52"),
    ("Measure the heart.", "The heart is large."),
    ("Locate the nodule:", "[12, 34, 56, 78]"),
    ("M", "0"),
]


def run(model, batch, pixels, dtype):
    out = model(pixel_values=pixels.to(dtype), **batch.model_inputs(dtype))
    return entry_losses(out.logits, batch)


@pytest.mark.parametrize(
    ("dtype", "loss_gap", "gradient_gap"),
    [
        (torch.float64, 1e-7, 1e-6),
        (torch.float32, 1e-5, 1e-5),
    ],
)
def test_packed_equals_separate(chat, dtype, loss_gap, gradient_gap):
    model = chat.model.to(dtype)
    pixels = torch.randn(2, 1, 32, 32, generator=torch.Generator().manual_seed(0), dtype=dtype)
    groups = [entries_of(chat, QUESTIONS), entries_of(chat, QUESTIONS[1:3])]
    pad = chat.tokenizer.pad_token_id

    packed = collate([pack(g, IMAGE) for g in groups], pad=pad)
    alone = collate([separate(e) for g in groups for e in g], pad=pad)
    owner = torch.tensor([0, 0, 0, 0, 1, 1])
    results = []
    for batch, images in ((packed, pixels), (alone, pixels[owner])):
        model.zero_grad()
        losses = run(model, batch, images, dtype)
        losses.mean().backward()
        gradient = torch.cat([p.grad.flatten() for p in model.parameters() if p.grad is not None])
        results.append((losses.detach(), gradient))
    model.to(torch.float32)
    (a, ga), (b, gb) = results
    assert packed.entries == alone.entries == 6
    assert (a - b).abs().max() <= loss_gap * b.abs().max()
    assert (ga - gb).norm() <= gradient_gap * gb.norm()


def test_vision_tower_is_in_the_graph(chat):
    batch = collate([pack(entries_of(chat, QUESTIONS), IMAGE)], pad=0)
    chat.model.zero_grad()
    run(chat.model, batch, torch.randn(1, 1, 32, 32), torch.float32).mean().backward()
    weight = chat.model.model.vision_tower.embeddings.patch_embedding.weight
    assert weight.grad is not None and weight.grad.abs().sum() > 0


def test_a_wrong_mask_is_noticed(chat):
    """The exactness test can fail: a plain causal mask over the packed row gives another loss."""
    batch = collate([pack(entries_of(chat, QUESTIONS), IMAGE)], pad=0)
    pixels = torch.randn(1, 1, 32, 32, generator=torch.Generator().manual_seed(1))
    right = run(chat.model, batch, pixels, torch.float32)
    batch.packed = False
    wrong = run(chat.model, batch, pixels, torch.float32)
    assert (right - wrong).abs().max() > 1e-4


def test_trailing_logits_give_the_same_loss(chat):
    batch = collate([pack(entries_of(chat, QUESTIONS), IMAGE)], pad=0)
    pixels = torch.randn(1, 1, 32, 32)
    length = batch.input_ids.shape[1]
    kept = length - answer_start(batch)
    assert kept < length - 16  # the image prefix is spared
    inputs = batch.model_inputs(torch.float32)
    part = chat.model(pixel_values=pixels, logits_to_keep=kept, **inputs).logits
    whole = chat.model(pixel_values=pixels, **inputs).logits
    torch.testing.assert_close(entry_losses(part, batch, kept=kept), entry_losses(whole, batch))


def test_prompt_ids_equal_the_processors(chat):
    """Our fast path tokenises as the real processor does, image tokens and all."""
    image = np.zeros((32, 32, 1), dtype=np.uint8)
    entry = chat.encode("Where is <box>?", None, [(10.0, 20.0, 50.0, 60.0)], (100, 80))
    text = chat.chat("Where is [10, 25, 50, 75]?")
    out = chat.processor(
        text=text, images=[image], return_tensors="pt", input_data_format="channels_last",
        add_special_tokens=False,
    )  # fmt: skip
    assert out["input_ids"][0].tolist() == entry.prompt


def test_image_outside_the_prefix_is_refused():
    entries = [EncodedEntry([1, 5, IMAGE, 7], [8]), EncodedEntry([1, 6, IMAGE, 7], [8])]
    with pytest.raises(ValueError, match="common prefix"):
        pack(entries, IMAGE)


prompts = st.lists(st.lists(st.integers(0, 3), min_size=1, max_size=6), min_size=2, max_size=5)


@given(prompts)
def test_common_prefix_is_common_and_leaves_a_token(items):
    length = common_prefix(items)
    assert all(item[:length] == items[0][:length] for item in items)
    assert all(len(item) > length for item in items)


@settings(max_examples=50)
@given(st.lists(st.tuples(st.integers(1, 3), st.integers(1, 3)), min_size=1, max_size=4))
def test_mask_is_the_separate_causal_mask(lengths):
    entries = [
        EncodedEntry([9, IMAGE, 9] + [k] * p, [k] * t) for k, (p, t) in enumerate(lengths, start=20)
    ]
    row = pack(entries, IMAGE)
    batch = collate([row], pad=0)
    mask = allowed(batch.segments, batch.position_ids, batch.valid)[0]
    for k, item in enumerate(entries, start=1):
        members = [i for i, s in enumerate(row.segments) if s in (0, k)]
        sub = mask[members][:, members]
        assert [row.ids[i] for i in members] == [*item.prompt, *item.target]
        # the prefix never looks into an entry, and inside the pair everything is causal
        assert torch.equal(sub, torch.tril(torch.ones_like(sub)))
    for i, si in enumerate(row.segments):
        for j, sj in enumerate(row.segments):
            if sj not in (0, si):
                assert not mask[i, j]
