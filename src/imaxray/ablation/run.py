"""Runs an ablation: trains all arms and seeds in several processes and compares the arms."""

from __future__ import annotations

import os
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import polars as pl

from imaxray._common.files import read_parquet
from imaxray._common.folders import claim_files, growing_folder
from imaxray._common.state import known_state, read_state, write_state
from imaxray._common.workers import worker_pool
from imaxray.ablation.arm import ArmRecord, arm_works, do_arm_work, finish_arm
from imaxray.ablation.arms import CEILING, EQUAL_COMPUTE, REFERENCE, WHOLE, ArmName
from imaxray.ablation.base_model import OTHERS, base_model
from imaxray.ablation.config import AblationConfig
from imaxray.ablation.dense_data import DENSE, write_dense
from imaxray.ablation.jobs import Job, run_jobs
from imaxray.boxes import PERCENT
from imaxray.curation import open_dataset
from imaxray.curation.dataset import MANIFEST
from imaxray.evaluation import Comparison, Scores, compare, constant_baseline, score
from imaxray.progress import progress_bar
from imaxray.report import REPORT, require_report_place
from imaxray.strategy import needed_work
from imaxray.strategy.records import begin_work, record_names
from imaxray.study.prepare import build_study_data

TABLES: Final = ("pseudo", "equal-yield", "rules")
"""Names of the CSV tables about filters."""

FILES: Final = (
    "ablation.json", "ablation.csv", "ablation.md", *(f"{name}.csv" for name in TABLES),
)  # fmt: skip
"""Names of the files of the results of an ablation."""

EQUAL_STEPS: Final = "equal-compute.json"
"""Name of the file of a seed with the number of steps of ``dmax (equal compute)``."""

KNOWN_BY: Final = {"ablation.json": ('"config"', '"arms"')}
"""Files by which the folder of an ablation of an earlier version is known."""


@dataclass(frozen=True)
class AblationOutcome:
    """The outcome of an ablation.

    Attributes:
        config: Configuration of the ablation.
        out: Study folder.
        equal_steps: Comparison of all arms with ``dmax``, which took the same number of steps.
        equal_compute: Comparison of all arms with ``dmax (equal compute)``; None if this arm was
            not trained.
        arms: Arm → records of its seeds, with steps, entries and seconds (CPU time, or wall-clock
            time if there is a GPU).
        filters: Yields of the filters in the first round, per seed, task and filter.
        equal_yield: Comparison of the filters at equal yield, per seed, task and filter.
        rules: Statistics of the consistency rules in the first round, per seed and rule.
    """

    config: AblationConfig
    out: Path
    equal_steps: Comparison
    equal_compute: Comparison | None
    arms: Mapping[ArmName, Sequence[ArmRecord]]
    filters: pl.DataFrame
    equal_yield: pl.DataFrame
    rules: pl.DataFrame


def run_ablation(config: AblationConfig, out: Path, *, root: Path | None = None) -> AblationOutcome:
    """Run or resume an ablation in the folder ``out``; finished work is kept.

    Args:
        config: Configuration of the ablation.
        out: Study folder; it gets ``releases/`` (phantom), ``catalog/``, ``imax/``, ``dmax/``, the
            folders of :func:`base_model`, and ``seed-K/`` with ``stages/`` and ``pseudo/``.
        root: Folder that holds the releases; overrides the one of the configuration.

    Raises:
        ImaxrayError: If building the data, or any work of an arm, raises.
    """
    with growing_folder(out):
        return _run(config, out, root)


def claim_ablation(out: Path) -> None:
    """Check, before anything slow, that no file of the user has the name of one that is written.

    Raises:
        ImaxrayError: If one has.
    """
    claim_files(out, FILES, "an ablation", known_by=KNOWN_BY)
    require_report_place(out / REPORT)


def made_from(outcome: AblationOutcome) -> list[str]:
    """Return the paths in a study folder of the records that the results are made from."""
    out, seeds = outcome.out, outcome.config.ablation.seeds
    folders = [name for runs in outcome.arms.values() for run in runs for name in run["work"]]
    data = ("catalog", "imax", "dmax", DENSE, OTHERS)
    paths = [
        "pretraining/init/init.json",
        *(f"{name}/{MANIFEST}" for name in data),
        *(f"seed-{k}/{name}" for k in seeds for name in (EQUAL_STEPS, "init/init.json")),
    ]
    there = [name for name in paths if (out / name).is_file()]
    return [*there, *record_names(out, ["pretraining/run", *folders])]


def _run(config: AblationConfig, out: Path, root: Path | None) -> AblationOutcome:
    claim_ablation(out)
    begin_work(out, FILES)
    build_study_data(config, out, root=root)
    if CEILING in config.needed():
        write_dense(out, config.imax)
    starts = {seed: base_model(config, out, seed) for seed in config.ablation.seeds}
    found = _trained(config, out, starts)
    return _outcome(config, out, found)


