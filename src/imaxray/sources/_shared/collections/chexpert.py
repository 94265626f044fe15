"""Reads ids, images and labels of the CheXpert releases, which are about the same images."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

import polars as pl

from imaxray import radiograph
from imaxray.errors import ImaxrayError
from imaxray.schema import CHEXPERT, IMAGES, SOURCE_ANNOTATIONS, conform
from imaxray.sources._checks.persons import age, odd_persons
from imaxray.sources._shared.files.columns import (
    numeric,
    provenance,
    reject,
    stated_by,
)
from imaxray.sources._shared.files.paths import leaves_release

COLLECTION: Final = "chexpert"

_PATH: Final = (
    r"^(?:.*/)?((?:train|valid|test)/(patient\d{1,9})/(study\d{1,6})"
    r"/view\d{1,6}_(?:frontal|lateral))"
    r"(?:\.[A-Za-z]+)?$"
)
_STUDY: Final = r"^(?:.*/)?(?:train|valid|test)/(patient\d{1,9})/(study\d{1,6})/?$"
_VIEW: Final = re.compile(r"view[0-9]{1,6}_(?:frontal|lateral)")
_SUFFIXES: Final = (".jpg", ".png")
_SETS: Final = {"train": ("train",), "valid": ("valid", "val"), "test": ("test",)}
"""Maps the set that a path names to the folders that may hold it; CheXlocalize writes ``val``."""
_BATCH: Final = "*[Bb]atch*"
_IN_BATCH: Final = ("", "CheXpert-v1.0")


def image_id(column: str) -> pl.Expr:
    """Return ``chexpert/train/patient00001/study1/view1_frontal`` from a path.

    The releases differ in the leading folder and in the file extension, so the id has neither. The
    id is null if the path does not have the form of a CheXpert path.
    """
    return _prefixed(_part(column, 1))


def patient_id(column: str) -> pl.Expr:
    """Return ``chexpert/patient00001`` from a path."""
    return _prefixed(_part(column, 2))


def study_id(column: str) -> pl.Expr:
    """Return ``chexpert/patient00001/study1`` from a path."""
    return _prefixed(_part(column, 2) + pl.lit("/") + _part(column, 3))


def batch_folders(root: Path) -> list[str]:
    """Return the folders of the full-size download, which is handed out as four zips.

    Three of the four hold the train patients directly (``CheXpert-v1.0 batch 2 (train 1)/
    patient00001``), and the first one the validation set and the tables. Some programs unpack a zip
    into a folder of its name, so a batch may lie in a folder that is called like it.
    """
    batches = sorted(path for path in root.glob(_BATCH) if path.is_dir())
    inside = [path / name for path in batches for name in (*_IN_BATCH, path.name)]
    return [path.relative_to(root).as_posix() for path in inside if path.is_dir()]


def split_paths(
    table: pl.DataFrame, path: str, *, source: str, file: str
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Return the rows whose ``path`` is a CheXpert path, with three ids; reject the others."""
    full = table.with_columns(
        image_id(path).alias("image_id"),
        patient_id(path).alias("patient_id"),
        study_id(path).alias("study_id"),
    )
    outside = leaves_release(path).fill_null(False)
    known = pl.col("image_id").is_not_null()
    where = {"source": source, "file": file, "key": path}
    bad = pl.concat([
        reject(full.filter(outside), **where, code="path-outside-release",
               message="the path leaves the release folder"),
        reject(full.filter(~outside & ~known), **where, code="bad-id",
               message="the path is none of CheXpert's"),
    ])  # fmt: skip
    return full.filter(~outside & known), bad


