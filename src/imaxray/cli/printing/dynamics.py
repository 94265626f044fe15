"""Prints the optimisation dynamics of runs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from imaxray._common.printing import say
from imaxray.cli.printing.tables import print_table

if TYPE_CHECKING:
    import polars as pl

    from imaxray.dynamics import GroupDynamics, RunDynamics


def print_dynamics(found: RunDynamics, group: str) -> None:
    """Print spectra, contrasts, crossed probes, task pairs and correlations of runs."""
    from imaxray.evaluation import number_text as number
    from imaxray.evaluation import signed_text as interval

    if found.contrast.is_empty():
        print_table(
            "Empirical Fisher",
            ["run", "entries seen", "SE", "rho", "H2"],
            [
                [run, f"{seen:,}", number(se), number(rho), number(h2)]
                for table in found.spectra.values()
                for run, seen, se, rho, h2 in table.filter(group=group, reduction="sum")
                .select("run", "entries_seen", "se", "rho", "h2")
                .iter_rows()
            ],
        )
    else:
        seen = int(found.contrast["entries_seen"].to_list()[-1])
        print_table(
            f"After {seen:,} entries",
            ["gradients", "statistic", "runs", "against", "difference", "same order at N/4, N/2"],
            [
                [row["reduction"], row["statistic"], number(row["value"]), number(row["other"]),
                 interval(row, "difference", ""), "yes" if row["ordering_holds"] else "no"]
                for row in found.contrast.filter(entries_seen=seen).iter_rows(named=True)
            ],
        )  # fmt: skip
    if not found.crossed.is_empty():
        print_table(
            f"Final models on probes of N = {found.crossed['entries'][0]} train entries "
            "(own = model + probe)",
            ["gradients", "statistic", "runs on --data", "runs on --other-data",
             "against on --data",
             "against on --other-data", "own", "model", "probe"],
            [
                [row["reduction"], row["statistic"],
                 *(number(row[c]) for c in ("runs_on_runs", "runs_on_against", "against_on_runs",
                                            "against_on_against")),
                 *(interval(row, term, f"{term}_") for term in ("own", "model", "probe"))]
                for row in found.crossed.iter_rows(named=True)
            ],
        )  # fmt: skip
    if not found.tasks.is_empty():
        two = "cosine_difference" in found.tasks.columns
        arms = list(found.spectra)
        print_table(
            "Pairs of tasks, means over all pairs",
            ["gradients", "pairs of one image", *(f"cosine, {arm}" for arm in arms),
             *(["difference"] if two else []), *(f"in conflict, {arm}" for arm in arms)],
            [
                [row["reduction"], "counted" if row["same_image"] else "left out",
                 *(number(row[f"cosine_{arm}"]) for arm in arms),
                 *([interval(row, "cosine_difference", "cosine_")] if two else []),
                 *(number(row[f"conflict_rate_{arm}"], ".0%") for arm in arms)]
                for row in found.tasks.iter_rows(named=True)
            ],
        )  # fmt: skip
    if not found.correlations.is_empty():
        names = found.correlations["statistic"].unique(maintain_order=True).to_list()
        shown = found.correlations.filter(reduction="sum")
        of: dict[str, dict[str, dict[str, Any]]] = {}
        for row in shown.iter_rows(named=True):
            of.setdefault(row["task"], {})[row["statistic"]] = row
        print_table(
            "Spearman correlation with final scores over runs (higher scores are better; Fisher z "
            "intervals)",
            ["task", "runs", *names],
            [
                [task, f"{next(iter(cells.values()))['runs']}",
                 *(interval(cells[name], "spearman", "", "+z.2f") for name in names)]
                for task, cells in of.items()
            ],
        )  # fmt: skip
    if found.groups is not None:
        _print_groups(found.groups, group)
    for line in found.remarks:
        say(line)


def _print_groups(found: GroupDynamics, group: str) -> None:
    from imaxray.evaluation import number_text as number
    from imaxray.evaluation import signed_text as interval

    def of_mean(table: pl.DataFrame) -> list[dict[str, Any]]:
        """Return the rows of the mean over runs, or those of the only run."""
        several = table.filter(run="mean")
        return (table if several.is_empty() else several).to_dicts()

    print_table(
        "How alike gradients are within an image and across images (mean over runs)",
        ["entries seen", "modules", "gradients", "m_w", "m_b", "cosine within", "across",
         "intraclass correlation"],
        [
            [f"{row['entries_seen']:,}", row["group"], row["reduction"],
             *(number(row[c]) for c in ("within", "across", "cosine_within", "cosine_across")),
             interval(row, "icc", "icc_")]
            for row in of_mean(found.sharing)
        ],
    )  # fmt: skip
    print_table(
        f"Whole images minus entries apart, same weights, modules: {group} (mean over runs)",
        ["entries seen", "gradients", "N", "statistic", "observed", "simulated", "formula"],
        [
            [f"{row['entries_seen']:,}", row["reduction"], f"{row['entries']}", row["statistic"],
             interval(row, "observed", "observed_"), interval(row, "simulated", "simulated_"),
             number(row["formula"])]
            for row in of_mean(found.groups.filter(group=group))
        ],
    )  # fmt: skip
    if not found.effects.is_empty():
        print_table(
            "What a naive comparison is made of (naive = sampling + entry + training)",
            ["gradients", "N", "statistic", "naive", "sampling", "entry", "training"],
            [
                [row["reduction"], f"{row['entries']}", row["statistic"],
                 *(interval(row, effect, f"{effect}_")
                   for effect in ("naive", "sampling", "entry", "training"))]
                for row in found.effects.iter_rows(named=True)
            ],
        )  # fmt: skip

    if not found.power.is_empty():
        print_table(
            "What this study could have seen, by a t interval over its seeds in 80 % of studies",
            ["gradients", "statistic", "difference", "smallest that would be found",
             "predicted by sampling alone", "at N", "seeds that this needs"],
            [
                [row["reduction"], row["statistic"], number(row["difference"], "+.3f"),
                 number(row["smallest"]), number(row["predicted"], "+.4f"), f"{row['entries']}",
                 "–" if row["seeds"] is None else f"{row['seeds']:,}"]
                for row in found.power.iter_rows(named=True)
            ],
        )  # fmt: skip
