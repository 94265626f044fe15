"""Removes what models write around an answer: turn marks, thinking, tags, fences, LaTeX.

Every function takes a text and returns it without one kind of wrapping. A text without this kind of
wrapping is returned unchanged, so that a rule is counted only if it changed something.
"""

from __future__ import annotations

import html
import re
from typing import Final

_ENDS: Final = re.compile(
    r"(?:<\|im_end\|>|<\|endoftext\|>|<\|eot_id\|>|<\|return\|>|<end_of_turn>|<eos>|</s>|\[/INST\]"
    r"(?=\s*$))\s*"
)
_TURN: Final = re.compile(
    r"\s*(?:<\|im_start\|>\s*assistant|<start_of_turn>\s*model|<\|start_header_id\|>\s*assistant"
    r"\s*<\|end_header_id\|>|<s>|<bos>|(?-i:ASSISTANT|Assistant):)\s*",
    re.IGNORECASE,
)
_WORDS: Final = (
    r"(?:think(?:ing)?|thoughts?|reason(?:ing)?|analysis|reflection|scratchpad|summary|caption)"
)
_THINK: Final = (
    (re.compile(rf"<{_WORDS}>", re.I), re.compile(rf"</{_WORDS}>", re.I)),
    (re.compile(r"<unused94>"), re.compile(r"<unused95>")),
    (re.compile(r"\[think\]", re.I), re.compile(r"\[/think\]", re.I)),
    (re.compile("◁think▷"), re.compile("◁/think▷")),
    (re.compile(r"<\|begin_of_thought\|>"), re.compile(r"<\|end_of_thought\|>")),
    (
        re.compile(r"(?:<\|start\|>assistant)?<\|channel\|>(?:analysis|commentary)"),
        re.compile(r"<\|channel\|>final\s*<\|message\|>"),
    ),
)
_THINK_HEAD: Final = re.compile(
    r"^[ \t]*(?:#{1,6}[ \t]*|\*\*)(?:thinking|thoughts?|thought process|reasoning|analysis|chain of"
    r" thought|reasoning process|step[- ]by[- ]step (?:reasoning|analysis))\b[^\n]*$",
    re.IGNORECASE | re.MULTILINE,
)
_ANSWER_HEAD: Final = re.compile(
    r"^[ \t]*(?:#{1,6}[ \t]*|\*\*)(?:\*\*)?(?:final )?(?:response|answer|output|conclusion|reply)\b"
    r"[ \t]*(?:\*\*)?[ \t]*:?[ \t]*(?:\*\*)?",
    re.IGNORECASE | re.MULTILINE,
)
_TAGGED: Final = r"(?:final[_ -]?)?(?:answer|response|result|output|conclusion)"
_ANSWER: Final = re.compile(
    rf"(?:<{_TAGGED}>|<\|begin_of_(?:box|solution)\|>|\[answer\])"
    rf"(.*?)(?:</{_TAGGED}>|<\|end_of_(?:box|solution)\|>|\[/answer\]|\Z)",
    re.DOTALL | re.IGNORECASE,
)
_OPENS: Final = re.compile(rf"<{_TAGGED}>|\[answer\]", re.IGNORECASE)
_FENCE: Final = re.compile(r"```[ \t]*(\w*)[ \t]*\n?(.*?)\n?[ \t]*```", re.DOTALL)
_CODE: Final = ("python", "py", "bash", "sh", "javascript", "js", "latex", "tool_code")
_BOXED: Final = re.compile(r"\\(?:boxed|fbox)\s*\{")
_TEXT: Final = re.compile(
    r"\\(?:text(?:bf|it|rm)?|math(?:rm|bf|it|sf)|mbox|operatorname)\s*\{([^{}]*)\}"
)
_FRACTION: Final = re.compile(r"\\[dt]?frac\s*\{([^{}]*)\}\s*\{([^{}]*)\}")
_LATEX: Final = (
    (re.compile(r"\\(?:approx|simeq|sim)(?![a-z])"), " ≈ "),
    (re.compile(r"\\(?:leq?|lt)(?![a-z])"), " < "),
    (re.compile(r"\\(?:geq?|gt)(?![a-z])"), " > "),
    (re.compile(r"\\(?:times|cdot)(?![a-z])"), " × "),
    (re.compile(r"\\div(?![a-z])"), " / "),
    (re.compile(r"\\[()\[\],;!]|\\left(?![a-z])|\\right(?![a-z])|\\quad"), " "),
    (re.compile(r"\\([%_#&$])"), r"\1"),
    (re.compile(r"\$\$?"), ""),
)
_TAG: Final = re.compile(
    r"</?([a-zA-Z][\w:.-]*)(?:\s+[\w:-]+\s*=\s*(?:\"[^\"]*\"|'[^']*'|[^\s>]+))*\s*/?>"
    r"|<\|([^|<>\n]{1,40})\|>"
)
_OF_BOXES: Final = re.compile(r"box|bbox|box_start|box_end|loc[_\d]\w*|quad", re.IGNORECASE)
_BREAKS: Final = ("br", "p", "li", "ul", "ol", "div", "tr", "h1", "h2", "h3", "h4", "hr", "table")
_SECTIONS: Final = ("findings", "impression", "impressions")
_STATES: Final = ("present", "absent", "uncertain", "positive", "negative", "possible")
_ENTITY: Final = re.compile(r"&(?:lt|gt|amp|nbsp|quot|apos|#\d+);")


