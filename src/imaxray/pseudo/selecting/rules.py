"""Consistency rules as data: a small typed vocabulary that a YAML file speaks; nothing is run."""

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

from imaxray._config import parse_yaml, read_yaml, validated
from imaxray.clinical import (
    BLOCK,
    DEFAULT_RULES,
    Bounds,
    Case,
    ClinicalRules,
    read_block,
    rule_names,
)
from imaxray.clinical import load_rules as load_clinical_rules
from imaxray.errors import ImaxrayError
from imaxray.schema import TaskName

FactKind = Literal["measurement", "grade", "label", "said", "asked", "boxed", "region"]
"""What an annotation or candidate states, see :mod:`imaxray.pseudo.selecting.statements`."""

ConsistencyEffect = Literal["drop", "drop-both", "mask", "keep-only-if", "confirm", "keep"]


def _listed(value: Any) -> Any:
    return [value] if isinstance(value, str) else value


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)


class ConsistencyCase(Case):
    """Conditions on two facts (or on the first alone) that must all hold."""

    iou: Bounds | None = Field(None, description="best IoU between a box of each")
    phrases: Bounds | None = Field(
        None, description="token F1 of the two phrases, 0 where they name different sides"
    )
    place: Literal["fits", "misses"] | None = Field(
        None, description="whether the first fact's box lies where its phrase says"
    )


class Facts(_Strict):
    """Which facts a rule takes."""

    fact: Annotated[tuple[FactKind, ...], BeforeValidator(_listed), Field(min_length=1)]
    name: str | None = Field(None, description="ctr, edema, or a label; none: any")
    task: Annotated[tuple[TaskName, ...], BeforeValidator(_listed)] | None = Field(
        None, description="of the entry that states it; none: any"
    )


class ConsistencyRule(_Strict):
    """One rule about facts that candidates and real entries of one image state.

    A file may give ``clinical``, the name of a clinical rule, instead of ``contradict`` and
    ``agree``: its cases, with the thresholds in force, are then those of the rule.

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
    when: ConsistencyCase | None = None
    contradict: tuple[ConsistencyCase, ...] = ()
    agree: tuple[ConsistencyCase, ...] = ()
    effect: ConsistencyEffect = "drop"
    by: float = Field(0.9, gt=0, le=1)

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
    builtin: bool = Field(True, description="whether the built-in rules hold too")


_BUILTIN: Final = "rules.yaml"


def load_rules(
    path: Path | None = None, *, clinical: Path | None = None
) -> tuple[ConsistencyRule, ...]:
    """The built-in rules, and those of a user's own file; the user's replace ours of one name.

    Args:
        path: YAML with ``rules``, a list; perhaps ``builtin: false``, and perhaps a ``clinical:``
            block, which changes the clinical rules that rules refer to.
        clinical: another YAML file with a ``clinical:`` block, for instance that of a study.

    Raises:
        ImaxrayError: a file cannot be read, a rule is not of the vocabulary, or both files have a
            ``clinical:`` block.
    """
    content = None if path is None else read_yaml(path, what="a file of rules", advice="name one")
    if content is not None and BLOCK in content:
        if clinical is not None:
            raise ImaxrayError(
                f"Expected one `{BLOCK}:` block, but both {path} and {clinical} have one; remove "
                "one of them."
            )
        in_force = read_block(content.pop(BLOCK), str(path))
        content.setdefault("rules", [])
    else:
        in_force = load_clinical_rules(clinical)
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
            f"Expected rules of different names in {where}, but {', '.join(doubles)} comes twice; "
            "rename one."
        )
    return found


def _without_ignored(content: dict[str, Any], clinical: ClinicalRules) -> dict[str, Any]:
    """The content of a file less the rules whose clinical rule the user ignores."""
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
