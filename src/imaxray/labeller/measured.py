"""Tells how well the labeller agreed with readers when it was last measured on real reports.

The numbers are in ``measured.json``, which ``bench/labeller.py --write`` writes. They stand beside
every score that rests on the labeller.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import files


@dataclass(frozen=True)
class Measured:
    """Holds one measurement of the labeller.

    Attributes:
        labeller: Version of the labeller.
        corpus: Reports and labels that it was measured on.
        date: Day of the measurement, ISO format.
        reports: Number of reports.
        precision: Share of the labels read as present that are given as present, over all labels.
        recall: Share of the labels given as present that are read as present.
        f1: Micro F1 of both.
        f1_with_uncertain: Micro F1 if labels read as uncertain count as present, as they do in
            clinical scores.
    """

    labeller: str
    corpus: str
    date: str
    reports: int
    precision: float
    recall: float
    f1: float
    f1_with_uncertain: float

    def sentence(self) -> str:
        """Return the measurement as one sentence for people."""
        return (
            f"Clinical scores compare what labeller {self.labeller} reads from both reports; on "
            f"{self.corpus} its micro F1 is {self.f1:.2f} (precision {self.precision:.2f}, recall "
            f"{self.recall:.2f}; {self.reports:,} reports), and {self.f1_with_uncertain:.2f} if "
            "uncertain labels count as present, as they do in these scores."
        )


@lru_cache(maxsize=1)
def measured_agreement() -> Measured:
    """Return the last measurement of this version of the labeller on real reports.

    Example:
        >>> 0 < measured_agreement().f1 < 1
        True
    """
    text = files("imaxray.labeller").joinpath("measured.json").read_text(encoding="utf-8")
    return Measured(**json.loads(text))
