"""Reads the grade of edema that an answer states, by number or by name."""

from __future__ import annotations

import re
from typing import Any, Final

from imaxray.tasks._shared.reading.objects import ASIDE, parse_object, with_single_spaces
from imaxray.tasks._shared.reading.sentences import affirmed, in_third_person, labels_said

_DIGITS: Final = {
    "0": 0, "1": 1, "2": 2, "3": 3, "zero": 0, "one": 1, "two": 2, "three": 3,
    "i": 1, "ii": 2, "iii": 3,
}  # fmt: skip
_NUMBER: Final = r"(?P<number>[0-3]|zero|one|two|three|i{1,3})"
_KEY: Final = (
    r"(?:grade|severity|level|score|stage|class|category|degree|rating|g(?=[0-3]\b)"
    r"|o?edema(?=\s*[:=]))"
)
_SCALE: Final = re.compile(
    r"[(\[]?\s*(?:on|of|in|using|from)?\s*(?:a|the)?\s*(?:scale|range|grades?|levels?)?\s*(?:of|from)?"
    r"\s*\b0\s*(?:\([^)]*\)\s*)?(?:-|–|to|through|\.\.)\s*3\b(?:\s*\([^)]*\))?"
    r"(?:\s*(?:scale|range))?\s*[)\]]?",
    re.IGNORECASE,
)
_OF_THREE: Final = r"(?:\s*(?:/|of|out of)\s*(?P<most>\d+))?"
_BY_KEY: Final = re.compile(
    rf"\b{_KEY}(?: (?:of|for) (?:the |this )?(?:pulmonary )?o?edema)?(?:\s+(?:is|as|of|at|equals"
    rf"|would be"
    rf"|appears to be))?\s*[:=-]?\s*[(\"']?{_NUMBER}(?![\w.,]\d|\w){_OF_THREE}",
    re.IGNORECASE,
)
_ASSIGNED: Final = re.compile(
    rf"\b(?:grade|rate|score|classify|graded|rated|scored|classified|this is|is|assign\w*|it"
    rf"|(?<!could )(?<!may )(?<!might )be"
    rf"|i(?: would|'d| will|'ll)? (?:say|go with|call it|choose))"
    rf"(?: (?:this|it|the (?:pulmonary )?o?edema|as|at|an?|is))*\s+{_NUMBER}(?![\w]"
    rf"|[.,]\d){_OF_THREE}"
    r"(?=\s*(?:[.,;(]|$|\n))",
    re.IGNORECASE,
)
_ALONE: Final = re.compile(
    rf"^[^\w-]*{_NUMBER}(?![\w]|[.,]\d){_OF_THREE}(?=[^\w+]*$|\s*[:;,.(–-]\s*\D)", re.IGNORECASE
)
_OTHER_NUMBER: Final = re.compile(
    rf"\b{_KEY}\s*[:=]?\s*(?:[4-9]|\d\d+|iv|vi?|four|five)\b|\b\d+\s*(?:/|out of)\s*(?:[124-9]"
    rf"|\d\d+)\b",
    re.IGNORECASE,
)
_NAMES: Final = (
    (3, r"(?:flash )?alveolar(?: (?:pulmonary|lung))*(?: o?edema)?(?! opacit| infiltrat)"
        r"|alveolar (?:opacities|infiltrates)|air-?space (?:pulmonary )?o?edema"),
    (2, r"interstitial(?: (?:pulmonary|lung))*(?: o?edema)?(?! (?:markings|opacit|thickening"
        r"|disease|lung disease|changes))|kerley(?: b)? lines|septal (?:lines|thickening)"),
    (1, r"(?:pulmonary )?(?:vascular|venous) (?:congestion|redistribution|engorgement)"
        r"|cephali[sz]ation|congestion"),
)  # fmt: skip
_ADJECTIVES: Final = (
    (3, r"severe(?:ly)?|marked|florid|massive"),
    (2, r"moderate(?:ly)?"),
    (1, r"mild(?:ly)?|minimal(?:ly)?|slight(?:ly)?|trace"),
)
_NONE: Final = re.compile(
    r"^\W*(?:(?:pulmonary )?o?edema(?: grade| severity)?(?: is)?\s*[:=-]?\s*)?(?:none|nil|absent"
    r"|negative|normal|not (?:present|seen|visible|evident|detected|identified)|no (?:pulmonary )?"
    r"o?edema)\b"
    r"|\b(?:grade|severity|level)\s*(?:is)?\s*[:=-]?\s*(?:none|absent|normal"
    r"|no (?:pulmonary )?o?edema)\b"
    r"|\bno(?: (?:acute|significant|evident|visible))* (?:cardiopulmonary|intrathoracic)"
    r" (?:abnormalit(?:y|ies)|disease|process|findings?)"
    r"|(?<!not a )\bnormal (?:chest|study|radiograph|x-?ray|film|exam\w*)\b"
    r"|\b(?:chest|study|radiograph|x-?ray|exam\w*) (?:is|appears) (?:normal|unremarkable)\b",
    re.IGNORECASE,
)
_ABSENT: Final = re.compile(
    r"\b(?:no|without|free of|absence of|negative for)(?: (?!alveolar"
    r"|interstitial)[\w-]+){0,4}? (?:pulmonary )?o?edema\b"
    r"|\bedema (?:is |has )?(?:absent|not (?:present|seen|identified|evident|visible)|resolved)\b",
    re.IGNORECASE,
)
_NOT_NUMBER: Final = re.compile(
    r"(?:\b(?:not|isn't|rather than|instead of|no|never|beyond|cannot)|n't)"
    r"(?: (?:be|an?|the|quite|really|grade))*\s*$",
    re.I,
)
_LAST: Final = re.compile(
    r"\b(?:therefore|thus|hence|overall|in conclusion|in summary|so,?|consistent with"
    r"|corresponds? to"
    r"|best (?:described|classified|graded|characteri[sz]ed)(?: as)?|i would (?:grade|rate"
    r"|classify|say)"
    r"|final|impression|conclusion|my (?:\w+ )?grade|the grade (?:is|would be)|i (?:assign|give)"
    r"|i\.e\.?"
    r"|(?:progress\w*|worsen\w*|evolv\w*|advanc\w*|improv\w*|regress\w*|chang\w*) (?:in)?to"
    r"|makes? (?:this|it)|that makes|which is|hence|upgrades? (?:this|it) to"
    r"|downgrades? (?:this|it) to|on closer (?:look|inspection)|but (?:now|today|currently))(?!\w)",
    re.IGNORECASE,
)
_ALTERNATIVES: Final = re.compile(
    rf"\b{_KEY}s?\s*[0-3]\s*(?:,|or|to|-|–|/|and|vs\.?)\s*(?:grade\s*)?([0-3])\b(?!\s*out)",
    re.IGNORECASE,
)
_NONE_OR: Final = re.compile(r"\b(?:none|absent|normal|no o?edema) (?:or|to|vs\.?|versus)\b", re.I)
_DEFINES: Final = re.compile(
    r"\b0\b[^.\n]{0,30}\b1\b[^.\n]{0,40}\b2\b[^.\n]{0,40}\b3\b[^.\n]*|(?:scale"
    r"|grading system)[^.\n]*"
    r"\bnone\b[^.\n]*\b(?:alveolar|severe)\b[^.\n]*",
    re.IGNORECASE,
)


