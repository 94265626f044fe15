"""Prints results as tables and sentences on the terminal."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any

from imaxray._common.printing import counted, say

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    import polars as pl

    from imaxray.curation import Tables
    from imaxray.dynamics import GroupDynamics, RunDynamics
    from imaxray.study import StudyConfig


def densities(tables: Tables) -> dict[str, Any]:
    """Return the annotation density of each split as plain values."""
    from imaxray.curation import density

    return {split: asdict(density(tables, split)) for split in ("train", "val", "test")}


def densities_of_made(tables: Tables) -> dict[str, Any]:
    """Return the density of the train entries that a rule derived or a model wrote, if any."""
    from imaxray.curation import density
    from imaxray.schema import IS_DERIVED, IS_PSEUDO, mark_derived

    train = mark_derived(tables.split("train"))
    made = {
        name: train.filter(mark).drop(IS_DERIVED)
        for name, mark in (("derived", IS_DERIVED), ("pseudo", IS_PSEUDO))
    }
    return {
        f"of train, {name}": asdict(density(replace(tables, entries=entries)))
        for name, entries in made.items()
        if not entries.is_empty()
    }


def print_density(name: str, splits: Mapping[str, Any]) -> None:
    """Print one row per split: images, patients, entries, densities and entries per task."""
    _print_densities(name, "split", splits, splits["train"]["entries_per_task"])


def print_changed_density(before: Mapping[str, Any], after: Mapping[str, Any]) -> None:
    """Print the density of the train split before and after a step that adds entries."""
    rows = {"before": before, "after": after}
    _print_densities("Train split", "", rows, after["entries_per_task"])


def _print_densities(
    title: str, first: str, named: Mapping[str, Any], tasks: Mapping[str, int]
) -> None:
    rows = []
    for name, d in named.items():
        per_task = [f"{d['entries_per_task'].get(task, 0):,}" for task in tasks]
        counts = [f"{d[key]:,}" for key in ("images", "patients", "entries")]
        means = [f"{d[key]:.2f}" for key in ("tasks_per_image", "entries_per_image")]
        rows.append([name, *counts, *means, *per_task])
    header = [first, "images", "patients", "entries", "tasks/image", "entries/image"]
    print_table(title, [*header, *tasks], rows)


def print_match(report: Any) -> None:
    """Print how close a matched DMAX dataset is to IMAX."""
    imax, dmax = report["imax"], report["dmax"]
    if not imax["entries"]:
        say(
            "There are no train entries, so imax and dmax hold the validation and test entries "
            "only: they can be scored and exported, but not trained on."
        )
        return
    say(
        f"DMAX spreads {counted(dmax['entries'], 'entry', 'entries')} over "
        f"{counted(dmax['images'], 'image')} ({dmax['tasks_per_image']:.2f} tasks per image; "
        f"IMAX: {counted(imax['images'], 'image')}, "
        f"{imax['tasks_per_image']:.2f} tasks per image). Greatest distance of an answer "
        f"distribution: {max(report['distance'].values()):.3f}. Limit: {report['limit']}."
    )


_NAMED = 10  # ids that are printed; the manifest has all


def print_marks(marks: Mapping[str, Any]) -> None:
    """Print what a user's marks left out of the datasets, and marks that name nothing."""
    from imaxray.curation.decisions import sentence_of_marks

    say(sentence_of_marks(marks))
    lost = marks["unmatched_images"]
    if lost:
        more = f" and {len(lost) - _NAMED:,} more" if len(lost) > _NAMED else ""
        say(f"Images of the marks that name nothing: {', '.join(lost[:_NAMED])}{more}.")


