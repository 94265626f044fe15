"""Reads PadChest-GR: reports as sentences; radiologists drew boxes for the positive sentences."""

from __future__ import annotations

import math
from concurrent.futures import Executor
from pathlib import Path
from typing import Any, Final

import polars as pl

from imaxray._common.strict_json import BadItem
from imaxray.errors import ImaxrayError
from imaxray.schema import IMAGES, REJECTS, SOURCE_ANNOTATIONS, SPLIT_HINTS, conform
from imaxray.sources._checks.persons import age, odd_persons, view
from imaxray.sources._shared.base import Source
from imaxray.sources._shared.collections.padchest_labels import padchest_findings, plain_label
from imaxray.sources._shared.files.columns import provenance, reject, stated_by
from imaxray.sources._shared.files.json_items import check_items, read_items, text_of
from imaxray.sources._shared.files.paths import (
    find_file,
    relative,
    release_file,
    require_root,
)
from imaxray.sources._shared.files.tables import check_columns, read_csv, read_header
from imaxray.sources._shared.images.image_files import (
    is_sound,
    list_files,
    read_images,
    reject_images,
)
from imaxray.sources._shared.records import SourceTables

_SUFFIXES: Final = (".png", ".jpg", ".jpeg")
_REPORTS: Final = "grounded_reports_*.json"
_TABLES: Final = (
    "master_table.csv", "master_table.csv.gz", "master_table.csv.zip", "master_table.zip",
    "master_table.csv/master_table.csv", "master_table.csv/master_table.csv.gz",
)  # fmt: skip
_AGE: Final = "PatientAge"
_KEYS: Final = ("StudyID", "ImageID", "findings")
_COLUMNS: Final = ("StudyID", "ImageID", "PatientID", "label", "split")
_SPLITS: Final = {"train": "train", "validation": "val", "val": "val", "valid": "val",
                  "test": "test"}  # fmt: skip
_READERS: Final = {"boxes": "first", "extra_boxes": "second"}
_SLACK: Final = 0.01  # share of a side; a box that reaches farther out is not in fractions

_RESOLVED: Final = ("resolved", "resuelto")

_Row = tuple[Any, ...]


