"""Images that cannot be read, and images that are there twice."""

from __future__ import annotations

from collections.abc import Iterator

import polars as pl

from imaxray.audit.audit_input import NO_SPLIT, Finding, Material, joined
from imaxray.perceptual import can_hash


def broken(material: Material) -> Iterator[Finding]:
    """An image is missing, damaged, outside its folder, or of another size than its table says."""
    table = material.pixels.table
    width, height = pl.col("width"), pl.col("height")
    other = (width != pl.col("decoded_width")) | (height != pl.col("decoded_height"))
    wrong = table.with_columns(
        pl.when(pl.col("problem").is_null() & other)
        .then(pl.lit("the image has another size than its table says"))
        .otherwise(pl.col("problem"))
        .alias("problem")
    ).filter(pl.col("problem").is_not_null())
    for image, problem in wrong.select("image_id", "problem").iter_rows():
        yield Finding("broken-image", _split(material, image), image, problem)


def unread(material: Material) -> str | None:
    """How many images no duplicate can be seen of."""
    missing = int(material.pixels.table["problem"].is_not_null().sum())
    if not missing:
        return None
    return f"{missing:,} of {material.files.height:,} images cannot be read"


def duplicates(material: Material) -> Iterator[Finding]:
    """Two images of one split have the same pixels."""
    for group in _same_pixels(material):
        for members in _by_split(material, group).values():
            for image in members[1:]:
                yield Finding("duplicate-image", _split(material, image), image,
                              f"the same pixels as {members[0]}")  # fmt: skip


def duplicates_over_splits(material: Material) -> Iterator[Finding]:
    """Images of two splits have the same pixels."""
    for group in _same_pixels(material):
        (split, members), *others = _by_split(material, group).items()
        for other, (image, *_) in others:
            yield Finding("duplicate-over-splits", joined([*split.split("+"), *other.split("+")]),
                          image, f"the same pixels as {members[0]} of {split}")  # fmt: skip


def near_duplicates(material: Material) -> Iterator[Finding]:
    """Two images look the same by perceptual hash, though their pixels differ."""
    if not can_hash():
        return
    for first, *others in material.pixels.near():
        for image in others:
            splits = [*material.splits_of.get(first, []), *material.splits_of.get(image, [])]
            yield Finding("near-duplicate", joined(splits), image, f"looks the same as {first}")


def near_limits(material: Material) -> str | None:
    """Near duplicates need a package that is not part of the core."""
    if not can_hash():
        return "imagehash is not installed; pip install 'imaxray[duplicates]'"
    return unread(material)


def _same_pixels(material: Material) -> list[list[str]]:
    groups = (
        material.pixels.table.filter(pl.col("sha256").is_not_null())
        .group_by("sha256")
        .agg(pl.col("image_id").sort())
        .filter(pl.col("image_id").list.len() > 1)
    )
    return sorted(groups["image_id"].to_list())


def _by_split(material: Material, group: list[str]) -> dict[str, list[str]]:
    """Images of a group by their split, train first."""
    parts: dict[str, list[str]] = {}
    for image in group:
        parts.setdefault(_split(material, image), []).append(image)
    rank = {"train": 0, "val": 1, "test": 2}
    return dict(sorted(parts.items(), key=lambda part: (rank.get(part[0], 3), part[0])))


def _split(material: Material, image: str) -> str:
    return joined(material.splits_of.get(image, [NO_SPLIT]))
