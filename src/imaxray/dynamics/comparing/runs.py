"""Reads recorded probes of runs: the curves of one arm, and the comparison of two arms."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import polars as pl

from imaxray._common.digests import changed_files
from imaxray._common.files import read_parquet
from imaxray._common.names import require_known
from imaxray._common.state import known_state
from imaxray.dynamics.numbers.contrasts import contrasts
from imaxray.dynamics.numbers.gram import Gram, Reduction
from imaxray.dynamics.numbers.intervals import Estimate
from imaxray.errors import ImaxrayError

REPORTED: Final = ("se", "rho", "h2", "se_centred", "rho_centred", "h2_centred")
"""Statistics that are compared by default."""


def probe_folder(run: Path) -> Path:
    """Return the folder that a :class:`FisherProbe` wrote: ``run`` itself or its ``dynamics``.

    Raises:
        ImaxrayError: If neither folder holds measurements, or one of a finished run is missing or
            was changed.
    """
    recorded = known_state(run / "run.json").get("files", {})
    files = {name: of for name, of in recorded.items() if name.startswith("dynamics/")}
    if changed := changed_files(run, files):
        raise ImaxrayError(
            f"Expected the measurements of the run {run} as its run.json describes them, but "
            f"{changed[0]} is missing or was changed; measure it now with --data, or train it "
            "again."
        )
    for folder in (run, run / "dynamics"):
        if any((folder / "gram").glob("*.parquet")):
            return folder
    raise ImaxrayError(
        f"Expected recorded probes in {run} or {run / 'dynamics'}, but there are none; train it "
        "with `imaxray train --probe N`, or measure it now with --data."
    )


def recorded(run: Path) -> dict[int, Path]:
    """Map the number of entries seen to the file of the Gram matrix, in ascending order."""
    files = sorted((probe_folder(run) / "gram").glob("*.parquet"))
    return {int(path.stem): path for path in files}


def run_spectra(runs: Sequence[Path]) -> pl.DataFrame:
    """Read ``spectra.parquet`` of all runs, with the column ``run`` in front."""
    return pl.concat(
        [
            read_parquet(probe_folder(run) / "spectra.parquet").select(
                pl.lit(str(run)).alias("run"), pl.all()
            )
            for run in runs
        ]
    )


def compare_runs(
    runs: Sequence[Path],
    against: Sequence[Path],
    *,
    statistics: Sequence[str] = REPORTED,
    reductions: Sequence[Reduction] = ("sum", "unit-norm"),
    group: str = "all",
    level: float = 0.95,
    counts: Sequence[int] | None = None,
) -> pl.DataFrame:
    """Compare two arms, paired by seed, at every count of entries seen that all runs share.

    Args:
        runs: Run folders of one arm, one per seed.
        against: Run folders of the other arm, in the same order of seeds.
        statistics: Names of the statistics.
        reductions: Reductions of each entry's loss.
        group: Name of a module group, or "all".
        level: Confidence level of the intervals.
        counts: Counts of entries seen to compare at. If None, all counts that the runs share.

    Returns:
        One row per count, reduction and statistic: entries_seen, reduction, statistic, value
        (mean of ``runs``), other (mean of ``against``), difference with low and high (seeds and
        probe), seeds_low and seeds_high (seeds only), ordering_holds (at N/4, N/2 and N).

    Raises:
        ImaxrayError: If the runs share no count, the group is unknown, or the probes differ.
    """
    files = [recorded(run) for run in [*runs, *against]]
    if not files:
        raise ImaxrayError("Expected runs to compare, but got none; give folders of both arms.")
    common = sorted(set.intersection(*(set(found) for found in files)))
    if not common:
        raise ImaxrayError(
            "Expected measurements at the same entries seen in all runs, but no count is common; "
            "train both arms with the same interval between measurements."
        )
    rows: list[dict[str, Any]] = []
    for seen in common if counts is None else sorted(set(common) & set(counts)):
        grams = [_of_group(Gram.read(found[seen]), group) for found in files]
        for reduction in reductions:
            reduced = [gram.reduced(reduction) for gram in grams]
            of = contrasts(reduced[: len(runs)], reduced[len(runs) :], statistics, level=level)
            for name, found in of.items():
                rows.append(
                    {
                        "entries_seen": seen,
                        "reduction": reduction,
                        "statistic": name,
                        "value": sum(found.a) / len(found.a),
                        "other": sum(found.b) / len(found.b),
                        **_interval(found.difference, ""),
                        **_interval(found.over_seeds, "seeds_"),
                        "ordering_holds": found.ordering_holds,
                    }
                )
    return pl.DataFrame(rows).drop("seeds_difference")


def _of_group(gram: Gram, group: str) -> Gram:
    if group == "all":
        return gram
    require_known(group, [*sorted(gram.groups), "all"], "a module group")
    from dataclasses import replace

    return replace(gram, groups={group: gram.groups[group]})


def _interval(estimate: Estimate, prefix: str) -> dict[str, float]:
    return {
        f"{prefix}difference": estimate.value,
        f"{prefix}low": estimate.low,
        f"{prefix}high": estimate.high,
    }
