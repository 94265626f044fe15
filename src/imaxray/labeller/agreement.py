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
            that are labelled 1 or 0, with precision, recall and F1 of the positives (``None``: it
            cannot be measured, see :attr:`unmeasured`).
        uncertain: Number of (report, label) pairs that are given as uncertain and read as such.
        uncertain_given: Number of (report, label) pairs that are given as uncertain.
    """

    reports: int
    labels: Mapping[str, Mapping[str, Any]]
    uncertain: int
    uncertain_given: int

    @property
    def unmeasured(self) -> dict[str, str]:
        """Labels of which some rate cannot be measured, each with the reason.

        A release that names only what is present shows no false alarm, so that every precision on
        it would be 1.
        """
        reasons = {label: _why_not(cell) for label, cell in self.labels.items()}
        return {label: reason for label, reason in reasons.items() if reason}

    def as_dict(self) -> dict[str, Any]:
        """Return plain values that JSON can express.

        ``micro`` leaves out the labels that no report denies. ``unmeasured`` gives the reason for
        each label that has a rate of ``None``.
        """
        cells = [cell for cell in self.labels.values() if cell["fp"] + cell["tn"]]
        total = {key: sum(cell[key] for cell in cells) for key in ("tp", "fp", "fn", "tn")}
        return {
            "labeller": LABELLER_VERSION,
            "reports": self.reports,
            "labels": {label: dict(cell) for label, cell in self.labels.items()},
            "micro": {**total, **_rates(total)},
            "unmeasured": self.unmeasured,
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
        label: {**cell, **_rates(cell)} for label, cell in counts.items() if sum(cell.values())
    }
    return Agreement(len(reports), cells, read_uncertain, given_uncertain)


def _why_not(cell: Mapping[str, int]) -> str:
    """Return why a rate of a label cannot be measured; empty if all can."""
    if cell["fp"] + cell["tn"] == 0:
        return "no report is labelled 0, so false alarms cannot be counted"
    if cell["tp"] + cell["fn"] == 0:
        return "no report is labelled 1, so misses cannot be counted"
    if cell["tp"] + cell["fp"] == 0:
        return "the labeller reads no report as 1, so there is no precision"
    return ""


def _rates(cell: Mapping[str, int]) -> dict[str, float | None]:
    tp, fp, fn, tn = (cell[key] for key in ("tp", "fp", "fn", "tn"))
    given, absent = tp + fn, fp + tn
    return {
        "precision": tp / (tp + fp) if absent and tp + fp else None,
        "recall": tp / given if given else None,
        "f1": 2 * tp / (given + tp + fp) if absent and given else None,
    }
