"""Renders the entries of an image as a model gets them: text, boxes, image tokens, packed rows."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import polars as pl

from imaxray.errors import ImaxrayError
from imaxray.schema import ImageSize

if TYPE_CHECKING:
    from imaxray.models.outline import Outline


class Renderer:
    """Renders entries for some models; the latest model is remembered, without its weights.

    Args:
        models: Name → run folder, registry name, or folder of a model.
    """

    def __init__(self, models: Mapping[str, str]) -> None:
        self._models = models
        self._lock = threading.Lock()
        self._latest: tuple[str, Outline] | None = None

    def render(self, name: str, entries: pl.DataFrame, size: ImageSize) -> dict[str, Any]:
        """Return the entries of one image as text and tokens, and the rows that hold them.

        Args:
            name: Name of the model.
            entries: Entries of the image, schema ENTRIES.
            size: Width and height of the image in pixels.

        Raises:
            ImaxrayError: If the model is not one of those named at the start, or its files are not
                on this machine. An entry that cannot be rendered has a key ``problem`` instead.
        """
        if name not in self._models:
            raise ImaxrayError(
                f"Expected one of the models {', '.join(self._models) or 'none'}, but got another "
                "name; name it with --model when the viewer is started."
            )
        with self._lock:  # a processor is not made for several threads
            if self._latest is None or self._latest[0] != name:
                self._latest = None
                self._latest = (name, _outline(self._models[name]))
            return _rendered(self._latest[1], entries, size)


def _outline(model: str) -> Outline:
    try:
        from imaxray.models.outline import outline_model
        from imaxray.training.runs.finished import weights_of
    except ImportError as error:
        raise ImaxrayError(
            f"Expected the package {error.name} to render entries, but it is not installed; run "
            "pip install 'imaxray[train]'."
        ) from error
    return outline_model(weights_of(model))


def _rendered(outline: Outline, entries: pl.DataFrame, size: ImageSize) -> dict[str, Any]:
    from imaxray.packing import lay_out

    chat, exact = outline.chat, outline.source == "files"
    found: list[dict[str, Any]] = []
    encoded, unshown = [], []
    for entry in entries.iter_rows(named=True):
        boxes = [(b[0], b[1], b[2], b[3]) for b in entry["boxes"] or []]
        named = {"entry_id": entry["entry_id"], "task": entry["task"]}
        try:
            one = chat.encode(entry["prompt"], entry["target"], boxes, size)
            question, answer = chat.written(entry["prompt"], entry["target"], boxes, size)
        except ImaxrayError as error:  # of this entry alone; the others are shown
            unshown.append({**named, "problem": str(error)})
            continue
        encoded.append(one)
        found.append(
            {
                **named,
                "prompt": _pieces(chat, one.prompt) if exact else _text(chat, question, size),
                "target": _decoded(chat, one.target) if exact else chat.shown(answer or ""),
                "prompt_tokens": len(one.prompt),
                "target_tokens": len(one.target),
            }
        )
    plan = lay_out([encoded], chat.image_token, context=chat.context_length)
    rows, at = [], 0
    for row in plan.rows:
        members = [number for _, number in plan.entries[at : at + row.entries]]
        at += row.entries
        shared = row.segments.count(0) if row.entries > 1 else 0
        parts = []
        for place, number in enumerate(members):
            own = row.segments.count(place + 1) if row.entries > 1 else len(row)
            parts.append({k: found[number][k] for k in ("entry_id", "task")} | {"tokens": own})
        rows.append(
            {
                "tokens": len(row),
                "shared": shared,
                "entries": [part["entry_id"] for part in parts],
                "parts": parts,
            }
        )
    first = encoded[0].prompt if encoded else []
    places = [place for place, token in enumerate(first) if token == chat.image_token]
    return {
        "model": chat.name,
        "family": chat.family,
        "exact": exact,
        "convention": chat.convention.name,
        "image_tokens": len(places),
        "image_span": [places[0], places[-1]] if places else [0, 0],
        "entries": [*found, *unshown],
        "rows": rows,
        "dropped": [found[one.entry[1]]["entry_id"] for one in plan.dropped],
    }


def _pieces(chat: Any, ids: list[int]) -> list[dict[str, Any]]:
    """Return a prompt as texts, with the number of tokens where the image stands."""
    pieces: list[dict[str, Any]] = []
    text: list[int] = []
    for token in ids:
        if token != chat.image_token:
            text.append(token)
            continue
        if text or not pieces:
            pieces += [{"text": _decoded(chat, text)}] if text else []
            pieces.append({"image": 0})
            text = []
        pieces[-1]["image"] += 1
    return [*pieces, {"text": _decoded(chat, text)}] if text else pieces


def _decoded(chat: Any, ids: list[int]) -> str:
    return str(chat.tokenizer.decode(ids, skip_special_tokens=False))


def _text(chat: Any, question: str, size: ImageSize) -> list[dict[str, Any]]:
    """Return a prompt of a model whose vocabulary is not here, from its chat template."""
    before, _, after = chat.chat(question).partition(chat.processor.image_token)
    return [
        {"text": chat.shown(before)},
        {"image": chat.image_tokens(size)},
        {"text": chat.shown(after)},
    ]
