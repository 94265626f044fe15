"""Reads CheXmask: CTR and CPAR, computed from heart and lung masks of five collections."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Executor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import numpy as np
import polars as pl
from numpy.typing import NDArray

from imaxray.errors import ImaxrayError
from imaxray.schema import REJECTS, SOURCE_ANNOTATIONS, conform
from imaxray.sources._checks.reading import Fault
from imaxray.sources._shared.base import Source
from imaxray.sources._shared.collections import chexpert, mimic
from imaxray.sources._shared.files.columns import provenance, reject
from imaxray.sources._shared.files.paths import relative, release_file, require_root
from imaxray.sources._shared.files.table_blocks import BLOCK_BYTES, read_blocks
from imaxray.sources._shared.files.tables import check_columns, read_header
from imaxray.sources._shared.images.organ_masks import (
    contour_ratios,
    mask_ratios,
    parse_landmarks,
    parse_runs,
)
from imaxray.sources._shared.records import ReleaseFile, SourceTables

_LAYOUTS: Final = ("Preprocessed", "OriginalResolution")
"""Both layouts give the same ratios; the first has smaller files and a known image size."""

_ORGANS: Final = ("Heart", "Left Lung", "Right Lung")
_RCA: Final = ("Dice RCA (Mean)", "Dice RCA (Max)")
_SHAPE: Final = ("Height", "Width")
_MIN_RCA: Final = 0.7  # the threshold that the publisher recommends
_LARGEST: Final = 65_535  # pixels per side
_SAME_CTR: Final = 0.02  # masks are drawn from the landmarks, so only rounding may differ
_SAME_CPAR: Final = 0.03


def _plain(collection: str) -> Callable[[str], pl.Expr]:
    """Make a function that puts the collection in front of the ids of a column."""

    def ids(column: str) -> pl.Expr:
        bare = pl.col(column).str.strip_chars().str.extract(r"^([\w.-]+)$", 1)
        return pl.when(bare.is_not_null()).then(pl.lit(f"{collection}/") + bare)

    return ids


_FILES: Final[dict[str, tuple[str, Callable[[str], pl.Expr]]]] = {
    "ChestX-Ray8": ("Image Index", _plain("nih-chestxray14")),
    "CheXpert": ("Path", chexpert.image_id),
    "MIMIC-CXR-JPG": ("dicom_id", mimic.image_id),
    "Padchest": ("ImageID", _plain("padchest")),
    "VinDr-CXR": ("image_id", _plain("vindr-cxr")),
}
"""Maps a file to its id column and to the function that makes ids of the images' collection."""


class Chexmask(Source):
    """Reads CTR and CPAR from masks that HybridGNet made; other sources provide the images.

    A copy may hold any of the five files, in the ``Preprocessed`` or the ``OriginalResolution``
    layout. Masks and landmarks are two forms of one contour (the authors draw the masks from the
    landmarks), so each is checked against the other. Rows where they differ are rejects
    (``mask-mismatch``). This detects images whose height and width are swapped, a known risk of the
    original-resolution files of MIMIC and PadChest. If only one form can be read, it is used alone.

    The mean Dice of the reverse classification accuracy must reach 0.7. PadChest's file mixes up
    the mean and the maximum, so the smaller of the two counts. The quality is this Dice, rounded
    down to a tenth. The wording of the licence is not verified. The CANDID-PTX file of version 0.1
    is not read.

    Args:
        block_bytes: Number of bytes of a table that are parsed at a time; no row may be longer.
    """

    name = "chexmask"
    title = "CheXmask"
    version = "1.0.0"
    collection = "chexpert, mimic-cxr, nih-chestxray14, padchest, vindr-cxr"
    tasks = ("calculation",)
    access = "open"
    licence = "CC BY 4.0"
    citation = "Gaggion et al., Scientific Data 2024, arXiv:2307.03293"
    url = "https://physionet.org/content/chexmask-cxr-segmentation-data/1.0.0/"

    def __init__(self, block_bytes: int = BLOCK_BYTES) -> None:
        self._block_bytes = block_bytes

    def check(self, root: Path) -> list[str]:
        """See :meth:`Source.check`."""
        paths = self._paths(root)
        for name, path in paths.items():
            required = (_FILES[name][0], *_RCA, "Landmarks", *_ORGANS, *_SHAPE)
            check_columns(path, read_header(path), required)
        return [relative(path, root) for path in paths.values()]

    def read(self, root: Path) -> SourceTables:
        """See :meth:`Source.read`."""
        return self.read_with(root, None)

    def read_with(self, root: Path, pool: Executor | None) -> SourceTables:
        """Read the release, each file as one job of ``pool`` (see :meth:`Source.read_with`)."""
        self.check(root)
        work = [(name, path, root, self._block_bytes) for name, path in self._paths(root).items()]
        if pool is None:
            parts = [_read_file(*item) for item in work]
        else:
            parts = [job.result() for job in [pool.submit(_read_file, *item) for item in work]]
        return SourceTables(
            annotations=pl.concat([facts for facts, _, _ in parts]),
            rejects=pl.concat([bad for _, bad, _ in parts]),
            files=tuple(file for _, _, file in parts),
        )

    def remarks(self, root: Path) -> list[str]:
        """Name the files that are not read because the other layout gives the same ratios."""
        read = set(self.check(root))
        twins = [relative(p, root) for name in _FILES for p in _candidates(root, name)]
        unread = [twin for twin in twins if twin not in read]
        if not unread:
            return []
        return [f"Not read, because the other layout gives the same ratios: {', '.join(unread)}."]

    def _paths(self, root: Path) -> dict[str, Path]:
        require_root(root, self.name)
        found = {name: _candidates(root, name)[:1] for name in _FILES}
        paths = {name: path for name, here in found.items() for path in here}
        if not paths:
            names = " or ".join(f"{layout}/{name}.csv" for layout in _LAYOUTS for name in _FILES)
            raise ImaxrayError(
                f"Expected {names} in the {self.name} release at {root}, but found none of them; "
                "download a file or correct the path."
            )
        return paths


