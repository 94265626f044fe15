"""Reads the heading of a report section: its section, and whether the heading is misspelt."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final

from imaxray.schema import UNKNOWN_SECTION

LEAST_LETTERS: Final = 7
"""Minimum number of characters of a known heading that may be misspelt."""

_NAMES: Final = {
    "findings": (
        "findings", "finding", "reference findings", "chest findings", "radiographic findings",
        "radiological findings", "chest, two views", "observations", "result", "results",
        "findgins",
    ),
    "impression": (
        "impression", "impressions", "conclusion", "conclusions", "opinion", "final impression",
        "findings and impression", "findings/impression", "findings/ impression", "interpretation",
        "impression and recommendation", "impression and recommendations", "diagnosis", "summary",
        "assessment",
    ),
    "indication": (
        "indication", "indications", "reason for exam", "reason for examination",
        "reason for study", "reason for this examination", "clinical indication",
        "clinical indications", "clinical question",
    ),
    "history": (
        "history", "clinical history", "clinical information", "clinical data", "clinical details",
        "patient history", "medical history", "pfi",
    ),
    "comparison": (
        "comparison", "comparisons", "reference exam", "comparison exam", "comparison film",
        "comparison study",
    ),
    "examination": ("examination", "exam", "type of examination", "procedure"),
    "technique": ("technique", "views"),
    "recommendations": ("recommendation", "recommendations", "recommendation(s)"),
    "notification": ("notification", "notifications"),
    "addendum": ("addendum",),
    "wet read": ("wet read", "wetread"),
    UNKNOWN_SECTION: (
        "report", "chest report", "final report", "radiology report", "narrative", "text",
    ),
}  # fmt: skip
KNOWN: Final = {variant: name for name, variants in _NAMES.items() for variant in variants}
"""Known headings in lower case, each with its section."""

_PARTS: Final = ("impression", "findings", "history", "comparison", "addendum")
"""A longer head that contains one of these words is that section; the first match counts."""
_VIEWS: Final = re.compile(
    "chest|portable|pa and lateral|lateral and pa|ap and lateral|lateral and ap|frontal and|"
    "two views|frontal view|pa view|ap view|one view|lateral view|bone window|frontal upright|"
    "frontal semi-upright|ribs|pa and lat"
)
"""A head that names the views counts as the head of the findings."""
_ORGANS: Final = re.compile(
    r"(?:lungs?|hearts?|pleurae?|pleural|bones?|ribs|mediastin\w+|cardi\w+|hil[aiu]\w*|osseous|skelet\w+"
    r"|airways?|lines?|tubes?|devices?|support|diaphragms?|soft|tissues?|upper|abdomen|spine|aorta"
    r"|structures?|silhouette|parenchyma|spaces?|(?:other|additional|incidental)(?: findings?)?"
    r"|and|&|/|-|,|\s)+"
)
"""A head that names only organs, devices or other findings is a part of its section."""


def known_section(head: str) -> tuple[str, bool] | None:
    """Return the section of a known heading and whether it is misspelt, or None.

    A heading is misspelt if one letter is missing, added, wrong or exchanged with its neighbour
    (Damerau-Levenshtein distance 1), and the known heading has at least seven characters. If two
    sections are equally near, the heading is not known.

    Example:
        >>> known_section("Impression"), known_section("IMPRESION"), known_section("NDICATION")
        (('impression', False), ('impression', True), ('indication', True))
        >>> known_section("LUNGS") is None
        True
    """
    name = _plain(head)
    if name in KNOWN:
        return KNOWN[name], name == "findgins"
    near = _near(name)
    return (near, True) if near is not None else None


def any_section(head: str) -> tuple[str, bool] | None:
    """Return the section of a heading in MIT-LCP's form, and whether it is misspelt.

    In this form every heading starts a section, except one that names only organs.
    """
    name = _plain(head)
    known = known_section(name)
    if known is not None:
        return known
    if _ORGANS.fullmatch(name):
        return None
    for part in _PARTS:
        if part in name:
            return part, False
    return ("findings" if _VIEWS.search(name) else name), False


def _plain(head: str) -> str:
    return " ".join(head.lower().split())


@lru_cache(maxsize=10_000)
def _near(name: str) -> str | None:
    found = {
        section
        for known, section in KNOWN.items()
        if len(known) >= LEAST_LETTERS
        and abs(len(known) - len(name)) <= 1
        and _one_off(known, name)
    }
    return found.pop() if len(found) == 1 else None


def _one_off(known: str, name: str) -> bool:
    """Return whether one insertion, deletion, change or exchange makes ``name`` from ``known``."""
    same = next((k for k, (a, b) in enumerate(zip(known, name, strict=False)) if a != b), None)
    if same is None:
        return abs(len(known) - len(name)) == 1
    a, b = known[same:], name[same:]
    return a[1:] == b or a == b[1:] or a[1:] == b[1:] or (a[:2] == b[1::-1] and a[2:] == b[2:])
