"""Tests K of real model classes against one backward pass per entry, in float64."""

import numpy as np
import pytest
import torch

from imaxray.dynamics import GramRecorder, empirical_fisher, naive_gram, one_row_each, row_losses
from imaxray.errors import ImaxrayError


def naive(case):
    parameters = [p for p in case.model.parameters() if p.requires_grad]
    places = [
        (b, s) for b, batch in enumerate(case.batches) for s in range(len(batch["input_ids"]))
    ]
    return naive_gram(case.model, case.batches, row_losses, parameters, places)


def off(ours, theirs):
    return float(np.abs(ours - theirs).max() / np.abs(theirs).max())


def test_equals_the_naive_loop(case):
    gram = empirical_fisher(case.model, case.batches, verify=True)
    assert off(gram.matrix, naive(case)) < 1e-7
    assert gram.uncovered == ()
    assert len(gram.groups) > 1
    assert all(np.abs(part).max() > 0 for name, part in gram.groups.items() if name != "other")


def test_gradients_are_the_usual_ones(case):
    usual = {}
    for recorded in (False, True):
        case.model.zero_grad()
        for batch in case.batches[:1]:
            rows, scopes = one_row_each(case.model, batch)
            if recorded:
                with GramRecorder(case.model) as recorder, recorder.batch(rows, scopes=scopes):
                    row_losses(case.model, batch).mean().backward()
            else:
                row_losses(case.model, batch).mean().backward()
        for name, p in case.model.named_parameters():
            if p.grad is None:  # SigLIP's pooling head takes no part
                assert name not in usual
                continue
            if recorded:
                torch.testing.assert_close(p.grad, usual[name], rtol=1e-10, atol=1e-13)
            else:
                usual[name] = p.grad.clone()


@pytest.mark.parametrize("reentrant", [False, True])
def test_checkpointing_in_both_modes(case, reentrant):
    expected = naive(case)
    case.model.gradient_checkpointing_enable({"use_reentrant": reentrant})
    case.model.enable_input_require_grads()
    case.model.train()
    gram = empirical_fisher(case.model, case.batches, train_mode=True)
    assert case.model.training
    assert off(gram.matrix, expected) < 1e-7


def test_checkpointing_recomputes(text):
    """The test above would pass without checkpointing too: it must be at work."""
    calls = []
    layer = text.model.base_model.model.model.layers[0]
    layer.mlp.register_forward_pre_hook(lambda *a: calls.append(1))
    text.model.gradient_checkpointing_enable({"use_reentrant": False})
    text.model.train()
    empirical_fisher(text.model, text.batches[:1], train_mode=True)
    assert len(calls) == 2


def test_tiles_need_their_map(llava_next):
    batch = llava_next.batches[0]
    with (
        GramRecorder(llava_next.model) as recorder,
        pytest.raises(ImaxrayError, match="has 11; give this module a row map"),
        recorder.batch(3),
    ):
        row_losses(llava_next.model, batch)


def test_several_images_a_row(qwen):
    """Two images in the first row, one in the second."""
    batch = qwen.batches[0]
    first, second, third = [row[mask.bool()] for row, mask in zip(
        batch["input_ids"], batch["attention_mask"], strict=True)]  # fmt: skip
    joined = torch.cat([first, second])
    ids = torch.nn.utils.rnn.pad_sequence([joined, third], batch_first=True)
    labels = ids.clone()
    labels[:, :-4] = -100
    labels[1] = torch.where(torch.arange(ids.shape[1]) < len(third) - 3, -100, ids[1])
    labels[1, len(third) :] = -100
    two = {
        **batch,
        "input_ids": ids,
        "attention_mask": (ids != 0).long(),
        "labels": labels,
        "mm_token_type_ids": (ids == 60).long(),
    }
    from imaxray.dynamics import RowMap, vision_scopes

    def rows(model, batch):
        text = RowMap.one_each(2)
        return text, vision_scopes(model, batch, text, image_rows=[0, 0, 1])

    gram = empirical_fisher(qwen.model, [two], rows=rows)
    parameters = [p for p in qwen.model.parameters() if p.requires_grad]
    expected = naive_gram(qwen.model, [two], row_losses, parameters, [(0, 0), (0, 1)])
    assert off(gram.matrix, expected) < 1e-7
    with pytest.raises(ImaxrayError, match="pass image_rows"):
        empirical_fisher(qwen.model, [two])


def test_left_out_parameters_are_named(qwen):
    gram = empirical_fisher(qwen.model, qwen.batches, leave_out=["*visual*"])
    assert gram.uncovered
    assert all("visual" in name for name in gram.uncovered)
    kept = [p for n, p in qwen.model.named_parameters() if p.requires_grad and "visual" not in n]
    expected = naive_gram(qwen.model, qwen.batches, row_losses, kept, [(0, 0), (0, 1), (0, 2)])
    assert off(gram.matrix, expected) < 1e-7
