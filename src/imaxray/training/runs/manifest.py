"""Defines the types of a run's manifest, ``run.json``, and of the points of its curve."""

from __future__ import annotations

from typing import Any, NotRequired, TypedDict


class RunIdentity(TypedDict):
    """Holds everything that identifies a run; two runs with equal identity are the same run.

    Attributes:
        imaxray: Version of the package.
        model: Name of the model that the run starts from.
        layout: How the entries are arranged in rows.
        seed: Seed of the order of entries and of new weights.
        config: Recipe without keys that never decide the result.
        weights: SHA-256 of the initial weights.
        schedule: SHA-256 of the order of the entries.
        dataset: SHA-256 of the dataset, or None if the caller named none.
        image_cache: Description of the image cache, or None if the caller named none.
    """

    imaxray: str
    model: str
    layout: str
    seed: int
    config: dict[str, Any]
    weights: str
    schedule: str
    dataset: str | None
    image_cache: Any


class RunManifest(TypedDict):
    """Describes the content of ``run.json``.

    Attributes:
        entries_seen: Number of entries seen, repetitions included.
        tokens_seen: Number of tokens seen, repetitions included and padding excluded.
        seconds: Wall-clock seconds of training, without the time of callbacks.
        cpu_seconds: CPU seconds of this process.
        parameters: Number of trained parameters.
        parameters_in_all: Number of parameters of the whole model.
        drawn: Number of entries drawn by task.
        processes: Number of processes that trained together.
        device: Name of the GPU, or the processor architecture.
        files: SHA-256 of the weights, the schedule and the recorded dynamics, by their paths.
        file_sha256: SHA-256 of the other files of the run, which hold clocks, by their names.
        operations: Number of floating-point operations of training, if they were counted
            (:mod:`imaxray.training.operations`).
        dataset: SHA-256 of the dataset; only of runs of :func:`imaxray.training.train_dataset`.
        entries: Number of train entries that fit the model's context; only of runs of
            :func:`imaxray.training.train_dataset`.
        dropped: Number of entries left out by code; only of runs of
            :func:`imaxray.training.train_dataset`.
    """

    identity: RunIdentity
    entries_seen: int
    tokens_seen: int
    seconds: float
    cpu_seconds: float
    entries_per_second: float
    tokens_per_second: float
    parameters: int
    parameters_in_all: int
    drawn: dict[str, int]
    processes: int
    sharded: bool
    device: str
    versions: dict[str, str]
    operations: NotRequired[int]
    files: NotRequired[dict[str, str]]
    file_sha256: NotRequired[dict[str, str]]
    dataset: NotRequired[str]
    dataset_folder: NotRequired[str]
    model: NotRequired[dict[str, Any]]
    recipe: NotRequired[dict[str, Any]]
    entries: NotRequired[int]
    dropped: NotRequired[dict[str, int]]
    image_cache: NotRequired[Any]


class CurvePoint(TypedDict):
    """Describes a point of the learning curve; losses cover the entries since the last point.

    Attributes:
        loss: Mean loss over the entries.
        losses: Mean loss over the entries, by task.
    """

    step: int
    entries_seen: int
    tokens_seen: int
    seconds: float
    loss: float
    losses: dict[str, float]


class Validation(TypedDict):
    """Describes a measurement of the losses on the val split."""

    step: int
    loss: float
    losses: dict[str, float]
