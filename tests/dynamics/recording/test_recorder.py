"""Tests the recorder on PyTorch modules: reuse, accumulation, scales, misuse, second reference."""

import numpy as np
import pytest
import torch
from torch import nn
from torch.utils.checkpoint import checkpoint

from imaxray.dynamics import Gram, GramRecorder, RowMap, empirical_fisher, naive_gram
from imaxray.errors import ImaxrayError


class Net(nn.Module):
    """Two Linears, one used ``times`` times, with tanh between; mean over positions at the end."""

    def __init__(self, width=5, times=1, mode=None):
        super().__init__()
        torch.manual_seed(0)
        self.mode, self.times = mode, times
        self.first = nn.Linear(4, width)
        self.again = nn.Linear(width, width)
        self.last = nn.Linear(width, 1, bias=False)
        self.double()

    def forward(self, x):
        x = torch.tanh(self.first(x))
        for _ in range(self.times):
            if self.mode is None:
                x = self.block(x)
            else:
                x = checkpoint(self.block, x, use_reentrant=self.mode == "reentrant")
        return self.last(x)

    def block(self, x):
        return torch.tanh(self.again(x)) + x


def losses(model, x):
    return model(x).flatten(1).square().sum(1)


def rows(model, x):
    return RowMap.one_each(len(x)), {}


