"""What entries and candidates state about an image, one row a statement.

===========  =======================  ============================================================
kind         name                     stated by
===========  =======================  ============================================================
measurement  ctr, cpar                calculation; ``value`` is the ratio
grade        edema                    grading; ``value`` is the grade 0-3
label        a finding                findings: 1 named; 0 denied (by an entry), or not named though
                                      the dataset's findings usually state it (a candidate)
said         a finding                report, as plainly said: 1 or 0
asked        a finding                VQA: "is there X?", "where is X?", "what abnormalities …?"
                                      and ``CTR above 0.5``: "is the heart wider than half …?"
boxed        a finding                REC and REG: a box whose phrase names it; ``value`` is 1
region       null                     REC and REG: phrase and boxes
===========  =======================  ============================================================

Real facts are taken from the *entries* of a dataset, never from its annotations: those of DMAX
hold what the dataset is supposed to lack.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import Any, Final

import polars as pl

from imaxray.labeller import asked, mentions, stated
from imaxray.pseudo.selecting.correct import named, sides
from imaxray.pseudo.selecting.questions import asked_boxes, asked_text
from imaxray.schema import FINDINGS, FRONTAL, Boxes
from imaxray.tasks import from_json, subtask_of
from imaxray.tasks.report import joined
from imaxray.tasks.vqa import gold_text

FACTS: Final = pl.Schema(
    {
        "image_id": pl.String,
        "owner": pl.String,  # pseudo_id or entry_id
        "real": pl.Boolean,
        "strength": pl.Float64,  # of a candidate; null for real ones
        "task": pl.String,
        "kind": pl.String,
        "name": pl.String,
        "value": pl.Float64,
        "phrase": pl.String,
        "boxes": Boxes,
        "place": pl.String,  # fits, misses; null: the phrase or the box says nothing
    }
)

_Statement = tuple[str, str | None, float | None, str | None, list[list[float]] | None, str | None]

_USUAL: Final = 0.5  # share of findings entries that state a label, for silence to deny it
_WIDER: Final = re.compile(r"cardiac silhouette.* (?:wider|larger|greater) than (?:1/2|half)")
CTR_ABOVE: Final = "CTR above 0.5"
_WHERE: Final = re.compile(r"^where (?:is|are) ", re.IGNORECASE)
_WHAT: Final = re.compile(r"^(?:what|which) (?:abnormalit\w+|findings?|diseases?)\b", re.IGNORECASE)
_PLACE_ONLY: Final = re.compile(r"\b(?:left|right|upper|lower|lungs?|zones?|lobes?|heart)\b")
_YES_NO: Final = re.compile(r"\b(yes|no)\b")
_UPPER: Final = re.compile(r"\b(?:upper|apical|apex|apices)\b")
_LOWER: Final = re.compile(r"\b(?:lower|basal|basilar|bases?|costophrenic|hemidiaphragm)\b")
_SLACK: Final = 0.05  # of the image: patients do not stand in the very middle


def usual_labels(entries: pl.DataFrame) -> frozenset[str]:
    """Labels that at least half of the real findings entries state, as there or as not there.

    A model trained on these learned to name such a label where it is there, so its silence denies.
    """
    answers = entries.filter(pl.col("task") == "findings")["answer"]
    counts = Counter(
        label
        for answer in answers
        for label, value in from_json(answer).items()
        if value in (0, 1) and label != "No Finding"
    )
    return frozenset(label for label, n in counts.items() if n >= _USUAL * len(answers))


def facts_of(
    candidates: pl.DataFrame, strengths: pl.Series, entries: pl.DataFrame, images: pl.DataFrame
) -> pl.DataFrame:
    """Statements (schema FACTS) of readable candidates and of the real entries of their images."""
    ids = candidates["image_id"].unique().implode()
    usual = usual_labels(entries)
    real = entries.filter(pl.col("image_id").is_in(ids))
    frames = {
        i: (w, h) if view is None or view in FRONTAL else None
        for i, w, h, view in images.select("image_id", "width", "height", "view").iter_rows()
    }
    rows: list[tuple[Any, ...]] = []
    for row, strength in zip(candidates.iter_rows(named=True), strengths, strict=True):
        if row["answer"] is None:
            continue
        head = (row["image_id"], row["pseudo_id"], False, strength, row["task"])
        rows += [(*head, *s) for s in _statements(row, frames.get(row["image_id"]), usual)]
    for row in real.iter_rows(named=True):
        head = (row["image_id"], row["entry_id"], True, None, row["task"])
        rows += [(*head, *s) for s in _statements(row, frames.get(row["image_id"]), None)]
    return pl.DataFrame(rows, schema=FACTS, orient="row")


def _statements(
    row: Mapping[str, Any], frame: tuple[int, int] | None, usual: frozenset[str] | None
) -> Iterator[_Statement]:
    """Statements of one entry or candidate.

    Args:
        row: of either table.
        frame: width and height of a frontal image.
        usual: labels whose absence from findings denies them; ``None``: the row is real.
    """
    task, answer = row["task"], from_json(row["answer"])
    if task == "calculation":
        yield "measurement", subtask_of(row["template"]), answer, None, None, None
    elif task == "grading":
        yield "grade", "edema", answer, None, None, None
    elif task == "findings":
        for label in FINDINGS:
            value = answer.get(label, 0 if usual and label in usual else None)
            if value in (0, 1):
                yield "label", label, value, None, None, None
    elif task == "report":
        for label, value in _said(joined(answer)).items():
            yield "said", label, value, None, None, None
    elif task == "vqa":
        question = asked_text(task, row["template"], row["prompt"])
        for label, value in _answered(question, gold_text(answer).lower()).items():
            yield "asked", label, value, None, None, None
    else:
        yield from _regions(row, answer, frame)


def _regions(
    row: Mapping[str, Any], answer: Any, frame: tuple[int, int] | None
) -> Iterator[_Statement]:
    if row["task"] == "rec":
        phrases, boxes = [asked_text("rec", row["template"], row["prompt"])], answer
    else:
        phrases, boxes = answer, asked_boxes(row["prompt"], row["boxes"])
    for phrase in phrases:
        fits = place(phrase, boxes, frame)
        yield "region", None, None, phrase, boxes, fits
        for label in sorted(_named(phrase)):
            yield "boxed", label, 1, phrase, boxes, fits


@lru_cache(maxsize=100_000)
def _said(report: str) -> dict[str, int]:
    return stated(report)


@lru_cache(maxsize=100_000)
def _named(phrase: str) -> frozenset[str]:
    return named(phrase)


@lru_cache(maxsize=100_000)
def _answered(question: str, answer: str) -> dict[str, int]:
    """Labels that an answer to a question affirms (1) or denies (0)."""
    if _WIDER.search(question.lower()):
        found = _YES_NO.search(answer)
        return {CTR_ABOVE: int(found.group(1) == "yes")} if found else {}
    nothing = answer in ("none", "no", "nowhere", "")
    if _WHERE.search(question):
        labels = {mention.label for mention in mentions(question)}
        return {label: int(not nothing) for label in labels} if len(labels) == 1 else {}
    if _WHAT.search(question) and not _PLACE_ONLY.search(question.lower()):
        return dict.fromkeys(sorted(named(answer)), 1)
    label = asked(question)
    found = _YES_NO.search(answer)
    if label is None or found is None:
        return {}
    if found.group(1) == "yes":
        return {label[0]: 1}
    # "no" about the left lung says nothing about the right one
    return {label[0]: 0} if label[1] else {}


def place(phrase: str, boxes: list[list[float]], frame: tuple[int, int] | None) -> str | None:
    """Whether boxes lie where a phrase says, on a frontal image.

    The patient's right lies on the left of the image. A box misses where it lies wholly on the
    other half, less a slack of 5 %; it fits where its middle lies on the right half. Only the
    sides of phrases that name one, and upper and lower, are judged.
    """
    if frame is None or not boxes:
        return None
    width, height = frame
    # the part of the image, 0 to 1, that a box must reach into
    side, verdicts = sides(phrase), []
    low, high = _UPPER.search(phrase.lower()), _LOWER.search(phrase.lower())
    for x1, y1, x2, y2 in boxes:
        across, down = (x1 / width, x2 / width), (y1 / height, y2 / height)
        if len(side) == 1:
            verdicts.append(_half(across, first="right" in side))
        if (low is None) != (high is None):
            verdicts.append(_half(down, first=low is not None))
    if "misses" in verdicts:
        return "misses"
    return "fits" if verdicts and all(v == "fits" for v in verdicts) else None


def _half(extent: tuple[float, float], *, first: bool) -> str | None:
    low, high = extent if first else (1 - extent[1], 1 - extent[0])
    if low > 0.5 + _SLACK:
        return "misses"
    return "fits" if (low + high) / 2 <= 0.5 else None


def category(phrase: str) -> str:
    """The category of a phrase: the label that it names, or, naming none or several, itself."""
    labels = _named(phrase)
    return next(iter(labels)) if len(labels) == 1 else phrase.lower()
