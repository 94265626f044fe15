"""RSNA Pneumonia Detection Challenge: boxes of opacities, and three classes of image."""

from __future__ import annotations

from concurrent.futures import Executor
from pathlib import Path
from typing import Any, Final

import polars as pl

from imaxray import dicom
from imaxray.errors import ImaxrayError
from imaxray.schema import IMAGES, SOURCE_ANNOTATIONS, conform
from imaxray.sources._shared.base import Source
from imaxray.sources._shared.image_files import is_sound, list_files, read_images, reject_images
from imaxray.sources._shared.records import SourceTables
from imaxray.sources._shared.tables import (
    check_columns,
    find_file,
    has_area,
    numeric,
    provenance,
    read_csv,
    read_header,
    reject,
    relative,
    release_file,
    xyxy_from_xywh,
)

_ENDINGS: Final = (".csv", ".csv.gz", ".csv.zip")
_LABELS: Final = "stage_2_train_labels"
_CLASSES: Final = "stage_2_detailed_class_info"
_IMAGES: Final = "stage_2_train_images"
_SUFFIXES: Final = (".dcm", ".png", ".jpg", ".jpeg")
_COLUMNS: Final = ("patientId", "x", "y", "width", "height", "Target")
_SIDES: Final = {"x": "_x", "y": "_y", "width": "_w", "height": "_h"}
_FRAME: Final = 1024.0
"""Boxes are in pixels of the published 1024 x 1024 images."""

_STATED: Final = {
    "lung opacity": {"Lung Opacity": 1.0, "No Finding": 0.0},
    "no lung opacity / not normal": {"No Finding": 0.0},
    "normal": {"Lung Opacity": 0.0, "No Finding": 1.0},
}
"""Labels that follow from a class. An opacity counts for the release only if it is suspicious for
pneumonia, so an image that is not normal may have others: Lung Opacity stays unknown there."""


