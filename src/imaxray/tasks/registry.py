"""Finds every task by its name: built-in tasks and tasks of other installed packages."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final

from imaxray._plugins import TASKS, Plugin, plugins, search_path
from imaxray.errors import ImaxrayError
from imaxray.metrics import Metric
from imaxray.schema import task_names
from imaxray.tasks._shared.base import Task
from imaxray.tasks.calculation import Calculation
from imaxray.tasks.findings import Findings
from imaxray.tasks.grading import Grading
from imaxray.tasks.rec import Rec
from imaxray.tasks.reg import Reg
from imaxray.tasks.report import Report
from imaxray.tasks.vqa import Vqa

_BUILT_IN: Final[dict[str, Task]] = {
    task.name: task
    for task in (Calculation(), Report(), Grading(), Findings(), Rec(), Reg(), Vqa())
}
_NAME: Final = re.compile(r"[a-z0-9]+(?:[-_][a-z0-9]+)*")
_DECLARED: Final = ("name", "templates", "metrics")


def all_tasks() -> tuple[Task, ...]:
    """Return every task, in the order of :func:`imaxray.schema.task_names`.

    Raises:
        ImaxrayError: A task of another package cannot be loaded or is not complete.
    """
    return tuple(get_task(name) for name in task_names())


def get_task(name: str) -> Task:
    """Return the built-in task of that name, or that of another package (docs/adding-a-task.md).

    Raises:
        ImaxrayError: No task has that name, or the task of a package cannot be loaded or is not
            complete.

    Example:
        >>> get_task("calculation").parse("The ratio is 52%.", [], "calculation.ctr.0")
        0.52
        >>> get_task("grading").parse("Interstitial edema", [], "grading.edema.0")
        2
        >>> get_task("vqa").primary.name
        'score'
    """
    return _BUILT_IN[name] if name in _BUILT_IN else _from_outside(name, search_path())


@lru_cache(maxsize=64)
def _from_outside(name: str, path: tuple[str, ...]) -> Task:  # noqa: ARG001 - part of the cache key
    found = plugins(TASKS)
    if name not in found:
        raise ImaxrayError(
            f"Expected one of the tasks {', '.join(task_names())}, but got {name}; choose one of "
            "these, or install the package that adds it."
        )
    return _checked(found[name])


def _checked(plugin: Plugin) -> Task:
    cls = plugin.load_class(Task, "imaxray.tasks", _DECLARED)  # type: ignore[type-abstract]
    if cls.name != plugin.point.name:
        raise plugin.unfit(f"its name is {cls.name}")
    # entry ids and template ids contain the names and separate their parts by full stops
    for what, name in (("name", cls.name), *(("subtask", subtask) for subtask in cls.templates)):
        if _NAME.fullmatch(name) is None:
            raise plugin.unfit(f"its {what} {name} is not of small letters, digits and hyphens")
    if not cls.templates or not all(cls.templates.values()):
        raise plugin.unfit("it has no prompt template, or a subtask has none")
    if not cls.metrics or not all(isinstance(metric, Metric) for metric in cls.metrics):
        raise plugin.unfit("its metrics are not one or more of imaxray.metrics.Metric")
    return cls()
