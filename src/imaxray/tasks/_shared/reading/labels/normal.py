"""Recognises texts that call the image normal."""

from __future__ import annotations

import re
from typing import Final

_KIND: Final = (
    r"(?:findings?|abnormalit(?:y|ies)|disease|process(?:es)?|patholog(?:y|ies)|pathologic\w*)"
)
_PARTIAL: Final = (
    r"(?!.{0,40}\b(?:bon[ey]\w*|osseous|skeletal|pleural|other|additional|further|mediastinal|soft"
    r"|rib|focal|airspace|lung|pulmonary(?! or)|parenchymal|new|specific|cardiac)\b)"
)
_WHOLE: Final = r"(?:chest|study|radiograph|x-?ray|image|exam\w*|film|cxr|scan|cardiopulmonary)"
_NORMAL: Final = re.compile(
    rf"\b(?:no|without|free of(?: any)?|negative for)\b{_PARTIAL}(?: [\w-]+){{0,6}}? {_KIND}\b"
    r"|\bno(?: (?:acute|active|significant|evident|visible|radiographic))* (?:cardiopulmonary"
    r"|cardiac"
    r" or pulmonary|pulmonary or cardiac|intrathoracic|thoracic|cardiothoracic)"
    r" (?:abnormalit(?:y|ies)|disease|process(?:es)?|patholog(?:y|ies)|findings?)"
    r"|\b(?:no|nothing) (?:acute|abnormal)\b(?=\s*(?:[.,;]|$|is |was |seen|detected|identified"
    r"|here))"
    rf"|(?<!not )(?<!not a )(?<!not an )(?<!ab)\b(?:normal|unremarkable|clear|negative)(?: [\w-]+)?"
    rf"(?: (?:ap|pa|frontal|lateral|portable|posteroanterior|looking))?"
    rf" (?:{_WHOLE}|findings?)\b"
    rf"|\b(?:{_WHOLE}|everything|findings?)(?: \w+)? (?:is|are|appears?|looks?|was|within)"
    r"(?: (?:completely|entirely|essentially|grossly|largely|otherwise|to be|overall|all))*"
    r" (?:normal|unremarkable|within normal|negative|clear)\b"
    r"|(?<!not )\b(?:everything|all|it all) (?:is|looks?|appears?|seems?)"
    r"(?: (?:completely|perfectly|essentially|to be))* (?:fine|good|ok|okay|healthy|in order)\b"
    rf"|\b{_WHOLE} (?:is|looks|appears|seems) healthy\b"
    r"|^\W*(?:(?:completely|entirely|essentially|grossly|all)\s+)?(?:normal|unremarkable|none|nothing"
    r"|nil|negative|clear|wnl|within normal limits)"
    r"(?: (?:seen|detected|identified|present|found|noted|visible|limits))?\W*$",
    re.IGNORECASE | re.MULTILINE,
)
_CLEAR: Final = re.compile(
    r"\blungs?(?: fields?)?(?: \w+){0,2} clear\b|\bclear lungs?(?: fields?)?\b"
    r"|\blungs?: *(?:are |is )?clear",
    re.IGNORECASE,
)
_HEART: Final = re.compile(
    r"\b(?:heart|cardiac|cardiomediastinal)\b[^.\n]{0,60}\b(?:normal|unremarkable|not enlarged)\b"
    r"|\bnormal (?:heart|cardiac|cardiomediastinal)\b",
    re.IGNORECASE,
)


def is_normal(text: str) -> bool:
    """Return whether a text calls the image normal.

    Example:
        >>> is_normal("No acute findings."), is_normal("No bony abnormality.")
        (True, False)
    """
    return bool(_NORMAL.search(text) or (_CLEAR.search(text) and _HEART.search(text)))
