"""Checks whether tools can open the images, and decides how an export names them."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path, PurePosixPath
from typing import Final, Literal

import polars as pl
from PIL import ExifTags, Image, UnidentifiedImageError

from imaxray import radiograph
from imaxray.errors import ImaxrayError
from imaxray.export.framing import framed
from imaxray.geometry import Geometry
from imaxray.progress import track
from imaxray.radiograph import open_image
from imaxray.sources import find_image, is_inside

How = Literal["path", "link", "copy", "write"]

FOLDER: Final = "images"
_SUFFIXES: Final = frozenset({".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".webp"})
_NAME: Final = re.compile(r"(?!\.+$)[^/\\:\0]+")  # a source is one folder of the export
_THREADS: Final = 8  # the threads wait for files and do not compute

USABLE: Final = pl.Schema(
    {
        "image_id": pl.String,
        "width": pl.Int32,
        "height": pl.Int32,
        "disk": pl.String,  # path on this machine; null if the image cannot have one
        "named": pl.String,  # name of the image in the rows
        "image_code": pl.String,  # reason why the image cannot be used; null if it can
    }
)


def usable_images(
    images: pl.DataFrame, roots: Mapping[str, Path], *, how: How, headers: bool
) -> pl.DataFrame:
    """Check images and return them with schema USABLE.

    Args:
        images: Images with schema IMAGES.
        roots: Folder of each release.
        how: With ``path``, rows name the file in its release; otherwise rows name it as
            ``images/<source>/<path>``, relative to the export. With ``write``, every file that
            imaxray decodes can be used, since the export holds new 8-bit PNG files.
        headers: Whether to open the header of each file, in order to check that the file exists,
            has 8 bits and has the size that the table says. A size that the table lacks is filled
            in.

    Raises:
        ImaxrayError: If the folder of a release is unknown.
    """
    unknown = sorted(set(images["source"].cast(pl.String).unique()) - set(roots))
    if unknown:
        raise ImaxrayError(
            f"Expected the folders of the releases in roots.json, but it does not name "
            f"{', '.join(unknown)}; add their paths there."
        )
    rows = images.select("image_id", pl.col("source").cast(pl.String), "path", "width", "height")

    def one(row: tuple[str, str, str, int | None, int | None]) -> tuple[object, ...]:
        image_id, source, path, width, height = row
        if not _NAME.fullmatch(source) or not path or not is_inside(path):
            return image_id, width, height, None, None, "image-path"
        if find_image(roots[source], path) is None:
            return image_id, width, height, None, None, "image-path"
        disk = Path(os.path.normpath(roots[source] / path))
        name = PurePosixPath(FOLDER, source, path)
        if how == "write":
            name = name.with_name(f"{name.name.removesuffix('.png')}.png")
            code, found = _decodable(disk) if headers else (None, (0, 0))
            width, height = width or found[0], height or found[1]
            if headers and code is None and found != (width, height):
                code = "image-size"
            return image_id, width, height, disk.as_posix(), name.as_posix(), code
        file = disk.as_posix() if how == "path" else name.as_posix()
        if disk.suffix.lower() not in _SUFFIXES:
            return image_id, width, height, None, None, "image-format"
        if not headers:
            return image_id, width, height, disk.as_posix(), file, None
        code, found = _header(disk)
        width, height = width or found[0], height or found[1]
        if code is None and found != (width, height):
            code = "image-size"
        return image_id, width, height, disk.as_posix(), file, code

    with ThreadPoolExecutor(_THREADS) as threads:
        done = threads.map(one, rows.iter_rows())
        found = list(track(done, "Checking images", rows.height) if headers else done)
    return pl.DataFrame(found, schema=USABLE, orient="row")


def place(images: pl.DataFrame, out: Path, how: How) -> None:
    """Link or copy images (schema USABLE, usable ones only) into the export folder ``out``."""
    act: Callable[[str, Path], object] = (
        shutil.copyfile if how == "copy" else lambda source, target: target.symlink_to(source)
    )
    for disk, named in track(
        images.select("disk", "named").iter_rows(), "Placing images", images.height
    ):
        target = out / named
        target.parent.mkdir(parents=True, exist_ok=True)
        if not target.parent.resolve().is_relative_to(out.resolve()):
            raise ImaxrayError(
                f"Expected images within {out}, but {named} leads out of it through a link; "
                "remove this image from the dataset, or name images by path."
            )
        act(disk, target)


def write(images: pl.DataFrame, out: Path, geometry: Geometry | None) -> None:
    """Decode images and write them as 8-bit PNG files into ``out``, in the frame of a geometry.

    Args:
        images: Images with schema USABLE, usable ones only.
        out: Export folder.
        geometry: Frame that the boxes refer to; None: the images as they are.

    Raises:
        ImaxrayError: If an image cannot be decoded.
    """

    def one(row: tuple[str, str]) -> None:
        disk, named = row
        target = out / named
        target.parent.mkdir(parents=True, exist_ok=True)
        framed(radiograph.load(Path(disk)), geometry).save(target)

    with ThreadPoolExecutor(_THREADS) as threads:
        done = threads.map(one, images.select("disk", "named").iter_rows())
        for _ in track(done, "Writing images", images.height):
            pass


def _decodable(path: Path) -> tuple[str | None, tuple[int, int]]:
    """Return the reason why a file cannot be decoded, or None, and its upright size."""
    if not path.is_file():
        return "image-missing", (0, 0)
    try:
        return None, radiograph.size(path)
    except ImaxrayError:
        return "image-format", (0, 0)


def _header(path: Path) -> tuple[str | None, tuple[int, int]]:
    """Return the reason why a file cannot be used, or None, and its width and height."""
    try:
        with open_image(path) as image:
            if image.mode.startswith(("I", "F")):
                return "image-depth", image.size
            turned = image.getexif().get(ExifTags.Base.Orientation, 1) not in (0, 1)
            return ("image-turned" if turned else None), image.size
    except FileNotFoundError:
        return "image-missing", (0, 0)
    except (OSError, SyntaxError, ValueError, UnidentifiedImageError, Image.DecompressionBombError):
        return "image-format", (0, 0)
