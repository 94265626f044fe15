"""Assembles mini-llava, a small LLaVA of pretrained parts that a package index holds."""

from imaxray.models.mini.build import build_mini
from imaxray.models.mini.family import MiniLlavaModel

__all__ = ["MiniLlavaModel", "build_mini"]
