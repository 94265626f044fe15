"""Reads findings from report text, to label reports and to find labels that a report contradicts.

Sentences end at full stops, semicolons, line ends and words like ``but`` and ``however``; clauses
end at commas, ``and`` and ``with``. A mention is a phrase of a label
(:mod:`imaxray.labeller.phrases`).

- **Negation.** Words like ``no``, ``without`` and ``free of`` deny the phrases that follow in their
  clause, and in the later clauses of the sentence up to the last one with ``or``. Words like
  ``not``, ``absent``, ``none``, ``resolved`` and ``cleared`` deny their whole clause.
- **Uncertainty.** Words like ``may``, ``possible``, ``likely``, ``suspected``, ``cannot be
  excluded``, ``versus`` and ``borderline`` make the mentions of their clause uncertain, negated or
  not.
- **Laterality.** The word ``left``, ``right`` or ``bilateral`` (``both``) that is nearest to the
  mention in its clause gives the patient's side. A label is present if it is present on any side.
- **No mention.** A sentence about what is looked for (``evaluate for``, ``question of``) or about
  history has no mentions. An effusion in another place (pericardial, joint) is not a mention.

In a report, a label is 1 if any mention affirms it, else -1 if any mention is uncertain, else 0 if
any mention denies it. A label without a mention is missing, which means unknown. ``No Finding`` is
1 if the text is not empty and no label except Support Devices is 1 or -1. Labels and values mean
the same as in CheXpert's labeller (Irvin et al. 2019); the rules are our own and fewer.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final, Literal

from imaxray.labeller.phrases import ANY, NORMAL, PLAIN
from imaxray.schema import CHEXPERT

LABELLER_VERSION: Final = "1"
"""Version that increases with every change of the labels of any text."""

Side = Literal["left", "right", "both"]

_SENTENCE: Final = re.compile(r"[.;\n]+(?=\s|$)|\b(?:but|however|although|except|otherwise)\b")
_CLAUSE: Final = re.compile(r",|\band\b|\bwith\b")
_OR: Final = re.compile(r"\b(?:n?or)\b")
_NO: Final = re.compile(r"\b(?:no|without|free of|negative for|absence of|clear of)\b")
_NOT: Final = re.compile(r"\b(?:not|absent|none)\b|: *no\b *$")
_GONE: Final = re.compile(r"\b(?:resolved|cleared|has resolved|removed|no longer)\b")
_UNSURE: Final = re.compile(
    r"\b(?:may|might|could|can(?:not)?(?: be)?(?: entirely)? exclude\w*|not (?:be )?excluded"
    r"|possibl[ey]|probabl[ey]|likely|questionabl[ey]|question|suspect\w*|suspicio\w*|concern\w*"
    r"|suggest\w*|presum\w*|potential\w*|equivocal|versus|vs|borderline|top[- ]normal"
    r"|upper limits?|perhaps|differential|if clinically|rule[ds]? out|representing)\b|\?"
)
_SOUGHT: Final = re.compile(
    r"\b(?:evaluat\w* for|assess\w* for|history of|r/o|rule out|indication|question of|concern for"
    r" (?:history))\b"
)
_DOUBT: Final = re.compile(
    r"\b(?:may|might|could|can(?:not)?|possibl[ey]|probabl[ey]|likely|questionabl[ey]|question"
    r"|suspect\w*|suspicio\w*|concern\w*|suggest\w*|presum\w*|potential\w*|equivocal|versus|vs"
    r"|borderline|evaluat\w*|assess\w*|exclud\w*|rule[ds]?|history|prior|previous\w*|resol\w+"
    r"|clear(?:ed|ing)|improv\w*|decreas\w*|increas\w*|chang\w*|unchanged|worsen\w*|progress\w*"
    r"|longer|if|unless|should|risk|differential|appearance|mimic\w*|perhaps|limited"
    r"|limits? of|deni\w+|treated|developing|interval|follow\w*|recurren\w*|compar\w*)\b|\?"
)
_PART: Final = re.compile(
    r"\b(?:left|right|upper|middle|lower|apical|basal|large|larger|new|acute|overt|frank|definite"
    r"|significant|substantial|sizable|other|additional|further|gross|convincing|displaced|severe"
    r"|appreciable|discrete|lobar|moderate|tension)\b"
)
_ELSEWHERE: Final = re.compile(
    r"\b(?:pericardial|soft[- ]tissue|joint|subcutaneous|breast|cerebral|peripheral)\s*$"
)
_SIDE: Final = re.compile(r"\b(left|right|bilateral(?:ly)?|both|biapical|bibasilar)\b")
_NO_FINDING: Final = "No Finding"
_NOT_AN_ABNORMALITY: Final = (_NO_FINDING, "Support Devices")


@dataclass(frozen=True)
class Mention:
    """Describes one phrase of a label in a report.

    Attributes:
        label: One of CheXpert's 14 labels.
        value: 1 affirmed, 0 denied, -1 uncertain.
        side: Side of the patient, if the clause names one.
        phrase: Words that were found, in lower case.
        plain: Whether the statement is so plain that it may contradict a label: it has no doubt,
            change, part or comparison.
    """

    label: str
    value: int
    side: Side | None
    phrase: str
    plain: bool


def label_report(text: str) -> dict[str, int]:
    """Return the CheXpert labels of a report as 1, 0 or -1, without labels that are not mentioned.

    Args:
        text: Findings, impression or both, in upper or lower case.

    Example:
        >>> label_report("Small left effusion. No pneumothorax. Possible pneumonia.")
        {'Pleural Effusion': 1, 'Pneumonia': -1, 'Pneumothorax': 0}
    """
    said: dict[str, set[int]] = {}
    for mention in mentions(text):
        said.setdefault(mention.label, set()).add(mention.value)
    labels: dict[str, int] = {
        label: next(value for value in (1, -1, 0) if value in said[label])
        for label in CHEXPERT
        if label in said
    }
    found = any(v != 0 for label, v in labels.items() if label not in _NOT_AN_ABNORMALITY)
    if text.strip() and not found:
        labels[_NO_FINDING] = 1
    return labels


def stated(report: str) -> dict[str, int]:
    """Return the labels that a report always plainly affirms (1) or always plainly denies (0).

    Doubt, comparison, one side only, or both values in one report decide nothing. The function is
    made to contradict labels rarely, not to label reports.

    Example:
        >>> stated("There is no pneumothorax. Possible small effusion.")
        {'Pneumothorax': 0}
    """
    said: dict[str, set[int | None]] = {}
    for mention in mentions(report):
        if mention.label in PLAIN and _may_accuse(mention):
            value = mention.value if mention.plain else None
            said.setdefault(mention.label, set()).add(value)
    settled = {label: next(iter(values)) for label, values in said.items() if len(values) == 1}
    return {label: value for label, value in sorted(settled.items()) if value is not None}


def mentions(text: str) -> Iterator[Mention]:
    """Yield all mentions of a report in the order of its text."""
    for sentence in _SENTENCE.split(text.lower()):
        yield from _of_sentence(" ".join(sentence.split()))


def _may_accuse(mention: Mention) -> bool:
    plain = PLAIN[mention.label].search(mention.phrase) is not None
    return plain or mention.phrase.startswith(_NORMAL_MARK)


_NORMAL_MARK: Final = "= "
"""Prefix of the phrase of a mention that denies a label without naming it."""


def _of_sentence(sentence: str) -> Iterator[Mention]:
    if _SOUGHT.search(sentence):
        return
    doubtful = _DOUBT.search(sentence) is not None
    clauses = _CLAUSE.split(sentence)
    last_or = max((k for k, clause in enumerate(clauses) if _OR.search(clause)), default=-1)
    after_no = False  # an earlier clause denies, and its "no" may reach this one
    for number, clause in enumerate(clauses):
        denial = _NO.search(clause)
        gone = _GONE.search(clause) is not None
        unsure = _UNSURE.search(clause) is not None
        for label, start, end in _found(clause):
            before = denial is not None and denial.start() < start
            denied = before or gone or _NOT.search(clause) is not None
            reached = after_no and not denied
            far = reached and number > last_or  # it is unclear whether the "no" applies
            no = denied or (reached and not far)
            value = -1 if unsure else 0 if no else 1
            # "no large effusion" leaves room for a small one
            part = no and _PART.search(sentence) is not None
            yield Mention(
                label, value, _side(clause, start), clause[start:end],
                plain=not (doubtful or unsure or gone or far or part),
            )  # fmt: skip
        for label, normal in NORMAL.items():
            if match := normal.search(clause):
                value = -1 if unsure else 0
                plain = not (doubtful or unsure or denial is not None)
                yield Mention(label, value, None, _NORMAL_MARK + match.group(), plain)
        after_no = after_no or denial is not None


def _found(clause: str) -> Sequence[tuple[str, int, int]]:
    """Return label, start and end of every phrase in a clause, in the order of the text."""
    found = [
        (label, match.start(), match.end())
        for label, pattern in ANY.items()
        for match in pattern.finditer(clause)
        if not _ELSEWHERE.search(clause[: match.start()])
    ]
    return sorted(found, key=lambda item: (item[1], item[0]))


def _side(clause: str, at: int) -> Side | None:
    """Return the side that is named nearest to a position, or ``both`` if both are named."""
    said = [(abs(match.start() - at), match.group(1)) for match in _SIDE.finditer(clause)]
    if not said:
        return None
    names = {name for _, name in said}
    nearest = min(said)[1]
    if names >= {"left", "right"} or nearest not in ("left", "right"):
        return "both"
    return "left" if nearest == "left" else "right"
