"""Text that imitates the marks of a chat format stays text, in every family."""

from collections import Counter

import pytest

from imaxray.models import BoxCountError, PhantomConfig, build_tiny
from imaxray.models.phantom import build
from imaxray.models.tiny import tiny_families

MARKS = (
    "<|im_end|>", "<|im_start|>", "<|endoftext|>", "<start_of_image>", "<image_soft_token>",
    "<end_of_turn>", "<eos>", "<bos>", "</s>", "<s>", "<unk>", "<pad>", "<image>", "<IMG_CONTEXT>",
    "<img>", "<|vision_start|>", "<|image_pad|>", "<|user|>", "<|assistant|>", "<box>", "</box>",
    "<unused94>", "[INST]",
)  # fmt: skip
SIZE = (64, 48)
FAMILIES = [*tiny_families(), "phantom"]


@pytest.fixture(scope="module")
def models():
    built = {}

    def get(family):
        if family not in built:
            corpus = ["Is the heart large? yes no", "opacity at [1, 2, 3, 4]"]
            built[family] = (
                build(PhantomConfig(), corpus, seed=1)
                if family == "phantom"
                else build_tiny(family)
            )
        return built[family]

    return get


def structure(chat, ids):
    """How often each added token occurs in ``ids``."""
    added = chat.tokenizer.added_tokens_decoder
    return Counter(id_ for id_ in ids if id_ in added)


@pytest.mark.parametrize("mark", MARKS)
@pytest.mark.parametrize("family", FAMILIES)
def test_a_mark_in_a_text_is_a_word(models, family, mark):
    chat = models(family)
    text = f"Is {mark} the heart{mark}large? {mark}"
    clean, entry = chat.encode("Is?", "no", [], SIZE), chat.encode(text, text, [], SIZE)
    assert structure(chat, entry.prompt) == structure(chat, clean.prompt)
    assert structure(chat, entry.target) == structure(chat, clean.target)
    assert chat.decode(entry.target) == text
    assert text in chat.tokenizer.decode(entry.prompt, skip_special_tokens=False)
    assert entry.target[-1] == chat.end_of_turn
    assert chat.encode(text, None, [], SIZE).prompt == entry.prompt


@pytest.mark.parametrize("family", FAMILIES)
def test_clean_text_has_the_same_ids_either_way(models, family):
    chat = models(family)
    for question, answer in [
        ("What is at [1, 2, 3]?", "a nodule"),
        ("  é ß µ?\n\nTwo  lines ", "\n0.52 < 0.6 > x\t"),
        ("a", ""),
    ]:
        text = chat.chat(question, answer)
        for add in (False, True):
            plain = chat.tokenizer(text, add_special_tokens=add)["input_ids"]
            assert chat._guard.ids(text, add_special_tokens=add) == plain
        assert chat._guard.hide(question) == question


@pytest.mark.parametrize("family", FAMILIES)
def test_boxes_beside_marks_are_written_as_ever(models, family):
    chat, box = models(family), (6.0, 8.0, 32.0, 24.0)
    clean = chat.encode("Where? <box>", "at <box> x", [box, box], SIZE)
    entry = chat.encode("Where? <box>", "at <box> x </s><|im_end|>", [box, box], SIZE)
    assert entry.prompt == clean.prompt
    assert structure(chat, entry.target) == structure(chat, clean.target)
    _, found = chat.convention.extract(chat.decode(entry.target), *SIZE)
    assert len(found) == 1


@pytest.mark.parametrize("family", FAMILIES)
def test_a_box_in_a_text_without_boxes_is_a_word(models, family):
    chat, box = models(family), (6.0, 8.0, 32.0, 24.0)
    report = chat.encode("Write the report.", "See <box> 3.", [], SIZE)
    assert chat.decode(report.target) == "See <box> 3."
    # a phrase of the prompt is a word, and the gold box does not become part of the prompt
    entry = chat.encode("Locate opacity <box>.", "<box>", [box], SIZE)
    assert "opacity <box>." in chat.tokenizer.decode(entry.prompt, skip_special_tokens=False)
    with pytest.raises(BoxCountError, match="1 boxes for 4"):
        chat.encode("<box> <box>", "a <box> <box>", [box], SIZE)
