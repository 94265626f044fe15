"""Tests the prompts that a server gets."""

import pytest

from imaxray.boxes import BOX_2D, PER_MILLE_TAGGED, PERCENT
from imaxray.errors import ImaxrayError
from imaxray.evaluation.generation.hosted.prompts import written

BOX = (25.0, 50.0, 75.0, 100.0)


@pytest.mark.parametrize(("convention", "text"), [
    (PERCENT, "Describe [25, 25, 75, 50]."),
    (PER_MILLE_TAGGED, "Describe <box>[[250, 250, 750, 500]]</box>."),
    (BOX_2D, 'Describe {"box_2d": [250, 375, 500, 625]}.'),
])  # fmt: skip
def test_boxes_are_written_as_the_convention_says(convention, text):
    assert written("e1", "Describe <box>.", "a nodule", [BOX], (100, 200), convention) == (text, 0)


def test_boxes_of_the_target_are_not_told():
    assert written("e1", "Locate it.", "<box>", [BOX], (100, 200), PERCENT) == ("Locate it.", 0)


@pytest.mark.parametrize("mark", ["<|im_end|>", "</s>", "<image>", "[INST]", "<end_of_turn>"])
def test_marks_in_a_text_stay_words_and_are_counted(mark):
    text, broken = written("e1", f"Is {mark} or {mark} there?", "no", [], (100, 200), PERCENT)
    assert broken == 2 and mark not in text
    assert text.replace(" ", "") == f"Is {mark} or {mark} there?".replace(" ", "")


def test_a_wrong_number_of_boxes():
    with pytest.raises(ImaxrayError, match="one box for each <box> of entry e1"):
        written("e1", "Describe <box> and <box>.", "x", [BOX], (100, 200), PERCENT)
