"""Collects everything that is known about one image, as plain values for its page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from imaxray.boxes import PERCENT, PLACEHOLDER, Box, split_boxes
from imaxray.errors import ImaxrayError
from imaxray.marks import fact_digest
from imaxray.schema import EDEMA_GRADES, ImageSize, is_disputed
from imaxray.sources import get_source, published_sources
from imaxray.tasks import RULES, from_json, get_task, read_answer
from imaxray.viewer.viewed import ViewedDataset

if TYPE_CHECKING:
    from imaxray.evaluation.comparing.run_answers import RunAnswers

_LABELS: Final = {1.0: "positive", 0.0: "negative", -1.0: "uncertain"}
_OPEN: Final = {1.0: "closed question", 0.0: "open question"}


def image_page(
    data: ViewedDataset, image_id: str, arms: Mapping[str, RunAnswers]
) -> dict[str, Any]:
    """Return everything that is known about an image.

    Args:
        data: Dataset of the image.
        image_id: Id of the image.
        arms: Answers of the arms, whose conventions say how their boxes are read.

    Raises:
        ImaxrayError: If there is no such image, or a table is damaged.
    """
    row = data.image(image_id)
    file, why = data.image_file(row)
    size = (row["width"], row["height"])
    image, annotations = data.provenance(row), _annotations(data, image_id)
    return {
        "image": {**image, "pixels": file is not None, "why_not": why},
        "releases": _releases(data, [image, *annotations]),
        "annotations": annotations,
        "conflicts": data.conflicts(image_id),
        "rejects": data.rejects(row),
        "entries": _entries(data, row, size, arms),
        "candidates": [_candidate(one) for one in data.proposed(image_id)],
    }


def _releases(data: ViewedDataset, rows: Sequence[Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
    """Return title, version and files of each release that rows come from."""
    known, named = published_sources(), {(row["source"], row["file"]) for row in rows}
    found: dict[str, dict[str, Any]] = {}
    for name in sorted({name for name, _ in named}):
        source = get_source(name) if name in known else None
        found[name] = {
            "title": name if source is None else source.title,
            "version": "" if source is None else source.version,
            "files": {},
        }
    for file in data.manifest.get("releases", []):
        if (file["source"], file["file"]) in named:
            found[file["source"]]["files"][file["file"]] = file["sha256"]
    return found


def _annotations(data: ViewedDataset, image_id: str) -> list[dict[str, Any]]:
    table = data.annotations(image_id).with_columns(is_disputed().alias("disputed"))
    rows = table.to_dicts()
    for row in rows:
        row["states"] = _states(row)
        row["fact"] = fact_digest(row)
    return rows


def _states(row: Mapping[str, Any]) -> str:
    """Return what an annotation states, in words."""
    value, kind = row["value"], row["kind"]
    if kind == "label":
        return _LABELS.get(value, str(value))
    if kind == "grade" and value is not None and 0 <= value < len(EDEMA_GRADES):
        return f"{value:g} ({EDEMA_GRADES[int(value)]})"
    if kind == "measurement" and value is not None:
        return f"{value:.4f}"
    if kind == "qa":
        answers = "; ".join(row["answers"] or ())
        return f"{row['text']} → {answers or '(no answer)'} ({_OPEN.get(value, 'question')})"
    return row["text"] or ""


def _entries(
    data: ViewedDataset,
    row: Mapping[str, Any],
    size: ImageSize,
    arms: Mapping[str, RunAnswers],
) -> list[dict[str, Any]]:
    answers = data.answers(row["image_id"])
    found = []
    for entry in data.entries(row).iter_rows(named=True):
        boxes = entry["boxes"] or []
        asked, target = split_boxes(entry["prompt"], entry["target"], boxes) or ([], [])
        found.append(
            {
                **entry,
                "prompt": PERCENT.fill(entry["prompt"], asked, *size),
                "target": PERCENT.fill(entry["target"], target, *size),
                "prompt_boxes": asked,
                "target_boxes": target,
                "answers": [
                    _answer(entry, one, size, arms[one["arm"]])
                    for one in answers.get(entry["entry_id"], [])
                ],
            }
        )  # fmt: skip
    return found


def _answer(
    entry: Mapping[str, Any], answer: Mapping[str, Any], size: ImageSize, arm: RunAnswers
) -> dict[str, Any]:
    kept = {name: answer[name] for name in ("arm", "text", "answer", "right")}
    return {**kept, "boxes": answer_boxes(entry, answer["text"], size, arm)}


def answer_boxes(
    entry: Mapping[str, Any], text: str | None, size: ImageSize, arm: RunAnswers
) -> Sequence[Box]:
    """Return the boxes that an answer names, in pixels of the original image."""
    task = get_task(entry["task"])
    if text is None or not task.reads_boxes:
        return []
    convention = arm.convention or PERCENT
    rules = tuple(RULES) if arm.rules is None else arm.rules
    try:
        value = read_answer(
            task, text, entry["template"], prompt=entry["prompt"] or "", convention=convention,
            size=size, rules=rules,
        ).value  # fmt: skip
    except ImaxrayError:  # a plug-in
        return []
    return _plain_boxes(value)


def _plain_boxes(value: Any) -> list[Box]:
    """Return a parsed answer if it is a list of boxes."""
    boxes = value if isinstance(value, list | tuple) else []
    return [
        (float(b[0]), float(b[1]), float(b[2]), float(b[3]))
        for b in boxes
        if isinstance(b, list | tuple) and len(b) == 4
    ]


def _candidate(row: Mapping[str, Any]) -> dict[str, Any]:
    names = (
        "pseudo_id", "task", "prompt", "text", "answer", "target", "prompt_from", "logprob",
        "agreement", "ended", "model", "round",
    )  # fmt: skip
    boxes = row["boxes"] or []
    number = (row["prompt"] or "").count(PLACEHOLDER)
    readable = row["answer"] is not None
    return {
        **{name: row[name] for name in names},
        "prompt_boxes": boxes[:number],
        "target_boxes": boxes[number:] if readable else [],
        "value": from_json(row["answer"]) if readable else None,
    }
