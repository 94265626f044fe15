"""Reads findings from report text, to label reports and to find labels that a report contradicts.

A text is cut into sentences (:mod:`imaxray.labeller.sentences`). A mention is a phrase of a label
in a sentence (:mod:`imaxray.labeller.phrases`). What the sentence says about it depends on the cues
that reach it (:mod:`imaxray.labeller.cues`, :mod:`imaxray.labeller.scope`):

- **Negation** ("no", "not seen", "has resolved") makes it 0, over a whole list.
- **Uncertainty** ("possible", "may", "unlikely", "cannot be excluded", "A or B") makes it -1.
- **No mention** is made of what is sought ("evaluate for"), of what an earlier image showed, of
  history, of what is only said not to be new ("no new effusion"), of findings in other organs
  ("laryngeal edema"), and where a removed word (``XXXX``, ``___``) stands between a denial and its
  finding, because nobody knows what it said.
- **Laterality** (:mod:`imaxray.labeller.places`). The words ``left``, ``right`` and ``bilateral``
  (``both``) of the clause of a mention give the patient's side, unless they leave it open. A label
  is present if it is present on any side. ``upper``, ``mid`` or ``lower`` gives the zone of the
  lung.

In a report, a label is 1 if any mention affirms it, else -1 if any mention is uncertain, else 0 if
any mention denies it. A label without a mention is missing, which means unknown. ``No Finding`` is
1 if the text is not empty, no label except Support Devices is 1 or -1, and the text affirms no
other abnormality, such as emphysema or scoliosis. Labels and values mean the same as in CheXpert's
labeller (Irvin et al. 2019); the rules are our own.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from imaxray.labeller.phrases import ANY, ELSEWHERE_AFTER, ELSEWHERE_BEFORE, NORMAL, OTHER, PLAIN
from imaxray.labeller.places import Places, Side, Zone
from imaxray.labeller.scope import Finding, judge
from imaxray.labeller.sentences import sentences
from imaxray.schema import CHEXPERT

LABELLER_VERSION: Final = "3"
"""Version that increases with every change of the labels of any text."""

_DOUBT: Final = re.compile(
    r"\b(?:may|might|could|can(?:not)?|possibl[ey]|probabl[ey]|likely|questionabl[ey]|question"
    r"|suspect\w*|suspicio\w*|concern\w*|suggest\w*|presum\w*|potential\w*|equivocal|versus|vs"
    r"|borderline|evaluat\w*|assess\w*|exclud\w*|rule[ds]?|history|prior|previous\w*|resol\w+"
    r"|clear(?:ed|ing)|improv\w*|decreas\w*|increas\w*|chang\w*|unchanged|worsen\w*|progress\w*"
    r"|longer|if|unless|should|risk|differential|appearance|mimic\w*|perhaps|limited"
    r"|limits? of|deni\w+|treated|developing|interval|follow\w*|recurren\w*|compar\w*|gone"
    r"|disappear\w*|vanish\w*|xxxx)\b|\?"
)
_PART: Final = re.compile(
    r"\b(?:left|right|upper|middle|lower|apical|basal|large|larger|new|acute|overt|frank|definite"
    r"|significant|substantial|sizable|other|additional|further|gross|convincing|displaced|severe"
    r"|appreciable|discrete|lobar|moderate|tension)\b"
)
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
        zone: Zone of the lung, if the clause names exactly one.
    """

    label: str
    value: int
    side: Side | None
    phrase: str
    plain: bool
    zone: Zone | None = None


def label_report(text: str) -> dict[str, int]:
    """Return the CheXpert labels of a report as 1, 0 or -1, without labels that are not mentioned.

    Args:
        text: Findings, impression or both, in upper or lower case.

    Example:
        >>> label_report("Small left effusion. No pneumothorax. Possible pneumonia.")
        {'Pleural Effusion': 1, 'Pneumonia': -1, 'Pneumothorax': 0}
    """
    said: dict[str, set[int]] = {}
    for mention in _all(text):
        said.setdefault(mention.label, set()).add(mention.value)
    labels: dict[str, int] = {
        label: next(value for value in (1, -1, 0) if value in said[label])
        for label in CHEXPERT
        if label in said
    }
    found = any(v != 0 for label, v in labels.items() if label not in _NOT_AN_ABNORMALITY)
    if text.strip() and not found and 1 not in said.get(_OTHER, ()):
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
        if _may_accuse(mention):
            said.setdefault(mention.label, set()).add(mention.value if mention.plain else None)
        elif mention.label in said or mention.value != 0:
            # other words for the finding do not accuse, but they can clear
            said.setdefault(mention.label, set()).add(None if mention.value else 0)
    settled = {label: next(iter(values)) for label, values in said.items() if len(values) == 1}
    return {label: value for label, value in sorted(settled.items()) if value is not None}


def mentions(text: str) -> Iterator[Mention]:
    """Yield all mentions of a report in the order of its text.

    Example:
        >>> [(m.label, m.value, m.side) for m in mentions("No edema, small left effusion.")]
        [('Edema', 0, None), ('Pleural Effusion', 1, 'left')]
    """
    return (mention for mention in _all(text) if mention.label != _OTHER)


