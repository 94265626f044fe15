"""Measures ratios and boxes of the heart and the lungs on masks in a folder."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from pathlib import Path, PurePosixPath
from typing import Final

import numpy as np
from numpy.typing import NDArray

from imaxray import radiograph
from imaxray._common.files import sha256
from imaxray.errors import ImaxrayError
from imaxray.pseudo.annotators.contract import Annotator, ImageRequest, Stated
from imaxray.sources.wingspan_ctr import mask_box, mask_ratios, read_mask

Mask = NDArray[np.bool_]

ORGANS: Final = {"heart": "heart", "left_lung": "left lung", "right_lung": "right lung"}
"""Folder of each organ's masks → the phrase for the organ; sides are those of the patient."""

LABELS: Final = {"heart": 1, "left_lung": 2, "right_lung": 3}
"""Value of each organ in a mask that holds all three."""


class Masks(Annotator):
    """States CTR, CPAR and boxes from masks, which a person or a segmentation model drew.

    ``masks:FOLDER`` reads ``FOLDER/heart/IMAGE.png``, ``FOLDER/left_lung/IMAGE.png`` and
    ``FOLDER/right_lung/IMAGE.png``, or ``FOLDER/IMAGE.png`` with the values of :data:`LABELS`.
    ``IMAGE`` is the id of the image, or its last part where no other image has it. Images without
    masks get no facts; ratios need all three organs.
    """

    name = "masks"
    version = "1"
    tasks = ("calculation", "rec", "reg")

    def __init__(self, argument: str | None = None) -> None:
        super().__init__(argument)
        if not argument or not Path(argument).is_dir():
            raise ImaxrayError(
                f"Expected a folder of masks as {self.name}:FOLDER, but got "
                f"{argument or 'no folder'}; name a folder that exists."
            )
        self._folder = Path(argument)
        if next(self._folder.rglob("*.png"), None) is None:
            raise ImaxrayError(
                f"Expected masks as PNG files in {argument}, such as heart/IMAGE.png, but there "
                "are none; name the folder that holds the masks."
            )

    def digest(self) -> str:
        """Return a digest of all masks."""
        found = hashlib.sha256()
        for path in sorted(self._folder.rglob("*.png")):
            found.update(f"{path.relative_to(self._folder).as_posix()} {sha256(path)}\n".encode())
        return found.hexdigest()

    def annotate(self, images: Sequence[ImageRequest]) -> Iterator[Stated]:
        """See :meth:`Annotator.annotate`."""
        for image in images:
            masks = {organ: mask for organ, mask in self._masks(image).items() if mask.any()}
            for organ, mask in masks.items():
                phrase = ORGANS[organ]
                yield Stated(image.image_id, "region", phrase, text=phrase, boxes=[mask_box(mask)])
            if len(masks) == len(ORGANS):
                ctr, cpar = mask_ratios(masks["heart"], masks["left_lung"], masks["right_lung"])
                for name, value in (("ctr", ctr), ("cpar", cpar)):
                    if 0 < value < 1:
                        yield Stated(image.image_id, "measurement", name, value)

    def _masks(self, image: ImageRequest) -> dict[str, Mask]:
        found: dict[str, Mask] = {}
        for organ in ORGANS:
            if (path := self._file(self._folder / organ, image)) is not None:
                found[organ] = _sized(read_mask(path), image, path)
        if not found and (path := self._file(self._folder, image)) is not None:
            values = radiograph.load(path)
            found = {o: _sized(np.asarray(values == n), image, path) for o, n in LABELS.items()}
        return found

    def _file(self, folder: Path, image: ImageRequest) -> Path | None:
        whole = PurePosixPath(image.image_id)
        names = [whole, PurePosixPath(whole.name)] if image.unique_name else [whole]
        for name in names:
            if ".." in name.parts or name.is_absolute():
                continue
            for path in (folder / f"{name}.png", folder / name.with_suffix(".png")):
                if path.is_file():
                    return path
        return None


def _sized(mask: Mask, image: ImageRequest, path: Path) -> Mask:
    if mask.shape != (image.height, image.width):
        height, width = mask.shape
        raise ImaxrayError(
            f"Expected a mask of {image.width} × {image.height} pixels, the size of the image "
            f"{image.image_id}, at {path}, but it has {width} × {height}; resize or remove it."
        )
    return mask
