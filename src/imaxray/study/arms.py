"""Trains all arms and seeds of a study and defines the folders of their runs."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal

from imaxray._workers import worker_pool
from imaxray.progress import multi_bar
from imaxray.study.arm import ArmJob, ArmRun, entries_seen, run_study_arm
from imaxray.study.config import StudyConfig

if TYPE_CHECKING:
    from imaxray.training import Throughput

REFERENCE: Final = "dmax"
ARMS: Final = ("dmax", "imax", "imax (equal compute)")
"""Arms of a study. ``dmax``: one sequence per entry. ``imax``: packed sequences with as many
entries as dmax. ``imax (equal compute)``: packed sequences, trained for the wall-clock time of
dmax."""

RUN_FOLDERS: Final = {"dmax": "dmax", "imax": "imax", "imax (equal compute)": "imax-equal-compute"}
PROBED: Final = ("dmax", "imax")
"""Arms whose dynamics are measured: the two arms that see the same number of entries."""


def run_folder(config: StudyConfig, out: Path, arm: str, seed: int) -> Path:
    """Return the folder of a run: ``runs/<arm>``, or ``runs/<arm>/seed-<k>`` with several seeds."""
    return _of_seed(config, out / "runs" / RUN_FOLDERS[arm], seed)


def init_folder(config: StudyConfig, out: Path, seed: int) -> Path:
    """Return the folder of a seed's initial model, which all arms share."""
    return _of_seed(config, out / "init", seed)


def run_folders(config: StudyConfig, out: Path, arm: str) -> list[Path]:
    """Return the run folders of an arm, in the order of the seeds."""
    return [run_folder(config, out, arm, seed) for seed in config.training_seeds]


def train_arms(
    config: StudyConfig, out: Path, throughput: Throughput, probes: Path | None
) -> dict[str, list[ArmRun]]:
    """Train every arm with every seed and let it answer the test set.

    The runs are distributed over ``config.workers`` processes; the longest runs start first.
    Finished runs are kept.

    Args:
        config: Configuration of the study.
        out: Study folder, with the datasets and the initial models.
        throughput: Measured speed of both layouts; it decides the number of steps at equal compute
            and the order of the runs.
        probes: File of the entries that the dynamics are measured on; None if they are not
            measured.

    Returns:
        Arm → manifests of its runs, in the order of the seeds.
    """
    steps = config.training.steps
    longer = max(1, round(steps * throughput.ratio))
    plan: dict[str, tuple[str, Literal["packed", "separate"], int, float]] = {
        "dmax": ("dmax", "separate", steps, throughput.separate),
        "imax": ("imax", "packed", steps, throughput.packed),
        "imax (equal compute)": ("imax", "packed", longer, throughput.packed),
    }
    jobs, seconds = [], {}
    for arm, (dataset, layout, arm_steps, rate) in plan.items():
        for seed in config.training_seeds:
            label = arm if len(config.training_seeds) == 1 else f"{arm}, seed {seed}"
            jobs.append(
                ArmJob(
                    name=arm,
                    label=label,
                    dataset=out / dataset,
                    init=init_folder(config, out, seed),
                    processor=init_folder(config, out, config.training_seeds[0]),
                    out=run_folder(config, out, arm, seed),
                    layout=layout,
                    steps=arm_steps,
                    seed=seed,
                    config=config,
                    probes=probes if arm in PROBED else None,
                )
            )
            seconds[label] = arm_steps / rate
    jobs.sort(key=lambda job: -seconds[job.label])
    lanes = min(config.workers, len(jobs))
    with worker_pool(lanes) as pool:
        futures = {job.label: pool.submit(run_study_arm, job) for job in jobs}
        try:
            _watch(futures, jobs)
            made = {(job.name, job.seed): futures[job.label].result() for job in jobs}
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)  # start no further run after a failure
            raise
    return {arm: [made[arm, seed] for seed in config.training_seeds] for arm in ARMS}


def _watch(futures: Mapping[str, Any], jobs: Sequence[ArmJob]) -> None:
    """Show one progress bar per run; its learning curve tells how many entries it has seen."""
    size = jobs[0].config.training.entries_per_step
    totals = {f"Training {job.label}": job.steps * size for job in jobs}
    with multi_bar(totals) as update:
        while not all(future.done() for future in futures.values()):
            if any(future.done() and future.exception() for future in futures.values()):
                return
            time.sleep(1.0)
            for job in jobs:
                update(f"Training {job.label}", entries_seen(job.out))


def _of_seed(config: StudyConfig, folder: Path, seed: int) -> Path:
    return folder if len(config.training_seeds) == 1 else folder / f"seed-{seed}"
