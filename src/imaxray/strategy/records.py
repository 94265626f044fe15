"""Defines the records of finished work; each is a JSON file beside the folder of the work."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, Final, NotRequired, TypedDict

from imaxray._common.folders import claimed_digests, forget_recorded, require_records
from imaxray.strategy.work import AnnotateWork, DeriveWork, FilterWork, TrainWork, Work

RESULTS: Final = "strategy.json"
"""File of a finished strategy that holds the records of its work."""

KNOWN_BY: Final = {RESULTS: ('"config"', '"dataset"', '"final"')}
"""Name of the report in the folder of a strategy."""


_MANIFESTS: Final = (
    "run.json", "annotate.json", "manifest.json", "evaluation/test/predictions.json",
    "evaluation/val/predictions.json", "predictions.json", "predictions.parquet",
    "predictions-val.json", "predictions-val.parquet",
)  # fmt: skip
"""Files in the folder of a piece of work that its record or its results follow from."""


class WorkRecord(TypedDict):
    """Keys that every record has; ``seconds`` is wall-clock time, ``cpu_seconds`` CPU time."""

    key: str
    name: str
    round: int
    done: bool
    seconds: float
    cpu_seconds: float


class TrainRecord(WorkRecord):
    """Record of a stage: its training data, number of steps and training time in seconds.

    ``operations`` are the floating-point operations of training, if they were counted.
    """

    stage: str
    on: str
    start: str
    layout: str
    steps: int
    loss: float
    entries_seen: int
    train_seconds: float
    train_cpu_seconds: float
    operations: NotRequired[int]
    drawn: dict[str, int]


class DeriveRecord(WorkRecord):
    """Record of a derivation: number of derived entries, yields by rule, rules switched off."""

    derived: int
    tasks: dict[str, int]
    rules: list[dict[str, Any]]
    switched_off: list[str]


class AnnotateRecord(WorkRecord):
    """Record of an annotation: the models that answered and the number of answers."""

    by: str
    teachers: dict[str, str]
    candidates: int
    readable: int
    images: int
    tasks: list[dict[str, Any]]


class FilterRecord(WorkRecord):
    """Record of a filter; its tables come from :class:`imaxray.pseudo.Filtered`."""

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
    """The result of a finished piece of work.

    Attributes:
        work: Work that was done.
        folder: Run folder, folder of candidates, or dataset folder.
        record: Record of the work, stored as JSON beside the folder.
        done_now: Whether this call did the work; if false, an earlier call did it.
    """

    work: Work
    folder: Path
    record: WorkRecord
    done_now: bool


@dataclass(frozen=True)
class TrainResult(WorkResult):
    """The result of a trained stage."""

    work: TrainWork
    record: TrainRecord


@dataclass(frozen=True)
class DeriveResult(WorkResult):
    """The result of a derivation: a dataset with real and derived entries."""

    work: DeriveWork
    record: DeriveRecord


def record_names(out: Path, folders: Iterable[str]) -> list[str]:
    """Return the paths in ``out`` of the records of work and of the manifests in its folders.

    Args:
        out: Folder of a strategy or of an ablation.
        folders: Folders of the work, as paths in ``out``.
    """
    return [
        name
        for folder in sorted({*folders})
        for name in (f"{folder}.json", *(f"{folder}/{inner}" for inner in _MANIFESTS))
        if (out / name).is_file()
    ]


def begin_work(out: Path, results: Collection[str]) -> None:
    """Compare the records that work goes on from, and forget what was recorded of the folder.

    Args:
        out: Folder of a strategy or of an ablation, whose files are claimed.
        results: Names of the files that are written anew.

    Raises:
        ImaxrayError: A record of finished work was changed by hand, or is that of other work.
    """
    records = [
        name
        for name in claimed_digests(out)
        if name not in results
        and name.endswith((".json", ".parquet"))
        # datasets are held against the hidden file beside their manifest
        and PurePosixPath(name).name != "manifest.json"
    ]
    advice = "put it back, or remove it with what it describes, so that its work is done again"
    require_records(out, records, advice=advice)
    forget_recorded(out)


def compared(done: Iterable[WorkResult]) -> list[TrainResult]:
    """Return the stages whose models can be the result; a specialist only annotates."""
    return [d for d in done if isinstance(d, TrainResult) and not d.work.stage.specialist]


@dataclass(frozen=True)
class AnnotateResult(WorkResult):
    """The result of an annotation: candidate answers of a model."""

    work: AnnotateWork
    record: AnnotateRecord


@dataclass(frozen=True)
class FilterResult(WorkResult):
    """The result of a filter: a pseudo dataset of the kept candidates."""

    work: FilterWork
    record: FilterRecord
