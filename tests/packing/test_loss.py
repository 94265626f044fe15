"""Tests that the loss is a mean over entries for all layouts, micro-batches and ranks."""

import math

import pytest
import torch

from imaxray.models import EncodedEntry
from imaxray.packing import collate, entry_losses, lay_out, step_loss

IMAGE, V = 3, 50
GROUPS = [
    [EncodedEntry([1, IMAGE, 9, 20 + k], [30 + k] * (k + 1)) for k in range(count)]
    for count in (3, 1, 2)
]


def logits(batch, seed=0):
    shape = (*batch.input_ids.shape, V)
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def test_entry_losses_by_hand():
    plan = lay_out(GROUPS, IMAGE, tokens_per_row=100)
    batch = collate(plan.rows, pad=0)
    scores = logits(batch).log_softmax(-1)
    sums = [0.0] * batch.entries
    for row in range(batch.input_ids.shape[0]):
        for place in range(1, batch.input_ids.shape[1]):
            owner = int(batch.entry[row, place])
            if owner >= 0:
                sums[owner] -= float(scores[row, place - 1, batch.input_ids[row, place]])
    lengths = [len(GROUPS[g][e].target) for g, e in plan.entries]
    losses = entry_losses(scores, batch)
    assert losses.tolist() == pytest.approx(
        [total / n for total, n in zip(sums, lengths, strict=True)], rel=1e-12
    )
    # the model's own selection gives the same
    assert torch.equal(entry_losses(scores[batch.predicts], batch), losses)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_is_summed_in_float32(dtype):
    batch = collate(lay_out(GROUPS, IMAGE).rows, pad=0)
    halves = torch.zeros((*batch.input_ids.shape, V), dtype=dtype)
    losses = entry_losses(halves, batch)
    assert losses.dtype == torch.float32
    assert losses.tolist() == pytest.approx([math.log(V)] * 6, rel=1e-6)


def test_accumulation_and_ranks_are_exact():
    """Micro-batches of 3, 1 and 2 entries on two ranks: the gradient of the mean over all six.

    A mean of means would weigh the lone entry three times.
    """
    weight = torch.randn(4, V, generator=torch.Generator().manual_seed(1), dtype=torch.float64)

    def run(batch, parameter):
        features = parameter[batch.input_ids % 4] * logits(batch, 2)[..., :1]
        return entry_losses(features, batch)

    def gradient(shares, parameter):
        (total,) = torch.autograd.grad(sum(shares), parameter)
        return total

    parameter = weight.clone().requires_grad_()
    batches = [collate(lay_out([group], IMAGE).rows, pad=0) for group in GROUPS]
    losses = [run(batch, parameter) for batch in batches]
    whole = gradient([torch.cat(losses).mean()], parameter)
    losses = [run(batch, parameter) for batch in batches]
    micro = gradient([step_loss(each, 6) for each in losses], parameter)
    torch.testing.assert_close(micro, whole, rtol=1e-12, atol=1e-15)
    losses = [run(batch, parameter) for batch in batches]
    ranks = [
        gradient([step_loss(each, 6, ranks=2) for each in mine], parameter)
        for mine in (losses[:1], losses[1:])
    ]
    torch.testing.assert_close((ranks[0] + ranks[1]) / 2, whole, rtol=1e-12, atol=1e-15)
    losses = [run(batch, parameter) for batch in batches]
    naive = gradient([each.mean() / 3 for each in losses], parameter)
    assert (naive - whole).norm() > 1e-3 * whole.norm()
