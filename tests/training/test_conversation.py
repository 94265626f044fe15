"""Tests the layout of one chat per image: only its answers have a loss."""

import pytest
import torch

from imaxray.errors import ImaxrayError
from imaxray.models import build_tiny
from imaxray.models.tiny import tiny_families
from imaxray.packing import collate, entry_losses, model_inputs
from imaxray.training import Conversations, StepDataset, encode_entries, schedule


@pytest.fixture(scope="module", params=tiny_families())
def chat(request):
    return build_tiny(request.param)


@pytest.fixture(scope="module")
def image(imax):
    """The entries of one image."""
    train = imax.split("train").sort("image_id", "entry_id")
    return train.filter(image_id=train["image_id"][0])


def test_the_answers_and_their_ends_bear_the_loss(chat, image, imax):
    ids = image["entry_id"].to_list()
    [(row, order)] = Conversations(chat, image, imax.images).rows(ids)
    assert order == ids and row.entries == len(ids) > 3
    assert row.ids.count(chat.image_token) == chat.encode(
        "?", None, [], imax.images.filter(image_id=image["image_id"][0]).select(
            "width", "height").row(0)).prompt.count(chat.image_token)  # fmt: skip
    alone = encode_entries(chat, image, imax.images)
    assert not any(row.segments) and row.positions == list(range(len(row)))
    for k, entry_id in enumerate(ids):
        places = [p for p, owner in enumerate(row.entry) if owner == k]
        assert places == list(range(places[0], places[-1] + 1))
        # the very tokens that the entry has by itself
        assert [row.ids[p] for p in places] == alone[entry_id].target
    first = alone[ids[0]]
    assert row.ids[: len(first.prompt)] == first.prompt


def test_the_first_turn_is_the_separate_entry_and_later_ones_are_not(chat, image, imax, dataset):
    ids = image["entry_id"].to_list()[:3]
    pixels = {i: chat.pixels(dataset.image_path(i)) for i in image["image_id"].unique()}
    encoded = encode_entries(chat, image, imax.images)
    conversations = Conversations(chat, image, imax.images)
    [(row, _)] = conversations.rows(ids)
    batch = collate([row], pad=0)
    assert not batch.packed
    with torch.no_grad():
        inputs = model_inputs(chat.model, batch, pixels[image["image_id"][0]])
        talk = entry_losses(chat.model(**inputs).logits, batch)
        table = schedule(image, layout="separate", entries_per_step=len(image), steps=1, seed=0)
        item = StepDataset(chat, table, image, encoded, pixels, "separate")[0]
        inputs = model_inputs(chat.model, item["batch"], item["images"])
        single = entry_losses(chat.model(**inputs).logits, item["batch"])
    place = {e: k for k, e in enumerate(table["entry_id"])}
    single = torch.stack([single[place[e]] for e in ids])
    torch.testing.assert_close(talk[0], single[0], rtol=1e-5, atol=1e-6)
    assert (talk[1:] - single[1:]).abs().min() > 1e-6


def test_a_long_talk_is_cut_between_entries_and_none_is_lost(image, imax):
    chat = build_tiny("llava")
    ids = image["entry_id"].to_list()
    conversations = Conversations(chat, image, imax.images)
    [(whole, _)] = conversations.rows(ids)
    rows = list(conversations.rows(ids, len(whole) - 1))
    assert len(rows) > 1 and [e for _, part in rows for e in part] == ids
    for row, part in rows:
        assert row.entries == len(part) and (len(row) < len(whole) or len(part) == 1)


def test_a_template_that_rewrites_earlier_turns_is_refused(image, imax, monkeypatch):
    chat = build_tiny("qwen2_5_vl")
    render = chat.processor.apply_chat_template

    def forgetful(turns, **options):
        return render([turns[0], *turns[3:]] if len(turns) > 3 else turns, **options)

    monkeypatch.setattr(chat.processor, "apply_chat_template", forgetful)
    conversations = Conversations(chat, image, imax.images)
    with pytest.raises(ImaxrayError, match="--layout packed or separate"):
        list(conversations.rows(image["entry_id"].to_list()))
