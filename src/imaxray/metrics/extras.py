"""Extra metrics: computed only where they are asked for, and added by other packages too."""

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
    """What an extra lacks that needs nothing."""


@dataclass(frozen=True)
class ExtraMetrics:
    """What an entry point of the group ``imaxray.metrics`` names (docs/adding-a-metric.md).

    Attributes:
        metrics: task → its further metrics.
        missing: a function that tells in one sentence what is lacking here to compute them, or
            ``None`` if nothing is.
    """

    metrics: Mapping[str, tuple[Metric, ...]]
    missing: Callable[[], str | None] = _nothing


_BUILT_IN: Final[Mapping[str, Callable[[], str | None]]] = {
    "captions": missing_for_captions,
    "radiology": missing_for_radiology,
}


def list_extras() -> dict[str, Callable[[], str | None]]:
    """Extra → a function that tells what it lacks here; ours, then those of other packages.

    Raises:
        ImaxrayError: a package's extra cannot be loaded or used.
    """
    return {**_BUILT_IN, **{name: extra.missing for name, extra in extras_from_outside().items()}}


def extras_from_outside() -> Mapping[str, ExtraMetrics]:
    """Extras of other installed packages, sorted by name; a name of ours stays ours.

    Raises:
        ImaxrayError: one cannot be loaded or used.
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
        raise plugin.unfit(f"it has metrics of the task {', '.join(unknown)}")
    for task, metrics in extra.metrics.items():
        if not all(isinstance(metric, Metric) for metric in metrics):
            raise plugin.unfit(f"what it has for {task} are not all of imaxray.metrics.Metric")
    return extra
