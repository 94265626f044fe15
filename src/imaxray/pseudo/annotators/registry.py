"""Finds an external annotator by its name, among ours and those of other packages."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from imaxray._common.plugins import ANNOTATORS, Plugin, plugins_besides, running
from imaxray.errors import ImaxrayError
from imaxray.pseudo.annotators.contract import Annotator
from imaxray.pseudo.annotators.masks import Masks
from imaxray.pseudo.annotators.report_labeller import ReportLabeller
from imaxray.schema import task_names

_BUILT_IN: Final[Mapping[str, type[Annotator]]] = {cls.name: cls for cls in (ReportLabeller, Masks)}


def list_annotators() -> tuple[str, ...]:
    """Return the names of the annotators; those of other packages come last and are not loaded.

    Example:
        >>> list_annotators()[:2]
        ('report-labeller', 'masks')
    """
    return (*_BUILT_IN, *plugins_besides(ANNOTATORS, tuple(_BUILT_IN)))


def find_annotator(spec: str) -> Annotator | None:
    """Return the annotator that ``NAME`` or ``NAME:ARGUMENT`` names; ``None`` for any other name.

    Args:
        spec: Name, with an argument after a colon where the annotator takes one.

    Raises:
        ImaxrayError: The annotator of a package cannot be loaded or is not one, or the argument
            does not fit.
    """
    name, colon, argument = spec.partition(":")
    given = argument if colon else None
    if name in _BUILT_IN:
        return _BUILT_IN[name](given)
    plugin = plugins_besides(ANNOTATORS, tuple(_BUILT_IN)).get(name)
    return None if plugin is None else _loaded(plugin, given)


def _loaded(plugin: Plugin, argument: str | None) -> Annotator:
    declared = ("name", "version", "tasks")
    cls = plugin.load_class(Annotator, "imaxray.pseudo", declared)  # type: ignore[type-abstract]
    if cls.name != plugin.point.name:
        raise plugin.unfit(f"its name is {cls.name}")
    if unknown := sorted(set(cls.tasks) - set(task_names())):
        raise plugin.unfit(f"it states {', '.join(unknown)}, which no task is named")
    cls.plugin = plugin
    with running(plugin, "constructor"):
        return cls(argument)


def require_tasks_of(annotator: Annotator, tasks: tuple[str, ...]) -> None:
    """Check that an annotator states tasks.

    Raises:
        ImaxrayError: It does not state one of them.
    """
    if missing := [task for task in tasks if task not in annotator.tasks]:
        raise ImaxrayError(
            f"Expected {annotator.name} for tasks that it states ({', '.join(annotator.tasks)}), "
            f"but it is to answer {', '.join(missing)}; name another teacher for it, or leave it "
            "out with --task."
        )
