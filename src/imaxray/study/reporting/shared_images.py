"""Makes the part of the dynamics about entries that share images: sampling, effects and power."""

from __future__ import annotations

from typing import Any

import polars as pl

from imaxray.evaluation import number_text, signed_text
from imaxray.report import Heading, Missing, Part, Picture, Table, Text
from imaxray.report.figures import Row, intervals, svg
from imaxray.study.results.sentences import GRADIENTS, LABELS, over_runs
from imaxray.study.results.shared_images import SharedImages

_EFFECTS = ("naive", "sampling", "entry", "training")


def shared_images(found: SharedImages) -> list[Part]:
    """Return what drawing whole images does without any difference in training, and the power."""
    parts: list[Part] = [Heading("Entries that share images")]
    if found.sharing.is_empty():
        why = found.not_made.get("groups", "the probe has no measurement")
        return [*parts, Missing("What shared images do to the spectrum", why)]
    parts += [
        Text(
            "Gradients of one image are alike, so a batch of whole images has a more concentrated "
            "spectrum than a batch with one entry per image, under the same weights. m_w and m_b "
            "are the mean squared cosines within and across images; the intraclass correlation is "
            "the share of the gradients' variance between images.",
            soft=True,
        ),
        _sharing(found.sharing),
        _groups(found.groups),
    ]
    if found.effects.is_empty():
        why = found.not_made.get("effects", "the arms have no common measurement")
        parts.append(Missing("What a naive comparison is made of", why))
    else:
        parts += _effects(found.effects)
    if not found.power.is_empty():
        parts.append(_power(found.power))
    return parts


def _sharing(table: pl.DataFrame) -> Table:
    rows = [
        [
            f"{row['entries_seen']:,}", row["group"], _gradients(row),
            *(number_text(row[key])
              for key in ("within", "across", "cosine_within", "cosine_across")),
            signed_text(row, "icc", "icc_"),
        ]
        for row in over_runs(table).iter_rows(named=True)
    ]  # fmt: skip
    return Table(
        "dynamics-sharing",
        "How alike gradients of the fixed probe are within an image and across images (imax)",
        ["entries seen", "modules", "gradients", "m_w", "m_b", "cosine within", "cosine across",
         "intraclass correlation"],
        rows, texts=3, frame=table, folded=True,
    )  # fmt: skip


def _groups(table: pl.DataFrame) -> Table:
    rows = [
        [
            f"{row['entries_seen']:,}", row["group"], _gradients(row), f"{row['entries']}",
            number_text(row["entries_per_image"], ".2f"), LABELS[row["statistic"]],
            *("–" if row[key] is None else signed_text(row, key, f"{key}_")
              for key in ("observed", "simulated")),
            number_text(row["formula"]),
        ]
        for row in over_runs(table).iter_rows(named=True)
    ]  # fmt: skip
    return Table(
        "dynamics-groups",
        "Whole images minus one entry per image, under the same weights (imax): observed, and as "
        "predicted by simulation and by formula",
        ["entries seen", "modules", "gradients", "N", "entries per image (size-biased)",
         "statistic", "observed", "simulated", "formula"],
        rows, texts=3, frame=table, folded=True,
    )  # fmt: skip


def _effects(table: pl.DataFrame) -> list[Part]:
    rows = [
        [_gradients(row), f"{row['entries']}", LABELS[row["statistic"]],
         *(signed_text(row, effect, f"{effect}_") for effect in _EFFECTS)]
        for row in table.iter_rows(named=True)
    ]  # fmt: skip
    at = table.filter(
        pl.col("entries") == pl.col("entries").max(), reduction="unit-norm", statistic="se"
    ).row(0, named=True)
    drawn = [
        Row(effect, {"SE": _cell(at, effect)}, strong=effect == "naive") for effect in _EFFECTS
    ]
    told = " ".join(f"{effect}: {signed_text(at, effect, f'{effect}_')}." for effect in _EFFECTS)
    return [
        Text(
            "A naive comparison measures each model on batches of its own data, drawn by whole "
            "images. It is the sum of three effects: sampling (same weights, two ways to draw), "
            "entry (same way to draw, two datasets) and training (two models on the same entries).",
            soft=True,
        ),
        Picture(
            svg(
                intervals(drawn, "difference in SE, imax minus dmax, nats", zero="", form="+.3f"),
                "What a naive comparison of SE is made of", told,
            ),
            f"What a naive comparison of SE at N = {at['entries']} is made of (unit-norm "
            "gradients, after training).",
        ),
        Table(
            "dynamics-effects", "What a naive comparison, imax minus dmax, is made of",
            ["gradients", "N", "statistic", "naive", "sampling", "entry", "training"],
            rows, texts=1, frame=table,
        ),
    ]  # fmt: skip


def _power(table: pl.DataFrame) -> Table:
    rows = [
        [
            _gradients(row), LABELS[row["statistic"]], number_text(row["difference"], "+.3f"),
            number_text(row["smallest"]), number_text(row["predicted"], "+.4f"),
            f"{row['entries']}", "–" if row["seeds"] is None else f"{row['seeds']:,}",
        ]
        for row in table.filter(pl.col("statistic").is_in(list(LABELS))).iter_rows(named=True)
    ]  # fmt: skip
    return Table(
        "dynamics-power",
        "Smallest difference between the arms that such a study would find in 80 % of its "
        "repetitions, and the seeds that the effect of sampling alone would need",
        ["gradients", "statistic", "difference", "smallest that would be found",
         "predicted by sampling alone", "at N", "seeds for that"],
        rows, texts=2, frame=table,
    )  # fmt: skip


def _cell(row: dict[str, Any], effect: str) -> dict[str, Any]:
    return {"value": row[effect], "low": row[f"{effect}_low"], "high": row[f"{effect}_high"]}


def _gradients(row: dict[str, Any]) -> str:
    return GRADIENTS.get(row["reduction"], str(row["reduction"]))
