"""Reads MIMIC-Ext-CXR-QBA 1.0.0: questions answered in sentences, and observations with boxes."""

from __future__ import annotations

import functools
import re
from array import array
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Executor
from pathlib import Path
from typing import Any, Final

import numpy as np
import polars as pl
from numpy.typing import NDArray

from imaxray.schema import REJECTS, SOURCE_ANNOTATIONS, conform
from imaxray.sources._shared.base import Source
from imaxray.sources._shared.collections import mimic
from imaxray.sources._shared.collections.question_boxes import (
    GRADES,
    Observation,
    StudyQuestion,
    grade_of,
    main_answer,
    parse_graph,
    parse_questions,
    place_grade,
    question_type,
    study_number,
)
from imaxray.sources._shared.files.archives import MEMBERS_PER_JOB, Archive, Member
from imaxray.sources._shared.files.columns import box_lists
from imaxray.sources._shared.files.paths import release_file, require_root
from imaxray.sources._shared.files.tables import read_csv
from imaxray.sources._shared.records import ReleaseFile, SourceTables

_FOLDERS: Final = ("exports/A_frontal/", "A_frontal/", "", "exports/B_frontal/", "B_frontal/")
_GRAPHS: Final = ("scene_graph", "scene_data", "scene_graphs")
_LEGEND: Final = ("quality_mappings.csv", "quality_mappings.csv.gz")

_DICOM: Final = re.compile(mimic.DICOM)
_YES_NO: Final = re.compile(r"(yes|no)\b", re.IGNORECASE)

_Reject = tuple[int, str, str, str]


class MimicExtCxrQba(Source):
    """Reads questions about studies, and the positive observations of scene graphs as regions.

    Models and templates made everything from reports and region detectors, so the origin is silver.
    ``quality`` is the publisher's grade (A++ to D, or ``unrated`` if the rating failed). For a
    question it is the overall rating. For a box it is the worse of two grades: how the box was
    found, and the rating of its observation. Numbers in place of grades are looked up in
    ``quality_mappings.csv``.

    A question is about the study and goes to its frontal images. A question of a type ``is_…`` or
    ``has_…`` whose answer begins with ``yes`` or ``no`` is closed, and that word is its answer.
    Other questions are open and are answered by the sentences of the main answer.

    If ``exports/A_frontal`` exists (grade A and better, frontal images), it is read instead of the
    whole release, because the authors do not trust the whole release's boxes on lateral images.

    Args:
        members_per_job: Number of members of an archive that are parsed per job of a worker.
    """

    name = "mimic-ext-cxr-qba"
    title = "MIMIC-Ext-CXR-QBA"
    version = "1.0.0"
    collection = mimic.COLLECTION
    tasks = ("rec", "reg", "vqa")
    access = "credentialed"
    licence = "PhysioNet Credentialed Health Data License 1.5.0"
    citation = "Müller et al., PhysioNet 2025, doi:10.13026/8qmz-da41"
    url = "https://physionet.org/content/mimic-ext-cxr-qba/1.0.0/"

    def __init__(self, members_per_job: int = MEMBERS_PER_JOB) -> None:
        self._members_per_job = members_per_job

    def check(self, root: Path) -> list[str]:
        """See :meth:`Source.check`."""
        archives = self._archives(root)
        for archive in archives:
            archive.check()
        legend = [name for name in _LEGEND if (root / name).is_file()][:1]
        return [*(archive.file for archive in archives), *legend]

    def read(self, root: Path) -> SourceTables:
        """See :meth:`Source.read`."""
        return self.read_with(root, None)

    def read_with(self, root: Path, pool: Executor | None) -> SourceTables:
        """Read the release; parse its members in ``pool`` (see :meth:`Source.read_with`)."""
        questions, graphs = self._archives(root)
        legend, files = self._legend(root)
        facts, bad = [], []
        for archive, function in ((questions, _read_questions), (graphs, _read_graphs)):
            count, parts = archive.map(
                functools.partial(function, legend=legend),
                pool,
                members_per_job=self._members_per_job,
            )
            facts.append(_annotations(parts, self.name, archive.file, function is _read_graphs))
            bad += [(self.name, archive.file, *item) for part in parts for item in part.bad]
            files.append(archive.release_file(count))
        return SourceTables(
            annotations=pl.concat(facts),
            rejects=pl.DataFrame(bad, schema=REJECTS, orient="row"),
            files=tuple(files),
        )

    def _archives(self, root: Path) -> tuple[Archive, Archive]:
        require_root(root, self.name)
        folder = next(
            (f for f in _FOLDERS if (root / f"{f}qa.zip").is_file() or (root / f"{f}qa").is_dir()),
            "",
        )
        graphs = [f"{folder}{name}" for name in _GRAPHS]
        return (
            Archive(root, (f"{folder}qa.zip",), (f"{folder}qa",), ".qa.json", self.name),
            Archive(
                root, [f"{name}.zip" for name in graphs], graphs, ".scene_graph.json", self.name
            ),
        )

    def _legend(self, root: Path) -> tuple[dict[str, str], list[ReleaseFile]]:
        """Return the grades of rating codes from ``quality_mappings.csv``, if the file exists.

        The columns of the file are not documented. A row explains a code if it has a field that
        ends in ``rating``, exactly one whole number and exactly one grade.
        """
        path = next((root / name for name in _LEGEND if (root / name).is_file()), None)
        if path is None:
            return {}, []
        legend = {}
        for _, *cells in read_csv(path, (), strict=True).rows():
            grades = [cell for cell in cells if cell in GRADES]
            codes = [cell for cell in cells if re.fullmatch(r"-?\d+", cell or "")]
            field = any((cell or "").rpartition(".")[2] == "rating" for cell in cells)
            if field and len(grades) == len(codes) == 1:
                legend[codes[0]] = grades[0]
        # The number of rows is 0, because a legend has no data rows; the file is listed because its
        # bytes decide the grades.
        return legend, [release_file(path, root, self.name, 0)]


