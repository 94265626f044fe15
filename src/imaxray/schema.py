"""Defines the columns, types and units of every table, in one place.

Every table is a Polars frame with exactly one of these schemas. An *annotation* is one fact about
one image; its ``kind`` determines which of the value columns hold the fact:

=============  ==============================  =========================================
kind           columns                         meaning
=============  ==============================  =========================================
measurement    name (``ctr``/``cpar``), value  ratio in (0, 1)
report         name (section), text            one of SECTIONS, and the text of this section
grade          name (``edema``), value         0-3, see EDEMA_GRADES
label          name (one of FINDINGS), value   1 yes, 0 no, -1 uncertain; no row: unknown
region         name, text (phrase), boxes      ``name`` is the category or region of the phrase
qa             name (question type), text      question in ``text``, gold answers in ``answers``,
               answers, value                  ``value`` 1 closed, 0 open question
=============  ==============================  =========================================

Every box is ``[x1, y1, x2, y2]``, float, in pixels of the original image (see
:mod:`imaxray.boxes`). Every id is ``<collection>/<id in the release>``, e.g.
``mimic-cxr/10000032``; releases about the same images share the collection, so that they join.
"""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal, get_args

import polars as pl
from pydantic import AfterValidator

from imaxray._common import plugins as _plugins
from imaxray._common.names import did_you_mean
from imaxray.errors import ImaxrayError

Kind = Literal["measurement", "report", "grade", "label", "region", "qa"]
Split = Literal["train", "val", "test"]

TASKS: Final = ("calculation", "report", "grading", "findings", "rec", "reg", "vqa")
"""Built-in tasks; :func:`task_names` also returns those of other installed packages."""
KINDS: Final[tuple[Kind, ...]] = get_args(Kind)
ORIGINS: Final = ("human", "silver", "derived", "pseudo")
"""Who stated a fact, the strongest origin first; a column of origins sorts in this order."""
SPLITS: Final[tuple[Split, ...]] = get_args(Split)
UNKNOWN_SECTION: Final = "unknown"
"""Name of report text that no heading assigns to a section."""
SECTIONS: Final = ("findings", "impression", UNKNOWN_SECTION)
"""Sections of a report that annotations name."""

CHEXPERT: Final = (
    "Atelectasis",
    "Cardiomegaly",
    "Consolidation",
    "Edema",
    "Enlarged Cardiomediastinum",
    "Fracture",
    "Lung Lesion",
    "Lung Opacity",
    "No Finding",
    "Pleural Effusion",
    "Pleural Other",
    "Pneumonia",
    "Pneumothorax",
    "Support Devices",
)
"""The 14 labels of CheXpert and MIMIC-CXR-JPG."""

FINDINGS: Final = (
    *CHEXPERT,
    # ChestX-ray14 labels without a CheXpert equivalent.
    "Emphysema",
    "Fibrosis",
    "Hernia",
    "Infiltration",
    "Mass",
    "Nodule",
    "Pleural Thickening",
)
"""Every finding label a source may use, in the order used by tables and prompts."""

EDEMA_GRADES: Final = ("none", "vascular congestion", "interstitial edema", "alveolar edema")
"""Names of the edema grades 0-3 (mimic-cxr-pe-severity)."""

FRONTAL: Final = ("PA", "AP", "FRONTAL")
"""Values of ``view`` that count as frontal; ``FRONTAL`` means that PA or AP is not stated."""

ImageSize = tuple[int, int]
"""Width and height of an image, in pixels."""

Boxes: Final[Any] = pl.List(pl.List(pl.Float64))

_Columns = dict[str, Any]  # Polars mixes type classes and instances here

# A column with few distinct values stores each value once, and four bytes per row.
_Few: Final[Any] = pl.Categorical()

_PROVENANCE: Final[_Columns] = {
    "source": _Few,  # name of the source that read the row
    "file": _Few,  # path inside the release
    "row": pl.Int64,  # 1-based: data row of a table, item of a list, member of an archive
}

IMAGES: Final = pl.Schema(
    {
        "image_id": pl.String,
        "patient_id": pl.String,
        "study_id": pl.String,  # null where a release has no studies
        "split": pl.String,  # train / val / test; null until curation assigns it
        "path": pl.String,  # relative to the root of release ``source``
        "width": pl.Int32,  # pixels
        "height": pl.Int32,  # pixels
        "view": pl.String,  # PA, AP, FRONTAL, LATERAL, … ; null: not stated
        "sex": pl.String,  # M / F / null
        "age": pl.Int16,  # years / null
        **_PROVENANCE,
    }
)

_FACT: Final[_Columns] = {
    "kind": pl.Enum(KINDS),
    "name": _Few,
    "value": pl.Float64,
    "text": pl.String,
    "raw": pl.String,  # the text as published, where cleaning changed it; null: unchanged
    "boxes": Boxes,
    "answers": pl.List(pl.String),
    "reader": _Few,  # who stated it, if a release has several readers; null: one, or they agreed
    "origin": pl.Enum(
        ORIGINS
    ),  # human / silver (made by a program) / pseudo (made by one of our models)
    "quality": _Few,  # grade within the origin, e.g. expert, consensus, regex
}

