"""Removes the sentence around a phrase, e.g. ``The region shows …``, and joins lists of phrases."""

from __future__ import annotations

import re
from typing import Final

from imaxray.boxes import PLACEHOLDER

_PLACE: Final = (
    r"(?:(?:(?:this|the|that)\s+)?(?:highlighted |marked |indicated |boxed |selected |specified "
    r"|outlined"
    r" |given |shown |bounded |image |bounding )*(?:region|area|box|location|structure|part|portion"
    r"|finding|roi|image|radiograph|x-?ray|abnormality|lesion|bounding box)|it|this|that|here)"
)
_FRAME: Final = re.compile(
    rf"^(?:in |within |inside |at )?{_PLACE}(?:\s+(?:in|of|at|inside|within|on|labeled|with)"
    rf" (?:the |this )?(?:image|box|region|coordinates|location|x-?ray|radiograph|chest x-?ray"
    rf"|bounding box))?(?:\s*(?:{re.escape(PLACEHOLDER)}|\[[\d., ]+\]))*,?\s*(?:(?:most likely"
    rf"|likely"
    r"|clearly|probably)\s+)?(?:shows?|contains?|corresponds? to|depicts?|represents?|demonstrates?"
    r"|displays?|highlights?|indicates?|covers?|encloses?|reveals?|includes?|is|there is|there are"
    r"|appears to (?:be|show)|you can see|we see|i see|suggests?)(?:\s+(?:most likely|likely"
    r"|consistent"
    r" with|located (?:in|at|on)|of|seen (?:in|at)|the presence of|evidence of|found in|a part of"
    r"|(?:in|at|on)(?= the)))*\s+(?:an?\s+|the\s+)?(?=\S)",
    re.IGNORECASE,
)
_AFTER: Final = re.compile(
    r"[.;]\s+(?=(?:this|the|it|there|as|because|since|i|in|these|which|based|with|note)\b)"
    r"|\n\s*\n",
    re.IGNORECASE,
)
_BY_BOX: Final = re.compile(
    rf"(?:(?:marked|defined|given|bounded|specified|indicated|located|delimited|enclosed"
    rf"|outlined|shown) )?"
    rf"(?:by|at|in|with|inside|within)?(?: (?:the )?(?:bounding box|box|coordinates))?\s*[(:]?\s*"
    rf"{re.escape(PLACEHOLDER)}"
)
_IN_BOX: Final = re.compile(
    r"\s*(?:in|inside|within|at|of)?\s*(?:the |this )?(?:(?:highlighted|marked|given"
    r"|indicated)\s+)?"
    r"(?:region|box|area|location|bounding box|coordinates)?\s*$",
    re.IGNORECASE,
)


_KEY: Final = re.compile(
    r"^(?:the )?(?:label|region|phrase|finding|description|object|structure|name|caption|box"
    r"|location"
    r"|anatomy|area)(?: of (?:the|this) (?:region|box|area))?(?: is)?\s*:\s*(?=\S)",
    re.IGNORECASE,
)
_THERE: Final = re.compile(
    r"^there (?:is|are) (?:an? |the )?(?P<phrase>.+?) (?:in|within|inside|at) (?:this"
    r"|the) (?:highlighted |marked"
    r" |given |indicated )?(?:region|box|area|location|bounding box)\W*$",
    re.IGNORECASE,
)


def phrase_of(text: str, question: str = "") -> str:
    """Return the phrase without the sentence around it and without a sentence that explains it.

    Args:
        text: Answer that should be a phrase.
        question: Open question that was asked, whose words are left out; empty for a region.

    Example:
        >>> phrase_of("The region shows a left pleural effusion. It is small.")
        'left pleural effusion'
    """
    bare = text.strip(" \t\r\n\"'`")
    parts = _AFTER.split(bare)
    first = parts[0].strip() if parts and parts[0].strip() else bare
    first = _KEY.sub("", first)
    if there := _THERE.match(first):
        return there.group("phrase").strip()
    found = _FRAME.match(first)
    inner = first[found.end() :] if found else answering(first, question) if question else first
    return inner.strip(" \t\r\n\"'`.,;:") or text


_CLAUSE: Final = re.compile(
    r"^(?P<subject>(?:the|an?|this|that|these|it|there)\b.{0,80}?"
    r"|\w+(?: \w+){0,3}?)\s+(?P<verb>is|are|was|were)"
    r"\s+(?:(?:located|seen|present|found|situated|visible|noted|identified|shown|visuali[sz]ed)\b\s*)?"
    r"(?:(?:in|at|on|within|over|near)\s+)?(?P<rest>.*)$",
    re.IGNORECASE,
)
_ARTICLE: Final = re.compile(r"^(?:an?|the)\s+", re.IGNORECASE)
_SMALL: Final = frozenset({
    "the", "a", "an", "is", "are", "this", "that", "these", "of", "in", "on", "at", "image",
    "there", "it", "seen", "shown", "visible", "present", "main", "x-ray", "radiograph", "chest", "located",
    "to", "most", "likely", "with", "patient", "finding", "abnormality", "and", "for", "was",
})  # fmt: skip


def answering(text: str, question: str) -> str:
    """Return the part of a sentence that answers an open question, without the question's words.

    Example:
        >>> answering("The nodule is located in the right lung.", "Where is the nodule?")
        'right lung'
        >>> answering("The heart is enlarged.", "Which organ is enlarged?")
        'heart'
    """
    bare = text.strip(" \t\r\n.")
    asked = set(re.findall(r"[a-z][a-z-]*", question.lower())) | _SMALL
    if re.match(r"where\b", question, re.IGNORECASE):
        bare = re.sub(r"^(?:in|on|at|within)\s+(?:the\s+)?", "", bare, flags=re.IGNORECASE)
    found = _CLAUSE.match(bare)
    if found is None:
        return bare
    subject, rest = found.group("subject"), found.group("rest").strip()
    of_subject = set(re.findall(r"[a-z][a-z-]*", subject.lower()))
    of_rest = set(re.findall(r"[a-z][a-z-]*", rest.lower()))
    if rest and of_subject <= asked:
        return _ARTICLE.sub("", rest)
    if of_rest <= asked and not re.search(r"\b(?:no|not)\b", bare.lower()):
        return _ARTICLE.sub("", subject)
    return bare


def without_boxes(text: str) -> str:
    """Remove the boxes that an answer repeats from the prompt.

    Example:
        >>> without_boxes("<box> opacity")
        'opacity'
    """
    bare = _BY_BOX.sub(" ", text).replace(PLACEHOLDER, " ")
    return " ".join(_IN_BOX.sub("", bare).strip(" ,:;-()[]").split()) if bare != text else text


def joined_lines(text: str) -> str:
    r"""Join the lines of a list by commas.

    Example:
        >>> joined_lines("left lung\nright lung")
        'left lung, right lung'
    """
    lines = [line.strip(" \t\r.,;") for line in text.strip().split("\n") if line.strip()]
    if len(lines) < 2 or any(len(line.split()) > 6 for line in lines):
        return text
    return ", ".join(lines)
