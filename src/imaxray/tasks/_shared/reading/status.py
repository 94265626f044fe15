"""Reads the words that say whether something is present, such as absent, not seen, possible."""

from __future__ import annotations

import re
from typing import Final

_SEEN: Final = (
    r"(?:present|seen|visible|visuali[sz]ed|detected|identified|observed|noted|found|evident"
    r"|appreciated|demonstrated|apparent|shown|there|indicated|suspected|suggested|confirmed)"
)
_UNSTATED: Final = re.compile(
    r"(?:not (?:mentioned|assess\w+|evaluat\w+|applicable|stated|specified|reported|available|sure"
    r"|known|determin\w+|provided)|n/?a|unknown|unable to|cannot (?:assess|evaluate|determine)"
    r"|cannot be (?:assessed|evaluated|determined)|indeterminable|null|blank|[-–—]|nan)(?:\b|$)"
)
_DOUBT: Final = re.compile(
    r"(?:(?:can ?not|can't|not|cannot be|not be)(?: (?:be|entirely|completely|fully))*"
    r" (?:exclude\w*|ruled? out)|possibl[ey]|uncertain|unsure|maybe|perhaps|probabl[ey]|likely"
    r"|suspected|suspicious|suspicion|equivocal|indeterminate|questionable|unclear|borderline"
    r"|may be"
    r"|can(?:no|')?t (?:tell|say)"
    r"|can ?not (?:tell|say)|hard to (?:tell|say)|might be|could be|undetermined"
    r"|low probability|potential(?:ly)?|presumed|-1(?:\.0)?(?![\d.])"
    r"|\?+$|cannot (?:exclude|rule out))(?:\b|$)?"
)
_ABSENT: Final = re.compile(
    rf"(?:no|n|not (?:\w+ ){{0,2}}{_SEEN}|not|none|absent|negative|false|0(?:\.0)?(?![\d.%])|nil"
    r"|never|neither|ruled out|excluded|resolved|denied|normal|unremarkable|clear|without|unlikely"
    r"|no longer|cleared|removed|isn't|isnt|lacking|nothing)(?:\b|$)|[✗✘❌☐×✖]"
)
_UNCHANGED: Final = re.compile(
    r"(?:no (?:significant |interval |substantial )*(?:change|improvement)"
    r"|not (?:significantly )?(?:changed|improved|resolved|worse\w*)|unchanged|stable|persist\w+)\b"
)
_PRESENT: Final = re.compile(
    rf"(?:yes|yep|yeah|y|true|1(?:\.0)?(?![\d.%])|positive|definite\w*|affirmative|{_SEEN}"
    r"|mild(?:ly)?|moderate(?:ly)?|severe(?:ly)?|small|large|trace|tiny|minimal|slight|marked"
    r"|left\b|right\b|bilateral(?:ly)?|in place)(?:\b|$)|[✓✔✅☑]|\+(?:$|\s)"
)


def status_of(text: str) -> int | str | None:
    """Return what the words of a status say: 1 present, 0 absent, -1 uncertain.

    Returns:
        ``"unstated"`` if the words say that nothing is stated (``n/a``); ``None`` if the text is no
        status.

    Example:
        >>> status_of("Yes (mild)"), status_of("not seen"), status_of("cannot be excluded")
        (1, 0, -1)
        >>> status_of("n/a"), status_of("the left base")
        ('unstated', None)
    """
    words = " ".join(text.lower().strip(" \t\r\n.\"'`()[]*:;,!").split()) or text.strip()
    words = re.sub(r"^(?:is|are|was|it is|appears?|status:?|there (?:is|are))\s+", "", words)
    if words == "":
        return None
    if words[0] in "❓❔⚠":
        return -1
    for pattern, value in (
        (_DOUBT, -1), (_UNSTATED, "unstated"), (_UNCHANGED, 1), (_ABSENT, 0), (_PRESENT, 1),
    ):  # fmt: skip
        if pattern.match(words):
            return value
    return None