SOURCE_ANNOTATIONS: Final = pl.Schema(
    {
        "image_id": pl.String,  # null: the fact is about the whole study
        "study_id": pl.String,  # set for facts about a study; its frontal images get them
        **_FACT,
        **_PROVENANCE,
    }
)
"""Schema of the annotations that a source returns."""

ANNOTATIONS: Final = pl.Schema({"image_id": pl.String, **_FACT, **_PROVENANCE})
"""Schema of the annotations in the catalog, after the join per image."""

SPLIT_HINTS: Final = pl.Schema(
    {
        # exactly one of the three ids is set
        "image_id": pl.String,
        "study_id": pl.String,
        "patient_id": pl.String,
        "split": pl.String,  # the release's own split, as train / val / test
        **_PROVENANCE,
    }
)
"""Official splits of the releases, from which curation derives one split per patient."""

ENTRIES: Final = pl.Schema(
    {
        "entry_id": pl.String,
        "image_id": pl.String,
        "patient_id": pl.String,
        "task": pl.String,
        "split": pl.String,
        "prompt": pl.String,  # ``<box>`` stands for the next box of ``boxes``
        "target": pl.String,  # the boxes of its ``<box>`` follow those of the prompt
        "boxes": Boxes,
        "answer": pl.String,  # canonical JSON of the typed gold answer, see imaxray.tasks
        "template": pl.String,  # <task>.<subtask>.<number>
        "sources": pl.List(pl.String),
        "quality": pl.String,
    }
)

REJECTS: Final = pl.Schema(
    {
        **_PROVENANCE,
        "key": pl.String,  # an id by which the row can be found; never report text
        "code": _Few,
        "message": _Few,
    }
)


_ONE_FACT: Final[_Columns] = {
    "source": _Few, "file": _Few, "row": pl.Int64, "name": _Few, "value": pl.Float64,
}  # fmt: skip

CONFLICTS: Final = pl.Schema(
    {
        "rule": _Few,
        "image_id": pl.String,
        "effect": _Few,
        **_ONE_FACT,
        **{f"other_{name}": dtype for name, dtype in _ONE_FACT.items()},
    }
)
"""Contradictions: one row per pair of annotations, with both facts and the effect."""


_SOFT: Final[_Columns] = {
    "entry_id": pl.String,
    "token_ids": pl.List(pl.Int32),  # the answer as it was generated, with its end
    "top_ids": pl.List(pl.Int32),  # the same number of tokens for each of token_ids
    "top_logprobs": pl.List(pl.Float32),  # nats; what they lack to 1 is the mass of the rest
    "tokenizer": pl.String,  # digest of the tokenizer whose ids these are
}
SOFT: Final = pl.Schema(_SOFT)
"""Distributions of a model that annotated, over the tokens of its answers."""

SOFT_FILE: Final = "soft.parquet"
"""File of a dataset folder with the distributions of its pseudo entries (schema SOFT)."""


def task_names() -> tuple[str, ...]:
    """Return the built-in tasks, then those of other installed packages, sorted by name."""
    return (*TASKS, *_plugins.plugins_besides(_plugins.TASKS, TASKS))


def _known_task(name: str) -> str:
    known = task_names()
    if name not in known:
        raise ValueError(
            f"expected a task, one of {', '.join(known)}, but got {name}; "
            + did_you_mean(name, known).rstrip(".")
        )
    return name


TaskName = Annotated[str, AfterValidator(_known_task)]
"""Name of a task; Pydantic models refuse a name that :func:`task_names` does not return."""


def empty(schema: pl.Schema) -> pl.DataFrame:
    """Return an empty frame of ``schema``.

    Example:
        >>> empty(REJECTS).columns
        ['source', 'file', 'row', 'key', 'code', 'message']
    """
    return pl.DataFrame(schema=schema)


def conform(frame: pl.DataFrame, schema: pl.Schema) -> pl.DataFrame:
    """Return ``frame`` with exactly the columns of ``schema``: missing columns null, types cast.

    Raises:
        ImaxrayError: ``frame`` has a column that the schema does not have.

    Example:
        >>> rows = conform(pl.DataFrame({"image_id": ["a/1"], "width": [512]}), IMAGES)
        >>> rows.schema == IMAGES, rows["view"].to_list()
        (True, [None])
    """
    unknown = sorted(set(frame.columns) - set(schema.names()))
    if unknown:
        raise ImaxrayError(
            f"Expected the columns {', '.join(schema.names())}, but got {', '.join(unknown)} too; "
            "drop or rename them."
        )
    present = set(frame.columns)
    return frame.select(
        pl.col(name).cast(dtype) if name in present else pl.lit(None, dtype=dtype).alias(name)
        for name, dtype in schema.items()
    )


def image_sizes(images: pl.DataFrame) -> dict[str, ImageSize]:
    """Return width and height, in pixels, of each image by its id.

    Args:
        images: Images, schema IMAGES.
    """
    columns = images.select("image_id", "width", "height")
    return {image: (width, height) for image, width, height in columns.iter_rows()}


