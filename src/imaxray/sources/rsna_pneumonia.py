"""Reads the RSNA Pneumonia Detection Challenge: boxes of opacities and a class of each image."""

from __future__ import annotations

from concurrent.futures import Executor
from pathlib import Path
from typing import Any, Final

import polars as pl

from imaxray import dicom
from imaxray.errors import ImaxrayError
from imaxray.schema import IMAGES, SOURCE_ANNOTATIONS, conform
from imaxray.sources._shared.base import Source
from imaxray.sources._shared.files.columns import (
    has_area,
    numeric,
    provenance,
    reject,
    xyxy_from_xywh,
)
from imaxray.sources._shared.files.paths import find_file, relative, release_file
from imaxray.sources._shared.files.tables import check_columns, read_csv, read_header
from imaxray.sources._shared.images.image_files import (
    is_sound,
    list_files,
    read_images,
    reject_images,
)
from imaxray.sources._shared.records import SourceTables

_ENDINGS: Final = (".csv", ".csv.gz", ".csv.zip")
_LABELS: Final = ("stage_2_train_labels", "stage2_train_metadata")
_CLASSES: Final = ("stage_2_detailed_class_info",)
_FOLDERS: Final = (
    "stage_2_train_images", "stage_2_train_images_png", "stage_2_train_images_jpg",
    "train_images_png", "Training/Images",
)  # fmt: skip
_SUFFIXES: Final = (".dcm", ".png", ".jpg", ".jpeg")
_COLUMNS: Final = ("patientId", "x", "y", "width", "height", "Target")
_CLASS: Final = "class"
_SIDES: Final = {"x": "_x", "y": "_y", "width": "_w", "height": "_h"}
_FRAME: Final = 1024.0
"""Boxes are given in pixels of the published 1024 x 1024 images."""

_STATED: Final = {
    "lung opacity": {"Lung Opacity": 1.0, "No Finding": 0.0},
    "no lung opacity / not normal": {"No Finding": 0.0},
    "normal": {"Lung Opacity": 0.0, "No Finding": 1.0},
}
"""Maps a class to the labels that follow from it. The release counts an opacity only if it is
suspicious for pneumonia, so an image that is not normal may have other opacities and its label Lung
Opacity stays unknown."""


