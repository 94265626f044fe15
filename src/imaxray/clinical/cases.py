"""Defines conditions on one or two values, which can be plain numbers or Polars columns."""

from __future__ import annotations

import operator
from functools import reduce
from typing import Literal, Self, overload

import polars as pl
from pydantic import BaseModel, ConfigDict, Field, model_validator

Verdict = Literal["agree", "contradict", "silent"]
"""Result of a rule for two facts; ``silent`` means neither, or that a fact is not known."""


class Bounds(BaseModel):
    """A condition on one number; the number must satisfy every bound that is given."""

    model_config = ConfigDict(
        extra="forbid", frozen=True, allow_inf_nan=False, populate_by_name=True
    )

    below: float | None = None
    at_most: float | None = Field(default=None, alias="at-most")
    above: float | None = None
    at_least: float | None = Field(default=None, alias="at-least")
    equals: float | None = None

    @model_validator(mode="after")
    def _says_something(self) -> Self:
        if all(bound is None for bound in self.__dict__.values()):
            raise ValueError("give one of below, at-most, above, at-least, equals")
        return self

    @overload
    def holds(self, value: float) -> bool: ...
    @overload
    def holds(self, value: pl.Expr) -> pl.Expr: ...
    def holds(self, value: float | pl.Expr) -> bool | pl.Expr:
        """Return whether a number is within the bounds; for a column, a boolean expression."""
        tests: list[bool | pl.Expr] = []
        if self.below is not None:
            tests.append(value < self.below)
        if self.at_most is not None:
            tests.append(value <= self.at_most)
        if self.above is not None:
            tests.append(value > self.above)
        if self.at_least is not None:
            tests.append(value >= self.at_least)
        if self.equals is not None:
            tests.append(value == self.equals)
        return _all(tests)


class Case(BaseModel):
    """A condition on two facts, or on the first one alone; every part that is given must hold."""

    model_config = ConfigDict(
        extra="forbid", frozen=True, allow_inf_nan=False, populate_by_name=True
    )

    first: Bounds | None = Field(
        default=None, description="condition on the value of the first fact"
    )
    second: Bounds | None = Field(
        default=None, description="condition on the value of the second fact"
    )
    values: Literal["same", "different"] | None = Field(
        default=None,
        description="whether the values of the two facts must be the same or different",
    )

    @model_validator(mode="after")
    def _says_something(self) -> Self:
        if all(part is None for part in self.__dict__.values()):
            raise ValueError(f"give one of {', '.join(type(self).model_fields)}")
        return self

    @overload
    def holds(self, first: float | None, second: float | None = None) -> bool: ...
    @overload
    def holds(self, first: pl.Expr, second: pl.Expr | None = None) -> pl.Expr: ...
    def holds(
        self, first: float | pl.Expr | None, second: float | pl.Expr | None = None
    ) -> bool | pl.Expr:
        """Return whether two facts meet this condition.

        Args:
            first: Value of the first fact, or the column that holds it.
            second: Value of the second fact, or the column that holds it.

        Returns:
            For numbers a boolean, which is false if a required number is ``None``; for columns an
            expression, which is null where a required value is null.
        """
        tests: list[bool | pl.Expr] = []
        if self.first is not None:
            tests.append(first is not None and self.first.holds(first))
        if self.second is not None:
            tests.append(second is not None and self.second.holds(second))
        if self.values is not None:
            known = first is not None and second is not None
            tests.append(known and (first == second if self.values == "same" else first != second))
        met = _all(tests)
        return column(met) if isinstance(first, pl.Expr) else met


def column(value: bool | pl.Expr) -> pl.Expr:
    """Return the value as an expression."""
    return value if isinstance(value, pl.Expr) else pl.lit(value)


def _all(tests: list[bool | pl.Expr]) -> bool | pl.Expr:
    joined: bool | pl.Expr = reduce(operator.and_, tests)
    return joined
