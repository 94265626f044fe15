"""Joins the annotations of all releases per image and rejects those that have no image."""

from __future__ import annotations

import functools
import operator
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import polars as pl

from imaxray.clinical import DEFAULT_RULES, ClinicalRules
from imaxray.curation.joining.clip_boxes import clip_boxes
from imaxray.curation.joining.conflicts import ConflictsConfig, find_conflicts
from imaxray.curation.joining.readers import ReadersConfig, settle_readers
from imaxray.schema import ANNOTATIONS, FRONTAL, REJECTS, conform, empty
from imaxray.sources import SourceTables

_KEY = ["source", "file", "row"]
_CHUNK = 40_000  # images whose annotations are curated at a time, which limits memory only

_AT_ONCE = 2  # chunks that are curated at the same time; has no effect on the result


def join_images(tables: Sequence[SourceTables]) -> tuple[pl.DataFrame, list[pl.DataFrame]]:
    """Return all images, each once, sorted by id; a second row for an image is a reject."""
    images = pl.concat([t.images for t in tables]).with_row_index("_order")
    kept = images.unique("image_id", keep="first", maintain_order=True)
    again = images.join(kept, on="_order", how="anti")
    rejects = _reject(again, "image_id", "duplicate-image", "the image is already in the catalog")
    return kept.drop("_order").sort("image_id"), [rejects]


@dataclass(frozen=True)
class Joined:
    """Holds the result of the join.

    Attributes:
        annotations: Annotations (schema ANNOTATIONS) in the order of the images.
        rejects: Rejected rows (schema REJECTS).
        conflicts: Contradictions between annotations (schema CONFLICTS).
        compared: Number of pairs of annotations that each conflict rule compared.
    """

    annotations: pl.DataFrame
    rejects: list[pl.DataFrame]
    conflicts: pl.DataFrame
    compared: Mapping[str, int]


def join_annotations(
    tables: Sequence[SourceTables],
    images: pl.DataFrame,
    dropped: pl.DataFrame,
    *,
    readers: ReadersConfig | None = None,
    conflicts: ConflictsConfig | None = None,
    clinical: ClinicalRules = DEFAULT_RULES,
) -> Joined:
    """Return all annotations that belong to an image of ``images``, in the order of the images.

    An annotation of a study goes to each of its frontal images. Boxes are clipped to the frame of
    the image. Repeated statements are removed (:func:`without_repetitions`), one value of each
    thing stays (:func:`strongest`), the statements of several readers become one
    (:func:`settle_readers`), and contradictions are detected.

    Args:
        tables: tables that the sources returned, in the order of the sources' names.
        images: images that stay in the catalog, sorted by id.
        dropped: images that the catalog rejected (columns image_id, study_id).
        readers: how several readers are settled.
        conflicts: which contradictions are looked for.
        clinical: clinical rules that define which annotations contradict each other.
    """
    placed, rejects = place_annotations(tables, images, dropped)
    rules, policy = conflicts or ConflictsConfig(), readers or ReadersConfig()

    def settle(chunk: pl.DataFrame) -> Joined:
        clipped, outside = clip_boxes(chunk, images)
        stated, repeated = without_repetitions(clipped)
        stated, both, twice, counts = find_conflicts(
            stated, rules, stage="repeats", clinical=clinical
        )
        once, superseded = strongest(stated)
        once, disputed, between, compared = find_conflicts(
            once, rules, stage="readers", clinical=clinical
        )
        settled, merged = settle_readers(once, images, policy)
        agreed, contradicted, found, more = find_conflicts(
            settled, rules, stage="facts", clinical=clinical
        )
        return Joined(
            agreed.select(ANNOTATIONS.names()),
            [outside, repeated, both, superseded, disputed, merged, contradicted],
            pl.concat([twice, between, found]),
            {**counts, **compared, **more},
        )

    # Two chunks are curated at a time, because much of the work on a chunk uses only one core.
    with ThreadPoolExecutor(_AT_ONCE) as threads:
        parts = list(threads.map(settle, image_chunks(placed, images.height)))
    return Joined(
        pl.concat([part.annotations for part in parts]),
        rejects + [frame for part in parts for frame in part.rejects],
        pl.concat([part.conflicts for part in parts]).sort(
            pl.col("rule").cast(pl.String), "image_id", maintain_order=True
        ),
        {rule: sum(part.compared.get(rule, 0) for part in parts) for rule in rules.rules},
    )


