"""Tests outlines: they count what the whole model has and does, without its weights."""

import pytest
import torch

from imaxray.errors import ImaxrayError
from imaxray.models import build_tiny, list_models, load_model, outline_model
from imaxray.models.outline import counting_tokenizer
from imaxray.models.published import published, published_names
from imaxray.models.tiny import tiny_families
from imaxray.training import TrainingConfig
from imaxray.training.method import make_trainable

PUBLISHED = {  # parameters, as the model cards' safetensors count them; LLaVA-Med as computed
    "lingshu-7b": 8_292_166_656,
    "huatuogpt-vision-7b": 8_292_166_656,
    "medmo-8b": 8_767_123_696,
    "medmo-4b": 4_437_815_808,
    "medgemma-1.5-4b": 4_300_079_472,
    "internvl3-8b": 7_944_373_760,
    "lingshu-i-8b": 7_944_373_760,
    "llava-med-v1.5": 7_566_743_552,
}
SIZE = (2544, 3056)
IMAGE_TOKENS = {  # of an image of SIZE with at most 1280 tokens where the model lets one choose
    "lingshu-7b": 32 * 39, "medmo-8b": 32 * 39, "medgemma-1.5-4b": 256, "llava-med-v1.5": 576,
    "internvl3-8b": 1280,
}  # fmt: skip
QUESTION, ANSWER = "Where is the nodule?", "In the left upper lobe, <box>."
BOX = [(100.0, 200.0, 300.0, 400.0)]


@pytest.mark.parametrize("family", tiny_families())
def test_an_outline_of_files_counts_as_the_model_does(family, tmp_path):
    build_tiny(family, seed=1).save(tmp_path / "model")
    whole, found = load_model(tmp_path / "model"), outline_model(tmp_path / "model")
    assert found.source == "files"
    bare = found.chat
    assert all(p.is_meta for p in bare.model.parameters())
    assert bare.model.dtype == whole.model.dtype
    assert bare.encode(QUESTION, ANSWER, BOX, (400, 500)) == whole.encode(
        QUESTION, ANSWER, BOX, (400, 500)
    )
    for chat in (bare, whole):
        make_trainable(chat, TrainingConfig(method="lora"), 0)
    counts = [
        [(name, p.numel(), p.requires_grad) for name, p in chat.model.named_parameters()]
        for chat in (bare, whole)
    ]
    assert counts[0] == counts[1]


def test_an_outline_of_an_adapter_is_that_of_its_base(tmp_path):
    chat = build_tiny("llava", seed=1)
    chat.save(tmp_path / "base")
    chat = load_model(tmp_path / "base")
    make_trainable(chat, TrainingConfig(method="lora"), 0)
    chat.save(tmp_path / "adapter")
    found = outline_model(tmp_path / "adapter").chat
    base = load_model(tmp_path / "base")
    assert sum(p.numel() for p in found.model.parameters()) == sum(
        p.numel() for p in base.model.parameters()
    )


@pytest.mark.parametrize("name", PUBLISHED)
def test_published_dimensions_have_the_published_size(name):
    assert set(PUBLISHED) == set(published_names())
    found = outline_model(name)
    assert found.source == "published"
    assert sum(p.numel() for p in found.chat.model.parameters()) == PUBLISHED[name]
    assert found.chat.model.dtype == torch.bfloat16


@pytest.mark.parametrize("name", IMAGE_TOKENS)
def test_published_processors_count_the_tokens_of_an_image(name):
    limit = 1280 if outline_model(name).chat.image_tokens(SIZE) > 1280 else None
    chat = outline_model(name, max_image_tokens=limit).chat
    encoded = chat.encode(QUESTION, ANSWER, BOX, SIZE)
    assert encoded.prompt.count(chat.image_token) == chat.image_tokens(SIZE) == IMAGE_TOKENS[name]


def test_names_of_dimensions_are_those_of_the_registry():
    names = {row.name for row in list_models()}
    assert set(published_names()) <= names
    assert published("nobody/nothing") is None
    assert published("lingshu-medical-mllm/Lingshu-7B").config.model_type == "qwen2_5_vl"


@pytest.mark.parametrize("name", ["radvlm", "nobody/nothing"])
def test_a_model_of_which_nothing_is_known_is_one_sentence(name, monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(ImaxrayError, match=f"processor of {name} on this machine") as told:
        outline_model(name, convention="pixels")
    assert "lingshu-7b" in str(told.value) and "\n" not in str(told.value)


def test_a_folder_that_is_no_model_keeps_its_own_sentence(tmp_path):
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(ImaxrayError, match="Expected"):
        outline_model(tmp_path, convention="pixels")


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("edema", 1),
        (" edema", 1),  # a word takes the space before it
        ("atelectasis", 2),  # eleven letters, six a piece
        ("0.52", 4),
        ("no edema.", 3),
        ("a\n\nb", 3),
        ("", 0),
    ],
)
def test_text_is_counted_by_the_stated_rule(text, count):
    like = build_tiny("qwen2_5_vl").processor.tokenizer
    tokenizer = counting_tokenizer(like, [text])
    assert len(tokenizer(text, add_special_tokens=False)["input_ids"]) == count
    marked = tokenizer(f"<|im_start|>{text}<|im_end|>", add_special_tokens=False)["input_ids"]
    assert len(marked) == count + 2


def test_texts_of_the_corpus_get_ids_of_their_own():
    like = build_tiny("qwen2_5_vl").processor.tokenizer
    known = counting_tokenizer(like, ["edema effusion"])
    first, second = known("edema")["input_ids"], known("effusion")["input_ids"]
    assert first != second[: len(first)]
    unknown = counting_tokenizer(like, [])
    assert unknown("edema")["input_ids"] == unknown("lungs")["input_ids"]
