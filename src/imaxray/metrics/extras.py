"""Lists extra metrics, which are computed on request only; other packages can add some."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from imaxray._plugins import METRICS, Plugin, plugins, search_path
from imaxray.metrics.base import Metric
from imaxray.metrics.captions import missing_for_captions
from imaxray.metrics.radiology import missing_for_radiology
from imaxray.schema import task_names


def _nothing() -> None:
    """Return ``None``, because an extra without requirements lacks nothing."""


@dataclass(frozen=True)
class ExtraMetrics:
    """Holds the metrics of an entry point of ``imaxray.metrics`` (docs/adding-a-metric.md).

    Attributes:
        metrics: Further metrics of each task.
        missing: Function that returns one sentence on what is missing to compute the metrics, or
            ``None`` if nothing is missing.
    """

    metrics: Mapping[str, tuple[Metric, ...]]
    missing: Callable[[], str | None] = _nothing


_BUILT_IN: Final[Mapping[str, Callable[[], str | None]]] = {
    "captions": missing_for_captions,
    "radiology": missing_for_radiology,
}


def list_extras() -> dict[str, Callable[[], str | None]]:
    """Return, for each extra, the function that says what is missing; built-in extras come first.

    Raises:
        ImaxrayError: The extra of another package cannot be loaded or used.
    """
    return {**_BUILT_IN, **{name: extra.missing for name, extra in extras_from_outside().items()}}


def extras_from_outside() -> Mapping[str, ExtraMetrics]:
    """Return the extras of other installed packages, sorted by name, without built-in names.

    Raises:
        ImaxrayError: An extra cannot be loaded or used.
    """
    return _outside(search_path())


@lru_cache(maxsize=16)
def _outside(path: tuple[str, ...]) -> Mapping[str, ExtraMetrics]:  # noqa: ARG001 - the key
    found = plugins(METRICS)
    return {name: _checked(found[name]) for name in sorted(found.keys() - _BUILT_IN.keys())}


def _checked(plugin: Plugin) -> ExtraMetrics:
    extra = plugin.load()
    if not isinstance(extra, ExtraMetrics):
        raise plugin.unfit("it is no imaxray.metrics.ExtraMetrics")
    if unknown := sorted(extra.metrics.keys() - set(task_names())):
        raise plugin.unfit(f"it has metrics of the task {', '.join(unknown)}, which is unknown")
    for task, metrics in extra.metrics.items():
        if not all(isinstance(metric, Metric) for metric in metrics):
            raise plugin.unfit(f"its metrics of {task} are not all of imaxray.metrics.Metric")
    return extra
