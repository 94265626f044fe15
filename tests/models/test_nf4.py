"""Tests the configuration by which a text model is held in four bits."""

import sys

import pytest
import torch

from imaxray.errors import ImaxrayError
from imaxray.models import build_tiny
from imaxray.models.load import FAMILIES, family_of
from imaxray.models.nf4 import four_bit_weights, nf4, require_nf4
from imaxray.models.tiny import tiny_families
from imaxray.training import TrainingConfig
from imaxray.training.method import make_trainable


@pytest.mark.parametrize("family", FAMILIES)
def test_every_family_keeps_its_vision_encoder_its_connector_and_its_head(family):
    model = family_of(family)
    kept = nf4(model, torch.float32).llm_int8_skip_modules
    assert {"lm_head", *model.tower, *model.connector} == set(kept)
    assert not any("language_model" in name for name in kept)


def test_another_format_is_refused():
    with pytest.raises(ImaxrayError, match="Expected the quantization nf4, but got int8"):
        require_nf4("int8")


def test_a_build_for_another_cuda_is_one_sentence(monkeypatch, tmp_path):
    (tmp_path / "bitsandbytes.py").write_text("raise RuntimeError('built for another CUDA')")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "bitsandbytes", raising=False)
    with pytest.raises(ImaxrayError, match="it cannot be imported"):
        require_nf4("nf4")


@pytest.mark.parametrize("family", FAMILIES)
def test_weights_in_four_bits_are_the_frozen_linear_layers_of_the_text_model(family):
    if family not in tiny_families():
        pytest.skip("it has no miniature")
    chat = build_tiny(family)
    names = {id(p): name for name, p in chat.model.named_parameters()}
    held = {names[id(weight)] for weight in four_bit_weights(chat.model, type(chat))}
    layers = chat.model.config.get_text_config().num_hidden_layers
    assert len(held) == 7 * layers  # q, k, v, o, gate, up, down
    assert all("language_model.layers" in name for name in held)
    make_trainable(chat, TrainingConfig(method="lora"), 0)
    again = four_bit_weights(chat.model, type(chat))
    assert {names[id(weight)] for weight in again} == held  # and no adapter
