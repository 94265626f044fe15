"""What a yes/no answer says of a finding, and whether the label of that finding contradicts it."""

from __future__ import annotations

from collections.abc import Mapping

from imaxray.clinical.cases import Verdict
from imaxray.clinical.rule import ClinicalRule
from imaxray.labeller import asked


def answered(question: str, answer: str) -> tuple[str, int] | None:
    """The finding that a yes/no answer is about, and 1 (present) or 0 (absent).

    Args:
        question: asks for one finding and nothing else.
        answer: ``yes`` or ``no``.

    Returns:
        ``None`` where the question asks for anything else, the answer is another one, or a ``no``
        is said of a part of the chest only: the finding may be in another part.

    Example:
        >>> answered("Is there edema?", "no")
        ('Edema', 0)
        >>> answered("Is there edema in the left lung?", "no") is None
        True
    """
    found = asked(question) if answer in ("yes", "no") else None
    if found is None:
        return None
    label, whole = found
    if answer == "yes":
        return label, 1
    return (label, 0) if whole else None


def answer_verdict(
    rule: ClinicalRule, question: str, answer: str, labels: Mapping[str, float | None]
) -> tuple[str, Verdict] | None:
    """Judge an answer by the labels of its image.

    Args:
        rule: ``question-label``.
        question: asks for one finding.
        answer: ``yes`` or ``no``.
        labels: finding → 1 or 0; uncertain and unknown ones are ``None`` or left out.

    Returns:
        The finding and the verdict; ``None`` where the answer says nothing of one finding.
    """
    said = answered(question, answer)
    return None if said is None else (said[0], rule.verdict(said[1], labels.get(said[0])))
