"""Compares the answers of runs that are there already, as ``imaxray compare`` does."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Literal

import polars as pl
from pydantic import BaseModel, ConfigDict, Field

from imaxray._common.defaults import MOST_RESAMPLES, RESAMPLES
from imaxray._common.files import csv_text
from imaxray._common.names import require_known
from imaxray._common.printing import counted
from imaxray.boxes import find_convention
from imaxray.curation import Dataset, open_dataset
from imaxray.errors import ImaxrayError
from imaxray.evaluation.baseline import constant_baseline
from imaxray.evaluation.comparing.comparison import Comparison
from imaxray.evaluation.comparing.effects import compare, compare_groups, unequal_entries
from imaxray.evaluation.comparing.groups import box_sizes, subgroups
from imaxray.evaluation.comparing.latex import latex_text
from imaxray.evaluation.comparing.run_answers import (
    RunAnswers,
    arm_names,
    find_dataset,
    read_run,
    runs_of,
)
from imaxray.evaluation.scoring import Scores, score
from imaxray.metrics import NORMALISATION, Median, Normalisation
from imaxray.schema import SPLITS
from imaxray.tasks import RULES, get_task

By = Literal["view", "sex", "age", "source", "tasks", "box-size"]

_PROPERTIES: Final = {"tasks": "tasks of the image"}


class CompareConfig(BaseModel):
    """Options that say how answers are compared."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    split: str = Field(default="test", description="Split whose entries were answered.")
    boxes: str | None = Field(
        default=None,
        description="Convention in which the models write boxes; default: that of each run, or "
        "percent where a run does not state it.",
    )
    metric: str | None = Field(
        default=None,
        description="Metric to compare, such as Acc@0.5; tasks without it are left out. Default: "
        "the primary metric of each task.",
    )
    by: tuple[By, ...] = Field(
        default=(),
        description="Property whose values are compared one by one: view, sex, age, source, tasks "
        "(of the image) or box-size (of REC and REG); can be repeated.",
    )
    normalisation: Normalisation = Field(
        default=NORMALISATION,
        description="How texts are made comparable: radiology (docs/normalisation.md), or squad "
        "for comparisons with published token F1.",
    )
    extras: tuple[str, ...] = Field(
        default=(),
        description="Extra metrics to compute: captions (METEOR, CIDEr) or radiology (RadGraph, "
        "CheXbert, GREEN); can be repeated.",
    )
    seed: int = Field(default=0, ge=0, description="Random seed of the bootstrap over patients.")
    resamples: int = Field(
        default=RESAMPLES, ge=100, le=MOST_RESAMPLES, description="Number of bootstrap samples."
    )
    level: float = Field(default=0.95, gt=0, lt=1, description="Confidence level of the intervals.")


@dataclass(frozen=True)
class AnswersCompared:
    """Arms compared on one dataset.

    Attributes:
        comparison: Comparison over all entries.
        groups: Property → value → comparison within it.
        remarks: Sentences on what was left out or assumed, with counts.
    """

    comparison: Comparison
    groups: dict[str, dict[str, Comparison]]
    remarks: list[str] = field(default_factory=list)

    def as_dict(self) -> dict[str, Any]:
        """Return every number as a dictionary that can be written as JSON."""
        groups = {
            name: {value: part.as_dict() for value, part in parts.items()}
            for name, parts in self.groups.items()
        }
        return {**self.comparison.as_dict(), "groups": groups}

    def to_frame(self) -> pl.DataFrame:
        """Return :meth:`Comparison.to_frame`; with groups, ``property`` and ``of`` come first.

        Both are null in the rows over all entries.
        """
        whole = self.comparison.to_frame()
        if not self.groups:
            return whole
        null = pl.lit(None, pl.String)
        parts = [whole.select(null.alias("property"), null.alias("of"), pl.all())]
        for name, values in self.groups.items():
            for value, part in values.items():
                told = (pl.lit(name).alias("property"), pl.lit(value).alias("of"))
                parts.append(part.to_frame().select(*told, pl.all()))
        return pl.concat(parts)

    def to_csv(self) -> str:
        """Return :meth:`to_frame` as CSV, whose texts are safe in a spreadsheet."""
        return csv_text(self.to_frame())

    def to_latex(self) -> str:
        """Return one LaTeX table over all entries and one per group, each below a comment."""
        if not self.groups:
            return self.comparison.to_latex()
        parts = [f"% all entries\n{self.comparison.to_latex()}"]
        for name, values in self.groups.items():
            for value, part in values.items():
                parts.append(f"% {latex_text(name)}: {latex_text(value)}\n{part.to_latex()}")
        return "\n".join(parts)


def compare_answers(
    runs: Sequence[Path],
    against: Sequence[Path],
    data: Path | Dataset | None = None,
    config: CompareConfig | None = None,
) -> AnswersCompared:
    """Compare the answers of one arm with those of another, each with one or several seeds.

    Args:
        runs: Runs of the arm, one per seed; see :func:`compare_arms`.
        against: Runs of the reference.
        data: Dataset whose entries were answered, or its folder; see :func:`compare_arms`.
        config: Options.

    Raises:
        ImaxrayError: If :func:`compare_arms` raises.
    """
    if not runs or not against:
        raise ImaxrayError(
            "Expected at least one run and one --against, but one of them is missing; name both."
        )
    other, one = arm_names([against, runs])
    return compare_arms({other: against, one: runs}, reference=other, data=data, config=config)


