"""Each finished piece of work leaves a record, a JSON file beside its folder."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypedDict

from imaxray.strategy.work import AnnotateWork, FilterWork, TrainWork, Work


class WorkRecord(TypedDict):
    """Keys of every record."""

    key: str
    name: str
    round: int
    done: bool
    seconds: float
    cpu_seconds: float


class TrainRecord(WorkRecord):
    """Record of a stage: what it was trained on, and how long (seconds)."""

    stage: str
    on: str
    start: str
    layout: str
    steps: int
    loss: float
    entries_seen: int
    train_seconds: float
    train_cpu_seconds: float
    drawn: dict[str, int]


class AnnotateRecord(WorkRecord):
    """Record of an annotation: which model answered, and how much."""

    by: str
    candidates: int
    readable: int
    images: int
    tasks: list[dict[str, Any]]


class FilterRecord(WorkRecord):
    """Record of a filter: the tables are those of :class:`imaxray.pseudo.Filtered`."""

    candidates: int
    kept: int
    masked: int
    dropped: dict[str, int]
    thresholds: dict[str, str]
    yields: list[dict[str, Any]]
    rules: list[dict[str, Any]]
    equal_yield: list[dict[str, Any]]


@dataclass(frozen=True)
class WorkResult:
    """A finished piece of work.

    Attributes:
        work: which.
        folder: run folder, candidates, or dataset.
        record: what it took and gave; lies beside the folder as JSON.
        done_now: whether this call did the work; otherwise an earlier call had finished it.
    """

    work: Work
    folder: Path
    record: WorkRecord
    done_now: bool


@dataclass(frozen=True)
class TrainResult(WorkResult):
    """A stage that was trained."""

    work: TrainWork
    record: TrainRecord


@dataclass(frozen=True)
class AnnotateResult(WorkResult):
    """Candidates that a model gave."""

    work: AnnotateWork
    record: AnnotateRecord


@dataclass(frozen=True)
class FilterResult(WorkResult):
    """A pseudo dataset of the candidates that were kept."""

    work: FilterWork
    record: FilterRecord
