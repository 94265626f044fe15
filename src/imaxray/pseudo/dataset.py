"""Pseudo IMAX as a dataset folder: the dataset's own entries and the kept pseudo entries."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

import polars as pl

from imaxray.curation import Dataset, Tables, open_dataset, write_dataset
from imaxray.curation.tables import ACCOUNT
from imaxray.errors import ImaxrayError
from imaxray.pseudo.selecting.filter import DROPPED
from imaxray.pseudo.table import PSEUDO
from imaxray.schema import (
    ANNOTATIONS,
    ENTRIES,
    PSEUDO_SOURCE,
    REJECTS,
    Boxes,
    conform,
    mark_pseudo,
)
from imaxray.tasks import Question, from_json, get_task

ROLE: Final = "pseudo-imax"
FILE: Final = "candidates.parquet"
"""The file of pseudo annotations in provenance, accounts and rejects; rows are the candidates'."""

_MESSAGES: Final = {
    "has-real": "the dataset has this entry already",
    "unreadable": "the answer cannot be read",
    "unfinished": "the answer was cut at the most tokens",
    "not-calibrated": "no validation entry of the task, so no threshold",
    "unreached": "the task cannot reach the precision asked for",
    "low-confidence": "below the task's confidence threshold",
    "contradicted": "contradicted by a stronger fact of the image",
    "unconfirmed": "a rule keeps only what it confirms",
    "unbalanced": "more of this answer than its share among the real entries",
}


def write_pseudo(
    dataset: Path | Dataset,
    kept: pl.DataFrame,
    out: Path,
    *,
    dropped: pl.DataFrame | None = None,
    config: Mapping[str, Any] = MappingProxyType({}),
    beside: Mapping[str, str] = MappingProxyType({}),
) -> Dataset:
    """Write a dataset folder that ``open_dataset`` reads and training takes.

    Real entries, validation and test are the dataset's own; each kept candidate is a train entry
    more, with ``sources`` [``pseudo``] and ``quality`` ``pseudo/<model>``, and an annotation
    (several for findings and reports) of origin ``pseudo``. Dropped candidates become rejects.

    Args:
        dataset: folder of the dataset that was annotated.
        kept: schema PSEUDO.
        out: folder to write.
        dropped: schema DROPPED.
        config: what decided the filter, for the manifest.
        beside: further text files, name → content.

    Raises:
        ImaxrayError: a candidate is about an image that is no train image of the dataset, has no
            answer, or is an entry already; ``out`` is no dataset folder.
    """
    data = dataset if isinstance(dataset, Dataset) else open_dataset(dataset)
    kept = conform(kept, PSEUDO).sort("pseudo_id")
    gone = pl.DataFrame(schema=DROPPED) if dropped is None else dropped
    numbers = _numbers(kept, gone)
    base = data.tables
    _check(kept, base)
    made = mark_pseudo(pseudo_entries(kept))
    entries = pl.concat([base.entries, made]).sort("split", "task", "entry_id")
    facts = _annotations(kept, numbers)
    tables = replace(
        base,
        # facts of an image lie together, in the order of images
        annotations=pl.concat([base.annotations, facts]).sort("image_id", maintain_order=True),
        entries=entries,
        rejects=pl.concat([base.rejects, _rejects(gone, numbers)]),
        account=pl.concat([base.account, _account(kept, gone)]),
    )
    content = {
        "base": {"sha256": data.sha256, "role": data.manifest["role"]},
        "base_config": data.manifest["config"],
        "pseudo": {**config, "kept": _digest(kept)},
    }
    seed = int(data.manifest["seed"])
    write_dataset(tables, out, config=content, seed=seed, role=ROLE, beside=beside)
    return open_dataset(out)


def pseudo_entries(kept: pl.DataFrame) -> pl.DataFrame:
    """Candidates as train entries (schema ENTRIES), sorted by id."""
    frame = kept.select(
        pl.col("pseudo_id").alias("entry_id"),
        "image_id",
        "patient_id",
        "task",
        pl.lit("train").alias("split"),
        "prompt",
        "target",
        "boxes",
        "answer",
        "template",
        pl.lit([PSEUDO_SOURCE], dtype=pl.List(pl.String)).alias("sources"),
        pl.concat_str(pl.lit(f"{PSEUDO_SOURCE}/"), "model").alias("quality"),
    )
    return conform(frame, ENTRIES).sort("entry_id")