def grade_of(text: str) -> int | None:
    """Return the only grade that an answer states; ``None`` if it states none or several.

    Mild, moderate and severe edema are the grades 1, 2 and 3. A name counts more than an adjective
    ("mild interstitial edema" is 2); a number and a name must agree.

    Example:
        >>> grade_of("Grade II: moderate edema"), grade_of("vascular congestion without edema")
        (2, 1)
        >>> grade_of("mild to moderate") is None
        True
    """
    found = parse_object(text)
    if found is not None:
        return _of_json(found)
    text = in_third_person(with_single_spaces(text))
    bare = " ".join(_DEFINES.sub(" ", _HYPOTHESIS.sub(" ", _SCALE.sub(" ", text))).split()) or text
    grades = _grades(bare)
    for shorter in (_without_doubts, _without_past, _without_start, _without_asides, _named_by_key):
        if len(grades) > 1:
            grades = _grades(shorter(bare)) or grades
    if len(grades) > 1:
        marks = list(_LAST.finditer(bare))
        if marks:
            after = _grades(bare[marks[-1].end() :])
            return next(iter(after)) if len(after) == 1 else None
    return next(iter(grades)) if len(grades) == 1 else None


_BRACKETS: Final = re.compile(r"\([^()]*\)")
_PAST: Final = re.compile(r"\b(?:previous(?:ly)?|prior|earlier|formerly|before)\b", re.IGNORECASE)
_EARLIER: Final = re.compile(
    r"\b(?:replac\w+|supersed\w+|instead of|no longer)(?: (?:by|the|an?))?"
    r" (?:previous(?:ly seen)?|prior|earlier|former|initial|old)(?: \w+){1,3}",
    re.IGNORECASE,
)
_ASIDE_OF: Final = re.compile(r"\b(?:would|features?|signs?|criteri\w+|e\.g)\b", re.IGNORECASE)
_CLAUSE: Final = re.compile(r"(?<=[,;])\s+")
_KEY_VALUE: Final = re.compile(rf"\b{_KEY}\s*[:=]\s*(?P<value>[^(\n.;,]+)", re.IGNORECASE)


