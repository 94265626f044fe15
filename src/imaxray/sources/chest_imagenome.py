"""Reads Chest ImaGenome 1.0.0: boxes of anatomical regions and the findings in them."""

from __future__ import annotations

import re
from array import array
from collections.abc import Iterator, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import numpy as np
import polars as pl
from numpy.typing import NDArray

from imaxray.schema import REJECTS, SOURCE_ANNOTATIONS, SPLIT_HINTS, Boxes, conform
from imaxray.sources._shared.base import Source
from imaxray.sources._shared.collections import mimic
from imaxray.sources._shared.collections.scene_graphs import SceneGraph, parse_graph
from imaxray.sources._shared.files.archives import Archive, Member
from imaxray.sources._shared.files.columns import provenance, reject
from imaxray.sources._shared.files.paths import find_file, relative, release_file
from imaxray.sources._shared.files.tables import check_columns, read_csv, read_header
from imaxray.sources._shared.records import SourceTables

_SUFFIX: Final = "_SceneGraph.json"
_SPLITS: Final = ("train", "valid", "test")
_KINDS: Final = ("anatomicalfinding", "disease", "tubesandlines", "device")
"""Only attributes of these categories become phrases with a box."""
_OTHERS: Final = ("laterality", "nlp", "severity", "technicalassessment", "temporal", "texture")
"""Further categories of the release; they name no finding."""

_DICOM: Final = re.compile(mimic.DICOM)
_NO_CODES: Final = np.empty(0, dtype=np.uint32)  # lets np.concatenate work without any graph

_Corners = tuple[float, float, float, float]
_Reject = tuple[int, str, str, str]


class ChestImagenome(Source):
    """Reads scene graphs, which a program made from reports and the output of a region detector.

    There are two kinds of region annotation. Each region with a box gives one with the region's
    name as phrase and the quality ``anatomy``. Each positive finding attribute gives one with the
    phrase ``<finding> in the <region>``, the region's box and the quality ``attribute``.

    Patients of ``images_to_avoid.csv`` (the gold set) go to the test split. The release's own
    train / valid / test split disagrees with MIMIC's and is not used as a split, but its lists say
    which scene graphs the archive should hold.
    """

    name = "chest-imagenome"
    title = "Chest ImaGenome"
    version = "1.0.0"
    collection = mimic.COLLECTION
    tasks = ("rec", "reg")
    access = "credentialed"
    licence = "PhysioNet Credentialed Health Data License 1.5.0"
    citation = "Wu et al., NeurIPS Datasets and Benchmarks 2021, arXiv:2108.00316"
    url = "https://physionet.org/content/chest-imagenome/1.0.0/"

    def check(self, root: Path) -> list[str]:
        """See :meth:`Source.check`."""
        archive = self._archive(root)
        archive.check()
        tables = self._tables(root)
        for path in tables.values():
            check_columns(path, read_header(path), ("subject_id", "dicom_id"))
        return [archive.file, *(relative(path, root) for path in tables.values())]

    def read(self, root: Path) -> SourceTables:
        """See :meth:`Source.read`."""
        return self.read_with(root, None)

    def read_with(self, root: Path, pool: Executor | None) -> SourceTables:
        """Read the release; parse scene graphs in ``pool`` (see :meth:`Source.read_with`)."""
        archive = self._archive(root)
        file = archive.file
        count, parts = archive.map(_read_graphs, pool)
        bad = [item for part in parts for item in part.bad]
        rejects = pl.DataFrame(
            [(self.name, file, *item) for item in bad], schema=REJECTS, orient="row"
        )
        dicoms = pl.Series([dicom for part in parts for dicom in part.dicoms], dtype=pl.String)
        hints, missing, files = self._hints(root, dicoms)
        return SourceTables(
            annotations=_annotations(parts, dicoms, self.name, file),
            hints=hints,
            rejects=pl.concat([rejects, missing]),
            files=(archive.release_file(count), *files),
        )

    def _archive(self, root: Path) -> Archive:
        return Archive(
            root,
            ("silver_dataset/scene_graph.zip", "scene_graph.zip"),
            ("silver_dataset/scene_graph", "scene_graph"),
            _SUFFIX,
            self.name,
        )

    def _tables(self, root: Path) -> dict[str, Path]:
        folder = "silver_dataset/splits"
        avoid = f"{folder}/images_to_avoid.csv"
        tables = {"avoid": find_file(root, (avoid, f"{avoid}.gz"), self.name)}
        for name in _SPLITS:
            paths = (root / folder / f"{name}.csv", root / folder / f"{name}.csv.gz")
            found = next((path for path in paths if path.is_file()), None)
            if found is not None:
                tables[name] = found
        return tables

    def _hints(
        self, root: Path, present: pl.Series
    ) -> tuple[pl.DataFrame, pl.DataFrame, list[Any]]:
        known = pl.DataFrame({"dicom_id": present}).select(
            mimic.image_id("dicom_id").alias("image_id")
        )
        hints, rejects, files = [], [], []
        for name, path in self._tables(root).items():
            table = read_csv(path, ("subject_id", "dicom_id")).with_columns(
                mimic.image_id("dicom_id").alias("image_id"),
                mimic.patient_id("subject_id").alias("patient_id"),
            )
            file = relative(path, root)
            files.append(release_file(path, root, self.name, table.height))
            where = {"source": self.name, "file": file, "key": "dicom_id"}
            legal = pl.col("image_id").is_not_null() & pl.col("patient_id").is_not_null()
            rejects.append(
                reject(table.filter(~legal), **where, code="bad-id",
                       message="subject_id or dicom_id is none of MIMIC's")
            )  # fmt: skip
            good = table.filter(legal)
            if name == "avoid":
                ids, split = pl.col("patient_id"), pl.lit("test")
            else:
                # A listed image without a scene graph is one that the publisher failed to process.
                rejects.append(
                    reject(good.join(known, on="image_id", how="anti", maintain_order="left"),
                           **where, code="missing-member",
                           message="the image has no scene graph in the archive")
                )  # fmt: skip
                good = good.join(known, on="image_id", how="semi", maintain_order="left")
                ids, split = pl.col("image_id"), pl.lit(None, dtype=pl.String)
            hints.append(
                conform(
                    good.select(
                        ids, split.alias("split"), *provenance(self.name, file),
                    ),
                    SPLIT_HINTS,
                )
            )  # fmt: skip
        return pl.concat(hints), pl.concat(rejects), files


