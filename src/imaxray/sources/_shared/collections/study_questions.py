"""Reads questions about MIMIC studies and assigns each to the image that represents its study."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import polars as pl

from imaxray.schema import SOURCE_ANNOTATIONS, SPLIT_HINTS, conform
from imaxray.sources._shared.collections import mimic
from imaxray.sources._shared.files.columns import provenance, reject, stated_by
from imaxray.sources._shared.files.paths import relative, release_file
from imaxray.sources._shared.files.tables import read_csv
from imaxray.sources._shared.records import ReleaseFile

STUDY_IMAGES: Final = ("mimic_all.csv", "mimic_all.csv.gz")
STUDY_COLUMNS: Final = ("subject_id", "study_id", "dicom_id", "view", "split")

DIFFERENCE: Final = "difference"
TYPES: Final = ("abnormality", "presence", "view", "location", "level", "type")
"""Types of questions that can be answered from one image."""

_FRONTAL: Final = ("postero-anterior", "antero-posterior")
_SPLITS: Final = {"train": "train", "validate": "val", "test": "test"}
_FAULTS: Final = {
    "bad-id": "the row's study, patient or image id is none of MIMIC's, or they do not belong "
    "together",
    "two-images": "a difference question needs two images",
    "bad-value": f"question_type must be {', '.join(TYPES)} or {DIFFERENCE}",
    "empty-text": "the question or the answer is empty",
    "unknown-study": "neither the row nor mimic_all.csv gives an image of the study",
    "no-frontal-image": "mimic_all.csv has no frontal image of the study",
}
"""Maps the code of each reason to reject a row to the reject message."""


def read_study_images(
    path: Path, root: Path, source: str
) -> tuple[pl.DataFrame, pl.DataFrame, pl.DataFrame, ReleaseFile]:
    """Read from ``mimic_all.csv`` which image represents each study, and the official split.

    The 14 label columns of the table are not read: they are the CheXpert labels of MIMIC-CXR-JPG,
    which the reader of that release provides.

    Returns:
        The studies (study_id, image_id, patient_id, frontal), each once; the split hints, one per
        row; the rejects; the description of the file.

    Raises:
        ImaxrayError: If a column is missing, the table is empty or the file is damaged.
    """
    file = relative(path, root)
    table = read_csv(path, STUDY_COLUMNS).with_columns(
        mimic.image_id("dicom_id").alias("image_id"),
        mimic.study_id("study_id").alias("_study"),
        mimic.patient_id("subject_id").alias("patient_id"),
        pl.col("view").str.to_lowercase().is_in(_FRONTAL).fill_null(False).alias("frontal"),
    )
    legal = pl.all_horizontal(pl.col("image_id", "_study", "patient_id").is_not_null())
    named = pl.col("split").str.to_lowercase().is_in(list(_SPLITS)).fill_null(False)
    where = {"source": source, "file": file, "key": "dicom_id"}
    rejects = [
        reject(table.filter(~legal), **where, code="bad-id",
               message="subject_id, study_id or dicom_id is none of MIMIC's"),
        reject(table.filter(legal & ~named), **where, code="bad-value",
               message="split must be train, validate or test"),
    ]  # fmt: skip
    good = table.filter(legal)
    hints = good.filter(named).select(
        "image_id",
        pl.col("split").str.to_lowercase().replace(_SPLITS).alias("split"),
        *provenance(source, file),
    )
    studies = good.select(pl.col("_study").alias("study_id"), "image_id", "patient_id", "frontal")
    return (
        studies.unique("study_id", keep="first", maintain_order=True),
        conform(hints, SPLIT_HINTS),
        pl.concat(rejects),
        release_file(path, root, source, table.height),
    )


def read_questions(
    table: pl.DataFrame, studies: pl.DataFrame | None, *, source: str, file: str, quality: str
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Return questions about one image as annotations and all other rows as rejects.

    A question is closed if its answer is yes or no, as the authors define it. Any other answer may
    be a list that is separated by commas. If a row has a ``dicom_id``, its question is about that
    image; otherwise it is about the image that represents the study.

    Args:
        table: Table from :func:`read_csv` with the columns row, study_id, question and answer, and
            with question_type, subject_id and dicom_id if the release has them.
        studies: Studies from :func:`read_study_images`; None if every row names its image.
        source: Name of the source.
        file: Path of the table inside the release.
        quality: Quality of the annotations, which says how the answers were made.
    """
    optional = [
        pl.lit(None, dtype=pl.String).alias(name)
        for name in ("question_type", "subject_id", "dicom_id")
        if name not in table.columns
    ]
    full = table.with_columns(optional).with_columns(
        mimic.study_id("study_id").alias("_study"),
        mimic.patient_id("subject_id").alias("_patient"),
        mimic.image_id("dicom_id").alias("_own"),
        pl.col("question_type").str.to_lowercase(),
        _answers("answer").alias("answers"),
    )
    known = _no_studies() if studies is None else studies
    full = full.join(
        known.rename({"study_id": "_study"}), on="_study", how="left", maintain_order="left"
    ).with_columns(pl.coalesce("_own", "image_id").alias("_image"))
    fault = (
        pl.when(_bad_id()).then(pl.lit("bad-id"))
        .when(pl.col("question_type") == DIFFERENCE).then(pl.lit("two-images"))
        .when(~pl.col("question_type").is_in(TYPES)).then(pl.lit("bad-value"))
        .when(pl.col("question").is_null() | (pl.col("answers").list.len().fill_null(0) == 0))
        .then(pl.lit("empty-text"))
        .when(pl.col("_image").is_null()).then(pl.lit("unknown-study"))
        .when(pl.col("_own").is_null() & ~pl.col("frontal")).then(pl.lit("no-frontal-image"))
    )  # fmt: skip
    full = full.with_columns(fault.alias("fault"))
    rejects = [
        reject(full.filter(pl.col("fault") == code), source=source, file=file, key="study_id",
               code=code, message=message)
        for code, message in _FAULTS.items()
    ]  # fmt: skip
    first = pl.col("answers").list.first()
    closed = (pl.col("answers").list.len() == 1) & first.is_in(["yes", "no"])
    annotations = full.filter(pl.col("fault").is_null()).select(
        pl.col("_image").alias("image_id"),
        pl.lit("qa").alias("kind"),
        pl.col("question_type").fill_null("question").alias("name"),
        closed.cast(pl.Float64).alias("value"),
        pl.col("question").alias("text"),
        "answers",
        *stated_by("silver", quality),
        *provenance(source, file),
    )
    return conform(annotations, SOURCE_ANNOTATIONS), pl.concat(rejects)


def _answers(column: str) -> pl.Expr:
    parts = pl.col(column).str.to_lowercase().str.split(",")
    return parts.list.eval(pl.element().str.strip_chars().replace("", None).drop_nulls())


def _bad_id() -> pl.Expr:
    """Return whether an id of a row has no known form, or the study has another patient."""
    odd_image = pl.col("dicom_id").is_not_null() & pl.col("_own").is_null()
    odd_patient = pl.col("subject_id").is_not_null() & pl.col("_patient").is_null()
    other = (pl.col("_patient") != pl.col("patient_id")).fill_null(False)
    return pl.col("_study").is_null() | odd_image | odd_patient | other


def _no_studies() -> pl.DataFrame:
    return pl.DataFrame(
        schema={
            "study_id": pl.String,
            "image_id": pl.String,
            "patient_id": pl.String,
            "frontal": pl.Boolean,
        }
    )
