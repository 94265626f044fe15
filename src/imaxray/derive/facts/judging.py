"""Decides whether a conclusion is right, by the tolerances of the task that would ask for it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from imaxray.derive.facts.fact import Fact
from imaxray.tasks import get_task

TASK_OF = {
    "measurement": "calculation",
    "grade": "grading",
    "findings": "findings",
    "report": "report",
    "rec": "rec",
    "reg": "reg",
    "qa": "vqa",
}
"""Kind of a fact → the task whose entries state it; a single label has none."""


def judged(fact: Fact, gold: Sequence[Fact]) -> bool | None:
    """Return whether a fact agrees with any of the true facts that answer the same.

    Uncertain labels are not judged.

    Returns:
        ``None`` if no true fact decides it.
    """
    if fact.kind == "label":
        if fact.value not in (0.0, 1.0):
            return None
        certain = {other.value for other in gold} & {0.0, 1.0}
        return None if not certain else fact.value in certain
    task = get_task(TASK_OF[fact.kind])
    if fact.kind == "reg":
        return bool(task.is_correct([fact.text], [other.text for other in gold]))
    golds = [answer for other in gold if task.decides(answer := _answer(other))]
    if not golds:
        return None
    answer = _answer(fact)
    return any(task.is_correct(answer, other) for other in golds)


def _answer(fact: Fact) -> Any:
    """Return the answer, in gold form, that a fact gives."""
    if fact.kind == "measurement":
        return fact.value
    if fact.kind == "grade":
        return int(fact.value or 0)
    if fact.kind == "findings":
        return dict(fact.labels)
    if fact.kind == "report":
        return {fact.name: fact.text}
    if fact.kind == "rec":
        return [list(box) for box in fact.boxes]
    return {"closed": fact.value == 1.0, "answers": list(fact.answers)}