@dataclass
class _Part:
    """Holds the regions of a few thousand scene graphs in columns.

    A string is stored as its position in ``words``.
    """

    words: list[str] = field(default_factory=list)
    dicoms: list[str] = field(default_factory=list)
    rows: list[int] = field(default_factory=list)  # archive member of each graph
    counts: list[int] = field(default_factory=list)  # regions of each graph
    names: Any = field(default_factory=lambda: array("i"))
    texts: Any = field(default_factory=lambda: array("i"))
    attribute: Any = field(default_factory=lambda: array("b"))  # 1: a finding, 0: anatomy
    corners: Any = field(default_factory=lambda: array("d"))  # x1, y1, x2, y2 of each region
    bad: list[_Reject] = field(default_factory=list)


def _read_graphs(members: Iterator[Member]) -> _Part:
    part = _Part()
    number: dict[str, int] = {}
    finding: dict[str, str | None] = {}
    for row, name, content in members:
        graph = None if content is None else parse_graph(content)
        if graph is None:
            part.bad.append((row, name, "bad-json", "the member is no readable scene graph"))
            continue
        if not _DICOM.search(graph.image_id.lower()):
            part.bad.append((row, name, "bad-id", "image_id is none of MIMIC's"))
            continue
        before = len(part.names)
        boxes = _anatomy(graph, row, part, number)
        _findings(graph, row, part, number, boxes, finding)
        if len(part.names) == before:
            part.bad.append((row, name, "no-box", "no region of the scene graph has a box"))
        part.dicoms.append(graph.image_id)
        part.rows.append(row)
        part.counts.append(len(part.names) - before)
    part.words = list(number)
    return part


def _anatomy(
    graph: SceneGraph, row: int, part: _Part, number: dict[str, int]
) -> dict[str, _Corners]:
    """Add the box of every region as an anatomy annotation; return the boxes by region."""
    boxes: dict[str, _Corners] = {}
    for item in graph.objects:
        region = item.bbox_name
        box = (item.original_x1, item.original_y1, item.original_x2, item.original_y2)
        x1, y1, x2, y2 = box
        code = number.get(region)
        if code is None and region.strip():
            code = number[region] = len(number)
        if x1 < x2 and y1 < y2 and region not in boxes and code is not None:
            boxes[region] = box
            part.names.append(code)
            part.texts.append(code)
            part.attribute.append(0)
            part.corners.extend(box)
            continue
        key = f"{graph.image_id}/{region}"
        if any(corner != corner for corner in box):
            part.bad.append((row, key, "bad-value", "a region has no original_* corners"))
        elif code is None:
            part.bad.append((row, key, "bad-value", "a region has no name"))
        elif region in boxes:
            part.bad.append((row, key, "duplicate-region", "the region stands twice"))
        else:
            part.bad.append((row, key, "zero-area-box", "the box has no area"))
    return boxes


