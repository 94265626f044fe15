"""Collects what an answer states about labels, and decides between its statements."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from imaxray.schema import FINDINGS
from imaxray.tasks._shared.reading.sentences import strongest

NONE: Final = "No Finding"
_NOT_ABNORMAL: Final = (NONE, "Support Devices")


@dataclass
class Statements:
    """Collects what an answer states about labels.

    Attributes:
        stated: Label → values of its entries in lists, ``Label: yes`` or JSON.
        said: Label → values of its mentions in sentences.
        normal: Whether the answer says that the image is normal.
        rules: Names of the rules that read something.
    """

    stated: dict[str, set[int]] = field(default_factory=dict)
    said: dict[str, set[int]] = field(default_factory=dict)
    normal: bool = False
    rules: set[str] = field(default_factory=set)

    def state(self, labels: Mapping[str, int] | list[str], value: int | None = None) -> None:
        """Add entries of a list; without a value each label has its own."""
        for label in labels:
            own = labels[label] if isinstance(labels, Mapping) else 1
            self.stated.setdefault(label, set()).add(own if value is None else value)
        if labels:
            self.rules.add("label-lists")

    def say(self, labels: Mapping[str, int]) -> None:
        """Add mentions in sentences."""
        for label, value in labels.items():
            self.said.setdefault(label, set()).add(value)
        if labels:
            self.rules.add("sentences")

    def result(self) -> dict[str, int] | None:
        """Return label → 1 or -1; ``None`` if nothing was stated or entries contradict each other.

        What is stated as an entry counts more than what sentences say.
        """
        if any(values >= {0, 1} for values in self.stated.values()):
            return None
        merged: dict[str, int] = {}
        for label in FINDINGS:
            value = strongest(self.stated.get(label, ()) or self.said.get(label, ()))
            if value is not None:
                merged[label] = value
        found = any(v != 0 for label, v in merged.items() if label not in _NOT_ABNORMAL)
        if self.normal and not found:
            merged.setdefault(NONE, 1)
            self.rules.add("normal")
        if not merged:
            return None
        return {label: value for label, value in merged.items() if value != 0}
