"""Tests attention of many prompts to few prefixes against one softmax over all their keys."""

from types import SimpleNamespace

import pytest
import torch

from imaxray.evaluation.generation.attention import Step, _attend

HEADS, GROUPS, WIDTH, PREFIX = 6, 2, 8, 5


def whole(query, keys, values, seen):
    """Attend in one softmax, with the keys of a group repeated for each of its heads."""
    keys, values = (part.repeat_interleave(HEADS // GROUPS, dim=1) for part in (keys, values))
    scores = query @ keys.transpose(-1, -2) * WIDTH**-0.5
    scores = scores.masked_fill(~seen, -torch.inf)
    return (scores.softmax(dim=-1) @ values).transpose(1, 2)


@pytest.mark.parametrize("own", [1, 3])
@pytest.mark.parametrize("length", [1, 2])
@pytest.mark.parametrize("owners", [[0], [0, 0], [0, 1], [0, 0, 1], [0, 1, 1, 1], [0, 0, 1, 1]])
def test_prefix_and_own_tokens_are_one_softmax(owners, length, own):
    own = max(own, length)
    drawn = torch.Generator().manual_seed(0)

    def draw(*shape):
        return torch.randn(shape, generator=drawn, dtype=torch.float64)

    rows, images = len(owners), max(owners) + 1
    query = draw(rows, HEADS, length, WIDTH)
    key, value = draw(rows, GROUPS, own, WIDTH), draw(rows, GROUPS, own, WIDTH)
    keys, values = draw(images, GROUPS, PREFIX, WIDTH), draw(images, GROUPS, PREFIX, WIDTH)
    seen = torch.ones(length, own, dtype=torch.bool).tril(own - length)[None, None, None]
    most = max(owners.count(image) for image in range(images))
    place = [image * most + owners[:row].count(image) for row, image in enumerate(owners)]
    step = Step(
        [keys], [values], torch.tensor(place), most, None, seen.expand(rows, -1, -1, -1, -1)
    )
    mask = step.carrier()
    # strides that models give: heads lie inside tokens
    query = query.transpose(1, 2).contiguous().transpose(1, 2)

    found, _ = _attend(SimpleNamespace(layer_idx=0), query, key, value, mask)

    owner = torch.tensor(owners)
    every = torch.cat([keys[owner], key], dim=2), torch.cat([values[owner], value], dim=2)
    visible = torch.cat([torch.ones(length, PREFIX, dtype=torch.bool), seen[0, 0, 0]], dim=1)
    torch.testing.assert_close(found, whole(query, *every, visible))
    assert found.is_contiguous()
