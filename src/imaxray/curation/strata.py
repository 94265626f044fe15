"""Answer strata: the bins within which two arms must hold the same number of entries."""

from __future__ import annotations

import polars as pl

_ANSWER = pl.Struct({"closed": pl.Boolean, "answers": pl.List(pl.String)})
_NONE = "No Finding"


def with_strata(entries: pl.DataFrame) -> pl.DataFrame:
    """Add ``stratum``: task, subtask and answer bin, e.g. ``calculation.ctr.0.45``.

    Bins: ratios by 0.05; reports by words (20); grades; findings by their number; phrases by where
    they come from; closed questions by yes / no / other, open ones by the number of answers.
    Which of an image's facts become entries is not part of it.
    """
    if entries.is_empty():
        return entries.with_columns(pl.lit(None, dtype=pl.String).alias("stratum"))
    numbered = entries.with_row_index("_row")
    parts = []
    for (task,), rows in numbered.group_by("task"):
        head = pl.col("template").str.extract(r"^([^.]*\.[^.]*)\.")
        label = pl.concat_str(head, pl.lit("."), _bin(str(task)))
        parts.append(rows.select("_row", label.alias("stratum")))
    strata = pl.concat(parts)
    return numbered.join(strata, on="_row", how="left", maintain_order="left").drop("_row")


def _bin(task: str) -> pl.Expr:
    """The answer bin, from the columns of an entry."""
    if task == "calculation":
        # twentieths, counted as integers: 0.15 * 20 is 3.0000000000000004 in floats
        twentieth = (pl.col("answer").cast(pl.Float64) * 20).floor().cast(pl.Int64) * 5
        return pl.concat_str(pl.lit("0."), twentieth.cast(pl.String).str.zfill(2))
    if task == "report":
        words = pl.col("target").str.count_matches(r"\S+").cast(pl.Int64) // 20 * 20
        return pl.concat_str(words.clip(upper_bound=200).cast(pl.String), pl.lit(" words"))
    if task == "grading":
        return pl.concat_str(pl.lit("grade "), pl.col("answer"))
    if task == "findings":
        # the target lists the positive labels, or says that there is none
        named = pl.col("target").str.count_matches(", ", literal=True).cast(pl.Int64) + 1
        count = pl.when(pl.col("target") == _NONE).then(0).otherwise(named)
        return pl.concat_str(count.clip(upper_bound=4).cast(pl.String), pl.lit(" findings"))
    if task in ("rec", "reg"):
        return pl.col("quality")
    answer = pl.col("answer").str.json_decode(_ANSWER)
    texts = answer.struct.field("answers")
    first = texts.list.first().fill_null("none")
    closed = pl.when(first.is_in(["yes", "no"])).then(first).otherwise(pl.lit("other"))
    several = texts.list.len().clip(upper_bound=3).cast(pl.String)
    opened = pl.concat_str(several, pl.lit(" answers"))
    return pl.when(answer.struct.field("closed")).then(closed).otherwise(opened)
