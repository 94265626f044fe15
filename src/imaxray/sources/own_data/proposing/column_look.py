"""Looks at the columns of a table and says what each may hold, and what nobody but you can know."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final

from imaxray._common.names import nearest
from imaxray._common.printing import counted
from imaxray.schema import FINDINGS
from imaxray.sources._checks.persons import SEXES, VIEWS
from imaxray.sources.own_data.cells import CellError, day, is_blank, label_value
from imaxray.sources.own_data.fields import FIELDS
from imaxray.sources.own_data.proposing.answers import NONE
from imaxray.sources.own_data.proposing.prose import without_prose
from imaxray.sources.own_data.vocabulary import (
    GRADES,
    PERSONS,
    SPLIT_NAMES,
    known_label,
    label_spellings,
    plain,
)

DATE_FORMS: Final = (
    "%Y-%m-%d", "%Y/%m/%d", "%Y%m%d", "%d.%m.%Y", "%d.%m.%y", "%d/%m/%Y", "%m/%d/%Y", "%d-%m-%Y",
    "%m-%d-%Y", "%d/%m/%y", "%m/%d/%y", "%Y.%m.%d", "%d %b %Y", "%d-%b-%Y", "%b %d, %Y", "%d %B %Y",
)  # fmt: skip
SEPARATORS: Final = ("|", ";", ",", "/", "+", "\n")

_ENOUGH: Final = 0.8
"""Share of the stated cells that must fit before a column is taken for a field by its content."""

_IDS: Final = ("image", "patient", "study")

_FEW: Final = 60
"""A column with more different values is no column of labels, splits, views or sexes."""

_AFFIX: Final = frozenset(
    (
        "has",
        "is",
        "label",
        "lbl",
        "gt",
        "yn",
        "y",
        "n",
        "finding",
        "dx",
        "flag",
        "binary",
        "present",
    )
)
_COMMA_NUMBER: Final = re.compile(r"[+-]?\d+,\d+")
_POINT_NUMBER: Final = re.compile(r"[+-]?\d+\.\d+")


@dataclass(frozen=True)
class Column:
    """Holds the name of a column and its cells that state something, with their counts.

    The word "none" counts as a blank cell, but may mean that nothing was found: ``nones`` are
    counted, so that somebody is asked.
    """

    name: str
    cells: Counter[str]
    blank: int
    nones: int = 0

    @classmethod
    def of(cls, name: str, cells: Iterable[str | None]) -> Column:
        """Count the cells of a column."""
        stated: Counter[str] = Counter()
        blank = nones = 0
        for cell in cells:
            if cell is None or is_blank(cell):
                blank += 1
                nones += cell is not None and cell.strip().lower() == NONE
            else:
                stated[cell.strip()] += 1
        return cls(name, stated, blank, nones)

    @property
    def stated(self) -> int:
        """Number of cells that state something."""
        return self.cells.total()

    def share(self, fits: Sequence[str]) -> float:
        """Return the share of the stated cells whose text is one of ``fits``."""
        return sum(self.cells[text] for text in fits) / max(1, self.stated)


@dataclass
class Understood:
    """Collects what is understood of a table.

    Attributes:
        columns: Field → column.
        labels: Label → column.
        values: Field → spelling → known spelling.
        label_values: Spelling of a label's value → meaning.
        vocabulary: Spelling of a finding → label, or None.
        notes: Column → what it is taken for, or why it is not used.
        questions: What nobody but the user can know, by the key and the spelling that it is about.
    """

    columns: dict[str, str] = field(default_factory=dict)
    labels: dict[str, str] = field(default_factory=dict)
    values: dict[str, dict[str, str | None]] = field(default_factory=dict)
    label_values: dict[str, str] = field(default_factory=dict)
    vocabulary: dict[str, str | None] = field(default_factory=dict)
    notes: dict[str, str] = field(default_factory=dict)
    questions: dict[tuple[str, str], str] = field(default_factory=dict)


def field_by_name(name: str) -> str | None:
    """Return the field whose usual names include the name of a column.

    Example:
        >>> field_by_name("PatientID"), field_by_name("Geschlecht"), field_by_name("remarks")
        ('patient', 'sex', None)
    """
    spelled = plain(name)
    for known, about in FIELDS.items():
        # `edema` is a field (the grade), but a column of this name may well hold the label
        if spelled in about.columns or (spelled == plain(known) and known_label(name) is None):
            return known
    return None


def label_by_name(name: str) -> str | None:
    """Return the label that the name of a column means, with or without words around it.

    Example:
        >>> label_by_name("has_effusion"), label_by_name("PTX (y/n)"), label_by_name("age")
        ('Pleural Effusion', 'Pneumothorax', None)
    """
    exact = known_label(name)
    if exact is not None:
        return exact
    words = [word for word in plain(name).split() if word not in _AFFIX]
    return known_label(" ".join(words)) if words else None


def hint_for(name: str) -> str:
    """Return a sentence with the nearest known name of a column, or an empty text."""
    names = {column: about for about, f in FIELDS.items() for column in f.columns}
    near = nearest(plain(name), [*names, *label_spellings()])
    if near is None:
        return ""
    meant = f"the field {names[near]}" if near in names else f"the label {label_spellings()[near]}"
    return f"did you mean {meant}?"


def unknown_values(column: Column) -> list[str]:
    """Return the values of a column of labels that are not known, the most frequent first."""
    strange = []
    for text, _ in column.cells.most_common():
        try:
            label_value(text, {})
        except CellError:
            strange.append(text)
    return strange


def looks_like_labels(column: Column) -> bool:
    """Return whether most values of a column are yes, no or uncertain."""
    if not column.stated or len(column.cells) > _FEW:
        return False
    strange = unknown_values(column)
    return 1 - column.share(strange) >= _ENOUGH or len(column.cells) - len(strange) >= 2


def may_identify(column: Column) -> bool:
    """Return whether a column may name images, patients or studies, judged by its name and cells.

    Cells such as 0 and 1 of a label must not be taken for the images 0.png and 1.png.

    Example:
        >>> may_identify(Column.of("scan", ["1", "2", "3"])), may_identify(Column.of("age", ["1"]))
        (True, False)
        >>> may_identify(Column.of("score", ["0", "1", "1", "0"]))
        False
    """
    known = field_by_name(column.name)
    if known in _IDS:
        return True
    if known is not None or label_by_name(column.name) is not None or not column.stated:
        return False
    return len(column.cells) == column.stated or not looks_like_labels(column)


def looks_like_grades(column: Column) -> bool:
    """Return whether all values are grades of edema, some of them above 1."""
    spelled = [" ".join(text.split()).lower() for text in column.cells]
    return (
        bool(spelled)
        and all(text in GRADES for text in spelled)
        and any(GRADES[text] > 1 for text in spelled)
    )


def date_forms(column: Column) -> list[str]:
    """Return the forms that fit most cells, those that fit as many as the best one.

    Example:
        >>> date_forms(Column.of("d", ["01/02/2024", "03/04/2024"]))
        ['%d/%m/%Y', '%m/%d/%Y']
        >>> date_forms(Column.of("d", ["31.01.2024", "02.02.2024"]))
        ['%d.%m.%Y']
    """
    fits: dict[str, int] = {}
    for form in DATE_FORMS:
        for text, count in column.cells.items():
            try:
                day(text, form)
            except CellError:
                continue
            fits[form] = fits.get(form, 0) + count
    best = max(fits.values(), default=0)
    if best < _ENOUGH * max(1, column.stated):
        return []
    # a form with fewer fits is possible too, if both orders of day and month occur
    return [form for form in DATE_FORMS if fits.get(form, 0) >= _ENOUGH * best]


def decimal_comma(columns: Iterable[Column]) -> bool:
    """Return whether numbers are written with a comma, and none with a point."""
    texts = [text for column in columns for text in column.cells]
    commas = sum(bool(_COMMA_NUMBER.fullmatch(text.rstrip(" %"))) for text in texts)
    points = sum(bool(_POINT_NUMBER.fullmatch(text.rstrip(" %"))) for text in texts)
    return commas > 0 and points == 0


def list_separator(column: Column) -> str:
    """Return the text that most often separates two findings in a cell.

    Example:
        >>> list_separator(Column.of("f", ["Effusion; Mass", "Mass", "Edema"]))
        ';'
    """
    best, most = "|", 0
    for separator in SEPARATORS:
        parted = sum(
            count
            for text, count in column.cells.items()
            if separator in text
            and any(known_label(part.strip()) for part in text.split(separator))
        )
        if parted > most:
            best, most = separator, parted
    return best


def look_at_persons(name: str, column: Column, said: Understood) -> None:
    """Write down spellings of views or sexes that the package does not know by itself."""
    known = VIEWS if name == "view" else SEXES
    cells = without_prose(column.cells, column.name, said.notes)
    spelled = {text: plain(text) for text in cells}
    upper = {text: re.sub(r"[\s_-]+", " ", text.upper()).strip() for text in cells}
    if name == "sex" and {"h", "m"} <= set(spelled.values()) and "f" not in spelled.values():
        said.questions["values.sex", "H"] = (
            f"values.sex: the column {column.name} has H and M but no F; if H means a man and M a "
            "woman (hombre, mujer), answer with --means H=M --means M=F."
        )
    for text, count in cells.most_common():
        if upper[text] in known:
            continue
        ours = PERSONS[name].get(spelled[text])
        if ours is not None:
            said.values.setdefault(name, {})[text] = ours
            continue
        near = nearest(spelled[text].upper(), [*known, *(s.upper() for s in PERSONS[name])])
        guess = (
            f"; did you mean {known.get(near) or PERSONS[name].get(near.lower())}?" if near else ""
        )
        said.notes[f"{column.name}: {text}"] = (
            f"unknown {name}, {counted(count, 'row')} kept without it{guess}"
        )


def look_at_splits(column: Column, said: Understood) -> None:
    """Ask about spellings of splits that are not known."""
    cells = without_prose(column.cells, column.name, said.notes)
    strange = [text for text in cells if plain(text) not in SPLIT_NAMES]
    if strange:
        said.questions["values.split", strange[0]] = (
            f"values.split: which of train, val, test are {_some(strange)} in the column "
            f"{column.name}? Answer each with --means {strange[0]}=train, or =none for no split."
        )


def look_at_findings(column: Column, separator: str, said: Understood) -> None:
    """Match the spellings of findings in a list with labels."""
    items: Counter[str] = Counter()
    for text, count in column.cells.items():
        for part in text.split(separator):
            if part.strip():
                items[part.strip()] += count
    look_at_phrases(items, column.name, said)


def look_at_phrases(items: Counter[str], column: str, said: Understood) -> None:
    """Match spellings with labels: known ones, likely ones (a question), and others (a note)."""
    spellings = label_spellings()
    for text, count in without_prose(items, column, said.notes).most_common(200):
        label = known_label(text)
        if label is not None:
            if text != label:
                said.vocabulary[text] = label
            continue
        near = nearest(plain(text), spellings)
        if near is not None:
            meant = spellings[near]
            said.questions["vocabulary", text] = (
                f"vocabulary: {text} ({counted(count, 'row')} of the column {column}): did you "
                f"mean {meant}? Answer with --means '{text}={meant}', or '{text}=none' if it is no "
                "label."
            )
        else:
            said.vocabulary[text] = None
            said.notes[f"{column}: {text}"] = (
                f"none of the {len(FINDINGS)} labels, {counted(count, 'row')}; these cells become "
                "rejects"
            )


def look_at_nones(known: str, column: Column, meaning: str, said: Understood) -> None:
    """Ask whether the word "none" says that nothing was found, or states nothing."""
    if column.nones:
        said.questions[f"values.{known}", NONE] = (
            f"values.{known}: {NONE} ({counted(column.nones, 'row')} of the column {column.name}): "
            f"does it mean {meaning}, or is nothing stated? Answer with --means "
            f"'{known}:{NONE}={meaning}', or '{known}:{NONE}={NONE}'."
        )


def look_at_label_values(columns: Sequence[Column], said: Understood) -> None:
    """Ask about values of labels that are not known, or that may mean several things."""
    strange, asked = Counter[str](), Counter[str]()
    for column in columns:
        unknown = Counter({text: column.cells[text] for text in unknown_values(column)})
        strange += unknown
        asked += without_prose(unknown, column.name, said.notes)
    for text, count in asked.most_common(20):
        said.questions["label_values", text] = (
            f"label_values: {text} ({counted(count, 'cell')} of labels): is it yes, no, uncertain "
            f"or unknown? Answer with --means '{text}=yes', =no, =uncertain or =unknown."
        )
    nones = sum(column.nones for column in columns)
    if nones:
        said.questions["label_values", NONE] = (
            f"label_values: {NONE} ({counted(nones, 'cell')} of labels): does it mean no, or is "
            f"nothing stated? Answer with --means {NONE}=no, or --means {NONE}=unknown."
        )
    numbers = {text for column in columns for text in column.cells}
    if "-1" in numbers and "1" in numbers and not numbers & {"0", "0.0", "no", "neg", "n"}:
        said.questions["label_values", "-1"] = (
            "label_values: -1 stands in columns of labels without any 0; is it no, uncertain or "
            "unknown? Answer with --means '-1=no', =uncertain or =unknown."
        )
    denied = any(
        label_value(text, {}) == 0.0
        for column in columns
        for text in column.cells
        if text not in strange
    )
    blank = sum(column.blank for column in columns)
    if columns and blank and not denied and not nones and "-1" not in numbers:
        said.questions["label_values", ""] = (
            f"label_values: {counted(blank, 'blank cell')} of labels, and no cell says no; does a "
            "blank cell mean no? Answer with --means =no, or --means =unknown."
        )


def _some(items: Sequence[str]) -> str:
    shown = ", ".join(items[:5])
    return f"{shown} and {len(items) - 5} others" if len(items) > 5 else shown
