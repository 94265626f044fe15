"""Finds images that cannot be read and images that occur more than once."""

from __future__ import annotations

from collections.abc import Iterator

import polars as pl

from imaxray.audit.audit_input import NO_SPLIT, AuditInput, AuditIssue, joined
from imaxray.audit.pixels import MOST_IMAGES, Copies
from imaxray.perceptual import can_hash


def broken(audit_input: AuditInput) -> Iterator[AuditIssue]:
    """Find images that are missing, damaged, outside their folder, or of an unstated size."""
    table = audit_input.pixels.table
    width, height = pl.col("width"), pl.col("height")
    other = (width != pl.col("decoded_width")) | (height != pl.col("decoded_height"))
    wrong = table.with_columns(
        pl.when(pl.col("problem").is_null() & other)
        .then(pl.lit("the image has a different size than its table says"))
        .otherwise(pl.col("problem"))
        .alias("problem")
    ).filter(pl.col("problem").is_not_null())
    for image, problem in wrong.select("image_id", "problem").iter_rows():
        yield AuditIssue("broken-image", _split(audit_input, image), image, problem)


def not_here(audit_input: AuditInput) -> str | None:
    """Say how many images are not on this machine, so that nothing is known of their files."""
    table = audit_input.pixels.table
    absent = table.filter(pl.col("problem").is_null() & pl.col("sha256").is_null()).height
    if not absent:
        return None
    return f"the files of {absent:,} of {table.height:,} images are not here; pass --images"


def unread(audit_input: AuditInput) -> str | None:
    """Say how many images cannot be read, so that their duplicates are not found."""
    missing = int(audit_input.pixels.table["sha256"].is_null().sum())
    if not missing:
        return None
    return f"{missing:,} of {audit_input.files.height:,} images cannot be read"


def duplicates(audit_input: AuditInput) -> Iterator[AuditIssue]:
    """Find images of one split that have the same pixels."""
    for group in _same_pixels(audit_input):
        for members in _by_split(audit_input, group).values():
            for image in members[1:]:
                yield AuditIssue(
                    "duplicate-image",
                    _split(audit_input, image),
                    image,
                    f"the same pixels as {members[0]}",
                )


def duplicates_over_splits(audit_input: AuditInput) -> Iterator[AuditIssue]:
    """Find images of different splits that have the same pixels."""
    for group in _same_pixels(audit_input):
        (split, members), *others = _by_split(audit_input, group).items()
        for other, (image, *_) in others:
            splits = joined([*split.split("+"), *other.split("+")])
            why = f"the same pixels as {members[0]} of {split}"
            yield AuditIssue("duplicate-over-splits", splits, image, why)


def near_duplicates(audit_input: AuditInput) -> Iterator[AuditIssue]:
    """Find images that show the same radiograph although their pixels differ.

    Each finding compares an image with one of another split, if there is one: a copy in another
    split is a leak.
    """
    if not can_hash():
        return
    for copies in audit_input.pixels.near():
        by_split = _by_split(audit_input, list(copies.images))
        kept = next(iter(by_split.values()))[0]
        for mine, images in by_split.items():
            elsewhere = [i for split, some in by_split.items() if split != mine for i in some]
            for image in images:
                # images whose pixels are those of the first one are findings of other checks
                if copies.same_pixels(image, kept):
                    continue
                other = _copy_of(image, elsewhere, copies) or _copy_of(image, images, copies)
                assert other is not None  # the first image has other pixels
                how = copies.link(image, other)
                splits = joined([*mine.split("+"), *_split(audit_input, other).split("+")])
                message = f"looks the same as {other}" + (f" (one is {how})" if how else "")
                yield AuditIssue("near-duplicate", splits, image, message)


def _copy_of(image: str, others: list[str], copies: Copies) -> str | None:
    """Return one of the others that has other pixels, if possible one that was found alike."""
    alike = (other for other in others if copies.link(image, other) is not None)
    different = (other for other in others if not copies.same_pixels(image, other))
    return next(alike, None) or next(different, None)


def near_limits(audit_input: AuditInput) -> str | None:
    """Say why near duplicates are not found: a package is missing, or images are unreadable."""
    if not can_hash():
        return "imagehash is not installed; run pip install 'imaxray[duplicates]'"
    total = audit_input.files.height
    if total > MOST_IMAGES:
        return f"cropped copies are searched among at most {MOST_IMAGES:,} images, not {total:,}"
    return unread(audit_input)


def _same_pixels(audit_input: AuditInput) -> list[list[str]]:
    groups = (
        audit_input.pixels.table.filter(pl.col("sha256").is_not_null())
        .group_by("sha256")
        .agg(pl.col("image_id").sort())
        .filter(pl.col("image_id").list.len() > 1)
    )
    return sorted(groups["image_id"].to_list())


def _by_split(audit_input: AuditInput, group: list[str]) -> dict[str, list[str]]:
    """Return the images of a group by split, train first."""
    parts: dict[str, list[str]] = {}
    for image in group:
        parts.setdefault(_split(audit_input, image), []).append(image)
    rank = {"train": 0, "val": 1, "test": 2}
    return dict(sorted(parts.items(), key=lambda part: (rank.get(part[0], 3), part[0])))


def _split(audit_input: AuditInput, image: str) -> str:
    return joined(audit_input.splits_of.get(image, [NO_SPLIT]))
