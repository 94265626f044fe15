"""Holds one row per image of a dataset, by which images are found and sorted.

Only this index is held in memory: identifiers, and small numbers in which each bit stands for a
task, a source, an origin or a grade. Texts and boxes stay in the files of the dataset.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import polars as pl

from imaxray.schema import PSEUDO_SOURCE, SPLITS
from imaxray.viewer.finding.summary import Summary, bit, bits

_ONE_OF: Final = ("split", "view", "sex", "source")


@dataclass(frozen=True)
class Facet:
    """A property by which images are filtered.

    Attributes:
        name: Name of the property, and of its column.
        values: Values, in the order in which they are shown.
        is_set: Whether the column is a set of values, one bit each; else it is one of the values.
        together: Whether an image must have all chosen values, and not only one of them.
    """

    name: str
    values: tuple[str, ...]
    is_set: bool = True
    together: bool = False

    def chosen(self, values: Sequence[str]) -> pl.Expr:
        """Return which images have the values."""
        if not self.is_set:
            return pl.col(self.name).cast(pl.String).fill_null("").is_in(list(values))
        mask = pl.lit(bits(self.values, values), pl.UInt64)
        found = pl.col(self.name) & mask
        return found == mask if self.together else found != 0

    def counts(self) -> list[pl.Expr]:
        """Return one expression per value, which counts the images that have it."""
        if not self.is_set:
            column = pl.col(self.name).cast(pl.String).fill_null("")
            return [(column == value).sum().alias(value) for value in self.values]
        return [
            ((pl.col(self.name) & pl.lit(bit(self.values, value), pl.UInt64)) != 0)
            .sum()
            .alias(value)
            for value in self.values
        ]

    def of(self, number: int) -> list[str]:
        """Return the values that a set of bits stands for."""
        return [value for value in self.values if number & bit(self.values, value)]


@dataclass(frozen=True)
class ImageIndex:
    """One row per image of a dataset, in the order of its table of images.

    Attributes:
        table: The table of the summary, and ``candidates``, the number of pseudo annotations; if
            there are answers, ``right K`` of each arm and ``disagreements``.
        facets: Name → facet.
        arms: Arms whose answers are known.
    """

    table: pl.DataFrame
    facets: Mapping[str, Facet]
    arms: tuple[str, ...] = ()


def index_images(
    summary: Summary,
    *,
    judged: pl.DataFrame | None = None,
    arms: tuple[str, ...] = (),
    candidates: pl.DataFrame | None = None,
) -> ImageIndex:
    """Return the index of a dataset.

    Args:
        summary: Its summary.
        judged: What answers say of each image (:class:`imaxray.viewer.answers.Judged`).
        arms: Names of the arms that answered.
        candidates: Pseudo annotations of its images, schema PSEUDO.
    """
    table, values = summary.table, summary.values
    proposed = pl.lit(0, pl.UInt32).alias("candidates")
    if candidates is not None:
        of_image = candidates.group_by("image_id").agg(pl.len().alias("candidates"))
        table = table.join(of_image, on="image_id", how="left", maintain_order="left")
        proposed = pl.col("candidates").fill_null(0).cast(pl.UInt32)
    if judged is not None:
        table = table.join(judged, on="image_id", how="left", maintain_order="left")
    pseudo = bit(values.origin, PSEUDO_SOURCE)
    table = table.with_columns(
        proposed, *(pl.col(name).cast(pl.Categorical()) for name in _ONE_OF)
    ).with_columns(
        pl.col("origin") | pl.when(pl.col("candidates") > 0).then(pseudo).otherwise(0)
    )  # fmt: skip
    splits = _values(table["split"])
    facets = (
        Facet("task", values.task, together=True),
        Facet("split", (*SPLITS, *(s for s in splits if s not in SPLITS)), is_set=False),
        Facet("from", values.source),
        Facet("view", _values(table["view"]), is_set=False),
        Facet("origin", values.origin),
        Facet("quality", values.quality),
        Facet("conflict", values.rule),
    )
    return ImageIndex(table.rechunk(), {facet.name: facet for facet in facets}, arms)


def _values(column: pl.Series) -> tuple[str, ...]:
    """Return the values of a column, sorted; an absent value is the empty text."""
    return tuple(sorted(column.unique().cast(pl.String).fill_null("")))
