"""Removes thinking, fences and end marks from a model's text before a task reads the answer.

Each rule has a name and can be switched off. Rules are applied in the order of ``RULES``. They
remove only text that is not part of the answer; tasks then read the rest strictly.
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
    """Remove thinking traces.

    A trace without an end mark was cut off by the token limit, so all text after its start is
    removed. A trace without a start mark, which a chat template wrote into the prompt, ends at the
    first end mark.
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
    """Unwrap an answer that is a single fenced block, in whatever language the fence names."""
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
"""Name of a rule → function that applies it; all rules are on by default."""


def reading_rules(without: Sequence[str] = ()) -> tuple[str, ...]:
    """Return the names of all rules except the given ones.

    Raises:
        ImaxrayError: A given rule does not exist.

    Example:
        >>> reading_rules(without=["thinking"])
        ('end-marks', 'fences')
    """
    _require_known(without)
    return tuple(name for name in RULES if name not in without)


def clean_answer(text: str, rules: Sequence[str] = tuple(RULES)) -> str:
    """Apply the named rules to a model's text, in the order of ``RULES``.

    Raises:
        ImaxrayError: A given rule does not exist.

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
            f"Expected names of reading rules, but got {unknown[0]}; choose from "
            f"{', '.join(RULES)}."
        )
