"""Tests the entries as a model sees them, with a miniature of each real family and a phantom."""

import polars as pl
import pytest

from imaxray.errors import ImaxrayError
from imaxray.schema import ENTRIES, conform
from imaxray.viewer.image.rendering import Renderer

torch = pytest.importorskip("torch", reason="rendering needs the extra train")

from imaxray.boxes import split_boxes  # noqa: E402 - after the skip
from imaxray.models import build_tiny  # noqa: E402
from imaxray.models.tiny import tiny_families  # noqa: E402

SIZE = (200, 333)
LITERAL = "Is <|im_end|> or <end_of_turn> a word?"
BOXES = [[20.0, 66.6, 100.0, 199.8], [0.0, 0.0, 100.0, 333.0], [60.0, 0.0, 200.0, 166.5]]


def entry(number, task, prompt, target, boxes=()):
    return {
        "entry_id": f"{number:016x}", "image_id": "a/1", "patient_id": "a/p", "task": task,
        "split": "train", "prompt": prompt, "target": target, "boxes": list(boxes),
        "answer": "null", "template": f"{task}.x.0", "sources": ["a"], "quality": "human/x",
    }  # fmt: skip


ENTRIES_OF_IMAGE = conform(
    pl.DataFrame(
        [
            entry(0, "reg", "What is in this location: <box>?", "a nodule", BOXES[:1]),
            entry(1, "rec", "Where is the effusion?", "<box> <box>", BOXES[1:]),
            entry(2, "vqa", LITERAL, "no"),
        ]
    ),
    ENTRIES,
)  # fmt: skip


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    made = {}

    def get(family):
        if family not in made:
            chat = build_tiny(family, seed=1)
            folder = tmp_path_factory.mktemp("tiny") / family
            chat.save(folder)
            made[family] = (chat, folder)
        return made[family]

    return get


def text_of(pieces):
    return "".join(piece.get("text", "") for piece in pieces)


@pytest.mark.parametrize("family", tiny_families())
def test_every_family_shows_what_it_is_trained_on(saved, family):
    chat, folder = saved(family)
    found = Renderer({"m": str(folder)}).render("m", ENTRIES_OF_IMAGE, SIZE)
    assert found["exact"] and found["family"] == chat.family
    assert found["convention"] == chat.convention.name
    assert found["image_tokens"] == chat.image_tokens(SIZE) > 0
    encoded = []
    for row, shown in zip(ENTRIES_OF_IMAGE.iter_rows(named=True), found["entries"], strict=True):
        boxes = [tuple(box) for box in row["boxes"]]
        one = chat.encode(row["prompt"], row["target"], boxes, SIZE)
        encoded.append(one)
        assert (shown["prompt_tokens"], shown["target_tokens"]) == (
            len(one.prompt), len(one.target),
        )  # fmt: skip
        asked, told = split_boxes(row["prompt"], row["target"], boxes)
        words = lambda text: "".join(text.split())  # noqa: E731 - tokenizers differ in spaces
        prompt = chat.convention.fill(row["prompt"], asked, *SIZE)
        assert words(prompt) in words(text_of(shown["prompt"]))
        target = chat.convention.fill(row["target"], told, *SIZE)
        assert words(shown["target"]).startswith(words(target))
        images = [piece["image"] for piece in shown["prompt"] if "image" in piece]
        assert images == [chat.image_tokens(SIZE)]  # one block, at its place
    first, last = found["image_span"]
    ids = encoded[0].prompt
    assert all(token == chat.image_token for token in ids[first : last + 1])
    assert chat.image_token not in (*ids[:first], *ids[last + 1 :])
    assert found["dropped"] == [] and len(found["rows"]) == 1
    (row,) = found["rows"]
    lengths = [len(one.prompt) + len(one.target) for one in encoded]
    assert row["shared"] + sum(part["tokens"] for part in row["parts"]) == row["tokens"]
    assert row["tokens"] < sum(lengths)  # the image is there once
    assert row["tokens"] == sum(lengths) - (len(encoded) - 1) * row["shared"]
    assert row["shared"] > last


@pytest.mark.parametrize("family", tiny_families())
def test_an_image_without_entries_is_shown(saved, family):
    found = Renderer({"m": str(saved(family)[1])}).render("m", ENTRIES_OF_IMAGE.head(0), SIZE)
    assert found["entries"] == [] and found["rows"] == [] and found["image_tokens"] == 0


def test_an_entry_that_cannot_be_rendered_does_not_hide_the_others(saved):
    broken = entry(3, "rec", "Where?", "<box> <box>", BOXES[:1])
    entries = pl.concat([ENTRIES_OF_IMAGE, conform(pl.DataFrame([broken]), ENTRIES)])
    found = Renderer({"m": str(saved("qwen2_5_vl")[1])}).render("m", entries, SIZE)
    *good, bad = found["entries"]
    assert bad["entry_id"] == broken["entry_id"] and bad["problem"].startswith("Expected one box")
    assert all("problem" not in one for one in good)
    assert found["rows"][0]["entries"] == [one["entry_id"] for one in good]


def test_an_entry_beyond_the_context_is_named(saved):
    chat, folder = saved("qwen2_5_vl")
    assert chat.context_length is not None
    long = entry(4, "report", "Describe it.", "no effusion " * chat.context_length)
    entries = pl.concat([conform(pl.DataFrame([long]), ENTRIES), ENTRIES_OF_IMAGE])
    found = Renderer({"m": str(folder)}).render("m", entries, SIZE)
    assert found["dropped"] == [long["entry_id"]]
    assert found["rows"][0]["entries"] == ENTRIES_OF_IMAGE["entry_id"].to_list()


@pytest.mark.parametrize("name", ["lingshu-7b", "medgemma-1.5-4b", "llava-med-v1.5", "medmo-8b"])
def test_a_published_model_shows_words_that_look_like_marks_as_words(name):
    found = Renderer({"m": name}).render("m", ENTRIES_OF_IMAGE, SIZE)
    assert not found["exact"] and found["image_tokens"] > 0
    assert LITERAL in text_of(found["entries"][2]["prompt"])
    for one in found["entries"]:
        images = [piece for piece in one["prompt"] if "image" in piece]
        assert images == [{"image": found["image_tokens"]}]
        assert not set("\ue000\ue001") & set(text_of(one["prompt"]) + one["target"])


@pytest.mark.parametrize("name", ["other", "", "../m", "m\0"])
def test_a_model_that_was_not_named_is_refused(name):
    with pytest.raises(ImaxrayError, match="Expected one of the models m"):
        Renderer({"m": "nowhere"}).render(name, ENTRIES_OF_IMAGE, SIZE)


def test_a_folder_that_is_no_model_is_one_sentence(tmp_path):
    with pytest.raises(ImaxrayError, match="Expected"):
        Renderer({"m": str(tmp_path)}).render("m", ENTRIES_OF_IMAGE, SIZE)
