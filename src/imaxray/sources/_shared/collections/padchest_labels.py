"""Maps the labels of PadChest to findings by the tree that their authors publish."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from typing import Final

_TREE: Final = "padchest_labels.txt"
_LINE: Final = re.compile(r"( *)([^=!]+?)\s*(!?)\s*(?:= (.+))?")


@cache
def padchest_findings() -> Mapping[str, tuple[str, ...]]:
    """Return the findings that each label is, the closest first, by the label in lower case.

    A label without an equal among our findings, and one that names no finding, has none.

    Example:
        >>> labels = padchest_findings()
        >>> labels["laminar atelectasis"], labels["callus rib fracture"], labels["scoliosis"]
        (('Atelectasis',), ('Fracture',), ())
        >>> labels["consolidation"], labels["hydropneumothorax"]
        (('Consolidation', 'Infiltration'), ('Pneumothorax', 'Pleural Effusion'))
    """
    text = files(__package__).joinpath(_TREE).read_text(encoding="utf-8")
    found: dict[str, dict[str, None]] = {}
    above: list[tuple[str, ...]] = []  # findings of the label that was last seen at each level
    for line in text.splitlines():
        match = _LINE.fullmatch(line)
        if line.startswith("#") or match is None:
            continue
        blanks, label, ends, own = match.groups()
        level = len(blanks) // 2
        inherited = () if ends or not level else above[level - 1]
        here = (*((own,) if own else ()), *inherited)
        above[level:] = [here]
        found.setdefault(label.lower(), {}).update(dict.fromkeys(here))
    return {label: tuple(findings) for label, findings in found.items()}


def plain_label(text: str) -> str:
    """Return a label in lower case with single blanks, as :func:`padchest_findings` lists it."""
    return " ".join(text.replace("_", " ").lower().split())
