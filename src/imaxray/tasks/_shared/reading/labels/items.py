"""Reads the items of a list of labels, e.g. ``no edema`` or ``Pneumonia (possible)``."""

from __future__ import annotations

import re
from typing import Final

from imaxray.schema import FINDINGS
from imaxray.tasks._shared.reading.labels.statements import NONE, Statements
from imaxray.tasks._shared.reading.sentences import labels_said
from imaxray.tasks._shared.reading.status import status_of

_NAMES: Final = {label.lower(): label for label in FINDINGS}
_WORD: Final = re.compile(r"[a-z][\w'/-]*")
VERB: Final = re.compile(
    r"\b(?:is|are|was|were|has|have|shows?|seen|see|there|noted|with|without|remains?|appears?"
    r"|suggest\w*|include\w*|demonstrate\w*|but|however|may|could|cannot|can't|don't|not|than"
    r"|represent\w*|reflect\w*|ends?|lies|projects?|terminates?|consistent|due|from|concerning|for)\b"
)
_DENIES: Final = re.compile(
    r"^(?:there (?:is|are) )?(?:no|without|negative for|absence of|free of|denies)\b"
    r"(?!\s+(?:\w+ )?(?:change|interval|longer|improvement|new)\b)\s*"
    r"(?:evidence of |signs? of )?",
    re.IGNORECASE,
)
MARKS: Final = "✓✔✅☑✗✘❌☐×✖❓❔⚠"
"""Characters that say whether the name beside them is present."""

_MARKS: Final = re.compile(rf"^\s*([{MARKS}])\ufe0f?\s*(.+)$|^(.+?)\s*([{MARKS}])\ufe0f?\s*$")
_SIGNED: Final = re.compile(r"^\s*[\[(]\s*([+–−-])\s*[\])]\s*(.+)$")
_VALUE_OF: Final = {
    **dict.fromkeys("✓✔✅☑", 1),
    **dict.fromkeys("✗✘❌☐×✖", 0),
    **dict.fromkeys("❓❔⚠", -1),
}
_PAREN: Final = re.compile(r"^(?P<key>[^()]+?)\s*\((?P<value>[^()]*)\)\s*$")
_TRAILING: Final = re.compile(
    r"^(?P<key>.+?)\s+(?P<value>(?:not )?(?:present|seen|detected|identified|visible)|absent|yes|no"
    r"|positive|negative)$",
    re.IGNORECASE,
)
_IS_NORMAL: Final = re.compile(rf"{NONE}s?", re.IGNORECASE)


def exact_labels(text: str) -> dict[str, int] | None:
    """Read names of labels that are separated by commas, as targets are written.

    ``Possible`` before a name makes it uncertain.

    Example:
        >>> exact_labels("Edema, Possible Pneumonia")
        {'Edema': 1, 'Pneumonia': -1}
        >>> exact_labels("some edema") is None
        True
    """
    labels: dict[str, int] = {}
    for item in text.lower().split(","):
        name = item.strip()
        possible = name.startswith("possible ")
        label = _NAMES.get(name.removeprefix("possible ").strip())
        if label is None:
            return None
        labels[label] = -1 if possible else 1
    return labels


def names_label(text: str) -> list[str]:
    """Return the labels that a short name means; empty if the text is no name of labels."""
    bare = " ".join(text.lower().replace("_", " ").strip(" \t.\"'`*()-").split())
    bare = re.sub(r"^(?:the|an?|any)\s+", "", bare)
    if bare in _NAMES:
        return [_NAMES[bare]]
    if _IS_NORMAL.fullmatch(bare):
        return [NONE]
    words = _WORD.findall(bare)
    if not words or len(words) > 6 or VERB.search(bare):
        return []
    joined = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", text.strip()).lower()
    if joined in _NAMES:  # PleuralEffusion
        return [_NAMES[joined]]
    said = labels_said(bare)
    return [label for label, value in said.items() if value == 1]


def read_item(item: str) -> tuple[list[str], int | None] | None:
    """Return the labels of an item of a list and its own value; ``None`` if it is no item."""
    signed = _SIGNED.match(item)
    if signed:
        labels = names_label(signed.group(2))
        return (labels, 1 if signed.group(1) == "+" else 0) if labels else None
    marked = _MARKS.match(item)
    if marked:
        mark, name = (marked.group(1) or marked.group(4)), (marked.group(2) or marked.group(3))
        labels = names_label(name)
        return (labels, _VALUE_OF[mark]) if labels else None
    if _IS_NORMAL.fullmatch(item):
        return [NONE], None
    denies = _DENIES.match(item)
    if denies is not None:
        labels = names_label(item[denies.end() :])
        return (labels, 0) if labels else None
    for pattern in (_PAREN, _TRAILING):
        found = pattern.match(item)
        if found and (labels := names_label(found.group("key"))):
            status = status_of(found.group("value"))
            return labels, status if isinstance(status, int) else None
    labels = names_label(item)
    if labels:
        return labels, None
    if len(item.split()) <= 6 and not VERB.search(item.lower()):
        said = labels_said(item)
        if said and len(set(said.values())) == 1:
            return list(said), next(iter(said.values()))
    return None


def state_items(
    items: list[str], read: list[tuple[list[str], int | None]], to: Statements, polarity: int | None
) -> None:
    """State the items of a list; a ``no`` reaches the items after it unless they stand alone."""
    denials = [
        _DENIES.match(item) is not None and labels != [NONE]
        for item, (labels, _) in zip(items, read, strict=True)
    ]
    each = sum(denials) > 1  # every denied item has its own "no"
    reached = False
    for number, (item, (labels, own)) in enumerate(zip(items, read, strict=True)):
        if denials[number]:
            reached = True
        alone = item[:1].isupper() and (each or not denials[0])
        if own is None and number and reached and not alone and labels != [NONE]:
            own = 0
        elif own == 1 or (own is None and alone):
            reached = False
        value = own if own is not None else (1 if polarity is None else polarity)
        to.state(labels, value)
