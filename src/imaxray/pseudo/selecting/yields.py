"""Computes how many candidates each filter keeps and, if the truth is known, how many are right."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import polars as pl
from scipy.stats import beta

from imaxray._common.defaults import RESAMPLES
from imaxray.evaluation.comparing.resampling import patient_draws
from imaxray.pseudo.selecting.calibrate import CONFIDENCE, Floats
from imaxray.pseudo.selecting.correct import Tolerances, correct
from imaxray.pseudo.selecting.questions import masked, truth_of
from imaxray.pseudo.selecting.rules import ConsistencyRule
from imaxray.schema import task_names

Answers = Mapping[str, tuple[frozenset[str], Mapping[str, frozenset[str]]]]
"""Filter → ids that it keeps, and labels that it removes from their answers."""

ALL: Final = "all"
_LEVEL: Final = 0.95


@dataclass(frozen=True)
class Marks:
    """Records which candidates are right, if the truth is known.

    Attributes:
        rows: pseudo_id → task, patient, confidence, answer and template.
        gold: pseudo_id → canonical JSON of the gold answer.
        right: pseudo_id → whether the answer as written is right; missing if not known.
        tolerances: Tolerances within which an answer is right.
    """

    rows: Mapping[str, Mapping[str, Any]]
    gold: Mapping[str, str]
    right: Mapping[str, bool]
    tolerances: Tolerances

    @classmethod
    def of(cls, bare: pl.DataFrame, truth: pl.DataFrame | None, tolerances: Tolerances) -> Marks:
        """Compare readable candidates with the truth."""
        frame = bare.select(
            "pseudo_id", "task", "patient_id", "answer", "template", CONFIDENCE.alias("confidence")
        )
        rows = {row["pseudo_id"]: row for row in frame.iter_rows(named=True)}
        gold = {} if truth is None else truth_of(bare, truth)
        right = {}
        for i, answer in gold.items():
            row = rows[i]
            mark = correct(row["task"], row["answer"], answer, row["template"], tolerances)
            if mark is not None:
                right[i] = mark
        return cls(rows, gold, right, tolerances)

    def after(self, pseudo_id: str, labels: frozenset[str]) -> bool | None:
        """Return whether a candidate is right after ``labels`` are removed from its answer."""
        if not labels or pseudo_id not in self.right:
            return self.right.get(pseudo_id)
        row = self.rows[pseudo_id]
        left = masked(row["task"], row["answer"], labels)
        answer = None if left is None else left[0]
        return correct(row["task"], answer, self.gold[pseudo_id], row["template"], self.tolerances)


def yields_table(bare: pl.DataFrame, answers: Answers, marks: Marks) -> pl.DataFrame:
    """Count, per task and filter, the readable, the kept and the right candidates.

    The filters are ``none``, ``confidence``, ``consistency``, ``both`` and ``balance``; filters
    that were not used are missing. The columns are task (or ``all``), filter, candidates, kept,
    share, judged (number of kept candidates whose truth is known), right, precision, and low and
    high, the exact (Clopper-Pearson) 95 % confidence interval of the precision, which assumes
    independent candidates.
    """
    ids = _by_task(bare)
    rows = []
    for task, members in ids.items():
        for name, (kept, masks) in answers.items():
            of_task = [i for i in members if i in kept]
            known = [marks.after(i, masks.get(i, frozenset())) for i in of_task]
            rows.append(
                (task, name, len(members), len(of_task), _ratio(len(of_task), len(members)),
                 *_precision([k for k in known if k is not None]))
            )  # fmt: skip
    return pl.DataFrame(rows, schema=_YIELDS, orient="row")


def rules_table(
    verdicts: pl.DataFrame, rules: Sequence[ConsistencyRule], marks: Marks
) -> pl.DataFrame:
    """Count, per rule and task, the candidates with each verdict and how many of them are right.

    A candidate counts as contradicted if it is the weaker side of any contradiction, else as agreed
    if anything agrees with it, else as silent. Precision is that of the answers as written. The
    effect of a rule is justified if contradicted candidates are right clearly less often than the
    others.
    """
    rows = []
    tasks = {i: row["task"] for i, row in marks.rows.items()}
    for rule in rules:
        of_rule = verdicts.filter(pl.col("rule") == rule.name)
        bad = set(
            of_rule.filter((pl.col("verdict") == "contradict") & pl.col("weaker"))["pseudo_id"]
        )
        good = set(of_rule.filter(pl.col("verdict") == "agree")["pseudo_id"]) - bad
        seen = sorted(set(of_rule["pseudo_id"]))
        groups = {ALL: seen} if seen else {}
        for name in task_names():
            members = [i for i in seen if tasks[i] == name]
            groups |= {name: members} if members else {}
        for task, members in groups.items():
            contradicted = [i for i in members if i in bad]
            agreed = [i for i in members if i in good]
            rows.append(
                (rule.name, rule.effect, task, len(members), len(contradicted), len(agreed),
                 len(members) - len(contradicted) - len(agreed),
                 *_precision([marks.right[i] for i in contradicted if i in marks.right]),
                 *_precision([marks.right[i] for i in agreed if i in marks.right]))
            )  # fmt: skip
    return pl.DataFrame(rows, schema=_RULES, orient="row")


def origins_table(bare: pl.DataFrame, chosen: Answers, marks: Marks) -> pl.DataFrame:
    """Return the yields of filters by the origin of the prompts.

    The columns are those of :func:`yields_table` and ``prompt_from``. Thresholds are set on real
    validation entries. If precision differs much between origins, this calibration is not valid for
    all of them.
    """
    rows = []
    for (origin,), part in bare.group_by("prompt_from", maintain_order=True):
        table = yields_table(part, chosen, marks).filter(pl.col("task") != ALL)
        rows.append(table.with_columns(pl.lit(origin, dtype=pl.String).alias("prompt_from")))
    empty = pl.DataFrame(schema={**_YIELDS, "prompt_from": pl.String})
    return pl.concat([empty, *rows]).sort("task", "prompt_from", "filter")


def equal_yield_table(
    bare: pl.DataFrame,
    answers: Answers,
    marks: Marks,
    *,
    plain: Marks | None = None,
    seed: int = 0,
) -> pl.DataFrame:
    """Compare the precision of filters with consistency with confidence alone at equal yield.

    For each task, the filters ``consistency`` and ``both`` are compared with the same number of the
    task's most confident candidates (ties by id). The columns are task, filter, kept, judged and
    precision of the filter, ``confidence_judged`` and ``confidence_precision`` of the most
    confident candidates, and ``gain``, the difference of the precisions, with low and high, its
    95 % confidence interval by patient-level bootstrap. The last row of each filter, ``all``,
    combines the tasks, each at its own yield. The table is empty if no truth is known.

    Args:
        bare: Readable candidates (schema PSEUDO).
        answers: Ids and removed labels per filter.
        marks: Candidates that are right.
        plain: The same for the answers as the model gave them, if ``bare`` holds fused ones; the
            most confident of these are then compared with every filter of the fused ones.
        seed: Seed of the bootstrap over patients.
    """
    if not marks.right:
        return pl.DataFrame(schema=_EQUAL)
    rows = []
    compared = ("consistency", "both") if plain is None else ("confidence", "consistency", "both")
    given = plain or marks
    known = {task: [i for i, row in given.rows.items() if row["task"] == task]
             for task in task_names()}  # fmt: skip
    for name in compared:
        if name not in answers:
            continue
        kept, masks = answers[name]
        ours: list[str] = []
        theirs: list[str] = []
        for task, members in _by_task(bare).items():
            if task == ALL:
                continue
            mine = [i for i in members if i in kept]
            best = sorted(known[task], key=lambda i: (-(given.rows[i]["confidence"] or 0.0), i))
            other = best[: len(mine)]
            ours, theirs = ours + mine, theirs + other
            rows.append((task, name, len(mine), *_compared(mine, other, masks, marks, given, seed)))
        rows.append((ALL, name, len(ours), *_compared(ours, theirs, masks, marks, given, seed)))
    return pl.DataFrame(rows, schema=_EQUAL, orient="row")


def _compared(
    ours: Sequence[str],
    theirs: Sequence[str],
    masks: Mapping[str, frozenset[str]],
    marks: Marks,
    given: Marks,
    seed: int,
) -> tuple[Any, ...]:
    one = {i: m for i in ours if (m := marks.after(i, masks.get(i, frozenset()))) is not None}
    other = {i: given.right[i] for i in theirs if i in given.right}
    rows = {**given.rows, **marks.rows}
    patients = sorted({rows[i]["patient_id"] for i in (*one, *other)})
    number = {patient: k for k, patient in enumerate(patients)}
    sums = np.zeros((len(patients), 4))
    for column, found in ((0, one), (2, other)):
        for i, right in found.items():
            sums[number[rows[i]["patient_id"]], column : column + 2] += (right, 1)
    head = (len(one), _ratio(int(sums[:, 0].sum()), len(one)), len(other),
            _ratio(int(sums[:, 2].sum()), len(other)))  # fmt: skip
    if not one or not other:
        return (*head, None, None, None)
    drawn: Floats = patient_draws(len(patients), RESAMPLES, seed) @ sums
    with np.errstate(invalid="ignore", divide="ignore"):
        gains = drawn[:, 0] / drawn[:, 1] - drawn[:, 2] / drawn[:, 3]
    low, high = np.nanquantile(gains[1:], [(1 - _LEVEL) / 2, (1 + _LEVEL) / 2])
    return (*head, float(gains[0]), float(low), float(high))


def _by_task(bare: pl.DataFrame) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for task in task_names():
        ids = bare.filter(pl.col("task") == task)["pseudo_id"].to_list()
        if ids:
            found[task] = ids
    return {**found, ALL: bare["pseudo_id"].to_list()} if found else {}


def _ratio(part: int, whole: int) -> float | None:
    return part / whole if whole else None


def _precision(known: Sequence[bool]) -> tuple[int, int, float | None, float | None, float | None]:
    """Return judged, right, precision, and low and high of its confidence interval."""
    n, k = len(known), sum(known)
    if not n:
        return 0, 0, None, None, None
    tail = (1 - _LEVEL) / 2
    low = 0.0 if k == 0 else float(beta.ppf(tail, k, n - k + 1))
    high = 1.0 if k == n else float(beta.ppf(1 - tail, k + 1, n - k))
    return n, k, k / n, low, high


_MEASURED: Final[dict[str, Any]] = {
    "judged": pl.Int64, "right": pl.Int64, "precision": pl.Float64, "low": pl.Float64,
    "high": pl.Float64,
}  # fmt: skip
_YIELDS: Final = pl.Schema(
    {
        "task": pl.String,
        "filter": pl.String,
        "candidates": pl.Int64,
        "kept": pl.Int64,
        "share": pl.Float64,
        **_MEASURED,
    }
)
_RULES: Final = pl.Schema(
    {
        "rule": pl.String,
        "effect": pl.String,
        "task": pl.String,
        "candidates": pl.Int64,
        "contradicted": pl.Int64,
        "agreed": pl.Int64,
        "silent": pl.Int64,
        **{f"contradicted_{name}": dtype for name, dtype in _MEASURED.items()},
        **{f"agreed_{name}": dtype for name, dtype in _MEASURED.items()},
    }
)
_EQUAL: Final = pl.Schema(
    {
        "task": pl.String,
        "filter": pl.String,
        "kept": pl.Int64,
        "judged": pl.Int64,
        "precision": pl.Float64,
        "confidence_judged": pl.Int64,
        "confidence_precision": pl.Float64,
        "gain": pl.Float64,
        "low": pl.Float64,
        "high": pl.Float64,
    }
)
