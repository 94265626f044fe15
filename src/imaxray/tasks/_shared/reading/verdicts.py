"""Reads yes or no from an answer to a yes/no question, also if the answer is a sentence."""

from __future__ import annotations

import re
from typing import Final

from imaxray.tasks._shared.reading.changes import (
    asks_absence,
    change_asked,
    is_negative_question,
    is_of_persistence,
    said_change,
)
from imaxray.tasks._shared.reading.labels import NONE, is_normal
from imaxray.tasks._shared.reading.placement import asks_placement, is_well_placed
from imaxray.tasks._shared.reading.sentences import (
    affirmed,
    in_third_person,
    labels_said,
    strongest,
)
from imaxray.tasks._shared.reading.sidedness import (
    is_elsewhere,
    is_one_sided,
    of_the_side,
    says_side_is_clear,
)
from imaxray.tasks._shared.reading.status import status_of
from imaxray.tasks._shared.wording import sides

_YES_NO: Final = re.compile(
    r"^(?:[\w\s]{0,60},\s*)?(?:is|are|was|were|does|do|did|can|could|has|have|had|should|will|would"
    r"|isn't|aren't|doesn't)\b",
    re.IGNORECASE,
)
_ALTERNATIVES: Final = re.compile(
    r"\b(?:is|are)\s+(?:this|it|the|these)\b[^?]*?\b(?P<first>[\w-]+)\s+or\s+(?:on |in |at )?"
    r"(?:an? |the )?(?P<second>[\w-]+)(?P<rest>[^?.]*)",
    re.IGNORECASE,
)
_SUFFIX: Final = re.compile(
    r"\s*(?:please )?(?:answer|respond|reply)\b[^.?]*[.?]?\s*$|\s*\(?yes(?:/| or )no\)?[.?]?\s*$",
    re.I,
)
_RETRACTS: Final = (
    r"wait|hold on|actually|correction|(?:on|upon) second thoughts?|scratch that|i mean|rather"
    r"|sorry|my mistake|let me correct (?:that|this|myself)"
)
_EXPLICIT: Final = re.compile(
    r"^\W*(?P<so>(?:(?:so|therefore|thus|hence|overall|in conclusion|in summary|finally"
    rf"|then|{_RETRACTS})\b\W*)+)?"
    r"(?:(?:most likely|likely|probably|presumably|apparently|i would say|i think"
    r"|i believe)\b[,:]?\s+)?"
    r"(?:(?P<yes>(?:yes|yep|yeah|true|correct|affirmative|indeed|absolutely|definitely|certainly)\b"
    r"(?! or no| and no)(?!,? no\b))"
    r"|(?P<no>no|nope|false|incorrect|not at all|none|neither|never)\b(?=\W*$|\s*[.,;:!\n(–—]"
    r"|\s*-\s))"
)
_ONLY_VERDICT: Final = re.compile(r"\W*(yes|no)\b\s*(?:[.!]|,(?=\s*(?:the|there|it|this)\b))")
_CORRECTED: Final = re.compile(
    r"\b(?:wait|actually|correction|sorry|on second|i mean|rather|scratch|let me)\b"
)
_PARTS: Final = re.compile(
    r"(?<=[.!?;…])\s+|\n+|,\s*(?=so,? (?:yes|no)\b)"
    rf"|(?:,|\s[-–—]+|[-–—]+)\s*(?=(?:(?:no|or),? )?(?:{_RETRACTS})\b\W*(?:yes|no)\b)"
)
_BOTH: Final = re.compile(
    r"^\W*(?:yes\s*(?:and|or|/|,)\s*no|no\s*(?:and|or|/|,)\s*yes)\b(?!\s+\w+\s+\w+)"
)
_EITHER: Final = re.compile(
    r"\bcould be either\b|\b(?:it|that) depends on\b"
    r"|\byes if\b[^.]*\bno if\b|\bno if\b[^.]*\byes if\b"
)
_CONCLUDES: Final = re.compile(
    r"[^.;\n]*\b(?:therefore|thus|hence|overall|in conclusion|in summary)\b[^.;\n]*(?:[.;]|$)"
)
_ENDS: Final = re.compile(
    r"(?:\b(?:so|therefore|thus|hence|overall)\b[,:]?\s*(?:the answer is\s*)?|→\s*|(?:^|\n)\s*)"
    r"(yes|no)\W*$"
)
_LIKELY: Final = re.compile(r"\b(?:likely|probabl[ey]|most consistent|suggest\w*|consistent)\b")
_UNLIKELY: Final = re.compile(r"\b(?:unlikely|improbable|doubtful|not likely)\b")
_NORMAL_QUESTION: Final = re.compile(
    r"\b(?:(?<!than )normal|unremarkable|clear|within normal limits|healthy|intact|sharp"
    r"|preserved)\b"
)
_ABNORMAL: Final = re.compile(
    r"\b(?:abnormal\w*|not (?:\w+ )?(?:normal|clear|unremarkable|sharp|intact|within)|enlarged"
    r"|widened"
    r"|increased|blunt\w*|obscured|elevated|prominent|tortuous)\b|\bisn't (?:normal|clear)"
)
_NOT_ABNORMAL: Final = re.compile(
    r"\b(?:not|isn't|aren't) (?:\w+ )?(?:abnormal|enlarged|widened|increased|blunted|elevated"
    r"|prominent)\b"
)
_IS_NORMAL: Final = re.compile(
    r"\b(?:normal|unremarkable|clear|within normal limits|not enlarged|healthy|intact|sharp"
    r"|preserved"
    r"|no (?:\w+ ){0,2}(?:abnormalit\w+|enlargement|findings?|disease))\b"
)
_PRONOUN: Final = re.compile(
    r"^(?:there|it|this|they|these|he|she|the patient|the image|i)\s+(?:(?:really|certainly)\s+)?"
    r"(?:is|are|does|do|has|have|shows?|can|was|were|see|think so|appears?)"
    r"(?P<no>n't|\s*not|n’t)?(?:\s+(?:appear|seem|to be|be|see|have|show))*(?:\s+(?:any|one|it"
    r"|so|this|that|present|there|visible|seen))*\W*$"
)
_NONE_OF_IT: Final = re.compile(
    r"^(?:i|we|there|one|the (?:image|film|radiograph|x-?ray))\b(?: \w+){1,2} (?:none\b(?! other)"
    r"|no (?:(?:clear|definite|convincing) )?(?:evidence|signs?|indications?|traces?|hints?)"
    r" of (?:one|it|this|that|these|any|such)\b)(?!\W*(?:but|however|except))"
)
_STOP: Final = frozenset({
    "is", "are", "was", "were", "does", "do", "did", "can", "could", "has", "have", "had",
    "there", "any", "a", "an", "the", "this", "that", "these", "of", "in", "on", "at", "to",
    "with", "and", "or", "for", "from", "by", "it", "evidence", "sign", "signs", "image",
    "images", "x-ray", "xray", "radiograph", "cxr", "film", "scan", "chest", "view",
    "position", "projection", "taken", "obtained", "acquired", "picture",
    "present", "seen", "visible", "visualized", "identified", "detected", "shown", "show",
    "shows", "showing", "demonstrate", "demonstrates", "you", "see", "patient", "patient's",
    "indicate", "suggest", "some", "be", "been", "noted", "appear", "appears", "look",
    "looks", "abnormal", "abnormality", "left", "right", "bilateral", "both", "side", "lung",
    "lungs", "upper", "lower", "middle", "lobe", "zone", "size", "acute", "no", "not",
})  # fmt: skip
_OPPOSITES: Final = {
    "midline": "deviat|shift|displac|pushed|pulled|off",
    "central": "deviat|shift|displac|eccentric",
    "deviated": "midline|central",
    "shifted": "midline|central",
    "enlarged": "normal|small|not enlarged",
    "symmetric": "asymmetr", "symmetrical": "asymmetr", "asymmetric": "symmetr",
    "elevated": "normal|flat|depressed", "flattened": "normal|domed|elevated",
    "expanded": "collaps|hypoinflat|under-?inflat|low lung volumes",
    "inflated": "collaps|hypoinflat|under-?inflat|low lung volumes",
    "hyperinflated": "normal|hypoinflat|low", "rotated": "straight|not rotated|well[- ]positioned",
    "upright": "supine|semi", "erect": "supine|semi", "supine": "upright|erect",
    "frontal": "lateral", "lateral": "frontal|pa\\b|ap\\b|posteroanterior|anteroposterior",
    "pa": "ap\\b|anteroposterior|lateral", "ap": "pa\\b|posteroanterior|lateral",
    "unilateral": "bilateral|both", "bilateral": "unilateral|only (?:on )?(?:the )?(?:left|right)",
    "acute": "chronic|old|healed", "chronic": "acute|new", "old": "acute|new", "new": "old|chronic",
    "male": "female", "female": "\\bmale|\\bman\\b", "large": "small|tiny|trace",
    "small": "large|massive",
    "abnormal": "normal|unremarkable", "visible": "obscured|not visible",
    "widened": "normal|narrow",
    "collapsed": "expanded|aerated|inflated", "dilated": "normal",
    "blunted": "sharp|clear|preserved|normal", "aerated": "collaps|consolidat|opacif",
}  # fmt: skip
"""Word that a question ends with → words that say the opposite."""

