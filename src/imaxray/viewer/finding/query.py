"""Finds the images that a filter asks for, sorts them and cuts the result into pages."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
import polars as pl
from numpy.typing import NDArray

from imaxray.errors import ImaxrayError
from imaxray.viewer.finding.index import ImageIndex

PAGE: Final = 48
"""Number of images of a page."""

_LARGEST_PAGE: Final = 200
_REMEMBERED: Final = 16  # results of filters, so that the next page needs no new search
_LONGEST: Final = 300  # characters of a text that is searched for
_FACETS: Final = ("task", "split", "from", "view", "origin", "quality", "conflict")
SORTED_BY: Final = {
    "id": "image_id", "tasks": "tasks_count", "entries": "entries", "annotations": "annotations",
    "conflicts": "conflicts", "candidates": "candidates", "disagreements": "disagreements",
    "age": "age", "width": "width", "patient": "patient_id",
}  # fmt: skip
"""Name of an order → column of the index."""

_YES: Final = ("1", "yes", "true")
_OF_TABLES: Final = frozenset(
    (
        "task",
        "from",
        "origin",
        "quality",
        "conflict",
        "conflicted",
        "arm",
        "low",
        "high",
        "disagree",
    )
)
_SORTED_AT_ONCE: Final = ("", "id", "age", "width", "patient")
MARKED: Final = ("wrong", "doubtful", "note", "any", "no")
"""Values by which the marks of a user filter images."""


@dataclass(frozen=True)
class Filter:
    """What images are asked for, and in which order.

    Attributes:
        text: Part of the id of an image, patient or study; upper case does not count.
        facets: Name of a facet → chosen values.
        conflicted: True: only images with a conflict; False: only images without.
        marks: Marks of which an image, or an annotation of it, has one.
        arm: Arm whose answers ``low`` and ``high`` are about.
        low: Smallest share of right answers.
        high: Greatest share of right answers.
        disagree: Whether arms must disagree on an entry of the image.
        sort: ``id``, ``tasks``, ``entries`` …, or ``score``, the share of right answers of ``arm``;
            empty: the order of the dataset.
        descending: Whether the greatest comes first.
    """

    text: str = ""
    facets: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    conflicted: bool | None = None
    marks: tuple[str, ...] = ()
    arm: str | None = None
    low: float | None = None
    high: float | None = None
    disagree: bool = False
    sort: str = ""
    descending: bool = False

    @property
    def key(self) -> tuple[Any, ...]:
        """What two equal filters have in common."""
        return (
            self.text, tuple(sorted(self.facets.items())), self.conflicted, self.marks, self.arm,
            self.low, self.high, self.disagree, self.sort, self.descending,
        )  # fmt: skip


def read_filter(items: Sequence[tuple[str, str]], index: ImageIndex) -> Filter:
    """Return the filter that the parameters of an address ask for; other parameters are ignored.

    Raises:
        ImaxrayError: If a value is unknown.
    """
    given: dict[str, list[str]] = {}
    for name, value in items:
        given.setdefault(name, []).append(value)

    def one(name: str) -> str:
        return given.get(name, [""])[-1]

    facets = {}
    for name in _FACETS:
        if values := given.get(name):
            _require(name, values, index.facets[name].values)
            facets[name] = tuple(sorted(set(values)))
    marks = given.get("mark", [])
    _require("mark", marks, MARKED)
    arm = one("arm") or (index.arms[0] if index.arms else None)
    if one("arm"):
        _require("arm", [one("arm")], index.arms)
    sort = one("sort")
    if sort:
        _require("sort", [sort], [*SORTED_BY, "score"])
    scored = sort == "score" or one("low") or one("high")
    if not index.arms and (scored or sort == "disagreements" or one("disagree")):
        raise ImaxrayError(
            "Expected answers of arms to filter or sort by, but there are none; open the viewer on "
            "a study or a run."
        )
    conflicted = one("conflicted")
    if conflicted:
        _require("conflicted", [conflicted], ("yes", "no"))
    if one("order"):
        _require("order", [one("order")], ("asc", "desc"))
    if one("disagree"):
        _require("disagree", [one("disagree")], (*_YES, "0", "no", "false"))
    if len(one("q")) > _LONGEST:
        raise ImaxrayError(
            f"Expected a text of at most {_LONGEST} characters to search for, but got a longer "
            "one; shorten it."
        )
    return Filter(
        text=one("q").strip(),
        facets=facets,
        conflicted={"yes": True, "no": False}.get(conflicted),
        marks=tuple(sorted(set(marks))),
        arm=arm,
        low=_number("low", one("low")),
        high=_number("high", one("high")),
        disagree=one("disagree") in _YES,
        sort=sort,
        descending=one("order") == "desc",
    )


def needs_tables(items: Sequence[tuple[str, str]]) -> bool:
    """Tell whether a filter asks for more than the table of images states.

    Example:
        >>> needs_tables([("view", "PA"), ("sort", "age")]), needs_tables([("task", "rec")])
        (False, True)
    """
    return any(
        name in _OF_TABLES or (name == "sort" and value not in _SORTED_AT_ONCE)
        for name, value in items
    )


def whole_number(name: str, text: str, default: int, low: int, high: int) -> int:
    """Return a number of an address, or ``default`` if it is not given.

    Raises:
        ImaxrayError: If it is no number within the bounds.
    """
    if not text:
        return default
    try:
        number = int(text) if len(text) < 12 and text.isascii() else -1
    except ValueError:
        number = low - 1
    if not low <= number <= high:
        raise ImaxrayError(
            f"Expected {name} to be a number from {low} to {high}, but got {text[:40]}; correct it."
        )
    return number


class Finder:
    """Answers filters on one index; the latest results are remembered."""

    def __init__(self, index: ImageIndex) -> None:
        self.index = index
        self._lock = threading.Lock()
        self._results: OrderedDict[tuple[Any, ...], NDArray[np.uint32]] = OrderedDict()
        self._sorted: bool | None = None

    def find(self, wanted: Filter, marks: Mapping[str, frozenset[str]]) -> NDArray[np.uint32]:
        """Return the numbers of the images that a filter asks for, in its order.

        Args:
            wanted: The filter.
            marks: Image → verdicts of its marks and of those of its annotations.
        """
        # the marks of a user may change between two requests
        key = (wanted.key, hash(frozenset(marks.items())) if wanted.marks else 0)
        with self._lock:
            found = self._results.get(key)
            if found is not None:
                self._results.move_to_end(key)
                return found
        found = self._search(wanted, marks)
        with self._lock:
            self._results[key] = found
            while len(self._results) > _REMEMBERED:
                self._results.popitem(last=False)
        return found

    def rows(self, numbers: NDArray[np.uint32]) -> list[dict[str, Any]]:
        """Return what a page shows of images."""
        facets = self.index.facets
        rows = self.index.table[numbers].to_dicts()
        for row in rows:
            for name in ("task", "from", "origin", "quality", "conflict"):
                row[name] = facets[name].of(row[name])
            right = [row.pop(f"right {k}", None) for k in range(len(self.index.arms))]
            row["right"] = [None if v is None else round(v, 4) for v in right]
        return rows

    def number_of(self, image_id: str) -> int | None:
        """Return the number of an image; None if the dataset does not have it."""
        ids = self.index.table["image_id"]
        if self._sorted is None:
            self._sorted = ids.is_sorted()
        if self._sorted:
            at = int(ids.search_sorted(image_id))
            return at if at < len(ids) and ids[at] == image_id else None
        return ids.index_of(image_id)

    def facet_counts(self, numbers: NDArray[np.uint32]) -> dict[str, dict[str, int]]:
        """Return, for each facet, how many of the images have each value."""
        table = self.index.table
        names = list(self.index.facets)
        some = table.select(names) if len(numbers) == table.height else table.select(names)[numbers]
        counts = {}
        for name, facet in self.index.facets.items():
            if facet.values:
                counts[name] = some.select(facet.counts()).row(0, named=True)
            else:
                counts[name] = {}
        return counts

    def _search(self, wanted: Filter, marks: Mapping[str, frozenset[str]]) -> NDArray[np.uint32]:
        rules = []
        for name, values in wanted.facets.items():
            rules.append(self.index.facets[name].chosen(values))
        if wanted.conflicted is not None:
            rules.append((pl.col("conflicts") > 0) == wanted.conflicted)
        if wanted.marks:
            rules.append(_marked(wanted.marks, marks))
        if wanted.disagree:
            rules.append(pl.col("disagreements") > 0)
        score = None
        if wanted.arm is not None:
            score = f"right {self.index.arms.index(wanted.arm)}"
            if wanted.low is not None:
                rules.append(pl.col(score) >= wanted.low)
            if wanted.high is not None:
                rules.append(pl.col(score) <= wanted.high)
        if wanted.text:
            # the dearest rule comes last, on the images that are left
            part = wanted.text.lower()
            ids = (pl.col(name) for name in ("image_id", "patient_id", "study_id"))
            rules.append(
                pl.any_horizontal(
                    c.str.to_lowercase().str.contains(part, literal=True).fill_null(False)
                    for c in ids
                )
            )
        found = self.index.table.lazy()
        for rule in rules:
            found = found.filter(rule)
        if wanted.sort:
            by = score if wanted.sort == "score" and score else SORTED_BY[wanted.sort]
            found = found.select("number", by).sort(
                by, descending=wanted.descending, nulls_last=True, maintain_order=True
            )
        numbers = found.select("number").collect()["number"]
        if wanted.descending and not wanted.sort:
            numbers = numbers.reverse()
        return numbers.to_numpy().astype(np.uint32, copy=False)


def page_of(numbers: NDArray[np.uint32], page: int, size: int) -> NDArray[np.uint32]:
    """Return the numbers on a page; pages are counted from 1.

    Example:
        >>> page_of(np.arange(5, dtype=np.uint32), page=2, size=3).tolist()
        [3, 4]
    """
    size = min(max(size, 1), _LARGEST_PAGE)
    return numbers[(page - 1) * size : page * size]


def _marked(chosen: Sequence[str], marks: Mapping[str, frozenset[str]]) -> pl.Expr:
    named = [i for i, v in marks.items() if "any" in chosen or v.intersection(chosen)]
    rule = pl.col("image_id").is_in(named)
    if "no" in chosen:
        rule = rule | ~pl.col("image_id").is_in(list(marks))
    return rule


def _number(name: str, text: str) -> float | None:
    if not text:
        return None
    try:
        number = float(text)
    except ValueError:
        number = float("nan")
    if not 0 <= number <= 1:
        raise ImaxrayError(
            f"Expected {name} to be a share from 0 to 1, but got {text[:40]}; correct it."
        )
    return number


def _require(name: str, values: Sequence[str], known: Sequence[str]) -> None:
    listed = ", ".join(value or "(none)" for value in known) or "none"
    for value in values:
        if value not in known:
            raise ImaxrayError(
                f"Expected {name} to be one of {listed}, but got {value[:60] or '(none)'}; choose "
                "one of them."
            )