class PadchestGr(Source):
    """Reads sentences with boxes, the reports that consist of them, labels and splits.

    The report of an image consists of its positive and negative sentences in their order. GPT-4
    extracted them from the Spanish report and translated them, so reports are ``silver``;
    radiologists drew the boxes, so regions are ``human``. The English sentence is read, and the
    Spanish one only if the English one is blank. A phrase is the sentence without its full stop.

    ``boxes`` and ``extra_boxes`` are the boxes of two independent readers. The paper says that
    there are two readers; that the second key is the second reader is inferred. If a sentence has
    both, each set carries its ``reader``, and the setting ``readers`` of the curation decides how
    they become one statement. Boxes are published as fractions of the image and are converted to
    pixels of the PNG file.

    The images must be unpacked, anywhere in the folder, because the published zip is split into
    parts that cannot be read alone. Copies in another size or as JPEG are read too, because boxes
    are fractions.
    """

    name = "padchest-gr"
    title = "PadChest-GR"
    version = "2024-08-19"
    collection = "padchest"
    tasks = ("report", "findings", "rec", "reg")
    access = "registration"
    licence = "BIMCV PadChest-GR research use agreement"
    citation = "Castro et al., NEJM AI (2025), arXiv:2411.05085"
    url = "https://bimcv.cipf.es/bimcv-projects/padchest-gr/"

    def check(self, root: Path) -> list[str]:
        """See :meth:`Source.check`."""
        reports, table = self._paths(root)
        check_items(reports, _KEYS, "grounded reports")
        check_columns(table, read_header(table), _COLUMNS)
        if not list_files(root, _SUFFIXES):
            parts = list_files(root, [f".{k:03}" for k in range(1, 100)])
            found = f"only {len(parts)} parts of a zip" if parts else "none"
            raise ImaxrayError(
                f"Expected the images as PNG or JPEG files in {root}, but found {found}; join the "
                "parts (cat PadChest_GR.zip.* > PadChest_GR.zip) and unzip them there."
            )
        return [relative(reports, root), relative(table, root)]

    def read(self, root: Path) -> SourceTables:
        """See :meth:`Source.read`."""
        return self.read_with(root, None)

    def read_with(self, root: Path, pool: Executor | None) -> SourceTables:
        """Read the release; read image headers in ``pool`` (see :meth:`Source.read_with`)."""
        self.check(root)
        path, table_path = self._paths(root)
        items = read_items(path, _KEYS, "grounded reports")
        table = read_csv(table_path, _COLUMNS)
        file = relative(table_path, root)
        stem = pl.col("ImageID").str.replace(r"(?i)\.png$", "")
        full = table.with_columns(stem.alias("_stem"))
        images = read_images(root, [""], _SUFFIXES, pool, only=full["_stem"].drop_nulls().to_list())
        full = full.join(
            images.drop("view", "sex", "age"), left_on="_stem", right_on="stem", how="left",
            maintain_order="left",
        )  # fmt: skip
        catalog, facts, hints, bad = self._table(full, file)
        rows, rejects = self._reports(items, relative(path, root), full)
        return SourceTables(
            images=catalog,
            annotations=pl.concat([_facts_frame(rows, self.name, relative(path, root)), facts]),
            hints=hints,
            rejects=pl.concat([bad, pl.DataFrame(rejects, schema=REJECTS, orient="row")]),
            files=(
                release_file(path, root, self.name, len(items)),
                release_file(table_path, root, self.name, table.height),
            ),
        )

    def _paths(self, root: Path) -> tuple[Path, Path]:
        require_root(root, self.name)
        reports = sorted(root.glob(_REPORTS))
        if not reports:
            raise ImaxrayError(
                f"Expected {_REPORTS} in the {self.name} release at {root}, but found none; "
                "download the file or correct the path."
            )
        return reports[-1], find_file(root, _TABLES, self.name)  # names end in a date: the newest

    def _table(
        self, full: pl.DataFrame, file: str
    ) -> tuple[pl.DataFrame, pl.DataFrame, pl.DataFrame, pl.DataFrame]:
        """Return images, labels, hints and rejects of the master table.

        The table has one row per label of a study.
        """
        where: dict[str, Any] = {"source": self.name, "file": file, "key": "ImageID"}
        here = full.filter(is_sound())
        owned = pl.col("PatientID").is_not_null()
        same = pl.col("PatientID") == pl.col("PatientID").first().over("_stem")
        good = here.filter(owned).with_columns(same.alias("_same"))
        split = pl.col("split").str.to_lowercase()
        legal = split.is_null() | split.is_in(list(_SPLITS))
        bad = pl.concat([
            reject_images(full, **where),
            reject(here.filter(~owned), **where, code="bad-id", message="the row has no PatientID"),
            reject(good.filter(~pl.col("_same")), **where, code="bad-id",
                   message="an earlier row gives the image to another patient"),
            reject(good.filter("_same", ~legal), **where, code="bad-value",
                   message="split must be train, validation or test"),
        ])  # fmt: skip
        good = good.filter("_same", legal)
        first = good.unique("_stem", keep="first", maintain_order=True)
        images = first.select(
            self._id().alias("image_id"),
            (pl.lit(f"{self.collection}/") + pl.col("PatientID")).alias("patient_id"),
            (pl.lit(f"{self.collection}/") + pl.col("StudyID")).alias("study_id"),
            "path",
            "width",
            "height",
            _view(good).alias("view"),
            _sex(good).alias("sex"),
            _age(good).alias("age"),
            *provenance(self.name, file),
        )
        hints = good.select(
            self._id().alias("image_id"),
            split.replace_strict(_SPLITS, default=None, return_dtype=pl.String).alias("split"),
            *provenance(self.name, file),
        )
        labels, unread = self._labels(good, file)
        return (
            conform(images, IMAGES),
            labels,
            conform(hints, SPLIT_HINTS),
            pl.concat([bad, unread, *odd_persons(first, **where, age=_AGE)]),
        )

    def _labels(self, good: pl.DataFrame, file: str) -> tuple[pl.DataFrame, pl.DataFrame]:
        """Return the findings that the labels are, and rejects for labels that are none of ours.

        A label that a study does not list is unknown.
        """
        known = padchest_findings()
        label = pl.col("label").map_elements(plain_label, return_dtype=pl.String)
        stated = good.with_columns(label.alias("_label")).with_columns(
            pl.col("_label")
            .replace_strict(known, default=None, return_dtype=pl.List(pl.String))
            .alias("name")
        )
        gone = _is_resolved(good)
        where: dict[str, Any] = {"source": self.name, "file": file, "key": "ImageID"}
        blank, named = pl.col("_label").is_null(), pl.col("name").is_not_null()
        none = pl.col("name").list.len() == 0
        bad = pl.concat([
            reject(stated.filter(blank), **where, code="no-label", message="the row has no label"),
            reject(stated.filter(~blank & ~named), **where, code="unknown-label",
                   message="the label is none of PadChest's"),
            reject(stated.filter(named & none), **where, code="unmapped-label",
                   message="no finding of ours equals or includes the label"),
            reject(stated.filter(named & ~none & gone), **where, code="resolved-finding",
                   message="the finding has resolved, so the image does not show it"),
        ])  # fmt: skip
        # Two labels that map to one finding, e.g. two kinds of fracture, state it once.
        shown = stated.filter(named & ~none & ~gone).explode("name")
        once = shown.unique(["_stem", "name"], keep="first", maintain_order=True)
        labels = once.select(
            self._id().alias("image_id"),
            pl.lit("label").alias("kind"),
            "name",
            pl.lit(1.0).alias("value"),
            *stated_by("human", "radiologist"),
            *provenance(self.name, file),
        )
        return conform(labels, SOURCE_ANNOTATIONS), bad

    def _reports(
        self, items: list[Any], file: str, full: pl.DataFrame
    ) -> tuple[list[_Row], list[_Row]]:
        """Return reports and regions of the grounded reports, and rejects."""
        known = full.unique("_stem", keep="first").select("_stem", "path", "width", "height")
        sizes = {stem: (path, w, h) for stem, path, w, h in known.iter_rows()}
        facts: list[_Row] = []
        rejects: list[_Row] = []
        for row, item in enumerate(items, start=1):
            where = (self.name, file, row)
            image = text_of(item.get("ImageID")) if isinstance(item, dict) else ""
            stem = image[:-4] if image.lower().endswith(".png") else image
            problem = _problem(item, stem, sizes)
            if problem is not None:
                rejects.append((*where, image or None, *problem))
                continue
            _, width, height = sizes[stem]
            image_id = f"{self.collection}/{stem}.png"
            sentences = []
            for finding in item["findings"]:
                text = _sentence(finding)
                if text is None:
                    fault = ("empty-text", "a finding has no sentence")
                    rejects.append((*where, image, *fault))
                    continue
                sentences.append(text)
                regions, faults = _regions(finding, text, float(width), float(height))
                facts += [(image_id, "region", *region, row) for region in regions]
                rejects += [(*where, image, *fault) for fault in faults]
            if sentences:
                report = ("findings", " ".join(sentences), None, None, None, "silver", "gpt-4")
                facts.append((image_id, "report", *report, row))
            elif not item["findings"]:
                rejects.append((*where, image, "empty-text", "the report has no sentence"))
        return facts, rejects

    def _id(self) -> pl.Expr:
        return pl.lit(f"{self.collection}/") + pl.col("_stem") + pl.lit(".png")