_NOT_EXCLUDED: Final = re.compile(
    r"\b(?:though|although|but|while|however)\b[^.;]*\b(?:can(?:no|')?t|can ?not|could not) be"
    r" (?:\w+ )?(?:ruled out|excluded)\b[^.;]*",
    re.IGNORECASE,
)


def _without_doubts(text: str) -> str:
    """Leave out a clause about a grade that cannot be excluded."""
    return _NOT_EXCLUDED.sub(" ", text)


def _without_past(text: str) -> str:
    """Leave out brackets and clauses about an earlier image."""
    text = _EARLIER.sub(" ", text)
    text = _BRACKETS.sub(lambda found: " " if _PAST.search(found.group()) else found.group(), text)
    kept: list[str] = []
    past = False
    for clause in _CLAUSE.split(text):
        past = bool(_PAST.search(clause)) or (
            past and re.match(r"(?:when|where|which)\b", clause, re.I) is not None
        )
        if not past:
            kept.append(clause)
    return " ".join(kept)


_HYPOTHESIS: Final = re.compile(
    r"[^.;\n]*\b(?:grade|level|score|stage)s? [0-3] would\b[^.;\n]*", re.IGNORECASE
)
_FROM_TO: Final = re.compile(
    rf"\bfrom (?:an? |the )?(?:{_KEY} )?(?:{_NUMBER}|alveolar|interstitial|vascular congestion"
    rf"|severe|moderate|mild)\b[^.;]{{0,60}}?\bto\b",
    re.IGNORECASE,
)


def _without_start(text: str) -> str:
    """Leave out the grade from which the edema changed."""
    return _FROM_TO.sub(" ", text)


def _without_asides(text: str) -> str:
    """Leave out brackets about what a grade would be or what belongs to another grade."""
    return _BRACKETS.sub(
        lambda found: " " if _ASIDE_OF.search(found.group()) else found.group(), text
    )


def _named_by_key(text: str) -> str:
    """Return the value after ``Severity:`` or a word of this meaning."""
    return " ".join(found.group("value") for found in _KEY_VALUE.finditer(text))


