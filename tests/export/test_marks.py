"""The special tokens of every family are words that no export contains."""

import re

import pytest

from imaxray.export.marks import SPECIAL_TOKENS
from imaxray.models import build_tiny
from imaxray.models.phantom import SPECIAL
from imaxray.models.tiny import tiny_families


@pytest.mark.parametrize("family", tiny_families())
def test_the_list_has_the_marks_of_each_family(family):
    marks = set(build_tiny(family)._guard.marks) - {"<box>"}
    assert not [mark for mark in marks if not re.fullmatch(SPECIAL_TOKENS, mark)]


def test_the_list_has_the_marks_of_the_phantom():
    assert all(re.fullmatch(SPECIAL_TOKENS, mark) for mark in SPECIAL)


@pytest.mark.parametrize("text", ["p < 0.05 and r > 0.9", "<b>bold</b>", "[1, 2, 3]", "a | b"])
def test_ordinary_text_has_none(text):
    assert not re.search(SPECIAL_TOKENS, text)
