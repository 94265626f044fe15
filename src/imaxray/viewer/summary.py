"""Summarises the tables of a dataset to one row per image, and keeps the summary for the next time.

The summary of a large dataset takes seconds. It is kept in the user's cache under the digest of the
dataset's content, so that another content never gets it; a kept file is compared with its own
digest before it is used.
"""

from __future__ import annotations

import functools
import hashlib
import io
import json
import operator
import os
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, Final

import polars as pl

from imaxray._common.files import query_parquet, read_parquet, utf8_path
from imaxray._common.state import known_state, write_state
from imaxray._version import __version__
from imaxray.schema import ORIGINS, SPLITS, task_names

MOST: Final = 63  # values of a facet that have a bit of their own; the rarest share the last one
OTHERS: Final = "(others)"
CACHE: Final = "IMAXRAY_CACHE"
"""Environment variable that names another folder for the cache; empty text keeps nothing."""

_LAYOUT: Final = 1  # of the kept table
_LARGE: Final = 20_000  # images; smaller datasets are summarised at once
_KEPT_FILES: Final = 8  # summaries of about 100 bytes per image
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


def summary_of(folder: Path, digest: str, images: int) -> Summary:
    """Return the summary of a dataset folder; that of a large one is kept for the next time.

    Args:
        folder: Dataset folder, whose tables were compared with its manifest.
        digest: Digest of its content.
        images: Number of its images.

    Raises:
        ImaxrayError: If a table is damaged.
    """
    cache = _cache_folder() if images >= _LARGE else None
    if cache is None:
        return summarise(folder)
    # tasks can be added by plug-ins; another version may summarise in another way
    told = [digest, __version__, _LAYOUT, pl.__version__, *task_names()]
    path = cache / f"{hashlib.sha256(json.dumps(told).encode()).hexdigest()}.arrow"
    kept = _kept(path)
    if kept is not None:
        return kept
    made = summarise(folder)
    with suppress(OSError):  # without a cache, the next start takes longer
        _keep(made, path)
    return made


def summarise(folder: Path) -> Summary:
    """Read the tables of a dataset folder once and summarise them.

    Raises:
        ImaxrayError: If a table is damaged.
    """
    table = read_parquet(folder / "images.parquet", _IMAGE).with_row_index("number")
    conflicts = read_parquet(folder / "conflicts.parquet", ["rule", "image_id"])
    stated = _annotations(folder / "annotations.parquet")
    asked = [_entries(folder / "entries" / f"{split}.parquet") for split in SPLITS]
    combined = _combined(pl.concat(part for _, part in asked))
    sources = {*stated["source"], *table["source"], *(s for row in combined for s in row.sources)}
    grades = _by_number(
        [
            *stated.group_by("quality").agg(pl.col("facts").sum()).iter_rows(),
            *((grade, row.entries) for row in combined for grade in row.grades),
        ]
    )
    found = {*stated["origin"], *(origin for row in combined for origin in row.origins)}
    rules = sorted(conflicts["rule"].cast(pl.String).unique())
    values = Values(
        task=task_names(),
        source=tuple(sorted(s for s in sources if s is not None)),
        origin=(*ORIGINS, *sorted({o for o in found if o is not None} - set(ORIGINS))),
        quality=grades,
        rule=tuple(rules),
    )
    parts = [
        _of_annotations(stated, values),
        _of_entries(pl.concat(part for part, _ in asked), combined, values),
        conflicts.group_by("image_id").agg(
            _mask("rule", values.rule).alias("conflict"), pl.len().alias("conflicts")
        ),
    ]
    for part in parts:
        table = table.join(part, on="image_id", how="left", maintain_order="left")
    listed = {name: bit(values.source, name) for name in values.source}
    return Summary(_joined(table, listed), values)


def _joined(table: pl.DataFrame, listed: Mapping[str, int]) -> pl.DataFrame:
    """Unite what annotations and entries state of an image."""
    sets = ("origin", "quality", "from")
    both = [*sets, *(f"{name} of entries" for name in sets), "task", "conflict"]
    counts = ("tasks_count", "entries", "annotations", "conflicts")
    table = table.with_columns(
        *(pl.col(name).fill_null(0).cast(pl.UInt64) for name in both),
        *(pl.col(name).fill_null(0).cast(pl.UInt32) for name in counts),
    )
    own = pl.col("source").replace_strict(listed, default=0, return_dtype=pl.UInt64)
    return table.with_columns(
        pl.col("origin") | pl.col("origin of entries"),
        pl.col("quality") | pl.col("quality of entries"),
        pl.col("from") | pl.col("from of entries") | own,
    ).drop(f"{name} of entries" for name in sets)