def place_annotations(
    tables: Sequence[SourceTables], images: pl.DataFrame, dropped: pl.DataFrame
) -> tuple[list[pl.DataFrame], list[pl.DataFrame]]:
    """Assign every annotation to its image, and one of a study to each frontal image of the study.

    Args:
        tables: Tables that the sources returned, in the order of the sources' names.
        images: Images that stay in the catalog, sorted by id.
        dropped: Images that the catalog rejected (columns image_id, study_id).

    Returns:
        Frames of placed annotations (schema ANNOTATIONS, and ``_image``, the position of the image
        in ``images``), and rejects for annotations that have no image.
    """
    numbered = images.select("image_id", "study_id", "view").with_row_index("_image")
    frontal = numbered.filter(pl.col("view").is_in(FRONTAL), pl.col("study_id").is_not_null())
    studies = pl.concat([images.select("study_id"), dropped.select("study_id")]).unique()
    placed: list[pl.DataFrame] = []
    rejects: list[pl.DataFrame] = []
    for table in tables:
        rows = table.annotations
        of_image = rows.filter(pl.col("image_id").is_not_null()).drop("study_id")
        found = of_image.join(
            numbered.select("image_id", "_image"), on="image_id", how="left", maintain_order="left"
        )
        lost = found.filter(pl.col("_image").is_null())
        gone = pl.col("image_id").is_in(dropped["image_id"].to_list())
        rejects += [
            _reject(lost.filter(gone), "image_id", "image-rejected", "the image was rejected"),
            _reject(lost.filter(~gone), "image_id", "unknown-image", "no release gives the image"),
        ]
        placed.append(found.filter(pl.col("_image").is_not_null()) if lost.height else found)
        of_study = rows.filter(pl.col("image_id").is_null()).drop("image_id")
        spread = of_study.join(
            frontal.select("image_id", "study_id", "_image"),
            on="study_id", how="inner", maintain_order="left_right",
        )  # fmt: skip
        placed.append(spread.select(*ANNOTATIONS.names(), "_image"))
        left = of_study.join(frontal.select("study_id").unique(), on="study_id", how="anti")
        known = left.join(studies, on="study_id", how="semi")
        unknown = left.join(studies, on="study_id", how="anti")
        rejects += [
            _reject(known, "study_id", "no-frontal-image", "the study has no frontal image"),
            _reject(unknown, "study_id", "unknown-study", "no release gives the study"),
        ]
    return placed, [frame for frame in rejects if frame.height]


def image_chunks(placed: Sequence[pl.DataFrame], images: int) -> Iterator[pl.DataFrame]:
    """Yield the annotations of at most ``_CHUNK`` images at a time, in the order of the images."""
    for start in range(0, max(images, 1), _CHUNK):
        inside = pl.col("_image").is_between(start, start + _CHUNK - 1)
        yield pl.concat([frame.filter(inside) for frame in placed] or [_none()])


def without_repetitions(facts: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Keep each statement of a source once; phrases are compared without case.

    Args:
        facts: Schema ANNOTATIONS, and ``_image``, the position of the image.

    Returns:
        The facts that stay, in their order, and rejects ``duplicate-annotation``.
    """
    numbered = facts.with_row_index("_order").with_columns(
        pl.col("text").str.to_lowercase().alias("_text")
    )
    same = ["_image", "kind", "name", "value", "_text", "reader", "source"]
    # Few rows have equal hashes, and only those are compared in full.
    suspect = _hash(same).is_duplicated()
    alike = numbered.filter(suspect).sort("origin", "_order")
    first = alike.unique([*same, "boxes", "answers"], keep="first", maintain_order=True)
    again = alike.join(first, on="_order", how="anti")
    rejects = _reject(again, "image_id", "duplicate-annotation", "the source states it already")
    kept = numbered.filter(~pl.col("_order").is_in(again["_order"].implode()))
    return kept.drop("_order", "_text"), rejects


def strongest(facts: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Keep one value per measurement, grade, label and report section of an image.

    Human is stronger than silver and silver than pseudo; between equals the source name and then
    the order of the release decide. Annotations that name a ``reader`` are kept beside those of
    other readers.

    Args:
        facts: Schema ANNOTATIONS, and ``_image``, the position of the image.

    Returns:
        The facts that stay, sorted by image and kind, and rejects ``superseded``.
    """
    numbered = facts.with_row_index("_order")
    one = pl.col("kind").is_in(["measurement", "grade", "label", "report"])
    thing = ["_image", "kind", "name"]
    single = numbered.filter(one & pl.col("reader").is_null())
    rivals = single.filter(_hash(thing).is_duplicated()).sort("origin", "_order")
    first = rivals.unique(thing, keep="first", maintain_order=True)
    weaker = rivals.join(first, on="_order", how="anti")
    rejects = _reject(weaker, "image_id", "superseded", "a stronger source states another value")
    kept = numbered.filter(~pl.col("_order").is_in(weaker["_order"].implode()))
    return kept.sort("_image", "kind", "_order").drop("_order"), rejects


def _hash(columns: Sequence[str]) -> pl.Expr:
    """Return a hash per row: equal rows have equal hashes, but different rows may collide."""
    mixed = [pl.col(column).hash(seed) for seed, column in enumerate(columns)]
    return functools.reduce(operator.xor, mixed)


def _none() -> pl.DataFrame:
    return empty(ANNOTATIONS).with_columns(pl.lit(0, dtype=pl.UInt32).alias("_image"))


def _reject(rows: pl.DataFrame, key: str, code: str, message: str) -> pl.DataFrame:
    frame = rows.select(
        *_KEY,
        pl.col(key).alias("key"),
        pl.lit(code).alias("code"),
        pl.lit(message).alias("message"),
    )
    return conform(frame, REJECTS)
