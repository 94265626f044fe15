"""Tests counted tokens against those that training saw, and means against counts."""

from types import SimpleNamespace

import pytest

from imaxray.curation import open_dataset
from imaxray.errors import ImaxrayError
from imaxray.models import load_model, outline_model
from imaxray.packing import lay_out
from imaxray.study.estimating import count_tokens, tokens_of_means
from imaxray.study.estimating.tokens import pass_size
from imaxray.training import Recipe, train_dataset


def recipe(layout="packed", **more):
    return Recipe(model="x", layout=layout, method="full", entries_per_step=12, **more)


@pytest.fixture(scope="module")
def chat(finished):
    return load_model(finished[0] / "init")


@pytest.mark.parametrize("layout", ["packed", "separate", "conversation"])
def test_counts_are_those_of_the_training(finished, layout, tmp_path):
    out, _ = finished
    data, base = open_dataset(out / "imax"), out / "init"
    how = Recipe(
        model=str(base), layout=layout, method="full", entries_per_step=12, epochs=None, steps=4,
        log_every=4, save_every=4, tokens_per_batch=600, seed=3,
    )  # fmt: skip
    run = train_dataset(data, tmp_path / "run", how).manifest
    found = count_tokens(outline_model(base).chat, data, how, steps=4, sample=10**6)
    assert found.tokens == run["tokens_seen"] and found.entries_seen == run["entries_seen"] == 48
    assert found.is_exact and found.error == 0
    assert 0 < found.image_tokens < found.tokens
    assert found.images == {"separate": 48}.get(layout, found.images) <= 48


def test_packing_encodes_each_image_once_a_step(finished, chat):
    data = open_dataset(finished[0] / "imax")
    packed, separate = (
        count_tokens(chat, data, recipe(layout), steps=5, sample=10**6)
        for layout in ("packed", "separate")
    )
    assert packed.images < separate.images == separate.sequences == 60
    each = chat.image_tokens((100, 100))
    for found in (packed, separate):
        assert found.image_tokens == found.images * each
    # what an entry has for itself is the same in both layouts
    shared = (separate.tokens - packed.tokens) / (separate.images - packed.images)
    assert shared >= each


def test_a_sample_of_steps_is_close_and_says_how_close(finished, chat):
    data = open_dataset(finished[0] / "imax")
    whole = count_tokens(chat, data, recipe(), steps=60, sample=10**6)
    some = count_tokens(chat, data, recipe(), steps=60, sample=12 * 20)
    assert (whole.counted, some.counted) == (60, 20) and not some.is_exact
    assert 0 < some.error < 0.05 * whole.tokens
    assert abs(some.tokens - whole.tokens) < 4 * some.error
    assert some.entries_seen == whole.entries_seen == 720


def test_processes_divide_a_step_and_do_not_change_its_tokens(finished, chat):
    data = open_dataset(finished[0] / "imax")
    one, three = (
        count_tokens(chat, data, recipe(), steps=5, sample=10**6, processes=n) for n in (1, 3)
    )
    assert three.tokens == one.tokens
    largest = [max(size.tokens for size in found.largest) for found in (one, three)]
    assert largest[0] / 3 <= largest[1] < largest[0]


@pytest.mark.parametrize("layout", ["packed", "separate"])
def test_means_of_the_true_data_give_nearly_the_true_count(finished, chat, layout):
    """Means of the whole train split, given as a user would give them."""
    data = open_dataset(finished[0] / "imax")
    train = data.tables.split("train")
    sizes = data.tables.images.select("width", "height").unique()
    size = sizes.row(0)
    text = 0
    empty = chat.encode("", "", [], size)
    for prompt, target, boxes in train.select("prompt", "target", "boxes").iter_rows():
        whole = chat.encode(prompt, target, boxes or [], size)
        text += len(whole.prompt) + len(whole.target) - len(empty.prompt) - len(empty.target)
    how = recipe(layout)
    steps = 200  # many passes over the data, so that the drawn entries have the same means
    true = count_tokens(chat, data, how, steps=steps, sample=10**6)
    found = tokens_of_means(
        chat, how, steps=steps, entries_per_image=train.height / train["image_id"].n_unique(),
        text_tokens=text / train.height, size=size,
    )  # fmt: skip
    assert found.tokens == pytest.approx(true.tokens, rel=0.05)
    assert found.images == pytest.approx(true.images, rel=0.1)
    assert found.padding is None and found.counted == 0 and not found.is_exact


def test_means_say_nothing_of_conversations(chat):
    with pytest.raises(ImaxrayError, match="build the data first"):
        tokens_of_means(
            chat, recipe("conversation"), steps=1, entries_per_image=2, text_tokens=9, size=(9, 9)
        )


def test_the_size_of_a_pass_by_hand(chat):
    """Two images of two entries: padding, keys and pairs of masks, counted on paper."""
    groups = [[chat.encode(f"Edema {k}?", "Yes.", [], (64, 64)) for k in range(2)] for _ in "ab"]
    rows = lay_out(groups, chat.image_token, packed=False).rows
    length = max(len(row) for row in rows)
    plain = pass_size(rows, chat.image_token)
    assert (plain.rows, plain.length, plain.padded) == (4, length, 4 * length)
    assert plain.keys == 4 * length and not plain.packed
    assert plain.masked == (0 if plain.tokens == plain.padded else 4 * length**2)
    assert plain.answers == sum(len(entry.target) for group in groups for entry in group)
    assert plain.image_tokens == 4 * chat.image_tokens((64, 64))
    rows = lay_out(groups, chat.image_token, packed=True).rows
    packed = pass_size(rows, chat.image_token)
    assert packed.packed and packed.image_tokens == plain.image_tokens / 2
    assert packed.answers == plain.answers
    keys = masked = 0
    for row in rows:
        for group in row.groups:
            prefix, own = group.split - group.start, group.stop - group.split
            assert own < 64  # so that both entries attend in one call
            keys += prefix + (prefix + own)
            masked += own * (prefix + own)
    assert (packed.keys, packed.masked) == (keys, masked)


def test_data_without_a_train_split_are_refused(finished, chat):
    data = open_dataset(finished[0] / "imax")
    none = SimpleNamespace(
        folder=data.folder,
        tables=SimpleNamespace(split=lambda name: data.tables.split(name).clear()),
    )
    with pytest.raises(ImaxrayError, match="Expected a train split"):
        count_tokens(chat, none, recipe(), steps=1, sample=1)
