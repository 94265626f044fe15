"""Tests every family with a tiny model: ids of its processor, forward pass, saving and loading."""

import numpy as np
import pytest
import torch
from PIL import Image

from imaxray.boxes import CONVENTIONS
from imaxray.errors import ImaxrayError
from imaxray.geometry import Letterbox
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


@pytest.mark.parametrize("family", tiny_families())
def test_a_smaller_copy_takes_the_tokens_of_its_original(models, radiograph, family):
    """Pixels of the image cache are shrunken; tokens and boxes follow the original all the same."""
    chat = models(family)
    for size in [(640, 480), (300, 701), (97, 301)]:
        whole = chat.pixels(radiograph(size), size)
        with Image.open(radiograph(size)) as image:
            copy = np.asarray(image.resize((round(size[0] / 2.3), round(size[1] / 2.3))))
        small = chat.pixels(copy, size)
        assert {k: v.shape for k, v in small.items()} == {k: v.shape for k, v in whole.items()}
        for key in set(small) - {"pixel_values"}:
            assert torch.equal(small[key], whole[key])
        ids = chat.encode(QUESTION, None, boxes(size)[:1], size).prompt
        forward(chat, [ids], small)  # features and tokens agree


def test_a_file_of_another_size_is_told(models, radiograph):
    with pytest.raises(ImaxrayError, match="60 × 47 pixels, as its table says"):
        models("llava").pixels(radiograph((61, 47)), (60, 47))


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
    parameters = [name for name, _ in chat.model.named_parameters()]
    for prefixes in (chat.tower, chat.connector):
        assert prefixes and all(any(n.startswith(p) for n in parameters) for p in prefixes)
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


@pytest.mark.parametrize("family", tiny_families())
def test_all_parameters_have_a_place(models, family):
    """Tower, connector and text model are the whole model: nothing is left out of training."""
    chat = models(family)
    text = ("model.language_model", "lm_head")
    for name, _ in chat.model.named_parameters():
        assert name.startswith((*chat.tower, *chat.connector, *text)), name


@pytest.mark.parametrize("family", tiny_families())
def test_backward_reaches_the_vision_tower(family, radiograph):
    chat, size = build_tiny(family), SIZES[0]
    entry = chat.encode(QUESTION, ANSWER, boxes(size), size)
    ids = torch.tensor([[*entry.prompt, *entry.target]])
    extra = {}
    if chat.family in ("qwen2_5_vl", "qwen3_vl"):
        extra["mm_token_type_ids"] = (ids == chat.image_token).long()
    if chat.family == "gemma3":
        extra["token_type_ids"] = (ids == chat.image_token).long()
    chat.model(input_ids=ids, labels=ids, **chat.pixels(radiograph(size)), **extra).loss.backward()
    for prefixes in (chat.tower, chat.connector):
        moved = [p.grad for n, p in chat.model.named_parameters() if n.startswith(prefixes)]
        assert any(g is not None and g.abs().sum() > 0 for g in moved)


@pytest.mark.parametrize("family", tiny_families())
def test_the_answer_depends_on_the_pixels(models, radiograph, family):
    chat, size = models(family), SIZES[1]
    ids = chat.encode(QUESTION, None, boxes(size)[:1], size).prompt
    images = chat.pixels(radiograph(size))
    other = {**images, "pixel_values": -images["pixel_values"]}
    moved = forward(chat, [ids], images)[0, -1] - forward(chat, [ids], other)[0, -1]
    assert float(moved.abs().max()) > 1e-5


@pytest.mark.parametrize("family", ["qwen2_5_vl", "qwen3_vl", "internvl", "llava_onevision"])
def test_image_tokens_can_be_limited(family, radiograph, tmp_path):
    chat, size = build_tiny(family), (640, 480)
    before, most = chat.image_tokens(size), 16
    assert before > most
    chat.limit_image_tokens(most)
    assert 0 < chat.image_tokens(size) <= most
    for shape in SIZES:
        assert chat.image_tokens(shape) <= most
    asked = processed(chat, radiograph(size), size, answer=False)
    entry = chat.encode(QUESTION, None, boxes(size)[:1], size)
    assert asked["input_ids"][0].tolist() == entry.prompt
    forward(chat, [entry.prompt], chat.pixels(radiograph(size)))  # features and tokens agree
    chat.save(tmp_path / "model")
    again = load_model(tmp_path / "model")
    assert again.image_tokens(size) == chat.image_tokens(size)
    assert again.convention == chat.convention


@pytest.mark.parametrize("family", ["gemma3", "llava"])
def test_a_fixed_number_of_image_tokens_cannot_be_limited(family):
    chat = build_tiny(family)
    chat.limit_image_tokens(1000)
    with pytest.raises(ImaxrayError, match="no fewer than"):
        chat.limit_image_tokens(2)


def test_a_thought_is_no_part_of_the_answer():
    chat = build_tiny("gemma3")
    said = "<unused94>the heart at {}<unused95>Cardiomegaly."
    ids = chat.tokenizer(said, add_special_tokens=False)["input_ids"]
    assert chat.decode([*ids, chat.end_of_turn]) == "Cardiomegaly."
    unfinished = chat.tokenizer("<unused94>so the", add_special_tokens=False)["input_ids"]
    assert chat.decode(unfinished) == ""


def test_box_tags_survive_decoding_and_other_special_tokens_do_not():
    chat = build_tiny("internvl")
    ids = chat.tokenizer("<ref>heart</ref><box>[[1, 2, 3, 4]]</box><|im_end|>")["input_ids"]
    assert chat.decode(ids) == "heart<box>[[1, 2, 3, 4]]</box>"


def test_the_answer_of_a_medgemma_is_the_json_that_it_writes():
    chat = build_tiny("gemma3")
    entry = chat.encode("Where?", "<box> <box>", boxes((100, 200))[1:], (100, 200))
    assert chat.decode(entry.target) == (
        '```json\n[{"box_2d": [0, 250, 1000, 500]}, {"box_2d": [0, 400, 500, 750]}]\n```'
    )


def test_padding_and_its_frame_agree(radiograph):
    """The letterbox frame says where the pixels really are."""
    chat, size = build_tiny("gemma3"), (97, 301)
    with Image.open(radiograph(size)) as image:
        whole = image.convert("RGB")
    padded = chat.prepare(whole)
    left, top, right, bottom = map(int, Letterbox().frame(*size).enter((0, 0, *size)))
    assert padded.size == (301, 301)
    assert padded.crop((left, top, right, bottom)).tobytes() == whole.tobytes()
    assert not np.asarray(padded.crop((0, 0, left, 301))).any()
