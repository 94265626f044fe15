"""Reads CheXpert Plus: the reports of CheXpert's studies and the labels CheXbert gave them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import polars as pl

from imaxray._common.strict_json import BadItem, parse_item
from imaxray.errors import ImaxrayError
from imaxray.schema import CHEXPERT, REJECTS, SOURCE_ANNOTATIONS, SPLIT_HINTS, conform
from imaxray.sources._shared.base import Source
from imaxray.sources._shared.collections import chexpert
from imaxray.sources._shared.files.columns import provenance, reject, stated_by
from imaxray.sources._shared.files.paths import find_file, relative, release_file
from imaxray.sources._shared.files.tables import check_columns, read_csv, read_header
from imaxray.sources._shared.records import ReleaseFile, SourceTables

_TABLE: Final = "df_chexpert_plus_240401.csv"
_SECTIONS: Final = {"section_findings": "findings", "section_impression": "impression"}
_COLUMNS: Final = ("path_to_image", "frontal_lateral", "ap_pa", "split", *_SECTIONS)
_FOLDERS: Final = ("", "PNG", "PNG/PNG", "PNGs")
_LABELS: Final = {"report": "report", "impression": "section_impression",
                  "findings": "section_findings"}  # fmt: skip
"""Maps the text that CheXbert labelled to its column; the whole report is preferred, because it
holds the most information."""
_SPLITS: Final = {"train": "train", "valid": "val"}


class ChexpertPlus(Source):
    """Reads findings and impression of 187,711 studies, and silver labels if they were downloaded.

    The images of a copy are used if they exist (they are PNG files, although the paths end in
    ``.jpg``). Without them, or with the images of CheXpert 1.0, the reports still belong to their
    studies. One of three label files (``chexbert_labels/*_fixed.json``, JSON lines) is read: that
    of the whole report, else that of the impression, else that of the findings. CheXbert calls an
    empty text normal, so labels of a study without the text are rejects. The folder that the PNG
    archives unpack to is not documented; the folders named in public code, by the authors and
    others, are tried.
    """

    name = "chexpert-plus"
    title = "CheXpert Plus"
    version = "240401"
    collection = chexpert.COLLECTION
    tasks = ("findings", "report")
    access = "registration"
    licence = "Stanford University Dataset Research Use Agreement"
    citation = "Chambon et al. 2024, arXiv:2405.19538"
    url = "https://stanfordaimi.azurewebsites.net/datasets/5158c524-d3ab-4e02-96e9-6ee9efc110a1"

    def check(self, root: Path) -> list[str]:
        """See :meth:`Source.check`."""
        table = self._table(root)
        header = read_header(table)
        check_columns(table, header, _COLUMNS)
        labels = self._labels_file(root)
        if labels is None:
            return [relative(table, root)]
        check_columns(table, header, (_LABELS[_read_by(labels)],))
        _check_lines(labels)
        return [relative(table, root), relative(labels, root)]

    def read(self, root: Path) -> SourceTables:
        """See :meth:`Source.read`."""
        self.check(root)
        path, labels_path = self._table(root), self._labels_file(root)
        text = () if labels_path is None else (_LABELS[_read_by(labels_path)],)
        table = read_csv(path, (*_COLUMNS, *text))
        file = relative(path, root)
        where = {"source": self.name, "file": file}
        known, bad = chexpert.split_paths(table, "path_to_image", **where)
        images, missing = chexpert.read_images(
            known, root, _FOLDERS, side="frontal_lateral", projection="ap_pa", **where
        )
        reports, silent = self._reports(known, file)
        hints, unsplit = self._hints(known, file)
        facts, rejects = [reports], [bad, missing, silent, unsplit]
        files = [release_file(path, root, self.name, table.height)]
        if labels_path is not None:
            labels, illegal, labels_file = self._labels(labels_path, root, known)
            facts.append(labels)
            rejects.append(illegal)
            files.append(labels_file)
        return SourceTables(
            images=images,
            annotations=pl.concat(facts),
            hints=hints,
            rejects=pl.concat(rejects),
            files=tuple(files),
        )

    def _table(self, root: Path) -> Path:
        return find_file(root, (_TABLE, f"{_TABLE}.gz"), self.name)

    def _labels_file(self, root: Path) -> Path | None:
        paths = (root / "chexbert_labels" / f"{text}_fixed.json" for text in _LABELS)
        return next((path for path in paths if path.is_file()), None)

    def _reports(self, known: pl.DataFrame, file: str) -> tuple[pl.DataFrame, pl.DataFrame]:
        stated = known.rename(_SECTIONS).unpivot(
            ("findings", "impression"),
            index=["row", "image_id", "study_id"],
            variable_name="name",
            value_name="raw",
        )
        cleaned = stated.with_columns(
            pl.col("raw").str.replace_all(r"\s+", " ").str.strip_chars().alias("text")
        ).filter(pl.col("text").fill_null("") != "")
        silent = reject(
            known.join(cleaned, on="row", how="anti"), source=self.name, file=file, key="image_id",
            code="empty-text", message="neither findings nor impression has text",
        )  # fmt: skip
        # Every row of a study repeats its report, because a row is an image.
        once = cleaned.sort("row", "name").unique(
            ["study_id", "name", "text"], keep="first", maintain_order=True
        )
        reports = once.select(
            "study_id",
            pl.lit("report").alias("kind"),
            "name",
            "text",
            pl.when(pl.col("raw") != pl.col("text")).then("raw").alias("raw"),
            *stated_by("human", "report"),
            *provenance(self.name, file),
        )
        return conform(reports, SOURCE_ANNOTATIONS), silent

    def _hints(self, known: pl.DataFrame, file: str) -> tuple[pl.DataFrame, pl.DataFrame]:
        split = pl.col("split").str.to_lowercase()
        named = split.is_in(list(_SPLITS)).fill_null(False)
        hints = known.filter(named).select(
            "image_id",
            split.replace(_SPLITS).alias("split"),
            *provenance(self.name, file),
        )
        bad = reject(
            known.filter(~named), source=self.name, file=file, key="image_id", code="bad-value",
            message="split must be train or valid",
        )  # fmt: skip
        return conform(hints, SPLIT_HINTS), bad

    def _labels(
        self, path: Path, root: Path, known: pl.DataFrame
    ) -> tuple[pl.DataFrame, pl.DataFrame, ReleaseFile]:
        file = relative(path, root)
        where = {"source": self.name, "file": file}
        rows, broken, count = _read_lines(path)
        bad = pl.DataFrame(
            [(self.name, file, row, None, item.code, item.message) for row, item in broken],
            schema=REJECTS, orient="row",
        )  # fmt: skip
        full, unnamed = chexpert.split_paths(rows, "path_to_image", **where)
        column = _LABELS[_read_by(path)]
        table = known.unique("image_id", keep="first", maintain_order=True)
        told = full.join(
            table.select("image_id", pl.col(column).is_not_null().alias("_told")),
            on="image_id", how="left", maintain_order="left",
        )  # fmt: skip
        heard = told.filter(pl.col("_told"))
        labels, illegal = chexpert.study_labels(heard, origin="silver", quality="chexbert", **where)
        blank = pl.all_horizontal(pl.col(*CHEXPERT).is_null())
        settled = pl.concat([labels.select("row"), illegal.select("row")])
        rejects = [
            bad,
            unnamed,
            illegal,
            reject(told.filter(pl.col("_told").is_null()), **where, key="image_id",
                   code="unknown-image", message="the table has no such image"),
            reject(told.filter(~pl.col("_told")), **where, key="image_id",
                   code="empty-text", message="the labels are those of an empty text"),
            reject(heard.filter(blank), **where, key="image_id",
                   code="no-label", message="all labels of the line are null"),
            reject(heard.filter(~blank).join(settled, on="row", how="anti"), **where,
                   key="image_id", code="duplicate-annotation",
                   message="another image of the study states it already"),
        ]  # fmt: skip
        return labels, pl.concat(rejects), release_file(path, root, self.name, count)


def _read_by(labels: Path) -> str:
    """Return which text CheXbert labelled in a label file: report, impression or findings."""
    return labels.name.removesuffix("_fixed.json")


def _lines(path: Path) -> Iterator[bytes]:
    """Yield the lines of a file that are not blank."""
    with path.open("rb") as stream:
        for line in stream:
            if line.strip():
                yield line


def _check_lines(path: Path) -> None:
    """Check that the first JSON object has an image path and 14 labels.

    Raises:
        ImaxrayError: If the first line is no object or lacks one of these keys.
    """
    item = next((item for item in map(_object, _lines(path)) if isinstance(item, dict)), None)
    wanted = ("path_to_image", *CHEXPERT)
    missing = wanted if item is None else [key for key in wanted if key not in item]
    if missing:
        raise ImaxrayError(
            f"Expected JSON lines with {', '.join(missing)} in {path}, but its first object lacks "
            "them; check that it is the unpacked file of the stated release."
        )


def _object(line: bytes) -> dict[str, Any] | BadItem:
    item = parse_item(line)
    if isinstance(item, (dict, BadItem)):
        return item
    return BadItem("bad-json", "the line is no JSON object")


def _read_lines(path: Path) -> tuple[pl.DataFrame, list[tuple[int, BadItem]], int]:
    """Read the path and the 14 labels of every line as text.

    Returns:
        The lines that are objects; the numbers of the lines that are not; the number of all lines.
    """
    names = ("path_to_image", *CHEXPERT)
    columns: dict[str, list[Any]] = {name: [] for name in ("row", *names)}
    broken: list[tuple[int, BadItem]] = []
    row = 0
    for row, line in enumerate(_lines(path), start=1):
        item = _object(line)
        if isinstance(item, BadItem):
            broken.append((row, item))
            continue
        columns["row"].append(row)
        for name in names:
            columns[name].append(_text(item.get(name)))
    schema = {"row": pl.Int64} | dict.fromkeys(names, pl.String)
    return pl.DataFrame(columns, schema=schema), broken, row


def _text(value: Any) -> str | None:
    """Convert a JSON value to the text that a table cell would hold."""
    if value is None or isinstance(value, str):
        return value
    return repr(value) if isinstance(value, (int, float)) else "?"  # "?" for lists and objects
