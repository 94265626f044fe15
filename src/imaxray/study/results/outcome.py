"""Scores the answers of a study, compares its arms for each model, and keeps the result."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import polars as pl

from imaxray._common.files import write_csv, write_parquet, write_text
from imaxray._common.folders import record_claimed
from imaxray._common.state import write_state
from imaxray.curation import Dataset, open_dataset
from imaxray.evaluation import (
    Comparison,
    Scores,
    compare,
    constant_baseline,
    gain_sentence,
    percent_text,
    score,
)
from imaxray.evaluation.generation import stored_answers
from imaxray.sources import described_source
from imaxray.study.budget import read_run, training_seconds
from imaxray.study.places import CONFIG, RESULTS, answer_folder, result_files, run_folders
from imaxray.study.results.clock import clock_sentence, clock_table
from imaxray.study.results.model_table import ModelTable, model_table
from imaxray.study.units import Unit, write_record

if TYPE_CHECKING:
    from imaxray.study.config import StudyConfig
    from imaxray.study.results.dynamics_tables import StudyDynamics
    from imaxray.training import RunManifest


@dataclass(frozen=True)
class LayoutEffect:
    """The effect of the layout alone: two arms on the same data with equally many entries.

    Attributes:
        data: Data of both arms.
        arm: Arm with the packed layout.
        other: Arm with the other layout, which the gain is relative to.
        comparison: Comparison of the two.
        speed: How many times as many entries per second the packed arm trains.
    """

    data: str
    arm: str
    other: str
    comparison: Comparison
    speed: float


@dataclass(frozen=True)
class ModelOutcome:
    """The outcome of a study for one model.

    Attributes:
        name: Name of the model in the study.
        equal_entries: Comparison of the arms that saw as many entries as the reference, and of the
            untrained model, with the reference.
        equal_compute: Comparison of the arms that trained for the time of the reference with the
            reference; None if there are none.
        scores: Arm → scores of its seeds; ``constant`` → scores of the constant baseline. An
            outcome that was read from a study folder has none.
        runs: Arm → manifests of its runs, one per seed; an untrained arm has none.
        clock: What each run had reached when the reference had finished, schema CLOCK.
        layouts: Effects of the layout alone.
    """

    name: str
    equal_entries: Comparison
    equal_compute: Comparison | None
    scores: dict[str, list[Scores]]
    runs: dict[str, list[RunManifest]]
    clock: pl.DataFrame
    layouts: list[LayoutEffect]

    def as_dict(self) -> dict[str, Any]:
        """Return the comparisons as a dictionary that can be written as JSON.

        It has no times, so that the same answers give the same bytes.
        """
        return {
            "equal_entries": self.equal_entries.as_dict(),
            "equal_compute": None if self.equal_compute is None else self.equal_compute.as_dict(),
            "layouts": [
                {
                    "data": effect.data,
                    "arm": effect.arm,
                    "other": effect.other,
                    "comparison": effect.comparison.as_dict(),
                }
                for effect in self.layouts
            ],
        }


@dataclass(frozen=True)
class StudyOutcome:
    """The outcome of a study.

    Attributes:
        config: Configuration of the study.
        out: Study folder.
        models: Name → outcome of each model.
        table: Gains of all models with each arm; None if the study has one model.
        match: Report of the build, which says how close DMAX is to IMAX.
        dynamics: Training dynamics of the arms; None if the configuration leaves them out.
        seconds: Wall-clock seconds of each stage in this call; a stage that was already done takes
            almost no time.
    """

    config: StudyConfig
    out: Path
    models: dict[str, ModelOutcome]
    table: ModelTable | None
    match: dict[str, Any]
    dynamics: StudyDynamics | None
    seconds: dict[str, float] = field(default_factory=dict)

    @property
    def only(self) -> ModelOutcome:
        """The outcome of the first model, which is the only one in most studies."""
        return next(iter(self.models.values()))

    def summary(self) -> list[str]:
        """Describe the results in sentences, whichever arm is better."""
        lines = [
            f"{name}: {line}" if len(self.models) > 1 else line
            for name, outcome in self.models.items()
            for line in model_sentences(self.config, outcome)
        ]
        if self.table is not None:
            lines += self.table.sentences()
        if self.dynamics is not None:
            lines += self.dynamics.summary()
        catalog = open_dataset(self.out / "catalog").tables
        for name, root in sorted(catalog.roots.items()):
            source = described_source(name, catalog.files)
            lines += [f"{name}: {remark}" for remark in source.remarks(root)]
        return lines


def model_sentences(config: StudyConfig, outcome: ModelOutcome) -> list[str]:
    """Describe the comparisons of one model, whichever arm is better."""
    reference = config.reference
    entries = outcome.equal_entries.as_dict()["arms"]
    lines = [
        _verdict(outcome.equal_entries, arm, reference, "equal entries seen")
        for arm in entries
        if arm != reference and config.arms[arm].is_trained
    ]
    lines += [
        _verdict(outcome.equal_entries, arm, reference, "no training at all")
        for arm in entries
        if not config.arms[arm].is_trained
    ]
    if outcome.equal_compute is not None:
        for arm in outcome.equal_compute.as_dict()["arms"]:
            if arm != reference:
                lines.append(_verdict(outcome.equal_compute, arm, reference, "equal compute"))
                lines.append(_upper(clock_sentence(outcome.clock, reference, arm)))
    return lines + layout_sentences(outcome)


def layout_sentences(outcome: ModelOutcome) -> list[str]:
    """Describe the effect of the layout alone."""
    lines = []
    for effect in outcome.layouts:
        gain = effect.comparison.mean_gain(effect.arm)
        lines.append(
            f"The layout alone, on the data of {effect.data}: {effect.arm} trains "
            f"{effect.speed:.2f} times as many entries per second as {effect.other}, and its mean "
            f"relative gain at equal entries is {percent_text(gain)}."
        )
    return lines


def _verdict(comparison: Comparison, arm: str, reference: str, view: str) -> str:
    shown = _upper(arm.removesuffix(" (equal compute)"))
    return f"At {view}, {gain_sentence(comparison.mean_gain(arm), shown, _upper(reference))}"


def _upper(text: str) -> str:
    """Write the names IMAX and DMAX as the text does, and begin a sentence with a capital.

    Example:
        >>> _upper("imax"), _upper("zero-shot")
        ('IMAX', 'zero-shot')
    """
    first, gap, rest = text.partition(" ")
    return f"{first.upper()}{gap}{rest}" if first in ("imax", "dmax") else text


def compare_study(
    config: StudyConfig, out: Path
) -> tuple[dict[str, ModelOutcome], ModelTable | None]:
    """Score the answers of all runs, compare the arms of each model, and write the result.

    It writes ``comparison.json`` and ``clock.csv`` (times of training), and with several models
    ``models.csv`` and ``models.tex``.

    Raises:
        ImaxrayError: If answers are missing or were changed.
    """
    imax = open_dataset(out / "imax")
    tables = imax.tables
    how = config.evaluation.normalisation
    constant = constant_baseline(tables.split("train"), tables.split("test"), tables.images, how)
    models = {name: _compared(config, out, name, imax, constant) for name in config.all_models}
    content: dict[str, Any]
    if len(models) == 1:
        content = next(iter(models.values())).as_dict()
        table = None
    else:
        table = model_table(config, models)
        content = {
            "models": {name: outcome.as_dict() for name, outcome in models.items()},
            "table": table.as_dict(),
        }
        write_csv(out / "models.csv", table.frame)
        write_text(out / "models.tex", table.latex())
    write_state(out / "comparison.json", content)
    clocks = [m.clock.select(pl.lit(name).alias("model"), pl.all()) for name, m in models.items()]
    write_csv(out / "clock.csv", pl.concat(clocks))
    write_record(config, out, Unit("compare"), {"models": list(models)})
    record_claimed(out, [CONFIG, *RESULTS, *result_files(config, out)])
    return models, table


def _compared(
    config: StudyConfig, out: Path, model: str, imax: Dataset, constant: Scores
) -> ModelOutcome:
    tables = imax.tables
    test = tables.split("test")
    scores: dict[str, list[Scores]] = {"constant": [constant]}
    runs: dict[str, list[RunManifest]] = {}
    for arm, block in config.arms.items():
        scores[arm], runs[arm] = [], []
        for folder in run_folders(config, out, model, arm):
            answers = stored_answers(answer_folder(folder))
            found = score(
                test, answers.predictions, tables.images, answers.convention,
                normalisation=config.evaluation.normalisation,
            )  # fmt: skip
            scores[arm].append(found)
            write_parquet(answer_folder(folder) / "scores.parquet", found.table)
            if block.is_trained:
                runs[arm].append(read_run(folder))

    def against(reference: str, others: list[str]) -> Comparison:
        return compare(
            {arm: scores[arm] for arm in (reference, *others)},
            reference=reference,
            constant=constant,
            seed=config.seed,
            resamples=config.evaluation.resamples,
            level=config.evaluation.level,
        )

    reference = config.reference
    timed = [arm for arm, block in config.arms.items() if block.budget == "compute"]
    equal = [arm for arm in config.arms if arm not in (*timed, reference)]
    return ModelOutcome(
        model,
        against(reference, equal),
        against(reference, timed) if timed else None,
        scores,
        runs,
        clock_table(config, out, model),
        [
            LayoutEffect(
                config.arms[arm].data, arm, other, against(other, [arm]),
                speed(runs[arm]) / speed(runs[other]),
            )
            for arm, other in layout_pairs(config)
        ],
    )  # fmt: skip


def layout_pairs(config: StudyConfig) -> list[tuple[str, str]]:
    """Return the pairs of arms that differ in the layout alone; the first one is packed.

    Example:
        >>> from imaxray.study.config import StudyConfig
        >>> layout_pairs(StudyConfig(title="t"))
        []
    """
    return [
        (arm, other)
        for arm, block in config.arms.items()
        if block.layout == "packed" and block.budget == "entries"
        for other, their in config.arms.items()
        if their.layout == "separate" and their == block.model_copy(update={"layout": "separate"})
    ]


def speed(runs: list[RunManifest]) -> float:
    """Return the entries per second of computing time, over all seeds."""
    return sum(run["entries_seen"] for run in runs) / sum(training_seconds(r)[0] for r in runs)
