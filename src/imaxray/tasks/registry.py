"""Finds every task by its name: built-in tasks and tasks of other installed packages."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Final

from imaxray._common.names import nearest
from imaxray._common.plugins import TASKS, Plugin, plugins_besides, search_path
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


def require_tasks(names: Iterable[str], where: object) -> None:
    """Check that tasks can be used, before long work with their entries begins.

    Args:
        names: Names of tasks, e.g. the column ``task`` of entries; a name may occur several times.
        where: Name of what has the entries, e.g. the folder of a dataset, for the message.

    Raises:
        ImaxrayError: A task is not installed, cannot be loaded or is not complete.
    """
    known = task_names()
    wanted = dict.fromkeys(names)
    if absent := [name for name in wanted if name not in known]:
        raise ImaxrayError(
            f"Expected entries of the installed tasks {', '.join(known)}, but got "
            f"{', '.join(absent)} in {where}; install the package that adds it as an entry point "
            f"of {TASKS}."
        )
    for name in wanted:
        get_task(name)


@lru_cache(maxsize=64)
def _from_outside(name: str, path: tuple[str, ...]) -> Task:  # noqa: ARG001 - part of the cache key
    found = plugins_besides(TASKS, _BUILT_IN)
    if name not in found:
        best = nearest(name, task_names())
        meant = "choose one of these" if best is None else f"take {best} if you meant it"
        raise ImaxrayError(
            f"Expected one of the tasks {', '.join(task_names())}, but got {name}; "
            f"{meant}, or install the package that adds it."
        )
    return _checked(found[name])


def _checked(plugin: Plugin) -> Task:
    cls = plugin.load_class(Task, "imaxray.tasks", _DECLARED)  # type: ignore[type-abstract]
    if cls.name != plugin.point.name:
        raise plugin.unfit(f"its name is {cls.name}")
    _check_templates(plugin, cls.templates)
    # entry ids and template ids contain the names and separate their parts by full stops
    for what, name in (("name", cls.name), *(("subtask", subtask) for subtask in cls.templates)):
        if _NAME.fullmatch(str(name)) is None:
            raise plugin.unfit(f"its {what} {name} is not of small letters, digits and hyphens")
    if not _are_metrics(cls.metrics) or not cls.metrics:
        raise plugin.unfit("its metrics are not one or more of imaxray.metrics.Metric")
    if not (isinstance(cls.optional, Mapping) and all(map(_are_metrics, cls.optional.values()))):
        raise plugin.unfit("its optional metrics are not lists of imaxray.metrics.Metric by extra")
    with plugin.running("__init__"):
        task = cls()
    task.plugin = plugin
    return task


def _check_templates(plugin: Plugin, templates: object) -> None:
    if not isinstance(templates, Mapping):
        raise plugin.unfit(
            f"its templates are of type {type(templates).__name__} and not a dict of lists of "
            "prompts by subtask"
        )
    if not templates or not all(templates.values()):
        raise plugin.unfit("it has no prompt template, or a subtask has none")
    for subtask, texts in templates.items():
        # each letter of a single string would become a template
        if not isinstance(texts, list | tuple) or not all(isinstance(t, str) for t in texts):
            raise plugin.unfit(f"its templates of the subtask {subtask} are no list of prompts")


def _are_metrics(value: object) -> bool:
    return isinstance(value, list | tuple) and all(isinstance(one, Metric) for one in value)
