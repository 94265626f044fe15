"""Writes FiftyOne samples: one per image, with its facts as labels and its boxes as detections.

The format is ``fiftyone.types.FiftyOneDataset`` in its plain form: ``metadata.json`` and
``samples.json`` without the internal document of a specific FiftyOne version. The importer
recognises the plain form and converts it. Detections are ``[x, y, width, height]`` in units of the
image's sides.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import orjson
import polars as pl

from imaxray._version import __version__
from imaxray.boxes import to_xywh
from imaxray.curation import Dataset
from imaxray.export.checks import with_bad_boxes
from imaxray.export.images import How, Written, decoded_counts, place, usable_images
from imaxray.export.images import write as write_images
from imaxray.export.tools.chat_format import write_json_list
from imaxray.progress import track
from imaxray.schema import EDEMA_GRADES

_STATES: Final = {1.0: "findings", 0.0: "negatives", -1.0: "uncertain"}
"""Field of a sample for labels of each value; a missing label means unknown."""

_MIME: Final = {
    ".png": "image/png", ".jpg": "image/jpeg", ".jpeg": "image/jpeg", ".bmp": "image/bmp",
    ".tif": "image/tiff", ".tiff": "image/tiff", ".webp": "image/webp",
}  # fmt: skip

_Left = list[tuple[str, str]]


def write(
    data: Dataset, folder: Path, out: Path, *, splits: Sequence[str], images: How, headers: bool
) -> Written:
    """Write samples and metadata into ``folder``, which becomes ``out``; report what was written.

    The samples are the images with entries in ``splits``. Images that no tool can open are left out
    (listed by image id), and so are invalid boxes (listed by ``source:file:row`` of the
    annotation).
    """
    entries = data.tables.entries.filter(pl.col("split").is_in(splits))
    chosen = data.tables.images.filter(
        pl.col("image_id").is_in(entries["image_id"].unique().implode())
    )
    usable = usable_images(chosen, data.tables.roots, how=images, headers=headers, out=out)
    damaged = write_images(usable.filter(pl.col("image_code").is_null()), folder, None)
    broken = pl.col("image_id").is_in(damaged)
    usable = usable.with_columns(
        pl.when(broken).then(pl.lit("image-format")).otherwise("image_code").alias("image_code")
    )
    left: _Left = list(
        usable.filter(pl.col("image_code").is_not_null())
        .select("image_id", "image_code")
        .iter_rows()
    )
    good = usable.filter(pl.col("image_code").is_null())
    shown = chosen.drop("width", "height").join(
        good, on="image_id", how="inner", maintain_order="left"
    )
    sizes = good.select("image_id", "width", "height")
    facts = with_bad_boxes(
        data.tables.annotations.join(sizes, on="image_id", how="inner", maintain_order="left")
    )
    left += _bad_facts(facts)
    samples = track(
        _samples(shown, _by_image(facts), _by_image(entries)), "Writing samples", shown.height
    )
    write_json_list(samples, folder / "samples.json", b'{"samples": [', b"]}\n")
    info = {"imaxray": __version__, "dataset": data.sha256}
    (folder / "metadata.json").write_bytes(
        orjson.dumps({"media_type": "image", "info": info}) + b"\n"
    )
    if images != "path":
        place(good, folder, images)
    mine = entries.filter(pl.col("image_id").is_in(good["image_id"].implode()))
    counts = {}
    for split in splits:
        some = mine.filter(pl.col("split") == split)
        distinct = some["image_id"].n_unique()
        counts[split] = {"rows": distinct, "entries": some.height, "images": distinct}
    return Written(counts, left, decoded_counts(good))


def _samples(
    images: pl.DataFrame,
    facts: Mapping[str, list[dict[str, Any]]],
    entries: Mapping[str, list[dict[str, Any]]],
) -> Iterator[dict[str, Any]]:
    for image in images.iter_rows(named=True):
        yield _sample(image, facts.get(image["image_id"], []), entries.get(image["image_id"], []))


def _sample(
    image: dict[str, Any], facts: list[dict[str, Any]], entries: list[dict[str, Any]]
) -> dict[str, Any]:
    sample: dict[str, Any] = {
        "filepath": image["named"],
        "tags": [image["split"]],
        "metadata": {
            "_cls": "ImageMetadata",
            "mime_type": _MIME[Path(image["named"]).suffix.lower()],
            "width": image["width"],
            "height": image["height"],
        },
        "_media_type": "image",
        **{key: image[key] for key in ("image_id", "patient_id", "study_id", "view", "sex", "age")},
    }
    labels = [fact for fact in facts if fact["kind"] == "label"]
    for value, field in _STATES.items():
        found = [_classification(f, f["name"]) for f in labels if f["value"] == value]
        sample[field] = (found and {"_cls": "Classifications", "classifications": found}) or None
    regions = [
        _detection(fact, box, image)
        for fact in facts
        if fact["kind"] == "region" and not fact["bad"]
        for box in fact["boxes"] or ()
    ]
    sample["regions"] = {"_cls": "Detections", "detections": regions} if regions else None
    grades = [f for f in facts if f["kind"] == "grade" and f["name"] == "edema"]
    sample["edema"] = (
        _classification(grades[0], EDEMA_GRADES[int(grades[0]["value"])]) if grades else None
    )
    for name in ("ctr", "cpar"):
        sample[name] = _first(facts, "measurement", name, "value")
    for name in ("findings", "impression"):
        sample[f"report_{name}"] = _first(facts, "report", name, "text")
    sample["tasks"] = sorted({entry["task"] for entry in entries})
    sample["entries"] = [
        {key: entry[key] for key in ("entry_id", "task", "prompt", "target")} for entry in entries
    ]
    return sample


def _classification(fact: dict[str, Any], label: str) -> dict[str, Any]:
    return {"_cls": "Classification", "label": label, "tags": [], **_provenance(fact)}


def _detection(fact: dict[str, Any], box: list[float], image: dict[str, Any]) -> dict[str, Any]:
    x, y, width, height = to_xywh((box[0], box[1], box[2], box[3]))
    wide, high = image["width"], image["height"]
    return {
        "_cls": "Detection",
        "label": fact["name"] or fact["text"],
        "bounding_box": [x / wide, y / high, width / wide, height / high],
        "tags": [],
        "phrase": fact["text"],
        **_provenance(fact),
    }


def _provenance(fact: dict[str, Any]) -> dict[str, Any]:
    return {key: fact[key] for key in ("source", "origin", "quality", "reader")}


def _first(facts: list[dict[str, Any]], kind: str, name: str, column: str) -> Any:
    found = (fact[column] for fact in facts if fact["kind"] == kind and fact["name"] == name)
    return next(found, None)


def _bad_facts(facts: pl.DataFrame) -> _Left:
    names = facts.filter("bad").select(
        pl.concat_str(pl.col("source", "file", "row").cast(pl.String), separator=":")
    )
    return [(name, "box-frame") for (name,) in names.iter_rows()]


def _by_image(frame: pl.DataFrame) -> dict[str, list[dict[str, Any]]]:
    found: dict[str, list[dict[str, Any]]] = {}
    for row in frame.iter_rows(named=True):
        found.setdefault(row["image_id"], []).append(row)
    return found
