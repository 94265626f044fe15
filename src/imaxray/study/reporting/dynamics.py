"""Makes the section about training dynamics: spectrum, contrast, crossed probes and conflicts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import polars as pl

from imaxray._common.files import read_parquet
from imaxray.dynamics import PAIRS
from imaxray.evaluation import number_text, signed_text
from imaxray.report import Heading, Lines, Missing, Part, Picture, Table, Text
from imaxray.report.figures import Line, lines, svg
from imaxray.study.arms import PROBED
from imaxray.study.reporting.effective import effective_entries
from imaxray.study.reporting.material import Material
from imaxray.study.reporting.shared_images import shared_images
from imaxray.study.results.dynamics_tables import StudyDynamics
from imaxray.study.results.sentences import DIRECTIONS, GRADIENTS, LABELS, verdict

_CROSSED = ("imax_on_imax", "imax_on_dmax", "dmax_on_imax", "dmax_on_dmax")


def dynamics(material: Material) -> list[Part]:
    """Return the measurements of the arms' gradients during and after training."""
    found = material.outcome.dynamics
    if found is None:
        return [
            Missing(
                "The dynamics of training",
                "the study measured none; add a block `dynamics` to its configuration.",
            )
        ]
    spectra = found.spectra.filter(pl.col("reduction").is_in(list(GRADIENTS)), group="all")
    return [
        Text(
            "The statistics describe the exact empirical Fisher matrix of all trained parameters: "
            "one backward pass over a probe gives the gradient of each of its entries. SE is the "
            "entropy of the spectrum, rho is the share of its largest eigenvalue, and H2 is an "
            "entropy that hardly depends on the number of entries. Raw gradients are gradients of "
            "the summed answer log-likelihood; with unit-norm gradients each entry has the same "
            f"weight. The probe of the curves has {spectra['entries'][0]} validation entries, the "
            "same for all arms and seeds.",
            soft=True,
        ),
        _spectra(spectra),
        *_conflict(material),
        Lines("What the measurements say, in sentences", found.sentences(), folded=True),
        *_contrast(found),
        *_crossed(found),
        *shared_images(found.shared),
        *effective_entries(material, found.shared),
        _tasks(found),
        _fewer(found),
    ]


def _spectra(spectra: pl.DataFrame) -> Picture:
    panels = {
        f"{label}, {gradients} gradients": _by_arm(spectra.filter(reduction=reduction), name)
        for reduction, gradients in GRADIENTS.items()
        for name, label in LABELS.items()
    }
    told = " ".join(
        f"{title} at the end: "
        + ", ".join(f"{line.arm} {_end(line.points):.3f}" for line in panel)
        + "."
        for title, panel in panels.items()
    )
    drawn = lines(panels, "entries seen", "", columns=len(LABELS), height=2.5)
    return Picture(
        svg(drawn, "Statistics of the Fisher spectrum over training", told),
        "Lines are means over seeds; bands reach from the lowest to the highest seed.",
    )


def _by_arm(table: pl.DataFrame, column: str) -> list[Line]:
    found = []
    for arm in table["arm"].unique(maintain_order=True):
        of_arm = table.filter(arm=arm)
        seeds = [
            [
                (float(x), float(y))
                for x, y in of_arm.filter(seed=seed).sort("entries_seen")
                .select("entries_seen", column).iter_rows()
                if y is not None
            ]
            for seed in of_arm["seed"].unique(maintain_order=True)
        ]  # fmt: skip
        found.append(Line(str(arm), [points for points in seeds if points]))
    return [line for line in found if line.points]


def _end(points: Sequence[Sequence[tuple[float, float]]]) -> float:
    return sum(seed[-1][1] for seed in points) / len(points)


def _conflict(material: Material) -> list[Part]:
    """Return the conflict of tasks over training, with and without pairs of one image."""
    tables = []
    for arm in PROBED:
        for seed in material.config.training_seeds:
            run = material.run(material.outcome.only, arm, seed)
            path = run / "dynamics" / "tasks.parquet"
            if not path.is_file():
                return [Missing("The conflict of tasks over training", f"{path} is not there.")]
            tables.append(
                read_parquet(path, schema=PAIRS)
                .filter(pl.col("reduction") == "sum")
                .with_columns(pl.lit(arm).alias("arm"), pl.lit(seed).alias("seed"))
            )
    known = pl.col("cosine").is_finite()
    means = (
        pl.concat(tables)
        .group_by("arm", "seed", "same_image", "entries_seen", maintain_order=True)
        .agg(
            pl.col("cosine").filter(known).mean(),
            (100 * (pl.col("cosine").filter(known) < 0).mean()).alias("conflict"),
        )
    )
    panels = {}
    for same, pairs in ((True, "all pairs"), (False, "no pairs of one image")):
        part = means.filter(same_image=same)
        panels[f"mean cosine, {pairs}"] = _by_arm(part, "cosine")
        panels[f"task pairs in conflict (%), {pairs}"] = _by_arm(part, "conflict")
    shown = {title: panel for title, panel in panels.items() if panel}
    if not shown:
        return [Missing("The conflict of tasks over training", "no pair of tasks has a cosine.")]
    told = " ".join(
        f"{title} at the end: "
        + ", ".join(f"{line.arm} {_end(line.points):.3f}" for line in panel)
        + "."
        for title, panel in shown.items()
    )
    drawn = lines(shown, "entries seen", "", columns=2, height=2.3)
    return [
        Picture(
            svg(drawn, "Conflict of tasks over training", told),
            "Cosine of the raw gradients of two tasks, as the mean over all pairs of tasks, and "
            "the share of pairs whose cosine is negative.",
        )
    ]