PSEUDO_SOURCE: Final = "pseudo"
"""Source name of pseudo annotations, which a model stated, and of the entries made from them."""


IS_PSEUDO: Final = "is_pseudo"
"""Boolean column that :class:`imaxray.curation.Tables` adds to its entries: whether the entry
rests, wholly or partly, on a pseudo annotation. It exists in memory only; the files of a dataset
hold the columns of ENTRIES, from which :func:`mark_pseudo` derives it."""


def entry_is_pseudo() -> pl.Expr:
    """Return whether an entry rests, wholly or partly, on a pseudo annotation; never null.

    Only this expression decides it. An entry is pseudo if one of its sources is ``pseudo``, or if
    one of its grades (``quality`` joins them by ``+``) is ``pseudo/<model>``.
    """
    return _rests_on(PSEUDO_SOURCE)


def mark_pseudo(entries: pl.DataFrame) -> pl.DataFrame:
    """Add the column ``is_pseudo`` (:func:`entry_is_pseudo`); entries that have it are unchanged.

    Args:
        entries: Entries, schema ENTRIES; only ``quality`` and ``sources`` are read.
    """
    if IS_PSEUDO in entries.columns:
        return entries
    return entries.with_columns(entry_is_pseudo().alias(IS_PSEUDO))


DERIVED_SOURCE: Final = "derived"
"""Source name of derived annotations, which a rule concluded, and of the entries made from them."""

IS_DERIVED: Final = "is_derived"
"""Boolean column that :func:`mark_derived` adds: whether the entry rests on a derived annotation.
It exists in memory only."""


def mark_derived(entries: pl.DataFrame) -> pl.DataFrame:
    """Add the column ``is_derived`` to ``entries``; entries that have it are returned unchanged.

    Only this function decides which entries are derived: those with ``derived`` among their
    sources, or with a grade ``derived/<rule>`` in ``quality``.

    Args:
        entries: Entries, schema ENTRIES; only ``quality`` and ``sources`` are read.
    """
    if IS_DERIVED in entries.columns:
        return entries
    return entries.with_columns(_rests_on(DERIVED_SOURCE).alias(IS_DERIVED))


def _rests_on(source: str) -> pl.Expr:
    grades = "+" + pl.col("quality").fill_null("")
    graded = grades.str.contains(f"+{source}/", literal=True)
    return graded | pl.col("sources").list.contains(source).fill_null(False)


DISPUTED: Final = ", disputed"
"""Ending of the quality of a fact that a build downgraded, because another fact contradicts it."""

ANATOMY: Final = "anatomy"
"""Quality of a region that is named after a body part, e.g. ``left lung``, not after a finding."""


def is_disputed() -> pl.Expr:
    """Return whether an annotation (schema ANNOTATIONS) was downgraded by a build; never null."""
    return pl.col("quality").cast(pl.String).str.ends_with(DISPUTED).fill_null(False)


def is_anatomy() -> pl.Expr:
    """Return whether an annotation (schema ANNOTATIONS) is a region of anatomy; never null."""
    # a derived region of anatomy has the quality <rule>/anatomy
    quality = pl.col("quality").cast(pl.String)
    return ((quality == ANATOMY) | quality.str.ends_with(f"/{ANATOMY}")).fill_null(False)


def entry_is_anatomy() -> pl.Expr:
    """Return whether an entry (schema ENTRIES) is about a region of anatomy.

    The quality of an entry joins the grades ``<origin>/<quality>`` of its facts by ``+``; the last
    grade decides. The expression is null where the quality is null.
    """
    return pl.col("quality").str.ends_with(f"/{ANATOMY}")


def require_real_evaluation(
    images: pl.DataFrame, annotations: pl.DataFrame, entries: pl.DataFrame
) -> None:
    """Check that validation and test hold no pseudo or derived entries and annotations.

    Such an entry must have the split train and an image of the split train; such an annotation must
    be of an image of the split train. A model must not be judged by what a model stated or a rule
    concluded.

    Args:
        images: Images, schema IMAGES.
        annotations: Annotations, schema ANNOTATIONS.
        entries: Entries, schema ENTRIES.

    Raises:
        ImaxrayError: A pseudo or derived entry or annotation is not in train.
    """
    marked = mark_derived(mark_pseudo(entries))
    held: pl.Series | None = None
    for origin, mark in ((PSEUDO_SOURCE, IS_PSEUDO), (DERIVED_SOURCE, IS_DERIVED)):
        facts = annotations.filter(pl.col("origin") == origin)
        made = marked.filter(mark)
        if facts.is_empty() and made.is_empty():
            continue
        if held is None:
            outside = pl.col("split").is_null() | (pl.col("split") != "train")
            held = images.filter(outside)["image_id"]
        wrong_facts = int(facts["image_id"].is_in(held.implode()).sum())
        elsewhere = (pl.col("split") != "train").fill_null(True)
        wrong = made.filter(elsewhere | pl.col("image_id").is_in(held.implode())).height
        if wrong or wrong_facts:
            raise ImaxrayError(
                f"Expected {origin} annotations on train images alone, but {wrong} {origin} "
                f"entries and {wrong_facts} {origin} annotations are of other splits; remove them."
            )
