"""Lists extra metrics, which are computed on request only; other packages can add some."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from functools import lru_cache, partial
from typing import Final

from imaxray._common.plugins import METRICS, Plugin, plugins_besides, running, search_path
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
_NOT_ASKED: Final = "not asked for"


def list_extras() -> dict[str, Callable[[], str | None]]:
    """Return, for each extra, the function that says what is missing; built-in extras come first.

    An extra of another package is loaded when its function is called, which raises
    :class:`~imaxray.errors.ImaxrayError` if the extra cannot be loaded or used.
    """
    return {**_BUILT_IN, **{name: partial(_missing, name) for name in names_from_outside()}}


def reasons_not_computed(extras: Collection[str]) -> dict[str, str]:
    """Return why the metrics of each other extra are not computed.

    An extra of another package that was not asked for is not loaded.

    Args:
        extras: Extras that were asked for.
    """
    reasons = {name: missing() or _NOT_ASKED for name, missing in _BUILT_IN.items()}
    reasons |= dict.fromkeys(names_from_outside(), _NOT_ASKED)
    return {name: reason for name, reason in reasons.items() if name not in extras}


def names_from_outside() -> tuple[str, ...]:
    """Return the names of the extras of other packages, sorted, without built-in names."""
    return tuple(plugins_besides(METRICS, _BUILT_IN))


def plugin_of_extra(name: str) -> Plugin | None:
    """Return the plug-in that adds an extra; ``None`` for a built-in or unknown extra."""
    return plugins_besides(METRICS, _BUILT_IN).get(name)


def get_extra(name: str) -> ExtraMetrics:
    """Return an extra of another package, one of :func:`names_from_outside`.

    Raises:
        ImaxrayError: The extra cannot be loaded or used.
    """
    return _from_outside(name, search_path())


@lru_cache(maxsize=64)
def _from_outside(name: str, path: tuple[str, ...]) -> ExtraMetrics:  # noqa: ARG001 - the key
    return _checked(plugins_besides(METRICS, _BUILT_IN)[name])


def _missing(name: str) -> str | None:
    """Return what an extra of another package lacks."""
    extra = get_extra(name)
    with running(plugin_of_extra(name), "missing"):
        return extra.missing()


def _checked(plugin: Plugin) -> ExtraMetrics:
    extra = plugin.load()
    if not isinstance(extra, ExtraMetrics):
        raise plugin.unfit("it is no imaxray.metrics.ExtraMetrics")
    if not isinstance(extra.metrics, Mapping):
        raise plugin.unfit("its metrics are no dict of lists of metrics by task")
    if unknown := sorted(extra.metrics.keys() - set(task_names())):
        raise plugin.unfit(f"it has metrics of the task {', '.join(unknown)}, which is unknown")
    for task, metrics in extra.metrics.items():
        listed = isinstance(metrics, list | tuple)
        if not listed or not all(isinstance(metric, Metric) for metric in metrics):
            raise plugin.unfit(f"its metrics of {task} are not all of imaxray.metrics.Metric")
    return extra
