"""Summarises the tables of a dataset to one row per image, by which images are found and sorted.

Only this summary is held in memory: identifiers, and small numbers in which each bit stands for a
task, a source, an origin or a grade. Texts and boxes stay in the files of the dataset.
"""

from __future__ import annotations

import functools
import operator
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import polars as pl

from imaxray._files import query_parquet, read_parquet
from imaxray.schema import (
    IS_PSEUDO,
    ORIGINS,
    PSEUDO_SOURCE,
    SPLITS,
    entry_is_pseudo,
    task_names,
)
from imaxray.viewer.answers import Judged

_MOST: Final = 63  # values of a facet that have a bit of their own; the rarest share the last one
OTHERS: Final = "(others)"

_ONE_OF: Final = ("split", "view", "sex")
_KEPT: Final = (
    "image_id", "patient_id", "study_id", "split", "view", "sex", "age", "width", "height",
    "source", "path",
)  # fmt: skip


@dataclass(frozen=True)
class Facet:
    """A property by which images are filtered.

    Attributes:
        name: Name of the property, and of its column.
        values: Values, in the order in which they are shown.
        bits: Whether the column is a set of values, one bit each; else it is one of the values.
        together: Whether an image must have all chosen values, and not only one of them.
    """

    name: str
    values: tuple[str, ...]
    bits: bool = True
    together: bool = False

    def chosen(self, values: Sequence[str]) -> pl.Expr:
        """Return which images have the values."""
        if not self.bits:
            return pl.col(self.name).cast(pl.String).fill_null("").is_in(list(values))
        mask = pl.lit(functools.reduce(operator.or_, map(self._bit, values), 0), pl.UInt64)
        found = pl.col(self.name) & mask
        return found == mask if self.together else found != 0

    def counts(self) -> list[pl.Expr]:
        """Return one expression per value, which counts the images that have it."""
        if not self.bits:
            column = pl.col(self.name).cast(pl.String).fill_null("")
            return [(column == value).sum().alias(value) for value in self.values]
        return [
            ((pl.col(self.name) & pl.lit(self._bit(value), pl.UInt64)) != 0).sum().alias(value)
            for value in self.values
        ]

    def of(self, number: int) -> list[str]:
        """Return the values that a set of bits stands for."""
        return [value for value in self.values if number & self._bit(value)]

    def _bit(self, value: str) -> int:
        return 1 << min(self.values.index(value), _MOST)


@dataclass(frozen=True)
class ImageIndex:
    """One row per image of a dataset, in the order of its table of images.

    Attributes:
        table: ``number`` (row in the file), the columns of the image, one column per facet, and the
            counts ``tasks_count``, ``entries``, ``annotations``, ``conflicts`` and ``candidates``;
            if there are answers, ``right K`` of each arm and ``disagreements``.
        facets: Name → facet.
        arms: Arms whose answers are known.
    """

    table: pl.DataFrame
    facets: Mapping[str, Facet]
    arms: tuple[str, ...] = ()


def index_images(
    folder: Path, *, judged: Judged | None = None, candidates: pl.DataFrame | None = None
) -> ImageIndex:
    """Read the tables of a dataset folder once and summarise them.

    Args:
        folder: Dataset folder.
        judged: Answers of arms to entries of this dataset.
        candidates: Pseudo annotations of its images, schema PSEUDO.

    Raises:
        ImaxrayError: If a table is damaged.
    """
    images = read_parquet(folder / "images.parquet", _KEPT)
    conflicts = read_parquet(folder / "conflicts.parquet", ["rule", "image_id"])
    stated, origins, qualities, sources = _annotations(folder / "annotations.parquet", images)
    asked = _entries([folder / "entries" / f"{split}.parquet" for split in SPLITS])
    rules = tuple(sorted(conflicts["rule"].cast(pl.String).unique()))
    disputed = conflicts.group_by("image_id").agg(
        _mask("rule", rules).alias("conflict"), pl.len().alias("conflicts")
    )
    table = images.with_row_index("number")
    for part in (stated, asked, disputed):
        table = table.join(part, on="image_id", how="left", maintain_order="left")
    if candidates is not None:
        of_image = candidates.group_by("image_id").agg(pl.len().alias("candidates"))
        table = table.join(of_image, on="image_id", how="left", maintain_order="left")
    else:
        table = table.with_columns(pl.lit(0, pl.UInt32).alias("candidates"))
    if judged is not None:
        table = table.join(judged.images, on="image_id", how="left", maintain_order="left")
    masks = ("task", "origin", "quality", "conflict", "from")
    counts = ("tasks_count", "entries", "annotations", "conflicts", "candidates")
    own = {name: 1 << min(k, _MOST) for k, name in enumerate(sources)}
    pseudo = 1 << origins.index(PSEUDO_SOURCE)
    table = table.with_columns(
        *(pl.col(name).fill_null(0).cast(pl.UInt64) for name in masks),
        *(pl.col(name).fill_null(0).cast(pl.UInt32) for name in counts),
        *(pl.col(name).cast(pl.Categorical()) for name in _ONE_OF),
    ).with_columns(
        pl.col("from") | pl.col("source").replace_strict(own, default=0, return_dtype=pl.UInt64),
        pl.col("origin")
        | pl.when(pl.col("has_pseudo") | (pl.col("candidates") > 0)).then(pseudo).otherwise(0),
        pl.col("source").cast(pl.Categorical()),
    ).drop("has_pseudo")  # fmt: skip
    views = _values(table["view"])
    unusual = tuple(split for split in _values(table["split"]) if split not in SPLITS)
    facets = (
        Facet("task", task_names(), together=True),
        Facet("split", (*SPLITS, *unusual), bits=False),
        Facet("from", sources),
        Facet("view", views, bits=False),
        Facet("origin", origins),
        Facet("quality", qualities),
        Facet("conflict", rules),
    )  # fmt: skip
    arms = () if judged is None else judged.arms
    return ImageIndex(table.rechunk(), {facet.name: facet for facet in facets}, arms)


