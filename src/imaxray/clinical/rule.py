"""One clinical rule: which values of two facts about one image contradict each other."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Literal, overload

import polars as pl

from imaxray.clinical.cases import Case, Verdict, column

Severity = Literal["error", "warning", "ignore"]
"""How a contradiction is treated: ``error``, it is acted on; ``warning``, it is only reported;
``ignore``, the rule is not asked. docs/clinical-rules.md says what that means in each command."""


@dataclass(frozen=True)
class Cases:
    """When two facts contradict each other, and when they agree; any one case is enough."""

    contradict: tuple[Case, ...]
    agree: tuple[Case, ...]


@dataclass(frozen=True)
class ClinicalRule:
    """A rule about two facts of one image, or about one fact.

    A label, and what a report, an answer or a box says of it, counts 1 (present) or 0 (absent);
    what is uncertain or unknown is ``None`` or null and leaves the rule silent.

    Attributes:
        name: identifies the rule in configurations and tables.
        facts: the one or two facts that it compares, in words and in the order of its arguments.
        sentence: what contradicts what; ``{NAME}`` stands for the threshold of that name.
        source: the publication or the clinical convention that the thresholds come from.
        thresholds: name → number.
        cases: makes the cases from the thresholds.
        severity: how a contradiction is treated.
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
        """The cases of which any makes a contradiction."""
        return self._cases.contradict

    @property
    def agree(self) -> tuple[Case, ...]:
        """The cases of which any makes an agreement, unless the facts contradict each other."""
        return self._cases.agree

    @property
    def description(self) -> str:
        """The sentence with the thresholds filled in."""
        return self.sentence.format_map({k: f"{v:g}" for k, v in self.thresholds.items()})

    @overload
    def contradicts(self, first: float | None, second: float | None = None) -> bool: ...
    @overload
    def contradicts(self, first: pl.Expr, second: pl.Expr | None = None) -> pl.Expr: ...
    def contradicts(
        self, first: float | pl.Expr | None, second: float | pl.Expr | None = None
    ) -> bool | pl.Expr:
        """Whether the facts contradict each other.

        Args:
            first: the value of the first fact, or the column that holds it (Float64).
            second: the value or the column of the second fact.

        Returns:
            Of numbers a boolean; of columns an expression of booleans without nulls.
        """
        return _any(self.contradict, first, second)

    @overload
    def verdict(self, first: float | None, second: float | None = None) -> Verdict: ...
    @overload
    def verdict(self, first: pl.Expr, second: pl.Expr | None = None) -> pl.Expr: ...
    def verdict(
        self, first: float | pl.Expr | None, second: float | pl.Expr | None = None
    ) -> Verdict | pl.Expr:
        """Whether the facts agree, contradict each other, or leave the rule silent.

        Args:
            first: the value of the first fact, or the column that holds it (Float64).
            second: the value or the column of the second fact.

        Returns:
            Of numbers a :data:`Verdict`; of columns an expression of such strings.
        """
        bad, good = _any(self.contradict, first, second), _any(self.agree, first, second)
        if isinstance(bad, pl.Expr) or isinstance(good, pl.Expr):
            return judged(column(bad), column(good))
        return "contradict" if bad else "agree" if good else "silent"


def judged(contradict: pl.Expr, agree: pl.Expr) -> pl.Expr:
    """The verdict as a string column; a contradiction comes before an agreement."""
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
