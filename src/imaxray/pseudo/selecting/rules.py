"""Consistency rules as data: a small typed vocabulary that a YAML file speaks; nothing is run."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path
from typing import Annotated, Any, Final, Literal

import yaml
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator

from imaxray.errors import ImaxrayError
from imaxray.schema import TaskName

FactKind = Literal["measurement", "grade", "label", "said", "asked", "boxed", "region"]
"""What an annotation or candidate states, see :mod:`imaxray.pseudo.selecting.statements`."""

Effect = Literal["drop", "drop-both", "mask", "keep-only-if", "confirm", "keep"]


def _listed(value: Any) -> Any:
    return [value] if isinstance(value, str) else value


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)


class Number(_Strict):
    """A condition on a number; all that is given must hold."""

    below: float | None = None
    at_most: float | None = Field(None, alias="at-most")
    above: float | None = None
    at_least: float | None = Field(None, alias="at-least")
    equals: float | None = None

    @model_validator(mode="after")
    def _says_something(self) -> Number:
        if not self.model_fields_set:
            raise ValueError("give one of below, at-most, above, at-least, equals")
        return self


class Case(_Strict):
    """Conditions on two facts (or on the first alone) that must all hold."""

    first: Number | None = Field(None, description="the first fact's value")
    second: Number | None = Field(None, description="the second fact's value")
    values: Literal["same", "different"] | None = Field(None, description="of the two facts")
    iou: Number | None = Field(None, description="best IoU between a box of each")
    phrases: Number | None = Field(
        None, description="token F1 of the two phrases, 0 where they name different sides"
    )
    place: Literal["fits", "misses"] | None = Field(
        None, description="whether the first fact's box lies where its phrase says"
    )

    @model_validator(mode="after")
    def _says_something(self) -> Case:
        if not self.model_fields_set:
            raise ValueError("give one of first, second, values, iou, phrases, place")
        return self


class Facts(_Strict):
    """Which facts a rule takes."""

    fact: Annotated[tuple[FactKind, ...], BeforeValidator(_listed), Field(min_length=1)]
    name: str | None = Field(None, description="ctr, edema, or a label; none: any")
    task: Annotated[tuple[TaskName, ...], BeforeValidator(_listed)] | None = Field(
        None, description="of the entry that states it; none: any"
    )


class Rule(_Strict):
    """One rule.

    Attributes:
        name: in tables.
        says: what contradicts what, in one sentence.
        first: facts on one side.
        second: facts on the other; none: the rule is about single facts.
        about: ``label``: only facts about the same label are compared.
        when: only pairs for which this holds are compared.
        contradict: cases, of which any makes a contradiction.
        agree: cases, of which any makes an agreement; other pairs are silent.
        effect: see docs/pseudo-filter.md.
        by: for ``confirm``: the threshold of a confirmed candidate is multiplied by it.
    """

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9-]*$")
    says: str
    first: Facts
    second: Facts | None = None
    about: Literal["label"] | None = None
    when: Case | None = None
    contradict: tuple[Case, ...] = ()
    agree: tuple[Case, ...] = ()
    effect: Effect = "drop"
    by: float = Field(0.9, gt=0, le=1)

    @model_validator(mode="after")
    def _fits_together(self) -> Rule:
        cases = [*self.contradict, *self.agree, *([self.when] if self.when else [])]
        if not cases:
            raise ValueError("give a case under contradict or agree")
        of_two = any(c.second or c.values or c.iou or c.phrases for c in cases)
        if self.second is None and (of_two or self.about):
            raise ValueError("second, values, iou, phrases and about need facts under second")
        if self.effect in ("keep-only-if", "confirm") and not self.agree:
            raise ValueError(f"the effect {self.effect} needs a case under agree")
        if self.effect in ("drop", "drop-both", "mask") and not self.contradict:
            raise ValueError(f"the effect {self.effect} needs a case under contradict")
        return self


class _File(_Strict):
    rules: tuple[Rule, ...]
    builtin: bool = Field(True, description="whether the built-in rules hold too")


_BUILTIN: Final = "rules.yaml"


def load_rules(path: Path | None = None) -> tuple[Rule, ...]:
    """The built-in rules, and those of a user's own file; the user's replace ours of one name.

    Args:
        path: YAML with ``rules``, a list, and perhaps ``builtin: false``.

    Raises:
        ImaxrayError: the file cannot be read, or a rule is not of the vocabulary.
    """
    text = files("imaxray.pseudo.selecting").joinpath(_BUILTIN).read_text(encoding="utf-8")
    builtin = _parse(text, _BUILTIN).rules
    if path is None:
        return builtin
    try:
        own = _parse(path.read_text(encoding="utf-8"), str(path))
    except OSError as error:
        raise ImaxrayError(
            f"Expected a file of rules at {path}, but it cannot be read ({error.strerror}); name "
            "one."
        ) from error
    names = {rule.name for rule in own.rules}
    return (*(r for r in builtin if own.builtin and r.name not in names), *own.rules)


def _parse(text: str, where: str) -> _File:
    try:
        content = yaml.safe_load(text)
        found = _File.model_validate(content)
    except yaml.YAMLError as error:
        place = getattr(error, "problem_mark", None)
        line = f" near line {place.line + 1}" if place else ""
        raise ImaxrayError(
            f"Expected YAML with a list `rules` in {where}, but it cannot be read{line}; mend it."
        ) from error
    except ValidationError as error:
        first = error.errors()[0]
        place = _place(content, first["loc"])
        raise ImaxrayError(
            f"Expected rules as docs/pseudo-filter.md describes them in {where}, but {place}: "
            f"{first['msg']}; mend it."
        ) from error
    doubles = sorted({r.name for r in found.rules if _count(found.rules, r.name) > 1})
    if doubles:
        raise ImaxrayError(
            f"Expected rules of different names in {where}, but {', '.join(doubles)} comes twice; "
            "rename one."
        )
    return found


def _count(rules: Sequence[Rule], name: str) -> int:
    return sum(rule.name == name for rule in rules)


def _place(content: Any, where: tuple[int | str, ...]) -> str:
    """``rules.2.effect`` with the rule's own name instead of its number."""
    parts = [str(part) for part in where]
    if len(where) > 1 and where[0] == "rules" and isinstance(where[1], int):
        rule = content["rules"][where[1]]
        if isinstance(rule, dict) and isinstance(rule.get("name"), str):
            parts[1] = rule["name"]
    return ".".join(parts) or "the whole"
