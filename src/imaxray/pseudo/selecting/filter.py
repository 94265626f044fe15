"""Keeps candidates that are readable, confident enough and not contradicted."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

import polars as pl

from imaxray.curation import Dataset, Tables
from imaxray.errors import ImaxrayError
from imaxray.pseudo.selecting.balance import balanced
from imaxray.pseudo.selecting.calibrate import CONFIDENCE, Thresholds
from imaxray.pseudo.selecting.consistency import check_consistency
from imaxray.pseudo.selecting.correct import DEFAULT, Tolerances
from imaxray.pseudo.selecting.questions import masked
from imaxray.pseudo.selecting.rules import ConsistencyRule
from imaxray.pseudo.selecting.yields import (
    Marks,
    equal_yield_table,
    origins_table,
    rules_table,
    yields_table,
)
from imaxray.pseudo.table import PSEUDO
from imaxray.schema import conform

DROPPED: Final = pl.Schema({"pseudo_id": pl.String, "code": pl.String, "rule": pl.String})
"""Candidates that are not kept, one row per candidate. The codes are ``unreadable``; ``unfinished``
(the answer was cut at the maximum number of tokens); ``has-real`` (the dataset already has the
entry); ``not-calibrated`` (there is no validation entry of the task); ``unreached`` (the task
cannot reach the requested precision); ``low-confidence``; ``contradicted`` and ``unconfirmed``,
with the rule; and ``unbalanced`` (the answer exceeds its share among the real entries)."""


@dataclass(frozen=True)
class Filtered:
    """The result of a filter.

    Attributes:
        kept: Kept candidates (schema PSEUDO), sorted by id; masked labels are removed from answers
            and targets.
        dropped: Dropped candidates (schema DROPPED); every candidate is either kept or dropped.
        yields: Yield per task and filter, see :func:`imaxray.pseudo.yields_table`.
        rules: Results per rule, see :func:`imaxray.pseudo.rules_table`.
        equal_yield: Comparison of consistency with confidence at equal yield, see
            :func:`imaxray.pseudo.equal_yield_table`; empty without truth.
        origins: Yields by origin of the prompts, without a filter and with the last filter.
        verdicts: Verdicts about the readable candidates (schema VERDICTS); empty without rules.
        masked: Number of answers from which labels were removed.
    """

    kept: pl.DataFrame
    dropped: pl.DataFrame
    yields: pl.DataFrame
    rules: pl.DataFrame
    equal_yield: pl.DataFrame
    origins: pl.DataFrame
    verdicts: pl.DataFrame
    masked: int


def filter_candidates(
    candidates: pl.DataFrame,
    dataset: Dataset | Tables,
    *,
    thresholds: Thresholds | None = None,
    rules: Sequence[ConsistencyRule] | None = None,
    balance: bool = False,
    truth: pl.DataFrame | None = None,
    tolerances: Tolerances = DEFAULT,
    plain: pl.DataFrame | None = None,
) -> Filtered:
    """Keep the candidates that pass all filters.

    Answers that are unreadable or were cut off are dropped first, then answers with too little
    confidence, then answers that the effect of a rule drops, and last answers that exceed their
    share. Contradictions are resolved in order of strength, the strongest candidate first. A
    candidate that was dropped no longer counts as a contradiction to weaker ones.

    Args:
        candidates: Candidates (schema PSEUDO) about train images of ``dataset``.
        dataset: Dataset with the real entries and the images.
        thresholds: Confidence thresholds; ``None`` if every confidence is sufficient.
        rules: Consistency rules; without rules nothing is compared.
        balance: Whether each answer is limited to its share, see :func:`imaxray.pseudo.balanced`.
        truth: True entries (schema ENTRIES), e.g. those of a catalog. If they contain the question
            of a candidate, they show whether the candidate is right. They do not influence what is
            kept.
        tolerances: Tolerances within which a candidate is right.
        plain: The candidates as the model gave them, if ``candidates`` are fused; the table of
            equal yields then compares both.

    Raises:
        ImaxrayError: A candidate is not about a train image, an id occurs twice, or only one of
            candidates and calibration has samples.
    """
    tables = dataset.tables if isinstance(dataset, Dataset) else dataset
    candidates = conform(candidates, PSEUDO).sort("pseudo_id")
    _check(candidates, tables, thresholds)
    bare, drops = _usable(candidates, tables.entries)
    train = tables.entries.filter(pl.col("split") == "train")
    verdicts = check_consistency(bare, train, tables.images, rules or (), thresholds=thresholds)
    outcomes, lacking = _outcomes(bare, verdicts, rules or (), thresholds)
    chosen = list(outcomes.values())[-1]
    drops |= {i: (c, None) for i, c in lacking.items()}
    drops |= chosen.drops
    if balance:
        outcomes["balance"], unbalanced = _balanced(bare, chosen, train)
        chosen = outcomes["balance"]
        drops |= dict.fromkeys(unbalanced, ("unbalanced", None))
    marks = Marks.of(bare, truth, tolerances)
    given = None
    if plain is not None:
        as_given = _usable(conform(plain, PSEUDO).sort("pseudo_id"), tables.entries)[0]
        given = Marks.of(as_given, truth, tolerances)
    answers = {name: (o.kept, o.masks) for name, o in outcomes.items()}
    return Filtered(
        kept=_kept(bare, chosen),
        dropped=pl.DataFrame([(i, *drops[i]) for i in sorted(drops)], schema=DROPPED, orient="row"),
        yields=yields_table(bare, answers, marks),
        rules=rules_table(verdicts, rules or (), marks),
        equal_yield=equal_yield_table(bare, answers, marks, plain=given),
        origins=origins_table(bare, {n: answers[n] for n in ("none", list(answers)[-1])}, marks),
        verdicts=verdicts,
        masked=len(chosen.masks),
    )


@dataclass(frozen=True)
class _Outcome:
    kept: frozenset[str]
    masks: Mapping[str, frozenset[str]] = field(default_factory=dict)
    drops: Mapping[str, tuple[str, str | None]] = field(default_factory=dict)


def _check(candidates: pl.DataFrame, tables: Tables, thresholds: Thresholds | None) -> None:
    split = candidates.join(tables.images.select("image_id", "split"), on="image_id", how="left")[
        "split"
    ]
    if outside := int((split.fill_null("none") != "train").sum()):
        raise ImaxrayError(
            f"Expected candidates about train images of the dataset, but {outside} of "
            f"{candidates.height} are not; pseudo annotations never enter validation or test."
        )
    if candidates["pseudo_id"].n_unique() < candidates.height:
        double = candidates.filter(pl.col("pseudo_id").is_duplicated())["pseudo_id"][0]
        raise ImaxrayError(
            f"Expected each pseudo_id once, but {double} occurs again; filter one round at a time."
        )
    if thresholds is not None and candidates.height:
        without = int(candidates["agreement"].is_null().sum())
        if without != (0 if thresholds.samples else candidates.height):
            raise ImaxrayError(
                "Expected samples for both or for neither of candidates and calibration, but "
                f"{without} of {candidates.height} candidates have none; annotate both again."
            )


def _usable(
    candidates: pl.DataFrame, entries: pl.DataFrame
) -> tuple[pl.DataFrame, dict[str, tuple[str, str | None]]]:
    """Return new, readable and finished candidates, and for the others id → (code, no rule)."""
    code = (
        pl.when(pl.col("pseudo_id").is_in(entries["entry_id"].implode()))
        .then(pl.lit("has-real"))
        .when(pl.col("answer").is_null() | pl.col("target").is_null())
        .then(pl.lit("unreadable"))
        .when(~pl.col("ended").fill_null(False))
        .then(pl.lit("unfinished"))
    )
    coded = candidates.with_columns(code.alias("_code"))
    unusable = coded.filter(pl.col("_code").is_not_null()).select("pseudo_id", "_code")
    return (
        coded.filter(pl.col("_code").is_null()).drop("_code"),
        {pseudo_id: (found, None) for pseudo_id, found in unusable.iter_rows()},
    )


def _outcomes(
    bare: pl.DataFrame,
    verdicts: pl.DataFrame,
    rules: Sequence[ConsistencyRule],
    thresholds: Thresholds | None,
) -> tuple[dict[str, _Outcome], dict[str, str]]:
    """Return what each filter keeps, the filter in force last, and what lacks confidence."""
    court = _Court(bare, verdicts, rules, thresholds)
    everything = frozenset(bare["pseudo_id"])
    outcomes = {"none": _Outcome(everything)}
    confident, lacking = _confident(bare, thresholds, {})
    if thresholds is not None:
        outcomes["confidence"] = _Outcome(frozenset(confident))
    if rules:
        outcomes["consistency"] = court.settle(everything)
    if thresholds is not None and rules:
        confident, lacking = _confident(bare, thresholds, court.confirmed(confident))
        outcomes["both"] = court.settle(frozenset(confident))
    return outcomes, lacking


def _balanced(
    bare: pl.DataFrame, chosen: _Outcome, train: pl.DataFrame
) -> tuple[_Outcome, frozenset[str]]:
    """Return the outcome in which no answer exceeds its share, and the ids that it drops."""
    stays = balanced(_kept(bare, chosen), train)
    masks = {i: labels for i, labels in chosen.masks.items() if i in stays}
    return _Outcome(stays, masks), chosen.kept - stays


def _kept(bare: pl.DataFrame, chosen: _Outcome) -> pl.DataFrame:
    return _masked(bare.filter(pl.col("pseudo_id").is_in(list(chosen.kept))), chosen.masks)


def _confident(
    bare: pl.DataFrame, thresholds: Thresholds | None, eased: Mapping[str, float]
) -> tuple[list[str], dict[str, str]]:
    """Return the ids that pass, and the code of each other one; ``eased`` lowers thresholds."""
    if thresholds is None:
        return bare["pseudo_id"].to_list(), {}
    passed, lacking = [], {}
    columns = bare.select("pseudo_id", "task", CONFIDENCE.alias("c")).iter_rows()
    for pseudo_id, task, confidence in columns:
        found = thresholds.tasks.get(task)
        if found is None:
            lacking[pseudo_id] = "not-calibrated"
        elif found.threshold is None:
            lacking[pseudo_id] = "unreached"
        elif confidence is None or confidence < found.threshold * eased.get(pseudo_id, 1.0):
            lacking[pseudo_id] = "low-confidence"
        else:
            passed.append(pseudo_id)
    return passed, lacking


class _Court:
    """Resolves contradictions within any subset of the candidates."""

    def __init__(
        self,
        bare: pl.DataFrame,
        verdicts: pl.DataFrame,
        rules: Sequence[ConsistencyRule],
        thresholds: Thresholds | None,
    ) -> None:
        self._effect = {rule.name: rule for rule in rules}
        strengths = (
            bare.select(CONFIDENCE.alias("_")).to_series()
            if thresholds is None
            else thresholds.strengths(bare)
        )
        strength = {
            i: -1.0 if s is None else s for i, s in zip(bare["pseudo_id"], strengths, strict=True)
        }
        self._strength = strength
        self._order = sorted(strength, key=lambda i: (-strength[i], i))
        self._answer = {
            i: (t, a) for i, t, a in bare.select("pseudo_id", "task", "answer").iter_rows()
        }
        self._against: dict[str, list[tuple[str, str | None, str | None]]] = {}
        self._names: dict[tuple[str, str | None, str], set[str]] = {}
        self._for: list[tuple[str, str, str | None]] = []
        self._scope: list[tuple[str, str]] = []
        for row in verdicts.iter_rows(named=True):
            rule = self._effect[row["rule"]]
            me, partner = row["pseudo_id"], None if row["other_real"] else row["other"]
            if rule.effect == "keep-only-if":
                self._scope.append((me, rule.name))
            if row["verdict"] == "agree":
                self._for.append((me, rule.name, partner))
            strikes = row["weaker"] or rule.effect == "drop-both"
            if row["verdict"] == "contradict" and strikes:
                self._against.setdefault(me, []).append((rule.name, partner, row["name"]))
            if row["verdict"] == "contradict" and partner is not None and row["name"] is not None:
                self._names.setdefault((me, partner, rule.name), set()).add(row["name"])

    def confirmed(self, confident: Collection[str]) -> dict[str, float]:
        """Return each candidate that a real entry or confident candidate confirms → its factor."""
        passed, found = set(confident), dict[str, float]()
        for me, name, partner in self._for:
            rule = self._effect[name]
            if rule.effect == "confirm" and (partner is None or partner in passed):
                found[me] = min(found.get(me, 1.0), rule.by)
        return found

    def settle(self, ids: frozenset[str]) -> _Outcome:
        """Apply the effect of every rule to ``ids``, the strongest candidate first."""
        drops: dict[str, tuple[str, str | None]] = {}
        masks: dict[str, set[str]] = {}
        agreed = {(me, rule) for me, rule, p in self._for if p is None or p in ids}
        for me, rule in self._scope:
            if me in ids and (me, rule) not in agreed:
                drops.setdefault(me, ("unconfirmed", rule))
        standing = ids - drops.keys()
        for me in self._order:
            if me not in standing:
                continue
            for rule, accuser, label in self._against.get(me, ()):
                effect = self._effect[rule].effect
                if effect in ("keep", "confirm", "keep-only-if") or not self._heard(
                    me, accuser, rule, effect, standing, drops, masks
                ):
                    continue
                if effect == "mask" and self._may_mask(me, label, masks):
                    masks.setdefault(me, set()).add(str(label))
                else:
                    drops[me] = ("contradicted", rule)
                    masks.pop(me, None)
                    break
        kept = frozenset(i for i in standing if i not in drops)
        frozen = {i: frozenset(labels) for i, labels in masks.items()}
        return _Outcome(kept, frozen, drops)

    def _heard(
        self,
        me: str,
        accuser: str | None,
        rule: str,
        effect: str,
        standing: Collection[str],
        drops: Mapping[str, object],
        masks: Mapping[str, set[str]],
    ) -> bool:
        """Return whether a contradiction counts; the other candidate must still state its part."""
        if accuser is None:
            return True
        if accuser not in standing:
            return False
        if effect == "drop-both" or self._strength[accuser] == self._strength[me]:
            return True
        if accuser in drops:
            return False
        said = self._names.get((accuser, me, rule))
        return said is None or not said <= masks.get(accuser, set())

    def _may_mask(self, me: str, label: str | None, masks: Mapping[str, set[str]]) -> bool:
        """Return whether the answer names the label and keeps other labels without it."""
        if label is None:
            return False
        return masked(*self._answer[me], masks.get(me, set()) | {label}) is not None


def _masked(kept: pl.DataFrame, masks: Mapping[str, frozenset[str]]) -> pl.DataFrame:
    if not masks:
        return kept
    rows = [
        (i, *found)
        for i, task, answer in kept.select("pseudo_id", "task", "answer").iter_rows()
        if i in masks and (found := masked(task, answer, masks[i])) is not None
    ]
    changed = pl.DataFrame(
        rows, schema={"pseudo_id": pl.String, "answer": pl.String, "target": pl.String},
        orient="row",
    )  # fmt: skip
    return kept.update(changed, on="pseudo_id").select(PSEUDO.names())
