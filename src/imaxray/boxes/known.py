"""Lists the conventions in which models write boxes, and finds one by its name or by a model."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Final

from imaxray._common.names import did_you_mean
from imaxray.boxes.convention import BoxConvention
from imaxray.errors import ImaxrayError
from imaxray.geometry import CentreCrop, Letterbox, SmartResize

PERCENT: Final = BoxConvention("percent", scale=100)
"""``[12, 34, 56, 78]``: integers 0-100 of the image's width and height (Uni-Med)."""

PER_MILLE: Final = BoxConvention("per-mille", scale=1000)
"""``[120, 340, 560, 780]``: integers 0-1000."""

PER_MILLE_TAGGED: Final = BoxConvention("per-mille-tagged", scale=1000, tags=("<box>", "</box>"))
"""``<box>[[120, 340, 560, 780]]</box>``: integers 0-1000 (InternVL, MedMO)."""

UNIT: Final = BoxConvention("unit", scale=1, decimals=2)
"""``[0.12, 0.34, 0.56, 0.78]``: the unit square, two decimals (RadVLM)."""

UNIT_PADDED: Final = BoxConvention("unit-padded", scale=1, decimals=2, geometry=Letterbox())
"""The unit square of the image padded to a square, two decimals (LLaVA 1.5)."""

PIXELS: Final = BoxConvention("pixels", scale=None, geometry=SmartResize())
"""``[151, 182, 213, 236]``: integer pixels of the resized image (Qwen2.5-VL)."""

BOX_2D: Final = BoxConvention(
    "box-2d",
    scale=1000,
    y_first=True,
    key="box_2d",
    fence=("```json\n", "\n```"),
    geometry=Letterbox(),
)
"""``{"box_2d": [340, 120, 780, 560]}``: y first, 0-1000 of the image padded to a square
(MedGemma 1.5)."""

POINTS: Final = BoxConvention(
    "points", scale=1000, last=999, form="<|box_start|>({},{}),({},{})<|box_end|>"
)
"""``<|box_start|>(120,340),(560,780)<|box_end|>``: integers 0-999 (Qwen2-VL)."""

PALIGEMMA: Final = BoxConvention(
    "loc-1024", scale=1024, last=1023, y_first=True, digits=4,
    form="<loc{}><loc{}><loc{}><loc{}>",
)  # fmt: skip
"""``<loc0348><loc0123><loc0799><loc0573>``: y first, 1024 steps (PaliGemma's model card)."""

FLORENCE_2: Final = BoxConvention(
    "loc-1000", scale=1000, bins=True, form="<loc_{}><loc_{}><loc_{}><loc_{}>"
)
"""``<loc_120><loc_340><loc_560><loc_780>``: 1000 bins (Florence-2's processor)."""

CHEXAGENT: Final = BoxConvention(
    "points-100", scale=100, last=99, form="<|box|>({},{}),({},{})<|/box|>"
)
"""``<|box|>(12,34),(56,78)<|/box|>``: integers 0-99 (CheXagent-2's data)."""

MAIRA_2: Final = BoxConvention(
    "crop-100", scale=100, bins=True, form="<box><x{}><y{}><x{}><y{}></box>",
    geometry=CentreCrop(),
)  # fmt: skip
"""``<box><x12><y34><x56><y78></box>``: 100 bins of the centre crop (MAIRA-2's processor)."""

CONVENTIONS: Final[Mapping[str, BoxConvention]] = {
    convention.name: convention
    for convention in (
        PERCENT, PER_MILLE, PER_MILLE_TAGGED, UNIT, UNIT_PADDED, PIXELS, BOX_2D, POINTS, PALIGEMMA,
        FLORENCE_2, CHEXAGENT, MAIRA_2,
    )
}  # fmt: skip
"""Every convention by its name."""


OF_MODELS: Final[Mapping[str, str]] = {
    "chexagent": CHEXAGENT.name,
    "florence-2": FLORENCE_2.name,
    "internvl": PER_MILLE_TAGGED.name,
    "llava": UNIT_PADDED.name,
    "maira-2": MAIRA_2.name,
    "medgemma": BOX_2D.name,
    "medmo": PER_MILLE_TAGGED.name,
    "paligemma": PALIGEMMA.name,
    "qwen2-vl": POINTS.name,
    "qwen2.5-vl": PIXELS.name,
    "qwen3-vl": PER_MILLE.name,
    "radvlm": UNIT.name,
    "huatuogpt-vision-7b": PIXELS.name,
    "internvl3-8b": PER_MILLE_TAGGED.name,
    "lingshu-7b": PIXELS.name,
    "lingshu-i-8b": PER_MILLE_TAGGED.name,
    "llava-med-v1.5": UNIT_PADDED.name,
    "medgemma-1.5-4b": BOX_2D.name,
    "medmo-4b": PER_MILLE_TAGGED.name,
    "medmo-8b": PER_MILLE_TAGGED.name,
    "phantom": PERCENT.name,
}
"""Convention of each family, and of each model that ``imaxray models`` lists."""

CHECKPOINT: Final = SmartResize(max_pixels=28 * 28 * 16384)
"""Frame of the released Qwen2.5-VL checkpoints, whose ``preprocessor_config.json`` has
``min_pixels`` 3,136 and ``max_pixels`` 12,845,056. ``qwen_vl_utils``, which ms-swift calls, has the
same defaults; the class of the processor has a smaller one, that of :class:`SmartResize`."""


def get_convention(name: str) -> BoxConvention:
    """Return the convention with this name, or that of the model with this name.

    Raises:
        ImaxrayError: No convention and no model has this name.

    Example:
        >>> get_convention("unit").render((256, 128, 512, 384), 1024, 1024)
        '[0.25, 0.12, 0.50, 0.38]'
        >>> get_convention("lingshu-7b").name
        'pixels'
    """
    found = CONVENTIONS.get(OF_MODELS.get(name.lower(), name))
    if found is None:
        raise ImaxrayError(
            f"Expected a box convention, one of {', '.join(CONVENTIONS)}, or a model, one of "
            f"{', '.join(OF_MODELS)}, but got {name}; "
            f"{did_you_mean(name, [*CONVENTIONS, *OF_MODELS])}"
        )
    return found


def list_conventions() -> tuple[str, ...]:
    """Return the valid names for ``boxes``: the conventions, then models that use one of them."""
    return (*CONVENTIONS, *OF_MODELS)


def find_convention(
    name: str, min_pixels: int | None = None, max_pixels: int | None = None
) -> BoxConvention:
    """Return the convention with this name, in the frame that its model sees.

    A model that counts pixels of the resized image has the areas of its released checkpoint
    (:data:`CHECKPOINT`) unless others are given; the convention ``pixels`` has those of the
    processor's class.

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
        >>> find_convention("qwen2.5-vl").geometry.frame(2048, 2500).width
        2044
        >>> find_convention("qwen2.5-vl", max_pixels=1_003_520).geometry.frame(2048, 2500).width
        896
    """
    convention = get_convention(name)
    if isinstance(convention.geometry, SmartResize) and name not in CONVENTIONS:
        convention = convention.seen_through(CHECKPOINT)
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
