"""What a study's report shows: plain, JSON-able values, no frames and no models."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from imaxray.boxes import Box


@dataclass(frozen=True)
class View:
    """One view of the comparison, e.g. equal entries seen; ``comparison`` as Comparison.as_dict."""

    name: str
    explanation: str
    comparison: Mapping[str, Any]


@dataclass(frozen=True)
class Curve:
    """Learning curve of one run: points with step, entries_seen, seconds, loss, losses per task."""

    arm: str
    points: Sequence[Mapping[str, Any]]
    seed: int = 0


@dataclass(frozen=True)
class Dynamics:
    """How the arms' gradients lie, on one probe over training and on crossed probes after it.

    Attributes:
        sentences: what came out.
        points: arm, seed, entries_seen, reduction, and each statistic.
        contrast: after training, a row a statistic and reduction: value (imax), other (dmax),
            difference, low, high, verdict, paper (its direction), ordering_holds; empty with one
            seed.
        crossed: a row a draw, reduction and statistic: both models on both probes and the parts.
        tasks: a row a reduction, with and without pairs of one image.
        n_curve: arm, reduction, statistic, entries, value.
        labels: statistic → how it is written.
        gradients: reduction → how it is written.
        entries: of the probe.
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
    """What one arm answered, and the boxes it wrote (pixels of the original image)."""

    arm: str
    text: str
    boxes: Sequence[Box] = ()


@dataclass(frozen=True)
class Question:
    """One test entry of an example image."""

    task: str
    prompt: str
    gold: str
    gold_boxes: Sequence[Box]
    answers: Sequence[Answer]


@dataclass(frozen=True)
class Example:
    """One test image with all its questions; ``png`` is base64."""

    image_id: str
    png: str
    width: int
    height: int
    questions: Sequence[Question]


@dataclass(frozen=True)
class StudyResult:
    """Everything the report shows.

    Attributes:
        title: heading.
        summary: what came out, in sentences.
        views: the comparison, seen two ways.
        density: arm → Density as a dict.
        match: MatchReport as a dict.
        curves: learning curves.
        throughput: rows of arm, layout, entries, seconds, entries per second, tokens an entry.
        packing: Throughput as a dict: packing against separate, same process.
        account: rows of source, file, rows_in, kept, rejected.
        reject_codes: rows of source, code, count.
        examples: test images.
        provenance: name → value: seed, digests, versions.
        config: the study's YAML.
        seeds: trainings of each arm.
        dynamics: of the optimisation, where it was measured.
    """

    title: str
    summary: Sequence[str]
    views: Sequence[View]
    density: Mapping[str, Mapping[str, Any]]
    match: Mapping[str, Any]
    curves: Sequence[Curve]
    throughput: Sequence[Mapping[str, Any]]
    packing: Mapping[str, Any]
    account: Sequence[Mapping[str, Any]]
    reject_codes: Sequence[tuple[str, str, int]]
    examples: Sequence[Example] = ()
    provenance: Mapping[str, str] = field(default_factory=dict)
    config: str = ""
    seeds: Sequence[int] = (0,)
    dynamics: Dynamics | None = None
