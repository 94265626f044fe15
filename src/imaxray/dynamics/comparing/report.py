"""Writes the tables of ``imaxray dynamics`` for runs of one arm or two, measured now or before."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import polars as pl

from imaxray._common.files import write_csv
from imaxray._common.folders import claim_files, record_claimed, require_claimable
from imaxray._common.names import require_known
from imaxray.dynamics.comparing.config import RunDynamicsConfig
from imaxray.dynamics.comparing.correlation import CAVEAT, correlate_scores, run_scores
from imaxray.dynamics.comparing.groups import GroupDynamics, group_dynamics
from imaxray.dynamics.comparing.plots import plot_spectra
from imaxray.dynamics.comparing.runs import compare_runs, recorded, run_spectra
from imaxray.dynamics.numbers.crossed import crossed_table
from imaxray.dynamics.numbers.gram import Gram
from imaxray.dynamics.numbers.tables import tasks_over_runs, tasks_table
from imaxray.dynamics.probing.entries import probe_entries, probe_pair
from imaxray.errors import ImaxrayError
from imaxray.schema import SPLITS

if TYPE_CHECKING:
    from imaxray.curation import Dataset

ARMS: Final = ("runs", "against")


@dataclass(frozen=True)
class RunDynamics:
    """Holds the dynamics of runs; every table is also a file in the output folder.

    Attributes:
        spectra: Mapping from arm to the table in ``ARM.csv`` (schema SPECTRA with the run in
            front).
        contrast: Table in ``contrast.csv`` from :func:`compare_runs`; empty with one arm, or one
            run per arm.
        crossed: Table in ``crossed.csv`` from :func:`crossed_table` for the final models; empty
            without a second dataset.
        tasks: Table in ``tasks.csv`` from :func:`tasks_over_runs`, with and without same-image
            entries.
        pairs: Table in ``task_pairs.csv`` with each pair of tasks in each run (schema PAIRS with
            arm, seed and run).
        scores: Table in ``scores.csv`` from :func:`run_scores`; empty unless requested.
        correlations: Table in ``correlations.csv`` from :func:`correlate_scores`; empty unless
            requested.
        groups: Tables of :func:`group_dynamics`; None unless requested.
        remarks: Sentences that a reader needs in order to interpret the numbers.
    """

    spectra: dict[str, pl.DataFrame]
    contrast: pl.DataFrame
    crossed: pl.DataFrame
    tasks: pl.DataFrame
    pairs: pl.DataFrame
    scores: pl.DataFrame
    correlations: pl.DataFrame
    remarks: tuple[str, ...]
    groups: GroupDynamics | None = None


def run_dynamics(
    runs: Sequence[Path],
    out: Path,
    config: RunDynamicsConfig | None = None,
    *,
    against: Sequence[Path] = (),
    data: Dataset | None = None,
    other_data: Dataset | None = None,
) -> RunDynamics:
    """Write the dynamics of runs of one arm, or of two arms and their difference, as tables.

    Without ``data``, the function reads the measurements that a :class:`FisherProbe` recorded
    during training. With ``data``, it measures the final model of every run, and the checkpoints
    that are still in the run folder, on one fixed probe of that dataset. With ``other_data``, it
    also measures the final models of both arms on two probes of train entries, one of each dataset,
    with equal tasks and answer lengths. Measurements in ``out`` are kept, so an interrupted call
    can continue.

    Args:
        runs: Run folders of one arm, one per seed.
        out: Folder of the results.
        config: Settings of the probe, the module group, and the scores to correlate with.
        against: Run folders of the other arm, in the same order of seeds.
        data: Dataset of the probe, and of ``runs`` for crossed probes.
        other_data: Dataset of ``against``, for crossed probes.

    Raises:
        ImaxrayError: If the arms do not pair, a run is unfinished, there are too few entries, or a
            part of the computation raises.
    """
    config = config or RunDynamicsConfig()
    group, level = config.group, config.level
    _check(runs, against, data, other_data)
    require_claimable(out, _FILES, **_CLAIM)
    if config.scores:
        # Missing scores raise an error here, before hours of work.
        run_scores([*runs, *against], evaluation=config.evaluation)
    folders = {"runs": list(runs)} | ({"against": list(against)} if against else {})
    crossed = pl.DataFrame()
    if data is not None:
        probe = _fixed(data, config)
        pair = None if other_data is None else _trained_on(data, other_data, config)
        _enough(probe, len(runs) if against else 0, other_data is not None)
        folders, crossed = _measured(folders, data, probe, other_data, pair, out, config)
    names = {"runs": runs, "against": against}
    spectra = _spectra(folders, names)
    _require_group(spectra, group)
    claim_files(out, _FILES, **_CLAIM)
    contrast = pl.DataFrame()
    if against and len(runs) > 1:
        contrast = compare_runs(folders["runs"], folders["against"], group=group, level=level)
    pairs, seen = _pairs(folders, names)
    found, table = pl.DataFrame(), pl.DataFrame()
    if config.scores:
        table = run_scores([*runs, *against], evaluation=config.evaluation)
        found = correlate_scores(
            [*runs, *against],
            [folder for of in folders.values() for folder in of],
            arms=[arm for arm, of in folders.items() for _ in of],
            group=group, evaluation=config.evaluation, level=level,
        )  # fmt: skip
    remarks = _remarks(
        few=bool(against) and len(runs) < 3,
        whole_images=data is not None and config.draw == "together",
        correlated_at=seen if config.scores else None,
    )
    groups = None
    if config.groups:
        groups = group_dynamics(
            runs,
            out,
            config,
            against=against,
            data=data,
            other_data=other_data,
            contrast=contrast,
        )
        remarks += groups.remarks
    tasks = tasks_over_runs(pairs, *folders, level=level) if pairs.height else pl.DataFrame()
    result = RunDynamics(spectra, contrast, crossed, tasks, pairs, table, found, remarks, groups)
    _write(result, out)
    plot_spectra(spectra, out / _PICTURE, group=group)
    record_claimed(out)
    return result


def _measured(
    folders: dict[str, list[Path]],
    data: Dataset,
    probe: pl.DataFrame,
    other_data: Dataset | None,
    pair: tuple[pl.DataFrame, pl.DataFrame] | None,
    out: Path,
    config: RunDynamicsConfig,
) -> tuple[dict[str, list[Path]], pl.DataFrame]:
    """Measure runs; return the folders of the fixed probe by arm, and the crossed table.

    Args:
        folders: Mapping from arm to run folders.
        data: Dataset of the fixed probe and of the first probe of the pair.
        probe: Entries of the fixed probe.
        other_data: Dataset of the second probe of the pair.
        pair: Entries of two probes of train entries, one of each dataset, or None for no crossed
            table.
        out: Folder of the results.
        config: Configuration, see :func:`run_dynamics`.
    """
    from imaxray.dynamics.probing.finished_runs import (
        RunProbe,
        measure_runs,
    )  # imported late, because it needs torch

    probes = {config.split: RunProbe(data, probe, checkpoints=True)}
    if other_data is not None and pair is not None:
        for arm, of, rows in zip(ARMS, (data, other_data), pair, strict=True):
            probes[f"{arm}-train"] = RunProbe(of, rows)
    seeds = len(folders["runs"])
    measured = measure_runs(
        [run for of in folders.values() for run in of], probes, out,
        device=config.device, tokens_per_batch=config.tokens_per_batch,
    )  # fmt: skip
    crossed = pl.DataFrame() if pair is None else _crossed(measured, seeds, config.level)
    of_arm = {"runs": measured[config.split][:seeds]}
    if "against" in folders:
        of_arm["against"] = measured[config.split][seeds:]
    return of_arm, crossed


def _trained_on(
    data: Dataset, other_data: Dataset, config: RunDynamicsConfig
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Choose two probes of train entries, one per dataset, with equal tasks and answer lengths."""
    return probe_pair(
        data.tables.split("train"), other_data.tables.split("train"), config.size,
        seed=config.seed, images=config.draw,
    )  # fmt: skip


