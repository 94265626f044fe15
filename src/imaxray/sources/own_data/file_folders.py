"""Reads folders in which every file is a row: masks, reports and DICOM files."""

from __future__ import annotations

import importlib.util
import json
import math
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from imaxray import dicom, radiograph
from imaxray._common.files import require_file
from imaxray.errors import ImaxrayError
from imaxray.sources._checks.reading import Fault, current_encoding
from imaxray.sources._shared.images.image_files import list_files
from imaxray.sources._shared.images.organ_masks import mask_ratios
from imaxray.sources.own_data.box_files import Rows
from imaxray.sources.own_data.vocabulary import plain

MASK_ENDINGS: Final = (".png", ".nii", ".nii.gz")
_NIFTI: Final = (".nii", ".nii.gz")
_ORGANS: Final = {
    "heart": ("heart",),
    "left": ("left lung", "lung left"),
    "right": ("right lung", "lung right"),
}
Mask = NDArray[np.bool_]


def read_reports(folder: Path, _classes: tuple[str, ...]) -> Rows:
    """Read a folder of text files: a row has the file's `name` without ending, and its `report`."""
    rows: list[dict[str, Any]] = []
    faults: list[Fault] = []
    paths = list_files(folder, [".txt"])
    for row, path in enumerate(paths, start=1):
        require_file(path)
        try:
            text = path.read_bytes().decode(current_encoding())
        except (OSError, UnicodeDecodeError):
            faults.append((row, "bad-encoding", "the file is no text of the stated encoding"))
            continue
        rows.append({"row": row, "name": path.stem, "report": text.strip() or None})
    return rows, len(paths), faults


def read_dicom(folder: Path, _classes: tuple[str, ...]) -> Rows:
    """Read the tags of a folder of DICOM files: patient, study, view, sex, age and date."""
    dicom.require_dicom()
    rows: list[dict[str, Any]] = []
    faults: list[Fault] = []
    paths = list_files(folder, [""])
    for row, path in enumerate(paths, start=1):
        if not dicom.is_dicom(path):
            faults.append((row, "not-dicom", "the file is no DICOM"))
            continue
        try:
            header = dicom.read_header(path)
        except ImaxrayError:
            faults.append((row, "unreadable-image", "the file is damaged"))
            continue
        fault = dicom.problem(header, radiograph.MAX_PIXELS)
        if fault is not None:
            faults.append((row, *fault))
            continue
        rows.append({
            "row": row, "image": path.relative_to(folder).as_posix(),
            "instance": header.instance or None,
            "patient": header.patient or header.study or header.instance or path.stem,
            "study": header.study or None, "view": header.view, "sex": header.sex,
            "age": None if header.age is None else str(header.age), "date": header.date or None,
        })  # fmt: skip
    return rows, len(paths), faults


def read_masks(folder: Path, classes: tuple[str, ...]) -> Rows:
    """Read a folder of masks: a row is a file; its boxes are those of its connected parts.

    A mask shows what its folder is called (`masks/heart/a.png`), or, if `classes` are given, the
    class whose number a pixel has. If the heart and both lungs of an image are there, the row of
    its heart states CTR and CPAR too.
    """
    paths = list_files(folder, MASK_ENDINGS)
    rows: list[dict[str, Any]] = []
    faults: list[Fault] = []
    organs: dict[str, dict[str, tuple[int, Mask]]] = {}
    for row, path in enumerate(paths, start=1):
        try:
            values = _values(path)
        except (OSError, ValueError, Image.DecompressionBombError):
            faults.append((row, "bad-mask", "the mask cannot be read"))
            continue
        if values.ndim != 2:
            faults.append((row, "bad-mask", "the mask is not one picture of numbers"))
            continue
        numbers = _numbers(values)
        if numbers is None:
            what = "a value of the mask is negative, a fraction or not finite"
            faults.append((row, "bad-mask", what))
            continue
        if classes and max(numbers, default=0) >= len(classes):
            faults.append((row, "unknown-class", "source.yaml has no name for a value of the mask"))
            continue
        image = mask_stem(path)
        height, width = values.shape
        about = {"row": row, "image": image, "image_width": str(width), "image_height": str(height)}
        named = path.parent.name if path.parent != folder else folder.name
        shown = (
            {classes[k]: values == k for k in sorted(numbers)} if classes else {named: values != 0}
        )
        if not numbers:
            rows.append(about)
        for phrase, mask in shown.items():
            if not mask.any():
                continue
            boxes = json.dumps(boxes_of(mask))
            rows.append({**about, "phrase": phrase.replace("_", " "), "box": boxes})
            for organ, names in _ORGANS.items():
                if plain(phrase) in names:
                    organs.setdefault(image, {})[organ] = len(rows) - 1, mask
    for parts in organs.values():
        if len(parts) == len(_ORGANS) and len({mask.shape for _, mask in parts.values()}) == 1:
            runs = {organ: runs_of(mask) for organ, (_, mask) in parts.items()}
            width = parts["heart"][1].shape[1]
            ctr, cpar = mask_ratios(runs["heart"], runs["left"], runs["right"], width)
            rows[parts["heart"][0]] |= {"ctr": repr(ctr), "cpar": repr(cpar)}
    return rows, len(paths), faults