_PLAINLY_NORMAL: Final = re.compile(
    r"(?<!not )(?<!ab)\b(?:normal|unremarkable|within normal limits)\b"
)
_NOT_THOUGHT: Final = re.compile(
    r"^\W*(?:probably|likely|most likely|perhaps|apparently|definitely|certainly|absolutely) not\b"
    r"|\bi (?:do not|don't) (?:think|believe)\b|^not (?:that|as far as) i\b"
)
_THOUGHT: Final = re.compile(
    r"^\W*(?:i (?:think|believe) so|it (?:is|seems|appears) (?:likely|so)|likely|probably)\b"
)
_ANYTHING: Final = re.compile(
    r"\b(?:any|an?|there)\b.*\b(?:abnormalit\w+|findings?|diseases?|patholog\w+|anomal\w+)$|\babnormal$"
    r"|\banything (?:abnormal|wrong)"
)
_PLACE_ONLY: Final = re.compile(
    r"^\W*(?:(?:on|in|at) )?(?:the )?(?:left|right|both|bilateral\w*)(?: [a-z]+){0,3}\W*$"
)
_UNDECIDED: Final = re.compile(
    r"\b(?:not (?:clear|certain|sure|known|possible to)|unclear|uncertain|indeterminate|unknown)\b"
)
_BARE_NO: Final = re.compile(r"^(?:there (?:is|are) )?(?:no(?:ne|thing)?\b|not\b|absent|negative)")