def without_end_marks(text: str) -> str:
    """Cut the answer at the first end-of-turn token, and remove the mark of the model's turn."""
    turn = _TURN.match(text)
    if turn is not None:
        text = text[turn.end() :]
    found = _ENDS.search(text)
    return text if found is None else text[: found.start()]


def without_thinking(text: str) -> str:
    """Remove thinking traces in the notations of all known models.

    A trace without an end mark was cut off by the token limit, so all text after its start is
    removed, up to an answer in tags. A trace without a start mark ends at the last end mark. A
    trace may also stand under a heading, before a heading of the answer.
    """
    for opening, closing in _THINK:
        while (start := opening.search(text)) is not None:
            end = closing.search(text, start.end())
            if end is None:
                answer = _OPENS.search(text, start.end())
                text = text[: start.start()] + (text[answer.start() :] if answer else "")
                continue
            text = text[: start.start()] + text[end.end() :]
        ends = list(closing.finditer(text))
        if ends:
            text = text[ends[-1].end() :]
    head, answers = _THINK_HEAD.search(text), list(_ANSWER_HEAD.finditer(text))
    if head is not None and answers and answers[-1].start() > head.start():
        text = text[answers[-1].end() :]
    return text


def in_answer_tags(text: str) -> str:
    """Keep what stands in the last ``<answer>…</answer>`` or in tags of the same meaning."""
    found = [match for match in _ANSWER.finditer(text) if match.group(1).strip()]
    return found[-1].group(1) if found else text


def in_box_command(text: str) -> str:
    r"""Keep what stands in the last ``\boxed{…}``."""
    found = list(_BOXED.finditer(text))
    if not found:
        return text
    start = found[-1].end()
    depth = 1
    for place in range(start, len(text)):
        depth += {"{": 1, "}": -1}.get(text[place], 0)
        if depth == 0:
            return text[start:place]
    return text[start:]


def without_latex(text: str) -> str:
    r"""Write LaTeX as plain text, e.g. ``\text{left}`` as ``left`` and ``\frac{1}{2}`` as 1 / 2."""
    if "\\" not in text and not re.search(r"\$[^$\n]*\$", text):
        return text
    while (plain := _TEXT.sub(r"\1", text)) != text:
        text = plain
    text = _FRACTION.sub(r"\1 / \2", text)
    for pattern, replacement in _LATEX:
        text = pattern.sub(replacement, text)
    return text


def without_fence(text: str) -> str:
    """Keep what stands in the only code fence of an answer; program code is no answer."""
    found = list(_FENCE.finditer(text))
    if len(found) != 1 or "```" in found[0].group(2) or found[0].group(1).lower() in _CODE:
        return text
    before, after = text[: found[0].start()], text[found[0].end() :]
    inline = "\n" not in found[0].group() and (before.strip() or after.strip())
    return text if inline else found[0].group(2)


def without_markup(text: str) -> str:
    """Replace HTML-like tags and special tokens by spaces, or by line breaks where they end lines.

    Tags of report sections and of states (``<absent>``) become headings; tags of boxes stay,
    because they belong to the box.
    """
    if _ENTITY.search(text):
        text = html.unescape(text)

    def plain(match: re.Match[str]) -> str:
        name = (match.group(1) or match.group(2)).lower()
        if _OF_BOXES.fullmatch(name):
            return match.group()
        if name in _SECTIONS:
            return "\n" if match.group().startswith("</") else f"\n{name.upper()}: "
        if name in _STATES:
            return "\n" if match.group().startswith("</") else f"\n{name.capitalize()}: "
        return "\n" if name in _BREAKS else " "

    return _TAG.sub(plain, text)
