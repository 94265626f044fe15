"""Names every reading rule, switches rules off, and counts which rules an answer needed.

A rule of text is a function that removes something around an answer. A rule of a task reads a form
of answer that the targets do not have. A rule is counted for an answer if it changed the text or
decided the value.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final, TypeVar

from imaxray.boxes import BOX_RULES
from imaxray.errors import ImaxrayError
from imaxray.tasks._shared.reading.cleaning import layout, prose, wrapping
from imaxray.tasks._shared.reading.objects import parse_object, yaml_as_json

READING_VERSION: Final = "3"
"""Version that increases with every change of what any answer is read as."""

T = TypeVar("T")

_TEXT: Final[dict[str, Callable[[str], str]]] = {
    "end-marks": wrapping.without_end_marks,
    "thinking": wrapping.without_thinking,
    "answer-tags": wrapping.in_answer_tags,
    "boxed": wrapping.in_box_command,
    "latex": wrapping.without_latex,
    "fences": wrapping.without_fence,
    "yaml": yaml_as_json,
    "markup": wrapping.without_markup,
    "tables": layout.without_tables,
    "markdown": layout.without_markdown,
    "conclusion": prose.after_conclusion,
    "refusals": prose.without_refusals,
    "explanation": prose.without_explanation,
    "lead-in": prose.without_lead_in,
    "first-thoughts": prose.without_first_thoughts,
}
_PROSE: Final = (
    "tables",
    "markdown",
    "conclusion",
    "refusals",
    "explanation",
    "lead-in",
    "first-thoughts",
)

RULES: Final[dict[str, str]] = {
    "end-marks": "everything from the first end-of-turn token on; the mark of the model's turn",
    "thinking": "traces of thinking in all known notations, e.g. `<think>…</think>`; a trace "
    "without an end up to the end of the text, a trace without a start up to the last end mark",
    "answer-tags": "all but the last `<answer>…</answer>` or tags of the same meaning",
    "boxed": "all but the last `\\boxed{…}`",
    "latex": "LaTeX: `\\text{left}` is `left`, `\\frac{1}{2}` is 1 / 2",
    "fences": "all but the only code fence of the answer",
    "yaml": "a YAML list of objects, which becomes JSON",
    "markup": "HTML-like tags and special tokens, which become spaces or line breaks",
    "tables": "marks of a table: a row becomes `first cell: other cells`",
    "markdown": "marks of emphasis, headings and lists; a ticked box becomes `yes`",
    "conclusion": "everything before the last `Final answer:`, `The answer is` or similar words",
    "refusals": "sentences that refuse to answer",
    "explanation": "an explanation, a note or a disclaimer after the answer",
    "lead-in": "an announcement before the answer, e.g. `Here is the report:`",
    "first-thoughts": "what the answer says that it considered at first, if more follows",
    "json": "all tasks: the value in a JSON object or list",
    "label-lists": "findings: lists, `Label: yes`, `Absent: …` and other spellings of labels",
    "sentences": "findings: sentences, which the labeller reads",
    "normal": "findings: sentences that call the image normal, as `No Finding`",
    "grades": "grading: a number or a name of a grade in other words, if it is the only one",
    "ratios": "calculation: the measurement among lengths, reference values and other numbers",
    "verdict": "vqa: yes or no, as a sentence decides the closed question of the prompt",
    "options": "vqa: the letter or the words of an option that the prompt lists",
    "phrases": "vqa and reg: the phrase in `The region shows …`; lines of a list are joined",
    "headings": "report: headings in other spellings, and tags or JSON of sections",
    "other-sections": "report: a title, or a section that is neither findings nor impression, "
    "which is left out",
    **{name: f"rec and reg: {about}" for name, about in BOX_RULES.items()},
}
"""Name of a rule → what it removes or reads; all rules are on by default."""


class Reading:
    """Holds what is known while one answer is read, and collects the rules that it needed.

    Args:
        rules: Names of the rules that are on.
        prompt: Prompt that was answered, with ``<box>`` placeholders; empty if it is not known.
        source: Text of the answer before its boxes were extracted; ``None`` if it has none.

    Example:
        >>> reading = Reading(["json"])
        >>> reading.use("json", lambda text: text or None, "yes")
        'yes'
        >>> reading.used
        ('json',)
    """

    def __init__(
        self,
        rules: Sequence[str] = tuple(RULES),
        prompt: str = "",
        source: str | None = None,
    ) -> None:
        self._on, self._used = frozenset(rules), set[str]()
        self.prompt, self.source = prompt, source

    @property
    def used(self) -> tuple[str, ...]:
        """Names of the rules that changed or decided the reading, in the order of ``RULES``."""
        return tuple(name for name in RULES if name in self._used)

    def has(self, name: str) -> bool:
        """Return whether a rule is on."""
        return name in self._on

    def note(self, *names: str) -> None:
        """Record that rules changed or decided the reading."""
        self._used.update(names)

    def use(self, name: str, rule: Callable[..., T | None], *given: Any) -> T | None:
        """Return what a rule reads, and record it; ``None`` if it reads nothing or is off."""
        value = rule(*given) if name in self._on else None
        if value is not None:
            self.note(name)
        return value

    def change(self, name: str, rule: Callable[[str], str], text: str) -> str:
        """Return the text as a rule changes it, and record a change; unchanged if it is off."""
        changed = rule(text) if name in self._on else text
        if changed.strip() != text.strip():
            self.note(name)
        return changed

    def clean(self, text: str) -> str:
        """Apply all rules of text that are on, in the order of ``RULES``."""
        for name, rule in _TEXT.items():
            if name in _PROSE and parse_object(text) is not None and text.strip()[:1] in "{[":
                break  # what stands in JSON is read as it is
            text = self.change(name, rule, text)
        return text


def reading_rules(without: Sequence[str] = ()) -> tuple[str, ...]:
    """Return the names of all rules except the given ones.

    Raises:
        ImaxrayError: A given rule does not exist.

    Example:
        >>> "thinking" in reading_rules(without=["thinking"])
        False
    """
    require_rules(without)
    return tuple(name for name in RULES if name not in without)


def clean_answer(text: str, rules: Sequence[str] = tuple(RULES)) -> str:
    """Apply the named rules of text to a model's text, in the order of ``RULES``.

    Raises:
        ImaxrayError: A given rule does not exist.

    Example:
        >>> clean_answer("<think>The costophrenic angle is blunted.</think>yes<|im_end|>")
        'yes'
    """
    require_rules(rules)
    return Reading(rules).clean(text)


def require_rules(names: Sequence[str]) -> None:
    """Check that rules exist.

    Raises:
        ImaxrayError: A given rule does not exist.
    """
    unknown = sorted(set(names) - set(RULES))
    if unknown:
        raise ImaxrayError(
            f"Expected names of reading rules, but got {unknown[0]}; choose from "
            f"{', '.join(RULES)}."
        )
