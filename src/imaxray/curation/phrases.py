"""A small rule that reads labels out of report sentences and questions.

It decides only what is said plainly: a phrase of a label, affirmed or denied. Doubt, comparison,
one side only, or both in one report decide nothing. It is made to accuse seldom, not to label.
"""

from __future__ import annotations

import re
from typing import Final

_PHRASES: Final = {
    "Atelectasis": r"atelecta(?:sis|ses)",
    "Cardiomegaly": r"cardiomegaly|enlarge(?:d|ment of the) (?:heart|cardiac silhouette)"
    r"|(?:heart|cardiac silhouette|heart size)(?: size)? (?:is|remains|appears)"
    r"(?: \w+ly)? (?:not )?enlarged|(?:heart|cardiac silhouette) enlarged",
    "Consolidation": r"consolidations?",
    "Edema": r"(?:pulmonary |interstitial |alveolar )*o?edema",
    "Fracture": r"(?:rib |clavicular? )?fractures?",
    "Lung Lesion": r"(?:lung|pulmonary) (?:nodules?|mass(?:es)?|lesions?)",
    "Pleural Effusion": r"(?:pleural )?effusions?",
    "Pneumonia": r"pneumonia",
    "Pneumothorax": r"pneumothora(?:x|ces)",
}
_MENTION: Final = {label: re.compile(rf"\b(?:{text})\b") for label, text in _PHRASES.items()}
_ELSEWHERE: Final = re.compile(r"\b(?:pericardial|soft[- ]tissue|joint|subcutaneous) *$")
_NORMAL_HEART: Final = re.compile(
    r"\b(?:heart|cardiac silhouette)(?: size)? (?:is|appears) (?:normal|within normal limits)\b"
    r"|\b(?:normal heart size|heart is normal in size|cardiac silhouette is normal in size)\b"
)

_SENTENCE: Final = re.compile(r"[.;\n]+(?=\s|$)|\b(?:but|however|although|except|otherwise)\b")
_CLAUSE: Final = re.compile(r",|\band\b|\bwith\b")
_OR: Final = re.compile(r"\b(?:n?or)\b")
_NO: Final = re.compile(r"\b(?:no|without|free of|negative for|absence of)\b")
_NOT: Final = re.compile(r"\b(?:not|absent|none)\b|: *no\b *$")
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

_ASKS: Final = re.compile(r"^(?:is|are|does|do|can|has|have)\b")
_NEUTRAL: Final = re.compile(
    r"is|are|does|do|can|has|have|there|any|an?|the|this|these|of|in|on|to|evidence|signs?|image"
    r"|x-?ray|radiograph|cxr|film|scan|chest|picture|present|seen|visible|show(?:s|n|ing)?"
    r"|demonstrate|you|see|patient|it|indicate"
)
_PLACE: Final = re.compile(
    r"left|right|lungs?|both|bilateral|upper|middle|lower|lobes?|zones?|bases?|apex|apices"
    r"|hemithorax|sided?|pleural|space|small|large|mild|moderate|severe"
)


def stated(report: str) -> dict[str, int]:
    """Labels that a report plainly affirms (1) or denies (0) and never otherwise."""
    said: dict[str, set[int | None]] = {}
    for sentence in _SENTENCE.split(report.lower()):
        for label, value in _mentions(sentence):
            said.setdefault(label, set()).add(value)
    settled = {label: next(iter(values)) for label, values in said.items() if len(values) == 1}
    return {label: value for label, value in sorted(settled.items()) if value is not None}


def _mentions(sentence: str) -> list[tuple[str, int | None]]:
    """Labels of one sentence: affirmed, denied, or ``None`` for undecided."""
    doubtful = _DOUBT.search(sentence) is not None
    found: list[tuple[str, int | None]] = []
    clauses = _CLAUSE.split(sentence)
    last_or = max((k for k, clause in enumerate(clauses) if _OR.search(clause)), default=-1)
    after_no = False  # an earlier clause denies, and its "no" may reach this one
    for number, clause in enumerate(clauses):
        denial = _NO.search(clause)
        for label, mention in _MENTION.items():
            for match in mention.finditer(clause):
                if not _ELSEWHERE.search(clause[: match.start()]):
                    before = denial is not None and denial.start() < match.start()
                    denied = before or _NOT.search(clause) is not None
                    reached = after_no and not denied
                    if doubtful or (reached and number > last_or):
                        found.append((label, None))
                    elif denied or reached:
                        # "no large effusion" leaves room for a small one
                        found.append((label, None if _PART.search(sentence) else 0))
                    else:
                        found.append((label, 1))
        if _NORMAL_HEART.search(clause):
            found.append(("Cardiomegaly", None if doubtful or denial else 0))
        after_no = after_no or denial is not None
    return found


def asked(question: str) -> tuple[str, bool] | None:
    """The one label whose presence a yes/no question asks for, and whether in the whole image.

    ``None`` where the question asks anything more, or about several labels.
    """
    text = " ".join(re.findall(r"[a-z]+(?:-[a-z]+)*", question.lower()))
    if not _ASKS.search(text):
        return None
    named = {label: match for label, mention in _MENTION.items() if (match := mention.search(text))}
    if len(named) != 1:
        return None
    label, match = next(iter(named.items()))
    words = f"{text[: match.start()]} {text[match.end() :]}".split()
    rest = [word for word in words if not _NEUTRAL.fullmatch(word)]
    # any other word makes it another question: "is the effusion new?"
    return (label, not rest) if all(_PLACE.fullmatch(word) for word in rest) else None
