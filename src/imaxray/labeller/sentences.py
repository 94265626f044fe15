"""Splits report text into sentences, across wrapped lines, list marks and headings."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

_REPLACED: Final = (
    (re.compile(r"([.!?;\u2022=-])\1+"), r"\1"),
    (re.compile(r"\[\*\*.*?\*\*\]|_{2,}|\bx{3,}\b"), "xxxx"),  # marks of removed words
    (re.compile(r"\*\*|`|^#+\s*", re.MULTILINE), " "),  # marks of Markdown
    (re.compile(r"[\u2018\u2019]"), "'"),
    (re.compile(r"[\u2013\u2014]"), " - "),
    (re.compile(r"\bcan'?t\b"), "cannot"),
    (re.compile(r"n't\b"), " not"),
    (re.compile(r"\bvs\."), "vs"),
    (
        re.compile(r"\? ?(?=(?:no|none|yes|absent|present|negative|positive)\b[^a-z]*(?:$|\n))"),
        ": ",
    ),
    (re.compile(r" ?[\[(] ?(no|none|yes|absent|present|negative|positive) ?[\])]"), r": \1"),
    (re.compile(r"\?(?=[a-z])"), "questionable "),
    (re.compile(r"\b(e\.g|i\.e|dr|approx)\."), r"\1"),
)
_WRAPPED: Final = 50
"""Minimum length of a line that may go on in the next one."""
_LIST_MARK: Final = re.compile(r"[-*\u2022>]|\(?(?:\d{1,2}|[a-h])[.)]\s")

_SHOWN: Final = r"findings?|impressions?|conclusions?|report|interpretation|opinion|summary"
_NOT_SHOWN: Final = (
    r"indications?|(?:clinical )?history|clinical (?:information|indication|data|details|question)"
    r"|reason for (?:the )?(?:exam|examination|study|visit|film)|comparisons?|technique|procedure"
    r"|exam(?:ination)?"
)
_PARTS: Final = (
    r"(?<!left )(?<!right )lungs?|pleura|pleural spaces?|heart|mediastinum|bones?|lines and tubes"
    r"|tubes and lines|(?<!support )devices"
)
_BORDER: Final = re.compile(
    r"(?<![.!;\u2022])[.!;\u2022]+(?=\s|$)"
    r"|\?(?=\s|$)|\n"
    r"|(?<=[a-z]{2})\.(?=[a-z]{2})"
    r"|(?:^|(?<=\s))\(?(?:\d{1,2}[.)]|[a-h]\))(?=\s|[a-z])"
    rf"|(?=\b(?:{_SHOWN}|{_NOT_SHOWN}|{_PARTS}) ?:)"
    r"|(?:^|(?<=\n))[-*\u2022](?=\s)"
)
_DROPPED: Final = re.compile(rf"\W*(?:{_NOT_SHOWN}) ?:")
_KEPT: Final = re.compile(rf"\b(?:{_SHOWN}) ?:")
_HEAD: Final = re.compile(rf"\W*(?:{_SHOWN}) ?:")


def sentences(text: str) -> Iterator[str]:
    """Yield the sentences of a report in lower case; a question keeps its question mark.

    A line that was wrapped goes on in the next one. Numbers and marks of lists, semicolons and
    headings end a sentence. Sections about why an image was taken and what it is compared with are
    left out, up to the end of their line or the next heading.

    Example:
        >>> list(sentences("INDICATION: Edema. FINDINGS: 1. No effusion 2. Stable heart"))
        ['no effusion', 'stable heart']
    """
    text = _joined(text)
    last_head = max((match.start() for match in _KEPT.finditer(text)), default=-1)
    dropping, start = False, 0
    for match in _BORDER.finditer(text):
        sentence, border, at = text[start : match.start()], match.group(), start
        start = match.end()
        if sentence.strip():
            dropping = _drops(sentence, dropping=dropping, later=at < last_head)
            if not dropping:
                body = _body(sentence)
                if body:  # a heading may stand alone
                    yield body + ("?" if "?" in border else "")
        if "\n" in border:
            dropping = False
    rest = text[start:]
    if rest.strip() and not _drops(rest, dropping=dropping, later=start < last_head):
        body = _body(rest)
        if body:
            yield body


def _body(sentence: str) -> str:
    """Return a sentence with single spaces and without the heading before it."""
    head = _HEAD.match(sentence)
    return " ".join((sentence[head.end() :] if head else sentence).split())


def _drops(sentence: str, *, dropping: bool, later: bool) -> bool:
    """Return whether a sentence is about something that the image does not show."""
    if _DROPPED.match(sentence):
        return True
    # without a heading further on, nobody knows where the section ends
    return dropping and later and not _HEAD.match(sentence)


def _joined(text: str) -> str:
    """Return the text in lower case with wrapped lines joined and spellings made alike."""
    capitals = text.isupper()
    parts: list[str] = []
    before = ""
    for raw in text.splitlines():
        line = " ".join(raw.split())  # no runs of spaces, which would cost time below
        if not line:
            before = ""
            continue
        goes_on = (
            len(before) >= _WRAPPED
            and before[-1] not in ".:;!?"
            and not _LIST_MARK.match(line)
            and (capitals or line[0].islower())
        )
        parts += [" " if goes_on else "\n", line]
        before = line
    low = "".join(parts[1:]).lower()
    for pattern, replacement in _REPLACED:
        low = pattern.sub(replacement, low)
    return low
