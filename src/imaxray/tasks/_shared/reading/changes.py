"""Reads answers to questions that ask for an absence or for a change since an earlier image.

"Is the film free of pneumothorax?" and "Has the effusion resolved?" are true if the finding is
absent; "Has the effusion decreased?" is true if the answer says so, not if it names an effusion.
"""

from __future__ import annotations

import re
from typing import Final, Literal

from imaxray.tasks._shared.reading.sentences import affirmed

Change = Literal["more", "less", "same", "gone", "new"]

_ABSENT: Final = re.compile(
    r"^(?!(?:is|are|was|were) there\b).*\b(?:free (?:of|from)|clear of|devoid of|without"
    r"|absen(?:t|ce)|negative for|lack(?:s|ing)?"
    r"|exclu\w+|rul(?:ed?|ing) out|not (?:visible|present|seen|evident|identified|detected))\b"
    r"|^(?:is|are|was|were) there (?:an |the |any )?(?:absence|lack) of\b"
    r"|^(?:is|are|was|were) (?:there|it true that there (?:is|are)) (?:no|not any)\b"
    r"|^(?:does|do|did) \w+(?: \w+){0,4} (?:show|have|demonstrate|contain) no\b"
)
_NEGATIVE: Final = re.compile(r"\b(?:no|not)\b")
_WORDS: Final[dict[Change, str]] = {
    "gone": r"(?:completely |fully |entirely )?(?:resolved|cleared(?: up)?|disappeared|gone"
    r"|vanished|resolution|subsided|been removed|been withdrawn|removed|withdrawn"
    r"|drained|evacuated)"
    r"|no longer (?:\w+ )?(?:seen|visible|present|identified|evident|there)",
    "same": r"unchanged|stable|stability|(?:the )?same(?! side)|similar|constant|persist\w*"
    r"|as before"
    r"|(?:no|not|without|hasn't|haven't)(?: \w+){0,3} chang\w+|remain(?:s|ed)?|still (?:\w+ ){0,3}?"
    r"(?:present|seen|visible|there|in place)|still",
    "less": r"decreas\w+|smaller|less(?! than \d)|improv\w+|better|reduc\w+|regress\w+|diminish\w+"
    r"|reced\w+|lower|shrunk|shrink\w*|partial(?:ly)? (?:resol\w+|cleared)|clearing|resolving"
    r"|lessened|fell|down",
    "more": r"increas\w+|larger|bigger|greater|wors\w+|progress(?:ed|ion|ing|ive)|grown|growth"
    r"|expanded|enlarg(?:ed|ing|ement)|more|extended|higher|deteriorat\w+|denser|rose",
    "new": r"new(?:ly)?|developed|appeared|arisen|de novo|emerged",
}
_PATTERNS: Final = {change: re.compile(rf"\b(?:{words})\b") for change, words in _WORDS.items()}
_ANY_CHANGE: Final = re.compile(
    r"\b(?:chang(?:ed?|es|ing)|different|difference|evolved|interval change)\b"
)
_SINCE: Final = re.compile(
    r"\b(?:than(?! (?:normal|expected|usual|half|it should|\d))|compar\w+|since|interval|prior"
    r"|previous\w*|before|earlier|last|relative to|over time|getting|becoming|worse\w*|better"
    r"|improv\w+|progress\w*|regress\w*|smaller|larger|bigger|resolving|growing|shrinking)\b"
)
_HAS: Final = re.compile(r"^(?:has|have|had|did)\b")
_THAN_NORMAL: Final = re.compile(r"\bthan (?:normal|expected|usual|half|it should|\d)")
_OF_BOTH_SIDES: Final = re.compile(r"\b(left|right)\b.*\bthan\b.*\b(left|right)\b")
_SIDE: Final = re.compile(r"\b(left|right)\b")
_NOUN_OF_CHANGE: Final = re.compile(
    r"\b(?:interval )?(?:increase|decrease|improvement|worsening|growth|progression|reduction"
    r"|resolution|change|deterioration|clearing)\b"
)
_OF_TIME: Final = ("gone", "same", "new")
_OLD: Final = re.compile(
    r"\b(?:already|chronic|old|known|longstanding|long-standing|pre-?existing|previously (?:seen"
    r"|present|noted|described)|(?:seen|present|noted|visible) (?:on|in) the (?:prior|previous"
    r"|earlier))\b"
)
_DENIED: Final = re.compile(
    r"\b(?:no|not|never|without|neither|nor|hasn't|haven't|isn't|aren't|didn't)"
    r"(?: (?!but\b|only\b)[\w-]+){0,4}? $"
)
_NOT_YET: Final = re.compile(r"^\W*not yet\b")
_STATE: Final = re.compile(r"\b(?:stable|still|remain\w*|unchanged|persist\w*)\b")
_PERSISTS: Final = re.compile(r"\b(?:still|remain\w*|persist\w*)\b")
_NORMAL: Final = re.compile(
    r"\b(?:normal|unremarkable|clear(?! of)|intact|sharp|preserved|healthy|midline)\b"
)
_BETTER: Final = re.compile(r"\b(?:aerat|ventilat|lung volume|inflat|inspirat|expan)\w*")


