"""Cleans report text in named steps, each of which can be switched off, and keeps the raw text."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Final, Literal, get_args

import polars as pl
from pydantic import BaseModel, ConfigDict, Field

from imaxray.curation.text.gaps import GAP, Gaps, without_gaps
from imaxray.curation.text.lists import MARKED, as_sentences
from imaxray.curation.text.punctuation import ODD, tidy
from imaxray.schema import REJECTS, UNKNOWN_SECTION, conform

Step = Literal[
    "addenda", "enumeration", "lines", "deidentification", "comparisons", "notifications", "spaces"
]
STEPS: Final[tuple[Step, ...]] = get_args(Step)
"""All steps in the order in which they are applied; the order in a config has no effect."""

_SENTENCE_END: Final = r"([.!?])\s+"
_COMPARING: Final = (
    r"(?i)\b(?:compar(?:ed|ison)|previous(?:ly)?|prior|interval|unchanged|again|since|new(?:ly)?|"
    r"stable|improv(?:ed|ing|ement)|worse(?:ned|ning)?|increas(?:ed|ing)|decreas(?:ed|ing)|"
    r"resol(?:ved|ving|ution)|persist(?:s|ent|ing)?|no longer|remains?)\b"
)
_NOTIFYING: Final = (
    r"(?i)\b(?:discussed|notified|communicated|paged|telephoned?|by phone|e-?mailed|"
    r"wet read|dashboard|attending)\b"
)


class CleaningConfig(BaseModel):
    """Sets which steps are applied to report text.

    - ``addenda`` removes the text after a line of underscores, and paragraphs that start with
      Addendum.
    - ``enumeration`` makes each item of a numbered or dashed list a sentence, without its mark.
    - ``lines`` joins wrapped lines.
    - ``deidentification`` treats the gaps ``___``, ``XXXX`` and ``[** … **]`` as ``gaps`` says.
    - ``comparisons`` removes sentences about an earlier image, which a single image cannot show. It
      is off by default, because it also removes findings ("unchanged cardiomegaly").
    - ``notifications`` removes sentences about whom the radiologist informed. It is off by default.
    - ``spaces`` removes repeated spaces, spaces before punctuation and orphan punctuation.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    steps: tuple[Step, ...] = Field(
        default=("addenda", "enumeration", "lines", "deidentification", "spaces"),
        description="Steps that are applied to report text.",
    )
    gaps: Gaps = Field(
        default="rule",
        description="What the step deidentification does with gaps. rule: it closes gaps of dates, "
        "names and attributes, and leaves out other sentences with a gap; keep: it keeps the "
        "sentence with its gap; remove: it removes only the mark, which may change the meaning.",
    )
    unknown_section: Literal["leave-out", "findings", "impression"] = Field(
        default="leave-out",
        description="What becomes of report text that no heading assigns to a section. leave-out: "
        "it stays in the catalog without an entry; findings or impression: it counts as this one.",
    )


def clean_text(
    texts: pl.Series, config: CleaningConfig, counts: Counter[str] | None = None
) -> pl.Series:
    """Apply the steps of ``config`` to ``texts``.

    Args:
        texts: Texts (String); nulls stay nulls.
        config: Steps to apply.
        counts: Counter that receives ``texts_with_gaps``, ``gaps_closed`` and
            ``sentences_dropped``.
    """
    tally: Counter[str] = Counter() if counts is None else counts
    for step in STEPS:
        if step not in config.steps:
            continue
        if step == "deidentification":
            texts = _deidentified(texts, config.gaps, tally)
        elif step == "enumeration":
            texts = _where(texts, MARKED, as_sentences)
        elif step == "spaces":
            texts = _where(texts, ODD, tidy)
        else:
            texts = texts.to_frame("t").select(_APPLY[step](pl.col("t"))).to_series()
    return texts