def is_yes_no(question: str) -> bool:
    """Return whether a question can be answered by yes or no.

    Example:
        >>> is_yes_no("Is there an effusion?"), is_yes_no("Where is the effusion?")
        (True, False)
        >>> is_yes_no("Is the effusion on the left or the right?")
        False
    """
    bare = _SUFFIX.sub("", question).strip()
    return _YES_NO.match(bare) is not None and alternatives(question) is None


def alternatives(question: str) -> tuple[str, str] | None:
    """Return the two words between which a question asks to choose, e.g. left and right.

    Example:
        >>> alternatives("Is this a PA or an AP view?")
        ('pa', 'ap')
    """
    found = _ALTERNATIVES.search(_SUFFIX.sub("", question))
    if found is None or re.search(r"\b(?:yes|no|not)\b", found.group("second"), re.I):
        return None
    first, second = found.group("first").lower(), found.group("second").lower()
    pairs = ({"left", "right"}, {"pa", "ap"}, {"frontal", "lateral"}, {"upright", "supine"},
             {"male", "female"}, {"unilateral", "bilateral"}, {"normal", "abnormal"},
             {"acute", "chronic"}, {"upper", "lower"}, {"small", "large"}, {"benign", "malignant"},
             {"mild", "severe"})  # fmt: skip
    return (first, second) if {first, second} in pairs else None


