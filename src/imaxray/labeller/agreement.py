"""Measures how well the labeller agrees with given labels of the same reports."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from imaxray.labeller.reading import LABELLER_VERSION, label_report
from imaxray.schema import CHEXPERT


@dataclass(frozen=True)
class Agreement:
    """Holds the agreement of the labeller with given labels.

    Attributes:
        reports: Number of reports.
        labels: For each label, the counts of (given, read) positives and negatives over reports
            that are labelled 1 or 0, with precision, recall and F1 of the positives (``None``: no
            case).
        uncertain: Number of (report, label) pairs that are given as uncertain and read as such.
        uncertain_given: Number of (report, label) pairs that are given as uncertain.
    """

    reports: int
    labels: Mapping[str, Mapping[str, Any]]
    uncertain: int
    uncertain_given: int

    def as_dict(self) -> dict[str, Any]:
        """Return plain values that JSON can express."""
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
    """Compare the labeller with given labels of the same reports.

    A label that the labeller does not find, or finds uncertain, counts as read negative. Labels
    that are given as uncertain are counted separately, because CheXbert's convention "uncertain is
    positive" would hide how the labeller reads hedged sentences.

    Args:
        reports: Report texts.
        labels: Given labels of each report: 1, 0 or -1 (uncertain). A missing label is unknown and
            is not counted.

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
