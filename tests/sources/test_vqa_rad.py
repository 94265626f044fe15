"""Tests VQA-RAD: the publisher's file and the split that is passed on give the same questions."""

import json
import shutil

import pytest

from imaxray.errors import ImaxrayError
from imaxray.sources import get_source

SOURCE = get_source("vqa-rad")
PUBLIC = "VQA_RAD Dataset Public.json"


@pytest.fixture
def variants(small_releases):
    return small_releases("vqa-rad")


@pytest.fixture
def public(variants, tmp_path):
    return shutil.copytree(variants["write_public"], tmp_path / "public")


def questions(tables):
    columns = ("image_id", "name", "value", "text", "answers", "origin", "quality")
    return sorted(tables.annotations.select(columns).rows(), key=repr)


def test_the_publishers_file_says_the_same_as_the_split(variants, public, read):
    split, whole = read(variants["write"]), read(public)
    assert SOURCE.check(public) == [PUBLIC]
    assert len(questions(whole)) == 3 and questions(whole) == questions(split)
    hints = ["image_id", "split"]
    assert sorted(whole.hints.select(hints).rows(), key=repr) == sorted(
        split.hints.select(hints).rows(), key=repr
    )
    assert ("vqa-rad/synpic2.jpg", "test") in whole.hints.select(hints).rows()
    assert whole.images.drop("path", "file", "row").equals(split.images.drop("path", "file", "row"))
    assert whole.images["path"][0] == "VQA_RAD Image Folder/synpic1.jpg"
    assert whole.rejects["code"].to_list() == ["not-chest"]


def test_framed_wordings_are_counted_as_not_read(variants, public):
    assert SOURCE.remarks(public) == [
        "Questions whose framed wording (question_frame) is not read: 1."
    ]
    assert SOURCE.remarks(variants["write"]) == []
    items = json.loads((public / PUBLIC).read_text())
    for item in items:
        item["question_frame"] = "NULL"
    (public / PUBLIC).write_text(json.dumps(items))
    assert SOURCE.remarks(public) == []


def test_names_without_blanks_are_the_same_files(public, read):
    (public / PUBLIC).rename(public / PUBLIC.replace(" ", "_"))
    (public / "VQA_RAD Image Folder").rename(public / "VQA_RAD_Image_Folder")
    assert len(questions(read(public))) == 3


def test_a_paraphrase_of_a_test_question_is_a_test_question(public, read):
    items = json.loads((public / PUBLIC).read_text())
    items[1]["phrase_type"] = "test_para"
    (public / PUBLIC).write_text(json.dumps(items))
    hints = read(public).hints.select("row", "split").rows()
    assert hints == [(1, None), (2, "test"), (4, "test")]


def test_a_file_without_phrase_type_cannot_tell_the_test_set(public):
    items = json.loads((public / PUBLIC).read_text())
    for item in items:
        del item["phrase_type"]
    (public / PUBLIC).write_text(json.dumps(items))
    with pytest.raises(ImaxrayError, match="Expected the key phrase_type"):
        SOURCE.check(public)


def test_without_any_file_the_sentence_names_both_forms(public, variants, tmp_path):
    (public / PUBLIC).unlink()
    with pytest.raises(ImaxrayError, match=r"testset\.json, or VQA_RAD Dataset Public\.json"):
        SOURCE.check(public)
    half = shutil.copytree(variants["write"], tmp_path / "half")
    (half / "testset.json").unlink()
    with pytest.raises(ImaxrayError, match=r"Expected testset\.json in"):
        SOURCE.check(half)
    with pytest.raises(ImaxrayError, match="as a folder at"):
        SOURCE.check(tmp_path / "nowhere")
