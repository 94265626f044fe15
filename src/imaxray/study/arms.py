"""All arms and seeds of a study: who starts from what, where each run lies, who trains when."""

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
"""dmax: one sequence an entry. imax: packed, as many entries as dmax. imax (equal compute): packed,
as many more entries as fit into dmax's wall-clock."""

RUN_FOLDERS: Final = {"dmax": "dmax", "imax": "imax", "imax (equal compute)": "imax-equal-compute"}
PROBED: Final = ("dmax", "imax")
"""Arms whose dynamics are measured: those that compare at equal entries seen."""


def run_folder(config: StudyConfig, out: Path, arm: str, seed: int) -> Path:
    """Where a run lies: ``runs/<arm>``, and in it ``seed-<k>`` where there are several."""
    return _of_seed(config, out / "runs" / RUN_FOLDERS[arm], seed)


def init_folder(config: StudyConfig, out: Path, seed: int) -> Path:
    """Where the initial model of a seed lies, the same for all arms."""
    return _of_seed(config, out / "init", seed)


def run_folders(config: StudyConfig, out: Path, arm: str) -> list[Path]:
    """The run folders of an arm, in the order of the seeds."""
    return [run_folder(config, out, arm, seed) for seed in config.training_seeds]


def train_arms(
    config: StudyConfig, out: Path, throughput: Throughput, probes: Path | None
) -> dict[str, list[ArmRun]]:
    """Train and ask every arm with every seed; run manifests by arm, in the order of the seeds.

    Runs are shared out over ``config.workers`` processes, the longest first, each to whoever is
    free; finished ones are kept.

    Args:
        config: the study's.
        out: study folder, with the datasets and the initial models.
        throughput: of both layouts; it decides the steps at equal compute, and who goes first.
        probes: entries that the dynamics are measured on; None: they are not.
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
            pool.shutdown(wait=False, cancel_futures=True)  # no further run after a failed one
            raise
    return {arm: [made[arm, seed] for seed in config.training_seeds] for arm in ARMS}


def _watch(futures: Mapping[str, Any], jobs: Sequence[ArmJob]) -> None:
    """One bar a run, moved by the entries its learning curve says it has seen."""
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