def _problem(
    item: Any, stem: str, sizes: dict[str, tuple[str | None, int | None, int | None]]
) -> tuple[str, str] | None:
    if isinstance(item, BadItem):
        return item.code, item.message
    if not isinstance(item, dict) or not isinstance(item.get("findings"), list):
        return "bad-json", "the item is no object with a list of findings"
    if not stem:
        return "bad-id", "the item has no ImageID"
    if stem not in sizes:
        return "unknown-image", "the master table does not have the image"
    path, width, _ = sizes[stem]
    if path is None:
        return "missing-image", "the image is not in this copy"
    if width is None:
        return "unreadable-image", "the image file is damaged"
    return None


def _sentence(finding: Any) -> str | None:
    if not isinstance(finding, dict):
        return None
    english, spanish = (text_of(finding.get(key)) for key in ("sentence_en", "sentence_es"))
    return " ".join((english or spanish).split()) or None


def _regions(
    finding: dict[str, Any], text: str, width: float, height: float
) -> tuple[list[_Row], list[tuple[str, str]]]:
    """Return one region per reader of the finding, with all boxes of the reader, and faults."""
    labels = [text_of(label) for label in _list(finding.get("labels"))]
    known = padchest_findings()
    equals = [name for label in labels for name in known.get(plain_label(label), ())]
    name = next(iter([*equals, *filter(None, labels)]), None)
    phrase = text.rstrip(" .") or text
    raw = None if phrase == text else text
    found: dict[str, list[list[float]]] = {}
    faults = [
        ("unknown-label", "a label of a finding is none of PadChest's")
        for label in labels
        if label and plain_label(label) not in known
    ]
    progression = (finding.get(key) for key in ("progression", "progression_status"))
    if any(_has_resolved(said) for said in progression):
        if any(_list(finding.get(key)) for key in _READERS):
            faults.append(("resolved-finding", "the finding has resolved, so it has no region"))
        return [], faults
    for key, reader in _READERS.items():
        for box in _list(finding.get(key)):
            corners = _corners(box)
            if corners is None:
                faults.append(("bad-value", "a box must be four numbers from 0 to 1"))
                continue
            x1, y1, x2, y2 = corners
            pixels = [x1 * width, y1 * height, x2 * width, y2 * height]
            if pixels[0] < pixels[2] and pixels[1] < pixels[3]:
                found.setdefault(reader, []).append(pixels)
            else:
                faults.append(("zero-area-box", "the box has no width or no height"))
    several = len(found) > 1
    regions = [
        (name, phrase, raw, boxes, reader if several else None, "human", "radiologist")
        for reader, boxes in found.items()
    ]
    return regions, faults


