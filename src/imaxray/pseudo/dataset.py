"""Writes pseudo IMAX as a dataset folder with the real entries and the kept pseudo entries."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

import polars as pl

from imaxray._common.files import read_parquet
from imaxray.curation import Dataset, Tables, open_dataset, write_dataset
from imaxray.curation.tables import ACCOUNT
from imaxray.derive.entries.render import FILE as DERIVATIONS_FILE
from imaxray.errors import ImaxrayError
from imaxray.pseudo.selecting.filter import DROPPED
from imaxray.pseudo.table import ADDED, PSEUDO, SOFT_COLUMNS
from imaxray.schema import (
    ANNOTATIONS,
    ENTRIES,
    PSEUDO_SOURCE,
    REJECTS,
    SOFT,
    SOFT_FILE,
    Boxes,
    conform,
    mark_pseudo,
)
from imaxray.tasks import Question, from_json, get_task

ROLE: Final = "pseudo-imax"
FILE: Final = "candidates.parquet"
"""File of the pseudo annotations, as named in provenance, accounts and rejects."""

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
    """Write a dataset folder for ``open_dataset`` and for training.

    The real train, validation and test entries are those of the annotated dataset. Each kept
    candidate becomes one more train entry, with ``sources`` [``pseudo``] and ``quality``
    ``pseudo/<model>``, and one annotation of origin ``pseudo`` (several for findings and reports).
    Dropped candidates become rejects.

    Args:
        dataset: Dataset that was annotated, or its folder.
        kept: Kept candidates (schema PSEUDO).
        out: Folder to write.
        dropped: Dropped candidates (schema DROPPED).
        config: Settings of the filter, for the manifest.
        beside: Further text files, name → content.

    Returns:
        The dataset that was written.

    Raises:
        ImaxrayError: A candidate is not about a train image of the dataset, has no answer, or is
            already an entry; or ``out`` exists and is not a dataset folder.
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
        # annotations are stored together per image, in the order of the images
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
    soft = _soft(kept)
    write_dataset(
        tables, out, config=content, seed=seed, role=ROLE, beside=beside,
        # without kept answers there are none to train on, which is no reason to refuse soft targets
        tables_beside={
            **({SOFT_FILE: soft} if kept.is_empty() or not soft.is_empty() else {}),
            **_derivations(data),
        },
    )  # fmt: skip
    return open_dataset(out)


def pseudo_entries(kept: pl.DataFrame) -> pl.DataFrame:
    """Return candidates as train entries (schema ENTRIES), sorted by id."""
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


def _derivations(data: Dataset) -> dict[str, pl.DataFrame]:
    """Return the provenance of the dataset's derived entries, if it has any."""
    path = data.folder / DERIVATIONS_FILE
    return {DERIVATIONS_FILE: read_parquet(path)} if path.is_file() else {}


def _soft(kept: pl.DataFrame) -> pl.DataFrame:
    """Return the distributions of the answers that have them (schema SOFT)."""
    has = kept.filter(pl.col("top_ids").is_not_null())
    return conform(has.select(pl.col("pseudo_id").alias("entry_id"), *SOFT_COLUMNS), SOFT)


def _check(kept: pl.DataFrame, base: Tables) -> None:
    images = base.images.select("image_id", "split", pl.col("patient_id").alias("_patient"))
    found = kept.join(images, on="image_id", how="left", maintain_order="left")
    for wrong, sentence in (
        (found["split"].fill_null("none") != "train", "be about train images of the dataset"),
        (found["patient_id"].ne_missing(found["_patient"]), "have the patients of their images"),
        (kept["answer"].is_null() | kept["target"].is_null(), "have answers that can be read"),
        (kept["pseudo_id"].is_in(base.entries["entry_id"].implode()), "be new to the dataset"),
        (kept["pseudo_id"].is_duplicated(), "have distinct ids"),
    ):
        if count := int(wrong.sum()):
            raise ImaxrayError(
                f"Expected pseudo entries to {sentence}, but {count} of {kept.height} do not; "
                "filter the candidates with this dataset."
            )


def _numbers(kept: pl.DataFrame, gone: pl.DataFrame) -> dict[str, int]:
    """Return the 1-based row of each candidate in the table of candidates, sorted by id."""
    return {i: k for k, i in enumerate(sorted([*kept["pseudo_id"], *gone["pseudo_id"]]), start=1)}


def _annotations(kept: pl.DataFrame, numbers: Mapping[str, int]) -> pl.DataFrame:
    """Return the annotations that candidates state (schema ANNOTATIONS)."""
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
    """Return the digest of the kept candidates, which enters the identity of the dataset."""
    state = hashlib.sha256()
    for row in kept.iter_rows(named=True):
        # columns of a later version that say nothing must not change the digest
        values = [v for name, v in row.items() if v is not None or name not in ADDED]
        state.update(json.dumps(values, sort_keys=True, default=str).encode())
    return state.hexdigest()
