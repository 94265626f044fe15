"""What is taken off a model's text before a task reads it: named rules that can be switched.

Rules work in the order of ``RULES``. What they take is no answer; what is left is read strictly.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Final

from imaxray.errors import ImaxrayError

_THINK: Final = (("<think>", "</think>"), ("<unused94>", "<unused95>"))
_FENCE: Final = re.compile(r"```[ \t]*\w*[ \t]*\n?(.*?)\n?[ \t]*```", re.DOTALL)
_ENDS: Final = re.compile(
    r"(?:<\|im_end\|>|<\|endoftext\|>|<\|eot_id\|>|<end_of_turn>|<eos>|</s>)\s*"
)


def _without_thinking(text: str) -> str:
    """Cut thinking traces.

    A trace without its end was cut off by the token limit: all that follows is thinking. A trace
    without its beginning (a chat template wrote it into the prompt) ends at the first end mark.
    """
    for opening, closing in _THINK:
        first_end, first_start = text.find(closing), text.find(opening)
        if first_end >= 0 and (first_start < 0 or first_end < first_start):
            text = text[first_end + len(closing) :]
        while (start := text.find(opening)) >= 0:
            end = text.find(closing, start)
            text = text[:start] + (text[end + len(closing) :] if end >= 0 else "")
    return text


def _without_fence(text: str) -> str:
    """Unwrap an answer that is one fenced block, whatever language the fence names."""
    found = _FENCE.fullmatch(text.strip())
    return text if found is None or "```" in found.group(1) else found.group(1)


def _without_end_marks(text: str) -> str:
    """Cut the answer at the first end-of-turn token that a decoder left in."""
    found = _ENDS.search(text)
    return text if found is None else text[: found.start()]


RULES: Final[dict[str, Callable[[str], str]]] = {
    "end-marks": _without_end_marks,
    "thinking": _without_thinking,
    "fences": _without_fence,
}
"""Rule name → what it does; all are on unless a caller says otherwise."""


def reading_rules(without: Sequence[str] = ()) -> tuple[str, ...]:
    """All rules but the named ones.

    Raises:
        ImaxrayError: a rule of that name does not exist.

    Example:
        >>> reading_rules(without=["thinking"])
        ('end-marks', 'fences')
    """
    _require_known(without)
    return tuple(name for name in RULES if name not in without)


def clean_answer(text: str, rules: Sequence[str] = tuple(RULES)) -> str:
    """Apply the named rules to a model's text, in the order of ``RULES``.

    Raises:
        ImaxrayError: a rule of that name does not exist.

    Example:
        >>> clean_answer("<think>The costophrenic angle is blunted.</think>yes<|im_end|>")
        'yes'
    """
    _require_known(rules)
    for name, rule in RULES.items():
        if name in rules:
            text = rule(text)
    return text


def _require_known(names: Sequence[str]) -> None:
    unknown = sorted(set(names) - set(RULES))
    if unknown:
        raise ImaxrayError(
            f"Expected reading rules among {', '.join(RULES)}, but got {unknown[0]}; "
            "leave it out or name one of these."
        )
