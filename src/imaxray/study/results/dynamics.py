"""Compares the training dynamics of IMAX and DMAX over seeds, from the probes of their runs."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import polars as pl

from imaxray._common.files import read_parquet, sha256, write_csv, write_parquet, write_text
from imaxray._common.state import known_state, read_state, write_state
from imaxray._common.workers import worker_pool
from imaxray.dynamics import (
    PAIRS,
    Gram,
    Reduction,
    compare_runs,
    crossed_table,
    n_curve,
    recorded,
    run_spectra,
    tasks_over_runs,
)
from imaxray.progress import track
from imaxray.study.arms import PROBED
from imaxray.study.config import StudyConfig
from imaxray.study.places import run_folders
from imaxray.study.probes import (
    DRAWS,
    ROLES,
    choose_probes,
    crossed_name,
    crossed_path,
    read_crossed,
)
from imaxray.study.results.dynamics_tables import StudyDynamics
from imaxray.study.results.shared_images import TABLES, shared_images

__all__ = ["StudyDynamics", "choose_probes", "study_dynamics"]

_STATISTICS: Final = ("se", "rho", "h2")
_REDUCTIONS: Final[tuple[Reduction, ...]] = ("sum", "unit-norm")


def study_dynamics(config: StudyConfig, out: Path) -> StudyDynamics:
    """Read the measurements of all runs, compare them and write ``dynamics/`` in ``out``.

    Args:
        config: Configuration of the study.
        out: Study folder with the finished runs.
    """
    runs = {arm: run_folders(config, out, next(iter(config.all_models)), arm) for arm in PROBED}
    folder = out / "dynamics"
    last = max(recorded(runs["imax"][0]))
    level = config.evaluation.level
    tables = {
        "spectra": _spectra(config, runs),
        "contrast": _contrast(config, runs, folder),
        "crossed": _crossed(runs, level),
        "tasks": _tasks(runs, last, level),
        "n_curve": _curve(runs, last),
    }
    write_parquet(folder / "spectra.parquet", tables["spectra"])
    for name in ("contrast", "crossed", "tasks", "n_curve"):
        write_csv(folder / f"{name}.csv", tables[name])
    tables["curve"] = tables.pop("n_curve")
    not_made = read_state(
        folder / "not_made.json", advice="remove it, so that the probes are made again"
    )
    shared = shared_images(runs, tables["contrast"], seed=config.seed, level=level)
    for name in TABLES:
        write_csv(folder / f"{name}.csv", getattr(shared, name))
    write_state(folder / "shared_images.json", dict(shared.not_made))
    found = StudyDynamics(len(config.training_seeds), **tables, not_made=not_made, shared=shared)
    write_text(folder / "sentences.json", json.dumps(found.sentences(), indent=1) + "\n")
    return found


def _spectra(config: StudyConfig, runs: dict[str, list[Path]]) -> pl.DataFrame:
    return pl.concat(
        [
            run_spectra([run]).select(
                pl.lit(arm).alias("arm"), pl.lit(seed).alias("seed"), pl.exclude("run")
            )
            for arm, folders in runs.items()
            for seed, run in zip(config.training_seeds, folders, strict=True)
        ]
    )


def _contrast(config: StudyConfig, runs: dict[str, list[Path]], folder: Path) -> pl.DataFrame:
    """Compare the arms at every number of entries seen, in several processes.

    The result is kept in a file and computed again only if a measurement has changed.
    """
    if len(config.training_seeds) < 2:
        return pl.DataFrame()
    files = [recorded(run) for arm in PROBED for run in runs[arm]]
    counts = sorted(set.intersection(*(set(found) for found in files)))
    key = hashlib.sha256(repr(config.evaluation.level).encode())
    for found in files:
        for path in found.values():
            key.update(path.read_bytes())
    kept, told = folder / "contrast.parquet", folder / "contrast.json"
    if kept.exists() and known_state(told) == {"key": key.hexdigest(), "sha256": sha256(kept)}:
        return read_parquet(kept)
    lanes = min(config.workers, len(counts))
    with worker_pool(lanes, _one_thread) as pool:
        futures = [
            pool.submit(compare_runs, runs["imax"], runs["dmax"], reductions=_REDUCTIONS,
                        level=config.evaluation.level, counts=[count])
            for count in counts
        ]  # fmt: skip
        found_all = pl.concat([f.result() for f in track(futures, "Comparing dynamics")])
    write_parquet(kept, found_all)
    write_state(told, {"key": key.hexdigest(), "sha256": sha256(kept)})
    return found_all


def _one_thread() -> None:
    """Limit linear algebra to one thread, because waiting threads would slow down busy cores."""
    from threadpoolctl import threadpool_limits

    threadpool_limits(1)


def _crossed(runs: dict[str, list[Path]], level: float) -> pl.DataFrame:
    tables: list[pl.DataFrame] = []
    for draw in DRAWS:
        names = {role: crossed_name(draw, role) for role in ROLES}
        if not crossed_path(runs["imax"][0], names["imax"]).exists():
            continue
        grams = [
            {
                (model, probe): read_crossed(run, names[probe])
                for model, run in zip(ROLES, pair, strict=True)
                for probe in ROLES
            }
            for pair in zip(runs["imax"], runs["dmax"], strict=True)
        ]
        found = crossed_table(grams, statistics=_STATISTICS, reductions=_REDUCTIONS, level=level)
        tables.append(found.select(pl.lit(draw).alias("draw"), pl.all()))
    return pl.concat(tables) if tables else pl.DataFrame()


def _tasks(runs: dict[str, list[Path]], last: int, level: float) -> pl.DataFrame:
    """Average over pairs of tasks after training: each arm, and imax minus dmax over seeds."""
    last_of = [
        read_parquet(run / "dynamics" / "tasks.parquet", schema=PAIRS)
        .filter(pl.col("entries_seen") == last, pl.col("reduction") != "token-mean")
        .with_columns(pl.lit(arm).alias("arm"), pl.lit(number).alias("seed"))
        for arm, folders in runs.items()
        for number, run in enumerate(folders)
    ]
    return tasks_over_runs(pl.concat(last_of), "imax", "dmax", level=level)


def _curve(runs: dict[str, list[Path]], last: int) -> pl.DataFrame:
    rows: list[dict[str, Any]] = []
    for arm, folders in runs.items():
        for reduction in _REDUCTIONS:
            grams = [Gram.read(recorded(run)[last]).reduced(reduction) for run in folders]
            for name in _STATISTICS:
                curves = [n_curve(gram.matrix, name, strata=gram.tasks) for gram in grams]
                for points in zip(*curves, strict=True):
                    mean = _mean([point["value"] for point in points])
                    rows.append(
                        {"arm": arm, "reduction": reduction, "statistic": name,
                         "entries": int(points[0]["entries"]), "value": mean}
                    )  # fmt: skip
    return pl.DataFrame(rows)


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known else None