def _contrast(found: StudyDynamics) -> list[Part]:
    if found.contrast.is_empty():
        return []
    table = found.contrast.filter(
        pl.col("entries_seen") == pl.col("entries_seen").max(),
        pl.col("statistic").is_in(list(LABELS)),
    )
    rows = [
        [
            GRADIENTS[row["reduction"]], LABELS[row["statistic"]], verdict(row),
            DIRECTIONS.get(row["statistic"], "–"), "yes" if row["ordering_holds"] else "no",
            number_text(row["value"]), number_text(row["other"]), signed_text(row, "difference"),
            signed_text(row, "difference", "seeds_"),
        ]
        for row in table.iter_rows(named=True)
    ]  # fmt: skip
    return [
        Heading("IMAX minus DMAX after training"),
        Table(
            "dynamics-contrast", "Statistics of the spectrum after training, IMAX minus DMAX",
            ["gradients", "statistic", "result", "the paper", "same order at N/4, N/2, N", "imax",
             "dmax", "difference (seeds and probe)", "seeds only"], rows, texts=5, frame=table,
        ),
        Text(
            "The paper (arXiv 2504.09967) states that SE is lower and rho is higher with IMAX, for "
            "other data and models. It states a correlation with task scores, not a cause.",
            soft=True,
        ),
    ]  # fmt: skip


def _crossed(found: StudyDynamics) -> list[Part]:
    if found.crossed.is_empty():
        return []
    rows = [
        [
            f"images {row['draw']} ({row['same_image_pairs_imax']} and "
            f"{row['same_image_pairs_dmax']} same-image pairs)",
            GRADIENTS[row["reduction"]], LABELS[row["statistic"]],
            *(number_text(row[key]) for key in _CROSSED),
            *(signed_text(row, part, f"{part}_")
              for part in ("own", "model", "probe", "interaction")),
        ]
        for row in found.crossed.iter_rows(named=True)
        if row["reduction"] in GRADIENTS and row["statistic"] in LABELS
    ]  # fmt: skip
    return [
        Heading("Crossed probes"),
        Text(
            "Both trained models are measured on probes of both arms' train entries, with equal "
            "tasks and answer lengths. Own is IMAX on its own entries minus DMAX on its own "
            "entries; it is the sum of the part of the model and the part of the entries. "
            "Interaction says how much the part of the model differs between the probes; each "
            "model was trained on one of them. Intervals cover seeds and the draw of single "
            "entries, so they are too narrow if whole images were drawn.",
            soft=True,
        ),
        Table(
            "dynamics-crossed", "Both models on probes of both arms' train entries",
            ["probe", "gradients", "statistic", "imax on imax", "imax on dmax", "dmax on imax",
             "dmax on dmax", "own", "model", "entries", "interaction"],
            rows, texts=3, frame=found.crossed,
        ),
    ]  # fmt: skip


def _tasks(found: StudyDynamics) -> Table:
    def percent(row: Mapping[str, Any], key: str) -> str:
        return number_text(None if row[key] is None else 100 * row[key], ".1f")

    rows = [
        [
            GRADIENTS.get(row["reduction"], row["reduction"]),
            "counted" if row["same_image"] else "left out",
            number_text(row["cosine_imax"]), number_text(row["cosine_dmax"]),
            signed_text(row, "cosine_difference", "cosine_"),
            *(percent(row, key) for key in ("conflict_rate_imax", "conflict_rate_dmax",
                                            "pair_conflict_imax", "pair_conflict_dmax")),
        ]
        for row in found.tasks.iter_rows(named=True)
    ]  # fmt: skip
    return Table(
        "dynamics-tasks", "Gradients of pairs of tasks after training; conflicts in %",
        ["gradients", "pairs of one image", "cosine, imax", "cosine, dmax", "difference",
         "task pairs in conflict, imax", "dmax", "entry pairs in conflict, imax", "dmax "],
        rows, texts=2, frame=found.tasks,
    )  # fmt: skip


def _fewer(found: StudyDynamics) -> Table:
    rows = [
        [row["arm"], GRADIENTS[row["reduction"]], LABELS[row["statistic"]], f"{row['entries']}",
         number_text(row["value"])]
        for row in found.curve.iter_rows(named=True)
    ]  # fmt: skip
    return Table(
        "dynamics-n-curve", "Statistics at fewer entries of the probe (N/4, N/2, N)",
        ["arm", "gradients", "statistic", "entries", "value"], rows, texts=3, frame=found.curve,
        folded=True,
    )  # fmt: skip
