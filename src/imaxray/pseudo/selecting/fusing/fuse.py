"""Fuses all that is said of the facts of each image into calibrated answers.

Everything is fitted on the answers to the validation split, whose truth is known. The answers to
validation entries are fused by a fit that has not seen their patients (cross-fitting), so that a
threshold set on them holds for new answers.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any, Final

import numpy as np
import polars as pl
from scipy.special import expit

from imaxray.clinical import DEFAULT_RULES, ClinicalRules
from imaxray.curation import Tables
from imaxray.errors import ImaxrayError
from imaxray.hashing import digest
from imaxray.pseudo.selecting.correct import DEFAULT, Tolerances, correct
from imaxray.pseudo.selecting.fusing.calibration import (
    ClaimCalibration,
    Curve,
    fit_channels,
    fit_curve,
)
from imaxray.pseudo.selecting.fusing.claims import (
    Claim,
    FactKey,
    Vocabulary,
    frontal_sizes,
)
from imaxray.pseudo.selecting.fusing.posterior import fit_further, posteriors
from imaxray.pseudo.selecting.fusing.rendering import PARTIAL, Rendered, render
from imaxray.pseudo.table import PSEUDO
from imaxray.schema import conform, mark_derived, mark_pseudo

_FOLDS: Final = 5
_LEVELS: Final = (0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.98)
"""Joint probabilities of the labels of a findings list that are tried."""


_Scored = tuple[Rendered, float]
"""A fused answer, and the probability that it is right."""


@dataclass(frozen=True)
class Fused:
    """The result of a fusion.

    Attributes:
        candidates: Candidates (schema PSEUDO) with fused answers and their ``score``.
        calibration: Answers to validation entries, fused by fits on other patients.
        report: What was fitted, and how many answers were changed, in a form that JSON can hold.
    """

    candidates: pl.DataFrame
    calibration: pl.DataFrame
    report: Mapping[str, Any]


def fuse(
    candidates: pl.DataFrame,
    calibration: pl.DataFrame,
    tables: Tables,
    *,
    precision: float = 0.9,
    clinical: ClinicalRules = DEFAULT_RULES,
    tolerances: Tolerances = DEFAULT,
) -> Fused:
    """Fuse the claims of candidates and entries about each image.

    Args:
        candidates: Candidates (schema PSEUDO) about train images.
        calibration: Answers of the same models to validation entries (schema PSEUDO).
        tables: Tables of the dataset that was annotated.
        precision: Share of right answers that is asked for; a findings list leaves labels unknown
            until lists on the validation split reach it.
        clinical: Clinical rules, which connect the facts.
        tolerances: Tolerances within which an answer is right.

    Raises:
        ImaxrayError: No answer to a validation entry is given, so nothing can be calibrated.
    """
    candidates, calibration = conform(candidates, PSEUDO), conform(calibration, PSEUDO)
    if calibration.is_empty():
        raise ImaxrayError(
            "Expected answers to validation entries, from which fusion learns how often a "
            "statement is right, but there are none; annotate a dataset with a validation split."
        )
    entries = mark_derived(mark_pseudo(tables.entries))
    train = entries.filter(pl.col("split") == "train")
    vocabulary = Vocabulary.of(train, clinical)
    sizes = frontal_sizes(tables.images)
    asked = _Answers.of(candidates, train, vocabulary, sizes)
    known = _Answers.of(calibration, entries.filter(pl.col("split") == "val"), vocabulary, sizes)
    usual = _tasks_per_image(train)
    study = _Study(vocabulary, known, usual, precision, tolerances, sizes)
    folds = {p: digest(f"fold {p}") % _FOLDS for p in known.patients()}
    scored: dict[str, _Scored] = {}
    for fold in sorted(set(folds.values())):
        fit = study.fit([p for p, k in folds.items() if k != fold])
        for row in known.rows:
            if folds[row["patient_id"]] == fold:
                scored |= fit.answer(row, study.context(row))
    whole = study.fit(list(folds))
    answered: dict[str, _Scored] = {}
    for row in asked.rows:
        answered |= whole.answer(row, asked.claims(row["image_id"]))
    fused = _written(candidates, answered)
    report = {
        **whole.as_dict(),
        "changed": _counts(asked.rows, answered, changed=True),
        "partial": _counts(asked.rows, answered, changed=False),
    }
    return Fused(fused, _written(calibration, scored), report)


def _counts(
    rows: Sequence[Mapping[str, Any]], answered: Mapping[str, _Scored], *, changed: bool
) -> dict[str, int]:
    """Count, per task, the answers that differ from the model's, or that leave labels open."""
    hits = [
        row["task"] for row in rows if (found := answered.get(row["pseudo_id"])) is not None
        and (found[0].changed if changed else found[0].left_open > 0)
    ]  # fmt: skip
    return dict(sorted(Counter(hits).items()))


def _tasks_per_image(train: pl.DataFrame) -> int:
    """Return the usual number of tasks that a train image has entries of."""
    counts = train.group_by("image_id").agg(pl.col("task").n_unique().alias("n"))["n"]
    return int(median(counts)) if len(counts) else 0