@dataclass
class _Rows:
    """Holds what was read from a file, row by row."""

    ids: list[str] = field(default_factory=list)
    rca: list[NDArray[np.float64]] = field(default_factory=list)
    ratios: list[NDArray[np.float64]] = field(default_factory=list)  # (n, 2): CTR, CPAR
    codes: list[str | None] = field(default_factory=list)  # why a row has no ratio; None: it has


def _candidates(root: Path, name: str) -> list[Path]:
    paths = [root / f"{layout}/{name}.csv{end}" for layout in _LAYOUTS for end in ("", ".gz")]
    return [path for path in paths if path.is_file()]


def _read_file(
    name: str, path: Path, root: Path, block_bytes: int
) -> tuple[pl.DataFrame, pl.DataFrame, ReleaseFile]:
    """Return annotations, rejects and fingerprint of one file."""
    column, ids = _FILES[name]
    rows = _Rows()
    numbers: list[NDArray[np.int64]] = [np.empty(0, np.int64)]
    faults: list[Fault] = []
    count = 0
    for block in read_blocks(path, (column, *_RCA, "Landmarks", *_ORGANS, *_SHAPE), block_bytes):
        cells = {key: block.cells.column(key).to_pylist() for key in block.cells.schema.names}
        rows.ids += [cell.decode() for cell in cells[column]]
        rca = np.stack([_floats(cells[key]) for key in _RCA], axis=1)
        rows.rca.append(rca.min(axis=1))
        ratios, codes = _measure(cells, rca.min(axis=1) >= _MIN_RCA)
        rows.ratios.append(ratios)
        rows.codes += codes
        numbers.append(block.numbers)
        faults += block.faults
        count = block.last
    if count == 0:
        raise ImaxrayError(
            f"Expected at least one data row in {path}, but the table is empty; check that it is "
            "the whole file of the stated release."
        )
    ratio = np.concatenate([*rows.ratios, np.empty((0, 2))])
    table = pl.DataFrame(
        {
            "row": pl.Series(np.concatenate(numbers), dtype=pl.Int64),
            "id": pl.Series(rows.ids, dtype=pl.String),
            "rca": pl.Series(np.concatenate([*rows.rca, np.empty(0)]), dtype=pl.Float64),
            "code": pl.Series(rows.codes, dtype=pl.String),
            "ctr": pl.Series(ratio[:, 0], dtype=pl.Float64),
            "cpar": pl.Series(ratio[:, 1], dtype=pl.Float64),
        }
    ).with_columns(ids("id").alias("image_id"))
    file = relative(path, root)
    facts, bad = _facts(table, file)
    unread = pl.DataFrame(
        [(Chexmask.name, file, row, None, code, message) for row, code, message in faults],
        schema=REJECTS, orient="row",
    )  # fmt: skip
    return facts, pl.concat([bad, unread]), release_file(path, root, Chexmask.name, count)


