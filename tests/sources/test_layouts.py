"""Tests that a release is read the same in every layout in which it is handed out."""

import pytest

from imaxray.sources import get_source

LAYOUTS = [
    ("chexpert", "batches", ()),
    ("vqa-rad", "public", ()),
    ("nih-chestxray14", "without_boxes", ("region",)),
    ("nih-chestxray14", "sample", ("region",)),
]
_PLACE = ("source", "file", "row", "path")


def facts(table):
    kept = table.select([name for name in table.columns if name not in _PLACE])
    return sorted(map(repr, kept.rows()))


@pytest.mark.parametrize(("name", "layout", "without"), LAYOUTS)
def test_a_layout_gives_the_same_images_and_facts(small_releases, name, layout, without):
    made = small_releases(name)
    [plain] = [root for key, root in made.items() if key == "write"]
    [other] = [root for key, root in made.items() if key.endswith(layout)]
    source = get_source(name)
    one, two = source.read(plain), source.read(other)
    assert facts(two.images) == facts(one.images) and one.images.height
    wanted = one.annotations.filter(~one.annotations["kind"].cast(str).is_in(list(without)))
    assert facts(two.annotations) == facts(wanted)
    if layout not in ("sample",):  # which has no official split
        assert facts(two.hints) == facts(one.hints)
    assert not set(two.rejects["code"]) - set(one.rejects["code"])


def test_a_copy_without_boxes_says_so(small_releases):
    made = small_releases("nih-chestxray14")
    [root] = [root for key, root in made.items() if key.endswith("without_boxes")]
    [remark] = get_source("nih-chestxray14").remarks(root)
    assert "no boxes" in remark
    [root] = [root for key, root in made.items() if key == "write"]
    assert get_source("nih-chestxray14").remarks(root) == []
