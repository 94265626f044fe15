"""Reads boxes and ratios from a folder of masks, as a release or a segmentation model writes it."""

from __future__ import annotations

from pathlib import Path, PurePosixPath
from typing import Final

from imaxray.derive.facts.fact import Corners
from imaxray.errors import ImaxrayError
from imaxray.sources.wingspan_ctr import Mask, mask_box, mask_ratios, read_mask

ORGANS: Final = ("heart", "left_lung", "right_lung")
"""Folders of masks; left and right are the patient's."""


def require_masks(folder: Path) -> None:
    """Check that a folder holds masks.

    Raises:
        ImaxrayError: It holds no folder of an organ.
    """
    if not any((folder / organ).is_dir() for organ in ORGANS):
        raise ImaxrayError(
            f"Expected a folder {', '.join(ORGANS[:-1])} or {ORGANS[-1]} in {folder}, but there is "
            "none; name the folder that holds them."
        )


def from_masks(
    folder: Path, path: str, size: tuple[int, int]
) -> tuple[dict[str, Corners], dict[str, float]]:
    """Return the boxes of the organs of an image, and its ratios if all three masks are there.

    A mask may be smaller than the image; its box is enlarged then. An empty mask counts as none.

    Args:
        folder: Folder with one folder per organ, each with a PNG named like the image file.
        path: Path of the image in its release.
        size: Width and height of the image in pixels.

    Raises:
        ImaxrayError: A mask is no image.
    """
    masks: dict[str, Mask] = {}
    for organ in ORGANS:
        file = folder / organ / f"{PurePosixPath(path).stem}.png"
        if file.is_file():
            mask = read_mask(file)
            if mask.any():
                masks[organ] = mask
    boxes = {organ.replace("_", " "): _box(mask, size) for organ, mask in masks.items()}
    shapes = {mask.shape for mask in masks.values()}
    if len(masks) < len(ORGANS) or len(shapes) > 1:
        return boxes, {}
    ctr, cpar = mask_ratios(*(masks[organ] for organ in ORGANS))
    return boxes, {name: v for name, v in (("ctr", ctr), ("cpar", cpar)) if 0 < v < 1}


def _box(mask: Mask, size: tuple[int, int]) -> Corners:
    x, y = size[0] / mask.shape[1], size[1] / mask.shape[0]
    x1, y1, x2, y2 = mask_box(mask)
    return (x1 * x, y1 * y, x2 * x, y2 * y)
