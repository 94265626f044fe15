"""Reads Wingspan CTR: cardiothoracic ratios by humans, and CPAR and organ boxes from masks."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
import polars as pl
from numpy.typing import NDArray

from imaxray import radiograph
from imaxray.errors import ImaxrayError
from imaxray.schema import IMAGES, REJECTS, SOURCE_ANNOTATIONS, conform
from imaxray.sources._shared.base import Source
from imaxray.sources._shared.files.columns import (
    numeric,
    provenance,
    reject,
    stated_by,
)
from imaxray.sources._shared.files.paths import find_file, relative, release_file
from imaxray.sources._shared.files.tables import check_columns, read_csv, read_header
from imaxray.sources._shared.records import ReleaseFile, SourceTables

Mask = NDArray[np.bool_]

_TABLES: Final = ("ctr_ground_truth.csv", "ctr_ground_truth.csv.gz")
_IMAGES: Final = "wingspan/png"
_ORGANS: Final = {"heart": "heart", "left_lung": "left lung", "right_lung": "right lung"}
"""Maps a mask folder to the phrase for its organ. Left and right are the patient's."""


class WingspanCtr(Source):
    """Reads CTR by humans for 221 images, and CTR, CPAR and organ boxes from masks.

    The masks give CTR for the images without a stated one, and CPAR and organ boxes for all images.
    Humans drew the masks, so the origin of everything computed from them is ``human`` too. Its
    quality is ``mask``; the quality of a ratio that a human stated is ``stated``.
    """

    name = "wingspan-ctr"
    title = "Wingspan cardiothoracic ratio dataset"
    version = "2020"
    collection = "wingspan-ctr"
    tasks = ("calculation", "rec", "reg")
    access = "open"
    licence = "MIT"
    citation = "Dong et al. 2018 (arXiv:1807.03434) and 2020"
    url = "https://github.com/eveningdong/cardiothoracic_ratio_estimation_dataset"

    def check(self, root: Path) -> list[str]:
        """See :meth:`Source.check`."""
        path = find_file(root, _TABLES, self.name)
        check_columns(path, read_header(path), ("id", "ctr"))
        folders = [_IMAGES, *(f"wingspan/mask/{organ}" for organ in _ORGANS)]
        for folder in folders:
            if not _pngs(root / folder):
                raise ImaxrayError(
                    f"Expected PNG files in {root / folder}, but found none; check that it is the "
                    f"folder of the {self.name} release."
                )
        return [relative(path, root), *folders]

    def read(self, root: Path) -> SourceTables:
        """See :meth:`Source.read`."""
        self.check(root)
        rejects: list[tuple[Any, ...]] = []
        images, facts = [], []
        pngs = _pngs(root / _IMAGES)
        stated, bad_rows, table_file = self._stated(root, set(pngs))
        members = {organ: _pngs(root / "wingspan/mask" / organ) for organ in _ORGANS}
        known = set(stated["png"].to_list())
        for row, name in enumerate(pngs, start=1):
            try:
                width, height = radiograph.size(root / _IMAGES / name)
            except ImaxrayError:
                rejects.append((self.name, _IMAGES, row, name, "unreadable-image", "no PNG"))
                continue
            image = f"{self.collection}/{name}"
            images.append((image, image, f"{_IMAGES}/{name}", width, height, _IMAGES, row))
        shapes = {item[0]: (item[3], item[4]) for item in images}
        for name in pngs:
            image = f"{self.collection}/{name}"
            if image in shapes:
                facts += self._mask_facts(root, name, image, shapes[image], members, known, rejects)
        for organ, names in members.items():
            file = f"wingspan/mask/{organ}"
            rejects += [
                (self.name, file, row, name, "unknown-image", "the mask has no image")
                for row, name in enumerate(names, start=1)
                if f"{self.collection}/{name}" not in shapes
            ]
        from_masks = _facts_frame(facts, self.name)
        return SourceTables(
            images=_images_frame(images, self.name),
            annotations=pl.concat([conform(stated.drop("png"), SOURCE_ANNOTATIONS), from_masks]),
            rejects=pl.concat([bad_rows, pl.DataFrame(rejects, schema=REJECTS, orient="row")]),
            files=(
                table_file,
                _folder(root, _IMAGES, pngs, self.name),
                *(_folder(root, f"wingspan/mask/{o}", n, self.name) for o, n in members.items()),
            ),
        )

    def remarks(self, root: Path) -> list[str]:
        """Describe how well CTR from masks agrees with the stated CTR, and name the worst cases."""
        table = ctr_agreement(root)
        if table.is_empty():
            return []
        gap = table["difference"].abs().to_numpy()
        worst = ", ".join(
            f"{name} ({stated:.4f} stated, {mask:.4f} from the masks)"
            for name, stated, mask in table.select("id", "stated", "mask").head(3).iter_rows()
        )
        pixels = (gap * table["lungs_px"].to_numpy()).max()
        return [
            f"CTR of the masks against the stated CTR, {table.height} images: mean absolute "
            f"difference {gap.mean():.4f}, greatest {gap.max():.4f}, no more than {pixels:.2f} "
            f"mask pixels. Worst: {worst}."
        ]

    def _stated(self, root: Path, pngs: set[str]) -> tuple[pl.DataFrame, pl.DataFrame, ReleaseFile]:
        path = find_file(root, _TABLES, self.name)
        table = read_csv(path, ("id", "ctr")).with_columns(numeric("ctr").alias("value"))
        file = relative(path, root)
        present = pl.col("id").is_in(sorted(pngs)).fill_null(False)
        valid = ((pl.col("value") > 0) & (pl.col("value") < 1)).fill_null(False)
        where = {"source": self.name, "file": file, "key": "id"}
        bad = pl.concat([
            reject(table.filter(~present), **where, code="missing-image",
                   message="there is no image of this id"),
            reject(table.filter(present & ~valid), **where, code="out-of-range",
                   message="ctr must lie between 0 and 1"),
        ])  # fmt: skip
        good = table.filter(present & valid).select(
            pl.col("id").alias("png"),
            (pl.lit(f"{self.collection}/") + pl.col("id")).alias("image_id"),
            pl.lit("measurement").alias("kind"),
            pl.lit("ctr").alias("name"),
            "value",
            *stated_by("human", "stated"),
            *provenance(self.name, file),
        )
        return good, bad, release_file(path, root, self.name, table.height)

    def _mask_facts(
        self,
        root: Path,
        name: str,
        image: str,
        size: tuple[int, int],
        members: dict[str, list[str]],
        stated: set[str],
        rejects: list[tuple[Any, ...]],
    ) -> list[tuple[Any, ...]]:
        masks: dict[str, Mask] = {}
        rows: dict[str, int] = {}
        for organ, names in members.items():
            if name not in names:
                continue
            file, row = f"wingspan/mask/{organ}", names.index(name) + 1
            try:
                mask = read_mask(root / file / name)
            except ImaxrayError:
                rejects.append((self.name, file, row, name, "unreadable-image", "no PNG"))
                continue
            if mask.shape != (size[1], size[0]):
                rejects.append(
                    (self.name, file, row, name, "size-mismatch", "not the image's size")
                )
            elif not mask.any():
                rejects.append((self.name, file, row, name, "empty-mask", "no pixel is set"))
            else:
                masks[organ], rows[organ] = mask, row
        facts: list[tuple[Any, ...]] = []
        for organ, mask in masks.items():
            phrase, box = _ORGANS[organ], mask_box(mask)
            where = (f"wingspan/mask/{organ}", rows[organ])
            facts.append((image, "region", phrase, None, phrase, [box], *where))
        if len(masks) == len(_ORGANS):
            ctr, cpar = mask_ratios(masks["heart"], masks["left_lung"], masks["right_lung"])
            where = ("wingspan/mask/heart", rows["heart"])
            for ratio, value in (("cpar", cpar), ("ctr", ctr)):
                if ratio == "ctr" and name in stated:
                    continue
                if 0 < value < 1:
                    facts.append((image, "measurement", ratio, value, None, None, *where))
                else:  # the heart is larger than the visible lungs
                    message = f"{ratio} must lie between 0 and 1"
                    rejects.append((self.name, *where, name, "out-of-range", message))
        return facts