def _spectra(
    folders: dict[str, list[Path]], names: dict[str, Sequence[Path]]
) -> dict[str, pl.DataFrame]:
    """Read the spectra of every run by arm, with the run in a column."""
    return {
        arm: pl.concat(
            [
                run_spectra([folder]).with_columns(pl.lit(str(run)).alias("run"))
                for run, folder in zip(names[arm], of, strict=True)
            ]
        )
        for arm, of in folders.items()
    }


def _remarks(
    *, few: bool, whole_images: bool, correlated_at: Collection[int] | None
) -> tuple[str, ...]:
    """Return the remarks that a reader needs in order to interpret the numbers.

    Args:
        few: Whether there are fewer than three seeds per arm.
        whole_images: Whether the probe was drawn by whole images.
        correlated_at: Counts of entries seen at the runs' last measurements, or None if nothing was
            correlated.
    """
    remarks = []
    if few:
        remarks.append("Fewer than three seeds per arm: do not report these intervals.")
    if whole_images:
        remarks.append(
            "Whole images were drawn, but the error of the probe is estimated by leaving out one "
            "entry at a time, so the intervals are too narrow."
        )
    if correlated_at is not None:
        remarks.append(CAVEAT)
        if len(correlated_at) > 1:
            remarks.append(
                "The last measurements of the runs are at different numbers of entries seen: "
                f"{', '.join(f'{n:,}' for n in sorted(correlated_at))}."
            )
    return tuple(remarks)


