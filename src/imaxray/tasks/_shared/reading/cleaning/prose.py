"""Removes sentences around an answer: lead-ins, explanations, disclaimers and refusals."""

from __future__ import annotations

import re
from typing import Final

_CONCLUSION: Final = re.compile(
    r"\b(?:(?:the|my|your|our)\s+)?(?:(?:final|correct|best|right|most likely|short)\s+)*"
    r"(?:answer|option|choice)\b(?:\s+(?:choice|option|here|to (?:the|this|your) question|is))*"
    r"(?:\s*(?:is|would be|should be|must be)\b\s*[:=]?|\s*[:=]|\s+[–-])\s*"
    r"(?!based|that\b|because|given|derived|not (?:clear|certain|known|provided|available))(?=\S)"
    r"|(?:^|\n|(?<=[.!?]\s))\s*final(?: (?:diagnosis|result|verdict|grade|reading|measurement"
    r"|output"
    r"|box|response|list))?(?:\s+is)?\s*:\s*(?=\S)"
    r"|(?:^|\n)\s*(?:in )?(?:conclusion|summary)\s*[:,]\s*(?=(?:yes|no)\W*$)",
    re.IGNORECASE,
)
_FIRST: Final = re.compile(
    r"\b(?:at first|initially|first (?:glance|sight|impression)|seems?|might|may|could|if"
    r"|whether|not"
    r"|before)\b",
    re.IGNORECASE,
)
_TAIL: Final = re.compile(
    r"(?:(?<=\n)|(?<=[.!?]\s)|(?<=[.!?)\]}]\n))[ \t(]*(?:explanation|reasoning|rationale"
    r"|justification|note|notes|disclaimer|reason|confidence(?: level| score)?|caveats?"
    r"|limitations?"
    r"|important|warning|analysis)\b[^:\n]{0,30}:"
    r"|(?:(?<=\n)|(?<=[.!?]\s))[ \t(]*(?:why (?:not|other|no)|not (?:the )?other)\b"
    r"[^\n?:]{0,60}[?:]",
    re.IGNORECASE,
)
_ADVICE: Final = re.compile(
    r"(?:(?<=^)|(?<=\n)|(?<=[.!?:]\s))[ \t(*]*(?:please (?:consult|note|confirm|seek|have|be aware"
    r"|remember|let me|verify)|(?:this|the above|my) (?:ai[- ]generated |preliminary )*(?:is"
    r"|reading"
    r"|interpretation|analysis|report|information|response|answer|assessment)\b[^.\n]*\b(?:not|should"
    r"|must|cannot)\b[^.\n]*\b(?:advice|diagnosis|radiologist|professional|physician|provider"
    r"|clinician|doctor)|i(?:'m| am) not a (?:doctor|radiologist|medical|physician)|as an ai\b"
    r"|(?:always )?consult (?:a|your|with)"
    r"|if you(?:'d| would) (?:like|prefer|want)|if you (?:like|wish|need|want)\b"
    r"|(?:a|the) (?:qualified |board-certified )?"
    r"(?:radiologist|physician) should|would you like|let me know|i hope this|it is important to"
    r" (?:note that|consult)|for (?:a |an )?(?:definitive|accurate|formal|official))",
    re.IGNORECASE,
)
_LEAD_IN: Final = re.compile(
    r"\s*(?:(?:sure|certainly|of course|okay|ok|absolutely|great question)[!,.]*\s*)?"
    r"(?:(?:here(?:'s| is| are)|below (?:is|are)|based (?:up)?on|looking at|upon|after"
    r" (?:reviewing|analy[sz]ing|examining)|in (?:this|the)|from the|on (?:this|the)"
    r"|(?:the|my) following|i (?:can )?(?:see|observe|note)(?: the following)?)[^\n:]{0,160}:"
    r"(?=\s)|(?<=[!,.])(?=\s))\s*",
    re.IGNORECASE,
)
_ANNOUNCED: Final = re.compile(
    r"\s*(?:(?:sure|certainly|of course|okay|absolutely)[!,.]*\s*)?(?:here(?:'s| is| are)|below is)"
    r"[^\n.:]{0,100}[.!]\s*\n\s*|\s*(?:sure|certainly|of course|okay|absolutely)[!.]\s+",
    re.IGNORECASE,
)
_ABLE: Final = (
    r"(?:can(?:no|')?t|can ?not|could not|couldn't|won't|will not|am not able to|'m not able to"
    r"|am unable to|'m unable to|do not|don't|am not qualified to|'m not qualified to)"
)
_VERBS: Final = (
    r"(?:determine|tell|say|interpret|provide|view|analy[sz]e|assess|help|assist|grade|measure"
    r"|answer|process|access|make|give|diagnose|evaluate|comment|read|calculate|estimate|perform"
    r"|offer|write|generate|draw|mark|know|have (?:access|the ability|enough)|take|offer|describe"
    r"|examine|locate|be (?:certain|sure)|reliably|accurately|confidently|definitively|identify"
    r" (?:what|which|this|the (?:region|image))|see (?:the|this|your|an?) (?:image|x-?ray"
    r"|radiograph)"
    r"|find the image)"
)
_REFUSAL: Final = re.compile(
    rf"(?:i(?:'m| am) (?:really |very )?(?:sorry|afraid)\b[^.\n]*|(?:sorry|unfortunately"
    rf"|apologies|as"
    rf" an ai(?: [\w ]+)?)?[,.]?\s*(?:but\s+)?i\s?{_ABLE}\s+(?:{_VERBS})\b[^.\n]*"
    rf"|(?:sorry|unfortunately|apologies"
    rf"|i apologi[sz]e)\b[,.]?\s*(?:but )?[^.\n]*\b{_ABLE}\b[^.\n]*"
    r"|(?:it|this|that)(?:'s| is)? (?:not possible|impossible|cannot be"
    r" (?:determined|assessed|said|established|answered|measured))\b[^.\n]*"
    r"|(?:the |this )?(?:findings?|answer|grade|severity|(?:cardiothoracic "
    r"|cardiopulmonary area )?ratio"
    r"|ctr|cpar|question|diagnosis|(?:pulmonary )?edema|measurement|location|region|finding)"
    r"(?: of [\w ]{0,30})? can(?:no|')?t be (?:determined|assessed|evaluated|established"
    r"|measured|answered"
    r"|calculated|identified from|graded)(?: \w+)?(?: (?:from|on|in|with|based|without|reliably)\b"
    r"[^.;\n]*)?(?=[.;\n]|$)"
    r"|(?:unable to|cannot|can't) (?:determine|tell|say|assess|evaluate|measure|answer|interpret"
    r"|calculate|be determined)\b[^.\n]*(?=[.\n]|$)"
    r"|(?:the |this )?(?:image|picture|photo\w*|file|upload|x-?ray|radiograph|scan|film)"
    r"(?: (?:you|that|which) [\w ]{1,30}?)? (?:is|are|was|seems|appears|looks)"
    r"(?: (?:to be|completely|entirely|totally|all|just|too|almost|far))* (?:black|blank|empty"
    r"|corrupt\w*|unreadable|dark to|blurr\w+ to|damaged"
    r"|not (?:an? )?(?:chest|radiograph|x-?ray|medical))\b[^.\n]*"
    r"|without (?:access to|seeing|being able to see) (?:the |this |your )?(?:image|x-?ray"
    r"|radiograph|picture|film)\b[^.\n]*"
    r"|(?:no|none of the) (?:findings?|labels?|abnormalities|answers?|grades?|boxes|reports?"
    r"|measurements?|statements?|assessments?|ratios?)(?: [\w ]{1,20})? can(?:not)? be (?:listed"
    r"|given|provided|made|determined|assessed|reported|named|measured|identified from)\b[^.\n]*"
    r"|nothing can be (?:said|listed|determined|assessed|reported)\b[^.\n]*"
    r"|(?:could|can|would) you (?:please )?(?:re-?)?(?:upload|send|share|provide|attach|try)\b"
    r"[^.\n]*"
    r"|(?:insufficient|not enough) (?:information|data|image|quality|detail)[^.\n]*"
    r"|(?:no|the) (?:image|x-?ray|radiograph) (?:was|is|has been)(?: not)?"
    r" (?:provided|attached|visible|available|uploaded|loaded)[^.\n]*"
    r"|please (?:provide|(?:re-?)?upload|share|attach|(?:re)?send)[^.\n]*)",
    re.IGNORECASE,
)
_OFFER: Final = re.compile(
    r"\b(?:consult\w*|radiologists?|professional|physician|doctor|clinician|happy to|can help"
    r"|could help"
    r"|provider|seek|let me know|upload|feel free|would you like|if you)\b",
    re.IGNORECASE,
)
_REPORT: Final = re.compile(
    r"\b(?:FINDINGS|IMPRESSION)\b|^\W*(?i:findings|impression)\b\W*(?:[:–-]|$)", re.MULTILINE
)
_BUT: Final = re.compile(r"\b(?:but|however)\b,?\s*(?!i\s?(?:can|am|'m|do|will|cannot))", re.I)
_SENTENCE: Final = re.compile(r"[^.\n!?]*(?:\.(?=\S)[^.\n!?]*)*(?:[.!?]+|\n+|$)\s*")


