"""Runs an ablation: trains all arms and seeds in several processes and compares the arms."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import Future, as_completed
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from imaxray._files import read_parquet, write_json
from imaxray._folders import growing_folder
from imaxray._state import known_state, read_state
from imaxray._workers import worker_pool
from imaxray.ablation.arm import ArmRecord, run_ablation_arm
from imaxray.ablation.base_model import base_model
from imaxray.ablation.config import (
    AGAIN,
    EQUAL_COMPUTE,
    REFERENCE,
    WHOLE,
    AblationConfig,
)
from imaxray.ablation.dense_data import write_dense
from imaxray.boxes import PERCENT
from imaxray.curation import open_dataset
from imaxray.evaluation import Comparison, Scores, compare, constant_baseline, score
from imaxray.progress import progress_bar
from imaxray.study.prepare import build_study_data


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
    arms: Mapping[str, Sequence[ArmRecord]]
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


def _run(config: AblationConfig, out: Path, root: Path | None) -> AblationOutcome:
    build_study_data(config, out, root=root)
    seeds, needed = config.ablation.seeds, config.needed()
    if "true answers" in needed:
        write_dense(out, config.imax)
    starts = {seed: base_model(config, out, seed) for seed in seeds}
    first: list[tuple[Any, ...]] = []
    second: list[tuple[Any, ...]] = []
    for seed in seeds:
        alone = [arm for arm in (REFERENCE, "imax", "true answers") if arm in needed]
        pseudo = [a for a in needed if a not in (*alone, EQUAL_COMPUTE)]
        asking = [a for a in pseudo if a != AGAIN]  # the first annotates for all others
        begun = [WHOLE] if WHOLE in asking else asking[:1]
        first += [(config, out, seed, starts[seed], arm) for arm in (*begun, *alone)]
        second += [(config, out, seed, starts[seed], arm) for arm in pseudo if arm not in begun]
    second.sort(key=lambda job: job[-1] != "two rounds")  # the longest arm starts first
    found: dict[tuple[str, int], ArmRecord] = {}
    total = len(first) + len(second) + len(seeds) * (EQUAL_COMPUTE in needed)
    with (
        worker_pool(config.ablation.lanes) as pool,
        progress_bar("Training and testing arms", total=total) as bar,
    ):

        def gather(futures: Sequence[Future[ArmRecord]]) -> None:
            for future in as_completed(futures):
                record = future.result()
                found[record["arm"], record["seed"]] = record
                bar.advance()

        gather([pool.submit(run_ablation_arm, *job) for job in first])
        last = []
        if EQUAL_COMPUTE in needed:
            for seed in seeds:
                steps = _equal_steps(out, seed, found[WHOLE, seed], found[REFERENCE, seed])
                last.append(
                    pool.submit(
                        run_ablation_arm, config, out, seed, starts[seed], EQUAL_COMPUTE, steps
                    )
                )
        gather([*last, *(pool.submit(run_ablation_arm, *job) for job in second)])
    return _outcome(config, out, found)


def _equal_steps(out: Path, seed: int, whole: ArmRecord, reference: ArmRecord) -> int:
    """Return the number of steps of dmax that take as long as the whole strategy took.

    The number is decided once and kept in a file.
    """
    path = out / f"seed-{seed}" / "equal-compute.json"
    of = {"whole": whole["key"], "reference": reference["key"]}
    known = known_state(path)
    if known.get("of") == of and isinstance(known.get("steps"), int):
        return int(known["steps"])
    seconds = whole["train_seconds"] + whole["pseudo_seconds"]
    a_step = reference["train_seconds"] / reference["steps"]
    steps = max(1, round(seconds / a_step))
    write_json(path, {"of": of, "seconds": seconds, "seconds_a_step": a_step, "steps": steps})
    return steps


def _outcome(
    config: AblationConfig, out: Path, found: Mapping[tuple[str, int], ArmRecord]
) -> AblationOutcome:
    seeds, evaluation = config.ablation.seeds, config.evaluation
    tables = open_dataset(out / "dmax").tables
    test = tables.split("test")

    def scored(record: ArmRecord) -> Scores:
        answers = read_parquet(out / record["run"] / "predictions.parquet")
        return score(test, answers, tables.images, PERCENT, normalisation=evaluation.normalisation)

    needed = config.needed()
    scores = {arm: [scored(found[arm, seed]) for seed in seeds] for arm in needed}
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
    found: Mapping[tuple[str, int], ArmRecord],
    needed: Sequence[str],
    seeds: Sequence[int],
    table: str,
) -> pl.DataFrame:
    """Return a table of the first round's filter for each seed, from the arm with most filters."""
    fullest = ("+ balance", WHOLE, "+ both filters", *needed)
    arms = [arm for arm in fullest if arm in needed]
    rows: list[dict[str, Any]] = []
    for seed in seeds:
        folders = [
            folder for arm in arms for folder in found[arm, seed]["work"] if "dataset" in folder
        ]
        if folders:
            path = out / folders[0]
            record = read_state(
                path.with_name(f"{path.name}.json"),
                advice=f"remove {path}, so that it is made again",
            )
            rows += [{"seed": seed, **row} for row in record[table]]
    return pl.DataFrame(rows, infer_schema_length=None)
