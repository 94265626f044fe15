"""Tests the average of weights against a float64 reference, and what a checkpoint holds of it."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from imaxray.errors import ImaxrayError
from imaxray.training.averaging import WeightAverage
from imaxray.training.config import TrainingConfig


def layer(dtype=torch.float32):
    torch.manual_seed(0)
    made = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.Linear(4, 2)).to(dtype)
    made[1].requires_grad_(False)  # frozen
    return made


def stepped(model, average, steps, seed=1):
    """Change the weights ``steps`` times; return those of the first layer after each step."""
    torch.manual_seed(seed)
    seen = []
    for step in range(1, steps + 1):
        with torch.no_grad():
            model[0].weight.add_(torch.randn_like(model[0].weight))
        average.update(step)
        seen.append(model[0].weight.detach().double().clone())
    return seen


@given(decay=st.floats(0.01, 0.999), steps=st.integers(1, 40))
def test_the_average_is_the_recursion_in_float64(decay, steps):
    model = layer()
    average = WeightAverage(model, decay)
    expected = torch.zeros(4, 3, dtype=torch.float64)
    for step, weight in enumerate(stepped(model, average, steps), start=1):
        share = max(1 - decay, 1 / step)
        expected = (1 - share) * expected + share * weight
    average.apply()
    torch.testing.assert_close(model[0].weight.double(), expected, rtol=1e-5, atol=1e-5)


def test_a_slow_average_of_few_steps_is_their_plain_mean():
    model = layer()
    average = WeightAverage(model, 0.999)
    seen = stepped(model, average, 20)
    average.apply()
    torch.testing.assert_close(
        model[0].weight.double(), torch.stack(seen).mean(0), rtol=1e-5, atol=1e-5
    )


def test_weights_of_few_bits_are_averaged_in_float32():
    """In bfloat16, a share of 1/100 of a small difference would be rounded away."""
    model = layer(torch.bfloat16)
    average = WeightAverage(model, 0.999)
    seen = stepped(model, average, 100)
    average.apply()
    expected = torch.stack(seen).mean(0).to(torch.bfloat16)
    torch.testing.assert_close(model[0].weight, expected, rtol=2**-7, atol=1e-3)


def test_the_weights_come_back_after_a_look_at_the_average():
    model = layer()
    average = WeightAverage(model, 0.9)
    stepped(model, average, 5)
    before = {n: p.detach().clone() for n, p in model.named_parameters()}
    with pytest.raises(KeyError), average.in_place():
        assert not torch.equal(model[0].weight, before["0.weight"])
        raise KeyError  # an error in the block changes nothing
    for name, parameter in model.named_parameters():
        assert torch.equal(parameter, before[name])


def test_frozen_weights_are_neither_averaged_nor_written(tmp_path):
    model = layer()
    average = WeightAverage(model, 0.9)
    stepped(model, average, 3)
    average.write(tmp_path, writes=True)
    from safetensors.torch import load_file

    assert sorted(load_file(tmp_path / "average.safetensors")) == ["0.bias", "0.weight"]


def test_an_average_goes_on_from_a_checkpoint(tmp_path):
    whole, cut = layer(), layer()
    average, first = WeightAverage(whole, 0.8), WeightAverage(cut, 0.8)
    stepped(whole, average, 6)
    stepped(cut, first, 6)
    first.write(tmp_path, writes=True)
    second = WeightAverage(cut, 0.8)
    second.read(tmp_path)
    for one, model in ((average, whole), (second, cut)):
        torch.manual_seed(9)
        with torch.no_grad():
            model[0].weight.add_(torch.randn_like(model[0].weight))
        one.update(7)
        one.apply()
    assert torch.equal(whole[0].weight, cut[0].weight)


def test_a_checkpoint_without_the_average_is_refused(tmp_path):
    with pytest.raises(ImaxrayError, match="Expected an average of 2 trained tensors"):
        WeightAverage(layer(), 0.9).read(tmp_path)


@pytest.mark.parametrize("decay", [0, 1, -0.5, float("nan"), float("inf")])
def test_a_decay_lies_between_0_and_1(decay):
    with pytest.raises(ValueError, match="average"):
        TrainingConfig(average=decay)
