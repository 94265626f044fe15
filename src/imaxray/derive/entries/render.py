"""Turns derived facts into annotations and entries; the tasks themselves word the entries."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import polars as pl

from imaxray.derive.applying.engine import Derivation
from imaxray.derive.facts.fact import annotation_of
from imaxray.derive.facts.judging import TASK_OF
from imaxray.schema import (
    ANATOMY,
    ANNOTATIONS,
    DERIVED_SOURCE,
    ENTRIES,
    Boxes,
    conform,
    empty,
)
from imaxray.tasks import get_task

FILE: Final = "derivations.parquet"
"""File of the derivations, as named in the provenance of derived annotations."""

_DERIVATIONS: Final[dict[str, Any]] = {
    "entry_id": pl.String,  # derived entry
    "rule": pl.String,  # the last rule; several are joined by +
    "depth": pl.Int64,  # rules from the real entries to this one
    "derived_from": pl.List(pl.String),  # ids of the real entries
}
DERIVATIONS: Final = pl.Schema(_DERIVATIONS)
"""Provenance of the derived entries, one row an entry."""

_VALUES: Final[dict[str, Any]] = {
    "kind": pl.String, "name": pl.String, "value": pl.Float64, "text": pl.String,
    "boxes": Boxes, "answers": pl.List(pl.String), "quality": pl.String,
}  # fmt: skip


@dataclass(frozen=True)
class Rendered:
    """Derived annotations (schema ANNOTATIONS), entries (ENTRIES) and their DERIVATIONS."""

    annotations: pl.DataFrame
    entries: pl.DataFrame
    derivations: pl.DataFrame

    @classmethod
    def empty(cls) -> Rendered:
        """Return tables without rows."""
        return cls(empty(ANNOTATIONS), empty(ENTRIES), empty(DERIVATIONS))


def rendered(
    made: Sequence[tuple[str, Derivation]], images: pl.DataFrame, entries: pl.DataFrame
) -> Rendered:
    """Make the annotations and the entries of derived facts.

    Args:
        made: Derived facts with the ids of their images.
        images: Images (schema IMAGES), all of the split train.
        entries: Entries that exist already (schema ENTRIES) and are not made again.
    """
    facts, by_task = _tables(made)
    parts = []
    for task, rows in by_task.items():
        annotations = _annotations(rows)
        # the number of the fact stands for the source, so that each entry tells its facts
        parts.append(get_task(task).entries(annotations, images))
    numbered = pl.concat([empty(ENTRIES), *parts])
    numbered = numbered.filter(~pl.col("entry_id").is_in(entries["entry_id"].implode()))
    derivations = _derivations(numbered, made)
    return Rendered(
        facts,
        numbered.with_columns(pl.lit([DERIVED_SOURCE], dtype=pl.List(pl.String)).alias("sources")),
        derivations,
    )


def annotations_of(image_id: str, derivation: Derivation) -> pl.DataFrame:
    """Return the annotations of one derived fact (schema ANNOTATIONS)."""
    return _tables([(image_id, derivation)])[0]


def _tables(
    made: Sequence[tuple[str, Derivation]],
) -> tuple[pl.DataFrame, dict[str, list[dict[str, Any]]]]:
    """Return the annotations of derived facts, and the rows from which each task makes entries."""
    rows: list[dict[str, Any]] = []
    by_task: dict[str, list[dict[str, Any]]] = defaultdict(list)
    labels = {
        (image, derivation.fact.name)
        for image, derivation in made
        if derivation.fact.kind == "label"
    }
    for number, (image, derivation) in enumerate(made):
        fact = derivation.fact
        quality = derivation.rule + (f"/{ANATOMY}" if fact.anatomy else "")
        for values in annotation_of(fact):
            row = {"image_id": image, **values, "quality": quality}
            # a label of a list that was derived alone too is one annotation
            if fact.kind != "findings" or (image, values["name"]) not in labels:
                rows.append({**row, "source": DERIVED_SOURCE})
            task = TASK_OF.get(fact.kind)
            if task is not None:
                by_task[task].append({**row, "source": str(number)})
    return _annotations(rows), dict(sorted(by_task.items()))


def _annotations(rows: list[dict[str, Any]]) -> pl.DataFrame:
    schema: dict[str, Any] = {"image_id": pl.String, **_VALUES, "source": pl.String}
    # column by column, which is much faster than row by row
    columns = {
        name: pl.Series(name, [row.get(name) for row in rows], dtype=dtype)
        for name, dtype in schema.items()
    }
    frame = pl.DataFrame(columns).with_columns(
        pl.lit("derived").alias("origin"), pl.lit(FILE).alias("file")
    )
    return conform(frame, ANNOTATIONS)


def _derivations(numbered: pl.DataFrame, made: Sequence[tuple[str, Derivation]]) -> pl.DataFrame:
    rows = []
    for entry, numbers in numbered.select("entry_id", "sources").iter_rows():
        used = [made[int(number)][1] for number in numbers]
        rows.append(
            (entry, "+".join(sorted({d.rule for d in used})), max(d.depth for d in used),
             sorted({i for d in used for i in d.entries}))
        )  # fmt: skip
    return pl.DataFrame(rows, schema=DERIVATIONS, orient="row")
