"""Tests compact token ids, the report of entries that do not fit, and images on demand."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from imaxray.errors import ImaxrayError
from imaxray.models import EncodedEntry, build_tiny
from imaxray.training import LazyImages, TokenStore, encode_split

IMAGE = 7
ids = st.lists(st.sampled_from([1, 2, IMAGE, IMAGE, IMAGE, 100_000]), max_size=30)


@given(st.lists(st.tuples(ids, ids), max_size=5))
def test_a_store_gives_back_what_it_took(entries):
    store = TokenStore(IMAGE)
    for k, (prompt, target) in enumerate(entries):
        store.add(str(k), EncodedEntry(prompt, target))
    assert [(e.prompt, e.target) for e in store.values()] == entries


def test_an_image_costs_one_number():
    store = TokenStore(IMAGE)
    for k in range(1000):
        store.add(str(k), EncodedEntry([1] * 20 + [IMAGE] * 576 + [2] * 20, [3] * 20))
    assert len(store._ids) * store._ids.itemsize == 1000 * 4 * 61


@pytest.fixture(scope="module")
def chat():
    return build_tiny("llava", max_position_embeddings=200)


def test_entries_longer_than_the_context_are_dropped_and_told(chat, imax):
    train = imax.split("train")
    ready = encode_split(chat, train, imax.images)
    long = ready.drops
    assert 0 < long.height < train.height and ready.counts() == {"longer-than-context": long.height}
    assert long["tokens"].min() > 200 == long["limit"].unique().item()
    assert set(long["task"]) == {"report"}
    assert sorted([*ready.entries["entry_id"], *long["entry_id"]]) == sorted(train["entry_id"])
    assert ready.longest == max(len(e.prompt) + len(e.target) for e in ready.tokens.values()) <= 200
    # what is kept is whole
    whole = chat.encode(*train.filter(entry_id=next(iter(ready.tokens))).select(
        "prompt", "target", "boxes").row(0), (1, 1))  # fmt: skip
    assert next(iter(ready.tokens.values())).target[-1] == whole.target[-1] == chat.end_of_turn


def test_no_entry_fits(imax):
    chat = build_tiny("llava", max_position_embeddings=30)
    with pytest.raises(ImaxrayError, match=r"context of 30 tokens.*longer context"):
        encode_split(chat, imax.split("train"), imax.images)


def test_a_processor_that_changes_the_size_between_entries_is_refused(chat, imax, monkeypatch):
    encode, calls = chat.encode, []

    def moody(*args):
        calls.append(1)
        entry = encode(*args)
        if len(calls) == 2:  # entries of an image lie side by side
            return EncodedEntry([*entry.prompt, chat.image_token], entry.target)
        return entry

    monkeypatch.setattr(chat, "encode", moody)
    two = imax.split("train").sort("image_id")[:2]
    assert two["image_id"].n_unique() == 1
    with pytest.raises(ImaxrayError, match=r"one size for all entries of image .* 16 and 17"):
        encode_split(chat, two, imax.images)


def test_a_prompt_without_image_tokens_is_refused(chat, imax, monkeypatch):
    monkeypatch.setattr(chat, "encode", lambda *_: EncodedEntry([1, 2], [3]))
    with pytest.raises(ImaxrayError, match="image input"):
        encode_split(chat, imax.split("train"), imax.images)


def test_images_are_loaded_when_needed_and_memory_is_bounded():
    loads = []

    def load(image_id):
        loads.append(image_id)
        return {"pixel_values": torch.zeros(1, 2**18)}  # 1 MiB

    images = LazyImages(["a", "b", "c"], load, megabytes=2)
    assert len(images) == 3 and not loads
    for image_id in "abab":
        assert images[image_id]["pixel_values"].shape == (1, 2**18)
    assert loads == ["a", "b"]
    assert images["c"] and images["b"] and loads == ["a", "b", "c"]  # a was the oldest
    assert images["a"] and loads == ["a", "b", "c", "a"]
    assert images._used == 2 * 2**20 and len(images._kept) == 2
    with pytest.raises(KeyError):
        images["z"]
    none = LazyImages(["a"], load, megabytes=0)
    assert none["a"] and none["a"] and len(loads) == 6