def read_mask(path: Path) -> Mask:
    """Read a mask PNG as booleans, shape (H, W).

    Edges are anti-aliased, so a pixel is set if its value is more than half of the maximum.

    Raises:
        ImaxrayError: If the file is missing or is no image.
    """
    return np.asarray(radiograph.load(path) > 127)


def mask_ratios(heart: Mask, left_lung: Mask, right_lung: Mask) -> tuple[float, float]:
    """Compute CTR and CPAR of three masks of shape (H, W), none of which may be empty.

    CTR is the width of the heart's box over the width of the box of both lungs. CPAR is the area of
    the heart over the area of the lungs. These are the definitions of the cxr-cardiomegaly release.
    """
    lungs = left_lung | right_lung
    (hx1, _, hx2, _), (lx1, _, lx2, _) = mask_box(heart), mask_box(lungs)
    return (hx2 - hx1) / (lx2 - lx1), float(heart.sum() / lungs.sum())


def mask_box(mask: Mask) -> list[float]:
    """Return the tight box of a mask (xyxy, pixels); right and bottom edges are exclusive."""
    columns, rows = np.flatnonzero(mask.any(axis=0)), np.flatnonzero(mask.any(axis=1))
    return [float(columns[0]), float(rows[0]), float(columns[-1] + 1), float(rows[-1] + 1)]


