"""A clinical rule says which values of two facts about one image contradict each other."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Literal, overload

import polars as pl

from imaxray.clinical.cases import Case, Verdict, column

Severity = Literal["error", "warning", "ignore"]
"""How a contradiction is treated: ``error`` acts on it, ``warning`` only reports it, and ``ignore``
does not apply the rule. docs/clinical-rules.md describes what this means in each command."""


@dataclass(frozen=True)
class Cases:
    """The cases in which two facts contradict each other or agree; one fulfilled case is enough."""

    contradict: tuple[Case, ...]
    agree: tuple[Case, ...]


@dataclass(frozen=True)
class ClinicalRule:
    """A rule about two facts of one image, or about one fact.

    The value of a label is 1 (present) or 0 (absent), and so is the value of what a report, an
    answer or a box says about a finding. An uncertain or unknown value is ``None`` or null, and the
    rule is then silent.

    Attributes:
        name: Name of the rule in configurations and tables.
        facts: Description of the one or two facts that the rule compares, in the order of its
            arguments.
        sentence: Sentence that says what contradicts what; ``{NAME}`` stands for the threshold of
            that name.
        source: Publication or clinical convention from which the thresholds come.
        thresholds: Name of a threshold → number.
        cases: Function that makes the cases from the thresholds.
        severity: Treatment of a contradiction.
    """

    name: str
    facts: tuple[str, ...]
    sentence: str
    source: str
    thresholds: Mapping[str, float]
    cases: Callable[[Mapping[str, float]], Cases]
    severity: Severity = "error"

    @cached_property
    def _cases(self) -> Cases:
        return self.cases(self.thresholds)

    @property
    def contradict(self) -> tuple[Case, ...]:
        """Return the cases; each of them is a contradiction."""
        return self._cases.contradict

    @property
    def agree(self) -> tuple[Case, ...]:
        """Return the cases; each of them is an agreement unless the facts contradict each other."""
        return self._cases.agree

    @property
    def description(self) -> str:
        """Return the sentence with the values of the thresholds."""
        return self.sentence.format_map({k: f"{v:g}" for k, v in self.thresholds.items()})

    @overload
    def contradicts(self, first: float | None, second: float | None = None) -> bool: ...
    @overload
    def contradicts(self, first: pl.Expr, second: pl.Expr | None = None) -> pl.Expr: ...
    def contradicts(
        self, first: float | pl.Expr | None, second: float | pl.Expr | None = None
    ) -> bool | pl.Expr:
        """Return whether the facts contradict each other.

        Args:
            first: Value of the first fact, or the column that holds it (Float64).
            second: Value of the second fact, or the column that holds it (Float64).

        Returns:
            For numbers a boolean; for columns a boolean expression without nulls.
        """
        return _any(self.contradict, first, second)

    @overload
    def verdict(self, first: float | None, second: float | None = None) -> Verdict: ...
    @overload
    def verdict(self, first: pl.Expr, second: pl.Expr | None = None) -> pl.Expr: ...
    def verdict(
        self, first: float | pl.Expr | None, second: float | pl.Expr | None = None
    ) -> Verdict | pl.Expr:
        """Return whether the facts agree, contradict each other, or neither.

        Args:
            first: Value of the first fact, or the column that holds it (Float64).
            second: Value of the second fact, or the column that holds it (Float64).

        Returns:
            For numbers a :data:`Verdict`; for columns an expression of such strings.
        """
        bad, good = _any(self.contradict, first, second), _any(self.agree, first, second)
        if isinstance(bad, pl.Expr) or isinstance(good, pl.Expr):
            return judged(column(bad), column(good))
        return "contradict" if bad else "agree" if good else "silent"


def judged(contradict: pl.Expr, agree: pl.Expr) -> pl.Expr:
    """Return the verdict as a string column; a contradiction takes precedence over an agreement."""
    found = pl.when(contradict).then(pl.lit("contradict")).when(agree).then(pl.lit("agree"))
    return found.otherwise(pl.lit("silent"))


def _any(
    cases: tuple[Case, ...], first: float | pl.Expr | None, second: float | pl.Expr | None
) -> bool | pl.Expr:
    if isinstance(first, pl.Expr):
        assert second is None or isinstance(second, pl.Expr), "give two numbers or two columns"
        met = [case.holds(first, second).fill_null(False) for case in cases]
        return pl.any_horizontal(met) if met else pl.lit(False)
    assert not isinstance(second, pl.Expr), "give two numbers or two columns"
    return any(case.holds(first, second) for case in cases)
