"""Sections of a MIMIC-CXR report, by the rules MIT-LCP publishes with the release.

A section head is a newline, exactly one space, capitals (with spaces, parentheses, slashes, commas
and dashes), a colon. Text before the first head is the preamble. Names are normalised, the last
section of a name counts, and a report with neither findings nor impression gives its last
paragraph.
"""

from __future__ import annotations

import re
from typing import Final

_HEAD: Final = re.compile(r"\n ([A-Z ()/,-]+):\s")

_NAMES: Final = {
    "findings": (
        "findings", "finding", "findins", "findindgs", "findgins", "findngs", "report",
        "chest, two views", "chest two views", "chest, pa and lateral", "chest, single view",
        "pa and lateral views of the chest", "portable chest", "frontal view of the chest",
        "ap chest", "cxr", "chest", "chest radiograph", "observations",
    ),
    "impression": (
        "impression", "impressions", "impresson", "impressson", "imperssion", "imprssion",
        "impession", "conclusion", "conclusions", "opinion", "findings and impression",
        "findings/impression", "impression and findings", "wet read impression",
    ),
    "indication": ("indication", "reason for exam", "reason for examination", "reason"),
    "history": ("history", "clinical history", "clinical information", "patient history"),
    "comparison": ("comparison", "comparisons", "comparison study"),
    "technique": ("technique", "technqiue", "procedure"),
}  # fmt: skip
_CANONICAL: Final = {variant: name for name, variants in _NAMES.items() for variant in variants}


def split_sections(text: str) -> dict[str, str]:
    """Sections of ``text`` by normalised name; wrapped lines are joined.

    Never strip or re-wrap the text first: the rules rest on the newline and the one space.
    """
    heads = list(_HEAD.finditer(text))
    if not heads:
        return {"full report": _unwrap(text)}
    sections = {"preamble": _unwrap(text[: heads[0].start()])}
    ends = [head.start() for head in heads[1:]] + [len(text)]
    for head, end in zip(heads, ends, strict=True):
        raw = " ".join(head.group(1).lower().split())
        body = _unwrap(text[head.end() : end])
        name = _CANONICAL.get(raw, raw)
        if body or name not in ("findings", "impression"):
            sections[name] = body
    return sections


def findings_and_impression(text: str) -> dict[str, str]:
    """The two sections a report task needs, those that exist.

    A report with neither gives its last paragraph as ``findings``.
    """
    sections = split_sections(text)
    wanted = {n: sections[n] for n in ("findings", "impression") if sections.get(n)}
    if wanted:
        return wanted
    heads = list(_HEAD.finditer(text))
    last = text[heads[-1].end() :] if heads else text
    paragraphs = [p for p in re.split(r"\n\s*\n", last) if p.strip()]
    if heads and len(paragraphs) < 2:
        return {}  # nothing follows the last head but its own line
    return {"findings": _unwrap(paragraphs[-1])} if paragraphs else {}


def _unwrap(text: str) -> str:
    return " ".join(text.split())