class _Answers:
    """Answers of models, with the entries and claims of their images."""

    def __init__(self, rows: Sequence[Mapping[str, Any]]) -> None:
        self.rows = rows
        self.entries: dict[str, list[Mapping[str, Any]]] = {}
        self._claims: dict[str, list[Claim]] = {}

    @classmethod
    def of(
        cls,
        answers: pl.DataFrame,
        entries: pl.DataFrame,
        vocabulary: Vocabulary,
        sizes: Mapping[str, tuple[int, int] | None],
    ) -> _Answers:
        """Collect the claims of answers and of the entries of their images."""
        made = cls(list(answers.sort("pseudo_id").iter_rows(named=True)))
        for row in made.rows:
            claims = vocabulary.of_answer(row, sizes.get(row["image_id"]))
            made._claims.setdefault(row["image_id"], []).extend(claims)
        images = answers["image_id"].unique().implode()
        about = entries.filter(pl.col("image_id").is_in(images)).sort("entry_id")
        for row in about.iter_rows(named=True):
            made.entries.setdefault(row["image_id"], []).append(row)
            claims = vocabulary.of_entry(row, sizes.get(row["image_id"]))
            made._claims.setdefault(row["image_id"], []).extend(claims)
        return made

    def claims(self, image: str) -> list[Claim]:
        """Return all claims about an image."""
        return self._claims.get(image, [])

    def images(self) -> list[str]:
        """Return the ids of all images, sorted."""
        return sorted(self._claims)

    def patients(self) -> list[str]:
        """Return the ids of all patients, sorted."""
        return sorted({row["patient_id"] for row in self.rows})


class _Study:
    """The validation answers, on which everything is fitted."""

    def __init__(
        self,
        vocabulary: Vocabulary,
        known: _Answers,
        tasks_per_image: int,
        precision: float,
        tolerances: Tolerances,
        sizes: Mapping[str, tuple[int, int] | None],
    ) -> None:
        self.vocabulary, self.precision, self.tolerances = vocabulary, precision, tolerances
        self.known, self.sizes = known, sizes
        self._shown = tasks_per_image
        self._patient = {row["image_id"]: row["patient_id"] for row in known.rows}
        self._gold = {
            entry["entry_id"]: entry for about in known.entries.values() for entry in about
        }

    def context(self, row: Mapping[str, Any]) -> list[Claim]:
        """Return the claims that count for a validation answer.

        A train image has entries of few tasks, and the model answers the others. A validation image
        may have entries of all. Therefore only as many other tasks as a train image usually has
        speak by their entries, and the model answers for the rest.
        """
        claims = self.known.claims(row["image_id"])
        tasks = sorted({entry["task"] for entry in self.known.entries[row["image_id"]]})
        at = tasks.index(row["task"])
        shown = {
            tasks[(at + k) % len(tasks)] for k in range(1, min(self._shown, len(tasks) - 1) + 1)
        }
        return [c for c in claims if (c.task in shown) == (c.origin != "model")]

    def fit(self, patients: Sequence[str]) -> _Fit:
        """Fit everything on the answers about some patients."""
        chosen = set(patients)
        images = [i for i in self.known.images() if self._patient.get(i) in chosen]
        truths = {image: _truths(self.known.claims(image)) for image in images}
        examples = []
        for image in images:
            for claim in self.known.claims(image):
                if claim.direct:
                    continue
                value = _truth(truths[image], claim)
                if value is not None:
                    prior = self.vocabulary.prior_of(claim.fact)
                    share = math.fsum(prior[v] for v in claim.values)
                    examples.append((claim, value in claim.values, share))
        curves = fit_channels(examples)
        alone = ClaimCalibration(curves, 0.0)
        rows = [row for row in self.known.rows if row["patient_id"] in chosen]
        further = fit_further(self._facts(rows), self.vocabulary, alone)
        calibrated = ClaimCalibration(curves, further)
        return _Fit.of(self, calibrated, rows)

    def _facts(
        self, rows: Sequence[Mapping[str, Any]]
    ) -> list[tuple[Sequence[Claim], FactKey, int]]:
        """Return the claims about every fact that a validation entry settles, and its value."""
        found: list[tuple[Sequence[Claim], FactKey, int]] = []
        for row in rows:
            about = self.context(row)
            own = [c for c in self.known.claims(row["image_id"]) if c.owner == row["pseudo_id"]]
            for truth in own:
                if truth.direct and len(truth.values) == 1:
                    claims = [c for c in about if c.fact == truth.fact and not c.direct]
                    found.append((claims, truth.fact, next(iter(truth.values))))
        return found

    def gold(self, row: Mapping[str, Any]) -> str:
        """Return the true answer (canonical JSON) to a validation entry."""
        answer: str = self._gold[row["pseudo_id"]]["answer"]
        return answer


