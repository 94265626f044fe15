"""Reads MIMIC-CXR-JPG 2.1.0: images, the official split and the 14 labels of each study."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Final

import polars as pl

from imaxray.schema import CHEXPERT, IMAGES, REJECTS, SOURCE_ANNOTATIONS, SPLIT_HINTS, conform
from imaxray.sources._shared.base import Source
from imaxray.sources._shared.collections import mimic
from imaxray.sources._shared.files.columns import (
    numeric,
    provenance,
    reject,
    stated_by,
)
from imaxray.sources._shared.files.paths import find_file, relative, release_file
from imaxray.sources._shared.files.tables import check_columns, read_csv, read_header
from imaxray.sources._shared.records import SourceTables

_METADATA: Final = ("dicom_id", "subject_id", "study_id", "ViewPosition", "Rows", "Columns")
_SPLIT: Final = ("dicom_id", "study_id", "subject_id", "split")
_NO_LABELS: Final = ("row", "subject_id", "study_id", "dicom_id", "study", "split", "")
"""Columns of the label files that hold no label."""
_VIEW_OF_CODE: Final = {
    "postero-anterior": "PA",
    "antero-posterior": "AP",
    "lateral": "LATERAL",
    "left lateral": "LL",
}


class MimicCxrJpg(Source):
    """Reads images, and labels of the CheXpert and NegBio labelers and of a radiologist.

    If CheXpert and NegBio state the same value for a label, its quality is ``agreed``. If they
    differ, CheXpert's value is kept with the quality ``disputed``. If only one of them states a
    value, the quality is ``chexpert`` or ``negbio``. For studies of the radiologist's test set, the
    radiologist's labels replace both.
    """

    name = "mimic-cxr-jpg"
    title = "MIMIC-CXR-JPG"
    version = "2.1.0"
    collection = mimic.COLLECTION
    tasks = ("findings",)
    access = "credentialed"
    licence = "PhysioNet Credentialed Health Data License 1.5.0"
    citation = "Johnson et al., MIMIC-CXR-JPG (PhysioNet, 2024), arXiv:1901.07042"
    url = "https://physionet.org/content/mimic-cxr-jpg/2.1.0/"

    def check(self, root: Path) -> list[str]:
        """See :meth:`Source.check`."""
        metadata, split, chexpert = self._required(root)
        check_columns(metadata, read_header(metadata), _METADATA)
        check_columns(split, read_header(split), _SPLIT)
        check_columns(chexpert, read_header(chexpert), ("study_id", *CHEXPERT))
        found = [metadata, split, chexpert]
        for path in (self._negbio(root), self._radiologist(root)):
            if path is not None:
                check_columns(path, read_header(path), ("study_id",))
                found.append(path)
        return [relative(path, root) for path in found]

    def read(self, root: Path) -> SourceTables:
        """See :meth:`Source.read`."""
        self.check(root)
        metadata, split, chexpert = self._required(root)
        images, bad_images, image_rows = self._images(metadata, root)
        hints, bad_hints, hint_rows = self._hints(split, root)
        stated = {"chexpert": chexpert}
        negbio, radiologist = self._negbio(root), self._radiologist(root)
        if negbio is not None:
            stated["negbio"] = negbio
        if radiologist is not None:
            stated["radiologist"] = radiologist
        tables = {labeler: _label_table(path) for labeler, path in stated.items()}
        settled = [self._labels(tables, stated, root, digit) for digit in range(10)]
        bad_ids = [
            reject(
                table.filter(pl.col("study").is_null()),
                source=self.name,
                file=relative(stated[labeler], root),
                key="study_id",
                code="bad-id",
                message="study_id is none of MIMIC's",
            )
            for labeler, table in tables.items()
        ]
        files = [
            release_file(metadata, root, self.name, image_rows),
            release_file(split, root, self.name, hint_rows),
        ]
        files += [
            release_file(path, root, self.name, tables[labeler].height)
            for labeler, path in stated.items()
        ]
        return SourceTables(
            images=images,
            annotations=pl.concat([labels for labels, _ in settled]),
            hints=hints,
            rejects=pl.concat([bad_images, bad_hints, *bad_ids, *(bad for _, bad in settled)]),
            files=tuple(files),
        )

    def _required(self, root: Path) -> tuple[Path, Path, Path]:
        def find(stem: str) -> Path:
            name = f"mimic-cxr-2.0.0-{stem}.csv"
            return find_file(root, (f"{name}.gz", name), self.name)

        return find("metadata"), find("split"), find("chexpert")

    def _negbio(self, root: Path) -> Path | None:
        names = ("mimic-cxr-2.0.0-negbio.csv.gz", "mimic-cxr-2.0.0-negbio.csv")
        return next((root / name for name in names if (root / name).is_file()), None)

    def _radiologist(self, root: Path) -> Path | None:
        name = "mimic-cxr-2.1.0-test-set-labeled.csv"
        paths = (root / name, root / f"{name}.gz")
        return next((path for path in paths if path.is_file()), None)

    def _images(self, path: Path, root: Path) -> tuple[pl.DataFrame, pl.DataFrame, int]:
        table = read_csv(path, _METADATA)
        file = relative(path, root)
        code = (
            pl.col("ViewCodeSequence_CodeMeaning").str.to_lowercase().replace_strict(
                _VIEW_OF_CODE, default=None, return_dtype=pl.String
            )
            if "ViewCodeSequence_CodeMeaning" in table.columns
            else pl.lit(None, dtype=pl.String)
        )  # fmt: skip
        full = table.with_columns(
            mimic.image_id("dicom_id").alias("image_id"),
            mimic.patient_id("subject_id").alias("patient_id"),
            mimic.study_id("study_id").alias("study"),
            numeric("Rows").alias("height"),
            numeric("Columns").alias("width"),
            pl.coalesce("ViewPosition", code).alias("view"),
        )
        known = pl.all_horizontal(pl.col("image_id", "patient_id", "study").is_not_null())
        sized = (pl.col("width") >= 1) & (pl.col("height") >= 1)
        good = full.filter(known & sized.fill_null(False)).select(
            "image_id",
            "patient_id",
            pl.col("study").alias("study_id"),
            _jpg_path().alias("path"),
            "width",
            "height",
            "view",
            *provenance(self.name, file),
        )
        where = {"source": self.name, "file": file, "key": "dicom_id"}
        bad = pl.concat([
            reject(full.filter(~known), **where, code="bad-id",
                   message="dicom_id, subject_id or study_id is none of MIMIC's"),
            reject(full.filter(known & ~sized.fill_null(False)), **where, code="bad-value",
                   message="Rows and Columns must be positive numbers"),
        ])  # fmt: skip
        return conform(good, IMAGES), bad, table.height

    def _hints(self, path: Path, root: Path) -> tuple[pl.DataFrame, pl.DataFrame, int]:
        table = read_csv(path, _SPLIT)
        file = relative(path, root)
        full = table.with_columns(
            mimic.image_id("dicom_id").alias("image_id"),
            pl.col("split").str.to_lowercase().replace({"validate": "val", "valid": "val"}),
        )
        known = pl.col("image_id").is_not_null()
        named = pl.col("split").is_in(["train", "val", "test"]).fill_null(False)
        good = full.filter(known & named).select(
            "image_id",
            "split",
            *provenance(self.name, file),
        )
        where = {"source": self.name, "file": file, "key": "dicom_id"}
        bad = pl.concat([
            reject(full.filter(~known), **where, code="bad-id",
                   message="dicom_id is none of MIMIC's"),
            reject(full.filter(known & ~named), **where, code="bad-value",
                   message="split must be train, validate or test"),
        ])  # fmt: skip
        return conform(good, SPLIT_HINTS), bad, table.height

    def _labels(
        self,
        tables: Mapping[str, pl.DataFrame],
        paths: Mapping[str, Path],
        root: Path,
        digit: int,
    ) -> tuple[pl.DataFrame, pl.DataFrame]:
        """Return the settled labels of the studies whose id ends in ``digit``, and the rejects.

        Labels are settled for a tenth of the studies at a time, which saves memory and does not
        change the result.
        """
        last = pl.col("study").str.slice(-1)
        # An id that does not end in an ASCII digit counts as ending in 9.
        here = last == str(digit) if digit < 9 else ~last.is_in(list("012345678"))
        parts = [
            self._stated(
                table.filter(here),
                relative(paths[labeler], root),
                labeler,
            )
            for labeler, table in tables.items()
        ]
        labels, superseded = _settle(pl.concat([labels for labels, _ in parts]))
        return labels, pl.concat([superseded, *(bad for _, bad in parts)])

    def _stated(
        self, table: pl.DataFrame, file: str, labeler: str
    ) -> tuple[pl.DataFrame, pl.DataFrame]:
        """Return one row per label that a file states, and the rejects of the file."""
        names = [name for name in CHEXPERT if name in table.columns]
        # The table is filtered one label at a time, because four of five cells are blank.
        stated = pl.concat(
            table.filter(pl.col(name).is_not_null()).select(
                "row",
                "study_id",
                "study",
                pl.lit(name, dtype=SOURCE_ANNOTATIONS["name"]).alias("name"),
                pl.col(name).alias("stated"),
            )
            for name in names
        )
        coded = stated.with_columns(numeric("stated").alias("value"))
        legal = pl.col("value").is_in([1.0, 0.0, -1.0]).fill_null(False)
        labels = coded.filter(legal).select(
            pl.col("study").alias("study_id"),
            pl.lit("label").alias("kind"),
            "name",
            "value",
            *stated_by("human" if labeler == "radiologist" else "silver", labeler),
            *provenance(self.name, file),
        )
        blank = table.filter(pl.all_horizontal(pl.col(names).is_null()))
        where = {"source": self.name, "file": file, "key": "study_id"}
        strange = [name for name in table.columns if name not in (*names, *_NO_LABELS)]
        unread = table.unpivot(strange, index=["row", "study_id"]).filter(
            pl.col("value").cast(pl.Float64, strict=False) == 1  # other cells state no presence
        )
        bad = pl.concat([
            reject(unread, **where, code="unmapped-label",
                   message="a column that is none of our labels states a finding"),
            reject(coded.filter(~legal), **where, code="unknown-label",
                   message="a label must be 1.0, 0.0, -1.0 or blank"),
            reject(blank, **where, code="no-label", message="all labels of the study are blank"),
        ])  # fmt: skip
        return conform(labels, SOURCE_ANNOTATIONS), bad


def _label_table(path: Path) -> pl.DataFrame:
    """Read the file of a labeler and add the study id of each row, null if it is not MIMIC's."""
    table = read_csv(path, ("study_id",)).rename({"Airspace Opacity": "Lung Opacity"}, strict=False)
    if not set(CHEXPERT) & set(table.columns):
        table = table.with_columns(pl.lit(None, dtype=pl.String).alias(CHEXPERT[0]))
    return table.with_columns(mimic.study_id("study_id").alias("study"))


