"""Calibrates claims: how far a claim of each channel moves the log-odds of a fact.

For each channel and value, a logistic regression on the validation split explains whether the claim
is true: the log-odds of the prior are an offset, and what is added to them is

    evidence = intercept + intercept of the fact + slopes · (log confidence, log agreement)

with slopes of at least 0, so that more confidence never means less. The intercepts of single facts
are shrunk towards 0 (ridge), so that a fact with few validation answers takes the channel's value.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.special import expit

from imaxray.derive import DeriveConfig
from imaxray.pseudo.selecting.fusing.claims import Claim, FactKey

Floats = NDArray[np.float64]
ChannelKey = tuple[str, tuple[int, ...]]
"""Channel and values of its claims; without values it stands for all values of the channel, and is
used for values with too few examples of their own."""

FEWEST: Final = 10  # validation examples that a calibration needs
_RIDGE: Final = 1.0  # precision of the normal prior of the intercepts of facts
_SLOPE_RIDGE: Final = 0.1  # the same for slopes
_EDGE: Final = 1e-9

DERIVED: Final = DeriveConfig().precision
"""Probability that a statement which a rule derived is right. Rules with a lower measured precision
are off, and the validation split has no derived entry that could tell more."""


@dataclass(frozen=True)
class Curve:
    """Log-odds as a function of features: ``intercept + slopes · features``, slopes at least 0.

    Attributes:
        intercept: Log-odds at features of 0.
        slopes: Slope of each feature.
        groups: Name of a group → what it adds to the intercept.
        count: Number of examples.
        right: Number of examples that are true.
    """

    intercept: float
    slopes: tuple[float, ...]
    groups: Mapping[str, float]
    count: int
    right: int

    def at(self, features: Sequence[float], group: str = "") -> float:
        """Return the log-odds at these features."""
        parts = [s * x for s, x in zip(self.slopes, features, strict=True)]
        return math.fsum([self.intercept, self.groups.get(group, 0.0), *parts])

    def as_dict(self) -> dict[str, Any]:
        """Return the curve in a form that JSON can hold."""
        return {
            "intercept": self.intercept, "slopes": list(self.slopes), "groups": dict(self.groups),
            "count": self.count, "right": self.right,
        }  # fmt: skip


def fit_curve(
    features: Floats,
    right: Floats,
    offset: Floats | None = None,
    groups: Sequence[str] | None = None,
) -> Curve | None:
    """Fit a curve by penalised maximum likelihood; ``None`` with fewer than ten examples.

    One true and one false example at the mean features are added, so that the log-odds stay finite
    if all examples are true (Platt 1999 does the same).

    Args:
        features: Features, (n, k), float64.
        right: Whether each example is true, (n,), 0 or 1.
        offset: Known part of the log-odds, (n,); by default 0.
        groups: Group of each example; by default all belong to one group without a name.
    """
    n, k = features.shape
    if n < FEWEST:
        return None
    offset = np.zeros(n) if offset is None else offset
    names = sorted(set(groups)) if groups is not None else []
    member = np.zeros((n, len(names)))
    if groups is not None:
        member[np.arange(n), [names.index(g) for g in groups]] = 1.0
    design = np.hstack([np.ones((n, 1)), features, member])
    mean = design.mean(axis=0)
    mean[1 + k :] = 0.0
    design = np.vstack([design, mean, mean])
    target = np.concatenate([right, [1.0, 0.0]])
    base = np.concatenate([offset, np.full(2, offset.mean())])
    penalty = np.concatenate([[0.0], np.full(k, _SLOPE_RIDGE), np.full(len(names), _RIDGE)])

    def loss(w: Floats) -> tuple[float, Floats]:
        z = base + design @ w
        value = np.logaddexp(0.0, z).sum() - target @ z + 0.5 * (penalty * w * w).sum()
        slope = design.T @ (expit(z) - target) + penalty * w
        return float(value), slope

    bounds = [(None, None), *[(0.0, None)] * k, *[(None, None)] * len(names)]
    found = minimize(loss, np.zeros(design.shape[1]), jac=True, method="L-BFGS-B", bounds=bounds)
    w = found.x
    return Curve(
        float(w[0]),
        tuple(float(x) for x in w[1 : 1 + k]),
        {name: float(x) for name, x in zip(names, w[1 + k :], strict=True)},
        n,
        int(right.sum()),
    )


def logit(share: float) -> float:
    """Return the log-odds of a share, which is kept off 0 and 1."""
    share = min(max(share, _EDGE), 1 - _EDGE)
    return math.log(share / (1 - share))


@dataclass(frozen=True)
class ClaimCalibration:
    """The curves of all channels, and how far further claims of the same fact count.

    Attributes:
        curves: Channel and values → curve of the log-odds that a claim adds.
        further: Share, 0 to 1, of what each claim after the strongest one adds; 0 if the
            validation split does not show that claims of one fact are right independently.
    """

    curves: Mapping[ChannelKey, Curve]
    further: float

    def evidence(self, claim: Claim, prior: float) -> float | None:
        """Return the log-odds that a claim adds to its values; ``None`` if it is not calibrated.

        Args:
            claim: Claim about a fact.
            prior: Prior probability of the values of the claim.
        """
        if claim.origin == "derived":  # never in the validation split
            return logit(DERIVED) - logit(prior)
        curve = self.curves.get(channel_key(claim)) or self.curves.get((claim.channel, ()))
        return None if curve is None else curve.at(claim.evidence, _group(claim.fact))


def channel_key(claim: Claim) -> ChannelKey:
    """Return the channel and the values of a claim."""
    return claim.channel, tuple(sorted(claim.values))


def fit_channels(
    examples: Sequence[tuple[Claim, bool, float]],
) -> dict[ChannelKey, Curve]:
    """Fit the curve of each channel.

    Args:
        examples: Claims about facts whose true value is known, whether each is true, and the prior
            probability of its values.
    """
    by_channel: dict[ChannelKey, list[tuple[Claim, bool, float]]] = {}
    for example in examples:
        for key in (channel_key(example[0]), (example[0].channel, ())):
            by_channel.setdefault(key, []).append(example)
    curves = {}
    for key, found in sorted(by_channel.items()):
        curve = fit_curve(
            np.array([claim.evidence for claim, _, _ in found], dtype=np.float64).reshape(
                len(found), -1
            ),
            np.array([right for _, right, _ in found], dtype=np.float64),
            np.array([logit(prior) for _, _, prior in found]),
            [_group(claim.fact) for claim, _, _ in found],
        )
        if curve is not None:
            curves[key] = curve
    return curves


def _group(fact: FactKey) -> str:
    return fact[1]
