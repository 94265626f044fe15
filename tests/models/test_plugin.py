"""Tests families of other packages: runs the code of docs/adding-a-model-family.md."""

import numpy as np
import pytest
import torch
from PIL import Image
from transformers import CLIPVisionConfig, VipLlavaConfig, VipLlavaForConditionalGeneration

from imaxray.errors import ImaxrayError
from imaxray.geometry import Letterbox
from imaxray.models import ChatModel, build_tiny, load_model
from imaxray.models.load import family_of
from plugins import Page

PAGE = Page("a-model-family")
(MODULE,) = PAGE.code


@pytest.fixture
def folder(tmp_path):
    """A tiny ViP-LLaVA with LLaVA's processor, which is the one that it has."""
    llava = build_tiny("llava")
    config = VipLlavaConfig(
        vision_config=CLIPVisionConfig(**llava.model.config.vision_config.to_dict()),
        text_config=llava.model.config.text_config,
        image_token_index=llava.image_token,
        vision_feature_layers=[-2, -1],
    )
    with torch.random.fork_rng():
        torch.manual_seed(0)
        VipLlavaForConditionalGeneration(config).save_pretrained(tmp_path / "vip")
    llava.processor.save_pretrained(tmp_path / "vip")
    return tmp_path / "vip"


def test_a_family_of_another_package_is_loaded(plug, folder, tmp_path):
    assert family_of("vipllava") is ChatModel
    plug(PAGE)
    chat = load_model(folder, convention="unit-padded")
    assert chat.family == "vipllava" and type(chat).__module__ == "vip_family"
    assert chat.geometry(chat.convention) == Letterbox()
    path = tmp_path / "x.png"
    Image.fromarray(np.arange(60 * 40, dtype=np.uint8).reshape(40, 60)).save(path)
    entry = chat.encode("Where is it?", "at <box>", [(0.0, 0.0, 30.0, 20.0)], (60, 40))
    ids = torch.tensor([[*entry.prompt, *entry.target]])
    pixels = chat.pixels(path)
    logits = chat.model(input_ids=ids, **pixels).logits
    assert logits.shape[:2] == ids.shape and bool(logits.isfinite().all())
    chat.save(tmp_path / "saved")
    assert load_model(tmp_path / "saved").family == "vipllava"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (("imaxray.models.families.llava", "no_such_package"), "ModuleNotFoundError"),
        (("(LlavaModel)", "(dict)"), r"no subclass of imaxray\.models\.ChatModel"),
        (('family = "vipllava"', 'family = "other"'), "its family is other"),
    ],
)
def test_an_unfit_family_is_one_sentence(change, message, plug):
    assert MODULE.count(change[0]) == 1
    plug(PAGE, code=MODULE.replace(*change))
    with pytest.raises(ImaxrayError, match=f"vipllava.*imaxray-vip.*{message}"):
        family_of("vipllava")


def test_a_type_of_ours_stays_ours(plug, capsys):
    plug(PAGE, points={"llava": "vip_family:VipLlavaModel"})
    assert family_of("llava").__module__ == "imaxray.models.families.llava"
    assert "The built-in model family llava is used" in capsys.readouterr().err
