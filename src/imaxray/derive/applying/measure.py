"""Measures the precision of rules and decides which of them are used."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final

import polars as pl
from scipy.stats import beta

from imaxray.derive.applying.engine import Check
from imaxray.derive.rules.rule import Concludes, Conclusion, DerivationRule, Habits, Known

_LEVEL: Final = 0.95

MEASURED: Final = pl.Schema(
    {
        "rule": pl.String,
        "reading": pl.String,  # part of the rule; null: the whole rule
        "kind": pl.String,  # exact or calibrated
        "judged": pl.Int64,  # conclusions whose truth is known
        "right": pl.Int64,
        "precision": pl.Float64,
        "patients": pl.Int64,
        "clean": pl.Int64,  # patients of whom every conclusion is right
        "low": pl.Float64,  # Clopper-Pearson interval of clean over patients
        "high": pl.Float64,
        "used": pl.Boolean,
        "why": pl.String,  # why it is not used; null if it is
    }
)
"""Precision of rules, one row a rule and one for each of its readings."""


@dataclass
class Tally:
    """Counts conclusions and right conclusions by patient.

    Attributes:
        counts: (rule, its readings) → patient → number of conclusions and of right ones.
    """

    counts: dict[tuple[str, tuple[str, ...]], dict[str, list[int]]] = field(default_factory=dict)

    def add(self, check: Check, patient: str) -> None:
        """Count one conclusion."""
        pair = self.counts.setdefault((check.rule, check.readings), {}).setdefault(patient, [0, 0])
        pair[0] += 1
        pair[1] += check.right

    def merge(self, other: Tally) -> None:
        """Add the counts of another tally."""
        for key, patients in other.counts.items():
            mine = self.counts.setdefault(key, {})
            for patient, (judged, right) in patients.items():
                pair = mine.setdefault(patient, [0, 0])
                pair[0] += judged
                pair[1] += right

    def of(self, rule: str, *, reading: str | None = None, off: Collection[str] = ()) -> _Counts:
        """Return the counts of a rule, of one of its readings, or without some of them."""
        patients: dict[str, list[int]] = {}
        for (name, readings), counted in self.counts.items():
            if name != rule or (reading is not None and reading not in readings):
                continue
            if not set(readings).isdisjoint(off):
                continue
            for patient, (judged, right) in counted.items():
                pair = patients.setdefault(patient, [0, 0])
                pair[0] += judged
                pair[1] += right
        return _Counts(
            judged=sum(judged for judged, _ in patients.values()),
            right=sum(right for _, right in patients.values()),
            patients=len(patients),
            clean=sum(judged == right for judged, right in patients.values()),
        )

    def readings(self, rule: str) -> list[str]:
        """Return the readings of a rule that were compared, sorted."""
        return sorted({r for name, readings in self.counts if name == rule for r in readings})


@dataclass(frozen=True)
class _Counts:
    judged: int
    right: int
    patients: int
    clean: int

    @property
    def precision(self) -> float | None:
        return self.right / self.judged if self.judged else None


def measured_rules(
    tally: Tally,
    rules: Sequence[DerivationRule],
    *,
    precision: float,
    judged: int,
    chosen: Collection[str] = (),
    without: Collection[str] = (),
) -> pl.DataFrame:
    """Return the precision of each rule and whether it is used (schema MEASURED).

    A calibrated rule is off if at least ``judged`` of its conclusions were compared and too few of
    them are right. Its readings are judged alone, in the same way, and the rule is then judged
    without those that are off. A rule that is used only if measured is off without enough
    comparisons.

    Args:
        tally: Counts of conclusions.
        rules: Rules in the order of the table.
        precision: Lowest precision of a calibrated rule.
        judged: Fewest conclusions by which a precision decides.
        chosen: Names of the rules that the user wants alone; such a rule is never off by default.
        without: Rules and readings that the user switched off.
    """
    limits = _Limits(precision, judged)
    rows: list[dict[str, Any]] = []
    for rule in rules:
        fixed = _fixed(rule, chosen, without)
        own = []
        # a reading that was never compared can be switched off, too
        named = {n.partition("/")[2] for n in without if n.startswith(f"{rule.name}/")}
        for reading in sorted({*tally.readings(rule.name), *named}):
            counts = tally.of(rule.name, reading=reading)
            off = _OFF if f"{rule.name}/{reading}" in without else None
            own.append(_row(rule, reading, counts, fixed or off or limits.fault(rule, counts)))
        off_readings = {row["reading"] for row in own if not row["used"]}
        left = tally.of(rule.name, off=off_readings) if fixed is None else tally.of(rule.name)
        whole = fixed or limits.fault(rule, left)
        if whole is not None:
            own = [{**row, "used": False, "why": row["why"] or whole} for row in own]
        rows += [_row(rule, None, tally.of(rule.name) if whole else left, whole), *own]
    return pl.DataFrame(rows, schema=MEASURED, orient="row")


_OFF: Final = "left out by --without"


def _fixed(rule: DerivationRule, chosen: Collection[str], without: Collection[str]) -> str | None:
    """Return why a rule is off whatever its precision is, or ``None``."""
    if rule.name in without:
        return _OFF
    if chosen:
        return None if rule.name in chosen else "not among --only"
    return "off by default" if rule.default == "off" else None


@dataclass(frozen=True)
class _Limits:
    precision: float
    judged: int

    def fault(self, rule: DerivationRule, counts: _Counts) -> str | None:
        """Return why the precision of a calibrated rule does not suffice, or ``None``."""
        if rule.kind == "exact":
            return None
        if counts.judged < self.judged or counts.precision is None:
            few = f"used only if measured, but {counts.judged} of its conclusions can be compared"
            return few if rule.default == "if-measured" else None
        if counts.precision < self.precision:
            return f"precision {counts.precision:.3f} is below {self.precision:g}"
        return None


def _row(
    rule: DerivationRule, reading: str | None, counts: _Counts, why: str | None
) -> dict[str, Any]:
    low, high = interval(counts.clean, counts.patients)
    return {
        "rule": rule.name, "reading": reading, "kind": rule.kind, "judged": counts.judged,
        "right": counts.right, "precision": counts.precision, "patients": counts.patients,
        "clean": counts.clean, "low": low, "high": high, "used": why is None, "why": why,
    }  # fmt: skip


def interval(right: int, n: int) -> tuple[float | None, float | None]:
    """Return the exact 95 % interval of a share (Clopper-Pearson)."""
    if not n:
        return None, None
    tail = (1 - _LEVEL) / 2
    low = 0.0 if right == 0 else float(beta.ppf(tail, right, n - right + 1))
    high = 1.0 if right == n else float(beta.ppf(1 - tail, right + 1, n - right))
    return low, high


def proven(rule: DerivationRule, measured: pl.DataFrame) -> DerivationRule:
    """Return a rule without the readings that were never compared, if only measured ones count.

    Args:
        rule: Rule that is used.
        measured: Precision of the rules (schema MEASURED).
    """
    if rule.default != "if-measured" or rule.kind == "exact":
        return rule
    used = measured.filter(pl.col("used"), rule=rule.name)["reading"].drop_nulls()
    return replace(rule, conclude=_Proven(rule.conclude, frozenset(used)))


@dataclass(frozen=True)
class _Proven:
    """The conclusions of a rule that need no reading but those that were measured."""

    conclude: Concludes
    readings: frozenset[str]

    def __call__(self, known: Known, habits: Habits) -> Iterator[Conclusion]:
        for conclusion in self.conclude(known, habits):
            if self.readings.issuperset(conclusion.readings):
                yield conclusion


def switched_off(measured: pl.DataFrame) -> tuple[frozenset[str], frozenset[str]]:
    """Return the rules that are off, and the readings that are off as ``<rule>/<reading>``."""
    off = measured.filter(~pl.col("used"))
    rules = off.filter(pl.col("reading").is_null())["rule"]
    readings = off.filter(pl.col("reading").is_not_null())
    names = readings.select(pl.concat_str("rule", pl.lit("/"), "reading")).to_series()
    return frozenset(rules), frozenset(names)