def _of_json(value: Any) -> int | None:
    if isinstance(value, dict):
        values = [
            v
            for k, v in value.items()
            if re.search(_KEY + "|edema|answer|result|value", str(k), re.I)
        ]
        rest = [v for k, v in value.items() if not ASIDE.fullmatch(str(k))]
        given = {_of_json(v) for v in (values or rest)} - {None}
        return given.pop() if len(given) == 1 else None
    if isinstance(value, list):
        return _of_json(value[0]) if len(value) == 1 else None
    if isinstance(value, bool):
        return None
    if isinstance(value, int | float):
        return int(value) if value in (0, 1, 2, 3) else None
    return grade_of(value) if isinstance(value, str) else None


def _grades(text: str) -> set[int]:
    text = _SCALE.sub(" ", text)
    if _OTHER_NUMBER.search(text) or _NONE_OR.search(text):
        return set()
    numbers = {
        _DIGITS[number]
        for pattern in (_BY_KEY, _ASSIGNED, _ALONE)
        for match in pattern.finditer(text)
        if match.group("most") in (None, "3")
        and not _NOT_NUMBER.search(text[: match.start()])
        and (number := match.group("number").lower()) in _DIGITS  # no letter of another alphabet
    }
    alternatives = _ALTERNATIVES.search(text)
    if alternatives is not None and not re.search(r"/\s*3\b", alternatives.group()):
        numbers.add(int(alternatives.group(1)))
    named, denied = _named(text, _NAMES)
    if not named:
        adjectives, _ = _named(text, _ADJECTIVES)
        named = adjectives
    result = numbers | named
    if not result and (not denied or 1 in denied or _ABSENT.search(text)):
        edema = labels_said(text).get("Edema")
        if (
            1 in denied
            or _NONE.search(text)
            or edema == 0
            or (edema is None and _ABSENT.search(text))
        ):
            return {0}
    return result


def _named(text: str, names: tuple[tuple[int, str], ...]) -> tuple[set[int], set[int]]:
    """Return the grades whose names are affirmed, and those whose names are denied."""
    low = text.lower()
    affirms: set[int] = set()
    denies: set[int] = set()
    for grade, words in names:
        for match in re.finditer(rf"\b(?:{words})(?!\w)", low):
            if _OF_OTHER.match(low[match.end() :]):
                continue  # the size of something else
            value = _asserted(low, match.start(), match.end())
            if value == 0:
                denies.add(grade)
            elif value is not None:
                affirms.add(grade)
    return affirms, denies


_NOT_MEANT: Final = re.compile(
    r"\b(?:no|not|without|rather than|instead of|absence of|negative for|free of|neither|nor)"
    r"(?: [\w-]+){0,4} $"
)
_OF_OTHER: Final = re.compile(
    r"(?:\s+(?!with|and|but|or|in|edema|oedema|congestion)[\w-]+){0,3}?\s+(?:cardiomegaly|effusions?"
    r"|atelecta\w+|consolidation\w*|enlarge\w*|pneumonia|pneumothora\w+|opacit\w+|scoliosis"
    r"|thickening|tortuo\w+|degenerative|hyperinflation|emphysema|fibrosis)\b"
)
_HEDGED: Final = re.compile(r"\b(?:possibl[ey]|may|might|could|cannot|can't|questionabl[ey])\b")


def _asserted(text: str, start: int, end: int) -> int | None:
    if _NOT_MEANT.search(text[:start].rsplit(",", 1)[-1].rsplit(".", 1)[-1]):
        return 0
    sentence_start = max(text.rfind(mark, 0, start) for mark in (". ", "; ", "\n")) + 1
    ends = [place for mark in (". ", "; ", "\n") if (place := text.find(mark, end)) >= 0]
    sentence = text[sentence_start : min(ends, default=len(text))]
    value = affirmed(sentence, start - sentence_start, end - sentence_start)
    if value == -1:
        return None if _HEDGED.search(sentence) else 1
    return 1 if value is None else value
