"""The model that a study starts from is kept if it is whole, and built again if it was changed."""

import pytest

from imaxray._common.files import sha256
from imaxray.models import PhantomConfig
from imaxray.training import base_digest, untrained_base, weights_digest

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


def test_hidden_files_are_no_part_of_a_model(tmp_path):
    """What imaxray remembers in a folder must not make its model another one."""
    (tmp_path / "config.json").write_text("{}")
    (tmp_path / "model.safetensors").write_bytes(b"weights")
    before = weights_digest(str(tmp_path)), base_digest(str(tmp_path), None)
    (tmp_path / ".imaxray-digests.json").write_text("{}")
    assert (weights_digest(str(tmp_path)), base_digest(str(tmp_path), None)) == before
    (tmp_path / "config.json").write_text("{ }")
    assert weights_digest(str(tmp_path)) != before[0]
