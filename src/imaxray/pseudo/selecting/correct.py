"""When an answer is right: one rule a task, with the tolerance said."""

from __future__ import annotations

import re
from typing import Any, Final

from pydantic import BaseModel, ConfigDict, Field

from imaxray.labeller import label_report, mentions
from imaxray.metrics import normalise, token_f1
from imaxray.metrics.grounding import matched_ious
from imaxray.tasks import from_json, get_task
from imaxray.tasks.findings import known
from imaxray.tasks.report import joined
from imaxray.tasks.vqa import closed_correct, gold_text

_SIDES: Final = {
    "left": "left", "right": "right", "bilateral": "both", "bilaterally": "both", "both": "both",
    "bibasilar": "both", "biapical": "both",
}  # fmt: skip
_HAIR: Final = 1e-9  # whatever binary floats say, a value at the tolerance is within it


class Tolerances(BaseModel):
    """How far an answer may be from the gold answer and still teach the right thing."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    ratio: float = Field(0.05, gt=0, lt=1, description="calculation: greatest absolute error")
    grade: int = Field(0, ge=0, le=3, description="grading: greatest distance of grades")
    findings: float = Field(
        1.0, gt=0, le=1, description="findings: least F1 of the labels that are known; 1: all right"
    )
    report: float = Field(
        0.8, gt=0, le=1, description="report: least F1 of the labels that the labeller reads"
    )
    iou: float = Field(0.5, gt=0, le=1, description="rec: least mean IoU of the matched boxes")
    phrase: float = Field(0.5, gt=0, le=1, description="reg: least token F1 of the phrases")
    words: float = Field(0.5, gt=0, le=1, description="vqa, open questions: least token F1")


DEFAULT: Final = Tolerances()


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
    truth = from_json(gold)
    given = None if answer is None else get_task(task).given(from_json(answer))
    if task == "findings" and not known(truth):
        return None
    if given is None:
        return False
    match task:
        case "calculation":
            return bool(abs(given - truth) <= tolerances.ratio + _HAIR)
        case "grading":
            return bool(abs(given - truth) <= tolerances.grade)
        case "findings":
            return _findings(truth, given, tolerances.findings)
        case "report":
            same = _f1(_positive(joined(truth)), _positive(joined(given)))
            return same >= tolerances.report - _HAIR
        case "rec":
            mean = sum(matched_ious(truth, given)) / max(len(truth), len(given))
            return mean >= tolerances.iou - _HAIR
        case "reg":
            return any(_phrase(phrase, given, tolerances.phrase) for phrase in truth)
    if truth["closed"]:
        return bool(closed_correct(truth, given))
    wanted = gold_text(truth)
    return sides(wanted) == sides(given) and token_f1(wanted, given) >= tolerances.words - _HAIR


def alike(one: str, other: str) -> float:
    """Token F1 of two phrases; 0 where both name sides, and different ones."""
    first, second = sides(one), sides(other)
    return 0.0 if first and second and first != second else token_f1(one, other)


def sides(text: str) -> frozenset[str]:
    """Sides that a phrase names, the patient's; ``bilateral`` is left and right."""
    found = {_SIDES[word] for word in re.findall(r"[a-z]+", text.lower()) if word in _SIDES}
    return frozenset({"left", "right"} if "both" in found else found)


def named(text: str) -> frozenset[str]:
    """Labels that a phrase names and does not deny."""
    return frozenset(mention.label for mention in mentions(text) if mention.value != 0)


def _phrase(gold: str, given: str, least: float) -> bool:
    if normalise(gold) == normalise(given):
        return True
    same = sides(gold) == sides(given) and named(gold) == named(given)
    return same and token_f1(gold, given) >= least - _HAIR


def _findings(gold: Any, given: Any, least: float) -> bool:
    certain = known(gold)
    wanted = {label for label, value in certain.items() if value == 1}
    judged = {label for label, value in given.items() if value == 1 and label in certain}
    return _f1(frozenset(wanted), frozenset(judged)) >= least - _HAIR


def _positive(text: str) -> frozenset[str]:
    """Labels that a report affirms or suspects, as CheXbert's F1 counts them."""
    return frozenset(label for label, value in label_report(text).items() if value != 0)


def _f1(one: frozenset[str], other: frozenset[str]) -> float:
    return 2 * len(one & other) / (len(one) + len(other)) if one or other else 1.0
