"""Divides a report into sections at headings in the spellings that models use."""

from __future__ import annotations

import re
from typing import Any, Final

_NAMES: Final = {
    "findings": r"findings?|observations?",
    "impression": r"impressions?|conclusions?|opinion|summary|assessment|diagnos[ie]s",
    "findings and impression": r"findings? (?:and|&) impressions?",
}
_OTHERS: Final = (
    r"techniques?|comparisons?|indications?|(?:clinical )?(?:history|information|indication)"
    r"|exam(?:ination)?"
    r"(?: type)?|procedure|views?|reason for exam(?:ination)?|recommendations?|patient(?: name"
    r"| id| info"
    r"(?:rmation)?)?|date|study(?: type)?|type of exam(?:ination)?|clinical data"
    r"|recommended follow-up"
    r"|radiologist|signed|disclaimer|note|image quality"
)
_CAPITALS: Final = re.compile(
    r"(?:\[\s*)?\b(?P<name>FINDINGS?|IMPRESSIONS?|CONCLUSIONS?|TECHNIQUE|COMPARISON|INDICATION|HISTORY"
    r"|EXAMINATION|EXAM|RECOMMENDATIONS?|CLINICAL (?:HISTORY|INFORMATION|INDICATION)"
    r"|FINDINGS AND IMPRESSION)"
    r"\b\s*(?:\]\s*:?|:|\s[-–—](?=\s))\s*"
)
_LINE: Final = re.compile(
    rf"^[ \t]*\[?(?P<name>(?:the )?(?:radiology |radiologist |radiological |radiographic "
    rf"|imaging |chest |final |overall |key |main"
    rf" )?(?:{'|'.join(_NAMES.values())}|{_OTHERS}))\]?[ \t]*(?:[:：=;]|[-–—](?=\s)|(?=\n"
    rf"|$))[ \t]*",
    re.IGNORECASE | re.MULTILINE,
)
_INSIDE: Final = re.compile(
    r"(?<=[.!?])\s+(?P<name>Findings|Impression|Conclusion)\s*:\s*", re.MULTILINE
)
_TITLE: Final = re.compile(
    r"^[ \t]*(?:chest |radiology |radiological |diagnostic |imaging |x-?ray |cxr |radiographic "
    r"|pa |ap"
    r" |portable |frontal )*(?:report|x-?ray|radiograph)(?: report)?(?:[ \t]*[:–-])?[ \t]*(?:\n|$)",
    re.IGNORECASE | re.MULTILINE,
)


def sections_of(text: str, asked: str) -> tuple[dict[str, str], bool] | None:
    r"""Divide a report into ``findings`` and ``impression`` at its headings.

    Text before the first heading belongs to the section that was asked for. Titles, and sections
    that were not asked for, such as the technique, are left out.

    Args:
        text: Report without Markdown.
        asked: Section of text without a heading.

    Returns:
        The sections and whether anything was left out; ``None`` if no section has text.

    Example:
        >>> sections_of("Findings\nClear.\nImpression - Normal.", "findings")
        ({'findings': 'Clear.', 'impression': 'Normal.'}, False)
    """
    body = _TITLE.sub("", text, count=1) if _TITLE.match(text.lstrip("\n")) else text
    dropped = body != text
    heads = _heads(body)
    names = [asked, *(name for name, _, _ in heads)]
    starts = [0, *(end for _, _, end in heads)]
    ends = [*(start for _, start, _ in heads), len(body)]
    parts: dict[str, list[str]] = {}
    for name, start, end in zip(names, starts, ends, strict=True):
        part = body[start:end].strip(" \t\r\n")
        if not part:
            continue
        if name == "other":
            dropped = True
        elif not (
            start == 0 and name == asked and heads and re.fullmatch(r"[^.\n]{0,60}[:\n]?", part)
        ):
            parts.setdefault(name, []).append(part)
        else:
            dropped = True  # a title
    if not parts:
        return None
    return {name: " ".join(bodies) for name, bodies in parts.items()}, dropped


def _heads(text: str) -> list[tuple[str, int, int]]:
    found: list[tuple[str, int, int]] = []
    for pattern in (_CAPITALS, _LINE, _INSIDE):
        for match in pattern.finditer(text):
            if any(start < match.end() and match.start() < end for _, start, end in found):
                continue
            found.append((_name(match.group("name")), match.start(), match.end()))
    return sorted(found, key=lambda head: head[1])


def _name(words: str) -> str:
    low = words.lower()
    for name, pattern in _NAMES.items():
        if re.search(rf"(?:^|\s)(?:{pattern})$", low):
            return "findings" if name == "findings and impression" else name
    return "other"


def sections_of_json(value: Any) -> dict[str, str] | None:
    """Return the sections that a JSON object holds under their names.

    Example:
        >>> sections_of_json({"Findings": "Clear.", "Impression": ["Normal."]})
        {'findings': 'Clear.', 'impression': 'Normal.'}
    """
    if not isinstance(value, dict):
        return None
    if len(value) == 1 and isinstance(only := next(iter(value.values())), dict):
        return sections_of_json(only)
    parts: dict[str, str] = {}
    for key, item in value.items():
        name = _name(str(key).replace("_", " "))
        text = _flat(item)
        if name in ("findings", "impression") and text:
            parts[name] = f"{parts[name]} {text}" if name in parts else text
    return parts or None


def _flat(value: Any) -> str:
    if isinstance(value, str):
        return value.strip()
    if isinstance(value, list):
        return " ".join(part for item in value if (part := _flat(item)))
    if isinstance(value, dict):
        return " ".join(
            part
            if part.lower().startswith(str(key).lower())
            else f"{str(key).capitalize()}: {part}"
            for key, item in value.items() if (part := _flat(item))
        )  # fmt: skip
    return ""
