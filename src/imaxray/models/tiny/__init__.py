"""Builds miniature models of the real families for tests, benchmarks and the seven-model study."""

from imaxray.models.tiny.build import build_tiny, tiny_convention, tiny_families

__all__ = ["build_tiny", "tiny_convention", "tiny_families"]