def print_result(data: Mapping[str, Any]) -> None:
    """Print the scores of a run with intervals and baselines, one row per metric."""
    from imaxray.evaluation import interval_text, why_not_joined
    from imaxray.evaluation import number_text as number
    from imaxray.labeller import Measured
    from imaxray.metrics import MAX_WORDS

    rows = []
    for task in data["tasks"]:
        for place, metric in enumerate(task["metrics"]):
            down = "→ 0" if metric["low_bound"] < 0 else "↓"
            arrow = "↑" if metric["higher_is_better"] else down
            rows.append([
                task["task"] if place == 0 else "",
                f"{metric['name']} {arrow}",
                interval_text(metric),
                *(number(metric["baselines"].get(kind))
                  for kind in ("constant", "majority", "ceiling")),
                f"{100 * task['invalid']:.1f} %" if place == 0 else "",
                f"{task['entries']:,}" if place == 0 else "",
                f"{task['patients']:,}" if place == 0 else "",
            ])  # fmt: skip
    level = data["decided_by"]["bootstrap"]["level"]
    print_table(
        f"Scores with {100 * level:.0f} % intervals over patients",
        ["task", "metric", "value", "constant", "majority", "ceiling", "invalid", "entries",
         "patients"],
        rows,
    )  # fmt: skip
    for task in data["tasks"]:
        if "labeller" in task:
            say(Measured(**task["labeller"]).sentence())
    counts = data["counts"]
    say(
        f"{counted(counts['entries'], 'entry', 'entries')}, "
        f"{counted(counts['predictions'], 'prediction')}. Entries without an answer (counted as "
        f"wrong): {counts['missing']:,}; with an empty answer: {counts['empty']:,}. Predictions "
        f"that belong to no entry of the split: {counts['unknown']:,}; to an entry that has one "
        f"already (the first counts): {counts['doubles']:,}."
    )
    for sentence in why_not_joined(data["join"]["not_joined"]):
        say(f"Not joined: {sentence}")
    for task in data["tasks"]:
        if needed := task["reading"]:
            rules = ", ".join(f"{rule} {count:,}" for rule, count in needed.items())
            say(f"Reading rules that answers of {task['task']} needed: {rules}")
    for task, of_truth in (data["truth"] or {}).items():
        values = ", ".join(f"{k} {number(v)}" for k, v in of_truth.items() if k != "entries")
        say(f"Scores of true answers, {task}, {of_truth['entries']:,} entries: {values}")
    if counts["long"]:
        say(
            f"{counts['long']:,} answers have more than {MAX_WORDS:,} words; ROUGE-L, METEOR and "
            "the radiology metrics read only the first of them."
        )
    for task, failed in data["failed"].items():
        for metric, reason in failed.items():
            say(f"Could not be computed: {metric} of {task} ({reason})")
    for extra, reason in data["not_computed"].items():
        say(f"Not computed: {extra} metrics ({reason})")


def print_annotation(done: Any) -> None:
    """Print the numbers of prompts and answers of an annotation, one row per task."""
    account = done.manifest["account"]
    origins = ("template", "real", "model", "similar", "annotator")
    rows = [
        [
            row["task"], f"{account['lacking'].get(row['task'], 0):,}", f"{row['asked']:,}",
            f"{row['readable']:,}", f"{row['mean_logprob']:.3f}",
            "–" if row["mean_agreement"] is None else f"{row['mean_agreement']:.3f}",
            *(f"{row[origin]:,}" for origin in origins),
        ]
        for row in done.summary().iter_rows(named=True)
    ]  # fmt: skip
    print_table(
        f"{counted(account['images'], 'image')}, "
        f"{counted(done.candidates.height, 'candidate')}",
        ["task", "images without it", "prompts", "readable", "mean log-prob.", "agreement",
         *(f"from {origin}" for origin in origins)],
        rows,
    )  # fmt: skip
    left = ", ".join(f"{n:,} {code}" for code, n in account["left_out"].items())
    without = ", ".join(f"{task} {n:,}" for task, n in account["without_prompt"].items())
    say(
        f"Images left out: {left}. Images that lack a task and have no prompt for it: "
        f"{without or 'none'}."
    )
    for task, reasons in account["known"].items():
        counts = ", ".join(f"{reason} {n:,}" for reason, n in reasons.items())
        say(f"{task}: {sum(reasons.values()):,} questions were not asked, since the image's own "
            f"entries answer them ({counts}).")  # fmt: skip
    for task, teacher in done.manifest.get("answered_by", {}).items():
        say(f"{task} is answered by {teacher['name']} ({teacher['weights'][:12]}).")
    say(
        f"The model also answered {done.calibration.height:,} validation entries. Files in "
        f"{done.folder}: candidates.parquet, calibration.parquet, annotate.json"
    )


