"""Balances kept candidates so that their answers are distributed like those of real entries.

A model is most confident in the most frequent answers. A confidence threshold alone therefore keeps
almost only "grade 0", "no" and "No Finding", and a model that is trained on these forgets the other
answers. Balancing gives each answer stratum of a task its share among the real train entries and
keeps the most confident answers of each stratum. This is class-balanced self-training (Zou et al.
2018), with the strata by which DMAX is matched.
"""

from __future__ import annotations

from typing import Final

import polars as pl

from imaxray.curation.selecting.strata import with_strata
from imaxray.pseudo.selecting.calibrate import CONFIDENCE
from imaxray.tasks import all_tasks

_SMALL: Final = 0.05
"""Share of the real entries below which a stratum is capped but does not limit the others."""


def balanced(kept: pl.DataFrame, train: pl.DataFrame) -> frozenset[str]:
    """Return the ids of the candidates that remain.

    Each task keeps the largest number of candidates for which every stratum can fill its share of
    the real entries. A task therefore keeps nothing if one of its common strata has no candidate.
    Tasks without real entries, REC and REG are not changed.

    Args:
        kept: Readable candidates (schema PSEUDO).
        train: Real train entries (schema ENTRIES).
    """
    stays = set(kept["pseudo_id"])
    columns = ["task", "template", "target", "answer"]
    # the strata of REC and REG describe where a phrase comes from, not the answer
    for task in [task.name for task in all_tasks() if task.strata_are_answers]:
        real = with_strata(_of(train, task, columns))["stratum"].value_counts(sort=True)
        mine = kept.filter(pl.col("task") == task)
        if real.is_empty() or mine.is_empty():
            continue
        shares = {s: n / real["count"].sum() for s, n in real.iter_rows()}
        ranked = with_strata(
            mine.select(*columns, "pseudo_id", CONFIDENCE.alias("confidence"))
        ).sort("confidence", "pseudo_id", descending=[True, False])
        found = dict(ranked["stratum"].value_counts().iter_rows())
        most = min(
            (found.get(s, 0) / share for s, share in shares.items() if share >= _SMALL),
            default=0.0,
        )
        # a small margin, because 0.3 * (30 / 0.3) may be 29.999…
        quota = {s: int(share * most + 1e-9) for s, share in shares.items()}
        for (stratum,), rows in ranked.group_by("stratum"):
            stays -= set(rows["pseudo_id"][quota.get(str(stratum), 0) :])
    return frozenset(stays)


def _of(entries: pl.DataFrame, task: str, columns: list[str]) -> pl.DataFrame:
    return entries.filter(pl.col("task") == task).select(columns)
