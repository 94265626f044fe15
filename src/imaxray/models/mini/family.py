"""Adapts mini-llava: a grey image, contrast-stretched and squashed to a square."""

from __future__ import annotations

from imaxray.models.phantom import PhantomModel


class MiniLlavaModel(PhantomModel):
    """Wraps a LLaVA of SmolLM2 and EfficientNet-lite0, which writes boxes in percent.

    Its image processor has three channels, which all get the grey image.
    """

    family = "mini_llava"