_FIRST_THOUGHT: Final = re.compile(
    r"[^.;\n]*\b(?:initially|at first|on first (?:look|glance|inspection))\b[^.;\n]*?"
    r"\b(?:considered|thought|suspected|believed|wondered|suspicious|looked like)\b[^.;\n]*?"
    r"(?:[.;]\s+(?:(?:but|however|yet)\b,?\s*)?|,?\s+(?:but|however|yet)\b,?\s*|\n)(?=\S)",
    re.IGNORECASE,
)


def without_first_thoughts(text: str) -> str:
    """Remove what the answer says that it thought at first, if more follows.

    Example:
        >>> without_first_thoughts("I initially considered edema; however, the lungs are clear.")
        'the lungs are clear.'
    """
    return _FIRST_THOUGHT.sub("", text)


def after_conclusion(text: str) -> str:
    """Keep what follows the last ``Final answer:``, ``The answer is`` or words of this meaning."""
    found = [
        match for match in _CONCLUSION.finditer(text)
        if not _FIRST.search(re.split(r"[.!?\n]\s", text[: match.start()])[-1])
    ]  # fmt: skip
    if not found or _REPORT.search(text[: found[-1].start()]):
        return text  # words of a report
    return text[found[-1].end() :]


def without_explanation(text: str) -> str:
    """Cut the answer before an explanation, a note, a disclaimer or advice that follows it."""
    report = _REPORT.search(text) is not None
    for pattern in (_TAIL, _ADVICE):
        for found in pattern.finditer(text):
            before = text[: found.start()]
            if not before.strip(" \t\n(*_") or (report and not before.rstrip(" \t").endswith("\n")):
                continue  # nothing precedes it, or it is a sentence of a report
            text = before.rstrip(" \t\n(*_")
            break
    return text


def without_lead_in(text: str) -> str:
    """Remove an announcement before the answer, e.g. ``Here is the report:``."""
    for pattern in (_ANNOUNCED, _LEAD_IN):
        found = pattern.match(text)
        if found is not None and found.group().strip() and text[found.end() :].strip():
            text = text[found.end() :]
    return text


def without_refusals(text: str) -> str:
    """Remove sentences that refuse to answer, so that no finding in them counts as named."""
    if _REFUSAL.search(text) is None or _REPORT.search(text) is not None:
        return text
    kept: list[str] = []
    refused = False
    for sentence in _SENTENCE.findall(text):
        found = _REFUSAL.match(sentence.lstrip())
        if found is None:
            if not (refused and _OFFER.search(sentence)):
                kept.append(sentence)
            continue
        refused = True
        rest = _BUT.search(found.group(), 12)
        after = found.group()[rest.end() :] if rest else ""
        tail = sentence.lstrip()[found.end() :]
        if after and not _REFUSAL.match(after):
            kept.append(after + tail)
        elif tail.strip(" .!?\n;"):
            kept.append(tail.lstrip(" ;,"))
    return "".join(kept)
