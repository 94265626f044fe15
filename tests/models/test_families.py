"""Every family tiny: the processor's own ids, a forward pass, saved and loaded by the real path."""

import numpy as np
import pytest
import torch
from PIL import Image

from imaxray.boxes import CONVENTIONS
from imaxray.models import build_tiny, load_model
from imaxray.models.tiny import tiny_families

SIZES = [(61, 47), (200, 333), (640, 120), (97, 301)]
"""Odd, tall, flat: width and height."""

QUESTION, ANSWER = "What is in this location: <box>?", "a nodule at <box> <box>"


@pytest.fixture(scope="module")
def models():
    built = {}

    def get(family):
        if family not in built:
            built[family] = build_tiny(family, seed=1)
        return built[family]

    return get


@pytest.fixture(scope="module")
def radiograph(tmp_path_factory):
    folder = tmp_path_factory.mktemp("images")

    def make(size):
        path = folder / f"{size[0]}x{size[1]}.png"
        if not path.exists():
            noise = np.random.default_rng(size).integers(0, 255, (size[1], size[0]))
            Image.fromarray(noise.astype(np.uint8)).save(path)
        return path

    return make


def boxes(size):
    w, h = size
    return [(0.1 * w, 0.2 * h, 0.5 * w, 0.6 * h), (0.0, 0.0, 0.5 * w, h), (0.3 * w, 0, w, 0.5 * h)]


def processed(chat, path, size, *, answer):
    """What the processor makes of the conversation by itself, template, image and all."""
    image = chat.prepare(Image.open(path).convert("RGB"))
    fill = chat.convention.fill
    turns = [
        {
            "role": "user",
            "content": [
                {"type": "image", "image": image},
                {"type": "text", "text": fill(QUESTION, boxes(size)[:1], *size)},
            ],
        }
    ]
    if answer:
        text = fill(ANSWER, boxes(size)[1:], *size)
        turns.append({"role": "assistant", "content": [{"type": "text", "text": text}]})
    return chat.processor.apply_chat_template(
        turns, add_generation_prompt=not answer, tokenize=True, return_dict=True,
        return_tensors="pt",
    )  # fmt: skip


@pytest.mark.parametrize("size", SIZES, ids=str)
@pytest.mark.parametrize("family", tiny_families())
def test_ids_and_pixels_are_the_processors_own(models, radiograph, family, size):
    chat, path = models(family), radiograph(size)
    entry = chat.encode(QUESTION, ANSWER, boxes(size), size)
    asked = processed(chat, path, size, answer=False)
    whole = processed(chat, path, size, answer=True)
    assert asked["input_ids"][0].tolist() == entry.prompt
    told = [*entry.prompt, *entry.target]
    assert whole["input_ids"][0].tolist()[: len(told)] == told
    assert entry.target[-1] == chat.end_of_turn and entry.target.count(chat.end_of_turn) == 1
    assert len(whole["input_ids"][0]) - len(told) <= 1  # at most a newline after the turn
    assert entry.prompt.count(chat.image_token) == chat.image_tokens(size)
    pixels = chat.pixels(path)
    for key, value in pixels.items():
        torch.testing.assert_close(value, asked[key])


@pytest.mark.parametrize("family", tiny_families())
def test_one_image_or_several_in_a_batch(models, radiograph, family):
    """Each row's logits are those it has alone: joined inputs keep the order of the images."""
    chat = models(family)
    rows, alone = [], []
    images = [chat.pixels(radiograph(size)) for size in SIZES]
    for size, image in zip(SIZES, images, strict=True):
        ids = chat.encode(QUESTION, None, boxes(size)[:1], size).prompt
        rows.append(ids)
        alone.append(forward(chat, [ids], image)[0, -1])
    together = chat.join(images)
    longest = max(map(len, rows))
    logits = forward(chat, rows, together, longest)
    for row, ids in enumerate(rows):
        torch.testing.assert_close(logits[row, len(ids) - 1], alone[row], atol=2e-5, rtol=1e-4)
    assert not torch.allclose(alone[0], alone[1])


def forward(chat, rows, images, longest=None):
    longest = longest or len(rows[0])
    pad = chat.tokenizer.pad_token_id
    ids = torch.tensor([row + [pad] * (longest - len(row)) for row in rows])
    mask = torch.tensor([[1] * len(row) + [0] * (longest - len(row)) for row in rows])
    extra = {}
    if chat.family in ("qwen2_5_vl", "qwen3_vl"):
        extra["mm_token_type_ids"] = (ids == chat.image_token).long()
    if chat.family == "gemma3":
        extra["token_type_ids"] = (ids == chat.image_token).long()
    with torch.inference_mode():
        return chat.model(input_ids=ids, attention_mask=mask, **images, **extra).logits


@pytest.mark.parametrize("family", tiny_families())
def test_saved_and_loaded(models, radiograph, family, tmp_path):
    chat, size = models(family), SIZES[1]
    chat.save(tmp_path / "model")
    assert (tmp_path / "model" / "model.safetensors").exists()
    again = load_model(tmp_path / "model")
    assert (again.name, again.family) == (chat.name, family)
    assert again.convention == chat.convention and type(again) is type(chat)
    entry = chat.encode(QUESTION, ANSWER, boxes(size), size)
    assert again.encode(QUESTION, ANSWER, boxes(size), size) == entry
    first, second = chat.pixels(radiograph(size)), again.pixels(radiograph(size))
    assert all(torch.equal(first[key], second[key]) for key in first)
    assert torch.equal(forward(chat, [entry.prompt], first), forward(again, [entry.prompt], second))
    other = load_model(tmp_path / "model", convention="percent", dtype=torch.float64)
    assert other.convention.name == "percent" and other.model.dtype == torch.float64


@pytest.mark.parametrize("family", tiny_families())
def test_same_seed_same_weights(models, family):
    one, two = models(family).model.state_dict(), build_tiny(family, seed=1).model.state_dict()
    other = build_tiny(family, seed=2).model.state_dict()
    assert all(torch.equal(one[key], two[key]) for key in one)
    assert any(not torch.equal(one[key], other[key]) for key in one)


@pytest.mark.parametrize("family", tiny_families())
def test_lora_tower_and_connector_name_real_modules(models, family):
    import re

    chat = models(family)
    modules = dict(chat.model.named_modules())
    matched = [name for name in modules if re.fullmatch(chat.lora_targets, name)]
    assert len(matched) == 7 * chat.model.config.get_text_config().num_hidden_layers
    assert all(isinstance(modules[name], torch.nn.Linear) for name in matched)
    for prefixes in (chat.tower, chat.connector):
        assert prefixes and all(any(n.startswith(p) for n in modules) for p in prefixes)
        assert not any(name.startswith(prefixes) for name in matched)


@pytest.mark.parametrize("family", tiny_families())
def test_written_boxes_come_back(models, family):
    chat, size = models(family), (640, 480)
    box = [(64.0, 96.0, 320.0, 240.0)]
    entry = chat.encode("Where?", "<box>", box, size)
    bare, found = chat.convention.extract(chat.decode(entry.target), *size)
    dx, dy = chat.convention.resolution(*size)
    assert bare.count("<box>") == 1
    for value, again, step in zip(box[0], found[0], (dx, dy, dx, dy), strict=True):
        assert abs(value - again) <= step / 2 + 1e-6


@pytest.mark.parametrize("family", tiny_families())
def test_any_convention_can_be_named(family):
    for name in CONVENTIONS:
        chat = build_tiny(family, convention=name)
        assert chat.convention.name == name
