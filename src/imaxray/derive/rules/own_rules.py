"""Reads derivation rules from a YAML file; such a file contains no code."""

from __future__ import annotations

import re
import signal
import threading
from collections.abc import Hashable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from types import FrameType
from typing import Annotated, Any, Final, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StringConstraints,
    model_validator,
)

from imaxray._common.config import read_yaml, validated
from imaxray._common.names import nearest
from imaxray.boxes import PLACEHOLDER
from imaxray.clinical import Bounds
from imaxray.derive.facts.fact import Fact, FactKind, by_content, plain, question
from imaxray.derive.rules.rule import Conclusion, DerivationRule, Exactness, Habits, Known, State
from imaxray.errors import ImaxrayError
from imaxray.schema import EDEMA_GRADES, FINDINGS
from imaxray.sources._checks.persons import VIEWS

PAGE: Final = "docs/derive.md"

_CLOSED: Final = ("yes", "no")
_MOST_SECONDS: Final = 10
_VALUES: Final = {"present": 1.0, "absent": 0.0, "uncertain": -1.0}


def _known_label(name: str) -> str:
    if name not in FINDINGS:
        near = nearest(name, FINDINGS)
        raise ValueError(f"unknown label {name}" + (f"; did you mean {near}?" if near else ""))
    return name


def _pattern(text: str) -> str:
    try:
        re.compile(text)
    except re.error as error:
        raise ValueError(f"{text} is no regular expression ({error})") from error
    return text


def _known_view(name: str) -> str:
    view = VIEWS.get(" ".join(name.upper().split()))
    if view is None:
        known = sorted({view for view in VIEWS.values() if view is not None})
        near = nearest(name.upper(), known)
        hint = f"did you mean {near}?" if near else f"choose from {', '.join(known)}"
        raise ValueError(f"unknown view {name}; {hint}")
    return view


def _listed(value: Any) -> Any:
    return [value] if isinstance(value, str | bool | int | float) else value


def _text(value: Any) -> Any:
    """Return a question or an answer on one line, as prompts have them; an answer may be a number.

    Raises:
        ValueError: It names a box, but a rule has none to show.
    """
    if isinstance(value, int | float) and not isinstance(value, bool):
        value = str(value)
    if not isinstance(value, str):
        return value
    if PLACEHOLDER in value:
        raise ValueError(f"a question and its answer cannot name a box ({PLACEHOLDER})")
    return " ".join(value.split())


def _each_once(answers: tuple[str, ...]) -> tuple[str, ...]:
    return tuple({plain(answer): answer for answer in reversed(answers)}.values())[::-1]


def _switch(value: Any) -> Any:
    """Return a state; YAML reads a bare on or off as a truth value."""
    return {True: "on", False: "off"}[value] if isinstance(value, bool) else value


def _no_truth_value(value: Any) -> Any:
    if isinstance(value, bool):
        raise ValueError("a grade is a number")
    return value


