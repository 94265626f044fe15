"""A fact is one thing that is known about an image, in a form that rules can read and compare."""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any, Final, Literal

from imaxray.metrics import normalise
from imaxray.tasks._shared.wording import category

FactKind = Literal["measurement", "grade", "label", "findings", "report", "rec", "reg", "qa"]
"""Kind of a fact. ``findings`` is a whole list of labels, as an entry of the findings task states
it; ``rec`` and ``reg`` are regions, asked for by their phrase and by their box."""

Corners = tuple[float, ...]

_SAME_RATIO: Final = 0.02  # two ratios closer than this say the same
_ANATOMY: Final = "anatomy"


@dataclass(frozen=True)
class Fact:
    """One fact about one image.

    Attributes:
        kind: Kind of the fact.
        name: ``ctr``, ``cpar``, ``edema``, a label, or a section of a report; else empty.
        value: Ratio, grade, or 1 (present), 0 (absent) and -1 (uncertain) of a label; for a
            question 1 if it is closed and 0 if it is open.
        text: Question, phrase in lower case, or text of a report.
        boxes: Boxes of a region, ``[x1, y1, x2, y2]`` in pixels of the original image.
        answers: Answers of a question.
        labels: Labels of a whole list, sorted by name.
        anatomy: Whether a region is named after a body part, not after a finding.
    """

    kind: FactKind
    name: str = ""
    value: float | None = None
    text: str = ""
    boxes: tuple[Corners, ...] = ()
    answers: tuple[str, ...] = ()
    labels: tuple[tuple[str, int], ...] = ()
    anatomy: bool = False

    @cached_property
    def subject(self) -> Hashable:
        """What the fact is about; an image has at most one true fact of each subject."""
        if self.kind == "qa":
            return ("qa", plain(self.text))
        if self.kind == "rec":
            return ("rec", plain(self.text))
        if self.kind == "reg":
            return ("reg", self.boxes, plain(self.text))
        return (self.kind, self.name)

    def agrees(self, other: Fact) -> bool:
        """Return whether another fact of the same subject says the same."""
        if self.kind == "measurement":
            assert self.value is not None and other.value is not None
            return abs(self.value - other.value) <= _SAME_RATIO
        if self.kind == "qa":
            return {plain(a) for a in self.answers} == {plain(a) for a in other.answers}
        if self.kind == "findings":
            theirs = dict(other.labels)
            return not any({value, theirs.get(name)} == {0, 1} for name, value in self.labels)
        if self.kind == "rec":
            return sorted(self.boxes) == sorted(other.boxes)
        if self.kind == "report":
            return self.text == other.text
        return self.value == other.value

    @cached_property
    def asks(self) -> Hashable:
        """What the fact answers; two facts that answer the same can be compared.

        A box may have several right phrases, so that a ``reg`` fact answers what its box shows.
        """
        return ("reg", self.boxes) if self.kind == "reg" else self.subject

    @cached_property
    def order(self) -> tuple[Any, ...]:
        """Return a key that sorts facts the same way whatever order they came in."""
        return (
            self.kind, self.name, self.text, -2.0 if self.value is None else self.value,
            self.boxes, self.answers, self.labels,
        )  # fmt: skip


def by_content(fact: Fact) -> tuple[Any, ...]:
    """Return the key that sorts facts by their content."""
    return fact.order


@lru_cache(maxsize=200_000)
def plain(text: str) -> str:
    """Return a text in the form in which questions, phrases and answers are compared."""
    return normalise(text)


def labels_fact(labels: Mapping[str, int]) -> Fact:
    """Return the fact that these are all the labels that are present, with those denied."""
    return Fact("findings", "list", labels=tuple(sorted(labels.items())))


def question(text: str, answers: tuple[str, ...], *, closed: bool = True) -> Fact:
    """Return the fact that a question has these answers."""
    return Fact("qa", value=float(closed), text=text, answers=answers)


def facts_of_entry(task: str, stated: list[dict[str, Any]], quality: str | None) -> Iterator[Fact]:
    """Yield what one entry states.

    Args:
        task: Task of the entry.
        stated: Its annotations, as :meth:`imaxray.tasks.Task.facts` returns them.
        quality: Quality of the entry, whose last grade says whether a region is anatomy.
    """
    anatomy = (quality or "").endswith(f"/{_ANATOMY}")
    labels: dict[str, int] = {}
    for fact in stated:
        kind = fact["kind"]
        if kind == "label":
            labels[fact["name"]] = int(fact["value"])
            yield Fact("label", fact["name"], float(fact["value"]))
        elif kind in ("measurement", "grade"):
            yield Fact(kind, fact["name"], float(fact["value"]))
        elif kind == "report":
            yield Fact("report", fact["name"], text=fact["text"])
        elif kind == "qa":
            yield Fact(
                "qa", value=float(fact["value"]), text=fact["text"], answers=tuple(fact["answers"])
            )
        elif kind == "region" and task in ("rec", "reg"):
            boxes = tuple(tuple(float(c) for c in box) for box in fact["boxes"])
            yield Fact(
                "rec" if task == "rec" else "reg", text=fact["text"].lower(), boxes=boxes,
                anatomy=anatomy,
            )  # fmt: skip
    if labels:
        yield labels_fact(labels)


def annotation_of(fact: Fact) -> Iterator[dict[str, Any]]:
    """Yield the value columns of the annotations (schema ANNOTATIONS) that a fact becomes."""
    if fact.kind == "findings":
        for name, value in fact.labels:
            yield {"kind": "label", "name": name, "value": float(value)}
    elif fact.kind in ("rec", "reg"):
        boxes = [list(box) for box in fact.boxes]
        yield {"kind": "region", "name": category(fact.text), "text": fact.text, "boxes": boxes}
    elif fact.kind == "qa":
        yield {
            "kind": "qa", "name": "derived", "text": fact.text, "answers": list(fact.answers),
            "value": fact.value,
        }  # fmt: skip
    elif fact.kind == "report":
        yield {"kind": "report", "name": fact.name, "text": fact.text}
    else:
        yield {"kind": fact.kind, "name": fact.name, "value": fact.value}