def compare_arms(
    arms: Mapping[str, Sequence[Path]],
    *,
    reference: str,
    data: Path | Dataset | None = None,
    config: CompareConfig | None = None,
) -> AnswersCompared:
    """Compare the answers of several arms with those of a reference.

    Args:
        arms: Arm → its runs, one per seed: run folders that were evaluated, folders with
            ``predictions.parquet``, result folders of ``imaxray score``, files of answers, or
            folders with ``seed-0``, ``seed-1`` ….
        reference: Name of the arm that gains are relative to.
        data: Dataset whose entries were answered, or its folder. Default: the dataset that the runs
            state, if its folder stands near them.
        config: Options.

    Raises:
        ImaxrayError: If answers are missing, the arms did not answer the same entries, the dataset
            is not found, or :func:`imaxray.evaluation.compare` raises.
    """
    config = config or CompareConfig()
    require_known(reference, arms, "an arm as reference")
    require_known(config.split, SPLITS, "a split")
    folder = data.folder if isinstance(data, Dataset) else data
    answers = {
        name: [read_run(path, folder, config.split) for path in runs_of(paths)]
        for name, paths in arms.items()
    }
    if not isinstance(data, Dataset):
        # that of an arm comes before that of the reference, as a study takes imax, not dmax
        order = sorted(answers, key=lambda name: name == reference)
        data = open_dataset(data or find_dataset([one for name in order for one in answers[name]]))
    tables = data.tables
    entries = tables.split(config.split)
    remarks = _checked(answers, reference, data, entries)
    scores = {
        name: [_scored(one, entries, tables.images, config) for one in runs]
        for name, runs in answers.items()
    }
    # the order of the arms decides their random numbers: the reference comes first, as in a study
    scores = {name: scores[name] for name in (reference, *(n for n in scores if n != reference))}
    train = tables.split("train")
    constant = (
        constant_baseline(train, entries, tables.images, config.normalisation)
        if train.height
        else None
    )
    options: dict[str, Any] = {
        "seed": config.seed, "resamples": config.resamples, "level": config.level,
        "metric": config.metric,
    }  # fmt: skip
    whole = compare(scores, reference=reference, constant=constant, **options)
    found = {row["task"] for row in whole.as_dict()["tasks"]}
    left = [task for task in scores[reference][0].tasks if task not in found]
    if left:
        remarks.append(f"Left out, because not all arms have {config.metric}: {', '.join(left)}.")
    name = config.metric
    if name is not None and any(isinstance(get_task(t).metric(name), Median) for t in found):
        remarks.append("A median has no p-value here, because it is no function of sums.")
    if not config.by:
        return AnswersCompared(whole, {}, remarks)
    known = subgroups(entries, tables.images) | {"box-size": box_sizes(entries, tables.images)}
    wanted = {str(name): known[_PROPERTIES.get(name, name)] for name in config.by}
    if "box-size" in wanted:
        boxed = sum(map(len, wanted["box-size"].values()))
        remarks.append(
            f"box-size covers {boxed:,} of {counted(entries.height, 'entry', 'entries')}; the "
            "others have no box."
        )
    remarks.append("The p-values are corrected over the tasks of a group, not over groups.")
    if config.metric is not None:  # groups whose entries have no task with the metric
        ids = {e for task in found for e in scores[reference][0].tasks[task].entry_ids}
        wanted = {
            name: {
                value: kept for value, of in values.items() if (kept := [e for e in of if e in ids])
            }
            for name, values in wanted.items()
        }
    return AnswersCompared(
        whole,
        compare_groups(scores, wanted, reference=reference, constant=constant, **options),
        remarks,
    )


def _checked(
    answers: Mapping[str, Sequence[RunAnswers]],
    reference: str,
    data: Dataset,
    entries: pl.DataFrame,
) -> list[str]:
    """Check that all runs answered the same entries, and say what of their answers is not used.

    Answers to other splits of the dataset are no difference.

    Raises:
        ImaxrayError: If they answered different entries.
    """
    remarks = []
    asked = set(entries["entry_id"])
    elsewhere = set(data.tables.entries["entry_id"]) - asked
    ids = {
        name: [set(one.table["entry_id"]) - elsewhere for one in runs]
        for name, runs in answers.items()
    }
    wanted = ids[reference][0]
    for name, runs in answers.items():
        for one, found in zip(runs, ids[name], strict=True):
            if found != wanted:
                raise ImaxrayError(unequal_entries(reference, wanted, name, found))
            table = one.table
            for count, what in (
                (table["entry_id"].is_in(list(elsewhere)).sum(), "are to other splits"),
                (len(found - asked), "have an id that the dataset does not have"),
                (table.height - table["entry_id"].n_unique(), "repeat an id; the first counts"),
                (table.filter(pl.col("entry_id").is_in(list(asked)))["text"].null_count(),
                 "are empty and count as wrong"),
            ):  # fmt: skip
                if count:
                    remarks.append(f"{count:,} answers of {one.path} {what}.")
            if one.dataset not in (None, data.sha256):
                remarks.append(
                    f"{one.path} states another dataset than {data.folder}; its answers are "
                    "scored on this one."
                )
    return remarks


def _scored(
    run: RunAnswers, entries: pl.DataFrame, images: pl.DataFrame, config: CompareConfig
) -> Scores:
    if config.boxes is not None:
        convention = find_convention(config.boxes)
    else:
        convention = run.convention or find_convention("percent")
    return score(
        entries, run.table, images, convention,
        rules=tuple(RULES) if run.rules is None else run.rules,
        extras=config.extras, normalisation=config.normalisation,
    )  # fmt: skip