def _corners(box: Any) -> list[float] | None:
    numbers = [v for v in _list(box) if isinstance(v, (int, float)) and not isinstance(v, bool)]
    if len(numbers) != 4 or len(_list(box)) != 4:
        return None
    inside = all(math.isfinite(v) and -_SLACK <= v <= 1 + _SLACK for v in numbers)
    return [float(v) for v in numbers] if inside else None


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _facts_frame(rows: list[_Row], source: str, file: str) -> pl.DataFrame:
    columns = ("image_id", "kind", "name", "text", "raw", "boxes", "reader", "origin", "quality",
               "row")  # fmt: skip
    schema = {column: SOURCE_ANNOTATIONS[column] for column in columns}
    frame = pl.DataFrame(rows, schema=schema, orient="row").with_columns(
        pl.lit(source).alias("source"), pl.lit(file).alias("file")
    )
    return conform(frame, SOURCE_ANNOTATIONS)


def _is_resolved(table: pl.DataFrame) -> pl.Expr:
    """Return whether a row of the master table says that its finding has resolved."""
    for column in ("progression_status", "progression"):
        if column in table.columns:
            said = pl.col(column).str.to_lowercase().str.strip_chars()
            return said.is_in(_RESOLVED).fill_null(False)
    return pl.lit(False)


def _has_resolved(progression: Any) -> bool:
    """Return whether the progression of a finding (a text, a list or an object) is ``resolved``."""
    if isinstance(progression, dict):
        progression = list(progression.values())
    if isinstance(progression, list):
        return any(_has_resolved(part) for part in progression)
    return text_of(progression).lower() in _RESOLVED


def _view(table: pl.DataFrame) -> pl.Expr:
    """Return the view as stated; the DICOM field if the first one says nothing that we know."""
    names = [name for name in ("Projection", "ViewPosition_DICOM") if name in table.columns]
    return pl.coalesce(*map(view, names), *names, pl.lit(None, dtype=pl.String))


def _sex(table: pl.DataFrame) -> pl.Expr:
    there = "PatientSex_DICOM" in table.columns
    return pl.col("PatientSex_DICOM") if there else pl.lit(None, dtype=pl.String)


def _age(table: pl.DataFrame) -> pl.Expr:
    return age(_AGE) if _AGE in table.columns else pl.lit(None, dtype=pl.Int16)
