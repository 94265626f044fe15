"""Computes statistics of a Gram matrix: spectral entropy, concentration, Rényi-2 entropy, trace.

With F = (1/N) Σ g_i g_iᵀ and K_ij = ⟨g_i, g_j⟩, the non-zero eigenvalues of F are those of K / N.
Every function takes a stack of Gram matrices (…, N, N) and returns an array (…).

SE and rho depend on N (SE ≤ ln N), so compare them only at equal N, task quotas and answer lengths.
H2 is a ratio of U-statistics and nearly independent of N.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from imaxray._common.names import require_known
from imaxray.errors import ImaxrayError

Floats = NDArray[np.float64]
Statistic = Callable[[Floats], Floats]


def centred(gram: Floats) -> Floats:
    """Return the Gram matrix of the mean-centred gradients, HKH with H = I − 11ᵀ/N.

    Example:
        >>> centred(np.array([[2.0, 0.0], [0.0, 2.0]]))
        array([[ 1., -1.],
               [-1.,  1.]])
    """
    rows = gram.mean(axis=-1, keepdims=True)
    total = gram.mean(axis=(-2, -1), keepdims=True)
    return np.asarray(gram - rows - np.swapaxes(rows, -1, -2) + total, dtype=np.float64)


def shares(gram: Floats) -> Floats:
    """Return p_k = λ_k / Σλ in ascending order, (…, N); NaN if the trace is 0.

    Example:
        >>> shares(np.diag([3.0, 1.0]))
        array([0.25, 0.75])
    """
    values = np.clip(np.linalg.eigvalsh(gram), 0, None)
    total = values.sum(axis=-1, keepdims=True)
    with np.errstate(invalid="ignore"):
        return np.asarray(values / np.where(total > 0, total, np.nan), dtype=np.float64)


def spectral_entropy(gram: Floats) -> Floats:
    """Return the spectral entropy SE = −Σ p_k ln p_k in nats, (…).

    Example:
        >>> print(spectral_entropy(np.eye(4)).round(3))  # ln 4: four equal directions
        1.386
    """
    return _entropy(shares(gram))


def _entropy(p: Floats) -> Floats:
    with np.errstate(divide="ignore", invalid="ignore"):
        terms = np.where(p == 0, 0.0, p * np.log(p))
    return np.asarray(-terms.sum(axis=-1), dtype=np.float64)


def effective_rank(gram: Floats) -> Floats:
    """Return exp(SE), the number of equal eigenvalues with this entropy (Roy and Vetterli 2007).

    Example:
        >>> print(effective_rank(np.eye(4)).round(3))  # four equal directions
        4.0
        >>> print(effective_rank(np.ones((4, 4))).round(3))  # all gradients are the same
        1.0
    """
    return np.asarray(np.exp(spectral_entropy(gram)), dtype=np.float64)


def concentration(gram: Floats) -> Floats:
    """Return the concentration rho = λ_max / Σλ, (…).

    Example:
        >>> print(concentration(np.diag([3.0, 1.0])))
        0.75
    """
    return np.asarray(shares(gram)[..., -1], dtype=np.float64)


def trace(gram: Floats) -> Floats:
    """Return the trace of F: the mean squared gradient norm, which depends on the loss scale.

    Example:
        >>> print(trace(np.diag([3.0, 1.0])))
        2.0
    """
    return np.asarray(np.trace(gram, axis1=-2, axis2=-1) / gram.shape[-1], dtype=np.float64)


def renyi_entropy(gram: Floats) -> Floats:
    """Return the Rényi-2 entropy H2 = −ln(tr F² / (tr F)²), with unbiased estimates of both traces.

    The ratio is mean_{i≠j} K_ij² over mean_{i≠j} K_ii K_jj. The result is NaN for N < 2.
    """
    n = gram.shape[-1]
    diagonal = np.diagonal(gram, axis1=-2, axis2=-1)
    squares = (gram**2).sum(axis=(-2, -1)) - (diagonal**2).sum(axis=-1)
    products = diagonal.sum(axis=-1) ** 2 - (diagonal**2).sum(axis=-1)
    if n < 2:
        return np.full(gram.shape[:-2], np.nan)
    return _minus_log(squares, products)


def renyi_entropy_centred(gram: Floats) -> Floats:
    """Return H2 of the covariance of the gradients; both traces are unbiased for an unknown mean.

    The estimate of tr Σ² uses distinct pairs, triples and quadruples of entries (Himeno and Yamada
    2014; Chen and Qin 2010). The estimate of (tr Σ)² uses distinct pairs of half squared distances.
    The result is NaN for N < 4, and if chance makes an unbiased trace negative.
    """
    n = gram.shape[-1]
    if n < 4:
        return np.full(gram.shape[:-2], np.nan)
    diagonal = np.diagonal(gram, axis1=-2, axis2=-1)
    off = gram * (1 - np.eye(n))
    pairs, triples, quadruples = _distinct(off)
    squared = (
        pairs / (n * (n - 1))
        - 2 * triples / (n * (n - 1) * (n - 2))
        + quadruples / (n * (n - 1) * (n - 2) * (n - 3))
    )
    distances = (diagonal[..., :, None] + diagonal[..., None, :]) / 2 - gram
    distances = distances * (1 - np.eye(n))
    _, _, products = _distinct(distances)
    return _minus_log(squared, products / (n * (n - 1) * (n - 2) * (n - 3)))


def _distinct(off: Floats) -> tuple[Floats, Floats, Floats]:
    """Return Σ A_ij², Σ A_ij A_jk and Σ A_ij A_kl over distinct indices.

    ``off`` is A, which must be symmetric with a diagonal of 0.
    """
    squares = (off**2).sum(axis=(-2, -1))
    sums = off.sum(axis=-1)
    total = sums.sum(axis=-1)
    rows = (sums**2).sum(axis=-1)
    return squares, rows - squares, total**2 - 4 * rows + 2 * squares


def _minus_log(above: Floats, below: Floats) -> Floats:
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = above / below
        return np.asarray(np.where(ratio > 0, -np.log(ratio), np.nan), dtype=np.float64)


def _of_centred(function: Statistic) -> Statistic:
    def of_centred(gram: Floats) -> Floats:
        return function(centred(gram))

    return of_centred


STATISTICS: Final[dict[str, Statistic]] = {
    "se": spectral_entropy,
    "rho": concentration,
    "h2": renyi_entropy,
    "effective_rank": effective_rank,
    "trace": trace,
    "se_centred": _of_centred(spectral_entropy),
    "rho_centred": _of_centred(concentration),
    "h2_centred": renyi_entropy_centred,
    "effective_rank_centred": _of_centred(effective_rank),
    "trace_centred": lambda gram: _of_centred(trace)(gram) * gram.shape[-1] / (gram.shape[-1] - 1),
}
"""Maps a name to the function that computes this statistic for a stack of Gram matrices."""


_OF_SHARES: Final[dict[str, Statistic]] = {
    "se": _entropy,
    "rho": lambda p: np.asarray(p[..., -1], dtype=np.float64),
    "effective_rank": lambda p: np.asarray(np.exp(_entropy(p)), dtype=np.float64),
}
"""Statistics that are functions of the normalised eigenvalues alone."""


def statistic(name: str) -> Statistic:
    """Return the statistic called ``name``.

    Raises:
        ImaxrayError: If no statistic has this name.
    """
    require_known(name, STATISTICS, "a statistic")
    return STATISTICS[name]


def several(gram: Floats, names: Sequence[str]) -> dict[str, Floats]:
    """Compute several statistics of a stack of Gram matrices, by name.

    Every value is the same as if it were computed alone. The eigenvalues take most of the time, so
    they are computed once for all statistics that need them.

    Raises:
        ImaxrayError: If a name is not that of a statistic.

    Example:
        >>> {name: round(float(v), 3) for name, v in several(np.eye(4), ["se", "rho"]).items()}
        {'se': 1.386, 'rho': 0.25}
    """
    found: dict[str, Floats] = {}
    kept: dict[str, Floats] = {}
    for name in names:
        base = name.removesuffix("_centred")
        if base not in _OF_SHARES:
            found[name] = statistic(name)(gram)
            continue
        key = name[len(base) :]
        if key not in kept:
            kept[key] = shares(centred(gram) if key else gram)
        found[name] = _OF_SHARES[base](kept[key])
    return found


@dataclass(frozen=True)
class Spectrum:
    """Holds all statistics of one Gram matrix, uncentred or centred.

    Attributes:
        entries: Number of entries N; SE and rho can be compared at equal N only.
        se: Spectral entropy in nats, at most ln N.
        rho: Share of the largest eigenvalue in the trace.
        h2: Rényi-2 entropy in nats, from unbiased traces.
        effective_rank: Effective rank, exp(se).
        trace: Trace of F, or of the unbiased covariance if centred.
        centred: Whether the mean gradient was subtracted.
        eigenvalues: Eigenvalues of F in descending order, (N,).
    """

    entries: int
    se: float
    rho: float
    h2: float
    effective_rank: float
    trace: float
    centred: bool
    eigenvalues: tuple[float, ...]

    def as_dict(self) -> dict[str, object]:
        """Return all fields as a dictionary of plain values."""
        return asdict(self)


def spectrum(gram: Floats, *, centre: bool = False) -> Spectrum:
    """Compute the spectrum of F from the (N, N) Gram matrix.

    Args:
        gram: Gram matrix, (N, N) float64.
        centre: Whether to subtract the mean gradient first.

    Raises:
        ImaxrayError: If ``gram`` is not a square matrix of finite numbers.

    Example:
        >>> found = spectrum(np.diag([3.0, 1.0]))
        >>> round(found.se, 3), round(found.rho, 3)
        (0.562, 0.75)
    """
    if gram.ndim != 2 or gram.shape[0] != gram.shape[1] or not len(gram):
        raise ImaxrayError(
            f"Expected a square Gram matrix, but got shape {gram.shape}; pass Gram.matrix."
        )
    if not np.isfinite(gram).all():
        raise ImaxrayError(
            "Expected finite gradients, but the Gram matrix has NaN or infinity; check the loss."
        )
    suffix = "_centred" if centre else ""
    values = {
        name: float(STATISTICS[name + suffix](gram))
        for name in ("se", "rho", "h2", "effective_rank", "trace")
    }
    found = np.linalg.eigvalsh(centred(gram) if centre else gram)[::-1] / len(gram)
    return Spectrum(
        entries=len(gram),
        centred=centre,
        eigenvalues=tuple(float(max(v, 0.0)) for v in found),
        **values,
    )
