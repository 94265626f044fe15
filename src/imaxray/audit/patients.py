"""Finds patients and images in several splits, and entries that disagree with their image."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import polars as pl

from imaxray.audit.audit_input import NO_SPLIT, AuditInput, AuditIssue, joined
from imaxray.audit.reading.patient_paths import UNSURE

_ONE: Final = "there is only one split"


def limits(audit_input: AuditInput) -> str | None:
    """Say why leaks may not be found: there is one split, or patients are not known."""
    if len([split for split in audit_input.splits if split != NO_SPLIT]) < 2:
        return _ONE
    places = audit_input.places
    unknown = places.filter(pl.col("patient_id").is_null())["image_id"].n_unique()
    total = places["image_id"].n_unique()
    why = []
    if unknown:
        why.append(
            f"{unknown:,} of {total:,} images (or records without one) have no known patient"
        )
    if audit_input.unsure_patients:
        why.append(
            f"{audit_input.unsure_patients:,} images are known by paths that name no patient "
            f"({UNSURE}); name the patients with --patients TABLE or --patient-field"
        )
    return "; ".join(why) or None


def split_limits(audit_input: AuditInput) -> str | None:
    """Say that no image can be in two splits if there is only one split."""
    return _ONE if len([s for s in audit_input.splits if s != NO_SPLIT]) < 2 else None


def _known(audit_input: AuditInput) -> pl.DataFrame:
    return audit_input.places.filter(
        pl.col("patient_id").is_not_null(), pl.col("split") != NO_SPLIT
    )


def over_splits(audit_input: AuditInput) -> Iterator[AuditIssue]:
    """Find patients that one source puts in several splits."""
    for patient, splits, examples in _within_one_source(audit_input).iter_rows():
        where = "; ".join(f"{image} in {split}" for split, image in _first_of(examples))
        yield AuditIssue("patient-over-splits", joined(splits), patient, where)


def over_sources(audit_input: AuditInput) -> Iterator[AuditIssue]:
    """Find patients that each source puts in one split, but not in the same one."""
    known = _known(audit_input).filter(pl.col("source").is_not_null())
    alone = _within_one_source(audit_input).select("patient_id")
    between = (
        known.join(alone, on="patient_id", how="anti")
        .group_by("patient_id")
        .agg(pl.col("split").unique(), pl.struct("split", "source").unique().alias("examples"))
        .filter(pl.col("split").list.len() > 1)
        .sort("patient_id")
    )
    for patient, splits, stated in between.iter_rows():
        pairs = sorted({(row["split"], row["source"]) for row in stated})
        where = "; ".join(f"{split} by {source}" for split, source in pairs)
        yield AuditIssue("patient-over-sources", joined(splits), patient, where)


def _within_one_source(audit_input: AuditInput) -> pl.DataFrame:
    """Return patients that one source has in several splits: ``patient_id, split, examples``."""
    known = _known(audit_input)
    # records that name no source count as one source
    twice = (
        known.group_by("patient_id", "source")
        .agg(pl.col("split").n_unique().alias("n"))
        .filter(pl.col("n") > 1)
        .select("patient_id")
        .unique()
    )
    return (
        known.join(twice, on="patient_id", how="semi")
        .group_by("patient_id")
        .agg(pl.col("split").unique(), pl.struct("split", "image_id").unique().alias("examples"))
        .sort("patient_id")
    )


def _first_of(examples: list[dict[str, str]]) -> list[tuple[str, str]]:
    """Return the first image of each split."""
    first: dict[str, str] = {}
    for row in sorted(examples, key=lambda row: (row["split"], row["image_id"])):
        first.setdefault(row["split"], row["image_id"])
    return sorted(first.items())


def image_over_splits(audit_input: AuditInput) -> Iterator[AuditIssue]:
    """Find images that are in several splits."""
    for image, splits in sorted(audit_input.splits_of.items()):
        stated = [split for split in splits if split != NO_SPLIT]
        if len(stated) > 1:
            yield AuditIssue(
                "image-over-splits", joined(stated), image, "the image is in several splits"
            )


def entry_image(audit_input: AuditInput) -> Iterator[AuditIssue]:
    """Find entries whose image is unknown or belongs to another patient or split."""
    if audit_input.image_table is None:
        return
    owners = audit_input.image_table.select(
        "image_id", pl.col("patient_id").alias("owner"), pl.col("split").alias("place"),
        pl.lit(True).alias("known"),
    )  # fmt: skip
    rows = audit_input.entries.select("entry_id", "split", "image_id", "patient_id").join(
        owners, on="image_id", how="left"
    )
    wrong = (
        pl.when(pl.col("known").is_null())
        .then(pl.lit("is not in the table of images"))
        .when(pl.col("owner").ne_missing(pl.col("patient_id")))
        .then(pl.lit("belongs to another patient"))
        .when(pl.col("place").ne_missing(pl.col("split")))
        .then(pl.lit("is in another split"))
    )
    bad = rows.with_columns(wrong.alias("wrong")).filter(pl.col("wrong").is_not_null())
    for entry, split, image, why in bad.select(
        "entry_id", "split", "image_id", "wrong"
    ).iter_rows():
        yield AuditIssue("entry-image", split, entry, f"its image {image} {why}")
