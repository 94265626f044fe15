r"""Splits a report into sections by the rules that MIT-LCP publishes, and by the forms they miss.

In MIT-LCP's form a heading is a newline, exactly one space, capitals (with spaces, parentheses,
slashes, commas and dashes), a colon and white space. Here a known heading also counts

- at the start of any line, with a colon, if it begins with a capital ("Findings:");
- alone on its line, without a colon ("IMPRESSION");
- at the start of a line in capitals, before a dash or a sentence ("FINDINGS The lungs are clear.");
- inside a line, in capitals with a colon, or after a full stop ("... cough. Impression: Normal.");
- misspelt by one letter (:mod:`imaxray.sources._shared.section_names`).

The text before the first heading is the preamble. If a section occurs several times, the last one
with text counts. The text of a section is returned as published, with its line breaks; only white
space around it is stripped. The curation cleans the text.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from imaxray.schema import UNKNOWN_SECTION
from imaxray.sources._shared.sections.section_names import KNOWN, any_section, known_section

_WORDS: Final = r"[A-Za-z][A-Za-z ()/,&-]{2,60}?"
_PUBLISHED: Final = re.compile(r"\n ([A-Z ()/,-]+):\s")
_LINE: Final = re.compile(rf"^[ \t*#]*({_WORDS})\**[ \t]*:\**(?=\s|[A-Z0-9])", re.MULTILINE)
_ALONE: Final = re.compile(rf"^[ \t*#]*({_WORDS})[ \t]*[-–.*]*[ \t]*$", re.MULTILINE)
_EXACT: Final = "|".join(sorted((re.escape(n.upper()) for n in KNOWN), key=len, reverse=True))
_CAPITALS: Final = re.compile(
    rf"^[ \t]*({_EXACT})(?:\.[ \t]+|[ \t]+(?=[A-Z][a-z]))",
    re.MULTILINE,
)
_DASHED: Final = re.compile(
    rf"^[ \t]*({_EXACT})[ \t]*[-–;][ \t]+",
    re.MULTILINE | re.IGNORECASE,
)
_INSIDE: Final = re.compile(r"(?<=\s)((?:[A-Z]+[ /]){0,4}[A-Z]{4,}(?:\(S\))?)[ \t]*:(?=\s|[A-Z])")
_AFTER: Final = re.compile(r"(?<=[.!?])\s+([A-Z][a-z]+(?: [a-z]+){0,3})[ \t]*:(?=\s)")
_TITLES: Final = ("final report", "radiology report", "chest report")
_PARAGRAPH: Final = re.compile(r"\n[ \t]*\n")
_TITLE: Final = re.compile(
    r"(?:(?:final|preliminary|provisional|radiology|report|wet|read|version|single|one|two|three"
    r"|portable|frontal|upright|supine|semi|erect|ap|pa|lateral|lat|and|views?|chest|radiographs?"
    r"|x-?rays?|films?|of|the|on|at|dated|hours?|[ap]\.?m\.?|[\d_]+)\b|[^A-Za-z\d])+",
    re.IGNORECASE,
)
"""A first line that names the examination or the kind of text, and says nothing of the image."""

AS_PUBLISHED: Final = "report"
"""Quality of a section whose heading has MIT-LCP's form."""
UNUSUAL: Final = "report-unusual-heading"
MISSPELT: Final = "report-misspelt-heading"
LAST_PARAGRAPH: Final = "report-last-paragraph"
NO_HEADING: Final = "report-no-heading"
_RANK: Final = (AS_PUBLISHED, UNUSUAL, MISSPELT)


@dataclass(frozen=True)
class Section:
    """One section of a report.

    Attributes:
        name: Normalised name; ``unknown`` if no heading names the section.
        text: Text as published, without white space around it.
        how: How its heading was read, which becomes the quality of the annotation.
    """

    name: str
    text: str
    how: str


@dataclass(frozen=True)
class _Head:
    start: int
    end: int
    name: str
    how: str