class _Fit:
    """A fit on some validation patients, which answers the questions of others."""

    def __init__(
        self,
        study: _Study,
        calibrated: ClaimCalibration,
        certain: float,
        curves: Mapping[str, Curve],
    ) -> None:
        self._study, self._calibrated = study, calibrated
        self._certain, self._curves = certain, curves

    @classmethod
    def of(
        cls, study: _Study, calibrated: ClaimCalibration, rows: Sequence[Mapping[str, Any]]
    ) -> _Fit:
        """Fit the curve of each task, and how certain findings lists must be."""
        lists = [row for row in rows if row["task"] == "findings"]
        certain, most = _LEVELS[-1], 0
        for level in _LEVELS:
            at = cls(study, calibrated, level, {})
            judged = [right for row in lists for one, right in at.marks(row) if one.form == PARTIAL]
            if len(judged) > most and sum(judged) >= study.precision * len(judged):
                certain, most = level, len(judged)
        bare = cls(study, calibrated, certain, {})
        found: dict[str, list[tuple[tuple[float, ...], bool]]] = {}
        for row in rows:
            for one, right in bare.marks(row):
                found.setdefault(_curve_of(row, one), []).append((one.features, right))
        curves = {}
        for name, examples in sorted(found.items()):
            features = np.array([features for features, _ in examples])
            curve = fit_curve(features, np.array([float(right) for _, right in examples]))
            if curve is not None:
                curves[name] = curve
        return cls(study, calibrated, certain, curves)

    def marks(self, row: Mapping[str, Any]) -> list[tuple[Rendered, bool]]:
        """Return the answers to a validation entry, and whether each is right, where decided."""
        study = self._study
        gold, found = study.gold(row), []
        for one in self._render(row, study.context(row)):
            right = correct(row["task"], one.answer, gold, row["template"], study.tolerances)
            if right is not None:
                found.append((one, right))
        return found

    def _render(self, row: Mapping[str, Any], claims: Sequence[Claim]) -> list[Rendered]:
        vocabulary = self._study.vocabulary
        return render(
            row, posteriors(claims, vocabulary, self._calibrated), vocabulary,
            certain=self._certain, size=self._study.sizes.get(row["image_id"]),
        )  # fmt: skip

    def answer(self, row: Mapping[str, Any], claims: Sequence[Claim]) -> dict[str, _Scored]:
        """Return the id of a candidate → its fused answer and score; empty if there is none.

        Of the whole answers, the most probable one is taken; a list that leaves labels open only if
        no whole one is right with the precision asked for.
        """
        scored = [(one, self._score(row, one)) for one in self._render(row, claims)]
        if not scored:
            return {}
        whole = [found for found in scored if found[0].form != PARTIAL]
        best = max(whole or scored, key=lambda found: found[1])
        if best[1] < self._study.precision:
            best = max(scored, key=lambda found: found[1])
        return {row["pseudo_id"]: best}

    def _score(self, row: Mapping[str, Any], one: Rendered) -> float:
        curve = self._curves.get(_curve_of(row, one))
        return 0.0 if curve is None else float(expit(curve.at(one.features))) * one.assumed

    def as_dict(self) -> dict[str, Any]:
        """Return what was fitted in a form that JSON can hold."""
        return {
            "further": self._calibrated.further,
            "certain": self._certain,
            "channels": [
                {"channel": channel, "values": list(values), **curve.as_dict()}
                for (channel, values), curve in self._calibrated.curves.items()
            ],
            "tasks": {task: curve.as_dict() for task, curve in self._curves.items()},
        }


def _curve_of(row: Mapping[str, Any], one: Rendered) -> str:
    """Return the name of the curve of an answer: its task and its form."""
    return f"{row['task']} ({one.form})"


def _truths(claims: Sequence[Claim]) -> dict[FactKey, list[Claim]]:
    found: dict[FactKey, list[Claim]] = {}
    for claim in claims:
        if claim.direct and len(claim.values) == 1:
            found.setdefault(claim.fact, []).append(claim)
    return found


def _truth(truths: Mapping[FactKey, Sequence[Claim]], claim: Claim) -> int | None:
    """Return the true value of a claim's fact; ``None`` if no other entry states it, or two do."""
    values = {
        next(iter(true.values)) for true in truths.get(claim.fact, ())
        if claim.origin == "model" or true.owner != claim.owner
    }  # fmt: skip
    return next(iter(values)) if len(values) == 1 else None


def _written(answers: pl.DataFrame, fused: Mapping[str, _Scored]) -> pl.DataFrame:
    """Return the table with fused answers and scores; other rows stay without a score."""
    rows = [(i, one.answer, one.target, score) for i, (one, score) in fused.items()]
    made = pl.DataFrame(
        rows,
        schema={
            "pseudo_id": pl.String, "_answer": pl.String, "_target": pl.String,
            "_score": pl.Float64,
        },
        orient="row",
    )  # fmt: skip
    joined = answers.join(made, on="pseudo_id", how="left", maintain_order="left")
    has = pl.col("_score").is_not_null()
    table = joined.with_columns(
        pl.when(has).then("_answer").otherwise("answer").alias("answer"),
        pl.when(has).then("_target").otherwise("target").alias("target"),
        (has | pl.col("ended")).alias("ended"),
        pl.coalesce("_score", pl.lit(0.0)).alias("score"),
    )
    return conform(table.select(PSEUDO.names()), PSEUDO)