def _check(kept: pl.DataFrame, base: Tables) -> None:
    images = base.images.select("image_id", "split", pl.col("patient_id").alias("_patient"))
    found = kept.join(images, on="image_id", how="left", maintain_order="left")
    for wrong, sentence in (
        (found["split"].fill_null("none") != "train", "be about train images of the dataset"),
        (found["patient_id"].ne_missing(found["_patient"]), "have their images' patients"),
        (kept["answer"].is_null() | kept["target"].is_null(), "have answers that can be read"),
        (kept["pseudo_id"].is_in(base.entries["entry_id"].implode()), "be new to the dataset"),
        (kept["pseudo_id"].is_duplicated(), "come once each"),
    ):
        if count := int(wrong.sum()):
            raise ImaxrayError(
                f"Expected pseudo entries to {sentence}, but {count} of {kept.height} are not so; "
                "filter the candidates with this dataset."
            )


def _numbers(kept: pl.DataFrame, gone: pl.DataFrame) -> dict[str, int]:
    """1-based row of each candidate in their table, which is sorted by id."""
    return {i: k for k, i in enumerate(sorted([*kept["pseudo_id"], *gone["pseudo_id"]]), start=1)}


def _annotations(kept: pl.DataFrame, numbers: Mapping[str, int]) -> pl.DataFrame:
    """The facts that candidates state (schema ANNOTATIONS)."""
    rows = []
    for row in kept.iter_rows(named=True):
        about = {
            "image_id": row["image_id"], "origin": "pseudo", "quality": row["model"],
            "source": PSEUDO_SOURCE, "file": FILE, "row": numbers[row["pseudo_id"]],
        }  # fmt: skip
        gold = from_json(row["answer"])
        facts = get_task(row["task"]).facts(Question.of(row), gold)
        rows += [{**about, **fact} for fact in facts]
    text = dict.fromkeys(("kind", "name", "origin", "quality", "source", "file"), pl.String)
    numeric = {"value": pl.Float64, "row": pl.Int64}
    schema: Any = {
        "image_id": pl.String, **text, **numeric, "text": pl.String, "boxes": Boxes,
        "answers": pl.List(pl.String),
    }  # fmt: skip
    frame = pl.DataFrame(rows, schema=schema, orient="row")
    return conform(frame, ANNOTATIONS)


def _rejects(gone: pl.DataFrame, numbers: Mapping[str, int]) -> pl.DataFrame:
    rule = pl.concat_str(pl.lit(" (rule "), "rule", pl.lit(")")).fill_null("")
    frame = gone.sort("pseudo_id").select(
        pl.lit(PSEUDO_SOURCE).alias("source"),
        pl.lit(FILE).alias("file"),
        pl.col("pseudo_id").replace_strict(numbers, return_dtype=pl.Int64).alias("row"),
        pl.col("pseudo_id").alias("key"),
        pl.concat_str(pl.lit("pseudo-"), "code").alias("code"),
        pl.concat_str(pl.col("code").replace_strict(_MESSAGES, return_dtype=pl.String), rule)
        .alias("message"),
    )  # fmt: skip
    return conform(frame, REJECTS)


def _account(kept: pl.DataFrame, gone: pl.DataFrame) -> pl.DataFrame:
    total = kept.height + gone.height
    return pl.DataFrame(
        [(PSEUDO_SOURCE, FILE, total, kept.height, gone.height)], schema=ACCOUNT, orient="row"
    )


def _digest(kept: pl.DataFrame) -> str:
    """Digest of the kept candidates, so that two datasets of different ones differ by name."""
    state = hashlib.sha256()
    for row in kept.iter_rows():
        state.update(json.dumps(row, sort_keys=True, default=str).encode())
    return state.hexdigest()