class _Part:
    """Collects the facts of a few thousand studies in columns; strings are stored as numbers."""

    def __init__(self) -> None:
        self.bad: list[_Reject] = []
        self.columns: dict[str, Any] = {
            name: array("I") for name in ("owner", "name", "text", "answer", "quality", "row")
        }
        self.closed: Any = array("d")
        self.corners: Any = array("d")
        self.counts: Any = array("q")
        self.pools: dict[str, pl.Series] = {}  # set by finish
        self._number: dict[str, dict[str | None, int]] = {"id": {}, "label": {}, "word": {}}

    def add(
        self, row: int, owner: str, name: str | None, text: str, quality: str, answer: str = ""
    ) -> None:
        """Add the fields that every fact has; the caller adds ``closed`` or boxes."""
        values = (
            ("owner", "id", owner), ("name", "label", name), ("text", "word", text),
            ("answer", "word", answer), ("quality", "label", quality),
        )  # fmt: skip
        for column, pool, value in values:
            number = self._number[pool]
            self.columns[column].append(number.setdefault(value, len(number)))
        self.columns["row"].append(row)

    def finish(self) -> _Part:
        """Convert the strings to series, which are small and cheap to send to another process."""
        self.pools = {k: pl.Series(list(v), dtype=pl.String) for k, v in self._number.items()}
        self._number = {}
        return self


def _read_questions(members: Iterator[Member], legend: Mapping[str, str]) -> _Part:
    part = _Part()
    for row, name, content in members:
        study = None if content is None else parse_questions(content)
        number = None if study is None else study_number(study.study_id)
        if study is None or number is None:
            part.bad.append(_unreadable(row, name, study is None))
            continue
        if not study.questions:
            part.bad.append((row, name, "no-question", "the study has no question"))
        for k, item in enumerate(study.questions, start=1):
            if item is None:
                what = "the question is not of the documented types"
                part.bad.append((row, f"s{number}/{k}", "bad-value", what))
            else:
                _question(part, row, f"s{number}/{k}", f"{mimic.COLLECTION}/{number}", item, legend)
    return part.finish()


def _question(
    part: _Part, row: int, key: str, study: str, item: StudyQuestion, legend: Mapping[str, str]
) -> None:
    """Add one question about ``study``, or a reject if it has no text."""
    text, answer, kind = " ".join(item.question.split()), main_answer(item), question_type(item)
    if not text or not answer:
        part.bad.append((row, key, "empty-text", "the question or the answer is empty"))
        return
    closed = _YES_NO.match(answer) if kind.startswith(("is_", "has_")) else None
    said = answer if closed is None else closed.group(1).lower()
    part.add(row, study, kind, text, grade_of(item.question_quality, legend), said)
    part.closed.append(float(closed is not None))


