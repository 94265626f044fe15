"""Finds derived facts that contradict what entries state, or each other, by the clinical rules."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from functools import lru_cache
from typing import Final

from imaxray.clinical import DEFAULT_RULES, ClinicalRules
from imaxray.derive.facts.fact import Fact
from imaxray.labeller import stated
from imaxray.schema import FINDINGS
from imaxray.tasks._shared.wording import named
from imaxray.tasks.vqa import CTR_ABOVE, labels_answered

_Said = tuple[str, str, float]  # kind, name and value of a statement, as consistency rules have

_PAIRS: Final = (
    ("measurement", ("label", "said", "asked"), "ctr-cardiomegaly"),
    ("measurement", ("asked",), "ctr-question"),
    ("grade", ("label", "said", "asked"), "edema-grade-label"),
    ("said", ("label",), "report-label"),
    ("asked", ("label", "said"), "question-label"),
    ("asked", ("boxed",), "question-region"),
    ("boxed", ("label", "said"), "region-label"),
)
"""Kinds of two statements, and the clinical rule that says which of their values contradict."""

_NO_FINDING: Final = "No Finding"
_PRESENT: Final = ("label", "said", "asked", "boxed")
_ABOUT: Final = {"ctr-cardiomegaly": ("ctr", "Cardiomegaly"), "ctr-question": ("ctr", CTR_ABOVE),
                 "edema-grade-label": ("edema", "Edema")}  # fmt: skip
"""Names of the two statements, where they differ."""


def contradictions(
    made: Sequence[Fact], human: Sequence[Fact], clinical: ClinicalRules = DEFAULT_RULES
) -> dict[int, bool]:
    """Return the derived facts that contradict another fact.

    Args:
        made: Derived facts.
        human: Facts that entries state.
        clinical: Clinical rules in force; those that the user ignores contradict nothing.

    Returns:
        Number of the derived fact → whether a stated fact contradicts it; else a derived one does.
    """
    found: dict[int, bool] = {}
    said = [_statements(fact) for fact in made]
    of_human = [_statements(fact) for fact in human]
    risky = _risky([*said, *of_human])
    for k in _against(made, said, human, of_human, risky, clinical):
        found[k] = True
    for k in _against(made, said, made, said, risky, clinical):
        found.setdefault(k, False)
    return found


def _risky(said: Sequence[tuple[_Said, ...]]) -> frozenset[str]:
    """Return the names about which statements differ; most images have none.

    Only these names are compared by the clinical rules, which would take most of the time.
    """
    values: dict[str, set[float]] = {}
    for some in said:
        for _, name, value in some:
            values.setdefault(name, set()).add(value)
    risky = {name for name, found in values.items() if len(found) > 1}
    for first, second in _ABOUT.values():
        if first in values and second in values:
            risky |= {first, second}
    if 1.0 in values.get(_NO_FINDING, ()):
        risky |= {_NO_FINDING, *(n for n, v in values.items() if 1.0 in v and _is_abnormal(n))}
    return frozenset(risky)


def _against(
    made: Sequence[Fact],
    said: Sequence[tuple[_Said, ...]],
    others: Sequence[Fact],
    of_others: Sequence[tuple[_Said, ...]],
    risky: frozenset[str],
    clinical: ClinicalRules,
) -> set[int]:
    """Return the numbers of derived facts that any of the other facts contradicts."""
    by_subject: dict[Hashable, list[Fact]] = {}
    for other in others:
        by_subject.setdefault(other.subject, []).append(other)
    bad = set()
    for k, fact in enumerate(made):
        same = by_subject.get(fact.subject)
        if same is not None and not all(fact is other or fact.agrees(other) for other in same):
            bad.add(k)
    if not risky:
        return bad
    found: dict[tuple[str, str], set[float]] = {}
    for some in of_others:
        for kind, name, value in some:
            if name in risky:
                found.setdefault((kind, name), set()).add(value)
    for k, some in enumerate(said):
        if k not in bad and any(
            one[1] in risky and _is_denied(one, found, clinical) for one in some
        ):
            bad.add(k)
    return bad


def _is_denied(
    one: _Said, said: Mapping[tuple[str, str], set[float]], clinical: ClinicalRules
) -> bool:
    kind, name, value = one
    if value == 1 and kind in _PRESENT and _denies_normal(name, said):
        return True
    if any(other != value for other in said.get((kind, name), ())) and kind in ("label", "asked"):
        return True
    for first, seconds, rule in _PAIRS:
        about = _ABOUT.get(rule)
        if kind == first and (about is None or about[0] == name):
            partner = name if about is None else about[1]
            if any(
                _contradict(clinical, rule, value, other)
                for second in seconds
                for other in said.get((second, partner), ())
            ):
                return True
        if kind in seconds and (about is None or about[1] == name):
            partner = name if about is None else about[0]
            if any(
                _contradict(clinical, rule, other, value)
                for other in said.get((first, partner), ())
            ):
                return True
    return False


def _contradict(clinical: ClinicalRules, rule: str, first: float, second: float) -> bool:
    found = clinical[rule]
    return found.severity != "ignore" and found.contradicts(first, second)


def _denies_normal(name: str, said: Mapping[tuple[str, str], set[float]]) -> bool:
    """Return whether a present label meets No Finding, or No Finding meets a present label."""
    if name != _NO_FINDING:
        return _is_abnormal(name) and 1.0 in said.get(("label", _NO_FINDING), ())
    return any(
        1.0 in values and kind in _PRESENT and _is_abnormal(other)
        for (kind, other), values in said.items()
    )


def _is_abnormal(name: str) -> bool:
    return name in FINDINGS and name not in (_NO_FINDING, "Support Devices")


def _statements(fact: Fact) -> tuple[_Said, ...]:
    if fact.kind in ("measurement", "grade"):
        return ((fact.kind, fact.name, float(fact.value or 0.0)),)
    if fact.kind == "label":
        return (("label", fact.name, fact.value),) if fact.value in (0.0, 1.0) else ()
    if fact.kind == "findings":
        return tuple(("label", n, float(v)) for n, v in fact.labels if v in (0, 1))
    if fact.kind == "qa":
        return _of_answer(fact.text, ", ".join(fact.answers).lower() or "none")
    return _of_report(fact.text) if fact.kind == "report" else _of_phrase(fact.text)


@lru_cache(maxsize=100_000)
def _of_answer(text: str, answer: str) -> tuple[_Said, ...]:
    return tuple(("asked", name, float(v)) for name, v in labels_answered(text, answer).items())


@lru_cache(maxsize=20_000)
def _of_report(text: str) -> tuple[_Said, ...]:
    return tuple(("said", name, float(value)) for name, value in stated(text).items())


@lru_cache(maxsize=100_000)
def _of_phrase(text: str) -> tuple[_Said, ...]:
    return tuple(("boxed", name, 1.0) for name in sorted(named(text)))
