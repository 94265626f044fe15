"""Reads yes/no answers about a finding and compares them with the label of the finding."""

from __future__ import annotations

from collections.abc import Mapping

from imaxray.clinical.cases import Verdict
from imaxray.clinical.rule import ClinicalRule


def answered(question: str, answer: str) -> tuple[str, int] | None:
    """Return the finding that a yes/no answer is about, and 1 (present) or 0 (absent).

    Args:
        question: Question that asks for one finding and nothing else.
        answer: Answer to the question, ``yes`` or ``no``.

    Returns:
        ``None`` if the question asks for anything else, if the answer is neither yes nor no, or if
        a ``no`` is about only a part of the chest, because the finding may be in another part.

    Example:
        >>> answered("Is there edema?", "no")
        ('Edema', 0)
        >>> answered("Is there edema in the left lung?", "no") is None
        True
    """
    from imaxray.labeller import asked  # late: its patterns take a tenth of a second to compile

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
    """Compare an answer with the labels of its image.

    Args:
        rule: The clinical rule ``question-label``.
        question: Question that asks for one finding.
        answer: Answer to the question, ``yes`` or ``no``.
        labels: Finding → 1 or 0; uncertain and unknown findings are ``None`` or missing.

    Returns:
        The finding and the verdict; ``None`` if the answer states nothing about a single finding.
    """
    said = answered(question, answer)
    return None if said is None else (said[0], rule.verdict(said[1], labels.get(said[0])))
