"""Treats the gaps that de-identification left in report text: ``___``, ``XXXX``, ``[** … **]``.

A gap may stand for a date or a name, which says nothing about the image, or for a word on which the
meaning hangs: "No XXXX airspace disease" does not say that there is no airspace disease.

By the rule (``rule``), a gap is closed in four cases:

- It is a date or a name after a word that expects one, and goes with its preposition: "the study of
  ___", "compared to ___", "since ___".
- It is the end of "x-ray" ("chest x-XXXX"), which is written out.
- It is an attribute between an article, a side, a size or "with" and the word that follows ("a XXXX
  effusion").
- It is the first word of a sentence, before a finding ("XXXX bilateral effusions").

In the last two cases the sentence must deny nothing and call nothing normal, and in the last it
must also have no "or", "acute" or "evidence", as a sentence has that may have begun with "No".
Every other sentence with a gap is left out.
"""

from __future__ import annotations

import re
from collections import Counter
from typing import Final, Literal

Gaps = Literal["rule", "keep", "remove"]
"""``rule`` closes a gap or leaves its sentence out, as the module describes; ``keep`` keeps the
sentence with its gap; ``remove`` removes only the mark, which may change the meaning."""

GAP: Final = r"_{2,}|\bX{4,}\b|(?s:\[\*\*.*?\*\*\])"
"""Matches one gap."""

_GAP: Final = re.compile(rf"(?:{GAP})(?:[\s/:-]*(?:{GAP}))*")
_HOLE: Final = "\x00"  # stands for a gap while its sentence is judged
_SENTENCE: Final = re.compile(r"(?<!\b[Dd]r\.)(?<!\bM[rs]\.)(?<!\bMrs\.)(?<=[.!?])\s+")
_STUDY: Final = (
    r"(?:stud(?:y|ies)|radiographs?|films?|exam(?:ination)?s?|images?|x-?rays?|scans?|reports?|CTs?"
    r"|views?|comparisons?|chest|series|tomograph\w*)"
)
_DATES: Final = tuple(
    re.compile(pattern, re.IGNORECASE)
    for pattern in (
        # "as compared to the previous radiograph of ___" keeps its study and loses the date
        rf"(?<=\b)({_STUDY})\s*,?\s*(?:(?:dated|of|from|on|performed|obtained|done|at)\s+)+\x00"
        r"(?:\s*(?:,|at|on)\s*\x00)*",
        r"()\b(?:(?:as|in|when)\s+)?compar(?:ed|ison)\s+(?:is\s+made\s+)?(?:to|with)\s+\x00"
        r"\s*,?\s*",
        r"()\s*,?\s*\bsince\s+\x00(?=\s*(?:[.,;)]|$))",
    )
)
_X_RAY: Final = re.compile(r"\b([xX])-\x00")
_ATTRIBUTE: Final = re.compile(
    r"\b(an?|the|this|these|those|some|right|left|bilateral|upper|lower|middle|small|large|mild"
    r"|moderate|severe|minimal|subtle|patchy|streaky|linear|with)\s+\x00\s+(?=([A-Za-z]{3,}))",
    re.IGNORECASE,
)
_FIRST: Final = re.compile(
    r"^\s*\x00\s+(?=(?:[A-Za-z-]+\s+){0,3}(?:opacit|opacification|effusion|atelecta|consolidat"
    r"|infiltrat|scar|granuloma|nodul|mass|edema|pneumothora|fracture|calcifi|thickening"
    r"|cardiomegaly|emphysema|fibros|pneumonia|hernia|densit|deformit|catheter|tube|pacemaker))",
    re.IGNORECASE,
)
_MAY_BEGIN_WITH_NO: Final = re.compile(r"\b(?:or|acute|evidence)\b", re.IGNORECASE)
_FUNCTION_WORD: Final = re.compile(
    r"(?:is|are|was|were|has|have|had|of|in|on|at|to|from|with|within|without|and|or|but|nor|may"
    r"|can|could|would|should|which|that|be|been|for|by|as|than|measur\w*|not|no|cm|mm|appear\w*"
    r"|seem\w*|shows?|demonstrat\w*|projects?|remains?|overl\w+|above|below|near|since|due|noted"
    r"|seen|identified|visuali\w+|present|represent\w*|relat\w*|secondary|suggest\w*|compatible"
    r"|consistent|correlat\w*|reflect\w*)",
    re.IGNORECASE,
)
_DENIES: Final = re.compile(
    r"\b(?:no|not|non\w*|n't|without|nor|neither|never|none|absent|absence|negative|free|den(?:y|ie)"
    r"\w*|rul\w+ out|exclud\w*|resol\w*|lack\w*|unlikely|rather|clear\w*|normal\w*|unremarkable"
    r"|intact|within|limits|preserved|unless|except)\b",
    re.IGNORECASE,
)


def without_gaps(text: str, how: Gaps) -> tuple[str, Counter[str]]:
    """Return a text whose gaps are treated, and what was counted.

    Args:
        text: Text of one report section, in one line.
        how: What is done with gaps.

    Returns:
        The text, and the counts ``gaps_closed`` and ``sentences_dropped``.

    Example:
        >>> without_gaps("No XXXX airspace disease. The heart is large.", "rule")
        ('The heart is large.', Counter({'sentences_dropped': 1}))
        >>> without_gaps("Compared to the study of ___, there is a ___ effusion.", "rule")
        ('Compared to the study, there is an effusion.', Counter({'gaps_closed': 2}))
    """
    counts: Counter[str] = Counter()
    if how == "keep" or not _GAP.search(text):
        return text, counts
    if how == "remove":
        plain, closed = _GAP.subn(" ", text)
        return plain, Counter(gaps_closed=closed)
    kept = []
    for sentence in _SENTENCE.split(_GAP.sub(_HOLE, text)):
        gaps = sentence.count(_HOLE)
        whole = _closed(sentence) if gaps else sentence
        if whole is None:
            counts["sentences_dropped"] += 1
            continue
        if gaps:
            counts["gaps_closed"] += gaps
        kept.append(whole)
    return " ".join(kept), counts


def _closed(sentence: str) -> str | None:
    """Return a sentence without its gaps, or None if its meaning may hang on one of them."""
    for dates in _DATES:
        sentence = dates.sub(r"\1", sentence)
    sentence = _X_RAY.sub(r"\1-ray", sentence)
    if not _DENIES.search(sentence):
        sentence = _ATTRIBUTE.sub(_without_attribute, sentence)
        if not _MAY_BEGIN_WITH_NO.search(sentence):
            sentence = _FIRST.sub("", sentence)
    if _HOLE in sentence or len(re.findall(r"[A-Za-z]{2,}", sentence)) < 2:
        return None
    return sentence[:1].upper() + sentence[1:]


def _without_attribute(found: re.Match[str]) -> str:
    before, after = found.group(1), found.group(2)
    if _FUNCTION_WORD.fullmatch(after):
        return found.group()
    if before.lower() in ("a", "an"):
        before = before[0] + ("n" if after[0] in "aeiouAEIOU" else "")
    return f"{before} "
