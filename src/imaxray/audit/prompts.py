"""Finds prompts that give the answer away."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from imaxray.audit.audit_input import AuditInput, AuditIssue
from imaxray.boxes import split_boxes
from imaxray.tasks import from_json, get_task
from imaxray.tasks._shared.reading.verdicts import is_yes_no
from imaxray.tasks._shared.wording import holds, words_of

_OFFER: Final = re.compile(
    r"\b(?:options?|choices?|choose|select|pick|one of|either|among)\b|(?:^|[\s(])[a-e][).]\s",
    re.IGNORECASE,
)
_SENTENCE: Final = re.compile(r"[.?!\n]+(?:\s|$)")
_VERSUS: Final = re.compile(r"\b(?:vs\.?|versus)(?=\s)", re.IGNORECASE)
_LONG: Final = 8  # words; prompts do not offer a choice among longer answers


def leaks(audit_input: AuditInput) -> Iterator[AuditIssue]:
    """Find prompts that contain the target or a gold answer word for word.

    The task defines which texts give an answer away (:meth:`imaxray.tasks.Task.secrets`). Prompts
    that offer the answer as one of several choices are left out.
    """
    columns = ("entry_id", "split", "task", "prompt", "target", "boxes", "answer")
    for entry, split, name, prompt, target, boxes, answer in audit_input.entries.select(
        columns
    ).iter_rows():
        task = get_task(name)
        gold = None if answer is None else from_json(answer)
        # the boxes of the prompt come first
        parts = split_boxes(prompt, target or "", boxes or [])
        shown = parts[0] if parts else []
        if any(box in shown for box in task.secret_boxes(gold)):
            yield AuditIssue("prompt-target", split, entry, "the prompt contains a gold box")
        elif any(_given_away(prompt, text) for text in task.secrets(prompt, target, gold)):
            yield AuditIssue("prompt-target", split, entry, "the prompt contains the answer")


def _given_away(prompt: str, answer: str) -> bool:
    return holds(_without_questions(prompt), answer) and not _offered(prompt, answer)


def _without_questions(prompt: str) -> str:
    """Return the prompt without yes/no questions, which name what they ask about.

    For instance, "Is the trachea midline?" may be answered "midline".
    """
    return " ".join(part for part in _sentences(prompt) if not is_yes_no(part))


def _sentences(prompt: str) -> list[str]:
    return _SENTENCE.split(_VERSUS.sub("or", prompt))


def _offered(prompt: str, answer: str) -> bool:
    """Return whether the prompt offers the answer as one of several choices."""
    if len(words_of(answer)) > _LONG:
        return False
    if _OFFER.search(prompt):
        return True
    return any(holds(part, answer) and holds(part, "or") for part in _sentences(prompt))
