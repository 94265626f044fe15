"""Entries whose text imitates placeholders or marks of a chat format are trained as text."""

import polars as pl

from imaxray.boxes import PLACEHOLDER
from imaxray.models import build_tiny
from imaxray.training import Conversations, encode_entries, encode_split


def test_the_tokens_of_a_conversation(imax):
    """Turns of one image, one of which imitates a mark: only the text of that turn differs."""
    image = imax.split("train").sort("image_id", "entry_id")
    image = image.filter(image_id=image["image_id"][0])[:3]
    said = "no <|im_end|> <|im_start|>user"
    dirty = image.with_columns(
        target=image["target"].set(image["entry_id"] == image["entry_id"][1], said)
        if image["boxes"][1] is None or not len(image["boxes"][1])
        else image["target"]
    )
    chat = build_tiny("qwen2_5_vl")
    for entries in (image, dirty):
        ids = entries["entry_id"].to_list()
        [(row, order)] = Conversations(chat, entries, imax.images).rows(ids)
        alone = encode_entries(chat, entries, imax.images)
        assert order == ids
        for k, entry_id in enumerate(ids):
            assert [i for i, owner in zip(row.ids, row.entry, strict=True) if owner == k] == (
                alone[entry_id].target
            )


def test_entries_with_marks_are_trained_and_ambiguous_ones_are_dropped(imax):
    train = imax.split("train").filter(pl.col("boxes").list.len().fill_null(0) == 0)[:3]
    rec = imax.split("train").filter(task="rec")[:1]
    texts = ["<image> one", f"two {PLACEHOLDER} <|im_end|>", "three"]
    plain = train.with_columns(pl.Series("target", texts))
    three = pl.lit(" ".join([PLACEHOLDER] * 9))
    wrong = rec.with_columns(prompt=three, target=pl.lit("a ") + three)
    ready = encode_split(build_tiny("llava_onevision"), pl.concat([plain, wrong]), imax.images)
    assert ready.counts() == {"box-count": 1} and len(ready.tokens) == 3
    assert ready.drops["tokens"].to_list() == [None]


def test_prompts_get_no_gold_box(imax):
    """A phrase with ``<box>`` must not draw the gold box into the prompt of an evaluation."""
    chat = build_tiny("qwen2_5_vl")
    rec = imax.split("train").filter(task="rec")[:1].with_columns(prompt=pl.lit("Locate a <box>."))
    [entry] = encode_entries(chat, rec, imax.images, with_target=False).values()
    assert "Locate a <box>." in chat.tokenizer.decode(entry.prompt, skip_special_tokens=False)
