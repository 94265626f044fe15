"""Tests the layout: groups of entries, their positions, and which tokens attend to which."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from imaxray.errors import ImaxrayError
from imaxray.models import EncodedEntry, PhantomConfig, phantom
from imaxray.packing import (
    TOO_LONG,
    collate,
    common_prefix,
    fill,
    join_rows,
    lay_out,
    pack,
    separate,
)

CORPUS = [
    "Measure the ratio. 0.52",
    "Locate the nodule: [12, 34, 56, 78]",
    "The heart is large.",
] * 9
IMAGE = 3  # id of <image>: fourth special token


@pytest.fixture(scope="module")
def chat():
    config = PhantomConfig(image_size=32, patch_size=8, width=32, vocabulary=320, vision_layers=2)
    return phantom.build(config, CORPUS, seed=0)


def test_prompt_ids_equal_the_processors(chat):
    """Our fast path tokenises as the real processor does, image tokens and all."""
    image = np.zeros((32, 32, 1), dtype=np.uint8)
    entry = chat.encode("Where is <box>?", None, [(10.0, 20.0, 50.0, 60.0)], (100, 80))
    text = chat.chat("Where is [10, 25, 50, 75]?")
    out = chat.processor(
        text=text, images=[image], return_tensors="pt", input_data_format="channels_last",
        add_special_tokens=False,
    )  # fmt: skip
    assert out["input_ids"][0].tolist() == entry.prompt


def test_image_outside_the_prefix_is_refused():
    entries = [EncodedEntry([1, 5, IMAGE, 7], [8]), EncodedEntry([1, 6, IMAGE, 7], [8])]
    with pytest.raises(ValueError, match="common prefix"):
        pack(entries, IMAGE)


prompts = st.lists(st.lists(st.integers(0, 3), min_size=1, max_size=6), min_size=2, max_size=5)


@settings(deadline=None)  # busy machines
@given(prompts)
def test_common_prefix_is_common_and_leaves_a_token(items):
    length = common_prefix(items)
    assert all(item[:length] == items[0][:length] for item in items)
    assert all(len(item) > length for item in items)


def read_back(row):
    """The separate sequences that a row stands for, by entry number, and their answers."""
    found = {}
    for segment in sorted(set(row.segments)):
        inside = [k for k, s in enumerate(row.segments) if s == segment]
        parent = row.prefixes[inside[0]]
        members = [k for k, s in enumerate(row.segments) if s == parent and s != segment] + inside
        number = max(row.entry[k] for k in inside)
        if number < 0:
            continue  # a prefix
        assert [row.positions[k] for k in members] == list(range(len(members)))
        answer = [row.ids[k] for k in members if row.entry[k] == number]
        found[number] = ([row.ids[k] for k in members], answer)
    return found


tokens = st.lists(st.integers(20, 22), min_size=1, max_size=5)  # few ids: prefixes often go on
group = st.tuples(
    st.integers(1, 4), st.lists(st.tuples(st.booleans(), tokens, tokens), min_size=1, max_size=5)
)


@settings(deadline=None)  # busy machines
@given(st.lists(group, min_size=1, max_size=4), st.integers(20, 60) | st.none(), st.booleans())
def test_rows_stand_for_the_entries(items, budget, packed):
    """Whatever the plan, reading the rows back gives every entry, whole, once, with its image."""
    groups = [
        [EncodedEntry([1] + [9] * other + [IMAGE] * size + [8] + p, t) for other, p, t in prompts]
        for size, prompts in items
    ]
    plan = lay_out(groups, IMAGE, packed=packed, tokens_per_row=budget)
    everything = [(g, k) for g, members in enumerate(groups) for k in range(len(members))]
    assert sorted(plan.entries) == everything and not plan.dropped
    number, image = 0, 0
    for row in plan.rows:
        assert budget is None or len(row) <= budget
        for k, (ids, answer) in sorted(read_back(row).items()):
            g, e = plan.entries[number + k]
            entry = groups[g][e]
            assert ids == [*entry.prompt, *entry.target] and answer == entry.target
        # the image inputs the caller passes are those the placeholders stand for
        for place in row.groups:
            size = row.ids[place.start : place.stop].count(IMAGE)
            assert size == items[plan.images[image]][0]
            image += 1
        number += row.entries
    assert image == len(plan.images) and number == len(everything)
    if packed and budget is None:
        assert len(plan.images) == sum(len({o for o, _, _ in prompts}) for _, prompts in items)


def test_prompts_with_other_text_before_the_image_get_their_own():
    """Not an error: the image is encoded once for each way of leading up to it."""
    first, second = [1, 5, IMAGE, 7], [1, 6, IMAGE, 7]
    group = [EncodedEntry([*first, 20], [8]), EncodedEntry([*second, 20], [8]),
             EncodedEntry([*first, 21], [8])]  # fmt: skip
    plan = lay_out([group], IMAGE)
    assert plan.images == [0, 0]
    assert plan.entries == [(0, 0), (0, 2), (0, 1)]
    assert [row.entries for row in plan.rows] == [2, 1]


def test_long_entries_are_told_not_cut():
    short, long = EncodedEntry([1, IMAGE, 5], [6]), EncodedEntry([1, IMAGE, 5, 5], [6, 6])
    plan = lay_out([[short, long, short], [long]], IMAGE, context=5)
    assert plan.entries == [(0, 0), (0, 2)] and plan.images == [0]
    assert [(d.entry, d.tokens, d.reason) for d in plan.dropped] == [
        ((0, 1), 6, TOO_LONG),
        ((1, 0), 6, TOO_LONG),
    ]
    # rows may be longer than the context: no position is
    assert max(len(row) for row in plan.rows) > 5 > max(plan.rows[0].positions)


def test_an_entry_above_the_budget_is_an_error():
    with pytest.raises(ImaxrayError, match="at least 6"):
        lay_out([[EncodedEntry([1, IMAGE, 5, 5], [6, 6])]], IMAGE, tokens_per_row=5)


@settings(deadline=None)  # busy machines
@given(st.lists(st.integers(1, 20), max_size=30), st.integers(20, 40))
def test_fill(lengths, budget):
    bins = fill(lengths, budget)
    assert sorted(k for members in bins for k in members) == list(range(len(lengths)))
    assert all(sum(lengths[k] for k in members) <= budget for members in bins)
    # no two bins fit into one, as any first fit promises
    loads = sorted(sum(lengths[k] for k in members) for members in bins)
    assert all(a + b > budget for a, b in pairwise(loads))
    assert bins == fill(lengths, budget)


def test_fill_takes_the_longest_first():
    assert fill([3, 7, 5, 5], 10) == [[1, 0], [2, 3]]


def test_one_entry_alone_is_a_separate_row():
    """It needs no mask of its own, so the stock path, and its faster kernels, serve."""
    entry = EncodedEntry([1, IMAGE, 5], [6])
    assert pack([entry], IMAGE) == separate(entry)
    assert not collate([pack([entry], IMAGE)] * 2, pad=0).packed
    assert collate([join_rows([separate(entry)] * 2)], pad=0).packed


def test_padding():
    row = separate(EncodedEntry([1, IMAGE, 5], [6, 7]))
    batch = collate([row, join_rows([row, row])], pad=9, multiple_of=8)
    assert batch.input_ids.shape == (2, 16)
    assert batch.input_ids[0, 5:].eq(9).all() and batch.tokens == 15
    assert batch.valid.sum(dim=1).tolist() == [5, 10]
    assert batch.predicts.sum(dim=1).tolist() == [2, 4]
    assert batch.predicts[1].nonzero().flatten().tolist() == [2, 3, 7, 8]
