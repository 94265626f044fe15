"""The ablation: every arm a strategy with parts left out, shared work done once, seeds in lanes."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import polars as pl

from imaxray.boxes import PERCENT
from imaxray.curation import open_dataset
from imaxray.evaluation import Comparison, Scores, compare, constant_baseline, score
from imaxray.progress import progress_bar
from imaxray.strategy import FilterWork, TrainWork, Work, plan
from imaxray.strategy._init import base_digest
from imaxray.study.ablation_base import base_model
from imaxray.study.ablation_config import (
    AGAIN,
    EQUAL_COMPUTE,
    REFERENCE,
    WHOLE,
    AblationConfig,
)
from imaxray.study.ablation_data import write_dense
from imaxray.study.data import build_study_data, write_json


@dataclass(frozen=True)
class AblationOutcome:
    """What an ablation found.

    Attributes:
        equal_steps: all arms against ``dmax``, which took as many steps.
        equal_compute: all arms against ``dmax (equal compute)``; none if that is no arm.
        arms: per arm and seed what it took: steps, entries, seconds of the processor (of the
            clock on the wall where there is a GPU).
        filters: per seed the yields of the first round, per task and filter.
        equal_yield: per seed, consistency against confidence at equal yield.
    """

    config: AblationConfig
    out: Path
    equal_steps: Comparison
    equal_compute: Comparison | None
    arms: Mapping[str, Sequence[Mapping[str, Any]]]
    filters: pl.DataFrame
    equal_yield: pl.DataFrame
    rules: pl.DataFrame


def run_ablation(config: AblationConfig, out: Path, *, root: Path | None = None) -> AblationOutcome:
    """Run or resume an ablation in the folder ``out``; finished work is kept.

    Args:
        config: see :class:`AblationConfig`.
        out: study folder: ``releases/`` (phantom), ``catalog/``, ``imax/``, ``dmax/``, what
            :func:`base_model` writes, and ``seed-K/`` with ``stages/`` and ``pseudo/``.
        root: folder of the releases; overrides the config's.

    Raises:
        ImaxrayError: as the stages do.
    """
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
        asking = [a for a in pseudo if a != AGAIN]  # one of them annotates for all
        begun = [WHOLE] if WHOLE in asking else asking[:1]
        first += [(config, out, seed, starts[seed], arm) for arm in (*begun, *alone)]
        second += [(config, out, seed, starts[seed], arm) for arm in pseudo if arm not in begun]
    second.sort(key=lambda job: job[-1] != "two rounds")  # the longest first
    found: dict[tuple[str, int], dict[str, Any]] = {}
    total = len(first) + len(second) + len(seeds) * (EQUAL_COMPUTE in needed)
    with (
        ProcessPoolExecutor(config.ablation.lanes, mp_context=get_context("spawn")) as pool,
        progress_bar("Training and asking arms", total=total) as bar,
    ):

        def gather(futures: Sequence[Future[dict[str, Any]]]) -> None:
            for future in as_completed(futures):
                record = future.result()
                found[record["arm"], record["seed"]] = record
                bar.advance()

        gather([pool.submit(_arm, *job) for job in first])
        last = []
        if EQUAL_COMPUTE in needed:
            for seed in seeds:
                steps = _equal_steps(out, seed, found[WHOLE, seed], found[REFERENCE, seed])
                last.append(
                    pool.submit(_arm, config, out, seed, starts[seed], EQUAL_COMPUTE, steps)
                )
        gather([*last, *(pool.submit(_arm, *job) for job in second)])
    return _outcome(config, out, found)


def place(out: Path, seed: int, work: Work) -> Path:
    """Folder of a piece of work: by its key, so that arms which share it find it."""
    kind = "stages" if isinstance(work, TrainWork) else "pseudo"
    return out / f"seed-{seed}" / kind / f"{work.name.replace('/', '-')}-{work.key[:10]}"


def _arm(
    config: AblationConfig,
    out: Path,
    seed: int,
    start: Path,
    arm: str,
    steps: int | None = None,
) -> dict[str, Any]:
    """One arm: its work, and its answers to the test set; runs in a process of its own."""
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # never spin on a shared machine
    import torch  # late: after the wait policy is set
    import transformers

    from imaxray.evaluation.generation import generate
    from imaxray.models import phantom
    from imaxray.strategy import Workshop
    from imaxray.training import encode_entries

    transformers.utils.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    torch.set_num_threads(config.training.threads)
    strategy = config.arm(arm, out, start, seed, steps=steps)
    assert strategy.data is not None
    data = open_dataset(strategy.data)
    images = _Images(out, start)
    shop = Workshop(
        strategy, data, str(start), lambda work: place(out, seed, work),
        images=images, progress=False,
    )  # fmt: skip
    works = plan(strategy, data.sha256, base_digest(str(start), None))
    done = [shop.do(work) for work in works]
    run = next(d.folder for d in reversed(done) if isinstance(d.work, TrainWork))
    predictions = run / "predictions.parquet"
    if not predictions.exists():
        chat = phantom.load(run / "model")
        test = data.tables.split("test")
        pixels = {i: images(i) for i in test["image_id"].unique().sort().to_list()}
        answers = generate(
            chat,
            test,
            encode_entries(chat, test, data.tables.images, with_target=False),
            pixels,
            max_new_tokens=config.evaluation.max_new_tokens,
            images_per_batch=config.evaluation.images_per_batch,
        )
        aside = predictions.with_suffix(".part")
        answers.write_parquet(aside)
        aside.rename(predictions)
    trained = [d.record for d in done if isinstance(d.work, TrainWork)]
    # lanes share the machine: on a wall they would be charged for each other
    by_wall = torch.cuda.is_available()
    return {
        "arm": arm,
        "seed": seed,
        "run": run.relative_to(out).as_posix(),
        "key": works[-1].key,
        "work": [d.folder.relative_to(out).as_posix() for d in done],
        "steps": sum(r["steps"] for r in trained),
        "entries_seen": sum(r["entries_seen"] for r in trained),
        "clock": "wall" if by_wall else "cpu",
        "train_seconds": sum(
            r["train_seconds" if by_wall else "train_cpu_seconds"] for r in trained
        ),
        "pseudo_seconds": sum(
            d.record["seconds" if by_wall else "cpu_seconds"]
            for d in done
            if not isinstance(d.work, TrainWork)
        ),
        "pseudo_entries": [d.record["kept"] for d in done if isinstance(d.work, FilterWork)],
    }


class _Images:
    """Model inputs of each image, prepared once a process: all arms take the same."""

    _kept: dict[str, Any] = {}  # noqa: RUF012 - shared by all jobs of this process

    def __init__(self, out: Path, init: Path) -> None:
        self._out, self._init = out, init
        self._ready: tuple[Any, Any] | None = None

    def __call__(self, image_id: str) -> Any:
        key = f"{self._out} {image_id}"
        if key not in self._kept:
            from imaxray.cache import ImageStore
            from imaxray.models import phantom

            if self._ready is None:
                store = ImageStore(open_dataset(self._out / "catalog"))
                self._ready = store, phantom.load(self._init)
            store, chat = self._ready
            self._kept[key] = chat.pixels(store(image_id))
        return self._kept[key]


def _equal_steps(
    out: Path, seed: int, whole: Mapping[str, Any], reference: Mapping[str, Any]
) -> int:
    """Steps of dmax that take as long as the whole strategy took; decided once."""
    path = out / f"seed-{seed}" / "equal-compute.json"
    of = {"whole": whole["key"], "reference": reference["key"]}
    if path.exists():
        known = json.loads(path.read_text())
        if known["of"] == of:
            return int(known["steps"])
    seconds = whole["train_seconds"] + whole["pseudo_seconds"]
    a_step = reference["train_seconds"] / reference["steps"]
    steps: int = max(1, round(seconds / a_step))
    write_json(path, {"of": of, "seconds": seconds, "seconds_a_step": a_step, "steps": steps})
    return steps


def _outcome(
    config: AblationConfig, out: Path, found: Mapping[tuple[str, int], dict[str, Any]]
) -> AblationOutcome:
    seeds, evaluation = config.ablation.seeds, config.evaluation
    tables = open_dataset(out / "dmax").tables
    test = tables.split("test")

    def scored(record: Mapping[str, Any]) -> Scores:
        answers = pl.read_parquet(out / record["run"] / "predictions.parquet")
        return score(test, answers, tables.images, PERCENT)

    needed = config.needed()
    scores = {arm: [scored(found[arm, seed]) for seed in seeds] for arm in needed}
    constant = constant_baseline(tables.split("train"), test, tables.images)

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
    found: Mapping[tuple[str, int], dict[str, Any]],
    needed: Sequence[str],
    seeds: Sequence[int],
    table: str,
) -> pl.DataFrame:
    """A table that the filter of the first round wrote, of each seed; its fullest filter's."""
    fullest = ("+ balance", WHOLE, "+ both filters", *needed)
    arms = [arm for arm in fullest if arm in needed]
    rows: list[dict[str, Any]] = []
    for seed in seeds:
        folders = [
            folder for arm in arms for folder in found[arm, seed]["work"] if "dataset" in folder
        ]
        if folders:
            path = out / folders[0]
            record = json.loads(path.with_name(f"{path.name}.json").read_text())
            rows += [{"seed": seed, **row} for row in record[table]]
    return pl.DataFrame(rows, infer_schema_length=None)
