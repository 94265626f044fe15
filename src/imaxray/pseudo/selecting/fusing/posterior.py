"""Combines all claims about one fact into the probability of each of its values.

The log-odds of a value are those of its prior, plus the evidence of the strongest claim for it,
plus a share (``further``) of the positive evidence of every other claim for it. The answers of one
model about one image err together, so a plain sum would be too certain; the share is fitted on the
validation split. Claims for other values compete with it through the sum to 1. A further claim for
a value therefore never lowers its probability, and the order of claims does not matter.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from imaxray.pseudo.selecting.fusing.calibration import FEWEST, ClaimCalibration
from imaxray.pseudo.selecting.fusing.claims import Claim, FactKey, Vocabulary, values_of

Posterior = Mapping[int, float]
"""Value of a fact → its probability; the probabilities sum to 1."""

SHARES: Final = (0.0, 0.25, 0.5, 0.75, 1.0)
_LEAST: Final = 1e-12


def combine(
    prior: Mapping[int, float], evidence: Iterable[tuple[frozenset[int], float]], further: float
) -> Posterior:
    """Return the probability of each value.

    Args:
        prior: Value → prior probability.
        evidence: Values that a claim leaves possible, and the log-odds that it adds to them.
        further: Share of what each claim after the strongest one adds, 0 to 1.
    """
    claims = list(evidence)
    scores = {}
    for value, share in prior.items():
        mine = sorted((odds for values, odds in claims if value in values), reverse=True)
        rest = [further * max(0.0, odds) for odds in mine[1:]]
        scores[value] = math.fsum([math.log(max(share, _LEAST)), *mine[:1], *rest])
    top = max(scores.values())
    weights = {value: math.exp(score - top) for value, score in scores.items()}
    total = math.fsum(weights.values())
    return {value: weight / total for value, weight in weights.items()}


def posteriors(
    claims: Sequence[Claim], vocabulary: Vocabulary, calibration: ClaimCalibration
) -> dict[FactKey, Posterior]:
    """Return the posterior of every fact that a calibrated claim or a human entry is about.

    A human entry that states the fact itself settles it; if two of them differ, the fact stays as
    the other claims leave it.
    """
    by_fact: dict[FactKey, list[Claim]] = {}
    for claim in claims:
        by_fact.setdefault(claim.fact, []).append(claim)
    found: dict[FactKey, Posterior] = {}
    for fact, about in sorted(by_fact.items()):
        settled = {claim.values for claim in about if claim.direct}
        prior = dict(zip(values_of(fact), vocabulary.prior_of(fact), strict=True))
        if len(settled) == 1:
            values = next(iter(settled))
            found[fact] = {v: 1.0 if v in values else 0.0 for v in prior}
            continue
        told = _told(about, prior, calibration)
        if told:
            found[fact] = combine(prior, told, calibration.further)
    return found


def fit_further(
    facts: Sequence[tuple[Sequence[Claim], FactKey, int]],
    vocabulary: Vocabulary,
    calibration: ClaimCalibration,
) -> float:
    """Return the share of further evidence under which the true values are most likely.

    Args:
        facts: Claims about a fact of a validation image, the fact, and its true value.
        vocabulary: Priors of the facts.
        calibration: Calibration whose ``further`` is not used.

    Returns:
        One of :data:`SHARES`; 0 if fewer than ten facts have two claims for one value.
    """
    several = []
    for about, fact, truth in facts:
        prior = dict(zip(values_of(fact), vocabulary.prior_of(fact), strict=True))
        told = _told(about, prior, calibration)
        if any(sum(value in values for values, _ in told) > 1 for value in values_of(fact)):
            several.append((prior, told, truth))
    if len(several) < FEWEST:
        return 0.0

    def likelihood(share: float) -> float:
        return math.fsum(
            math.log(max(combine(prior, told, share)[truth], _LEAST))
            for prior, told, truth in several
        )

    return max(SHARES, key=lambda share: (likelihood(share), -share))


def _told(
    about: Sequence[Claim], prior: Mapping[int, float], calibration: ClaimCalibration
) -> list[tuple[frozenset[int], float]]:
    """Return the values of each claim and the log-odds that it adds to them."""
    found = []
    for claim in about:
        odds = calibration.evidence(claim, math.fsum(prior[value] for value in claim.values))
        if odds is not None:
            found.append((claim.values, odds))
    return found
