"""Reads the JSON that a chat server answers with."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

_REPEATED: Final = 3  # words in a row that a message has from the request
_HIDDEN: Final = "[…]"
_MARK: Final = re.compile(r"[\W_]+")

CUT: Final = "length"
"""Finish reason of an answer that was cut at the maximum number of tokens."""


class UnreadableReplyError(Exception):
    """Says, as the end of a sentence, why a reply is not that of a chat server."""


@dataclass(frozen=True)
class Reply:
    """Holds one answer.

    Attributes:
        text: Answer, for scoring; empty if the server sent none.
        raw: Answer, with the thoughts before it if the server sent them apart.
        tokens: Number of generated tokens as the server counts them; None if it says nothing.
        finish_reason: Why the answer ended, in the server's words (``stop``, ``length``,
            ``content_filter`` …); ``not stated`` if it says nothing.
        model: Name that the server gives to the model that answered; empty if it says nothing.
    """

    text: str
    raw: str
    tokens: int | None
    finish_reason: str
    model: str


def read_reply(content: bytes) -> Reply:
    """Return the answer in the body of a reply.

    Raises:
        UnreadableReplyError: The body is not that of a chat completion.

    Example:
        >>> read_reply(b'{"choices": [{"message": {"content": "No"}, "finish_reason": "stop"}]}')
        Reply(text='No', raw='No', tokens=None, finish_reason='stop', model='')
    """
    data = _parsed(content)
    choices = _of(data, "choices")
    choice = choices[0] if isinstance(choices, list) and choices else None
    message = _of(choice, "message")
    if not isinstance(message, dict):
        said = _said(data)
        raise UnreadableReplyError(f"it says: {said}" if said else "it has no message of a model")
    answer = message.get("content")
    text = _text(message.get("refusal") if answer is None else answer)
    if text is None:
        raise UnreadableReplyError("the message of the model is no text")
    thoughts = _text(message.get("reasoning_content") or message.get("reasoning")) or ""
    tokens = _of(_of(data, "usage"), "completion_tokens")
    counted = isinstance(tokens, int) and not isinstance(tokens, bool) and 0 <= tokens < 2**31
    reason, model = _of(choice, "finish_reason"), _of(data, "model")
    return Reply(
        text,
        f"<think>{thoughts}</think>{text}" if thoughts else text,
        tokens if counted else None,
        reason if isinstance(reason, str) and reason else "not stated",
        _whole(model) if isinstance(model, str) else "",
    )


def message_of(content: bytes) -> str:
    """Return what a server says about an error, in one line; empty if it says nothing readable.

    Example:
        >>> message_of(b'{"error": {"message": "The context is too long."}}')
        'The context is too long'
    """
    try:
        return _said(_parsed(content))
    except UnreadableReplyError:
        return ""


def without_request(said: str, request: bytes) -> str:
    """Return what a server says with […] in the place of words that it repeats from a request.

    A server may quote the prompt that it refuses, and a prompt may hold text of a report.

    Args:
        said: Message of the server.
        request: Body of the request, JSON.

    Example:
        >>> asked = b'{"messages": [{"content": [{"text": "Where is the large nodule?"}]}]}'
        >>> without_request('Bad prompt: "Where is the large nodule?" is too long', asked)
        'Bad prompt: […] is too long'
    """
    try:
        texts = _texts(_parsed(request))
    except UnreadableReplyError:
        texts = []
    asked = [_plain(word) for text in texts for word in text.split()]
    runs = {tuple(asked[k : k + _REPEATED]) for k in range(len(asked) - _REPEATED + 1)}
    words = said.split()
    plain = [_plain(word) for word in words]
    hidden = [False] * len(words)
    for k in range(len(words) - _REPEATED + 1):
        if tuple(plain[k : k + _REPEATED]) in runs:
            hidden[k : k + _REPEATED] = [True] * _REPEATED
    kept = [_HIDDEN if hide else word for word, hide in zip(words, hidden, strict=True)]
    return " ".join(
        word for k, word in enumerate(kept) if word != _HIDDEN or not k or kept[k - 1] != _HIDDEN
    )


def _texts(value: Any) -> list[str]:
    """Return the texts of a request's messages, in their order."""
    if isinstance(value, list):
        return [text for item in value for text in _texts(item)]
    if isinstance(value, Mapping):
        found = value.get("messages") or value.get("content") or value.get("text")
        return _texts(found)
    return [value] if isinstance(value, str) else []


def _plain(word: str) -> str:
    return _MARK.sub("", word.lower())


def _parsed(content: bytes) -> Any:
    try:
        return json.loads(content)
    except (ValueError, RecursionError):
        raise UnreadableReplyError("it is not JSON") from None


def _said(data: Any) -> str:
    error = _of(data, "error") or data
    said = next(
        (found for key in ("message", "detail") if isinstance(found := _of(error, key), str)),
        error if isinstance(error, str) else "",
    )
    line = " ".join(_whole(said).split()).rstrip(".")
    return line if len(line) <= 200 else f"{line[:200]} …"


def _text(value: Any) -> str | None:
    """Return a text that is given whole, or in parts of type ``text``; None counts as empty."""
    if value is None:
        return ""
    if isinstance(value, str):
        return _whole(value)
    if not isinstance(value, list):
        return None
    parts = [part if isinstance(part, str) else _of(part, "text") for part in value]
    return "".join(_whole(part) for part in parts if isinstance(part, str))


def _whole(text: str) -> str:
    """Replace halves of characters, which JSON can hold and no file can."""
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def _of(value: Any, key: str) -> Any:
    return value.get(key) if isinstance(value, Mapping) else None