def batch(n=6, seed=0):
    return torch.randn(n, 3, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def naive(model, batches):
    places = [(b, s) for b, x in enumerate(batches) for s in range(len(x))]
    parameters = [p for p in model.parameters() if p.requires_grad]
    return naive_gram(model, batches, losses, parameters, places)


def close(ours, theirs, tolerance=1e-12):
    assert np.abs(ours - theirs).max() <= tolerance * np.abs(theirs).max()


@pytest.mark.parametrize("mode", [None, "reentrant", "plain"])
@pytest.mark.parametrize("times", [1, 3])
@pytest.mark.parametrize("parts", [1, 3])
def test_reuse_checkpointing_and_micro_batches(mode, times, parts):
    model = Net(times=times, mode=mode)
    batches = [batch(4, seed) for seed in range(parts)]
    gram = empirical_fisher(model, batches, losses, rows)
    close(gram.matrix, naive(model, batches))


def test_rows_in_blocks():
    model = Net(width=7)
    few = 6 * 4 * 8 * 2
    gram = empirical_fisher(model, [batch()], losses, rows, block_bytes=few)
    close(gram.matrix, naive(model, [batch()]))
    recorder = GramRecorder(model, block_bytes=few)
    with recorder, recorder.batch(6):
        losses(model, batch()).sum().backward()
    ours = [p.grad.clone() for p in model.parameters()]
    model.zero_grad()
    losses(model, batch()).sum().backward()
    for got, p in zip(ours, model.parameters(), strict=True):
        torch.testing.assert_close(got, p.grad, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("keep", [False, True])
def test_scales_are_undone(keep):
    model, x = Net(), batch()
    scales = torch.tensor([0.5, 2.0, 0.1, 7.0, -1.0, 0.3], dtype=torch.float64)
    recorder = GramRecorder(model, keep_rows=keep)
    with recorder, recorder.batch(6, scales=scales):
        (losses(model, x) * scales).sum().backward()
    close(recorder.gram().matrix, naive(model, [x]))


def test_accumulation_leaves_the_sum_of_gradients():
    model = Net()
    batches = [batch(2, 1), batch(3, 2)]
    with GramRecorder(model, keep_rows=True) as recorder:
        for x in batches:
            with recorder.batch(len(x), scales=[0.5] * len(x)):
                (losses(model, x).sum() / 2).backward()
        gram = recorder.gram()
    close(gram.matrix, naive(model, batches))
    ours = model.first.weight.grad.clone()
    model.zero_grad()
    for x in batches:
        (losses(model, x).sum() / 2).backward()
    torch.testing.assert_close(ours, model.first.weight.grad, rtol=1e-12, atol=1e-15)


def test_irregular_row_maps():
    """Samples out of order, of unequal size, one with no row at all."""
    model, x = Net(), batch(7)
    owner = torch.tensor([2, 0, 2, 4, 0, 1, 2])

    def summed(model, x):
        return torch.zeros(5, dtype=x.dtype).index_add(0, owner, losses(model, x))

    gram = empirical_fisher(model, [x], summed, lambda m, x: (RowMap(owner), {}))
    parameters = list(model.parameters())
    expected = naive_gram(model, [x], summed, parameters, [(0, s) for s in [0, 1, 2, 4]])
    close(gram.matrix[np.ix_([0, 1, 2, 4], [0, 1, 2, 4])], expected)
    assert not gram.matrix[3].any()


def test_second_backward_raises():
    model = Net()
    with GramRecorder(model) as recorder, pytest.raises(ImaxrayError, match="one more came"):
        recorder.begin(6)
        loss = losses(model, batch()).sum()
        loss.backward(retain_graph=True)
        loss.backward()


def test_gradient_of_an_earlier_batch_raises():
    model = Net()
    with GramRecorder(model, keep_rows=True) as recorder:
        recorder.begin(6)
        stale = losses(model, batch()).sum()
        recorder.begin(6)
        losses(model, batch()).sum()
        with pytest.raises(ImaxrayError, match="one more came"):
            stale.backward()


def test_forward_outside_the_batch_raises():
    model = Net()
    with GramRecorder(model) as recorder:
        loss = losses(model, batch()).sum()
        recorder.begin(6)
        with pytest.raises(ImaxrayError, match="sum of its per-sample rows"):
            loss.backward()


class ByHand(Net):
    def __init__(self, before):
        super().__init__()
        self.before = before

    def block(self, x):
        taken = x @ self.again.weight.T
        return super().block(taken) if self.before else super().block(x) @ self.again.weight.T


@pytest.mark.parametrize("before", [False, True])
def test_weight_taken_by_hand_raises(before):
    with pytest.raises(ImaxrayError, match=r"again\.weight to be the sum"):
        empirical_fisher(ByHand(before), [batch()], losses, rows)


def test_attention_that_takes_its_projection_by_hand_raises():
    class Attends(nn.Module):
        def __init__(self):
            super().__init__()
            self.attention = nn.MultiheadAttention(4, 2, batch_first=True)
            self.attention.in_proj_weight.requires_grad_(False)
            self.attention.in_proj_bias.requires_grad_(False)
            self.double()

        def forward(self, x):
            return self.attention(x, x, x)[0]

    with pytest.raises(ImaxrayError, match="out_proj"):
        empirical_fisher(Attends(), [batch()], losses, rows)


def test_uncovered_parameters_raise_or_are_named():
    model = Net()
    model.extra = nn.Parameter(torch.ones(1, dtype=torch.float64))
    with pytest.raises(ImaxrayError, match=r"1 have none \(extra\)"):
        GramRecorder(model)
    assert GramRecorder(model, uncovered="name").uncovered == ("extra",)
    assert GramRecorder(model, leave_out=["ext*"]).uncovered == ("extra",)


def test_coupled_samples_are_refused():
    model = nn.Sequential(nn.Linear(4, 4), nn.BatchNorm1d(4))
    with pytest.raises(ImaxrayError, match="batch norm 1 couples"):
        GramRecorder(model)


def test_dora_is_named():
    from peft import LoraConfig, get_peft_model

    model = get_peft_model(
        nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 2)),
        LoraConfig(target_modules=["0"], use_dora=True),
    )
    with pytest.raises(ImaxrayError, match="have none"):
        GramRecorder(model)


def test_norms_convolutions_embeddings_and_tied_weights():
    class Words(nn.Module):
        def __init__(self):
            super().__init__()
            torch.manual_seed(1)
            self.words = nn.Embedding(9, 6)
            self.norm = nn.LayerNorm(6)
            self.conv = nn.Conv1d(6, 6, 3, padding=1)
            self.scale = nn.RMSNorm(6)
            self.head = nn.Linear(6, 9, bias=False)
            self.head.weight = self.words.weight
            self.double()

        def forward(self, ids):
            x = self.norm(self.words(ids))
            x = self.scale(self.conv(x.transpose(1, 2)).transpose(1, 2)) + x
            return self.head(x).log_softmax(-1)

    model = Words()
    ids = torch.randint(0, 9, (5, 7), generator=torch.Generator().manual_seed(2))
    gram = empirical_fisher(model, [ids, ids[:2].flip(1)], losses, rows)
    close(gram.matrix, naive(model, [ids, ids[:2].flip(1)]))
    assert gram.uncovered == ()