def verdict(answer: str, question: str) -> str | None:
    """Return ``yes`` or ``no``, as an answer decides a yes/no question; ``None`` if it does not.

    A yes or no at the start of the answer, or after "so" at its end, decides. Otherwise the
    labeller reads whether the answer affirms or denies what the question asks for. "Likely" is a
    yes, "possibly" is none.

    Example:
        >>> verdict("There is a small effusion.", "Is there a pleural effusion?")
        'yes'
        >>> verdict("The heart size is normal.", "Is the heart enlarged?")
        'no'
    """
    answer = in_third_person(answer)
    text = " ".join(answer.lower().split())
    asked = " ".join(_SUFFIX.sub("", question).lower().strip(" ?.").split())
    if _BOTH.match(text) or _EITHER.search(text):
        return None
    said = [match for part in _PARTS.split(answer.lower()) if (match := _EXPLICIT.search(part))]
    concluded = [match for match in said if match.group("so")] or said
    verdicts = ["yes" if match.group("yes") else "no" for match in concluded]
    if asks_absence(asked):
        return _of_absence(text, asked, verdicts)
    if len(set(verdicts)) == 1 or (verdicts and concluded is not said):
        return verdicts[-1]
    if verdicts:
        first = _ONLY_VERDICT.match(text)
        return first.group(1) if first and not _CORRECTED.search(text) else None
    ends = _ENDS.search(answer.lower().strip())
    if ends is not None:
        return ends.group(1)
    if asks_placement(asked):
        placed = is_well_placed(text)
        return None if placed is None else "yes" if placed else "no"
    ends_with = [part for part in _CONCLUDES.findall(text) if labels_said(part)]
    value = _stated(ends_with[-1] if ends_with else text, asked)
    return None if value is None else "yes" if value else "no"


_YES_NO_FINDING: Final = re.compile(r"^\W*yes\b\W*(?=no\b)")
_NOT_EXCLUDED: Final = re.compile(
    r"\b(?:can ?not|can't|could not|couldn't) be (?:\w+ly )?(?:excluded|ruled out)"
)


def _of_absence(text: str, asked: str, explicit: list[str]) -> str | None:
    """Read an answer to a question such as "Is the film free of pneumothorax?".

    An explicit yes or no that contradicts the rest of the answer decides nothing, except that
    people answer "Is there no effusion?" by "No, there is none".
    """
    yes = _YES_NO_FINDING.match(text)
    given = "yes" if yes else explicit[-1] if len(set(explicit)) == 1 else None
    rest = re.sub(
        r"^\W*(?:yes|no|correct|true|right|indeed|false|incorrect)\b\s*[,.;:]\s*|^\W*yes\b\s*",
        "", text,
    )  # fmt: skip
    asked = asked.replace("clear of", "free of")
    present = _stated(rest, asked) if rest.strip(" .!") else None
    if present is None and _NOT_EXCLUDED.search(text) and labels_said(text):
        present = True  # the question is whether it can be excluded
    stated = None if present is None else "no" if present else "yes"
    if given is None or stated is None or given == stated:
        return given or stated
    return stated if is_negative_question(asked) else None


def _stated(text: str, asked: str) -> bool | None:
    change = change_asked(asked)
    if change is not None:
        said_of_change = said_change(text, asked, change)
        if said_of_change is not None:
            return said_of_change and not is_elsewhere(text, asked)
    value = _present(text, asked)
    if change == "gone":
        return None if value is None else not value
    if change in (None, "new") or is_of_persistence(asked):
        return value
    return None if value else value  # a finding that is named has changed in no stated way


