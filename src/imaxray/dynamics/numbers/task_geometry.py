"""How the gradients of tasks agree, from the Gram matrix alone: no extra backward pass.

Mean gradients of two tasks have the inner product mean K_ij over i in one, j in the other. The
squared norm of a sample mean holds noise, tr(Σ)/n, so raw cosines shrink towards 0; with the mean
of K_ij, i ≠ j, in its place (a U-statistic) they do not. Those are the ones to report.
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
    """Pairwise statistics of T tasks, each (T, T) and symmetric.

    Attributes:
        tasks: names, sorted.
        entries: entries of each.
        cosine: debiased cosine of the mean gradients; NaN where chance makes a squared norm
            negative (too few entries). 1 on the diagonal.
        raw_cosine: of the sample means, shrunk by noise.
        magnitude_similarity: 2|a||b| / (|a|² + |b|²) of the debiased norms (Yu et al. 2020).
        pair_conflict: share of entry pairs, one of each task (two of it on the diagonal), whose
            gradients have a negative inner product.
        conflict_rate: share of task pairs whose debiased cosine is negative; NaN pairs left out.
    """

    tasks: tuple[str, ...]
    entries: tuple[int, ...]
    cosine: Floats
    raw_cosine: Floats
    magnitude_similarity: Floats
    pair_conflict: Floats
    conflict_rate: float

    def pairs(self) -> list[dict[str, object]]:
        """One row a pair of tasks, plain values."""
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
    """Cosines, magnitudes and conflicts between tasks.

    Args:
        gram: (N, N) Gram matrix.
        tasks: task of each entry.
        images: image of each entry; given, pairs of entries of one image are left out, so that
            what they share by the image alone does not count as agreement of tasks.

    Raises:
        ImaxrayError: lengths differ, or fewer than two tasks.

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
            f"Expected a task (and image) for each of {n} entries, but got {len(tasks)}."
        )
    names = sorted(set(tasks))
    if len(names) < 2:
        raise ImaxrayError(
            f"Expected entries of two tasks or more, but all are {', '.join(names) or 'missing'}."
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