def _jpg_path() -> pl.Expr:
    subject = pl.col("patient_id").str.strip_prefix(f"{mimic.COLLECTION}/")
    return pl.concat_str(
        pl.lit("files/p"), subject.str.slice(0, 2), pl.lit("/p"), subject, pl.lit("/s"),
        pl.col("study").str.strip_prefix(f"{mimic.COLLECTION}/"), pl.lit("/"),
        pl.col("image_id").str.strip_prefix(f"{mimic.COLLECTION}/"), pl.lit(".jpg"),
    )  # fmt: skip


def _settle(labels: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Keep one label per study and name: the radiologist's, else CheXpert's, else NegBio's.

    A NegBio label that CheXpert states too is not kept, but the quality of CheXpert's label says
    whether the two agree. A row of which no label is kept is a reject ``superseded``.
    """
    key = ["study_id", "name"]
    read_by = labels.filter(pl.col("quality") == "radiologist").select("study_id").unique()
    human = labels.filter(pl.col("quality") == "radiologist")
    machine = labels.filter(pl.col("quality") != "radiologist")
    overruled = machine.join(read_by, on="study_id", how="semi")
    machine = machine.join(read_by, on="study_id", how="anti")
    chexpert = machine.filter(pl.col("quality") == "chexpert").unique(
        key, keep="first", maintain_order=True
    )
    negbio = machine.filter(pl.col("quality") == "negbio").unique(
        key, keep="first", maintain_order=True
    )
    both = chexpert.join(
        negbio.select(*key, pl.col("value").alias("other")),
        on=key,
        how="left",
        maintain_order="left",
    )
    quality = (
        pl.when(pl.col("other").is_null())
        .then(pl.lit("chexpert"))
        .when(pl.col("other") == pl.col("value"))
        .then(pl.lit("agreed"))
        .otherwise(pl.lit("disputed"))
        .alias("quality")
    )
    first = both.with_columns(quality.cast(SOURCE_ANNOTATIONS["quality"])).drop("other")
    only_negbio = negbio.join(chexpert, on=key, how="anti", maintain_order="left")
    kept = pl.concat([human, first, only_negbio])
    standing = kept.select("file", "row").unique()
    confirming = negbio.join(chexpert, on=key, how="semi")
    overruled_by = "the radiologist's labels of this study stand"
    confirms = "CheXpert states the same labels; quality says whether they agree"
    lost = pl.concat(
        [
            _rows(overruled).with_columns(pl.lit(overruled_by).alias("message")),
            _rows(confirming).with_columns(pl.lit(confirms).alias("message")),
        ]
    )
    del overruled, confirming, first, both
    lost = lost.join(standing, on=["file", "row"], how="anti").unique(
        ["file", "row"], keep="first", maintain_order=True
    )
    rejects = [_rejected(lost, "superseded")]
    if chexpert.height + negbio.height < machine.height:  # a file has a study twice
        settled = pl.concat([standing, lost.select("file", "row")])
        again = machine.join(settled, on=["file", "row"], how="anti", maintain_order="left")
        said = pl.lit("another row of the file states the study's labels").alias("message")
        rejects.append(
            _rejected(
                again.unique(["file", "row"], maintain_order=True).with_columns(said),
                "duplicate-annotation",
            )
        )
    return kept, pl.concat(rejects)


def _rows(labels: pl.DataFrame) -> pl.DataFrame:
    """Return each row of a file once, because a row has up to fourteen labels."""
    return labels.select("source", "file", "row", "study_id").unique(
        ["file", "row"], keep="first", maintain_order=True
    )


def _rejected(rows: pl.DataFrame, code: str) -> pl.DataFrame:
    frame = rows.select(
        "source", "file", "row", pl.col("study_id").alias("key"), pl.lit(code).alias("code"),
        "message",
    )  # fmt: skip
    return conform(frame, REJECTS)
