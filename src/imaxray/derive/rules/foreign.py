"""Guards the rules of other packages: what they may conclude, and from which facts.

Foreign code may raise anything and conclude anything. What no entry can state, such as a label that
does not exist or a box beyond the image, is one sentence that names the package, before it damages
a dataset.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final, get_args

from imaxray._common.plugins import Plugin
from imaxray.boxes import PLACEHOLDER
from imaxray.derive.facts.fact import Corners, Fact, FactKind
from imaxray.derive.rules.rule import (
    About,
    Conclusion,
    DerivationRule,
    Exactness,
    Habits,
    Known,
    State,
)
from imaxray.errors import ImaxrayError
from imaxray.schema import EDEMA_GRADES, FINDINGS, SECTIONS

NAME: Final = r"^[a-z0-9][a-z0-9-]*\Z"
"""Names of rules, which are parts of ``quality`` and of readings."""

_KINDS: Final[tuple[str, ...]] = get_args(FactKind)
_RATIOS: Final = ("ctr", "cpar")
_WHAT: Final = "⟨what⟩"


def guarded(plugin: Plugin) -> DerivationRule:
    """Return the rule of another package, whose conclusions are checked.

    Raises:
        ImaxrayError: The rule cannot be loaded, is no rule, or is not complete.
    """
    rule = plugin.load()
    if not isinstance(rule, DerivationRule):
        raise plugin.unfit("it is no imaxray.derive.DerivationRule")
    if rule.name != plugin.point.name:
        raise plugin.unfit(f"its name is {rule.name}, which is not the name of the entry point")
    wrong = _rule_fault(rule)
    if wrong is not None:
        raise plugin.unfit(wrong)
    return replace(rule, conclude=_Guarded(rule, str(plugin.unfit(_WHAT))))


def _rule_fault(rule: DerivationRule) -> str | None:
    """Return what is wrong with a rule itself, or ``None``."""
    if re.match(NAME, rule.name) is None:
        return f"its name is {rule.name!r}, but a name has small letters, digits and hyphens"
    choices = (("kind", get_args(Exactness)), ("default", get_args(State)))
    for name, known in choices:
        if getattr(rule, name) not in known:
            return f"its {name} is {getattr(rule, name)!r} and none of {', '.join(known)}"
    for name in ("reads", "makes"):
        given = getattr(rule, name)
        if not isinstance(given, tuple) or not set(given) <= set(_KINDS):
            return f"its {name} is {given!r} and no tuple of {', '.join(_KINDS)}"
    return None


@dataclass(frozen=True)
class _Guarded:
    """The conclusions of a rule of another package; what it raises becomes one sentence."""

    rule: DerivationRule
    failed: str

    def __call__(self, known: Known, habits: Habits) -> Iterator[Conclusion]:
        try:
            for conclusion in self.rule.conclude(known, habits):
                if not isinstance(conclusion, Conclusion):
                    self._fail(f"it concludes a {type(conclusion).__name__} and no Conclusion")
                yield self._checked(conclusion, known)
        except ImaxrayError:
            raise
        except (Exception, SystemExit) as error:  # foreign code may raise anything
            what = f"its conclusions failed ({type(error).__name__}: {error})"
            raise ImaxrayError(self.failed.replace(_WHAT, what)) from error

    def _fail(self, what: str) -> None:
        raise ImaxrayError(self.failed.replace(_WHAT, what))

    def _checked(self, conclusion: Conclusion, known: Known) -> Conclusion:
        wrong = _fault(conclusion.fact, known.about)
        if wrong is not None:
            self._fail(f"it concludes {wrong}")
        if conclusion.fact.kind not in self.rule.makes:
            self._fail(
                f"it concludes a {conclusion.fact.kind}, but its `makes` names only "
                f"{', '.join(self.rule.makes) or 'nothing'}"
            )
        if isinstance(conclusion.readings, str):
            self._fail(f"its readings are {conclusion.readings!r} and no tuple of texts")
        return replace(conclusion, premises=tuple(self._premises(conclusion, known)))

    def _premises(self, conclusion: Conclusion, known: Known) -> Iterator[Fact]:
        """Yield the premises as the known facts that they are, by which provenance is found."""
        for premise in conclusion.premises:
            same = known.find(premise)
            if same is None:
                self._fail(f"it names a premise that is not known of the image ({premise!r})")
            else:
                yield same


def _fault(fact: Fact, about: About) -> str | None:
    """Return what no annotation can state about a fact, in words, or ``None``."""
    check = _CHECKS.get(fact.kind)
    if check is None:
        return f"a fact of the kind {fact.kind!r}, which is none of {', '.join(_KINDS)}"
    return check(fact, about)


def _label(fact: Fact, _about: About) -> str | None:
    return _one_label(fact.name, fact.value)


def _one_label(name: str, value: Any) -> str | None:
    if name not in FINDINGS:
        return f"the label {name!r}, which is none of {', '.join(FINDINGS)}"
    if value not in (0, 1, -1):
        return f"{name} with the value {value!r}, which is none of 1, 0 and -1"
    return None


def _findings(fact: Fact, _about: About) -> str | None:
    if not isinstance(fact.labels, tuple) or not fact.labels:
        return "a list of findings without labels"
    return next((wrong for n, v in fact.labels if (wrong := _one_label(n, v))), None)


def _measurement(fact: Fact, _about: About) -> str | None:
    value = fact.value
    if fact.name not in _RATIOS:
        return f"the measurement {fact.name!r}, which is none of {', '.join(_RATIOS)}"
    if value is None or not 0 < value < 1:
        return f"a ratio of {value!r}, which is not between 0 and 1"
    return None


def _grade(fact: Fact, _about: About) -> str | None:
    if fact.name != "edema" or fact.value not in range(len(EDEMA_GRADES)):
        return f"the grade {fact.value!r} of {fact.name!r}, but edema alone has a grade, 0 to 3"
    return None


def _report(fact: Fact, _about: About) -> str | None:
    if fact.name not in SECTIONS or not fact.text.strip():
        return f"a section {fact.name!r} of a report, which has {', '.join(SECTIONS)}, with a text"
    return None


def _qa(fact: Fact, _about: About) -> str | None:
    texts = fact.answers
    if not isinstance(texts, tuple) or not all(isinstance(text, str) for text in texts):
        return f"the answers {texts!r}, which are no tuple of texts"
    if not fact.text.strip() or PLACEHOLDER in "".join((fact.text, *texts)):
        return f"the question {fact.text!r}, which is empty or names a box"
    return None if fact.value in (0, 1) else f"a question that is {fact.value!r}, not 1 or 0"


def _region(fact: Fact, about: About) -> str | None:
    if not fact.text.strip() or PLACEHOLDER in fact.text:
        return f"the phrase {fact.text!r}, which is empty or names a box"
    boxes = fact.boxes
    if not isinstance(boxes, tuple) or not boxes or not all(_is_box(b, about) for b in boxes):
        return f"the boxes {boxes!r}, which are no tuples (x1, y1, x2, y2) within the image"
    if fact.kind == "reg" and len(boxes) != 1:
        return f"a phrase of {len(boxes)} boxes, but a reg fact describes one"
    return None


def _is_box(box: Corners, about: About) -> bool:
    if not isinstance(box, tuple) or len(box) != 4 or not all(map(math.isfinite, box)):
        return False
    x1, y1, x2, y2 = box
    width, height = (size or math.inf for size in about.size)  # 0: not known
    return 0 <= x1 < x2 <= width and 0 <= y1 < y2 <= height


_CHECKS: Final[Mapping[str, Callable[[Fact, About], str | None]]] = {
    "label": _label, "findings": _findings, "measurement": _measurement, "grade": _grade,
    "report": _report, "qa": _qa, "rec": _region, "reg": _region,
}  # fmt: skip
