"""Summarises the tables of a dataset to one row per image.

The tables are read in parts, so that little of them is in memory at once and a user can be told how
far the reading is. Texts that occur often become numbers before rows are grouped, because grouping
ten million rows by their texts takes three times as long.
"""

from __future__ import annotations

import functools
import operator
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final

import numpy as np
import polars as pl
from numpy.typing import NDArray

from imaxray._common.files import query_parquet, read_parquet, rows_of_parquet
from imaxray.schema import ORIGINS, SPLITS, task_names

MOST: Final = 63  # values of a facet that have a bit of their own; the rarest share the last one
OTHERS: Final = "(others)"

_PART: Final = 8 * 65_536  # rows that are read at once; a whole number of row groups
_NONE: Final = np.array([], np.uint64)
_COUNTS: Final = ("tasks_count", "entries", "annotations", "conflicts")
_IMAGE: Final = (
    "image_id", "patient_id", "study_id", "split", "view", "sex", "age", "width", "height",
    "source", "path",
)  # fmt: skip


@dataclass(frozen=True)
class Values:
    """The values of the facets that are sets, in the order of their bits."""

    task: tuple[str, ...]
    source: tuple[str, ...]
    origin: tuple[str, ...]
    quality: tuple[str, ...]
    rule: tuple[str, ...]


@dataclass(frozen=True)
class Summary:
    """One row per image, in the order of the table of images.

    Attributes:
        table: ``number`` (row in the file), columns of the image, the bits ``task``, ``from``,
            ``origin``, ``quality`` and ``conflict``, and the counts ``tasks_count``, ``entries``,
            ``annotations`` and ``conflicts``.
        values: What the bits stand for.
    """

    table: pl.DataFrame
    values: Values


def without_facts(folder: Path) -> Summary:
    """Summarise the table of images alone, which takes a tenth of a second.

    Of the sets, only the task names and the sources of the images are known; nothing is counted.

    Raises:
        ImaxrayError: If the table is damaged.
    """
    table = _images(folder)
    own = tuple(sorted(s for s in table["source"].unique() if s is not None))
    empty = [
        pl.lit(0, pl.UInt64).alias(n) for n in ("from", "origin", "quality", "task", "conflict")
    ]
    counts = [pl.lit(0, pl.UInt32).alias(name) for name in _COUNTS]
    return Summary(table.with_columns(*empty, *counts), Values(task_names(), own, (), (), ()))


def summarise(folder: Path, told: Callable[[float], None] = lambda _: None) -> Summary:
    """Read the tables of a dataset folder once and summarise them.

    Args:
        folder: Dataset folder, whose tables were compared with its manifest.
        told: Gets the share of the rows that were read, from 0 to 1.

    Raises:
        ImaxrayError: If a table is damaged.
    """
    table = _images(folder)
    conflicts = read_parquet(folder / "conflicts.parquet", ["rule", "image_id"])
    paths = [folder / "entries" / f"{split}.parquet" for split in SPLITS]
    facts = folder / "annotations.parquet"
    heights = {path: rows_of_parquet(path) for path in (facts, *paths)}
    reading = _Reading(sum(heights.values()), told)
    stated = _Facts(facts, heights[facts], reading)
    asked = _Asked({path: heights[path] for path in paths}, table.select("image_id"), reading)
    values = Values(
        task=task_names(),
        source=_sorted({*stated.source.numbers, *table["source"].unique(), *asked.sources}),
        origin=(*ORIGINS, *_sorted({*stated.origin.numbers, *asked.origins} - set(ORIGINS))),
        quality=_by_number([*stated.quality.counts(), *asked.grades]),
        rule=_sorted(conflicts["rule"].cast(pl.String).unique()),
    )
    disputed = conflicts.group_by("image_id").agg(
        _mask("rule", values.rule).alias("conflict"), pl.len().alias("conflicts")
    )
    for part in (stated.per_image(values), disputed):
        table = table.join(part, on="image_id", how="left", maintain_order="left")
    table = table.with_columns(asked.per_image(values))
    listed = {name: bit(values.source, name) for name in values.source}
    return Summary(_joined(table, listed), values)


def _images(folder: Path) -> pl.DataFrame:
    return read_parquet(folder / "images.parquet", _IMAGE).with_row_index("number")


def _sorted(values: Iterable[str | None]) -> tuple[str, ...]:
    return tuple(sorted({value for value in values if value is not None}))


def _joined(table: pl.DataFrame, listed: Mapping[str, int]) -> pl.DataFrame:
    """Unite what annotations and entries state of an image."""
    sets = ("origin", "quality", "from")
    both = [*sets, *(f"{name} of entries" for name in sets), "task", "conflict"]
    table = table.with_columns(
        *(pl.col(name).fill_null(0).cast(pl.UInt64) for name in both),
        *(pl.col(name).fill_null(0).cast(pl.UInt32) for name in _COUNTS),
    )
    own = pl.col("source").replace_strict(listed, default=0, return_dtype=pl.UInt64)
    return table.with_columns(
        pl.col("origin") | pl.col("origin of entries"),
        pl.col("quality") | pl.col("quality of entries"),
        pl.col("from") | pl.col("from of entries") | own,
    ).drop(f"{name} of entries" for name in sets)


