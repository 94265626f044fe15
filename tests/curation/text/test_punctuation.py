"""Tests the repair of spaces and punctuation."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imaxray.curation.text.punctuation import ODD, tidy


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (" The  heart , enlarged .", "The heart, enlarged."),
        ("Seen on . , The heart.", "Seen on. The heart."),
        ("No change.. Stable.", "No change. Stable."),
        ("No change . . Stable.", "No change. Stable."),
        ("Tube ( ) in place.", "Tube in place."),
        ("Tube ( 4 cm ) in place.", "Tube (4 cm) in place."),
        ("Effusion,, small;.", "Effusion, small."),
        ("Effusion -. Mass", "Effusion. Mass"),
        ("Nodule of .5 cm, 3.5 cm: .7", "Nodule of .5 cm, 3.5 cm: .7"),
        ("At 10:30, seen?!", "At 10:30, seen?"),
        (". Clear lungs,", "Clear lungs"),
        ("", ""),
    ],
)
def test_tidy(text, expected):
    assert tidy(text) == expected


@given(st.text(alphabet="aB .,;:!?()-\n1", max_size=40))
def test_nothing_odd_is_left_and_twice_is_once(text):
    plain = tidy(text)
    assert tidy(plain) == plain
    assert ".." not in plain
    assert not re.search(r"[,;:][ \t]*[.,;:](?!\d)|[ \t][,;:!?)]|\([ \t]*\)|[ \t]{2}", plain)
    assert re.sub(r"\W", "", plain) == re.sub(r"\W", "", text)


@given(st.text(alphabet="aB .,;:!?()-\n1", max_size=40))
def test_the_pattern_finds_every_text_that_changes(text):
    if tidy(text) != text:
        assert re.search(ODD, text)
