"""Decides which questions about an image its own entries already answer, so no model is asked.

An entry answers its own question, in any wording that its task takes for the same. A REG entry also
tells where its phrases are, and a REC entry what its boxes show. A label, a grade, a ratio or an
answer settles a yes/no question if one of the two answers would contradict it by a clinical rule
that holds by definition (:data:`EXACT`). What a labeller reads from a report settles nothing,
because it may be read wrongly; such readings become entries by ``imaxray derive`` first, and
derived entries count here as real ones do.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final, Literal

import polars as pl

from imaxray.clinical import DEFAULT_RULES, ClinicalRules
from imaxray.labeller import asked
from imaxray.metrics import normalise
from imaxray.schema import IS_DERIVED, mark_derived
from imaxray.tasks import Question, Statement, from_json, get_task
from imaxray.tasks.vqa import CTR_ABOVE

Reason = Literal["answered", "box-known", "phrase-known", "implied", "denied"]
"""Why a model is not asked. ``answered``: the image has an entry with this question. ``box-known``:
a REG entry tells where the phrase is. ``phrase-known``: a REC entry tells what the box shows.
``implied``: a label, grade, ratio or answer settles the yes/no question. ``denied``: they deny the
finding that would be located."""

EXACT: Final = ("question-label", "edema-grade-label", "ctr-question")
"""Clinical rules that follow from what grades, labels and questions mean, and not from a finding
that usually comes with another one."""

_CACHED: Final = 4096  # images; a batch is far smaller
_EDEMA: Final = "Edema"
_ABOUT_FINDING: Final = ("label", "asked")


def exact_rules(clinical: ClinicalRules) -> dict[str, Any]:
    """Return what a user changed of the rules that settle questions, as JSON values."""
    changed = clinical.model_dump(mode="json")
    return {name: changed[name] for name in EXACT if name in changed}


def without_derived(entries: pl.DataFrame) -> pl.DataFrame:
    """Return the entries that were not derived from others."""
    return mark_derived(entries).filter(~pl.col(IS_DERIVED))


@dataclass(frozen=True)
class _Entries:
    """What the entries of one image ask and state, as far as questions need it."""

    questions: Mapping[str, tuple[Question, ...]]  # by task
    phrases: frozenset[str]  # normalised phrases of REG entries
    boxes: tuple[Question, ...]  # one question per box of a REC entry
    rows: tuple[dict[str, Any], ...]


class KnownFacts:
    """What the train entries of each image answer already.

    Args:
        train: Train entries, real and derived (schema ENTRIES).
        clinical: Clinical rules in force; a rule that the user ignores settles nothing.
    """

    def __init__(self, train: pl.DataFrame, clinical: ClinicalRules = DEFAULT_RULES) -> None:
        self._train = train.select(
            "image_id", "entry_id", "task", "template", "prompt", "target", "boxes", "answer"
        ).sort("image_id", "entry_id")
        counts = self._train.group_by("image_id", maintain_order=True).len()
        starts = counts["len"].cum_sum() - counts["len"]
        self._place = dict(
            zip(counts["image_id"], zip(starts, counts["len"], strict=True), strict=True)
        )
        self._rules = {n: clinical[n] for n in EXACT if clinical[n].severity != "ignore"}
        self._entries = lru_cache(_CACHED)(self._read)
        self._stated = lru_cache(_CACHED)(self._state)

    def reason(self, image: str, task: str, question: Question) -> Reason | None:
        """Return why a question about an image needs no model; ``None`` if it needs one.

        Args:
            image: Id of the image.
            task: Name of the task.
            question: Question that a model would be asked.
        """
        own, judge = self._entries(image), get_task(task)
        if any(judge.same_question(question, other) > 0 for other in own.questions.get(task, ())):
            return "answered"
        if task == "rec":
            if own.phrases and normalise(judge.asked_text(question)) in own.phrases:
                return "box-known"
        elif task == "reg":
            if any(judge.same_question(question, other) > 0 for other in own.boxes):
                return "phrase-known"
        elif task == "vqa" and own.rows and self._settled(image, question):
            return "implied"
        return None

    def denies(self, image: str, finding: str) -> bool:
        """Return whether the entries of an image deny a finding by what they mean."""
        return self._contradicts(image, Statement("label", finding, 1))

    def _settled(self, image: str, question: Question) -> bool:
        """Return whether an entry contradicts the answer yes or the answer no.

        If a finding is denied, this also settles where it is; if it is present, it does not.
        """
        task = get_task("vqa")
        yes_no = asked(task.asked_text(question)) is not None
        return any(
            (answer == "yes" or yes_no or said.name == CTR_ABOVE) and self._contradicts(image, said)
            for answer in ("yes", "no")
            for said in task.statements(
                question, {"closed": True, "answers": [answer]}, size=None, usual=()
            )
        )

    def _contradicts(self, image: str, said: Statement) -> bool:
        for known in self._stated(image):
            if (pair := _compared(known, said)) is not None:
                name, first, second = pair
                rule = self._rules.get(name)
                if rule is not None and rule.contradicts(first, second):
                    return True
        return False

    def _read(self, image: str) -> _Entries:
        start, count = self._place.get(image, (0, 0))
        rows = tuple(self._train.slice(start, count).iter_rows(named=True))
        questions: dict[str, tuple[Question, ...]] = {}
        phrases: set[str] = set()
        boxes: list[Question] = []
        for row in rows:
            task, question = row["task"], Question.of(row)
            questions[task] = (*questions.get(task, ()), question)
            if task == "reg":
                phrases |= {normalise(phrase) for phrase in from_json(row["answer"])}
            elif task == "rec":
                boxes += [Question("", "", [box]) for box in from_json(row["answer"])]
        return _Entries(questions, frozenset(phrases), tuple(boxes), rows)

    def _state(self, image: str) -> tuple[Statement, ...]:
        """Return the labels, grades, ratios and answers that the entries of an image state."""
        return tuple(
            statement
            for row in self._entries(image).rows
            if row["task"] not in ("report", "rec", "reg")
            for statement in get_task(row["task"]).statements(
                Question.of(row), from_json(row["answer"]), size=None, usual=()
            )
        )


def _compared(known: Statement, said: Statement) -> tuple[str, float | None, float | None] | None:
    """Return the rule that compares two statements, and its two values; ``None`` without one."""
    if said.kind not in _ABOUT_FINDING:
        return None
    if known.kind in _ABOUT_FINDING and known.name == said.name:
        return "question-label", said.value, known.value
    if known.kind == "grade" and said.name == _EDEMA:
        return "edema-grade-label", known.value, said.value
    if known.kind == "measurement" and (known.name, said.name) == ("ctr", CTR_ABOVE):
        return "ctr-question", known.value, said.value
    return None
