"""Renders chat templates within a bound, because a template comes with a model of a stranger.

``transformers`` renders templates in a sandbox of Jinja: a template cannot reach files or run code.
The sandbox does not stop a template that loops for hours or doubles a text. This module counts the
lines of a template that are run, watches the length of its texts, and stops it. Templates that only
loop over messages and their parts, as nearly all do, always end and are not watched.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping, Sequence
from functools import lru_cache
from types import FrameType
from typing import Any, Final, TypeGuard

import jinja2
from jinja2 import nodes
from jinja2.utils import Namespace

from imaxray.errors import ImaxrayError

MAX_STEPS: Final = 200_000
"""Maximum number of lines of a template that one rendering may run; templates need some hundred."""

MAX_LENGTH: Final = 10_000_000
"""Maximum number of characters of a rendered conversation."""

MAX_SECONDS: Final = 3.0
"""Maximum computing time of one rendering, for templates with few but long steps."""

_FILE: Final = "<template>"  # the name that Jinja gives to the code of a template without a file
_SHORT: Final = frozenset({"namespace", "raise_exception", "strftime_now", "dict"})
_ENDLESS: Final[tuple[type[nodes.Node], ...]] = (
    nodes.Macro,
    nodes.CallBlock,
    nodes.Include,
    nodes.Import,
    nodes.FromImport,
    nodes.AssignBlock,
    nodes.Mul,
    nodes.Pow,
)
_NESTED: Final = 2  # messages, and the parts of a message


def render(
    processor: Any, turns: Sequence[Mapping[str, Any]], *, answering: bool, name: str
) -> str:
    """Render a conversation by the chat template of a processor.

    Args:
        processor: Processor of ``transformers`` with a chat template.
        turns: Messages with ``role`` and ``content``.
        answering: Whether the text ends where the model is to answer.
        name: Name of the model, for errors.

    Raises:
        ImaxrayError: The template runs more than MAX_STEPS lines, computes for more than
            MAX_SECONDS, or writes a text of more than MAX_LENGTH characters.
    """
    template = processor.chat_template or getattr(processor.tokenizer, "chat_template", None)
    watched = not (isinstance(template, str) and always_ends(template))
    before = sys.gettrace()
    if watched:
        sys.settrace(_Watch().enter)
    try:
        return str(
            processor.apply_chat_template(
                list(turns), add_generation_prompt=answering, tokenize=False
            )
        )
    except (_EndlessError, RecursionError, MemoryError, OverflowError) as error:
        raise ImaxrayError(
            f"Expected the chat template of {name} to end within {MAX_STEPS:,} steps, "
            f"{MAX_SECONDS:g} s and {MAX_LENGTH:,} characters, but it goes on; take the "
            "chat_template.jinja of a source that you trust."
        ) from error
    finally:
        if watched:
            sys.settrace(before)


@lru_cache(maxsize=64)
def always_ends(template: str) -> bool:
    """Return whether a template has only loops over messages and parts, and builds no long texts.

    Example:
        >>> always_ends("{% for message in messages %}{{ message['content'] }}{% endfor %}")
        True
        >>> always_ends("{% for number in range(99999) %}{{ number }}{% endfor %}")
        False
    """
    try:
        tree = jinja2.Environment(extensions=["jinja2.ext.loopcontrols"]).parse(template)
    except jinja2.TemplateError:
        return False  # `transformers` knows more tags
    if any(tree.find(kind) for kind in _ENDLESS):
        return False
    called = {call.node.name for call in tree.find_all(nodes.Call) if _is_name(call.node)}
    return called <= _SHORT and all(_is_plain(loop, _NESTED) for loop in tree.find_all(nodes.For))


def _is_name(node: nodes.Node) -> TypeGuard[nodes.Name]:
    return isinstance(node, nodes.Name)


def _is_plain(loop: nodes.For, depth: int) -> bool:
    """Return whether at most ``depth`` loops are nested and none of them makes a text longer."""
    if depth == 0 or loop.recursive:
        return False
    for assigned in loop.find_all(nodes.Assign):
        if any(assigned.find(kind) for kind in (nodes.Concat, nodes.Add)):
            return False
    return all(
        _is_plain(inner, depth - 1)
        for part in loop.iter_child_nodes()
        for inner in ([part] if isinstance(part, nodes.For) else part.find_all(nodes.For))
    )


class _Watch:
    """Traces the code of a template, and of nothing else, line by line."""

    def __init__(self) -> None:
        self._steps = 0
        self._end = time.thread_time() + MAX_SECONDS

    def enter(self, frame: FrameType, _event: str, _arg: Any) -> Any:
        if time.thread_time() > self._end:
            raise _EndlessError
        return self._line if frame.f_code.co_filename == _FILE else None

    def _line(self, frame: FrameType, _event: str, _arg: Any) -> Any:
        self._steps += 1
        late = self._steps > MAX_STEPS or time.thread_time() > self._end
        if late or any(map(_is_long, frame.f_locals.values())):
            raise _EndlessError
        return self._line


def _is_long(value: Any) -> bool:
    if isinstance(value, Namespace):
        attributes = object.__getattribute__(value, "_Namespace__attrs")
        return any(map(_is_long, attributes.values()))
    return isinstance(value, str) and len(value) > MAX_LENGTH


class _EndlessError(Exception):
    """Stops a template."""