def _present(text: str, asked: str) -> bool | None:
    if _UNDECIDED.search(text) and not labels_said(text):
        return None
    if _UNLIKELY.search(text) or _NOT_THOUGHT.search(text):
        return False
    if _THOUGHT.match(text):
        return True
    if not re.search(r"[a-z✓✔✅☑✗✘❌]", text):
        return None
    if _ANYTHING.search(asked):
        if any(value == 1 and label != NONE for label, value in labels_said(text).items()):
            return True
        if is_normal(text):
            return False
    if re.search(r"\b(?:bilateral|both)\b", asked) and is_one_sided(text):
        return False
    text = of_the_side(text, asked)
    if sides(asked) and says_side_is_clear(text) and not _NORMAL_QUESTION.search(asked):
        return False
    of_question = labels_said(asked)
    if _NORMAL_QUESTION.search(asked) and not re.search(r"\babnormal", asked):
        elsewhere = is_elsewhere(text, asked) and not is_one_sided(text)
        return None if elsewhere else _normal(text, asked, of_question)
    said = labels_said(text)
    values = [said[label] for label in of_question if label in said]
    value = strongest(values)
    if value is None and _CLEAR_LUNG.search(text) and of_question.keys() & _OF_LUNG:
        return False
    if value is None:
        value = _of_words(text, asked)
    if value == 1 and is_elsewhere(text, asked):
        return False
    if value == -1:
        return True if _LIKELY.search(text) else None
    if value is not None:
        return value == 1
    return _bare(text)


_CLEAR_LUNG: Final = re.compile(r"\blungs?\b[^.;]{0,20}\b(?:is|are) clear\b|\bclear lungs?\b")
_OF_LUNG: Final = frozenset({
    "Atelectasis", "Consolidation", "Edema", "Lung Lesion", "Lung Opacity", "Pneumonia", "Nodule",
    "Mass", "Infiltration",
})  # fmt: skip


def _normal(text: str, asked: str, of_question: dict[str, int]) -> bool | None:
    text = _NOT_ABNORMAL.sub("normal", text)
    said = labels_said(text)
    of_asked = {label: said[label] for label in of_question if label in said}
    if _ABNORMAL.search(text) and not re.search(r"\bno (?:\w+ ){0,3}abnormal", text):
        positive = [v for v in (of_asked or said).values() if v == 1]
        negated = re.search(r"\bnot (?:\w+ )?(?:normal|clear|sharp|intact)", text)
        if positive or negated or not _IS_NORMAL.search(text):
            return False
        return False if re.search(r"\b(?:both|all|bilateral\w*)\b", asked) else None
    if any(value == 1 for value in said.values()):
        return False
    if _IS_NORMAL.search(text) or (said and all(value == 0 for value in said.values())):
        return True
    status = status_of(text)
    return None if status != 0 else False


def _content(asked: str) -> list[str]:
    return [word for word in re.findall(r"[a-z][a-z-]+", asked) if word not in _STOP]


def _of_words(text: str, asked: str) -> int | None:
    """Let the labeller read the last word of the question that the answer repeats."""
    words = _content(asked)
    if re.match(r"(?:is|are|was|were) (?:the|this|these|both|his|her|its|it)\b", asked):
        opposite = _OPPOSITES.get(words[-1]) if words else None
        if opposite is not None and (found := re.search(rf"\b(?:{opposite})\w*", text)):
            value = affirmed(text, found.start(), found.end())
            return None if value is None else {1: 0, 0: 1}.get(value, value)
        if _PLAINLY_NORMAL.search(text):
            return 0
        words = words[-1:]  # what the question says about its subject
    for word in reversed(words):
        stem = re.escape(re.sub(r"(?:es|s|ed|ing)$", "", word))
        if len(stem) < 2:
            continue
        for match in re.finditer(rf"\b{stem}\w*", text):
            value = affirmed(text, match.start(), match.end())
            if value is not None:
                return value
    return None


def _bare(text: str) -> bool | None:
    """Read an answer that does not repeat what was asked: "not present", "There is."."""
    if _NONE_OF_IT.match(text):
        return False
    pronoun = _PRONOUN.match(text)
    if pronoun is not None:
        return pronoun.group("no") is None
    others = labels_said(text)
    if others and not _BARE_NO.match(text):
        return None
    if _PLACE_ONLY.match(text) and not others:
        return True
    status = status_of(text)
    if status == -1:
        return True if _LIKELY.search(text) else None
    if status == 0 and not others:
        return False
    if status == 1 and not others and len(text.split()) <= 8:
        return True
    if re.match(
        r"^i (?:do not|don't|cannot|can't|did not|am unable to) (?:see|identify|detect|find"
        r"|observe)",
        text,
    ):
        return False if not others else None
    return None