class RsnaPneumonia(Source):
    """Reads boxes of opacities suspicious for pneumonia, by radiologists, and labels of all images.

    ``Target`` is the label Pneumonia; Lung Opacity and No Finding follow from the class. Boxes are
    published in pixels of 1024 x 1024 images and are scaled to the images of the copy, which may be
    DICOM, PNG or JPEG of another size. An image counts as a patient. The test images have no labels
    and are not read.

    The class of an image is read from ``stage_2_detailed_class_info.csv``, or from the one table
    of Kaggle's processed copy (``stage2_train_metadata.csv``, ``Training/Images``), which has the
    classes in a column. Without them the labels Lung Opacity and No Finding are unknown.

    The images are a part of NIH ChestX-ray14 under other ids. If a catalog has both releases, set
    ``duplicates`` so that the same radiograph is in one split.
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
        found = [relative(labels, root)]
        if classes is not None and classes != labels:
            check_columns(classes, read_header(classes), ("patientId", _CLASS))
            found.append(relative(classes, root))
        here = [(folder, path) for folder in _FOLDERS for path in self._images(root, folder)[:1]]
        if not here:
            raise ImaxrayError(
                f"Expected images that end in {', '.join(_SUFFIXES)} in {root / _FOLDERS[0]} or "
                f"{', '.join(_FOLDERS[1:])} beside it, but found none; unpack them there."
            )
        if any(dicom.is_dicom(path) for _, path in here):
            dicom.require_dicom()
        return [*found, *(folder for folder, _ in here)]

    def read(self, root: Path) -> SourceTables:
        """See :meth:`Source.read`."""
        return self.read_with(root, None)

    def read_with(self, root: Path, pool: Executor | None) -> SourceTables:
        """Read the release; read image headers in ``pool`` (see :meth:`Source.read_with`)."""
        self.check(root)
        path, class_path = self._paths(root)
        labels = read_csv(path, _COLUMNS)
        files = read_images(root, _FOLDERS, _SUFFIXES, pool).rename(
            {"width": "columns", "height": "rows"}
        )
        images, boxes, bad_rows = self._labels(labels, files, relative(path, root))
        annotations, rejects = [boxes], [bad_rows]
        read = [release_file(path, root, self.name, labels.height)]
        if class_path is not None:
            alone = class_path != path
            classes = read_csv(class_path, ("patientId", _CLASS)) if alone else labels
            facts, bad_classes = self._classes(
                classes, files, relative(class_path, root), alone=alone
            )
            annotations.append(facts)
            rejects.append(bad_classes)
            if alone:
                read.append(release_file(class_path, root, self.name, classes.height))
        return SourceTables(
            images=images,
            annotations=pl.concat(annotations),
            rejects=pl.concat(rejects),
            files=tuple(read),
        )

    def remarks(self, root: Path) -> list[str]:
        """State the number of images that no row of the table is about, and missing classes."""
        path, classes = self._paths(root)
        labels = set(read_csv(path, _COLUMNS)["patientId"].to_list())
        said = []
        for folder in _FOLDERS:
            lost = {p.stem for p in self._images(root, folder)} - labels
            said += [f"Images in {folder} that no row is about: {len(lost):,}."] if lost else []
        if classes is None:
            said.append(f"Classes: none, because {_CLASSES[0]}.csv is not in this copy.")
        return said

    def _images(self, root: Path, folder: str) -> list[Path]:
        return list_files(root / folder, _SUFFIXES)

    def _paths(self, root: Path) -> tuple[Path, Path | None]:
        """Return the table of labels, and that of classes (which may be the same) if one exists."""
        names = [[f"{s}{e}" for s in stems for e in _ENDINGS] for stems in (_LABELS, _CLASSES)]
        labels = find_file(root, names[0], self.name)
        classes = next((root / name for name in names[1] if (root / name).is_file()), None)
        if classes is None and _CLASS in read_header(labels):
            classes = labels
        return labels, classes

    def _labels(
        self, table: pl.DataFrame, files: pl.DataFrame, file: str
    ) -> tuple[pl.DataFrame, pl.DataFrame, pl.DataFrame]:
        """Return the images, the annotations (regions and the label Pneumonia) and the rejects."""
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
        # An image with several boxes has several rows that state the same label.
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
        self, table: pl.DataFrame, files: pl.DataFrame, file: str, *, alone: bool
    ) -> tuple[pl.DataFrame, pl.DataFrame]:
        """Return the labels that follow from the class, and rejects.

        The table repeats the row of an image for every box. If it does not stand ``alone``, because
        the table of labels has the classes too, the latter says which rows have no image.
        """
        where: dict[str, Any] = {"source": self.name, "file": file, "key": "patientId"}
        low = pl.col(_CLASS).str.to_lowercase().str.replace(r"\s*/\s*", " / ")
        full = table.with_columns(low.alias("_class")).join(
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
        bad = [
            reject(here.filter(~known), **where, code="unknown-label",
                   message="the class is none of the release's"),
        ]  # fmt: skip
        if alone:
            again = good.join(first.select("row"), on="row", how="anti")
            said = "an earlier row says so"
            bad.append(reject_images(full, **where))
            bad.append(reject(again, **where, code="duplicate-annotation", message=said))
        return conform(facts, SOURCE_ANNOTATIONS), pl.concat(bad)

    def _id(self) -> pl.Expr:
        return pl.lit(f"{self.collection}/") + pl.col("patientId")

    def _by(self, file: str) -> tuple[pl.Expr, ...]:
        who = pl.lit("human").alias("origin"), pl.lit("radiologist").alias("quality")
        return *who, *provenance(self.name, file)