def split_sections(text: str) -> list[Section]:
    """Return all sections of ``text`` in their order, the preamble first.

    ``text`` must not be stripped or re-wrapped before, because the rules depend on newlines.
    """
    heads = _heads(text)
    if not heads:
        return [Section("preamble", text.strip(), NO_HEADING)]
    preamble = Section("preamble", text[: heads[0].start].strip(), NO_HEADING)
    ends = [*(head.start for head in heads[1:]), len(text)]
    return [
        preamble,
        *(
            Section(head.name, text[head.end : end].strip(), head.how)
            for head, end in zip(heads, ends, strict=True)
        ),
    ]


def report_texts(text: str) -> list[Section]:
    """Return what a report says about its image: findings, impression or an unknown section.

    A report without findings and impression yields, if it has headings, the text after the first
    paragraph of its last section as findings (MIT-LCP's ``last_paragraph``). Otherwise it yields
    the text that no heading names, after the title, as ``unknown``.
    """
    sections = split_sections(text.replace("\r\n", "\n"))
    last = {s.name: s for s in sections if s.text}  # the last one of a name
    wanted = [last[name] for name in ("findings", "impression") if name in last]
    if wanted:
        return wanted
    if UNKNOWN_SECTION in last:
        return [Section(UNKNOWN_SECTION, last[UNKNOWN_SECTION].text, NO_HEADING)]
    if len(sections) > 1:
        rest = "".join(_PARAGRAPH.split(sections[-1].text, maxsplit=1)[1:]).strip()
        if rest:
            return [Section("findings", rest, LAST_PARAGRAPH)]
    plain = _without_title(sections[0].text)
    return [Section(UNKNOWN_SECTION, plain, NO_HEADING)] if plain else []


def findings_and_impression(text: str) -> dict[str, str]:
    """Return the findings and the impression of a report, as far as it has them."""
    return {s.name: s.text for s in report_texts(text) if s.name != UNKNOWN_SECTION}


def _heads(text: str) -> list[_Head]:
    """Return the heads in their order; of heads that overlap, the one that starts first counts."""
    found = sorted(_candidates(text), key=lambda h: (h.start, -h.end, _RANK.index(h.how)))
    heads: list[_Head] = []
    for head in found:
        if not heads or head.start >= heads[-1].end:
            heads.append(head)
    return heads


def _candidates(text: str) -> Iterator[_Head]:
    at = 0
    while found := _PUBLISHED.search(text, at):
        at = found.end() - 1  # the white space after a head may begin the next one
        if section := any_section(found.group(1)):
            yield _Head(found.start(), found.end(), section[0], _how(section, AS_PUBLISHED))
    for pattern in (_LINE, _ALONE, _CAPITALS, _DASHED, _INSIDE, _AFTER):
        for found in pattern.finditer(text):
            words = found.group(1).strip()
            section = known_section(words)
            if section is None or not (words[0].isupper() or text.islower()):
                continue
            if pattern is _ALONE and section[1] and not words.isupper():
                continue  # a single word on a line may be any word; misspelt, it must be a heading
            if pattern is _ALONE and words.lower() in _TITLES:
                continue
            if _is_published(text, found):
                continue
            yield _Head(found.start(), found.end(), section[0], _how(section, UNUSUAL))


def _is_published(text: str, found: re.Match[str]) -> bool:
    """Return whether the heading has MIT-LCP's form too, which finds it one newline earlier."""
    return found.start() > 0 and _PUBLISHED.match(text, found.start() - 1) is not None


def _how(section: tuple[str, bool], otherwise: str) -> str:
    return MISSPELT if section[1] else otherwise


def _without_title(text: str) -> str:
    """Return a text without the first lines that name the examination or the kind of text."""
    lines = text.split("\n")
    while lines and (not lines[0].strip() or _TITLE.fullmatch(lines[0].strip())):
        del lines[0]
    plain = "\n".join(lines).strip()
    return plain if len(re.findall(r"[A-Za-z]{2,}", plain)) >= 2 else ""