def _annotations(path: Path) -> pl.DataFrame:
    """Return the number of facts by image, source, origin and grade."""
    few = [pl.col(name).cast(pl.String) for name in ("source", "origin", "quality")]
    return query_parquet(
        path, lambda table: table.group_by("image_id", *few).agg(pl.len().alias("facts"))
    )


def _of_annotations(stated: pl.DataFrame, values: Values) -> pl.DataFrame:
    masks = (("source", "from"), ("origin", "origin"), ("quality", "quality"))
    of = {"source": values.source, "origin": values.origin, "quality": values.quality}
    return stated.group_by("image_id").agg(
        *(_mask(column, of[column]).alias(name) for column, name in masks),
        pl.col("facts").sum().alias("annotations"),
    )


@dataclass(frozen=True)
class _Combination:
    """The provenance that many entries share: their sources and the grades of their facts."""

    text: str
    sources: tuple[str, ...]
    origins: tuple[str, ...]
    grades: tuple[str, ...]
    entries: int


def _entries(path: Path) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Return the entries by image, task and provenance, and the combinations of provenance."""
    text = pl.concat_str(
        pl.col("quality").fill_null(""), pl.col("sources").list.join("\n"), separator="\n"
    )
    found = query_parquet(
        path,
        lambda table: (
            table.select("image_id", "task", text.alias("provenance"))
            .group_by("image_id", "task", "provenance")
            .agg(pl.len().alias("entries"))
        ),
    )
    return found, found.group_by("provenance").agg(pl.col("entries").sum())


def _combined(found: pl.DataFrame) -> list[_Combination]:
    combined = []
    counts = found.group_by("provenance").agg(pl.col("entries").sum()).sort("provenance")
    for text, entries in counts.iter_rows():
        quality, _, rest = text.partition("\n")
        grades = [grade.partition("/") for grade in quality.split("+") if "/" in grade]
        sources = tuple(source for source in rest.split("\n") if source)
        # a source that is also an origin, pseudo or derived, tells it even without a grade
        origins = {origin for origin, _, _ in grades} | (set(sources) & set(ORIGINS))
        combined.append(
            _Combination(
                text, sources, tuple(sorted(origins)), tuple(grade for _, _, grade in grades),
                entries,
            )
        )  # fmt: skip
    return combined


def _of_entries(
    asked: pl.DataFrame, combined: Sequence[_Combination], values: Values
) -> pl.DataFrame:
    masks = pl.DataFrame(
        [
            (row.text, bits(values.source, row.sources), bits(values.origin, row.origins),
             bits(values.quality, row.grades))
            for row in combined
        ],
        schema={"provenance": pl.String, "from of entries": pl.UInt64,
                "origin of entries": pl.UInt64, "quality of entries": pl.UInt64},
        orient="row",
    )  # fmt: skip
    names = [name for name in masks.columns if name != "provenance"]
    return (
        asked.join(masks, on="provenance", how="left")
        .group_by("image_id")
        .agg(
            _mask("task", values.task).alias("task"),
            pl.col("task").n_unique().alias("tasks_count"),
            pl.col("entries").sum(),
            *(pl.col(name).bitwise_or() for name in names),
        )
    )


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


def _cache_folder() -> Path | None:
    """Return the folder of kept summaries; None if there is none."""
    named = os.environ.get(CACHE)
    if named == "":
        return None
    if named is not None:
        return Path(named) / "viewer"
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "imaxray" / "viewer"


def _kept(path: Path) -> Summary | None:
    """Return a kept summary; None if it is missing or damaged."""
    about = known_state(path.with_suffix(".json"))
    try:
        content = path.read_bytes()
    except OSError:
        return None
    if hashlib.sha256(content).hexdigest() != about.get("sha256"):
        return None
    values = about.get("values")
    names = [field.name for field in fields(Values)]
    if not isinstance(values, dict) or any(type(values.get(name)) is not list for name in names):
        return None
    with suppress(OSError):
        os.utime(path)  # the least recently used are removed first
    table = pl.read_ipc(io.BytesIO(content))
    return Summary(table, Values(**{name: tuple(map(str, values[name])) for name in names}))


def _keep(made: Summary, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    part = path.with_suffix(f".{os.getpid()}.part")
    try:
        # readable by this user only: the ids of images may be credentialed
        part.touch(0o600)
        made.table.write_ipc(utf8_path(part), compression="lz4")
        digest = hashlib.sha256(part.read_bytes()).hexdigest()
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)
    write_state(path.with_suffix(".json"), {"sha256": digest, "values": asdict(made.values)})
    files = sorted(path.parent.glob("*.arrow"), key=lambda file: file.stat().st_mtime, reverse=True)
    for old in files[_KEPT_FILES:]:
        old.unlink(missing_ok=True)
        old.with_suffix(".json").unlink(missing_ok=True)
