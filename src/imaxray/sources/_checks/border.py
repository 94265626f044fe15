"""Checks everything that a source returns, before any other part of the package sees it.

The base class of all sources calls :func:`check_tables` on what a source returns, so the same
checks apply to the sources of this package and to those of other packages. A row that breaks a rule
of the schema is a reject with a code. A fault of the whole frame is one sentence.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import polars as pl
from numpy.typing import NDArray

from imaxray.schema import (
    FINDINGS,
    IMAGES,
    KINDS,
    REJECTS,
    SECTIONS,
    SOURCE_ANNOTATIONS,
    SPLIT_HINTS,
    SPLITS,
)
from imaxray.sources._checks import persons
from imaxray.sources._checks.frames import ROW, reject_rows, require_rows, typed

_IDS: Final = ("image_id", "study_id", "patient_id")
_NONE: Final = "No Finding"
_DENIED: Final = "the source also states a finding that is none of ours, or an unreadable label"


@dataclass(frozen=True)
class Frames:
    """Holds the four frames that a source returns (schemas IMAGES, SOURCE_ANNOTATIONS, …)."""

    images: pl.DataFrame
    annotations: pl.DataFrame
    hints: pl.DataFrame
    rejects: pl.DataFrame


@dataclass(frozen=True)
class _Rule:
    """Says which rows break a rule, and the code and the message of their rejects."""

    broken: pl.Expr
    code: str
    message: str


def check_tables(
    images: Any, annotations: Any, hints: Any, rejects: Any, unread: pl.DataFrame,
    *, source: str, collection: str | None, files: Mapping[str, int],
) -> Frames:  # fmt: skip
    """Return the frames with the schemas of their names; each illegal row is a reject.

    Args:
        images: What the source returned as images.
        annotations: What it returned as annotations.
        hints: What it returned as split hints.
        rejects: What it returned as rejects.
        unread: Rejects of rows that the parsers left out.
        source: Name of the source.
        collection: Prefixes that its ids may have, separated by commas; None: any.
        files: Number of rows of each file that the source lists.

    Raises:
        ImaxrayError: If a frame lacks a column, has a column of another type, or names a row that
            no file has.
    """
    prefixes = tuple(f"{name.strip()}/" for name in (collection or "").split(",") if name)
    where = {"source": source}
    image_rows, bad = typed(
        images, IMAGES, ("image_id", "patient_id", "path", "width", "height", *ROW),
        what="images", **where,
    )  # fmt: skip
    about = [name for name in ("image_id", "study_id") if name in _columns(annotations)]
    fact_rows, more = typed(
        annotations, SOURCE_ANNOTATIONS,
        (*(about or ["image_id"]), "kind", "name", "origin", "quality", *ROW),
        what="annotations", **where,
    )  # fmt: skip
    bad += more
    hint_rows, more = typed(hints, SPLIT_HINTS, ROW, what="split hints", **where)
    bad += more
    reject_frame, more = typed(rejects, REJECTS, ("code", "message", *ROW), what="rejects", **where)
    bad += more
    for frame, what in ((image_rows, "images"), (fact_rows, "annotations"),
                        (hint_rows, "split hints"), (reject_frame, "rejects"),
                        (unread, "unread rows"),
                        *((frame, "rows") for frame in bad)):  # fmt: skip
        require_rows(frame, files, source=source, what=what)
    good_images, more = _images(image_rows, prefixes)
    bad += more
    good_facts, more = _annotations(fact_rows, prefixes)
    bad += more
    good_hints, more = _sifted(hint_rows, _hint_rules(prefixes))
    bad += more
    return Frames(good_images, good_facts, good_hints, pl.concat([reject_frame, *bad, unread]))


def _columns(frame: Any) -> Sequence[str]:
    return frame.columns if isinstance(frame, pl.DataFrame) else ()


def _sifted(frame: pl.DataFrame, rules: Sequence[_Rule]) -> tuple[pl.DataFrame, list[pl.DataFrame]]:
    """Return the rows that break no rule, and rejects for the others, by the first broken rule."""
    if frame.is_empty():
        return frame, []
    first = pl.coalesce(
        *(pl.when(rule.broken.fill_null(True)).then(pl.lit(k, dtype=pl.UInt8))
          for k, rule in enumerate(rules))
    )  # fmt: skip
    broken = frame.select(first.alias("broken")).to_series()
    if broken.null_count() == frame.height:
        return frame, []
    key = pl.coalesce(*(pl.col(name) for name in _IDS if name in frame.columns))
    rejects = [
        reject_rows(frame.filter((broken == k).fill_null(False)), key, rule.code, rule.message)
        for k, rule in enumerate(rules)
    ]
    return frame.filter(broken.is_null()), [rows for rows in rejects if rows.height]


def _legal_id(column: str, prefixes: Sequence[str]) -> pl.Expr:
    """Return whether an id is ``<collection>/<id in the release>`` with one of the collections."""
    text = pl.col(column)
    if not prefixes:
        return text.str.contains(r"^[^/\x00]+/[^\x00]+$")
    known = [text.str.starts_with(prefix) & (text.str.len_bytes() > len(prefix.encode()))
             for prefix in prefixes]  # fmt: skip
    return pl.any_horizontal(known) & ~text.str.contains("\x00", literal=True)


def _images(
    frame: pl.DataFrame, prefixes: Sequence[str]
) -> tuple[pl.DataFrame, list[pl.DataFrame]]:
    study, split = pl.col("study_id"), pl.col("split")
    good, bad = _sifted(
        frame,
        [
            _Rule(~_legal_id("image_id", prefixes), "bad-id", "the image has no id of its source"),
            _Rule(~_legal_id("patient_id", prefixes), "bad-id",
                  "the image has no patient of its source"),
            _Rule(study.is_not_null() & ~_legal_id("study_id", prefixes), "bad-id",
                  "the study of the image has no id of its source"),
            _Rule((pl.col("width") < 1) | (pl.col("height") < 1), "bad-value",
                  "width and height must be positive numbers"),
            _Rule(split.is_not_null() & ~split.is_in(list(SPLITS)), "bad-value",
                  f"split must be {', '.join(SPLITS[:-1])} or {SPLITS[-1]}"),
        ],
    )  # fmt: skip
    if good.is_empty():
        return good, bad
    age = pl.col("age")
    odd = {
        "view": (persons.is_odd_view("view"), "the view is none that we know"),
        "sex": (persons.is_odd_sex("sex"), "the sex is neither M nor F"),
        "age": ((age < 0) | (age > persons.OLDEST), f"the age must be 0 to {persons.OLDEST} years"),
    }
    key = pl.col("image_id")
    for name, (is_odd, message) in odd.items():
        rows = good.filter(is_odd.fill_null(False))
        if rows.height:
            bad.append(reject_rows(rows, key, f"unknown-{name}", message))
    plain = good.with_columns(
        persons.view("view").alias("view"),
        persons.sex("sex").alias("sex"),
        pl.when(age.is_between(0, persons.OLDEST)).then(age).alias("age"),
    )
    return plain, bad


def _annotations(
    frame: pl.DataFrame, prefixes: Sequence[str]
) -> tuple[pl.DataFrame, list[pl.DataFrame]]:
    """Return the legal annotations in their order, and rejects.

    An image of which a label was rejected is not known to have no finding. So a rejected label also
    denies the label No Finding of its image or study, unless it states an absence.
    """
    if frame.is_empty():
        return frame, []
    image, study = pl.col("image_id"), pl.col("study_id")
    common = [
        _Rule(image.is_null() & study.is_null(), "bad-id", "neither an image nor a study is named"),
        _Rule(image.is_not_null() & ~_legal_id("image_id", prefixes), "bad-id",
              "the image has no id of its source"),
        _Rule(study.is_not_null() & ~_legal_id("study_id", prefixes), "bad-id",
              "the study has no id of its source"),
        _Rule(pl.col("kind").is_null(), "unknown-kind", "the kind is none of ours"),
        _Rule(pl.col("origin").is_null(), "bad-value", "the annotation has no origin"),
        _Rule(_blank("quality"), "bad-value", "the annotation has no quality"),
    ]  # fmt: skip
    numbered = frame.with_row_index("_order")
    sound, bad = _sifted(numbered, common)
    kept: list[pl.DataFrame] = []
    denying: list[pl.DataFrame] = []
    for kind in KINDS:
        rows = sound.filter(pl.col("kind") == kind)
        if rows.is_empty():
            continue
        if kind == "region":
            rows = rows.with_columns(_boxes_sound(rows["boxes"]).alias("_boxes"))
        good, more = _sifted(rows, _RULES[kind])
        bad += more
        if kind == "region":
            good = good.drop("_boxes")
        if kind == "label" and more:
            lost = rows.join(good.select("_order"), on="_order", how="anti", maintain_order="left")
            denying.append(lost.filter((pl.col("value") != 0).fill_null(True)))
        kept.append(good)
    if denying:
        kept, more = _without_no_finding(kept, denying[0])
        bad += more
    if not bad and not denying:
        return frame, []
    legal = pl.concat([*kept, numbered.clear()]).sort("_order", maintain_order=True)
    return legal.drop("_order"), bad


def _without_no_finding(
    kept: Sequence[pl.DataFrame], lost: pl.DataFrame
) -> tuple[list[pl.DataFrame], list[pl.DataFrame]]:
    """Deny No Finding for the images and studies of ``lost``, which are rejected labels."""
    thing = pl.coalesce("image_id", "study_id")
    things = lost.select(thing).to_series()
    stated = (
        (pl.col("kind") == "label")
        & (pl.col("name").cast(pl.String) == _NONE)
        & (pl.col("value") != 0)
        & thing.is_in(things.implode())
    ).fill_null(False)
    gone = [rows.filter(stated) for rows in kept]
    denial = lost.filter(thing.is_first_distinct()).with_columns(
        pl.lit(_NONE, dtype=SOURCE_ANNOTATIONS["name"]).alias("name"),
        pl.lit(0.0).alias("value"),
    )
    rejects = [
        reject_rows(rows, thing, "no-finding-denied", _DENIED) for rows in gone if rows.height
    ]
    return [*(rows.filter(~stated) for rows in kept), denial], rejects


def _hint_rules(prefixes: Sequence[str]) -> list[_Rule]:
    count = pl.sum_horizontal(pl.col(name).is_not_null().cast(pl.Int8) for name in _IDS)
    split = pl.col("split")
    return [
        _Rule(count != 1, "bad-id", "a split hint must name one image, study or patient"),
        *(
            _Rule(pl.col(name).is_not_null() & ~_legal_id(name, prefixes), "bad-id",
                  "the split hint has no id of its source")
            for name in _IDS
        ),
        _Rule(split.is_not_null() & ~split.is_in(list(SPLITS)), "bad-value",
              f"split must be {', '.join(SPLITS[:-1])} or {SPLITS[-1]}"),
    ]  # fmt: skip


def _blank(column: str) -> pl.Expr:
    return pl.col(column).cast(pl.String).fill_null("").str.strip_chars() == ""


def _named(*names: str) -> pl.Expr:
    return pl.col("name").cast(pl.String).is_in(list(names))


def _one_of(*values: float) -> pl.Expr:
    return pl.col("value").is_in(list(values))


_RULES: Final[dict[str, Sequence[_Rule]]] = {
    "measurement": (
        _Rule(~_named("ctr", "cpar"), "unknown-name", "the measurement is neither ctr nor cpar"),
        _Rule(~pl.col("value").is_between(0, 1, closed="none"), "out-of-range",
              "a ratio must lie between 0 and 1"),
    ),
    "report": (
        _Rule(~_named(*SECTIONS), "unknown-name", "the section of the report is none of ours"),
        _Rule(_blank("text"), "empty-text", "the section of the report has no text"),
    ),
    "grade": (
        _Rule(~_named("edema"), "unknown-name", "the grade is not of edema"),
        _Rule(~_one_of(0.0, 1.0, 2.0, 3.0), "out-of-range", "the grade must be 0, 1, 2 or 3"),
    ),
    "label": (
        _Rule(~_named(*FINDINGS), "unknown-label", "the label is none of ours"),
        _Rule(~_one_of(1.0, 0.0, -1.0), "out-of-range", "a label must be 1, 0 or -1"),
    ),
    "region": (
        _Rule(_blank("text") & _blank("name"), "empty-text", "the region has no phrase"),
        _Rule(pl.col("_boxes") == 0, "no-box", "the region has no box"),
        _Rule(pl.col("_boxes") == 1, "bad-value", "a box must be four finite numbers"),
        _Rule(pl.col("_boxes") == 2, "zero-area-box",
              "a box must be x1, y1, x2, y2 with x1 < x2 and y1 < y2"),
    ),
    "qa": (
        _Rule(_blank("text"), "empty-text", "the question has no text"),
        _Rule(pl.col("answers").list.eval(pl.element().is_null()).list.any(), "bad-value",
              "the question has no list of answers, or an answer is null"),
        _Rule(~_one_of(0.0, 1.0), "out-of-range", "a question must be closed (1) or open (0)"),
    ),
}  # fmt: skip
"""Rules of each kind; a null in place of the judgement counts as a breach."""


def _boxes_sound(boxes: pl.Series) -> pl.Series:
    """Judge the boxes of regions: 0 none, 1 not four finite numbers, 2 without area, 3 sound."""
    count = boxes.list.len().fill_null(0).to_numpy()
    judged = np.where(count > 0, 3, 0).astype(np.int8)
    flat = boxes.filter(pl.Series(count > 0)).list.explode()
    owner = np.repeat(np.arange(len(boxes)), count)
    four = (flat.list.len() == 4).fill_null(False).to_numpy()
    judged[owner[~four]] = 1
    numbers = flat.filter(pl.Series(four)).list.explode()
    corners: NDArray[np.float64] = numbers.fill_null(np.nan).to_numpy().reshape(-1, 4)
    finite = np.isfinite(corners).all(axis=1)
    sized = (corners[:, 0] < corners[:, 2]) & (corners[:, 1] < corners[:, 3])
    mine = owner[four]
    _lower(judged, mine[finite & ~sized], 2)
    _lower(judged, mine[~finite], 1)
    return pl.Series(judged)


def _lower(judged: NDArray[np.int8], rows: NDArray[np.int64], judgement: int) -> None:
    judged[rows] = np.minimum(judged[rows], judgement)
