"""Checks whether tools can open the images, and decides how an export names them."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any, Final, Literal

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
DECODED: Final = {
    "image-format": "no tool opens the file (DICOM: its first VOI LUT or window is applied)",
    "image-depth": "it has more than 8 bits a channel (its own range is scaled to 0-255)",
    "image-turned": "its file says that it is turned (it is turned upright)",
    "frame": "it is written in the frame that the boxes refer to",
}
"""Reasons why an export holds an image as a new 8-bit PNG file, and what is done to it."""


@dataclass(frozen=True)
class Written:
    """Reports what the writer of a format wrote.

    Attributes:
        counts: Number of rows, entries and images of each split.
        left_out: Id and reason of everything left out.
        decoded: Number of images that the export holds as new files for each reason.
        tokens: Tokens of the rows, see ExportReport; empty where a format has no rows of text.
    """

    counts: dict[str, dict[str, int]]
    left_out: list[tuple[str, str]]
    decoded: dict[str, int]
    tokens: dict[str, Any] = field(default_factory=dict)


def decoded_counts(images: pl.DataFrame) -> dict[str, int]:
    """Return the number of images with schema USABLE that are new files, for each reason."""
    counts = dict(images["decoded"].drop_nulls().value_counts().iter_rows())
    return {code: counts[code] for code in DECODED if code in counts}


USABLE: Final = pl.Schema(
    {
        "image_id": pl.String,
        "width": pl.Int32,
        "height": pl.Int32,
        "disk": pl.String,  # path on this machine; null if the image cannot have one
        "named": pl.String,  # name of the image in the rows
        "placed": pl.String,  # path of the image in the export, if it is there
        "decoded": pl.String,  # reason why the export holds it as a new file; null if it does not
        "image_code": pl.String,  # reason why the image cannot be used; null if it can
    }
)


def usable_images(
    images: pl.DataFrame, roots: Mapping[str, Path], *, how: How, headers: bool, out: Path
) -> pl.DataFrame:
    """Check images and return them with schema USABLE.

    An image that no tool shows as it is meant (DICOM, more than 8 bits, turned) but that imaxray
    decodes is to be written into the export as a new file; see DECODED.

    Args:
        images: Images with schema IMAGES.
        roots: Folder of each release.
        how: With ``path``, rows name the file in its release; otherwise rows name it as
            ``images/<source>/<path>``, relative to the export. With ``write``, the export holds
            every image as a new file.
        headers: Whether to open the header of each file, in order to check that the file exists,
            has 8 bits and has the size that the table says. A size that the table lacks is filled
            in.
        out: Folder of the export; with ``path``, rows name new files within it.

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
            return image_id, width, height, None, None, None, None, "image-path"
        if find_image(roots[source], path) is None:
            return image_id, width, height, None, None, None, None, "image-path"
        disk = Path(os.path.normpath(roots[source] / path))
        why, code, found = _judged(disk, how, headers)
        width, height = width or found[0] or None, height or found[1] or None
        if headers and code is None and found != (width, height):
            code = "image-size"
        name = PurePosixPath(FOLDER, source, path)
        if why is not None:
            name = name.with_name(f"{name.name.removesuffix('.png')}.png")
        named: Path | PurePosixPath = name
        if how == "path":
            named = disk if why is None else out.absolute() / name
        return (
            image_id, width, height, disk.as_posix(), named.as_posix(), name.as_posix(), why, code,
        )  # fmt: skip

    with ThreadPoolExecutor(_THREADS) as threads:
        done = threads.map(one, rows.iter_rows())
        found = list(track(done, "Checking images", rows.height) if headers else done)
    return pl.DataFrame(found, schema=USABLE, orient="row")


def _judged(disk: Path, how: How, headers: bool) -> tuple[str | None, str | None, tuple[int, int]]:
    """Return why a file is to be written anew, why it cannot be used, and its upright size."""
    why: str | None = "frame" if how == "write" else None
    code, found = None, (0, 0)
    if disk.suffix.lower() not in _SUFFIXES:
        why = why or "image-format"
    elif headers and why is None:
        code, found = _header(disk)
        why = code if code in DECODED else None
    if headers and why is not None:
        code, found = _decodable(disk)
    return (None if code else why), code, found


def place(images: pl.DataFrame, out: Path, how: How) -> None:
    """Link or copy images (schema USABLE, usable ones only) into the export folder ``out``.

    Those that the export holds as new files are left alone; :func:`write` writes them.
    """
    act: Callable[[str, Path], object] = (
        shutil.copyfile if how == "copy" else lambda source, target: target.symlink_to(source)
    )
    as_they_are = images.filter(pl.col("decoded").is_null())
    for disk, named in track(
        as_they_are.select("disk", "placed").iter_rows(), "Placing images", as_they_are.height
    ):
        target = out / named
        target.parent.mkdir(parents=True, exist_ok=True)
        if not target.parent.resolve().is_relative_to(out.resolve()):
            raise ImaxrayError(
                f"Expected images within {out}, but {named} leads out of it through a link; "
                "remove this image from the dataset, or name images by path."
            )
        act(disk, target)


def write(images: pl.DataFrame, folder: Path, geometry: Geometry | None) -> list[str]:
    """Decode images and write them as 8-bit PNG files, in the frame of a geometry.

    Args:
        images: Images with schema USABLE, usable ones only; those that are not to be written anew
            are left alone.
        folder: Folder that the export is written in.
        geometry: Frame that the boxes refer to; None: the images as they are.

    Returns:
        Ids of the images whose pixels cannot be decoded.
    """
    anew = images.filter(pl.col("decoded").is_not_null())

    def one(row: tuple[str, str, str]) -> str | None:
        image_id, disk, placed = row
        target = folder / placed
        target.parent.mkdir(parents=True, exist_ok=True)
        try:
            pixels = radiograph.load(Path(disk))
        except ImaxrayError:
            return image_id
        framed(pixels, geometry).save(target)
        return None

    with ThreadPoolExecutor(_THREADS) as threads:
        done = threads.map(one, anew.select("image_id", "disk", "placed").iter_rows())
        failed = track(done, "Writing images", anew.height) if anew.height else done
        return [image_id for image_id in failed if image_id is not None]


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
