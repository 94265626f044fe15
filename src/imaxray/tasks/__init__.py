"""A task turns annotations into entries, parses answers, names metrics and serves later stages."""

from __future__ import annotations

import polars as pl

from imaxray.tasks._shared.answer_content import AnswerContent
from imaxray.tasks._shared.answers import Gold, from_json, strip_wrapping, subtask_of, to_json
from imaxray.tasks._shared.base import Task, with_image_hash
from imaxray.tasks._shared.drafts import DRAFTS, NO_SUBJECT, json_series, one_each, text_subject
from imaxray.tasks._shared.questions import Question
from imaxray.tasks._shared.reader import Answer, read_answer
from imaxray.tasks._shared.reading import (
    READING_VERSION,
    RULES,
    Reading,
    clean_answer,
    reading_rules,
    require_rules,
)
from imaxray.tasks._shared.statements import Statement
from imaxray.tasks._shared.tolerances import Tolerances
from imaxray.tasks._shared.truth import TrueFinding, Truth
from imaxray.tasks._shared.uncertain import Uncertain
from imaxray.tasks.registry import all_tasks, get_task, require_tasks


def make_entries(
    annotations: pl.DataFrame, images: pl.DataFrame, *, uncertain: Uncertain = "ignore"
) -> pl.DataFrame:
    """Make the entries (schema ENTRIES) of all tasks, sorted by task and id.

    Args:
        annotations: Annotations of a catalog (schema ANNOTATIONS).
        images: Images of the catalog (schema IMAGES), with their ``split`` assigned.
        uncertain: What the entries make of uncertain labels.
    """
    images = with_image_hash(images)
    tasks = [task.under(uncertain) for task in all_tasks()]
    return pl.concat([task.entries(annotations, images) for task in tasks])


__all__ = [
    "DRAFTS",
    "NO_SUBJECT",
    "READING_VERSION",
    "RULES",
    "Answer",
    "AnswerContent",
    "Gold",
    "Question",
    "Reading",
    "Statement",
    "Task",
    "Tolerances",
    "TrueFinding",
    "Truth",
    "Uncertain",
    "all_tasks",
    "clean_answer",
    "from_json",
    "get_task",
    "json_series",
    "make_entries",
    "one_each",
    "read_answer",
    "reading_rules",
    "require_rules",
    "require_tasks",
    "strip_wrapping",
    "subtask_of",
    "text_subject",
    "to_json",
]