def _may_accuse(mention: Mention) -> bool:
    if mention.label not in PLAIN:
        return False
    plain = PLAIN[mention.label].search(mention.phrase) is not None
    return plain or mention.phrase.startswith(_NORMAL_MARK)


_NORMAL_MARK: Final = "= "
"""Prefix of the phrase of a mention that denies a label without naming it."""
_OTHER: Final = "other"
"""Label of abnormalities that are none of CheXpert's; only ``No Finding`` depends on them."""
_ANYWHERE: Final = ("Fracture", "Support Devices")
"""Labels that a phrase names wherever in the body it is, as in CheXpert's labeller."""
_VALUES: Final = {"affirmed": 1, "denied": 0, "doubted": -1}


_SIZE: Final = "small|tiny|trace|minimal|mild|moderate|large|massive|new|stable|persistent|residual"
_ELLIPSIS: Final = re.compile(
    rf"(?:^|\b(?:an?|is|are|has|no|without|{_SIZE}) )(?P<first>left|right)(?:-sided)?"
    r",? (?:and|but|with) (?:no|without) (?:an? )?(?P<second>left|right)(?:-sided)? (?:pleural )?$"
)
"""The words before a finding that is named for two sides at once, of which the second has none."""
_ELLIPSIS_LENGTH: Final = 80  # characters; a bound keeps the time linear in the length


def _all(text: str) -> Iterator[Mention]:
    for sentence in sentences(text):
        yield from _of_sentence(sentence)


@lru_cache(maxsize=50_000)  # reports repeat their sentences, and several readings need each
def _of_sentence(sentence: str) -> tuple[Mention, ...]:
    return tuple(_read(sentence))


def _read(sentence: str) -> Iterator[Mention]:
    found = _found(sentence)
    whole = _in_full(sentence, found)
    if whole != sentence:
        sentence, found = whole, _found(whole)
    if not found:
        return
    doubtful = _DOUBT.search(sentence) is not None
    part = _PART.search(sentence) is not None
    places = Places(sentence, found)
    for finding in _headed(sentence, judge(sentence, found)):
        if finding.status == "unknown":
            continue
        label, words = finding.key, sentence[finding.start : finding.end]
        normal = label.startswith(_NORMAL_MARK)
        if normal:
            if finding.status == "denied":
                continue  # "without a normal heart size" says nothing certain
            yield Mention(
                label.removeprefix(_NORMAL_MARK), -1 if finding.status == "doubted" else 0,
                places.at(finding.start, label), _NORMAL_MARK + words,
                plain=not (doubtful or finding.status == "doubted"),
            )  # fmt: skip
            continue
        # "no large effusion" leaves room for a small one
        yield Mention(
            label, _VALUES[finding.status], places.at(finding.start, label), words,
            plain=not (
                doubtful or finding.status == "doubted" or finding.after_denial
                or (finding.status == "denied" and part)
            ),
            zone=places.zone_at(finding.start),
        )  # fmt: skip


def _in_full(sentence: str, found: Sequence[tuple[str, int, int]]) -> str:
    """Repeat the finding where a sentence names it once for two sides, one of them denied.

    Example:
        >>> _in_full("small left and no right effusion", [("Pleural Effusion", 24, 32)])
        'small left effusion and no right effusion'
    """
    for _, start, end in reversed(found):
        before = _ELLIPSIS.search(sentence, max(0, start - _ELLIPSIS_LENGTH), start)
        if before is not None and before["first"] != before["second"]:
            at = before.end("first")
            sentence = f"{sentence[:at]} {sentence[start:end]}{sentence[at:]}"
    return sentence


def _headed(sentence: str, findings: Sequence[Finding]) -> Iterator[Finding]:
    """Leave out a label that stands as a heading before what is said about it.

    In "cardiomegaly: normal heart size" and "pneumothorax: no pneumothorax", the heading says
    nothing by itself.
    """
    colon = sentence.find(":")
    if colon < 0:
        yield from findings
        return
    later = {finding.key.removeprefix(_NORMAL_MARK) for finding in findings
             if finding.start > colon}  # fmt: skip
    for finding in findings:
        if finding.end > colon or finding.key not in later:
            yield finding


def _found(sentence: str) -> list[tuple[str, int, int]]:
    """Return label, start and end of every phrase in a sentence, in the order of the text."""
    found = [
        (label, match.start(), match.end())
        for label, pattern in ANY.items()
        for match in pattern.finditer(sentence)
        if label in _ANYWHERE or not _elsewhere(sentence, match.start(), match.end())
    ]
    found += [
        (_NORMAL_MARK + label, match.start(), match.end())
        for label, pattern in NORMAL.items()
        for match in pattern.finditer(sentence)
    ]
    found += [(_OTHER, match.start(), match.end()) for match in OTHER.finditer(sentence)]
    return sorted(found, key=lambda item: (item[1], item[0]))


def _elsewhere(sentence: str, start: int, end: int) -> bool:
    """Return whether the finding is in an organ outside the lungs, pleura and heart."""
    before, after = sentence[max(0, start - 40) : start], sentence[end : end + 40]
    return ELSEWHERE_BEFORE.search(before) is not None or ELSEWHERE_AFTER.match(after) is not None
