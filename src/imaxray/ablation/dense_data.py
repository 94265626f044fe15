"""Writes the data of the arm "true answers": all real annotations of the images of DMAX."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Final

import polars as pl

from imaxray.curation import ImaxConfig, open_dataset, select_imax, write_dataset
from imaxray.curation.dataset import MANIFEST

DENSE: Final = "dense"


def write_dense(out: Path, config: ImaxConfig) -> Path:
    """Write ``out/dense``: the train images of ``out/dmax`` with all their catalog entries.

    The dataset is what pseudo IMAX would be if every answer were correct. The number of entries
    per task and image is limited as in IMAX; the validation and test splits are those of DMAX. A
    finished dataset is kept.

    Args:
        out: Study folder, with the datasets ``catalog/`` and ``dmax/``.
        config: Options of IMAX, which hold the limits.

    Returns:
        The dataset folder.
    """
    folder = out / DENSE
    catalog, dmax = open_dataset(out / "catalog"), open_dataset(out / "dmax")
    caps = ImaxConfig(min_tasks=1, max_entries_per_task=config.max_entries_per_task)
    content = {
        "catalog": catalog.sha256,
        "dmax": dmax.sha256,
        "imax": caps.model_dump(mode="json"),
    }
    if (folder / MANIFEST).exists() and open_dataset(folder).manifest["config"] == content:
        return folder
    tables = catalog.tables
    ids = dmax.tables.split("train")["image_id"].unique()
    here = tables.entries.filter(
        (pl.col("split") == "train") & pl.col("image_id").is_in(ids.implode())
    )
    full, _ = select_imax(replace(tables, entries=here), caps)
    held_out = dmax.tables.entries.filter(pl.col("split") != "train")
    entries = pl.concat([full.entries, held_out]).sort("split", "task", "entry_id")
    whole = replace(dmax.tables, annotations=full.annotations, entries=entries)
    write_dataset(whole, folder, config=content, seed=0, role="dense")
    return folder