def asks_absence(asked: str) -> bool:
    """Return whether a question is true if the finding that it names is absent.

    Example:
        >>> asks_absence("is the film free of pneumothorax")
        True
        >>> asks_absence("is there a pneumothorax")
        False
    """
    return _ABSENT.search(asked) is not None and _NORMAL.search(asked) is None


def is_negative_question(asked: str) -> bool:
    """Return whether a question holds a "no", so that people answer it by "no" if it is true.

    Example:
        >>> is_negative_question("is there no effusion"), is_negative_question("is it absent")
        (True, False)
    """
    return _NEGATIVE.search(asked) is not None and asks_absence(asked)


def change_asked(asked: str) -> Change | Literal["any"] | None:
    """Return the change that a question asks for; ``None`` if it asks for none.

    Words such as "increased" name a state in "Is the heart size increased?", and a change in "Has
    the effusion increased?" or "increased since".

    Example:
        >>> change_asked("has the effusion decreased"), change_asked("is the heart size increased")
        ('less', None)
    """
    if _THAN_NORMAL.search(asked):
        return None
    compared = _HAS.match(asked) is not None or _SINCE.search(asked) is not None
    if re.match(r"(?:is|are|was|were|has|have) there\b", asked):
        if _PATTERNS["new"].search(asked):
            return "new"
        compared = _NOUN_OF_CHANGE.search(asked) is not None
    for change, pattern in _PATTERNS.items():
        if pattern.search(asked) and (compared or change in _OF_TIME):
            if change == "same" and not _STATE.search(asked) and not compared:
                continue
            return change
    return "any" if _ANY_CHANGE.search(asked) and (compared or "change" in asked) else None


def said_change(text: str, asked: str, change: Change | Literal["any"]) -> bool | None:
    """Return whether an answer affirms or denies the change that is asked for.

    Args:
        text: The answer, in lower case.
        asked: The question, in lower case.
        change: The change that the question asks for.

    Example:
        >>> said_change("it has increased.", "has the effusion decreased", "less")
        False
    """
    if _NOT_YET.match(text):
        return change == "same"
    affirms, denies = _changes(text)
    of_sides = _OF_BOTH_SIDES.search(asked)
    if of_sides is not None:
        return _of_sides(text, of_sides.group(1), affirms, change)
    if _BETTER.search(asked):  # more air is better
        affirms = {_SWAPPED.get(one, one) for one in affirms} if "improv" in asked else affirms
    if change == "any":
        if affirms - {"same"}:
            return True
        return False if "same" in affirms or "any" in denies else None
    if change in affirms:
        return True
    if change == "less" and "gone" in affirms:
        return True
    if change == "new" and (affirms & {"same", "less", "more", "gone"} or _OLD.search(text)):
        return False
    if change in denies or affirms - {"any"}:
        return False
    return None


def is_of_persistence(asked: str) -> bool:
    """Return whether a question asks if a finding is still there.

    Example:
        >>> is_of_persistence("is there still an effusion")
        True
    """
    return _PERSISTS.search(asked) is not None


def _of_sides(text: str, first: str, affirms: set[str], change: str) -> bool | None:
    """Read which side is larger: "Is the left effusion larger than the right?"."""
    side = _SIDE.search(text)
    if "same" in affirms or re.search(r"\b(?:equal|symmetric\w*|both)\b", text):
        return False
    if side is None:
        return None
    if change in affirms:
        return side.group() == first
    return side.group() != first if _SWAPPED.get(change) in affirms else None


_SWAPPED: Final[dict[str, str]] = {"more": "less", "less": "more"}


def _changes(text: str) -> tuple[set[str], set[str]]:
    affirms: set[str] = set()
    denies: set[str] = set()
    rest = text
    for change, pattern in _PATTERNS.items():
        for match in pattern.finditer(text):
            if rest[match.start() : match.end()] != match.group():
                continue  # part of a longer expression, e.g. "not changed"
            clause = re.split(r"[,.;]|\bbut\b", text[: match.start()])[-1]
            if change != "same" and _DENIED.search(clause):
                denies.add(change)
            elif change == "gone" and affirmed(text, match.start(), match.end()) == -1:
                continue
            else:
                affirms.add(change)
            rest = f"{rest[: match.start()]}{'#' * len(match.group())}{rest[match.end() :]}"
    if _ANY_CHANGE.search(rest):
        (denies if re.search(r"\b(?:no|not)\b", rest) else affirms).add("any")
    return affirms, denies
