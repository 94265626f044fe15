"""The dataset card names models as text."""

import pytest

from imaxray.curation.card import _escaped


@pytest.mark.parametrize("name", ["phantom", "Org/Model_x-7B.v1", "tiny-qwen2_5_vl", "Größe 1 (a)"])
def test_ordinary_names_stay(name):
    assert _escaped(name) == name


def test_markup_in_a_name_is_text():
    evil = "x](http://e)<script>alert(1)</script>\n# Licence: none | `a` *b*\x1b[2J"
    found = _escaped(evil)
    assert not set(found) & set("<>[]|`*\n\x1b")
    assert found.startswith("x&#93;(http://e)&#60;script&#62;")
