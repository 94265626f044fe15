"""Predicts what grouping does to a spectrum from the similarity of gradients within groups.

The population matrix E[g gᵀ] depends on single entries only. That entries of one image are drawn
together therefore acts through the finite number of entries N alone. docs/concepts/groups.md
derives every formula.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray


def size_biased(sizes: Sequence[int] | NDArray[np.int64]) -> float:
    """Return g̃ = Σn² / Σn: the mean size of the group that a random entry is in.

    The mean size Σn / M of M groups is smaller unless all groups are equal, and in its place it
    makes every formula here wrong.

    Args:
        sizes: Number of entries of each group.

    Example:
        >>> size_biased([1, 1, 1, 9])  # the mean size is 3
        7.0
    """
    n = np.asarray(sizes, dtype=np.float64)
    return float((n**2).sum() / n.sum())


def h2_change(
    group: float, within: float, across: float, entries: int, *, spread: float = 1.0
) -> float:
    """Return the change of H2 = −ln Σp² when N entries are drawn in groups instead of apart.

    ΔH2 = −ln[1 + (g̃ − 1)(m_w − m_b) / (a + (N − 1) m_b)].

    Args:
        group: Size-biased mean g̃ of the groups in a draw, see :func:`size_biased`.
        within: m_w, mean of K_ij² over pairs of entries of one group, over the squared mean of
            K_ii; for gradients of norm one the mean squared cosine.
        across: m_b, the same over pairs of entries of two groups.
        entries: N, number of entries of a draw.
        spread: a, mean of K_ii² over the squared mean of K_ii; 1 for gradients of norm one.

    Example:
        >>> round(h2_change(4.0, 0.0117, 0.0086, 32), 4)  # the trained phantom of the reference
        -0.0073
    """
    return float(-np.log1p((group - 1) * (within - across) / (spread + (entries - 1) * across)))


def entropy_change_limit(group: float, correlation: float) -> float:
    """Return the largest possible change of SE: isotropic gradients in very many dimensions.

    ΔSE = −[(1 + (g − 1) r) / g · ln(1 + (g − 1) r) + (g − 1)(1 − r) / g · ln(1 − r)], the change
    of the entropy of N / g blocks of g gradients of norm one, whose cosine is r within a block and
    0 across.

    Args:
        group: Number g of entries of each group, all groups alike.
        correlation: Cosine r of two gradients of one group, from 0 to 1.

    Example:
        >>> [round(entropy_change_limit(7.46, r), 2) for r in (0.1, 0.3, 0.5)]
        [-0.03, -0.21, -0.52]
    """
    large = 1 + (group - 1) * correlation
    rest = 1 - correlation
    low = (group - 1) * rest / group * np.log(rest) if rest > 0 else 0.0
    return float(-(large / group * np.log(large) + low))


def design_effect(group: float, correlation: float) -> float:
    """Return 1 + (g̃ − 1)·ICC: the factor by which groups raise the variance of a mean.

    N entries in groups tell as much of the mean gradient as N / deff entries drawn apart (Kish
    1965, Survey Sampling). Groups of different sizes need the size-biased mean size.

    Args:
        group: Size-biased mean size g̃ of the groups.
        correlation: Intraclass correlation.

    Example:
        >>> design_effect(7.0, 0.05)
        1.3
    """
    return 1 + (group - 1) * correlation
