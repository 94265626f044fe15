"""The manifest of a training run, ``run.json``, and the points of its learning curve."""

from __future__ import annotations

from typing import Any, NotRequired, TypedDict


class RunIdentity(TypedDict):
    """What decides a run: two runs of one identity are the same run.

    Attributes:
        imaxray: version.
        model: name of the model that it starts from.
        config: the recipe, without keys that never decide the result.
        weights: sha256 of the weights at the start.
        schedule: sha256 of the order of the entries.
        dataset: sha256 of the dataset; ``None`` where the caller named none.
        image_cache: description of the image cache; likewise.
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
    """What ``run.json`` holds.

    Attributes:
        entries_seen: with repetition.
        tokens_seen: likewise, padding left out.
        seconds: wall-clock of training, without the callbacks'.
        cpu_seconds: of this process.
        parameters: that were trained.
        parameters_in_all: of the whole model.
        drawn: task → entries drawn.
        processes: that trained together.
        device: name of the GPU, or the processor architecture.
        dataset: sha256 of the dataset, where :func:`imaxray.training.train_dataset` trained.
        entries: train entries that fit the model's context; likewise.
        dropped: code → entries that were left out; likewise.
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
    dataset: NotRequired[str]
    dataset_folder: NotRequired[str]
    model: NotRequired[dict[str, Any]]
    recipe: NotRequired[dict[str, Any]]
    entries: NotRequired[int]
    dropped: NotRequired[dict[str, int]]
    image_cache: NotRequired[Any]


class CurvePoint(TypedDict):
    """A point of the learning curve, since the point before.

    Attributes:
        loss: mean over the entries.
        losses: the same, by task.
    """

    step: int
    entries_seen: int
    tokens_seen: int
    seconds: float
    loss: float
    losses: dict[str, float]
