"""Balance: what is kept of a task answers like the real entries of the task do.

A model is surest of the commonest answer, so a threshold of confidence alone lets hardly anything
through but "grade 0", "no" and "No Finding"; trained on these, it forgets the rest. Here each
answer stratum of a task keeps its share among the real train entries, the most confident answers of
each (class-balanced self-training, Zou et al. 2018, with the strata that DMAX is matched on).
"""

from __future__ import annotations

from typing import Final

import polars as pl

from imaxray.curation.strata import with_strata
from imaxray.pseudo.selecting.calibrate import CONFIDENCE
from imaxray.tasks import all_tasks

_SMALL: Final = 0.05
"""Share of the real entries below which a stratum is capped but does not limit the others."""


def balanced(kept: pl.DataFrame, train: pl.DataFrame) -> frozenset[str]:
    """Ids of the candidates that stay.

    Of each task the greatest number is kept at which every stratum can fill its share of the real
    entries; so a task of which one common stratum has no candidate keeps nothing. Tasks without
    real entries, REC and REG are left as they are.

    Args:
        kept: schema PSEUDO, readable candidates.
        train: schema ENTRIES, real train entries.
    """
    stays = set(kept["pseudo_id"])
    columns = ["task", "template", "target", "answer"]
    # REC and REG ask what was already found: their strata are no answers
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
        # a hair: 0.3 * (30 / 0.3) may be 29.999…
        quota = {s: int(share * most + 1e-9) for s, share in shares.items()}
        for (stratum,), rows in ranked.group_by("stratum"):
            stays -= set(rows["pseudo_id"][quota.get(str(stratum), 0) :])
    return frozenset(stays)


def _of(entries: pl.DataFrame, task: str, columns: list[str]) -> pl.DataFrame:
    return entries.filter(pl.col("task") == task).select(columns)
