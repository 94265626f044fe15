"""Runs a whole strategy: trains its stages and makes its pseudo datasets in one folder."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.table import Table

from imaxray._common.folders import claim_files, growing_folder, record_claimed
from imaxray._common.state import write_state
from imaxray.curation import Dataset, open_dataset
from imaxray.errors import ImaxrayError
from imaxray.evaluation import Comparison, compare, constant_baseline
from imaxray.report import REPORT, require_report_place
from imaxray.strategy.choice import Choice, choose
from imaxray.strategy.config import StrategyConfig
from imaxray.strategy.executor import WorkExecutor
from imaxray.strategy.records import (
    KNOWN_BY,
    RESULTS,
    AnnotateResult,
    DeriveResult,
    FilterResult,
    TrainResult,
    WorkResult,
    begin_work,
    compared,
    record_names,
)
from imaxray.strategy.work import TrainWork, Work, plan
from imaxray.training import base_digest, untrained_base


@dataclass(frozen=True)
class StrategyOutcome:
    """The outcome of a strategy.

    Attributes:
        out: Folder of the strategy.
        done: Results of all pieces of work, in order.
        comparison: Comparison of the stages with the first one on the test split; None if the
            dataset has no test split.
        choice: Stage chosen by the validation split; None if the last stage is the result.
    """

    out: Path
    done: tuple[WorkResult, ...]
    comparison: Comparison | None
    choice: Choice | None = None

    @property
    def final(self) -> Path:
        """Run folder of the stage whose model is the result."""
        stages = {d.work.name: d.folder for d in compared(self.done)}
        return stages[self.choice.name if self.choice else list(stages)[-1]]

    def yields(self) -> Table:
        """Return a table of the answers that each filter keeps, per round and task."""
        table = Table(title="Pseudo entries", title_justify="left")
        for column in ("round", *_YIELD_KEYS):
            table.add_column(column, justify="right" if column in _NUMBERS else "left")
        for one in self.done:
            if isinstance(one, FilterResult):
                for row in one.record["yields"]:
                    cells = [_cell(row.get(key)) for key in _YIELD_KEYS]
                    table.add_row(str(one.work.round), *cells)
        return table

    def summary(self) -> list[str]:
        """Describe all work and the result in sentences."""
        return [_sentence(one) for one in self.done] + self.verdicts()

    def verdicts(self) -> list[str]:
        """Describe the result in sentences, whichever stage is better."""
        chosen = [self.choice.sentence()] if self.choice else []
        return _verdicts(self.comparison) + chosen


_NUMBERS = ("candidates", "kept", "judged", "precision")
_YIELD_KEYS = ("task", "filter", "candidates", "kept", "judged", "precision")


def run_strategy(
    config: StrategyConfig,
    out: Path,
    *,
    tell: Callable[[str], None] | None = None,
    progress: bool = True,
) -> StrategyOutcome:
    """Run or resume a strategy in the folder ``out``.

    The call writes into ``out``: ``stages/N-NAME/`` (run folders), ``pseudo/round-R/candidates/``
    and ``pseudo/round-R/dataset/`` (a dataset folder), each with its record as JSON beside it;
    ``init/`` if the model is trained from scratch; ``strategy.json`` and ``comparison.json``.
    Finished work is not repeated. After a changed setting, only the work that depends on the
    setting is repeated.

    Args:
        config: Configuration of the strategy.
        out: Folder of the strategy.
        tell: Function that receives one sentence after each piece of work.
        progress: Whether to show the progress of training.

    Raises:
        ImaxrayError: If the configuration does not name the data or the model, if the validation
            split should choose the stage but is empty, or if a part of the work raises.
    """
    if config.data is None or (config.model is None) == (config.phantom is None):
        raise ImaxrayError(
            "Expected the data folder and one of model or phantom in the strategy, but they are "
            "not given; set data, and model or phantom."
        )
    data = open_dataset(config.data)
    if config.choose == "validation" and data.tables.split("val").is_empty():
        raise ImaxrayError(
            f"Expected entries in the val split of {data.folder} to choose a stage by, but it has "
            "none; set choose to last."
        )
    with growing_folder(out):
        claim_files(
            out, (RESULTS, "comparison.json"), "a strategy",
            known_by={**KNOWN_BY, "stages/1-dmax/run.json": ('"identity"', '"imaxray"')},
        )  # fmt: skip
        begin_work(out, (RESULTS, "comparison.json"))
        require_report_place(out / REPORT)
        return _run(config, data, out, tell, progress)


def _run(
    config: StrategyConfig,
    data: Dataset,
    out: Path,
    tell: Callable[[str], None] | None,
    progress: bool,
) -> StrategyOutcome:
    base = config.model
    if config.phantom is not None:
        base = str(untrained_base(config.phantom, [data], out / "init", seed=config.seed))
    assert base is not None

    def place(work: Work) -> Path:
        return out / ("stages" if isinstance(work, TrainWork) else "pseudo") / work.name

    executor = WorkExecutor(config, data, base, place, progress=progress)
    done: list[WorkResult] = []
    model = base_digest(base, config.training.get("revision"))
    for work in plan(config, data.sha256, model, clinical=data.clinical):
        done.append(executor.do(work))
        if tell is not None:
            tell(_sentence(done[-1]))
    comparison = _compare(config, data, executor, done)
    choice = None
    if config.choose == "validation":
        stages = [one.work for one in compared(done)]
        choice = choose({work.name: executor.scores(work, "val") for work in stages}, data.tables)
    outcome = StrategyOutcome(out, tuple(done), comparison, choice)
    write_state(out / RESULTS, _record(config, data, outcome))
    if comparison is not None:
        write_state(out / "comparison.json", comparison.as_dict())
    folders = [one.folder.relative_to(out).as_posix() for one in done]
    made = [*record_names(out, folders), "init/init.json"]
    record_claimed(out, (RESULTS, "comparison.json", *made))
    return outcome


def _compare(
    config: StrategyConfig, data: Dataset, executor: WorkExecutor, done: list[WorkResult]
) -> Comparison | None:
    test = data.tables.split("test")
    if test.is_empty():
        return None
    stages = [one.work for one in compared(done)]
    return compare(
        {work.name: executor.scores(work) for work in stages},
        reference=stages[0].name,
        constant=constant_baseline(data.tables.split("train"), test, data.tables.images),
        seed=config.seed,
        resamples=config.resamples,
    )


def _record(config: StrategyConfig, data: Dataset, outcome: StrategyOutcome) -> dict[str, Any]:
    return {
        "config": config.model_dump(mode="json", exclude={"data", "truth"}),
        "dataset": data.sha256,
        "final": outcome.final.relative_to(outcome.out).as_posix(),
        "validation": dict(outcome.choice.gains) if outcome.choice else None,
        "done": [dict(one.record) for one in outcome.done],
    }


def _sentence(one: WorkResult) -> str:
    name, again = one.work.name, "" if one.done_now else " (already done)"
    if isinstance(one, TrainResult):
        stage = one.record
        return (
            f"{name}: trained on {stage['on']} from {stage['start']}, "
            f"{stage['entries_seen']:,} entries in {stage['steps']:,} steps, "
            f"loss {stage['loss']:.3f}{again}"
        )
    if isinstance(one, FilterResult):
        kept, of = one.record["kept"], one.record["candidates"]
        return f"{name}: {kept:,} of {of:,} candidates kept{again}"
    if isinstance(one, DeriveResult):
        off = one.record["switched_off"]
        without = f"; rules switched off: {', '.join(off)}" if off else ""
        return f"{name}: {one.record['derived']:,} entries derived{without}{again}"
    assert isinstance(one, AnnotateResult)
    asked = one.record
    by = ", ".join([asked["by"], *(f"{who} ({task})" for task, who in asked["teachers"].items())])
    return (
        f"{name}: {by} wrote {asked['candidates']:,} answers on "
        f"{asked['images']:,} images, of which {asked['readable']:,} are readable{again}"
    )


def _verdicts(comparison: Comparison | None) -> list[str]:
    if comparison is None:
        return ["The dataset has no test split, so nothing was scored."]
    return [comparison.verdict(name) for name in comparison.others]


def _cell(value: Any) -> str:
    if value is None:
        return "–"
    return f"{value:.3f}" if isinstance(value, float) else f"{value}"
