"""Reads processors, also those that require a video processor which cannot be built.

The processors of Qwen2.5-VL, Qwen3-VL, LLaVA-OneVision and InternVL take a video processor, which
``transformers`` builds with torchvision only. imaxray never uses videos. If torchvision can be
imported, the processor is read as ``transformers`` reads it. Otherwise this module makes a subclass
of the processor class that does not count the video processor among its parts: the video processor
is then neither loaded nor checked nor saved, and everything about text and images is unchanged. No
other module does this.
"""

from __future__ import annotations

import importlib
from functools import cache
from typing import Any

from transformers import AutoProcessor
from transformers.models.auto.processing_auto import PROCESSOR_MAPPING

_VIDEO = "video_processor"


@cache
def has_torchvision() -> bool:
    """Return whether torchvision is installed and can be imported with this torch."""
    try:
        importlib.import_module("torchvision")
    except Exception:  # a torchvision built for another torch fails with RuntimeError
        return False
    return True


@cache
def without_video(processor_class: type[Any]) -> type[Any]:
    """Return ``processor_class``, but without torchvision a subclass without video processor."""
    if _VIDEO not in processor_class.get_attributes() or has_torchvision():
        return processor_class

    def get_attributes(_: type[Any]) -> list[str]:
        attributes: list[str] = processor_class.get_attributes()
        return [name for name in attributes if name != _VIDEO]

    # the subclass keeps the name, because saved configurations contain it
    return type(
        processor_class.__name__,
        (processor_class,),
        {"get_attributes": classmethod(get_attributes)},
    )


def load_processor(name_or_path: str, config: Any, **hub: Any) -> Any:
    """Read the processor that belongs to a model's ``config``.

    PIL prepares the images on every machine, so that the same image gives the same pixels with and
    without torchvision.

    Args:
        name_or_path: Repository id or folder.
        config: Configuration of the model.
        hub: Arguments for the hub: ``revision``, ``local_files_only``, ``trust_remote_code``.
    """
    if type(config) not in PROCESSOR_MAPPING:
        return AutoProcessor.from_pretrained(name_or_path, backend="pil", **hub)
    processor_class = without_video(PROCESSOR_MAPPING[type(config)])
    return processor_class.from_pretrained(name_or_path, backend="pil", **hub)
