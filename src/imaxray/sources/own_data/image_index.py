"""Finds the image file that a cell of your own table names."""

from __future__ import annotations

import os
from collections import defaultdict
from pathlib import Path
from typing import Final

from imaxray import dicom
from imaxray.errors import ImaxrayError
from imaxray.sources._shared.files.paths import relative

ENDINGS: Final = (".png", ".jpg", ".jpeg", ".dcm", ".dicom", ".tif", ".tiff", ".bmp", ".img")
"""Endings of files that count as images; files without an ending count if they are DICOM."""


class ImageIndex:
    r"""Finds images by path or name, with or without ending; case does not matter.

    A cell means the image whose path, below the folder of the images, it is; otherwise all images
    whose path ends in the cell; otherwise the image in whose whole path the cell ends. The last
    holds for an image directly in the folder only if all images lie there: otherwise `new/2.png`
    could be taken for `2.png`, though folders tell images apart.

    Attributes:
        paths: Paths of all images relative to the root, sorted.

    Example:
        >>> index = ImageIndex(["images/p1/1.png", "images/p2/2.png"], "images")
        >>> index.find(r"C:\data\P1\1.jpg"), index.find("2"), index.find("p2/1.png")
        (['images/p1/1.png'], ['images/p2/2.png'], [])
    """

    def __init__(self, paths: list[str], images: str) -> None:
        """Index the paths of images.

        Args:
            paths: Paths relative to the root.
            images: Folder of the images, relative to the root.
        """
        self.paths = sorted(paths)
        self._whole: dict[str, set[str]] = defaultdict(set)
        self._ends: dict[str, set[str]] = defaultdict(set)
        folder = "" if images in (".", "") else images.strip("/").removeprefix("./") + "/"
        self._flat = all("/" not in path.removeprefix(folder) for path in self.paths)
        for path in self.paths:
            for whole in {path.lower(), path.removeprefix(folder).lower()}:
                parts = whole.split("/")
                for name in (whole, _stem(whole)):
                    self._whole[name].add(path)
                for k in range(len(parts)):
                    end = "/".join(parts[k:])
                    self._ends[end].add(path)
                    self._ends[_stem(end)].add(path)

    @classmethod
    def of(cls, root: Path, images: str) -> ImageIndex:
        """List the images of a folder.

        Args:
            root: Folder of the release.
            images: Folder of the images, relative to it.

        Raises:
            ImaxrayError: If there is no such folder, or no image in it.
        """
        folder = root / images
        if not folder.is_dir():
            raise ImaxrayError(
                f"Expected the folder of the images at {folder}, but it is not there; correct "
                "images and root in source.yaml."
            )
        found = [Path(parent) / name for parent, _, names in os.walk(folder) for name in names]
        paths = [relative(path, root) for path in found if _is_image(path)]
        if not paths:
            raise ImaxrayError(
                f"Expected images ({', '.join(ENDINGS)}) in {folder}, but found none; correct "
                "images in source.yaml."
            )
        return cls(paths, images)

    def find(self, cell: str) -> list[str]:
        """Return the images that a cell may mean: none, one, or several of the same name."""
        whole = plain_path(cell)
        parts = whole.split("/")
        names = (whole, _stem(whole))
        known = next((s[n] for s in (self._whole, self._ends) for n in names if n in s), None)
        for k in range(1, len(parts) if self._flat else len(parts) - 1):
            if known:
                break
            end = "/".join(parts[k:])
            known = self._whole.get(end) or self._whole.get(_stem(end))
        return sorted(known or ())


def plain_path(cell: str) -> str:
    r"""Return the path in a cell in lower case with slashes, without `./`.

    Example:
        >>> plain_path(r"C:\Data\1.PNG")
        'c:/data/1.png'
    """
    parts = cell.replace("\\", "/").lower().split("/")
    return "/".join(part for part in parts if part not in ("", "."))


def _stem(name: str) -> str:
    for ending in ENDINGS:
        if name.endswith(ending):
            return name.removesuffix(ending)
    return name


def _is_image(path: Path) -> bool:
    if path.suffix.lower() in ENDINGS:
        return True
    try:
        return path.suffix == "" and dicom.is_dicom(path)
    except ImaxrayError:
        return False
