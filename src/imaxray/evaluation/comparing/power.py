"""Says how small a mean gain a comparison could have found, and how many seeds a gain needs."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy import stats

Floats = NDArray[np.float64]

POWER: Final = 0.8
"""Share of repetitions of a study in which an effect of the stated size is found."""


@dataclass(frozen=True)
class Power:
    """Says what a comparison of mean gains can tell apart from none.

    Errors are those of the bootstrap. With fewer than about five seeds it underestimates the error
    between seeds, so that the smallest gain is a lower bound.

    Attributes:
        seeds: Smaller number of training runs of the two arms.
        patients_error: Standard error of the mean gain over patients, for exactly these trainings.
        seeds_error: Standard error over trainings alone; NaN with one training per arm.
        smallest: Smallest true mean gain that is found with the probability :data:`POWER`, by an
            interval at the level of the comparison that lies wholly on one side of 0.
    """

    seeds: int
    patients_error: float
    seeds_error: float
    smallest: float
    level: float

    def seeds_for(self, gain: float) -> int | None:
        """Return the number of seeds per arm by which a true mean gain would be found.

        Args:
            gain: True mean gain, a fraction.

        Returns:
            None if no number of seeds suffices, because the error over the patients of the test set
            alone is too large, or if there is one training per arm.

        Example:
            >>> power = Power(3, 0.01, 0.02, 0.063, 0.95)
            >>> power.seeds_for(0.06), power.seeds_for(0.04), power.seeds_for(0.02)
            (4, 12, None)
        """
        allowed = (gain / _quantiles(self.level)) ** 2 - self.patients_error**2
        if math.isnan(self.seeds_error) or allowed <= 0:
            return None
        return max(1, math.ceil(self.seeds_error**2 * self.seeds / allowed))


def power_of(draws: Floats, of_patients: Floats, seeds: int, level: float) -> Power:
    """Return what a comparison can tell apart from no gain.

    Args:
        draws: Mean gain on the data and on each resample of patients and seeds, (1 + resamples,).
        of_patients: The same on each resample of patients alone.
        seeds: Smaller number of training runs of the two arms.
        level: Level of the comparison's intervals.
    """
    whole, patients = float(np.var(draws[1:])), float(np.var(of_patients[1:]))
    between = math.sqrt(max(whole - patients, 0.0)) if seeds > 1 else math.nan
    return Power(seeds, math.sqrt(patients), between, _quantiles(level) * math.sqrt(whole), level)


def power_sentences(powers: Mapping[str, Power], gains: Mapping[str, float | None]) -> list[str]:
    """Say for each arm how small a gain would have been found, and what its own gain needs.

    Args:
        powers: Arm → its power.
        gains: Arm → its mean gain, a fraction; None if it has none.
    """
    lines = []
    for arm, power in powers.items():
        gain = gains.get(arm)
        line = (
            f"{arm}: a true mean gain of {power.smallest:.1%} or more would be found in "
            f"{POWER:.0%} of such comparisons"
        )
        if gain:
            needed = power.seeds_for(abs(gain))
            if math.isnan(power.seeds_error):
                line += "; with one training per arm, the error between trainings is unknown"
            elif needed is None:
                line += (
                    f"; no number of seeds would suffice for {gain:+.1%} on this test set, because "
                    "it has too few patients"
                )
            else:
                line += f"; {gain:+.1%} needs about {needed:,} seeds per arm"
        lines.append(f"{line}.")
    return lines


def _quantiles(level: float) -> float:
    return float(stats.norm.ppf((1 + level) / 2) + stats.norm.ppf(POWER))
