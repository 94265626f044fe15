"""Prompts that give the answer away."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, Final

from imaxray.audit.audit_input import AuditInput, AuditIssue
from imaxray.boxes import PLACEHOLDER
from imaxray.schema import FINDINGS
from imaxray.tasks import from_json

_WORD: Final = re.compile(r"\w+(?:[.'-]\w+)*")
_OFFER: Final = re.compile(
    r"\b(?:options?|choices?|choose|select|pick|one of|either|among)\b|(?:^|[\s(])[a-e][).]\s",
    re.IGNORECASE,
)
_SENTENCE: Final = re.compile(r"[.?!\n]+(?:\s|$)")
_LONG: Final = 8  # words; nobody offers a choice among longer answers


def leaks(audit_input: AuditInput) -> Iterator[AuditIssue]:
    """The target or a gold answer stands word for word in the prompt.

    REG is left out, and so are closed questions and prompts that offer the answer among others.
    """
    columns = ("entry_id", "split", "task", "prompt", "target", "boxes", "answer")
    for entry, split, task, prompt, target, boxes, answer in audit_input.entries.select(
        columns
    ).iter_rows():
        if task == "reg":
            continue
        gold = None if answer is None else from_json(answer)
        if task == "rec" and _boxes_shown(prompt, boxes or [], gold):
            yield AuditIssue("prompt-target", split, entry, "the prompt holds a gold box")
        elif any(_given_away(prompt, text) for text in _texts(task, prompt, target, gold)):
            yield AuditIssue("prompt-target", split, entry, "the prompt holds the answer")


def _texts(task: str, prompt: str, target: str, gold: Any) -> list[str]:
    """What must not stand in the prompt."""
    if task == "vqa" and gold is not None:
        return [] if gold["closed"] else [target, *gold["answers"]]
    if task == "report" and gold is not None:
        return [target, *gold.values()]
    if task == "findings" and gold is not None:
        positive = {label for label, value in gold.items() if value == 1}
        offered = any(_holds(prompt, label) for label in FINDINGS if label not in positive)
        return [] if offered else [target, *sorted(positive)]
    return [target]


def _given_away(prompt: str, answer: str) -> bool:
    return _holds(prompt, answer) and not _offered(prompt, answer)


def _holds(text: str, phrase: str) -> bool:
    words = " ".join(_WORD.findall(phrase.replace(PLACEHOLDER, " ").lower()))
    return bool(words) and f" {words} " in f" {' '.join(_WORD.findall(text.lower()))} "


def _offered(prompt: str, answer: str) -> bool:
    """Whether the prompt names the answer as one of several to choose from."""
    if len(_WORD.findall(answer)) > _LONG:
        return False
    if _OFFER.search(prompt):
        return True
    return any(_holds(part, answer) and _holds(part, "or") for part in _SENTENCE.split(prompt))


def _boxes_shown(prompt: str, boxes: list[list[float]], gold: Any) -> bool:
    """Whether a box of the prompt, whose placeholders come first, is a gold box."""
    shown = boxes[: prompt.count(PLACEHOLDER)]
    return any(list(box) in shown for box in gold or [])
