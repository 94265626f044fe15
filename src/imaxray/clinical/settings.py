"""Combines the built-in clinical rules with the changes in a user's ``clinical:`` block."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Final

from pydantic import BaseModel, ConfigDict, Field, RootModel, model_validator

from imaxray._common.config import read_yaml, validated
from imaxray._common.names import nearest
from imaxray.clinical.predicates import PREDICATES
from imaxray.clinical.rule import ClinicalRule, Severity
from imaxray.errors import ImaxrayError

_BUILT_IN: Final = {rule.name: rule for rule in PREDICATES}
BLOCK: Final = "clinical"
"""The key under which a YAML file changes clinical rules."""

Threshold = Annotated[float, Field(ge=0, allow_inf_nan=False)]


class RuleSettings(BaseModel):
    """The changes that a user makes to one clinical rule."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    thresholds: Mapping[str, Threshold] = Field(
        default_factory=dict, description="name of a threshold → number"
    )
    severity: Severity | None = Field(default=None, description="error, warning or ignore")


class ClinicalRules(RootModel[Mapping[str, RuleSettings]]):
    """The clinical rules in force: name of a rule → changes to the built-in rule.

    Without an argument these are the built-in rules. The class validates the ``clinical:`` block of
    a configuration and returns each rule with these changes.

    Example:
        >>> block = {"ctr-cardiomegaly": {"thresholds": {"margin": 0.02}}}
        >>> ClinicalRules.model_validate(block)["ctr-cardiomegaly"].contradicts(0.47, 1)
        True
        >>> DEFAULT_RULES["ctr-cardiomegaly"].contradicts(0.47, 1)
        False
    """

    model_config = ConfigDict(frozen=True, allow_inf_nan=False)

    root: Mapping[str, RuleSettings] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _known(self) -> ClinicalRules:
        for name, settings in self.root.items():
            if name not in _BUILT_IN:
                raise ValueError(_unknown("clinical rule", name, _BUILT_IN))
            for threshold in settings.thresholds:
                if threshold not in _BUILT_IN[name].thresholds:
                    own = _BUILT_IN[name].thresholds
                    raise ValueError(_unknown(f"threshold of {name}", threshold, own))
        return self

    def __getitem__(self, name: str) -> ClinicalRule:
        """Return the rule of that name, with the user's thresholds and severity.

        Raises:
            KeyError: No rule has that name.
        """
        rule, given = _BUILT_IN[name], self.root.get(name)
        if given is None:
            return rule
        return replace(
            rule,
            thresholds={**rule.thresholds, **given.thresholds},
            severity=given.severity or rule.severity,
        )

    def chosen_severity(self, name: str) -> Severity | None:
        """Return the severity that the user chose for a rule; ``None`` if the user chose none."""
        given = self.root.get(name)
        return None if given is None else given.severity


DEFAULT_RULES: Final = ClinicalRules()
"""The built-in rules, unchanged."""


def load_clinical_rules(path: Path | None = None) -> ClinicalRules:
    """Read the ``clinical:`` block of a YAML file.

    The file may have other keys too, so that the YAML file of a study can also be used for an
    audit.

    Args:
        path: Path of the file; ``None`` returns the built-in rules.

    Raises:
        ImaxrayError: The file cannot be read, has no such block, or names an unknown rule,
            threshold or severity.
    """
    if path is None:
        return DEFAULT_RULES
    content = read_yaml(
        path,
        what="a YAML file with clinical rules",
        advice=f"give the path of a file with a `{BLOCK}:` block",
    )
    if BLOCK not in content:
        raise ImaxrayError(
            f"Expected a `{BLOCK}:` block in {path}, but there is none; add one "
            "(docs/clinical-rules.md)."
        )
    return read_block(content[BLOCK], str(path))


def read_block(block: object, where: str) -> ClinicalRules:
    """Read the content of a ``clinical:`` block.

    Args:
        block: Content of the block as the YAML parser returns it; ``None`` (an empty block) changes
            nothing.
        where: Path of the file, for the error message.

    Raises:
        ImaxrayError: The block names an unknown rule, threshold or severity.
    """
    if block is None:
        return DEFAULT_RULES
    return validated(_Block, {BLOCK: block}, where=where, see="docs/clinical-rules.md").clinical


class _Block(BaseModel):
    clinical: ClinicalRules


def rule_names() -> tuple[str, ...]:
    """Return the names of all clinical rules."""
    return tuple(_BUILT_IN)


def _unknown(what: str, name: str, known: Mapping[str, object]) -> str:
    near = nearest(name, known)
    if near is not None:
        return f"there is no {what} {name}; did you mean {near}?"
    return f"there is no {what} {name}; choose from {', '.join(known) or 'none'}"
