"""Assigns each patient to one split over all releases."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import polars as pl
from pydantic import BaseModel, ConfigDict, Field, model_validator

from imaxray.schema import REJECTS, conform


class SplitConfig(BaseModel):
    """Sets the shares of val and test among patients whom no release assigns to a split.

    With ``test: 1`` and ``val: 0`` all of them are test patients, for data that only evaluate.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    val: float = Field(default=0.05, ge=0, le=1)
    test: float = Field(default=0.15, ge=0, le=1)

    @model_validator(mode="after")
    def _fits(self) -> SplitConfig:
        if self.val + self.test > 1:
            raise ValueError("val and test together must not be more than 1")
        return self


def assign_splits(
    images: pl.DataFrame,
    hints: pl.DataFrame,
    config: SplitConfig,
    *,
    seed: int,
    dropped: pl.DataFrame | None = None,
    bound: Sequence[frozenset[str]] = (),
) -> tuple[pl.DataFrame, pl.DataFrame, pl.DataFrame]:
    """Assign every image to the split of its patient.

    If any release has any image or study of a patient in its test set, the patient is a test
    patient for all releases. Otherwise the same holds for validation sets and then for train sets.
    For a patient without a hint, a hash of seed and patient id decides the split.

    Args:
        images: Images of the catalog.
        hints: Split hints of the releases (schema SPLIT_HINTS).
        config: Shares of val and test among patients without a hint.
        seed: Seed that decides the split of patients without a hint.
        dropped: Images that the catalog rejected. If a release has one of them in its test set,
            the patient is still a test patient, and so are the patient's other images.
        bound: Sets of patients who share a radiograph and must share a split. The split is test if
            one of them is a test patient, else val if one is a validation patient, else train.

    Returns:
        The images with ``split``; the hints about patients of the catalog; rejects for the other
        hints.
    """
    people = images.select("patient_id").unique()
    columns = ["image_id", "study_id", "patient_id"]
    known = images.select(columns)
    if dropped is not None:
        known = pl.concat([known, dropped.select(columns)])
    of_image = known.select("image_id", "patient_id")
    of_study = (
        known.filter(pl.col("study_id").is_not_null()).select("study_id", "patient_id").unique()
    )

    def reached(by: str, owners: pl.DataFrame) -> pl.DataFrame:
        rows = hints.filter(pl.col(by).is_not_null())
        return (rows if by == "patient_id" else rows.drop("patient_id")).join(owners, on=by)

    parts = [
        reached("image_id", of_image),
        reached("study_id", of_study),
        reached("patient_id", known.select("patient_id").unique()),
    ]
    resolved = pl.concat([part.select(hints.columns) for part in parts])
    used = resolved.join(people, on="patient_id", how="semi")
    row = ["source", "file", "row"]
    unused = hints.join(used, on=row, how="anti")
    gone = unused.join(resolved.select(row).unique(), on=row, how="semi")
    nowhere = unused.join(resolved, on=row, how="anti")
    rejects = pl.concat([
        _reject(gone, "image-rejected", "every image of the patient was rejected"),
        _reject(nowhere, "unknown-image", "no image of the catalog belongs to the row"),
    ])  # fmt: skip
    rank = pl.col("split").replace_strict({"test": 3, "val": 2, "train": 1}, return_dtype=pl.Int8)
    told = (
        resolved.filter(pl.col("split").is_not_null())
        .group_by("patient_id")
        .agg(rank.max().alias("rank"))
        .with_columns(
            pl.col("rank")
            .replace_strict({3: "test", 2: "val", 1: "train"}, return_dtype=pl.String)
            .alias("split")
        )
        .select("patient_id", "split")
    )
    hinted = told.join(people, on="patient_id", how="semi")
    free = people.join(hinted, on="patient_id", how="anti").sort("patient_id")
    drawn = free.with_columns(
        pl.Series("split", [_draw(p, config, seed) for p in free["patient_id"]], dtype=pl.String)
    )
    settled = _bind(pl.concat([hinted, drawn]), told, bound)
    split = images.drop("split").join(settled, on="patient_id", how="left", maintain_order="left")
    return split.select(images.columns), used, rejects


def _bind(
    settled: pl.DataFrame, told: pl.DataFrame, bound: Sequence[frozenset[str]]
) -> pl.DataFrame:
    if not bound:
        return settled
    # A patient whose last image was dropped as a duplicate still counts for the other patients of
    # the set.
    split = dict(told.iter_rows()) | dict(settled.iter_rows())
    groups: list[set[str]] = []
    for patients in bound:
        touched = [group for group in groups if group & patients]
        groups = [group for group in groups if not group & patients]
        groups.append(set(patients).union(*touched))
    for group in groups:
        known = [split[patient] for patient in group if patient in split]
        strongest = max(known, key=("train", "val", "test").index, default="train")
        split.update(dict.fromkeys(group, strongest))
    return settled.with_columns(
        pl.col("patient_id").replace_strict(split, return_dtype=pl.String).alias("split")
    )


def _reject(hints: pl.DataFrame, code: str, message: str) -> pl.DataFrame:
    frame = hints.select(
        "source",
        "file",
        "row",
        pl.coalesce("image_id", "study_id", "patient_id").alias("key"),
        pl.lit(code).alias("code"),
        pl.lit(message).alias("message"),
    )
    return conform(frame, REJECTS)


def _draw(patient: str, config: SplitConfig, seed: int) -> str:
    digest = hashlib.blake2b(f"{seed}\x1f{patient}".encode(), digest_size=8).digest()
    share = int.from_bytes(digest) / 2**64
    if share < config.test:
        return "test"
    return "val" if share < config.test + config.val else "train"