def _facts(table: pl.DataFrame, file: str) -> tuple[pl.DataFrame, pl.DataFrame]:
    known, rca = pl.col("image_id").is_not_null(), pl.col("rca")
    scored = rca.is_between(0, 1)
    sure = rca >= _MIN_RCA
    where = {"source": Chexmask.name, "file": file, "key": "id"}
    usable = table.filter(known & scored & sure)
    long = usable.filter(pl.col("code").is_null()).unpivot(
        ("cpar", "ctr"), index=["row", "id", "image_id", "rca"], variable_name="name"
    )
    valid = pl.col("value").is_between(0, 1, closed="none")
    bad = [
        reject(table.filter(~known), **where, code="bad-id",
               message="the id is none of the collection's"),
        reject(table.filter(known & ~scored), **where, code="bad-value",
               message="the Dice values must be numbers from 0 to 1"),
        reject(table.filter(known & scored & ~sure), **where, code="low-quality",
               message=f"the mean Dice is under {_MIN_RCA}"),
        reject(usable.filter(pl.col("code") == "bad-value"), **where, code="bad-value",
               message="neither masks nor landmarks can be read"),
        reject(usable.filter(pl.col("code") == "mask-mismatch"), **where, code="mask-mismatch",
               message="masks and landmarks differ: is the frame transposed?"),
        reject(long.filter(~valid), **where, code="out-of-range",
               message="a ratio must lie between 0 and 1"),
    ]  # fmt: skip
    tenth = (rca * 10 + 1e-9).floor().cast(pl.Int64).cast(pl.String)
    facts = long.filter(valid).sort("row", "name").select(
        "image_id",
        pl.lit("measurement").alias("kind"),
        "name",
        "value",
        pl.lit("silver").alias("origin"),
        pl.when(rca >= 1).then(pl.lit("rca-1.0")).otherwise(pl.lit("rca-0.") + tenth)
        .alias("quality"),
        *provenance(Chexmask.name, file),
    )  # fmt: skip
    return conform(facts, SOURCE_ANNOTATIONS), pl.concat(bad)


def _measure(
    cells: dict[str, list[bytes]], wanted: NDArray[np.bool_]
) -> tuple[NDArray[np.float64], list[str | None]]:
    """Return CTR and CPAR of each row, shape ``(n, 2)``, and a code for each row without them.

    Rows that are not ``wanted`` are not measured; their ratios are nan.
    """
    drawn = np.full((len(wanted), 2), np.nan)
    traced = np.full_like(drawn, np.nan)
    heights, widths = (_floats(cells[key]) for key in _SHAPE)
    points = {}
    for k in np.flatnonzero(wanted):
        contour = parse_landmarks(cells["Landmarks"][k])
        if contour is not None:
            points[k] = contour
        height, width = heights[k], widths[k]
        if not (1 <= height <= _LARGEST and 1 <= width <= _LARGEST):  # also skips nan
            continue
        runs = [parse_runs(cells[organ][k], int(height) * int(width)) for organ in _ORGANS]
        heart, left, right = runs
        if heart is not None and left is not None and right is not None:
            drawn[k] = mask_ratios(heart, left, right, int(width))
    if points:
        traced[list(points)] = np.stack(contour_ratios(np.stack(list(points.values()))), axis=1)
    has_mask, has_contour = ~np.isnan(drawn[:, 0]), ~np.isnan(traced[:, 0])
    # A comparison with nan is false, so a row with only one form never counts as a mismatch.
    differ = (np.abs(drawn - traced) > (_SAME_CTR, _SAME_CPAR)).any(axis=1)
    none = wanted & ~has_mask & ~has_contour
    codes = np.where(differ, "mask-mismatch", np.where(none, "bad-value", ""))
    ratios = np.where(has_mask[:, None], drawn, traced)
    return ratios, [str(code) or None for code in codes]


def _floats(cells: list[bytes]) -> NDArray[np.float64]:
    """Convert cells to numbers; a cell that is no number becomes nan."""
    text = pl.Series([cell.decode() for cell in cells], dtype=pl.String)
    numbers = text.str.strip_chars().cast(pl.Float64, strict=False).fill_null(np.nan)
    return np.asarray(numbers.to_numpy(), dtype=np.float64)