def _answer(value: Any) -> Any:
    """Return an answer as entries have it; YAML reads a bare yes or no as a truth value."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    value = _text(value)
    if isinstance(value, str) and plain(value) in _CLOSED:
        return plain(value)
    return value


_Words = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1)]
_Label = Annotated[str, AfterValidator(_known_label)]
_Pattern = Annotated[_Words, AfterValidator(_pattern)]
_Asked = Annotated[_Words, BeforeValidator(_text)]
_Answers = Annotated[
    tuple[Annotated[_Words, BeforeValidator(_answer)], ...],
    BeforeValidator(_listed),
    AfterValidator(_each_once),
]
_Views = Annotated[
    tuple[Annotated[str, AfterValidator(_known_view)], ...],
    BeforeValidator(_listed),
    Field(min_length=1),
]
_Is = Literal["present", "absent", "uncertain"]

_READS: Final[dict[str, tuple[FactKind, ...]]] = {
    "label": ("label",),
    "measurement": ("measurement",),
    "grade": ("grade",),
    "report": ("report",),
    "question": ("qa",),
    "region": ("rec", "reg"),
}
"""Key of a condition → kinds of the facts that it reads."""
_BOUNDS: Final = ("below", "at_most", "above", "at_least", "equals")


@contextmanager
def _bounded(pattern: str) -> Iterator[None]:
    """End a search that takes more than seconds of computing; in a thread nothing can end one.

    An expression such as ``(a+)+b`` can take longer than the universe exists.

    Raises:
        ImaxrayError: The search takes too long.
    """
    main = threading.current_thread() is threading.main_thread()
    if not main or not hasattr(signal, "SIGVTALRM"):  # Windows has no such signal
        yield
        return

    def stop(_number: int, _frame: FrameType | None) -> None:
        raise ImaxrayError(
            f"Expected a regular expression that reads a text in less than {_MOST_SECONDS} s, but "
            f"{pattern} takes longer; write it without a repetition inside a repetition."
        )

    before = signal.signal(signal.SIGVTALRM, stop)
    signal.setitimer(signal.ITIMER_VIRTUAL, _MOST_SECONDS)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        signal.signal(signal.SIGVTALRM, before)


class _Strict(BaseModel):
    model_config = ConfigDict(
        extra="forbid", frozen=True, allow_inf_nan=False, populate_by_name=True
    )


class Condition(_Strict):
    """One condition; exactly one of label, measurement, grade, report, question, region.

    Attributes:
        label: Label that is as ``is`` says.
        measurement: Ratio that lies within the bounds.
        grade: ``edema``, whose grade lies within the bounds.
        report: Regular expression that a section of the report contains, in any case.
        question: Question that has exactly the answers of ``answer``.
        region: Regular expression that matches the whole phrase of a box, in any case.
    """

    label: _Label | None = None
    is_: _Is = Field(default="present", alias="is")
    measurement: Literal["ctr", "cpar"] | None = None
    grade: Literal["edema"] | None = None
    report: _Pattern | None = None
    question: _Asked | None = None
    answer: _Answers = ()
    region: _Pattern | None = None
    below: float | None = None
    at_most: float | None = Field(default=None, alias="at-most")
    above: float | None = None
    at_least: float | None = Field(default=None, alias="at-least")
    equals: float | None = None

    @model_validator(mode="after")
    def _fits_together(self) -> Condition:
        given = [key for key in _READS if getattr(self, key) is not None]
        if len(given) != 1:
            raise ValueError(f"give exactly one of {', '.join(_READS)}")
        bounded = any(getattr(self, key) is not None for key in _BOUNDS)
        if bounded is not (given[0] in ("measurement", "grade")):
            raise ValueError(
                "measurement and grade, and they alone, need below, at-most, above, at-least or "
                "equals"
            )
        if bounded and not self._possible():
            raise ValueError("no number is within these bounds")
        if ("answer" in self.model_fields_set) is not (given[0] == "question"):
            raise ValueError("question, and it alone, needs answer")
        if "is_" in self.model_fields_set and given[0] != "label":
            raise ValueError("is belongs to label")
        return self

    def _possible(self) -> bool:
        """Return whether a ratio or a grade can be within the bounds."""
        bounds = Bounds(**{key: getattr(self, key) for key in _BOUNDS})
        if self.grade is not None:
            return any(bounds.holds(float(grade)) for grade in range(len(EDEMA_GRADES)))
        ends = [getattr(self, key) for key in _BOUNDS if getattr(self, key) is not None]
        near = [end + step for end in ends for step in (-1e-9, 0.0, 1e-9)]
        return any(0 < number < 1 and bounds.holds(number) for number in (*near, 1e-9, 1 - 1e-9))

    @property
    def subject(self) -> Hashable:
        """What the condition reads, if it is one label, grade or question; else ``None``."""
        if self.question is not None:
            return question(self.question, ()).subject
        if self.label is not None or self.grade is not None:
            return ("label", self.label) if self.label else ("grade", self.grade)
        return None

    @property
    def key(self) -> str:
        """Return the key that says what the condition is about."""
        return next(key for key in _READS if getattr(self, key) is not None)

    def facts(self, known: Known) -> list[Fact]:
        """Return the facts that meet the condition."""
        some = [fact for kind in _READS[self.key] for fact in known.of(kind)]
        return [fact for fact in some if self._holds(fact)]

    def _holds(self, fact: Fact) -> bool:
        if self.label is not None:
            return fact.name == self.label and fact.value == _VALUES[self.is_]
        if self.report is not None:
            with _bounded(self.report):
                return re.search(self.report, fact.text, re.IGNORECASE) is not None
        if self.region is not None:
            with _bounded(self.region):
                return re.fullmatch(self.region, fact.text, re.IGNORECASE) is not None
        if self.question is not None:
            wanted = {plain(text) for text in self.answer}
            same = plain(fact.text) == plain(self.question)
            return same and {plain(text) for text in fact.answers} == wanted
        bounds = Bounds(**{key: getattr(self, key) for key in _BOUNDS})
        named = fact.name == (self.measurement or self.grade)
        return named and fact.value is not None and bool(bounds.holds(fact.value))


class Then(_Strict):
    """What follows; exactly one of label, grade, question."""

    label: _Label | None = None
    is_: _Is = Field(default="present", alias="is")
    grade: Annotated[int | None, BeforeValidator(_no_truth_value)] = Field(
        default=None, ge=0, lt=len(EDEMA_GRADES)
    )
    question: _Asked | None = None
    answer: _Answers = ()

    @model_validator(mode="after")
    def _fits_together(self) -> Then:
        if sum(value is not None for value in (self.label, self.grade, self.question)) != 1:
            raise ValueError("give exactly one of label, grade, question")
        if ("answer" in self.model_fields_set) is not (self.question is not None):
            raise ValueError("question, and it alone, needs answer")
        if "is_" in self.model_fields_set and self.label is None:
            raise ValueError("is belongs to label")
        return self

    def fact(self) -> Fact:
        """Return the fact that follows; a question is closed if its answer is yes or no."""
        if self.label is not None:
            return Fact("label", self.label, _VALUES[self.is_])
        if self.question is not None:
            closed = len(self.answer) == 1 and self.answer[0] in _CLOSED
            return question(self.question, self.answer, closed=closed)
        assert self.grade is not None, "the validator asks for one of the three"
        return Fact("grade", "edema", float(self.grade))


class OwnRule(_Strict):
    """A rule of a user's file: if all conditions hold, all conclusions follow.

    Attributes:
        name: Name of the rule in tables and in ``quality``.
        says: Sentence that says what follows from what.
        when: Conditions; each must be met by a fact of the image.
        views: Views of the images that the rule is for; all if not given.
        then: What follows.
        kind: exact or calibrated; a calibrated rule is off if its precision is too low.
        source: Publication or convention behind the rule.
        default: on, off, or if-measured: only where its precision was measured and suffices.
    """

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9-]*$")
    says: _Words
    when: Annotated[tuple[Condition, ...], Field(min_length=1)]
    views: _Views | None = None
    then: Annotated[tuple[Then, ...], Field(min_length=1)]
    kind: Exactness = "calibrated"
    source: str = "a rule of the user"
    default: Annotated[State, BeforeValidator(_switch)] = "on"

    @model_validator(mode="after")
    def _can_conclude(self) -> OwnRule:
        read = {condition.subject for condition in self.when} - {None}
        subjects = [then.fact().subject for then in self.then]
        for then, subject in zip(self.then, subjects, strict=True):
            if subject in read:
                raise ValueError(
                    f"{_named(then.fact())} follows from itself, as a condition reads it; a rule "
                    "concludes something else than it reads"
                )
        twice = [then for then, s in zip(self.then, subjects, strict=True) if subjects.count(s) > 1]
        if twice:
            raise ValueError(f"{_named(twice[0].fact())} is concluded twice")
        return self

    def rule(self) -> DerivationRule:
        """Return the rule for the engine."""
        reads = {kind for condition in self.when for kind in _READS[condition.key]}
        return DerivationRule(
            name=self.name, says=self.says, reads=tuple(sorted(reads)),
            makes=tuple(sorted({then.fact().kind for then in self.then})), kind=self.kind,
            source=self.source, conclude=partial(_concluded, self), scope="file of the user",
            default=self.default,
        )  # fmt: skip


def _named(fact: Fact) -> str:
    return fact.text or (f"the grade of {fact.name}" if fact.kind == "grade" else fact.name)


def _concluded(own: OwnRule, known: Known, _habits: Habits) -> Iterator[Conclusion]:
    if own.views is not None and known.about.view not in own.views:
        return
    met = [condition.facts(known) for condition in own.when]
    if all(met):
        # the first fact by its content, so that the order of facts decides nothing
        premises = tuple(min(facts, key=by_content) for facts in met)
        for then in own.then:
            yield Conclusion(then.fact(), premises)


class _File(_Strict):
    rules: tuple[OwnRule, ...]
    builtin: bool = Field(default=True, description="whether the built-in rules are applied too")


def read_own_rules(path: Path) -> tuple[tuple[OwnRule, ...], bool]:
    """Read the rules of a YAML file, and whether the built-in rules are applied too.

    Raises:
        ImaxrayError: The file cannot be read, a rule is wrong, or a name comes twice.
    """
    content = read_yaml(path, what="a file of derivation rules", advice="pass one")
    found = validated(_File, content, where=str(path), see=PAGE)
    names = [rule.name for rule in found.rules]
    doubles = sorted({name for name in names if names.count(name) > 1})
    if doubles:
        raise ImaxrayError(
            f"Expected distinct names of rules in {path}, but {', '.join(doubles)} comes twice; "
            "rename one."
        )
    return found.rules, found.builtin
