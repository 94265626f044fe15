"""Finds box conventions by their own name or by the name of a model that uses them."""

from __future__ import annotations

from dataclasses import replace

from imaxray.boxes import CONVENTIONS, OF_MODELS, BoxConvention, get_convention
from imaxray.errors import ImaxrayError
from imaxray.geometry import SmartResize


def list_conventions() -> tuple[str, ...]:
    """Return the valid names for ``boxes``: the conventions, then models that use one of them."""
    return (*CONVENTIONS, *OF_MODELS)


def find_convention(
    name: str, min_pixels: int | None = None, max_pixels: int | None = None
) -> BoxConvention:
    """Return the convention with this name.

    Args:
        name: One of :func:`list_conventions`.
        min_pixels: Minimum area of a resized image in pixels; valid only for conventions in pixels
            of the resized image. If None, that of the convention's geometry.
        max_pixels: Maximum area of a resized image in pixels; valid only for conventions in pixels
            of the resized image. If None, that of the convention's geometry.

    Raises:
        ImaxrayError: If the name is unknown, or areas are given for a convention that does not
            depend on them.

    Example:
        >>> find_convention("qwen2.5-vl").name
        'pixels'
    """
    convention = get_convention(name)
    given = {"min_pixels": min_pixels, "max_pixels": max_pixels}
    areas = {key: value for key, value in given.items() if value is not None}
    if not areas:
        return convention
    if not isinstance(convention.geometry, SmartResize):
        raise ImaxrayError(
            f"Expected min_pixels and max_pixels with boxes in pixels of a resized image, but "
            f"{name} does not depend on them; leave them out."
        )
    geometry = replace(convention.geometry, **areas)
    if not 0 < geometry.min_pixels <= geometry.max_pixels:
        raise ImaxrayError(
            f"Expected 0 < min_pixels <= max_pixels, but got {geometry.min_pixels} and "
            f"{geometry.max_pixels}; give those of the model's processor."
        )
    return convention.seen_through(geometry)
