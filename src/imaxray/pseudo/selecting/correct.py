"""Decides whether an answer is right; each task does so within its tolerance."""

from __future__ import annotations

from imaxray.metrics import token_f1
from imaxray.tasks import Tolerances, from_json, get_task
from imaxray.tasks._shared.tolerances import DEFAULT
from imaxray.tasks._shared.wording import sides

__all__ = ["DEFAULT", "Tolerances", "alike", "correct"]


def correct(
    task: str,
    answer: str | None,
    gold: str,
    template: str,  # noqa: ARG001 - callers pass it, but no task needs it
    tolerances: Tolerances = DEFAULT,
) -> bool | None:
    """Return whether an answer is right.

    ============  ================================================================================
    task          right when
    ============  ================================================================================
    calculation   within 0.05 of the gold ratio
    grading       the same grade
    findings      exactly the positive labels are named, among those that the gold answer states
                  with certainty; other labels are not judged
    report        the rule-based labeller reads nearly the same labels (F1 at least 0.8); two
                  reports without any label agree
    rec           mean IoU of boxes matched one to one at least 0.5; a surplus or missing box is 0
    reg           equal to a gold phrase, or token F1 at least 0.5, same sides and same labels
    vqa           closed: yes/no, or the answers, are equal; open: token F1 at least 0.5, same sides
    other tasks   :meth:`imaxray.tasks.Task.is_correct` of the task decides
    ============  ================================================================================

    Args:
        task: Name of the task.
        answer: Canonical JSON of the answer in gold form; ``None`` if it is unreadable, and then it
            is wrong.
        gold: Canonical JSON of the gold answer.
        template: Template id of the entry.
        tolerances: Tolerances that replace the numbers in the table.

    Returns:
        ``None`` if the gold answer decides nothing, e.g. if all its labels are uncertain.
    """
    judge, truth = get_task(task), from_json(gold)
    if not judge.decides(truth):
        return None
    return answer is not None and judge.is_correct(from_json(answer), truth, tolerances)


def alike(one: str, other: str) -> float:
    """Return the token F1 of two phrases, or 0 if they name different sides."""
    first, second = sides(one), sides(other)
    return 0.0 if first and second and first != second else token_f1(one, other)
