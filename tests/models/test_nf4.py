"""Tests the configuration by which a text model is held in four bits."""

import sys

import pytest
import torch

from imaxray.errors import ImaxrayError
from imaxray.models.load import FAMILIES, family_of
from imaxray.models.nf4 import nf4, require_nf4


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
