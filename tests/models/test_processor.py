"""Tests that the video part of a processor is replaced only where needed, and nothing else."""

import pytest
import transformers

from imaxray.models import build_tiny, processor

WITH_VIDEO = ["Qwen2_5_VLProcessor", "Qwen3VLProcessor", "LlavaOnevisionProcessor",
              "InternVLProcessor"]  # fmt: skip


@pytest.mark.parametrize("name", WITH_VIDEO)
def test_used_only_where_torchvision_does_not_import(monkeypatch, name):
    monkeypatch.setattr(processor, "has_torchvision", lambda: True)
    real = getattr(transformers, name)
    processor.without_video.cache_clear()
    assert processor.without_video(real) is real
    monkeypatch.setattr(processor, "has_torchvision", lambda: False)
    processor.without_video.cache_clear()
    made = processor.without_video(real)
    assert issubclass(made, real) and made.__name__ == name
    assert made.get_attributes() == ["image_processor", "tokenizer"]
    processor.without_video.cache_clear()


@pytest.mark.parametrize("name", ["LlavaProcessor", "Gemma3Processor"])
def test_never_used_for_processors_without_video(name):
    real = getattr(transformers, name)
    assert processor.without_video(real) is real


def test_a_torchvision_that_does_not_import_counts_as_none(monkeypatch):
    def broken(name):
        raise RuntimeError("operator torchvision::nms does not exist")

    processor.has_torchvision.cache_clear()
    monkeypatch.setattr(processor.importlib, "import_module", broken)
    assert not processor.has_torchvision()
    monkeypatch.undo()
    processor.has_torchvision.cache_clear()


def test_saved_configurations_name_the_real_class(tmp_path):
    build_tiny("internvl").save(tmp_path)
    assert (
        '"processor_class": "InternVLProcessor"' in (tmp_path / "processor_config.json").read_text()
    )