def _read_graphs(members: Iterator[Member], legend: Mapping[str, str]) -> _Part:
    part = _Part()
    for row, name, content in members:
        graph = None if content is None else parse_graph(content)
        number = None if graph is None else study_number(graph.study_id)
        if graph is None or number is None:
            part.bad.append(_unreadable(row, name, graph is None))
            continue
        before = len(part.counts) + len(part.bad)
        for key, item in graph.observations.items():
            if item is None:
                what = "the observation is not of the documented types"
                part.bad.append((row, f"s{number}/{key[:16]}", "bad-value", what))
            elif item.positiveness == "pos":
                _observation(part, row, f"s{number}/{key[:16]}", item, legend)
            elif item.positiveness != "neg":
                what = "the observation is neither positive nor negative"
                part.bad.append((row, f"s{number}/{key[:16]}", "unknown-label", what))
        if len(part.counts) + len(part.bad) == before:
            part.bad.append((row, name, "no-box", "no observation of the study is positive"))
    return part.finish()


def _observation(
    part: _Part, row: int, key: str, item: Observation, legend: Mapping[str, str]
) -> None:
    """Add a positive observation to every image on which it has a box."""
    phrase = " ".join((item.name or item.summary_sentence or "").split()).rstrip(".")
    if not phrase:
        part.bad.append((row, key, "empty-text", "the observation has no words"))
        return
    boxed = {i: place for i, place in (item.localization or {}).items() if place.bboxes}
    if not boxed:
        part.bad.append((row, key, "no-box", "a positive observation has no box"))
    name = ", ".join(item.obs_entities or ()) or None
    grade = grade_of(item.obs_quality, legend)
    for image, place in boxed.items():
        dicom = _DICOM.search(image.lower())
        if dicom is None:
            part.bad.append((row, key, "bad-id", "the box's image id is none of MIMIC's"))
            continue
        boxes = place.bboxes or []
        solid = [box for box in boxes if box[0] < box[2] and box[1] < box[3]]
        if len(solid) < len(boxes):
            part.bad.append((row, key, "zero-area-box", "the box has no area"))
        if solid:
            owner = f"{mimic.COLLECTION}/{dicom.group(1)}"
            part.add(row, owner, name, phrase, place_grade(place, grade))
            part.counts.append(len(solid))
            for box in solid:
                part.corners.extend(box)


def _unreadable(row: int, name: str, damaged: bool) -> _Reject:
    if damaged:
        return row, name, "bad-json", "the member is no readable study"
    return row, name, "bad-id", "study_id is none of MIMIC's"


def _annotations(parts: Sequence[_Part], source: str, file: str, regions: bool) -> pl.DataFrame:
    def strings(pool: str, column: str, *, few: bool = False) -> pl.Series:
        series = [part.pools[pool] for part in parts]
        starts = np.cumsum([0, *(len(s) for s in series[:-1])])
        numbers = [
            np.asarray(part.columns[column], dtype=np.uint32) + np.uint32(start)
            for part, start in zip(parts, starts, strict=True)
        ]
        whole = pl.concat(series, rechunk=True)
        return (whole.cast(pl.Categorical()) if few else whole).gather(np.concatenate(numbers))

    columns: dict[str, Any] = {
        "name": strings("label", "name", few=True),
        "text": strings("word", "text"),
        "quality": strings("label", "quality", few=True),
        "row": _joined(part.columns["row"] for part in parts).astype(np.int64),
    }
    if regions:
        columns["image_id"] = strings("id", "owner")
        columns["boxes"] = box_lists(
            _joined(part.corners for part in parts),
            _joined(part.counts for part in parts).astype(np.int64),
        )
    else:
        columns["study_id"] = strings("id", "owner")
        columns["value"] = _joined(part.closed for part in parts)
        answers = strings("word", "answer").to_frame("answer")
        columns["answers"] = answers.select(pl.concat_list("answer")).to_series()
    kind = "region" if regions else "qa"
    frame = pl.DataFrame(columns).with_columns(
        pl.lit(kind, dtype=SOURCE_ANNOTATIONS["kind"]).alias("kind"),
        pl.lit("silver", dtype=SOURCE_ANNOTATIONS["origin"]).alias("origin"),
        pl.lit(source, dtype=pl.Categorical()).alias("source"),
        pl.lit(file, dtype=pl.Categorical()).alias("file"),
    )
    return conform(frame, SOURCE_ANNOTATIONS)


def _joined(columns: Iterable[Any]) -> NDArray[np.float64]:
    return np.concatenate([np.asarray(column, dtype=np.float64) for column in columns])