def _findings(
    graph: SceneGraph,
    row: int,
    part: _Part,
    number: dict[str, int],
    boxes: dict[str, _Corners],
    known: dict[str, str | None],
) -> None:
    """Add every positive finding with the box of its region; reject attributes of no known form."""
    if graph.attributes is None:
        what = (row, graph.image_id, "missing-attributes", "the graph has no attributes list")
        part.bad.append(what)
        return
    seen: set[str] = set()
    for item in graph.attributes:
        region = item.bbox_name
        names, strange = _positive(item.attributes, known) if region else ({}, 0)
        if strange:
            key = f"{graph.image_id}/{region}"
            odd = "an attribute is not <category>|yes or no|<name> of a known category"
            part.bad.append((row, key, "unknown-label", odd))
        if names and region not in boxes:
            key = f"{graph.image_id}/{region}"
            part.bad.append((row, key, "no-box", "a finding's region has no box"))
            continue
        for name in names:
            text = name if region in name else f"{name} in the {region}"
            if text not in seen:  # the release repeats phrases
                seen.add(text)
                part.names.append(number.setdefault(region, len(number)))
                part.texts.append(number.setdefault(text, len(number)))
                part.attribute.append(1)
                part.corners.extend(boxes[region])


def _positive(lines: list[list[str]], known: dict[str, str | None]) -> tuple[dict[str, None], int]:
    """Return the positive finding attributes of one region, each once, and how many are strange.

    ``known`` caches the name that each attribute string gives (blank: it has no known form),
    because the release has only a few hundred different strings.
    """
    names: dict[str, None] = {}
    strange = 0
    for line in lines:
        for text in line:
            if text not in known:
                known[text] = _finding_of(text)
            name = known[text]
            if name == "":
                strange += 1
            elif name is not None:
                names[name] = None
    return names, strange


def _finding_of(attribute: str) -> str | None:
    """Return the finding of a positive attribute, None for others, "" for an unknown form."""
    category, *said = attribute.split("|")
    if category not in (*_KINDS, *_OTHERS) or len(said) != 2 or said[0] not in ("yes", "no"):
        return ""
    name = said[1].strip()
    if category not in _KINDS:
        return None
    return name if said[0] == "yes" or not name else None


def _annotations(parts: Sequence[_Part], dicoms: pl.Series, source: str, file: str) -> pl.DataFrame:
    words: dict[str, int] = {}
    names, texts = [], []
    for part in parts:
        code = np.array([words.setdefault(w, len(words)) for w in part.words], dtype=np.uint32)
        names.append(code[np.asarray(part.names)])
        texts.append(code[np.asarray(part.texts)])
    counts = np.array([count for part in parts for count in part.counts], dtype=np.int64)
    graph = np.repeat(np.arange(len(counts)), counts)
    rows = np.array([row for part in parts for row in part.rows], dtype=np.int64)
    corners = np.concatenate([np.asarray(part.corners) for part in parts] or [np.empty(0)])
    found = np.concatenate([np.asarray(part.attribute) for part in parts] or [np.empty(0)])
    ids = pl.DataFrame({"dicom_id": dicoms}).select(mimic.image_id("dicom_id")).to_series()
    word = pl.Series(list(words), dtype=pl.String)
    frame = pl.DataFrame(
        {
            "image_id": ids.gather(graph),
            "name": word.cast(pl.Categorical()).gather(np.concatenate([*names, _NO_CODES])),
            "text": word.gather(np.concatenate([*texts, _NO_CODES])),
            "boxes": _single_boxes(corners),
            "quality": pl.Series(["anatomy", "attribute"], dtype=pl.Categorical()).gather(
                found.astype(np.uint32)
            ),
            "row": rows[graph],
        }
    )
    return conform(
        frame.with_columns(
            pl.lit("region", dtype=SOURCE_ANNOTATIONS["kind"]).alias("kind"),
            pl.lit("silver", dtype=SOURCE_ANNOTATIONS["origin"]).alias("origin"),
            pl.lit(source, dtype=pl.Categorical()).alias("source"),
            pl.lit(file, dtype=pl.Categorical()).alias("file"),
        ),
        SOURCE_ANNOTATIONS,
    )


def _single_boxes(corners: NDArray[np.float64]) -> pl.Series:
    """Convert flat corners, four per row, to lists with one box each."""
    flat = pl.Series(np.ascontiguousarray(corners), dtype=pl.Float64)
    return flat.reshape((-1, 1, 4)).cast(Boxes)
