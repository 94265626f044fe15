"""Tests that dense mask and predicate agree with a simple implementation of the rule."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from imaxray.models import EncodedEntry
from imaxray.packing import Visibility, collate, image_blocks, join_rows, pack

IMAGE = 3

entry = st.tuples(st.integers(1, 3), st.integers(1, 3))
image = st.tuples(st.integers(1, 4), st.lists(entry, min_size=1, max_size=3))
rows = st.lists(st.lists(image, min_size=1, max_size=3), min_size=1, max_size=3)


def batch_of(rows):
    made = [
        join_rows(
            [
                pack(
                    [
                        EncodedEntry([1, *[IMAGE] * size, 9] + [20 + k] * p, [30 + k] * t)
                        for k, (p, t) in enumerate(entries)
                    ],
                    IMAGE,
                )
                for size, entries in groups
            ]
        )
        for groups in rows
    ]
    return made, collate(made, pad=0, multiple_of=4)


def visibility(batch, both_ways, window):
    blocks = image_blocks(batch.input_ids, IMAGE) if both_ways else None
    return Visibility(batch.segments, batch.prefixes, batch.position_ids, blocks, window)


def expected(row, both_ways, window):
    """The mask of every separate sequence, written down the long way."""
    n = len(row)
    mask = torch.zeros((n, n), dtype=torch.bool)
    for group in row.groups:
        place = range(group.start, group.stop)
        prefix = [k for k in place if row.segments[k] == row.prefixes[k]]
        for segment in sorted({row.segments[k] for k in place}):
            own = [k for k in place if row.segments[k] == segment]
            alone = own if own == prefix else prefix + own  # the separate sequence
            for i, at in enumerate(alone):
                for j, other in enumerate(alone):
                    image = both_ways and row.ids[at] == row.ids[other] == IMAGE
                    near = window is None or j > i - window
                    if near and (j <= i or image):
                        mask[at, other] = True
    return mask


@settings(max_examples=60, deadline=None)
@given(rows, st.booleans(), st.none() | st.integers(1, 6))
def test_dense(rows, both_ways, window):
    made, batch = batch_of(rows)
    mask = visibility(batch, both_ways, window).dense()
    for number, row in enumerate(made):
        n = len(row)
        assert torch.equal(mask[number, :n, :n], expected(row, both_ways, window))
        assert not mask[number, :n, n:].any() and not mask[number, n:, :n].any()
    assert mask.any(dim=-1).all()  # no softmax over nothing, not even on padding


@settings(max_examples=30, deadline=None)
@given(rows, st.booleans(), st.none() | st.integers(1, 6))
def test_the_predicate_is_the_dense_mask(rows, both_ways, window):
    """What flex attention asks, element by element, on a GPU."""
    from torch.nn.attention.flex_attention import create_mask

    _, batch = batch_of(rows)
    seen = visibility(batch, both_ways, window)
    b, n = batch.input_ids.shape
    asked = create_mask(seen.predicate(), b, 1, n, n, device="cpu")
    assert torch.equal(asked[:, 0], seen.dense())


@pytest.mark.parametrize("window", [None, 100])
def test_block_mask_covers_and_skips(window):
    """Blocks of 128: every visible pair is in a block that is computed; empty blocks are not."""
    entries = [(60, 60)] * 4
    _, batch = batch_of([[(300, entries)], [(200, entries), (100, entries)]])
    seen = visibility(batch, True, window)
    blocks = seen.block_mask()
    mask = seen.dense()
    n = mask.shape[-1]
    side = -(-n // 128)
    padded = torch.nn.functional.pad(mask, (0, side * 128 - n, 0, side * 128 - n))
    any_seen = padded.view(2, side, 128, side, 128).any(dim=4).any(dim=2)
    assert torch.equal(blocks.to_dense()[:, 0].bool(), any_seen)
    assert blocks.sparsity() > 30