def _annotations(
    path: Path, images: pl.DataFrame
) -> tuple[pl.DataFrame, tuple[str, ...], tuple[str, ...], tuple[str, ...]]:
    """Return one row per image that has annotations, and the origins, grades and sources."""
    few = [pl.col(name).cast(pl.String) for name in ("source", "origin", "quality")]
    known = query_parquet(
        path, lambda table: table.group_by(few).agg(pl.len()).sort("len", descending=True)
    )
    stated = [str(value) for value in known["origin"].drop_nulls().unique()]
    origins = (*ORIGINS, *sorted(set(stated) - set(ORIGINS)))
    qualities = _limited(known, "quality")
    sources = tuple(sorted({*known["source"].drop_nulls(), *images["source"].cast(pl.String)}))
    table = query_parquet(
        path,
        lambda table: table.group_by("image_id").agg(
            _mask("source", sources).alias("from"),
            _mask("origin", origins).alias("origin"),
            _mask("quality", qualities).alias("quality"),
            pl.len().alias("annotations"),
        ),
    )
    return table, origins, qualities, sources


def _limited(known: pl.DataFrame, name: str) -> tuple[str, ...]:
    """Return the values of a column, the most frequent first, with one name for the rarest."""
    found = known.drop_nulls(name).group_by(name).agg(pl.col("len").sum())
    values = [str(v) for v in found.sort("len", name, descending=[True, False])[name]]
    if len(values) <= _MOST:
        return tuple(sorted(values))
    return (*sorted(values[:_MOST]), OTHERS)


def _entries(paths: Sequence[Path]) -> pl.DataFrame:
    tasks = task_names()

    def summary(table: pl.LazyFrame) -> pl.LazyFrame:
        return (
            table.select("image_id", "task", entry_is_pseudo().alias(IS_PSEUDO))
            .group_by("image_id")
            .agg(
                _mask("task", tasks).alias("task"),
                pl.col("task").n_unique().alias("tasks_count"),
                pl.len().alias("entries"),
                pl.col(IS_PSEUDO).any().alias("has_pseudo"),
            )
        )

    return pl.concat([query_parquet(path, summary) for path in paths])


def _mask(column: str, values: Sequence[str]) -> pl.Expr:
    """Return the bits of all values of a column within a group; unknown values have the last bit.

    Null has no bit.
    """
    bits: dict[str, Any] = {value: 1 << min(k, _MOST) for k, value in enumerate(values)}
    rest = 1 << min(max(len(values) - 1, 0), _MOST) if OTHERS in values else 0
    text = pl.col(column).cast(pl.String)
    found = text.replace_strict(bits, default=rest, return_dtype=pl.UInt64)
    return pl.when(text.is_null()).then(pl.lit(0, pl.UInt64)).otherwise(found).bitwise_or()


def _values(column: pl.Series) -> tuple[str, ...]:
    """Return the values of a column, sorted; an absent value is the empty text."""
    return tuple(sorted(column.cast(pl.String).fill_null("").unique()))
