"""Chooses the stage whose model is the result: the best stage on the validation split."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from imaxray.curation import Tables
from imaxray.evaluation import Scores, compare, constant_baseline, points_text


@dataclass(frozen=True)
class Choice:
    """The chosen stage and the gains that decided the choice.

    Attributes:
        name: Name of the chosen stage.
        gains: Stage → mean relative gain over the first stage on the validation split. Stages
            whose gain is undefined are absent.
    """

    name: str
    gains: Mapping[str, float]

    def sentence(self) -> str:
        """Say in one sentence which stage was chosen, with the gains of all stages."""
        others = ", ".join(f"{name} {points_text(gain)} %" for name, gain in self.gains.items())
        return f"{self.name} is chosen by its gain on the validation split ({others})."


def choose(scores: Mapping[str, Scores], tables: Tables) -> Choice:
    """Choose the stage with the greatest mean relative gain over the first; ties go to the earlier.

    Args:
        scores: Stage → its scores on the validation split, in the order of the stages.
        tables: Tables of the dataset with the real entries.
    """
    first, *later = scores
    gains = {first: 0.0}
    if later:
        found = compare(
            scores,
            reference=first,
            constant=constant_baseline(tables.split("train"), tables.split("val"), tables.images),
            seed=0,
            resamples=100,  # few are enough, because the intervals are not used
        ).as_dict()["mean_gain"]
        for name in later:
            gain = found[name]
            if gain is not None and gain["value"] is not None:
                gains[name] = gain["value"]
    return Choice(max(gains, key=lambda name: gains[name]), gains)
