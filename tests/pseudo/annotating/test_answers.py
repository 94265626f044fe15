"""Tests answers as rows: answers to train on, and unreadable answers."""

import pytest

from imaxray.evaluation.generation import Written
from imaxray.models import PhantomConfig, phantom
from imaxray.pseudo.annotating.answers import Reader
from imaxray.pseudo.annotating.prompts import Prompt


@pytest.fixture(scope="module")
def chat():
    shape = PhantomConfig(
        image_size=32, patch_size=16, width=32, vision_layers=1, text_layers=1, vocabulary=300
    )
    return phantom.build(shape, ["Where is it? [12, 12, 43, 80]"], seed=0)


def read(chat, task, template, text):
    prompt = Prompt("x", "i", "p", task, template, "Where is the nodule?", (), "similar")
    end = chat.tokenizer.eos_token_id
    ids = [*chat.tokenizer(text, add_special_tokens=False)["input_ids"], end]
    written = Written(ids, [-0.1] * len(ids))
    return Reader(chat, [end]).read(prompt, (100, 100), written, []).gold


def test_a_box_is_an_answer_only_where_boxes_belong(chat):
    """Else its placeholder would stand in a target without a box to fill it."""
    assert read(chat, "rec", "rec.0", "[12, 12, 43, 80]").boxes
    assert read(chat, "vqa", "vqa.open.0", "[12, 12, 43, 80]") is None
    assert read(chat, "vqa", "vqa.open.0", "in the left lung").target == "in the left lung"
