"""Reads one answer of a model as scoring and pseudo-annotation do: text, boxes, then the task."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from imaxray._common.plugins import running
from imaxray.boxes import BOX_RULES, PERCENT, BoxConvention
from imaxray.tasks._shared.base import Task
from imaxray.tasks._shared.reading import RULES, Reading, require_rules


@dataclass(frozen=True)
class Answer:
    """An answer that was read.

    Attributes:
        value: Parsed answer of the task; ``None`` if it could not be read.
        rules: Names of the reading rules that changed the text or decided the value.
    """

    value: Any | None
    rules: tuple[str, ...]


def read_answer(
    task: Task,
    text: str,
    template: str,
    *,
    prompt: str = "",
    convention: BoxConvention = PERCENT,
    size: tuple[float, float] = (1.0, 1.0),
    rules: Sequence[str] = tuple(RULES),
) -> Answer:
    """Read the text that a model wrote.

    Args:
        task: Task of the entry.
        text: Raw text of the model.
        template: Template id of the entry.
        prompt: Prompt of the entry; questions and options in it help to read answers.
        convention: Convention in which the model writes boxes.
        size: Width and height of the original image in pixels.
        rules: Reading rules that are on.

    Raises:
        ImaxrayError: A rule does not exist, or the parser of a plug-in fails.

    Example:
        >>> from imaxray.tasks import get_task
        >>> read_answer(get_task("grading"), "<think>0?</think>**It is mild**", "grading.edema.0")
        Answer(value=1, rules=('thinking', 'markdown', 'grades'))
    """
    require_rules(rules)
    reading = Reading(rules, prompt)
    clean = reading.clean(text)
    # numbers in brackets are boxes only in answers that may hold boxes
    spellings = [rule for rule in BOX_RULES if rule in rules] if task.reads_boxes else []
    found = convention.read(clean, *size, spellings)
    reading.note(*found.rules)
    reading.source = clean
    with running(task.plugin, "parse"):
        value = task.read(found.text, found.boxes, template, reading)
    return Answer(value, reading.used)
