"""Reads NIH ChestX-ray14: 14 labels of every image and boxes of some images."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import polars as pl

from imaxray import radiograph
from imaxray.errors import ImaxrayError
from imaxray.schema import IMAGES, SOURCE_ANNOTATIONS, SPLIT_HINTS, conform
from imaxray.sources._checks.persons import age, odd_persons
from imaxray.sources._shared.base import Source
from imaxray.sources._shared.files.columns import (
    has_area,
    numeric,
    provenance,
    reject,
    stated_by,
    xyxy_from_xywh,
)
from imaxray.sources._shared.files.paths import (
    find_file,
    relative,
    release_file,
    require_root,
)
from imaxray.sources._shared.files.tables import (
    check_columns,
    read_csv,
    read_header,
    read_lines,
)
from imaxray.sources._shared.images.image_files import list_files
from imaxray.sources._shared.records import ReleaseFile, SourceTables

_PLACES: Final = ("", "sample/", "sample/sample/", "data/")
_TABLES: Final = ("Data_Entry_2017_v2020.csv", "Data_Entry_2017.csv", "sample_labels.csv")
_ENDINGS: Final = ("", ".gz")
_BOXES: Final = "BBox_List_2017.csv"
_FOLDERS: Final = ("images*", "sample", "data")
_SUFFIXES: Final = (".png", ".jpg", ".jpeg")
_COLUMNS: Final = ("Image Index", "Finding Labels", "Patient ID", "View Position")
_AGE: Final = "Patient Age"
_SEX: Final = "Patient Gender"
_FRAME: Final = 1024.0
"""Boxes are given in pixels of the published 1024 x 1024 images."""

_LABELS: Final = {
    "Atelectasis": "Atelectasis",
    "Cardiomegaly": "Cardiomegaly",
    "Consolidation": "Consolidation",
    "Edema": "Edema",
    "Effusion": "Pleural Effusion",
    "Emphysema": "Emphysema",
    "Fibrosis": "Fibrosis",
    "Hernia": "Hernia",
    "Infiltration": "Infiltration",
    "Mass": "Mass",
    "Nodule": "Nodule",
    "Pleural_Thickening": "Pleural Thickening",
    "Pneumonia": "Pneumonia",
    "Pneumothorax": "Pneumothorax",
}
_NONE: Final = "No Finding"


class NihChestxray14(Source):
    """Reads labels extracted from reports; the publisher states all 14 labels for each image.

    Therefore a label that is not listed for an image is negative, not unknown. Most copies hold
    only some of the 112,120 images; rows without an image are rejects (``missing-image``).

    Kaggle's sample of 5 % (``sample_labels.csv``, ``sample/images``) is read too, and copies of the
    images in other sizes or as JPEG, to which the boxes are scaled. A copy without the list of
    boxes has labels only.
    """

    name = "nih-chestxray14"
    title = "NIH ChestX-ray14"
    version = "2017 (v2020)"
    collection = "nih-chestxray14"
    tasks = ("findings", "rec", "reg")
    access = "open"
    licence = "unrestricted use; cite, link and acknowledge the NIH Clinical Center"
    citation = "Wang et al., CVPR 2017, arXiv:1705.02315"
    url = "https://nihcc.app.box.com/v/ChestXray-NIHCC"

    def check(self, root: Path) -> list[str]:
        """See :meth:`Source.check`."""
        table, boxes = self._paths(root)
        check_columns(table, read_header(table), _COLUMNS)
        if boxes is None:
            return [relative(table, root)]
        check_columns(boxes, read_header(boxes), ("Image Index", "Finding Label", "Bbox [x"))
        return [relative(table, root), relative(boxes, root)]

    def read(self, root: Path) -> SourceTables:
        """See :meth:`Source.read`."""
        self.check(root)
        path, box_path = self._paths(root)
        table = read_csv(path, _COLUMNS)
        file = relative(path, root)
        files, broken = _image_files(root)
        full = table.join(
            files, left_on=_stem(), right_on="stem", how="left", maintain_order="left"
        )
        present, legal = pl.col("path").is_not_null(), pl.col("Patient ID").is_not_null()
        where = {"source": self.name, "file": file, "key": "Image Index"}
        unreadable = _stem().is_in(broken).fill_null(False)
        rejects = [
            reject(full.filter(~present & ~unreadable), **where, code="missing-image",
                   message="the image is not in this copy"),
            reject(full.filter(unreadable), **where, code="unreadable-image",
                   message="the image file is damaged"),
            reject(full.filter(present & ~legal), **where, code="bad-id",
                   message="the row has no Patient ID"),
        ]  # fmt: skip
        full = full.filter(present & legal)
        rejects += odd_persons(full, **where, age=_AGE)
        labels, unknown = self._labels(full, file)
        facts, read = [labels], [release_file(path, root, self.name, table.height)]
        if box_path is not None:
            boxes, bad_boxes, box_rows = self._boxes(box_path, root, full)
            facts.append(boxes)
            rejects.append(bad_boxes)
            read.append(release_file(box_path, root, self.name, box_rows))
        hints, bad_hints, hint_files = self._hints(root, full)
        return SourceTables(
            images=self._images(full, file),
            annotations=pl.concat(facts),
            hints=hints,
            rejects=pl.concat([*rejects, unknown, bad_hints]),
            files=(*read, *hint_files),
        )

    def remarks(self, root: Path) -> list[str]:
        """Say that there are no boxes if the copy has no list of them."""
        if self._paths(root)[1] is not None:
            return []
        return [f"Boxes: none, because {_BOXES} is not in this copy."]

    def _paths(self, root: Path) -> tuple[Path, Path | None]:
        """Return the table of labels, and the list of boxes if the copy has one."""
        tables = [f"{p}{name}{end}" for name in _TABLES for p in _PLACES for end in _ENDINGS]
        if not any((root / table).is_file() for table in tables):
            find_file(root, _TABLES, self.name)  # raises an error that names no folder
        lists = [root / f"{place}{_BOXES}{end}" for place in _PLACES for end in _ENDINGS]
        boxes = next((path for path in lists if path.is_file()), None)
        return find_file(root, tables, self.name), boxes

    def _images(self, full: pl.DataFrame, file: str) -> pl.DataFrame:
        # v2020 writes 58 and the first edition 058Y, in which a few ages are typing errors.
        years = age(_AGE) if _AGE in full.columns else pl.lit(None, dtype=pl.Int16)
        sex = pl.col(_SEX) if _SEX in full.columns else pl.lit(None, dtype=pl.String)
        frame = full.select(
            self._id().alias("image_id"),
            (pl.lit(f"{self.collection}/") + pl.col("Patient ID")).alias("patient_id"),
            "path",
            "width",
            "height",
            pl.col("View Position").alias("view"),
            sex.alias("sex"),
            years.alias("age"),
            *provenance(self.name, file),
        )
        return conform(frame, IMAGES)

    def _labels(self, full: pl.DataFrame, file: str) -> tuple[pl.DataFrame, pl.DataFrame]:
        stated = full.select("row", "Image Index", pl.col("Finding Labels").str.split("|"))
        named = stated.explode("Finding Labels")
        strange = ~pl.col("Finding Labels").is_in([*_LABELS, _NONE]).fill_null(False)
        unknown = reject(
            named.filter(strange),
            source=self.name,
            file=file,
            key="Image Index",
            code="unknown-label",
            message="the label is none of the release's",
        )
        columns = [
            pl.col("Finding Labels").list.contains(label).cast(pl.Float64).alias(name)
            for label, name in _LABELS.items()
        ]
        nothing = pl.col("Finding Labels").list.contains(_NONE)
        long = (
            stated.join(
                named.filter(strange).select("row"), on="row", how="anti", maintain_order="left"
            )
            .select("row", "Image Index", *columns, pl.when(nothing).then(1.0).alias(_NONE))
            .unpivot(index=["row", "Image Index"], variable_name="name", value_name="value")
            .filter(pl.col("value").is_not_null())
            .sort("row", "name")
        )
        frame = long.select(
            self._id().alias("image_id"),
            pl.lit("label").alias("kind"),
            "name",
            "value",
            *stated_by("silver", "nlp"),
            *provenance(self.name, file),
        )
        return conform(frame, SOURCE_ANNOTATIONS), unknown

    def _boxes(
        self, path: Path, root: Path, full: pl.DataFrame
    ) -> tuple[pl.DataFrame, pl.DataFrame, int]:
        # The header "Bbox [x,y,w,h]" is not quoted, so it splits into "Bbox [x", y, w and "h]".
        table = read_csv(path, ("Image Index", "Finding Label", "Bbox [x", "y", "w", "h]"))
        file = relative(path, root)
        columns = {"Bbox [x": "_x", "y": "_y", "w": "_w", "h]": "_h"}
        boxes = table.with_columns(numeric(old).alias(new) for old, new in columns.items()).join(
            full.select("Image Index", "width", "height"),
            on="Image Index", how="left", maintain_order="left",
        )  # fmt: skip
        label = pl.col("Finding Label").replace("Infiltrate", "Infiltration")
        present = pl.col("width").is_not_null()
        number = pl.all_horizontal(pl.col(*columns.values()).is_not_null())
        sized = has_area("_x", "_y", "_w", "_h")
        named = label.is_in(list(_LABELS)).fill_null(False)
        where = {"source": self.name, "file": file, "key": "Image Index"}
        bad = pl.concat([
            reject(boxes.filter(~present), **where, code="missing-image",
                   message="the image is not in this copy"),
            reject(boxes.filter(present & ~number), **where, code="bad-value",
                   message="x, y, w and h must be numbers"),
            reject(boxes.filter(present & number & ~sized), **where, code="zero-area-box",
                   message="the box has no width or no height"),
            reject(boxes.filter(present & number & sized & ~named), **where,
                   code="unknown-label", message="the label is none of the release's"),
        ])  # fmt: skip
        good = boxes.filter(present & number & sized & named).with_columns(
            pl.col("_x", "_w") * pl.col("width") / _FRAME,
            pl.col("_y", "_h") * pl.col("height") / _FRAME,
        )
        frame = good.select(
            self._id().alias("image_id"),
            pl.lit("region").alias("kind"),
            label.replace_strict(_LABELS, return_dtype=pl.String).alias("name"),
            label.replace_strict(_LABELS, return_dtype=pl.String).str.to_lowercase().alias("text"),
            xyxy_from_xywh("_x", "_y", "_w", "_h").alias("boxes"),
            *stated_by("human", "radiologist"),
            *provenance(self.name, file),
        )
        return conform(frame, SOURCE_ANNOTATIONS), bad, table.height

    def _hints(
        self, root: Path, full: pl.DataFrame
    ) -> tuple[pl.DataFrame, pl.DataFrame, list[ReleaseFile]]:
        """Read split hints from the official lists of images, if the copy has them."""
        hints, rejects, files = [SourceTables().hints], [SourceTables().rejects], []
        for name, split in (("train_val_list.txt", "train"), ("test_list.txt", "test")):
            path = root / name
            if not path.is_file():
                continue
            names = read_lines(path)
            listed = pl.DataFrame({"Image Index": names}, schema={"Image Index": pl.String})
            listed = (
                listed.with_row_index("row", offset=1)
                .with_columns(pl.col("row").cast(pl.Int64))
                .filter(pl.col("Image Index").is_not_null())
            )
            here = pl.col("Image Index").is_in(full["Image Index"].to_list())
            hint = listed.filter(here).select(
                self._id().alias("image_id"), pl.lit(split).alias("split"),
                *provenance(self.name, name),
            )  # fmt: skip
            hints.append(conform(hint, SPLIT_HINTS))
            rejects.append(
                reject(listed.filter(~here), source=self.name, file=name, key="Image Index",
                       code="missing-image", message="the image is not in this copy")
            )  # fmt: skip
            files.append(release_file(path, root, self.name, len(names)))
        return pl.concat(hints), pl.concat(rejects), files

    def _id(self) -> pl.Expr:
        return pl.lit(f"{self.collection}/") + pl.col("Image Index")


def _stem() -> pl.Expr:
    """Return the name of an image without its ending, which a converted copy does not share."""
    return pl.col("Image Index").str.replace(r"(?i)\.(png|jpe?g)$", "")


def _image_files(root: Path) -> tuple[pl.DataFrame, list[str]]:
    """Find image files in ``images/``, ``images_001/images/``, ``sample/images`` and so on.

    Returns:
        Stem, path and size of each readable file; the stems of the damaged files.
    """
    require_root(root, NihChestxray14.name)
    rows: list[tuple[Any, ...]] = []
    broken: list[str] = []
    for folder in [path for pattern in _FOLDERS for path in sorted(root.glob(pattern))]:
        for path in list_files(folder, _SUFFIXES):
            try:
                rows.append((path.stem, relative(path, root), *radiograph.size(path)))
            except ImaxrayError:
                broken.append(path.stem)
    schema = {"stem": pl.String, "path": pl.String, "width": pl.Int32, "height": pl.Int32}
    frame = pl.DataFrame(rows, schema=schema, orient="row")
    return frame.unique("stem", keep="first", maintain_order=True), broken