def test_a_pass_without_gradients_in_between_changes_nothing():
    model, x = Net(times=2), batch()
    with GramRecorder(model) as recorder:
        recorder.begin(6)
        with torch.no_grad():
            model(x)
        losses(model, x).sum().backward()
        close(recorder.gram().matrix, naive(model, [x]))


def test_second_batch_without_kept_rows_is_refused():
    model = Net()
    with GramRecorder(model) as recorder:
        recorder.begin(2)
        with pytest.raises(ImaxrayError, match="keep_rows"):
            recorder.begin(2)


def test_verify_finds_samples_that_mix():
    class Mixes(Net):
        def block(self, x):
            return super().block(x + x.mean(0, keepdim=True))

    with pytest.raises(ImaxrayError, match="a module mixes samples"):
        empirical_fisher(Mixes(), [batch()], losses, rows, verify=True)


def test_grad_and_mode_are_as_before():
    model = Net().train()
    losses(model, batch()).sum().backward()
    before = model.last.weight.grad
    held = before.clone()
    empirical_fisher(model, [batch(3, 9)], losses, rows, verify=2)
    assert model.last.weight.grad is before
    assert torch.equal(before, held)
    assert model.training
    assert "forward" not in vars(model.last)


def test_autocast_keeps_float32_rows():
    model = Net().float()
    x = batch().float()

    def cast(model, x):
        with torch.autocast("cpu", torch.bfloat16):
            out = model(x)
        return out.float().flatten(1).square().sum(1)

    gram = empirical_fisher(model, [x], cast, rows)
    parameters = list(model.parameters())
    expected = naive_gram(model, [x], cast, parameters, [(0, s) for s in range(6)])
    close(gram.matrix, expected, 2e-2)


def test_half_weights():
    model = Net().bfloat16()
    x = batch().bfloat16()
    gram = empirical_fisher(model, [x], lambda m, x: losses(m, x).float(), rows)
    close(gram.matrix, naive(Net().bfloat16().float().double(), [x.double()]), 0.1)


def test_torchjd_agrees():
    """A second oracle that shares no code with either of ours."""
    engine = pytest.importorskip("torchjd.autogram")
    model, x = Net(width=6).double(), batch()
    ours = empirical_fisher(model, [x], losses, rows).matrix
    theirs = engine.Engine(model, batch_dim=0).compute_gramian(losses(model, x))
    close(ours, theirs.numpy())


def test_round_trip_through_parquet(tmp_path):
    gram = empirical_fisher(
        Net(), [batch(3)], losses, rows,
        ids=("a", "b", "c"), tasks=("vqa", "rec", "vqa"), tokens=np.array([1.0, 2, 3]),
    )  # fmt: skip
    gram.write(tmp_path / "gram.parquet")
    back = Gram.read(tmp_path / "gram.parquet")
    assert back.ids == gram.ids
    assert back.tasks == gram.tasks
    assert back.images is None
    assert np.array_equal(back.matrix, gram.matrix)
    assert np.array_equal(back.tokens, gram.tokens)


def test_reductions_scale_rows():
    model, x = Net(), batch(3)
    counts = np.array([1.0, 2.0, 4.0])
    gram = empirical_fisher(model, [x], losses, rows, tokens=counts)
    mean = empirical_fisher(model, [x], lambda m, x: losses(m, x) / torch.from_numpy(counts), rows)
    close(gram.reduced("token-mean").matrix, mean.matrix)
    assert np.allclose(np.diag(gram.reduced("unit-norm").matrix), 1)
    with pytest.raises(ImaxrayError, match="summed losses"):
        gram.reduced("unit-norm").reduced("token-mean")


def test_long_float32_rows_keep_their_digits():
    """Kept rows of many parameters are multiplied together: float32 sums must not add up."""
    from imaxray.dynamics.recording.row_map import gram_of

    rows = torch.rand(3, 2_000_000, generator=torch.Generator().manual_seed(3))
    exact = rows.double() @ rows.double().T
    assert (gram_of(rows) - exact).abs().max() < 1e-6 * exact.max()
    assert torch.equal(gram_of(rows[:, :0]), torch.zeros(3, 3, dtype=torch.float64))