def _require_group(spectra: dict[str, pl.DataFrame], group: str) -> None:
    """Check that every arm was measured in a module group."""
    for table in spectra.values():
        known = table["group"].unique().sort().to_list()
        require_known(group, known, "a module group")


def _check(
    runs: Sequence[Path],
    against: Sequence[Path],
    data: Dataset | None,
    other_data: Dataset | None,
) -> None:
    if against and len(against) != len(runs):
        raise ImaxrayError(
            f"Expected as many runs in both arms, one per seed, but got {len(runs)} and "
            f"{len(against)}; name them in the same order of seeds."
        )
    if other_data is not None and (data is None or not against):
        raise ImaxrayError(
            "Expected --data and --against beside --other-data, because crossed probes measure two "
            "models on two datasets; give all three."
        )
    if data is None or not against:
        return
    from imaxray.training import FinishedRun  # imported late, because it needs torch

    seen = {FinishedRun(run).entries_seen for run in [*runs, *against]}
    if len(seen) > 1:
        raise ImaxrayError(
            "Expected runs that have seen the same number of entries, but they have seen "
            f"{', '.join(f'{n:,}' for n in sorted(seen))}; compare arms at equal entries."
        )


def _fixed(data: Dataset, config: RunDynamicsConfig) -> pl.DataFrame:
    require_known(config.split, SPLITS, "a split")
    entries = data.tables.split(config.split)
    if entries.is_empty():
        raise ImaxrayError(
            f"Expected entries in the split {config.split} of {data.folder}, but it has none; name "
            "another --split."
        )
    return probe_entries(entries, config.size, seed=config.seed, images=config.draw)


def _enough(entries: pl.DataFrame, pairs: int, crossed: bool) -> None:
    """Refuse a probe that is too small for the comparison, before hours of work.

    Raises:
        ImaxrayError: If the probe has too few entries.
    """
    tasks = entries["task"].n_unique()
    # a subset of N/4 entries must hold every task
    least = 4 * tasks if pairs > 1 else 2 * tasks if crossed else 0
    if entries.height < least:
        raise ImaxrayError(
            f"Expected a probe of at least {least} entries to compare arms over {tasks} tasks, but "
            f"--probe is {entries.height}; give a larger number."
        )


def _crossed(measured: dict[str, list[Path]], seeds: int, level: float) -> pl.DataFrame:
    """Compare the final models of both arms on both probes of train entries."""
    grams = [
        {
            (model, probe): Gram.read(_last(measured[f"{probe}-train"][seed + seeds * number]))
            for number, model in enumerate(ARMS)
            for probe in ARMS
        }
        for seed in range(seeds)
    ]
    return crossed_table(grams, level=level)


def _last(folder: Path) -> Path:
    files = recorded(folder)
    return files[max(files)]


def _pairs(
    folders: dict[str, list[Path]], names: dict[str, Sequence[Path]]
) -> tuple[pl.DataFrame, set[int]]:
    """Return the pairs of tasks at each run's last measurement, and the entries seen there."""
    tables, counts = [], set()
    for arm, of in folders.items():
        for number, folder in enumerate(of):
            seen = max(recorded(folder))
            counts.add(seen)
            table = tasks_table(Gram.read(recorded(folder)[seen]), entries_seen=seen)
            about = {"arm": arm, "seed": number, "run": str(names[arm][number])}
            tables.append(
                table.drop("step").select(
                    *(pl.lit(value).alias(name) for name, value in about.items()), pl.all()
                )
            )
    return pl.concat(tables), counts


_TABLES: Final = (*ARMS, "contrast", "crossed", "tasks", "task_pairs", "scores", "correlations")
_GROUPS: Final = ("sharing", "groups", "effects", "power")
_PICTURE: Final = "spectra.svg"
_FILES: Final = (*(f"{name}.csv" for name in (*_TABLES, *_GROUPS)), _PICTURE)
"""Files that may be written or, if there is nothing to say, removed."""

_CLAIM: Final[dict[str, Any]] = {
    "what": "`imaxray dynamics`", "known_by": {"runs.csv": ("run,step,entries_seen",)},
}  # fmt: skip


def _write(found: RunDynamics, out: Path) -> None:
    """Write the tables as CSV, each atomically; delete old files of tables that are now empty."""
    tables = {
        **{arm: found.spectra.get(arm, pl.DataFrame()) for arm in ARMS},
        "contrast": found.contrast,
        "crossed": found.crossed,
        "tasks": found.tasks,
        "task_pairs": found.pairs,
        "scores": found.scores,
        "correlations": found.correlations,
    }
    out.mkdir(parents=True, exist_ok=True)
    for name, table in tables.items():
        path = out / f"{name}.csv"
        if table.is_empty():
            path.unlink(missing_ok=True)
            continue
        write_csv(path, table)
