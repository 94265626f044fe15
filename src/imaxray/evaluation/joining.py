"""Finds the entry that each prediction answers, by its id or by image, task and question."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Literal

import polars as pl

from imaxray.boxes import PLACEHOLDER, BoxConvention
from imaxray.schema import ImageSize, image_sizes
from imaxray.tasks import Question, get_task

JoinBy = Literal["entry_id", "question"]

REASONS: Final[Mapping[str, str]] = {
    "other-split": "the entry is in another split",
    "unknown-id": "the dataset has no entry of this id",
    "unknown-image": "the dataset has no image of this name",
    "ambiguous-image": "several images have this name; name the folder too",
    "unknown-task": "the image has no entry of this task in the split",
    "unknown-question": "no entry of the image in the split asks this",
    "ambiguous-question": "several entries of the image ask this about different boxes; write the "
    "boxes into the question, or join by entry_id",
}
"""Why a prediction does not belong to an entry of the split."""

EXAMPLES: Final = 3
"""Number of predictions that are named for each reason."""

_MARKS: Final = re.compile(r"<\|?/?image(?:_pad|_start|_end)?\|?>|<img>.*?</img>", re.IGNORECASE)
_BLANKS: Final = re.compile(r"\s+")


@dataclass(frozen=True)
class Join:
    """Says which entries predictions answer.

    Attributes:
        by: What predictions name: ``entry_id``, or image, task and question (``question``).
        table: Columns entry_id and text, in the order of the file; a prediction that answers no
            entry of the split has the id that it states, or null.
        predictions: Number of predictions.
        joined: Number of those that belong to an entry of the split.
        doubles: Number of those whose entries all have an earlier prediction, which counts.
        reasons: Reason, a key of :data:`REASONS` → places of the predictions (from 1) without one.
    """

    by: JoinBy
    table: pl.DataFrame
    predictions: int
    joined: int
    doubles: int
    reasons: Mapping[str, Sequence[int]] = field(default_factory=dict)

    def as_dict(self) -> dict[str, Any]:
        """Return the counts, and the places of some predictions for each reason."""
        return {
            "by": self.by,
            "predictions": self.predictions,
            "joined": self.joined,
            "doubles": self.doubles,
            "not_joined": {
                reason: {"count": len(places), "first": list(places[:EXAMPLES])}
                for reason, places in sorted(self.reasons.items())
            },
        }


def join_predictions(
    predictions: pl.DataFrame,
    entries: pl.DataFrame,
    images: pl.DataFrame,
    convention: BoxConvention,
    *,
    split: str,
    by: JoinBy = "entry_id",
) -> Join:
    """Find the entries of a split that predictions answer.

    By ``question``, a prediction belongs to the entries of its image (and of its task, if it states
    one) whose prompt is its question. An image is named by its id, or by a path or name that no
    other image ends in. Upper case, blanks and image marks do not count, boxes of a prompt may
    stand in ``convention``, and a question may be named without the words of its template. All
    entries of one image that ask the same get the same answer.

    Args:
        predictions: Columns entry_id and text, or image, task (may be null), question and text.
        entries: Entries of all splits, schema ENTRIES.
        images: Images of the entries, schema IMAGES.
        convention: Convention in which questions may name boxes.
        split: Split that is scored.
        by: What predictions name.
    """
    if by == "entry_id":
        return _by_id(predictions, entries, split)
    index = _Questions(entries.filter(split=split), images, convention)
    ids: list[str | None] = []
    texts: list[str | None] = []
    doubles, answered = 0, set[str]()
    reasons: dict[str, list[int]] = defaultdict(list)
    rows = predictions.select("image", "task", "question", "text").iter_rows()
    for place, (image, task, question, text) in enumerate(rows, start=1):
        found = index.find(image, task, question)
        if isinstance(found, str):
            reasons[found].append(place)
            ids.append(None)
            texts.append(text)
            continue
        doubles += answered.issuperset(found)
        answered |= set(found)
        ids += found
        texts += [text] * len(found)
    table = pl.DataFrame(
        {"entry_id": ids, "text": texts}, schema={"entry_id": pl.String, "text": pl.String}
    )
    count = predictions.height
    return Join(by, table, count, count - sum(map(len, reasons.values())), doubles, reasons)


def _by_id(predictions: pl.DataFrame, entries: pl.DataFrame, split: str) -> Join:
    of_split = dict(entries.select("entry_id", "split").iter_rows())
    reasons: dict[str, list[int]] = defaultdict(list)
    for place, entry in enumerate(predictions["entry_id"], start=1):
        if of_split.get(entry) != split:
            reasons["other-split" if entry in of_split else "unknown-id"].append(place)
    count = predictions.height
    joined = count - sum(map(len, reasons.values()))
    known = predictions["entry_id"].is_in([e for e, s in of_split.items() if s == split])
    doubles = joined - predictions.filter(known)["entry_id"].n_unique()
    return Join("entry_id", predictions, count, joined, doubles, reasons)


class _Questions:
    """Finds entries of one split by image, task and question."""

    def __init__(
        self, entries: pl.DataFrame, images: pl.DataFrame, convention: BoxConvention
    ) -> None:
        self._images = _ImageNames(images.select("image_id", "path").iter_rows())
        self._tasks: dict[str, set[str]] = defaultdict(set)
        self._asked: dict[tuple[str, str], list[tuple[str, str]]] = defaultdict(list)
        self._boxed: set[tuple[str, str]] = set()  # prompts that tell entries apart by boxes only
        sizes = image_sizes(images)
        short: dict[tuple[str, str], list[tuple[str, str]]] = defaultdict(list)
        for entry in entries.iter_rows(named=True):
            image, entry_id, task = entry["image_id"], entry["entry_id"], entry["task"]
            self._tasks[image].add(task)
            question = Question.of(entry)
            for wording in _wordings(question, convention, sizes[image]):
                key = (image, plain_question(wording))
                self._asked[key].append((task, entry_id))
                if question.boxes and PLACEHOLDER in wording:
                    self._boxed.add(key)
            bare = get_task(task).fill_of(question.template, question.prompt)
            if bare:
                short[image, plain_question(bare)].append((task, entry_id))
        for key, found in short.items():
            self._asked.setdefault(key, found)

    def find(self, image: str, task: str | None, question: str) -> list[str] | str:
        """Return the ids of the entries that a prediction answers, or the reason why none."""
        known = self._images.find(image)
        if len(known) != 1:
            return "ambiguous-image" if known else "unknown-image"
        (image_id,) = known
        if image_id not in self._tasks:
            return "other-split"
        if task is not None and task not in self._tasks[image_id]:
            return "unknown-task"
        key = (image_id, plain_question(question))
        found = [entry for of, entry in self._asked.get(key, ()) if task in (None, of)]
        if not found:
            return "unknown-question"
        if len(found) > 1 and key in self._boxed:
            return "ambiguous-question"
        return found


def _wordings(question: Question, convention: BoxConvention, size: ImageSize) -> list[str]:
    """Return the prompt as the dataset has it, and with its boxes as the model was asked."""
    if not question.boxes:
        return [question.prompt]
    boxes = [(a, b, c, d) for a, b, c, d in question.boxes]
    return [question.prompt, convention.fill(question.prompt, boxes, *size)]


def plain_question(text: str) -> str:
    r"""Return a question without image marks, with single blanks and in lower case.

    Example:
        >>> plain_question("<image>\nIs  there an Effusion?")
        'is there an effusion?'
    """
    return _BLANKS.sub(" ", _MARKS.sub(" ", text)).strip().casefold()


class _ImageNames:
    """Finds images by id, path or name, with or without the ending of the file.

    A name means the images whose id or path ends in it, or else the one in whose whole id or path
    it ends: `p9/1.png` is not `p1/1.png`.
    """

    def __init__(self, images: Iterable[tuple[str, str]]) -> None:
        self._ids: set[str] = set()
        self._whole: dict[str, set[str]] = defaultdict(set)
        self._ends: dict[str, set[str]] = defaultdict(set)
        for image_id, path in images:
            self._ids.add(image_id)
            for name in (image_id, image_id.partition("/")[2], path):
                for spelling in {name, _stem(name)}:
                    self._whole[spelling].add(image_id)
                parts = name.split("/")
                for k in range(len(parts)):
                    end = "/".join(parts[k:])
                    for spelling in {end, _stem(end)}:
                        self._ends[spelling].add(image_id)

    def find(self, name: str) -> set[str]:
        """Return the images that a name may mean."""
        if name in self._ids:
            return {name}
        parts = [part for part in name.replace("\\", "/").split("/") if part not in ("", ".")]
        for k in range(len(parts)):
            end = "/".join(parts[k:])
            known = self._whole if k else self._ends
            for spelling in (end, _stem(end)):
                if spelling in known:
                    return known[spelling]
        return set()


def _stem(name: str) -> str:
    folder, slash, file = name.rpartition("/")
    stem, dot, ending = file.rpartition(".")
    # ids of DICOM have points too: only what looks like the ending of an image is one
    return f"{folder}{slash}{stem}" if dot and ending.lower() in _ENDINGS else name


_ENDINGS: Final = frozenset(
    ("png", "jpg", "jpeg", "dcm", "dicom", "tif", "tiff", "bmp", "webp", "img")
)


def why_not_joined(reasons: Mapping[str, Any]) -> list[str]:
    """Return one sentence per reason of ``not_joined`` of a result.

    Example:
        >>> why_not_joined({"unknown-id": {"count": 2, "first": [1, 9]}})
        ['2 predictions (number 1, 9): the dataset has no entry of this id.']
    """
    said = []
    for reason, of_reason in reasons.items():
        count, first = of_reason["count"], of_reason["first"]
        places = ", ".join(map(str, first)) + (" …" if count > len(first) else "")
        noun = "prediction" if count == 1 else "predictions"
        said.append(f"{count:,} {noun} (number {places}): {REASONS[reason]}.")
    return said
