"""When an answer is right: each task says so, to a stated tolerance."""

from __future__ import annotations

from imaxray.metrics import token_f1
from imaxray.tasks import Tolerances, from_json, get_task
from imaxray.tasks.tolerances import DEFAULT
from imaxray.tasks.wording import sides

__all__ = ["DEFAULT", "Tolerances", "alike", "correct"]


def correct(
    task: str,
    answer: str | None,
    gold: str,
    template: str,  # noqa: ARG001 - scoring gives it; none of today's rules needs it
    tolerances: Tolerances = DEFAULT,
) -> bool | None:
    """Whether an answer is right.

    ============  ================================================================================
    task          right when
    ============  ================================================================================
    calculation   within 0.05 of the gold ratio
    grading       the very grade
    findings      of the labels that the gold states with certainty exactly the positive ones are
                  named; labels it does not know are not judged
    report        the rule-based labeller reads nearly the same labels: F1 at least 0.8; two reports
                  without any label agree
    rec           mean IoU of boxes matched one to one at least 0.5, a box too many or too few is 0
    reg           token F1 with one of the gold phrases at least 0.5, same sides, same labels
    vqa           closed: yes/no, or the set, is equal; open: token F1 at least 0.5, the same sides
    other tasks   as :meth:`imaxray.tasks.Task.is_correct` of the task says
    ============  ================================================================================

    Args:
        task: of the answer.
        answer: canonical JSON in the gold's form; null: could not be read, which is wrong.
        gold: canonical JSON of the gold answer.
        template: of the answer's entry.
        tolerances: instead of the numbers above.

    Returns:
        ``None`` where the gold decides nothing, e.g. knows none of the labels.
    """
    judge, truth = get_task(task), from_json(gold)
    if not judge.decides(truth):
        return None
    return answer is not None and judge.is_correct(from_json(answer), truth, tolerances)


def alike(one: str, other: str) -> float:
    """Token F1 of two phrases; 0 where both name sides, and different ones."""
    first, second = sides(one), sides(other)
    return 0.0 if first and second and first != second else token_f1(one, other)
