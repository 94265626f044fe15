"""Which stage's model is handed out: the one that the validation split likes best."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from imaxray.curation import Tables
from imaxray.evaluation import Scores, compare, constant_baseline


@dataclass(frozen=True)
class Choice:
    """A stage, chosen.

    Attributes:
        name: of the stage.
        gains: mean relative gain of every stage over the first one, on the validation split.
    """

    name: str
    gains: Mapping[str, float]

    def sentence(self) -> str:
        """What was chosen, and over what."""
        others = ", ".join(f"{name} {100 * gain:+.1f} %" for name, gain in self.gains.items())
        return f"{self.name} is chosen by the validation split ({others})."


def choose(scores: Mapping[str, Scores], tables: Tables) -> Choice:
    """The stage with the greatest mean relative gain over the first; of equals, the earlier.

    Args:
        scores: of each stage in order, on the validation split.
        tables: of the real data.
    """
    first, *later = scores
    gains = {first: 0.0}
    if later:
        found = compare(
            scores,
            reference=first,
            constant=constant_baseline(tables.split("train"), tables.split("val"), tables.images),
            seed=0,
            resamples=100,  # intervals are not looked at
        ).as_dict()["mean_gain"]
        for name in later:
            gain = found[name]
            if gain is not None and gain["value"] is not None:
                gains[name] = gain["value"]
    return Choice(max(gains, key=lambda name: gains[name]), gains)
