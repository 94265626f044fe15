"""Turns what an external annotator states into candidates and calibration answers.

The facts become entries as annotations of a release do (:meth:`imaxray.tasks.Task.entries`), so an
annotator states its own questions: phrases of its regions, names of its ratios. Facts about train
images become candidates unless the image's own entries answer them. Facts about validation images
answer the real validation entries that ask the same, and so calibrate the annotator.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Final

import numpy as np
import polars as pl
from numpy.typing import NDArray

from imaxray import radiograph
from imaxray._common.plugins import running
from imaxray._version import __version__
from imaxray.boxes import PLACEHOLDER
from imaxray.cache import ImageStore
from imaxray.curation import Dataset
from imaxray.errors import ImaxrayError
from imaxray.evaluation.generation import versions
from imaxray.progress import progress_bar
from imaxray.pseudo.annotating.batch import make_book, some_entries
from imaxray.pseudo.annotating.config import AnnotateConfig
from imaxray.pseudo.annotating.known import KnownFacts, without_derived
from imaxray.pseudo.annotating.model_answers import Share, account_of, identity_of_question
from imaxray.pseudo.annotating.prompts import LeftOut, pseudo_id
from imaxray.pseudo.annotating.store import CALIBRATION, CANDIDATES, AnnotationStore
from imaxray.pseudo.annotators import Annotator, ImageRequest, Stated
from imaxray.pseudo.table import PSEUDO
from imaxray.schema import (
    ANNOTATIONS,
    IS_PSEUDO,
    KINDS,
    PSEUDO_SOURCE,
    Boxes,
    conform,
    mark_pseudo,
)
from imaxray.tasks import Question, from_json, get_task

_LEAST: Final = 1e-12  # score; its logarithm must be finite


def answer_by_annotator(
    annotator: Annotator, dataset: Dataset, out: Path, config: AnnotateConfig, share: Share
) -> AnnotationStore:
    """Let an annotator state its share of the tasks, or continue to do so.

    Args:
        annotator: The annotator.
        dataset: Dataset whose images lack tasks.
        out: Folder to write.
        config: Options of the annotation; only its limits, batch size and tasks are used.
        share: Tasks of this annotator.

    Raises:
        ImaxrayError: The annotator fails or states something impossible, or ``out`` holds other
            annotations.
    """
    identity = {
        "model": {**identity_of(annotator), "commit": None},
        **identity_of_question(dataset, config),
        "tasks": dict(share.keys),
    }
    store = AnnotationStore(out, identity, {"imaxray": __version__, "versions": versions()})
    if not store.finished:
        _Answers(annotator, dataset, config, share).fill(store)
    return store


def identity_of(annotator: Annotator) -> dict[str, Any]:
    """Return what decides the facts of an annotator, apart from the images."""
    with running(annotator.plugin, "digest"):
        weights = annotator.digest()
    return {"name": annotator.name, "weights": f"{annotator.version} {weights}".strip()}


class _Answers:
    def __init__(
        self, annotator: Annotator, dataset: Dataset, config: AnnotateConfig, share: Share
    ) -> None:
        tables = dataset.tables
        self._annotator, self._config, self._tasks = annotator, config, share.tasks
        self._images = {row["image_id"]: row for row in tables.images.iter_rows(named=True)}
        self._frame, self._store = tables.images, ImageStore(dataset)
        self._names = Counter(image.rsplit("/", 1)[-1] for image in self._images)
        self._checkpoint = identity_of(annotator)["weights"]
        self._reports = _reports(tables.entries)
        self._known = KnownFacts(tables.split("train"), dataset.clinical)
        self._book = make_book(tables, config, tasks=share.tasks, clinical=dataset.clinical)
        self._all, self._excluded = self._book.images(config.limit, config.tasks)
        self._lacking = [image for image in self._all if self._book.lacks(image)]
        val = tables.split("val").filter(pl.col("task").is_in(self._tasks))
        self._val = some_entries(val, config)

    def fill(self, store: AnnotationStore) -> None:
        """Make the missing parts, then the tables.

        Statements that the image's own entries make already are parts of their own, which are
        counted at the end.
        """
        of = {
            CANDIDATES: self._batches(CANDIDATES, self._lacking),
            CALIBRATION: self._batches(CALIBRATION, sorted(set(self._val["image_id"]))),
        }
        names = [name for batches in of.values() for name in batches]
        missing = store.missing(names)
        with progress_bar(f"Asking {self._annotator.name}", total=len(names)) as bar:
            bar.advance(len(names) - len(missing))
            for name in missing:
                if name in of[CANDIDATES]:
                    new, known = self._candidates(of[CANDIDATES][name])
                    store.add(_known(name), known)
                    store.add(name, new)
                else:
                    store.add(name, self._calibration(of[CALIBRATION][name]))
                bar.advance(1)
        table, known = store.rows(list(of[CANDIDATES])), store.rows([*map(_known, of[CANDIDATES])])
        left_out: LeftOut = LeftOut()
        left_out.update(known.select("task", "text").iter_rows())
        account = account_of(
            self._book, self._lacking, self._tasks, table, left_out,
            total=len(self._all), excluded=self._excluded,
        )  # fmt: skip
        store.add_to_manifest({"account": account})
        store.finish(list(of[CANDIDATES]), list(of[CALIBRATION]))

    def _batches(self, stem: str, images: Sequence[str]) -> dict[str, Sequence[str]]:
        size = self._config.images_per_batch
        return {
            f"{stem}-{start // size:06}": images[start : start + size]
            for start in range(0, len(images), size)
        }

    def _candidates(self, images: Sequence[str]) -> tuple[pl.DataFrame, pl.DataFrame]:
        """Return the new statements about images, and those that their own entries make."""
        new, known = [], []
        for entry, score in self._entries(images):
            image, task = entry["image_id"], entry["task"]
            if task not in self._book.lacks(image):
                continue
            question = Question.of(entry)
            boxes = [(box[0], box[1], box[2], box[3]) for box in question.boxes]
            name = pseudo_id(image, task, entry["template"], entry["prompt"], boxes)
            row = self._row(entry, name, score)
            if (reason := self._known.reason(image, task, question)) is None:
                new.append(row)
            else:
                known.append({**row, "text": reason})
        return _table(new), _table(known)

    def _calibration(self, images: Sequence[str]) -> pl.DataFrame:
        """Return the answers to the real entries of validation images that ask what is stated."""
        stated: dict[tuple[str, str], list[tuple[dict[str, Any], float]]] = {}
        for entry, score in self._entries(images):
            stated.setdefault((entry["image_id"], entry["task"]), []).append((entry, score))
        rows = []
        for real in self._val.filter(pl.col("image_id").is_in(images)).iter_rows(named=True):
            mine, judge = Question.of(real), get_task(real["task"])
            others = stated.get((real["image_id"], real["task"]), [])
            agreed = [(judge.same_question(mine, Question.of(e)), e, score) for e, score in others]
            fit, entry, score = max(agreed, key=lambda one: one[0], default=(0.0, {}, 0.0))
            if fit > 0:
                asked = {**real, "target": entry["target"], "answer": entry["answer"]}
                asked["boxes"] = [*mine.boxes, *_answer_boxes(entry)]
                rows.append(self._row(asked, real["entry_id"], score))
        return _table(rows)

    def _row(self, entry: Mapping[str, Any], name: str, score: float) -> dict[str, Any]:
        same = ("image_id", "patient_id", "task", "prompt", "target", "boxes", "answer", "template")
        return {
            **{key: entry[key] for key in same},
            "pseudo_id": name, "prompt_from": "annotator", "text": entry["target"], "raw": "",
            "tokens": 0, "ended": True, "logprob": math.log(max(score, _LEAST)),
            "agreement": 1.0 if self._config.samples else None,
            "model": self._annotator.name, "checkpoint": self._checkpoint, "decoding": "{}",
            "round": self._config.round,
        }  # fmt: skip

    def _entries(self, images: Sequence[str]) -> Iterator[tuple[dict[str, Any], float]]:
        """Yield the entries that the facts about images make, each with its lowest score."""
        facts = self._facts(images)
        scores: dict[tuple[Any, ...], float] = {}
        for fact in facts:
            key = (fact.image_id, *_subject(fact.kind, fact.name, fact.text))
            scores[key] = min(scores.get(key, 1.0), 1.0 if fact.score is None else fact.score)
        annotations, about = (
            _annotations(facts, self._annotator.name),
            self._frame.filter(pl.col("image_id").is_in(images)),
        )
        for task in map(get_task, self._tasks):
            for entry in task.entries(annotations, about).iter_rows(named=True):
                stated = task.facts(Question.of(entry), from_json(entry["answer"]))
                keys = [
                    (entry["image_id"], *_subject(f["kind"], f.get("name"), f.get("text")))
                    for f in stated
                ]
                yield entry, min((scores.get(key, 1.0) for key in keys), default=1.0)

    def _facts(self, images: Sequence[str]) -> list[Stated]:
        annotator = self._annotator
        with running(annotator.plugin, "annotate"):
            facts = list(annotator.annotate([self._request(image) for image in images]))
        wanted = set(images)
        for fact in facts:
            if (wrong := _wrong(fact, wanted)) is not None:
                if annotator.plugin is not None:
                    raise annotator.plugin.unfit(wrong)
                raise ImaxrayError(f"Expected facts of {annotator.name}, but {wrong}.")
        return facts

    def _request(self, image: str) -> ImageRequest:
        row = self._images[image]
        return ImageRequest(
            image, row["width"], row["height"], row["view"], self._reports.get(image),
            partial(self._pixels, image), self._names[image.rsplit("/", 1)[-1]] == 1,
        )  # fmt: skip

    def _pixels(self, image: str) -> NDArray[np.uint8]:
        return radiograph.load(self._store(image))


def _known(name: str) -> str:
    return f"known-{name}"


def _wrong(fact: Any, images: Collection[str]) -> str | None:
    """Return what is wrong with a fact, as the end of a sentence; ``None`` if it can be used."""
    if not isinstance(fact, Stated):
        return f"it stated {type(fact).__name__}, which is no imaxray.pseudo.Stated"
    if fact.image_id not in images:
        return f"it stated a fact about {fact.image_id}, which it was not given"
    if fact.kind not in KINDS:
        return f"it stated a fact of the kind {fact.kind}; choose from {', '.join(KINDS)}"
    if fact.score is not None and not 0 <= fact.score <= 1:
        return f"it gave the score {fact.score}, which does not lie between 0 and 1"
    return None


def _subject(kind: str, name: str | None, text: str | None) -> tuple[str, str]:
    """Return what the score of a fact belongs to: a name, or a phrase or question."""
    return kind, (text or "").lower() if kind in ("region", "qa") else str(name)


def _answer_boxes(entry: Mapping[str, Any]) -> list[list[float]]:
    boxes: list[list[float]] = entry["boxes"] or []
    return boxes[entry["prompt"].count(PLACEHOLDER) :]


def _reports(entries: pl.DataFrame) -> dict[str, str]:
    """Return the text of the report entry of each image, unless a model wrote it."""
    real = mark_pseudo(without_derived(entries)).filter(
        ~pl.col(IS_PSEUDO), pl.col("task") == "report", pl.col("split").is_in(["train", "val"])
    )
    rows = real.sort("entry_id").select("image_id", "answer").iter_rows()
    return {image: "\n".join(from_json(answer).values()) for image, answer in rows}


def _annotations(facts: Iterable[Stated], name: str) -> pl.DataFrame:
    """Return facts as annotations (schema ANNOTATIONS), in a fixed order."""
    rows = [
        (f.image_id, f.kind, f.name, f.value, f.text, _floats(f.boxes), f.answers, "pseudo", name,
         PSEUDO_SOURCE, name, 0)
        for f in facts
    ]  # fmt: skip
    schema: Any = {
        "image_id": pl.String, "kind": pl.String, "name": pl.String, "value": pl.Float64,
        "text": pl.String, "boxes": Boxes, "answers": pl.List(pl.String), "origin": pl.String,
        "quality": pl.String, "source": pl.String, "file": pl.String, "row": pl.Int64,
    }  # fmt: skip
    frame = pl.DataFrame(rows, schema=schema, orient="row")
    return conform(frame, ANNOTATIONS).sort("image_id", "kind", "name", "text", maintain_order=True)


def _floats(boxes: Sequence[Sequence[float]] | None) -> list[list[float]] | None:
    """Return boxes as floats, since an annotator may give whole numbers too."""
    return None if boxes is None else [[float(edge) for edge in box] for box in boxes]


def _table(rows: Sequence[Mapping[str, Any]]) -> pl.DataFrame:
    schema = pl.Schema({**PSEUDO, "prompt_from": pl.String()})
    frame = pl.DataFrame(rows, schema=schema, infer_schema_length=None)
    return conform(frame, PSEUDO).unique("pseudo_id", keep="first").sort("pseudo_id")