def clean_reports(
    annotations: pl.DataFrame, config: CleaningConfig
) -> tuple[pl.DataFrame, pl.DataFrame, Counter[str]]:
    """Clean the text of report annotations; ``raw`` keeps the published text if it changed.

    Args:
        annotations: Annotations of one source (schema SOURCE_ANNOTATIONS).
        config: Steps to apply.

    Returns:
        The annotations; rejects ``empty-text`` for reports that are empty after cleaning; and
        counts of texts, gaps and headings (:func:`as_decision` arranges them).
    """
    report = pl.col("kind") == "report"
    counts: Counter[str] = Counter()
    if not annotations.select(report.any()).item():
        nothing = conform(annotations.head(0).select("source", "file", "row"), REJECTS)
        return annotations, nothing, counts
    reports = annotations.filter(report)
    counts["unknown_sections"] = reports.filter(pl.col("name") == UNKNOWN_SECTION).height
    how = reports.group_by(pl.col("quality").cast(pl.String).fill_null("-")).len()
    counts.update({f"headings {name}": count for name, count in how.iter_rows()})
    reports = reports.with_columns(clean_text(reports["text"], config, counts).alias("_clean"))
    if config.unknown_section != "leave-out":
        known = pl.when(pl.col("name") != UNKNOWN_SECTION).then(pl.col("name").cast(pl.String))
        named = known.otherwise(pl.lit(config.unknown_section)).cast(reports.schema["name"])
        reports = reports.with_columns(named.alias("name"))
    empty = pl.col("_clean").is_null() | (pl.col("_clean") == "")
    changed = pl.col("_clean") != pl.col("text")
    kept = reports.filter(~empty).with_columns(
        pl.when(changed).then(pl.col("text")).otherwise("raw").alias("raw"),
        pl.col("_clean").alias("text"),
    )
    lost = reports.filter(empty).select(
        "source",
        "file",
        "row",
        pl.coalesce("image_id", "study_id").alias("key"),
        pl.lit("empty-text").alias("code"),
        pl.lit("nothing is left of the text after cleaning").alias("message"),
    )
    others = annotations.filter(~report)
    return pl.concat([others, kept.select(annotations.columns)]), conform(lost, REJECTS), counts


def as_decision(counts: Counter[str], config: CleaningConfig) -> dict[str, object]:
    """Arrange the counts of :func:`clean_reports` for the manifest.

    Args:
        counts: Sum of the counts over all sources.
        config: Options that the texts were cleaned with.
    """
    names = ("unknown_sections", "texts_with_gaps", "gaps_closed", "sentences_dropped")
    headings = {k.partition(" ")[2]: n for k, n in sorted(counts.items()) if k not in names}
    return {
        "options": config.model_dump(mode="json"),
        **{name: counts[name] for name in names},
        "headings": headings,
    }


def _where(texts: pl.Series, pattern: str, change: Callable[[str], str]) -> pl.Series:
    """Apply ``change`` to the texts in which ``pattern`` occurs; most have nothing to change."""
    found = texts.str.contains(pattern).fill_null(False).arg_true()
    if found.is_empty():
        return texts
    return texts.scatter(found, [change(text) for text in texts.gather(found)])


def _deidentified(texts: pl.Series, how: Gaps, counts: Counter[str]) -> pl.Series:
    counts["texts_with_gaps"] += int(texts.str.contains(GAP).sum() or 0)

    def treated(text: str) -> str:
        plain, found = without_gaps(text, how)
        counts.update(found)
        return plain

    return _where(texts, GAP, treated)


def _addenda(text: pl.Expr) -> pl.Expr:
    cut = text.str.replace(r"(?s)(?:^|\n)[ \t]*_{10,}[ \t]*(?:\n.*)?$", "")
    return cut.str.replace_all(r"(?is)(?:^|\n)[ \t*]*addendum\b.*?(?:\n\s*\n|\z)", "\n")


def _lines(text: pl.Expr) -> pl.Expr:
    return text.str.replace_all(r"\s*\n\s*", " ")


def _without(pattern: str) -> Callable[[pl.Expr], pl.Expr]:
    """Make a step that drops the sentences in which ``pattern`` occurs."""

    def apply(text: pl.Expr) -> pl.Expr:
        sentences = text.str.replace_all(_SENTENCE_END, "$1\u0000").str.split("\u0000")
        said = pl.element().str.contains(pattern)
        return sentences.list.eval(pl.element().filter(~said)).list.join(" ")

    return apply


_APPLY: Final[dict[Step, Callable[[pl.Expr], pl.Expr]]] = {
    "addenda": _addenda,
    "lines": _lines,
    "comparisons": _without(_COMPARING),
    "notifications": _without(_NOTIFYING),
}