def mask_stem(path: Path) -> str:
    """Return the name of the image that a mask is about: its own, without ending and `_mask`.

    Example:
        >>> mask_stem(Path("heart/p1_mask.nii.gz")), mask_stem(Path("p2.png"))
        ('p1', 'p2')
    """
    stem = path.name.removesuffix(".gz").rsplit(".", 1)[0]
    for ending in ("_mask", "-mask", "_seg", "-seg"):
        stem = stem.removesuffix(ending)
    return stem


def boxes_of(mask: Mask) -> list[list[float]]:
    """Return the box of each connected part of a mask, in pixels, as x1, y1, x2, y2.

    Parts that touch at a corner are one part.

    Example:
        >>> mask = np.zeros((4, 6), bool)
        >>> mask[1:3, 2:5] = True
        >>> boxes_of(mask)
        [[2.0, 1.0, 5.0, 3.0]]
    """
    from scipy import ndimage  # late: the command line and the viewer start without scipy

    labelled, _ = ndimage.label(mask, structure=np.ones((3, 3), bool))
    return [
        [float(x.start), float(y.start), float(x.stop), float(y.stop)]
        for y, x in ndimage.find_objects(labelled)
    ]


def runs_of(mask: Mask) -> NDArray[np.int64]:
    """Return runs [first, end) of the set pixels, row by row, shape (n, 2)."""
    flat = np.concatenate([[False], mask.ravel(), [False]])
    # A run must not go on in the next row, or its width could not be told.
    starts = np.flatnonzero(flat[1:] & ~flat[:-1])
    ends = np.flatnonzero(~flat[1:] & flat[:-1])
    width = mask.shape[1]
    parts = [
        (max(first, row * width), min(end, (row + 1) * width))
        for first, end in zip(starts.tolist(), ends.tolist(), strict=True)
        for row in range(first // width, (end - 1) // width + 1)
    ]
    return np.array(parts, np.int64).reshape(-1, 2)


def _numbers(values: NDArray[Any]) -> set[int] | None:
    """Return the numbers of a mask except 0; None if one cannot be the number of a class.

    Example:
        >>> _numbers(np.array([[0.0, 2.0]])), _numbers(np.array([[0.0, np.nan]]))
        ({2}, None)
    """
    if values.dtype.kind not in "buif":
        return None
    found = np.unique(values)
    if values.dtype.kind == "f" and not (np.isfinite(found) & (found == np.floor(found))).all():
        return None
    return None if (found < 0).any() else {int(v) for v in found} - {0}


def _values(path: Path) -> NDArray[Any]:
    """Return the numbers of a mask, shape (height, width)."""
    if not path.name.lower().endswith(_NIFTI):
        with radiograph.open_image(path) as image:
            if image.width * image.height > radiograph.MAX_PIXELS:
                raise ValueError("the mask is too large")
            return np.asarray(image)
    if importlib.util.find_spec("nibabel") is None:
        raise ImaxrayError(
            f"Expected the package nibabel to read {path}, but it is not installed; run pip "
            "install 'imaxray[nifti]', or save the masks as PNG."
        )
    import nibabel

    try:
        stored = nibabel.load(path)
        small = math.prod(stored.shape) <= radiograph.MAX_PIXELS  # a header may state any size
        data = np.asarray(stored.dataobj) if small else None
    except Exception as error:  # the parser raises its own kinds
        raise ValueError("no NIfTI") from error
    if data is None:
        raise ValueError("the mask is too large")
    flat = data.reshape(data.shape[:2]) if data.shape[2:] == (1,) * (data.ndim - 2) else data
    return flat.T  # NIfTI counts columns first
