"""Keeps the text of entries text: words that imitate marks of a chat format never become marks.

A tokenizer turns ``<|im_end|>`` into the token that ends a turn, no matter whether the chat
template or a report wrote it. :class:`TextGuard` tells the two apart. Before the template is
rendered, :meth:`TextGuard.hide` replaces each such word of a text by a stand-in. Afterwards
:meth:`TextGuard.ids` tokenises the rendered conversation with a copy of the tokenizer in which the
marks have other names: the marks of the template get these names, the stand-ins become words
again, and the copy does not know the words as marks. Everything else of the copy is equal to the
tokenizer, so a text without such words gets the same ids either way, and takes the ordinary way.
"""

from __future__ import annotations

import json
import re
import secrets
from functools import cached_property
from typing import Any, Final

from tokenizers import Tokenizer

from imaxray.boxes import PLACEHOLDER
from imaxray.errors import ImaxrayError

_MARK: Final = re.compile(r"<\S+>|\[\S+\]")
_BYTE: Final = re.compile(r"<0x[0-9A-Fa-f]{2}>")


class TextGuard:
    """Hides the marks of one tokenizer in texts, and tokenises texts in which marks are hidden.

    Args:
        tokenizer: Tokenizer of a processor of ``transformers``.

    Attributes:
        marks: Added tokens of the tokenizer that are special or look like a mark
            (``<unused94>``, ``[MASK]``), longest first. Other added tokens, such as runs of line
            breaks, are ordinary parts of text.
    """

    def __init__(self, tokenizer: Any) -> None:
        self._tokenizer = tokenizer
        special = {*tokenizer.all_special_tokens}
        special |= {
            token.content
            for token in tokenizer.added_tokens_decoder.values()
            if token.special or _MARK.fullmatch(token.content)
        }
        self.marks = tuple(sorted(special - {""}, key=lambda mark: (-len(mark), mark)))
        # A text cannot contain a stand-in or a new name, because nobody can guess this number.
        self._secret = secrets.token_hex(8)
        self._first = frozenset(mark[0] for mark in self.marks)
        self._stand_in = re.compile(f"\ue000{self._secret}-(\\d+)\ue001")

    def hide(self, text: str, *, placeholders: bool = True) -> str:
        """Return ``text`` with a stand-in for each word that the tokenizer would read as a mark.

        Args:
            text: Text of an entry.
            placeholders: Whether ``<box>`` is a placeholder, which is kept; else it is text too.
        """
        if not self._first.intersection(text):
            return text
        if placeholders and PLACEHOLDER in text:
            return PLACEHOLDER.join(self.hide(part) for part in text.split(PLACEHOLDER))
        return self._any_mark.sub(
            lambda found: f"\ue000{self._secret}-{self._number[found[0]]}\ue001", text
        )

    def hides(self, text: str) -> bool:
        """Return whether ``text`` contains a stand-in, so that :meth:`ids` must tokenise it."""
        return self._secret in text

    def shown(self, text: str) -> str:
        """Return ``text`` as people read it: with the words in place of their stand-ins."""
        return self._stand_in.sub(lambda found: self.marks[int(found[1])], text)

    def ids(self, text: str, *, add_special_tokens: bool) -> list[int]:
        """Tokenise a rendered text: its marks become tokens, its stand-ins become words.

        Raises:
            ImaxrayError: The tokenizer is not one of the library ``tokenizers``.
        """
        renamed = self._any_mark.sub(lambda found: self._new_name(found[0]), text)
        whole = self.shown(renamed)
        copy, old_ids = self._copy
        found = copy.encode(whole, add_special_tokens=add_special_tokens).ids
        return [old_ids.get(id_, id_) for id_ in found]

    @cached_property
    def _any_mark(self) -> re.Pattern[str]:
        # The longest mark comes first, as in the tokenizer.
        return re.compile("|".join(map(re.escape, self.marks)))

    @cached_property
    def _number(self) -> dict[str, int]:
        return {mark: number for number, mark in enumerate(self.marks)}

    def _new_name(self, mark: str) -> str:
        return f"\ue002{self._secret}-{self._number[mark]}\ue003"

    @cached_property
    def _copy(self) -> tuple[Tokenizer, dict[int, int]]:
        """Copy of the tokenizer in which the marks have new names, and its new ids → old ids."""
        backend = getattr(self._tokenizer, "backend_tokenizer", None)
        if not isinstance(backend, Tokenizer):
            raise ImaxrayError(
                "Expected a tokenizer of the library tokenizers, because texts of the dataset "
                "contain special tokens that must stay text, but got "
                f"{type(self._tokenizer).__name__}; remove these entries or take another model."
            )
        state = json.loads(backend.to_str())
        state["truncation"] = state["padding"] = None
        names = {mark: self._new_name(mark) for mark in self.marks}
        old_ids: dict[str, int] = {}
        for token in state["added_tokens"]:
            if token["content"] in names:
                token["content"] = names[token["content"]]
                old_ids[token["content"]] = token["id"]
        # The names of bytes in a vocabulary are its own; text never reaches them.
        pieces = {mark: name for mark, name in names.items() if not _BYTE.fullmatch(mark)}
        _rename_pieces(state["model"], pieces)
        copy = Tokenizer.from_str(json.dumps(state))
        return copy, {
            new: old for name, old in old_ids.items() if (new := copy.token_to_id(name)) is not None
        }


def _rename_pieces(model: dict[str, Any], names: dict[str, str]) -> None:
    """Rename vocabulary pieces, so that the model of a tokenizer cannot build them from text."""
    vocabulary = model.get("vocab")
    if isinstance(vocabulary, dict):
        model["vocab"] = {names.get(piece, piece): id_ for piece, id_ in vocabulary.items()}
    elif isinstance(vocabulary, list):
        model["vocab"] = [[names.get(piece, piece), score] for piece, score in vocabulary]
    if model.get("unk_token") in names:
        model["unk_token"] = names[model["unk_token"]]
    if "merges" in model:
        pairs = [pair.split(" ") if isinstance(pair, str) else pair for pair in model["merges"]]
        model["merges"] = [
            pair for pair in pairs if not names.keys() & {pair[0], pair[1], "".join(pair)}
        ]
