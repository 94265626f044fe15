"""Prints the scores of a run."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from imaxray._common.printing import counted, say
from imaxray.cli.printing.tables import print_table

if TYPE_CHECKING:
    from collections.abc import Mapping


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
