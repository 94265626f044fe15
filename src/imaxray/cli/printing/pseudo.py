"""Prints what a model annotated, and what the filters kept of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from imaxray._common.printing import counted, say
from imaxray.cli.printing.tables import print_table

if TYPE_CHECKING:
    from collections.abc import Mapping


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
