"""Splits a MIMIC-CXR report into sections by the rules that MIT-LCP publishes.

A section head is a newline, exactly one space, capitals (with spaces, parentheses, slashes, commas
and dashes), a colon and white space; the line after a head is never read as the next head. The text
before the first head is the preamble. Names of sections are normalised: typos and variants are
mapped to one name, and a head that names the views counts as the findings. If a name occurs several
times, the last section counts. A report with neither findings nor impression yields the text after
the first paragraph of its last section.

The text of a section is returned as published, with its line breaks; only white space around it is
stripped. The curation cleans the text.
"""

from __future__ import annotations

import re
from typing import Final

_HEAD: Final = re.compile(r"\n ([A-Z ()/,-]+):\s")
_PARAGRAPHS: Final = "\n \n"

_NAMES: Final = {
    "findings": (
        "finding", "findins", "findindgs", "findgings", "findgins", "findngs", "findnings",
        "finidngs", "reference findings", "chest, two views",
    ),
    "impression": (
        "conclusion", "conclusions", "opinion", "findings and impression", "findings/impression",
        "findings/ impression", "ndication", "impresson", "imprression", "imoression",
        "impressoin", "imprssion", "impresion", "imperssion", "mpression", "impession",
    ),
    "indication": (
        "reason for exam", "reason for examination", "clinical indication", "idication",
    ),
    "history": ("clinical history", "clinical information", "patient history", "pfi"),
    "comparison": (
        "comparisons", "reference exam", "comparison exam", "comparison film", "comparision",
        "comparsion", "comparrison", "comparisions",
    ),
    "examination": ("exam", "type of examination"),
    "technique": ("technqiue",),
    "recommendations": ("recommendation", "recommendation(s)"),
    "wet read": ("wetread",),
}  # fmt: skip
_CANONICAL: Final = {variant: name for name, variants in _NAMES.items() for variant in variants}
_PARTS: Final = ("impression", "findings", "history", "comparison", "addendum")
"""A longer head that contains one of these words is that section; the first match counts."""
_VIEWS: Final = re.compile(
    "chest|portable|pa and lateral|lateral and pa|ap and lateral|lateral and ap|frontal and|"
    "two views|frontal view|pa view|ap view|one view|lateral view|bone window|frontal upright|"
    "frontal semi-upright|ribs|pa and lat"
)
"""A head that names the views counts as the head of the findings."""


def split_sections(text: str) -> dict[str, str]:
    """Return the sections of ``text`` by normalised name; the last section of a name counts.

    ``text`` must not be stripped or re-wrapped before, because the rules depend on newlines and
    single spaces.
    """
    heads = _heads(text)
    if not heads:
        return {"full report": text.strip()}
    sections = {"preamble": text[: heads[0].start()].strip()}
    ends = [head.start() for head in heads[1:]] + [len(text)]
    name = "preamble"
    last = ""
    for head, end in zip(heads, ends, strict=True):
        name, last = _normalised(head.group(1)), text[head.end() : end]
        if last.strip() or name not in ("findings", "impression"):
            sections[name] = last.strip()
    if not {"findings", "impression"} & sections.keys() and _PARAGRAPHS in last:
        first, _, rest = last.partition(_PARAGRAPHS)
        sections[name], sections["last_paragraph"] = first.strip(), rest.strip()
    return sections


def findings_and_impression(text: str) -> dict[str, str]:
    """Return the two sections that the report task needs, as far as they exist.

    If a report has neither section, ``findings`` is its ``last_paragraph`` or, if the report has no
    head at all, the text after its first paragraph.
    """
    sections = split_sections(text)
    wanted = {n: sections[n] for n in ("findings", "impression") if sections.get(n)}
    if wanted:
        return wanted
    rest = (
        sections.get("last_paragraph") or sections.get("full report", "").partition(_PARAGRAPHS)[2]
    )
    return {"findings": rest.strip()} if rest.strip() else {}


def _heads(text: str) -> list[re.Match[str]]:
    heads = []
    found = _HEAD.search(text)
    while found:
        heads.append(found)
        # MIT-LCP skips past the next newline "to avoid some bad parses"
        newline = text.find("\n", found.end())
        found = _HEAD.search(text, found.end() if newline < 0 else newline)
    return heads


def _normalised(head: str) -> str:
    name = " ".join(head.lower().split())
    if name in _CANONICAL:
        return _CANONICAL[name]
    for part in _PARTS:
        if part in name:
            return part
    return "findings" if _VIEWS.search(name) else name