class _Reading:
    """Reads tables part by part and tells how much of all is read."""

    def __init__(self, rows: int, told: Callable[[float], None]) -> None:
        self._rows, self._told, self._read = rows, told, 0

    def parts(
        self, path: Path, rows: int, query: Callable[[pl.LazyFrame], pl.LazyFrame]
    ) -> Iterator[pl.DataFrame]:
        """Yield what ``query`` makes of each part of a table, in the order of the file."""
        for start in range(0, rows, _PART):
            yield query_parquet(path, partial(_part, start=start, query=query))
            self._read += min(_PART, rows - start)
            self._told(self._read / self._rows)


def _part(
    table: pl.LazyFrame, start: int, query: Callable[[pl.LazyFrame], pl.LazyFrame]
) -> pl.LazyFrame:
    return query(table.slice(start, _PART))


class _Column:
    """A column of few texts as numbers, part by part: one byte per row instead of a text."""

    def __init__(self) -> None:
        self.numbers: dict[str | None, int] = {}
        self.parts: list[NDArray[Any]] = []

    def add(self, part: pl.Series) -> None:
        """Add a part of the column, of Polars' type of categories."""
        codes = part.to_physical().fill_null(0).to_numpy()
        found = part.unique()
        table = np.zeros(int(codes.max(initial=0)) + 1, np.uint32)
        for code, text in zip(found.to_physical(), found.cast(pl.String), strict=True):
            if code is not None:
                table[code] = self.numbers.setdefault(text, len(self.numbers))
        numbers = table[codes]
        if part.null_count():
            numbers[part.is_null().to_numpy()] = self.numbers.setdefault(None, len(self.numbers))
        self.parts.append(numbers.astype(np.uint8 if len(self.numbers) <= 256 else np.uint32))

    def counts(self) -> list[tuple[str | None, int]]:
        """Return how many rows have each text."""
        total = np.zeros(len(self.numbers), np.int64)
        for part in self.parts:
            total += np.bincount(part, minlength=len(total))
        return [(text, int(total[number])) for text, number in self.numbers.items()]

    def masks(self, bit_of: Callable[[str], int]) -> NDArray[np.uint64]:
        """Return the bits that each number stands for; null has none."""
        bits_of = [0 if text is None else bit_of(text) for text in self.numbers]
        return np.array(bits_of or [0], np.uint64)


class _Facts:
    """What the table of annotations states; consecutive rows of one image are one run."""

    def __init__(self, path: Path, rows: int, reading: _Reading) -> None:
        self.source, self.origin, self.quality = _Column(), _Column(), _Column()
        self._starts: list[NDArray[np.intp]] = []
        self._ids: list[pl.Series] = []
        names = ("source", "origin", "quality")
        few = [pl.col(name).cast(pl.String).cast(pl.Categorical()) for name in names]
        for part in reading.parts(path, rows, lambda table: table.select("image_id", *few)):
            ids = part["image_id"]
            first = ids.ne_missing(ids.shift())
            first[0] = True
            self._starts.append(np.flatnonzero(first.to_numpy()))
            self._ids.append(ids.filter(first))
            for name in names:
                getattr(self, name).add(part[name])

    def per_image(self, values: Values) -> pl.DataFrame:
        """Return image_id, from, origin, quality and annotations of each image with a fact."""
        none = pl.Series("image_id", [], pl.String)
        found = pl.DataFrame({"image_id": pl.concat([none, *self._ids])})
        columns = {
            "from": (self.source, values.source),
            "origin": (self.origin, values.origin),
            "quality": (self.quality, values.quality),
        }
        for name, (column, known) in columns.items():
            masks = column.masks(partial(bit, known))
            runs = [
                np.bitwise_or.reduceat(masks[part], starts)
                for part, starts in zip(column.parts, self._starts, strict=True)
            ]
            found = found.with_columns(pl.Series(name, np.concatenate([_NONE, *runs])))
        lengths = [
            np.diff(starts, append=len(part)).astype(np.uint64)
            for part, starts in zip(self.source.parts, self._starts, strict=True)
        ]
        found = found.with_columns(pl.Series("annotations", np.concatenate([_NONE, *lengths])))
        return found.group_by("image_id").agg(
            pl.col("from", "origin", "quality").bitwise_or(), pl.col("annotations").sum()
        )


