"""Defines the content of a study's report as plain values that can be written as JSON."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from imaxray.boxes import Box


@dataclass(frozen=True)
class View:
    """Holds one view of the comparison, e.g. at equal entries seen.

    Attributes:
        name: Heading of the view.
        explanation: Text under the heading.
        comparison: Result of ``Comparison.as_dict``.
    """

    name: str
    explanation: str
    comparison: Mapping[str, Any]

    @property
    def others(self) -> list[str]:
        """All arms except the reference."""
        return [arm for arm in self.comparison["arms"] if arm != self.comparison["reference"]]


@dataclass(frozen=True)
class GainTable:
    """Holds one table of relative gains: rows are models, columns are tasks and the mean.

    Attributes:
        title: Heading of the table.
        tasks: Columns.
        rows: Name of a model → its cells as text.
        over: Mean over all models with its interval, as text.
        stated: What the paper states, as text; None if it states nothing.
    """

    title: str
    tasks: Sequence[str]
    rows: Mapping[str, Sequence[str]]
    over: str
    stated: str | None


@dataclass(frozen=True)
class Curve:
    """Holds the learning curve of one run.

    Attributes:
        arm: Name of the arm.
        points: Points with step, entries_seen, seconds, loss and the losses per task.
        seed: Seed of the run.
    """

    arm: str
    points: Sequence[Mapping[str, Any]]
    seed: int = 0


@dataclass(frozen=True)
class Dynamics:
    """Holds the gradient statistics of the arms, during training and after it.

    One probe of validation entries is measured during training; crossed probes of both arms' train
    entries are measured after it.

    Attributes:
        sentences: Sentences that state the results.
        points: Rows of arm, seed, entries_seen, reduction and each statistic.
        contrast: Statistics after training, one row per statistic and reduction: value (imax),
            other (dmax), difference, low, high, verdict, paper (direction that the paper states),
            ordering_holds. It is empty for one seed.
        crossed: One row per draw, reduction and statistic: both models on both probes, and the
            parts of the difference.
        tasks: Rows per reduction, one with and one without pairs of entries of one image.
        n_curve: Rows of arm, reduction, statistic, entries and value.
        labels: Label of each statistic.
        gradients: Label of each reduction.
        entries: Number of entries of the probe.
    """

    sentences: Sequence[str]
    points: Sequence[Mapping[str, Any]]
    contrast: Sequence[Mapping[str, Any]]
    crossed: Sequence[Mapping[str, Any]]
    tasks: Sequence[Mapping[str, Any]]
    n_curve: Sequence[Mapping[str, Any]]
    labels: Mapping[str, str]
    gradients: Mapping[str, str]
    entries: int


@dataclass(frozen=True)
class Answer:
    """Holds the answer of one arm and the boxes in it (pixels of the original image)."""

    arm: str
    text: str
    boxes: Sequence[Box] = ()


@dataclass(frozen=True)
class Question:
    """Holds one test entry of an example image."""

    task: str
    prompt: str
    gold: str
    gold_boxes: Sequence[Box]
    answers: Sequence[Answer]


@dataclass(frozen=True)
class Example:
    """Holds one test image with all its questions; ``png`` is the image as base64."""

    image_id: str
    png: str
    width: int
    height: int
    questions: Sequence[Question]


@dataclass(frozen=True)
class StudyResult:
    """Holds everything that the report shows.

    Attributes:
        title: Heading of the report.
        summary: Sentences that state the results.
        views: Views of the comparison, e.g. at equal entries and at equal compute.
        density: Density of each arm as a dictionary.
        match: MatchReport as a dictionary.
        curves: Learning curves of all runs.
        throughput: Rows of arm, layout, entries, seconds, entries per second and tokens per entry.
        clock: Rows of arm, seed, seconds, share, entries_then and loss_then: what each run had
            reached when the reference had finished.
        layouts: Sentences about the effect of the layout alone.
        models: Tables of gains over models; empty if the study has one model.
        account: Rows of source, file, rows_in, kept and rejected.
        reject_codes: Rows of source, code and count.
        examples: Test images with the answers of the arms.
        withheld: Whether there are no examples because their releases may not be passed on.
        provenance: Seed, digests and versions by name.
        config: Configuration of the study as YAML.
        untrained: Whether a model was built by the study and trained from scratch.
        seeds: Seeds with which each arm was trained.
        dynamics: Gradient statistics, if they were measured.
    """

    title: str
    summary: Sequence[str]
    views: Sequence[View]
    density: Mapping[str, Mapping[str, Any]]
    match: Mapping[str, Any]
    curves: Sequence[Curve]
    throughput: Sequence[Mapping[str, Any]]
    clock: Sequence[Mapping[str, Any]]
    account: Sequence[Mapping[str, Any]]
    reject_codes: Sequence[tuple[str, str, int]]
    layouts: Sequence[str] = ()
    models: Sequence[GainTable] = ()
    examples: Sequence[Example] = ()
    withheld: bool = False
    provenance: Mapping[str, str] = field(default_factory=dict)
    config: str = ""
    untrained: bool = True
    seeds: Sequence[int] = (0,)
    dynamics: Dynamics | None = None
