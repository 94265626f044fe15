"""Chest ImaGenome 1.0.0: anatomical region boxes and the attributes found in them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import orjson
import polars as pl

from imaxray.schema import REJECTS, SOURCE_ANNOTATIONS, SPLIT_HINTS, conform
from imaxray.sources import _mimic
from imaxray.sources._archives import Archive
from imaxray.sources._base import Source, SourceTables
from imaxray.sources._tables import (
    check_columns,
    find_file,
    one_box,
    read_csv,
    read_header,
    reject,
    relative,
    release_file,
)

_SUFFIX: Final = "_SceneGraph.json"
_SPLITS: Final = ("train", "valid", "test")
_KINDS: Final = ("anatomicalfinding", "disease", "tubesandlines", "device")
"""Attribute categories that make a phrase worth locating."""

_CORNERS: Final = ("original_x1", "original_y1", "original_x2", "original_y2")

_Corners = tuple[float, float, float, float]
_Row = tuple[str, str, str, float, float, float, float, str, int]
_Reject = tuple[int, str, str, str]


class ChestImagenome(Source):
    """Scene graphs, made by a program from reports and a region detector.

    Two sorts of region annotation: every region's own box, phrase = the region's name, quality
    ``anatomy``; and every positive finding attribute, phrase ``<finding> in the <region>`` with the
    region's box, quality ``attribute``. Patients of ``images_to_avoid.csv`` (the gold set) go to
    the test split; the release's own train / valid / test is not followed, for it disagrees with
    MIMIC's, but tells which scene graphs should be there.
    """

    name = "chest-imagenome"
    title = "Chest ImaGenome"
    version = "1.0.0"
    collection = _mimic.COLLECTION
    tasks = ("rec", "reg")
    access = "credentialed"
    licence = "PhysioNet Credentialed Health Data License 1.5.0"
    citation = "Wu et al., NeurIPS Datasets and Benchmarks 2021, arXiv:2108.00316"
    url = "https://physionet.org/content/chest-imagenome/1.0.0/"

    def check(self, root: Path) -> list[str]:
        """See :meth:`Source.check`."""
        archive = self._archive(root)
        next(iter(archive.members()))
        tables = self._tables(root)
        for path in tables.values():
            check_columns(path, read_header(path), ("subject_id", "dicom_id"))
        return [archive.file, *(relative(path, root) for path in tables.values())]

    def read(self, root: Path) -> SourceTables:
        """See :meth:`Source.read`."""
        archive = self._archive(root)
        file = archive.file
        rows: list[_Row] = []
        bad: list[_Reject] = []
        present: list[str] = []
        count = 0
        for count, name, content in archive.members():
            graph = _parse(content)
            if graph is None:
                bad.append((count, name, "bad-json", "the member is no readable scene graph"))
                continue
            before = len(rows)
            rows += _regions(graph, count, bad)
            if len(rows) == before:
                bad.append((count, name, "no-box", "no region of the scene graph has a box"))
            present.append(str(graph["image_id"]))
        annotations = _annotations(rows, self.name, file)
        unknown = annotations.filter(pl.col("image_id").is_null()).unique("row")
        bad += [
            (row, "", "bad-id", "image_id is none of MIMIC's") for row in unknown["row"].to_list()
        ]
        rejects = pl.DataFrame(
            [(self.name, file, *item) for item in bad], schema=REJECTS, orient="row"
        )
        hints, missing, files = self._hints(root, present)
        return SourceTables(
            annotations=annotations.filter(pl.col("image_id").is_not_null()),
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
        self, root: Path, present: list[str]
    ) -> tuple[pl.DataFrame, pl.DataFrame, list[Any]]:
        known = pl.DataFrame({"dicom_id": present}, schema={"dicom_id": pl.String}).select(
            _mimic.image_id("dicom_id").alias("image_id")
        )
        hints, rejects, files = [], [], []
        for name, path in self._tables(root).items():
            table = read_csv(path, ("subject_id", "dicom_id")).with_columns(
                _mimic.image_id("dicom_id").alias("image_id"),
                _mimic.patient_id("subject_id").alias("patient_id"),
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
                # listed but without a scene graph: a failed image of the release
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
                        ids, split.alias("split"), pl.lit(self.name).alias("source"),
                        pl.lit(file).alias("file"), "row",
                    ),
                    SPLIT_HINTS,
                )
            )  # fmt: skip
        return pl.concat(hints), pl.concat(rejects), files


def _parse(content: bytes | None) -> dict[str, Any] | None:
    if content is None:
        return None
    try:
        graph = orjson.loads(content)
    except orjson.JSONDecodeError:
        return None
    good = (
        isinstance(graph, dict) and "image_id" in graph and isinstance(graph.get("objects"), list)
    )
    return graph if good else None


def _regions(graph: dict[str, Any], row: int, bad: list[_Reject]) -> Iterator[_Row]:
    image = str(graph["image_id"])
    boxes: dict[str, _Corners] = {}
    for item in graph["objects"]:
        region = str(item.get("bbox_name", "")) if isinstance(item, dict) else ""
        try:
            x1, y1, x2, y2 = (float(item[corner]) for corner in _CORNERS)
        except (KeyError, TypeError, ValueError):
            bad.append(
                (row, f"{image}/{region}", "bad-value", "a region has no original_* corners")
            )
            continue
        if region in boxes:
            bad.append((row, f"{image}/{region}", "duplicate-region", "the region stands twice"))
        elif not (x1 < x2 and y1 < y2):
            bad.append((row, f"{image}/{region}", "zero-area-box", "the box has no area"))
        else:
            boxes[region] = (x1, y1, x2, y2)
            yield (image, region, region, *boxes[region], "anatomy", row)
    attributes = graph.get("attributes")
    if not isinstance(attributes, list):
        bad.append((row, image, "missing-attributes", "the scene graph has no attributes list"))
        return
    seen: set[str] = set()
    for item in attributes:
        region = str(item.get("bbox_name", "")) if isinstance(item, dict) else ""
        names = _findings(item) if region else []
        if names and region not in boxes:
            bad.append((row, f"{image}/{region}", "no-box", "a finding's region has no box"))
            continue
        for name in names:
            text = name if region in name else f"{name} in the {region}"
            if text not in seen:  # phrases repeat in the release
                seen.add(text)
                yield (image, region, text, *boxes[region], "attribute", row)


def _findings(item: dict[str, Any]) -> list[str]:
    """Names of the positive finding attributes of one region, each once, in order."""
    names: dict[str, None] = {}
    lines = item.get("attributes")
    for line in lines if isinstance(lines, list) else []:
        for attribute in line if isinstance(line, list) else []:
            parts = str(attribute).split("|")
            if len(parts) == 3 and parts[0] in _KINDS and parts[1] == "yes":
                names[parts[2]] = None
    return list(names)


def _annotations(rows: list[_Row], source: str, file: str) -> pl.DataFrame:
    names = ("dicom_id", "name", "text", "x1", "y1", "x2", "y2", "quality", "row")
    columns = list(zip(*rows, strict=True)) or [()] * len(names)
    types: list[Any] = [pl.String] * 3 + [pl.Float64] * 4 + [pl.String, pl.Int64]
    frame = pl.DataFrame(
        [pl.Series(n, c, t) for n, c, t in zip(names, columns, types, strict=True)]
    )
    return conform(
        frame.select(
            _mimic.image_id("dicom_id").alias("image_id"),
            pl.lit("region").alias("kind"),
            "name",
            "text",
            one_box("x1", "y1", "x2", "y2").alias("boxes"),
            pl.lit("silver").alias("origin"),
            "quality",
            pl.lit(source).alias("source"),
            pl.lit(file).alias("file"),
            "row",
        ),
        SOURCE_ANNOTATIONS,
    )