class _Asked:
    """What the entries ask, and the provenance of their facts."""

    def __init__(self, files: Mapping[Path, int], images: pl.DataFrame, reading: _Reading) -> None:
        self._provenance, self._task = _Column(), _Column()
        self._images = images.with_row_index("place")
        self._places: list[NDArray[np.int64]] = []
        text = pl.concat_str(
            pl.col("quality").fill_null(""), pl.col("sources").list.join("\n"), separator="\n"
        )
        few = [
            pl.col("task").cast(pl.String).cast(pl.Categorical()),
            text.alias("provenance").cast(pl.Categorical()),
        ]
        for path, rows in files.items():
            for part in reading.parts(path, rows, lambda table: table.select("image_id", *few)):
                placed = part.select("image_id").join(
                    self._images, on="image_id", how="left", maintain_order="left"
                )
                self._places.append(placed["place"].cast(pl.Int64).fill_null(-1).to_numpy())
                self._provenance.add(part["provenance"])
                self._task.add(part["task"])
        counts = self._provenance.counts()
        self._combined = {text: _combination(text or "") for text, _ in counts}
        self.grades = [
            (grade, entries) for text, entries in counts for grade in self._combined[text].grades
        ]

    @property
    def sources(self) -> set[str]:
        """Sources of all entries."""
        return {source for one in self._combined.values() for source in one.sources}

    @property
    def origins(self) -> set[str]:
        """Origins of the facts of all entries."""
        return {origin for one in self._combined.values() for origin in one.origins}

    def per_image(self, values: Values) -> list[pl.Series]:
        """Return one value per image: its sets of bits, and the numbers of entries and tasks."""
        of, tasks = self._combined, self._task.numbers
        wanted = {
            "task": (self._task, self._task.masks(partial(bit, values.task))),
            "tasks_count": (self._task, self._task.masks(lambda text: 1 << min(tasks[text], 63))),
            "from of entries": (
                self._provenance,
                self._provenance.masks(lambda text: bits(values.source, of[text].sources)),
            ),
            "origin of entries": (
                self._provenance,
                self._provenance.masks(lambda text: bits(values.origin, of[text].origins)),
            ),
            "quality of entries": (
                self._provenance,
                self._provenance.masks(lambda text: bits(values.quality, of[text].grades)),
            ),
        }
        # entries of an image that is not listed go to one more place, which is left out
        found = {name: np.zeros(self._images.height + 1, np.uint64) for name in wanted}
        entries = np.zeros(self._images.height + 1, np.int64)
        for number, places in enumerate(self._places):
            entries += np.bincount(places % len(entries), minlength=len(entries))
            for name, (column, masks) in wanted.items():
                np.bitwise_or.at(found[name], places, masks[column.parts[number]])
        found["tasks_count"] = np.bitwise_count(found["tasks_count"]).astype(np.uint64)
        return [
            pl.Series("entries", entries[:-1]),
            *(pl.Series(name, column[:-1]) for name, column in found.items()),
        ]


@dataclass(frozen=True)
class _Combination:
    """The provenance that many entries share: their sources and the grades of their facts."""

    sources: tuple[str, ...]
    origins: tuple[str, ...]
    grades: tuple[str, ...]


def _combination(text: str) -> _Combination:
    quality, _, rest = text.partition("\n")
    grades = [grade.partition("/") for grade in quality.split("+") if "/" in grade]
    sources = tuple(source for source in rest.split("\n") if source)
    # a source that is also an origin, pseudo or derived, tells it even without a grade
    origins = {origin for origin, _, _ in grades} | (set(sources) & set(ORIGINS))
    return _Combination(sources, tuple(sorted(origins)), tuple(grade for _, _, grade in grades))


def _by_number(counted: Sequence[tuple[str | None, int]]) -> tuple[str, ...]:
    """Return grades in alphabetical order; of too many, the rarest share one name."""
    counts: dict[str, int] = {}
    for value, number in counted:
        if value is not None:
            counts[value] = counts.get(value, 0) + number
    if len(counts) <= MOST:
        return tuple(sorted(counts))
    frequent = sorted(counts, key=lambda value: (-counts[value], value))
    return (*sorted(frequent[:MOST]), OTHERS)


def bit(values: Sequence[str], value: str) -> int:
    """Return the bit of a value; unknown values have the bit of the rarest, if there is one.

    Example:
        >>> bit(("a", "b"), "b"), bit(("a", "b"), "c")
        (2, 0)
    """
    if value in values:
        return 1 << min(values.index(value), MOST)
    return 1 << min(len(values) - 1, MOST) if OTHERS in values else 0


def bits(values: Sequence[str], chosen: Sequence[str]) -> int:
    """Return the bits of several values.

    Example:
        >>> bits(("a", "b", "c"), ["a", "c"])
        5
    """
    return functools.reduce(operator.or_, (bit(values, value) for value in chosen), 0)


def _mask(column: str, values: Sequence[str]) -> pl.Expr:
    """Return the bits of all values of a column within a group; null has no bit."""
    known: dict[str, Any] = {value: bit(values, value) for value in values}
    text = pl.col(column).cast(pl.String)
    found = text.replace_strict(known, default=bit(values, OTHERS), return_dtype=pl.UInt64)
    return pl.when(text.is_null()).then(pl.lit(0, pl.UInt64)).otherwise(found).bitwise_or()