class RsnaPneumonia(Source):
    """Boxes around opacities that radiologists suspect of pneumonia, and labels of every image.

    ``Target`` is the label Pneumonia; Lung Opacity and No Finding follow from the class. Boxes are
    pixels of 1024 x 1024 images; a copy of another size, in DICOM, PNG or JPEG, is scaled. An
    image counts as a patient. The images are some of NIH ChestX-ray14 under other ids: with both
    in one catalog, let ``duplicates`` bind their splits. The test images have no labels and are not
    read.
    """

    name = "rsna-pneumonia"
    title = "RSNA Pneumonia Detection Challenge"
    version = "stage 2 (2018)"
    collection = "rsna-pneumonia"
    tasks = ("findings", "rec", "reg")
    access = "registration"
    licence = "RSNA Pneumonia Detection Challenge terms of use; cite, no re-identification"
    citation = "Shih et al., Radiology: Artificial Intelligence 1(1):e180041 (2019)"
    url = "https://www.kaggle.com/c/rsna-pneumonia-detection-challenge"

    def check(self, root: Path) -> list[str]:
        """See :meth:`Source.check`."""
        labels, classes = self._paths(root)
        check_columns(labels, read_header(labels), _COLUMNS)
        check_columns(classes, read_header(classes), ("patientId", "class"))
        files = list_files(root / _IMAGES, _SUFFIXES)
        if not files:
            raise ImaxrayError(
                f"Expected images that end in {', '.join(_SUFFIXES)} in {root / _IMAGES}, but "
                "found none; unpack them there."
            )
        if any(dicom.is_dicom(path) for path in files[:1]):
            dicom.require_dicom()
        return [relative(labels, root), relative(classes, root), _IMAGES]

    def read(self, root: Path) -> SourceTables:
        """See :meth:`Source.read`."""
        return self.read_with(root, None)

    def read_with(self, root: Path, pool: Executor | None) -> SourceTables:
        """See :meth:`Source.read_with`: headers are read in ``pool``."""
        self.check(root)
        path, class_path = self._paths(root)
        labels, classes = read_csv(path, _COLUMNS), read_csv(class_path, ("patientId", "class"))
        files = read_images(root, [_IMAGES], _SUFFIXES, pool).rename(
            {"width": "columns", "height": "rows"}
        )
        images, boxes, bad_rows = self._labels(labels, files, relative(path, root))
        facts, bad_classes = self._classes(classes, files, relative(class_path, root))
        return SourceTables(
            images=images,
            annotations=pl.concat([boxes, facts]),
            rejects=pl.concat([bad_rows, bad_classes]),
            files=(
                release_file(path, root, self.name, labels.height),
                release_file(class_path, root, self.name, classes.height),
            ),
        )

    def remarks(self, root: Path) -> list[str]:
        """Images that no row is about."""
        labels = read_csv(self._paths(root)[0], _COLUMNS)["patientId"].to_list()
        lost = {p.stem for p in list_files(root / _IMAGES, _SUFFIXES)} - set(labels)
        return [f"Images in {_IMAGES} that no row is about: {len(lost):,}."] if lost else []

    def _paths(self, root: Path) -> tuple[Path, Path]:
        stems = (_LABELS, _CLASSES)
        labels, classes = (
            find_file(root, [f"{stem}{ending}" for ending in _ENDINGS], self.name) for stem in stems
        )
        return labels, classes

    def _labels(
        self, table: pl.DataFrame, files: pl.DataFrame, file: str
    ) -> tuple[pl.DataFrame, pl.DataFrame, pl.DataFrame]:
        """Images, regions and the label Pneumonia, and rejects."""
        where: dict[str, Any] = {"source": self.name, "file": file, "key": "patientId"}
        full = table.with_columns(
            numeric("Target").alias("_target"),
            *(numeric(old).alias(new) for old, new in _SIDES.items()),
        ).join(files, left_on="patientId", right_on="stem", how="left", maintain_order="left")
        here = full.filter(is_sound()).with_columns(
            pl.col("_x", "_w") * (pl.col("columns") / _FRAME),
            pl.col("_y", "_h") * (pl.col("rows") / _FRAME),
        )
        blank = pl.all_horizontal(pl.col(*_SIDES).is_null() | pl.col(*_SIDES).is_in(["nan", "NaN"]))
        number = pl.all_horizontal(pl.col(*_SIDES.values()).is_not_null())
        sized = has_area(*_SIDES.values())
        legal = pl.col("_target").is_in([0.0, 1.0]).fill_null(False)
        one = pl.col("_target") == 1
        bad = [
            reject_images(full, **where),
            reject(here.filter(~legal), **where, code="bad-value", message="Target must be 0 or 1"),
            reject(here.filter(legal & ~one & ~blank), **where, code="bad-value",
                   message="Target is 0, but there is a box"),
            reject(here.filter(legal & one & ~number), **where, code="bad-value",
                   message="x, y, width and height must be numbers"),
            reject(here.filter(legal & one & number & ~sized), **where, code="zero-area-box",
                   message="the box has no width or no height"),
        ]  # fmt: skip
        boxed = here.filter(legal & one & number & sized)
        regions = boxed.select(
            self._id().alias("image_id"),
            pl.lit("region").alias("kind"),
            pl.lit("Lung Opacity").alias("name"),
            pl.lit("lung opacity").alias("text"),
            xyxy_from_xywh(*_SIDES.values()).alias("boxes"),
            *self._by(file),
        )
        # an image with several boxes has several rows that state the one label
        sound = pl.concat([boxed, here.filter(legal & ~one & blank)]).sort("row")
        labels = sound.unique(["patientId", "_target"], keep="first", maintain_order=True).select(
            self._id().alias("image_id"),
            pl.lit("label").alias("kind"),
            pl.lit("Pneumonia").alias("name"),
            pl.col("_target").alias("value"),
            *self._by(file),
        )
        again = sound.filter(~one).join(labels.select("row"), on="row", how="anti")
        bad.append(
            reject(again, **where, code="duplicate-annotation", message="an earlier row says so")
        )
        images = here.unique("patientId", keep="first", maintain_order=True).select(
            self._id().alias("image_id"),
            self._id().alias("patient_id"),
            "path",
            pl.col("columns").alias("width"),
            pl.col("rows").alias("height"),
            "view",
            "sex",
            "age",
            *provenance(self.name, file),
        )
        facts = [conform(frame, SOURCE_ANNOTATIONS) for frame in (regions, labels)]
        return conform(images, IMAGES), pl.concat(facts), pl.concat(bad)

    def _classes(
        self, table: pl.DataFrame, files: pl.DataFrame, file: str
    ) -> tuple[pl.DataFrame, pl.DataFrame]:
        """Labels that follow from the class. The table repeats its row for every box."""
        where: dict[str, Any] = {"source": self.name, "file": file, "key": "patientId"}
        full = table.with_columns(pl.col("class").str.to_lowercase().alias("_class")).join(
            files, left_on="patientId", right_on="stem", how="left", maintain_order="left"
        )
        here = full.filter(is_sound())
        known = pl.col("_class").is_in(list(_STATED)).fill_null(False)
        good = here.filter(known)
        first = good.unique(["patientId", "_class"], keep="first", maintain_order=True)
        stated = pl.DataFrame(
            [(c, name, value) for c, labels in _STATED.items() for name, value in labels.items()],
            schema={"_class": pl.String, "name": pl.String, "value": pl.Float64},
            orient="row",
        )
        facts = first.join(stated, on="_class", how="inner", maintain_order="left_right").select(
            self._id().alias("image_id"),
            pl.lit("label").alias("kind"),
            "name",
            "value",
            *self._by(file),
        )
        bad = pl.concat([
            reject_images(full, **where),
            reject(here.filter(~known), **where, code="unknown-label",
                   message="the class is none of the release's"),
            reject(good.join(first.select("row"), on="row", how="anti"), **where,
                   code="duplicate-annotation", message="an earlier row says so"),
        ])  # fmt: skip
        return conform(facts, SOURCE_ANNOTATIONS), bad

    def _id(self) -> pl.Expr:
        return pl.lit(f"{self.collection}/") + pl.col("patientId")

    def _by(self, file: str) -> tuple[pl.Expr, ...]:
        who = pl.lit("human").alias("origin"), pl.lit("radiologist").alias("quality")
        return *who, *provenance(self.name, file)
