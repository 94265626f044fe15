"""Divides the tasks among several teachers into sittings, each of which loads one model.

In a sitting one teacher answers several tasks, and encodes each image once for all of them. Later
prompts are made from earlier answers: questions and phrases from findings and reports, boxes from
located phrases. A sitting therefore follows the sittings whose answers it needs.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from imaxray.tasks import Task, all_tasks, get_task

_MADE_FROM: Final = {"reg": ("rec",)}


@dataclass(frozen=True)
class Sitting:
    """Tasks that one teacher answers together.

    Attributes:
        teacher: Name or folder of the teacher.
        tasks: Names of the tasks, in the order of all tasks.
    """

    teacher: str
    tasks: tuple[str, ...]


def needed(task: str, tasks: Collection[str]) -> tuple[str, ...]:
    """Return the tasks whose answers the prompts of a task are made from.

    Args:
        task: Name of the task.
        tasks: Tasks that are answered at all.

    Example:
        >>> needed("rec", ["grading", "findings", "rec", "reg"]), needed("grading", ["findings"])
        (('findings',), ())
    """
    if task in _MADE_FROM:
        return tuple(other for other in _MADE_FROM[task] if other in tasks)
    if get_task(task).asks_image_alone:
        return ()
    return tuple(
        other.name
        for other in all_tasks()
        if other.name in tasks and other.asks_image_alone and _has_content(other)
    )


def needed_by(some: Collection[str], tasks: Collection[str]) -> frozenset[str]:
    """Return all tasks that some tasks need, directly or through others."""
    found: set[str] = set()
    waiting = list(some)
    while waiting:
        for other in needed(waiting.pop(), tasks):
            if other not in found:
                found.add(other)
                waiting.append(other)
    return frozenset(found)


def task_keys(
    tasks: Sequence[str], teachers: Mapping[str, Any], options: Mapping[str, Any]
) -> dict[str, str]:
    """Return a digest of everything that the answers of each task depend on.

    Args:
        tasks: Tasks that are answered.
        teachers: Task → what identifies its teacher, as JSON values.
        options: What all answers depend on: dataset, prompts and decoding, as JSON values.
    """
    keys: dict[str, str] = {}

    def key(task: str) -> str:
        if task not in keys:
            before = {other: key(other) for other in needed(task, tasks)}
            text = json.dumps([task, teachers[task], before, options], sort_keys=True)
            keys[task] = hashlib.sha256(text.encode()).hexdigest()
        return keys[task]

    return {task: key(task) for task in tasks}


def sittings(todo: Sequence[str], teachers: Mapping[str, str]) -> Iterator[Sitting]:
    """Yield sittings that answer all tasks, each after those that it needs.

    Each sitting takes the teacher that can answer the most tasks next, so that models are loaded
    and images encoded as rarely as possible.

    Args:
        todo: Tasks that are not answered yet, in the order of all tasks.
        teachers: Task → its teacher.

    Example:
        >>> by = dict.fromkeys(["findings", "rec", "reg", "vqa"], "base") | {"rec": "specialist"}
        >>> for sitting in sittings(list(by), by):
        ...     print(sitting.teacher, *sitting.tasks)
        base findings vqa
        specialist rec
        base reg
    """
    left = list(todo)
    while left:
        options = [
            Sitting(teacher, _ready(left, teachers, teacher))
            for teacher in dict.fromkeys(teachers[task] for task in left)
        ]
        chosen = max(options, key=lambda sitting: len(sitting.tasks))
        yield chosen
        left = [task for task in left if task not in chosen.tasks]


def _ready(left: Sequence[str], teachers: Mapping[str, str], teacher: str) -> tuple[str, ...]:
    """Return the tasks of a teacher that need no answer that another one has yet to give."""
    mine = {task for task in left if teachers[task] == teacher}
    blocked = {
        task for task in mine if any(teachers[o] != teacher for o in needed_by([task], left))
    }
    return tuple(task for task in left if task in mine - blocked)


def _has_content(task: Task) -> bool:
    return type(task).content is not Task.content
