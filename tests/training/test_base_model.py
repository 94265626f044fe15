"""The model that a study starts from is kept if it is whole, and built again if it was changed."""

import pytest

from imaxray._files import sha256
from imaxray.models import PhantomConfig
from imaxray.training import untrained_base

SHAPE = PhantomConfig(
    image_size=32, patch_size=16, width=32, vision_layers=1, text_layers=1, vocabulary=300
)


def content(folder):
    return {p.name: sha256(p) for p in sorted(folder.iterdir()) if not p.name.startswith(".")}


@pytest.mark.parametrize(
    ("name", "spoil"),
    [
        ("model.safetensors", lambda raw: raw[:-1] + bytes([raw[-1] ^ 1])),
        ("tokenizer.json", lambda raw: raw[: len(raw) // 2]),
        ("init.json", lambda raw: raw[: len(raw) // 2]),
        ("init.json", lambda _: b"[]"),
    ],
)
def test_a_damaged_model_is_built_again(tmp_path, name, spoil):
    untrained_base(SHAPE, [], tmp_path, seed=3)
    before = content(tmp_path)
    (tmp_path / name).write_bytes(spoil((tmp_path / name).read_bytes()))
    untrained_base(SHAPE, [], tmp_path, seed=3)
    assert content(tmp_path) == before


def test_a_whole_model_is_kept(tmp_path):
    untrained_base(SHAPE, [], tmp_path, seed=3)
    before = (tmp_path / "model.safetensors").stat().st_mtime_ns
    untrained_base(SHAPE, [], tmp_path, seed=3)
    assert (tmp_path / "model.safetensors").stat().st_mtime_ns == before
