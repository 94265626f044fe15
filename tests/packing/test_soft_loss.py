"""Distributions as targets: the loss is that of a dense table, and packing does not change it."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from imaxray.models import EncodedEntry
from imaxray.packing import collate, entry_losses, lay_out, soft_cross_entropy
from imaxray.training.steps.soft import SoftAnswer, soft_targets

IMAGE, V = 3, 50
GROUPS = [
    [EncodedEntry([1, IMAGE, 9, 20 + k], [30 + k] * (k + 1)) for k in range(count)]
    for count in (3, 1, 2)
]


def distributions(tokens, k, seed, mass=1.0):
    """Top-k log-probabilities that hold a share ``mass`` of all probability."""
    random = np.random.default_rng(seed)
    ids = np.array([random.permutation(V)[:k] for _ in range(tokens)])
    shares = np.sort(random.dirichlet(np.ones(k), tokens))[:, ::-1] * mass
    return torch.from_numpy(ids), torch.from_numpy(np.log(shares))


def dense(logits, ids, logprobs, temperature):
    """The same loss by a table of all tokens, in float64."""
    table = torch.full(logits.shape, -torch.inf, dtype=torch.float64)
    rest = (1 - logprobs.exp().sum(-1)).clamp(min=0)
    if ids.shape[1] < V:
        table[:] = (rest / (V - ids.shape[1])).log()[:, None]
    table.scatter_(1, ids, logprobs)
    target = (table / temperature).softmax(-1)
    likely = (logits / temperature).log_softmax(-1)
    return -(temperature**2) * (target * likely).sum(-1)


@given(
    k=st.sampled_from([1, 2, 7, V]), temperature=st.sampled_from([0.5, 1.0, 3.0]),
    mass=st.floats(0.1, 0.999), seed=st.integers(0, 50),
)  # fmt: skip
def test_the_loss_is_that_of_a_dense_table(k, temperature, mass, seed):
    ids, logs = distributions(6, k, seed, 1.0 if k == V else mass)
    scores = torch.randn((6, V), generator=torch.Generator().manual_seed(seed)).double()
    loss = soft_cross_entropy(scores, ids, logs, temperature)
    assert torch.allclose(loss, dense(scores, ids, logs, temperature), rtol=1e-9, atol=1e-12)


def test_all_mass_on_one_token_is_the_hard_loss():
    scores = torch.randn((4, V), generator=torch.Generator().manual_seed(0)).double()
    ids = torch.tensor([[5, 6], [1, 2], [3, 4], [7, 8]])
    logs = torch.tensor([[0.0, -torch.inf]] * 4, dtype=torch.float64)
    hard = torch.nn.functional.cross_entropy(scores, ids[:, 0], reduction="none")
    assert torch.allclose(soft_cross_entropy(scores, ids, logs, 1.0), hard, rtol=1e-9)


def test_a_teacher_of_its_own_has_no_gradient():
    """A student with the teacher's distribution has nothing to learn, at any temperature."""
    scores = torch.randn((3, V), generator=torch.Generator().manual_seed(2)).double()
    logs, ids = scores.log_softmax(-1).sort(descending=True)
    for temperature in (1.0, 2.0):
        mine = scores.clone().requires_grad_()
        soft_cross_entropy(mine, ids, logs, temperature).sum().backward()
        assert mine.grad.abs().max() < 1e-12


def answers():
    """Distributions of all entries but one, under the names that ``lay_out`` gives them."""
    found = {}
    for g, group in enumerate(GROUPS):
        for e, entry in enumerate(group):
            if (g, e) != (0, 1):
                ids, logs = distributions(len(entry.target), 4, 10 * g + e, 0.9)
                found[f"{g}.{e}"] = SoftAnswer(
                    entry.target, ids.numpy().astype(np.int32), logs.numpy().astype(np.float32)
                )
    return found


@pytest.mark.parametrize("known", [{}, answers()], ids=["hard", "soft"])
def test_packed_and_separate_rows_have_the_same_loss_and_gradient(known):
    weight = torch.randn((64, V), generator=torch.Generator().manual_seed(3)).double()

    def run(packed):
        plan = lay_out(GROUPS, IMAGE, packed=packed, tokens_per_row=100 if packed else None)
        batch = collate(plan.rows, pad=0)
        names = iter(f"{g}.{e}" for g, e in plan.entries)
        rows = [(row, [next(names) for _ in range(row.entries)]) for row in plan.rows]
        soft = soft_targets(rows, known)
        parameter = weight.clone().requires_grad_()
        # the logits depend on a token, its place in its own sequence, and nothing else
        scores = parameter[batch.input_ids] * (1 + batch.position_ids[..., None] / 10)
        losses = entry_losses(scores, batch, soft, temperature=2.0)
        losses.mean().backward()
        order = sorted(range(len(plan.entries)), key=lambda k: plan.entries[k])
        return losses.detach()[order], parameter.grad, len(soft.places)

    (a, ga, n), (b, gb, m) = run(True), run(False)
    assert n == m == sum(len(answer.tokens) for answer in known.values())
    assert torch.allclose(a, b, rtol=1e-12)
    assert torch.allclose(ga, gb, rtol=1e-10, atol=1e-14)


def test_an_answer_with_other_tokens_keeps_them_as_targets():
    row = lay_out([GROUPS[0][:1]], IMAGE).rows[0]
    ids, logs = distributions(1, 4, 0)
    other = SoftAnswer([31], ids.numpy().astype(np.int32), logs.numpy().astype(np.float32))
    assert len(soft_targets([(row, ["a"])], {"a": other}).places) == 0
    assert len(soft_targets([(row, ["b"])], {"a": other}).places) == 0