def ctr_agreement(root: Path) -> pl.DataFrame:
    """Compare the stated CTR with the CTR from the masks for every image that has both.

    Returns:
        Columns id, stated, mask, difference (mask - stated) and lungs_px (width of the lungs in
        pixels of the 512-pixel copies, on which the masks are measured), sorted by the absolute
        difference, the largest first.
    """
    table = read_csv(find_file(root, _TABLES, WingspanCtr.name), ("id", "ctr"))
    rows = []
    for name, text in table.select("id", "ctr").iter_rows():
        paths = [root / "wingspan/mask" / organ / str(name) for organ in _ORGANS]
        if not all(path.is_file() for path in paths):
            continue
        heart, left, right = (read_mask(path) for path in paths)
        ctr, _ = mask_ratios(heart, left, right)
        x1, _, x2, _ = mask_box(left | right)
        rows.append((name, float(text), ctr, ctr - float(text), int(x2 - x1)))
    schema = {"id": pl.String, "stated": pl.Float64, "mask": pl.Float64,
              "difference": pl.Float64, "lungs_px": pl.Int64}  # fmt: skip
    return pl.DataFrame(rows, schema=schema, orient="row").sort(
        pl.col("difference").abs(), descending=True
    )


def _pngs(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.glob("*.png") if path.is_file())


def _images_frame(images: list[tuple[Any, ...]], source: str) -> pl.DataFrame:
    columns = ("image_id", "patient_id", "path", "width", "height", "file", "row")
    schema = {column: IMAGES[column] for column in columns}
    frame = pl.DataFrame(images, schema=schema, orient="row").with_columns(
        pl.lit(source).alias("source"), pl.lit("PA").alias("view")
    )
    return conform(frame, IMAGES)


def _facts_frame(facts: list[tuple[Any, ...]], source: str) -> pl.DataFrame:
    columns = ("image_id", "kind", "name", "value", "text", "boxes", "file", "row")
    schema = {column: SOURCE_ANNOTATIONS[column] for column in columns}
    frame = pl.DataFrame(facts, schema=schema, orient="row").with_columns(
        *stated_by("human", "mask"),
        pl.lit(source).alias("source"),
    )
    return conform(frame, SOURCE_ANNOTATIONS)


def _folder(root: Path, folder: str, names: Sequence[str], source: str) -> ReleaseFile:
    digest = hashlib.sha256()
    for name in names:
        digest.update(name.encode())
        digest.update((root / folder / name).read_bytes())
    return ReleaseFile(source, folder, len(names), digest.hexdigest())