def print_json(value: Any) -> None:
    """Print a value as JSON; what could not be measured is null."""
    from imaxray.evaluation.comparing.resampling import finite

    say(json.dumps(finite(value), indent=1, default=str))


def print_codes(rejects: Any) -> None:
    """Print the number of rejects by source and code."""
    counts = (
        rejects.group_by("source", "code").len().sort("source", "len", descending=[False, True])
    )
    print_table(
        "Rejects",
        ["source", "code", "rows and items"],
        [[source, code, f"{n:,}"] for source, code, n in counts.iter_rows()],
    )


def print_table(title: str | None, header: list[str], rows: list[list[str]]) -> None:
    """Print a table in the width of the terminal, or in 160 columns in a file or a pipe."""
    from rich.table import Table

    from imaxray.progress import SafeConsole

    table = Table(title=title, title_justify="left")
    for index, column in enumerate(header):
        table.add_column(column, justify="left" if index == 0 else "default", overflow="fold")
    for row in rows:
        table.add_row(*row)
    # a file or a pipe has no width of its own
    SafeConsole(width=None if sys.stdout.isatty() else 160).print(table)


def print_filter(report: Mapping[str, Any]) -> None:
    """Print the yields of the filters, the findings of the rules and precision at equal yield."""
    from imaxray.evaluation import number_text as share
    from imaxray.evaluation import signed_text

    def interval(row: Mapping[str, Any], prefix: str = "") -> str:
        return signed_text(row, f"{prefix}precision", prefix, ".3f")

    for found in (report["thresholds"] or {"tasks": {}})["tasks"].values():
        say(found["says"])
    print_table(
        "Yields: readable and kept candidates, with their precision where the truth is known",
        ["task", "filter", "candidates", "kept", "share", "judged", "precision [95 %]"],
        [[r["task"], r["filter"], f"{r['candidates']:,}", f"{r['kept']:,}", share(r["share"]),
          f"{r['judged']:,}", interval(r)] for r in report["yields"]],
    )  # fmt: skip
    if report["rules"]:
        print_table(
            "Rules: candidates that were checked, and their precision where the truth is known",
            ["rule", "effect", "task", "candidates", "contradicted", "agreed", "silent",
             "precision of contradicted", "of agreed"],
            [[r["rule"], r["effect"], r["task"], *(f"{r[key]:,}" for key in
              ("candidates", "contradicted", "agreed", "silent")),
              interval(r, "contradicted_"), interval(r, "agreed_")] for r in report["rules"]],
        )  # fmt: skip
    if report["equal_yield"]:
        print_table(
            "At equal yield: the filter against the same number of most confident candidates",
            ["task", "filter", "kept", "precision", "by confidence", "gain [95 %]"],
            [[r["task"], r["filter"], f"{r['kept']:,}", share(r["precision"]),
              share(r["confidence_precision"]), signed_text(r, "gain")]
             for r in report["equal_yield"]],
        )  # fmt: skip
    codes = ", ".join(f"{code} {n:,}" for code, n in report["dropped"].items())
    say(
        f"Dropped candidates: {codes or 'none'}. Labels were removed from {report['masked']:,} "
        "answers."
    )


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


def print_units(config: StudyConfig, out: Path, form: str = "text") -> None:
    """Print the units of a study with their states."""
    from rich.table import Table

    from imaxray.progress import SafeConsole
    from imaxray.study import unit_states

    states = unit_states(config, out)
    if form == "json":
        print_json(states)
        return
    table = Table()
    table.add_column("unit")
    table.add_column("state")
    for name, state in states.items():
        table.add_row(name, state)
    SafeConsole(width=None if sys.stdout.isatty() else 140).print(table)
    done = sum(state == "done" for state in states.values())
    say(f"{done} of {len(states)} units are done.")
