"""Writes Croissant metadata: JSON-LD that describes copies of a dataset's tables.

Croissant 1.1 (MLCommons) has one FileObject per Parquet file, with its sha256, and one RecordSet
per table. ``mlcroissant`` reads the records with this description. Images are not included;
``images.parquet`` names them inside their releases.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any, Final

import polars as pl

from imaxray._common.files import sha256
from imaxray.curation import Dataset
from imaxray.curation import density as density_of
from imaxray.errors import ImaxrayError
from imaxray.export.images import Written
from imaxray.schema import ANNOTATIONS, ENTRIES, IMAGES, SPLITS
from imaxray.sources import described_source

FILE: Final = "croissant.json"

_TERMS: Final = (
    "arrayShape", "citeAs", "column", "extract", "field", "fileObject", "fileProperty", "fileSet",
    "format", "includes", "isArray", "isLiveDataset", "jsonPath", "key", "md5", "parentField",
    "path", "recordSet", "references", "regex", "repeated", "replace", "samplingRate", "separator",
    "source", "subField", "transform", "equivalentProperty",
)  # fmt: skip
_CONTEXT: Final[dict[str, Any]] = {
    "@language": "en",
    "@vocab": "https://schema.org/",
    "conformsTo": "dct:conformsTo",
    "cr": "http://mlcommons.org/croissant/",
    "data": {"@id": "cr:data", "@type": "@json"},
    "dataType": {"@id": "cr:dataType", "@type": "@vocab"},
    "dct": "http://purl.org/dc/terms/",
    "examples": {"@id": "cr:examples", "@type": "@json"},
    "rai": "http://mlcommons.org/croissant/RAI/",
    "sc": "https://schema.org/",
    **{term: f"cr:{term}" for term in _TERMS},
}
_TABLES: Final = (
    ("images", "images.parquet", IMAGES, "image_id", "One row an image."),
    ("annotations", "annotations.parquet", ANNOTATIONS, None, "One row a fact about an image."),
    *(
        (f"entries_{split}", f"entries/{split}.parquet", ENTRIES, "entry_id",
         f"One row an entry (image, prompt, target) of the split {split}.")
        for split in SPLITS
    ),
)  # fmt: skip


def write(data: Dataset, folder: Path) -> Written:
    """Write ``croissant.json`` and the tables; report what was written.

    Nothing is left out, and images stay where they are.

    Raises:
        ImaxrayError: If the content of a table differs from the dataset's manifest.
    """
    tables = [t for t in _TABLES if _rows(data, t[0])]
    for _, name, *_ in tables:
        (folder / name).parent.mkdir(exist_ok=True)
        shutil.copyfile(data.folder / name, folder / name)
        if sha256(folder / name) != data.manifest["files"][name]:
            raise ImaxrayError(
                f"Expected {data.folder / name} as its manifest says, but its content differs; "
                "build the dataset again."
            )
    text = json.dumps(_metadata(data, tables), indent=1, ensure_ascii=False)
    (folder / FILE).write_text(text + "\n", encoding="utf-8")
    counts: dict[str, dict[str, int]] = {}
    for split in SPLITS:
        entries = data.tables.split(split)
        if entries.height:
            images = entries["image_id"].n_unique()
            counts[split] = {"rows": entries.height, "entries": entries.height, "images": images}
    return Written(counts, [], {})


def _rows(data: Dataset, table: str) -> int:
    if table.startswith("entries_"):
        return data.tables.split(table.removeprefix("entries_")).height
    frame: pl.DataFrame = getattr(data.tables, table)
    return frame.height


def _metadata(data: Dataset, tables: list[tuple[Any, ...]]) -> dict[str, Any]:
    files = data.tables.files
    releases = [described_source(name, files) for name in sorted({f.source for f in files})]
    dense = density_of(data.tables)
    role = data.manifest.get("role", "catalog")
    return {
        "@context": _CONTEXT,
        "@type": "sc:Dataset",
        "conformsTo": "http://mlcommons.org/croissant/1.1",
        "name": f"imaxray-{role}",
        "description": (
            f"Image-centric multi-annotation radiographs ({role}): {dense.images:,} training "
            f"images of {dense.patients:,} patients with {dense.entries:,} entries. Boxes are "
            "x1, y1, x2, y2 in pixels of the original image; <box> in a prompt or target stands "
            "for the next of them. Images are not included: path is relative to the release."
        ),
        "version": "1.0.0",
        "identifier": f"sha256:{data.sha256}",
        "license": sorted({release.licence for release in releases}),
        "citeAs": "; ".join(release.citation for release in releases if release.citation),
        "isBasedOn": [release.url for release in releases if release.url],
        "keywords": ["radiology", "chest X-ray", "multimodal", "imaxray"],
        "isLiveDataset": False,
        "distribution": [
            {
                "@type": "cr:FileObject",
                "@id": name,
                "name": name,
                "contentUrl": name,
                "encodingFormat": "application/x-parquet",
                "sha256": data.manifest["files"][name],
            }
            for _, name, *_ in tables
        ],
        "recordSet": [_record_set(*table) for table in tables],
    }


def _record_set(
    table: str, file: str, schema: pl.Schema, key: str | None, description: str
) -> dict[str, Any]:
    fields = [_field(table, file, column, dtype) for column, dtype in schema.items()]
    found: dict[str, Any] = {
        "@type": "cr:RecordSet",
        "@id": table,
        "name": table,
        "description": description,
        "field": fields,
    }
    return found if key is None else {**found, "key": {"@id": f"{table}/{key}"}}


def _field(table: str, file: str, column: str, dtype: pl.DataType) -> dict[str, Any]:
    shape = []
    inner: Any = dtype
    while isinstance(inner, pl.List):
        shape.append(-1)
        inner = inner.inner
    if len(shape) == 2:
        shape[1] = 4  # boxes
    kind = "Float" if inner.is_float() else "Integer" if inner.is_integer() else "Text"
    field: dict[str, Any] = {
        "@type": "cr:Field",
        "@id": f"{table}/{column}",
        "name": f"{table}/{column}",
        "dataType": f"sc:{kind}",
        "source": {"fileObject": {"@id": file}, "extract": {"column": column}},
    }
    if shape:
        field |= {"isArray": True, "arrayShape": ",".join(map(str, shape))}
    if column == "image_id" and table != "images":
        field["references"] = {"field": {"@id": "images/image_id"}}
    return field
