"""Arranges all entries of an image as one multi-turn chat, as most tools do today.

This objective differs from that of the other layouts. A later turn sees the earlier questions and
answers, so the model can copy an answer from an earlier turn instead of reading the image. The loss
is computed on the answers only and every entry has the same weight, as in all layouts.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import polars as pl

from imaxray.boxes import Box
from imaxray.errors import ImaxrayError
from imaxray.models import ChatModel
from imaxray.packing import Group, Row
from imaxray.schema import image_sizes


class Conversations:
    """Makes conversation rows of the entries of an image, in the given order.

    Args:
        chat: Model whose chat template is used.
        entries: Entries with schema ENTRIES.
        images: Images with schema IMAGES.
    """

    def __init__(self, chat: ChatModel, entries: pl.DataFrame, images: pl.DataFrame) -> None:
        self._chat = chat
        self._text = entries.select("image_id", "prompt", "target", "boxes")
        self._place = {e: k for k, e in enumerate(entries["entry_id"])}
        self._sizes = image_sizes(images)

    def rows(
        self,
        entry_ids: Sequence[str],
        limit: int | None = None,
        moved: Mapping[str, Sequence[Box]] | None = None,
    ) -> Iterator[tuple[Row, list[str]]]:
        """Yield one row for an image's entries, or several if it would exceed ``limit`` tokens.

        Args:
            entry_ids: Entries of one image, in the order of the turns.
            limit: Maximum number of tokens of a row; default: the context of the model.
            moved: Boxes of entries that have moved with the image, by entry id.

        Raises:
            ImaxrayError: If the chat template changes earlier turns, so that the answers cannot be
                located in the whole conversation.
        """
        row = self._row(entry_ids, moved or {})
        most = min(self._chat.context_length, limit or self._chat.context_length)
        if len(row) <= most or len(entry_ids) == 1:
            yield row, list(entry_ids)
            return
        half = len(entry_ids) // 2
        yield from self.rows(entry_ids[:half], limit, moved)
        yield from self.rows(entry_ids[half:], limit, moved)

    def _row(self, entry_ids: Sequence[str], moved: Mapping[str, Sequence[Box]]) -> Row:
        chat = self._chat
        turns: list[dict[str, Any]] = []
        spans: list[tuple[int, int]] = []
        ids: list[int] = []
        for entry_id in entry_ids:
            image_id, prompt, target, boxes = self._text.row(self._place[entry_id])
            size = self._sizes[image_id]
            boxes = moved.get(entry_id, boxes or [])
            question, answer = chat.written(prompt, target, boxes, size)
            assert answer is not None  # because there is a target
            content = [] if turns else [{"type": "image"}]
            turns.append({"role": "user", "content": [*content, _text(question)]})
            head = self._ids(turns, size, answering=True)
            turns.append({"role": "assistant", "content": [_text(answer)]})
            whole = self._ids(turns, size, answering=False)
            earlier = spans[-1][1] if spans else 0
            if whole[: len(head)] != head or head[:earlier] != ids[:earlier]:
                raise ImaxrayError(
                    f"Expected a chat template that leaves earlier turns as they were, but that of "
                    f"{chat.name} does not; train it with --layout packed or separate."
                )
            end = chat.end_of_turn
            stop = whole.index(end, len(head)) + 1 if end in whole[len(head) :] else len(whole)
            spans.append((len(head), stop))
            ids = whole
        ids = ids[: spans[-1][1]]
        owner = [-1] * len(ids)
        for index, (start, stop) in enumerate(spans):
            owner[start:stop] = [index] * (stop - start)
        length = len(ids)
        zeros = [0] * length
        group = (Group(0, length, length),)
        return Row(ids, zeros, zeros, list(range(length)), owner, len(spans), group)

    def _ids(
        self, turns: list[dict[str, Any]], size: tuple[int, int], answering: bool
    ) -> list[int]:
        return self._chat.tokens(self._chat.render(turns, answering=answering), size)


def _text(text: str) -> dict[str, str]:
    return {"type": "text", "text": text}
