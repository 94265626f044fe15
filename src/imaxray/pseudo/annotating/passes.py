"""Goes through the three passes of prompts, in which earlier answers make later prompts."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any, Final

import polars as pl

from imaxray.pseudo.annotating.prompts import Given, LeftOut, Prompt, PromptBook
from imaxray.tasks import from_json

Earlier = Mapping[str, Any]
"""Answers in gold form by the id of their prompt."""

NOTHING: Final[Earlier] = MappingProxyType({})

Statements = Mapping[str, Sequence[tuple[str, Any]]]
"""Tasks and answers in gold form by image: what external annotators state without a prompt."""

UNSAID: Final[Statements] = MappingProxyType({})

Answer = Callable[[Sequence[Prompt]], Earlier]
"""Function that answers the prompts of one pass; prompts without a readable answer are absent."""


def go_through(
    book: PromptBook,
    images: Sequence[str],
    answer: Answer,
    earlier: Earlier = NOTHING,
    left_out: LeftOut | None = None,
    stated: Statements = UNSAID,
) -> None:
    """Make the prompts of each pass from the answers of the passes before it.

    Args:
        book: Makes the prompts.
        images: Ids of the images.
        answer: Answers the prompts of one pass.
        earlier: Answers that are known already, for example those of other teachers.
        left_out: Counter to which the prompts with known answers are added.
        stated: What external annotators state, which no prompt asked for.
    """
    given = {image: Given() for image in images}
    for image in images:
        for task, answer_ in stated.get(image, ()):
            given[image].take(task, answer_)
    passes: Sequence[Callable[[str], list[Prompt]]] = (
        lambda image: book.first(image, left_out),
        lambda image: book.second(image, given[image], left_out),
        lambda image: book.third(image, given[image], left_out),
    )
    for prompts_of in passes:
        prompts = [prompt for image in images for prompt in prompts_of(image)]
        found = answer(prompts)
        for prompt in prompts:
            known = found if prompt.pseudo_id in found else earlier
            if prompt.pseudo_id in known:
                given[prompt.image_id].take(prompt.task, known[prompt.pseudo_id])


def count_left_out(
    book: PromptBook, images: Sequence[str], answers: Earlier, stated: Statements = UNSAID
) -> LeftOut:
    """Count the prompts that were not asked because the image's own entries answer them.

    The passes are repeated with the answers that were given, so that the counts do not depend on
    interruptions or on how the work was divided.

    Args:
        book: Makes the prompts.
        images: Ids of the images.
        answers: Answers that were given.
        stated: What external annotators state.
    """
    left_out: LeftOut = LeftOut()
    go_through(book, images, lambda _: NOTHING, answers, left_out, stated)
    return left_out


def answers_of(rows: pl.DataFrame) -> dict[str, Any]:
    """Return the readable answers of a PSEUDO table by id, if later prompts may need them."""
    read = rows.drop_nulls("answer").select("pseudo_id", "answer")
    return {prompt: from_json(answer) for prompt, answer in read.iter_rows()}


def statements_of(rows: pl.DataFrame) -> dict[str, list[tuple[str, Any]]]:
    """Return the statements of external annotators in a PSEUDO table, by image."""
    found: dict[str, list[tuple[str, Any]]] = {}
    stated = rows.filter(pl.col("prompt_from") == "annotator").drop_nulls("answer")
    for image, task, answer in stated.select("image_id", "task", "answer").iter_rows():
        found.setdefault(image, []).append((task, from_json(answer)))
    return found
