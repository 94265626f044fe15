"""Defines the consistency rules that a YAML file can state; such a file contains no code."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path
from typing import Annotated, Any, Final, Literal

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationInfo,
    model_validator,
)

from imaxray._common.config import parse_yaml, read_yaml, validated
from imaxray.clinical import (
    BLOCK,
    DEFAULT_RULES,
    Bounds,
    Case,
    ClinicalRules,
    load_clinical_rules,
    read_block,
    rule_names,
)
from imaxray.errors import ImaxrayError
from imaxray.schema import TaskName

FactKind = Literal["measurement", "grade", "label", "said", "asked", "boxed", "region"]
"""Kind of a statement of an entry or candidate, see :mod:`imaxray.tasks._shared.statements`."""

ConsistencyEffect = Literal["drop", "drop-both", "mask", "keep-only-if", "confirm", "keep"]


def _listed(value: Any) -> Any:
    return [value] if isinstance(value, str) else value


class _Strict(BaseModel):
    model_config = ConfigDict(
        extra="forbid", frozen=True, allow_inf_nan=False, populate_by_name=True
    )


class ConsistencyCase(Case):
    """Conditions on two facts, or on the first one alone, which must all hold."""

    iou: Bounds | None = Field(default=None, description="highest IoU between a box of each fact")
    phrases: Bounds | None = Field(
        default=None,
        description="token F1 of the two phrases; it is 0 if they name different sides",
    )
    place: Literal["fits", "misses"] | None = Field(
        default=None, description="whether the box of the first fact lies where its phrase says"
    )


class Facts(_Strict):
    """Selects the facts that a rule uses."""

    fact: Annotated[tuple[FactKind, ...], BeforeValidator(_listed), Field(min_length=1)]
    name: str | None = Field(default=None, description="ctr, edema, or a label; any if not given")
    task: Annotated[tuple[TaskName, ...], BeforeValidator(_listed)] | None = Field(
        default=None, description="task of the entry that states the fact; any if not given"
    )


class ConsistencyRule(_Strict):
    """One rule about facts that candidates and real entries of one image state.

    A file may give ``clinical``, the name of a clinical rule, instead of ``contradict`` and
    ``agree``. The rule then uses the cases of the clinical rule with the thresholds in force, and
    ``{NAME}`` in ``says`` stands for the threshold of that name.

    Attributes:
        name: Name of the rule in tables.
        says: Sentence that says what contradicts what.
        first: Facts on one side.
        second: Facts on the other side; ``None`` if the rule is about single facts.
        about: ``label`` compares only facts about the same label.
        when: Condition that a pair must meet to be compared.
        contradict: Cases, each of which is a contradiction.
        agree: Cases, each of which is an agreement; for all other pairs the rule is silent.
        effect: Effect of the rule, see docs/pseudo-filter.md.
        by: Factor by which the effect ``confirm`` multiplies the threshold of a confirmed
            candidate.
    """

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9-]*$")
    says: str
    first: Facts
    second: Facts | None = None
    about: Literal["label"] | None = None
    when: ConsistencyCase | None = None
    contradict: tuple[ConsistencyCase, ...] = ()
    agree: tuple[ConsistencyCase, ...] = ()
    effect: ConsistencyEffect = "drop"
    by: float = Field(default=0.9, gt=0, le=1)

    @model_validator(mode="before")
    @classmethod
    def _with_clinical_cases(cls, given: Any, info: ValidationInfo) -> Any:
        if not isinstance(given, dict) or "clinical" not in given:
            return given
        name = given["clinical"]
        if "contradict" in given or "agree" in given:
            raise ValueError("give either clinical, or contradict and agree")
        if name not in rule_names():
            raise ValueError(f"unknown clinical rule {name}; known are {', '.join(rule_names())}")
        clinical: ClinicalRules = (info.context or {}).get("clinical", DEFAULT_RULES)
        rule, chosen = clinical[name], clinical.chosen_severity(name)
        rest = {key: value for key, value in given.items() if key != "clinical"}
        if chosen == "warning" or (chosen == "error" and rest.get("effect") == "keep"):
            rest["effect"] = "keep" if chosen == "warning" else "drop"
        if isinstance(rest.get("says"), str):
            for threshold, number in rule.thresholds.items():
                rest["says"] = rest["says"].replace(f"{{{threshold}}}", f"{number:g}")
        dumped = {
            "contradict": [case.model_dump(exclude_unset=True) for case in rule.contradict],
            "agree": [case.model_dump(exclude_unset=True) for case in rule.agree],
        }
        return {**rest, **dumped}

    @model_validator(mode="after")
    def _fits_together(self) -> ConsistencyRule:
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
    rules: tuple[ConsistencyRule, ...]
    builtin: bool = Field(default=True, description="whether the built-in rules are applied too")


_BUILTIN: Final = "rules.yaml"


def load_rules(
    path: Path | None = None,
    *,
    clinical: Path | None = None,
    default: ClinicalRules = DEFAULT_RULES,
) -> tuple[ConsistencyRule, ...]:
    """Load the built-in rules and the rules of a user's file.

    A rule of the user replaces the built-in rule of the same name.

    Args:
        path: YAML file with a list ``rules``. It may contain ``builtin: false`` to leave out the
            built-in rules, and a ``clinical:`` block to change the clinical rules that rules refer
            to.
        clinical: Another YAML file with a ``clinical:`` block, for instance that of a study.
        default: Clinical rules that apply if neither file has a block, for instance those with
            which a dataset was built.

    Raises:
        ImaxrayError: A file cannot be read, a rule is invalid, or both files have a ``clinical:``
            block.
    """
    content = None if path is None else read_yaml(path, what="a file of rules", advice="pass one")
    if content is not None and BLOCK in content:
        if clinical is not None:
            raise ImaxrayError(
                f"Expected one `{BLOCK}:` block, but both {path} and {clinical} have one; remove "
                "one of them."
            )
        in_force = read_block(content.pop(BLOCK), str(path))
        content.setdefault("rules", [])
    else:
        in_force = default if clinical is None else load_clinical_rules(clinical)
    text = files(__package__).joinpath(_BUILTIN).read_text(encoding="utf-8")
    builtin = _checked(parse_yaml(text, _BUILTIN), _BUILTIN, in_force).rules
    if content is None:
        return builtin
    own = _checked(content, str(path), in_force)
    names = {rule.name for rule in own.rules}
    return (*(r for r in builtin if own.builtin and r.name not in names), *own.rules)


def _checked(content: dict[str, Any], where: str, clinical: ClinicalRules) -> _File:
    found = validated(
        _File,
        _without_ignored(content, clinical),
        where=where,
        see="docs/pseudo-filter.md",
        context={"clinical": clinical},
    )
    doubles = sorted({r.name for r in found.rules if _count(found.rules, r.name) > 1})
    if doubles:
        raise ImaxrayError(
            f"Expected distinct names of rules in {where}, but {', '.join(doubles)} comes twice; "
            "rename one."
        )
    return found


def _without_ignored(content: dict[str, Any], clinical: ClinicalRules) -> dict[str, Any]:
    """Return the content of a file without the rules whose clinical rule the user ignores."""
    if not isinstance(content.get("rules"), list):
        return content
    ignored = {name for name in rule_names() if clinical[name].severity == "ignore"}
    kept = [
        rule
        for rule in content["rules"]
        if not (isinstance(rule, dict) and rule.get("clinical") in ignored)
    ]
    return {**content, "rules": kept}


def _count(rules: Sequence[ConsistencyRule], name: str) -> int:
    return sum(rule.name == name for rule in rules)
