"""Runs a whole study: builds its data, trains its arms, evaluates them and compares them."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from imaxray._files import read_parquet, write_json, write_parquet
from imaxray._folders import growing_folder
from imaxray._state import known_state
from imaxray.boxes import PERCENT
from imaxray.cache import ImageStore
from imaxray.curation import Dataset, open_dataset
from imaxray.evaluation import Comparison, Scores, compare, constant_baseline, percents, score
from imaxray.models import phantom
from imaxray.sources import get_source
from imaxray.study.arm import ArmRun
from imaxray.study.arms import ARMS, REFERENCE, init_folder, run_folders, train_arms
from imaxray.study.config import StudyConfig
from imaxray.study.dynamics import StudyDynamics, choose_probes, study_dynamics
from imaxray.study.prepare import build_study_data
from imaxray.training import (
    StepDataset,
    Throughput,
    encode_entries,
    measure_throughput,
    phantom_base,
    prepare_images,
    schedule,
)


@dataclass(frozen=True)
class StudyOutcome:
    """The outcome of a study.

    Attributes:
        config: Configuration of the study.
        out: Study folder.
        equal_entries: Comparison of imax with dmax after the same number of entries seen.
        equal_compute: Comparison of imax with dmax after the same wall-clock time of training.
        scores: Arm → scores of its seeds; ``constant`` → scores of the constant baseline.
        runs: Arm → manifests of its runs, one per seed.
        throughput: Speed of packed and of separate sequences, measured in one process.
        match: Report of the build, which says how close DMAX is to IMAX.
        dynamics: Training dynamics of the arms; None if the configuration leaves them out.
        seconds: Wall-clock seconds of each stage in this call; a stage that was already done takes
            almost no time.
    """

    config: StudyConfig
    out: Path
    equal_entries: Comparison
    equal_compute: Comparison
    scores: dict[str, list[Scores]]
    runs: dict[str, list[ArmRun]]
    throughput: Throughput
    match: dict[str, Any]
    dynamics: StudyDynamics | None
    seconds: dict[str, float]

    def summary(self) -> list[str]:
        """Describe the results in sentences, whichever arm is better."""
        fast = self.throughput
        lines = [_verdict(self.equal_entries, "imax", "equal entries seen")]
        lines.append(_verdict(self.equal_compute, "imax", "equal compute"))
        lines.append(
            f"Packed sequences train {fast.packed:.0f} entries/s, one sequence per entry trains "
            f"{fast.separate:.0f} entries/s; packing is {fast.ratio:.2f} times as fast (same "
            "model, same process)."
        )
        if self.dynamics is not None:
            lines += self.dynamics.summary()
        took = {
            arm: sum(run["seconds"] for run in runs) / len(runs) for arm, runs in self.runs.items()
        }
        a_seed = "" if len(self.config.training_seeds) == 1 else " (mean over seeds)"
        lines.append(
            f"Training{a_seed} took "
            + ", ".join(f"{arm} {seconds:.0f} s" for arm, seconds in took.items())
            + "; the steps at equal compute follow from the speed that was measured before "
            "training, so these times can differ."
        )
        roots = open_dataset(self.out / "catalog").tables.roots
        for name, root in sorted(roots.items()):
            lines += [f"{name}: {remark}" for remark in get_source(name).remarks(root)]
        return lines


def _verdict(comparison: Comparison, arm: str, view: str) -> str:
    gain = percents(comparison.as_dict()["mean_gain"][arm])
    if gain is None:
        return (
            f"At {view}, the relative gain is undefined, because the scores of the reference are "
            "near zero on all tasks."
        )
    low, value, high = gain
    who = "IMAX is ahead" if low > 0 else "DMAX is ahead" if high < 0 else "neither arm is ahead"
    return (
        f"At {view}, {who}: mean relative gain of IMAX {value:+z.1f} % [{low:+z.1f}, {high:+z.1f}]."
    )


def run_study(config: StudyConfig, out: Path, *, root: Path | None = None) -> StudyOutcome:
    """Run or resume a study in the folder ``out``; finished stages are kept.

    Args:
        config: Configuration of the study.
        out: Study folder; it gets ``releases/`` (phantom), ``catalog/``, ``imax/``, ``dmax/`` and
            ``runs/``.
        root: Folder that holds the releases; overrides the one of the configuration.

    Raises:
        ImaxrayError: If building the data, training, evaluating or comparing raises.
    """
    with growing_folder(out):
        return _run(config, out, root)


def _run(config: StudyConfig, out: Path, root: Path | None) -> StudyOutcome:
    seconds: dict[str, float] = {}
    clock = time.perf_counter()

    def lap(stage: str) -> None:
        nonlocal clock
        now = time.perf_counter()
        seconds[stage] = now - clock
        clock = now

    match = build_study_data(config, out, root=root)
    lap("write releases, build and match")
    imax, dmax = open_dataset(out / "imax"), open_dataset(out / "dmax")
    for seed in config.training_seeds:  # all arms of a seed start from the same model
        phantom_base(config.model, [imax, dmax], init_folder(config, out, seed), seed=seed)
    probes = None if config.dynamics is None else choose_probes(config.dynamics, imax, dmax, out)
    throughput = _throughput(config, out, imax, dmax)
    lap("measure packing")
    runs = train_arms(config, out, throughput, probes)
    lap("train and answer")
    scores = _score(config, imax, out)
    equal_entries, equal_compute = (
        compare(
            {REFERENCE: scores[REFERENCE], "imax": scores[arm]},
            reference=REFERENCE,
            constant=scores["constant"][0],
            seed=config.seed,
            resamples=config.evaluation.resamples,
            level=config.evaluation.level,
        )
        for arm in ARMS[1:]
    )
    lap("compare")
    write_json(
        out / "comparison.json",
        {"equal_entries": equal_entries.as_dict(), "equal_compute": equal_compute.as_dict()},
    )
    dynamics = None if config.dynamics is None else study_dynamics(config, out)
    if dynamics is not None:
        lap("compare dynamics")
    return StudyOutcome(
        config, out, equal_entries, equal_compute, scores, runs, throughput, match, dynamics,
        seconds,
    )  # fmt: skip


def _throughput(config: StudyConfig, out: Path, imax: Dataset, dmax: Dataset) -> Throughput:
    """Measure the entries per second of both arms on their own steps, in turn, in this process."""
    path = out / "throughput.json"
    key = {"imax": imax.sha256, "dmax": dmax.sha256, **config.content()}
    for never in ("seeds", "dynamics", "title", "evaluation"):  # they do not change the speed
        del key[never]
    known = known_state(path)
    if known.pop("key", None) == key:
        try:
            known["ratios"] = tuple(known["ratios"])
            return Throughput(**known)
        except (KeyError, TypeError):  # damaged: measured again
            pass
    chat = phantom.load(init_folder(config, out, config.training_seeds[0]))
    items: list[list[dict[str, Any]]] = []
    for data, layout in ((imax, "packed"), (dmax, "separate")):
        train = data.tables.split("train")
        table = schedule(
            train,
            layout=layout,  # type: ignore[arg-type]
            entries_per_step=config.training.entries_per_step,
            steps=3,
            seed=config.seed,
        )
        used = train.filter(pl.col("entry_id").is_in(table["entry_id"].unique().to_list()))
        ids = used["image_id"].unique().sort().to_list()
        pixels = prepare_images(chat, ids, ImageStore(data))
        encoded = encode_entries(chat, used, data.tables.images)
        steps = StepDataset(chat, table, used, encoded, pixels, layout)  # type: ignore[arg-type]
        items.append([steps[k] for k in range(len(steps))])
    measured = measure_throughput(chat, items[0], items[1], config.training, repeats=3)
    write_json(path, {"key": key, **measured.__dict__})
    return measured


def _score(config: StudyConfig, imax: Dataset, out: Path) -> dict[str, list[Scores]]:
    """Score every arm and the constant baseline on the shared test set."""
    tables = imax.tables
    test = tables.split("test")
    how = config.evaluation.normalisation
    scores = {"constant": [constant_baseline(tables.split("train"), test, tables.images, how)]}
    for arm in ARMS:
        scores[arm] = []
        for folder in run_folders(config, out, arm):
            predictions = read_parquet(folder / "predictions.parquet")
            scores[arm].append(score(test, predictions, tables.images, PERCENT, normalisation=how))
            write_parquet(folder / "scores.parquet", scores[arm][-1].table)
    return scores
