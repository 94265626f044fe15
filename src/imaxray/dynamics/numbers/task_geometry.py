"""Measures how the gradients of tasks agree, using the Gram matrix and no extra backward pass.

The mean gradients of two tasks have the inner product mean K_ij over entries i of one task and j of
the other. The squared norm of a sample mean contains noise, tr(Σ)/n, so raw cosines shrink towards
0. The mean of K_ij over i ≠ j (a U-statistic) has no such bias. Report the debiased cosines.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from imaxray.errors import ImaxrayError

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class TaskGeometry:
    """Holds pairwise statistics of T tasks; each matrix is (T, T) float64 and symmetric.

    Attributes:
        tasks: Names of the tasks, sorted.
        entries: Number of entries of each task.
        cosine: Debiased cosine of the mean gradients. It is NaN if chance makes a squared norm
            negative (too few entries), and 1 on the diagonal.
        raw_cosine: Cosine of the sample means, shrunk by noise.
        magnitude_similarity: 2|a||b| / (|a|² + |b|²) of the debiased norms (Yu et al. 2020).
        pair_conflict: Share of entry pairs with a negative inner product of their gradients. A pair
            has one entry of each task, or two entries of the same task on the diagonal.
        conflict_rate: Share of task pairs whose debiased cosine is negative, without NaN pairs.
    """

    tasks: tuple[str, ...]
    entries: tuple[int, ...]
    cosine: Floats
    raw_cosine: Floats
    magnitude_similarity: Floats
    pair_conflict: Floats
    conflict_rate: float

    def pairs(self) -> list[dict[str, object]]:
        """Return one dictionary of plain values per pair of different tasks."""
        return [
            {
                "task": a,
                "other": b,
                "cosine": float(self.cosine[i, j]),
                "raw_cosine": float(self.raw_cosine[i, j]),
                "magnitude_similarity": float(self.magnitude_similarity[i, j]),
                "pair_conflict": float(self.pair_conflict[i, j]),
            }
            for i, a in enumerate(self.tasks)
            for j, b in enumerate(self.tasks)
            if i < j
        ]


def task_geometry(
    gram: Floats,
    tasks: Sequence[str],
    *,
    images: Sequence[str] | None = None,
) -> TaskGeometry:
    """Compute cosines, magnitude similarities and conflicts between tasks.

    Args:
        gram: Gram matrix, (N, N) float64.
        tasks: Task of each entry.
        images: Image of each entry. If given, pairs of entries of the same image are left out, so
            that a similarity caused by the image alone does not count as agreement of tasks.

    Raises:
        ImaxrayError: If the lengths differ, or there are fewer than two tasks.

    Example:
        >>> # the gradients of the two tasks point in opposite directions
        >>> gram = np.array([[1.0, 1, -1, -1], [1, 1, -1, -1], [-1, -1, 1, 1], [-1, -1, 1, 1]])
        >>> found = task_geometry(gram, ["report", "report", "vqa", "vqa"])
        >>> found.tasks, found.cosine.round(2).tolist(), found.conflict_rate
        (('report', 'vqa'), [[1.0, -1.0], [-1.0, 1.0]], 1.0)
    """
    n = len(gram)
    if len(tasks) != n or (images is not None and len(images) != n):
        raise ImaxrayError(
            f"Expected a task (and image) for each of {n} entries, but got {len(tasks)}; pass one "
            "per entry."
        )
    names = sorted(set(tasks))
    if len(names) < 2:
        raise ImaxrayError(
            f"Expected entries of two tasks or more, but all are {', '.join(names) or 'missing'}; "
            "add entries of another task."
        )
    member = np.array([[task == name for task in tasks] for name in names], dtype=np.float64)
    use = 1 - np.eye(n)
    if images is not None:
        _, code = np.unique(np.asarray(images), return_inverse=True)
        use = use * (code[:, None] != code[None, :])
    pairs = member @ use @ member.T
    with np.errstate(invalid="ignore", divide="ignore"):
        inner = (member @ (gram * use) @ member.T) / np.where(pairs > 0, pairs, np.nan)
        conflict = (member @ ((gram < 0) * use) @ member.T) / np.where(pairs > 0, pairs, np.nan)
        norms = np.sqrt(np.where(np.diag(inner) > 0, np.diag(inner), np.nan))
        cosine = inner / np.outer(norms, norms)
        both = np.add.outer(norms**2, norms**2)
        magnitude = 2 * np.outer(norms, norms) / both
    sizes = member.sum(axis=1)
    means = member @ gram @ member.T / np.outer(sizes, sizes)
    raw = means / np.sqrt(np.outer(np.diag(means), np.diag(means)))
    np.fill_diagonal(cosine, 1.0)
    upper = cosine[np.triu_indices(len(names), 1)]
    known = upper[np.isfinite(upper)]
    return TaskGeometry(
        tasks=tuple(names),
        entries=tuple(int(size) for size in sizes),
        cosine=cosine,
        raw_cosine=raw,
        magnitude_similarity=magnitude,
        pair_conflict=conflict,
        conflict_rate=float((known < 0).mean()) if len(known) else float("nan"),
    )
