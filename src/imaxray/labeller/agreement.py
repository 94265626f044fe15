"""How well the labeller agrees with labels that somebody else gave to the same reports."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from imaxray.labeller.reading import LABELLER_VERSION, label_report
from imaxray.schema import CHEXPERT


@dataclass(frozen=True)
class Agreement:
    """Agreement over labelled reports.

    Attributes:
        reports: how many.
        labels: per label the counts of (given, read) positives and negatives where the report
            is labelled 1 or 0, with precision, recall and F1 of the positives (``None``: no case).
        uncertain: of the (report, label) pairs given as uncertain, how many were read so too.
        uncertain_given: how many pairs are given as uncertain.
    """

    reports: int
    labels: Mapping[str, Mapping[str, Any]]
    uncertain: int
    uncertain_given: int

    def as_dict(self) -> dict[str, Any]:
        """Plain values, JSON-able."""
        cells = list(self.labels.values())
        total = {key: sum(cell[key] for cell in cells) for key in ("tp", "fp", "fn", "tn")}
        return {
            "labeller": LABELLER_VERSION,
            "reports": self.reports,
            "labels": {label: dict(cell) for label, cell in self.labels.items()},
            "micro": {**total, **_rates(total["tp"], total["fp"], total["fn"])},
            "uncertain": {"given": self.uncertain_given, "read": self.uncertain},
        }


def labeller_agreement(reports: Sequence[str], labels: Sequence[Mapping[str, int]]) -> Agreement:
    """Compare the labeller with given labels (1, 0, -1; absent: unknown, not counted).

    A label that the labeller does not find or finds uncertain counts as read negative here, but
    uncertain gold labels are counted apart: CheXbert's convention of "uncertain is positive" would
    hide what hedges do.

    Example:
        >>> found = labeller_agreement(["No pneumothorax."], [{"Pneumothorax": 0}])
        >>> found.as_dict()["labels"]["Pneumothorax"]["tn"]
        1
    """
    counts = {label: dict.fromkeys(("tp", "fp", "fn", "tn"), 0) for label in CHEXPERT}
    read_uncertain = given_uncertain = 0
    for text, given in zip(reports, labels, strict=True):
        read = label_report(text)
        for label, value in given.items():
            if label not in counts:
                continue
            if value == -1:
                given_uncertain += 1
                read_uncertain += read.get(label) == -1
                continue
            positive = read.get(label) == 1
            key = ("t" if positive == (value == 1) else "f") + ("p" if positive else "n")
            counts[label][key] += 1
    cells = {
        label: {**cell, **_rates(cell["tp"], cell["fp"], cell["fn"])}
        for label, cell in counts.items()
        if sum(cell.values())
    }
    return Agreement(len(reports), cells, read_uncertain, given_uncertain)


def _rates(tp: int, fp: int, fn: int) -> dict[str, float | None]:
    def share(top: int, bottom: int) -> float | None:
        return top / bottom if bottom else None

    return {
        "precision": share(tp, tp + fp),
        "recall": share(tp, tp + fn),
        "f1": share(2 * tp, 2 * tp + fp + fn),
    }
