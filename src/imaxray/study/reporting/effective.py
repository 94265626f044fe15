"""Makes the part of the dynamics about effective entries: what density costs, and what it gains."""

from __future__ import annotations

from imaxray.evaluation import Interval, interval_text, number_text, percent_text
from imaxray.report import Heading, Part, Picture, Table, Text
from imaxray.report.figures import Line, Row, intervals, lines, svg
from imaxray.study.reporting.material import Material
from imaxray.study.results.effective import effective_table
from imaxray.study.results.sentences import GRADIENTS
from imaxray.study.results.shared_images import SharedImages


def effective_entries(material: Material, found: SharedImages) -> list[Part]:
    """Return the design effect over density, beside the gain of each arm at equal entries."""
    if found.sharing.is_empty():
        return []  # said above
    table = effective_table(material.config, material.out, material.outcome.only, found.sharing)
    ends = table["entries_seen"].unique().sort().to_list()
    panels = {
        f"{gradients} gradients": [
            Line(
                f"after {seen:,} entries",
                [table.filter(reduction=reduction, entries_seen=seen)
                 .select("group", "design_effect").rows()],
            )
            for seen in ends
        ]
        for reduction, gradients in GRADIENTS.items()
    }  # fmt: skip
    last = table.filter(entries_seen=ends[-1], reduction="sum")
    gains = [
        Row(
            f"{row['arm']} ({row['entries_per_image']:.2f} entries per image)", {"gain": _gain(row)}
        )
        for row in last.iter_rows(named=True)
    ]
    reference = material.config.reference
    told = " ".join(
        f"{row['arm']}: design effect {row['design_effect']:.3f}, gain {percent_text(_gain(row))}."
        for row in last.iter_rows(named=True)
    )
    rows = [
        [
            row["arm"], f"{row['entries_seen']:,}", GRADIENTS[row["reduction"]],
            f"{row['entries']:,}", f"{row['images']:,}", f"{row['entries_per_image']:.2f}",
            f"{row['group']:.2f}", interval_text(_interval(row, "design_effect")),
            number_text(row["effective"], ",.0f"),
            "reference" if row["arm"] == reference else percent_text(_gain(row)),
        ]
        for row in table.iter_rows(named=True)
    ]  # fmt: skip
    return [
        Heading("Effective entries"),
        Text(
            "N train entries of whole images estimate the mean gradient as well as N / design "
            "effect entries of as many images. The design effect is 1 + (g − 1) × intraclass "
            "correlation, with the size-biased mean number g of entries per image. If that were "
            "all that density does, an arm with a larger design effect would learn less from "
            "equally many entries.",
            soft=True,
        ),
        Picture(
            svg(
                lines(panels, "entries per image (size-biased mean)", "design effect", columns=2),
                "Design effect over density", told,
            ),
            "Design effect of the train entries over the density of each arm.",
        ),
        Picture(
            svg(
                intervals(gains, f"mean relative gain over {reference} at equal entries, %",
                          zero="", scale=100, form="+z.1f"),
                "Gain at equal entries, by density", told,
            ),
            f"Mean relative gain over {reference} at equal entries, from the sparsest arm to the "
            "densest.",
        ),
        Table(
            "dynamics-effective", "Design effect and effective entries of each arm, and its gain",
            ["arm", "entries seen", "gradients", "entries", "images", "entries per image",
             "size-biased", "design effect", "effective entries", "gain at equal entries"],
            rows, texts=3, frame=table,
        ),
    ]  # fmt: skip


def _interval(row: dict[str, float], name: str) -> Interval:
    return {"value": row[name], "low": row[f"{name}_low"], "high": row[f"{name}_high"]}


def _gain(row: dict[str, float]) -> Interval:
    """Return the gain of an arm; that of the reference is 0."""
    return _interval({**row, "gain": 0.0} if row["gain"] is None else row, "gain")
