"""Makes the model that every arm starts from: untrained, or pretrained on other patients."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

import polars as pl

from imaxray.curation import ImaxConfig, open_dataset, select_imax, write_dataset
from imaxray.curation.dataset import MANIFEST
from imaxray.errors import ImaxrayError
from imaxray.progress import progress_bar
from imaxray.strategy import (
    StageConfig,
    StrategyConfig,
    WorkExecutor,
    plan,
)
from imaxray.training import base_digest, untrained_base

if TYPE_CHECKING:
    from imaxray.ablation.config import AblationConfig

OTHERS: Final = "others"


def base_model(config: AblationConfig, out: Path, seed: int) -> Path:
    """Return the folder of the model that the arms of a seed start from; it is made only once.

    Without ``pretraining``, the model is untrained, and each seed has its own. With
    ``pretraining``, all seeds start from one model, as in fine-tuning a released model. It is
    trained on the train images of the catalog whose patients are in neither IMAX nor DMAX.

    Args:
        config: Configuration of the ablation.
        out: Study folder; it gets ``seed-K/init/``, or ``others/`` (data) and ``pretraining/``.
        seed: Seed of the arms.

    Raises:
        ImaxrayError: If no patient is left to pretrain on, or if training raises.
    """
    data = [open_dataset(out / name) for name in ("imax", "dmax")]
    if config.pretraining is None:
        return untrained_base(config.model, data, out / f"seed-{seed}" / "init", seed=seed)
    fresh = untrained_base(config.model, data, out / "pretraining" / "init", seed=config.seed)
    stage = StageConfig(
        name="pretraining", on="dmax", start="base", layout="packed", steps=config.pretraining.steps
    )
    strategy = StrategyConfig(
        data=_write_others(out, config.pretraining.tasks, config.imax),
        model=str(fresh),
        seed=config.seed,
        training={**config.training.model_dump(mode="json"), "epochs": None, "augment": None},
        stages=(stage,),
    )
    assert strategy.data is not None
    others = open_dataset(strategy.data)
    executor = WorkExecutor(
        strategy, others, str(fresh), lambda _: out / "pretraining" / "run", progress=False
    )
    [work] = plan(strategy, others.sha256, base_digest(str(fresh), None))
    with progress_bar("Pretraining the model that all arms start from", total=1) as bar:
        folder = executor.do(work).folder
        bar.advance()
    return folder / "model"


def _write_others(out: Path, tasks: tuple[str, ...], config: ImaxConfig) -> Path:
    """Write ``out/others``: train entries of these tasks whose patients are in no arm.

    The number of entries per task and image is limited as in IMAX.
    """
    folder = out / OTHERS
    catalog, *seen = (open_dataset(out / name) for name in ("catalog", "imax", "dmax"))
    caps = ImaxConfig(min_tasks=1, max_entries_per_task=config.max_entries_per_task)
    content = {
        "catalog": catalog.sha256,
        "without": [data.sha256 for data in seen],
        "tasks": list(tasks),
        "imax": caps.model_dump(mode="json"),
    }
    if (folder / MANIFEST).exists() and open_dataset(folder).manifest["config"] == content:
        return folder
    tables = catalog.tables
    known = pl.concat([data.tables.entries["patient_id"] for data in seen]).unique()
    entries = tables.entries.filter(
        (pl.col("split") == "train")
        & pl.col("task").is_in(tasks)
        & ~pl.col("patient_id").is_in(known.implode())
    )
    if entries.is_empty():
        raise ImaxrayError(
            f"Expected train entries of {', '.join(tasks)} whose patients are in neither IMAX nor "
            "DMAX, but there are none; raise phantom.images, or leave pretraining out."
        )
    capped, _ = select_imax(replace(tables, entries=entries), caps)
    write_dataset(capped, folder, config=content, seed=0, role="others")
    return folder
