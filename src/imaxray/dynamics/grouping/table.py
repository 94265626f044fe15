"""Tabulates how alike gradients are within images, and what drawing whole images does."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np
import polars as pl
from scipy import stats

from imaxray.dynamics.grouping.draws import DRAWN, Drawn, difference, together
from imaxray.dynamics.grouping.formulas import h2_change
from imaxray.dynamics.grouping.sharing import Sharing, permutation_test, sharing
from imaxray.dynamics.numbers.gram import Gram, Reduction
from imaxray.dynamics.numbers.intervals import Estimate, over_seeds
from imaxray.errors import ImaxrayError

MEAN: Final = "mean"
"""Value of the column ``run`` of a mean over runs."""

_SHARED: Final = ("within", "across", "cosine_within", "cosine_across", "icc")
_ROW: Final[dict[str, Any]] = {
    "run": pl.String, "entries_seen": pl.Int64, "group": pl.String, "reduction": pl.String,
}  # fmt: skip

SHARING: Final = pl.Schema(
    {
        **_ROW,
        "pool": pl.Int64,  # entries
        "images": pl.Int64,
        "entries_per_image": pl.Float64,  # size-biased mean
        "spread": pl.Float64,
        **{f"{name}{end}": pl.Float64 for name in _SHARED for end in ("", "_low", "_high")},
        "p": pl.Float64,  # permutation test; null for a mean
    }
)
"""Schema of :func:`sharing_table`."""

_CHANGES: Final = ("observed", "simulated")

GROUPS: Final = pl.Schema(
    {
        **_ROW,
        "entries": pl.Int64,  # N of a draw
        "entries_per_image": pl.Float64,  # of a draw of whole images, size-biased mean
        "statistic": pl.String,
        "whole": pl.Float64,
        "apart": pl.Float64,  # null where the pool has fewer images than N
        **{f"{name}{end}": pl.Float64 for name in _CHANGES for end in ("", "_low", "_high")},
        "formula": pl.Float64,  # of H2 only
    }
)
"""Schema of :func:`groups_table`."""


def sharing_table(
    grams: Mapping[str, Mapping[int, Gram]],
    *,
    reductions: Sequence[Reduction] = ("sum", "unit-norm"),
    permutations: int = 1000,
    seed: int = 0,
    level: float = 0.95,
) -> pl.DataFrame:
    """Return how alike gradients are within images, per run, measurement and module group.

    Args:
        grams: Run → entries seen → Gram matrix of summed losses, with tasks and images; all of one
            pool of entries.
        reductions: Reductions of each entry's loss.
        permutations: Number of permutations of the test.
        seed: Random seed of the test.
        level: Confidence level. The intervals hold for other images; those of the rows with run
            ``mean`` also for other seeds.

    Returns:
        Schema SHARING.

    Raises:
        ImaxrayError: If a matrix does not name its entries' images and tasks, or too few entries
            share an image.
    """
    rows: list[dict[str, Any]] = []
    for seen, group, reduction, of in _cells(grams, reductions):
        found: list[Sharing] = []
        for run, (matrix, gram) in of.items():
            assert gram.images is not None and gram.tasks is not None
            one = sharing(matrix, gram.images, level=level)
            found.append(one)
            p = permutation_test(
                matrix, gram.images, gram.tasks, permutations=permutations, seed=seed
            )
            rows.append(_shared(run, seen, group, reduction, one, p))
        if len(found) > 1:
            mean = Sharing(
                entries=found[0].entries, images=found[0].images, group=found[0].group,
                spread=float(np.mean([one.spread for one in found])),
                **{n: _over_runs([getattr(one, n) for one in found], level) for n in _SHARED},
            )  # fmt: skip
            rows.append(_shared(MEAN, seen, group, reduction, mean, None))
    return pl.DataFrame(rows, schema=SHARING)


def groups_table(
    grams: Mapping[str, Mapping[int, Gram]],
    sizes: Sequence[int],
    *,
    reductions: Sequence[Reduction] = ("sum", "unit-norm"),
    draws: int = 200,
    seed: int = 0,
    level: float = 0.95,
) -> pl.DataFrame:
    """Return what drawing whole images does to SE, rho and H2, under the same weights.

    Args:
        grams: As for :func:`sharing_table`.
        sizes: Numbers of entries N of a draw; those above the pool are left out.
        reductions: Reductions of each entry's loss.
        draws: Number of draws of each way at N up to 64; fewer at larger N, whose spectra take
            longer and vary less.
        seed: Random seed of the draws.
        level: Confidence level. The intervals hold for other draws and images; those of the rows
            with run ``mean`` also for other seeds.

    Returns:
        Schema GROUPS. ``observed`` is the mean of draws of whole images minus that of draws with
        one entry per image. ``simulated`` is what the measured similarities predict: whole images
        minus groups of the same sizes and tasks whose entries share no image. ``formula`` is
        :func:`~imaxray.dynamics.grouping.h2_change`.
    """
    rows: list[dict[str, Any]] = []
    for seen, group, reduction, of in _cells(grams, reductions):
        pool = len(next(iter(of.values()))[1])
        for entries in [size for size in sizes if size <= pool]:
            found: list[tuple[dict[str, Drawn], dict[str, dict[str, Estimate]], float]] = []
            for run, (matrix, gram) in of.items():
                assert gram.images is not None and gram.tasks is not None
                drawn = together(
                    matrix, gram.images, gram.tasks, entries,
                    draws=draws_at(entries, draws), seed=seed,
                )  # fmt: skip
                changes = {"simulated": difference(drawn["whole"], drawn["permuted"], level)}
                if "apart" in drawn:
                    changes["observed"] = difference(drawn["whole"], drawn["apart"], level)
                similar = sharing(matrix, gram.images)
                formula = h2_change(
                    drawn["whole"].group, similar.within.value, similar.across.value, entries,
                    spread=similar.spread,
                )  # fmt: skip
                found.append((drawn, changes, formula))
                at = {"run": run, "entries_seen": seen, "group": group, "reduction": reduction}
                rows += _changed(at, entries, [found[-1]], changes)
            if len(found) > 1:
                mean = {
                    kind: {n: _over_runs([one[kind][n] for _, one, _ in found], level)
                           for n in DRAWN}
                    for kind in found[0][1]
                }  # fmt: skip
                at = {"run": MEAN, "entries_seen": seen, "group": group, "reduction": reduction}
                rows += _changed(at, entries, found, mean)
    return pl.DataFrame(rows, schema=GROUPS)


def draws_at(entries: int, draws: int) -> int:
    """Return the number of draws of N entries, fewer where their spectra take long.

    Example:
        >>> [draws_at(n, 200) for n in (32, 64, 256, 512)]
        [200, 200, 50, 25]
    """
    return draws if entries <= 64 else max(min(draws, 25), draws * 64 // entries)


def _cells(
    grams: Mapping[str, Mapping[int, Gram]], reductions: Sequence[Reduction]
) -> list[tuple[int, str, str, dict[str, tuple[Any, Gram]]]]:
    """Return per measurement, module group and reduction the matrix of each run."""
    common = sorted(set.intersection(*(set(of) for of in grams.values())))
    cells: list[tuple[int, str, str, dict[str, tuple[Any, Gram]]]] = []
    for seen in common:
        for gram in (of[seen] for of in grams.values()):
            if gram.images is None or gram.tasks is None:
                raise ImaxrayError(
                    "Expected a Gram matrix that names the image and the task of each entry, but "
                    "this one does not; measure the runs again with --data."
                )
        for reduction in reductions:
            reduced = {run: of[seen].reduced(reduction) for run, of in grams.items()}
            names = sorted(set.intersection(*(set(gram.groups) for gram in reduced.values())))
            for group in ["all", *(names if len(names) > 1 else [])]:
                matrices = {
                    run: (gram.matrix if group == "all" else gram.groups[group], gram)
                    for run, gram in reduced.items()
                }
                # a group without gradients, such as frozen modules, has no spectrum
                if all(np.trace(matrix) > 0 for matrix, _ in matrices.values()):
                    cells.append((seen, group, reduction, matrices))
    return cells


def _over_runs(found: Sequence[Estimate], level: float) -> Estimate:
    """Average over runs of one pool: other seeds and other images, half-widths in squares."""
    spread = over_seeds([one.value for one in found], level)
    error = float(np.mean([one.error for one in found]))  # the runs share the images
    half = float(np.hypot(spread.high - spread.value, stats.norm.ppf((1 + level) / 2) * error))
    return Estimate(
        spread.value, spread.value - half, spread.value + half,
        float(np.hypot(spread.error, error)), spread.degrees,
    )  # fmt: skip


def _shared(
    run: str, seen: int, group: str, reduction: str, one: Sharing, p: float | None
) -> dict[str, Any]:
    row: dict[str, Any] = {
        "run": run, "entries_seen": seen, "group": group, "reduction": reduction,
        "pool": one.entries, "images": one.images, "entries_per_image": one.group,
        "spread": one.spread, "p": p,
    }  # fmt: skip
    for name in _SHARED:
        found: Estimate = getattr(one, name)
        row |= {name: found.value, f"{name}_low": found.low, f"{name}_high": found.high}
    return row


def _changed(
    at: Mapping[str, Any],
    entries: int,
    found: Sequence[tuple[dict[str, Drawn], dict[str, dict[str, Estimate]], float]],
    changes: Mapping[str, Mapping[str, Estimate]],
) -> list[dict[str, Any]]:
    rows = []
    for number, name in enumerate(DRAWN):
        means = {
            way: float(np.mean([drawn[way].values[number].mean() for drawn, _, _ in found]))
            for way in found[0][0]
        }
        row: dict[str, Any] = {
            **at, "entries": entries, "statistic": name, "whole": means["whole"],
            "entries_per_image": float(np.mean([drawn["whole"].group for drawn, _, _ in found])),
            "apart": means.get("apart"),
            "formula": float(np.mean([f for _, _, f in found])) if name == "h2" else None,
        }  # fmt: skip
        for kind, of in changes.items():
            one = of[name]
            row |= {kind: one.value, f"{kind}_low": one.low, f"{kind}_high": one.high}
        rows.append(row)
    return rows