def _trained(
    config: AblationConfig, out: Path, starts: Mapping[int, Path]
) -> dict[tuple[ArmName, int], ArmRecord]:
    """Do the work of all arms and seeds; work that arms share is done once."""
    needed = config.needed()
    jobs: dict[Hashable, Job] = {}
    last: dict[tuple[int, str], Hashable] = {}  # seed, key of the last work → job of the arm

    def add(arm: ArmName, seed: int, steps: int | None = None) -> list[tuple[Hashable, Job]]:
        about = (config, out, seed, starts[seed], arm, steps)
        works = arm_works(*about)[-1]
        new: list[tuple[Hashable, Job]] = []
        for work in works:
            if (seed, work.key) not in jobs:
                needs = frozenset((seed, w.key) for w in needed_work(work))
                new.append(((seed, work.key), Job((do_arm_work, (*about, work.key)), needs)))
        end = (seed, works[-1].key)
        # arms that share their last stage share its answers, which only one of them may write
        before: set[Hashable] = {(seed, work.key) for work in works}
        if end in last:
            before.add(last[end])
        new.append(((arm, seed), Job((finish_arm, about), frozenset(before))))
        last.setdefault(end, (arm, seed))
        jobs.update(new)
        return new

    for seed in starts:
        for arm in needed:
            if arm != EQUAL_COMPUTE:
                add(arm, seed)
    found: dict[tuple[ArmName, int], ArmRecord] = {}
    every = len(needed) * len(starts)
    with (
        worker_pool(config.ablation.lanes, _wait_passively) as pool,
        progress_bar("Training and testing arms", total=every) as bar,
    ):

        def done(key: Any, record: ArmRecord | None) -> list[tuple[Hashable, Job]]:
            if record is None:
                return []
            found[key] = record
            bar.advance()
            arm, seed = key
            both: tuple[ArmName, ...] = (config.ablation.compute_of, REFERENCE)
            pair = [found.get((one, seed)) for one in both]
            if EQUAL_COMPUTE not in needed or arm not in both or None in pair:
                return []
            return add(EQUAL_COMPUTE, seed, _equal_steps(out, seed, *pair))  # type: ignore[arg-type]

        run_jobs(pool, dict(jobs), done, config.ablation.lanes)
    return found


def _wait_passively() -> None:
    """Let waiting threads of torch leave the cores free; must be set before torch is loaded."""
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")


def _equal_steps(out: Path, seed: int, whole: ArmRecord, reference: ArmRecord) -> int:
    """Return the number of steps of dmax that need as much compute as another arm needed.

    Compute is counted in floating-point operations, which depend on no clock; deriving and
    answering count as the operations that training would have made in their time. Where training
    counted none, because it used a GPU, or its record is of an earlier version, compute is
    time. The number is decided once and kept in a file.
    """
    path = out / f"seed-{seed}" / EQUAL_STEPS
    of = {"whole": whole["key"], "reference": reference["key"]}
    known = known_state(path)
    if known.get("of") == of and isinstance(known.get("steps"), int):
        return int(known["steps"])
    arms = (whole, reference)
    counted = [c for arm in arms if (c := arm.get("operations")) is not None]
    by = "operations" if len(counted) == len(arms) else "seconds"
    own, their = counted if by == "operations" else (arm["train_seconds"] for arm in arms)
    compute = own * (1 + whole["pseudo_seconds"] / whole["train_seconds"])
    a_step = their / reference["steps"]
    steps = max(1, round(compute / a_step))
    decided = {"of": of, "by": by, "compute": compute, "compute_a_step": a_step, "steps": steps}
    write_state(path, decided)
    return steps


def _outcome(
    config: AblationConfig, out: Path, found: Mapping[tuple[ArmName, int], ArmRecord]
) -> AblationOutcome:
    seeds, evaluation = config.ablation.seeds, config.evaluation
    tables = open_dataset(out / "dmax").tables
    test = tables.split("test")

    def scored(record: ArmRecord) -> Scores:
        answers = read_parquet(out / record["run"] / "predictions.parquet")
        return score(test, answers, tables.images, PERCENT, normalisation=evaluation.normalisation)

    needed = config.needed()
    scores: dict[str, list[Scores]] = {
        arm: [scored(found[arm, seed]) for seed in seeds] for arm in needed
    }
    constant = constant_baseline(
        tables.split("train"), test, tables.images, evaluation.normalisation
    )

    def against(reference: str) -> Comparison:
        return compare(
            scores,
            reference=reference,
            constant=constant,
            seed=config.seed,
            resamples=evaluation.resamples,
            level=evaluation.level,
        )

    yields, equal, rules = (
        _first_round(out, found, needed, seeds, name) for name in ("yields", "equal_yield", "rules")
    )
    outcome = AblationOutcome(
        config,
        out,
        against(REFERENCE),
        against(EQUAL_COMPUTE) if EQUAL_COMPUTE in needed else None,
        {arm: [found[arm, seed] for seed in seeds] for arm in needed},
        yields,
        equal,
        rules,
    )
    return outcome


def _first_round(
    out: Path,
    found: Mapping[tuple[ArmName, int], ArmRecord],
    needed: Sequence[ArmName],
    seeds: Sequence[int],
    table: str,
) -> pl.DataFrame:
    """Return a table of the first round's filter for each seed, of the whole if it was trained."""
    arms = sorted(needed, key=lambda arm: arm != WHOLE)
    rows: list[dict[str, Any]] = []
    for seed in seeds:
        folders = [
            folder
            for arm in arms
            for folder in found[arm, seed]["work"]
            if "round-1-dataset" in folder
        ]
        if folders:
            path = out / folders[0]
            record = read_state(
                path.with_name(f"{path.name}.json"),
                advice=f"remove {path}, so that it is made again",
            )
            rows += [{"seed": seed, **row} for row in record[table]]
    return pl.DataFrame(rows, infer_schema_length=None)