def split_studies(
    table: pl.DataFrame, study: str, *, source: str, file: str
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Return the rows whose ``study`` is a path such as ``test/patient64741/study1``.

    The rows get three ids, of which ``image_id`` is null; the other rows are rejected.
    """
    patient, number = (pl.col(study).str.extract(_STUDY, group) for group in (1, 2))
    full = table.with_columns(
        pl.lit(None, dtype=pl.String).alias("image_id"),
        _prefixed(patient).alias("patient_id"),
        _prefixed(patient + pl.lit("/") + number).alias("study_id"),
    )
    outside = leaves_release(study).fill_null(False)
    known = pl.col("study_id").is_not_null()
    where = {"source": source, "file": file, "key": study}
    bad = pl.concat([
        reject(full.filter(outside), **where, code="path-outside-release",
               message="the path leaves the release folder"),
        reject(full.filter(~outside & ~known), **where, code="bad-id",
               message="the path is none of a study of CheXpert"),
    ])  # fmt: skip
    return full.filter(~outside & known), bad


def images_of_studies(
    studies: pl.DataFrame, root: Path, folders: Sequence[str], name: str
) -> pl.DataFrame:
    """Return a row for each image file of the studies, with the study's row and ids.

    Args:
        studies: Rows that :func:`split_studies` returned.
        root: Folder of the release.
        folders: Folders that may hold the sets.
        name: Set of the studies: ``train``, ``valid`` or ``test``.
    """
    places = set_folders(root, folders)[name]
    found = [
        (study, f"{COLLECTION}/{name}/{study.removeprefix(f'{COLLECTION}/')}/{path.stem}")
        for study in studies["study_id"].unique(maintain_order=True)
        for place in places
        for path in sorted((root / place / study.removeprefix(f"{COLLECTION}/")).glob("view*"))
        if path.suffix.lower() in _SUFFIXES and _VIEW.fullmatch(path.stem)
    ]
    schema = {"study_id": pl.String, "image_id": pl.String}
    images = pl.DataFrame(found, schema=schema, orient="row").unique(maintain_order=True)
    once = studies.unique("study_id", keep="first", maintain_order=True).drop("image_id")
    return once.join(images, on="study_id", how="inner", maintain_order="left_right")


def read_images(
    table: pl.DataFrame,
    root: Path,
    folders: Sequence[str],
    *,
    side: str,
    projection: str,
    source: str,
    file: str,
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Return the images of ``table`` that exist in one of ``folders``; reject the others.

    Args:
        table: Rows that :func:`split_paths` returned; Sex and Age are read if the columns exist.
        root: Folder of the release.
        folders: Folders that may hold ``train/``, ``valid/`` and ``test/``; the folders of the
            batches are looked through as well. If an image exists in several folders, the first
            one counts.
        side: Column that states Frontal or Lateral.
        projection: Column that states AP, PA, LL or RL for a frontal image.
        source: Name of the source.
        file: Table that the rows come from, as a path inside the release.
    """
    places = set_folders(root, folders)
    found = [_find(root, key.removeprefix(f"{COLLECTION}/"), places) for key in table["image_id"]]
    schema = {"path": pl.String, "width": pl.Int32, "height": pl.Int32}
    full = pl.concat([table, pl.DataFrame(found, schema=schema, orient="row")], how="horizontal")
    present, sound = pl.col("path").is_not_null(), pl.col("width").is_not_null()
    where = {"source": source, "file": file, "key": "image_id"}
    bad = pl.concat([
        reject(full.filter(~present), **where, code="missing-image",
               message="the image is not in this copy"),
        reject(full.filter(present & ~sound), **where, code="unreadable-image",
               message="the image file is damaged"),
    ])  # fmt: skip
    lateral = pl.col(side).str.to_uppercase() == "LATERAL"
    named = pl.col(side).str.to_uppercase().is_in(["FRONTAL", "LATERAL"])
    unnamed = full.filter(present & sound, pl.col(side).is_not_null(), ~named)
    stated_age = _named(table, "age") or ""
    bad = pl.concat([
        bad,
        reject(unnamed, **where, code="unknown-view", message="the side is none that we know"),
        *odd_persons(full.filter(present & sound), **where, age=stated_age),
    ])  # fmt: skip
    images = full.filter(present & sound).select(
        "image_id",
        "patient_id",
        "study_id",
        "path",
        "width",
        "height",
        pl.when(lateral).then(pl.lit("LATERAL")).otherwise(pl.col(projection)).alias("view"),
        _sex(table).alias("sex"),
        _age(table).alias("age"),
        *provenance(source, file),
    )  # fmt: skip
    return conform(images, IMAGES), bad


def study_labels(
    table: pl.DataFrame, *, source: str, file: str, origin: str, quality: str
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Return the labels of studies, each once, from rows of images; reject illegal values.

    Args:
        table: Columns row, image_id, study_id and the 14 labels as text: 1, 0, -1 or null.
        source: Name of the source.
        file: Table that the rows come from, as a path inside the release.
        origin: Origin of the labels (see :mod:`imaxray.schema`).
        quality: Quality of the labels (see :mod:`imaxray.schema`).
    """
    stated = table.unpivot(
        CHEXPERT, index=["row", "image_id", "study_id"], variable_name="name", value_name="stated"
    ).filter(pl.col("stated").is_not_null())
    coded = stated.with_columns(numeric("stated").alias("value")).sort("row", "name")
    legal = pl.col("value").is_in([1.0, 0.0, -1.0]).fill_null(False)
    bad = reject(
        coded.filter(~legal), source=source, file=file, key=pl.coalesce("image_id", "study_id"),
        code="unknown-label", message="a label must be 1, 0, -1 or blank",
    )  # fmt: skip
    # The labels were read from the report, so every image of a study repeats them.
    good = coded.filter(legal).unique(
        ["study_id", "name", "value"], keep="first", maintain_order=True
    )
    labels = good.select(
        "study_id",
        pl.lit("label").alias("kind"),
        "name",
        "value",
        *stated_by(origin, quality),
        *provenance(source, file),
    )
    return conform(labels, SOURCE_ANNOTATIONS), bad


def _part(column: str, group: int) -> pl.Expr:
    return pl.col(column).str.extract(_PATH, group)


def _prefixed(bare: pl.Expr) -> pl.Expr:
    return pl.when(bare.is_not_null()).then(pl.lit(f"{COLLECTION}/") + bare)


def set_folders(root: Path, folders: Sequence[str]) -> dict[str, list[str]]:
    """Return the folders that hold the patients of each set, as paths inside the release."""
    batches = batch_folders(root)
    places: dict[str, list[str]] = {}
    for name, spellings in _SETS.items():
        inside = [f"{f}/{s}".lstrip("/") for f in (*folders, *batches) for s in spellings]
        places[name] = [path for path in inside if (root / path).is_dir()]
    places["train"] += [path for path in batches if any((root / path).glob("patient*"))]
    return places


def _find(
    root: Path, key: str, places: Mapping[str, Sequence[str]]
) -> tuple[str | None, int | None, int | None]:
    """Return path inside the release, width and height; a damaged file has no size."""
    name, _, rest = key.partition("/")
    for folder in places[name]:
        for suffix in _SUFFIXES:
            path = f"{folder}/{rest}{suffix}"
            if not (root / path).is_file():
                continue
            try:
                return path, *radiograph.size(root / path)
            except ImaxrayError:
                return path, None, None
    return None, None, None


def _sex(table: pl.DataFrame) -> pl.Expr:
    column = _named(table, "sex")
    return pl.lit(None, dtype=pl.String) if column is None else pl.col(column)


def _age(table: pl.DataFrame) -> pl.Expr:
    column = _named(table, "age")
    return pl.lit(None, dtype=pl.Int16) if column is None else age(column)


def _named(table: pl.DataFrame, name: str) -> str | None:
    return next((column for column in table.columns if column.lower() == name), None)
