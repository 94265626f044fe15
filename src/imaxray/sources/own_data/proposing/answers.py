"""Reads what the user answered: the column of a field, and what the spelling of a cell means."""

from __future__ import annotations

from collections.abc import Mapping as Named
from dataclasses import dataclass
from typing import Final

from imaxray._common.names import nearest
from imaxray.errors import ImaxrayError
from imaxray.schema import FINDINGS, SPLITS
from imaxray.sources._checks.persons import SEXES, VIEWS
from imaxray.sources.own_data.fields import FIELDS
from imaxray.sources.own_data.mapping import BoxForm
from imaxray.sources.own_data.vocabulary import MEANINGS, known_label

NONE: Final = "none"
"""Answer that there is no such column, or that a cell states nothing."""


@dataclass(frozen=True)
class Answers:
    """Holds what the user answered.

    Attributes:
        columns: Field or label → column, or ``none``.
        dates: Form of dates.
        boxes: Form of boxes.
    """

    columns: Named[str, str]
    dates: str | None = None
    boxes: BoxForm | None = None


def meaning_of(spelling: str, meaning: str, kinds: set[str]) -> tuple[str, str | None]:
    """Return the key of `source.yaml` that an answer belongs to, and the value there.

    Example:
        >>> meaning_of("efusion", "pleural effusion", set()), meaning_of("2", "uncertain", set())
        (('vocabulary', 'Pleural Effusion'), ('label_values', 'uncertain'))
    """
    upper = meaning.upper()
    if meaning in MEANINGS:
        return "label_values", meaning
    if meaning in SPLITS:
        return "values.split", meaning
    if meaning == NONE:
        return ("values.split" if "values.split" in kinds else "vocabulary"), None
    if upper in SEXES:
        return "values.sex", SEXES[upper]
    if VIEWS.get(upper):
        return "values.view", VIEWS[upper]
    label = known_label(meaning)
    if label is not None:
        return "vocabulary", label
    known = [*FINDINGS, *MEANINGS, *SPLITS, NONE, "M", "F", "PA", "AP", "LATERAL"]
    near = nearest(meaning, known)
    hint = f"did you mean {near}?" if near else f"known are {', '.join(known)}."
    raise ImaxrayError(f"Expected a known meaning in --means {spelling}={meaning}; {hint}")


def is_answered(key: tuple[str, str], answers: Answers) -> bool:
    """Return whether a question, by its key and spelling, is answered by a column, form or date."""
    known, _ = key
    if known == "dates":
        return answers.dates is not None
    if known == "box_form":
        return answers.boxes is not None
    return known.startswith("columns.") and known.removeprefix("columns.") in answers.columns


def known_columns(columns: Named[str, str]) -> dict[str, str]:
    """Return the answers about columns by field or label, as the package spells labels.

    Raises:
        ImaxrayError: If a name is no field and no label.
    """
    known: dict[str, str] = {}
    for name, column in columns.items():
        label = known_label(name)
        if name in FIELDS:
            known[name] = column
        elif label is not None:
            known[label] = column
        else:
            near = nearest(name, [*FIELDS, *FINDINGS])
            hint = f"did you mean {near}?" if near else f"the fields are {', '.join(FIELDS)}."
            raise ImaxrayError(f"Expected a field or a label in --column, but got {name}; {hint}")
    return known
